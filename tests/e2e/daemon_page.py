# SPDX-License-Identifier: Apache-2.0
"""The daemon's page in a headless Chromium, before a daemon that is made up (daemon_made.py), and before prowl's own."""

import contextlib
import http.client
import json
import socket
import time
import urllib.parse

import daemon
import daemon_made
import harness
from chromium import Browser
from daemon_made import DAY, HOSTILE, HOUR, MINUTE, NEW, OLD, RELEASED, T0
from harness import check, note, test

FIRST = T0 - 2 * HOUR
SHIFT = 8  # of Input.dispatchMouseEvent


def stamp(ms):
    return time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(ms / 1000))


def start(**more):
    return '#' + urllib.parse.urlencode({'from': stamp(FIRST), 'to': stamp(T0 + HOUR), 'time': 'utc', **more})


class Page:
    """The page in a browser; everything that it asked for is in server.asked."""

    def __init__(self, browser, server):
        self.b, self.server = browser, server

    def open(self, **state):
        del self.server.asked[:]
        self.b.open(self.server.url + start(**state))
        self.ready()

    def show(self, **state):
        """As open(), without loading the page."""
        del self.server.asked[:]
        self.b.run('new Promise((done) => { if (location.hash === %r) done(); addEventListener("popstate", done, {once: true}); '
                   'location.hash = %r; })' % (start(**state), start(**state)))
        self.ready()

    def ready(self):
        self.b.wait('window.prowl && document.documentElement.dataset.ready === "yes"', 'the page is ready', 20)

    def text(self, id):
        return self.b.run('document.getElementById("%s").textContent' % id)

    def state(self):
        return self.b.run('prowl.at')

    def asked(self, name):
        """The parameters of the requests for that path."""
        return [q for path, q in self.server.asked if path == '/api/v1/' + name]

    def last(self, name):
        found = [q for q in self.asked(name) if q.get('top') != '50']  # that of the small pictures comes later
        check(found, 'nothing asked for %s', name)
        return found[-1]

    def boxes(self):
        return self.b.run('prowl.flame.boxes().map(({name, depth, value, width}) => ({name, depth, value, width: Math.round(width)}))')

    def box(self, name):
        found = [x for x in self.boxes() if x['name'] == name]
        check(found, 'no frame %s in %s', name, [x['name'] for x in self.boxes()])
        return max(found, key=lambda x: x['value'])

    def place(self, ms, y=80):
        """Where a time is in the timeline."""
        return self.b.run("""(() => { const edge = prowl.plot.canvas.getBoundingClientRect();
            return [edge.left + prowl.plot.x(%d), edge.top + %d]; })()""" % (ms, y))

    def mouse(self, kind, x, y, **more):
        self.b.call('Input.dispatchMouseEvent', type=kind, x=x, y=y, **more)

    def drag(self, a, b, y=80, modifiers=0):
        (x, top), (end, _) = self.place(a, y), self.place(b, y)
        more = {'button': 'left', 'modifiers': modifiers}
        self.mouse('mouseMoved', x, top, modifiers=modifiers)
        self.mouse('mousePressed', x, top, clickCount=1, **more)
        for share in (0.5, 1):
            self.mouse('mouseMoved', x + share * (end - x), top, buttons=1, **more)
        self.mouse('mouseReleased', end, top, clickCount=1, **more)
        self.ready()

    def tip(self, ms, y=80):
        self.mouse('mouseMoved', *self.place(ms, y))
        return self.b.wait('document.querySelector(".tip:not([hidden])")?.textContent', 'a tooltip', 10)

    def press(self, key):
        self.b.key(key)
        self.ready()

    def press_shift(self, key):
        for kind in ('keyDown', 'keyUp'):
            self.b.call('Input.dispatchKeyEvent', type=kind, key=key, modifiers=SHIFT)
        self.ready()

    def quiet(self):
        check(not self.b.complaints, 'the console says: %s', self.b.complaints)
        check(not self.b.dialogs, 'a dialog opened: %s', self.b.dialogs)
        outside = [u for u in self.b.requests if not u.startswith((self.server.url, 'data:', 'about:blank'))]
        check(not outside, 'asked for %s', outside)


