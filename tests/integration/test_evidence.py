"""Evidence and guards end to end, with answers of the real Consul: what may take an instance out, and what may not."""
import time

import pytest

from lab import EAGER, FAST, Consul, holds, merge, until, watching
from lab.service import dns_row, has_state, is_up, more_rounds, problems


def all_in(c4d, service, keys, state, guard=None):
	rows = c4d.instances(service)
	return set(rows) == set(keys) and all((r["state"], r["guard"]) == (state, guard) for r in rows.values())


# ---- the last instance ----

def test_last_instance_is_held(service, make_c4d):
	"""Only after empty_rounds and empty_hold does "no such service" count; and then the floor holds the last ones."""
	one, two = service.add("10.1.0.1"), service.add("10.1.0.2")
	# two: a round may see that the first one fails before Consul knows of the second
	conf = merge(EAGER, {"min_instances": 2, "empty_rounds": 4, "empty_hold": "600ms"})
	c4d = make_c4d(watching(service.consul, {service.name: conf})).start()
	is_up(c4d, service.name, one, two)
	begin = time.monotonic()
	service.fail(one, two)
	row = until(lambda: (r := dns_row(c4d))["absent_rounds"] >= 1 and r, 5, "absence is seen")
	assert row["evidence"] == "absence" and row["why"] == "no instance, and the canary answers"
	until(lambda: all_in(c4d, service.name, (one, two), "held", "empty"), 5, "both are held: empty")
	assert time.monotonic() - begin >= 0.6
	assert dns_row(c4d)["absent_rounds"] >= 4
	holds(lambda: all_in(c4d, service.name, (one, two), "held", "empty"), 0.5, "time alone does not let them go")
	status = c4d.ctl("status")
	assert status.rc == 1
	assert "2 instances are held: fewer than min_instances (2) would be left" in " ".join(status.out.split())
	assert f"c4ctl approve {service.name}" in " ".join(status.out.split())
	assert "held because fewer than min_instances would be left" in " ".join(c4d.ctl("why", one).out.split())
	# An operator says that they are really gone.
	said = c4d.ctl("approve", service.name)
	assert said.rc == 0 and "approved" in said.out
	until(lambda: c4d.states(service.name) == {}, 5, "they are gone (remove_hold is 0 here)")
	assert c4d.ctl("approve", service.name).rc == 1
	# The service stays known, and comes back by itself.
	service.back(two)
	is_up(c4d, service.name, two)


def test_empty_hold_counts_anew(service, make_c4d):
	"""One good answer in between and the proof of absence begins again."""
	one = service.add("10.1.0.1")
	conf = merge(EAGER, {"min_instances": 0, "empty_rounds": 1, "empty_hold": "1h"})
	c4d = make_c4d(watching(service.consul, {service.name: conf})).start()
	is_up(c4d, service.name, one)
	service.fail(one)
	until(lambda: dns_row(c4d)["absent_ms"] >= 300, 5, "absence is counted")
	service.back(one)
	until(lambda: dns_row(c4d)["evidence"] == "complete", 5, "it is back")
	assert dns_row(c4d)["absent_ms"] == 0
	service.fail(one)
	until(lambda: dns_row(c4d)["evidence"] == "absence", 5, "it fails again")
	is_up(c4d, service.name, one)


def test_paused_daemon_proves_nothing(service, make_c4d):
	"""A VM that slept wakes up with a clock far ahead: the gap counts for three intervals at most."""
	one = service.add("10.1.0.1")
	conf = merge(EAGER, {"min_instances": 0, "empty_rounds": 1, "empty_hold": "3s"})
	c4d = make_c4d(watching(service.consul, {service.name: conf})).start()
	is_up(c4d, service.name, one)
	service.fail(one)
	before = until(lambda: (ms := dns_row(c4d)["absent_ms"]) >= 100 and ms, 5, "absence is counted")
	c4d.proc.pause()
	time.sleep(3.2)
	c4d.proc.resume()
	more_rounds(c4d, 1)
	assert dns_row(c4d)["absent_ms"] < before + 1500
	is_up(c4d, service.name, one)


