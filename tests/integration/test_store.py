"""The store: what a start finds, whatever happened before it; and a disk that fails while c4d runs."""
import glob
import os
import random
import subprocess
import threading

import pytest

from lab import EAGER, FAST, Consul, FakeDns, LabError, holds, merge, until, watching
from lab.base import ROOT
from lab.service import has_state, is_up, more_rounds, problems

FILE = "topology.mdb"


def three(fake, weight=1):
	fake.list("router", *((f"10.1.0.{i}", 5060, weight) for i in (1, 2, 3)))
	return [f"10.1.0.{i}:5060" for i in (1, 2, 3)]


def committed(c4d):
	"""The newest generation that is on the disk, when nothing waits to be written."""
	def done():
		st = c4d.ctl("status", fmt="json").data
		rows = c4d.ctl("history", fmt="json").data
		return st["store"]["pending"] == 0 and rows and rows[0]["generation"] == st["generation"] and st["generation"]
	return until(done, 10, "all is written")


def in_own_mounts(lab, c4d, script):
	"""
	From now on c4d is started in a mount namespace of its own, after `script` ($STATE is the state directory).
	inside() is a path as that process sees it.
	"""
	path = lab.path(f"{c4d.name}-mounts.sh")
	with open(path, "w") as f:
		f.write("#!/bin/sh -e\n"
			"[ -n \"$C4D_LAB_PRIVATE\" ] || C4D_LAB_PRIVATE=1 exec unshare -m --propagation private \"$0\" \"$@\"\n"
			f"STATE='{c4d.state}'\n{script}\nexec '{c4d.binary}' \"$@\"\n")
	os.chmod(path, 0o755)
	c4d.binary = path


def with_machine_id(lab, c4d, binary, text):
	"""c4d (its real `binary`) starts as on a machine with this id; also where /etc/machine-id is missing."""
	path, etc = lab.path("machine-id"), lab.path("etc")
	with open(path, "w") as f:
		f.write(text)
	c4d.binary = binary
	in_own_mounts(lab, c4d, f"[ -e /etc/machine-id ] || {{ cp -a /etc/. '{etc}'; : > '{etc}/machine-id'; "
		f"mount --bind '{etc}' /etc; }}\nmount --bind '{path}' /etc/machine-id")


def inside(c4d, path):
	return f"/proc/{c4d.proc.pid}/root{path}"


def mount_inside(c4d, *args):
	subprocess.run(["nsenter", "-t", str(c4d.proc.pid), "-m", "-r", "mount", *args], check=True, capture_output=True)


def fill(path):
	"""Fill the file system that this file is on."""
	with open(path, "wb", buffering=0) as f:
		for size in (4096, 512, 1):
			try:
				while True:
					f.write(b"x" * size)
			except OSError:
				pass


# ---- starting again ----

def test_start_with_consul_down(lab, make_c4d):
	"""The last generation is served at once, marked stale; numbers go on; and evidence takes over when it comes."""
	consul = Consul(lab).start()
	for i, weight in ((1, 5), (2, 6)):
		consul.register("router", f"10.1.0.{i}", 5060, weight=weight, tags=["primary"][:i % 2], check=False)
	third = consul.register("router", "10.1.0.3", 5060)
	keys = ["10.1.0.1:5060", "10.1.0.2:5060"]
	c4d = make_c4d(watching(consul, {"router": merge(FAST, {"tags": ["primary"]})})).start()
	is_up(c4d, "router", *keys, "10.1.0.3:5060")
	consul.failing(third)
	has_state(c4d, "router", "10.1.0.3:5060", "disabled")
	until(lambda: c4d.instances()[keys[0]]["tags"] == ["primary"], 5, "its tag is known")
	generation, before = committed(c4d), c4d.instances()
	c4d.kill()
	consul.kill()
	c4d.start()
	after = c4d.instances()
	for key, row in before.items():
		# all that a target is made of, and since when
		same = {k: v for k, v in row.items() if k not in ("source", "stale", "penalty")}
		assert {k: v for k, v in after[key].items() if k != "penalty"} == {**same, "source": "store", "stale": True}
		assert ("penalty" in row) == ("penalty" in after[key]), "damping remembers it"
	assert set(after) == set(before)
	status = c4d.ctl("status", fmt="json")
	assert status.rc == 1 and status.data["generation"] == generation
	assert problems(c4d, "Consul's DNS says nothing about router.service.consul")
	assert "known from the store: DNS has not spoken of it since c4d started" in c4d.ctl("why", keys[0]).out
	consul.start()
	consul.register("router", "10.1.0.4", 5060, check=False)
	has_state(c4d, "router", "10.1.0.4:5060", "up", 20)
	assert c4d.instances()["10.1.0.4:5060"]["generation"] > generation
	until(lambda: all(not r["stale"] for r in c4d.show("instances")), 5, "nothing is stale")
	until(lambda: {r["source"] for r in c4d.show("instances") if r["state"] == "up"} == {"dns"}, 20, "all by DNS")


