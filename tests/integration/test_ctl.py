"""c4ctl and its socket: every command, what it prints and its exit status; and peers that mean no good."""
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from lab import EAGER, FAST, FakeDns, LabError, base_config, holds, merge, until, watching
from lab.base import Proc
from lab.service import has_state, is_up, problems

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
INSTANCE = {"service": str, "address": str, "port": int, "weight": int, "priority": int, "tags": list, "state": str,
	"since": TIME, "generation": int, "source": str}
TARGET = {"target": str, "kind": str, "state": str, "desired_generation": int, "applied_generation": int,
	"pending": int, "last_error": (str, type(None)), "since": TIME}
# More than the manual promises, for c4ctl's own use.
INSTANCE_MORE, TARGET_MORE = {"guard", "stale", "line", "penalty", "drain_until"}, {"window_ms"}


def fits(row, schema, more):
	assert set(schema) <= set(row) <= set(schema) | more, set(row) ^ set(schema)
	for key, kind in schema.items():
		if isinstance(kind, str):
			assert re.fullmatch(kind, row[key]), (key, row[key])
		else:
			assert isinstance(row[key], kind) and not isinstance(row[key], bool), (key, row[key])


@pytest.fixture
def fake(lab):
	fake = FakeDns(lab)
	fake.list("router", ("10.1.0.1", 5060, 5), ("fd00::1", 5061, 7))
	return fake


@pytest.fixture
def c4d(fake, make_c4d):
	c = make_c4d(watching(fake, {"router": merge(EAGER, {"remove_hold": "10m"})})).start()
	is_up(c, "router", "10.1.0.1:5060", "[fd00::1]:5061")
	return c


# ---- what is shown ----

def test_instances_schema(fake, c4d):
	fake.list("router", ("10.1.0.1", 5060, 5))
	has_state(c4d, "router", "[fd00::1]:5061", "disabled")
	rows = c4d.show("instances")
	for row in rows:
		fits(row, INSTANCE, INSTANCE_MORE)
	one, two = rows
	assert [one[k] for k in ("service", "address", "port", "weight", "priority", "tags", "state", "source")] == \
		["router", "10.1.0.1", 5060, 5, 1, [], "up", "dns"]
	assert (two["address"], two["port"], two["state"], two["generation"]) == ("fd00::1", 5061, "disabled", 2)
	assert c4d.show("instances router") == rows


def test_targets_schema(lab, fake, sbc, make_c4d):
	fake.list("router", ("127.0.0.1", 5999))
	c4d = make_c4d(base_config([fake.dns_addr], sbc)).start()
	until(c4d.converged, 15, "Kamailio holds it")
	row, = c4d.show("targets")
	fits(row, TARGET, TARGET_MORE)
	assert (row["target"], row["kind"], row["state"], row["pending"], row["last_error"]) == \
		("sbc/1", "dispatcher", "converged", 0, None)
	assert row["desired_generation"] == row["applied_generation"] == 1
	assert [r["target"] for r in c4d.show("targets sbc") + c4d.show("targets sbc/1")] == ["sbc/1", "sbc/1"]
	assert c4d.ctl("show", "targets", "sbc/2").rc == c4d.ctl("show", "targets", "sb").rc == 1
	# resync waits for the pass that it began
	done = c4d.ctl("resync", fmt="json")
	assert done.rc == 0 and done.data[0]["state"] == "converged"
	assert c4d.ctl("resync", "sbc/1").rc == 0
	for nosuch in ("sbc/2", "sb", "sbc/", "nosuch"):
		got = c4d.ctl("resync", nosuch)
		assert got.rc == 1 and f"no target {nosuch}" in got.err
	assert c4d.ctl("diff").rc == 0 and "no difference" in c4d.ctl("diff").out
	why = c4d.ctl("why", "127.0.0.1:5999")
	assert "in sbc/1 as sip:127.0.0.1:5999: desired active" in " ".join(why.out.split())
	# gone, it is said, and still answered
	sbc.kill()
	until(lambda: c4d.show("targets")[0]["state"] == "unreachable", 10, "it is seen")
	assert c4d.ctl("resync").rc == 1 and c4d.ctl("diff").rc == 1 and c4d.ctl("status").rc == 1
	assert "kamailio sbc: not reachable" in " ".join(c4d.ctl("status").out.split())


