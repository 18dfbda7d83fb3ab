"""Discovery against the real Consul: what is registered there is what c4d holds, and by which server it knows."""
import socket
import threading

import pytest

from lab import EAGER, FAST, Consul, FakeDns, Service, holds, merge, until, watching
from lab import fake_dns
from lab.dns import A
from lab.service import dns_row, has_state, is_up, more_rounds


# ---- one instance's life ----

def test_life_of_an_instance(service, make_c4d):
	"""Registered, failing, back, in maintenance, gone: the state follows each."""
	one = service.add("10.1.0.1", weight=10)
	conf = merge(FAST, {"remove_hold": "300ms", "flap_suppress": 0})  # it goes often enough to be kept for damping
	c4d = make_c4d(watching(service.consul, {service.name: conf})).start()
	is_up(c4d, service.name, one)
	two = service.add("10.1.0.2", 5070)
	is_up(c4d, service.name, one, two)
	service.fail(two)
	has_state(c4d, service.name, two, "disabled")
	service.back(two)
	is_up(c4d, service.name, one, two)
	service.maintenance(two, True)
	has_state(c4d, service.name, two, "disabled")
	service.maintenance(two, False)
	is_up(c4d, service.name, one, two)
	service.gone(two)
	until(lambda: two not in c4d.states(service.name), 10, "the second is removed after remove_hold")
	assert c4d.states(service.name) == {one: "up"}
	assert c4d.ctl("status").rc == 0


def test_disabled_waits_for_remove_hold(service, make_c4d):
	one, two = service.add("10.1.0.1"), service.add("10.1.0.2")
	c4d = make_c4d(watching(service.consul, {service.name: FAST})).start()
	is_up(c4d, service.name, one, two)
	service.gone(two)
	has_state(c4d, service.name, two, "disabled")
	holds(lambda: c4d.states(service.name) == {one: "up", two: "disabled"}, 0.5, "it stays in the list, disabled")


def test_weight_and_warning(service, make_c4d):
	"""DNS shows the passing weight, or the warning weight (1 here); both are one change of the instance."""
	one = service.add("10.1.0.1", weight=10)
	c4d = make_c4d(watching(service.consul, {service.name: FAST})).start()

	def weighs(n):
		until(lambda: c4d.instances(service.name)[one]["weight"] == n, 10, f"the weight is {n}")

	weighs(10)
	before = c4d.instances(service.name)[one]
	service.warn(one)
	weighs(1)
	service.back(one)
	weighs(10)
	service.add("10.1.0.1", weight=65535)
	weighs(65535)
	after = c4d.instances(service.name)[one]
	assert after["state"] == "up" and after["since"] == before["since"], "a weight is no change of state"
	assert after["generation"] >= before["generation"] + 3


def test_tags_learned_and_lost(service, make_c4d):
	one, two = service.add("10.1.0.1", tags=["primary", "unasked"]), service.add("10.1.0.2")
	conf = {service.name: merge(FAST, {"tags": ["backup", "primary"]})}
	c4d = make_c4d(watching(service.consul, conf)).start()

	def tags(**want):
		until(lambda: {k: i["tags"] for k, i in c4d.instances(service.name).items()} ==
			{one: want["one"], two: want["two"]}, 10, lambda: f"tags {want}: {c4d.instances(service.name)}")

	tags(one=["primary"], two=[])
	service.add("10.1.0.2", tags=["primary", "backup"])
	tags(one=["primary"], two=["backup", "primary"])
	service.add("10.1.0.1", tags=[])
	tags(one=[], two=["backup", "primary"])
	service.add("10.1.0.2", tags=["backup"])
	tags(one=[], two=["backup"])
	# An instance that leaves keeps its last tags: it may have to take calls yet.
	service.fail(two)
	has_state(c4d, service.name, two, "disabled")
	tags(one=[], two=["backup"])


def test_ipv6_and_ports(service, make_c4d):
	"""(address, port) is the identity: two ports of one address are two instances."""
	keys = [service.add("fd00::5", 5060), service.add("fd00::5", 5061), service.add("10.1.0.1", 5060, weight=3)]
	c4d = make_c4d(watching(service.consul, {service.name: FAST})).start()
	is_up(c4d, service.name, *keys)
	rows = c4d.show("instances")
	assert [(r["address"], r["port"]) for r in rows] == [("10.1.0.1", 5060), ("fd00::5", 5060), ("fd00::5", 5061)]


