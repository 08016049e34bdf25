// SPDX-License-Identifier: Apache-2.0
// Values as people read them.

const TIMES = [['ns', 1], ['µs', 1e3], ['ms', 1e6], ['s', 1e9], ['min', 60e9], ['h', 3600e9]];
const SIZES = [['B', 1], ['kB', 1024], ['MB', 1024 ** 2], ['GB', 1024 ** 3], ['TB', 1024 ** 4], ['PB', 1024 ** 5]];
const UNITS = new Map([
	['nanoseconds', [TIMES, 1]], ['ns', [TIMES, 1]], ['microseconds', [TIMES, 1e3]], ['us', [TIMES, 1e3]],
	['milliseconds', [TIMES, 1e6]], ['ms', [TIMES, 1e6]], ['seconds', [TIMES, 1e9]], ['s', [TIMES, 1e9]],
	['bytes', [SIZES, 1]], ['b', [SIZES, 1]], ['kilobytes', [SIZES, 1024]], ['megabytes', [SIZES, 1024 ** 2]],
]);

function familyOf(unit) {
	return UNITS.get(unit.toLowerCase()) || UNITS.get(unit.toLowerCase() + 's');
}

function threeDigits(v) {
	const a = Math.abs(v);

	return a >= 1000 || Number.isInteger(v) ? Math.round(v).toLocaleString('en') :
		v.toFixed(a >= 100 ? 0 : a >= 10 ? 1 : 2);
}

/** "1.25 ms", "3.00 MB", "1,204"; an unknown unit follows the number as it is. */
function formatValue(value, unit) {
	const known = familyOf(unit);

	if (!known)
		return threeDigits(value) + (/^(count|samples?|unit|)$/.test(unit) ? '' : ' ' + unit);
	const base = value * known[1];
	let step = known[0][0];

	for (const s of known[0]) {
		if (Math.abs(base) >= s[1])
			step = s;
	}
	return base === 0 ? '0' : threeDigits(base / step[1]) + ' ' + step[0];
}

function formatShare(value, total) {
	if (!total)
		return '–';
	const share = 100 * value / total, a = Math.abs(share);

	return (a >= 10 || a === 0 ? share.toFixed(1) : a >= 0.01 ? share.toFixed(2) : share < 0 ? '>-0.01' : '<0.01').replace('-', '−') + ' %';
}

/** With its sign, for differences. */
function formatChange(value, unit) {
	return (value > 0 ? '+' : value < 0 ? '−' : '±') + formatValue(Math.abs(value), unit);
}

function nanosecondsOf(unit) {
	const known = familyOf(unit);

	return known && known[0] === TIMES ? known[1] : 0;
}

/** Cuts long names for display only; comparisons use the whole name. */
function shorten(text, length) {
	// never between the two halves of a character
	return text.length > length ? text.slice(0, length - 1).replace(/[\ud800-\udbff]$/, '') + '…' : text;
}
