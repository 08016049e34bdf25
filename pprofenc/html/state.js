// SPDX-License-Identifier: Apache-2.0
// The state as the part of the address behind '#', so that links, reloads and the Back button keep it.

/**
 * shape: {defaults, choices, paths}: the value of each key that is not in the address; the values that a key may have, where
 * they are few; keys whose values are lists of numbers.
 */
function readState(hash, {defaults, choices, paths}) {
	const given = new URLSearchParams(hash.replace(/^#/, '')), state = structuredClone(defaults);

	for (const key of Object.keys(defaults)) {
		const text = given.get(key);

		if (text === null)
			continue;
		if (paths.includes(key))
			state[key] = /^\d{1,10}(\.\d{1,10})*$/.test(text) ? text.split('.').map(Number) : [];
		else if (!choices[key] || choices[key].includes(text))
			state[key] = text;
	}
	return state;
}

function writeState(state, {defaults, paths}) {
	const out = new URLSearchParams();

	for (const key of Object.keys(defaults)) {
		const text = paths.includes(key) ? state[key].join('.') : state[key];

		if (text !== (paths.includes(key) ? '' : defaults[key]))
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
