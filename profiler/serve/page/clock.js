// SPDX-License-Identifier: Apache-2.0
// Times and durations as people read them, in the browser's time zone or in UTC; times in the address.

const MINUTE = 60000, HOUR = 60 * MINUTE, DAY = 24 * HOUR;
const STEPS = [1000, 5000, 10000, 30000, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR,
	3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 30 * DAY];
const LATEST = 8.64e15; // of JavaScript's dates

/** "20261130T080500Z" to milliseconds; NaN: it is none. */
function readStamp(text) {
	const m = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text);

	return m ? Date.UTC(m[1], m[2] - 1, m[3], m[4], m[5], m[6]) : NaN;
}

function stamp(ms) {
	return new Date(Math.round(ms / 1000) * 1000).toISOString().replace(/[-:]|\.\d+/g, '');
}

/** "1 h 30 min" */
function formatSpan(ms) {
	const parts = [[DAY, 'd'], [HOUR, 'h'], [MINUTE, 'min'], [1000, 's']], out = [];
	let rest = Math.max(0, Math.round(ms / 1000) * 1000);

	for (const [size, name] of parts) {
		const n = Math.floor(rest / size);

		if (n > 0 && out.length < 2)
			out.push(`${n} ${name}`);
		rest -= n * size;
	}
	return out.join(' ') || '0 s';
}

function two(n) {
	return String(n).padStart(2, '0');
}

class Clock {
	constructor() {
		this.utc = false;
	}

	/** How far the shown time is ahead of UTC at that moment, in milliseconds. */
	ahead(ms) {
		return this.utc ? 0 : -new Date(ms).getTimezoneOffset() * MINUTE;
	}

	/** "2026-11-30" and "08:05" or "08:05:30", as shown. */
	parts(ms) {
		if (!(Math.abs(ms) < LATEST - DAY))
			return {day: '?', time: '?', short: '?'};
		const d = new Date(ms + this.ahead(ms)), seconds = d.getUTCSeconds();

		return {
			day: d.toISOString().slice(0, 10),
			short: two(d.getUTCMonth() + 1) + '-' + two(d.getUTCDate()),
			time: two(d.getUTCHours()) + ':' + two(d.getUTCMinutes()) + (seconds ? ':' + two(seconds) : ''),
		};
	}

	full(ms) {
		const {day, time} = this.parts(ms);

		return `${day} ${time}`;
	}

	/** Without the day, where all that is shown is of one. */
	brief(ms, from, to) {
		const {day, time} = this.parts(ms);

		return day === this.parts(from).day && day === this.parts(to - 1).day ? time : `${day} ${time}`;
	}

	/** "2026-11-30 08:00 – 09:00" */
	range(from, to) {
		const a = this.parts(from), b = this.parts(to);

		return `${a.day} ${a.time} – ${a.day === b.day ? '' : b.day + ' '}${b.time}`;
	}

	zone(ms) {
		if (this.utc)
			return 'UTC';
		const named = new Intl.DateTimeFormat('en', {timeZoneName: 'short'}).formatToParts(new Date(ms));

		return named.find((p) => p.type === 'timeZoneName')?.value || 'local';
	}

	/** Round times between two, not more than so many, each with its label. */
	ticks(from, to, most) {
		const step = STEPS.find((s) => (to - from) / s <= most) || STEPS[STEPS.length - 1], out = [];
		let day = '';

		for (let t = Math.ceil((from + this.ahead(from)) / step) * step - this.ahead(from); t < to; t += step) {
			const {short, time, day: its} = this.parts(t);

			out.push({time: t, label: step >= DAY || (its !== day && time === '00:00') ? short : time});
			day = its;
		}
		return out;
	}

	/** For and from <input type="datetime-local">. */
	field(ms) {
		const {day, time} = this.parts(ms);

		return `${day}T${time}`;
	}

	readField(text) {
		const shown = Date.parse(text + (text.length === 16 ? ':00Z' : 'Z'));

		return this.utc || Number.isNaN(shown) ? shown : new Date(text).getTime();
	}
}
