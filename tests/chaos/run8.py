"""
Run 8: flapping. One instance fails and passes every second for a minute; another leaves for longer than remove_hold and
comes back, again and again, which would be a reload each way.

Promised: both are suppressed, listed so with the guard, and take no calls then (the slow one in the long form: in the
short one its penalty decays before it comes again); neither causes more than 12 structural changes of Kamailio's list
in an hour; both are in use again after calm, by themselves; the others are never touched; no failed call.
"""
import math
import threading
import time

from lab import until
from stage import INTERVAL, SLACK, WINDOW
from watch import active

TITLE = "flapping instances"
STRUCTURAL_PER_HOUR = 12
REUSE, HOLD = 750, 3  # services.*.flap_reuse: its default; remove_hold of this run, in seconds
PENALTY = 1000        # what one going costs


class Flapper(threading.Thread):
	"""down(), out_s later up(), in_s later again, for so many seconds; at the end it is up."""

	def __init__(self, down, up, out_s, in_s, seconds):
		super().__init__(daemon=True)
		self.down, self.up, self.out_s, self.in_s, self.end = down, up, out_s, in_s, time.time() + seconds
		self.goings, self.error = 0, None

	def run(self):
		try:
			at = time.time()
			while at < self.end:
				self.down()
				self.goings += 1
				at += self.out_s
				time.sleep(max(0, at - time.time()))
				self.up()
				at += self.in_s
				time.sleep(max(0, at - time.time()))
		except Exception as e:  # pylint: disable=broad-except
			self.error = e

	def wait(self):
		self.join()
		if self.error:
			raise self.error


def run(t):
	seconds, half_life = (20, 6) if t.short else (60, 15)
	s = t.stage(begin=12, over={"services": {"router": {"flap_half_life": f"{half_life}s", "remove_hold": f"{HOLD}s"}}})
	until(s.c4d.converged, 10, "c4d has converged")
	fast, slow = t.rnd.sample(s.fleet.in_service(), 2)
	rest = {i.uri for i in s.fleet.in_service()} - {fast.uri, slow.uri}
	t.say(f"{fast} fails and passes every second, {slow} leaves for 5 s and comes back for 3 s, for {seconds} s")
	t.calls()
	begin, reloads = time.time(), counted(s)
	flappers = [Flapper(lambda: s.fleet.fail(fast), lambda: s.fleet.ok(fast), 1.0, 1.0, seconds),
		Flapper(lambda: s.fleet.deregister(slow), lambda: s.fleet.register(slow), 5.0, 3.0, seconds)]
	for f in flappers:
		f.start()
	for f in flappers:
		f.wait()
	calm = time.time()
	t.say(f"calm after {flappers[0].goings} and {flappers[1].goings} goings")
	# Half a second for the last return to be seen; then it depends on the clock alone.
	until(lambda: {fast.uri, slow.uri} <= s.fleet.answer(), 5, "Consul lists both again")
	# From the most that so many goings can come to, down to flap_reuse.
	worst = half_life * math.log2(PENALTY / (1 - 2 ** (-2 / half_life)) / REUSE) + 2 * INTERVAL + WINDOW + SLACK
	for inst in (fast, slow):
		try:
			until(lambda i=inst: i.uri in active(s.watch.newest()[1]), max(0.1, calm + worst - time.time()),
				f"{inst} is in use again")
		except AssertionError:
			t.broken(f"{inst} is not in use again {worst:.0f} s after calm: {s.guarded().get(inst.uri)}")
			s.evidence()
	t.say("calm is over")
	s.watch.now()
	reloads = counted(s) - reloads
	end = time.time()
	books = t.end_calls()
	s.watch.stop()
	s.guards.stop()
	for at, text in s.watch.problems:
		t.broken(text, at)
	for name, inst in (("fast", fast), ("slow", slow)):
		judge(t, s, name, inst, books, begin, calm, end)
	for at, seen in s.watch.between(begin, end):
		t.promise(seen is not None and rest <= active(seen), f"others were touched: {s.names(rest - active(seen))}", at)
	t.promise(reloads <= 2 * STRUCTURAL_PER_HOUR, f"{reloads} reloads")
	t.figure("goings", f"fast {flappers[0].goings}, slow {flappers[1].goings}, in {seconds} s; {reloads} reloads")


def counted(s):
	return s.c4d.ctl("status", fmt="json").data["kamailio"][0]["reloads"]


def in_use_again(s, uri, calm):
	"""When it became active and stayed so; None: it is not."""
	spans = s.watch.spans(lambda d: d is not None and d.flags[0] == "A").get(uri, [])
	return max(spans[-1][0], calm) if spans and spans[-1][1] is None else None


def judge(t, s, name, inst, books, begin, calm, end):
	again = in_use_again(s, inst.uri, calm)
	structural = [(a, inst.uri in (x or {})) for a, x in s.watch.between(begin, end)]
	structural = sum(x[1] != y[1] for x, y in zip(structural, structural[1:]))
	t.promise(structural <= STRUCTURAL_PER_HOUR, f"{inst} caused {structural} structural changes in {end - begin:.0f} s")
	spans = suppressed(s, inst.uri, end)
	if name == "fast" or not t.short:
		t.promise(spans, f"{inst} was never suppressed")
	in_vain = 0
	for since, until_ in spans:
		# c4ctl is asked twice a second; a reload or set_state may be under way at either end.
		a, b = since + 0.1, min(until_, again or end) - 0.6
		for at, seen in s.watch.between(a, b):
			t.promise(inst.uri not in active(seen), f"{inst} takes calls while it is suppressed", max(a, at))
		in_vain += sum(a <= c.began < b and c.router == inst.ip for c in books.calls)
	t.promise(in_vain == 0, f"{in_vain} calls went to {inst} while it was suppressed")
	toggles = [(a, inst.uri in active(x)) for a, x in s.watch.between(begin, end)]
	toggles = sum(x[1] != y[1] for x, y in zip(toggles, toggles[1:]))
	t.figure(f"the {name} one, {inst}", (f"suppressed {spans[0][0] - begin:.1f} s after its first going, for "
		f"{sum(b - a for a, b in spans):.1f} s in all" if spans else "not suppressed") + "; in use again "
		+ (f"{again - calm:.1f} s after calm" if again else "never")
		+ f"; {structural} structural changes, {toggles} changes of state")


def suppressed(s, uri, end):
	"""[(from, to)] in which c4d listed it as suppressed, with the guard; as Consul listed it then or not."""
	times = [t for t, _ in s.guards.timeline] + [end]
	out = []
	for (t, seen), after in zip(s.guards.timeline, times[1:]):
		if seen.get(uri) == ("suppressed", "flap"):
			if out and out[-1][1] == t:
				out[-1] = (out[-1][0], after)
			else:
				out.append((t, after))
	return out