def loads(p):
    p.open()
    paths = [path for path, _ in p.server.asked]
    check(sorted(paths) == sorted(['/', '/ui/page.css', '/ui/page.js'] + ['/api/v1/' + n for n in ('status', 'series', 'timeline', 'profile')]),
          'the first load asks for %s', paths)
    q = p.last('profile')
    check(q['format'] == 'flame' and q['max_nodes'] == '20000' and (int(q['from']), int(q['to'])) == (T0, T0 + HOUR),
          'the profile is of %s', q)
    check(p.b.run('[...document.querySelectorAll("#services .title")].map((t) => t.textContent)')[:4] ==
          ['All services', 'api-gateway', 'prometheus', 'etcd'], 'services: %s', p.text('services'))
    want = sum(v[1] for v in daemon_made.stacks_of('cpu', '', T0, T0 + HOUR)[0].values())
    check(p.box('all')['value'] == want, 'all is %s, not %d', p.box('all'), want)
    check('08:00 – 09:00' in p.text('picture') and '60 windows' in p.text('picture'), 'the line says %s', p.text('picture'))
    check('prowl 0.2.0' in p.text('status') and '812 MB of 2 GB' in p.text('status'), 'status: %s', p.text('status'))
    said = p.tip(T0 + 10 * MINUTE + 1000)
    value = daemon_made.load('prometheus', (T0 + 10 * MINUTE) // MINUTE) / 60e9
    check('08:10 UTC' in said and 'prometheus%.2f CPUs' % value in said, 'the tooltip says %s', said)
    check('the daemon was not running' in p.tip(daemon_made.GAP[0] + 3 * MINUTE), 'the gap has no reason')
    check('release of api-gateway' in p.tip(RELEASED, 8), 'the release is not told')
    p.quiet()


def zooms(p):
    before = p.state()
    p.drag(T0 - HOUR, T0 - 15 * MINUTE)
    s = p.state()
    check((s['from'], s['to']) == (stamp(T0 - HOUR), stamp(T0 - 15 * MINUTE)), 'zoomed to %s – %s', s['from'], s['to'])
    check((int(p.last('timeline')['from']), int(p.last('profile')['to'])) == (T0 - HOUR, T0 - 15 * MINUTE), 'asked for %s', p.last('timeline'))
    p.drag(T0 - 45 * MINUTE, T0 - 20 * MINUTE)
    check(p.state()['from'] == stamp(T0 - 45 * MINUTE), 'the second zoom: %s', p.state())
    p.press('Backspace')
    check(p.state()['from'] == stamp(T0 - HOUR), 'Backspace: %s', p.state())
    p.press('Backspace')
    check(p.state() == before, 'Backspace leads to %s, not %s', p.state(), before)
    # the strip below selects; the timeline stays
    timelines = len(p.asked('timeline'))
    p.drag(FIRST + 10 * MINUTE, FIRST + 30 * MINUTE, y=p.b.run('prowl.plot.height') - 8)
    s = p.state()
    check((s['s0'], s['s1'], s['from']) == (stamp(FIRST + 10 * MINUTE), stamp(FIRST + 30 * MINUTE), stamp(FIRST)), 'selected: %s', s)
    check(int(p.last('profile')['to']) == FIRST + 30 * MINUTE and len(p.asked('timeline')) == timelines, 'asked for %s', p.server.asked[-3:])
    p.press('Escape')


def compares(p):
    p.open(service='api-gateway', s0=stamp(RELEASED), s1=stamp(RELEASED + 20 * MINUTE))
    check(p.last('timeline')['by'] == 'build', 'stacked by %s', p.last('timeline'))
    p.drag(T0, T0 + 20 * MINUTE, modifiers=SHIFT)
    check(p.state()['tab'] == 'compare', 'the tab: %s', p.state())
    q = next(q for q in p.asked('diff') if q['format'] == 'flame')
    check([int(q[k]) for k in ('a.from', 'a.to', 'b.from', 'b.to')] == [T0, T0 + 20 * MINUTE, RELEASED, RELEASED + 20 * MINUTE] and
          q['a.match'] == 'service="api-gateway"', 'compared: %s', q)
    change = p.b.run("""(() => { const c = prowl.profile, f = c.funcNamed('database/sql.(*DB).QueryContext'), {now, old} = c.functions(prowl.type);
        return now.cum[f] / old.cum[f]; })()""")
    check(change > 1.5, 'QueryContext changed by %s', change)
    check('regressed' in p.text('list') and '1.72' in p.text('list'), 'the statistics: %s', p.text('list'))
    link = p.b.run('location.href')
    seen = (p.boxes(), p.text('picture'), p.text('list'), p.text('range'), p.text('base'))
    p.b.reload()
    p.ready()
    check((p.boxes(), p.text('picture'), p.text('list'), p.text('range'), p.text('base')) == seen, 'a reload shows another view')
    p.b.open(link)
    p.ready()
    check((p.boxes(), p.text('picture'), p.text('list'), p.text('range'), p.text('base')) == seen, 'the link shows another view')
    p.show(service='api-gateway', filter='host="web-1"', c0=stamp(T0), c1=stamp(RELEASED), s0=stamp(RELEASED), s1=stamp(T0 + 50 * MINUTE), tab='compare')
    check('database/sql.(*DB).QueryContext' in p.text('list') and 'that takes statistics' in p.text('list'), 'without statistics: %s', p.text('list'))
    p.b.complaints.clear()  # of the request that was refused
    # two releases
    p.show(service='api-gateway', tab='compare', oldBuild=OLD, newBuild=NEW)
    q = p.last('diff')
    check((q['a.match'], q['b.match']) == ('service="api-gateway",build="%s"' % OLD, 'service="api-gateway",build="%s"' % NEW), 'releases: %s', q)
    p.quiet()


def graph_link(p):
    """A zoomed graph is in the address by names: it is the same one in the profile of another time."""
    p.show(service='etcd', tab='flame')
    handle = next(x for x in p.b.run('prowl.flame.boxes()') if x['name'] == 'main.(*Server).handle')
    p.b.click(handle['x'], handle['y'])
    p.ready()
    check(p.b.run('prowl.flame.layout.way.length') == 4, 'not zoomed: %s', p.state())
    p.b.run('prowl.go({service: "caddy"})')
    p.ready()
    way = p.b.run('prowl.flame.layout.way.map((f) => prowl.name(f))')
    check(way[-1] == 'main.(*Server).handle', 'in another service: %s', way)


def focus(p):
    return p.b.run("""(() => { const e = document.activeElement, s = getComputedStyle(e);
        return [e.id || e.parentElement.id || e.textContent, e.tagName, s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 1,
            e.getAttribute('aria-label') || e.labels?.[0]?.textContent || e.textContent || e.title]; })()""")


def keyboard(p):
    p.open()
    seen = []
    while len(seen) < 60 and (not seen or seen[-1][:2] != ['plot', 'CANVAS']):
        p.b.key('Tab')
        seen.append(focus(p))
    check(seen[-1][:2] == ['plot', 'CANVAS'], 'Tab does not come to the timeline: %s', seen)
    check(all(visible for _, _, visible, _ in seen), 'no focus to be seen: %s', [s for s in seen if not s[2]])
    check(all(name.strip() for *_, name in seen), 'without a name: %s', [s for s in seen if not s[3].strip()])
    p.press('ArrowLeft')
    check((p.state()['s0'], p.state()['s1']) == (stamp(T0 - 15 * MINUTE), stamp(T0 + 45 * MINUTE)), 'ArrowLeft: %s', p.state())
    p.press_shift('ArrowLeft')
    check((p.state()['s0'], p.state()['s1']) == (stamp(T0 - 15 * MINUTE), stamp(T0 + 30 * MINUTE)), 'Shift ArrowLeft: %s', p.state())
    p.press('Enter')
    check((p.state()['from'], p.state()['to']) == (stamp(T0 - 15 * MINUTE), stamp(T0 + 30 * MINUTE)), 'Enter: %s', p.state())
    p.press('Backspace')
    check(p.state()['from'] == stamp(FIRST), 'Backspace: %s', p.state())
    for number, tab in enumerate(p.b.run('[...document.querySelectorAll("[role=tab]")].map((t) => t.id.slice(4))'), 1):
        p.press(str(number))
        selected = p.b.run('[...document.querySelectorAll("[role=tab][aria-selected=true]")].map((t) => t.id)')
        check(p.state()['tab'] == tab and selected == ['tab-' + tab], 'key %d shows %s', number, selected)
    p.b.run('document.getElementById("tab-events").focus()')
    p.press('ArrowRight')
    check(p.state()['tab'] == 'flame' and focus(p)[0] == 'tab-flame', 'ArrowRight: %s', focus(p))
    p.press('/')
    p.b.type('json')
    check(p.b.run('Boolean(prowl.match)') and 'functions' in p.text('found'), 'the search: %s', p.text('found'))
    p.press('Escape')
    check(p.state()['search'] == '', 'Escape: %s', p.state())
    p.quiet()


def tabs(p):
    p.show(tab='goroutines')
    check(p.last('diff')['kind'] == 'goroutine' and 'net.(*conn).Read' in p.text('list') and 'runtime.netpollblock' in p.text('list') and
          'at the beginning' in p.text('list'),
          'goroutines: %s', p.text('list'))
    check('goroutines' in p.text('charts') and 'heap' not in p.text('charts'), 'figures: %s', p.text('charts'))
    p.show(tab='goroutines', s0=stamp(daemon_made.GAP[0] - 3 * MINUTE), s1=stamp(T0))
    check(p.last('profile')['agg'] == 'last' and 'net.(*conn).Read' in p.text('list') and 'at the beginning' not in p.text('list'),
          'goroutines of which nothing is known at the beginning: %s', p.text('list'))
    p.b.complaints.clear()  # of the request that was refused
    p.show(tab='heap', search='Cache')
    check(p.last('diff')['kind'] == 'heap' and '(*Cache).put' in p.text('functions') and 'heap live' in p.text('charts'), 'heap: %s', p.text('functions'))
    p.show(tab='processes')
    check('killed by signal 9' in p.text('list') and '9 processes, 8 of them run' in p.text('list'), 'processes: %s', p.text('list'))
    p.show(tab='events', event='e1-memory')
    check('costs 1.8 times as much' in p.text('list'), 'events: %s', p.text('list'))
    p.b.run('[...document.querySelectorAll("#list a")].find((a) => a.textContent === "compare").click()')
    p.ready()
    check((p.state()['tab'], p.state()['oldBuild'], p.last('diff')['a.match']) == ('compare', OLD, 'service="api-gateway",build="%s"' % OLD),
          'the event\'s comparison: %s', p.state())
    p.quiet()


def hostile(p):
    p.show(tab='events', service=HOSTILE)
    check(p.last('timeline')['match'] == 'service="%s"' % HOSTILE.replace('"', '\\"'), 'asked for %s', p.last('timeline'))
    links = p.b.run('[...document.querySelectorAll("#list a")].map((a) => a.href)')
    check(links and all(u.startswith((p.server.url + 'api/v1/events/', p.server.url + '#')) for u in links), 'links: %s', links)
    for tab in ('flame', 'table', 'goroutines', 'processes', 'compare'):
        p.show(tab=tab, func=HOSTILE, search='<img', c0=stamp(FIRST), c1=stamp(T0))
        check(p.b.run('document.querySelectorAll("img, iframe, body script").length') == 0, 'a name became an element in %s', tab)
    p.tip(T0 + 10 * MINUTE, 8)
    check('<img src=x' in p.text('services') and '\u202e' not in p.b.run('document.body.innerText'), 'the name is not shown as text')
    broken = ['from=1&to=x', 'from=' + stamp(T0) + '&to=' + stamp(T0 - DAY), 'tab=%3Cb%3E&kind=x', 'zoom=9.9&callers=1&func=' + 'x' * 5000]
    for state in broken:
        p.b.run('new Promise((done) => { addEventListener("popstate", done, {once: true}); location.hash = %r; })' % state)
        p.ready()
        check(p.box('all')['width'] > 100, 'nothing is shown for %s', state)
    p.quiet()


def refusals(p):
    p.show(kind='mutex')
    check(p.text('wrong') == 'No mutex profiles in this time. The program does not record them: prowl rates.', 'said: %s', p.text('wrong'))
    check(p.b.run('document.getElementById("main").hidden'), 'a picture of nothing')
    p.show(filter='boom')
    check('boom is no label. Write NAME="VALUE".' in p.text('trouble'), 'said: %s', p.text('trouble'))
    p.b.run('prowl.go({filter: "", kind: "cpu"})')
    p.ready()
    check(p.b.run('document.getElementById("trouble").hidden && document.getElementById("wrong").hidden') and p.box('all'), 'it stays: %s',
          p.text('trouble'))
    p.b.complaints.clear()  # of requests that were refused


def buttons(p):
    p.show(service='etcd')
    links = {id: p.b.run('document.getElementById("%s").href' % id) for id in ('pprof', 'speedscope', 'html', 'pgo')}
    for id, href in links.items():
        url = urllib.parse.urlsplit(href)
        q = dict(urllib.parse.parse_qsl(url.query))
        check(url.path == '/api/v1/' + ('pgo' if id == 'pgo' else 'profile') and q.get('format', 'pgo') == id and q['match'] == 'service="etcd"' and
              int(q['from']) == T0, '%s leads to %s', id, href)
    p.b.run('document.getElementById("command").click()')
    line = p.b.run('document.getElementById("line").value')
    check(line.startswith('go tool pprof "http://prowl:$(prowl daemon token)@127.0.0.1:') and 'match=service%3D%22etcd%22' in line, 'the command: %s', line)
    p.b.key('Escape')
    p.b.run('document.getElementById("capture").click()')
    p.b.wait('!document.getElementById("take").disabled', 'processes to choose from', 10)
    p.b.run('document.getElementById("reason").value = "slow <b>"; document.getElementById("seconds").value = 1; '
            'document.getElementById("take").click()')
    p.b.wait('prowl.at.tab === "events"', 'the capture is there', 20)
    p.ready()
    path, headers, said = p.server.posted[0]
    check(path == '/api/v1/captures' and headers['X-Prowl'] == '1' and headers['Content-Type'] == 'application/json' and
          headers['Origin'] == server_origin(p) and
          said == {'target': '1002@17', 'kinds': ['cpu'], 'seconds': 1, 'reason': 'slow <b>'}, 'posted: %s %s', said, headers)
    check('slow <b>' in p.text('list'), 'the event: %s', p.text('list'))
    p.quiet()


def server_origin(p):
    return p.server.url.rstrip('/')


def contrast(p, id):
    """Of an element's text before what is behind it, as WCAG has it."""
    return p.b.run("""(() => {
        const light = (c) => { const [r, g, b] = c.match(/[\\d.]+/g).map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
            return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
        let e = document.getElementById('%s'), back = e;
        while (getComputedStyle(back).backgroundColor === 'rgba(0, 0, 0, 0)') back = back.parentElement;
        const a = light(getComputedStyle(e).color), b = light(getComputedStyle(back).backgroundColor);
        return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); })()""" % id)


def looks(p):
    backs = []
    for dark in (False, True):
        p.b.dark(dark)
        p.show()
        p.b.wait('document.documentElement.dataset.theme === "%s"' % ('dark' if dark else 'light'), 'the theme')
        backs.append(p.b.run('getComputedStyle(document.body).backgroundColor'))
        for id in ('status', 'picture', 'tab-table', 'range', 'legend', 'names'):
            seen = contrast(p, id)
            check(seen >= 4.5, '%s has a contrast of %.1f, dark: %s', id, seen, dark)
    p.press('t')
    backs.append(p.b.run('getComputedStyle(document.body).backgroundColor'))
    check(backs == ['rgb(255, 255, 255)', 'rgb(22, 24, 28)', 'rgb(255, 255, 255)'], 'backgrounds: %s', backs)
    p.b.call('Emulation.setDeviceMetricsOverride', width=400, height=800, deviceScaleFactor=1, mobile=False)
    for tab in ('flame', 'sandwich', 'compare', 'processes', 'goroutines', 'heap'):
        p.show(tab=tab, func='main.render', c0=stamp(FIRST), c1=stamp(T0))
        over = p.b.run('[...document.querySelectorAll("body *")].filter((e) => !e.closest(".scroll, #tabs, .tip, dialog, #names, #functions") && '
                       'e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.id || e.className || e.tagName)')
        check(p.b.run('document.documentElement.scrollWidth') <= 400 and not over, '%s is wider than 400: %s', tab, over)
    check(p.b.run('prowl.plot.canvas.getBoundingClientRect().width') > 330, 'the timeline is narrow')
    p.quiet()


def way_in(d):
    """An address that is good for once."""
    c = http.client.HTTPConnection('localhost')
    c.sock = socket.socket(socket.AF_UNIX)
    with contextlib.closing(c):
        c.sock.connect(d.socket)
        c.request('POST', '/api/v1/login', '{}', {'Content-Type': 'application/json'})
        return json.loads(c.getresponse().read())['url']


def itself(b):
    """The daemon: every tab shows something, or says why there is nothing."""
    harness.need_perf()
    version = harness.any_goroot(['1.24', '1.27', '1.22'])
    with harness.Target(harness.own_copy(harness.build(version, 'labels', 'static'))) as target, \
            daemon.Daemon('page', daemon.rule_for(target, '    service: shop\n'), '--listen', 'http://127.0.0.1:0') as d:
        d.wait_for_windows(3)
        url = way_in(d)
        del b.requests[:], b.complaints[:]
        b.open(url)
        p = Page(b, None)
        p.ready()
        now = time.time() * 1000
        b.run('prowl.go({from: "%s", to: "%s", service: "shop"})' % (stamp(now - 5 * MINUTE), stamp(now + MINUTE)))
        p.ready()
        check('shop' in p.text('services') and p.box('main.work')['value'] > 0, 'the graph has %s', [x['name'] for x in p.boxes()])
        check(b.run('prowl.stack.known.some(Boolean) && prowl.stack.cpu()'), 'the timeline is empty')
        for id in ('pprof', 'speedscope', 'html', 'pgo'):
            got = b.run('fetch(document.getElementById("%s").href).then(async (r) => [r.status, (await r.arrayBuffer()).byteLength])' % id)
            check(got[0] == 200 and got[1] > 100, '%s: %s', id, got)
        shown = {}
        for tab in b.run('[...document.querySelectorAll("[role=tab]")].map((t) => t.id.slice(4))'):
            b.run('prowl.go({tab: "%s", func: "main.work", c0: "%s", c1: "%s"})' % (tab, stamp(now - 5 * MINUTE), stamp(now)))
            p.ready()
            shown[tab] = b.run('document.getElementById("wrong").hidden ? document.getElementById("panel").innerText.length : '
                               'document.getElementById("wrong").textContent')
            check(shown[tab], 'nothing at %s', tab)
        check(all(isinstance(shown[tab], int) for tab in ('flame', 'sandwich', 'table', 'compare', 'processes', 'events')), 'refused: %s', shown)
        note('%s', shown)
        origin = url[:url.index('/login')]
        check(all(u.startswith((origin, 'data:', 'about:blank')) for u in b.requests), 'asked for %s', b.requests)
        errors = [c for c in b.complaints if not c.startswith('Failed to load resource: the server responded with a status of 4')]
        check(not errors and not b.dialogs, 'the console says: %s', errors)


@test('daemon', 'the page in a browser')
def daemon_page():
    with Browser(1280, 900) as b:
        with daemon_made.serving() as server:
            check(sum(len(body) for _, _, body in server.assets) <= 250000, 'the page is too large')
            p = Page(b, server)
            for part in (loads, zooms, compares, graph_link, keyboard, tabs, hostile, refusals, buttons, looks):
                part(p)
        try:
            itself(b)
        except harness.Skip as e:
            note('not before the daemon itself: %s', e)
