"""
A whole platform of conf/kamailio: both sample Kamailios, rtpengine, Consul and c4d with the sample configuration; and sipp as those who
call and are called, with every message that they saw.
"""
import json
import os
import re
import shutil

from .base import LAB, ROOT, LabError, until
from .kamailio import Kamailio
from .routing import TENANT
from .rtpengine import Rtpengine
from .sipp import Sipp

SAMPLES = os.path.join(ROOT, "conf", "kamailio")
STOCK = "/usr/share/kamailio/dbtext/kamailio"
ROUTING = "/etc/c4d/routing.json"


class Sample(Kamailio):
	"""One of conf/kamailio; files: where c4d writes what it reads."""

	def __init__(self, lab, name, defines=None, **kw):
		super().__init__(lab, name, os.path.join(SAMPLES, f"{name}.cfg"), **kw)
		self.files = lab.mkdir(name, "files")
		self.defines = {"LISTEN": self.addr, "CTL": f"{self.run}/ctl", "FILES": self.files, **(defines or {})}


class Platform:
	"""
	doc: the routing data; kamailio: of both Sample. The constructor makes what a new machine needs, and registers all at Consul;
	start() starts c4d and both Kamailios, and awaits that all targets have converged.
	"""

	def __init__(self, lab, consul, make_c4d, doc, **kamailio):
		self.lab, self.consul = lab, consul
		self.rtp = Rtpengine(lab, "rtp").start()
		self.routing = lab.path("routing.json")
		self.sbc = Sample(lab, "sbc", **kamailio)
		self.router = Sample(lab, "router", **kamailio)
		self.c4d = make_c4d("")
		self.router.defines["C4D_URL"] = f"http://{self.c4d.http_ip}:{self.c4d.http_port}"
		if self.router.version == "6.0":
			self.router.defines["HTTP_ASYNC"] = None
		self.c4d.write(self.conf())
		self.load(doc)
		self.first_files()
		for service, peer in (("router", self.router), ("rtp", self.rtp)):
			consul.register(service, peer.ip, peer.port)

	def first_files(self):
		"""What conf/kamailio/sbc.cfg and router.cfg tell to do on a new machine: Kamailio does not start without them."""
		tables = os.path.join(self.sbc.files, "dbtext")
		os.mkdir(tables)
		for empty in (f"{self.sbc.files}/dispatcher.list", f"{self.router.files}/address.list"):
			with open(empty, "w"):
				pass
		for name in ("version", "rtpengine"):
			shutil.copy(os.path.join(STOCK, name), tables)

	def conf(self):
		"""The sample, with this lab's places in it."""
		with open(os.path.join(SAMPLES, "c4d.yml")) as f:
			text = f.read()
		for place, mine in (("127.0.0.1:8600", self.consul.dns_addr), ("http://127.0.0.1:8500", self.consul.http_addr),
				("127.0.0.1:9600", f"{self.c4d.http_ip}:{self.c4d.http_port}"), (ROUTING, self.routing),
				("/run/kamailio/sbc_ctl", f"{self.sbc.run}/ctl"), ("/run/kamailio/router_ctl", f"{self.router.run}/ctl"),
				("/var/lib/c4d/sbc", self.sbc.files), ("/var/lib/c4d/router", self.router.files), ("127.0.0.1/32", f"{self.sbc.ip}/32")):
			if place not in text:
				raise LabError(f"conf/kamailio/c4d.yml does not name {place}")
			text = text.replace(place, mine)
		return f"state: {self.c4d.state}\ncontrol: {{ socket: {self.c4d.socket} }}\n{text}"

	def load(self, doc):
		with open(self.routing + ".new", "w") as f:
			json.dump(doc, f)
		os.rename(self.routing + ".new", self.routing)

	def start(self):
		self.c4d.start()
		self.sbc.start(wait=False)
		self.router.start(wait=False)
		self.sbc.ready()
		self.router.ready()
		until(self.c4d.converged, 20, lambda: f"all targets converged: {self.c4d.targets()}\n{self.c4d.proc.log_tail()}")
		return self

	def cdrs(self, n=1):
		"""The CDRs, oldest first, when there are n of them."""
		def enough():
			rows = self.c4d.show("cdr --last 1000")
			return (rows,) if len(rows) >= n else None
		[rows] = until(enough, 10, lambda: f"{n} CDRs: {self.c4d.show('cdr')}\n{self.router.proc.log_tail()}")
		return sorted(rows, key=lambda r: r["id"])


class Message:
	def __init__(self, text):
		head, _, self.body = text.partition("\n\n")
		lines = re.sub(r"\n[ \t]+", " ", head).split("\n")
		self.start = lines[0]
		self.headers = [tuple(x.strip() for x in line.split(":", 1)) for line in lines[1:] if ":" in line]

	@property
	def name(self):
		"""INVITE, or 200 INVITE."""
		words = self.start.split()
		return f"{words[1]} {self.get('CSeq').split()[1]}" if words[0] == "SIP/2.0" else words[0]

	@property
	def uri(self):
		return self.start.split()[1]

	def all(self, name):
		return [v for k, v in self.headers if k.lower() == name.lower()]

	def get(self, name):
		"""The one header of this name; None: it is not there."""
		found = self.all(name)
		assert len(found) < 2, f"{name} is there {len(found)} times: {found}"
		return found[0] if found else None

	@property
	def cseq(self):
		return int(self.get("CSeq").split()[0])

	def __repr__(self):
		return "\n".join([self.start] + [f"{k}: {v}" for k, v in self.headers])


