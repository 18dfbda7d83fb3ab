"""
Run 4: the SBC's Kamailio is restarted with calls running: while c4d runs, while c4d is stopped, and when every
destination was unreachable just before.

Promised: Kamailio is right at its first request. The first list that it shows after its start holds everything that
was listed before, what was out is out, and what should take calls takes calls; a call that begins once it answers is
answered as fast as ever and none fails. A call that was being set up when Kamailio went is excused: its transaction is
lost. What was up goes on and ends well.
"""
import time

from lab import Uac, until

TITLE = "the SBC's Kamailio restarted"
SETUP_S = 1.0  # an INVITE that came so shortly before the stop may have lost its transaction
WAYS = (("c4d runs", "stopped"), ("c4d is stopped", "stopped"), ("c4d runs", "killed"), ("c4d is stopped", "killed"))
FIRST = 20     # calls right after a start from an unreachable platform


def run(t):
	# What is out stays in the list as long as the run lasts.
	s = t.stage(each=2, over={"services": {"router": {"remove_hold": "10m"}}})
	out = s.fleet.instances[0]
	s.fleet.maintain(out, True)
	settled(t, s)
	t.calls()
	away = []
	for who, end in WAYS[:2] if t.short else WAYS:
		if who == "c4d is stopped":
			s.c4d.stop()
		time.sleep(2.0)
		away.append(restart(t, s, who, end, {out.uri}))
		time.sleep(3.0)
		if who == "c4d is stopped":
			s.c4d.start()
			settled(t, s)
	t.end_calls(lambda f: excuse(f, away))
	late = [c for c in t.books.calls if c.pdd_ms and c.pdd_ms > 500 and not any(b - SETUP_S <= c.began <= e for b, e in away)]
	t.promise(not late, f"{len(late)} calls that began while Kamailio was up waited for more than 500 ms")
	for who in ("c4d runs", "c4d is stopped"):
		unreachable(t, s, who, {out.uri})
	s.watch.stop()
	t.figure("Kamailio away", ", ".join(f"{e - b:.2f} s" for b, e in away))


def settled(t, s):
	_, _, wrong = s.converge(time.time())
	t.promise(wrong is None, f"not as Consul says: {wrong}")
	until(s.c4d.converged, 15, "all targets have converged")


def restart(t, s, who, how, disabled):
	"""(from, to): when it was away."""
	before = set(s.sbc.flags())
	begin = time.time()
	if how == "killed":
		s.sbc.kill()
	else:
		s.sbc.stop()
	s.sbc.start()
	end = time.time()
	t.say(f"Kamailio {how} and started while {who}: away for {end - begin:.2f} s")
	judge_first(t, s, who, begin, before, disabled)
	return begin, end


def judge_first(t, s, who, begin, before, disabled):
	"""The first list after the start, as it was before anybody could have put it right."""
	until(lambda: s.watch.newest()[0] > begin and s.watch.newest()[1] is not None, 10, "Kamailio lists something again")
	at, first = next((at, seen) for at, seen in s.watch.timeline if at > begin and seen is not None)
	t.promise(set(first) == before, f"while {who}: the first list is {s.names(first)}, not {s.names(before)}", at)
	t.promise({u for u, d in first.items() if d.flags[0] == "D"} == disabled, f"while {who}: the first list has "
		f"{ {s.name(u): d.flags for u, d in first.items()} }; only {s.names(disabled)} is out", at)
	t.promise(all(d.flags[0] == "A" for u, d in first.items() if u not in disabled), f"while {who}: not all of the first list "
		f"takes calls: { {s.name(u): d.flags for u, d in first.items()} }", at)


def excuse(f, away):
	for begin, end in away:
		if begin - SETUP_S <= f.began < end:
			return f"it was being set up when Kamailio went ({end - begin:.2f} s)"
	return None


def unreachable(t, s, who, disabled):
	"""Nobody answers, Kamailio knows, and is restarted; then all answer: the first calls go through at once."""
	for r in s.routers:
		r.pause()
	try:
		until(lambda: all(d[0] in "ID" for d in s.sbc.flags().values()), 30, lambda: f"all are inactive: {s.sbc.flags()}")
		time.sleep(6.0)  # the file follows Kamailio's states within 5 s
		if who == "c4d is stopped":
			s.c4d.stop()
		before, begin = set(s.sbc.flags()), time.time()
		s.sbc.stop()
	finally:
		for r in s.routers:
			r.resume()
	s.sbc.start()
	judge_first(t, s, f"{who}, after all were unreachable", begin, before, disabled)
	calls = Uac(t.lab, s.sbc.addr, rate=20, count=FIRST, hold_ms=200)
	result = calls.wait()
	t.promise(result.failed == 0 and result.ok == FIRST and not result.slower_than(1000),
		f"while {who}: the first calls after all were unreachable: {result}")
	t.say(f"restarted while {who}, after all were unreachable: {result}")
	if who == "c4d is stopped":
		s.c4d.start()
