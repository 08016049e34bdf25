// SPDX-License-Identifier: Apache-2.0
// The list of services, by CPU time, each with its course.

const SERVICES_SHOWN = 200;

class Services {
	/** tools: {colours, linkTo(service), onFind()} */
	constructor(list, tools) {
		this.list = list;
		this.tools = tools;
		this.services = [];
		this.stack = null;
	}

	/** From the series of a range. */
	learn(answer, {from, to}) {
		const byName = new Map();

		for (const s of answer.series || []) {
			const name = s.labels?.service ?? '', found = byName.get(name) || {name, cpu: 0, kinds: new Set()};

			found.cpu += numberOf(s.cpu_ns) / ((to - from) * 1e6);
			for (const kind of s.kinds || [])
				found.kinds.add(kind);
			byName.set(name, found);
		}
		this.services = [...byName.values()].sort((a, b) => b.cpu - a.cpu || (a.name < b.name ? -1 : 1));
		this.tools.colours.learn('service', this.services.map((s) => s.name));
		this.truncated = Boolean(answer.truncated);
	}

	/** Kinds that a service has, or any of them. */
	kinds(service) {
		const out = new Set();

		for (const s of this.services) {
			if (service === '' || s.name === service)
				s.kinds.forEach((k) => out.add(k));
		}
		return out;
	}

	show(chosen, words) {
		const test = words ? matcher(words) : () => true, found = this.services.filter((s) => test(s.name));
		const focused = this.list.contains(document.activeElement) ? document.activeElement.dataset.name : undefined;

		this.list.replaceChildren();
		if (!words)
			this.row('All services', '', this.services.reduce((sum, s) => sum + s.cpu, 0), chosen === '', null);
		for (const s of found.slice(0, SERVICES_SHOWN))
			this.row(clean(s.name) || '(none)', s.name, s.cpu, s.name === chosen, s);
		if (chosen && !this.services.some((s) => s.name === chosen))
			this.row(clean(chosen), chosen, 0, true, null);
		if (found.length > SERVICES_SHOWN || this.truncated)
			element(this.list, 'li', 'nothing', `${Math.max(found.length - SERVICES_SHOWN, 0) || 'some'} more: search`);
		if (found.length === 0 && words)
			element(this.list, 'li', 'nothing', 'No such service.');
		if (focused !== undefined)
			[...this.list.querySelectorAll('a')].find((a) => a.dataset.name === focused)?.focus();
	}

	row(title, name, cpu, chosen, service) {
		const row = element(element(this.list, 'li'), 'a', 'service'), {colours} = this.tools;
		const patch = element(row, 'span', 'patch');

		row.href = this.tools.linkTo(name);
		row.dataset.name = name;
		row.title = shorten(title, 500);
		row.setAttribute('aria-label', `${shorten(title, 200)}, ${formatAmount(cpu)} CPUs`);
		if (chosen)
			row.setAttribute('aria-current', 'true');
		if (service)
			patch.style.background = colours.of('service', name);
		else
			patch.classList.add('none');
		element(row, 'span', 'title', shorten(title, 100));
		this.spark(row, service);
		element(row, 'span', 'amount', formatAmount(cpu));
	}

	spark(row, service) {
		const series = this.stack && service && this.stack.series.find((s) => !s.rest && s.name === service.name);

		if (!series)
			return void element(row, 'span', 'spark');
		const canvas = element(row, 'canvas', 'spark');

		canvas.setAttribute('aria-hidden', 'true');
		drawSpark(canvas, this.stack, series.values, this.tools.colours.of('service', service.name));
	}
}
