"""
Answers that the real Consul can't be made to give. All guards are off (EAGER): whatever a round proved would
take effect at once, so that "nothing was removed" means that the round proved nothing.
"""
import random
import re
import struct

import pytest

from lab import EAGER, FakeDns, merge, until, watching
from lab.dns import NXDOMAIN, REFUSED, SERVFAIL
from lab.fake_dns import TXT, Close, Hang, Slow, Wire, instances, message, record, target_of
from lab.service import dns_row, is_up, more_rounds, problems, rounds

NAME, CANARY, TAG = "router.service.consul", "consul.service.consul", "_router._primary.service.consul"
GOOD = [("10.1.0.1", 5060, 5), ("10.1.0.2", 5060, 5), ("10.1.0.3", 5060, 5)]
KEYS = [f"{ip}:{port}" for ip, port, _ in GOOD]
FEWER = GOOD[:1]
FORMERR, NOTIMP = 1, 4


def garbage(q):
	return q.id + random.Random(7).randbytes(120)


def garbage_after_header(q):
	return message(q)[:12] + random.Random(8).randbytes(200)


def cut(q):
	return instances(q, FEWER)[:-9]


def loop_pointer(q):
	"""The SRV's target is a pointer to itself."""
	msg = message(q, an=1, raw=b"\xc0\x0c" + struct.pack("!HHIH", 33, 1, 0, 8) + struct.pack("!HHH", 1, 1, 5060))
	return msg + struct.pack("!H", 0xC000 | len(msg))


def loop_pair(q):
	"""Two names that point at each other."""
	msg = message(q, an=1)
	return msg + struct.pack("!HH", 0xC000 | len(msg) + 2, 0xC000 | len(msg)) + struct.pack("!HHIH", 33, 1, 0, 0)


def counts_lie(q):
	return message(q, srv=[(1, 1, 5060, target_of("10.1.0.1"))], an=900)


def padded(q, size):
	"""A list that is as large as Consul's can be."""
	rest = size - len(instances(q, FEWER))
	more = []
	while rest > 300:
		n = min(rest, 255) - 1
		more.append(record("vm1.node.dc1.consul", TXT, bytes([n - 32]) + b"x" * (n - 32)))
		rest -= len(more[-1])
	return instances(q, FEWER, more=more)


def many(q):
	found = [GOOD[0][:2]] + [(f"10.9.{i // 250}.{i % 250 + 1}", 5060) for i in range(899)]
	# all of one name: short enough for one message
	return message(q, srv=[(1, 1, p, target_of(ip)) for ip, p in found])


def self_target(q):
	return message(q, srv=[(1, 1, 5060, "router.service.consul")], addr=[("router.service.consul", "10.1.0.1")])


def self_target_dc(q):
	"""As Consul 1.19.0: the target is the service's name with its datacenter, whatever was asked."""
	return message(q, srv=[(1, 1, 5060, "router.service.dc1.consul")], addr=[("router.service.dc1.consul", "10.1.0.1")])


def odd_target(q):
	return message(q, srv=[(1, 1, 5060, "bad name\x01.consul")])