class Sip(Sipp):
	"""
	sipp with one of tests/lab/sip, @NAME@ in it replaced; a callee without `proxy`. One call unless count says more.
	"""

	_count = 0

	def __init__(self, lab, scenario, proxy=None, *, ip=None, port=None, count=1, rate=10, hold_ms=100, trace=True, **values):
		Sip._count += 1
		super().__init__(lab, f"{scenario}{Sip._count}")
		self.count = count
		self.ip = ip or lab.ip()
		self.port = port or lab.port(self.ip, 5060)
		with open(os.path.join(LAB, "sip", f"{scenario}.xml")) as f:
			text = re.sub(r"@([A-Z]+)@", lambda m: str(values[m[1].lower()]), f.read())
		path = os.path.join(self.dir, "scenario.xml")
		with open(path, "w") as f:
			f.write(text)
		self.log = os.path.join(self.dir, "messages.log")
		args = ["-i", self.ip, "-ci", self.ip, "-p", self.port, "-d", hold_ms]
		if trace:
			args += ["-trace_msg", "-message_file", self.log, "-message_overwrite", "true"]
		if proxy:
			args += ["-m", count, "-r", rate, "-recv_timeout", 20000, "-timeout", "60s", "-timeout_error", proxy]
		self.start(path, args)
		if not proxy:
			until(lambda: self._bound(), 5, f"{self.name} listens")

	def _bound(self):
		"""Whether its port is taken."""
		with open("/proc/net/udp") as f:
			mine = "%02X%02X%02X%02X:%04X" % (*reversed([int(x) for x in self.ip.split(".")]), self.port)
			return any(line.split()[1] == mine for line in f.readlines()[1:])

	@property
	def addr(self):
		return f"{self.ip}:{self.port}"

	def ok(self, timeout=60):
		"""Await its end, and that its calls went as the scenario says."""
		rc = self.proc.wait(timeout)
		if rc != 0:
			raise LabError(f"{self.name}: sipp's status {rc}\n{self.why()}")
		return self

	def ok_so_far(self):
		"""A callee that runs on has noted no error."""
		assert not os.path.exists(self.errors) or os.path.getsize(self.errors) == 0, self.why()

	def messages(self, received=True):
		"""What it received, or sent, in order."""
		try:
			with open(self.log, errors="replace", newline="") as f:
				text = f.read().replace("\r\n", "\n")
		except OSError:
			return []
		found = re.split(r"-{20,} [\d-]+ [\d:.]+\n", text)[1:]
		word = "received" if received else "sent"
		return [Message(m[1].lstrip("\n")) for x in found
			if (m := re.match(rf"\w+ message {word}[^\n]*:\n\n(.*)", x, re.S))]

	def got(self, name, nth=0):
		"""The nth message with this name that it received ("INVITE", "200 INVITE"), repetitions left out."""
		def look():
			seen, found = set(), []
			for m in self.messages():
				key = m.all("Via")[0], m.cseq, m.name
				if m.name == name and key not in seen:
					found.append(m)
				seen.add(key)
			return found[nth]
		return until(look, 5, lambda: f"{self.name} receives {name}: {[m.name for m in self.messages()]}")

	def names(self):
		"""Names of all that it received."""
		return [m.name for m in self.messages()]


def document(ipbx, carrier, *, second=None, dids=None):
	"""
	Tenant fabrikam: the IPBX (an address and port that calls) and its domain sip.fabrikam.com, DID 39040123456; its carrier trunk with
	credentials, at `carrier`; second: another trunk after it.
	"""
	def trunk(n, at, user):
		ip, port = at.split(":")
		return {"id": n, "tenant_uuid": TENANT, "carrier_id": 1, "name": f"trunk{n}", "sip_proxy": ip, "sip_proxy_port": int(port),
			"ip_address": ip, "auth_username": user, "auth_password": f"secret of {user}", "realm": f"{user}.example",
			"normalization_profile_id": 1}
	ip, port = ipbx.split(":")
	trunks = [trunk(1, carrier, "carrier1")] + ([trunk(2, second, "carrier2")] if second else [])
	return {
		"tenants": [{"uuid": TENANT, "name": "fabrikam"}],
		"domains": [{"id": 1, "tenant_uuid": TENANT, "domain": "sip.fabrikam.com"}],
		"carriers": [{"id": 1, "tenant_uuid": TENANT, "name": "carrier"}],
		"normalization_profiles": [{"id": 1, "tenant_uuid": TENANT, "name": "abroad", "country_code": "39", "always_intl_prefix_plus": True}],
		"carrier_trunks": trunks,
		"ipbxs": [{"id": 1, "tenant_uuid": TENANT, "domain_id": 1, "customer": "one", "ip_fqdn": ip, "port": int(port), "ip_address": ip}],
		"dids": dids or [{"id": 1, "tenant_uuid": TENANT, "ipbx_id": 1, "carrier_trunk_id": 1, "did_regex": "^39040123456$"}],
		"routing_rules": [{"id": 1, "prefix": "33", "trunks": [t["id"] for t in trunks]}],
		"routing_groups": [{"id": 1, "tenant_uuid": TENANT, "routing_rule_id": 1}],
	}
