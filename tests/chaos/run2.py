"""
Run 2: Consul's outages with calls running: the agent that c4d asks is killed, all servers are killed, the leader is
lost, there is no quorum, the servers come back with empty data, an ACL denies what DNS sees, DNS has a token that
nobody knows. The instances are registered at the agents of other VMs, one for each router. Servers with empty data are
told by each agent in its own time, up to 120 s later; in the short form within 10 s, as by one who registers again.

In each outage one instance's check fails, the one of the outage before passes again, and a new one registers (while
there are new ones).

Promised: no failed call; Kamailio's list keeps every destination active that Consul listed before and that did not
leave since; `c4ctl status` names the fault within two rounds; the changes made meanwhile are in force at most 2 s after
recovery, which is when Consul's DNS answers with them, asked every 20 ms. What a guard holds then is listed with it.

A round begins at most 1.1 s after the one before it ended; one that fails by time-out takes consul.timeout (2 s).
Losing the leader or the quorum shows in DNS only as far as Consul lets it: by default it answers what it knew.
CHAOS_OUTAGES=regex: these outages only.
"""
import collections
import concurrent.futures
import os
import re
import threading
import time

from lab import until
from probe import Probe
from stage import INTERVAL, WINDOW
from watch import active

TITLE = "Consul's outages"
ROUND = 1.1 * INTERVAL
TIMEOUT = 2.0    # consul.timeout: its default
IN_FORCE = 2.0
PATIENCE = 150   # for Consul to recover: its agents tell new servers what they have every 60 to 120 s

# seconds, short: how long it lasts; expect: what `c4ctl status` says of it, None when DNS need not show it
Outage = collections.namedtuple("Outage", "title seconds short begin end expect")


def kill_agent(s):
	s.agent.kill()


def start_agent(s):
	s.agent.start(wait=False)


def kill_servers(s):
	s.cluster.kill_servers()


def start_servers(s):
	s.cluster.start_servers(wait=False)


def start_empty(s):
	s.cluster.start_servers(wipe=True, wait=False)


def kill_leader(s):
	s.cluster.leader().kill()


def kill_quorum(s):
	leader = s.cluster.leader()
	s.cluster.followers()[0].kill()
	leader.kill()


NO_ANSWER = r"SERVFAIL|time-out|no connection|canary"
OUTAGES = (
	Outage("the agent killed", 60, 15, kill_agent, start_agent, r"no connection"),
	Outage("all servers killed", 30, 5, kill_servers, start_servers, NO_ANSWER),
	Outage("the leader lost", 15, 4, kill_leader, start_servers, None),
	Outage("no quorum", 30, 4, kill_quorum, start_servers, None),
	Outage("ACL denied", 30, 4, lambda s: s.cluster.dns_token(""), lambda s: s.cluster.dns_token(), r"no ACL permission"),
	Outage("token invalid", 30, 4, lambda s: s.cluster.dns_token("c4d00000-0000-4000-8000-00000000dead"),
		lambda s: s.cluster.dns_token(), NO_ANSWER),
	Outage("servers restarted empty", 5, 3, kill_servers, start_empty, NO_ANSWER),
)


class Status(threading.Thread):
	"""timeline: [(wall clock, [problem])] of `c4ctl status`, asked ten times a second."""

	def __init__(self, c4d, trace):
		super().__init__(daemon=True)
		self.c4d, self.trace, self.timeline = c4d, trace, []
		self._end = threading.Event()

	def run(self):
		while not self._end.wait(0.1):
			said = [p["problem"] for p in self.c4d.ctl("status", fmt="json").data["problems"]]
			if not self.timeline or self.timeline[-1][1] != said:
				self.timeline.append((time.time(), said))
				self.trace(time.time(), f"c4ctl status: {'; '.join(said) or 'no problem'}")

	def stop(self):
		self._end.set()
		self.join()

	def first(self, pattern, since):
		"""When a problem of DNS first said this after `since`, and the problem; or None."""
		for i, (at, said) in enumerate(list(self.timeline)):
			after = self.timeline[i + 1][0] if i + 1 < len(self.timeline) else float("inf")
			for text in said:
				if after > since and re.search(f"Consul.*({pattern})", text):
					return max(at, since), text
		return None


