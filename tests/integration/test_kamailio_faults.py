"""Kamailio absent, gone, wedged or lying, and a list file that can't be written: nothing is lost, nothing crashes."""
import grp
import os
import pwd
import shutil
import stat

import pytest

from lab import Sbc, c4d_binary, holds, merge, until
from lab.fake_binrpc import Middle
from lab.rig import Rig

NODNS = 16


def make_sbc(lab, **kw):
	return Sbc(lab, **merge({"probing": False, "reload_delta": 1}, kw))


@pytest.fixture
def rig(lab, consul, make_c4d):
	"""rig(over={...}, **sbc): a rig with a Kamailio that runs; c4d is not started yet."""
	def make(over=None, **sbc):
		return Rig(lab, consul, make_sbc(lab, **sbc).start(), make_c4d, over=over)
	return make


def idle(r, seconds=1.0):
	"""CPU that c4d used in this time, as a part of one core."""
	begin = r.c4d.proc.cpu_s()
	holds(r.c4d.proc.alive, seconds, "c4d lives")
	return (r.c4d.proc.cpu_s() - begin) / seconds


def test_absent_at_the_start(lab, consul, make_c4d):
	sbc = make_sbc(lab)
	r = Rig(lab, consul, sbc, make_c4d)
	a, b = r.add(), r.add(weight=4)
	r.start(wait=False)
	error = r.failed(sbc.ctl[5:], state="unreachable")
	assert "No such file" in error and "is Kamailio running" in error
	until(lambda: r.entries() == {a: NODNS, b: NODNS}, 5, "the file is right already")
	r.out(a)
	until(lambda: r.entries() == {a: NODNS | 4, b: NODNS}, 5, "and stays so")
	assert r.c4d.log().count("kam: sbc: not reachable") == 1, "said once"
	assert idle(r) < 0.3
	sbc.start()
	assert sbc.flags() == {a: "DX", b: "AX"}, "right from its own start"
	r.converged()
	assert r.count("reloads") == 0


def test_gone_in_the_middle(rig):
	r = rig()
	a = r.add()
	r.start(a)
	r.quiet()
	r.sbc.kill()
	b = r.add()
	r.failed(r.sbc.ctl[5:], state="unreachable")
	until(lambda: set(r.entries()) == {a, b}, 5, "the file has both")
	status = r.c4d.ctl("status")
	assert status.rc == 1 and "not reachable" in status.out
	assert r.c4d.ctl("diff").rc == 1
	r.sbc.start()
	r.lists(a, b)
	r.converged()
	assert r.c4d.ctl("diff").rc == 0


def test_wedged(rig):
	"""It accepts connections and never answers."""
	r = rig(over={"kamailio": {"sbc": {"timeout": "300ms"}}})
	a, b = r.add(), r.add()
	r.start(a, b)
	r.sbc.pause()
	error = r.failed("no reply to", "within 300ms", state="unreachable")
	assert error.split("no reply to ")[1].split()[0] in ("dispatcher.list", "dispatcher.set_state", "core.uptime")
	r.out(a)
	until(lambda: r.entries() == {a: NODNS | 4, b: NODNS}, 5, "the file goes on")
	assert idle(r) < 0.3
	assert r.c4d.ctl("status").rc == 1
	r.sbc.resume()
	until(lambda: r.sbc.disabled() == {a}, 10, "it recovers by itself")
	r.converged()


@pytest.mark.parametrize("fault, says", [
	("cut", "closed the connection"),
	("stuck", "no reply to"),
	("cookie", "something else than the reply"),
	("oversized", "larger than c4d takes"),
	("garbage", "no binrpc"),
	("records", "cannot be decoded"),
	("twice", "more than was asked"),
	("closed", "closed the connection"),
])
def test_bad_replies(lab, consul, make_c4d, fault, says):
	"""Each reply of this kind costs the connection; after that all is as it was."""
	sbc = make_sbc(lab).start()
	middle = Middle(lab, sbc.ctl)
	r = Rig(lab, consul, sbc, make_c4d, over={"kamailio": {"sbc": {"binrpc": middle.addr, "timeout": "300ms"}}})
	a, b = r.add(), r.add()
	r.start(a, b)
	# in the middle of work: the answer to a change
	middle.fault, middle.methods = fault, ("dispatcher.list", "dispatcher.set_state", "dispatcher.reload")
	r.out(a)
	error = r.failed(says, state="unreachable")
	assert middle.path in error or "no reply to dispatcher." in error
	assert r.c4d.ctl("status").rc == 1
	# and when it identifies Kamailio
	middle.methods = ()
	spoilt, connections = middle.spoilt, middle.connections
	assert idle(r) < 0.4
	until(lambda: middle.spoilt > spoilt, 5, "it tries again")
	assert middle.connections - connections <= 12, "and not as fast as it can"
	middle.fault = None
	until(lambda: sbc.disabled() == {a}, 10, "it recovers")
	r.converged()
	assert r.entries() == {a: NODNS | 4, b: NODNS}
	r.c4d.wait_log("kam: sbc: back after")


