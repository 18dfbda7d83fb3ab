"""
The checks that c4d makes itself, as Consul sees them: of a real Kamailio and a real rtpengine, of commands, and Asterisk's
endpoint id (of a peer that speaks ARI: Debian 12 has no Asterisk).
"""
import os
import signal
import stat
import time

import pytest

from lab import Kamailio, binrpc, holds, until
from lab.fake_ari import FakeAri
from lab.kamailio import _psx
from lab.rtpengine import Rtpengine

SLACK = 1.0  # for Consul, and for a machine that does more than this


class Subject:
	"""One registration with checks, by one c4d."""

	def __init__(self, consul, c4d, sid):
		self.consul, self.c4d, self.sid = consul, c4d, sid

	def check(self, name):
		"""As the agent has it, or None."""
		return self.consul.http("GET", "/v1/agent/checks").get(f"{self.sid}:{name}")

	def service(self):
		return self.consul.http("GET", "/v1/agent/services").get(self.sid)

	def becomes(self, status, name, timeout=5.0, text=""):
		"""Await it; the seconds that it took."""
		begin = time.monotonic()

		def there():
			c = self.check(name)
			return c and c["Status"] == status and text in c["Output"]
		until(there, timeout, lambda: f"{name} is {status} with {text!r}: {self.check(name)}\n{self.c4d.proc.log_tail()}")
		return time.monotonic() - begin

	def children(self):
		"""{pid: state} of c4d's own."""
		found = {}
		for pid in filter(str.isdigit, os.listdir("/proc")):
			try:
				with open(f"/proc/{pid}/stat") as f:
					words = f.read().rpartition(")")[2].split()
			except OSError:
				continue
			if int(words[1]) == self.c4d.proc.pid:
				found[int(pid)] = words[0]
		return found

	def fds(self):
		return len(os.listdir(f"/proc/{self.c4d.proc.pid}/fd"))


@pytest.fixture
def subject(agent, lab, make_c4d):
	"""subject(checks, ...): registered at the shared Consul, under a name of the test's own; c4d runs."""
	made = []

	def make(checks, port=5060, address=None, start=True, register=None, **conf):
		n = len(made)
		name = f"p{os.getpid()}-{lab.net.replace('.', '-')}-{n}"
		ip = lab.ip()
		section = {"id": name, "name": name, "port": port, "on_stop": "deregister", "checks": checks, **(register or {})}
		if address:
			section["address"] = address
		c4d = make_c4d({"consul": {"dns": [agent.dns_addr], "http": agent.http_addr},
			"http": {"listen": [f"{ip}:{lab.port(ip, 9600)}"]}, "register": {"own": section}, **conf})
		if start:
			c4d.start()
		made.append(Subject(agent, c4d, name))
		return made[-1]
	yield make
	for s in made:
		agent.deregister(s.sid)


@pytest.fixture
def kam(lab):
	"""A Kamailio that answers OPTIONS by UDP and by TCP."""
	return Kamailio(lab, "kam", "router.cfg", defines={"WITH_TCP": None, "CARRIER": "127.0.0.1:9"}).start()


def workers(box):
	"""The processes that answer SIP: not its main process, not the one of ctl, not the one that accepts TCP connections."""
	rows = [(binrpc.get(v, "PID"), binrpc.get(v, "DSC")) for v in _psx(box.rpc("core.psx"))]
	found = [pid for pid, what in rows if what.startswith(("udp receiver", "tcp receiver"))]
	assert len(found) >= 3, rows
	return found


def send_all(pids, signo):
	for pid in pids:
		os.kill(pid, signo)


@pytest.mark.both_kamailios
def test_workers_that_hang(subject, kam):
	"""
	The one check that proves SIP workers alive: while they are stopped, the ports are there, TCP connects, and Kamailio answers
	binrpc.
	"""
	sip = {"type": "sip", "interval": "500ms", "timeout": "400ms"}
	s = subject({
		"udp": {**sip, "uri": "sip:{address}:{port}"},
		"tcp": {**sip, "uri": "sip:{address}:{port};transport=tcp"},
		"rpc": {"type": "binrpc", "to": kam.ctl, "interval": "500ms", "timeout": "400ms"},
		"port": {"type": "tcp", "to": "{address}:{port}", "interval": "1s", "timeout": "500ms"},
	}, address=kam.ip, port=kam.port)
	for name, text in (("udp", "SIP 200"), ("tcp", "SIP 200"), ("rpc", "core.uptime"), ("port", "")):
		s.becomes("passing", name, 10, text)
	assert s.check("udp")["Output"] == f"SIP 200 from sip:{kam.addr}"
	assert s.check("tcp")["Output"] == f"SIP 200 from sip:{kam.addr};transport=tcp"
	pids = workers(kam)
	send_all(pids, signal.SIGSTOP)
	try:
		begin = time.monotonic()
		s.becomes("critical", "udp", 0.525 + 0.4 + SLACK, "no answer from")
		s.becomes("critical", "tcp", begin + 0.525 + 0.4 + SLACK - time.monotonic(), "it takes connections: do its SIP workers hang?")
		holds(lambda: s.check("rpc")["Status"] == s.check("port")["Status"] == "passing", 1.5, "nothing else tells")
	finally:
		send_all(pids, signal.SIGCONT)
	begin = time.monotonic()
	for name in ("udp", "tcp"):
		s.becomes("passing", name, begin + 0.525 + 0.4 + SLACK - time.monotonic())


