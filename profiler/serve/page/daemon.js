// SPDX-License-Identifier: Apache-2.0
// The daemon's page: controls to state, state to requests and views.

const MAX_NODES = 20000, TOP = 20;
const FIRST_LOOK = 11 * MINUTE; // levels are looked at every ten minutes
const TAB_NAMES = {flame: 'Flame graph', sandwich: 'Callers & callees', table: 'Functions', goroutines: 'Goroutines', heap: 'Heap',
	processes: 'Processes', compare: 'Compare', events: 'Events'};
const VIEW_OF = {flame: 'flame', sandwich: 'sandwich', table: 'table', heap: 'table', compare: 'flame'};
const KIND_OF = {heap: 'heap', goroutines: 'goroutine'};
const FIGURES_OF = {heap: /heap|gc|rss|memory|alloc|cgroup/i, goroutines: /goroutine|thread|sched/i};
const PASTS = [['just before', null], ['a day before', DAY], ['a week before', 7 * DAY]];

class Daemon extends Views {
	constructor() {
		super();
		this.clock = new Clock();
		this.nameColours = new NameColours();
		this.slots = new Slots(new Api(), () => this.settled());
		this.plot = new Plot($('plot'), {
			clock: this.clock, colours: this.nameColours, dark: () => this.dark(),
			onZoom: (from, to) => this.goTo(from, to),
			onSelect: (a, b) => this.go({s0: stamp(a), s1: stamp(b)}, true),
			onCompare: (a, b) => this.compareWith(a, b),
			onPan: (share) => this.pan(share),
			onEvent: (event) => this.go({tab: 'events', event: event.id}),
		});
		this.services = new Services($('services'), {
			colours: this.nameColours,
			linkTo: (service) => this.link({service, by: '', oldBuild: '', newBuild: ''}),
		});
		this.follows = false;
		this.builds = [];
		this.makeControls();
		this.apply();
	}

	// --- parts -------------------------------------------------------------------------------------------------

