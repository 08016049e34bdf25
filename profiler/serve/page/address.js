// SPDX-License-Identifier: Apache-2.0
// The state of the page: all of it is in the address, with absolute times.

const TABS = ['flame', 'sandwich', 'table', 'goroutines', 'heap', 'processes', 'compare', 'events'];
const RANGES = [[15 * MINUTE, '15 m'], [HOUR, '1 h'], [6 * HOUR, '6 h'], [DAY, '24 h'], [7 * DAY, '7 d'], [30 * DAY, '30 d']];
const WIDEST = 180 * DAY, NARROWEST_RANGE = MINUTE;
const KIND_NAMES = {cpu: 'CPU', heap: 'Heap in use', allocs: 'Allocations', goroutine: 'Goroutines', block: 'Blocking', mutex: 'Mutexes',
	threadcreate: 'Threads', wall: 'Wall clock'};
/**
 * service, filter: which series; by: the label that the timeline is stacked by; from, to: the timeline; s0, s1: the part of it
 * that is selected; c0, c1: the part that it is compared with; oldBuild, newBuild: releases that are compared.
 */
const STATE = {
	defaults: {service: '', filter: '', by: '', kind: 'cpu', from: '', to: '', s0: '', s1: '', c0: '', c1: '', oldBuild: '', newBuild: '',
		tab: 'flame', type: '', search: '', zoom: [], func: '', callers: [], callees: [], colour: 'kind', widths: 'new',
		compare: 'shares', sort: 'flat', event: '', time: 'local', theme: ''},
	choices: {tab: TABS, colour: ['kind', 'package'], widths: ['new', 'old'], compare: ['shares', 'rates', 'values'], sort: SORTS,
		time: ['local', 'utc'], theme: ['', 'light', 'dark'], kind: Object.keys(KIND_NAMES)},
	paths: ['zoom', 'callers', 'callees'],
};

/** The times of a state in milliseconds, corrected where they make no sense. */
function timesOf(state, now) {
	let from = readStamp(state.from), to = readStamp(state.to);

	if (!(to > from)) {
		to = Math.floor(now / MINUTE) * MINUTE;
		from = to - HOUR;
	}
	to = Math.max(to, from + NARROWEST_RANGE);
	from = Math.max(from, to - WIDEST);
	return {from, to, selected: partOf(state.s0, state.s1, from, to) || [Math.max(from, to - HOUR), to],
		chosen: Boolean(partOf(state.s0, state.s1, from, to)), compared: pairOf(state.c0, state.c1)};
}

function pairOf(first, last) {
	const a = readStamp(first), b = readStamp(last);

	return b > a ? [a, b] : null;
}

/** What of a pair is within the range. */
function partOf(first, last, from, to) {
	const pair = pairOf(first, last), a = pair && Math.max(pair[0], from), b = pair && Math.min(pair[1], to);

	return pair && b > a ? [a, b] : null;
}

/** Paths through a graph as hashes of the names, so that they mean the same in another profile. */
class PathNames {
	constructor(profile) {
		this.profile = profile;
		this.byHash = new Map();
		profile.names.forEach((name, f) => this.byHash.set(hashOf(name), f));
	}

	toFuncs(hashes) {
		return hashes.map((h) => this.byHash.get(h) ?? -2);
	}

	toHashes(funcs) {
		return funcs.map((f) => hashOf(this.profile.names[f]));
	}
}
