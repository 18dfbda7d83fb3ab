"""What Consul's DNS answers, asked every 20 ms; no question waits for the one before it."""
import asyncio
import collections
import struct
import threading
import time

from lab import dns

EVERY = 0.02
PATIENCE = 2.0
CANARY = "consul.service.consul"

# kind: "list", "none" (no such name, but the canary is there), "nothing" (not even the canary), an rcode's name, "no
# connection" or "time-out". uris: of a list.
Answer = collections.namedtuple("Answer", "asked at kind uris")
_RCODES = {dns.SERVFAIL: "SERVFAIL", dns.REFUSED: "REFUSED"}


class Probe(threading.Thread):
	"""answers: one for each change of what is answered, in the order of the answers."""

	def __init__(self, agent, service="router"):
		super().__init__(daemon=True)
		self.server, self.name = (agent.ip, agent.dns_port), f"{service}.service.consul"
		self.answers = []
		self.asked = 0
		self._end = threading.Event()

	def run(self):
		asyncio.run(self._ask_on())

	def stop(self):
		self._end.set()
		self.join()

	async def _ask_on(self):
		tasks, due = set(), time.monotonic()
		while not self._end.is_set():
			task = asyncio.ensure_future(self._ask())
			tasks.add(task)
			task.add_done_callback(tasks.discard)
			self.asked += 1
			due = max(due + EVERY, time.monotonic() - EVERY)
			await asyncio.sleep(max(0.0, due - time.monotonic()))
		for task in tasks:
			task.cancel()
		await asyncio.gather(*tasks, return_exceptions=True)

	async def _ask(self):
		asked, uris = time.time(), None
		try:
			kind, uris = await asyncio.wait_for(self._both(), PATIENCE)
		except asyncio.TimeoutError:
			kind = "time-out"
		except (OSError, asyncio.IncompleteReadError):
			kind = "no connection"
		now = Answer(asked, time.time(), kind, uris)
		if not self.answers or self.answers[-1][2:] != now[2:]:
			self.answers.append(now)

	async def _both(self):
		reader, writer = await asyncio.open_connection(*self.server)
		try:
			writer.write(dns.question(self.name) + dns.question(CANARY))
			found = dns.Answer(await self._read(reader))
			canary = dns.Answer(await self._read(reader))
		finally:
			writer.close()
		if found.srv:
			return "list", frozenset(f"sip:{ip}:{port}" for ip, port in found.instances())
		if found.rcode not in (dns.NOERROR, dns.NXDOMAIN):
			return _RCODES.get(found.rcode, f"rcode {found.rcode}"), None
		return ("none" if canary.srv else "nothing"), None

	@staticmethod
	async def _read(reader):
		return await reader.readexactly(struct.unpack("!H", await reader.readexactly(2))[0])

	def first(self, cond, since):
		"""The first change to an answer that was asked for after `since` and that cond() likes, or None."""
		return next((a for a in list(self.answers) if a.asked >= since and cond(a)), None)

	def spells(self, since, until):
		"""[(kind, seconds)] of this time."""
		out, answers = [], list(self.answers)
		for a, after in zip(answers, answers[1:] + [None]):
			begin, end = max(since, a.at), min(until, after.at if after else until)
			if end <= begin:
				continue
			if out and out[-1][0] == a.kind:
				out[-1] = (a.kind, out[-1][1] + end - begin)
			else:
				out.append((a.kind, end - begin))
		return out
