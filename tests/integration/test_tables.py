"""The domain and permissions targets, and taking over from the system before: what the real Kamailio dumps is the judge."""
import os
import re
import signal

import pytest

from lab import binrpc, holds, merge, until
from lab.fake_ng import FakeNg
from lab.media import MediaSbc
from lab.rig import Rig
from lab.tables import Tables

pytestmark = pytest.mark.both_kamailios
DOMAIN = "id(int) domain(string) did(string) last_modified(int)\n"
ATTRS = "id(int,auto) did(string) name(string) type(int) value(string) last_modified(int)\n"
VERSION = "id(int,auto) table_name(string) table_version(int)\n0:domain:2\n1:domain_attrs:1\n2:rtpengine:1\n3:uacreg:4\n"
NODES = "id(int,auto) setid(int) url(string) weight(int) disabled(int) stamp(int)\n"


def domains(box):
	"""[domain] as Kamailio dumps them."""
	return sorted(binrpc.get(v, "domain") for _, v in binrpc.get(box.rpc("domain.dump")[0], "domains"))


def dids(box):
	return {binrpc.get(v, "domain"): binrpc.get(v, "did") for _, v in binrpc.get(box.rpc("domain.dump")[0], "domains")}


def addresses(box):
	"""{(group, 'IP' or 'IP/MASK' or name, port, tag)} of the three dumps."""
	found = set()
	for method, key in (("addressDump", "ip"), ("subnetDump", "ip"), ("domainDump", "domain_name")):
		for struct in box.rpc(f"permissions.{method}"):
			group = None
			for name, value in struct:  # in domainDump all of them follow each other
				if name == "group":
					group = value
				elif name == "item":
					mask, tag = binrpc.get(value, "mask"), binrpc.get(value, "tag")
					text = binrpc.get(value, key) + (f"/{mask}" if mask is not None else "")
					found.add((group, text, binrpc.get(value, "port"), None if tag in ("NULL", "") else tag))
	return found


def read(path):
	with open(path, newline="") as f:
		return f.read()


def write(path, text):
	"""As somebody else does: in place, and never in the second of the write before."""
	newest = int(os.stat(path).st_mtime) if os.path.exists(path) else 0
	with open(path, "w", newline="") as f:
		f.write(text)
	if os.stat(path).st_mtime < newest + 1:
		os.utime(path, (newest + 1, newest + 1))


class Box(Rig):
	"""A Kamailio with domain and permissions; services sbc and router, quick to forget."""

	def __init__(self, lab, consul, box, make_c4d, kam, services=None):
		self.lab, self.consul, self.sbc, self.sids = lab, consul, box, {}
		quick = {"interval": "100ms", "remove_hold": "2s", "max_shrink": 100, "empty_hold": "1s"}
		self.conf = {
			"consul": {"dns": [consul.dns_addr], "budget": 100},
			"services": {name: merge(quick, over) for name, over in (services or {"sbc": {}, "router": {}}).items()},
			"kamailio": {"sbc": merge({"binrpc": box.ctl, "tables": box.dir, "address_file": box.addr_file, "poll": "200ms"}, kam)},
		}
		self.c4d = make_c4d(self.conf)

	def ip(self, address, service="sbc", **kw):
		return self.add(address=address, service=service, **kw)

	def has_domains(self, *want, timeout=8):
		until(lambda: domains(self.sbc) == sorted(want), timeout, lambda: f"domains {sorted(want)}, not {domains(self.sbc)}; "
			f"{self.c4d.targets()}\n{read(self.sbc.path('domain'))}{self.c4d.proc.log_tail()}")

	def trusts(self, *want, timeout=8):
		until(lambda: addresses(self.sbc) == set(want), timeout, lambda: f"addresses {sorted(want)}, not "
			f"{sorted(addresses(self.sbc), key=str)}; {self.c4d.targets()}\n{read(self.sbc.addr_file)}{self.c4d.proc.log_tail()}")

	def is_quiet(self, seconds=2):
		"""Converged, and nothing is written or reloaded any more."""
		self.converged()
		was = [self.count(k) for k in ("reloads", "file_writes", "faults")]
		holds(lambda: [self.count(k) for k in ("reloads", "file_writes", "faults")] == was, seconds, "quiet", every=0.3)
		assert self.c4d.converged()


@pytest.fixture
def tables(lab, consul, make_c4d):
	"""tables(kam, ...): not started, nor is its Kamailio. edit: of its configuration."""
	def make(kam, services=None, edit=None):
		box = Tables(lab)
		if edit:
			box.text = edit(box.text)
		for name, text in (("version", VERSION), ("domain", DOMAIN), ("domain_attrs", ATTRS)):
			box.write(name, text.encode())
		return Box(lab, consul, box, make_c4d, kam, services)
	return make


