// SPDX-License-Identifier: Apache-2.0
// Requests to the daemon, and what it says when it refuses.

const KEPT = 40; // answers

class Refusal extends Error {
	constructor(message, hint, status) {
		super(message);
		this.hint = hint || '';
		this.status = status;
	}

	/** As sentences. */
	words() {
		const message = clean(this.message).trim().replace(/^[a-z]/, (c) => c.toUpperCase());

		return [/[.!?:]$/.test(message) ? message : message + '.', clean(this.hint).trim()].filter(Boolean).join(' ');
	}
}

/** Characters that would hide, or turn the direction of what is beside them. */
function clean(text) {
	return String(text ?? '').replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g, '\ufffd');
}

/** Relative, so that the page works below any prefix. Empty parameters are left out. */
function address(path, params) {
	const out = new URLSearchParams();

	for (const [key, value] of Object.entries(params || {})) {
		if (value !== '' && value !== undefined && value !== null)
			out.set(key, value);
	}
	const query = out.toString();

	return path + (query ? '?' + query : '');
}

function quoted(text) {
	return '"' + text.replace(/[\\"]/g, '\\$&').replace(/\n/g, '\\n') + '"';
}

/** service="etcd", and whatever else was asked for. */
function selector(labels, more) {
	const parts = Object.entries(labels).filter(([, value]) => value !== '').map(([name, value]) => name + '=' + quoted(value));

	if (more.trim())
		parts.push(more.trim());
	return parts.join(',');
}

async function refusalOf(answer) {
	let said = null;

	try {
		said = (await answer.json()).error;
	} catch {
		// the server said it in another way
	}
	if (said && typeof said.message === 'string')
		return new Refusal(said.message, said.hint, answer.status);
	if (answer.status === 401 || answer.status === 403)
		return new Refusal('The daemon wants to know who asks.', 'Open the page with: prowl daemon open', answer.status);
	return new Refusal(`The daemon answered ${answer.status}${answer.statusText ? ' ' + answer.statusText : ''}.`, '', answer.status);
}

class Api {
	constructor() {
		this.kept = new Map();
	}

	/** {body, headers}; the answers that were kept are given again, latest used last. */
	async get(url, signal, fresh) {
		let found = fresh ? null : this.kept.get(url);

		if (!found) {
			found = await this.ask(url, {signal});
			if (fresh)
				return found;
		}
		this.kept.delete(url);
		this.kept.set(url, found);
		if (this.kept.size > KEPT)
			this.kept.delete(this.kept.keys().next().value);
		return found;
	}

	async post(url, what) {
		return this.ask(url, {
			method: 'POST', body: JSON.stringify(what),
			headers: {'Content-Type': 'application/json', 'X-Prowl': '1'},
		});
	}

	async ask(url, options) {
		let answer;

		try {
			answer = await fetch(url, {credentials: 'same-origin', redirect: 'error', ...options});
		} catch (e) {
			if (e.name === 'AbortError')
				throw e;
			throw new Refusal('The daemon does not answer.', 'Does it run? prowl daemon status', 0);
		}
		if (!answer.ok)
			throw await refusalOf(answer);
		try {
			return {body: await answer.json(), headers: answer.headers};
		} catch (e) {
			if (e.name === 'AbortError')
				throw e;
			throw new Refusal('The daemon\'s answer can\'t be read.', '', answer.status);
		}
	}

	/** Answers of ranges that have not ended would be old. */
	forget() {
		this.kept.clear();
	}
}