def test_node_address(service, make_c4d):
	"""A service without an address of its own has its node's, from the additional section."""
	agent = service.consul
	agent.http("PUT", "/v1/agent/service/register", {"ID": service.name, "Name": service.name, "Port": 5060})
	service.ids["node"] = service.name
	c4d = make_c4d(watching(agent, {service.name: FAST})).start()
	is_up(c4d, service.name, f"{agent.ip}:5060")


def test_same_instance_from_two_ids_is_one(service, make_c4d):
	one = service.add("10.1.0.1", 5060)
	service.ids["again"] = service.consul.register(service.name, "10.1.0.1", 5060, id=f"{service.name}-again", weight=5)
	c4d = make_c4d(watching(service.consul, {service.name: FAST})).start()
	is_up(c4d, service.name, one)
	more_rounds(c4d, 3)
	assert list(c4d.states(service.name)) == [one]


# ---- host names as addresses ----

def test_host_name_without_resolver(service, make_c4d):
	"""An outside host name that Consul can't resolve: the rest is up, nothing is removed, the reason is shown."""
	one, two = service.add("10.1.0.1"), service.add("10.1.0.2")
	service.ids["host"] = service.consul.register(service.name, "sbc.example.org", 5060)
	c4d = make_c4d(watching(service.consul, {service.name: EAGER})).start()
	is_up(c4d, service.name, one, two)
	row = until(lambda: (r := dns_row(c4d))["evidence"] == "partial" and r, 5, "the list is partial")
	assert row["why"] == "the address of a target is not known"
	service.gone(two)
	more_rounds(c4d, 4)
	is_up(c4d, service.name, one, two)
	status = c4d.ctl("status")
	assert status.rc == 1 and "the address of a target is not known" in " ".join(status.out.split())
	# Once it is gone, lists are complete again.
	service.gone("host")
	until(lambda: c4d.states(service.name) == {one: "up"}, 10, "the loss counts")


def test_host_name_by_recursor(lab, make_c4d):
	"""With a recursor behind Consul an outside host name has addresses, also several."""
	outside = UdpDns(lab.ip(), {"sbc.example.org": ["10.9.0.1", "10.9.0.2"]})
	lab.cleanups.append(outside.stop)
	consul = Consul(lab, config={"recursors": [outside.addr]}).start()
	consul.register("router", "sbc.example.org", 5060, weight=4)
	c4d = make_c4d(watching(consul, {"router": FAST})).start()
	is_up(c4d, "router", "10.9.0.1:5060", "10.9.0.2:5060")
	assert {i["weight"] for i in c4d.show("instances")} == {4}


class UdpDns:
	"""A recursor for Consul: A records over UDP, nothing else."""

	def __init__(self, ip, names):
		self.names, self.sock = names, socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		self.sock.bind((ip, 0))
		self.addr = f"{ip}:{self.sock.getsockname()[1]}"
		self.sock.settimeout(0.1)
		self.done = False
		self.thread = threading.Thread(target=self._run, daemon=True)
		self.thread.start()

	def _run(self):
		while not self.done:
			try:
				msg, peer = self.sock.recvfrom(4096)
			except socket.timeout:
				continue
			q = fake_dns.Question(msg)
			ips = self.names.get(q.name, []) if q.kind == A else []
			more = b"".join(fake_dns.record(q.name, A, bytes(map(int, ip.split(".")))) for ip in ips)
			self.sock.sendto(fake_dns.message(q, raw=more, an=len(ips)), peer)

	def stop(self):
		self.done = True
		self.thread.join()
		self.sock.close()


# ---- several names ----

def test_names_are_united_and_judged_apart(service, agent, make_c4d):
	"""Two names of one service: each is evidence for what it listed, and for nothing else."""
	other = Service(agent)
	try:
		names = [f"{service.name}.service.dc1.consul", f"{other.name}.service.consul"]
		c4d = make_c4d(watching(agent, {"router": merge(EAGER, {"names": names, "min_instances": 1})})).start()
		one, two, both = service.add("10.1.0.1"), other.add("10.1.0.2"), service.add("10.1.0.3", weight=7)
		other.add("10.1.0.3", weight=2)
		is_up(c4d, "router", one, two, both)
		rows = {r["name"]: r for r in c4d.show("dns")}
		assert rows[names[0]]["canary"] == "consul.service.dc1.consul"
		assert rows[names[1]]["canary"] == "consul.service.consul"
		until(lambda: {r["name"]: r["listed"] for r in c4d.show("dns")} == {names[0]: 2, names[1]: 2}, 10,
			"each name lists two")
		assert c4d.instances()[both]["weight"] == 7, "the first name speaks for an instance that both list"
		why = c4d.ctl("why", both, fmt="json").data["instances"][0]
		assert [n["name"] for n in why["listed_by"]] == names
		# It stays as long as one of them lists it, and then has that one's weight.
		service.gone(both)
		until(lambda: c4d.instances()[both]["weight"] == 2, 10, "the second name speaks for it now")
		is_up(c4d, "router", one, two, both)
		# What one name loses says nothing about the other's.
		other.gone(both)
		is_up(c4d, "router", one, two)
		other.gone(two)
		is_up(c4d, "router", one)
	finally:
		other.clear()


