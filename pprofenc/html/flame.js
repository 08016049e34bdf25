// SPDX-License-Identifier: Apache-2.0
// A flame graph on a canvas of the size of the visible part, so its depth has no limit.

const ROW = 19, FONT = '12px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace';

class Flame {
	/**
	 * host: an element with a fixed height, in which the graph scrolls. up: the root is at the bottom. tools: {colours(),
	 * column(), matches(), compare(), label(frame), onZoom(path), onPick(frame), onShow(box)}.
	 */
	constructor(host, title, up, tools) {
		this.host = host;
		this.up = up;
		this.tools = tools;
		this.clear();
		this.space = host.appendChild(document.createElement('div'));
		this.space.className = 'space';
		this.canvas = this.space.appendChild(document.createElement('canvas'));
		this.canvas.tabIndex = 0;
		this.canvas.setAttribute('role', 'application');
		this.canvas.setAttribute('aria-label', title + '. Arrow keys go from frame to frame, Enter zooms, Backspace ' +
			'zooms out, s shows callers and callees.');
		this.listen();
	}

	listen() {
		this.host.addEventListener('scroll', () => this.draw());
		this.canvas.addEventListener('mousemove', (e) => this.hover(this.at(e)));
		this.canvas.addEventListener('mouseleave', () => this.hover(null));
		this.canvas.addEventListener('click', (e) => this.zoomTo(this.at(e)));
		this.canvas.addEventListener('dblclick', (e) => e.preventDefault());
		this.canvas.addEventListener('contextmenu', (e) => {
			const box = this.at(e);

			if (box && !box.small && box.frame.func >= 0) {
				e.preventDefault();
				this.tools.onPick(box.frame);
			}
		});
		this.canvas.addEventListener('keydown', (e) => this.key(e));
		this.canvas.addEventListener('blur', () => this.draw());
		this.canvas.addEventListener('focus', () => this.draw());
		new ResizeObserver(() => this.resize()).observe(this.host);
	}

	/** Of another profile, functions have other numbers. */
	clear() {
		this.levels = null;
		this.path = [];
		this.layout = {rows: [], zoomed: 0, way: []};
		this.hovered = this.focused = null;
	}

	show(levels, path) {
		this.levels = levels;
		this.path = path;
		this.hovered = this.focused = null;
		this.resize();
		this.host.scrollTop = this.up ? this.host.scrollHeight : Math.max(0, this.layout.zoomed - 3) * ROW;
		this.draw();
	}

	resize() {
		this.width = this.host.clientWidth;
		this.height = this.host.clientHeight;
		if (!this.levels || this.width === 0)
			return;
		this.layout = layOut(this.levels, this.path, this.width);
		this.focused = null;
		const ratio = window.devicePixelRatio || 1, rows = this.layout.rows.length * ROW;

		this.space.style.height = Math.max(rows, this.height) + 'px';
		this.canvas.style.height = this.height + 'px';
		this.canvas.width = Math.round(this.width * ratio);
		this.canvas.height = Math.round(this.height * ratio);
		this.context = this.canvas.getContext('2d');
		this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
		this.draw();
	}

	/** The upper edge of a row, in the canvas. */
	top(row) {
		const y = row * ROW - this.host.scrollTop;

		return this.up ? Math.max(this.layout.rows.length * ROW, this.height) - ROW - row * ROW - this.host.scrollTop : y;
	}

	rowAt(y) {
		return Math.floor(this.up ?
			(Math.max(this.layout.rows.length * ROW, this.height) - y - this.host.scrollTop) / ROW :
			(y + this.host.scrollTop) / ROW);
	}

	draw() {
		if (!this.context || !this.levels || this.width === 0)
			return;
		const ctx = this.context, first = this.rowAt(this.up ? this.height : 0), last = this.rowAt(this.up ? 0 : this.height);

		ctx.fillStyle = this.tools.colours().back;
		ctx.fillRect(0, 0, this.width, this.height);
		ctx.font = FONT;
		ctx.textBaseline = 'middle';
		ctx.direction = 'ltr';
		this.letter ||= ctx.measureText('M'.repeat(20)).width / 20;
		for (let row = Math.max(0, first); row <= last && row < this.layout.rows.length; row++) {
			for (const box of this.layout.rows[row])
				this.drawBox(box, this.top(row));
		}
		if (document.activeElement === this.canvas && this.focused)
			this.outline(this.focused, 2);
		if (this.hovered)
			this.outline(this.hovered, 1);
	}

