"""Random changes at Consul, as they come in a life of a platform."""
import time

# So many stay in service; fewer only when many are made to fail at once.
FEWEST = 8


class Walk:
	"""Random changes, one at a time; restores more than it takes away when few are left."""

	def __init__(self, trial, stage, rnd=None):
		self.t, self.s, self.f, self.rnd = trial, stage, stage.fleet, rnd or trial.rnd
		self.done = 0
		self.dead = {}  # {router: when it is to be started again}

	def living(self, cond):
		return [i for i in self.f.instances if i.router not in self.dead and cond(i)]

	def choices(self):
		"""[(weight, verb, instances)]"""
		f, up = self.f, len(self.f.in_service())
		here = self.living(lambda i: i.registered)
		away = self.living(lambda i: not i.registered)
		back = [
			(3, f.register, away),
			(4, f.ok, [i for i in here if not i.passing]),
			(3, lambda i: f.maintain(i, False), [i for i in here if i.maintenance]),
		]
		same = [
			(2, lambda i: f.weigh(i, self.rnd.choice([x for x in (1, 5, 10, 20, 50, 100) if x != i.weight])), here),
			(1, lambda i: f.tag(i, not i.primary), here),
		]
		out = [
			(3, f.deregister, [i for i in here if i.in_service]),
			(4, f.fail, [i for i in here if i.in_service]),
			(2, lambda i: f.maintain(i, True), [i for i in here if i.in_service]),
		]
		return [c for c in (back if up < FEWEST else back + same + out) if c[2]] or [c for c in same if c[2]]

	def one(self):
		options = self.choices()
		_, verb, among = self.rnd.choices(options, [c[0] for c in options])[0]
		verb(self.rnd.choice(sorted(among, key=lambda i: i.sid)))
		self.done += 1

	def burst(self):
		"""Several changes within a window."""
		for _ in range(self.rnd.randint(1, 6)):
			self.one()
			time.sleep(self.rnd.random() * 1.2)

	def kill(self):
		"""A router dies with all its instances; Consul's checks find out one after the other."""
		router = self.rnd.choice([r for r in self.s.routers if r not in self.dead])
		self.f.kill(router)
		self.dead[router] = None
		time.sleep(0.2 + self.rnd.random() * 0.5)
		for inst in self.f.of(router):
			if inst.registered and inst.passing:
				self.f.fail(inst)
				self.done += 1
				time.sleep(self.rnd.random() * 0.2)

	def revive(self):
		for router in list(self.dead):
			router.start()
			self.t.trace(time.time(), f"{router.name} runs again")
			del self.dead[router]
			for inst in self.f.of(router):
				if inst.registered and not inst.passing:
					self.f.ok(inst)
					self.done += 1
					time.sleep(self.rnd.random() * 0.3)

	def collapse(self):
		"""More than half of all fail at once: the shrink guard's business."""
		victims = self.f.in_service()
		self.rnd.shuffle(victims)
		for inst in victims[:len(victims) - 3]:
			self.f.fail(inst)
			self.done += 1

	def recover(self):
		for inst in self.living(lambda i: i.registered and not i.passing):
			self.f.ok(inst)
			self.done += 1
