// SPDX-License-Identifier: Apache-2.0
// Tables: groups of goroutines, processes, events, statistics of a comparison.

const ROWS_SHOWN = 200;

function element(host, name, kind, text) {
	const made = host.appendChild(document.createElement(name));

	if (kind)
		made.className = kind;
	if (text !== undefined)
		made.textContent = text;
	return made;
}

function link(host, text, href, name) {
	const made = element(host, 'a', '', text);

	made.href = href;
	if (name !== undefined)
		made.download = name;
	return made;
}

/**
 * columns: [[title, kind of its cells, help], ...]; rows: what `fill(row, cell, column)` writes, column by column. More than
 * ROWS_SHOWN are shown when they are asked for.
 */
function showTable(host, columns, rows, fill) {
	const frame = element(host, 'div', 'scroll'), table = element(frame, 'table'), head = element(element(table, 'thead'), 'tr');
	const body = element(table, 'tbody'), more = element(host, 'button', 'more');
	let filled = 0;

	for (const [title, kind, help] of columns) {
		const cell = element(head, 'th', kind, title);

		cell.scope = 'col';
		cell.title = help || '';
	}
	const go = () => {
		for (const end = Math.min(rows.length, filled + ROWS_SHOWN); filled < end; filled++) {
			const line = element(body, 'tr');

			columns.forEach(([, kind], i) => fill(rows[filled], element(line, 'td', kind), i, line));
		}
		more.hidden = filled === rows.length;
		more.textContent = `${Math.min(ROWS_SHOWN, rows.length - filled)} more of ${rows.length - filled}`;
	};

	more.addEventListener('click', go);
	go();
	return table;
}

function nothing(host, text) {
	element(host, 'p', 'nothing', text);
}

// --- goroutines ------------------------------------------------------------------------------------------------

/** Where goroutines stand: one group for each stack, with its number now and at the beginning. */
function groupsOf(profile, type) {
	const c = profile.column(type), out = [];

	for (let node = 1; node < profile.n; node++) {
		const now = c.self[node], old = c.old ? c.old.self[node] : 0;

		if (now !== 0 || old !== 0)
			out.push({now, old, ...describeStack(profile, node)});
	}
	return out.sort((a, b) => b.now - a.now || b.old - a.old);
}

const WAITING = /^(runtime|internal|sync|syscall|time)[./]/; // packages in which others wait

/** The first function outside of those packages, what of them it called, and where the goroutine began. */
function describeStack(profile, leaf) {
	const stack = [];

	for (let node = leaf; node > 0; node = profile.parent[node])
		stack.push(profile.func[node]);
	const place = stack.findIndex((f) => profile.kinds[f] !== 1 && !WAITING.test(profile.names[f])), own = place < 0 ? stack.length - 1 : place;

	return {stack, func: stack[own], wait: own > 0 ? stack[own - 1] : -1, root: stack[stack.length - 1]};
}

function showGoroutines(host, profile, type, linkTo) {
	const groups = groupsOf(profile, type), names = profile.names, whole = groups.reduce((sum, g) => sum + g.now, 0);
	const old = groups.reduce((sum, g) => sum + g.old, 0), changed = Boolean(profile.base);

	host.replaceChildren();
	element(host, 'p', 'summary', `${formatValue(whole, 'count')} goroutines with ${formatValue(groups.length, 'count')} stacks` +
		(changed ? `; at the beginning ${formatValue(old, 'count')}` : ''));
	const columns = [['Count', 'value'], ...changed ? [['Since the beginning', 'value', 'of the selected part']] : [], ['Stands in', 'name'],
		['Waits in', 'name narrow', 'what it called of the runtime, of sync, time, and the like'], ['Began with', 'name narrow']];

	showTable(host, columns, groups, (g, cell, column) => {
		const key = changed ? column : column > 0 ? column + 1 : 0;

		if (key === 0)
			cell.textContent = formatValue(g.now, 'count');
		else if (key === 1)
			cell.textContent = g.now === g.old ? '' : formatChange(g.now - g.old, 'count');
		else if (key === 2)
			stackCell(cell, g, names, linkTo);
		else
			cell.textContent = key === 3 ? (g.wait < 0 ? 'runs' : shorten(names[g.wait], 100)) : shorten(names[g.root], 100);
	});
}

function stackCell(cell, group, names, linkTo) {
	const box = element(cell, 'details'), head = element(box, 'summary', '', shorten(names[group.func], 200));

	head.title = shorten(names[group.func], 2000);
	box.addEventListener('toggle', () => {
		if (!box.open || box.querySelector('ol'))
			return;
		const list = element(box, 'ol', 'frames');

		for (const f of group.stack.slice(0, 200))
			link(element(list, 'li'), shorten(names[f], 300), linkTo(names[f]));
	});
}

