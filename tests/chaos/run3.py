"""
Run 3: c4d is killed with -9 at random moments, 50 times, while changes go on and calls run.

Promised: no failed call; a reader that opens the list file in a tight loop never finds it missing, never sees a partial
line, and never sees a line gone that two neighbouring generations both have: a line leaves only when Consul has not
listed its instance for remove_hold, or when the generation that brought it was killed before it was stored (then the
file falls back to the generation before). The store opens at each restart and its generation does not go backwards;
after each restart Kamailio is as Consul says within window + interval + 100 ms.
"""
import os
import random
import re
import subprocess
import threading
import time

from lab import until
from lab.base import which
from stage import INTERVAL, REMOVE_HOLD, SLACK, WINDOW
from trial import percentile
from walk import Walk

TITLE = "c4d killed with -9"
KILLS, KILLS_SHORT = 50, 8
# A generation is in the file before it is in the store; a kill this soon after it appeared may undo it.
UNSTORED = 1.0
LINE = re.compile(r"^1 (sip:[0-9.]+:\d+) (\d+) (\d+) weight=(\d+)$")


class Reader:
	def __init__(self, lab, path):
		here = os.path.dirname(os.path.abspath(__file__))
		binary, self.out = lab.path("reader", "reader"), lab.path("reader", "versions")
		subprocess.run([which("cc", "tests/tools/deps.sh installs gcc"), "-O2", "-Wall", "-o", binary,
			os.path.join(here, "reader.c")], check=True)
		# As often as it can, but never before those whose speed matters.
		self.proc = lab.spawn("reader", ["nice", "-n", "19", binary, path], stdout=self.out)

	def stop(self):
		"""[(time, bytes or None)], reads, longest gap in seconds."""
		self.proc.stop()
		with open(self.out, "rb") as f:
			data = f.read()
		versions, at = [], 0
		while True:
			end = data.index(b"\n", at)
			words = data[at:end].decode().split()
			at = end + 1
			if words[0] == "E":
				return versions, int(words[1]), int(words[2]) / 1e6
			if words[0] == "M":
				versions.append((float(words[1]), None))
				continue
			versions.append((float(words[1]), data[at:at + int(words[2])]))
			at += int(words[2])


class Changes(threading.Thread):
	"""Random changes until stop(), a few per second; wait() between two of them holds them up."""

	def __init__(self, t, s, number):
		super().__init__(daemon=True)
		self.walk = Walk(t, s, random.Random(f"{t.seed}/changes{number}"))
		self.t, self.error = t, None
		self._end = threading.Event()

	def run(self):
		try:
			while not self._end.wait(self.walk.rnd.random() * 0.6):
				self.walk.one()
		except Exception as e:  # pylint: disable=broad-except
			self.error = e

	def stop(self):
		self._end.set()
		self.join()
		if self.error:
			raise self.error
		return self.walk.done


def run(t):
	kills = KILLS_SHORT if t.short else KILLS
	# Damping would keep the list from changing.
	s = t.stage(begin=12, over={"services": {"router": {"flap_suppress": 0}}})
	until(s.c4d.converged, 10, "c4d has converged")
	reader = Reader(t.lab, s.sbc.list_file)
	t.calls()
	took, killed, changed, extra, generation, guards = [], [], 0, 0, generation_of(s), set()
	for n in range(kills):
		changes = Changes(t, s, n)
		changes.start()
		# Mostly while it works, sometimes within a moment of a change or of its own start.
		time.sleep(t.rnd.choice([0.2, 1, 3]) * t.rnd.random())
		killed.append(kill(t, s))
		for _ in range(t.rnd.choice([0, 0, 0, 1, 2])):
			time.sleep(t.rnd.random() * 0.5)
			s.c4d.start(wait=False)
			time.sleep(t.rnd.choice([0.02, 0.1, 0.6]) * t.rnd.random())
			killed.append(kill(t, s))
			extra += 1
		time.sleep(t.rnd.random())
		s.c4d.start(wait=False)
		begun = time.time()
		time.sleep(t.rnd.random())
		changed += changes.stop()
		since = max(begun, s.fleet.last_change())
		until(s.c4d.answers, 10, lambda: f"c4d answers after kill {n + 1}\n{s.c4d.proc.log_tail()}")
		generation = judge_store(t, s, n + 1, generation)
		seconds, guarded, text = s.converge(since, patience=60)
		t.promise(text is None, f"after kill {n + 1}: not as Consul says within {WINDOW + INTERVAL + SLACK:.1f} s of the "
			f"restart: {text}" + ("" if seconds is None else f" (it was after {seconds:.2f} s)"))
		guards |= {f"{s.name(u)} {state}: {guard}" for u, (state, guard) in guarded.items()}
		if seconds is not None:
			took.append(seconds)
	t.say(f"{kills} kills, and {extra} within a moment of the start")
	t.end_calls()
	s.watch.stop()
	versions, reads, gap = reader.stop()
	undone = judge_file(t, s, versions, killed)
	for at, text in s.watch.problems:
		t.broken(text, at)
	t.figure("kills", f"{kills}, and {extra} more within 0.6 s of its start; {changed} changes meanwhile")
	t.figure("restart or last change -> Kamailio equals Consul's answer",
		f"p50 {percentile(took, 50):.2f} s, max {max(took):.2f} s (promised: {WINDOW + INTERVAL + SLACK:.1f} s)")
	t.figure("list file", f"read {reads} times, {len(versions)} contents, longest gap between two reads {1000 * gap:.1f} ms; "
		f"{undone} lines undone by a kill before their generation was stored")
	t.figure("held or suppressed by a guard at some time", ", ".join(sorted(guards)) or "none")


def kill(t, s):
	now = time.time()
	s.c4d.kill()
	t.trace(now, "kill -9 c4d")
	return now


def generation_of(s):
	return s.c4d.ctl("status", fmt="json").data["generation"]


def judge_store(t, s, n, before):
	status = s.c4d.ctl("status", fmt="json").data
	store = status["store"]
	t.promise(store["state"] == "ok" and not store.get("set_aside"), f"after kill {n} the store is not well: {store}")
	t.promise(status["generation"] >= before, f"after kill {n} the generation is {status['generation']}, it was {before}")
	return status["generation"]


def judge_file(t, s, versions, killed):
	"""Every content that the reader saw; returns how many lines a kill undid."""
	outs = s.fleet.absences()
	before, came, undone = set(), {}, 0
	for at, data in versions:
		if data is None:
			t.broken("the list file was missing", at)
			continue
		now = set()
		text = data.decode(errors="replace")
		t.promise(text.endswith("\n"), f"the list file ended in the middle of a line: {text[-80:]!r}", at)
		for line in text.splitlines():
			m = LINE.match(line)
			if m and m.group(1) in s.fleet.by_uri:
				now.add(m.group(1))
			elif line and not line.startswith("#"):
				t.broken(f"a line of the list file is not whole: {line!r}", at)
		for uri in now - before:
			came[uri] = at
		for uri in before - now:
			if any(came[uri] <= k <= came[uri] + UNSTORED and k <= at for k in killed):
				t.trace(at, f"the list file lost {s.name(uri)}: a kill undid the generation that brought it")
				undone += 1
				continue
			gone = [b for b, e in outs.get(uri, []) if b <= at < e]
			t.promise(bool(gone) and at - gone[0] >= REMOVE_HOLD - 0.2,
				f"the list file lost {s.name(uri)}, which Consul " + (f"had not listed for {at - gone[0]:.1f} s only" if gone
				else "listed"), at)
		before = now
	return undone
