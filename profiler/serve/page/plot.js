// SPDX-License-Identifier: Apache-2.0
// The timeline on a canvas: stacked series, marks of releases and events, gaps; the mouse and the keys on it.

const MARKS = 16, AXIS = 18, LANE = 22, GUTTER = 58, HANDLE = 7, CLICK = 4; // pixels
const TICK_WIDTH = 90;

class Plot {
	/**
	 * host: an element of fixed height. tools: {clock, colours, dark(), onZoom(from, to), onSelect(from, to), onCompare(from, to),
	 * onBack(), onEvent(event), onPan(share)}.
	 */
	constructor(host, tools) {
		this.host = host;
		this.tools = tools;
		this.stack = null;
		this.selected = this.compared = null;
		this.drag = this.pointed = null;
		this.canvas = host.appendChild(document.createElement('canvas'));
		this.canvas.tabIndex = 0;
		this.canvas.setAttribute('role', 'application');
		this.canvas.setAttribute('aria-label', 'Timeline. Left and right move the selected part, with Shift its end; Enter zooms to it, ' +
			'Backspace goes back; plus and minus zoom; c compares with the selected part.');
		this.tip = host.appendChild(document.createElement('div'));
		this.tip.className = 'tip';
		this.tip.hidden = true;
		this.listen();
	}

	listen() {
		const c = this.canvas;

		c.addEventListener('pointerdown', (e) => this.down(e));
		c.addEventListener('pointermove', (e) => this.move(e));
		c.addEventListener('pointerup', (e) => this.up(e));
		c.addEventListener('pointercancel', () => this.cancel());
		c.addEventListener('pointerleave', () => this.point(null));
		c.addEventListener('keydown', (e) => this.key(e));
		c.addEventListener('focus', () => this.draw());
		c.addEventListener('blur', () => this.draw());
		new ResizeObserver(() => this.resize()).observe(this.host);
	}

	show(stack, selected, compared) {
		if (stack !== this.stack)
			this.columns = this.pointed = this.drag = null;
		this.tip.hidden = true;
		this.stack = stack;
		this.selected = selected;
		this.compared = compared;
		this.resize();
	}

	resize() {
		const ratio = window.devicePixelRatio || 1, width = this.host.clientWidth, height = this.host.clientHeight;

		if (width === 0 || height === 0)
			return;
		if (width !== this.width)
			this.columns = null;
		this.width = width;
		this.height = height;
		this.canvas.style.height = height + 'px';
		this.canvas.width = Math.round(width * ratio);
		this.canvas.height = Math.round(height * ratio);
		this.context = this.canvas.getContext('2d');
		this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
		this.draw();
	}

	// --- places ------------------------------------------------------------------------------------------------

	get plotWidth() {
		return Math.max(1, this.width - GUTTER);
	}

	get bottom() {
		return this.height - LANE - AXIS;
	}

	x(ms) {
		return GUTTER + (ms - this.stack.from) / (this.stack.to - this.stack.from) * this.plotWidth;
	}

	time(x) {
		const share = Math.min(1, Math.max(0, (x - GUTTER) / this.plotWidth));

		return this.stack.from + share * (this.stack.to - this.stack.from);
	}

	/** To whole steps of the timeline. */
	snap(ms) {
		const {from, to, step} = this.stack;

		return Math.min(to, Math.max(from, from + Math.round((ms - from) / step) * step));
	}

	y(value) {
		return this.bottom - value / this.top * (this.bottom - MARKS - 4);
	}

	// --- drawing -----------------------------------------------------------------------------------------------

	palette() {
		return this.tools.dark() ?
			{back: '#16181c', text: '#f2f2f2', faint: '#a9afba', line: '#2d3036', gap: '#1e2126', hatch: '#30343b', before: '#e0913a', after: '#86bdf5',
				bad: '#ff6b5e', shade: 'rgb(22 24 28 / 45%)'} :
			{back: '#ffffff', text: '#16181c', faint: '#565b66', line: '#e6e8ec', gap: '#f1f2f4', hatch: '#dadde2', before: '#a85a00', after: '#0b57a4',
				bad: '#c62b1c', shade: 'rgb(255 255 255 / 50%)'};
	}