def test_takes_over_from_the_system_before(lab, consul, make_c4d):
	"""Its files as consul-template wrote them: nothing is written, reloaded or removed; and then it is c4d who keeps them."""
	box = MediaSbc(lab, probing=False, reload_delta=1)
	box.text = box.text.replace('loadmodule "rtpengine.so"\n', 'loadmodule "rtpengine.so"\nloadmodule "domain.so"\n').replace(
		'modparam("rtpengine", "db_url"', 'modparam("domain", "db_url", "text://TABLES")\nmodparam("rtpengine", "db_url"', 1)
	node, ips = FakeNg(lab), [lab.ip(), lab.ip()]
	files = {
		"version": VERSION,
		"domain": DOMAIN + "".join(f"{i}:{ip}:{ip}:0\n" for i, ip in enumerate(ips)),
		"domain_attrs": ATTRS,
		"rtpengine": NODES + f"0:0:udp\\:{node.ip}\\:{node.port}:1:0:0\n",
	}
	for name, text in files.items():
		write(os.path.join(box.tables, name), text)
	routers = [lab.ip(), lab.ip()]
	box.write_list([f"1 sip:{routers[0]}:5060 16 10", f"1 sip:{routers[1]}:5060 16 5"])
	box.start()
	for ip in ips:
		consul.register("sbc", ip, 5060, tags=["sbc", "kamailio"])
	for ip, tag in zip(routers, ("primary", "secondary")):
		consul.register("router", ip, 5060, tags=["router", "kamailio", tag])
	consul.register("rtp", node.ip, node.port, tags=["rtp", "rtpengine"], check=False)
	services = {s: {"interval": "100ms", "remove_hold": "2s"} for s in ("sbc", "router", "rtp")}
	c4d = make_c4d({
		"consul": {"dns": [consul.dns_addr], "budget": 100}, "services": services,
		"kamailio": {"sbc": {
			"binrpc": box.ctl, "list_file": box.list_file, "tables": box.tables, "probing": False,
			"dispatcher": {"1": {"service": "router", "flags": 16, "priority": 5, "tag": {"primary": {"priority": 10}}}},
			"rtpengine": {"0": {"service": "rtp"}}, "domain": {"services": ["sbc"]},
		}},
	})
	plan = c4d.plan()
	assert plan.rc == 0, plan
	before = {name: (read(path := os.path.join(box.tables, name)), os.stat(path).st_mtime) for name in files}
	c4d.start()
	until(c4d.converged, 10, lambda: f"converged: {c4d.targets()}")
	holds(c4d.converged, 3, "it stays so")  # more than remove_hold
	status = c4d.ctl("status", fmt="json").data["kamailio"][0]
	assert (status["reloads"], status["set_states"]) == (0, 0), status
	after = {name: (read(path := os.path.join(box.tables, name)), os.stat(path).st_mtime) for name in files}
	assert after == before
	# from now on c4d keeps them, in that form
	new = lab.ip()
	consul.register("sbc", new, 5060)
	until(lambda: domains(box) == sorted([*ips, new]), 5, "the new one is a domain")
	assert read(os.path.join(box.tables, "domain")) == files["domain"] + f"2:{new}:{new}:0\n"
	assert read(os.path.join(box.tables, "version")) == VERSION