def test_kill_in_the_middle_of_changes(lab, make_c4d):
	"""SIGKILL at any moment: the next start has one whole generation, not older than what was stored, and goes on."""
	fake = FakeDns(lab)
	c4d = make_c4d(watching(fake, {"router": EAGER}))
	stop = threading.Event()

	def change():
		# All instances always have one weight, and every generation all of them: a mix would be half a generation.
		weight = 1
		while not stop.wait(0.015):
			weight = weight % 60000 + 1
			fake.list("router", *((f"10.1.0.{i}", 5060, weight) for i in range(1, 30)))

	rnd = random.Random(5)
	last = 0
	for _ in range(6):
		stop.clear()
		fake.start() if fake._server is None else None  # pylint: disable=protected-access
		thread = threading.Thread(target=change)
		thread.start()
		try:
			c4d.start()
			until(lambda: c4d.ctl("status", fmt="json").data["generation"] > last + 2, 10, "generations are made")
			history = c4d.ctl("history", fmt="json").data
			threading.Event().wait(rnd.random() * 0.1)
			c4d.kill()
		finally:
			stop.set()
			thread.join()
		stored = history[0]["generation"]
		fake.stop()
		c4d.start()
		generation = c4d.ctl("status", fmt="json").data["generation"]
		assert generation >= stored > last
		rows = c4d.show("instances")
		assert len(rows) == 29 and len({r["weight"] for r in rows}) == 1, rows
		assert {r["generation"] for r in rows} == {generation}
		assert c4d.ctl("history", fmt="json").data[0]["generation"] == generation
		last = generation
		c4d.stop()


def test_holds_survive(lab, make_c4d):
	"""What a guard or an operator holds is held after a restart too, though its time begins anew."""
	fake = FakeDns(lab)
	fake.on["other.service.consul"] = None
	keys = three(fake)
	fake.list("other", ("10.2.0.1", 5060), ("10.2.0.2", 5060))
	conf = merge(EAGER, {"min_instances": 1, "shrink_hold": "1h", "max_shrink": 50})
	c4d = make_c4d(watching(fake, {"router": conf, "other": FAST})).start()
	is_up(c4d, "router", *keys)
	is_up(c4d, "other", "10.2.0.1:5060", "10.2.0.2:5060")
	assert c4d.ctl("hold", "other").rc == 0
	fake.list("router")
	del fake.on["router.service.consul"], fake.on["other.service.consul"]
	until(lambda: {r["guard"] for r in c4d.instances("router").values()} == {"empty"}, 5, "held: empty")
	committed(c4d)
	for restart in (c4d.restart, lambda: (c4d.kill(), c4d.start())):
		restart()
		until(lambda: {r["guard"] for r in c4d.instances("router").values()} == {"empty"}, 5, "held still")
		more_rounds(c4d, 3, "router.service.consul")
		assert c4d.states("router") == dict.fromkeys(keys, "held")
		assert set(c4d.states("other").values()) <= {"up", "held"} and len(c4d.states("other")) == 2
		assert problems(c4d, "other is frozen by an operator")
	assert c4d.ctl("approve", "router").rc == 0
	assert c4d.ctl("release", "other").rc == 0
	until(lambda: c4d.states("router") == {}, 5, "gone")