	drawBox(box, y) {
		const ctx = this.context, colours = this.tools.colours(), matches = this.tools.matches();
		const width = Math.max(0.75, box.width - (box.width > 3 ? 1 : 0)), {func} = box.frame;
		const hit = matches && func >= 0 && matches[func];

		ctx.globalAlpha = matches && !hit ? 0.35 : box.faded ? 0.6 : 1;
		ctx.fillStyle = this.fill(box);
		ctx.fillRect(box.x, y, width, ROW - 1);
		ctx.globalAlpha = 1;
		if (hit) {
			ctx.fillStyle = colours.dark ? '#ff7bd5' : '#b4007a';
			ctx.fillRect(box.x, y + ROW - 4, width, 3);
		}
		if (box.width > 4 * this.letter)
			this.drawLabel(box, y, hit || !matches);
	}

	fill(box) {
		const colours = this.tools.colours(), f = box.frame;

		if (box.small)
			return colours.grey;
		if (this.tools.compare())
			return colours.ofChange(this.tools.change(f));
		return f.func < 0 ? colours.grey : colours.ofFunc(f.func);
	}

	drawLabel(box, y, clear) {
		const ctx = this.context, room = Math.floor((box.width - 8) / this.letter);
		const text = box.small ? `(${box.small} small)` : this.tools.label(box.frame, room);
		const shown = shorten(text, Math.max(1, room));

		ctx.fillStyle = this.tools.colours().text;
		ctx.globalAlpha = clear ? 1 : 0.75;
		// letters of another width than the font's
		ctx.fillText(shown, box.x + 4, y + ROW / 2, /^[\x20-\x7e…−±]*$/.test(shown) ? undefined : box.width - 6);
		ctx.globalAlpha = 1;
	}

	outline(box, thick) {
		const ctx = this.context;

		ctx.strokeStyle = this.tools.colours().text;
		ctx.lineWidth = thick;
		ctx.strokeRect(box.x + thick / 2, this.top(box.row) + thick / 2, Math.max(1, box.width - thick - 1), ROW - 1 - thick);
	}

	at(event) {
		const edge = this.canvas.getBoundingClientRect(), x = event.clientX - edge.left;
		const row = this.layout.rows[this.rowAt(event.clientY - edge.top)] || [];

		return row.find((b) => x >= b.x && x < b.x + Math.max(b.width, 1)) || null;
	}

	hover(box) {
		if (box === this.hovered)
			return;
		this.hovered = box;
		this.canvas.style.cursor = box ? 'pointer' : '';
		this.tools.onShow(box || this.focused);
		this.draw();
	}

	/** "(N small)" has no place of its own: its caller makes room for it. */
	zoomTo(box) {
		if (box)
			this.tools.onZoom((box.small ? box.frame.parent : box.frame).path());
	}

	key(event) {
		const moves = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1]};

		if (event.ctrlKey || event.altKey || event.metaKey)
			return;
		if (moves[event.key]) {
			const [down, right] = moves[event.key];

			this.move(this.up ? -down : down, right);
		} else if (event.key === 'Enter' && this.focused) {
			this.zoomTo(this.focused);
		} else if (event.key === 'Backspace' && this.path.length > 0) {
			this.tools.onZoom(this.path.slice(0, -1));
		} else if (event.key === 's' && this.focused && !this.focused.small && this.focused.frame.func >= 0) {
			this.tools.onPick(this.focused.frame);
		} else {
			return;
		}
		event.preventDefault();
	}

	move(down, right) {
		const {rows, zoomed} = this.layout;
		let row = this.focused ? this.focused.row : -1, next;

		if (row < 0) {
			row = zoomed;
			next = rows[row] && rows[row][0];
		} else if (right) {
			next = rows[row][rows[row].indexOf(this.focused) + right];
		} else {
			const {x, width} = this.focused;

			row += down;
			next = rows[row] && (down < 0 ? rows[row].find((b) => x >= b.x - 0.01 && x < b.x + b.width) :
				rows[row].find((b) => b.x >= x - 0.01 && b.x < x + width));
		}
		if (!next)
			return;
		this.focused = next;
		this.reveal(row);
		this.tools.onShow(next);
		this.draw();
	}

	reveal(row) {
		const y = this.top(row);

		if (y < 0)
			this.host.scrollTop += y;
		else if (y + ROW > this.height)
			this.host.scrollTop += y + ROW - this.height;
	}

	/** A description of the drawing; for scripts. */
	boxes() {
		const edge = this.canvas.getBoundingClientRect();

		return this.layout.rows.flatMap((row, depth) => row.map((b) => ({
			name: b.small ? `(${b.small} small)` : this.tools.name(b.frame), depth, width: b.width, faded: b.faded,
			value: b.frame.net, x: edge.left + b.x + Math.min(b.width / 2, 20), y: edge.top + this.top(depth) + ROW / 2,
		})));
	}
}