def test_domains(tables):
	"""Of services and by name; add-only as long as a service is unknown; what others wrote goes in its time, whole till then."""
	r = tables({"domain": {"services": ["sbc", "router"], "names": ["sip.example.org", "Example.NET"]}})
	r.sbc.write("domain", (DOMAIN + "7:10.0.0.1:tenant:42\n9:Old.example.org:Tenant:1\n9:old.example.org:x:1").encode())
	os.unlink(r.sbc.path("version"))
	r.sbc.write("version", b"id(int,auto) table_name(string) table_version(int)\n5:uacreg:4\n6:domain:2\n7:domain_attrs:1\n")
	r.sbc.start()
	assert domains(r.sbc) == ["10.0.0.1", "Old.example.org"], "it does not read a last line without newline"
	r.ip("10.0.0.1")
	v6 = r.ip("fd00::1")
	r.c4d.start()
	# the other service never had an instance: nothing leaves
	mine = ["10.0.0.1", "[fd00::1]", "sip.example.org", "example.net"]
	r.has_domains(*mine, "Old.example.org", "old.example.org")
	r.is_quiet(3)
	assert dids(r.sbc)["10.0.0.1"] == "tenant" and dids(r.sbc)["Old.example.org"] == "Tenant"
	assert {row["domain"]: row["desired"] for row in r.c4d.show("domains")}["old.example.org"] == "adopted"
	a = r.ip("10.1.0.1", "router")
	r.has_domains(*mine, "10.1.0.1", "Old.example.org", "old.example.org", timeout=2)
	# and now it is known: after remove_hold what nobody wants goes
	r.has_domains(*mine, "10.1.0.1")
	assert "7:10.0.0.1:tenant:42\n" in read(r.sbc.path("domain"))
	# two changes within a second both arrive
	r.ip("10.1.0.2", "router")
	until(lambda: "10.1.0.2" in domains(r.sbc), 3, "the first")
	r.ip("10.1.0.3", "router")
	r.has_domains(*mine, "10.1.0.1", "10.1.0.2", "10.1.0.3", timeout=3)
	# who is out stays, who is gone goes
	r.out(a)
	until(lambda: r.c4d.states("router")["10.1.0.1:5060"] == "disabled", 5, "out")
	holds(lambda: "10.1.0.1" in domains(r.sbc), 1, "its calls go on")
	r.gone(v6)
	r.has_domains("10.0.0.1", "sip.example.org", "example.net", "10.1.0.2", "10.1.0.3")
	r.is_quiet()
	plain = r.c4d.ctl("show", "domains").out
	assert all(len(line) <= 80 for line in plain.splitlines()) and "sip.example.org" in plain
	assert "in sbc/domain as 10.0.0.1: desired active, Kamailio says active" in " ".join(r.c4d.ctl("why", "10.0.0.1:5060").out.split())
	# a restart of either changes nothing
	text = read(r.sbc.path("domain"))
	r.sbc.restart()
	r.converged()
	r.c4d.restart()
	r.converged()
	r.is_quiet()
	assert read(r.sbc.path("domain")) == text and r.count("reloads") == 0
	assert r.c4d.plan().rc == 0


def test_domains_of_others(tables):
	"""exclusive: false; twins, somebody's edits while c4d runs, and files that go."""
	r = tables({"domain": {"services": ["sbc"], "exclusive": False}}, services={"sbc": {}})
	theirs = "4:a.example.org:A:1\n5:b.example.org:B:2\n6:b.example.org:C:3\n"
	r.sbc.write("domain", (DOMAIN + theirs).encode())
	os.unlink(r.sbc.path("domain_attrs"))
	r.ip("10.0.0.1")
	r.c4d.start()
	until(lambda: os.path.exists(r.sbc.path("domain_attrs")), 5, "the companion is made")
	assert read(r.sbc.path("domain_attrs")).startswith("id(int,auto) did(string) name(string) type(int) value(string)")
	until(lambda: read(r.sbc.path("domain")) == DOMAIN + theirs + "7:10.0.0.1:10.0.0.1:0\n", 5, "the file, before Kamailio runs")
	r.sbc.start()
	both = ["a.example.org", "b.example.org", "b.example.org"]
	r.has_domains(*both, "10.0.0.1")
	r.is_quiet(3)
	# somebody adds one and reloads; c4d's next write keeps it
	write(r.sbc.path("domain"), read(r.sbc.path("domain")) + "20:c.example.org:c.example.org:0\n")
	r.sbc.rpc("domain.reload")
	assert "c.example.org" in domains(r.sbc)
	b = r.ip("10.0.0.2")
	r.has_domains(*both, "c.example.org", "10.0.0.1", "10.0.0.2")
	assert "20:c.example.org:c.example.org:0\n21:10.0.0.2:10.0.0.2:0\n" in read(r.sbc.path("domain"))
	# somebody takes ours away: put right
	write(r.sbc.path("domain"), DOMAIN + theirs + "20:c.example.org:c.example.org:0\n")
	r.sbc.rpc("domain.reload")
	r.has_domains(*both, "c.example.org", "10.0.0.1", "10.0.0.2", timeout=12)
	r.gone(b)
	r.has_domains(*both, "c.example.org", "10.0.0.1")
	# all of it goes
	for name in ("domain", "version", "domain_attrs"):
		os.unlink(r.sbc.path(name))
	r.has_domains("10.0.0.1", timeout=12)
	r.sbc.restart()
	r.has_domains("10.0.0.1")