# command; a part of its plain output; what its JSON is
COMMANDS = [
	("status", "all is well", dict),
	("show topology", "generation 1", dict),
	("show topology router", "|- [fd00::1]:5061", dict),
	("show services", "complete", list),
	("show instances", "10.1.0.1", list),
	("show targets", "(none)", list),
	("show dispatcher", "(none)", list),
	("show dns", "router.service.consul", list),
	("show dns router", "complete list", list),
	("show history", "new -> up", list),
	("history", "complete list of router.service.consul", list),
	("history router", "new -> up", list),
	("show config", "services.router.interval: 50ms", list),
	("show config consul.", "consul.budget: 100", list),
	("diff", "no difference", list),
	("why 10.1.0.1:5060", "listed by router.service.consul", dict),
	("resync", "(none)", list),
]


@pytest.mark.parametrize("command, text, kind", COMMANDS, ids=[c[0] for c in COMMANDS])
def test_commands(c4d, command, text, kind):
	words = command.split()
	plain = c4d.ctl(*words)
	assert plain.rc == 0 and plain.err == "", plain
	assert text in plain.out, plain.out
	assert max(map(len, plain.out.splitlines())) <= 80, plain.out
	as_json = c4d.ctl(*words, fmt="json")
	assert as_json.rc == 0 and isinstance(as_json.data, kind)
	lines = c4d.ctl(*words, fmt="jsonl")
	rows = [json.loads(line) for line in lines.out.splitlines()]
	assert lines.rc == 0 and len(rows) == (len(as_json.data) if kind is list else 1)


def test_no_such(c4d):
	for words, text in (
			(("show", "instances", "nosuch"), "no service nosuch"),
			(("show", "services", "nosuch"), "no service nosuch"),
			(("show", "topology", "nosuch"), "no service nosuch"),
			(("show", "dns", "nosuch"), "no service nosuch"),
			(("show", "dispatcher", "nosuch"), "no target nosuch"),
			(("show", "config", "nosuch"), "no key beginning with nosuch"),
			(("hold", "nosuch"), "no service nosuch"),
			(("diff", "nosuch"), "no target nosuch"),
			(("why", "10.9.9.9:5060"), "10.9.9.9:5060 is no instance of any service and is not in the history")):
		got = c4d.ctl(*words)
		assert got.rc == 1 and text in got.err, (words, got)


def test_usage(c4d):
	for words, text in (
			((), "usage: c4ctl"),
			(("nosuch",), "no such command: nosuch"),
			(("show",), "show what?"),
			(("show", "nosuch"), "show what?"),
			(("show", "t"), "ambiguous: show topology, show targets"),
			(("re",), "ambiguous: resync, release, reload"),
			(("status", "now"), "usage: c4ctl status"),
			(("why",), "usage: c4ctl why ADDRESS:PORT"),
			(("hold",), "usage: c4ctl hold SERVICE"),
			(("log",), "usage: c4ctl log LEVEL [SUBSYSTEM]"),
			(("log", "loud"), "loud is no level: error, warning, notice, info or debug"),
			(("why", "10.1.0.1"), "is not ADDRESS:PORT"),
			(("why", "fd00::1:5060:x"), "is not ADDRESS:PORT"),
			(("-x", "status"), "no such option: -x"),
			(("-f", "xml", "status"), "-f takes plain, json or jsonl"),
			(("-w0", "status"), "-w takes whole seconds"),
			(("-wx", "status"), "-w takes whole seconds")):
		got = c4d.ctl(*words)
		assert got.rc == 2 and text in got.err and got.out == "", (words, got)
		assert max(map(len, got.err.splitlines())) <= 200
	for words in (("help",), ("-h",), ("--help",)):
		got = c4d.ctl(*words)
		assert got.rc == 0 and "show instances" in got.out and got.err == ""
		assert max(map(len, got.out.splitlines())) <= 80


def test_abbreviations(c4d):
	whole = c4d.ctl("show", "instances", fmt="json").data
	for words in (("sh", "inst"), ("show", "i"), ("sho", "instances", "router")):
		assert c4d.ctl(*words, fmt="json").data == whole
	assert c4d.ctl("st").rc == 0
	assert c4d.ctl("hi", fmt="json").data == c4d.show("history")


