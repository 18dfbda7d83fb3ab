"""Kamailio configured wrongly: c4d's log and `c4ctl status` name the modparam that is missing."""
import os
import re

import pytest

from lab import Sbc, c4d_binary, merge, until
from lab.rig import Rig
from lab.tables import Tables
from test_kamailio_faults import as_user

pytestmark = pytest.mark.both_kamailios
MODE, GROUP = 'modparam("ctl", "mode", 0660)', 'modparam("ctl", "group", "kamailio")'


@pytest.fixture
def rig(lab, consul, make_c4d):
	"""rig(without, **sbc): a rig whose Kamailio's configuration lacks these lines. Nothing is started yet."""
	def make(*without, **sbc):
		box = Sbc(lab, **merge({"probing": False, "reload_delta": 1}, sbc))
		for line in without:
			assert f"{line}\n" in box.text
			box.text = box.text.replace(f"{line}\n", "", 1)
		return Rig(lab, consul, box, make_c4d)
	return make


def mended(r, *lines, before="loadmodule \"dispatcher.so\"\n"):
	"""Kamailio restarted with these lines in its configuration: c4d recovers by itself."""
	assert before in r.sbc.text
	r.sbc.text = r.sbc.text.replace(before, before + "".join(f"{line}\n" for line in lines), 1)
	r.sbc.restart()


def named(c4d, *words, timeout=10):
	"""Each of these words is in `c4ctl status`, which is not well, and in the log."""
	def said():
		got = c4d.ctl("status")
		return got.rc == 1 and all(w in " ".join(got.out.split()) for w in words)
	until(said, timeout, lambda: f"status names {words}:\n{c4d.ctl('status').out}")
	for w in words:
		assert w in c4d.log(), f"the log does not name {w}:\n{c4d.log()}"


def as_nobody(r, *groups):
	user = as_user(r.c4d, ",".join(groups))
	os.chown(r.sbc.list_dir, user.pw_uid, -1)


def test_ctl_mode_and_group(rig):
	"""Kamailio's own default: 0600, its own. c4d is in its group, and still out."""
	r = rig(MODE, GROUP, user="kamailio")
	as_nobody(r, "kamailio")
	r.sbc.start()
	a = r.add()
	r.start(wait=False)
	named(r.c4d, r.sbc.ctl[5:], "Permission denied", "is c4d in Kamailio's group", MODE, GROUP, "has mode 0600")
	assert r.target()["state"] == "unreachable"
	until(lambda: set(r.entries()) == {a}, 5, "the list file is right all the same")
	mended(r, MODE, GROUP)
	r.lists(a)
	r.converged()


def test_c4d_not_in_kamailio_s_group(rig):
	r = rig(user="kamailio")
	as_nobody(r)
	r.sbc.start()
	a = r.add()
	r.start(wait=False)
	gid = os.stat(r.sbc.ctl[5:]).st_gid
	named(r.c4d, "Permission denied", "is c4d in Kamailio's group", f"has mode 0660 and gid {gid}")
	r.c4d.stop()
	r.c4d.binary = c4d_binary()
	as_nobody(r, "kamailio")
	r.start(a)


def test_a_directory_that_is_closed(rig):
	"""As Debian's unit makes it: /run/kamailio is 0770."""
	r = rig(user="kamailio")
	os.chmod(r.sbc.run, 0o770)
	as_nobody(r)
	r.sbc.start()
	r.start(wait=False)
	named(r.c4d, "Permission denied", "is c4d in Kamailio's group", "its directory is closed to c4d")


@pytest.mark.parametrize("binrpc, made, says", [
	(None, "kamailio_ctl", "No such file"),
	("unix:RUNDIR/other", "other", "No such file"),
	("unixd:RUNDIR/ctl", "ctl", "takes datagrams only"),
], ids=["default", "other", "datagrams"])
def test_no_binrpc_where_c4d_looks(rig, binrpc, made, says):
	r = rig()
	right = 'modparam("ctl", "binrpc", "unix:RUNDIR/ctl")\n'
	before = r.sbc.text
	assert right in before
	r.sbc.text = before.replace(right, f'modparam("ctl", "binrpc", "{binrpc}")\n' if binrpc else "")
	r.sbc.start(wait=False)
	until(lambda: os.path.exists(os.path.join(r.sbc.run, made)), 10, "Kamailio's socket is there")
	a = r.add()
	r.start(wait=False)
	named(r.c4d, r.sbc.ctl[5:], says)
	if made != "ctl":
		named(r.c4d, "is Kamailio running, with ctl.so loaded and", f'modparam("ctl", "binrpc", "{r.sbc.ctl}")')
	else:
		named(r.c4d, 'modparam("ctl", "binrpc", "unix:...")')
	r.sbc.text = before
	r.sbc.restart()
	r.lists(a)
	r.converged()


def test_a_socket_that_nobody_listens_at(rig):
	r = rig()
	r.sbc.start()
	r.sbc.kill()
	a = r.add()
	r.start(wait=False)
	named(r.c4d, r.sbc.ctl[5:], "Connection refused", "is Kamailio running", f'modparam("ctl", "binrpc", "{r.sbc.ctl}")')
	r.sbc.start()
	r.lists(a)
	r.converged()