	draw() {
		if (!this.context)
			return;
		this.context.clearRect(0, 0, this.width, this.height);
		if (!this.stack)
			return;
		const p = this.colour = this.palette();

		this.columns ||= this.stack.columns(this.plotWidth);
		this.top = Math.max(...this.columns.map((c) => c.sum), 0) * 1.04 || 1;
		this.context.fillStyle = p.back;
		this.context.fillRect(0, 0, this.width, this.height);
		this.context.font = '11px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif';
		this.context.direction = 'ltr';
		this.drawGaps();
		this.drawAxes();
		this.drawColumns();
		this.drawMarks();
		this.drawRanges();
		this.drawLane();
		if (this.pointed)
			this.line(Math.round(this.pointed.x) + 0.5, MARKS, this.bottom, p.faint, []);
	}

	drawGaps() {
		const now = Date.now();

		for (const c of this.columns) {
			if (c.known || c.from >= now)
				continue;
			this.hatched(this.x(c.from), MARKS, this.x(Math.min(c.to, now)) - this.x(c.from), this.bottom - MARKS);
		}
	}

	hatched(x, y, width, height) {
		const ctx = this.context;

		ctx.fillStyle = this.colour.gap;
		ctx.fillRect(x, y, width, height);
		ctx.save();
		ctx.beginPath();
		ctx.rect(x, y, width, height);
		ctx.clip();
		ctx.beginPath();
		for (let at = Math.floor((x - height) / 8) * 8; at < x + width; at += 8) {
			ctx.moveTo(at, y + height);
			ctx.lineTo(at + height, y);
		}
		ctx.strokeStyle = this.colour.hatch;
		ctx.lineWidth = 1;
		ctx.stroke();
		ctx.restore();
	}

	drawAxes() {
		const ctx = this.context, {clock} = this.tools, {from, to} = this.stack;

		ctx.textBaseline = 'middle';
		ctx.textAlign = 'right';
		for (const v of axisSteps(this.top, 3, /byte/.test(this.stack.unit))) {
			const y = Math.round(this.y(v)) + 0.5;

			this.horizontal(y);
			ctx.fillStyle = this.colour.faint;
			ctx.fillText(this.stack.cpu() ? formatAmount(v) : this.stack.format(v), GUTTER - 6, y);
		}
		this.horizontal(Math.round(this.bottom) + 0.5);
		if (this.stack.cpu())
			ctx.fillText('CPUs', GUTTER - 6, MARKS / 2 + 1);
		ctx.textAlign = 'center';
		for (const {time, label} of clock.ticks(from, to, Math.max(2, this.plotWidth / TICK_WIDTH))) {
			const x = this.x(time), half = ctx.measureText(label).width / 2;

			this.line(Math.round(x) + 0.5, this.bottom, this.bottom + 4, this.colour.faint, []);
			ctx.fillStyle = this.colour.faint;
			ctx.fillText(label, Math.min(this.width - half, Math.max(GUTTER + half - 8, x)), this.bottom + AXIS / 2 + 2);
		}
	}

	horizontal(y) {
		const ctx = this.context;

		ctx.strokeStyle = this.colour.line;
		ctx.lineWidth = 1;
		ctx.beginPath();
		ctx.moveTo(GUTTER, y);
		ctx.lineTo(this.width, y);
		ctx.stroke();
	}

	line(x, from, to, colour, dash) {
		const ctx = this.context;

		ctx.strokeStyle = colour;
		ctx.lineWidth = 1;
		ctx.setLineDash(dash);
		ctx.beginPath();
		ctx.moveTo(x, from);
		ctx.lineTo(x, to);
		ctx.stroke();
		ctx.setLineDash([]);
	}

	/** The largest series is at the bottom. */
	drawColumns() {
		const ctx = this.context, {series} = this.stack, {colours} = this.tools;
		const paint = series.map((s) => s.rest ? colours.rest : colours.of(this.stack.by, s.name));

		for (const c of this.columns) {
			const left = Math.round(this.x(c.from)), width = Math.max(1, Math.round(this.x(c.to)) - left);
			let base = 0;

			if (!c.known)
				continue;
			c.each.forEach((v, k) => {
				const low = Math.round(this.y(base)), high = Math.round(this.y(base + v));

				base += v;
				if (low === high)
					return;
				ctx.fillStyle = paint[k];
				ctx.fillRect(left, high, width, low - high);
			});
			if (this.stack.flagWords(c.flags)) {
				ctx.fillStyle = this.colour.before;
				ctx.fillRect(left, this.bottom - 2, width, 2);
			}
		}
	}

