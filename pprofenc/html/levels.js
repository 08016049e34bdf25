// SPDX-License-Identifier: Apache-2.0
// Flame graphs, built level by level as they become visible. A frame represents several nodes of the tree:
// of the whole profile's graph for one, of a function's callees or callers for all places where it was called.

class Frame {
	constructor(func, parent) {
		this.func = func; // -1: the root
		this.parent = parent;
		this.nodes = [];
		this.origins = null; // of callers: where the values come from
		this.net = this.size = this.self = this.old = this.oldSize = 0;
		this.children = null;
	}

	add(column, node, origin) {
		const from = origin === undefined ? node : origin;

		this.nodes.push(node);
		if (origin !== undefined)
			this.origins.push(origin);
		this.net += column.net[from];
		this.size += column.size[from];
		this.self += column.self[from];
		if (column.old) {
			this.old += column.old.net[from];
			this.oldSize += column.old.size[from];
		}
	}

	/** Functions from the root to this one. */
	path() {
		const out = [];

		for (let f = this; f.parent; f = f.parent)
			out.push(f.func);
		return out.reverse();
	}
}

class Levels {
	/** before: widths are those of the base. */
	constructor(profile, type, before) {
		this.profile = profile;
		this.column = profile.column(type);
		this.before = before;
	}

	width(frame) {
		return this.before ? frame.oldSize : frame.size;
	}

	children(frame) {
		if (!frame.children) {
			const found = new Map();

			this.expand(frame, (func) => {
				let child = found.get(func);

				if (!child)
					found.set(func, child = this.child(func, frame));
				return child;
			});
			frame.children = [...found.values()].sort((a, b) => this.width(b) - this.width(a) || a.func - b.func);
		}
		return frame.children;
	}

	child(func, parent) {
		return new Frame(func, parent);
	}

	/** Along a path of functions, as far as it goes: all frames from the root on. */
	follow(path) {
		const out = [this.root];

		for (const func of path) {
			const next = this.children(out[out.length - 1]).find((c) => c.func === func);

			if (!next)
				break;
			out.push(next);
		}
		return out;
	}
}

/** From the given nodes to their callees. */
class Callees extends Levels {
	constructor(profile, type, before, func) {
		super(profile, type, before);
		this.root = new Frame(func === undefined ? -1 : func, null);
		for (const node of func === undefined ? [0] : profile.occurrences(func))
			this.root.add(this.column, node);
	}

	expand(frame, childOf) {
		const {end, func} = this.profile;

		for (const node of frame.nodes) {
			for (let c = node + 1; c < end[node]; c = end[c])
				childOf(func[c]).add(this.column, c);
		}
	}
}

/** From a function to its callers, with the value that it has when called from there. */
class Callers extends Levels {
	constructor(profile, type, before, func) {
		super(profile, type, before);
		this.root = this.child(func, null);
		for (const node of profile.occurrences(func))
			this.root.add(this.column, node, node);
	}

	child(func, parent) {
		const frame = new Frame(func, parent);

		frame.origins = [];
		return frame;
	}

	expand(frame, childOf) {
		const {parent, func} = this.profile;

		frame.nodes.forEach((node, i) => {
			const caller = parent[node];

			if (caller > 0)
				childOf(func[caller]).add(this.column, caller, frame.origins[i]);
		});
	}
}

const NARROWEST = 1.5; // pixels; narrower frames are merged with their neighbours

/**
 * Rows of boxes {x, width, row, frame, small, faded}: the way to the zoomed frame in full width, then all below it. `small`
 * counts the frames that a box stands for together, when each is too narrow.
 */
function layOut(levels, path, width) {
	const rows = [], way = levels.follow(path), zoomed = way.length - 1;
	const todo = [];

	way.forEach((frame, i) => {
		rows.push([{x: 0, width, frame, small: 0, faded: i < zoomed}]);
	});
	todo.push(rows[zoomed][0], zoomed);
	while (todo.length > 0) {
		const depth = todo.pop() + 1, box = todo.pop();

		layOutChildren(levels, box, rows, depth, todo);
	}
	rows.forEach((row, number) => {
		row.sort((a, b) => a.x - b.x);
		for (const box of row)
			box.row = number;
	});
	return {rows, zoomed, way};
}

function layOutChildren(levels, box, rows, depth, todo) {
	const whole = levels.width(box.frame), children = levels.children(box.frame);
	let x = box.x;

	if (!whole || children.length === 0)
		return;
	for (let i = 0; i < children.length; i++) {
		const width = box.width * levels.width(children[i]) / whole;

		if (width < NARROWEST) {
			layOutSmall(levels, box, rows, depth, x, children.slice(i), whole);
			return;
		}
		const child = {x, width, frame: children[i], small: 0, faded: false};

		(rows[depth] ||= []).push(child);
		todo.push(child, depth);
		x += width;
	}
}

function layOutSmall(levels, box, rows, depth, x, rest, whole) {
	const size = rest.reduce((sum, c) => sum + levels.width(c), 0), width = box.width * size / whole;

	if (width < NARROWEST / 2)
		return;
	const together = new Frame(-1, box.frame);

	for (const c of rest) {
		together.net += c.net;
		together.size += c.size;
		together.old += c.old;
	}
	(rows[depth] ||= []).push({x, width, frame: together, small: rest.length, faded: false});
}