def test_why(fake, c4d):
	def why(address):
		got = c4d.ctl("why", address)
		assert max(map(len, got.out.splitlines())) <= 80, got.out
		return got.rc, " ".join(got.out.split())

	rc, text = why("10.1.0.1:5060")
	assert rc == 0 and "10.1.0.1:5060 of service router is up since" in text
	assert "generation 1: new -> up, by complete list of router.service.consul" in text
	fake.list("router", ("10.1.0.1", 5060, 5))
	has_state(c4d, "router", "[fd00::1]:5061", "disabled")
	# in any spelling
	for address in ("[fd00::1]:5061", "[FD00:0:0::1]:5061"):
		rc, text = why(address)
		assert rc == 0 and "[fd00::1]:5061 of service router is disabled since" in text
		assert "not listed by router.service.consul: last round complete (complete list)" in text
		assert "leaves the lists altogether after 10m" in text
		assert "generation 2: up -> disabled" in text and "generation 1: new -> up" in text
	assert c4d.ctl("hold", "router").rc == 0
	del fake.on["router.service.consul"]
	has_state(c4d, "router", "10.1.0.1:5060", "held")
	rc, text = why("10.1.0.1:5060")
	assert rc == 0 and "held:hold since" in text and "the service is frozen: c4ctl release router" in text
	rc, text = why("10.7.7.7:5060")
	assert rc == 1 and "10.7.7.7:5060 is no instance now" in text


def test_log_level(fake, c4d):
	assert " debug   dns:" not in c4d.log()
	got = c4d.ctl("log", "debug", "dns")
	assert got.rc == 0
	c4d.wait_log(r" debug   dns: router: router\.service\.consul via .*complete")
	assert c4d.ctl("log", "error").rc == 0
	size = len(c4d.log())
	holds(lambda: len(c4d.log()) == size, 0.3, "it is quiet")
	fake.list("router", ("10.1.0.1", 5060, 9), ("fd00::1", 5061, 7))
	until(lambda: c4d.instances()["10.1.0.1:5060"]["weight"] == 9, 5, "changed")
	assert len(c4d.log()) == size


def test_80_columns(lab, fake, sbc, make_c4d):
	"""Whatever the names and addresses are."""
	name, long = "n" * 40, "fd00:1111:2222:3333:4444:5555:6666:7777"
	fake.list(name, (long, 65535, 65535), ("255.255.255.254", 65535, 65535), ("10.100.100.100", 65535, 65535),
		("192.168.100.100", 65535, 1))
	fake.list("r", ("10.0.0.1", 5060))
	tag = "t" * 62
	fake.on[f"_{name}._{tag}.service.consul"] = fake.on[f"{name}.service.consul"]
	names = [f"{name}.service.consul", f"{name}.service.{'d' * 63}.consul"]
	service = merge(EAGER, {"names": names, "tags": [tag], "networks": [f"{long}/128", "10.0.0.0/8"],
		"remove_hold": "10m"})
	conf = base_config([fake.dns_addr], sbc, services={"router": None, name: service, "r": FAST},
		kamailio={"sbc": None, "k" * 63: {"binrpc": sbc.ctl, "list_file": sbc.list_file, "dispatcher": {
			"2147483647": {"service": name, "attrs": "weight={weight};" + "a" * 100}, "1": {"service": "r"}}}})
	c4d = make_c4d(conf).start()
	is_up(c4d, name, f"[{long}]:65535", "10.100.100.100:65535")
	# This Kamailio has no IPv6 socket and refuses such a destination: a long error is one more line to fit.
	until(lambda: any(r["state"] == "failed" for r in c4d.show("targets")), 15, "it refuses the IPv6 one")
	fake.list(name, (long, 65535, 65535))
	has_state(c4d, name, "10.100.100.100:65535", "disabled")
	c4d.ctl("hold", name)
	for words in ("status", "show topology", "show services", "show instances", "show targets", "show dispatcher",
			"show dns", "history", "show config", "diff", f"why [{long}]:65535", "why 10.100.100.100:65535",
			"resync", f"release {name}", f"show instances {name}"):
		got = c4d.ctl(*words.split(), timeout=20)
		wide = [line for line in got.out.splitlines() if len(line) > 80]
		assert got.out and not wide, f"{words}: {wide}"
	# An address is shown whole as long as it can be.
	assert long in c4d.ctl("show", "topology").out
	assert long in c4d.ctl("why", f"[{long}]:65535").out


def test_ipv6_address_is_whole(c4d, fake):
	long = "fd00:1111:2222:3333:4444:5555:6666:7777"
	fake.list("router", (long, 5060))
	has_state(c4d, "router", f"[{long}]:5060", "up")
	assert long in c4d.ctl("show", "instances").out