def test_over_tcp(lab, consul, make_c4d):
	sbc = make_sbc(lab, tcp=True).start()
	r = Rig(lab, consul, sbc, make_c4d, over={"kamailio": {"sbc": {"binrpc": sbc.ctl_tcp}}})
	a = r.add()
	r.start(a)
	b = r.add()
	r.lists(a, b)
	# only now: a list that comes after none at all looks like one that is still filling, and nothing leaves by it
	r.out(a)
	until(lambda: sbc.flags() == {a: "DX", b: "AX"}, 10, "both changes")
	sbc.kill()
	error = r.failed(sbc.ctl_tcp[4:], state="unreachable")
	assert error
	sbc.start()
	assert sbc.flags() == {a: "DX", b: "AX"}
	r.converged()


# ---- the list file ----

def as_user(c4d, groups=""):
	"""Make this C4d run as nobody, with these groups besides."""
	user = pwd.getpwnam("nobody")
	wrapper = c4d.lab.path(c4d.name, "as-nobody")
	with open(wrapper, "w") as f:
		f.write(f"#!/bin/sh\nexec setpriv --reuid={user.pw_uid} --regid={user.pw_gid} "
			f"{'--groups=' + groups if groups else '--clear-groups'} --inh-caps=-all {c4d.binary} \"$@\"\n")
	os.chmod(wrapper, 0o755)
	c4d.binary = wrapper
	for path in (c4d.dir, c4d.state):
		os.chown(path, user.pw_uid, user.pw_gid)
	return user


def break_missing(sbc):
	os.rename(sbc.list_dir, sbc.list_dir + ".away")


def mend_missing(sbc):
	os.rename(sbc.list_dir + ".away", sbc.list_dir)


def break_file(sbc):
	break_missing(sbc)
	with open(sbc.list_dir, "w"):
		pass


def mend_file(sbc):
	os.unlink(sbc.list_dir)
	mend_missing(sbc)


def break_right(sbc):
	os.chmod(sbc.list_dir, 0o755)
	os.chown(sbc.list_dir, 0, 0)


def mend_right(sbc):
	os.chown(sbc.list_dir, pwd.getpwnam("nobody").pw_uid, 0)


@pytest.mark.parametrize("broken, mended, says", [
	(break_right, mend_right, ("Permission denied", "give c4d's user the right")),
	(break_missing, mend_missing, ("No such file", "make the directory")),
	(break_file, mend_file, ("Not a directory", "move it away")),
], ids=["right", "missing", "file"])
def test_a_list_file_that_cannot_be_written(rig, broken, mended, says):
	r = rig()
	as_user(r.c4d)
	os.chmod(r.sbc.ctl[5:], 0o666)
	mend_right(r.sbc)
	os.chown(r.sbc.list_file, pwd.getpwnam("nobody").pw_uid, 0)
	a, b = r.add(), r.add()
	r.start(a, b)
	r.quiet()
	reloads = r.count("reloads")
	broken(r.sbc)
	r.out(a)
	until(lambda: r.sbc.disabled() == {a}, 5, "set_state still works")
	r.failed(r.sbc.list_file, *says)
	status = r.c4d.ctl("status")
	assert status.rc == 1 and says[0] in " ".join(status.out.split())
	c = r.add()
	holds(lambda: r.sbc.listed() == {a, b}, 1.0, "no reload of a file that is not right")
	r.out(a, False)
	until(lambda: r.sbc.disabled() == set(), 5, "set_state goes on working")
	assert r.count("reloads") == reloads
	assert r.c4d.log().count("sbc/1 failed") == 1, "said once"
	mended(r.sbc)
	r.lists(a, b, c)
	r.converged()
	r.c4d.wait_log("can be written again")
	assert r.entries() == {a: NODNS, b: NODNS, c: NODNS}
	assert not [x for x in os.listdir(r.sbc.list_dir) if "tmp" in x]


def test_a_list_file_that_cannot_be_written_at_the_start(rig):
	"""Not even the lock can be made; what set_state can do is done all the same."""
	r = rig()
	a, b = r.add(), r.add()
	r.sbc.write_list([f"1 {a} 16 0 weight=1", f"1 {b} 16 0 weight=1"])
	r.sbc.reload()
	as_user(r.c4d)
	os.chmod(r.sbc.ctl[5:], 0o666)
	r.out(a)
	r.start(wait=False)
	r.failed(r.sbc.list_file + ".c4d-lock", "Permission denied", "give c4d's user the right")
	until(lambda: r.sbc.disabled() == {a}, 5, "a is out")
	assert r.entries() == {a: NODNS, b: NODNS}
	mend_right(r.sbc)
	until(lambda: r.entries() == {a: NODNS | 4, b: NODNS}, 8, "the file follows")
	r.converged()


