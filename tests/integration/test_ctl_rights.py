"""Who may do what at the control socket: whoever may connect looks, root, c4d's own user and control.admin_group change."""
import collections
import grp
import json
import os
import pwd
import re
import socket
import stat
import subprocess

import pytest

from lab import EAGER, FakeDns, merge, until, watching
from lab.service import is_up

User = collections.namedtuple("User", "name group")
Got = collections.namedtuple("Got", "rc out err")

# Each command that writes, with arguments that it takes.
WRITES = ["resync", "hold router", "release router", "approve router", "drain 10.1.0.1:5060", "undrain 10.1.0.1:5060",
	"maintenance on", "check off a b", "rollback 1", "log debug", "reload", "routing load -"]
READS = ["status", "show topology", "show services", "show instances", "show targets", "show dns", "show config", "show metrics",
	"history", "diff", "why 10.1.0.1:5060"]


def sh(*argv):
	subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def people():
	"""
	A group for those who may connect, and a group of administrators; a guest and an administrator who are in the first, an
	administrator whose first group is the second, somebody who is in none, and the daemon's own user.
	"""
	mark = f"c4dt{os.getpid() % 100000}"
	ctl, adm = f"{mark}c", f"{mark}a"
	users = {"guest": ("", ctl), "admin": ("", f"{ctl},{adm}"), "first": (adm, ctl), "other": ("", ""), "own": ("", ctl)}
	try:
		for group in (ctl, adm):
			sh("groupadd", "--system", group)
		for name, (first, more) in users.items():
			sh("useradd", "--system", "--no-create-home", "--shell", "/bin/sh", *(("-g", first) if first else ("-U",)),
				*(("-G", more) if more else ()), mark + name[0] + name[-1])
		yield collections.namedtuple("People", ["ctl", "adm", *users])(ctl, adm, *(mark + n[0] + n[-1] for n in users))
	finally:
		for name in users:
			subprocess.run(["userdel", mark + name[0] + name[-1]], check=False, capture_output=True)
		for group in (ctl, adm, *(mark + n[0] + n[-1] for n in users)):
			subprocess.run(["groupdel", group], check=False, capture_output=True)


@pytest.fixture
def started(lab, people, make_c4d):
	fake = FakeDns(lab)
	fake.list("router", ("10.1.0.1", 5060, 5))

	def start(control, user=None):
		config = merge(watching(fake, {"router": EAGER}), {"control": {"group": people.ctl, **control}})
		c = make_c4d(config, **({"user": user} if user else {}))
		c.start()
		is_up(c, "router", "10.1.0.1:5060")
		return c
	return start


def ctl(c4d, user, words, text=None, groups=None):
	"""c4ctl as that user, with the groups of a login."""
	entry = pwd.getpwnam(user)
	groups = os.getgrouplist(user, entry.pw_gid) if groups is None else groups
	p = subprocess.run([c4d.c4ctl, "-s", c4d.socket, *words.split()], input=text or b"", capture_output=True, timeout=20,
		env=c4d.env(), cwd="/", user=entry.pw_uid, group=entry.pw_gid, extra_groups=groups, check=False)
	return Got(p.returncode, p.stdout.decode(), p.stderr.decode())


def refused(got, user, group):
	said = " ".join(got.err.split())
	return got.rc == 5 and got.out == "" and f"uid {pwd.getpwnam(user).pw_uid} may only look" in said and \
		f"group {group} (control.admin_group)" in said


def test_the_socket_is_the_groups(started, people):
	c = started({"admin_group": people.adm})
	st = os.stat(c.socket)
	assert (stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid) == (0o660, 0, grp.getgrnam(people.ctl).gr_gid)
	got = ctl(c, people.other, "status")
	assert got.rc == 4 and "ermission" in got.err, got


def test_a_guest_looks_and_changes_nothing(lab, started, people):
	c = started({"admin_group": people.adm})
	for words in READS:
		got = ctl(c, people.guest, words)
		assert got.rc in (0, 1) and got.err == "", (words, got)
	before = c.show("config"), c.states(), c.show("history")
	for words in WRITES:
		got = ctl(c, people.guest, words)
		assert refused(got, people.guest, people.adm), (words, got)
	assert before == (c.show("config"), c.states(), c.show("history")) and not c.show("services")[0]["frozen"]
	uid = pwd.getpwnam(people.guest).pw_uid
	assert len(re.findall(rf"by uid {uid} is refused: not in control.admin_group {people.adm}", c.log())) == len(WRITES)
	assert not re.search(rf"by uid {uid}$", c.log(), re.M), "none of them began"


def test_every_command_of_the_table_that_writes_is_here():
	"""A command that is added to command.c and changes something is to be in WRITES, too."""
	from lab.base import ROOT
	with open(os.path.join(ROOT, "src/control/command.c")) as f:
		rows = re.findall(r'\{ \.name = "([^"]+)"(.*?)\},\n', f.read(), re.S)
	assert len(rows) > 20
	writes = {name for name, rest in rows if ".writes = true" in rest}
	assert writes == {words if words.startswith("routing") else words.split()[0] for words in
		(w.removesuffix(" -") for w in WRITES)}
	looks = {name for name, _ in rows} - writes
	assert all(re.match(r"(show |status|history|diff|why|watch|cdr export|routing check|route explain)", n) for n in looks), looks


