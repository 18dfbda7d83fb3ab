"""Domains from the real Consul's KV in the real Kamailio: they come, change, are held and go; and what c4d does without Consul."""
import os
import urllib.parse

import pytest

from lab import Consul, holds, merge, until
from lab.cluster import Cluster
from lab.service import problems
from lab.tables import Tables

from test_tables import ATTRS, DOMAIN, VERSION, Box, domains, read

pytestmark = pytest.mark.both_kamailios
PREFIX = "c4/domains"


@pytest.fixture
def box(lab, consul, make_c4d):
	"""box(domain section, ...): a Kamailio with an empty domain table, and a c4d, both not started. Keys go by put() and delete()."""
	made = []

	def make(domain=None, services=None, rows="", agent=None, **kw):
		agent = agent or consul
		kam = Tables(lab)
		for name, text in (("version", VERSION), ("domain", DOMAIN + rows), ("domain_attrs", ATTRS)):
			kam.write(name, text.encode())
		b = KvBox(lab, agent, kam, make_c4d, {"domain": {"kv": PREFIX, **(domain or {})}}, services or {"sbc": {}}, **kw)
		made.append(b)
		return b
	return make


class KvBox(Box):
	def __init__(self, lab, consul, kam, make_c4d, section, services, token_file=None):
		super().__init__(lab, consul, kam, make_c4d, section, services)
		over = {"http": consul.http_addr}
		if token_file:
			over["token_file"] = token_file
		self.conf = merge(self.conf, {"consul": over})
		self.c4d.write(self.conf)

	def put(self, key, value=""):
		value = value if isinstance(value, bytes) else value.encode()
		self.consul.http("PUT", f"/v1/kv/{PREFIX}{urllib.parse.quote(key)}", value)

	def delete(self, key, recurse=False):
		self.consul.http("DELETE", f"/v1/kv/{PREFIX}{urllib.parse.quote(key)}" + ("?recurse=true" if recurse else ""))

	def keeps(self, *want, seconds=2):
		holds(lambda: domains(self.sbc) == sorted(want), seconds, f"the domains {sorted(want)}: {domains(self.sbc)}")


def test_domains_of_kv(box):
	"""Keys' last parts and values' words; changed and deleted within moments; bad ones are left out and said once."""
	r = box({"names": ["sip.example.org"]})
	r.put("/a.example.org")
	r.put("/tenant7/B.Example.Org.", "alias.example.org, other.example.org\nsip.example.org")
	r.put("/tenant7/", "")  # a folder, as Consul's UI makes it
	r.put("2/neighbour.example.org")
	r.sbc.start()
	r.c4d.start()
	first = ["sip.example.org", "a.example.org", "b.example.org", "alias.example.org", "other.example.org"]
	r.has_domains(*first)
	r.is_quiet()
	assert r.c4d.plan().rc == 0
	assert sorted(row["domain"] for row in r.c4d.show("domains")) == sorted(first)
	r.put("/c.example.org")
	r.has_domains(*first, "c.example.org", timeout=3)
	r.delete("/c.example.org")
	r.has_domains(*first, timeout=3)
	r.put("/tenant7/B.Example.Org.", "alias.example.org")
	r.has_domains("sip.example.org", "a.example.org", "b.example.org", "alias.example.org", timeout=3)
	# the key that is the prefix itself: its words, not its name
	r.put("", "whole.example.org")
	r.has_domains("sip.example.org", "a.example.org", "b.example.org", "alias.example.org", "whole.example.org", timeout=3)
	r.put("/bad/not a domain!", b"d.example.org \xff\x00\xfe e..f")
	r.has_domains("sip.example.org", "a.example.org", "b.example.org", "alias.example.org", "whole.example.org", "d.example.org", timeout=3)
	r.c4d.wait_log(r"sbc/domain: '.*' below c4/domains in Consul's KV is no DNS name: left out \(\d such in all\)")
	r.put("/other/not a domain!", "a.example.org")
	r.put("/g.example.org")
	r.has_domains("sip.example.org", "a.example.org", "b.example.org", "alias.example.org", "whole.example.org", "d.example.org",
		"g.example.org", timeout=3)
	assert r.c4d.log().count("is no DNS name") == 1
	r.is_quiet()
	r.c4d.stop()
	r.put("/h.example.org")
	for _ in range(10):
		plan = r.c4d.plan()
		assert plan.rc == 1 and "h.example.org" in plan.out, plan