// --- processes -------------------------------------------------------------------------------------------------

function showProcesses(host, answer, {from, to}, clock) {
	const rows = (answer.targets || []).slice().sort((a, b) => (b.cpu_ns || 0) - (a.cpu_ns || 0) || b.start - a.start);

	host.replaceChildren();
	if (rows.length === 0)
		return nothing(host, 'There was no such process in this time.');
	element(host, 'p', 'summary', `${rows.length} processes, ${rows.filter((r) => r.state === 'active').length} of them run`);
	const columns = [['PID', 'value'], ['Service', 'name narrow'], ['Lifetime', 'lane', clock.range(from, to)], ['Began', 'when'], ['Ended', 'name narrow'], ['CPU', 'value', 'since it was found'],
		['Cost', 'value', 'CPU time that looking at it has cost prowl'], ['Where', 'name'], ['Look', 'name narrow']];

	return showTable(host, columns, rows, (r, cell, column) => {
		[
			() => element(cell, 'span', '', String(r.pid ?? '')),
			() => element(cell, 'span', '', shorten(clean(r.labels?.service), 60)),
			() => lane(cell, r, from, to),
			() => element(cell, 'span', '', r.start ? clock.brief(r.start, from, to) : ''),
			() => endCell(cell, r, r.end && clock.brief(r.end, from, to)),
			() => element(cell, 'span', '', r.cpu_ns ? formatValue(r.cpu_ns, 'nanoseconds') : ''),
			() => element(cell, 'span', '', r.own_cpu_ns ? formatValue(r.own_cpu_ns, 'nanoseconds') : ''),
			() => processPlace(cell, r),
			() => processMore(cell, r),
		][column]();
	});
}

function processPlace(cell, r) {
	const words = [r.pod, r.container && shorten(r.container, 13), r.exe && lastPart(r.exe)].filter(Boolean);

	element(cell, 'span', '', words.map((w) => shorten(clean(w), 60)).join(', ')).title = shorten(clean(r.exe), 500);
}

function endCell(cell, r, when) {
	element(cell, 'div', when ? 'nowrap' : 'share', when || clean(r.state));
	if (r.exit)
		element(cell, 'div', 'share', shorten(clean(r.exit), 100));
}

/** When it lived, in the shown range. */
function lane(cell, r, from, to) {
	const box = element(cell, 'div', 'track'), bar = element(box, 'div', 'bar ' + (r.state === 'active' ? 'active' : 'gone'));
	const share = (ms) => 100 * Math.min(1, Math.max(0, (ms - from) / (to - from)));
	const right = r.end ? share(r.end) : 100, left = r.start ? share(r.start) : right;

	// one that is too short to be seen is there all the same
	bar.style.left = Math.min(left, 99) + '%';
	bar.style.width = Math.max(1, right - left) + '%';
}

function processMore(cell, r) {
	if (r.state === 'active' && r.key)
		link(cell, 'profiles', 'targets/' + encodeURIComponent(r.key) + '/debug/pprof/');
	if (!r.why_not?.length)
		return;
	const box = element(cell, 'details'), list = element(box, 'ul');

	list.before(element(box, 'summary', '', `not read: ${r.why_not.length}`));
	for (const {kind, reason} of r.why_not)
		element(list, 'li', '', `${clean(kind)}: ${clean(reason)}`);
}

// --- events ----------------------------------------------------------------------------------------------------

/** compareWith(diff): the address of that comparison. */
function showEvents(host, answer, chosen, clock, compareWith) {
	const rows = answer.events || [];

	host.replaceChildren();
	if (rows.length === 0)
		return nothing(host, 'Nothing happened in this time.');
	const table = showTable(host, [['Time', 'when'], ['Kind', 'when'], ['Service', 'name narrow'], ['What', 'name'], ['Files', 'name narrow']], rows,
		(e, cell, column, line) => {
			line.classList.toggle('selected', e.id === chosen);
			[
				() => element(cell, 'span', '', clock.full(e.time)),
				() => element(cell, 'span', '', clean(e.kind)),
				() => element(cell, 'span', '', shorten(clean(e.labels?.service), 60) + (e.pid ? `, pid ${Number(e.pid)}` : '')),
				() => eventWords(cell, e, compareWith),
				() => eventFiles(cell, e),
			][column]();
		});

	table.querySelector('tr.selected')?.scrollIntoView({block: 'nearest'});
	return table;
}

function eventWords(cell, e, compareWith) {
	element(cell, 'span', '', shorten(clean(e.summary), 500));
	if (e.diff?.a && e.diff.b) {
		cell.appendChild(document.createTextNode(' '));
		link(cell, 'compare', compareWith(e.diff));
	}
}

