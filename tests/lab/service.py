"""Services of a test's own at a Consul that it shares with others, and configurations that only watch."""
import itertools
import os

from .base import until
from .c4d import merge

# Short times, all guards as they are.
FAST = {"interval": "50ms"}
# Whatever a round proves takes effect at once: for showing that it proves nothing.
EAGER = {"interval": "50ms", "remove_hold": "0s", "empty_hold": "0s", "empty_rounds": 1, "shrink_hold": "0s",
	"max_shrink": 100, "min_instances": 0, "flap_suppress": 0}

_numbers = itertools.count(1)


def watching(dns, services, /, **over):
	"""A configuration without Kamailio. dns: a Consul, or a list of addresses; services: {name: keys}."""
	servers = [dns.dns_addr] if hasattr(dns, "dns_addr") else list(dns)
	return merge({"consul": {"dns": servers, "budget": 100}, "services": services}, over)


class Service:
	"""A service name that nobody else uses; its instances are 10.0.N.x:5060 unless told otherwise."""

	def __init__(self, consul, name=None):
		self.consul = consul
		self.name = name or f"s{os.getpid()}-{next(_numbers)}"
		self.ids = {}

	def add(self, address, port=5060, **kw):
		"""Returns "address:port", as C4d.instances() has it."""
		key = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
		self.ids[key] = self.consul.register(self.name, address, port, **kw)
		return key

	def many(self, n, first=1, **kw):
		return [self.add(f"10.0.{i // 200}.{i % 200 + 1}", **kw) for i in range(first, first + n)]

	def fail(self, *keys):
		for k in keys:
			self.consul.failing(self.ids[k])

	def back(self, *keys):
		for k in keys:
			self.consul.passing(self.ids[k])

	def warn(self, key):
		self.consul.warning(self.ids[key])

	def maintenance(self, key, on):
		self.consul.maintenance(self.ids[key], on)

	def gone(self, *keys):
		for k in keys:
			self.consul.deregister(self.ids.pop(k))

	def clear(self):
		self.gone(*list(self.ids))


# ---- looking at what a daemon holds ----

def is_up(c4d, service, *keys, timeout=10):
	until(lambda: {k for k, s in c4d.states(service).items() if s == "up"} == set(keys), timeout,
		lambda: f"up: {keys}; it has {c4d.states(service)}")


def has_state(c4d, service, key, state, timeout=10):
	until(lambda: c4d.states(service).get(key) == state, timeout,
		lambda: f"{key} is {state}; it has {c4d.states(service)}")


def dns_row(c4d, name=None):
	rows = [r for r in c4d.show("dns") if name in (None, r["name"])]
	assert len(rows) == 1, rows
	return rows[0]


def rounds(c4d, name=None):
	return sum(dns_row(c4d, name)["rounds"].values())


def more_rounds(c4d, n, name=None):
	"""Wait for n whole rounds that begin after now."""
	begin = rounds(c4d, name)
	until(lambda: rounds(c4d, name) > begin + n, 10, lambda: f"{n} more rounds: {c4d.show('dns')}")


def problems(c4d, text):
	"""The problems of `c4ctl status` that say this."""
	return [p for p in c4d.ctl("status", fmt="json").data["problems"] if text in p["problem"]]


# ---- wake: index ----

def wake(c4d, service="router"):
	"""Of the service's first name, as `show dns` has it."""
	return next(r for r in c4d.show("dns") if r["service"] == service)


def waits(c4d, service="router", timeout=20):
	"""Await that a blocking query is out, and that the rounds that the wake-up at the start asked for are over."""
	until(lambda: (w := wake(c4d, service))["wake"] == "waiting" and w["wake_queries"] > 1, timeout,
		lambda: f"c4d waits at Consul's index: {wake(c4d, service)}\n{c4d.proc.log_tail()}")
	seen = []

	def settled():
		seen.append(wake(c4d, service)["wake_rounds"])
		return seen[-2:-1] == seen[-1:]
	until(settled, 5, lambda: f"no more rounds: {seen}", every=0.15)
