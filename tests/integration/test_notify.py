"""
What the service manager hears of c4d (Type=notify), by a socket that takes systemd's place; and that a restart, which the unit's
ExecStop tells from a stop, leaves the registrations at the real Consul. packaging/test.sh has the same with systemd itself.
"""
import os
import signal
import socket
import time

from lab import base_config, until
from lab.registrar import Switch, is_gone, is_registered, registering, section, services


class Manager:
	"""systemd's end of $NOTIFY_SOCKET."""

	def __init__(self, lab, watchdog_ms=None):
		self.path = lab.path("notify.sock")
		self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		self.sock.bind(self.path)
		self.sock.setblocking(False)
		self.dir = lab.mkdir("run")
		self.words = []  # [(monotonic, {NAME: value})]
		self.env = {"NOTIFY_SOCKET": self.path, "RUNTIME_DIRECTORY": self.dir}
		if watchdog_ms:
			self.env["WATCHDOG_USEC"] = str(watchdog_ms * 1000)
		lab.cleanups.append(self.sock.close)

	def hear(self):
		while True:
			try:
				text = self.sock.recv(4096).decode()
			except BlockingIOError:
				return self.words
			self.words.append((time.monotonic(), dict(line.split("=", 1) for line in text.splitlines())))

	def said(self, name, since=0):
		return [w[name] for _, w in self.hear()[since:] if name in w]

	def await_word(self, name, part="", since=0, timeout=10):
		until(lambda: any(part in v for v in self.said(name, since)), timeout,
			lambda: f"{name}={part} is said: {[w for _, w in self.words[since:]]}")

	def restarting(self):
		"""As the unit's ExecStop does."""
		os.mkdir(os.path.join(self.dir, "restart"))




def test_ready_when_it_answers_and_around_each_reload(lab, consul, make_c4d):
	m = Manager(lab)
	c4d = make_c4d(registering(consul, {}), env=m.env)
	begin = time.monotonic()
	c4d.start(wait=False)
	until(lambda: m.said("READY"), 5, "READY is said")
	assert c4d.ctl("status").rc in (0, 1), "whoever was started after it finds it answering"
	assert m.words[0][0] - begin < 2
	until(lambda: m.said("STATUS"), 5, "a line of status")
	n = len(m.hear())

	assert c4d.ctl("reload").rc == 0
	m.await_word("READY", since=n)
	order = [k for _, w in m.words[n:] for k in w if k in ("READY", "RELOADING")]
	assert order == ["RELOADING", "READY"]
	usec = int(m.said("MONOTONIC_USEC", n)[0])
	assert 0 <= time.monotonic() * 1e6 - usec < 10e6

	# One that is refused has an end, too.
	n = len(m.hear())
	with open(c4d.conf, "a") as f:
		f.write("nonsense: 1\n")
	c4d.reload()
	m.await_word("READY", since=n)
	assert [k for _, w in m.words[n:] for k in w if k in ("READY", "RELOADING")] == ["RELOADING", "READY"]
	assert "reload refused" in c4d.log()

	n = len(m.hear())
	c4d.stop()
	assert m.said("STOPPING", n) == ["1"]
	assert m.said("EXTEND_TIMEOUT_USEC", n) == ["20000000"], "a drain takes its time"


def test_not_ready_when_it_can_not_start(lab, consul, make_c4d):
	m = Manager(lab)
	c4d = make_c4d(registering(consul, {}), env=m.env).start()
	m.await_word("READY")
	n = len(m.hear())
	second = make_c4d(registering(consul, {}, state=c4d.state), name="second", env=m.env)
	second.start(wait=False)
	until(lambda: not second.proc.alive(), 10, "the second ends: the store is taken")
	assert not m.said("READY", n)


def test_the_line_of_status_follows(lab, consul, sbc, make_c4d):
	consul.register("router", "10.0.0.1", 5060)
	m = Manager(lab)
	c4d = make_c4d(base_config(consul, sbc), env=m.env).start()
	until(c4d.converged, 10, "converged")
	m.await_word("STATUS", "generation 1, 1 service, 1 of 1 targets converged, all is well")
	n = len(m.hear())
	sbc.kill()
	m.await_word("STATUS", "0 of 1 targets converged, 1 problem: sbc/1 unreachable", since=n)
	sbc.start()
	m.await_word("STATUS", "1 of 1 targets converged, all is well", since=n, timeout=20)
	lines = m.said("STATUS")
	assert all(a != b for a, b in zip(lines, lines[1:])), "a line is said when it is another one"


def test_the_watchdog_is_fed_and_starves_with_the_loop(lab, consul, make_c4d):
	m = Manager(lab, watchdog_ms=400)
	c4d = make_c4d(registering(consul, {}), env=m.env).start()
	begin = len(m.hear())
	until(lambda: len(m.said("WATCHDOG", begin)) >= 10, 10, "it is fed")
	beats = [at for at, w in m.words[begin:] if "WATCHDOG" in w]
	assert max(b - a for a, b in zip(beats, beats[1:])) < 0.4
	c4d.proc.send(signal.SIGSTOP)
	n = len(m.hear())
	time.sleep(1)  # nothing may come
	assert len(m.hear()) - n <= 1
	c4d.proc.resume()
	m.await_word("WATCHDOG", since=n + 1)


def test_a_check_does_not_speak_for_c4d(lab, consul, make_c4d):
	m = Manager(lab, watchdog_ms=60000)
	out = lab.path("env")
	check = {"type": "exec", "command": ["/bin/sh", "-c", f"env >{out}.new; mv {out}.new {out}"], "interval": "1s"}
	make_c4d(registering(consul, {"sbc": section(checks={"env": check})}), env=m.env).start()
	until(lambda: os.path.exists(out), 10, "the check has run")
	with open(out) as f:
		names = {line.partition("=")[0] for line in f}
	assert "PATH" in names and not names & {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}


def created(consul, service):
	rows = consul.http("GET", f"/v1/catalog/service/{service}")
	return rows[0]["CreateIndex"] if rows else None


def test_a_restart_keeps_what_a_stop_deregisters(lab, consul, make_c4d):
	m = Manager(lab)
	sw = Switch(lab)
	sections = {"sbc": section(on_stop="deregister", drain="30s", checks={"run": sw.check()}),
		"rtp": section(port=2, on_stop="maintenance")}
	c4d = make_c4d(registering(consul, sections), env=m.env).start()
	for s in ("sbc-id", "rtp-id"):
		is_registered(consul, s)
	until(lambda: created(consul, "sbc") and created(consul, "rtp"), 10, "both are in the catalog")
	before = {s: created(consul, s) for s in ("sbc", "rtp")}

	m.restarting()
	begin = time.monotonic()
	c4d.stop()
	assert time.monotonic() - begin < 2, "no drain"
	assert "registrations stay" in c4d.log()
	assert set(services(consul)) == {"sbc-id", "rtp-id"}
	assert not [c for c in consul.http("GET", "/v1/agent/checks") if "maintenance" in c]
	assert {s: created(consul, s) for s in before} == before

	# The mark is of one stop: the next one is a stop.
	c4d.write(registering(consul, {"sbc": section(on_stop="deregister", checks={"run": sw.check()})}))
	c4d.start()
	assert not os.path.exists(os.path.join(m.dir, "restart"))
	is_gone(consul, "rtp-id", what="though c4d was away when it left the configuration")
	until(lambda: "registered as sbc-id" in c4d.log().rpartition("runs: pid")[2], 10, "it is c4d's again")
	assert created(consul, "sbc") == before["sbc"], "not for a moment it was away"
	c4d.stop()
	is_gone(consul, "sbc-id", 2)