def test_kv_beside_services(box):
	"""Nothing leaves before both are known: the service and the prefix."""
	rows = "0:10.0.0.9:10.0.0.9:0\n1:kv.example.org:kv.example.org:0\n2:gone.example.org:gone.example.org:0\n"
	r = box({"services": ["sbc"]}, rows=rows)
	r.ip("10.0.0.1")
	r.sbc.start()
	r.c4d.start()
	mine = ["10.0.0.1", "10.0.0.9", "kv.example.org", "gone.example.org"]
	r.has_domains(*mine)
	r.keeps(*mine, seconds=4)  # more than remove_hold
	r.put("/kv.example.org")
	r.has_domains("10.0.0.1", "kv.example.org", timeout=10)
	r.is_quiet()


def test_what_consul_says_no_more(box, consul):
	"""The agent away, without keys, without a single domain, with another configuration: what was there last stays."""
	r = box()
	r.put("/a.example.org")
	r.put("/b.example.org")
	r.sbc.start()
	r.c4d.start()
	both = ["a.example.org", "b.example.org"]
	r.has_domains(*both)
	consul.kill()
	r.c4d.wait_log(r"kv: c4/domains: lost \(.*\): its last value stays")
	r.keeps(*both)
	# c4d restarts without Consul: the table as it was
	r.c4d.restart()
	r.keeps(*both, seconds=4)
	text = read(r.sbc.path("domain"))
	consul.start()
	r.c4d.wait_log("back after", timeout=30)
	r.is_quiet()
	assert read(r.sbc.path("domain")) == text
	# nothing that is a domain
	r.put("/a.example.org", "")
	r.put("/!", "?")
	r.delete("/b.example.org")
	r.has_domains("a.example.org")
	r.delete("/a.example.org")
	r.c4d.wait_log("not one domain is among the 1 keys below c4/domains in Consul's KV: those that were there last stay")
	r.keeps("a.example.org")
	# no key at all: for two minutes it stays
	r.delete("/!")
	r.c4d.wait_log(r"c4/domains: Consul says that it is empty: its last value \(1 keys\) stays for 2m")
	r.keeps("a.example.org")
	r.put("/b.example.org")
	r.has_domains("b.example.org", timeout=5)
	# a reload that changes nothing, one that leaves Consul where nobody is, and one that leads back
	r.c4d.reload()
	r.c4d.wait_log("reloaded")
	r.put("/c.example.org")
	r.has_domains("b.example.org", "c.example.org", timeout=5)
	r.c4d.write(merge(r.conf, {"consul": {"http": f"http://{consul.ip}:1"}}))
	r.c4d.reload()
	r.c4d.wait_log(r"lost \(cannot connect to .*:1: ")
	r.put("/d.example.org")
	r.keeps("b.example.org", "c.example.org")
	r.c4d.write(r.conf)
	r.c4d.reload()
	r.has_domains("b.example.org", "c.example.org", "d.example.org")
	# the key goes from the configuration: what it brought is a stranger's now, and goes in its time
	r.c4d.write(merge(r.conf, {"kamailio": {"sbc": {"domain": {"kv": None, "names": ["x.example.org"]}}}}))
	r.c4d.reload()
	r.has_domains("x.example.org", "b.example.org", "c.example.org", "d.example.org")


def test_without_a_leader(box, lab):
	"""Consul answers no question about KV then: what was read stays, and `status` says why."""
	cluster = Cluster(lab).start()
	r = box(agent=cluster.agent)
	r.put("/a.example.org")
	r.sbc.start()
	r.c4d.start()
	r.has_domains("a.example.org")
	assert not problems(r.c4d, "leader")
	cluster.kill_servers(2)
	until(lambda: problems(r.c4d, "Consul has no leader since 20"), 90, lambda: f"the loss is known\n{r.c4d.proc.log_tail()}")
	assert problems(r.c4d, f"kv {PREFIX}: ")
	r.keeps("a.example.org")
	cluster.start_servers()
	until(lambda: not problems(r.c4d, "leader") and not problems(r.c4d, "kv "), 40,
		lambda: f"a leader is back\n{r.c4d.proc.log_tail()}")
	r.put("/b.example.org")
	r.has_domains("a.example.org", "b.example.org")


