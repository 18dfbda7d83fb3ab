"""Consul, one SBC and c4d as most tests of a target want them: short times, one service, one set."""
from .base import until
from .c4d import base_config, merge


class Rig:
	"""
	over: laid on the configuration; delta: reload_delta of Kamailio and of c4d, in seconds. The instances have
	addresses of the lab's own network; whether somebody answers there is the test's business.
	"""

	def __init__(self, lab, consul, sbc, make_c4d, *, delta=1, over=None, **c4d_kw):
		self.lab, self.consul, self.sbc = lab, consul, sbc
		kam = {"reload_delta": f"{delta}s", "poll": "200ms"}
		# what is out stays listed for as long as a test looks, unless it says otherwise
		base = base_config(consul, sbc, kamailio={"sbc": kam}, services={"router": {"remove_hold": "1m"}})
		self.conf = merge(base, over or {})
		self.c4d = make_c4d(self.conf, **c4d_kw)
		self.sids = {}

	def add(self, host=None, port=5060, service="router", address=None, **kw):
		"""Registers an instance; returns its URI."""
		address = address or self.lab.ip(host)
		uri = f"sip:[{address}]:{port}" if ":" in address else f"sip:{address}:{port}"
		self.sids[uri] = self.consul.register(service, address, port, **kw)
		return uri

	def gone(self, uri):
		self.consul.deregister(self.sids.pop(uri))

	def out(self, uri, on=True):
		"""Maintenance at Consul, or its end."""
		self.consul.maintenance(self.sids[uri], on)

	def start(self, *uris, wait=True):
		"""Start c4d and await that Kamailio lists exactly these."""
		self.c4d.start()
		if wait:
			self.lists(*uris)
			self.converged()
		return self

	def lists(self, *uris, set_id=1, timeout=10):
		until(lambda: self.sbc.listed(set_id) == set(uris), timeout, lambda: f"Kamailio lists {sorted(uris)}, not "
			f"{self.sbc.flags(set_id)}; file:\n{self.sbc.file_text()}")

	def converged(self, timeout=10):
		until(self.c4d.converged, timeout, lambda: f"all targets converged: {self.c4d.targets()}")

	def quiet(self):
		"""Converged, and Kamailio's window is open again."""
		until(lambda: self.c4d.converged() and all(t["window_ms"] == 0 for t in self.c4d.targets().values()), 15,
			lambda: f"converged with an open window: {self.c4d.targets()}")

	def target(self, name="sbc/1"):
		return self.c4d.targets()[name]

	def failed(self, *texts, name="sbc/1", timeout=10, state="failed"):
		"""Await this state with all these words in its error; returns the error."""
		def there():
			t = self.target(name)
			return t["state"] == state and all(x in (t["last_error"] or "") for x in texts)
		until(there, timeout, lambda: f"{name} is {state} with {texts}: {self.target(name)}\n{self.c4d.proc.log_tail()}")
		return self.target(name)["last_error"]

	def count(self, key):
		"""One of the counters of `status`."""
		return self.c4d.ctl("status", fmt="json").data["kamailio"][0][key]

	def entries(self, set_id=1):
		"""{uri: flags} of the list file."""
		return {e[1]: e[2] for e in self.sbc.file_entries() if e[0] == set_id}
