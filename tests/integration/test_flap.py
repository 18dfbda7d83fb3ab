"""Flap damping end to end: real Consul, real Kamailio."""
import re
import time

from lab import EAGER, Sbc, merge, until, watching
from lab.rig import Rig
from lab.service import has_state, is_up, problems


DAMPED = merge(EAGER, {"remove_hold": "10m", "flap_suppress": 2000})


def words(text):
	return " ".join(text.split())


def flap(service, c4d, key, times):
	"""It fails and passes so many times; each is waited for."""
	for _ in range(times):
		service.fail(key)
		until(lambda: c4d.states(service.name)[key] != "up" and not listed(c4d, key), 5, "it is missing")
		service.back(key)
		until(lambda: listed(c4d, key), 5, "it is back")


def listed(c4d, key):
	return bool(c4d.ctl("why", key, fmt="json").data["instances"][0]["listed_by"])


def test_suppressed_and_reused(service, make_c4d):
	one, two = service.add("10.1.0.1"), service.add("10.1.0.2")
	conf = merge(DAMPED, {"min_instances": 1, "flap_half_life": "2s", "flap_max": "5s"})
	c4d = make_c4d(watching(service.consul, {service.name: conf})).start()
	is_up(c4d, service.name, one, two)
	assert "penalty" not in c4d.instances()[one]
	flap(service, c4d, one, 4)
	row = c4d.instances()[one]
	assert (row["state"], row["guard"]) == ("suppressed", "flap")
	assert row["penalty"] > 750
	told = c4d.ctl("why", one, fmt="json").data["instances"][0]["flap"]
	assert told["goings"] >= 3 and told["damped"] is True and told["kept_in"] is None
	assert (told["suppress"], told["reuse"]) == (2000, 750) and 0 < told["reuse_in_ms"] <= 5000
	status = c4d.ctl("status")
	assert status.rc == 1
	assert re.search(rf"! flapping: {service.name} {one} went \d times: kept out until its penalty \d+ is below 750, in about "
		rf"\d+s -> find out why; to let it in at once: c4ctl approve {service.name}", words(status.out)), status.out
	why = words(c4d.ctl("why", one).out)
	assert re.search(r"flapped \d times; penalty \d+ \(suppressed at 2000, in again below 750, in about \d+s", why), why
	assert max(map(len, c4d.ctl("show", "services").out.splitlines())) <= 80
	assert c4d.show("services")[0]["suppressed"] == 1
	c4d.wait_log(rf"{one} \w+ -> suppressed guard=flap")
	has_state(c4d, service.name, one, "up", timeout=10)
	until(lambda: c4d.ctl("status").rc == 0, 5, "all is well")


def test_approve_lets_it_in(service, make_c4d):
	one, two = service.add("10.1.0.1"), service.add("10.1.0.2")
	conf = merge(DAMPED, {"min_instances": 1})
	c4d = make_c4d(watching(service.consul, {service.name: conf})).start()
	is_up(c4d, service.name, one, two)
	flap(service, c4d, one, 3)
	has_state(c4d, service.name, one, "suppressed")
	# Over a restart it stays so.
	c4d.restart()
	assert c4d.states()[one] == "suppressed"
	until(lambda: c4d.instances()[one]["source"] == "dns", 5, "DNS has spoken")
	assert c4d.states()[one] == "suppressed"
	assert 2000 < c4d.instances()[one]["penalty"] < 3000
	# Neither release nor undrain ends it; approve does.
	assert c4d.ctl("release", service.name).rc == 1
	assert c4d.ctl("undrain", one).rc == 1
	assert c4d.states()[one] == "suppressed"
	said = c4d.ctl("approve", service.name)
	assert said.rc == 0 and "suppressed for flapping is let in" in words(said.out)
	assert c4d.states()[one] == "up"
	assert "penalty" not in c4d.instances()[one]


def test_the_last_ones_stay_in(service, make_c4d):
	one, two, three = service.add("10.1.0.1"), service.add("10.1.0.2"), service.add("10.1.0.3")
	conf = merge(DAMPED, {"min_instances": 2})
	c4d = make_c4d(watching(service.consul, {service.name: conf})).start()
	is_up(c4d, service.name, one, two, three)
	flap(service, c4d, one, 3)
	has_state(c4d, service.name, one, "suppressed")
	# Another one goes: the flapping one is needed again, and says so.
	service.fail(three)
	has_state(c4d, service.name, three, "disabled")
	has_state(c4d, service.name, one, "up")
	assert problems(c4d, f"flapping: {service.name} {one} went 3 times")
	why = words(c4d.ctl("why", one).out)
	assert "it takes calls all the same: fewer than min_instances would be left" in why
	service.back(three)
	has_state(c4d, service.name, three, "up")
	has_state(c4d, service.name, one, "suppressed")


def test_flapping_costs_no_reloads(lab, consul, make_c4d):
	"""It fails and passes every second, with a short remove_hold: a few set_states, and no reload at all."""
	over = {"services": {"router": {"remove_hold": "2s", "flap_suppress": 2000}}}
	r = Rig(lab, consul, Sbc(lab, probing=False, reload_delta=1).start(), make_c4d, delta=1, over=over)
	a, b = r.add(1), r.add(2)
	r.start(a, b)
	r.quiet()
	reloads, states = r.count("reloads"), r.count("set_states")
	end = time.monotonic() + 12
	while time.monotonic() < end:
		consul.failing(r.sids[a])
		time.sleep(0.5)  # the rate of the flapping is what is tested
		consul.passing(r.sids[a])
		time.sleep(0.5)
	assert r.c4d.instances()["%s:5060" % lab.ip(1)]["state"] in ("suppressed", "disabled")
	assert r.sbc.flags()[a][0] == "D"
	assert r.count("reloads") == reloads
	assert r.count("set_states") - states <= 7
	assert r.sbc.enabled() == {b}