# ---- shrinking ----

def test_ten_lost_at_once_are_held(service, make_c4d):
	"""More than max_shrink at once is held as a whole, until it has stood for shrink_hold."""
	keys = service.many(12)
	conf = merge(EAGER, {"max_shrink": 50, "shrink_hold": "2s", "remove_hold": "10m"})
	c4d = make_c4d(watching(service.consul, {service.name: conf})).start()
	is_up(c4d, service.name, *keys)
	# Consul takes the changes one by one: meanwhile let c4d look at nothing.
	c4d.proc.pause()
	service.fail(*keys[:10])
	c4d.proc.resume()
	until(lambda: sorted(c4d.states(service.name).values()) == ["held"] * 10 + ["up"] * 2, 5,
		lambda: f"ten are held: {c4d.states(service.name)}")
	assert {r["guard"] for k, r in c4d.instances(service.name).items() if k in keys[:10]} == {"shrink"}
	assert "10 instances are held: more than 50% left at once" in " ".join(c4d.ctl("status").out.split())
	why = " ".join(c4d.ctl("why", keys[0]).out.split())
	assert "held because too many left at once, until 2s" in why
	begin = time.monotonic()
	until(lambda: sorted(c4d.states(service.name).values()) == ["disabled"] * 10 + ["up"] * 2, 10, "they went")
	assert time.monotonic() - begin >= 1.5
	assert c4d.ctl("status").rc == 0


def test_shrink_is_measured_over_the_window(service, make_c4d):
	"""Ten that fail one by one: half of the largest count may go, the rest is held."""
	keys = service.many(10)
	conf = merge(EAGER, {"max_shrink": 50, "shrink_hold": "1h", "remove_hold": "10m"})
	c4d = make_c4d(watching(service.consul, {service.name: conf})).start()
	is_up(c4d, service.name, *keys)
	for i, key in enumerate(keys[:9]):
		service.fail(key)
		has_state(c4d, service.name, key, "disabled" if i < 5 else "held")
	# What comes back is up at once, whatever held it.
	service.back(keys[8])
	has_state(c4d, service.name, keys[8], "up")
	assert c4d.ctl("approve", service.name).rc == 0
	states = c4d.states(service.name)
	assert [states[k] for k in keys] == ["disabled"] * 8 + ["up"] * 2


# ---- the operator ----

def test_hold_and_release(service, make_c4d):
	one, two = service.add("10.1.0.1"), service.add("10.1.0.2")
	c4d = make_c4d(watching(service.consul, {service.name: merge(EAGER, {"remove_hold": "10m"})})).start()
	is_up(c4d, service.name, one, two)
	assert c4d.ctl("release", service.name).rc == 1, "there is nothing to release"
	said = c4d.ctl("hold", service.name)
	assert said.rc == 0 and "until c4ctl release" in said.out
	assert c4d.ctl("hold", service.name).rc == 1
	service.fail(two)
	service.add("10.1.0.3")
	until(lambda: c4d.instances(service.name)[two]["guard"] == "hold", 5, "what would go is held")
	more_rounds(c4d, 3)
	assert c4d.states(service.name) == {one: "up", two: "held"}, "and nothing comes in"
	assert problems(c4d, "is frozen by an operator")
	assert problems(c4d, "the service is held (c4ctl release)")
	assert c4d.ctl("release", service.name).rc == 0
	is_up(c4d, service.name, one, "10.1.0.3:5060")
	has_state(c4d, service.name, two, "disabled")
	until(lambda: c4d.ctl("status").rc == 0, 5, "all is well")
	causes = [g["cause"] for g in c4d.ctl("history", fmt="json").data]
	assert any(c.startswith(f"c4ctl release {service.name} by uid ") for c in causes), causes


# ---- what is not accepted ----