def run(t):
	# remove_hold as by default: what comes back after a removal waits for Kamailio's window, and that is not this run's matter
	s = t.stage(acl=True, vms=True, begin=12, over={"services": {"router": {"remove_hold": "10m"}}})
	until(s.c4d.converged, 30, "all targets have converged")
	probe, status = Probe(s.agent), Status(s.c4d, t.trace)
	for thread in (probe, status):
		thread.start()
		t.lab.cleanups.append(thread.stop)
	t.calls()
	must = []  # [(from, to, URIs that are active all that time)]
	failed, rows = None, []
	for o in [o for o in OUTAGES if re.search(os.environ.get("CHAOS_OUTAGES", ""), o.title)]:
		until(lambda: time.time() - structural(s) > WINDOW + 0.5, 30, "Kamailio's window is open")
		failed, row = outage(t, s, o, probe, status, failed, must)
		rows.append(row)
	# Whatever the last one left behind has its time now.
	time.sleep(5 if t.short else 45)
	must.append((must[-1][1], time.time(), frozenset(i.uri for i in s.fleet.in_service())))
	t.promise(sum(s.sbc.nodes().values()) == len(s.nodes), f"not all rtpengines are in use: {s.sbc.nodes()}")
	t.end_calls()
	for thread in (probe, status, s.watch, s.guards):
		thread.stop()
	judge_kept(t, s, must)
	for at, text in s.watch.problems:
		t.broken(text, at)
	media = s.sbc.media_errors()
	t.promise(not media, f"{len(media)} commands to rtpengines failed; the first: {media[:1]}")
	for name, text in rows:
		t.figure(name, text)


def structural(s):
	"""When Kamailio's list last got or lost a destination."""
	last, before = 0.0, None
	for at, seen in s.watch.timeline:
		if seen is not None:
			if before is not None and set(seen) != before:
				last = at
			before = set(seen)
	return last


def outage(t, s, o, probe, status, failed, must):
	"""One outage; returns the instance that failed in it, and its line of figures."""
	seconds = o.short if t.short else o.seconds
	kept = frozenset(i.uri for i in s.fleet.in_service())
	t.say(f"{o.title}, for {seconds} s")
	begin = time.time()
	o.begin(s)
	time.sleep(seconds * t.rnd.uniform(0.2, 0.6))
	failed = change(t, s, failed)
	want = frozenset(i.uri for i in s.fleet.in_service())
	time.sleep(max(0.0, begin + seconds - time.time()))
	mended = time.time()
	o.end(s)
	if o.end is start_empty and t.short:
		tell_again(t, s, probe, mended)
	back = until(lambda: probe.first(lambda a: a.uris == want, begin), PATIENCE, lambda: f"Consul answers with the changes "
		f"after {o.title}: {probe.answers[-1]}")
	took = in_force(t, s, o, back.at, want)
	end = time.time()
	must.append((begin, end, kept & want))
	named = judge_named(t, s, o, probe, status, begin, mended, back.at)
	spells = ", ".join(f"{kind} {x:.1f} s" for kind, x in probe.spells(begin, back.at) if x >= 0.05)
	t.trace(end, f"{o.title}: DNS answered {spells}")
	try:
		until(lambda: not dns_problems(status.timeline[-1][1]), 10, "c4ctl status has no problem with DNS any more")
	except AssertionError as e:
		t.broken(f"{o.title}: {e}")
	return failed, (o.title, f"{seconds} s, {named}; DNS had the changes {back.at - mended:.1f} s after its end, in force "
		f"{'never' if took is None else f'{took:.2f} s'} later")


def change(t, s, failed):
	"""Returns the instance that fails."""
	used = {i for _, verb, i in s.fleet.changes if verb == "fail"}
	out = t.rnd.choice([i for i in s.fleet.in_service() if i not in used])
	new = [i for i in s.fleet.instances if not i.registered]
	with concurrent.futures.ThreadPoolExecutor() as pool:  # an agent without servers takes its time to answer
		jobs = [pool.submit(s.fleet.fail, out)]
		if failed:
			jobs.append(pool.submit(s.fleet.ok, failed))
		if new:
			jobs.append(pool.submit(s.fleet.register, t.rnd.choice(new)))
	for job in jobs:
		job.result()
	return out


