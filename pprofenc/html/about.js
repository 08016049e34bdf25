// SPDX-License-Identifier: Apache-2.0
// The header above the pictures: target of the profile, how it was taken, losses.

function lastPart(path) {
	return path.slice(path.lastIndexOf('/') + 1);
}

function titleOf(profile) {
	return shorten(profile.raw.processes || lastPart(profile.raw.file) || 'profile', 200);
}

function describe(list, term, text) {
	if (!text)
		return;
	list.appendChild(document.createElement('dt')).textContent = term;
	list.appendChild(document.createElement('dd')).textContent = shorten(text, 5000);
}

function describeOne(list, raw, what) {
	/* with several processes, one binary would not represent all of them */
	describe(list, what + 'Processes', raw.processes);
	if (!raw.processes) {
		describe(list, what + 'File', raw.file);
		describe(list, what + 'Build ID', raw.buildId);
	}
	describe(list, what + 'Taken', raw.time ? new Date(raw.time).toISOString().slice(0, 19).replace('T', ' ') + ' UTC' : '');
	describe(list, what + 'Duration', raw.duration ? formatValue(raw.duration, 'nanoseconds') : '');
	for (const comment of raw.comments)
		describe(list, what + 'Note', comment);
}

function showAbout(list, profile) {
	describeOne(list, profile.raw, '');
	if (profile.base)
		describeOne(list, profile.base, 'Base: ');
}

/** "cpu: 3.86 s in 10.0 s (38.6 %)" */
function totalLine(profile, c) {
	const {duration} = profile.raw, ns = nanosecondsOf(c.unit);
	let text = `${shorten(c.name, 60)}: ${formatValue(c.whole, c.unit)}`;

	if (duration)
		text += ` in ${formatValue(duration, 'nanoseconds')}`;
	if (duration && ns && /cpu/.test(c.name))
		text += ` (${formatShare(c.whole * ns, duration)})`;
	if (c.old)
		text += `; before: ${formatValue(c.old.size[0], c.unit)}, change ${formatChange(c.total - c.oldTotal, c.unit)}`;
	return text;
}

/** Each kind of code with its share of the values, as a legend. */
function showLegend(host, profile, colours, type, compare) {
	const {flat} = profile.functions(type).now, sums = KINDS.map(() => 0);
	let whole = 0;

	for (let f = 0; f < profile.nfuncs; f++) {
		sums[profile.kinds[f]] += Math.abs(flat[f]);
		whole += Math.abs(flat[f]);
	}
	host.replaceChildren();
	KINDS.forEach((kind, i) => {
		if (sums[i] > 0)
			legendEntry(host, compare || colours.by === 'package' ? null : colours.ofKind(i),
				`${kind.name}${kind.mark} ${formatShare(sums[i], whole)}`);
	});
	if (compare) {
		legendEntry(host, colours.ofChange(1), 'more (+)');
		legendEntry(host, colours.ofChange(-1), 'less (−)');
	}
}

function legendEntry(host, colour, text) {
	const entry = host.appendChild(document.createElement('span'));

	if (colour) {
		const patch = entry.appendChild(document.createElement('span'));

		patch.className = 'patch';
		patch.style.background = colour;
	}
	entry.appendChild(document.createTextNode(text));
}
