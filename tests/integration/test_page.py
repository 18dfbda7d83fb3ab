"""
The status page in Chromium: what it shows without JavaScript, how it follows what happens, that it looks for nothing elsewhere, and
that everybody can read it: with a keyboard, on a telephone, in the dark, on paper.
"""
import json
import re
import socket
import struct
import urllib.parse
import zlib

import pytest
from lab import holds, merge, until
from lab.chromium import SCHEMES, Chromium
from lab.rig import Rig
from test_http import ask

COUNT = 20  # instances of the service: more than are unfolded


@pytest.fixture
def browser(lab):
	return Chromium(lab)


@pytest.fixture
def rig(lab, consul, sbc, make_c4d):
	"""One service of 20, in one set, and this machine's own registration."""
	over = {"consul": {"http": consul.http_addr, "wake": "index"}, "services": {"rtp": {"interval": "100ms"}},
		"register": {"sbc": {"address": sbc.ip, "port": sbc.port, "checks": {"sip": {"type": "sip", "uri": sbc.uri, "interval": "1s"}}}}}
	rig = Rig(lab, consul, sbc, make_c4d, over=over)
	rig.uris = [rig.add() for _ in range(COUNT)]
	rig.add(service="rtp", port=2223)
	rig.start(*rig.uris)
	rig.url = f"http://{rig.c4d.http_ip}:{rig.c4d.http_port}/"
	until(lambda: rig.c4d.ctl("status").rc == 0, 20, lambda: f"all is well: {rig.c4d.ctl('status').out}")
	return rig


@pytest.fixture
def trouble(rig, lab):
	"""The same with something in each colour: an unreachable Kamailio, a frozen service, one in maintenance."""
	rig.c4d.write(merge(rig.conf, {"kamailio": {"gone": {"binrpc": f"unix:{lab.path('nobody', 'ctl')}", "list_file":
		lab.path("nobody", "list"), "dispatcher": {"1": {"service": "router", "uri": "sip:{address}:{port}"}}}},
		"services": {"never": {"interval": "100ms"}}}))
	assert rig.c4d.ctl("reload").rc == 0
	rig.out(rig.uris[3])
	assert rig.c4d.ctl("hold", "rtp").rc == 0
	until(lambda: rig.c4d.targets()["gone/1"]["state"] == "unreachable" and "disabled" in rig.c4d.states("router").values(), 10)
	return rig


def is_live(tab, timeout=10):
	until(lambda: tab.text("#live") == "live" and tab.run("document.getElementById('lost').hidden"), timeout,
		lambda: f"live: {tab.text('header')}")


def row(tab, section, first):
	"""The cells of a table's row, by its first one."""
	return tab.run("[...document.querySelectorAll(%s)].filter(r => r.cells[0].textContent === %s).map(r => [...r.cells].map(c => "
		"c.textContent.trim()))[0]" % (json.dumps(f"#{section} tbody tr"), json.dumps(first)))


def instance(tab, uri):
	return row(tab, "instances", uri[4:])


# ---- without JavaScript ----

def test_without_javascript(rig, browser):
	tab = browser.tab(rig.url, script=False)
	assert tab.text("h1") == "All is well"
	services = row(tab, "services", "router")
	assert services[1:4] == ["up", str(COUNT), "0"] and "complete" in services
	target = row(tab, "targets", "sbc/1")
	generation = str(rig.target()["applied_generation"])
	assert target[1:3] == ["dispatcher", "converged"] and target[4:7] == [generation, generation, "0"]
	assert row(tab, "registrations", "sbc")[1] == "registered"
	assert row(tab, "kamailios", "sbc")[1] == "reachable"
	assert [instance(tab, u)[1] for u in rig.uris] == ["up"] * COUNT
	assert row(tab, "changes", generation)[4].endswith(" ms")
	assert re.fullmatch(r"\d+(\.\d)?s|\d+m\d\ds", target[3])
	assert "JavaScript is off" in tab.text("#live") and "UTC" in tab.text("#live")
	assert tab.complaints() == []
	assert tab.requests() == [rig.url]
	# what is folded opens without a script, too
	assert tab.run("document.querySelector('#i0').open") is False and tab.run("document.querySelector('#i1').open") is True