	makeControls() {
		for (const [width, name] of RANGES)
			this.button($('ranges'), name, () => this.goTo(Date.now() - width, Date.now(), true)).dataset.width = width;
		for (const [name, by] of PASTS)
			this.button($('pasts'), name, () => this.comparePast(by));
		TABS.forEach((tab, i) => this.makeTab(tab, i));
		for (const key of ['by', 'type', 'colour', 'widths', 'compare', 'oldBuild', 'newBuild'])
			$(key).addEventListener('change', () => this.go({[key]: $(key).value}));
		$('kind').addEventListener('change', () => this.go({kind: $('kind').value, type: '', tab: VIEW_OF[this.at.tab] ? this.at.tab : 'flame'}));
		$('filter').addEventListener('change', () => this.go({filter: $('filter').value.trim()}));
		$('find').addEventListener('input', () => this.services.show(this.at.service, $('find').value));
		$('search').addEventListener('input', () => this.go({search: $('search').value}, true));
		$('reset').addEventListener('click', () => this.go({zoom: [], callers: [], callees: []}));
		$('plain').addEventListener('click', () => this.go({c0: '', c1: '', oldBuild: '', newBuild: '', tab: 'flame'}));
		$('dates').addEventListener('submit', (e) => this.readDates(e));
		this.makeButtons();
		this.makeDialogs();
		window.addEventListener('popstate', () => this.apply());
		document.addEventListener('keydown', (e) => this.key(e));
		matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.apply());
		$('fold').open = !matchMedia('(max-width: 760px)').matches;
		setInterval(() => this.tick(), 5000);
		setInterval(() => {
			this.slots.drop('status');
			this.wantStatus();
		}, MINUTE);
	}

	makeButtons() {
		const does = {
			earlier: () => this.pan(-0.5), later: () => this.pan(0.5), latest: () => this.toNow(), back: () => this.goBack(),
			zone: () => this.go({time: this.clock.utc ? 'local' : 'utc'}, true), follow: () => this.follow(!this.follows),
			theme: () => this.go({theme: this.dark() ? 'light' : 'dark'}, true), help: () => $('keys').showModal(),
			command: () => this.tellCommand(), capture: () => this.askCapture(),
		};

		for (const [id, act] of Object.entries(does))
			$(id).addEventListener('click', act);
	}

	button(host, text, act) {
		const made = element(host, 'button', '', text);

		made.type = 'button';
		made.addEventListener('click', act);
		return made;
	}

	makeTab(tab, number) {
		const made = this.button($('tabs'), TAB_NAMES[tab], () => this.toTab(tab));

		made.id = 'tab-' + tab;
		made.setAttribute('role', 'tab');
		made.setAttribute('aria-controls', 'panel');
		made.title = `(${number + 1})`;
		made.addEventListener('keydown', (e) => {
			const by = {ArrowLeft: -1, ArrowRight: 1}[e.key];

			if (!by)
				return;
			this.toTab(TABS[(number + by + TABS.length) % TABS.length]);
			$('tab-' + this.at.tab).focus();
			e.preventDefault();
		});
	}

	toTab(tab) {
		const same = (KIND_OF[tab] || this.at.kind) === this.kind();

		this.go(same ? {tab} : {tab, type: ''});
	}

	// --- state -------------------------------------------------------------------------------------------------

	/** For the views: the state as it means this profile. */
	get state() {
		return this.viewed ||= this.inward(this.at);
	}

	inward(s) {
		const of = (path) => this.paths ? this.paths.toFuncs(path) : [];

		return {...s, view: VIEW_OF[s.tab] || 'none', zoom: of(s.zoom), callers: of(s.callers), callees: of(s.callees),
			// levels are what they are
			compare: s.tab === 'heap' ? 'values' : s.compare};
	}

	/** A change as the views make it, for the address. */
	outward(change) {
		const {view, ...out} = change;

		for (const key of STATE.paths) {
			if (out[key])
				out[key] = this.paths.toHashes(out[key]);
		}
		if (view)
			Object.assign(out, {tab: view, kind: this.kind()});
		return out;
	}

	link(change) {
		return writeState({...this.at, ...change}, STATE);
	}

	linkTo(func) {
		return this.link({tab: 'sandwich', kind: this.kind(), func, callers: [], callees: []});
	}

	/** `quiet` adds no step for the Back button. */
	go(change, quiet, ranges) {
		const hash = this.link(this.outward(change)), kept = {ranges: ranges || history.state?.ranges || []};

		if (quiet)
			history.replaceState(kept, '', hash);
		else if (hash !== writeState(this.at, STATE))
			history.pushState(kept, '', hash);
		this.apply();
	}

	/** Another range of the timeline; the one before is kept for Backspace. */
	goTo(from, to, whole) {
		const width = Math.max(to - from, NARROWEST_RANGE), middle = (from + to) / 2, now = Date.now();
		let a = middle - width / 2, b = middle + width / 2;

		if (whole)
			[a, b] = [a, b].map((t) => Math.floor(t / MINUTE) * MINUTE);
		// nothing is beyond now
		const over = Math.max(0, b - Math.ceil(now / MINUTE) * MINUTE);
		const ranges = [...history.state?.ranges || [], [this.times.from, this.times.to, this.at.s0, this.at.s1]].slice(-50);

		this.go({from: stamp(a - over), to: stamp(b - over), s0: '', s1: ''}, false, ranges);
	}

	/** To the range before; where there is none, out. */
	goBack() {
		const ranges = (history.state?.ranges || []).slice(), last = ranges.pop(), {from, to} = this.times;

		if (last)
			this.go({from: stamp(last[0]), to: stamp(last[1]), s0: last[2], s1: last[3]}, false, ranges);
		else
			this.go({from: stamp(from - (to - from) / 2), to: stamp(to + (to - from) / 2), s0: '', s1: ''}, false, []);
	}

	pan(share) {
		const {from, to} = this.times;

		this.goTo(from + share * (to - from), to + share * (to - from));
	}

	toNow() {
		const {from, to} = this.times, now = Math.floor(Date.now() / MINUTE) * MINUTE;

		this.goTo(now - (to - from), now);
	}

	readDates(event) {
		const from = this.clock.readField($('from').value), to = this.clock.readField($('to').value);

		event.preventDefault();
		$('when').open = false;
		if (to > from)
			this.goTo(from, to);
	}

	follow(on) {
		this.follows = on;
		$('follow').setAttribute('aria-pressed', String(on));
		if (on)
			this.toNow();
	}

	tick() {
		const now = Math.floor((Date.now() - 5000) / MINUTE) * MINUTE, {from, to} = this.times, by = now - to;

		if (!this.follows || document.hidden || by <= 0)
			return;
		const shift = (text) => text && stamp(readStamp(text) + by);

		this.go({from: stamp(from + by), to: stamp(now), s0: shift(this.at.s0), s1: shift(this.at.s1)}, true);
	}

	compareWith(a, b) {
		const [s0, s1] = this.times.selected;

		this.go({c0: stamp(a), c1: stamp(b), s0: stamp(s0), s1: stamp(s1), tab: 'compare'});
	}

	comparePast(by) {
		const [a, b] = this.times.selected, back = by || b - a;

		this.compareWith(a - back, b - back);
	}

	apply() {
		const s = this.at = readState(location.hash, STATE), t = this.times = timesOf(s, Date.now());

		this.viewed = null;

		if (s.from !== stamp(t.from) || s.to !== stamp(t.to)) {
			Object.assign(s, {from: stamp(t.from), to: stamp(t.to)});
			history.replaceState(history.state, '', writeState(s, STATE));
		}
		this.clock.utc = s.time === 'utc';
		this.nameColours.dark = this.dark();
		document.documentElement.dataset.theme = this.dark() ? 'dark' : 'light';
		document.title = `${shorten(clean(s.service), 60) || 'All services'}, ${KIND_NAMES[s.kind]} – prowl`;
		this.showControls();
		this.wantIndex();
		this.wantPanel();
	}

	kind() {
		return KIND_OF[this.at.tab] || this.at.kind;
	}

	which(more) {
		return selector({service: this.at.service, ...more}, this.at.filter);
	}

	dark() {
		return this.at.theme ? this.at.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
	}

	// --- controls ----------------------------------------------------------------------------------------------

	showControls() {
		const s = this.at, {from, to} = this.times;

		for (const key of ['colour', 'widths', 'compare'])
			$(key).value = s[key];
		for (const key of ['search', 'filter']) {
			if ($(key).value !== s[key])
				$(key).value = s[key];
		}
		for (const b of $('ranges').children)
			b.setAttribute('aria-pressed', String(Math.abs(b.dataset.width - (to - from)) < 1000));
		$('range').textContent = `${this.clock.range(from, to)} ${this.clock.zone(from)}`;
		$('zone').textContent = this.clock.utc ? 'UTC' : 'Local time';
		$('back').disabled = !history.state?.ranges?.length;
		$('later').disabled = $('latest').disabled = false;
		if (!$('when').open)
			[$('from').value, $('to').value] = [this.clock.field(from), this.clock.field(to)];
		for (const tab of TABS) {
			$('tab-' + tab).setAttribute('aria-selected', String(tab === s.tab));
			$('tab-' + tab).tabIndex = tab === s.tab ? 0 : -1;
		}
		$('panel').setAttribute('aria-labelledby', 'tab-' + s.tab);
		this.choices('kind', Object.entries(KIND_NAMES).filter(([k]) => k === s.kind || this.services.kinds(s.service).has(k)), s.kind);
		this.showDownloads();
	}

	/** options: [[value, text], ...] */
	choices(id, options, chosen) {
		const host = $(id), key = JSON.stringify(options);

		if (host.dataset.key !== key) {
			host.replaceChildren();
			for (const [value, text] of options)
				element(host, 'option', '', shorten(text, 60)).value = value;
			host.dataset.key = key;
		}
		host.value = chosen;
	}

	profileParams(more) {
		const [from, to] = this.times.selected;

		return {match: this.which(), kind: this.kind(), from, to, ...more};
	}

	showDownloads() {
		const [from] = this.times.selected, name = `${this.at.service.replace(/[^\w.-]+/g, '_') || 'all'}-${this.kind()}-${stamp(from)}`;
		const ends = {pprof: '.pb.gz', speedscope: '.speedscope.json', html: '.html'};

		for (const [format, end] of Object.entries(ends)) {
			$(format).href = address('api/v1/profile', this.profileParams({format}));
			$(format).download = name + end;
		}
		$('pgo').hidden = this.kind() !== 'cpu';
		$('pgo').href = address('api/v1/pgo', {match: this.which(), from: this.times.selected[0], to: this.times.selected[1]});
		$('pgo').download = name + '.pgo';
	}

	// --- the index: services, timeline -------------------------------------------------------------------------

	wantIndex() {
		const {from, to} = this.times, fresh = to > Date.now() - 2 * MINUTE;

		this.wantStatus();
		this.slots.want('series', address('api/v1/series', {from, to, limit: 1000}), {
			fresh, host: $('services'), make: (body) => body, show: (body) => this.showSeries(body), fail: (e) => this.showTrouble('series', e),
		});
		this.slots.want('timeline', this.timelineAddress(this.at.service, this.by()), {
			fresh, host: $('plot'), make: (body) => new Stack(body, this.by(), [from, to]), show: (stack) => this.showTimeline(stack),
			fail: (e) => this.failTimeline(e),
		});
	}

	wantStatus() {
		this.slots.want('status', 'api/v1/status', {fresh: true, make: (body) => body, show: (body) => this.showStatus(body),
			fail: (e) => this.showTrouble('status', e)});
	}

	by() {
		return this.at.by || (this.at.service ? 'build' : 'service');
	}

	timelineAddress(service, by) {
		const {from, to} = this.times, type = this.kind() === this.at.kind ? this.at.type : '';

		return address('api/v1/timeline', {match: this.which(), kind: this.at.kind, type, from, to, step: 'auto', by, top: TOP});
	}

	showStatus(status) {
		const line = [status.version && `prowl ${status.version}`];

		if (status.targets)
			line.push(`${status.targets.active} processes` + (status.targets.denied ? `, ${status.targets.denied} not permitted` : ''));
		if (status.self)
			line.push(`costs ${formatShare(status.self.cpu, 1)} of a CPU, ${formatValue(status.self.memory_bytes, 'bytes')}`);
		if (status.store?.bytes)
			line.push(`store ${formatValue(status.store.bytes, 'bytes')}` +
				(status.store.max_bytes ? ` of ${formatValue(status.store.max_bytes, 'bytes')}` : ''));
		$('host').textContent = shorten(clean(status.host), 80);
		$('status').textContent = line.filter(Boolean).map(clean).join(' · ');
		$('status').title = clean(status.mode);
		const trouble = [...status.sampling === false ? ['Nothing is sampled at present.'] : [], ...status.degraded || []];

		this.showTrouble('status', trouble.length ? Object.assign(new Refusal(trouble.map(clean).join('; ')), {mild: status.sampling !== false}) : null);
	}

	/** One line for each source that has something to say. */
	showTrouble(source, refusal) {
		this.troubles ||= new Map();
		if (refusal)
			this.troubles.set(source, refusal);
		else
			this.troubles.delete(source);
		$('trouble').hidden = this.troubles.size === 0;
		$('trouble').classList.toggle('mild', [...this.troubles].every(([from, r]) => from === 'status' && r.mild));
		$('trouble').replaceChildren();
		for (const text of new Set([...this.troubles.values()].map((r) => r.words())))
			element($('trouble'), 'p', '', shorten(text, 500));
	}

	showSeries(body) {
		this.showTrouble('series', null);
		if (this.learned !== body) {
			this.learned = body;
			this.services.learn(body, this.times);
		}
		this.services.show(this.at.service, $('find').value);
		const labels = new Set(['service', 'build', this.by()]), builds = new Set();

		for (const s of body.series || []) {
			Object.keys(s.labels || {}).forEach((name) => labels.add(name));
			if (s.labels?.build && (!this.at.service || s.labels.service === this.at.service))
				builds.add(s.labels.build);
		}
		this.choices('by', [...labels].sort().map((l) => [l, clean(l)]), this.by());
		this.builds = [...builds].sort();
		for (const key of ['oldBuild', 'newBuild']) {
			const known = new Set([...this.builds, ...this.at[key] ? [this.at[key]] : []]);

			this.choices(key, [['', 'any'], ...[...known].map((b) => [b, shorten(clean(b), 16)])], this.at[key]);
		}
		this.choices('kind', Object.entries(KIND_NAMES).filter(([k]) => k === this.at.kind || this.services.kinds(this.at.service).has(k)), this.at.kind);
		// colours go by all names that there are
		if (this.stack)
			this.showTimeline(this.stack);
	}

	showTimeline(stack) {
		this.showTrouble('timeline', null);
		this.stack = stack;
		this.nameColours.learn(stack.by, stack.series.map((s) => s.name));
		if (this.isOverview())
			this.giveSparks(stack);
		this.plot.show(stack, this.times.selected, this.compared());
		this.showNames(stack);
		this.showPicture();
	}

	failTimeline(refusal) {
		this.stack = null;
		this.plot.show(null, null, null);
		$('names').replaceChildren();
		this.showTrouble('timeline', refusal);
		this.showPicture();
	}

	isOverview() {
		return this.at.kind === 'cpu' && !this.at.service && !this.at.filter && this.by() === 'service';
	}

	giveSparks(stack) {
		this.services.stack = stack;
		if (this.learned)
			this.services.show(this.at.service, $('find').value);
	}

	compared() {
		return this.at.tab === 'compare' ? this.times.compared : null;
	}

	/** The legend of the timeline: each name with its mean over the selected part, as a link to it alone. */
	showNames(stack) {
		const {each} = stack.means(...this.times.selected), by = this.by(), host = $('names');

		host.replaceChildren();
		stack.series.forEach((s, k) => {
			const row = element(element(host, 'li'), s.rest || s.name === '' ? 'span' : 'a', 'entry'), patch = element(row, 'span', 'patch');

			patch.style.background = s.rest ? this.nameColours.rest : this.nameColours.of(by, s.name);
			if (row.tagName === 'A')
				row.href = this.link(by === 'service' ? {service: s.name, by: ''} : {filter: this.withLabel(by, s.name)});
			row.title = shorten(stack.label(s), 500);
			element(row, 'span', 'title', shorten(stack.label(s), by === 'build' ? 14 : 40));
			element(row, 'b', '', stack.format(each[k]));
		});
	}

	withLabel(name, value) {
		const one = `${name}=${quoted(value)}`;

		return this.at.filter.includes(one) ? this.at.filter : [this.at.filter, one].filter(Boolean).join(',');
	}

	// --- the panel ---------------------------------------------------------------------------------------------

	wantPanel() {
		const {tab} = this.at, views = Boolean(VIEW_OF[tab]);

		$('comparing').hidden = tab !== 'compare';
		$('views').hidden = $('legend').hidden = $('main').hidden = $('detail').hidden = !views;
		$('list').hidden = views && tab !== 'compare';
		if ($('list').dataset.tab !== tab)
			$('list').replaceChildren();
		$('list').dataset.tab = tab;
		$('panel').dataset.tab = tab;
		if (!FIGURES_OF[tab]) {
			this.slots.drop('figures');
			$('charts').hidden = true;
		}
		if (tab !== 'compare')
			this.slots.drop('statistics');
		({goroutines: () => this.wantGoroutines(), processes: () => this.wantProcesses(), events: () => this.wantEvents(),
			compare: () => this.wantComparison(), heap: () => this.wantHeap()}[tab] || (() => this.wantProfile()))();
	}

	/** A request whose answer fills the panel; otherwise(): what to do where there is nothing of that. */
	panel(path, params, make, show, otherwise) {
		const fresh = this.times.selected[1] > Date.now() - 2 * MINUTE;

		this.slots.want('panel', address(path, params), {fresh, host: $('panel'), make, show: (made) => {
			this.showWrong(null);
			show(made);
		}, fail: (e) => otherwise && (e.status === 422 || e.status === 404) ? otherwise() : this.showWrong(e)});
	}

	/** What there is instead of a picture. */
	showWrong(refusal) {
		$('wrong').hidden = !refusal;
		$('wrong').textContent = refusal ? shorten(refusal.words(), 1000) : '';
		if (!refusal)
			return;
		$('main').hidden = $('views').hidden = $('legend').hidden = $('detail').hidden = $('list').hidden = true;
		this.shown = null;
		this.showPicture();
	}

	wantProfile() {
		this.panel('api/v1/profile', this.profileParams({format: 'flame', max_nodes: MAX_NODES}), (body, headers) => this.read(body, headers),
			(made) => this.showProfile(made));
	}

	read(body, headers) {
		const profile = new Profile(body);

		return {profile, paths: new PathNames(profile), windows: headers.get('X-Prowl-Windows') || '', exact: headers.get('X-Prowl-Exact') !== '0'};
	}

	/** The last look at levels beside one of the beginning; alone, where there was none then. */
	wantLevels(show) {
		const {match, kind, from, to} = this.profileParams(), then = Math.min(to, from + Math.max(FIRST_LOOK, (to - from) / 6));
		const more = {kind, format: 'flame', max_nodes: MAX_NODES}, read = (body, headers) => this.read(body, headers);

		this.wantFigures();
		this.panel('api/v1/diff', {'a.match': match, 'a.from': from, 'a.to': then, 'a.agg': 'last', 'b.match': match, 'b.from': from, 'b.to': to,
			'b.agg': 'last', ...more}, read, show, () => this.panel('api/v1/profile', {match, from, to, agg: 'last', ...more}, read, show));
	}

	wantHeap() {
		this.wantLevels((made) => this.showProfile(made));
	}

	wantGoroutines() {
		this.wantLevels((made) => {
			this.take(made);
			showGoroutines($('list'), made.profile, this.type, (name) => this.linkTo(name));
			this.showPicture();
		});
	}

	wantFigures() {
		const {from, to} = this.times, names = FIGURES_OF[this.at.tab];

		this.slots.want('figures', address('api/v1/figures', {match: this.which(), from, to, step: 'auto'}), {
			make: (body) => body,
			show: (body) => showCharts($('charts'), body, names, {from, to, colours: this.nameColours, dark: this.dark()}),
			fail: () => {
				$('charts').hidden = true;
			},
		});
	}

	wantProcesses() {
		const {from, to} = this.times;

		this.panel('api/v1/targets', {state: 'all', match: this.which(), from, to}, (body) => body, (body) => {
			showProcesses($('list'), body, this.times, this.clock);
			this.showPicture();
		});
	}

	wantEvents() {
		const {from, to} = this.times;

		this.panel('api/v1/events', {match: this.which(), from, to, limit: 1000}, (body) => body, (body) => {
			showEvents($('list'), body, this.at.event, this.clock, (diff) => this.linkOfDiff(diff));
			this.showPicture();
		});
	}

	/** An event's comparison, as far as its selectors are those that the page can show. */
	linkOfDiff({a, b}) {
		const build = (m) => /build="([^"\\]*)"/.exec(m || '')?.[1] || '', service = /service="([^"\\]*)"/.exec(b.match || '')?.[1] || '';
		const from = Math.min(a.from, b.from), to = Math.max(a.to, b.to);

		return this.link({tab: 'compare', service, filter: '', from: stamp(from), to: stamp(to), s0: stamp(b.from), s1: stamp(b.to), c0: stamp(a.from),
			c1: stamp(a.to), oldBuild: build(a.match), newBuild: build(b.match)});
	}

	wantComparison() {
		const s = this.at, {from, to, selected, chosen, compared} = this.times, releases = Boolean(s.oldBuild || s.newBuild);
		const a = compared || (releases ? [from, to] : null), b = releases && !chosen ? [from, to] : selected;

		$('base').textContent = a ? this.clock.range(...a) : 'nothing yet';
		if (!a)
			return this.askComparison();
		const params = {'a.match': this.which({build: s.oldBuild}), 'a.from': a[0], 'a.to': a[1], 'b.match': this.which({build: s.newBuild}),
			'b.from': b[0], 'b.to': b[1], kind: s.kind};

		this.panel('api/v1/diff', {...params, format: 'flame', max_nodes: MAX_NODES}, (body, headers) => this.read(body, headers), (made) => {
			this.showProfile(made);
			this.showChanged();
		});
		return this.slots.want('statistics', address('api/v1/diff', {...params, type: s.type, format: 'json', test: 'true'}), {
			make: (body) => body, show: (body) => {
				this.tested = body;
				this.showChanged();
			},
			fail: () => {
				this.tested = null;
				this.showChanged();
			},
		});
	}

	/** With statistics where the daemon has them. */
	showChanged() {
		const {profile, type} = this, s = this.state;

		if (s.tab !== 'compare')
			return;
		if (this.tested)
			showStatistics($('list'), this.tested, (name) => this.linkTo(name));
		else if (this.shown?.profile.base)
			showChanges($('list'), profile, type, {oldOf: (v) => this.oldOf(v), matches: this.match, linkTo: (name) => this.linkTo(name)});
	}

	askComparison() {
		this.tested = null;
		this.slots.drop('panel');
		this.slots.drop('statistics');
		this.showWrong(new Refusal('Choose the time to compare with: Shift + drag in the timeline, or one of the buttons above.'));
		this.settled();
	}

	take(made) {
		if (this.profile !== made.profile) {
			this.use(made.profile);
			this.paths = made.paths;
			this.viewed = null;
		}
		this.shown = made;
		const index = this.profile.types.findIndex(([name]) => name === this.at.type);

		this.type = index < 0 ? this.profile.raw.type : index;
		this.colours.set(this.dark(), this.at.colour);
	}

	showProfile(made) {
		const s = this.at, compare = Boolean(made.profile.base);

		this.take(made);
		$('main').hidden = $('views').hidden = $('legend').hidden = $('detail').hidden = false;
		for (const e of document.querySelectorAll('.comparing'))
			e.hidden = !compare || s.tab === 'heap';
		document.querySelector('.alone').hidden = compare;
		this.choices('type', this.profile.types.map(([name, unit]) => [name, name + (unit ? ` (${unit})` : '')]), this.profile.types[this.type][0]);
		this.search(s.search);
		showLegend($('legend'), this.profile, this.colours, this.type, compare);
		this.show();
		$('reset').disabled = s.zoom.length + s.callers.length + s.callees.length === 0;
		this.detail(null);
		this.showPicture();
	}

	/** One line on the selected part: when, how much, of how many windows. */
	showPicture() {
		const {from, to, selected: [a, b]} = this.times, made = this.shown, host = $('picture'), words = [];

		host.replaceChildren();
		element(host, 'b', '', `${this.clock.range(a, b)} (${formatSpan(b - a)})`);
		if (a > from || b < to)
			words.push(`of ${formatSpan(to - from)}`);
		if (made && made.profile === this.profile)
			words.push(totalLine(this.profile, this.column()), ...this.reservations(made));
		else if (this.stack?.series.length)
			words.push(this.stack.format(this.stack.means(a, b).each.reduce((x, y) => x + y, 0)));
		element(host, 'span', '', words.map((w) => ' · ' + w).join(''));
	}

	reservations({windows, exact, profile}) {
		const [used, missing, skipped] = windows.split('/').map(Number), out = [];

		if (windows && used >= 0)
			out.push(`${used} window${used === 1 ? '' : 's'}` + (missing ? `, ${missing} missing` : '') + (skipped ? `, ${skipped} damaged` : ''));
		if (!exact)
			out.push('from the days\' summaries: rare stacks are folded');
		if (profile.raw.pruned)
			out.push(`${profile.raw.pruned.toLocaleString('en')} small frames shown as [rest]`);
		return out;
	}

	/** Nothing is under way: the rest may be asked for. */
	settled() {
		const busy = this.slots?.busy;

		document.documentElement.dataset.ready = busy ? 'no' : 'yes';
		if (busy || !this.learned || this.isOverview())
			return;
		const {from, to} = this.times, url = address('api/v1/timeline', {kind: 'cpu', from, to, step: 'auto', by: 'service', top: 50});

		this.slots.want('sparks', url, {make: (body) => new Stack(body, 'service', [from, to]), show: (stack) => {
			if (this.services.stack !== stack)
				this.giveSparks(stack);
		}, fail: () => {}});
	}

	// --- dialogs -----------------------------------------------------------------------------------------------

	makeDialogs() {
		$('copy').addEventListener('click', async () => {
			$('line').select();
			try {
				await navigator.clipboard.writeText($('line').value);
				$('copy').textContent = 'Copied';
			} catch {
				document.execCommand('copy');
			}
		});
		$('leave').addEventListener('click', () => $('ask').close());
		$('wish').addEventListener('submit', (e) => {
			e.preventDefault();
			this.takeCapture();
		});
		$('target').addEventListener('change', () => this.showTaken());
	}

	/** For a shell: nothing in the address is special to it between double quotes. */
	tellCommand() {
		const url = new URL(address('api/v1/profile', this.profileParams({format: 'pprof'})), location.href);
		const query = url.search.replace(/[!'()*$`\\"]/g, (c) => '%' + c.charCodeAt(0).toString(16).toUpperCase());

		$('line').value = `go tool pprof "${url.protocol}//prowl:$(prowl daemon token)@${url.host}${url.pathname}${query}"`;
		$('copy').textContent = 'Copy';
		$('told').showModal();
	}

	async askCapture() {
		$('asked').textContent = '';
		$('take').disabled = true;
		$('ask').showModal();
		try {
			const {body} = await this.slots.api.get(address('api/v1/targets', {state: 'active', match: this.which()}), undefined, true);

			this.targets = (body.targets || []).filter((t) => t.state === 'active' && t.key);
		} catch (e) {
			$('asked').textContent = e.words ? e.words() : e.message;
			return;
		}
		this.choices('target', this.targets.map((t) => [t.key, `${clean(t.labels?.service)} (pid ${t.pid})`]), this.targets[0]?.key);
		this.showTaken();
		$('take').disabled = this.targets.length === 0;
		$('asked').textContent = this.targets.length ? '' : 'No such process runs.';
	}

	showTaken() {
		const target = this.targets.find((t) => t.key === $('target').value), kinds = target?.kinds?.length ? target.kinds : ['cpu'];

		this.choices('taken', kinds.map((k) => [k, KIND_NAMES[k] || clean(k)]), kinds.includes(this.kind()) ? this.kind() : kinds[0]);
	}

	async takeCapture() {
		const seconds = Number($('seconds').value), asked = {target: $('target').value, kinds: [$('taken').value], seconds, reason: $('reason').value};

		$('take').disabled = true;
		$('asked').textContent = 'Under way …';
		try {
			const {body} = await this.slots.api.post('api/v1/captures', asked);

			await this.awaitEvent(body.id, Date.now() + (seconds + 60) * 1000);
			$('ask').close();
			this.toNow();
			this.go({tab: 'events', event: body.id});
		} catch (e) {
			$('asked').textContent = e.words ? e.words() : e.message;
		}
		$('take').disabled = false;
	}

	async awaitEvent(id, until) {
		for (;;) {
			const {body} = await this.slots.api.get(address('api/v1/events', {from: Date.now() - HOUR, to: Date.now() + MINUTE, limit: 1000}),
				undefined, true);

			if ((body.events || []).some((e) => e.id === id))
				return;
			if (Date.now() > until)
				throw new Refusal('The capture has not arrived.', 'It may still come: see the events.');
			await new Promise((done) => setTimeout(done, 1000));
		}
	}

	// --- keys --------------------------------------------------------------------------------------------------

	key(event) {
		const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName), number = /^[1-8]$/.test(event.key);

		if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey || document.querySelector('dialog[open]'))
			return;
		const does = {
			'/': () => this.findFunction(), '?': () => $('keys').showModal(), t: () => $('theme').click(), u: () => $('zone').click(),
			n: () => this.toNow(), f: () => this.follow(!this.follows), Backspace: () => this.goBack(),
		};

		if (event.key === 'Escape')
			this.escape(typing);
		else if (!typing && number)
			this.toTab(TABS[event.key - 1]);
		else if (!typing && does[event.key])
			does[event.key]();
		else
			return;
		event.preventDefault();
	}

	findFunction() {
		if ($('views').hidden)
			return;
		$('search').focus();
		$('search').select();
	}

	/** First the menu, then the search, then the zoom of the graph. */
	escape(typing) {
		if ($('when').open)
			$('when').open = false;
		else if (this.at.search)
			this.go({search: ''}, true);
		else if (typing)
			document.activeElement.blur();
		else
			this.go({zoom: [], callers: [], callees: []});
	}
}

// for scripts that drive the page
window.prowl = new Daemon();
