// SPDX-License-Identifier: Apache-2.0
// What the page has asked for: in each slot one answer, the last one that was wanted.

const SETTLE = 150; // milliseconds between two requests of one slot, so that a held key doesn't make hundreds

class Slots {
	/** onQuiet() is called when nothing is under way any more, and at changes of that. */
	constructor(api, onQuiet) {
		this.api = api;
		this.onQuiet = onQuiet;
		this.slots = new Map();
	}

	get busy() {
		return [...this.slots.values()].some((s) => s.pending);
	}

	/**
	 * Of an answer `make(body, headers)` makes what `show` gets, now or later, and again at each further call for the same URL. A
	 * refusal goes to `fail`.
	 */
	want(name, url, {make, show, fail, fresh, host}) {
		const slot = this.slots.get(name) || {url: null, asked: 0};

		this.slots.set(name, slot);
		slot.show = show;
		slot.fail = fail;
		if (slot.url === url) {
			if (!slot.pending)
				this.settle(slot);
			return;
		}
		this.drop(name);
		slot.url = url;
		slot.pending = slot.abort = new AbortController();
		slot.host = host;
		host?.setAttribute('aria-busy', 'true');
		this.onQuiet();
		slot.timer = setTimeout(() => this.ask(slot, slot.abort, make, fresh), slot.asked + SETTLE > performance.now() ? SETTLE : 0);
	}

	/** Nothing is wanted there. */
	drop(name) {
		const slot = this.slots.get(name);

		if (!slot)
			return;
		clearTimeout(slot.timer);
		slot.pending?.abort();
		slot.pending = slot.url = slot.made = slot.error = null;
		slot.host?.removeAttribute('aria-busy');
	}

	async ask(slot, abort, make, fresh) {
		slot.asked = performance.now();
		try {
			const {body, headers} = await this.api.get(slot.url, abort.signal, fresh);

			if (slot.abort === abort && slot.pending)
				slot.made = make(body, headers);
		} catch (e) {
			if (abort.signal.aborted || slot.abort !== abort)
				return;
			slot.error = e instanceof Refusal ? e : new Refusal('The daemon\'s answer can\'t be shown: ' + e.message);
		}
		if (slot.abort !== abort || !slot.pending)
			return;
		slot.pending = null;
		slot.host?.removeAttribute('aria-busy');
		this.settle(slot);
		this.onQuiet();
	}

	settle(slot) {
		if (slot.error)
			slot.fail(slot.error);
		else
			slot.show(slot.made);
	}
}