function eventFiles(cell, e) {
	for (const f of (e.files || []).slice(0, 20)) {
		const line = element(cell, 'div');

		link(line, shorten(clean(f.name), 60), `api/v1/events/${encodeURIComponent(e.id)}/${encodeURIComponent(f.name)}`, '');
		element(line, 'span', 'share', formatValue(numberOf(f.bytes), 'bytes'));
	}
}

// --- what changed ----------------------------------------------------------------------------------------------

/** Functions by how much their own value changed; tools: {oldOf(value), matches, linkTo(name)}. */
function showChanges(host, profile, type, {oldOf, matches, linkTo}) {
	const {now, old} = profile.functions(type), c = profile.column(type), rows = [];

	for (let f = 0; f < profile.nfuncs; f++) {
		const change = now.flat[f] - oldOf(old.flat[f]), cum = now.cum[f] - oldOf(old.cum[f]);

		if ((!matches || matches[f]) && (Math.abs(change) >= c.whole / 1e4 || Math.abs(cum) >= c.whole / 1e4))
			rows.push({f, change, cum});
	}
	rows.sort((a, b) => Math.abs(b.change) - Math.abs(a.change) || Math.abs(b.cum) - Math.abs(a.cum));
	host.replaceChildren();
	element(host, 'p', 'summary', `${rows.length} functions changed by 0.01 % of all and more. Which of it is noise is not known: that takes statistics.`);
	showTable(host, [['Before', 'value', 'in the function itself'], ['After', 'value', 'in the function itself'], ['Change', 'value'],
		['With its callees', 'value', 'change of the function with all that it called'], ['Function', 'name']], rows, ({f, change, cum}, cell, column) => {
		if (column === 4)
			link(cell, shorten(profile.names[f], 300), linkTo(profile.names[f]));
		else
			cell.textContent = [formatValue(oldOf(old.flat[f]), c.unit), formatValue(now.flat[f], c.unit), formatChange(change, c.unit),
				formatChange(cum, c.unit)][column];
	});
}

// --- statistics ------------------------------------------------------------------------------------------------

const QUIET_VERDICTS = /^(same|no regression|not judged|explained)/;

function showStatistics(host, answer, linkTo) {
	const rows = (answer.functions || []).slice(), changed = rows.filter((f) => !QUIET_VERDICTS.test(f.verdict));
	const shares = /share/.test(answer.mode || ''), value = (v) => shares ? formatShare(v, 1) : formatValue(v, answer.unit || '');

	host.replaceChildren();
	const head = element(host, 'p', 'summary');

	element(head, 'b', '', clean(answer.verdict));
	element(head, 'span', '', [answer.why, `${changed.length} of ${rows.length} functions changed`,
		answer.base?.totals && `${answer.base.totals.length} windows before, ${answer.head.totals.length} after`,
		...answer.warnings || []].filter(Boolean).map((w) => ' · ' + clean(w)).join(''));
	rows.sort((a, b) => QUIET_VERDICTS.test(a.verdict) - QUIET_VERDICTS.test(b.verdict));
	showTable(host, [['Verdict', 'when'], ['Before', 'value'], ['After', 'value'], ['Ratio', 'value', 'with its 95 % interval'],
		['q', 'value', 'share of false alarms among such findings'], ['Function', 'name']], rows, (f, cell, column) => {
		const cum = f.verdict_of === 'cum', test = cum && f.cum || f;

		[
			() => element(cell, 'span', QUIET_VERDICTS.test(f.verdict) ? 'share' : '', clean(f.verdict)),
			() => element(cell, 'span', '', value(numberOf(cum ? f.base_cum : f.base))),
			() => element(cell, 'span', '', value(numberOf(cum ? f.head_cum : f.head))),
			() => ratioCell(cell, test),
			() => element(cell, 'span', '', Number.isFinite(test.q) ? test.q.toPrecision(2) : ''),
			() => statisticsName(cell, f, linkTo),
		][column]();
	});
}

function ratioCell(cell, test) {
	if (!Number.isFinite(test.ratio))
		return;
	element(cell, 'span', '', '×' + test.ratio.toFixed(2));
	if (Number.isFinite(test.low) && Number.isFinite(test.high))
		element(cell, 'span', 'share', `${test.low.toFixed(2)} – ${test.high.toFixed(2)}`);
}

function statisticsName(cell, f, linkTo) {
	link(cell, shorten(clean(f.name), 300), linkTo(f.name));
	element(cell, 'span', 'where', [f.verdict_of === 'cum' ? 'with its callees' : '', f.was ? 'was ' + f.was : '', f.explained_by ? 'by ' + f.explained_by : '']
		.filter(Boolean).map((w) => shorten(clean(w), 200)).join(', '));
}
