"""
Run 6: rtpengines leave and come back with calls up. One is drained by `c4ctl drain` and deregistered, one is deregistered
without (in the long form), one is killed with -9, one becomes a black hole (SIGSTOP); then they come and go at random while an
administrator reloads in between.

Promised: no failed call; every command to an rtpengine succeeds but those for calls whose node was killed or stopped
(their media is gone, whoever keeps the table); a node that is drained or has left gets no new session, and its row goes
only when it has none left. While nobody knows yet that a node is dead, an offer costs what Kamailio waits for it
(rtpengine_tout_ms x rtpengine_retr); once c4d has disabled it, no call waits, also when c4d reloads meanwhile because another
node registers. But Kamailio asks a black hole once more, and all wait for that, when it is put to sleep, at once and after a
reload, and after each rtpengine_disable_tout.
"""
import threading
import time

from lab import Fault, until
from lab.rtpengine import Rtpengine
from stage import INTERVAL, REMOVE_HOLD, SLACK
from trial import percentile

TITLE = "rtpengines drained and killed"
WINDOW = 10      # rtpengine.reload's, hard-coded in Kamailio
DEAD_MS = 1000   # rtpengine_tout_ms x rtpengine_retr
BEYOND_MS = 500
AGAIN_S = 60     # rtpengine_disable_tout, its default: how long Kamailio leaves a dead node alone
FR_MS = 3000     # longer than what a dead node costs: a process that waits for it must not make routers look dead


class Sessions(threading.Thread):
	"""What one node says of its calls, ten times a second."""

	def __init__(self, node):
		super().__init__(daemon=True)
		self.node, self.first, self.counts = node, {}, []  # {call id: first seen}, [(when asked, how many)]
		self._end = threading.Event()

	def run(self):
		while not self._end.wait(0.1):
			asked = time.time()
			try:
				calls = self.node.ask("list", timeout=0.5, limit=100000)["calls"]
			except OSError:
				continue
			for call in calls:
				self.first.setdefault(call, asked)
			self.counts.append((asked, len(calls)))

	def stop(self):
		self._end.set()
		self.join()

	def now(self):
		return self.counts[-1][1] if self.counts else 0

	def last_before(self, at):
		"""(when, how many) of the last answer that was asked for before."""
		return next((c for c in reversed(self.counts) if c[0] < at), (0.0, 0))


class Table(threading.Thread):
	"""timeline: [(wall clock, {url: (set, weight, disabled)})] of the file."""

	def __init__(self, sbc):
		super().__init__(daemon=True)
		self.sbc, self.timeline = sbc, []
		self._end = threading.Event()

	def run(self):
		while not self._end.wait(0.01):
			rows = self.sbc.rows()
			if not self.timeline or self.timeline[-1][1] != rows:
				self.timeline.append((time.time(), rows))

	def stop(self):
		self._end.set()
		self.join()

	def first(self, cond, since):
		return next((at for at, rows in list(self.timeline) if at >= since and cond(rows)), None)


class Play:
	"""The run's own books: out holds when a node was to get no new session, dead whose calls have lost their media."""

	def __init__(self, t, s):
		self.t, self.s = t, s
		self.sessions = {n: Sessions(n) for n in s.nodes}
		self.table = Table(s.sbc)
		self.out = []   # [(node, from, to)]
		self.dead = []  # [(node, from, seen, to)]: seen: when c4d had disabled it
		self.lines = []
		self.extra = []
		for thread in (self.table, *self.sessions.values()):
			thread.start()
			t.lab.cleanups.append(thread.stop)

	def stop(self):
		for thread in (self.table, *self.sessions.values()):
			thread.stop()

	def in_use(self):
		used = self.s.sbc.nodes()
		return [n for n in self.s.nodes if used.get(n.url)]

	def choose(self):
		"""One that carries its share of the calls."""
		count = {n: self.sessions[n].now() for n in self.in_use()}
		return self.t.rnd.choice([n for n, x in count.items() if x > 0.5 * max(count.values())])

	def await_in_use(self, node, why, within=WINDOW + INTERVAL + SLACK):
		begin = time.time()
		try:
			until(lambda: node in self.in_use(), within, lambda: f"{node.name} is in use {why}: {self.s.sbc.nodes()}, "
				f"{self.s.sbc.rows()}")
		except AssertionError as e:
			self.t.broken(str(e))
			self.s.evidence()
		return time.time() - begin

	def await_row_gone(self, node, since, within):
		"""Its row goes, and only when it carries nothing any more."""
		try:
			until(lambda: node.url not in self.s.sbc.rows(), within, f"the row of {node.name} goes")
		except AssertionError as e:
			self.t.broken(f"{e}; it has {self.sessions[node].now()} sessions; {self.s.sbc.rows()}")
			self.s.evidence()
			return None
		# the file is looked at a hundred times a second, the node ten times
		until(lambda: self.table.first(lambda rows: node.url not in rows, since), 5, "the row is seen to be gone")
		gone = self.table.first(lambda rows: node.url not in rows, since)
		at, count = self.sessions[node].last_before(gone)
		self.t.promise(count == 0, f"the row of {node.name} went while it had {count} sessions ({gone - at:.2f} s before)", gone)
		disabled = self.table.first(lambda rows: rows.get(node.url, (0, 0, False))[2], since)
		self.t.promise(disabled and disabled < gone, f"the row of {node.name} went without being disabled first", gone)
		return gone


