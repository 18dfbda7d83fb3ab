"""What Kamailio lists, asked all run long over binrpc without any of c4d's code: a timeline of its changes."""
import bisect
import threading
import time

from lab import Binrpc, Dest, Fault
from lab.binrpc import BadFrame, get

EVERY = 0.02


def listing(rpc, set_id=1):
	"""{uri: Dest} of one set; a destination listed twice would take a double share of the calls: an assertion."""
	try:
		reply = rpc.call("dispatcher.list")[0]
	except Fault as e:
		if "No Destination Sets" in e.reason:
			return {}
		raise
	found = {}
	for name, record in get(reply, "RECORDS") or []:
		if name != "SET" or get(record, "ID") != set_id:
			continue
		for key, dest in get(record, "TARGETS") or []:
			if key == "DEST":
				uri, body = get(dest, "URI"), get(dest, "ATTRS", "BODY") if get(dest, "ATTRS") else ""
				assert uri not in found, f"{uri} is listed twice"
				found[uri] = Dest(uri, get(dest, "FLAGS"), get(dest, "PRIORITY"), "" if body == "<null string>" else body or "")
	return found


def active(seen):
	"""Those that take calls."""
	return {u for u, d in (seen or {}).items() if d.flags[0] == "A"}


def disabled(seen):
	return {u for u, d in (seen or {}).items() if d.flags[0] == "D"}


class Watch(threading.Thread):
	"""timeline: [(wall clock, {uri: Dest})], one entry per change; None instead of the dict while Kamailio is away."""

	def __init__(self, ctl, set_id=1, every=EVERY):
		super().__init__(daemon=True)
		self.ctl, self.set_id, self.every = ctl, set_id, every
		self.timeline = []
		self.problems = []  # [(wall clock, text)]: what no list may show
		self.seen_at = 0.0  # when it last asked
		self._end = threading.Event()

	def run(self):
		rpc = None
		while not self._end.is_set():
			seen = None
			try:
				rpc = rpc or Binrpc(self.ctl, 2.0)
				seen = listing(rpc, self.set_id)
			except AssertionError as e:
				self.problems.append((time.time(), str(e)))
			except (OSError, BadFrame, Fault):
				if rpc:
					rpc.close()
				rpc = None
			now = time.time()
			if not self.timeline or self.timeline[-1][1] != seen:
				self.timeline.append((now, seen))
			self.seen_at = now
			time.sleep(self.every)
		if rpc:
			rpc.close()

	def stop(self):
		self._end.set()
		self.join()

	def now(self):
		"""The newest (since, {uri: Dest}), of a question that begins after this call."""
		at = time.time()
		while self.seen_at < at + self.every and self.is_alive():
			time.sleep(0.002)
		return self.timeline[-1]

	def newest(self):
		return self.timeline[-1] if self.timeline else (0.0, None)

	def at(self, when):
		"""What it listed at this time."""
		i = bisect.bisect_right([t for t, _ in self.timeline], when)
		return self.timeline[i - 1][1] if i else None

	def between(self, begin, end):
		"""[(time, list)] in force in this time, the first being the one in force at its begin."""
		out = []
		for i, (t, seen) in enumerate(self.timeline):
			until = self.timeline[i + 1][0] if i + 1 < len(self.timeline) else float("inf")
			if until > begin and t < end:
				out.append((t, seen))
		return out

	def spans(self, cond):
		"""{uri: [(begin, end or None)]}: how long cond(Dest or None) was true for each uri ever seen."""
		open_, out = {}, {}
		uris = {u for _, seen in self.timeline for u in seen or {}}
		for t, seen in self.timeline:
			if seen is None:
				continue
			for uri in uris:
				if cond(seen.get(uri)):
					open_.setdefault(uri, t)
				elif uri in open_:
					out.setdefault(uri, []).append((open_.pop(uri), t))
		for uri, begin in open_.items():
			out.setdefault(uri, []).append((begin, None))
		return out


class Guards(threading.Thread):
	"""timeline: [(wall clock, {uri: (state, guard)})] of what c4d lists with a guard, asked twice a second."""

	def __init__(self, ask, every=0.5):
		super().__init__(daemon=True)
		self.ask, self.every, self.timeline = ask, every, []
		self._end = threading.Event()

	def run(self):
		while not self._end.wait(self.every):
			try:
				now = self.ask()
			except (OSError, AssertionError):
				continue  # c4d is away
			if not self.timeline or self.timeline[-1][1] != now:
				self.timeline.append((time.time(), now))

	def stop(self):
		self._end.set()
		self.join()

	def said(self, uri, begin, end):
		"""Whether it was listed with a guard in all of this time."""
		times = [t for t, _ in self.timeline] + [float("inf")]
		return bool(self.timeline) and self.timeline[0][0] <= begin and all(
			uri in seen for (t, seen), after in zip(self.timeline, times[1:]) if after > begin and t < end)