def test_a_table_that_is_none(tables):
	"""Said with its path; nothing is written over it, and it goes on when somebody mends it."""
	r = tables({"domain": {"services": ["sbc"]}}, services={"sbc": {}})
	r.sbc.start()
	write(r.sbc.path("domain"), "# my domains\n10.0.0.1\n")
	r.ip("10.0.0.1")
	r.c4d.start()
	r.failed("no header of a db_text table", r.sbc.path("domain"), name="sbc/domain")
	assert read(r.sbc.path("domain")) == "# my domains\n10.0.0.1\n"
	write(r.sbc.path("domain"), DOMAIN)
	r.has_domains("10.0.0.1")
	r.converged()
	# its directory goes
	os.rename(r.sbc.dir, r.sbc.dir + ".away")
	r.failed(r.sbc.dir, "make the directory", name="sbc/domain", timeout=15)
	os.rename(r.sbc.dir + ".away", r.sbc.dir)
	until(r.c4d.converged, 5, "it goes on")
	# another c4d
	other = r.c4d.lab.mkdir("other")
	config = merge(r.conf, {"state": other, "control": {"socket": os.path.join(other, "sock")}})
	second = type(r.c4d)(r.lab, config, name="second")
	second.socket = os.path.join(other, "sock")
	second.start()
	until(lambda: f"managed by pid {r.c4d.proc.pid}" in (second.targets()["sbc/domain"]["last_error"] or ""), 5, "the second stays away")
	r.c4d.stop()
	until(lambda: second.targets()["sbc/domain"]["state"] == "converged", 5, "and takes over")
	second.check_clean()


@pytest.mark.parametrize("how", ["db_mode", "modules"])
def test_a_kamailio_configured_otherwise(tables, how):
	def edit(text):
		if how == "db_mode":
			return text.replace('modparam("db_text", "db_mode", 1)\n', "")
		return re.sub(r'(modparam\("|loadmodule ")(domain|permissions)\b.*\n', "", text)
	r = tables({"domain": {"services": ["sbc"]}, "permissions": {"1": {"services": ["sbc"]}}}, services={"sbc": {}}, edit=edit)
	r.sbc.start()
	r.ip("10.0.0.1")
	r.c4d.start()
	if how == "modules":
		r.failed("domain.dump", "is domain.so loaded?", name="sbc/domain")
		r.failed("permissions.addressDump", "is permissions.so loaded?", name="sbc/permissions/1")
	else:
		r.failed("said Ok to domain.reload but does not hold", 'modparam("db_text", "db_mode", 1)', r.sbc.path("domain"), name="sbc/domain")


def test_a_write_that_kamailio_missed(tables):
	"""
	It opens a table and takes the file's time then; of a write between the two it has the time and the old rows, and
	reloads no more until the time grows: c4d writes the same text once more, each time that it happens.
	"""
	r = tables({"domain": {"services": ["sbc"], "exclusive": False}}, services={"sbc": {}})
	r.sbc.start()
	r.ip("10.0.0.1")
	r.c4d.start()
	r.has_domains("10.0.0.1")
	r.is_quiet()
	whole, path = read(r.sbc.path("domain")), r.sbc.path("domain")
	for _ in range(2):
		writes, reloads = r.count("file_writes"), r.count("reloads")
		os.kill(r.c4d.proc.pid, signal.SIGSTOP)
		seen = int(os.stat(path).st_mtime) + 1
		r.sbc.write("domain", DOMAIN.encode(), mtime=seen)
		r.sbc.restart()
		assert domains(r.sbc) == []
		r.sbc.write("domain", whole.encode(), mtime=seen)
		r.sbc.rpc("domain.reload")
		assert domains(r.sbc) == [], "were it not so, this test could not fail"
		os.kill(r.c4d.proc.pid, signal.SIGCONT)
		r.has_domains("10.0.0.1")
		r.converged()
		assert (r.count("file_writes"), r.count("reloads")) == (writes + 1, reloads + 2)
		assert read(path) == whole and os.stat(path).st_mtime > seen


OFFICE = "# the office\r\n7 192.0.2.9 32 5060 office # desk\n\n7 192.0.2.128/25\n3 10.1.2.3 8 0 N\n7 192.0.2.0 24"