def begin(t):
	s = t.stage(nodes="c4d", each=2, fr_ms=FR_MS, sbc={"again_s": AGAIN_S}, over={"services": {"rtp":
		{"max_shrink": 70, "flap_suppress": 0, "remove_hold": f"{remove_hold(t)}s"}}})
	until(s.c4d.converged, 30, "all targets have converged")
	p = Play(t, s)
	t.calls()
	hold = 5 if t.short else 20
	until(lambda: all(p.sessions[n].now() >= hold * 20 for n in s.nodes), hold + 20, "every node has calls")
	return s, p, hold


def end(t, p):
	books = t.end_calls()
	p.stop()
	judge(t, p, books)
	for name, text in p.lines:
		t.figure(name, text)


def run(t):
	s, p, hold = begin(t)
	leave(t, s, p, hold, True)
	if not t.short:
		leave(t, s, p, hold, False)
	die(t, s, p, "killed", 10 if t.short else 30, lambda n: n.kill(), lambda n: n.start())
	die(t, s, p, "stopped", 10 if t.short else AGAIN_S + 15, lambda n: n.pause(), lambda n: n.resume())
	churn(t, s, p, 15 if t.short else 90)
	end(t, p)


def remove_hold(t):
	return 5 if t.short else REMOVE_HOLD


def leave(t, s, p, hold, drained):
	node = p.choose()
	up, begin = p.sessions[node].now(), time.time()
	if drained:
		drain(t, s, node, "drain")
		out = time.time()
	s.deregister_node(node)
	if not drained:
		out = await_out(t, s, p, node)
	how = "drained and deregistered" if drained else "deregistered"
	t.say(f"{node.name} is {how} with {up} sessions; out after {out - begin:.2f} s")
	# a window may be in the way
	gone = p.await_row_gone(node, begin, max(hold, remove_hold(t)) + WINDOW + 5)
	p.out.append((node, out, time.time()))
	s.register_node(node)
	if drained:
		drain(t, s, node, "undrain")
	took = p.await_in_use(node, "after it registered again")
	p.lines.append((how, f"{node.name} with {up} sessions; no new ones after {out - begin:.2f} s, its row went "
		+ (f"after {gone - begin:.1f} s" if gone else "never") + f"; in use {took:.1f} s after it had registered again"))


def drain(t, s, node, word):
	"""It is true when the command returns."""
	got = s.c4d.ctl(word, f"{node.ip}:{node.port}", timeout=20)
	t.promise(got.rc == 0, f"c4ctl {word}: status {got.rc}: {got.out}{got.err}")


def await_out(t, s, p, node):
	"""One that has just registered may come into use until c4d has seen that it is gone; the file tells."""
	def out():
		return s.sbc.rows().get(node.url, (0, 0, True))[2] and node not in p.in_use()
	within = 1.1 * INTERVAL + 2 * SLACK
	try:
		until(out, within, f"{node.name} gets no new sessions", every=0.02)
	except AssertionError as e:
		t.broken(f"{e}: {s.sbc.nodes()}, {s.sbc.rows()}")
		s.evidence()
		until(out, 20, f"{node.name} gets no new sessions")
	return time.time()


def die(t, s, p, how, seconds, kill, revive):
	node = p.choose()
	up, begin = p.sessions[node].now(), time.time()
	t.say(f"{node.name} is {how} with {up} sessions")
	kill(node)
	try:
		until(lambda: s.sbc.rows()[node.url][2], 15, f"the row of {node.name} is disabled")
	except AssertionError as e:
		t.broken(f"{how}: {e}: {s.sbc.rows()}")
	seen = p.table.first(lambda rows: rows.get(node.url, (0, 0, True))[2], begin) or time.time()
	t.say(f"c4d has disabled it after {seen - begin:.2f} s")
	# A reload comes while it is dead.
	p.extra.append(Rtpengine(t.lab, f"rtpengine{len(s.nodes) + len(p.extra) + 1}").start())
	s.cluster.agent.register("rtp", p.extra[-1].ip, p.extra[-1].port)
	until(lambda: s.sbc.nodes().get(p.extra[-1].url), WINDOW + 5, f"{p.extra[-1].name} is in use: {s.sbc.nodes()}")
	time.sleep(max(3.0, seen + seconds - time.time()))
	end = time.time()
	revive(node)
	took = p.await_in_use(node, "when it lives again", WINDOW + 5)
	p.dead.append((how, node, begin, seen, end, end + took, up))