def test_name_of_another_datacenter(service, make_c4d):
	"""A datacenter that cannot be reached (here: none of that name) removes nothing and says why."""
	names = [f"{service.name}.service.dc1.consul", f"{service.name}.service.dc2.consul"]
	one = service.add("10.1.0.1")
	c4d = make_c4d(watching(service.consul, {"router": merge(EAGER, {"names": names})})).start()
	is_up(c4d, "router", one)
	row = until(lambda: (r := dns_row(c4d, names[1]))["last"] and r, 5, "dc2 was asked about")
	assert row["canary"] == "consul.service.dc2.consul"
	assert row["evidence"] == "nothing" and "no path to the datacenter" in row["why"]
	more_rounds(c4d, 3, names[1])
	is_up(c4d, "router", one)


# ---- several servers ----

@pytest.mark.parametrize("kind", ["refused", "hanging"])
def test_first_server_dead(lab, service, make_c4d, kind):
	"""The next one is asked in the next round, at once; evidence names who gave it."""
	if kind == "refused":
		ip = lab.ip()
		dead = f"{ip}:{lab.port(ip, 18600)}"
	else:
		sock = socket.create_server((lab.ip(), 0), backlog=16)
		lab.cleanups.append(sock.close)
		dead = "%s:%d" % sock.getsockname()
	one, two = service.add("10.1.0.1"), service.add("10.1.0.2")
	conf = watching([dead, service.consul.dns_addr], {service.name: EAGER}, consul={"timeout": "200ms"})
	c4d = make_c4d(conf).start()
	is_up(c4d, service.name, one, two)
	assert dns_row(c4d)["server"] == service.consul.dns_addr
	# and it goes on with that one: also what leaves is seen there
	service.gone(two)
	until(lambda: c4d.states(service.name) == {one: "up"}, 10, "the second server's evidence counts")
	row = dns_row(c4d)
	assert row["failures"] == 0 and row["rounds"]["nothing"] == 1, row
	assert c4d.ctl("status").rc == 0


def test_failover_and_return(lab, make_c4d):
	"""Servers die in turn; whoever lives is used, and a dead one's silence never counts."""
	first, second = FakeDns(lab), FakeDns(lab)
	for fake in (first, second):
		fake.list("router", ("10.1.0.1", 5060), ("10.1.0.2", 5060))
	c4d = make_c4d(watching([first.dns_addr, second.dns_addr], {"router": EAGER})).start()
	is_up(c4d, "router", "10.1.0.1:5060", "10.1.0.2:5060")
	assert not second.asked, "the first is preferred"
	for dead, living, n in ((first, second, 3), (second, first, 4), (first, second, 5)):
		dead.stop()
		living.list("router", *((f"10.1.0.{i}", 5060) for i in range(1, n + 1)))
		is_up(c4d, "router", *(f"10.1.0.{i}:5060" for i in range(1, n + 1)))
		assert dns_row(c4d)["server"] == living.dns_addr
		dead.on["router.service.consul"] = living.on["router.service.consul"]
		dead.start()
	c4d.wait_log(r"proves nothing: no connection")
	c4d.wait_log(r"is conclusive again")


def test_preferred_server_is_used_again(lab, make_c4d):
	"""The first server is tried again after 30 s: a VM's own agent should answer for it."""
	first, second = FakeDns(lab), FakeDns(lab)
	first.list("router", ("10.1.0.1", 5060))
	second.list("router", ("10.1.0.1", 5060))
	first.stop()
	c4d = make_c4d(watching([first.dns_addr, second.dns_addr], {"router": merge(FAST, {"interval": "1s"})})).start()
	is_up(c4d, "router", "10.1.0.1:5060")
	first.start()
	until(lambda: dns_row(c4d)["server"] == first.dns_addr and first.count("router.service.consul") > 1, 40,
		"the first is asked again", every=0.1)