def test_a_line_that_is_too_long(rig):
	"""By an instance's own numbers only: c4d check can't know."""
	r = rig(over=two_services(uri="sip:{address}:{port}" + ";p={address}" * 19, attrs="x=" + "{address}" * 50))
	a, b = r.add(), r.add()
	r.start(wait=False)
	r.lists(a, b)
	m = r.add(service="media", address="2001:db8:1111:2222:3333:4444:5555:6666")
	error = r.failed("longer than Kamailio reads", "shorten uri or attrs", name="sbc/2")
	assert m.split(";")[0][:30] in error and r.sbc.list_file in error
	assert r.entries() == {a: NODNS, b: NODNS} and r.sbc.listed() == {a, b}
	r.out(a)
	until(lambda: r.sbc.disabled() == {a}, 5, "set_state still works")
	# shorter again: it recovers
	r.conf["kamailio"]["sbc"]["dispatcher"]["2"].update(uri="sip:{address}:{port}", attrs="")
	r.c4d.write(r.conf)
	assert r.c4d.ctl("reload").rc == 0
	until(lambda: r.entries(2) == {m: 0}, 8, "the file holds it")
	until(lambda: r.entries() == {a: NODNS | 4, b: NODNS}, 5, "and the other set")


def two_services(**second):
	return {"services": {"media": {"interval": "100ms", "remove_hold": "0s"}},
		"kamailio": {"sbc": {"dispatcher": {"2": merge({"service": "media"}, second)}}}}


def test_more_destinations_than_kamailio_lists(lab, consul, make_c4d):
	"""Somebody's large set makes dispatcher.list fail as a whole: the module parameter is named."""
	sbc = make_sbc(lab, lines=[f"9 sip:192.0.2.{n % 250}:{2000 + n} 16" for n in range(1100)])
	line = 'modparam("ctl", "binrpc_struct_max_body_size", 128)\n'
	assert line in sbc.text
	with_it = sbc.text
	sbc.text = with_it.replace(line, "")
	sbc.start()
	r = Rig(lab, consul, sbc, make_c4d)
	a = r.add()
	r.start(wait=False)
	r.failed("dispatcher.list refused", "1024", 'modparam("ctl", "binrpc_struct_max_body_size", 128)')
	until(lambda: r.entries() == {a: NODNS}, 5, "the file is right all the same")
	assert len(r.entries(9)) == 1100
	assert idle(r) < 0.3
	sbc.text = with_it
	sbc.restart()
	r.lists(a)
	r.converged()
	assert len(sbc.dispatcher()[9]) == 1100


def test_each_as_its_own_user(lab, consul, make_c4d):
	"""c4d as nobody in Kamailio's group, Kamailio as its own user with ctl mode 0660 and that group."""
	sbc = make_sbc(lab, user="kamailio").start()
	st = os.stat(sbc.ctl[5:])
	gid = grp.getgrnam("kamailio").gr_gid
	assert (stat.S_IMODE(st.st_mode), st.st_gid) == (0o660, gid)
	r = Rig(lab, consul, sbc, make_c4d)
	# without the group first: the message names the remedy
	as_user(r.c4d)
	binary = r.c4d.binary
	a = r.add()
	r.start(wait=False)
	r.c4d.wait_log(f"cannot connect to {sbc.ctl[5:]}: Permission denied .*is c4d in Kamailio's group")
	r.c4d.stop()
	r.c4d.binary = c4d_binary()
	user = as_user(r.c4d, "kamailio")
	assert r.c4d.binary == binary
	# as packaged: the directory is c4d's, its group Kamailio's
	shutil.chown(sbc.list_dir, user.pw_uid, gid)
	os.chmod(sbc.list_dir, 0o2750)
	os.unlink(sbc.list_file)
	r.start(a)
	b = r.add()
	r.lists(a, b)
	r.out(a)
	until(lambda: sbc.flags() == {a: "DX", b: "AX"}, 5, "set_state works")
	until(lambda: r.entries() == {a: NODNS | 4, b: NODNS}, 5, "and the file")
	st = os.stat(sbc.list_file)
	assert (st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)) == (user.pw_uid, gid, 0o640)
	sbc.restart()
	assert sbc.flags() == {a: "DX", b: "AX"}, "Kamailio's own user can read it"
