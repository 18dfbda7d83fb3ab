"""notify: a command is told of what happened, with real Consul and real Kamailio; and nothing waits for it."""
import datetime
import json
import os
import re
import socket
import subprocess

import pytest

from lab import EAGER, Consul, Sbc, base_config, c4d_binary, holds, merge, until, watching
from lab.base import ROOT
from lab.registrar import is_registered, registering, row, section
from lab.rig import Rig
from lab.service import has_state, is_up, problems

from test_flap import DAMPED, flap

KEYS = ["time", "host", "event", "service", "target", "registration", "detail", "hint", "generation", "count", "dropped"]


class Notified:
	"""The command, and what it was told: `do` is what it does before it takes the line."""

	def __init__(self, lab, name="notify"):
		self.dir = lab.mkdir(name)
		self.path = os.path.join(self.dir, "notify.sh")
		self.does("")

	def does(self, before="", after=""):
		with open(self.path + ".new", "w") as f:
			f.write(f"#!/bin/sh\ncd {self.dir}\n{before}\ncat >> lines\n{after}\n")
		os.chmod(self.path + ".new", 0o755)
		os.rename(self.path + ".new", self.path)

	def keys(self, **more):
		return {"notify": self.path, "notify_interval": "0s", **more}

	def file(self, name):
		return os.path.join(self.dir, name)

	def has(self, name):
		return os.path.exists(self.file(name))

	def lines(self):
		try:
			with open(self.file("lines")) as f:
				return [json.loads(line) for line in f]
		except FileNotFoundError:
			return []

	def events(self):
		return [o["event"] for o in self.lines()]

	def told(self, *events, timeout=15):
		"""Await that these are all events, in order; returns the last one's line."""
		until(lambda: self.events() == list(events), timeout, lambda: f"told of {events}: {self.lines()}")
		return self.lines()[-1]

	def nothing_more(self, seconds=1.0):
		n = len(self.lines())
		holds(lambda: len(self.lines()) == n, seconds, "nothing more is told")


@pytest.fixture
def notified(lab):
	return Notified(lab)


def runs(c4d, outcome):
	return next(r["value"] for r in c4d.show("metrics c4d_notify_runs") if r["labels"]["outcome"] == outcome)


# ---- services ----

def test_emptied_and_back(service, make_c4d, notified):
	one, two = service.add("10.1.0.1"), service.add("10.1.0.2")
	c4d = make_c4d(watching(service.consul, {service.name: merge(EAGER, {"min_instances": 1})}, **notified.keys())).start()
	is_up(c4d, service.name, one, two)
	notified.nothing_more()  # of what is as it should be
	assert notified.lines() == []
	service.fail(one, two)
	line = notified.told("service-empty")
	assert list(line) == KEYS
	assert (line["service"], line["target"], line["registration"]) == (service.name, None, None)
	assert "fewer than min_instances (1) would be left" in line["detail"]
	assert line["hint"] == f"if they are really gone: c4ctl approve {service.name}"
	assert line["host"] == socket.gethostname() and (line["count"], line["dropped"]) == (1, 0)
	assert line["generation"] == c4d.ctl("status", fmt="json").data["generation"]
	at = datetime.datetime.strptime(line["time"], "%Y-%m-%dT%H:%M:%S.%fZ")
	assert abs((datetime.datetime.utcnow() - at).total_seconds()) < 60
	service.back(one, two)
	line = notified.told("service-empty", "service-back")
	assert line["hint"] is None and line["detail"] == "2 instances take calls"
	until(lambda: runs(c4d, "ok") == 2, 5, "both runs are counted")


def test_held_and_approved(service, make_c4d, notified):
	keys = service.many(4)
	conf = merge(EAGER, {"max_shrink": 50, "shrink_hold": "10m", "remove_hold": "10m", "min_instances": 1})
	c4d = make_c4d(watching(service.consul, {service.name: conf}, **notified.keys())).start()
	is_up(c4d, service.name, *keys)
	service.fail(*keys[:3])
	# Checks fail one by one: the first may go, until it is too many at once.
	line = notified.told("service-held")
	assert re.match(r"\d instances are gone from Consul and are held: more than 50% left at once", line["detail"])
	# Over a restart it is held, and told of again; nothing else is.
	c4d.restart()
	notified.told("service-held", "service-held")
	notified.nothing_more()
	assert c4d.ctl("approve", service.name).rc == 0
	notified.told("service-held", "service-held", "service-approved", "service-back")
	approved = notified.lines()[2]
	assert approved["service"] == service.name and f"by uid {os.getuid()}" in approved["detail"]
	# What an operator holds is held, too.
	c4d.ctl("hold", service.name)
	line = notified.told("service-held", "service-held", "service-approved", "service-back", "service-held")
	assert line["hint"] == f"c4ctl release {service.name}"


