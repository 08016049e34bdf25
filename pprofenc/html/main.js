// SPDX-License-Identifier: Apache-2.0
// The page: controls to state, state to pictures.

const $ = (id) => document.getElementById(id);

class Report {
	constructor(profile) {
		this.profile = profile;
		this.state = readState(location.hash);
		this.type = profile.raw.type;
		this.colours = new Colours(profile);
		this.match = null;
		this.searched = '';
		this.levels = new Map();
		this.makeViews();
		this.makeControls();
		this.apply();
	}

	// --- parts -------------------------------------------------------------------------------------------------

	makeViews() {
		const tools = (key) => ({
			colours: this.colours,
			matches: () => this.match,
			compare: () => Boolean(this.profile.base),
			change: (frame) => this.change(frame),
			label: (frame, room) => this.label(frame, room),
			name: (frame) => this.name(frame),
			onZoom: (path) => this.go({[key]: path}),
			onPick: (frame) => this.pick(this.profile.names[frame.func]),
			onShow: (box) => this.detail(box),
		});

		this.flame = new Flame($('flame'), 'Flame graph', false, tools('zoom'));
		this.callers = new Flame($('callers'), 'Callers', true, tools('callers'));
		this.callees = new Flame($('callees'), 'Callees', false, tools('callees'));
		this.table = new FunctionTable($('functions'), {
			profile: this.profile,
			column: () => this.column(),
			type: () => this.type,
			matches: () => this.match,
			compare: () => Boolean(this.profile.base),
			oldOf: (value) => this.oldOf(value),
			link: (f) => writeState({...this.state, view: 'sandwich', func: this.profile.names[f], callers: [], callees: []}),
		});
		this.table.onSort = () => this.go({sort: this.table.sort}, true);
	}

