"""The configuration from the outside: `c4d check`, and what a reload does to a daemon that runs."""
import os
import signal

import pytest

from lab import FAST, FakeDns, base_config, holds, merge, until, watching, yaml
from lab.base import ROOT
from lab.service import dns_row, has_state, is_up, more_rounds

GOOD = """\
state: {dir}/state
control:
  socket: {dir}/ctl.sock
consul:
  dns: ["127.0.0.1:8600"]
services:
  router:
    interval: 1s
kamailio:
  sbc:
    binrpc: unix:{dir}/kam
    list_file: {dir}/dispatcher.list
    dispatcher:
      1:
        service: router
"""

# what is put in the place of what; the line and the words that the message has
WRONG = [
	("interval: 1s", "intervall: 1s", 8, "intervall"),
	("interval: 1s", "interval: 1s\n    interval: 2s", 9, "interval"),
	("interval: 1s", "interval: soon", 8, "soon"),
	("interval: 1s", "interval: 1", 8, "interval"),
	("interval: 1s", "interval: 1ms", 8, "50ms"),
	("interval: 1s", "max_shrink: 101", 8, "100"),
	("interval: 1s", "min_instances: many", 8, "many"),
	("interval: 1s", "networks: [10.0.0.0/33]", 8, "10.0.0.0/33"),
	("interval: 1s", "tags: [tcp]", 8, "tcp"),
	("interval: 1s", "tags: [a.b]", 8, "a.b"),
	("interval: 1s", "interval: [1s]", 8, "interval"),
	("interval: 1s", "interval: ${{C4D_NO_SUCH_VARIABLE}}", 8, "C4D_NO_SUCH_VARIABLE"),
	("service: router", "service: nosuch", 15, "nosuch"),
	("service: router", "service: router\n        flags: 4", 16, "D bit"),
	("service: router", "service: router\n        uri: 'sip:router.example.org'", 16, "{address}"),
	("service: router", "service: router\n        attrs: 'a={nosuch}'", 16, "{nosuch}"),
	("      1:", "      0:", 14, "id"),
	("unix:{dir}/kam", "/run/kamailio/kamailio_ctl", 11, "unix:/PATH or tcp:IP:PORT"),
	("127.0.0.1:8600", "127.0.0.1", 5, "127.0.0.1:8600"),
	("state: {dir}/state", "state: state", 1, "absolute"),
	("services:", "services: [", None, ""),
	("  router:\n    interval", "  Router:\n    interval", 7, "Router"),
]


REGISTERED = GOOD + """\
http:
  listen: ["127.0.0.1:9600"]
register:
  sbc:
    id: "{hostname}"
    address: 127.0.0.1
    port: 5060
    meta:
      version: "1"
    checks:
      xhttp:
        type: http
        url: "http://{address}:9601/status"
        headers:
          Authorization: s3cret
        timeout: 1s
      sip:
        type: sip
        interval: 5s
      rpc:
        type: binrpc
        to: sbc
      eid:
        type: eid
"""

# the same for registrations
WRONG_REGISTER = [
	('id: "{hostname}"', 'id: "{hostnam}"', 20, "{hostnam}"),
	('id: "{hostname}"', 'id: "{address}"', 20, "{address}"),
	("address: 127.0.0.1", "address: 0.0.0.0", 21, "unspecified"),
	("address: 127.0.0.1", "address: '{ip:}'", 21, "{ip:INTERFACE}"),
	("address: 127.0.0.1", "address: 239.0.0.1", 21, "multicast"),
	("port: 5060", "port: 65536", 22, "65535"),
	("port: 5060", "weight: 1", 32, "{port} is not known"),
	("version:", "eid:", 24, "c4d sets this key itself"),
	("version:", "a.b:", 24, "letters, digits"),
	("type: http", "type: tcp", 28, "no use"),
	("type: http", "type: htp", 27, "http|https"),
	('url: "http:', 'method: "http:', 26, "needs url"),
	("{address}:9601", "{adress}:9601", 28, "{adress}"),
	("timeout: 1s", "timeout: 11s", 31, "interval"),
	("interval: 5s", "uri: 'tel:1'", 34, "sip:"),
	("to: sbc", "to: sbd", 37, "did you mean 'sbc'"),
	("type: eid", "type: exec", 38, "command"),
	("type: eid", "type: ttl", 38, "needs ttl"),
	('["127.0.0.1:9600"]', "[]", 38, "http.listen is empty"),
	('["127.0.0.1:9600"]', "[9600]", 17, "IP:PORT"),
	("    port: 5060\n", "    port: 5060\n    eid: asterisk\n", 23, "ari.url"),
	("register:\n", "register:\n  other: {id: '{hostname}'}\n", 21, "that of register.other"),
]