# what answers the question about the service; what it proves; what is said. Of what it lists, nothing new comes in.
BAD = [
	("garbage", garbage, "nothing", "malformed answer|time-out"),
	("garbage after the header", garbage_after_header, "nothing", "malformed answer|time-out"),
	("cut off", cut, "nothing", "malformed answer"),
	("pointer to itself", loop_pointer, "nothing", "malformed answer"),
	("pointers to each other", loop_pair, "nothing", "malformed answer"),
	("fewer records than announced", counts_lie, "nothing", "malformed answer"),
	("control characters in a name", odd_target, "nothing", "malformed answer"),
	("only a header", lambda q: message(q)[:12], "nothing", "malformed answer|time-out"),
	("empty message", lambda q: Wire(b"\0\0"), "nothing", "malformed answer|time-out|no connection"),
	("half a message, then silence", lambda q: Wire(struct.pack("!H", 500) + instances(q, FEWER)), "nothing",
		"time-out"),
	("half a message, then the end", lambda q: Close(Wire(struct.pack("!H", 500) + instances(q, FEWER))), "nothing",
		"no connection"),
	("no question in it", lambda q: q.id + struct.pack("!5H", 0x8480, 0, 0, 0, 0), "nothing",
		"malformed answer|time-out"),
	("not an answer", lambda q: instances(q, FEWER, flags=0x0480), "nothing", "malformed answer|time-out"),
	("another name's answer", lambda q: instances(q, FEWER, name="other.service.consul"), "nothing",
		"malformed answer|time-out"),
	("another type's answer", lambda q: instances(q, FEWER, kind=1), "nothing", "malformed answer|time-out"),
	("another question's id", lambda q: b"\xff\xff" + instances(q, FEWER)[2:], "nothing", "time-out|malformed answer"),
	("silence", lambda q: Hang(), "nothing", "time-out"),
	("end of the connection", lambda q: Close(), "nothing", "no connection"),
	("reset", lambda q: Close(reset=True), "nothing", "no connection"),
	("SERVFAIL", lambda q: message(q, rcode=SERVFAIL), "nothing", "SERVFAIL"),
	("SERVFAIL with a list", lambda q: instances(q, FEWER, rcode=SERVFAIL), "nothing", "SERVFAIL"),
	("REFUSED", lambda q: message(q, rcode=REFUSED), "nothing", "REFUSED"),
	("FORMERR", lambda q: message(q, rcode=FORMERR), "nothing", "unexpected response code"),
	("NOTIMP", lambda q: message(q, rcode=NOTIMP), "nothing", "unexpected response code"),
	("TC without instances", lambda q: message(q, tc=True), "nothing", "truncated \\(TC\\)"),
	("TC", lambda q: instances(q, FEWER, tc=True), "partial", "truncated \\(TC\\): split by tags"),
	("64,000 bytes", lambda q: padded(q, 64300), "partial", "too near to Consul's limits to be whole: split by tags"),
	("65,535 bytes", lambda q: padded(q, 65535), "partial", "too near to Consul's limits to be whole: split by tags"),
	("900 instances", many, "partial", "too near to Consul's limits to be whole: split by tags"),
	("target is the service (1.19.0)", self_target, "nothing", "target equals the asked name"),
	("target is the service with its dc (1.19.0)", self_target_dc, "nothing", "target equals the asked name"),
	("target without address", lambda q: message(q, srv=[(1, 1, 5060, "vm7.node.dc1.consul")]), "partial",
		"the address of a target is not known"),
]


@pytest.fixture
def fake(lab):
	fake = FakeDns(lab)
	fake.list("router", *GOOD)
	return fake


@pytest.fixture
def c4d(fake, make_c4d):
	return make_c4d(watching(fake, {"router": EAGER}, consul={"timeout": "150ms"}))


def good_again(fake, c4d):
	"""A good answer, and all is as it should be: the loss of one counts, a new one comes."""
	fake.list("router", *GOOD[:2], ("10.1.0.4", 5060))
	until(lambda: c4d.states("router") == {k: "up" for k in KEYS[:2] + ["10.1.0.4:5060"]}, 10,
		lambda: f"a good answer counts: {c4d.states('router')} {c4d.show('dns')}")
	until(lambda: c4d.ctl("status").rc == 0, 5, "all is well")