# ---- exit 4 and 5; the socket ----

def test_no_daemon(c4d, lab):
	got = c4d.ctl("status")
	assert got.rc == 0
	c4d.stop()
	assert not os.path.exists(c4d.socket)
	for words in (("status",), ("show", "instances"), ("watch",), ("reload",)):
		got = c4d.ctl(*words)
		assert got.rc == 4 and f"cannot reach c4d at {c4d.socket}" in got.err and "c4d is not running" in got.err
	# usage comes first
	assert c4d.ctl("nosuch").rc == 2
	# something that is no c4d
	with socket.socket(socket.AF_UNIX) as s:
		s.bind(c4d.socket)
		s.listen(1)
		threading.Thread(target=lambda: s.accept()[0].close(), daemon=True).start()
		got = c4d.ctl("status")
	assert got.rc == 4 and "closed the connection without an answer" in got.err


def test_socket_of_a_dead_process_is_replaced(fake, make_c4d):
	c4d = make_c4d(watching(fake, {"router": FAST})).start()
	c4d.kill()
	assert os.path.exists(c4d.socket)
	assert c4d.ctl("status").rc == 4
	c4d.start()
	is_up(c4d, "router", "10.1.0.1:5060", "[fd00::1]:5061")


def test_socket_of_a_living_process(fake, make_c4d):
	first = make_c4d(watching(fake, {"router": FAST})).start()
	second = make_c4d(watching(fake, {"router": FAST}, control={"socket": first.socket}))
	second.socket = first.socket
	with pytest.raises(LabError, match="ended with status 5"):
		second.start(wait=False)
		until(lambda: second.answers() and False, 10, "it ends")
	assert f"another c4d answers at {first.socket}: stop it, or give this one its own control.socket" in second.log()
	assert first.ctl("status").rc == 0


def test_no_file_is_mistaken_for_a_socket(fake, make_c4d):
	c4d = make_c4d(watching(fake, {"router": FAST}))
	with open(c4d.socket, "w") as f:
		f.write("precious")
	with pytest.raises(LabError, match="ended with status 1"):
		c4d.start()
	assert f"{c4d.socket} is there and is no socket: move it away" in c4d.log()
	with open(c4d.socket) as f:
		assert f.read() == "precious"


def test_socket_directory_missing(lab, fake, make_c4d):
	"""Its directory is made; one level, as systemd's RuntimeDirectory would be."""
	c4d = make_c4d(watching(fake, {"router": FAST}))
	c4d.socket = os.path.join(lab.dir, "run", "ctl.sock")
	c4d.write(watching(fake, {"router": FAST}))
	c4d.start()
	assert os.stat(c4d.socket).st_mode & 0o777 == 0o660
	c4d.stop()
	c4d.socket = os.path.join(lab.dir, "no", "such", "ctl.sock")
	c4d.write(watching(fake, {"router": FAST}))
	with pytest.raises(LabError, match="ended with status 1"):
		c4d.start()
	assert "cannot listen at" in c4d.log() and "does the directory exist" in c4d.log()


# ---- streams ----

def stream(lab, c4d, *words):
	proc = Proc(lab, f"watch{len(lab.procs)}", [c4d.c4ctl, "-s", c4d.socket, *words], env=c4d.env())
	return proc, proc.log


def change_until(fake, c4d, cond, what):
	"""Change the weight again and again: when a watcher has begun to watch can't be known."""
	weights = iter(range(10, 10000))

	def step():
		fake.list("router", ("10.1.0.1", 5060, next(weights)), ("fd00::1", 5061, 7))
		time.sleep(0.06)
		return cond()
	until(step, 10, what)


def test_watch(lab, fake, c4d):
	plain, text = stream(lab, c4d, "watch")
	lines, rows = stream(lab, c4d, "-f", "jsonl", "watch")
	change_until(fake, c4d, lambda: "10.1.0.1:5060 weight=" in text() and rows().count("\n") > 1, "both see changes")
	row = json.loads(rows().splitlines()[0])
	assert re.fullmatch(TIME, row["time"]) and row["level"] == "notice" and row["subsystem"] == "topo"
	assert row["text"].startswith("router: 10.1.0.1:5060 weight=") and row["generation"] >= 1
	# When c4d ends, so do they, and say so.
	c4d.stop()
	assert plain.wait(5) == lines.wait(5) == 4


