"""c4ctl rollback and history: real Consul, real Kamailio."""
import re

from lab import EAGER, Sbc, merge, until, watching
from lab.rig import Rig
from lab.service import is_up, more_rounds, problems


def words(text):
	return " ".join(text.split())


def generation(c4d):
	return c4d.ctl("status", fmt="json").data["generation"]


def test_rollback_holds_what_was(lab, consul, make_c4d):
	r = Rig(lab, consul, Sbc(lab, probing=False, reload_delta=1).start(), make_c4d, delta=1,
		over={"services": {"router": {"remove_hold": "1s"}, "other": {"interval": "100ms"}}})
	a, b = r.add(1, weight=5), r.add(2, weight=5)
	other = r.add(9, service="other")
	r.start(a, b)
	until(lambda: len(r.c4d.states("other")) == 1, 5, "the other service is there")
	good = generation(r.c4d)
	# A roll-out that was none: another machine, another weight, and the old ones are gone.
	c = r.add(3)
	r.lists(a, b, c)
	r.gone(a)
	consul.register("router", lab.ip(2), 5060, weight=50)
	r.lists(b, c)
	r.quiet()
	now = generation(r.c4d)
	said = r.c4d.ctl("rollback", str(good), fmt="json")
	assert said.rc == 0, said
	assert (said.data["rolled_back_to"], said.data["held"]) == (good, ["router"])
	assert said.data["generation"] == now + 1
	r.lists(a, b)
	assert r.sbc.enabled() == {a, b}
	until(lambda: {d.attrs for d in r.sbc.dispatcher()[1]} == {"weight=5"}, 5, "with the weights of then")
	r.converged()
	key = f"{lab.ip(1)}:5060"
	assert r.c4d.instances("router")[key]["source"] == "store"
	assert r.c4d.instances("router")[f"{lab.ip(2)}:5060"]["weight"] == 5
	assert r.c4d.states("other") == {other[4:]: "up"}
	more_rounds(r.c4d, 3, "router.service.consul")
	assert r.sbc.enabled() == {a, b}, "the next rounds do not undo it"
	assert problems(r.c4d, "router is frozen by an operator")
	assert not problems(r.c4d, "other is frozen")
	history = r.c4d.ctl("history", fmt="json").data
	assert any(re.match(rf"c4ctl rollback {good} by uid \d+$", g["cause"]) for g in history)
	# Over a restart, with Kamailio restarted in between.
	r.c4d.stop()
	r.sbc.restart()
	assert r.sbc.enabled() == {a, b}
	r.c4d.start()
	r.converged()
	more_rounds(r.c4d, 3, "router.service.consul")
	assert r.sbc.enabled() == {a, b}
	assert r.c4d.instances("router")[f"{lab.ip(2)}:5060"]["weight"] == 5
	# The other service lives on.
	r.add(8, service="other")
	until(lambda: len(r.c4d.states("other")) == 2, 5, "other follows Consul")
	said = r.c4d.ctl("release", "router")
	assert said.rc == 0
	until(lambda: r.sbc.enabled() == {b, c}, 10, lambda: f"as Consul says: {r.sbc.flags()}")


def test_what_can_not_be_rolled_back(service, make_c4d):
	one, two = service.add("10.1.0.1"), service.add("10.1.0.2")
	conf = merge(EAGER, {"remove_hold": "10m", "min_instances": 1})
	c4d = make_c4d(watching(service.consul, {service.name: conf})).start()
	is_up(c4d, service.name, one, two)
	both = generation(c4d)
	service.fail(one)
	until(lambda: c4d.states()[one] == "disabled", 5, "one is out")
	service.back(one)
	is_up(c4d, service.name, one, two)
	now = generation(c4d)
	for word, rc, text in (
			("x", 2, "x is no generation: they are in c4ctl history"),
			("-1", 2, "-1 is no generation"),
			(str(now), 5, f"generation {now} is the present one"),
			(str(now + 1), 5, f"generation {now + 1} is yet to come: the present one is {now}"),
			(str(both), 5, f"nothing differs between generation {both} and now"),
			("0", 5, f"{service.name} had 0 that would take calls in generation 0, and min_instances is 1")):
		said = c4d.ctl("rollback", word)
		assert (said.rc, text in words(said.err)) == (rc, True), (word, said)
	assert generation(c4d) == now
	assert c4d.states() == {one: "up", two: "up"}
	said = c4d.ctl("rollback", str(now - 1))
	assert said.rc == 0
	assert words(said.out) == (f"{service.name} is as in generation {now - 1}, and held: nothing changes it until c4ctl release "
		"SERVICE")
	assert c4d.states() == {one: "disabled", two: "up"}
	more_rounds(c4d, 3)
	assert c4d.states() == {one: "disabled", two: "up"}


def test_what_is_not_in_the_history_any_more(service, make_c4d):
	one, two = service.add("10.1.0.1"), service.add("10.1.0.2")
	conf = merge(EAGER, {"remove_hold": "10m", "min_instances": 1})
	c4d = make_c4d(watching(service.consul, {service.name: conf}, history_max=3)).start()
	is_up(c4d, service.name, one, two)
	first = generation(c4d)
	for _ in range(4):
		service.fail(one)
		until(lambda: c4d.states()[one] == "disabled", 5, "out")
		service.back(one)
		until(lambda: c4d.states()[one] == "up", 5, "in")
	now = generation(c4d)
	said = c4d.ctl("rollback", str(first))
	assert said.rc == 5
	got = re.search(rf"generation {first} is not in the history any more: it reaches back to (\d+)", words(said.err))
	assert got, said.err
	assert first < int(got.group(1)) < now
	assert c4d.ctl("rollback", str(now - 1)).rc == 0, "the last ones can"


def test_history_shows_every_step(lab, consul, make_c4d):
	r = Rig(lab, consul, Sbc(lab, probing=False, reload_delta=1).start(), make_c4d, delta=1)
	a = r.add(1)
	r.start(a)
	b = r.add(2)
	r.lists(a, b)
	r.converged()
	def complete():
		g = r.c4d.ctl("history", fmt="json").data[0]
		return g["targets"] and g
	g = until(complete, 5, "the times are stored")
	assert g["seen_to_committed_ms"] >= 0
	(t,) = g["targets"]
	assert t["target"] == "sbc/1"
	assert g["seen"] <= t["applied"] <= t["verified"]
	assert t["seen_to_applied_ms"] >= 0 and t["applied_to_verified_ms"] >= 0
	text = r.c4d.ctl("history").out
	assert re.search(r"^  committed \d\d:\d\d:\d\d\.\d{3} \(\+\d+ms\)$", text, re.M), text
	assert re.search(r"^  sbc/1 applied \S+ \(\+\d+ms\), verified \S+ \(\+\d+ms\)$", text, re.M), text
	assert max(map(len, text.splitlines())) <= 80