@pytest.fixture
def check(lab, make_c4d):
	"""check(text) -> Ctl of `c4d check` with this file"""
	c4d = make_c4d(GOOD.replace("{dir}", lab.dir))

	def run(text, **kw):
		c4d.write(text.replace("{dir}", lab.dir).replace("${{", "${").replace("}}", "}"))
		return c4d.check(**kw)
	run.c4d = c4d
	return run


def test_good(check):
	got = check(GOOD)
	assert got.rc == 0 and got.err == "" and "the configuration is good: 1 services, 1 kamailios" in got.out


@pytest.mark.parametrize("good, bad, line, words", WRONG, ids=[w[1].strip().splitlines()[-1] for w in WRONG])
def test_wrong(check, good, bad, line, words):
	assert good in GOOD
	got = check(GOOD.replace(good, bad))
	assert got.rc == 3 and got.out == ""
	first = got.err.splitlines()[0]
	assert first.startswith(f"{check.c4d.conf}:{line or ''}"), got.err
	assert words in got.err
	if line:
		assert first.startswith(f"{check.c4d.conf}:{line}: "), got.err
	# and it does not run with it
	assert check.c4d.run("run", "-c", check.c4d.conf).rc == 3
	assert check.c4d.plan().rc == 3


@pytest.mark.parametrize("good, bad, line, words", WRONG_REGISTER, ids=[w[1].strip().splitlines()[-1] for w in WRONG_REGISTER])
def test_wrong_registration(check, good, bad, line, words):
	assert REGISTERED.count(good) == 1
	assert check(REGISTERED).rc == 0
	got = check(REGISTERED.replace(good, bad))
	assert got.rc == 3 and got.out == ""
	assert any(ln.startswith(f"{check.c4d.conf}:{line}: ") and words in ln for ln in got.err.splitlines()), got.err
	assert "s3cret" not in got.err
	assert check.c4d.run("run", "-c", check.c4d.conf).rc == 3


def test_warnings(check):
	"""What can hardly be meant is said, and is no reason to refuse it."""
	got = check(REGISTERED)
	assert got.rc == 0 and got.err == ""
	got = check(REGISTERED.replace("    port: 5060\n", "    port: 5060\n    on_stop: keep\n    drain: 5s\n"))
	assert got.rc == 0 and "the configuration is good" in got.out
	assert got.err.startswith(f"{check.c4d.conf}:24: warning: ") and "on_stop: keep" in got.err and got.err.count("\n") == 1
	got = check(REGISTERED.replace("type: eid", "type: eid\n        deregister_critical_after: 30s").replace("port: 5060", "port: 0"))
	assert got.rc == 3 and ": warning: " in got.err and "{port} is not known" in got.err


@pytest.mark.parametrize("name", ["c4d", "sbc", "router", "rtpengine", "asterisk"])
def test_examples(check, name):
	path = os.path.join(ROOT, "conf", f"{name}.yml")
	got = check.c4d.run("check", "-c", path)
	assert got.rc == 0 and got.err == "" and got.out.startswith(f"{path}: the configuration is good")


def test_all_errors_at_once(check):
	got = check(GOOD.replace("interval: 1s", "interval: soon\n    nosuch: 1").replace("service: router", "service: no"))
	lines = [line.split(":")[1] for line in got.err.splitlines()]
	assert got.rc == 3 and {"8", "9", "16"} <= set(lines), got.err