def test_w_repeats(lab, c4d):
	proc, text = stream(lab, c4d, "-w1", "status")
	until(lambda: text().count("all is well") >= 2, 5, "it is shown twice")
	assert "\033" not in text(), "no terminal, no terminal's codes"
	assert proc.stop() == -signal.SIGTERM


# ---- hostile peers ----

def connect(c4d):
	s = socket.socket(socket.AF_UNIX)
	s.connect(c4d.socket)
	s.settimeout(5)
	return s


def frame(cmd, *args, v=1):
	return json.dumps({"v": v, "cmd": cmd, "args": list(args)}).encode() + b"\n"


def everything(s):
	data = b""
	try:
		while more := s.recv(65536):
			data += more
	except ConnectionResetError:
		pass
	return data


@pytest.mark.parametrize("data, text", [
	(b"x" * 70000, "too long"),
	(b"x" * 70000 + b"\n", "too long"),
	(b"garbage\n", "does not fit the running c4d"),
	(b"\0\xff\xfe\n", "does not fit the running c4d"),
	(b"\n", "does not fit the running c4d"),
	(b"[]\n", "does not fit the running c4d"),
	(b"{}\n", "does not fit the running c4d"),
	(b'{"v":1}\n', "no such command"),
	(frame("status", v=2), "does not fit the running c4d"),
	(frame("nosuch"), "no such command"),
	(frame("routing check", "/etc/c4d/routing.json"), "no such command"),
	(frame("status", "x"), "too many arguments"),
	(frame("why"), "an argument is missing"),
	(b'{"v":1,"cmd":"why","args":[5060]}\n', "arguments are texts"),
	(b'{"v":1,"cmd":"why","args":[null]}\n', "arguments are texts"),
	(b'{"v":1,"cmd":"why","args":"x"}\n', "too many arguments"),
	(b'{"v":1,"cmd":"why","args":{"a":1}}\n', "too many arguments"),
	(b'{"v":1,"v":1,"cmd":"status"}\n', "does not fit the running c4d"),
	(b'{"v":1,"cmd":7}\n', "no such command"),
	(b"[" * 5000 + b"\n", "does not fit the running c4d"),
], ids=lambda x: x if isinstance(x, str) else repr(x[:24]))
def test_bad_request(c4d, data, text):
	"""Refused with a reason (5), and the connection ends; nobody else notices."""
	with connect(c4d) as s:
		try:
			s.sendall(data)
		except (BrokenPipeError, ConnectionResetError):
			pass
		end = json.loads(everything(s).splitlines()[-1])
	assert end["exit"] == 5 and text in end["error"]
	assert c4d.ctl("status").rc == 0


def test_several_requests_on_one_connection(c4d):
	"""Answered in any order of their ends, all of them, also when they come in pieces."""
	data = frame("show instances") + frame("history") + frame("why", "10.1.0.1:5060") + frame("status")
	with connect(c4d) as s:
		for i in range(0, len(data), 7):
			s.sendall(data[i:i + 7])
		assert answers(s, 4).count(b'"exit":0') == 4


def answers(s, n):
	data = b""
	while data.count(b'"exit":') < n:
		more = s.recv(65536)
		assert more, f"the connection ended after {data[-300:]}"
		data += more
	assert all(json.loads(line) for line in data.splitlines())
	return data


def test_many_requests_at_once(c4d):
	"""A peer that sends faster than it is answered waits; others don't."""
	n = 400
	with connect(c4d) as s:
		sender = threading.Thread(target=s.sendall, args=(frame("history") * n,))
		sender.start()
		begin = time.monotonic()
		assert c4d.ctl("status").rc == 0
		assert time.monotonic() - begin < 3
		answers(s, n)
		sender.join()


def test_half_a_request(fake, c4d):
	"""Peers that say half a line and stay are no harm."""
	peers = [connect(c4d) for _ in range(8)]
	for s in peers:
		s.sendall(b'{"v":1,"cmd":"sta')
	assert c4d.ctl("status").rc == 0
	for s in peers[:4]:
		s.close()
	for s in peers[4:]:
		s.sendall(b'tus"}\n')
		assert b'"exit":0' in answers(s, 1)
		s.close()


def test_forty_connections(c4d):
	"""Idle ones make room for whoever wants something."""
	peers = [connect(c4d) for _ in range(40)]
	begin = time.monotonic()
	assert c4d.ctl("status").rc == 0
	assert time.monotonic() - begin < 3
	# the oldest had to go, the newest are served
	assert everything(peers[0]) == b""
	peers[-1].sendall(frame("status"))
	assert b'"exit":0' in answers(peers[-1], 1)
	for s in peers:
		s.close()
	assert c4d.ctl("status").rc == 0