	makeControls() {
		this.profile.types.forEach(([name, unit], i) => {
			const option = $('type').appendChild(document.createElement('option'));

			option.value = name;
			option.textContent = shorten(name, 60) + (unit ? ` (${shorten(unit, 30)})` : '');
			option.dataset.index = i;
		});
		document.title = titleOf(this.profile) + ' – profile';
		$('title').textContent = titleOf(this.profile);
		showAbout($('about'), this.profile);
		for (const element of document.querySelectorAll('.comparing'))
			element.hidden = !this.profile.base;
		document.querySelector('.alone').hidden = Boolean(this.profile.base);
		for (const key of ['type', 'colour', 'widths', 'compare'])
			$(key).addEventListener('change', () => this.go({[key]: $(key).value}));
		for (const button of document.querySelectorAll('[data-view]'))
			button.addEventListener('click', () => this.go({view: button.dataset.view}));
		$('search').addEventListener('input', () => this.go({search: $('search').value}, true));
		$('reset').addEventListener('click', () => this.go({zoom: [], callers: [], callees: []}));
		$('theme').addEventListener('click', () => this.go({theme: this.dark() ? 'light' : 'dark'}, true));
		$('help').addEventListener('click', () => $('keys').showModal());
		window.addEventListener('hashchange', () => this.apply());
		document.addEventListener('keydown', (e) => this.key(e));
		matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.apply());
	}

	// --- state -------------------------------------------------------------------------------------------------

	/** To another state; `quiet` adds no step for the Back button. */
	go(change, quiet) {
		const hash = writeState({...this.state, ...change});

		if (quiet)
			history.replaceState(null, '', hash);
		else if (hash !== writeState(this.state))
			history.pushState(null, '', hash);
		this.apply();
	}

	apply() {
		const s = this.state = readState(location.hash), index = this.profile.types.findIndex(([name]) => name === s.type);

		this.type = index < 0 ? this.profile.raw.type : index;
		this.colours.set(this.dark(), s.colour);
		document.documentElement.dataset.theme = this.dark() ? 'dark' : 'light';
		for (const key of ['colour', 'widths', 'compare'])
			$(key).value = s[key];
		$('type').selectedIndex = this.type;
		if ($('search').value !== s.search)
			$('search').value = s.search;
		this.search(s.search);
		for (const view of document.querySelectorAll('[data-shown-in]'))
			view.hidden = !view.dataset.shownIn.split(' ').includes(s.view);
		for (const button of document.querySelectorAll('[data-view]'))
			button.setAttribute('aria-pressed', button.dataset.view === s.view);
		$('main').className = s.view;
		$('total').textContent = totalLine(this.profile, this.column());
		showLegend($('legend'), this.profile, this.colours, this.type, Boolean(this.profile.base));
		this.show();
		this.detail(null);
	}

	show() {
		const s = this.state, func = this.profile.funcNamed(s.func);

		if (s.view === 'flame')
			this.flame.show(this.levelsOf(Callees), s.zoom);
		if (s.view === 'sandwich')
			this.showSandwich(func);
		if (s.view === 'sandwich' || s.view === 'table') {
			this.table.sort = s.sort;
			this.table.show(func);
		}
		$('reset').disabled = s.view === 'flame' ? s.zoom.length === 0 : s.callers.length + s.callees.length === 0;
	}

	showSandwich(func) {
		const s = this.state, known = func >= 0;

		$('picked').textContent = known ? shorten(s.func, 500) : s.func ? 'There is no such function.' : 'Choose a function.';
		$('callers').hidden = $('callees').hidden = !known;
		if (!known)
			return;
		this.callers.show(this.levelsOf(Callers, func), s.callers);
		this.callees.show(this.levelsOf(Callees, func), s.callees);
	}

	/** Kept while the type is shown, so that levels are opened only once. */
	levelsOf(Kind, func) {
		const before = Boolean(this.profile.base) && this.state.widths === 'old';
		const key = [Kind.name, this.type, before, func].join(' ');

		if (this.levels.size > 8)
			this.levels.clear();
		if (!this.levels.has(key))
			this.levels.set(key, new Kind(this.profile, this.type, before, func));
		return this.levels.get(key);
	}

	pick(name) {
		this.go({view: 'sandwich', func: name, callers: [], callees: []});
	}

	search(words) {
		const {names, nfuncs} = this.profile;

		if (words !== this.searched) {
			const test = words ? matcher(words) : null;

			this.match = test ? Uint8Array.from(names, (name) => test(name)) : null;
			this.searched = words;
		}
		if (!this.match) {
			$('found').textContent = '';
			return;
		}
		const n = this.match.reduce((sum, v) => sum + v, 0), c = this.column();
		const sum = this.profile.matched(this.type, this.match);

		$('found').textContent = `${n.toLocaleString('en')} of ${nfuncs.toLocaleString('en')} functions, ` +
			`${formatValue(sum, c.unit)}, ${formatShare(sum, c.whole)} of all`;
	}

	column() {
		return this.profile.column(this.type);
	}

	dark() {
		return this.state.theme ? this.state.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
	}

	// --- words -------------------------------------------------------------------------------------------------

	/** A value of the base for comparison: with shares, scaled to the same total. */
	oldOf(value) {
		const c = this.column();

		return this.state.compare === 'shares' && c.oldTotal ? value * (c.total / c.oldTotal) : value;
	}

	change(frame) {
		const old = this.oldOf(frame.old), most = Math.max(Math.abs(frame.net), Math.abs(old));

		return most ? (frame.net - old) / most : 0;
	}

	name(frame) {
		return frame.func < 0 ? 'all' : this.profile.names[frame.func];
	}

	/** The name as it fits: without the path of its package when that is too long. */
	label(frame, room) {
		if (frame.func < 0)
			return 'all';
		const mark = KINDS[this.profile.kinds[frame.func]].mark + (this.profile.base ? this.sign(frame) : '');
		const name = this.profile.names[frame.func];

		if (name.length + mark.length <= room)
			return name + mark;
		const start = name.slice(0, 500).search(/[^/]*(\[|$)/), slash = name.slice(0, start + 1).lastIndexOf('/');
		const short = slash > 0 ? name.slice(slash + 1) : name;

		return short.length + mark.length <= room || room < 12 ? short + mark : shorten(short, room - mark.length) + mark;
	}

	sign(frame) {
		const change = frame.net - this.oldOf(frame.old), c = this.column();

		return Math.abs(change) < c.whole / 10000 ? '' : ' ' + (frame.old ?
			(change > 0 ? '+' : '−') + Math.abs(100 * change / this.oldOf(frame.old)).toFixed(0) + '%' : 'new');
	}

	detail(box) {
		const c = this.column(), host = $('detail');

		host.replaceChildren();
		if (!box) {
			host.textContent = 'Point at a frame, or press ? for the keys.';
			return;
		}
		const {frame} = box, title = host.appendChild(document.createElement('b'));
		const rest = [`${formatValue(frame.net, c.unit)} (${formatShare(frame.net, c.whole)})`];

		title.textContent = box.small ? `${box.small} frames too narrow to be drawn` : shorten(this.name(frame), 1000);
		if (!box.small)
			rest.push(`itself ${formatValue(frame.self, c.unit)} (${formatShare(frame.self, c.whole)})`);
		if (c.old)
			rest.push(`before ${formatValue(this.oldOf(frame.old), c.unit)}, change ` +
				formatChange(frame.net - this.oldOf(frame.old), c.unit));
		if (frame.func >= 0)
			rest.push(KINDS[this.profile.kinds[frame.func]].name, shorten(this.profile.where(frame.func), 500));
		host.appendChild(document.createTextNode(' ' + rest.filter(Boolean).join(' · ')));
	}

	// --- keys --------------------------------------------------------------------------------------------------

	key(event) {
		const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);

		if (event.ctrlKey || event.altKey || event.metaKey || $('keys').open)
			return;
		if (event.key === 'Escape') {
			this.escape(typing);
		} else if (!typing && event.key === '/') {
			$('search').focus();
			$('search').select();
		} else if (!typing && event.key === '?') {
			$('keys').showModal();
		} else if (!typing && event.key === 't') {
			this.go({theme: this.dark() ? 'light' : 'dark'}, true);
		} else if (!typing && ['1', '2', '3'].includes(event.key)) {
			this.go({view: CHOICES.view[event.key - 1]});
		} else {
			return;
		}
		event.preventDefault();
	}

	/** First the search, then the zoom. */
	escape(typing) {
		if (this.state.search)
			this.go({search: ''}, true);
		else if (typing)
			document.activeElement.blur();
		else
			this.go({zoom: [], callers: [], callees: []});
		if (typing && !this.state.search)
			this.canvas().focus();
	}

	canvas() {
		return (this.state.view === 'sandwich' ? this.callees : this.flame).canvas;
	}
}

async function begin() {
	try {
		if (!window.DecompressionStream)
			throw new Error('this browser is too old: it has no DecompressionStream (2023)');
		const report = new Report(new Profile(await unpack($('data').textContent)));

		$('data').textContent = '';
		// for scripts that drive the page
		window.report = report;
		document.documentElement.dataset.ready = 'yes';
	} catch (e) {
		$('total').textContent = 'The profile can\'t be shown: ' + e.message;
		throw e;
	}
}

begin();