	drawMarks() {
		const ctx = this.context, {releases, events} = this.stack;

		for (const r of releases) {
			const x = Math.round(this.x(r.time)) + 0.5;

			this.line(x, 4, this.bottom, this.colour.faint, [3, 3]);
			ctx.fillStyle = this.colour.faint;
			this.shape(x, [[0, 3], [8, 6.5], [0, 10]]);
		}
		for (const e of events) {
			ctx.fillStyle = /regression|leak|memory|oom|blackbox/.test(e.kind) ? this.colour.bad : this.colour.after;
			this.shape(this.x(e.time), [[0, 14], [-5, 4], [5, 4]]);
		}
	}

	shape(x, points) {
		const ctx = this.context;

		ctx.beginPath();
		points.forEach(([dx, y], i) => i ? ctx.lineTo(x + dx, y) : ctx.moveTo(x + dx, y));
		ctx.closePath();
		ctx.fill();
	}

	/** What is not selected is paler; both ranges have names at their upper edge. */
	drawRanges() {
		const ctx = this.context, d = this.drag, {from, to} = this.stack;

		if (this.selected && !(this.selected[0] <= from && this.selected[1] >= to)) {
			ctx.fillStyle = this.colour.shade;
			for (const [a, b] of [[from, this.selected[0]], [this.selected[1], to]])
				ctx.fillRect(this.x(a), MARKS, Math.max(0, this.x(b) - this.x(a)), this.bottom - MARKS);
		}
		if (this.compared) {
			this.frame(this.compared, this.colour.before, 'before');
			if (this.selected)
				this.frame(this.selected, this.colour.after, 'after');
		}
		if (d && d.moved && d.what !== 'lane')
			this.frame([this.time(Math.min(d.x, d.at)), this.time(Math.max(d.x, d.at))],
				d.what === 'compare' ? this.colour.before : this.colour.after, d.what === 'compare' ? 'before' : 'zoom');
	}

	frame([a, b], colour, name) {
		const ctx = this.context, left = Math.max(GUTTER, this.x(a)), right = Math.min(this.width, this.x(b));

		if (!(right > left))
			return;
		ctx.globalAlpha = 0.14;
		ctx.fillStyle = colour;
		ctx.fillRect(left, MARKS, right - left, this.bottom - MARKS);
		ctx.globalAlpha = 1;
		ctx.strokeStyle = colour;
		ctx.lineWidth = 1.5;
		ctx.strokeRect(left + 0.75, MARKS + 0.75, Math.max(1, right - left - 1.5), this.bottom - MARKS - 1.5);
		ctx.textAlign = 'left';
		ctx.fillStyle = colour;
		if (ctx.measureText(name).width + 8 < right - left)
			ctx.fillText(name, left + 5, MARKS + 9);
	}

	/** The strip below the axis: the selected part, with handles. */
	drawLane() {
		const ctx = this.context, y = this.height - LANE + 4, height = LANE - 6;

		ctx.fillStyle = this.colour.gap;
		ctx.fillRect(GUTTER, y, this.plotWidth, height);
		ctx.fillStyle = this.colour.faint;
		ctx.textAlign = 'right';
		ctx.fillText('selected', GUTTER - 6, y + height / 2);
		if (!this.selected)
			return;
		const left = this.x(this.selected[0]), right = Math.max(left + 2, this.x(this.selected[1]));

		ctx.globalAlpha = 0.35;
		ctx.fillStyle = this.colour.after;
		ctx.fillRect(left, y, right - left, height);
		ctx.globalAlpha = 1;
		for (const x of [left, right - 3])
			ctx.fillRect(x, y, 3, height);
		if (document.activeElement === this.canvas) {
			ctx.strokeStyle = this.colour.text;
			ctx.lineWidth = 1;
			ctx.strokeRect(left - 1.5, y - 1.5, right - left + 3, height + 3);
		}
	}