def test_more_destinations_than_a_reply_holds(rig):
	line = 'modparam("ctl", "binrpc_struct_max_body_size", 128)'
	r = rig(line, lines=[f"9 sip:192.0.2.{n % 250}:{2000 + n} 16" for n in range(1100)])
	r.sbc.start()
	a = r.add()
	r.start(wait=False)
	named(r.c4d, "dispatcher.list refused", "Internal error creating dest", "1024 destinations", line)
	until(lambda: set(r.entries()) == {a}, 5, "the list file is right all the same")
	mended(r, line)
	r.lists(a)
	r.converged()


def test_without_the_dispatcher_module(rig):
	r = rig()
	before = r.sbc.text
	# the configuration is read only as far as the module's functions are not used
	text = re.sub(r'modparam\("dispatcher".*\n', "", before).replace('loadmodule "dispatcher.so"\n', "")
	r.sbc.text = re.sub(r"\nrequest_route \{.*", "\nrequest_route {\n\tsl_send_reply(\"200\", \"OK\");\n}\n", text, flags=re.S)
	r.sbc.start()
	a = r.add()
	r.start(wait=False)
	named(r.c4d, "command dispatcher.list not found", "is dispatcher.so loaded?")
	r.sbc.text = before
	r.sbc.restart()
	r.lists(a)
	r.converged()


def test_another_list_file(rig):
	"""Kamailio reads a file that c4d does not write: a reload is "Ok" and changes nothing."""
	r = rig('modparam("dispatcher", "list_file", "LISTFILE")')
	other = r.lab.path("other.list")
	with open(other, "w") as f:
		f.write("1 sip:198.51.100.1:5060\n")
	before = r.sbc.text
	mine = 'loadmodule "dispatcher.so"\n'
	r.sbc.text = before.replace(mine, f'{mine}modparam("dispatcher", "list_file", "{other}")\n')
	r.sbc.start()
	a = r.add()
	r.start(wait=False)
	named(r.c4d, "said Ok to dispatcher.reload but does not hold the list", "list_file", r.sbc.list_file, timeout=15)
	r.sbc.text = before
	mended(r, f'modparam("dispatcher", "list_file", "{r.sbc.list_file}")')
	until(lambda: r.sbc.enabled() == {a}, 10, lambda: f"only ours takes calls: {r.sbc.flags()}")


DOMAIN = (b"id(int,auto) domain(string) did(string,null) last_modified(int) \n",
	b"id(int,auto) did(string) name(string) type(int) value(string) last_modified(int) \n",
	b"id(int,auto) table_name(string) table_version(int) \n0:version:1\n0:domain:2\n0:domain_attrs:1\n")


def test_db_text_that_does_not_look_again(lab, consul, make_c4d):
	"""db_mode's default, 0: the tables are read at the start alone, and a reload is "Ok"."""
	line = 'modparam("db_text", "db_mode", 1)'
	k = Tables(lab, "sbc")
	assert f"{line}\n" in k.text
	for table, text in zip(("domain", "domain_attrs", "version"), DOMAIN):
		k.write(table, text)
	with_it = k.text
	k.text = with_it.replace(f"{line}\n", "")
	k.start()
	c4d = make_c4d({"consul": {"dns": [consul.dns_addr]}, "kamailio": {"sbc": {"binrpc": k.ctl, "tables": k.dir,
		"domain": {"names": ["sip.example.org"]}}}}).start()
	named(c4d, "said Ok to domain.reload", line, timeout=15)
	k.text = with_it
	k.restart()
	until(c4d.converged, 15, lambda: f"converged: {c4d.targets()}")
	assert "sip.example.org" in str(k.rpc("domain.dump"))


def test_permissions_without_an_address_file(lab, consul, make_c4d):
	line = 'modparam("permissions", "address_file", "ADDRFILE")\n'
	k = Tables(lab, "sbc")
	for table, text in zip(("domain", "domain_attrs", "version"), DOMAIN):
		k.write(table, text)
	assert line in k.text
	with_it = k.text
	k.text = with_it.replace(line, "")
	k.start()
	consul.register("sbc", "10.1.2.3", 5060)
	c4d = make_c4d({"consul": {"dns": [consul.dns_addr]}, "services": {"sbc": {"interval": "100ms"}}, "kamailio": {"sbc": {
		"binrpc": k.ctl, "address_file": k.addr_file, "permissions": {"1": {"services": ["sbc"]}}}}}).start()
	named(c4d, 'modparam("permissions", "address_file", ...) is not set', timeout=15)
	k.text = with_it
	k.restart()
	until(c4d.converged, 15, lambda: f"converged: {c4d.targets()}")
	assert [e.ip for e, _ in k.addresses()] == ["10.1.2.3"]


def test_flags_of_what_kamailio_6_never_pings(rig, kamailio):
	r = rig(probing=True)
	assert r.conf["kamailio"]["sbc"]["dispatcher"]["1"]["flags"] == 16
	r.sbc.start()
	r.start(r.add())
	warned = "sbc/1: Kamailio 6 never pings a destination that has flag 16" in r.c4d.log()
	assert warned == (kamailio == "6.0")
	r.conf["kamailio"]["sbc"]["dispatcher"]["1"]["flags"] = 0
	r.c4d.write(r.conf)
	r.c4d.restart()
	r.converged()
	assert r.c4d.log().count("never pings") == warned
