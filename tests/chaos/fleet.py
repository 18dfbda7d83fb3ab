"""The routers' instances at Consul: what is registered, in which state, and every change with its time."""
import collections
import time

from lab import until

Killed = collections.namedtuple("Killed", "at router until")  # between the two times its processes ended


class Instance:
	def __init__(self, router, ip, agent):
		self.router, self.ip, self.port, self.agent = router, ip, router.port, agent
		self.sid = f"{router.name}-{ip.rpartition('.')[2]}"
		self.registered = self.maintenance = self.primary = False
		self.passing, self.weight = True, 10

	@property
	def addr(self):
		return f"{self.ip}:{self.port}"

	@property
	def uri(self):
		return f"sip:{self.addr}"

	@property
	def in_service(self):
		"""Whether Consul's DNS should list it."""
		return self.registered and self.passing and not self.maintenance

	def __repr__(self):
		return self.sid


class Fleet:
	"""
	Every verb is one change at Consul's agent; its time is that of Consul's answer. agent: who is asked what DNS lists;
	agents: where each router's instances register, in the routers' order. said: called with (time, text).
	"""

	def __init__(self, agent, routers, said, agents, service="router"):
		self.agent, self.service, self.said = agent, service, said
		self.instances = [Instance(r, ip, a) for r, a in zip(routers, agents) for ip in r.ips]
		self.by_uri = {i.uri: i for i in self.instances}
		self.by_ip = {i.ip: i for i in self.instances}
		self.changes = []  # [(time, verb, instance)]
		self.killed = []   # [Killed]
		self.counts = []   # [(time, how many are in service)]

	def _done(self, verb, inst, what=""):
		now = time.time()
		self.changes.append((now, verb, inst))
		self.counts.append((now, len(self.in_service())))
		self.said(now, f"{verb} {inst}{' ' if what else ''}{what}")
		return now

	def _put(self, inst):
		inst.agent.register(self.service, inst.ip, inst.port, id=inst.sid, weight=inst.weight,
			tags=["primary"] if inst.primary else [])

	def again(self, inst):
		"""Registers it as it is: no change, but its agent tells the servers at once."""
		self._put(inst)

	def register(self, inst):
		self._put(inst)
		inst.registered, inst.passing, inst.maintenance = True, True, False
		return self._done("register", inst)

	def deregister(self, inst):
		inst.agent.deregister(inst.sid)
		inst.registered = False
		return self._done("deregister", inst)

	def fail(self, inst):
		inst.agent.failing(inst.sid)
		inst.passing = False
		return self._done("fail", inst)

	def ok(self, inst):
		inst.agent.passing(inst.sid)
		inst.passing = True
		return self._done("pass", inst)

	def maintain(self, inst, on):
		inst.agent.maintenance(inst.sid, on)
		inst.maintenance = on
		return self._done("maintenance", inst, "on" if on else "off")

	def weigh(self, inst, weight):
		inst.weight = weight
		self._put(inst)
		return self._done("weight", inst, str(weight))

	def tag(self, inst, primary):
		inst.primary = primary
		self._put(inst)
		return self._done("tag", inst, "primary" if primary else "none")

	def kill(self, router):
		"""SIGKILL; every call on it is lost, whoever keeps the lists. Its checks are the caller's to fail."""
		now = time.time()
		router.kill()
		self.killed.append(Killed(now, router, time.time()))
		self.said(now, f"kill {router.name}")
		return now

	def of(self, router):
		return [i for i in self.instances if i.router is router]

	def in_service(self):
		return [i for i in self.instances if i.in_service]

	def fewest(self, since):
		"""The least that were in service at one time from then on."""
		before = [n for t, n in self.counts if t < since]
		return min(before[-1:] + [n for t, n in self.counts if t >= since])

	def absences(self):
		"""{uri: [(from, to)]}: when Consul did not list an instance that it had listed before, by the record of changes."""
		out, now = {}, {}
		for at, verb, inst in self.changes:
			st = now.setdefault(inst.uri, {"registered": False, "passing": True, "maintenance": False})
			before = st["registered"] and st["passing"] and not st["maintenance"]
			if verb == "register":
				st.update(registered=True, passing=True, maintenance=False)
			elif verb == "deregister":
				st["registered"] = False
			elif verb in ("pass", "fail"):
				st["passing"] = verb == "pass"
			elif verb == "maintenance":
				st["maintenance"] = not st["maintenance"]
			after = st["registered"] and st["passing"] and not st["maintenance"]
			if before and not after:
				out.setdefault(inst.uri, []).append((at, float("inf")))
			elif after and not before and inst.uri in out:
				out[inst.uri][-1] = (out[inst.uri][-1][0], at)
		return out

	def answer(self):
		"""The URIs that Consul's DNS lists at this moment."""
		got = self.agent.srv(self.service)
		if got.rcode not in (0, 3):
			raise OSError(f"Consul answers rcode {got.rcode}")
		return {f"sip:{ip}:{port}" for ip, port in got.instances()}

	def settled(self, timeout=10):
		"""Await that Consul's DNS says what was told."""
		want = {i.uri for i in self.in_service()}
		until(lambda: self.answer() == want, timeout, lambda: f"Consul lists {sorted(want)}, not {sorted(self.answer())}")

	def last_change(self):
		return self.changes[-1][0] if self.changes else 0.0