def tell_again(t, s, probe, mended):
	"""Two agents at once and the third one later: a loss so small is not the shrink guard's business."""
	until(lambda: probe.first(lambda a: a.kind == "none", mended), PATIENCE, "the new servers know nobody")
	turn = list(zip(s.routers, s.nodes))
	t.rnd.shuffle(turn)
	for wait, (router, node) in zip((t.rnd.uniform(1, 3), 0, t.rnd.uniform(3, 5)), turn):
		time.sleep(wait)
		t.trace(time.time(), f"the instances of {router.name} register again, and {node.name}")
		for inst in s.fleet.of(router):
			if inst.registered:
				s.fleet.again(inst)
		s.register_node(node)


def in_force(t, s, o, since, want):
	"""Await that Kamailio's list is as DNS said at `since`; how long it took, None: never."""
	late = False
	while True:
		at, seen = s.watch.now()
		have = active(seen)
		guarded = {u: g for u, g in s.guarded().items() if u in have ^ want} if have ^ want else {}
		kept = {u for u, (state, _) in guarded.items() if state == "held" and u in have - want}
		out = {u for u, (state, _) in guarded.items() if state == "suppressed" and u in want - have}
		wrong = (have - want - kept) | (want - have - out)
		if not wrong:
			for u in kept | out:
				t.say(f"{o.title}: {s.name(u)} is {guarded[u][0]} by {guarded[u][1]}")
			took = max(0.0, at - since)
			t.promise(took <= IN_FORCE or late, f"{o.title}: the changes were in force {took:.2f} s after recovery", at)
			return took
		now = time.time()
		if now > since + IN_FORCE and not late:
			late = True
			t.broken(f"{o.title}: {IN_FORCE:g} s after recovery the changes are not in force: {s.names(wrong)}")
			s.evidence()
		if now > since + 60:
			return None
		time.sleep(0.01)


def dns_problems(said):
	return [p for p in said if "Consul" in p]


def judge_named(t, s, o, probe, status, begin, mended, back):
	"""The fault has its name in `c4ctl status` within two rounds."""
	bad = longest_bad(probe, begin, back)
	if o.expect is None and bad < 2 * (ROUND + TIMEOUT):
		said = status.first("", begin)
		return f"no more than {bad:.1f} s of it to be seen in DNS, " + (f"named: {said[1]!r}" if said and said[0] < back
			else "not named")
	found = status.first(o.expect or NO_ANSWER, begin)
	within = 2 * (ROUND + (TIMEOUT if found and "time-out" in found[1] else 0))
	if found is None or found[0] > back:
		t.broken(f"{o.title}: c4ctl status does not name the fault; it says {status.timeline[-1][1]}")
		return "not named"
	t.promise(found[0] - begin <= within, f"{o.title}: c4ctl status names the fault after {found[0] - begin:.2f} s, two rounds "
		f"take {within:.1f} s at most", found[0])
	t.trace(found[0], f"{o.title}: named: {found[1]}")
	judge_nobody(t, o, probe, status, begin, back)
	return f"named after {found[0] - begin:.2f} s ({found[1].rpartition(': ')[2]})"


def judge_nobody(t, o, probe, status, begin, back):
	"""That Consul lists nobody is a fault of its own."""
	empty = probe.first(lambda a: a.kind == "none", begin)
	other = empty and probe.first(lambda a: a.kind != "none", empty.at)
	if not other or other.at - empty.at < 2 * ROUND or empty.at > back:
		return
	found = status.first("no instance", empty.at)
	t.promise(found and found[0] - empty.at <= 2 * ROUND, f"{o.title}: Consul listed nobody for {other.at - empty.at:.1f} s; c4ctl "
		"status " + (f"says so after {found[0] - empty.at:.2f} s" if found else "does not say so"), empty.at)


def longest_bad(probe, begin, back):
	longest = run_ = 0.0
	for kind, seconds in probe.spells(begin, back):
		run_ = 0.0 if kind == "list" else run_ + seconds
		longest = max(longest, run_)
	return longest


def judge_kept(t, s, must):
	for begin, end, uris in must:
		for at, seen in s.watch.between(begin, end):
			lost = uris - active(seen)
			t.promise(not lost, f"Kamailio's list lost {s.names(lost)}" + ("" if seen is None else ": "
				+ ", ".join(seen[u].flags if u in seen else "not listed" for u in sorted(lost))), max(at, begin))