def test_answers(rig, lab):
	at = (rig.c4d.http_ip, rig.c4d.http_port)
	page = ask(at, "/")
	assert page.status == 200 and page.headers["content-type"] == "text/html; charset=utf-8"
	policy = page.headers["content-security-policy"]
	assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy and "frame-ancestors 'none'" in policy
	assert page.headers["x-frame-options"] == "DENY" and page.headers["x-content-type-options"] == "nosniff"
	assert page.headers["referrer-policy"] == "no-referrer" and page.headers["cache-control"] == "no-store"
	assert "set-cookie" not in page.headers
	assert b"@HOST@" not in page.body and b"@MAIN@" not in page.body
	assert ask(at, "/", "HEAD").body == b"" and ask(at, "/v1/events", "HEAD").status == 200
	for path in ("/", "/v1/events"):
		for method in ("POST", "PUT", "DELETE"):
			assert ask(at, path, method).status == 405


# ---- live ----

def test_it_follows(rig, browser):
	"""An instance leaves at Consul: its row and its mark change within 3 s, and nothing else that the reader has done."""
	tab = browser.tab(rig.url, motion=True)
	is_live(tab)
	tab.run("window.kept = document.querySelector('#services table'); document.querySelector('#i0').open = true;"
		"document.querySelector('#i1').open = false; document.querySelector('#i1 summary').focus(); scrollTo(0, 300)")
	before = rig.target()["applied_generation"]
	leaves, stays = rig.uris[7], rig.uris[8]
	rig.gone(leaves)
	until(lambda: instance(tab, leaves)[1] == "disabled", 3, lambda: f"disabled: {instance(tab, leaves)}")
	until(lambda: row(tab, "services", "router")[2:5] == [str(COUNT - 1), "0", "1"], 3, lambda: f"{row(tab, 'services', 'router')}")
	until(lambda: (row(tab, "changes", str(before + 1)) or [""] * 6)[4].endswith(" ms"), 3, lambda: f"verified: {tab.text('#changes')}")
	assert f"{leaves[4:]} up → disabled" in row(tab, "changes", str(before + 1))[3]
	assert instance(tab, stays)[1] == "up"
	assert tab.run("document.getAnimations().length") > 0  # it catches the eye
	assert tab.run("document.querySelectorAll('#topology use[href=\"#m-disabled\"]').length") == 1
	assert tab.run("window.kept === document.querySelector('#services table')")  # it is the same page
	assert tab.run("[document.querySelector('#i0').open, document.querySelector('#i1').open, scrollY]") == [True, False, 300]
	assert tab.run("document.activeElement === document.querySelector('#i1 summary')")
	assert instance(tab, rig.uris[0])[2].endswith("s")
	new = rig.add()
	until(lambda: instance(tab, new), 3, "the new one has a row")
	assert tab.complaints() == []
	assert tab.requests() == [rig.url, rig.url + "v1/events"]


def test_headline_and_tab_tell(rig, browser):
	tab = browser.tab(rig.url)
	is_live(tab)
	assert tab.run("document.title").startswith("All is well · ")
	icon = tab.run("document.querySelector('[rel=icon]').href")
	assert rig.c4d.ctl("hold", "router").rc == 0
	until(lambda: tab.text("h1") == "1 problem", 3, lambda: tab.text("h1"))
	assert tab.run("document.querySelector('#head').className") == "warn"
	assert "router is frozen by an operator" in tab.text("#problems") and "→ c4ctl release router" in tab.text("#problems")
	assert tab.run("document.title").startswith("1 problem · ")
	assert tab.run("document.querySelector('[rel=icon]').href") != icon
	rig.sbc.kill()
	until(lambda: tab.run("document.querySelector('#head').className") == "bad", 10, lambda: tab.text())
	until(lambda: row(tab, "targets", "sbc/1")[2] == "unreachable", 3)
	rig.sbc.start()
	assert rig.c4d.ctl("release", "router").rc == 0
	until(lambda: tab.text("h1") == "All is well" and not tab.run("!!document.querySelector('#problems')"), 15, lambda: tab.text())
	assert tab.complaints() == []


