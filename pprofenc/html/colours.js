// SPDX-License-Identifier: Apache-2.0
// Colours. None carries meaning alone: kinds are also written in the labels, differences have a sign.

const KINDS = [
	{name: 'Go', mark: '', hue: 152, sat: 38},
	{name: 'Go runtime', mark: '', hue: 44, sat: 74},
	{name: 'kernel', mark: ' [k]', hue: 16, sat: 68},
	{name: 'C and others', mark: ' [C]', hue: 222, sat: 50},
	{name: 'not code', mark: '', hue: 0, sat: 0},
];

function hashOf(text) {
	let h = 2166136261;

	for (let i = 0; i < text.length && i < 200; i++)
		h = Math.imul(h ^ text.charCodeAt(i), 16777619);
	return (h ^ h >>> 13) >>> 0;
}

/** "net/http" of "net/http.(*conn).serve"; for other code its binary. */
function packageOf(profile, f) {
	const name = profile.names[f];

	if (profile.kinds[f] > 1)
		return profile.objects[f] || name;
	const plain = name.slice(0, 500).replace(/\[.*$/, ''), slash = plain.lastIndexOf('/');
	const dot = plain.indexOf('.', slash + 1);

	return dot < 0 ? plain : plain.slice(0, dot);
}

class Colours {
	constructor(profile) {
		this.profile = profile;
		this.cache = new Map();
		this.dark = false;
		this.by = 'kind';
	}

	set(dark, by) {
		if (dark !== this.dark || by !== this.by)
			this.cache.clear();
		this.dark = dark;
		this.by = by;
	}

	get text() {
		return this.dark ? '#f2f2f2' : '#16181c';
	}

	get back() {
		return this.dark ? '#16181c' : '#ffffff';
	}

	get grey() {
		return this.dark ? '#3a3d44' : '#dfe1e5';
	}

	ofKind(kind) {
		const {hue, sat} = KINDS[kind] || KINDS[4];

		return this.hsl(hue, sat, 0);
	}

	hsl(hue, sat, shade) {
		return this.dark ? `hsl(${hue} ${Math.round(sat * 0.75)}% ${27 + shade}%)` : `hsl(${hue} ${sat}% ${74 + shade}%)`;
	}

	ofFunc(f) {
		let colour = this.cache.get(f);

		if (!colour) {
			const h = hashOf(packageOf(this.profile, f)), {hue, sat} = KINDS[this.profile.kinds[f]] || KINDS[4];

			colour = this.by === 'package' ? this.hsl(h % 360, 45, (h >>> 9) % 7 - 3) :
				this.hsl(hue + h % 15 - 7, sat, (h >>> 9) % 9 - 4);
			this.cache.set(f, colour);
		}
		return colour;
	}

	/** change: -1 (gone) to 1 (all new). Orange is more, blue is less: distinguishable for everyone. */
	ofChange(change) {
		const much = Math.min(1, Math.abs(change) * 1.5), hue = change > 0 ? 24 : 212;

		if (much < 0.01)
			return this.grey;
		return this.dark ? `hsl(${hue} ${Math.round(15 + 60 * much)}% ${26 + Math.round(6 * much)}%)` :
			`hsl(${hue} ${Math.round(30 + 55 * much)}% ${88 - Math.round(20 * much)}%)`;
	}
}