def test_suppressed(service, make_c4d, notified):
	one, two = service.add("10.1.0.1"), service.add("10.1.0.2")
	c4d = make_c4d(watching(service.consul, {service.name: merge(DAMPED, {"min_instances": 1})}, **notified.keys())).start()
	is_up(c4d, service.name, one, two)
	flap(service, c4d, one, 3)
	has_state(c4d, service.name, one, "suppressed")
	line = notified.told("service-suppressed")
	assert f"first {one}" in line["detail"] and line["hint"].endswith(f"c4ctl approve {service.name}")
	c4d.ctl("approve", service.name)
	notified.told("service-suppressed", "service-approved", "service-back")


def test_what_flaps_is_told_once(service, make_c4d, notified):
	one = service.add("10.1.0.1")
	conf = merge(EAGER, {"min_instances": 1})
	c4d = make_c4d(watching(service.consul, {service.name: conf}, **notified.keys(notify_interval="6s"))).start()
	is_up(c4d, service.name, one)
	service.fail(one)
	notified.told("service-empty")
	for turn in range(2):
		service.back(one)
		has_state(c4d, service.name, one, "up")
		until(lambda n=turn: c4d.show("metrics c4d_notify_waiting_events")[0]["value"] == 1, 3, "it waits for its time")
		if turn == 0:
			service.fail(one)
			has_state(c4d, service.name, one, "held")
	assert notified.events() == ["service-empty"]
	line = notified.told("service-empty", "service-back")
	assert line["count"] in (1, 3)  # what came and went between two looks is not seen
	assert runs(c4d, "ok") == 2


# ---- targets ----

def test_a_kamailio_that_hangs(lab, consul, make_c4d, notified):
	r = Rig(lab, consul, Sbc(lab).start(), make_c4d, over={**notified.keys(), "kamailio": {"sbc": {"timeout": "500ms"}}})
	a = r.add(1)
	r.start(a)
	assert notified.lines() == []
	r.sbc.pause()
	line = notified.told("target-failed")
	assert (line["service"], line["target"]) == (None, "sbc/1")
	assert line["detail"].startswith("unreachable: ") and "c4ctl diff sbc/1" in line["hint"]
	r.sbc.resume()
	line = notified.told("target-failed", "target-recovered")
	assert line["detail"] == "converged" and line["hint"] is None
	r.sbc.kill()
	notified.told("target-failed", "target-recovered", "target-failed")
	r.sbc.start()
	notified.told("target-failed", "target-recovered", "target-failed", "target-recovered", timeout=30)


def test_nothing_waits_for_a_command_that_hangs(lab, consul, make_c4d, notified):
	"""By order, not by time: what comes after the command began is done before it ends."""
	notified.does(before="echo $$ > began; while [ ! -e go ]; do sleep 0.05; done", after="touch ended")
	r = Rig(lab, consul, Sbc(lab).start(), make_c4d, over=notified.keys(notify_timeout="5m"))
	a = r.add(1)
	r.start(a)
	r.c4d.ctl("hold", "router")
	until(lambda: notified.has("began"), 10, "it began")
	r.c4d.ctl("release", "router")
	b = r.add(2)
	r.lists(a, b)
	r.converged()
	r.out(b)
	until(lambda: r.sbc.flags()[b].startswith("D"), 10, "out of service")
	r.out(b, False)
	until(lambda: not r.sbc.flags()[b].startswith("D"), 10, "back")
	assert not notified.has("ended") and notified.lines() == []
	with open(notified.file("go"), "w"):
		pass
	line = notified.told("service-held", "service-back")
	assert line["count"] == 1
	# Nor does a stop.
	os.remove(notified.file("go"))
	os.remove(notified.file("began"))
	r.c4d.ctl("hold", "router")
	until(lambda: notified.has("began") and open(notified.file("began")).read().strip(), 10, "the next began")  # pylint: disable=consider-using-with
	with open(notified.file("began")) as f:
		pid = int(f.read())
	r.c4d.stop()
	with pytest.raises(ProcessLookupError):
		os.kill(pid, 0)


# ---- registrations ----