@pytest.mark.both_kamailios
def test_kamailio_goes_and_comes(subject, kam):
	"""A refusal is seen at once; the end of the binrpc connection before any interval."""
	s = subject({
		"udp": {"type": "sip", "interval": "500ms", "timeout": "400ms"},
		"rpc": {"type": "binrpc", "to": kam.ctl, "interval": "1m", "timeout": "1s"},
	}, address=kam.ip, port=kam.port)
	s.becomes("passing", "udp", 10)
	s.becomes("passing", "rpc", 10)
	kam.kill()
	begin = time.monotonic()
	s.becomes("critical", "rpc", SLACK)
	s.becomes("critical", "udp", begin + 0.525 + SLACK - time.monotonic(), "nobody listens there")
	kam.start()
	s.becomes("passing", "rpc", 1.5 + SLACK)
	s.becomes("passing", "udp", 0.525 + SLACK)
	assert s.check("rpc")["Output"] == f"core.uptime from {kam.ctl}"
	# no log line per attempt
	assert s.c4d.log().count("own/udp: critical") == 1 and s.c4d.log().count("own/udp: passing") == 2


def test_healthy_is_silent(subject, kam, agent):
	"""Of checks that pass again and again, Consul's catalog does not notice anything."""
	s = subject({
		"udp": {"type": "sip", "interval": "100ms", "timeout": "100ms", "failures": 3},
		"rpc": {"type": "binrpc", "to": kam.ctl, "interval": "100ms", "timeout": "100ms", "failures": 3},
		"cmd": {"type": "exec", "command": ["/bin/date", "+%N"], "interval": "200ms", "timeout": "200ms", "failures": 3},
	}, address=kam.ip, port=kam.port)

	def catalog():
		return {c["CheckID"]: (c["Status"], c["Output"], c["ModifyIndex"]) for c in agent.http("GET", f"/v1/health/checks/{s.sid}")}
	# the first output is told after the registration, and the catalog hears of it later: with the next assertion at the latest
	until(lambda: len(catalog()) == 3 and all(c[0] == "passing" and c[1] for c in catalog().values()), 20, lambda: f"all pass: {catalog()}")
	before = catalog()
	holds(lambda: catalog() == before, 3, "the catalog is left alone")


def test_ng(subject, lab):
	node = Rtpengine(lab, "rtp").start()
	s = subject({"ng": {"type": "ng", "to": f"{node.ip}:{node.port}", "interval": "500ms", "timeout": "300ms"}}, port=node.port)
	s.becomes("passing", "ng", 10, "pong")  # a registration carries the status; the first output comes after it
	assert s.check("ng")["Output"] == f"pong from {node.ip}:{node.port}"
	node.pause()
	s.becomes("critical", "ng", 0.525 + 0.3 + SLACK, "no answer within 300ms")
	node.resume()
	s.becomes("passing", "ng", 0.525 + 0.3 + SLACK)
	node.kill()
	s.becomes("critical", "ng", 0.525 + SLACK, "refused")


def script(lab, name, text):
	path = lab.path(name)
	with open(path, "w") as f:
		f.write("#!/bin/sh\n" + text)
	os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
	return path