@pytest.mark.parametrize("answer, evidence, why", [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_bad_answer_removes_nothing(fake, c4d, answer, evidence, why):
	c4d.start()
	is_up(c4d, "router", *KEYS)
	fake.on[NAME] = answer
	row = until(lambda: (r := dns_row(c4d))["evidence"] == evidence and r, 5, lambda: f"{evidence}: {c4d.show('dns')}")
	assert re.fullmatch(why + ".*", row["why"]), row
	more_rounds(c4d, 2)
	assert set(KEYS) <= set(c4d.states("router")) and set(c4d.states("router").values()) == {"up"}
	assert problems(c4d, row["why"]), c4d.ctl("status").out
	assert c4d.ctl("status").rc == 1
	good = GOOD if answer is not many else []
	fake.list("router", *GOOD)
	until(lambda: dns_row(c4d)["evidence"] == "complete", 5, "a good answer counts")
	assert not good or c4d.states("router") == {k: "up" for k in KEYS}
	good_again(fake, c4d)


# The last field: the list's own answer comes through (the end of the connection may take it along).
CANARY_BAD = [
	("SERVFAIL", lambda q: message(q, rcode=SERVFAIL), True),
	("REFUSED", lambda q: message(q, rcode=REFUSED), True),
	("silence", lambda q: Hang(), True),
	("garbage", garbage, True),
	("end of the connection", lambda q: Close(), False),
]


@pytest.mark.parametrize("canary, adds", [c[1:] for c in CANARY_BAD], ids=[c[0] for c in CANARY_BAD])
def test_no_canary_adds_only(fake, c4d, canary, adds):
	"""A good list beside a canary in trouble: what is new comes in, what is missing stays."""
	good = fake.on[CANARY]
	c4d.start()
	is_up(c4d, "router", *KEYS)
	fake.on[CANARY] = canary
	until(lambda: dns_row(c4d)["evidence"] != "complete", 5, "the canary's trouble is seen")
	fake.list("router", GOOD[0], ("10.1.0.9", 5060))
	if adds:
		until(lambda: c4d.states("router").get("10.1.0.9:5060") == "up", 5, "the new one comes in")
		row = dns_row(c4d)
		assert (row["evidence"], row["why"]) == ("partial", "the canary was not answered"), row
	more_rounds(c4d, 1)
	assert set(KEYS) <= set(c4d.states("router")) and set(c4d.states("router").values()) == {"up"}
	# nor is "no such service" any proof then
	del fake.on[NAME]
	until(lambda: dns_row(c4d)["evidence"] == "nothing", 5, "nothing is proven")
	more_rounds(c4d, 1)
	assert set(KEYS) <= set(c4d.states("router")) and set(c4d.states("router").values()) == {"up"}
	fake.on[CANARY] = good
	until(lambda: c4d.states("router") == {}, 5, "with the canary it is (and no guard stands in its way here)")


# ---- what looks odd and is right ----

RIGHT = [
	("byte by byte", lambda q: Slow(instances(q, GOOD), each=0.00001)),
	("connection closed after each answer", lambda q: Close(instances(q, GOOD))),
	("slow", lambda q: Slow(instances(q, GOOD), first=0.06)),
	("question in capitals", lambda q: instances(q, GOOD, name=q.name.upper())),
	("duplicates", lambda q: instances(q, GOOD + GOOD)),
	("targets in capitals", lambda q: message(q, srv=[(1, 5, 5060, target_of(ip).upper()) for ip, _, _ in GOOD],
		addr=[(target_of(ip), ip) for ip, _, _ in GOOD])),
	("addresses only in the targets' names", lambda q: message(q, srv=[(1, 5, p, target_of(ip)) for ip, p, _ in GOOD])),
	("records of other types", lambda q: instances(q, GOOD, more=[record("vm1.node.dc1.consul", TXT, b"\x03a=b"),
		record("", 41, b"")])),
]


@pytest.mark.parametrize("answer", [r[1] for r in RIGHT], ids=[r[0] for r in RIGHT])
def test_odd_and_right(fake, c4d, answer):
	fake.on[NAME] = answer
	c4d.start()
	is_up(c4d, "router", *KEYS)
	more_rounds(c4d, 3)
	row = dns_row(c4d)
	assert (row["evidence"], row["rounds"]["nothing"]) == ("complete", 0), row
	good_again(fake, c4d)


def test_every_answer_ends_the_connection(fake, make_c4d):
	"""Both of a round's answers come, each over a connection of its own; and evidence counts as ever."""
	fake.on[CANARY] = lambda q: Close(instances(q, [("127.0.0.9", 8300)]))
	fake.on[NAME] = lambda q: Close(instances(q, GOOD))
	c4d = make_c4d(watching(fake, {"router": EAGER})).start()
	is_up(c4d, "router", *KEYS)
	fake.on[NAME] = lambda q: Close(instances(q, FEWER))
	until(lambda: c4d.states("router") == {KEYS[0]: "up"}, 10, lambda: f"the loss counts: {c4d.show('dns')}")


def test_target_asked_for(fake, make_c4d):
	"""A target whose address is not in the answer is asked for, A and AAAA, once per round."""
	fake.on[NAME] = lambda q: message(q, srv=[(1, 5, 5060, "vm1.node.dc1.consul"), (1, 5, 5061, "vm1.node.dc1.consul"),
		(1, 5, 5060, "vm2.node.dc1.consul")])
	fake.on["vm1.node.dc1.consul"] = lambda q: message(q, an=q.kind == 1,
		raw=record(q.name, 1, bytes([10, 1, 0, 1])) if q.kind == 1 else b"")
	fake.on["vm2.node.dc1.consul"] = lambda q: message(q, an=q.kind == 28,
		raw=record(q.name, 28, b"\xfd" + bytes(14) + b"\x02") if q.kind == 28 else b"")
	c4d = make_c4d(watching(fake, {"router": EAGER})).start()
	is_up(c4d, "router", "10.1.0.1:5060", "10.1.0.1:5061", "[fd00::2]:5060")
	assert dns_row(c4d)["evidence"] == "complete"
	# One that can't be resolved any more takes away the list's power to remove.
	fake.on["vm2.node.dc1.consul"] = lambda q: message(q, rcode=SERVFAIL)
	until(lambda: dns_row(c4d)["evidence"] == "partial", 5, "it is partial")
	more_rounds(c4d, 2)
	is_up(c4d, "router", "10.1.0.1:5060", "10.1.0.1:5061", "[fd00::2]:5060")


# ---- tags ----

@pytest.mark.parametrize("tag, evidence, why", [
	(lambda q: message(q, rcode=SERVFAIL), "partial", "the question about a tag failed"),
	(lambda q: Hang(), "partial", "the question about a tag failed"),
	(garbage, "partial", "the question about a tag failed"),
	(lambda q: instances(q, [GOOD[2]], tc=True), "complete", "complete list"),
], ids=["SERVFAIL", "silence", "garbage", "TC"])
def test_tag_question_fails(fake, make_c4d, tag, evidence, why):
	"""A tag in doubt is not taken away, and a list beside a failed question removes nothing."""
	fake.on[TAG] = lambda q: instances(q, GOOD[:2])
	conf = merge(EAGER, {"tags": ["primary"]})
	c4d = make_c4d(watching(fake, {"router": conf}, consul={"timeout": "150ms"})).start()
	is_up(c4d, "router", *KEYS)

	def tags():
		return {k: i["tags"] for k, i in c4d.instances("router").items()}

	until(lambda: tags() == {KEYS[0]: ["primary"], KEYS[1]: ["primary"], KEYS[2]: []}, 5, "the tags are known")
	fake.on[TAG] = tag
	until(lambda: fake.count(TAG) > 3 and dns_row(c4d)["evidence"] == evidence, 5, lambda: f"{c4d.show('dns')}")
	more_rounds(c4d, 3)
	assert dns_row(c4d)["why"] == why
	assert tags()[KEYS[0]] == tags()[KEYS[1]] == ["primary"]
	if evidence == "partial":
		fake.list("router", *GOOD[:2])
		more_rounds(c4d, 3)
		is_up(c4d, "router", *KEYS)
	# Consul's word that no instance has it does count.
	fake.list("router", *GOOD)
	del fake.on[TAG]
	until(lambda: all(t == [] for t in tags().values()), 5, "the tag is lost")


def test_tag_ignored(fake, make_c4d):
	"""Consul 1.19.0 may list all instances for a tag: all have it then, none is lost; and it heals by itself."""
	fake.on[TAG] = lambda q: instances(q, GOOD)
	c4d = make_c4d(watching(fake, {"router": merge(EAGER, {"tags": ["primary"]})})).start()
	is_up(c4d, "router", *KEYS)
	until(lambda: all(i["tags"] == ["primary"] for i in c4d.instances().values()), 5, "all have it")
	fake.on[TAG] = lambda q: instances(q, GOOD[:1])
	until(lambda: [i["tags"] for i in c4d.instances().values()] == [["primary"], [], []], 5, "as it should be")


def test_tagged_but_not_listed(fake, make_c4d):
	"""No instance by the name, some by its tag: a contradiction, and no proof of absence."""
	fake.on[TAG] = lambda q: instances(q, GOOD[:1])
	c4d = make_c4d(watching(fake, {"router": merge(EAGER, {"tags": ["primary"]})})).start()
	is_up(c4d, "router", *KEYS)
	del fake.on[NAME]
	row = until(lambda: (r := dns_row(c4d))["evidence"] == "nothing" and r, 5, "a contradiction")
	assert row["why"] == "no instance, yet there are some with a tag"
	more_rounds(c4d, 3)
	is_up(c4d, "router", *KEYS)


# ---- the log ----

def test_one_log_line_per_change(fake, c4d):
	"""Trouble is logged when it begins and when it ends, not with each attempt."""
	c4d.start()
	is_up(c4d, "router", *KEYS)
	fake.on[NAME] = lambda q: message(q, rcode=SERVFAIL)
	begin = rounds(c4d)
	until(lambda: rounds(c4d) >= begin + 5, 10, "five rounds of trouble")
	good_again(fake, c4d)
	log = c4d.log()
	assert log.count("proves nothing: SERVFAIL") == 1 and log.count("is conclusive again") == 1, log


def test_nxdomain_with_rcode_only_of_canary(fake, c4d):
	"""Both say NXDOMAIN: that is how Consul refuses (no ACL permission), and how it answers without a leader."""
	c4d.start()
	is_up(c4d, "router", *KEYS)
	fake.on[CANARY] = lambda q: message(q, rcode=NXDOMAIN)
	del fake.on[NAME]
	row = until(lambda: (r := dns_row(c4d))["evidence"] == "nothing" and r, 5, "nothing is proven")
	assert "no ACL permission, no leader, or no path" in row["why"]
	more_rounds(c4d, 3)
	is_up(c4d, "router", *KEYS)
