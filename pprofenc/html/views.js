// SPDX-License-Identifier: Apache-2.0
// The pictures of a profile, in the page's elements of these names, and their words.

const $ = (id) => document.getElementById(id);

/**
 * A page of profiles has, beside what is here: state {view, type, search, zoom, func, callers, callees, colour, widths, compare,
 * sort}; go(change, quiet), which changes it and draws; linkTo(name), the address of a function's callers and callees; and
 * dark().
 */
class Views {
	constructor() {
		this.makeViews();
	}

	/** Of which profile; before anything is shown. */
	use(profile) {
		this.profile = profile;
		this.type = profile.raw.type;
		this.colours = new Colours(profile);
		this.match = null;
		this.searched = '';
		this.levels = new Map();
		for (const graph of [this.flame, this.callers, this.callees])
			graph.clear();
	}

	makeViews() {
		const tools = (key) => ({
			colours: () => this.colours,
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
			profile: () => this.profile,
			column: () => this.column(),
			type: () => this.type,
			matches: () => this.match,
			compare: () => Boolean(this.profile.base),
			oldOf: (value) => this.oldOf(value),
			link: (f) => this.linkTo(this.profile.names[f]),
		});
		this.table.onSort = () => this.go({sort: this.table.sort}, true);
	}

	show() {
		const s = this.state, func = this.profile.funcNamed(s.func);

		for (const view of document.querySelectorAll('[data-shown-in]'))
			view.hidden = !view.dataset.shownIn.split(' ').includes(s.view);
		$('main').className = s.view;
		if (s.view === 'flame')
			this.flame.show(this.levelsOf(Callees), s.zoom);
		if (s.view === 'sandwich')
			this.showSandwich(func);
		if (s.view === 'sandwich' || s.view === 'table') {
			this.table.sort = s.sort;
			this.table.show(func);
		}
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

	// --- words -------------------------------------------------------------------------------------------------

	/** A value of the base for comparison: with shares, scaled to the same total, with rates, to the same time. */
	oldOf(value) {
		const c = this.column(), {raw, base} = this.profile;

		if (this.state.compare === 'rates')
			return base.duration && raw.duration ? value * (raw.duration / base.duration) : value;
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

	canvas() {
		return (this.state.view === 'sandwich' ? this.callees : this.flame).canvas;
	}
}