def test_forty_busy_connections(c4d):
	"""Those that have a request under way are not thrown out for a new one, which is told so."""
	peers = [connect(c4d) for _ in range(32)]
	for s in peers:
		s.sendall(frame("watch"))
	got = until(lambda: (r := c4d.ctl("status")).rc == 5 and r, 5, "the new one is refused")
	assert "too many connections" in got.err
	peers.pop().close()
	until(lambda: c4d.ctl("status").rc == 0, 5, "with one less it is served")
	for s in peers:
		s.close()


def test_slow_reader(fake, c4d):
	"""A peer that asks and asks and never reads costs bounded memory, and nobody else a thing."""
	fake.list("router", *((f"10.3.{i // 250}.{i % 250 + 1}", 5060) for i in range(400)))
	until(lambda: len(c4d.show("instances")) > 300, 10, "there is much to show")

	def rss():
		with open(f"/proc/{c4d.proc.pid}/status") as f:
			return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])

	before = rss()
	with connect(c4d) as s:
		s.settimeout(0.5)
		with pytest.raises((socket.timeout, BrokenPipeError, ConnectionResetError)):
			for _ in range(2000):
				s.sendall(frame("show instances") * 50)
		assert c4d.ctl("status").rc == 0
		assert rss() - before < 60000, "KiB more than before (a sanitizer's share is in it)"
	assert c4d.ctl("status").rc == 0


@pytest.mark.parametrize("cmd", ["resync", "history", "watch", "why 10.1.0.1:5060", "reload"])
def test_client_gone_in_the_middle(c4d, cmd):
	name, *args = cmd.split()
	for _ in range(10):
		s = connect(c4d)
		s.sendall(frame(name, *args) * 3)
		s.close()
	assert c4d.ctl("status").rc in (0, 1)
	until(lambda: c4d.ctl("status").rc == 0, 5, "all is well")


# ---- the end ----

def test_stop_with_requests_pending(lab, fake, make_c4d):
	"""SIGTERM: 0, at once, though Kamailio and DNS hang and clients wait."""
	hang = socket.create_server((lab.ip(), 0), backlog=8)
	lab.cleanups.append(hang.close)
	wedged = lab.path("wedged.sock")
	kam = socket.socket(socket.AF_UNIX)
	kam.bind(wedged)
	kam.listen(8)
	lab.cleanups.append(kam.close)
	conf = watching(["%s:%d" % hang.getsockname()], {"router": FAST}, consul={"timeout": "1m"}, kamailio={"sbc": {
		"binrpc": f"unix:{wedged}", "list_file": lab.path("dispatcher.list"), "timeout": "1m",
		"dispatcher": {"1": {"service": "router"}}}})
	c4d = make_c4d(conf).start()
	with connect(c4d) as s, connect(c4d) as w:
		s.sendall(frame("resync"))
		w.sendall(frame("watch"))
		until(lambda: c4d.show("dns")[0]["rounds"] is not None, 5, "it runs")
		begin = time.monotonic()
		c4d.stop(3)
		assert time.monotonic() - begin < 1.5
		end = json.loads(everything(s).splitlines()[-1])
		assert end == {"exit": 4, "error": "c4d is stopping"}
	assert not os.path.exists(c4d.socket)


def test_second_sigterm_and_sigint(fake, make_c4d):
	c4d = make_c4d(watching(fake, {"router": FAST})).start()
	c4d.proc.send(signal.SIGINT)
	c4d.proc.send(signal.SIGTERM)
	assert c4d.proc.wait(5) == 0


def test_problem_and_hint_are_there(fake, c4d):
	"""Each problem of status names what to do."""
	fake.stop()
	until(lambda: problems(c4d, "no connection"), 5, "the problem is seen")
	for p in c4d.ctl("status", fmt="json").data["problems"]:
		assert p["problem"] and p["hint"]


def test_c4ctl_is_a_link(lab, c4d):
	"""By its name, wherever it lies; $C4D_SOCKET instead of -s."""
	link = lab.path("bin", "c4ctl")
	os.symlink(c4d.binary, link)
	env = {**c4d.env(), "C4D_SOCKET": c4d.socket}
	assert subprocess.run([link, "status"], env=env, capture_output=True, check=False).returncode == 0