# ---- files that can't be used ----

def damage_middle(data):
	"""The pages of the instances' tree, so that only reading them shows it."""
	return data[:8192] + b"\xa5" * (len(data) - 8192)


@pytest.mark.parametrize("spoil, aside", [
	(lambda d: random.Random(1).randbytes(len(d)), True),
	(lambda d: b"router: 10.1.0.1\n" * 300, True),
	(lambda d: bytes(len(d)), True),
	(lambda d: d[:len(d) // 2 // 4096 * 4096], None),  # by chance only pages that nothing uses are gone
	(lambda d: d[:5000], True),
	(damage_middle, True),
	(lambda d: b"", False),
], ids=["garbage", "text", "zeros", "half", "5000 bytes", "damaged pages", "empty"])
def test_corrupt_file(lab, make_c4d, spoil, aside):
	"""Set aside under a new name, said, and started all the same."""
	fake = FakeDns(lab)
	keys = three(fake)
	c4d = make_c4d(watching(fake, {"router": EAGER})).start()
	is_up(c4d, "router", *keys)
	for weight in range(2, 8):
		three(fake, weight)
		until(lambda: {r["weight"] for r in c4d.show("instances")} == {weight}, 5, "changed")  # pylint: disable=cell-var-from-loop
	committed(c4d)
	c4d.stop()
	path = os.path.join(c4d.state, FILE)
	with open(path, "rb") as f:
		spoiled = spoil(f.read())
	with open(path, "wb") as f:
		f.write(spoiled)
	c4d.start()
	is_up(c4d, "router", *keys)
	found = glob.glob(f"{path}.corrupt-*")
	assert aside is None or len(found) == aside
	if found:
		with open(found[0], "rb") as f:
			assert f.read().startswith(spoiled[:4096]), "nobody's data is thrown away"
		assert f"was set aside as {found[0]}" in c4d.log()
		assert c4d.ctl("status", fmt="json").data["store"]["set_aside"] == found[0]
	generation = committed(c4d)
	until(lambda: c4d.ctl("status").rc == 0, 5, "all is well")
	# and what is stored from now on is found again
	fake.stop()
	c4d.kill()
	c4d.start()
	assert c4d.states("router") == dict.fromkeys(keys, "up")
	assert c4d.ctl("status", fmt="json").data["generation"] == generation


def test_random_damage_never_kills(lab, make_c4d):
	"""Whatever bytes of the file a broken disk changes, c4d starts, answers and stores."""
	fake = FakeDns(lab)
	c4d = make_c4d(watching(fake, {"router": EAGER})).start()
	for weight in range(1, 25):
		fake.list("router", *((f"10.1.0.{i}", 5060, weight) for i in range(1, 100)))
		until(lambda: {r["weight"] for r in c4d.show("instances")} == {weight}, 5, "changed")  # pylint: disable=cell-var-from-loop
	committed(c4d)
	c4d.stop()
	path = os.path.join(c4d.state, FILE)
	with open(path, "rb") as f:
		good = f.read()
	rnd = random.Random(11)
	for weight in range(100, 112):
		data = bytearray(good)
		for _ in range(rnd.choice((1, 4, 30))):
			at = rnd.randrange(2, len(data) // 4096) * 4096
			size = rnd.choice((4, 16, 4096))
			at += rnd.choice((0, rnd.randrange(4096 // 16) * 16)) if size < 4096 else 0
			data[at:at + size] = rnd.randbytes(size)[:len(data) - at]
		with open(path, "wb") as f:
			f.write(data)
		c4d.start()
		fake.list("router", ("10.1.0.1", 5060, weight))
		until(lambda: c4d.instances()["10.1.0.1:5060"]["weight"] == weight, 5, "it works")  # pylint: disable=cell-var-from-loop
		assert c4d.ctl("history").rc == 0
		committed(c4d)
		c4d.stop()


def test_store_of_another_machine(lab, make_c4d):
	"""A cloned VM does not act as its parent."""
	fake = FakeDns(lab)
	keys = three(fake)
	c4d = make_c4d(watching(fake, {"router": EAGER}))
	binary = c4d.binary
	with_machine_id(lab, c4d, binary, "fedcba9876543210fedcba9876543210\n")
	c4d.start()
	is_up(c4d, "router", *keys)
	committed(c4d)
	c4d.stop()
	fake.stop()
	with_machine_id(lab, c4d, binary, "0123456789abcdef0123456789abcdef\n")
	c4d.start()
	path = os.path.join(c4d.state, FILE)
	found = glob.glob(f"{path}.other-machine-*")
	assert len(found) == 1 and f"was set aside as {found[0]}" in c4d.log()
	assert c4d.show("instances") == []
	assert c4d.ctl("status", fmt="json").data["generation"] == 0
	fake.start()
	is_up(c4d, "router", *keys)
	committed(c4d)
	c4d.restart()
	assert c4d.states("router") == dict.fromkeys(keys, "up"), "its own store it takes"
	assert len(glob.glob(f"{path}.other-machine-*")) == 1


@pytest.fixture
def storetext(lab):
	"""load(file, text): puts records into a store, which may be there (tests/tools/storetext.c)."""
	tool = lab.path("storetext")
	subprocess.run([os.environ.get("CC", "cc"), "-D_GNU_SOURCE", "-O1", "-Wall", "-Werror", "-o", tool,
		os.path.join(ROOT, "tests/tools/storetext.c"), "-llmdb"], check=True)

	def load(file, text):
		subprocess.run([tool, "load", file], input=text.encode(), check=True)
	return load


def test_store_of_an_earlier_version(lab, make_c4d, storetext):
	"""What a c4d of before wrote is served at once, with Consul down: nothing is lost, nothing is said."""
	fake = FakeDns(lab)
	fake.stop()
	keys = {"remove_hold": "10m"}
	c4d = make_c4d(watching(fake, {"router": keys, "rtp": keys, "never": keys}, history_keep="3650d",
		routing={"cdr": {"keep": "3650d"}}, register={"sbc": {"id": "vm1-sbc", "address": "10.9.0.1", "port": 5060, "when": "now",
			"checks": {"port": {"type": "exec", "command": ["/bin/true"]}}}}))
	with open(os.path.join(ROOT, "tests/data/store/routing.txt")) as f:
		storetext(os.path.join(c4d.state, FILE), f.read())
	with_machine_id(lab, c4d, c4d.binary, "00112233445566778899aabbccddeeff\n")
	c4d.start()
	assert c4d.states() == {"10.1.0.1:5060": "disabled", "10.1.0.2:5060": "held", "10.1.0.3:5060": "disabled",
		"10.1.0.4:5060": "draining", "10.1.0.5:5060": "up", "10.2.0.1:2223": "up", "[fd00::1]:2223": "up"}
	status = c4d.ctl("status", fmt="json").data
	assert status["generation"] == 11 and status["store"]["set_aside"] is None
	assert [r["problem"] for r in status["reminders"]] == ["check port of registration sbc is switched off"]
	assert {s["service"]: (s["known"], s["frozen"]) for s in c4d.show("services")} == {
		"router": (True, False), "rtp": (True, True), "never": (False, False)}
	assert [g["generation"] for g in c4d.ctl("history", fmt="json").data] == list(range(11, 0, -1))
	row = c4d.show("registrations")[0]
	assert (row["id"], row["maintenance"], row["reason"], row["by"] if "by" in row else row["who"]) == ("vm1-sbc", True, "new disk", "uid 0")
	assert next(c for c in c4d.show("checks") if c["check"] == "port")["off"] is True
	assert [r["call_id"] for r in c4d.show("cdr")] == ["call-2", "call-1", "call-0"]
	rows = {r["labels"]["table"]: r["value"] for r in c4d.show("metrics c4d_routing_rows")}
	assert (rows["tenants"], rows["domains"]) == (1, 1)
	assert "set aside" not in c4d.log() and "could not be read" not in c4d.log()
	# The operator's word still counts, and is written into the same store.
	assert c4d.ctl("undrain", "10.1.0.4:5060").rc == 0
	c4d.restart()
	assert c4d.states()["10.1.0.4:5060"] == "up" and c4d.states()["10.1.0.2:5060"] == "held"


def test_store_of_a_newer_version(lab, make_c4d, storetext):
	"""A downgrade: set aside as it is, said so, and c4d begins a new one; the newer one can have its own again."""
	fake = FakeDns(lab)
	keys = three(fake)
	c4d = make_c4d(watching(fake, {"router": EAGER})).start()
	is_up(c4d, "router", *keys)
	committed(c4d)
	c4d.stop()
	path = os.path.join(c4d.state, FILE)
	storetext(path, f"meta {b'format'.hex()} 00000002\n")
	with open(path, "rb") as f:
		newer = f.read()
	c4d.start()
	is_up(c4d, "router", *keys)
	[found] = glob.glob(f"{path}.newer-*")
	with open(found, "rb") as f:
		assert f.read() == newer
	assert c4d.log().count(f"was set aside as {found} (a newer c4d wrote it: format 2, where this one reads up to 1)") == 1
	got = c4d.ctl("status", fmt="json").data
	assert got["store"]["set_aside"] == found and "format 2" in got["store"]["set_aside_why"]
	[reminder] = got["reminders"]
	assert reminder["problem"] == f"store: {got['store']['set_aside_why']}: it was set aside as {found}"
	plain = c4d.ctl("status")
	assert plain.rc == 0, "all is well"
	assert f"set aside as {found}" in " ".join(plain.out.split()) and "all is well" in plain.out
	committed(c4d)
	c4d.restart()
	assert c4d.ctl("status", fmt="json").data["reminders"] == []
	assert glob.glob(f"{path}.newer-*") == [found]
	# Back to the newer one, which knows it: here the same with what it knows.
	c4d.stop()
	fake.stop()
	os.rename(found, path)
	storetext(path, f"meta {b'format'.hex()} 00000001\n")
	c4d.start()
	assert c4d.states("router") == dict.fromkeys(keys, "up")
	assert glob.glob(f"{path}.newer-*") == []


def test_machine_without_id(lab, make_c4d):
	"""A machine without an id (a container) has a store like any other."""
	fake = FakeDns(lab)
	keys = three(fake)
	c4d = make_c4d(watching(fake, {"router": EAGER}))
	real = c4d.binary
	with_machine_id(lab, c4d, real, "")
	c4d.start()
	is_up(c4d, "router", *keys)
	committed(c4d)
	fake.stop()
	c4d.restart()
	assert c4d.states("router") == dict.fromkeys(keys, "up")
	c4d.stop()
	# and when it gets one, that is no other machine
	c4d.binary = real
	c4d.start()
	assert c4d.states("router") == dict.fromkeys(keys, "up")
	assert not glob.glob(f"{c4d.state}/*other-machine*")


# ---- a disk that fails ----

def failing(c4d):
	return until(lambda: problems(c4d, "store: failing: cannot write"), 10, lambda: f"it says so: {c4d.log()[-1500:]}")


def test_disk_full(lab, make_c4d):
	"""c4d acts all the same, says so, recovers by itself, and what happened meanwhile is in the history."""
	fake = FakeDns(lab)
	keys = three(fake)
	c4d = make_c4d(watching(fake, {"router": EAGER}))
	in_own_mounts(lab, c4d, "mount -t tmpfs -o size=256k,mode=0755 none \"$STATE\"")
	c4d.start()
	is_up(c4d, "router", *keys)
	first = committed(c4d)
	filler = inside(c4d, f"{c4d.state}/filler")
	fill(filler)
	for weight in range(2, 8):
		three(fake, weight)
		until(lambda: {r["weight"] for r in c4d.show("instances")} == {weight}, 5, "it acts all the same")  # pylint: disable=cell-var-from-loop
	said = failing(c4d)[0]
	assert "No space left on device" in said["problem"] and "check space and permissions" in said["problem"]
	status = c4d.ctl("status")
	assert status.rc == 1 and "store failing" in " ".join(status.out.split())
	assert c4d.log().count("failing: cannot write") == 1
	os.unlink(filler)
	until(lambda: c4d.ctl("status").rc == 0, 12, "it recovers by itself")
	assert "writes again after" in c4d.log()
	assert committed(c4d) == first + 6
	history = c4d.ctl("history", fmt="json").data
	assert [g["generation"] for g in history] == list(range(first + 6, 0, -1))
	assert [g["changes"][0]["weight"] for g in history[:6]] == [7, 6, 5, 4, 3, 2]


def test_disk_full_at_start(lab, make_c4d):
	fake = FakeDns(lab)
	keys = three(fake)
	c4d = make_c4d(watching(fake, {"router": EAGER}))
	in_own_mounts(lab, c4d, "mount -t tmpfs -o size=64k,mode=0755 none \"$STATE\"\n"
		"dd if=/dev/zero of=\"$STATE/filler\" bs=4096 count=1000 2>/dev/null || true")
	c4d.start()
	is_up(c4d, "router", *keys)
	failing(c4d)
	os.unlink(inside(c4d, f"{c4d.state}/filler"))
	until(lambda: c4d.ctl("status").rc == 0, 12, "it recovers by itself")
	assert len(c4d.ctl("history", fmt="json").data) == 1


@pytest.mark.parametrize("stored", [True, False], ids=["with a store", "without"])
def test_read_only(lab, make_c4d, stored):
	"""A file system that became read-only: what was stored is served, and c4d goes on from memory."""
	fake = FakeDns(lab)
	keys = three(fake)
	c4d = make_c4d(watching(fake, {"router": EAGER}))
	if stored:
		c4d.start()
		is_up(c4d, "router", *keys)
		committed(c4d)
		c4d.stop()
		fake.stop()
	in_own_mounts(lab, c4d, "mount --bind \"$STATE\" \"$STATE\"; mount -o remount,bind,ro \"$STATE\"")
	c4d.start()
	said = failing(c4d)[0]
	assert "Read-only file system" in said["problem"]
	if stored:
		assert c4d.states("router") == dict.fromkeys(keys, "up"), "what was stored is served"
		assert c4d.ctl("history").rc == 0
		fake.start()
	three(fake, 9)
	until(lambda: {r["weight"] for r in c4d.show("instances")} == {9}, 10, "it acts all the same")
	assert c4d.ctl("status").rc == 1
	mount_inside(c4d, "-o", "remount,bind,rw", c4d.state)
	until(lambda: c4d.ctl("status").rc == 0, 12, "it recovers by itself")
	generation = committed(c4d)
	assert generation == 2
	assert c4d.ctl("history", fmt="json").data[0]["changes"][0]["weight"] == 9
	fake.stop()
	c4d.kill()
	c4d.start()
	assert {r["weight"] for r in c4d.show("instances")} == {9}


def test_state_is_no_directory(lab, make_c4d):
	fake = FakeDns(lab)
	keys = three(fake)
	c4d = make_c4d(watching(fake, {"router": EAGER}))
	os.rmdir(c4d.state)
	with open(c4d.state, "w"):
		pass
	c4d.start()
	is_up(c4d, "router", *keys)
	assert "Not a directory" in failing(c4d)[0]["problem"]
	os.unlink(c4d.state)
	until(lambda: c4d.ctl("status").rc == 0, 12, "it recovers by itself")
	committed(c4d)


# ---- two on one directory; bounds ----

def test_two_on_one_state_directory(lab, make_c4d):
	fake = FakeDns(lab)
	first = make_c4d(watching(fake, {"router": FAST})).start()
	second = make_c4d(watching(fake, {"router": FAST}, state=first.state))
	with pytest.raises(LabError, match="ended with status 5"):
		second.start()
	assert f"{first.state} is used by another c4d, pid {first.proc.pid}: stop it" in second.log()
	assert first.ctl("status").rc in (0, 1)
	# A dead one's lock is no lock.
	first.kill()
	second.start()


def test_history(lab, make_c4d):
	"""Each generation: what changed, why, when it was seen and stored; the newest first."""
	fake = FakeDns(lab)
	fake.list("router", ("10.1.0.1", 5060, 5))
	c4d = make_c4d(watching(fake, {"router": EAGER})).start()
	is_up(c4d, "router", "10.1.0.1:5060")
	fake.list("router", ("10.1.0.1", 5060, 7), ("fd00::1", 5061))
	is_up(c4d, "router", "10.1.0.1:5060", "[fd00::1]:5061")
	fake.list("router", ("fd00::1", 5061))
	is_up(c4d, "router", "[fd00::1]:5061")
	until(lambda: committed(c4d) == 3 or committed(c4d) == 4, 5, "all is written")
	rows = c4d.ctl("history", "router", fmt="json").data
	assert rows == c4d.show("history") == c4d.ctl("history", fmt="json").data
	newest, middle, oldest = rows[0], rows[-2], rows[-1]
	assert set(oldest) == {"generation", "seen", "committed", "seen_to_committed_ms", "cause", "changes", "targets"}
	assert oldest["generation"] == 1
	assert oldest["cause"] == f"complete list of router.service.consul from {fake.dns_addr} (1 listed)"
	assert oldest["seen"] <= oldest["committed"]
	assert oldest["changes"] == [{"service": "router", "address": "10.1.0.1", "port": 5060, "from": None, "to": "up",
		"weight": 5, "priority": 1}]
	assert middle["changes"][0] == {"service": "router", "address": "10.1.0.1", "port": 5060, "from": "up", "to": "up",
		"weight": 7}
	assert newest["changes"][0]["to"] is None
	assert c4d.ctl("history", "nosuch").rc == 1
	text = c4d.ctl("history").out
	assert "router 10.1.0.1:5060 new -> up" in text and "router 10.1.0.1:5060 up -> removed" in text


def test_history_max(lab, make_c4d):
	"""history_max bounds what is kept, and a restart does not change that."""
	fake = FakeDns(lab)
	three(fake)
	c4d = make_c4d(watching(fake, {"router": EAGER}, history_max=5)).start()
	for weight in range(1, 15):
		three(fake, weight)
		until(lambda: {r["weight"] for r in c4d.show("instances")} == {weight}, 5, "changed")  # pylint: disable=cell-var-from-loop
	generation = committed(c4d)
	kept = [g["generation"] for g in c4d.ctl("history", fmt="json").data]
	assert kept == list(range(generation, generation - 5, -1))
	fake.stop()
	c4d.restart()
	assert [g["generation"] for g in c4d.ctl("history", fmt="json").data] == kept


def test_nothing_is_written_when_nothing_changes(lab, make_c4d):
	fake = FakeDns(lab)
	keys = three(fake)
	c4d = make_c4d(watching(fake, {"router": EAGER})).start()
	is_up(c4d, "router", *keys)
	committed(c4d)
	commits = c4d.ctl("status", fmt="json").data["store"]["commits"]
	holds(lambda: c4d.ctl("status", fmt="json").data["store"]["commits"] == commits, 0.5, "no commits")
