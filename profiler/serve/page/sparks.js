// SPDX-License-Identifier: Apache-2.0
// Small pictures: the course of a service, and figures of a runtime as lines.

const CHARTS = 12, LINES = 8;

function prepare(canvas, width, height) {
	const ratio = window.devicePixelRatio || 1, ctx = canvas.getContext('2d');

	canvas.width = Math.round(width * ratio);
	canvas.height = Math.round(height * ratio);
	canvas.style.width = width + 'px';
	canvas.style.height = height + 'px';
	ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
	return ctx;
}

/** Values over a stack's steps as a filled line. */
function drawSpark(canvas, stack, values, colour) {
	const width = 60, height = 18, ctx = prepare(canvas, width, height), n = Math.min(stack.n, width / 2), most = [];

	for (let i = 0; i < n; i++) {
		let sum = 0, known = 0;

		for (let j = Math.floor(i * stack.n / n); j < Math.floor((i + 1) * stack.n / n); j++) {
			sum += values[j];
			known += stack.known[j];
		}
		most.push(known ? sum / known : 0);
	}
	const top = Math.max(...most) || 1;

	ctx.fillStyle = colour;
	most.forEach((v, i) => {
		const h = v > 0 ? Math.max(1, v / top * (height - 1)) : 0;

		ctx.fillRect(i * width / n, height - h, width / n, h);
	});
}

/** A figure's lines, one for each series: name, latest value, least and most. */
class Chart {
	constructor(host, name, unit, lines, tools) {
		const figure = host.appendChild(document.createElement('figure')), caption = figure.appendChild(document.createElement('figcaption'));
		const values = lines.flatMap((l) => l.points.map((p) => p[1])), least = Math.min(...values), most = Math.max(...values);
		const last = lines.reduce((sum, l) => sum + l.points[l.points.length - 1][1], 0);

		caption.appendChild(document.createElement('span')).textContent = shorten(clean(name).replace(/_/g, ' '), 60);
		caption.appendChild(document.createElement('b')).textContent = formatValue(last, unit);
		this.canvas = figure.appendChild(document.createElement('canvas'));
		this.canvas.setAttribute('role', 'img');
		this.canvas.setAttribute('aria-label', `${clean(name)}: ${formatValue(last, unit)}, from ${formatValue(least, unit)} to ${formatValue(most, unit)}`);
		figure.appendChild(document.createElement('small')).textContent = least === most ? '' :
			`${formatValue(least, unit)} – ${formatValue(most, unit)}`;
		this.draw(lines, most, tools);
	}

	draw(lines, most, {from, to, colours, dark}) {
		const width = 220, height = 56, ctx = prepare(this.canvas, width, height), top = most || 1;

		ctx.fillStyle = dark ? '#202329' : '#f4f5f7';
		ctx.fillRect(0, 0, width, height);
		ctx.lineWidth = 1.5;
		ctx.lineJoin = 'round';
		for (const {points, name} of lines) {
			ctx.strokeStyle = colours.of('service', name);
			ctx.beginPath();
			points.forEach(([ms, v], i) => {
				const x = (ms - from) / (to - from) * width, y = height - 3 - v / top * (height - 8);

				// a hole in the figures is one in the line, too
				if (i === 0 || ms - points[i - 1][0] > (to - from) / 10)
					ctx.moveTo(x, y);
				else
					ctx.lineTo(x, y);
			});
			if (points.length === 1)
				ctx.arc((points[0][0] - from) / (to - from) * width, height - 3 - points[0][1] / top * (height - 8), 1, 0, 7);
			ctx.stroke();
		}
	}
}

/** Those figures of an answer whose names match. */
function showCharts(host, answer, names, tools) {
	const byName = new Map();

	host.replaceChildren();
	for (const f of answer.figures || []) {
		const points = (f.points || []).filter((p) => Number.isFinite(p[0]) && Number.isFinite(p[1]));

		if (!names.test(f.name) || points.length === 0)
			continue;
		const found = byName.get(f.name) || {unit: f.unit || 'count', lines: []};

		found.lines.push({points, name: f.labels?.service || ''});
		byName.set(f.name, found);
	}
	for (const [name, {unit, lines}] of [...byName].slice(0, CHARTS))
		new Chart(host, name, unit, lines.slice(0, LINES), tools);
	host.hidden = byName.size === 0;
}