def test_all_servers_stopped(lab, make_c4d):
	"""Everything is kept, status says so and exits 1; when the agent is back, so is the evidence."""
	consul = Consul(lab).start()
	keys = [f"10.1.0.{i}:5060" for i in (1, 2, 3)]
	for i in (1, 2, 3):
		consul.register("router", f"10.1.0.{i}", 5060, check=False)
	# A Consul that has just started says "no such service", or lists a part, for a while: the guards are for that.
	c4d = make_c4d(watching(consul, {"router": FAST})).start()
	is_up(c4d, "router", *keys)
	consul.kill()
	status = until(lambda: (s := c4d.ctl("status")).rc == 1 and s, 10, "status says that something is wrong")
	text = " ".join(status.out.split())
	assert "Consul's DNS says nothing about router.service.consul: no connection" in text
	assert "nothing is removed meanwhile" in text
	more_rounds(c4d, 3)
	is_up(c4d, "router", *keys)
	assert all(i["stale"] for i in c4d.show("instances"))
	assert dns_row(c4d)["failures"] >= 3
	consul.start()
	until(lambda: c4d.ctl("status").rc == 0 or dns_row(c4d)["evidence"] != "nothing", 10, "it answers again")
	# It may list nothing, or a part, until it has all from its agents: these stay in.
	consul.register("router", "10.1.0.4", 5060)
	has_state(c4d, "router", "10.1.0.4:5060", "up")
	assert all(s in ("up", "held") for s in c4d.states("router").values())
	is_up(c4d, "router", *keys, "10.1.0.4:5060")
	until(lambda: c4d.ctl("status").rc == 0, 10, "all is well again")
	assert not any(i["stale"] for i in c4d.show("instances"))
	c4d.wait_log(r"router\.service\.consul is conclusive again after \d+s")
	# Nothing of it was a removal, at any time.
	assert all(c["to"] for g in c4d.ctl("history", fmt="json").data for c in g["changes"])


def test_hanging_agent(lab, make_c4d):
	"""An agent that is stopped (SIGSTOP) answers nothing for a while: kept; and it goes on where it was."""
	consul = Consul(lab).start()
	consul.register("router", "10.1.0.1", 5060)
	c4d = make_c4d(watching(consul, {"router": EAGER}, consul={"timeout": "300ms"})).start()
	is_up(c4d, "router", "10.1.0.1:5060")
	consul.pause()
	until(lambda: dns_row(c4d)["why"] == "time-out", 10, "a round timed out")
	more_rounds(c4d, 2)
	is_up(c4d, "router", "10.1.0.1:5060")
	consul.resume()
	until(lambda: dns_row(c4d)["evidence"] == "complete", 10, "it answers again")
	consul.register("router", "10.1.0.2", 5060)
	is_up(c4d, "router", "10.1.0.1:5060", "10.1.0.2:5060")


def test_starts_before_consul(lab, make_c4d):
	"""No Consul, no store: nothing is known, and it is said; both come by themselves."""
	consul = Consul(lab)
	c4d = make_c4d(watching(consul, {"router": FAST})).start()
	status = c4d.ctl("status")
	assert status.rc == 1
	assert "router never had an instance: its targets are not touched" in " ".join(status.out.split())
	assert c4d.show("instances") == []
	consul.start()
	consul.register("router", "10.1.0.1", 5060)
	is_up(c4d, "router", "10.1.0.1:5060")
	until(lambda: c4d.ctl("status").rc == 0, 5, "all is well")


# ---- size and pace ----

def test_many_instances_come_whole(service, make_c4d):
	"""Consul's UDP answers would hold 3 of them; over TCP all come, and the list is complete."""
	keys = service.many(80, check=False)
	conf = {service.name: merge(FAST, {"tags": ["x"]})}
	c4d = make_c4d(watching(service.consul, conf)).start()
	is_up(c4d, service.name, *keys)
	row = dns_row(c4d)
	assert (row["srv"], row["listed"], row["evidence"]) == (80, 80, "complete")
	# the 128 questions after which Consul closes a connection pass without a failed round
	more_rounds(c4d, 60)
	assert dns_row(c4d)["rounds"]["nothing"] == 0 and dns_row(c4d)["rounds"]["partial"] == 0


@pytest.mark.parametrize("budget, stretched", [(1, True), (100, False)])
def test_budget(service, make_c4d, budget, stretched):
	"""Asking about 60 instances every 50 ms costs more than 1 % of a core: the pace gives way."""
	service.many(60, check=False)
	c4d = make_c4d(watching(service.consul, {service.name: FAST}, consul={"budget": budget})).start()
	more_rounds(c4d, 8)
	row = dns_row(c4d)
	status = c4d.ctl("status", fmt="json").data
	if stretched:
		assert row["interval_ms"] > 50 and status["stretch"] > 1
	else:
		assert row["interval_ms"] == 50 and status["stretch"] == 1