def test_a_restart(rig, browser):
	"""The page says that it is cut off, looks like it, and comes back by itself."""
	tab = browser.tab(rig.url)
	is_live(tab)
	pid = rig.c4d.proc.pid
	rig.c4d.stop()
	until(lambda: "connection lost since" in tab.text("#live"), 5, lambda: tab.text("header"))
	assert re.search(r"Connection lost since \d\d:\d\d:\d\d", tab.text("#head")) and tab.text("h1") == "All is well"
	assert tab.run("document.title").startswith("Connection lost · ")
	assert "repeating-linear-gradient" in tab.run("getComputedStyle(document.querySelector('#head')).backgroundImage")
	rig.c4d.start()
	is_live(tab, 15)
	until(lambda: tab.text("h1") == "All is well" and tab.run("document.title").startswith("All is well"), 10, lambda: tab.text())
	until(lambda: f"pid {rig.c4d.proc.pid}" in tab.text("dl"), 5, lambda: tab.text("dl"))
	assert pid != rig.c4d.proc.pid
	assert [c for c in tab.complaints() if "ERR_CONNECTION_REFUSED" not in c and "ERR_INCOMPLETE_CHUNKED" not in c] == []


def test_a_reload_does_not_disturb(rig, browser):
	tab = browser.tab(rig.url)
	is_live(tab)
	rig.c4d.write(merge(rig.conf, {"services": {"more": {"interval": "100ms"}}}))
	assert rig.c4d.ctl("reload").rc == 0
	until(lambda: row(tab, "services", "more"), 5, "the new service is shown")
	assert tab.text("#live") == "live" and tab.requests() == [rig.url, rig.url + "v1/events"]


