// SPDX-License-Identifier: Apache-2.0
// Zoom and search where scripts run; without them the picture is whole.
(() => {
	'use strict';
	const svg = document.currentScript.closest('svg'), full = svg.viewBox.baseVal.width, letter = 7.23;
	const frames = [...svg.querySelectorAll('g')].map((g) => {
		const rect = g.querySelector('rect'), title = g.querySelector('title').textContent;

		return {g, rect, title, name: title.split('\n')[0], x: +rect.getAttribute('x'), width: +rect.getAttribute('width'),
			row: +rect.getAttribute('y'), text: g.querySelector('text')};
	});
	const words = svg.getElementById('words'), [out, find] = ['out', 'find'].map((id) => svg.getElementById(id));

	function place(f, x, width) {
		const room = Math.floor((width - 6) / letter);

		f.rect.setAttribute('x', x.toFixed(2));
		f.rect.setAttribute('width', Math.max(width, 0).toFixed(2));
		if (!f.text && room >= 3) {
			f.text = f.g.appendChild(document.createElementNS(svg.namespaceURI, 'text'));
			f.text.setAttribute('y', f.row + 13);
		}
		if (f.text) {
			f.text.setAttribute('x', (x + 3).toFixed(2));
			f.text.textContent = room < 3 ? '' : label(f.name, room);
		}
	}

	/** Without the path of its package when it is too long. */
	function label(name, room) {
		const start = name.slice(0, name.search(/[[(]|$/)).lastIndexOf('/') + 1, text = name.length > room ? name.slice(start) : name;

		return text.length > room ? text.slice(0, room - 1) + '…' : text;
	}

	function zoom(to) {
		const end = to.x + to.width, scale = full / to.width, slack = 0.02;

		for (const f of frames) {
			const above = f.row < to.row && f.x <= to.x + slack && f.x + f.width >= end - slack;
			const below = f.row >= to.row && f.x >= to.x - slack && f.x + f.width <= end + slack;

			f.g.classList.toggle('gone', !above && !below);
			f.g.classList.toggle('above', above);
			if (above)
				place(f, 0, full);
			else if (below)
				place(f, (f.x - to.x) * scale, f.width * scale);
		}
		out.classList.toggle('gone', to === frames[0]);
	}

	function test(term) {
		try {
			const pattern = new RegExp(term, 'iu');

			return (name) => pattern.test(name);
		} catch {
			return (name) => name.includes(term);
		}
	}

	/** A frame in or below one that was found already counts there. */
	function search(term) {
		const found = test(term);
		let sum = 0, within = Infinity;

		for (const f of frames) {
			const hit = Boolean(term) && found(f.name);

			f.g.classList.toggle('hit', hit);
			f.g.classList.toggle('miss', Boolean(term) && !hit);
			if (f.row <= within)
				within = Infinity;
			if (hit && within === Infinity) {
				sum += f.width;
				within = f.row;
			}
		}
		words.textContent = term ? `"${term.slice(0, 40)}": ${(100 * sum / full).toFixed(1)} %` : '';
	}

	function ask() {
		const term = prompt('Part of a name, or a regular expression; nothing ends the search.', '');

		if (term !== null)
			search(term);
	}

	for (const f of frames) {
		f.g.addEventListener('click', () => zoom(f));
		f.g.addEventListener('mouseenter', () => {
			svg.getElementById('detail').textContent = f.title.slice(0, 400).replace(/\n/g, '  ').slice(0, 160);
		});
	}
	find.classList.remove('gone');
	find.addEventListener('click', ask);
	out.addEventListener('click', () => zoom(frames[0]));
	window.addEventListener('keydown', (e) => {
		if (e.ctrlKey || e.altKey || e.metaKey)
			return;
		if (e.key === '/') {
			e.preventDefault();
			ask();
		} else if (e.key === 'Escape' && frames.length > 0) {
			search('');
			zoom(frames[0]);
		}
	});
})();