	// --- the mouse ---------------------------------------------------------------------------------------------

	at(event) {
		const edge = this.canvas.getBoundingClientRect();

		return {x: event.clientX - edge.left, y: event.clientY - edge.top};
	}

	down(event) {
		const {x, y} = this.at(event);

		if (event.button !== 0 || !this.stack)
			return;
		this.canvas.setPointerCapture(event.pointerId);
		this.canvas.focus();
		this.drag = {x, y, at: x, moved: false, what: y > this.height - LANE ? 'lane' : event.shiftKey ? 'compare' : 'zoom',
			grip: this.grip(x), before: this.selected};
		this.point(null);
		event.preventDefault();
	}

	/** What of the selection is at that place: an end, the middle, or nothing. */
	grip(x) {
		if (!this.selected)
			return 'new';
		const left = this.x(this.selected[0]), right = this.x(this.selected[1]);

		if (Math.abs(x - left) <= HANDLE && Math.abs(x - left) <= Math.abs(x - right))
			return 'left';
		if (Math.abs(x - right) <= HANDLE)
			return 'right';
		return x > left && x < right ? 'all' : 'new';
	}

	move(event) {
		const place = this.at(event), d = this.drag;

		if (!this.stack)
			return;
		if (!d) {
			this.point(place);
			this.canvas.style.cursor = place.y <= this.height - LANE ? 'crosshair' :
				{left: 'ew-resize', right: 'ew-resize', all: 'grab', new: 'crosshair'}[this.grip(place.x)];
			return;
		}
		d.at = place.x;
		d.moved ||= Math.abs(d.at - d.x) >= CLICK;
		if (d.moved && d.what === 'lane')
			this.selected = this.dragged(d);
		this.draw();
	}

	/** The selection as the strip's handle stands. */
	dragged(d) {
		const {from, to, step} = this.stack, at = this.snap(this.time(d.at));

		if (d.grip === 'new') {
			const start = this.snap(this.time(d.x));

			return at > start ? [start, at] : [at, Math.max(start, at + step)];
		}
		const [a, b] = d.before;

		if (d.grip === 'left')
			return [Math.min(at, b - step), b];
		if (d.grip === 'right')
			return [a, Math.max(at, a + step)];
		const by = this.snap(a + this.time(d.at) - this.time(d.x)) - a, length = b - a;
		const start = Math.min(Math.max(from, a + by), Math.max(from, to - length));

		return [start, start + length];
	}

	up(event) {
		const d = this.drag;

		if (!d)
			return;
		this.drag = null;
		if (!d.moved) {
			this.click(d, event);
			return;
		}
		const a = this.snap(this.time(Math.min(d.x, d.at))), b = Math.max(a + this.stack.step, this.snap(this.time(Math.max(d.x, d.at))));

		if (d.what === 'lane')
			this.tools.onSelect(...this.selected);
		else if (d.what === 'compare')
			this.tools.onCompare(a, b);
		else
			this.tools.onZoom(a, b);
	}

	cancel() {
		if (this.drag)
			this.selected = this.drag.before;
		this.drag = null;
		this.draw();
	}

	/** An event's mark opens it; elsewhere the selection comes to that place. */
	click(d) {
		const near = d.y <= MARKS ? this.markAt(d.x) : null;

		if (near) {
			if (near.event)
				this.tools.onEvent(near.event);
			return;
		}
		if (d.x < GUTTER || !this.selected)
			return;
		const length = this.selected[1] - this.selected[0], start = this.snap(this.time(d.x) - length / 2);

		this.select(start, length);
	}

	select(start, length) {
		const {from, to} = this.stack, a = Math.min(Math.max(from, start), Math.max(from, to - length));

		this.tools.onSelect(a, Math.min(to, a + length));
	}

	markAt(x) {
		const near = (t) => Math.abs(this.x(t) - x) <= 6, event = this.stack.events.find((e) => near(e.time));
		const release = this.stack.releases.find((r) => near(r.time) || (x > this.x(r.time) && x < this.x(r.time) + 10));

		return event || release ? {event, release} : null;
	}

