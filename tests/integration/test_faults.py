"""c4d when its own calls fail (tests/tools/fault.c): full disks, no descriptors, no processes. It says so, goes on, and is well again by itself."""
import os
import re
import subprocess
import urllib.request

import pytest

from lab import Sbc, until, watching
from lab.fault import Faults
from lab.rig import Rig
from lab.service import problems


@pytest.fixture
def faults(lab):
	return Faults(lab)


# ---- at a start ----

def test_start_without_descriptors(lab, make_c4d, faults):
	"""What it can't be without ends it with status 1 and a reason; the next start is well."""
	c4d = make_c4d(watching(["127.0.0.1:9"], {"router": {}}), env=faults.env)
	faults.set("eventfd EMFILE")
	got = c4d.run("run", "-c", c4d.conf)
	assert got.rc == 1 and "cannot start: out of memory or of descriptors" in got.err, got
	faults.set("socket EMFILE")
	got = c4d.run("run", "-c", c4d.conf)
	assert got.rc == 1 and re.search(f"{re.escape(c4d.socket)}.*Too many open files", got.err), got
	assert not os.path.exists(c4d.socket)
	faults.set()
	c4d.start()


def test_start_in_a_lost_directory(lab, make_c4d, faults):
	"""The store can't be made: c4d runs from memory, says so, and makes it when it can."""
	c4d = make_c4d(watching(["127.0.0.1:9"], {"router": {}}), env=faults.env)
	faults.set("open EROFS path=/c4d.lock", "mkdir EROFS path=/state")
	c4d.start()
	said = problems(c4d, "store")
	assert said and "Read-only file system" in said[0]["problem"] and c4d.state in said[0]["problem"], said
	assert not os.path.exists(f"{c4d.state}/topology.mdb")
	got = c4d.ctl("show", "cdr")
	assert got.rc == 5 and "the CDRs can't be read: Input/output error" in got.err, got
	faults.set()
	until(lambda: not problems(c4d, "store"), 15, "the store is written")
	c4d.wait_log("writes again after")
	assert os.path.getsize(f"{c4d.state}/topology.mdb") > 0


# ---- the store ----

@pytest.mark.parametrize("fault", ["fdatasync EIO", "writev ENOSPC", "pwrite ENOSPC", "pwrite EIO"])
def test_store_on_a_full_disk(agent, service, make_c4d, faults, fault):
	"""Discovery goes on; what waits is written once the disk takes it, and survives a kill."""
	first = service.add("10.1.0.1")
	c4d = make_c4d(watching(agent, {service.name: {"interval": "50ms"}}), env=faults.env).start()
	until(lambda: c4d.states() == {first: "up"}, 10, "the first is up")
	until(lambda: c4d.ctl("status", fmt="json").data["store"]["pending"] == 0, 10, "all is written")
	faults.set(f"{fault} path=topology.mdb")
	second = service.add("10.1.0.2")
	until(lambda: c4d.states() == {first: "up", second: "up"}, 5, "the second is up although nothing can be written")
	faults.wait(f"{fault} worker ")
	c4d.wait_log("store: failing: cannot write .*topology.mdb")
	status = c4d.ctl("status")
	assert status.rc == 1 and "store" in status.out, status
	third = service.add("10.1.0.3")
	until(lambda: len(c4d.states()) == 3, 5, "the third is up")
	assert len(re.findall("store: failing", c4d.log())) == 1
	faults.set()
	until(lambda: not problems(c4d, "store"), 15, "the disk takes it")
	until(lambda: c4d.ctl("status", fmt="json").data["store"]["pending"] == 0, 10, "all is written")
	generation = c4d.ctl("status", fmt="json").data["generation"]
	assert [h for h in faults.hits() if " loop " in h] == []
	c4d.kill()
	c4d.write(watching(["127.0.0.1:9"], {service.name: {"interval": "50ms"}}))
	c4d.start()
	assert c4d.states() == {first: "up", second: "up", third: "up"}
	assert c4d.ctl("status", fmt="json").data["generation"] == generation


# ---- what Kamailio reads ----

@pytest.fixture
def rig(lab, consul, make_c4d, faults):
	box = Sbc(lab, probing=False, reload_delta=1).start()
	return Rig(lab, consul, box, make_c4d, over={"kamailio": {"sbc": {"probing": False}}}, env=faults.env)


@pytest.mark.parametrize("fault, says", [
	("write ENOSPC", "No space left on device"),
	("write EDQUOT", "Disk quota exceeded"),
	("fsync EIO", "Input/output error"),
	("rename EROFS", "Read-only file system"),
	("open EMFILE", "Too many open files"),
])
def test_list_file_that_cannot_be_written(rig, faults, fault, says):
	"""The target says which file and why; who goes is out all the same; the file is never half; then all is right by itself."""
	a, b = rig.add(), rig.add()
	rig.start(a, b)
	rig.quiet()
	before = rig.sbc.file_text()
	part = "dispatcher.list" if fault.startswith("rename") else "dispatcher.list.c4d-tmp"
	faults.set(f"{fault} path={part}")
	rig.out(a)
	error = rig.failed(rig.sbc.list_file, says)
	assert "token" not in error
	until(lambda: a in rig.sbc.disabled(), 5, "it is out although the file can't be written")
	assert rig.sbc.file_text() == before
	faults.set()
	rig.converged(20)
	assert rig.sbc.file_text() != before and rig.sbc.disabled() == {a}
	assert not os.path.exists(rig.sbc.list_file + ".c4d-tmp")
	rig.out(a, False)
	until(lambda: rig.sbc.disabled() == set(), 10, "it is back")