@pytest.fixture
def clock(lab):
	"""(environment of a c4d, jump(seconds)): all its clocks are ahead by then."""
	lib, path = lab.path("shiftclock.so"), lab.path("shiftclock")
	subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", lib,
		os.path.join(ROOT, "tests/tools/shiftclock.c"), "-ldl"], check=True)

	def jump(seconds):
		with open(path, "r+" if os.path.exists(path) else "w") as f:
			f.write(f"{seconds:015d}\n")
	jump(0)
	linked = subprocess.run(["ldd", c4d_binary()], check=True, stdout=subprocess.PIPE).stdout.decode()
	first = re.findall(r"=> (\S*lib(?:asan|clang_rt\.asan)\S*)", linked)  # a sanitizer's library wants to be the first
	return {"LD_PRELOAD": ":".join([*first, lib]), "SHIFTCLOCK_FILE": path}, jump


def test_a_registration_that_others_do_not_see(lab, make_c4d, notified, clock):
	"""The VM that was made anew under its old node name: the agent says yes, the servers know nothing of it."""
	env, jump = clock
	server = Consul(lab, "consul-server").start()
	agent = Consul(lab, "consul-client", join=server, config={"leave_on_terminate": False}).start()
	c4d = make_c4d(registering(agent, {"sbc": section(), "other": section(port=2, verify_dns=False)}, **notified.keys()), env=env)
	c4d.start()
	until(lambda: server.srv("sbc").instances() == {("10.0.0.1", 5060)}, 10, "listed")
	c4d.stop()
	until(lambda: not server.srv("sbc").instances(), 10, "no longer listed")
	agent.kill()
	agent.wipe()
	agent.start(wait=False)
	until(lambda: agent.http("GET", "/v1/agent/self"), 20, "the agent answers")
	c4d.start()
	is_registered(agent, "sbc-id", 20)
	until(lambda: row(c4d, "sbc")["catalog"] == "missing" and row(c4d, "sbc")["dns"] == "missing", 30, lambda: str(row(c4d, "sbc")))
	assert notified.lines() == []
	jump(121)  # it is said after two minutes
	line = notified.told("registration-missing", timeout=40)
	assert (line["service"], line["target"], line["registration"]) == (None, None, "sbc")
	assert "Was this VM made anew" in line["detail"] and line["hint"] == "c4ctl show registrations"
	node = next(n["Node"] for n in server.http("GET", "/v1/catalog/nodes") if n["Node"].startswith("consul-client"))
	server.http("PUT", "/v1/catalog/deregister", {"Node": node})
	until(lambda: server.srv("sbc").instances() == {("10.0.0.1", 5060)}, 90, "others see it")
	jump(200)
	notified.told("registration-missing", "registration-found", timeout=40)


# ---- the command ----

def test_a_command_that_fails(service, make_c4d, notified):
	one = service.add("10.1.0.1")
	notified.does(after="echo 'curl: (7) no route' >&2; exit 4")
	c4d = make_c4d(watching(service.consul, {service.name: EAGER}, **notified.keys())).start()
	is_up(c4d, service.name, one)
	c4d.ctl("hold", service.name)
	notified.told("service-held")
	until(lambda: problems(c4d, f"notify: {notified.path}: exit status 4: curl: (7) no route"), 5, "status says so")
	until(lambda: runs(c4d, "failed") >= 2, 5, "it is tried again, and fails again")
	assert len(re.findall(r"hook: .*exit status 4", c4d.log())) == 1
	notified.does()
	c4d.wait_log(r"hook: .* works again after \d+ failures")
	assert not problems(c4d, "notify")
	assert set(notified.events()) == {"service-held"} and runs(c4d, "ok") == 1
	notified.does(after="exit 1")
	c4d.ctl("release", service.name)
	until(lambda: problems(c4d, "exit status 1"), 10, "it fails again")
	# Another command by a reload: it has not failed.
	other = Notified(service.consul.lab, "other")
	c4d.write(watching(service.consul, {service.name: EAGER}, **other.keys()))
	c4d.reload()
	c4d.wait_log("reloaded")
	assert not problems(c4d, "notify")
	other.told("service-back") # what the first could not tell
	told = len(notified.lines())
	c4d.ctl("hold", service.name)
	other.told("service-back", "service-held")
	assert len(notified.lines()) == told
	# And none at all.
	c4d.write(watching(service.consul, {service.name: EAGER}))
	c4d.reload()
	until(lambda: c4d.log().count("reloaded") == 2, 5, "reloaded again")
	c4d.ctl("release", service.name)
	other.nothing_more()


def test_a_reload_lets_it_try_at_once(service, make_c4d, notified):
	one = service.add("10.1.0.1")
	notified.does(after="exit 1")
	c4d = make_c4d(watching(service.consul, {service.name: EAGER}, **notified.keys(notify_interval="1h"))).start()
	is_up(c4d, service.name, one)
	c4d.ctl("hold", service.name)
	until(lambda: runs(c4d, "failed") == 1, 10, "it fails")
	notified.does()
	notified.nothing_more() # for five minutes
	c4d.reload()
	notified.told("service-held", "service-held")
	until(lambda: runs(c4d, "ok") == 1 and not problems(c4d, "notify"), 5, "it was told")