	// --- what is there -----------------------------------------------------------------------------------------

	point(place) {
		const inside = place && place.x >= GUTTER && place.x <= this.width && place.y <= this.bottom;

		this.pointed = inside ? place : null;
		this.tip.hidden = !inside || !this.stack;
		if (!this.tip.hidden)
			this.showTip(place);
		this.draw();
	}

	showTip({x, y}) {
		const ms = this.time(x), column = this.columns.find((c) => ms >= c.from && ms < c.to) || this.columns[this.columns.length - 1];
		const mark = y <= MARKS ? this.markAt(x) : null;

		this.tip.replaceChildren();
		this.tipLine(this.tools.clock.full(column.from) + ' ' + this.tools.clock.zone(column.from), '', 'when');
		if (mark)
			this.tipMark(mark);
		else if (column.known)
			this.tipValues(column);
		else
			this.tipLine(this.stack.gapAt(Math.min(ms, column.to - 1), Date.now()), '');
		const left = x + 14 + this.tip.offsetWidth > this.width ? x - this.tip.offsetWidth - 10 : x + 14;

		this.tip.style.left = Math.max(0, left) + 'px';
		this.tip.style.top = MARKS + 4 + 'px';
	}

	tipLine(text, value, kind, colour) {
		const line = this.tip.appendChild(document.createElement('div'));

		line.className = kind || '';
		if (colour) {
			const patch = line.appendChild(document.createElement('span'));

			patch.className = 'patch';
			patch.style.background = colour;
		}
		line.appendChild(document.createElement('span')).textContent = shorten(text, 80);
		line.appendChild(document.createElement('b')).textContent = value;
	}

	tipMark({event, release}) {
		if (event)
			this.tipLine(`${clean(event.kind)}: ${clean(event.summary)}`, '');
		if (release)
			this.tipLine(`release of ${clean(release.service)}`, shorten(clean(release.revision || release.build), 12));
	}

	tipValues(column) {
		const {series} = this.stack, {colours} = this.tools;
		const shown = series.map((s, k) => ({s, v: column.each[k]})).filter(({v}) => v > 0).sort((a, b) => b.v - a.v);

		for (const {s, v} of shown.slice(0, 8))
			this.tipLine(shorten(this.stack.label(s), 36), this.stack.format(v), '', s.rest ? colours.rest : colours.of(this.stack.by, s.name));
		if (shown.length > 8)
			this.tipLine(`and ${shown.length - 8} more`, '');
		if (shown.length !== 1)
			this.tipLine('together', this.stack.format(column.sum), 'sum');
		if (this.stack.flagWords(column.flags))
			this.tipLine(this.stack.flagWords(column.flags), '');
	}

	// --- keys --------------------------------------------------------------------------------------------------

	key(event) {
		if (event.ctrlKey || event.altKey || event.metaKey || !this.stack || !this.selected)
			return;
		const [a, b] = this.selected, {step, from, to} = this.stack, by = Math.max(step, this.snap(from + (b - a) / 4) - from);
		const moves = {
			ArrowLeft: () => event.shiftKey ? this.tools.onSelect(a, Math.max(a + step, b - by)) : this.shift(-by),
			ArrowRight: () => event.shiftKey ? this.tools.onSelect(a, Math.min(to, b + by)) : this.shift(by),
			Home: () => this.select(from, b - a),
			End: () => this.select(to - (b - a), b - a),
			Enter: () => this.tools.onZoom(a, b),
			'+': () => this.zoom(0.5),
			'-': () => this.zoom(2),
			c: () => this.tools.onCompare(a, b),
		};

		if (!moves[event.key])
			return;
		moves[event.key]();
		event.preventDefault();
	}

	/** Beyond the edge the timeline follows. */
	shift(by) {
		const [a, b] = this.selected, {from, to} = this.stack;

		if ((by < 0 && a <= from) || (by > 0 && b >= to))
			this.tools.onPan(Math.sign(by) / 2);
		else
			this.select(a + by, b - a);
	}

	zoom(factor) {
		const middle = (this.selected[0] + this.selected[1]) / 2, half = (this.stack.to - this.stack.from) * factor / 2;

		this.tools.onZoom(middle - half, middle + half);
	}
}