def test_administrators_change(started, people):
	c = started({"admin_group": people.adm})
	for user in (people.admin, people.first, "root"):
		assert ctl(c, user, "hold router").rc == 0
		assert c.show("services")[0]["frozen"], user
		assert ctl(c, user, "release router").rc == 0
	# who has the group only by what the kernel says of the process (newgrp, a service's Group=)
	entry = pwd.getpwnam(people.guest)
	p = subprocess.run([c.c4ctl, "-s", c.socket, "resync"], capture_output=True, timeout=20, env=c.env(), cwd="/",
		user=entry.pw_uid, group=grp.getgrnam(people.adm).gr_gid, extra_groups=[grp.getgrnam(people.ctl).gr_gid], check=False)
	assert p.returncode == 0, p


def test_who_is_added_need_not_log_in_anew(started, people):
	c = started({"admin_group": people.adm})
	groups = os.getgrouplist(people.guest, pwd.getpwnam(people.guest).pw_gid)
	try:
		sh("usermod", "-aG", people.adm, people.guest)
		assert ctl(c, people.guest, "resync", groups=groups).rc == 0
	finally:
		sh("gpasswd", "-d", people.guest, people.adm)
	assert refused(ctl(c, people.guest, "resync"), people.guest, people.adm)


def test_a_daemon_that_is_not_root(started, people):
	"""Its own user changes; so do root and administrators, and nobody else."""
	c = started({"admin_group": people.adm, "group": people.own}, user=people.own)
	groups = [grp.getgrnam(people.own).gr_gid]
	for user in (people.own, people.admin, "root"):
		got = ctl(c, user, "resync", groups=groups)
		assert got.rc == 0, (user, got)
	assert ctl(c, people.guest, "status", groups=groups).rc == 0
	assert refused(ctl(c, people.guest, "resync", groups=groups), people.guest, people.adm)


def test_the_default_and_a_group_that_is_not_there(started, people):
	"""Such a group has no members."""
	c = started({"admin_group": "c4dt-nosuch"})
	assert refused(ctl(c, people.admin, "resync"), people.admin, "c4dt-nosuch")
	assert ctl(c, people.admin, "status").rc == 0
	assert c.ctl("resync").rc == 0, "root needs none"
	row, = [r for r in c.show("config control.admin_group")]
	assert row["value"] == "c4dt-nosuch"
	c.write(open(c.conf).read().replace('"c4dt-nosuch"', '""'))
	c.reload()
	until(lambda: ctl(c, people.guest, "resync").rc == 0, 10, "empty: whoever may connect")
	c.write("\n".join(line for line in open(c.conf).read().splitlines() if "admin_group" not in line) + "\n")
	assert c.ctl("reload").rc == 0
	assert refused(ctl(c, people.guest, "resync"), people.guest, "c4d-admin")


def test_a_large_file_is_refused_before_it_is_taken(started, people):
	c = started({"admin_group": people.adm})
	big = b'{"a": "' + b"x" * (8 << 20) + b'"}'
	got = ctl(c, people.guest, "routing load -", text=big)
	assert refused(got, people.guest, people.adm), got
	# by the bare protocol: looks, then is refused, and the connection is over
	out = subprocess.run(["/usr/bin/python3", "-c", """if True:
		import socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.connect(sys.argv[1])
		s.sendall(b'{"v":1,"cmd":"status","args":[]}\\n{"v":1,"cmd":"routing load","args":["-"],"payload":268435456}\\n'
			b'{"v":1,"cmd":"hold","args":["router"]}\\n')
		while True:
			data = s.recv(65536)
			if not data:
				break
			sys.stdout.buffer.write(data)
		""", c.socket], capture_output=True, timeout=20, user=people.guest, group=people.ctl, extra_groups=[], cwd="/", check=True)
	ends = [json.loads(line) for line in out.stdout.decode().splitlines() if '"exit"' in line]
	assert [e["exit"] for e in ends] in ([0, 5], [1, 5]) and "routing load changes something" in ends[1]["error"]
	assert not c.show("services")[0]["frozen"]


def test_an_argument_is_one_line_of_the_log(started, people):
	c = started({"admin_group": people.adm})
	for text in ("x\n<0>kernel: forged", "x\x1b[2J", "x\x7f"):
		with socket.socket(socket.AF_UNIX) as s:
			s.connect(c.socket)
			s.sendall(json.dumps({"v": 1, "cmd": "hold", "args": [text]}).encode() + b"\n")
			end = json.loads(s.makefile().readline())
		assert end["exit"] == 5 and "control characters" in end["error"]
	assert "forged" not in c.log() and "\x1b" not in c.log()


def test_what_security_md_names_is_there():
	"""Its statements stand on tests, by name."""
	from lab.base import ROOT
	with open(os.path.join(ROOT, "packaging/SECURITY.md")) as f:
		text = f.read()
	sources = {}
	for room in ("integration", "unit", "fuzz"):
		for name in os.listdir(os.path.join(ROOT, "tests", room)):
			if name.endswith((".c", ".py")):
				with open(os.path.join(ROOT, "tests", room, name)) as f:
					sources[name] = f.read()
	named = set(re.findall(r"\b(?:test|fuzz)_(?!x\b)\w+", text))
	assert len(named) > 80
	for name in sorted(named):
		assert f"{name}.py" in sources or f"{name}.c" in sources or \
			any(re.search(rf"^(?:def )?{name}\(", source, re.M) for source in sources.values()), name
	for file, names in re.findall(r"\b(test_\w+\.c):\s([\w,\s]+)", text):
		for name in re.split(r",\s+", names.strip()):
			assert re.search(rf"^{name}\(", sources[file], re.M), (file, name)
	for path in re.findall(r"\b(?:src|packaging|tests)/[\w./-]*[\w]", text):
		assert os.path.exists(os.path.join(ROOT, path)), path
