"""
Run 5: a router becomes a black hole (SIGSTOP) while its check at Consul still passes; Kamailio's own pings find out, and
from then on the list is reloaded every 5.05 s at most, by turns by c4d (a weight changes; the first one at once) and by
somebody's own dispatcher.reload, from 5.05 s on.

Promised: no reload brings the dead destination back: it is never listed as active again, no call that begins once Kamailio
lists it as inactive waits more than 500 ms beyond the baseline, and none fails. Calls that were on the router are excused.
In consul-template's way all reloads are by hand: they are the same command.
"""
import time

from lab import Fault, until
from stage import INTERVAL, SLACK, WINDOW
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
	reloads, hand, back = counted(s), 0, 0
	for n in range(RELOADS_SHORT if t.short else RELOADS):
		due = time.time() + EVERY
		if n % 2 == 0 and s.c4d:
			weigh(t, s, alive[n // 2 % len(alive)], 20 + n)
		else:
			until(lambda: reload(s), WINDOW + 1, "a reload by hand is taken")
			hand += 1
		time.sleep(max(0.0, due - time.time()))
	end = time.time()
	reloads = counted(s) - reloads
	for at, seen in s.watch.between(inactive + 0.05, end):
		d = (seen or {}).get(dead.uri)
		if d is not None and d.flags[0] == "A":
			back += 1
			t.broken(f"{dead} is listed as {d.flags} after a reload", at)
	dead.router.resume()
	t.end_calls(lambda f: excuse(f, dead, begin, inactive))
	s.watch.stop()
	calls = t.books.calls
	base = percentile([c.pdd_ms for c in calls if c.pdd_ms is not None and c.began < begin], 99)
	slow = [c for c in calls if inactive <= c.began < end and c.pdd_ms is not None and c.pdd_ms > base + BEYOND_MS]
	t.promise(not slow, f"{len(slow)} calls waited more than {BEYOND_MS} ms beyond the baseline ({base:.0f} ms); the first at "
		f"{t.at(slow[0].began) if slow else ''} for {slow[0].pdd_ms if slow else 0:.0f} ms")
	t.figure("calls that found the dead one after Kamailio knew", len(slow))
	t.figure("reloads", f"{reloads} by c4d, {hand} by hand, in {end - inactive:.0f} s; the dead one was listed as active {back} "
		"times")
	t.figure("baseline post-dial delay p99", f"{base:.0f} ms")


def weigh(t, s, inst, weight):
	"""A change that takes a reload; awaits that it is in force."""
	s.fleet.weigh(inst, weight)
	try:
		until(lambda: any((d.uri, d.attrs) == (inst.uri, f"weight={weight}") for d in s.sbc.dispatcher()[1]),
			WINDOW + INTERVAL + SLACK, f"{inst} has the weight {weight}")
	except AssertionError as e:
		t.broken(str(e))


def reload(s):
	try:
		s.sbc.reload()
		return True
	except Fault:
		return False


def counted(s):
	return s.c4d.ctl("status", fmt="json").data["kamailio"][0]["reloads"] if s.c4d else 0


def flag(s, inst):
	d = s.sbc.flags().get(inst.uri)
	return d[0] if d else None


def excuse(f, dead, begin, inactive):
	if f.router == dead.ip and f.began < inactive:
		return "it was on the router that was stopped"
	if f.router is None and begin - 1 < f.began < inactive:
		return "it began while Kamailio did not know yet that the router was stopped"
	return None