def test_permissions(tables):
	"""Groups of services and networks, in Kamailio's window; other groups and comments byte for byte; three dumps compared."""
	permissions = {
		"1": {"services": ["sbc"], "tag": "sbc"},
		"2": {"services": ["sbc", "router"], "networks": ["192.0.2.0/24", "FD00:1::/32", "198.51.100.7", "0.0.0.0/0"], "exclusive": False},
	}
	later = {"remove_hold": "5s"}  # more than Kamailio's window, so that each step is seen
	r = tables({"permissions": permissions, "permissions_delta": "2s"}, services={"sbc": later, "router": later},
		edit=lambda t: t.replace('"reload_delta", 0', '"reload_delta", 3'))
	# odd forms, names, twins: all of them Kamailio's, and no endless difference
	group_1 = "1 010.0.0.9 32 0 NULL\n1 Name.example.org\n1 10.0.0.1 32 0 sbc # mine already\n"
	group_2 = "2 10.9.9.9 32 5060 # keep\n2 FD00::9\n2 [fd00::a] 128\n2 b.example.org\n2 b.example.org\n"
	r.sbc.write_addr((group_1 + group_2 + OFFICE).encode())
	r.sbc.start()
	r.ip("10.0.0.1")
	r.c4d.start()
	office = {(7, "192.0.2.9", 5060, "office"), (7, "192.0.2.128/25", 0, None), (3, "10.1.2.3/8", 0, "N"), (7, "192.0.2.0/24", 0, None)}
	theirs = {(2, "10.9.9.9", 5060, None), (2, "fd00::9", 0, None), (2, "fd00::a", 0, None), (2, "b.example.org", 0, None)}
	nets = {(2, n, 0, None) for n in ("192.0.2.0/24", "fd00:1::/32", "198.51.100.7", "0.0.0.0/1", "128.0.0.0/1")}
	adopted = {(1, "10.0.0.9", 0, None), (1, "Name.example.org", 0, None)}
	mine = {(1, "10.0.0.1", 0, "sbc"), (2, "10.0.0.1", 0, None)}
	r.trusts(*office, *theirs, *nets, *adopted, *mine)
	text = read(r.sbc.addr_file)
	assert text.startswith(group_1 + group_2 + OFFICE + "\n# c4d begin: "), text
	# what nobody lists goes in its time from the group that is c4d's
	r.trusts(*office, *theirs, *nets, *mine)
	r.is_quiet(4)
	assert read(r.sbc.addr_file).startswith("1 10.0.0.1 32 0 sbc # mine already\n" + group_2 + OFFICE + "\n# c4d begin: ")
	# IPv6, and the window: Kamailio's is longer than c4d was told
	waits = r.count("window_waits")
	r.ip("fd00::1")
	r.trusts(*office, *theirs, *nets, *mine, (1, "fd00::1", 0, "sbc"), (2, "fd00::1", 0, None))
	gone = r.ip("10.0.0.2")
	r.ip("10.0.0.3", "router")
	r.trusts(*office, *theirs, *nets, *mine, (1, "fd00::1", 0, "sbc"), (2, "fd00::1", 0, None), (1, "10.0.0.2", 0, "sbc"),
		(2, "10.0.0.2", 0, None), (2, "10.0.0.3", 0, None))
	assert r.count("window_waits") > waits
	r.gone(gone)
	r.trusts(*office, *theirs, *nets, *mine, (1, "fd00::1", 0, "sbc"), (2, "fd00::1", 0, None), (2, "10.0.0.3", 0, None), timeout=12)
	r.converged()
	plain = r.c4d.ctl("show", "permissions").out
	assert all(len(line) <= 80 for line in plain.splitlines()) and "198.51.100.7" in plain, plain
	rows = {(x["group"], x["address"], x["mask"]): x for x in r.c4d.show("permissions")}
	assert rows[2, "fd00::9", 128]["desired"] == "foreign" and rows[1, "10.0.0.1", 32]["tag"] == "sbc"
	# a restart of either changes nothing
	text = read(r.sbc.addr_file)
	r.sbc.restart()
	r.c4d.restart()
	r.is_quiet()
	assert read(r.sbc.addr_file) == text and r.count("reloads") == 0
	# somebody's line that Kamailio refuses, and the file with it
	r.sbc.write_addr((text + "9\n").encode())
	r.ip("10.0.0.4", "router")
	r.failed("permissions.addressReload refused by Kamailio", "1 lines of others", r.sbc.addr_file, name="sbc/permissions/2")
	r.sbc.write_addr(read(r.sbc.addr_file).replace("\n9\n", "\n").encode())
	until(lambda: (2, "10.0.0.4", 0, None) in addresses(r.sbc), 12, "it goes on")


def test_more_networks_than_kamailio_takes(tables):
	"""It says "Reload OK" and leaves them out: its modparam is named."""
	nets = [f"10.{i // 250}.{i % 250}.0/24" for i in range(600)]
	r = tables({"permissions": {"1": {"networks": nets}}}, services={"sbc": {}})
	r.sbc.start()
	r.c4d.start()
	text = r.failed("said Ok to permissions.addressReload but does not hold", 'modparam("permissions", "max_subnets"', name="sbc/permissions/1",
		timeout=15)
	assert "in all)" in text
