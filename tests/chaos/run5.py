"""
Run 5: a router becomes a black hole (SIGSTOP) while its check at Consul still passes; Kamailio's own pings find out, and
from then on the list is reloaded every 5.05 s, by turns by c4d (a weight changes) and by somebody's own
dispatcher.reload.

Promised: no reload brings the dead destination back: no call that begins once Kamailio lists it as inactive waits more
than 500 ms beyond the baseline, and none fails. Calls that were on the router are excused.
"""
import time

from lab import Fault, until
from trial import percentile

TITLE = "a black hole, and reloads"
TEMPLATE = True
RELOADS, RELOADS_SHORT = 16, 5
EVERY = 5.05
BASE_S = 8      # calls before it
FR_MS = 2000    # what a call costs that is sent to the dead one: nothing to be mistaken
BEYOND_MS = 500


def run(t):
	s = t.stage(each=1, fr_ms=FR_MS)
	dead, alive = s.fleet.instances[0], s.fleet.instances[1:]
	t.calls()
	time.sleep(BASE_S)
	begin = time.time()
	dead.router.pause()
	t.say(f"{dead.router.name} is stopped; its check passes")
	until(lambda: flag(s, dead) in ("I", None), 30, lambda: f"Kamailio lists {dead} as inactive: {s.sbc.flags()}")
	inactive = time.time()
	t.say(f"Kamailio lists it as inactive after {inactive - begin:.1f} s")
	reloads, back = 0, 0
	for n in range(RELOADS_SHORT if t.short else RELOADS):
		due = inactive + (n + 1) * EVERY
		time.sleep(max(0.0, due - time.time()))
		if n % 2 == 0:
			s.fleet.weigh(alive[n // 2 % len(alive)], 20 + n)
		else:
			try:
				s.sbc.reload()
				reloads += 1
			except Fault as e:
				t.trace(time.time(), f"dispatcher.reload: {e}")
	time.sleep(EVERY)
	end = time.time()
	for at, seen in s.watch.between(inactive, end):
		d = (seen or {}).get(dead.uri)
		if d is not None and d.flags[0] == "A":
			back += 1
			t.trace(at, f"{dead} is listed as {d.flags}")
	dead.router.resume()
	t.end_calls(lambda f: excuse(f, dead, begin, inactive))
	s.watch.stop()
	calls = t.books.calls
	base = percentile([c.pdd_ms for c in calls if c.pdd_ms is not None and c.began < begin], 99)
	slow = [c for c in calls if inactive <= c.began < end and c.pdd_ms is not None and c.pdd_ms > base + BEYOND_MS]
	t.promise(not slow, f"{len(slow)} calls waited more than {BEYOND_MS} ms beyond the baseline ({base:.0f} ms); the first at "
		f"{t.at(slow[0].began) if slow else ''} for {slow[0].pdd_ms if slow else 0:.0f} ms")
	t.figure("calls that found the dead one after Kamailio knew", len(slow))
	t.figure("reloads", f"{sum(1 for at, v, _ in s.fleet.changes if v == 'weight')} by c4d or template, {reloads} by hand; the "
		f"dead one was listed as active {back} times after")
	t.figure("baseline post-dial delay p99", f"{base:.0f} ms")


def flag(s, inst):
	d = s.sbc.flags().get(inst.uri)
	return d[0] if d else None


def excuse(f, dead, begin, inactive):
	if f.router == dead.ip and f.began < inactive:
		return "it was on the router that was stopped"
	if f.router is None and begin - 1 < f.began < inactive:
		return "it began while Kamailio did not know yet that the router was stopped"
	return None