def test_a_command_that_takes_too_long(service, make_c4d, notified):
	one = service.add("10.1.0.1")
	notified.does(before="sleep 1000 & echo $! > child; echo waiting for it >&2; wait")
	c4d = make_c4d(watching(service.consul, {service.name: EAGER}, **notified.keys(notify_timeout="500ms"))).start()
	is_up(c4d, service.name, one)
	c4d.ctl("hold", service.name)
	until(lambda: problems(c4d, "it took longer than notify_timeout (500ms): waiting for it"), 10, "status says so")
	with open(notified.file("child")) as f:
		child = int(f.read())

	def is_gone():
		try:
			os.kill(child, 0)
		except ProcessLookupError:
			return True
		with open(f"/proc/{child}/stat") as f:
			return ") Z" in f.read()  # an orphan's corpse is init's
	until(is_gone, 5, "its child is gone, too")
	assert runs(c4d, "late") == 1


def test_the_sample(lab, service, make_c4d):
	"""conf/notify-example.sh, with what it calls replaced by what notes how it was called."""
	bin_ = lab.mkdir("bin")
	for name in ("logger", "curl"):
		with open(f"{bin_}/{name}", "w") as f:
			f.write(f"#!/bin/sh\nexec >> {bin_}/{name}.log\nfor a; do printf '[%s]' \"$a\"; done\n[ {name} = logger ] || cat\necho\n")
		os.chmod(f"{bin_}/{name}", 0o755)
	with open(f"{ROOT}/conf/notify-example.sh") as f:
		text = f.read()
	assert len(text) < 4096  # larger examples are compressed
	assert os.access(f"{ROOT}/conf/notify-example.sh", os.X_OK)
	text = text.replace("WEBHOOK=  ", "WEBHOOK=https://chat.example.org/x ").replace("MAIL_TO=  ", "MAIL_TO=noc@example.org ")
	path = lab.path("sample.sh")
	with open(path, "w") as f:
		f.write(text.replace("#!/bin/sh\n", f"#!/bin/sh\nPATH={bin_}:$PATH\n", 1))
	os.chmod(path, 0o755)
	one = service.add("10.1.0.1")
	c4d = make_c4d(watching(service.consul, {service.name: EAGER}, notify=path)).start()
	is_up(c4d, service.name, one)
	c4d.ctl("hold", service.name)
	until(lambda: runs(c4d, "ok") == 1, 10, lambda: f"it was run: {problems(c4d, 'notify')}")
	said = f"{socket.gethostname()}: service-held {service.name}: frozen by an operator: nothing comes in and nothing goes out -> " \
		f"c4ctl release {service.name}"
	with open(f"{bin_}/logger.log") as f:
		assert f.read() == f"[-t][c4d-notify][-p][daemon.warning][--][{said}]\n"
	with open(f"{bin_}/curl.log", newline="") as f:
		chat, mail = f.read().split("[smtp:")
	assert "[https://chat.example.org/x]" in chat
	assert json.loads(re.search(r"{.*}", chat)[0])["event"] == "service-held"
	assert f"Subject: service-held {service.name} on {socket.gethostname()}\r\n\r\n{said}\r\n" in mail


def test_check_says_what_is_wrong_with_it(lab, make_c4d):
	c4d = make_c4d("")
	path = lab.path("n.sh")

	def says(notify, rc=0, **more):
		c4d.write(base_config(["127.0.0.1:1"], Sbc(lab), **{"notify": notify, **more}))
		got = c4d.check()
		assert got.rc == rc, got
		return got.err + got.out
	assert "warning: notify" in (text := says(path)) and "there is no such file" in text
	with open(path, "w") as f:
		f.write("#!/bin/sh\n")
	os.chmod(path, 0o644)
	assert "is not executable: chmod +x" in says(path)
	os.chmod(path, 0o757)
	assert "everybody may write to it, so it will not be run: chmod o-w" in says(path)
	os.chmod(path, 0o750)
	assert "warning" not in says(path)
	assert "is no file" in says(lab.mkdir("d"))
	assert "must be an absolute path" in says("n.sh", 3)
	assert "must name a file, not end with /" in says("/etc/", 3)
	assert "warning" not in says("")
	assert "notify_timeout" in says(path, 3, notify_timeout="1ms")
	assert "notify_rate" in says(path, 3, notify_rate="0")