def test_an_emptied_prefix_counts_in_the_end(box, consul):
	"""After the empty_hold of its service, in which Consul said so; time in which the agent is away is no proof."""
	r = box({"services": ["sbc"]}, services={"sbc": {"empty_hold": "6s"}})
	ip = r.ip("10.0.0.1").removeprefix("sip:").removesuffix(":5060")
	r.put("/a.example.org")
	r.sbc.start()
	r.c4d.start()
	r.has_domains(ip, "a.example.org")
	r.delete("/a.example.org")
	r.c4d.wait_log("Consul says that it is empty: .* stays for 6s")
	r.keeps(ip, "a.example.org", seconds=2)
	consul.kill()
	r.c4d.wait_log("c4/domains: lost")
	r.keeps(ip, "a.example.org", seconds=6)
	consul.start()
	r.c4d.wait_log("c4/domains: back after", timeout=30)
	r.keeps(ip, "a.example.org", seconds=2)
	r.has_domains(ip, timeout=12)
	assert "c4/domains: empty for 6s: that counts now" in r.c4d.log()
	r.put("/b.example.org")
	r.has_domains(ip, "b.example.org", timeout=5)
	# and when c4d restarts with an empty prefix, it knows nothing of it: nothing leaves
	r.delete("/b.example.org")
	r.c4d.restart()
	r.c4d.wait_log("c4/domains: there is nothing yet")
	r.keeps(ip, "b.example.org", seconds=4)


def test_rights_taken_away(box, lab):
	"""A token that may no longer list the keys sees an empty prefix: it is asked for one key, and then it is known."""
	consul = Consul(lab, "acl", acl=True).start()
	consul.allow_dns()
	may = consul.make_token(f'key_prefix "{PREFIX}" {{ policy = "read" }} node_prefix "" {{ policy = "read" }} '
		'service_prefix "" { policy = "read" }')
	may_not = consul.make_token('node_prefix "" { policy = "read" } service_prefix "" { policy = "read" }')
	token_file = lab.path("token")

	def give(token):
		with open(token_file + ".new", "w") as f:
			f.write(token)
		os.rename(token_file + ".new", token_file)

	give(may)
	r = box({"services": ["sbc"]}, agent=consul, token_file=token_file)  # whose empty_hold is a second
	ip = r.ip("10.0.0.1").removeprefix("sip:").removesuffix(":5060")
	r.put("/a.example.org")
	r.sbc.start()
	r.c4d.start()
	r.has_domains(ip, "a.example.org")
	give(may_not)
	r.c4d.reload()  # asks now, and does not wait for the query that is out
	r.c4d.wait_log("Consul says that it is empty", timeout=20)
	r.c4d.wait_log('c4/domains: lost .*forbids to read one that was there: give the token key_prefix "c4/domains" read', timeout=20)
	r.keeps(ip, "a.example.org", seconds=3)
	give(may)
	r.c4d.wait_log("is no longer empty", timeout=30)
	r.put("/b.example.org")
	r.has_domains(ip, "a.example.org", "b.example.org")
	assert may not in r.c4d.log() and may_not not in r.c4d.log()


def test_a_megabyte_of_domains(box, lab):
	"""More than a table can have: as many as there can be, and said."""
	consul = Consul(lab, "big", config={"limits": {"kv_max_value_size": 2 << 20}}).start()
	r = box(agent=consul)
	r.put("/list", " ".join(f"d{i:06d}.example.org" for i in range(50000)))
	r.sbc.start()
	r.c4d.start()
	r.c4d.wait_log("10000 domains below c4/domains in Consul's KV are as many as there can be", timeout=20)
	until(lambda: read(r.sbc.path("domain")).count("\n") == 10001, 20, "they are in the file")
	until(r.c4d.converged, 20, "and in Kamailio")
	assert r.c4d.answers()
