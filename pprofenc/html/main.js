// SPDX-License-Identifier: Apache-2.0
// The page of the report: controls to state, state to pictures.

const DEFAULTS = {view: 'flame', type: '', search: '', zoom: [], func: '', callers: [], callees: [], colour: 'kind', theme: '',
	widths: 'new', compare: 'values', sort: 'flat'};
const CHOICES = {view: ['flame', 'sandwich', 'table'], colour: ['kind', 'package'], theme: ['', 'light', 'dark'],
	widths: ['new', 'old'], compare: ['values', 'shares'], sort: SORTS};
const PATHS = ['zoom', 'callers', 'callees'];
const SHAPE = {defaults: DEFAULTS, choices: CHOICES, paths: PATHS};

class Report extends Views {
	constructor(profile) {
		super();
		this.state = readState(location.hash, SHAPE);
		this.use(profile);
		this.makeControls();
		this.apply();
	}

	// --- parts -------------------------------------------------------------------------------------------------

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
		const hash = writeState({...this.state, ...change}, SHAPE);

		if (quiet)
			history.replaceState(null, '', hash);
		else if (hash !== writeState(this.state, SHAPE))
			history.pushState(null, '', hash);
		this.apply();
	}

	apply() {
		const s = this.state = readState(location.hash, SHAPE), index = this.profile.types.findIndex(([name]) => name === s.type);

		this.type = index < 0 ? this.profile.raw.type : index;
		this.colours.set(this.dark(), s.colour);
		document.documentElement.dataset.theme = this.dark() ? 'dark' : 'light';
		for (const key of ['colour', 'widths', 'compare'])
			$(key).value = s[key];
		$('type').selectedIndex = this.type;
		if ($('search').value !== s.search)
			$('search').value = s.search;
		this.search(s.search);
		for (const button of document.querySelectorAll('[data-view]'))
			button.setAttribute('aria-pressed', button.dataset.view === s.view);
		$('total').textContent = totalLine(this.profile, this.column());
		showLegend($('legend'), this.profile, this.colours, this.type, Boolean(this.profile.base));
		this.show();
		$('reset').disabled = s.view === 'flame' ? s.zoom.length === 0 : s.callers.length + s.callees.length === 0;
		this.detail(null);
	}

	linkTo(func) {
		return writeState({...this.state, view: 'sandwich', func, callers: [], callees: []}, SHAPE);
	}

	dark() {
		return this.state.theme ? this.state.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
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
