// SPDX-License-Identifier: Apache-2.0
// A timeline's answer in arrays: values of each series step by step, gaps with their reasons.

const HUES = [[211, 62], [28, 78], [152, 42], [340, 55], [265, 42], [48, 72], [185, 50], [8, 60], [95, 38], [300, 34], [232, 48], [66, 48]];
const MOST_STEPS = 20000;

/** Colours of a label's values: what has one keeps it as long as the page is open. */
class NameColours {
	constructor() {
		this.places = new Map(); // of each label, then of each value
		this.dark = false;
	}

	/** The first names get the colours that differ most. */
	learn(label, names) {
		const places = this.places.get(label) || new Map();

		this.places.set(label, places);
		for (const name of names) {
			if (!places.has(name) && !name.startsWith('('))
				places.set(name, places.size % HUES.length);
		}
	}

	/** What is called (other) is no name of its own. */
	of(label, name) {
		if (name.startsWith('('))
			return this.rest;
		const [hue, sat] = HUES[this.places.get(label)?.get(name) ?? hashOf(name) % HUES.length];

		return this.dark ? `hsl(${hue} ${Math.round(sat * 0.8)}% 52%)` : `hsl(${hue} ${sat}% 56%)`;
	}

	get rest() {
		return this.dark ? '#6a6f79' : '#b3b7bf';
	}
}

function numberOf(v) {
	return typeof v === 'number' && Number.isFinite(v) ? v : 0;
}

class Stack {
	/** raw: the answer; by: the label; asked: [from, to], which counts where the answer doesn't say. */
	constructor(raw, by, asked) {
		this.by = by;
		this.from = numberOf(raw.from) || asked[0];
		this.to = numberOf(raw.to) || asked[1];
		this.step = Math.max(numberOf(raw.step) || MINUTE, (this.to - this.from) / MOST_STEPS);
		this.n = Math.max(1, Math.ceil((this.to - this.from) / this.step));
		this.flagNames = raw.flags || [];
		this.flags = new Uint32Array(this.n);
		this.known = new Uint8Array(this.n);
		this.series = (raw.series || []).map((s) => this.read(s, by));
		this.unit = raw.series?.[0]?.unit || 'nanoseconds';
		this.level = Boolean(raw.series?.[0]?.level);
		this.gaps = (raw.gaps || []).filter((g) => g.to > g.from);
		this.events = (raw.events || []).filter((e) => e.time >= this.from && e.time < this.to);
		this.releases = (raw.releases || []).filter((r) => r.time >= this.from && r.time < this.to);
	}

	read(s, by) {
		const values = new Float64Array(this.n), name = s.labels?.[by];

		for (const [ms, value, flags] of s.points || []) {
			const i = Math.floor((ms - this.from) / this.step);

			if (!(i >= 0 && i < this.n))
				continue;
			values[i] += numberOf(value);
			this.known[i] = 1;
			this.flags[i] |= numberOf(flags);
		}
		return {values, rest: name === undefined && s.rest !== undefined, name: name ?? '', count: numberOf(s.rest)};
	}

	label(s) {
		return s.rest ? `${s.count || 'the'} others` : s.name === '' ? '(none)' : clean(s.name);
	}

	/** A value of one step as it is shown: CPUs, a level, or a rate. */
	scale(value, ms) {
		if (this.level)
			return value;
		return this.cpu() ? value * nanosecondsOf(this.unit) / (ms * 1e6) : value / (ms / 1000);
	}

	cpu() {
		return !this.level && nanosecondsOf(this.unit) > 0;
	}

	format(v) {
		if (this.cpu())
			return `${formatAmount(v)} CPU${v === 1 ? '' : 's'}`;
		return formatValue(v, this.unit) + (this.level ? '' : '/s');
	}

	/** Means over a part of the range, of each series: only steps that have data count. */
	means(from, to) {
		const first = Math.max(0, Math.floor((from - this.from) / this.step + 1e-6));
		const last = Math.min(this.n, Math.ceil((to - this.from) / this.step - 1e-6)), sums = this.series.map(() => 0);
		let known = 0;

		for (let i = first; i < last; i++) {
			if (!this.known[i])
				continue;
			known++;
			this.series.forEach((s, k) => {
				sums[k] += s.values[i];
			});
		}
		return {known, steps: last - first, each: sums.map((v) => known ? this.scale(v / known, this.step) : 0)};
	}

	/** The columns of a drawing: so many steps together that each is at least a pixel wide. */
	columns(width) {
		const together = Math.max(1, Math.ceil(this.n / Math.max(1, width))), out = [];

		for (let i = 0; i < this.n; i += together)
			out.push(this.column(i, Math.min(this.n, i + together)));
		return out;
	}

	column(first, last) {
		const from = this.from + first * this.step, to = Math.min(this.to, this.from + last * this.step);
		let flags = 0;

		for (let i = first; i < last; i++)
			flags |= this.flags[i];
		const {known, each} = this.means(from, to);

		return {from, to, known: known > 0, flags, each, sum: each.reduce((a, b) => a + b, 0)};
	}

	flagWords(flags) {
		return this.flagNames.filter((_, i) => flags >>> i & 1).map((f) => clean(f).replace(/_/g, ' ')).join(', ');
	}

	/** Why there is nothing at that time; '' where there is something. */
	gapAt(ms, now) {
		const gap = this.gaps.find((g) => ms >= g.from && ms < g.to), i = Math.floor((ms - this.from) / this.step);

		if (this.known[i])
			return '';
		if (ms > now)
			return 'not yet';
		return gap && gap.reason ? clean(gap.reason) : 'no data';
	}
}

/** "0.42", "12.3", "1,204" */
function formatAmount(v) {
	return v === 0 ? '0' : v < 0.001 ? '<0.001' : v < 0.01 ? v.toFixed(4) : v < 0.1 ? v.toFixed(3) : threeDigits(v);
}

/** Round steps of an axis up to a value: [step, 2 step, ...]. */
function axisSteps(most, lines, binary) {
	if (!(most > 0))
		return [];
	const unit = binary ? 1024 ** Math.max(0, Math.floor(Math.log(most) / Math.log(1024))) : 1, rough = most / unit / lines;
	const power = 10 ** Math.floor(Math.log10(rough)), step = [1, 2, 5, 10].map((s) => s * power).find((s) => s >= rough) * unit;

	return Array.from({length: Math.floor(most / step + 1e-9)}, (_, i) => (i + 1) * step);
}