def test_exec(subject, lab):
	"""The three results and the time-out; nothing is left behind: no process, no zombie, no descriptor."""
	how = lab.path("how")

	def behave(text):
		with open(how + ".new", "w") as f:
			f.write(text)
		os.rename(how + ".new", how)
	behave("exit 0")
	cmd = script(lab, "check.sh", f"echo \"arguments: $*\"\n. {how}\n")
	s = subject({"cmd": {"type": "exec", "command": [cmd, "{id}", "a b", "$HOME"], "interval": "500ms", "timeout": "500ms"}})
	s.becomes("passing", "cmd", 10, "exit status 0")
	assert s.check("cmd")["Output"] == f"{cmd}: exit status 0"
	behave("exit 1")
	s.becomes("warning", "cmd")
	assert s.check("cmd")["Output"] == f"arguments: {s.sid} a b $HOME"
	behave("echo no license >&2; exit 2")
	s.becomes("critical", "cmd", text="no license")
	assert s.check("cmd")["Output"] == f"arguments: {s.sid} a b $HOME\nno license"
	behave("sleep 1000 & wait")
	s.becomes("critical", "cmd", text="killed: it had not ended within 500ms")
	behave("exec /nonexistent")
	s.becomes("critical", "cmd", text="/nonexistent")
	os.unlink(cmd)
	s.becomes("critical", "cmd", text="No such file or directory")
	cmd = script(lab, "check.sh", "head -c 100000 /dev/zero | tr '\\0' x; exit 2")
	s.becomes("critical", "cmd", text="x" * 4096)
	ran = lab.path("ran")
	script(lab, "check.sh", f"echo >>{ran}")
	s.becomes("passing", "cmd")
	until(lambda: not s.children(), 5, lambda: f"no children between two runs, nor zombies: {s.children()}")
	fds = min(s.fds() for _ in range(20))
	runs = os.path.getsize(ran)
	until(lambda: os.path.getsize(ran) >= runs + 3, 10, "three runs more")
	until(lambda: s.fds() <= fds, 5, lambda: f"{fds} descriptors, as before: {s.fds()}")


def test_stop_while_a_command_runs(subject, lab):
	"""Its group is ended with c4d."""
	pids = lab.path("pids")
	cmd = script(lab, "slow.sh", f"sleep 1000 &\necho $$ $! >{pids}.new; mv {pids}.new {pids}\nwait\n")
	s = subject({"cmd": {"type": "exec", "command": [cmd], "interval": "1m", "timeout": "1m"}}, register={"when": "now"})
	until(lambda: os.path.exists(pids), 10, "the command runs")
	with open(pids) as f:
		started = [int(x) for x in f.read().split()]
	s.c4d.stop()

	def gone(pid):
		try:
			with open(f"/proc/{pid}/stat") as f:
				return f.read().rpartition(")")[2].split()[0] == "Z"  # an orphan's corpse is init's
		except OSError:
			return True
	until(lambda: all(map(gone, started)), 5, lambda: f"{started} are gone")


def test_reload_takes_a_check_away(subject, kam):
	"""And leaves none of what it was made of: the connection to Kamailio is closed."""
	s = subject({
		"udp": {"type": "sip", "interval": "300ms", "timeout": "200ms"},
		"rpc": {"type": "binrpc", "to": kam.ctl, "interval": "300ms", "timeout": "200ms"},
	}, address=kam.ip, port=kam.port)
	s.becomes("passing", "rpc", 10)
	with open(s.c4d.conf) as f:
		lines = f.read().splitlines(keepends=True)
	at = next(i for i, line in enumerate(lines) if line.strip() == "rpc:")
	indent = len(lines[at]) - len(lines[at].lstrip())
	end = at + 1
	while end < len(lines) and len(lines[end]) - len(lines[end].lstrip()) > indent:
		end += 1
	s.c4d.write("".join(lines[:at] + lines[end:]))
	path = kam.ctl.removeprefix("unix:")

	def connections():
		"""That Kamailio has accepted: of its socket's path, state 3."""
		with open("/proc/net/unix") as f:
			return sum(line.split()[5] == "03" and line.rstrip("\n").endswith(" " + path) for line in f.readlines()[1:])
	assert connections() == 1
	s.c4d.reload()
	until(lambda: s.check("rpc") is None, 10, lambda: f"rpc is gone: {s.check('rpc')}\n{s.c4d.proc.log_tail()}")
	s.becomes("passing", "udp")
	until(lambda: connections() == 0, 5, lambda: f"none is left: {connections()}")


def test_asterisk_eid(subject, lab):
	"""Registered once ARI says who it is; a wrong password is named, and a new one is read without a restart."""
	ari = FakeAri(lab)
	password = lab.path("ari.password")
	with open(password, "w") as f:
		f.write("wrong\n")
	s = subject({}, register={"eid": "asterisk", "address": "{ip:lo}"},
		ari={"url": ari.url, "user": "c4d", "password_file": password})
	s.c4d.wait_log("eid: Asterisk's entity id is not known: .*refused")
	ari.start()
	until(lambda: any(status == 401 for _, status in ari.asked), 15, lambda: f"asked: {ari.asked}")
	assert s.service() is None
	with open(password, "w") as f:
		f.write("ari-secret\n")
	until(lambda: s.service() is not None, 20, lambda: f"registered; ARI: {ari.asked}\n{s.c4d.proc.log_tail()}")
	assert s.service()["Meta"]["eid"] == ari.eid
	assert s.service()["Address"] == "127.0.0.1"
	assert ari.asked[-1] == ("/ari/asterisk/info?only=system", 200)
	assert "ari-secret" not in s.c4d.log() and "wrong" not in s.c4d.log()
