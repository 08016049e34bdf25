// SPDX-License-Identifier: Apache-2.0
// Reads the profile from the page: the call tree in arrays, parents first.

async function unpack(text) {
	const packed = atob(text.trim()), bytes = new Uint8Array(packed.length);

	for (let i = 0; i < packed.length; i++)
		bytes[i] = packed.charCodeAt(i);
	const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));

	return JSON.parse(await new Response(stream).text());
}

/** [[first, text], ...] to a text for each of n. */
function spread(runs, n) {
	const out = new Array(n).fill('');

	runs.forEach(([first, text], i) => {
		out.fill(text, first, i + 1 < runs.length ? runs[i + 1][0] : n);
	});
	return out;
}

/** Pairs of distance and value to a value for each node. */
function scatter(pairs, n) {
	const out = new Float64Array(n);

	for (let i = 0, at = 0; i < pairs.length; i += 2) {
		at += pairs[i];
		out[at] = pairs[i + 1];
	}
	return out;
}

class Profile {
	constructor(raw) {
		this.raw = raw;
		this.types = raw.types;
		this.base = raw.base || null;
		this.names = raw.names;
		this.lines = raw.lines;
		this.kinds = raw.kinds;
		this.nfuncs = raw.names.length;
		this.files = spread(raw.files, this.nfuncs);
		this.objects = spread(raw.objects, this.nfuncs);
		this.columns = [];
		this.plantTree(raw.funcs, raw.ups);
	}

	plantTree(funcs, ups) {
		const n = this.n = funcs.length + 1;

		this.func = new Int32Array(n);
		this.parent = new Int32Array(n);
		this.end = new Int32Array(n).fill(n);
		this.func[0] = -1;
		this.parent[0] = -1;
		for (let i = 1, last = 0; i < n; i++) {
			for (let up = ups[i - 1]; up > 0; up--) {
				this.end[last] = i;
				last = this.parent[last];
			}
			this.func[i] = funcs[i - 1];
			this.parent[i] = last;
			last = i;
		}
	}

	/** Sums of all values below each node; `size` counts negative ones as positive, for widths. */
	sums(pairs) {
		const self = scatter(pairs, this.n), net = self.slice();
		const negative = self.some((v) => v < 0), size = negative ? self.map(Math.abs) : net;

		for (let i = this.n - 1; i > 0; i--) {
			net[this.parent[i]] += net[i];
			if (negative)
				size[this.parent[i]] += size[i];
		}
		return {self, net, size};
	}

	/** The values of a sample type: {unit, self, net, size, old, total, ...}; made on first use. */
	column(type) {
		if (!this.columns[type]) {
			const c = this.sums(this.raw.values[type]);

			[c.name, c.unit] = this.types[type];
			c.old = this.base ? this.sums(this.base.values[type]) : null;
			c.total = c.net[0];
			c.oldTotal = c.old ? c.old.net[0] : 0;
			// pprof's percentages are of magnitudes
			c.whole = c.size[0];
			this.columns[type] = c;
		}
		return this.columns[type];
	}

	/** Flat and cum of every function, recursion counted once. */
	functions(type) {
		const c = this.column(type);

		if (!c.functions)
			c.functions = {now: this.count(c), old: c.old ? this.count(c.old) : null};
		return c.functions;
	}

	count(sums) {
		const flat = new Float64Array(this.nfuncs), cum = new Float64Array(this.nfuncs);
		// end of the outermost open call of each function
		const open = new Int32Array(this.nfuncs);

		for (let i = 1; i < this.n; i++) {
			const f = this.func[i];

			flat[f] += sums.self[i];
			if (open[f] <= i) {
				cum[f] += sums.net[i];
				open[f] = this.end[i];
			}
		}
		return {flat, cum};
	}

	/** The outermost nodes of a function. */
	occurrences(f) {
		const out = [];

		for (let i = 1; i < this.n;) {
			if (this.func[i] === f) {
				out.push(i);
				i = this.end[i];
			} else {
				i++;
			}
		}
		return out;
	}

	/** The share of the total in or below functions that match. */
	matched(type, matches) {
		const c = this.column(type);
		let sum = 0;

		for (let i = 1; i < this.n;) {
			if (matches[this.func[i]]) {
				sum += c.size[i];
				i = this.end[i];
			} else {
				i++;
			}
		}
		return sum;
	}

	funcNamed(name) {
		return this.names.indexOf(name);
	}

	where(f) {
		const line = this.lines[f] > 0 ? ':' + this.lines[f] : '';

		return this.files[f] ? this.files[f] + line : this.objects[f];
	}
}