def test_files(check, lab):
	c4d = check.c4d
	for path, words in ((lab.path("nosuch.yml"), "No such file"), (lab.dir, "directory")):
		got = c4d.run("check", "-c", path)
		assert got.rc == 3 and path in got.err and words in got.err, got
	binary = lab.path("binary.yml")
	with open(binary, "wb") as f:
		f.write(os.urandom(2000))
	got = c4d.run("check", "-c", binary)
	assert got.rc == 3 and got.err.startswith(binary)
	huge = lab.path("huge.yml")
	with open(huge, "wb") as f:
		f.write(b"# x\n" * 600000)
	got = c4d.run("check", "-c", huge)
	assert got.rc == 3 and got.err.startswith(huge)


def test_conf_d_and_variables(check, lab):
	c4d = check.c4d
	extra = lab.path("c4d", "conf.d", "10-more.yml")
	with open(extra, "w") as f:
		f.write("services:\n  router:\n    interval: ${PACE}\n")
	assert check(GOOD, env={"PACE": "250ms"}).rc == 0
	got = check(GOOD)
	assert got.rc == 3 and got.err.startswith(f"{extra}:3: ") and "PACE" in got.err
	with open(extra, "w") as f:
		f.write("services:\n  router:\n    interval: 3s\n    nosuch: 1\n")
	got = check(GOOD)
	assert got.rc == 3 and got.err.startswith(f"{extra}:4: "), got
	# what is not *.yml is not read
	os.rename(extra, extra + ".off")
	assert check(GOOD).rc == 0
	# of later files the values win, and show config says where they are from
	for n, pace in (("20", "2s"), ("30", "3s")):
		with open(lab.path("c4d", "conf.d", f"{n}.yml"), "w") as f:
			f.write(f"services:\n  router:\n    interval: {pace}\n")
	c4d.write(GOOD.replace("{dir}", lab.dir).replace(f"{lab.dir}/ctl.sock", c4d.socket))
	c4d.start()
	row, = c4d.show("config services.router.interval")
	assert row == {"key": "services.router.interval", "value": "3s", "origin": lab.path("c4d", "conf.d", "30.yml") + ":3"}


@pytest.mark.parametrize("words", [(), ("nosuch",), ("run", "-x"), ("check", "-c"), ("run", "-c"), ("check", "extra"),
	("plan", "-f", "xml"), ("keys", "-c", "x")])
def test_usage(check, words):
	got = check.c4d.run(*words)
	assert got.rc == 2 and "usage: c4d run" in got.err and got.out == ""


def test_help_version_keys(check):
	c4d = check.c4d
	assert c4d.run("--help").rc == 0 and "c4d check" in c4d.run("--help").out
	assert c4d.run("version").out.startswith("c4d ") and c4d.run("-V").out == c4d.run("version").out
	got = c4d.run("keys")
	assert got.rc == 0 and "services.NAME.interval" in got.out
	rows = {line.split()[0] for line in got.out.splitlines()}
	assert {"http.listen", "consul.server_name", "ari.password_file", "kamailio.NAME.domain.kv", "register.NAME.id",
		"register.NAME.tagged_addresses.KIND.address", "register.NAME.checks.CHECK.deregister_critical_after"} <= rows


# ---- reload ----

@pytest.fixture
def fake(lab):
	fake = FakeDns(lab)
	fake.list("router", ("10.1.0.1", 5060))
	fake.list("rtp", ("10.2.0.1", 2223))
	return fake


def by_signal(c4d):
	n = c4d.log().count("conf: reload")
	c4d.reload()
	until(lambda: c4d.log().count("conf: reload") > n, 10, "it reloads")


def by_ctl(c4d):
	assert c4d.ctl("reload").rc == 0


@pytest.mark.parametrize("reload", [by_signal, by_ctl])
def test_reload(fake, make_c4d, reload):
	"""What changed takes effect at once; what did not goes on as it was."""
	conf = watching(fake, {"router": FAST})
	c4d = make_c4d(conf).start()
	is_up(c4d, "router", "10.1.0.1:5060")
	before = c4d.instances()["10.1.0.1:5060"]
	c4d.write(merge(conf, {"services": {"router": {"interval": "10s", "tags": ["primary"]}, "rtp": FAST}}))
	reload(c4d)
	is_up(c4d, "rtp", "10.2.0.1:2223")
	until(lambda: dns_row(c4d, "router.service.consul")["interval_ms"] == 10000, 5, "the interval is the new one")
	assert fake.count("_router._primary.service.consul") >= 1
	assert c4d.instances("router")["10.1.0.1:5060"] == before
	# A service that is gone is forgotten, and does not come back by itself.
	c4d.write(watching(fake, {"rtp": FAST}))
	reload(c4d)
	assert [r["service"] for r in c4d.show("services")] == ["rtp"]
	assert list(c4d.instances()) == ["10.2.0.1:2223"]
	asked = fake.count("router.service.consul")
	more_rounds(c4d, 3)
	assert fake.count("router.service.consul") == asked
	c4d.restart()
	assert set(c4d.states()) == {"10.2.0.1:2223"}


