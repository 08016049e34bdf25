// SPDX-License-Identifier: Apache-2.0
// The state as the part of the address behind '#', so that links, reloads and the Back button keep it.

const DEFAULTS = {view: 'flame', type: '', search: '', zoom: [], func: '', callers: [], callees: [], colour: 'kind', theme: '',
	widths: 'new', compare: 'values', sort: 'flat'};
const CHOICES = {view: ['flame', 'sandwich', 'table'], colour: ['kind', 'package'], theme: ['', 'light', 'dark'],
	widths: ['new', 'old'], compare: ['values', 'shares'], sort: ['flat', 'cum', 'flatChange', 'cumChange', 'name']};
const PATHS = ['zoom', 'callers', 'callees'];

function readState(hash) {
	const given = new URLSearchParams(hash.replace(/^#/, '')), state = structuredClone(DEFAULTS);

	for (const key of Object.keys(DEFAULTS)) {
		const text = given.get(key);

		if (text === null)
			continue;
		if (PATHS.includes(key))
			state[key] = /^\d{1,9}(\.\d{1,9})*$/.test(text) ? text.split('.').map(Number) : [];
		else if (!CHOICES[key] || CHOICES[key].includes(text))
			state[key] = text;
	}
	return state;
}

function writeState(state) {
	const out = new URLSearchParams();

	for (const key of Object.keys(DEFAULTS)) {
		const text = PATHS.includes(key) ? state[key].join('.') : state[key];

		if (text !== (PATHS.includes(key) ? '' : DEFAULTS[key]))
			out.set(key, text);
	}
	return '#' + out.toString();
}

/** A test of names from the text of a search; an invalid regular expression is searched literally. */
function matcher(words) {
	let pattern;

	try {
		pattern = new RegExp(words, 'iu');
	} catch {
		pattern = new RegExp(words.replace(/[^\p{L}\p{N}_\s]/gu, '\\$&'), 'i');
	}
	return (name) => pattern.test(name);
}
