"""
Run 1: random changes of the topology, several per window, with calls running.

Promised: no failed call but those that were on a router at the moment it was killed; after the last change of a
burst Kamailio's active destinations equal Consul's answer within window + interval + 100 ms; what left is gone
after remove_hold + window + 1 s; whatever differs from Consul's answer is listed with the guard that holds it. Now
and then an rtpengine goes into maintenance and comes back: no command about a call's media fails.
Damping is off: here every instance comes and goes all the time (run 8 is about damping).
"""
import time

from lab import until
from stage import INTERVAL, REMOVE_HOLD, SLACK, WINDOW
from trial import percentile
from walk import Walk
from watch import disabled

TITLE = "random changes"
TEMPLATE = True
CHANGES, CHANGES_SHORT = 200, 40
SHRINK_HOLD = 60  # services.*.shrink_hold: its default


def run(t):
	total = CHANGES_SHORT if t.short else CHANGES
	s = t.stage(begin=12, over={"services": {"router": {"flap_suppress": 0}}})
	walk = Walk(t, s)
	took, held_seen, bursts, late = [], set(), 0, 0
	t.calls()
	# When routers die and when nearly everything fails, in changes done.
	kills = sorted(t.rnd.sample(range(total // 8, total - total // 8), 1 if t.short else 3))
	collapse = t.rnd.randrange(total // 3, 2 * total // 3)
	media = sorted(t.rnd.sample(range(total), 2 if t.short else 6)) if s.nodes_by == "c4d" else []
	away = None
	while walk.done < total or walk.dead:
		if media and walk.done >= media[0]:
			media.pop(0)
			away = swap_node(t, s, away)
		if walk.dead and (walk.done >= total or t.rnd.random() < 0.4):
			walk.revive()
		elif kills and walk.done >= kills[0]:
			kills.pop(0)
			walk.kill()
		elif collapse is not None and walk.done >= collapse:
			collapse = None
			walk.collapse()
			bursts += 1
			took, late = settle(t, s, took, late, held_seen)
			walk.recover()
		else:
			walk.burst()
		bursts += 1
		took, late = settle(t, s, took, late, held_seen)
		# Quiet for a moment, sometimes: the next change must also find an open window.
		if t.rnd.random() < 0.3:
			time.sleep(t.rnd.random() * (1 if t.short else 2) * WINDOW)
	t.say(f"{walk.done} changes in {bursts} bursts; waiting for leftovers to go ({REMOVE_HOLD} s + {WINDOW} s + 1 s)")
	if s.c4d:
		try:
			until(lambda: not left_over(s), REMOVE_HOLD + WINDOW + 1 + 10, "no leftovers")
		except AssertionError:
			t.broken(f"leftovers that never went: {s.names(left_over(s))}")
	t.end_calls(t.on_killed_router(s.fleet))
	s.watch.stop()
	if s.guards:
		s.guards.stop()
	judge(t, s)
	t.figure("changes", f"{walk.done} in {bursts} bursts")
	if took:
		t.figure("last change of a burst -> Kamailio equals Consul's answer",
			f"p50 {percentile(took, 50):.2f} s, p95 {percentile(took, 95):.2f} s, max {max(took):.2f} s "
			f"(promised: {WINDOW + INTERVAL + SLACK:.1f} s); {late} too late")
	if s.c4d:
		t.figure("held or suppressed by a guard at some time", ", ".join(sorted(held_seen)) or "none")


def swap_node(t, s, away):
	"""The node that was in maintenance comes back, or else one goes there; returns which is away."""
	n = away or t.rnd.randrange(len(s.nodes)) + 1
	node = s.nodes[n - 1]
	s.node_agents[node].maintenance(node.name, away is None)
	t.trace(time.time(), f"maintenance rtpengine{n} {'off' if away else 'on'}")
	return None if away else n


def left_over(s):
	return disabled(s.watch.newest()[1]) - s.fleet.answer()


def settle(t, s, took, late, held_seen):
	"""Await what a burst must lead to, and account for it."""
	seconds, guarded, text = s.converge(patience=60 if s.c4d else 3 * WINDOW)
	if text:
		late += 1
		t.broken(f"after a burst: not as Consul says within {WINDOW + INTERVAL + SLACK:.1f} s: {text}"
			+ ("" if seconds is None else f" (it was after {seconds:.2f} s)"))
	if seconds is not None:
		took = took + [seconds]
	for uri, (state, guard) in guarded.items():
		held_seen.add(f"{s.name(uri)} {state}: {guard}")
		t.trace(time.time(), f"guarded: {s.name(uri)} {state} by {guard}")
	lawful(t, s, guarded)
	return took, late


def lawful(t, s, guarded):
	"""The shrink guard must have a reason: a loss above what may go at once. What it holds, it holds for shrink_hold."""
	held = {u for u, g in guarded.items() if g == ("held", "shrink")}
	if held:
		now = time.time()
		most = max(len(set(seen) - disabled(seen)) for _, seen in s.watch.between(now - 300, now))
		least, allowed = s.fleet.fewest(now - SHRINK_HOLD - INTERVAL - 1), max(1, most // 2)
		t.promise(most - least > allowed, f"the shrink guard holds {s.names(held)} though at least {least} of at most {most} "
			f"were always left and {allowed} may go")


def judge(t, s):
	for at, text in s.watch.problems:
		t.broken(text, at)
	errors = s.sbc.media_errors()
	t.promise(not errors, f"{len(errors)} commands to rtpengine failed, e.g. {errors[:2]}")
	if not s.c4d:
		return
	leftovers(t, s)
	t.promise(s.c4d.proc.alive(), "c4d has ended")


def leftovers(t, s):
	"""Disabled and not listed by Consul: gone in time, and not before it; who stays longer is listed with the guard."""
	gone, end, most = s.fleet.absences(), s.watch.seen_at, REMOVE_HOLD + WINDOW + 1
	for uri, spans in s.watch.spans(lambda d: d is not None and d.flags[0] == "D").items():
		for begin, until_ in spans:
			after = s.watch.at(until_ + 0.001) if until_ else None
			for left, back in gone.get(uri, []):
				since, last = max(begin, left), min(back, until_ or end)
				if last - since > most and not s.guards.said(uri, since + most, last):
					t.broken(f"{s.name(uri)} stayed disabled for {last - since:.1f} s after it had left; it should be gone after "
						f"{most} s", since)
				if until_ and left <= until_ < back and after is not None and uri not in after:
					first = unseen_since(gone[uri], left)
					t.promise(until_ - first >= REMOVE_HOLD - 0.2, f"{s.name(uri)} was removed {until_ - first:.1f} s after it "
						"had left", until_)


def unseen_since(absences, left):
	"""When the absence began for one who asks only once in an interval: a return in between may go unseen."""
	for (_, back), (again, _) in reversed(list(zip(absences, absences[1:]))):
		if again == left and again - back < INTERVAL + SLACK:
			left = next(a for a, b in absences if b == back)
	return left