def reload_nodes(s):
	try:
		s.sbc.reload_nodes()
		return True
	except Fault:
		time.sleep(0.2)
		return False


def churn(t, s, p, seconds):
	"""Nodes come and go; an administrator's rtpengine.reload takes windows away."""
	end, n, hand = time.time() + seconds, 0, 0
	gone = {}
	while time.time() < end:
		# c4d keeps the last one in use, whoever says that it has left
		others = {x: [o for o in p.in_use() if o is not x] for x in s.nodes if x not in gone}
		may = [x for x in others if others[x]]
		if may and (not gone or t.rnd.random() < 0.5):
			node = t.rnd.choice(may)
			t.trace(time.time(), f"{node.name} leaves")
			s.deregister_node(node)
			gone[node] = await_out(t, s, p, node)
			t.trace(gone[node], f"{node.name} has left")
			n += 1
		elif gone:
			node = t.rnd.choice(sorted(gone, key=lambda x: x.name))
			s.register_node(node)
			p.out.append((node, gone.pop(node), time.time()))
			t.trace(time.time(), f"{node.name} is back")
			n += 1
		time.sleep(t.rnd.uniform(0.5, 3))
		if t.rnd.random() < 0.3:
			hand += reload_nodes(s)
	for node, since in gone.items():
		s.register_node(node)
		p.out.append((node, since, time.time()))
	took = [p.await_in_use(node, "after all") for node in s.nodes]
	p.lines.append(("coming and going", f"{n} changes and {hand} reloads by hand; all in use {max(took):.1f} s after the last"))


def judge(t, p, books):
	began = {c.id: c.began for c in books.calls}
	for node, out, back in p.out:
		late = [c for c in p.sessions[node].first if out < began.get(c, 0) < back]
		t.promise(not late, f"{len(late)} new calls went to {node.name} while it was out; the first began at "
			f"{t.at(min(began[c] for c in late)) if late else ''}", out)
	lost = set()
	for how, node, begin, seen, end, back, up in p.dead:
		lost |= {c for c, at in p.sessions[node].first.items() if at < begin + 1} | {c for c in began
			if begin - 1 < began[c] < begin + 1}
	errors = p.s.sbc.media_errors()
	bad = [line for line in errors if line.split()[-1] not in lost]
	t.promise(not bad, f"{len(bad)} commands to rtpengines failed; the first: {bad[:1]}")
	base = percentile([c.pdd_ms for c in books.calls if c.pdd_ms is not None and c.began < (p.dead or [[0, 0, 1e12]])[0][2]], 99)
	for how, node, begin, seen, end, back, up in p.dead:
		judge_wait(t, books, how, node, begin, seen, back, base, up)
	t.figure("commands to rtpengines that failed", f"{len(bad)}, and {len(errors) - len(bad)} for calls whose node was dead")


def judge_wait(t, books, how, node, begin, seen, back, base, up):
	def most(a, b):
		return books.pdd(100, a, b) or 0
	before, after = most(begin - 1, seen), most(seen, back)
	t.promise(before <= base + DEAD_MS + BEYOND_MS, f"{how}: a call waited {before:.0f} ms before c4d had disabled {node.name}, the "
		f"baseline is {base:.0f} ms and a dead node costs {DEAD_MS} ms", begin)
	slow = sorted(c.began for c in books.calls if seen <= c.began < back and c.pdd_ms is not None and c.pdd_ms > base + BEYOND_MS)
	stretches = []
	for at in slow:
		if not stretches or at > stretches[-1] + 2 * DEAD_MS / 1000:
			stretches.append(at)
	may = 0 if how == "killed" else 2 + int((back - seen) / AGAIN_S)
	t.promise(len(stretches) <= may and after <= base + DEAD_MS + BEYOND_MS, f"{how}: {len(slow)} calls waited for more than "
		f"{BEYOND_MS} ms beyond the baseline after c4d had disabled {node.name}, up to {after:.0f} ms, from "
		f"{', '.join(t.at(at) for at in stretches[:10])} on; {may} stretches are Kamailio's own", seen)
	t.figure(f"{how}", f"{node.name} with {up} sessions; disabled after {seen - begin:.2f} s; post-dial delay p99 "
		f"{books.pdd(99, begin - 1, seen) or 0:.0f} ms, max {before:.0f} ms until then, p99 {books.pdd(99, seen, back) or 0:.0f} "
		f"ms, max {after:.0f} ms after; baseline {base:.0f} ms")