def test_reload_of_broken_file(fake, make_c4d):
	"""3, the errors are shown and logged, nothing changed, the daemon goes on."""
	conf = watching(fake, {"router": FAST})
	c4d = make_c4d(conf).start()
	is_up(c4d, "router", "10.1.0.1:5060")
	config = c4d.show("config")
	broken = merge(conf, {"services": {"router": {"interval": "soon"}, "rtp": {"nosuch": "1"}}})
	c4d.write(broken)
	got = c4d.ctl("reload")
	assert got.rc == 3 and "the configuration has errors: nothing was changed" in got.err
	text = "".join(got.out.split())
	assert f"{c4d.conf}:" in text and "soon" in text and "nosuch" in text
	as_json = c4d.ctl("reload", fmt="json")
	assert as_json.rc == 3 and all(m.startswith(f"{c4d.conf}:") for m in as_json.data) and len(as_json.data) == 2
	by_signal(c4d)
	c4d.wait_log(r"error +conf: reload refused: nothing was changed")
	c4d.wait_log(r"error +conf: .*soon")
	assert c4d.show("config") == config
	os.unlink(c4d.conf)
	assert c4d.ctl("reload").rc == 3
	more_rounds(c4d, 3)
	fake.list("router", ("10.1.0.1", 5060), ("10.1.0.2", 5060))
	is_up(c4d, "router", "10.1.0.1:5060", "10.1.0.2:5060")
	c4d.write(conf)
	assert c4d.ctl("reload").rc == 0


def test_reload_of_what_needs_a_restart(lab, fake, make_c4d):
	"""It is said, and what runs is what is shown."""
	conf = watching(fake, {"router": FAST})
	c4d = make_c4d(conf).start()
	socket = c4d.socket
	c4d.write(merge(conf, {"control": {"socket": lab.path("other.sock")}, "services": {"router": {"interval": "2s"}}}))
	got = c4d.ctl("reload")
	assert got.rc == 0
	assert "control.socket" in got.out and "until a restart" in " ".join(got.out.split())
	assert c4d.ctl("status").rc in (0, 1) and os.path.exists(socket)
	until(lambda: dns_row(c4d)["interval_ms"] == 2000, 5, "the rest took effect")


def test_registrations_in_show_config_and_reload(fake, make_c4d):
	"""Values of headers are nobody's business; a warning is told by a reload, which happens all the same."""
	check = {"type": "http", "url": "http://127.0.0.1:1/", "headers": {"Authorization": "s3cret"}}
	conf = watching(fake, {"router": FAST}, consul={"http": "http://127.0.0.1:1"}, http={"listen": []},
		register={"sbc": {"meta": {"version": "1"}, "checks": {"api": check}}})
	c4d = make_c4d(conf).start()
	rows = {r["key"]: r["value"] for r in c4d.show("config")}
	assert rows["register.sbc.checks.api.headers"] == "Authorization: (not shown)"
	assert rows["register.sbc.meta"] == "version: 1" and rows["register.sbc.id"] == "{hostname}-{name}"
	assert rows["http.listen"] == "" and "register.sbc.checks.api.uri" not in rows
	c4d.write(merge(conf, {"register": {"sbc": {"on_stop": "keep", "drain": "5s"}}}))
	got = c4d.ctl("reload")
	assert got.rc == 0 and "warning:" in got.out and "on_stop: keep" in " ".join(got.out.split())
	assert {r["key"]: r["value"] for r in c4d.show("config")}["register.sbc.drain"] == "5s"
	assert "s3cret" not in c4d.log() + got.out + got.err