def test_networks_and_implausible(service, make_c4d):
	good = service.add("10.1.0.1")
	service.add("192.168.7.7")
	service.add("fd00::1")
	conf = merge(FAST, {"networks": ["10.0.0.0/8", "fd11::/16"]})
	c4d = make_c4d(watching(service.consul, {service.name: conf})).start()
	is_up(c4d, service.name, good)
	assert problems(c4d, "2 listed but not accepted, first 192.168.7.7:5060: outside the configured networks")
	assert c4d.ctl("status").rc == 1
	c4d.wait_log(r"2 listed instances are not accepted, first 192\.168\.7\.7:5060: outside the configured networks")
	service.gone("192.168.7.7:5060", "[fd00::1]:5060")
	until(lambda: c4d.ctl("status").rc == 0, 5, "corrected, it is no problem any more")


@pytest.mark.parametrize("address, port, why", [
	("10.1.0.2", 0, "port 0"),
	("224.0.0.9", 5060, "multicast address"),
	("255.255.255.255", 5060, "broadcast address"),
	("ff02::9", 5060, "multicast address"),
])
def test_implausible_instance(service, make_c4d, address, port, why):
	good = service.add("10.1.0.1")
	service.add(address, port)
	c4d = make_c4d(watching(service.consul, {service.name: FAST})).start()
	is_up(c4d, service.name, good)
	assert problems(c4d, why), c4d.ctl("status").out
	assert list(c4d.states(service.name)) == [good]


def test_max_instances(service, make_c4d):
	keys = service.many(5)
	c4d = make_c4d(watching(service.consul, {service.name: merge(FAST, {"max_instances": 3})})).start()
	is_up(c4d, service.name, *keys[:3])
	assert problems(c4d, "2 listed but not accepted, first 10.0.0.5:5060: more than max_instances")
	more_rounds(c4d, 3)
	is_up(c4d, service.name, *keys[:3])


# ---- Consul's own troubles ----

def test_acl_denied(lab, make_c4d):
	"""Without a token that may read, Consul says NXDOMAIN to everything, the canary too: nothing is removed."""
	consul = Consul(lab, acl=True).start()
	consul.allow_dns()
	one = consul.register("router", "10.1.0.1", 5060)
	consul.register("router", "10.1.0.2", 5060)
	keys = ("10.1.0.1:5060", "10.1.0.2:5060")
	until(lambda: consul.srv("router").srv, 10, "the token may read")
	c4d = make_c4d(watching(consul, {"router": EAGER})).start()
	is_up(c4d, "router", *keys)
	consul.deny_dns()
	consul.deregister(one)
	row = until(lambda: (r := dns_row(c4d))["evidence"] == "nothing" and r, 10, "the denial is seen")
	assert "no ACL permission" in row["why"]
	more_rounds(c4d, 3)
	is_up(c4d, "router", *keys)
	assert problems(c4d, "no ACL permission")
	consul.allow_dns()
	until(lambda: c4d.states("router") == {"10.1.0.2:5060": "up"}, 15, "with permission again, evidence counts again")


def test_acl_denied_from_the_start(lab, make_c4d):
	consul = Consul(lab, acl=True).start()
	consul.register("router", "10.1.0.1", 5060)
	c4d = make_c4d(watching(consul, {"router": EAGER})).start()
	until(lambda: problems(c4d, "no ACL permission"), 10, "status tells why")
	assert problems(c4d, "never had an instance: its targets are not touched")
	assert c4d.show("instances") == []


def test_servers_wiped(lab, make_c4d):
	"""All of Consul's data lost: the canary answers while the services are gone. The floor keeps the last set."""
	consul = Consul(lab).start()
	consul.register("router", "10.1.0.1", 5060)
	conf = merge(EAGER, {"min_instances": 1})
	c4d = make_c4d(watching(consul, {"router": conf})).start()
	is_up(c4d, "router", "10.1.0.1:5060")
	consul.kill()
	consul.wipe()
	consul.start()
	until(lambda: c4d.instances()["10.1.0.1:5060"]["guard"] == "empty", 15, "it is held: empty")
	holds(lambda: c4d.states() == {"10.1.0.1:5060": "held"}, 0.5, "and stays")
	consul.register("router", "10.1.0.1", 5060)
	is_up(c4d, "router", "10.1.0.1:5060")
