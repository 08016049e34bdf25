// SPDX-License-Identifier: Apache-2.0
// The functions as a table; with a limit of rows.

const ROWS_AT_ONCE = 200;
const SORTS = ['flat', 'cum', 'flatChange', 'cumChange', 'name'];

class FunctionTable {
	/** tools: {profile(), column(), type(), matches(), compare(), oldOf(value), link(func)} */
	constructor(host, tools) {
		this.host = host;
		this.tools = tools;
		this.sort = 'flat';
		this.down = true;
		this.rows = ROWS_AT_ONCE;
		this.onSort = () => {};
	}

	columns() {
		const some = [['flat', 'Flat', 'in the function itself'], ['cum', 'Cum', 'with all that it called']];

		if (this.tools.compare())
			some.push(['flatChange', 'Flat ±', 'change of flat'], ['cumChange', 'Cum ±', 'change of cum']);
		return [...some, ['name', 'Function', 'name and source']];
	}

	/** The function's value in a column. */
	valueOf(column) {
		const profile = this.tools.profile(), {now, old} = profile.functions(this.tools.type()), {oldOf} = this.tools;

		return {
			flat: (f) => now.flat[f],
			cum: (f) => now.cum[f],
			flatChange: (f) => now.flat[f] - oldOf(old.flat[f]),
			cumChange: (f) => now.cum[f] - oldOf(old.cum[f]),
			name: (f) => profile.names[f],
		}[column];
	}

	order() {
		const profile = this.tools.profile(), matches = this.tools.matches(), known = this.columns().some(([key]) => key === this.sort);
		const key = known ? this.sort : 'flat', value = this.valueOf(key), cum = this.valueOf('cum'), flat = this.valueOf('flat');
		const old = this.tools.compare() ? profile.functions(this.tools.type()).old : null, list = [];

		for (let f = 0; f < profile.nfuncs; f++) {
			if ((!matches || matches[f]) && (cum(f) !== 0 || flat(f) !== 0 || (old && old.cum[f] !== 0)))
				list.push(f);
		}
		if (key === 'name')
			return this.down ? list : list.reverse();
		const sign = this.down ? 1 : -1;

		return list.sort((a, b) => sign * (Math.abs(value(b)) - Math.abs(value(a))) || Math.abs(cum(b)) - Math.abs(cum(a)) ||
			a - b);
	}

	show(selected) {
		this.selected = selected;
		this.list = this.order();
		this.host.replaceChildren();
		const table = this.host.appendChild(document.createElement('table'));

		table.setAttribute('aria-rowcount', this.list.length + 1);
		table.appendChild(this.head());
		this.body = table.appendChild(document.createElement('tbody'));
		this.filled = 0;
		this.more = this.host.appendChild(document.createElement('button'));
		this.more.className = 'more';
		this.more.addEventListener('click', () => this.fill(this.filled + ROWS_AT_ONCE));
		this.fill(ROWS_AT_ONCE);
		this.host.scrollTop = 0;
		// only the table scrolls, not the page
		const chosen = this.host.querySelector('tr.selected');

		if (chosen && chosen.offsetTop + chosen.offsetHeight > this.host.clientHeight)
			this.host.scrollTop = chosen.offsetTop - this.host.clientHeight / 2;
	}

	head() {
		const head = document.createElement('thead'), row = head.appendChild(document.createElement('tr'));

		for (const [key, title, help] of this.columns()) {
			const cell = row.appendChild(document.createElement('th')), button = cell.appendChild(document.createElement('button'));

			cell.scope = 'col';
			cell.className = key === 'name' ? 'name' : 'value';
			button.textContent = title + (key === this.sort ? (this.down === (key !== 'name') ? ' ▼' : ' ▲') : '');
			button.title = help;
			if (key === this.sort)
				cell.setAttribute('aria-sort', this.down === (key !== 'name') ? 'descending' : 'ascending');
			button.addEventListener('click', () => {
				this.down = this.sort === key ? !this.down : true;
				this.sort = key;
				this.show(this.selected);
				this.host.querySelector(`th[aria-sort] button`).focus();
				this.onSort();
			});
		}
		return head;
	}

	fill(upTo) {
		const values = this.columns().filter(([key]) => key !== 'name').map(([key]) => [key, this.valueOf(key)]);

		for (; this.filled < upTo && this.filled < this.list.length; this.filled++)
			this.body.appendChild(this.row(this.list[this.filled], values));
		const left = this.list.length - this.filled;

		this.more.hidden = left === 0;
		this.more.textContent = `${Math.min(left, ROWS_AT_ONCE)} more of ${left}`;
	}

	row(f, values) {
		const row = document.createElement('tr'), c = this.tools.column();

		row.classList.toggle('selected', f === this.selected);
		for (const [key, value] of values) {
			const cell = row.appendChild(document.createElement('td')), v = value(f);

			cell.className = 'value';
			cell.textContent = key.endsWith('Change') ? formatChange(v, c.unit) : formatValue(v, c.unit);
			const share = cell.appendChild(document.createElement('span'));

			share.className = 'share';
			share.textContent = formatShare(v, c.whole);
			if (!key.endsWith('Change'))
				cell.style.setProperty('--share', Math.min(100, 100 * Math.abs(v) / (c.whole || 1)).toFixed(2) + '%');
		}
		row.appendChild(this.nameCell(f));
		return row;
	}

	nameCell(f) {
		const profile = this.tools.profile(), cell = document.createElement('td'), link = cell.appendChild(document.createElement('a'));
		const kind = cell.appendChild(document.createElement('span')), where = cell.appendChild(document.createElement('span'));

		cell.className = 'name';
		link.href = this.tools.link(f);
		link.textContent = shorten(profile.names[f], 300);
		link.title = shorten(profile.names[f], 2000);
		kind.className = 'kind';
		kind.textContent = KINDS[profile.kinds[f]].name;
		where.className = 'where';
		where.textContent = shorten(profile.where(f), 300);
		return cell;
	}
}