def test_reload_keeps_evidence(fake, make_c4d):
	"""A reload is no restart: what is held stays held, and its time goes on."""
	conf = watching(fake, {"router": merge(FAST, {"empty_hold": "0s", "empty_rounds": 1})})
	c4d = make_c4d(conf).start()
	is_up(c4d, "router", "10.1.0.1:5060")
	del fake.on["router.service.consul"]
	has_state(c4d, "router", "10.1.0.1:5060", "held")
	for _ in range(5):
		assert c4d.ctl("reload").rc == 0
		assert c4d.states() == {"10.1.0.1:5060": "held"}
	more_rounds(c4d, 2)
	assert c4d.states() == {"10.1.0.1:5060": "held"}
	assert c4d.ctl("approve", "router").rc == 0
	has_state(c4d, "router", "10.1.0.1:5060", "disabled")


def test_reload_with_rounds_under_way(fake, make_c4d):
	"""Reloads while questions are out: nothing is lost, nothing crashes."""
	from lab.fake_dns import Hang
	slow = fake.on["router.service.consul"]
	fake.on["router.service.consul"] = lambda q: Hang()
	conf = watching(fake, {"router": FAST}, consul={"timeout": "5s"})
	c4d = make_c4d(conf).start()
	for i in range(10):
		c4d.write(merge(conf, {"services": {"router": {"interval": f"{50 + i}ms"}}}))
		assert c4d.ctl("reload").rc == 0
		until(lambda: c4d.show("dns")[0]["service"] == "router", 5, "it answers")
	fake.on["router.service.consul"] = slow
	assert c4d.ctl("reload").rc == 0
	is_up(c4d, "router", "10.1.0.1:5060")
	for _ in range(20):
		c4d.proc.send(signal.SIGHUP)
	until(lambda: c4d.ctl("status").rc == 0, 5, "all is well")


def test_reload_of_sets(fake, sbc, make_c4d):
	"""A new set is filled; one that is gone, as one whose Kamailio is gone, stays at Kamailio as it is."""
	fake.list("router", (sbc.ip, 5990))
	fake.list("rtp", (sbc.ip, 5991))
	conf = base_config([fake.dns_addr], sbc, services={"rtp": FAST})
	c4d = make_c4d(conf).start()
	one, two = f"sip:{sbc.ip}:5990", f"sip:{sbc.ip}:5991"
	until(lambda: sbc.listed() == {one} and c4d.converged(), 15, "the first set is there")
	c4d.write(merge(conf, {"kamailio": {"sbc": {"dispatcher": {"2": {"service": "rtp", "flags": 16}}}}}))
	assert c4d.ctl("reload").rc == 0
	until(lambda: sbc.listed(2) == {two} and c4d.converged(), 15, "the second is there")
	assert sbc.listed() == {one}
	assert set(c4d.targets()) == {"sbc/1", "sbc/2"}
	assert c4d.instances("router")
	c4d.write(merge(conf, {"kamailio": {"sbc": {"dispatcher": {"1": None, "2": {"service": "rtp", "flags": 16}}}}}))
	assert c4d.ctl("reload").rc == 0
	until(lambda: set(c4d.targets()) == {"sbc/2"} and c4d.converged(), 10, "one target is left")
	text = sbc.file_text()
	holds(lambda: sbc.listed() == {one} and sbc.listed(2) == {two}, 0.5, "the first stays at Kamailio")
	assert one in text and two in text
	c4d.write(merge(conf, {"kamailio": None}))
	assert c4d.ctl("reload").rc == 0
	assert c4d.show("targets") == []
	c4d.wait_log(r"sbc: no longer configured; its lists stay as they are")
	holds(lambda: sbc.listed() == {one} and sbc.listed(2) == {two}, 0.5, "all stays")
	assert sbc.file_text() == text
	# and back
	c4d.write(conf)
	assert c4d.ctl("reload").rc == 0
	until(lambda: c4d.targets() and c4d.converged(), 15, "it is c4d's again")
	assert sbc.listed() == {one} and sbc.listed(2) == {two}


def test_yaml_of_the_lab_is_what_c4d_reads(check):
	assert check(yaml({"services": {"router": {"tags": ["a", "b"], "interval": "1s"}}})).rc == 0