def test_no_place(rig, browser):
	"""Eight may watch. Who is one too many has the page, and his place as soon as there is one."""
	at = (rig.c4d.http_ip, rig.c4d.http_port)
	others = []
	for _ in range(8):
		s = socket.create_connection(at)
		s.sendall(b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
		assert b"200 OK" in s.recv(4096)
		others.append(s)
	assert ask(at, "/v1/events").status == 503
	tab = browser.tab(rig.url)
	until(lambda: "lost" in tab.text("#live"), 5, lambda: tab.text("header"))
	assert row(tab, "services", "router")[2] == str(COUNT)
	for s in others:
		s.close()
	is_live(tab, 15)


def test_a_hidden_page_asks_for_nothing(rig, browser):
	tab = browser.tab(rig.url)
	is_live(tab)
	at = (rig.c4d.http_ip, rig.c4d.http_port)
	def hide(hidden):
		tab.run(f"Object.defineProperty(document, 'hidden', {{value: {json.dumps(hidden)}, configurable: true}});"
			"document.dispatchEvent(new Event('visibilitychange'))")
	hide(True)
	assert tab.text("#live") == "paused"
	def streams():
		with open("/proc/net/tcp") as f:
			here = f"{struct.unpack('=I', socket.inet_aton(at[0]))[0]:08X}:{at[1]:04X}"
			return sum(1 for line in f if line.split()[1] == here and line.split()[3] == "01")
	until(lambda: streams() == 0, 10, lambda: f"its connection ends: {streams()}")
	rig.gone(rig.uris[1])
	until(lambda: rig.c4d.states("router")[rig.uris[1][4:]] == "disabled", 5)
	holds(lambda: instance(tab, rig.uris[1])[1] == "up", 1.5, "it does not look")
	hide(False)
	is_live(tab)
	until(lambda: instance(tab, rig.uris[1])[1] == "disabled", 3, lambda: instance(tab, rig.uris[1]))


def test_a_wedged_connection_is_noticed(rig, browser):
	"""c4d stands still, the connection stays: 40 s without a word are too many."""
	tab = browser.tab(rig.url)
	is_live(tab)
	rig.c4d.proc.pause()
	tab.run("heard -= 39000")  # most of it has passed
	until(lambda: "lost" in tab.text("#live"), 5, lambda: tab.text("header"))
	rig.c4d.proc.resume()
	is_live(tab, 15)


def test_nobody_elsewhere(rig, browser, lab):
	"""Nothing is asked of anybody else, nothing is kept in the browser."""
	tab = browser.tab(rig.url)
	is_live(tab)
	rig.gone(rig.uris[2])
	until(lambda: instance(tab, rig.uris[2])[1] == "disabled", 3)
	at = urllib.parse.urlsplit(rig.url).netloc
	assert {urllib.parse.urlsplit(u).netloc for u in tab.requests() if not u.startswith("data:")} == {at}
	assert tab.run("[document.cookie, localStorage.length, sessionStorage.length]") == ["", 0, 0]
	# the policy bites: neither a script of another nor a style
	tab.run("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.bad = 1\"><p style=\"color: red\" id=red>x</p>')")
	until(lambda: len(tab.complaints()) >= 2, 5, lambda: f"{tab.complaints()}")
	assert tab.run("window.bad") is None and tab.run("getComputedStyle(document.getElementById('red')).color") != "rgb(255, 0, 0)"


# ---- for everybody ----

def pixels(path):
	"""Of a PNG of 8 bits: (width, height, lines of bytes, bytes per pixel)."""
	with open(path, "rb") as f:
		data = f.read()
	width, height, depth, kind = struct.unpack(">IIBB", data[16:26])
	assert depth == 8 and kind in (2, 6)
	size, raw, at = 3 if kind == 2 else 4, b"", 8
	while at < len(data):
		length, name = struct.unpack(">I4s", data[at:at + 8])
		raw += data[at + 8:at + 8 + length] if name == b"IDAT" else b""
		at += length + 12
	raw, lines, last = zlib.decompress(raw), [], bytearray(width * size)
	for y in range(height):
		start = y * (width * size + 1)
		how, line = raw[start], bytearray(raw[start + 1:start + 1 + width * size])
		for x in range(len(line)):
			a, b, c = line[x - size] if x >= size else 0, last[x], last[x - size] if x >= size else 0
			p = a + b - c
			nearest = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
			line[x] = (line[x] + (0, a, b, (a + b) // 2, nearest)[how]) & 255
		lines.append(line)
		last = line
	return width, height, lines, size


def test_screenshots(trouble, browser, lab):
	"""Kept in the test's directory; they are not blank, and not the same."""
	light = {}
	for scheme in SCHEMES:
		tab = browser.tab(trouble.url, scheme=scheme, width=480, height=400)
		is_live(tab)
		width, height, lines, size = pixels(tab.screenshot(lab.path(f"page-{scheme}.png")))
		assert (width, height) == (480, 400)
		colours = {bytes(line[x:x + 3]) for line in lines for x in range(0, len(line), size)}
		assert len(colours) > 50
		light[scheme] = sum(sum(line[0::size]) + sum(line[1::size]) + sum(line[2::size]) for line in lines) / (width * height * 3)
		tab.size(1280, 900)
		tab.screenshot(lab.path(f"page-{scheme}-whole.png"), whole=True)
		assert tab.complaints() == []
	assert light["light"] > 160 and light["dark"] < 80, light


# Of every text that is seen: its colour against all that may lie behind it. [text, ratio, wanted]
CONTRAST = r"""
(() => {
	const parse = c => { const m = c.match(/[\d.]+/g).map(Number); return [m[0], m[1], m[2], m.length > 3 ? m[3] : 1]; };
	const over = (a, b) => [0, 1, 2].map(i => a[i] * a[3] + b[i] * (1 - a[3])).concat(1);
	const light = c => { const l = c.slice(0, 3).map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
		return .2126 * l[0] + .7152 * l[1] + .0722 * l[2]; };
	const ratio = (a, b) => { const x = light(a), y = light(b); return (Math.max(x, y) + .05) / (Math.min(x, y) + .05); };
	const behind = e => {
		const box = e.closest('svg') && e.closest('g') && e.closest('g').querySelector('.box');
		if (box)
			return [parse(getComputedStyle(box).fill)];
		const layers = [];
		for (; e; e = e.parentElement) {
			const s = getComputedStyle(e);
			if (s.backgroundImage !== 'none')
				return s.backgroundImage.match(/rgba?\([^)]*\)/g).map(parse);
			const c = parse(s.backgroundColor);
			layers.push(c);
			if (c[3] === 1)
				return [layers.reduceRight((b, a) => over(a, b))];
		}
		throw 'nothing behind';
	};
	const out = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	for (let n; (n = walk.nextNode());) {
		const e = n.parentElement, range = document.createRange();
		range.selectNode(n);
		if (!n.data.trim() || !range.getClientRects().length || e.closest('script, style, noscript, title, desc'))
			continue;
		const s = getComputedStyle(e), size = parseFloat(s.fontSize), large = size >= 24 || (size >= 18.66 && s.fontWeight >= 700);
		const colour = parse(e.closest('svg') ? s.fill : s.color);
		out.push([n.data.trim().slice(0, 40), Math.min(...behind(e).map(b => ratio(over(colour, b), b))), large ? 3 : 4.5]);
	}
	return out;
})()
"""


@pytest.mark.parametrize("scheme", SCHEMES)
def test_contrast(trouble, browser, scheme):
	"""WCAG 2.1, 1.4.3 (AA) of all texts, 1.4.11 of marks, lines and borders that tell something; also while the connection is lost."""
	tab = browser.tab(trouble.url, scheme=scheme)
	is_live(tab)
	tab.run("for (const d of document.querySelectorAll('details')) d.open = true")
	def check(least):
		texts = tab.run(CONTRAST)
		assert len(texts) > least
		assert [t for t in texts if t[1] < t[2]] == []
	check(300)
	looks = tab.run("[...document.querySelectorAll('.s')].map(e => e.className)")
	assert {"s ok", "s warn", "s bad"} <= set(looks)
	shapes = tab.run("""(() => {
		const page = getComputedStyle(document.body).backgroundColor, out = [];
		for (const e of document.querySelectorAll('svg use, svg .line, svg .bar, svg .box.warn, svg .box.bad')) {
			const s = getComputedStyle(e), box = e.closest('g') && e.closest('g').querySelector('.box');
			out.push([e.getAttribute('class'), e.matches('use') ? s.color : e.matches('.bar') ? s.fill : s.stroke,
				e.matches('.box') || !box ? page : getComputedStyle(box).fill]);
		}
		return out;
	})()""")
	def light(colour):
		parts = [int(v) / 255 for v in re.findall(r"\d+", colour)[:3]]
		parts = [v / 12.92 if v <= .04045 else ((v + .055) / 1.055) ** 2.4 for v in parts]
		return .2126 * parts[0] + .7152 * parts[1] + .0722 * parts[2]
	assert len(shapes) > COUNT
	for name, front, back in shapes:
		a, b = sorted((light(front), light(back)))
		assert (b + .05) / (a + .05) >= 3, (name, front, back)
	trouble.c4d.stop()
	until(lambda: "lost" in tab.text("#live"), 5)
	check(300)


def test_structure(trouble, browser):
	"""What those who do not see the page go by."""
	tab = browser.tab(trouble.url)
	is_live(tab)
	found = tab.run("""(() => {
		const all = s => [...document.querySelectorAll(s)], bad = [];
		const say = (what, list) => { for (const e of list) bad.push(what + ': ' + e.outerHTML.slice(0, 120)); };
		say('a table without a caption', all('table').filter(t => !t.caption || !t.caption.textContent.trim()));
		say('a head without a scope', all('th').filter(t => !/^(col|row)$/.test(t.scope)));
		say('a row without a head', all('tbody tr').filter(r => !r.querySelector('th[scope=row]') && !r.querySelector('td[colspan]')));
		say('a row of another width', all('tbody tr').filter(r => [...r.cells].reduce((n, c) => n + c.colSpan, 0) !==
			r.closest('table').tHead.rows[0].cells.length));
		say('an empty column head', all('thead th').filter(t => !t.textContent.trim()));
		const ids = all('[id]').map(e => e.id);
		say('an id twice', all('[id]').filter(e => ids.filter(i => i === e.id).length > 1));
		say('a link to nowhere', all('a[href^="#"]').filter(a => !document.getElementById(a.getAttribute('href').slice(1))));
		say('an aria reference to nothing', all('[aria-labelledby]').filter(e => !e.getAttribute('aria-labelledby').split(' ')
			.every(i => document.getElementById(i))));
		say('a region without a name', all('[role=region], nav').filter(e => !e.getAttribute('aria-label')));
		say('what scrolls, and no key reaches it', all('.t').filter(e => e.tabIndex !== 0));
		say('a tabindex above 0', all('[tabindex]').filter(e => e.tabIndex > 0));
		say('an image without a name', all('svg').filter(e => e.getAttribute('role') !== 'img' || !e.querySelector('title').textContent));
		say('details without a summary', all('details').filter(e => !e.firstElementChild.matches('summary')));
		say('a state that only its colour tells', all('.s').filter(e => !e.textContent.trim() ||
			(/ok|warn|bad/.test(e.className) && getComputedStyle(e, '::before').content.length < 3)));
		say('a link or a button without a name', all('a, button').filter(e => !e.textContent.trim()));
		return { bad, lang: document.documentElement.lang, title: document.title, h1: all('h1').length, main: all('main').length,
			landmarks: ['header', 'nav', 'main', 'footer'].map(s => all('body > ' + s + ', header > ' + s).length),
			lives: all('[aria-live]').map(e => e.id), levels: all('h1, h2, h3').map(e => +e.tagName[1]),
			zoom: document.querySelector('[name=viewport]').content };
	})()""")
	assert found["bad"] == []
	assert found["lang"] == "en" and found["title"] and found["h1"] == 1
	assert found["landmarks"] == [1, 1, 1, 1]
	assert found["lives"] == ["head"]  # the headline is read out when it changes, nothing else
	assert found["levels"][0] == 1 and set(found["levels"][1:]) == {2}
	assert "maximum-scale" not in found["zoom"] and "user-scalable" not in found["zoom"]
	# the browser agrees: what it would tell a screen reader
	nodes = tab.call("Accessibility.getFullAXTree")["nodes"]
	roles = {n["role"]["value"] for n in nodes if "role" in n and not n.get("ignored")}
	assert {"banner", "navigation", "main", "contentinfo", "table", "columnheader", "rowheader", "heading"} <= roles
	tables = {n["name"]["value"] for n in nodes if n.get("role", {}).get("value") == "table"}
	assert {"Services", "Targets", "Last changes", "Registrations of this machine"} <= tables


def test_by_keyboard(rig, browser):
	tab = browser.tab(rig.url)
	is_live(tab)
	def focused():
		return tab.run("document.activeElement.innerText || document.activeElement.className")
	tab.key("Tab")
	assert focused() == "To the state of things"
	assert tab.run("document.activeElement.getBoundingClientRect().left") >= 0  # and then it is seen
	assert tab.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
	seen = []
	for _ in range(40):
		tab.key("Tab")
		seen.append(focused())
		if seen[-1].startswith("router:"):
			break
	assert seen[:2] == ["Topology", "Services"] and seen[-1].startswith(f"router: {COUNT} up"), seen
	tab.key("Enter")
	until(lambda: tab.run("document.querySelector('#i0').open"), 2)
	tab.key(" ")
	until(lambda: not tab.run("document.querySelector('#i0').open"), 2)


@pytest.mark.parametrize("width", (320, 360, 768, 1280, 2560))
def test_every_width(trouble, browser, width):
	"""Wide things scroll within themselves, the page does not."""
	tab = browser.tab(trouble.url, width=width, height=740)
	is_live(tab)
	tab.run("for (const d of document.querySelectorAll('details')) d.open = true")
	assert tab.run("document.documentElement.scrollWidth") <= width
	assert tab.run("document.querySelector('h1').getBoundingClientRect().right") <= width
	assert tab.run("document.querySelector('#head').getBoundingClientRect().bottom") < 300  # at first glance


def test_on_paper(rig, browser):
	tab = browser.tab(rig.url, scheme="dark")
	is_live(tab)
	assert tab.run("document.querySelector('#i0').open") is False
	tab.run("dispatchEvent(new Event('beforeprint'))")
	assert tab.run("document.querySelector('#i0').open") is True
	tab.scheme("dark", media="print")
	assert tab.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
	assert tab.run("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
	assert tab.run("getComputedStyle(document.querySelector('nav')).display") == "none"
	assert [t for t in tab.run(CONTRAST) if t[1] < t[2]] == []
	assert len(tab.call("Page.printToPDF", {"printBackground": True})["data"]) > 10000