def test_list_file_written_by_bytes(rig, faults):
	"""Short writes and signals are no errors: the file is whole."""
	faults.set("write SHORT path=dispatcher.list times=20", "write EINTR path=dispatcher.list times=3", "read SHORT path=dispatcher.list times=20")
	a, b = rig.add(), rig.add()
	rig.start(a, b)
	faults.wait("write SHORT", n=20)
	rig.quiet()
	assert rig.sbc.listed() == {a, b}
	assert len(rig.sbc.file_text().splitlines()) >= 2
	assert not re.search("failed|cannot", rig.c4d.log())


# ---- connections ----

def test_connections_that_cannot_be_taken(lab, make_c4d, faults):
	"""No descriptors for a moment: who comes then waits, and is answered; said once."""
	c4d = make_c4d(watching(["127.0.0.1:9"], {"router": {}}), env=faults.env).start()
	faults.set("accept EMFILE times=1")
	assert c4d.ctl("show", "config").rc == 0
	c4d.wait_log("ctl: accept: Too many open files")
	faults.set("accept ENFILE times=1")
	url = f"http://{c4d.http_ip}:{c4d.http_port}/status"
	with urllib.request.urlopen(url, timeout=10) as got:
		assert got.status == 204
	c4d.wait_log("http: cannot take connections: Too many open files in system")
	faults.set("accept ECONNABORTED times=1")
	assert c4d.ctl("show", "config").rc == 0


# ---- processes ----

@pytest.mark.parametrize("fault, says", [
	("fork EAGAIN", "Resource temporarily unavailable"),
	("pipe EMFILE", "Too many open files"),
	("pidfd_open ENOSYS", "pidfd_open: Function not implemented"),
])
def test_check_that_cannot_be_started(agent, lab, make_c4d, faults, fault, says):
	"""The check is critical and says why, no process stays; then it passes by itself."""
	sid = f"f{os.getpid()}-{lab.net.replace('.', '-')}"
	c4d = make_c4d({"consul": {"dns": [agent.dns_addr], "http": agent.http_addr}, "register": {"own": {"id": sid, "name": sid, "port": 5060,
		"when": "now", "on_stop": "deregister", "checks": {"cmd": {"type": "exec", "command": ["/bin/true"], "interval": "1s",
			"timeout": "1s"}}}}}, env=faults.env).start()

	def check():
		return agent.http("GET", "/v1/agent/checks").get(f"{sid}:cmd") or {}
	try:
		until(lambda: check().get("Status") == "passing", 10, lambda: f"it passes: {check()}")
		faults.set(fault)
		until(lambda: check().get("Status") == "critical", 10, lambda: f"it is critical: {check()}\n{c4d.log()}")
		assert says in check()["Output"], check()
		faults.wait(fault, n=3)
		faults.set()
		until(lambda: check().get("Status") == "passing", 10, lambda: f"it passes again: {check()}")
		until(lambda: not re.search(r"^State:\s+Z", children(c4d), re.M), 5, "no zombies stay")
	finally:
		agent.deregister(sid)


def children(c4d):
	"""/proc/PID/status of all of its children."""
	out = []
	for pid in filter(str.isdigit, os.listdir("/proc")):
		try:
			with open(f"/proc/{pid}/status") as f:
				text = f.read()
		except OSError:
			continue
		if re.search(rf"^PPid:\s+{c4d.proc.pid}$", text, re.M):
			out.append(text)
	return "\n".join(out)


def test_exec_that_cannot_start_its_command(agent, lab, make_c4d, faults):
	c4d = make_c4d({"consul": {"dns": [agent.dns_addr], "http": agent.http_addr}}, env=faults.env)
	agent.http("PUT", f"/v1/kv/{lab.net}/A", body=b"1")
	faults.set("spawn EAGAIN")
	got = c4d.run("exec", "-c", c4d.conf, "--watch", lab.net, "--", "/bin/true")
	assert got.rc != 0 and "Resource temporarily unavailable" in got.err, got
	faults.set("eventfd EMFILE")
	got = c4d.run("exec", "-c", c4d.conf, lab.net, "--", "/bin/true")
	assert got.rc == 1 and "cannot start: out of memory or of descriptors" in got.err, got
	faults.set()
	assert c4d.run("exec", "-c", c4d.conf, lab.net, "--", "/bin/true").rc == 0


# ---- c4ctl ----

def test_c4ctl_with_bad_files(lab, make_c4d):
	"""What can't be read or is too large is said here, and nothing is sent."""
	c4d = make_c4d(watching(["127.0.0.1:9"], {"router": {}})).start()
	got = c4d.ctl("routing", "check", lab.path("none"))
	assert got.rc == 1 and "c4ctl: cannot read" in got.err and "No such file or directory" in got.err, got
	got = c4d.ctl("routing", "check", lab.dir)
	assert got.rc == 1 and "Is a directory" in got.err, got
	large = lab.path("large")
	with open(large, "wb") as f:
		f.truncate((256 << 20) + 1)
	got = c4d.ctl("routing", "check", large, timeout=60)
	assert got.rc == 1 and "is larger than 256 MB" in got.err, got
	got = subprocess.run([c4d.c4ctl, "-s", "/" + "x" * 200, "status"], check=False, capture_output=True, env=c4d.env())
	assert got.returncode == 4 and b"path is too long" in got.stderr, got
	got = subprocess.run([c4d.c4ctl, "-V"], check=False, capture_output=True, env=c4d.env())
	assert got.returncode == 0 and re.match(rb"c4ctl \d", got.stdout), got
	assert c4d.answers()
