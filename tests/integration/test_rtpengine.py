"""The rtpengine target: real Kamailio, real rtpengines; what rtpengine.show and the table say is the judge."""
import os
import re
import time

import pytest

from lab import binrpc, holds, merge, until
from lab.fake_ng import FakeNg
from lab.media import MediaSbc
from lab.rig import Rig
from lab.rtpengine import Rtpengine
from lab.sipp import Uac, Uas

pytestmark = pytest.mark.both_kamailios
SERVICES = {"rtp": {"interval": "100ms", "remove_hold": "1m"}}
PING = {"ping": "200ms", "ping_timeout": "200ms"}
WINDOW = 10  # rtpengine.c: between two reloads, and from Kamailio's start to the first


def shown(sbc):
	"""{(set, url): 'in', 'out' (for good) or 'asleep'} as Kamailio shows them."""
	try:
		values = sbc.rpc("rtpengine.show", "all", timeout=10)
	except binrpc.Fault as e:
		if "not found" in e.reason:
			return {}
		raise

	def word(v):
		disabled, active = binrpc.get(v, "disabled"), binrpc.get(v, "active")
		if active is not None:  # 6.0
			return "out" if disabled else "in" if active else "asleep"
		return "in" if disabled == 0 else "out" if str(disabled).endswith("(permanent)") else "asleep"
	return {(binrpc.get(v, "set"), binrpc.get(v, "url")): word(v) for v in values}


def table(sbc, name="rtpengine"):
	"""{(set, url): (weight, disabled)} of the file."""
	found = {}
	with open(os.path.join(sbc.tables, name)) as f:
		for line in f.read().splitlines()[1:]:
			cells = [c.replace("\0", ":") for c in line.replace("\\:", "\0").split(":")]
			found[int(cells[1]), cells[2]] = (int(cells[3]), int(cells[4]))
	return found


class Media(Rig):
	def shows(self, timeout=WINDOW + 5, sbc=None, rows=None, **states):
		"""Await that Kamailio shows exactly these: a="in" for node a in set 0, rows for others."""
		want = {(0, getattr(self, k).url): v for k, v in states.items()}
		want.update(rows or {})
		box = sbc or self.sbc
		until(lambda: shown(box) == want, timeout, lambda: f"Kamailio shows {want}, not {shown(box)}; table {table(box)}; "
			f"{self.c4d.targets()}\n{self.c4d.proc.log_tail()}")

	def filed(self, node, disabled, timeout=2):
		"""Await that the file says so of this node of set 0; in and out does not wait for it."""
		until(lambda: table(self.sbc)[0, node.url] == (1, disabled), timeout, lambda: f"{node.url} in {table(self.sbc)}")

	def add_nodes(self, *nodes):
		for n in nodes:
			self.sids[n.url] = self.consul.register("rtp", n.ip, n.port)

	def row(self, node):
		"""Of show rtpengine."""
		return [r for r in self.c4d.show("rtpengine") if r["url"] == node.url][0]

	def is_converged(self, name="sbc/rtpengine/0", timeout=5):
		until(lambda: self.target(name)["state"] == "converged", timeout, lambda: f"{name} converged: {self.target(name)}")


@pytest.fixture
def media(lab, consul, make_c4d):
	"""
	media(n, over, there, nodes): n running rtpengines a, b, c...; there: they are in the table and at Consul already, so that
	nothing needs a reload (and its window); nodes: further rows of the table. c4d is not started yet.
	"""
	def make(n=2, over=None, there=False, nodes=(), edit=None, again_s=60, kam=None, **names):
		box = MediaSbc(lab, probing=False, reload_delta=1, again_s=again_s)
		if edit:
			box.text = edit(box.text)
		conf = {"services": SERVICES, "kamailio": {"sbc": {"tables": box.tables, "rtpengine": {"0": {"service": "rtp", **PING}}}}}
		r = Media(lab, consul, box, make_c4d, over=merge(conf, over or {}))
		names.update({name: Rtpengine(lab, f"rtp-{name}").start() for name in "abcd"[:n]})
		for name, node in names.items():
			setattr(r, name, node)
		mine = [(0, v.url, 1, 0) for v in names.values()] if there else []
		box.write_nodes(mine + list(nodes))
		if there:
			r.add_nodes(*names.values())
		box.start()
		return r
	return make


def test_nodes_come_and_go(media, lab):
	"""With another set's rows in the table, one of IPv6, and one that is known to Consul and was never started."""
	foreign = (5, "udp:192.0.2.5:22222", 3, 1)
	six = FakeNg(lab, "::1")
	r = media(2, nodes=[foreign], six=six, late=Rtpengine(lab, "rtp-late"))
	other = {(5, foreign[1]): "out"}
	r.add_nodes(r.a, six, r.late)
	r.c4d.start()
	r.shows(a="in", six="in", rows=other)
	assert six.url.startswith("udp6:[::1]:")
	assert table(r.sbc) == {(0, r.a.url): (1, 0), (0, six.url): (1, 0), (5, foreign[1]): (3, 1)}
	r.is_converged()
	assert r.row(r.late)["desired"] == "silent" and r.row(r.late)["ping"] == "dead", r.row(r.late)
	# two changes within the window: one reload carries what is wanted then
	r.add_nodes(r.b)
	until(lambda: r.target("sbc/rtpengine/0")["state"] == "window", 5, "it waits for the window")
	reloads = r.count("reloads")
	assert 0 < r.target("sbc/rtpengine/0")["window_ms"] <= WINDOW * 1000
	r.late.start()
	c = FakeNg(lab)
	r.c = c
	r.add_nodes(c)
	r.shows(a="in", b="in", c="in", six="in", late="in", rows=other)
	assert r.count("reloads") == reloads + 1
	r.is_converged()
	# the history has the times of this target
	newest = r.c4d.ctl("history", "rtp", fmt="json").data[0]
	times = {t["target"]: t for t in newest["targets"]}
	assert times["sbc/rtpengine/0"]["verified"] >= times["sbc/rtpengine/0"]["applied"] >= newest["seen"]
	# out and back
	reloads = r.count("reloads")
	r.out(r.a.url)
	r.shows(a="out", b="in", c="in", six="in", late="in", rows=other, timeout=3)
	r.filed(r.a, 1)
	r.out(r.a.url, False)
	r.shows(a="in", b="in", c="in", six="in", late="in", rows=other, timeout=3)
	assert r.count("reloads") == reloads, "out and back need no reload"
	r.is_converged()
	plain = r.c4d.ctl("show", "rtpengine").out
	assert all(len(line) <= 80 for line in plain.splitlines()) and "KAMAILIO" in plain, plain
	why = r.c4d.ctl("why", f"{r.a.ip}:{r.a.port}").out  # c4ctl why
	assert f"in sbc/rtpengine/0 as {r.a.url}: desired active, Kamailio says active" in " ".join(why.split()), why
	assert all(len(line) <= 80 for line in why.splitlines()), why
	assert r.row(six)["ping"] == "alive" and r.row(six)["desired"] == r.row(six)["actual"] == "active", r.row(six)
	with open(os.path.join(r.sbc.tables, "version")) as f:
		assert f.read() == "id(int,auto) table_name(string) table_version(int) \n0:version:1\n1:rtpengine:1\n"


def test_silent_nodes(media):
	"""A dead one is asleep at once and back at once; when all are, they stay as they are, and it is said."""
	r = media(2, there=True)
	r.c4d.start()
	r.is_converged()
	assert r.count("reloads") == r.count("set_states") == r.count("file_writes") == 0, "all was right as it stood"
	r.a.pause()
	r.shows(a="asleep", b="in", timeout=3)
	r.filed(r.a, 1)
	r.b.pause()
	text = r.failed("no node of set 0 answers", name="sbc/rtpengine/0", timeout=5)
	assert "rows stay as they are" in text and table(r.sbc)[0, r.b.url] == (1, 0)
	assert "no node of set 0 answers" in r.c4d.ctl("status").out
	holds(lambda: shown(r.sbc)[0, r.b.url] != "out", 1, "the last one stays")
	r.b.resume()
	r.shows(a="asleep", b="in", timeout=5)
	r.is_converged()
	r.a.resume()
	r.shows(a="in", b="in", timeout=3)
	# a restart of rtpengine within one interval goes unseen, one that takes longer is seen
	r.a.kill()
	r.shows(a="asleep", b="in", timeout=3)
	r.a.start()
	r.shows(a="in", b="in", timeout=3)
	assert r.count("reloads") == 0
	assert re.search(r"rtp: .*: dead; ", r.c4d.log()) and re.search(r"rtp: .*: alive after ", r.c4d.log())


def test_status_names_who_is_silent(media, lab):
	"""Who is wanted and does not answer, for how long, and what became of it; nobody who is out by intent."""
	r = media(2, there=True)
	r.add()
	r.c4d.start()
	r.converged()

	def says(*want, rc=1):
		"""Await exactly these problems."""
		def there():
			got = r.c4d.ctl("status", fmt="json")
			found = [p["problem"] for p in got.data["problems"]]
			return got.rc == rc and len(found) == len(want) and all(re.fullmatch(w, f) for w, f in zip(want, found)) and got.data
		return until(there, 5, lambda: f"status says {want}: {r.c4d.ctl('status').out}")["problems"]

	def silent(node, since, state):
		return rf"sbc/rtpengine/0: {node.ip}:{node.port} has not answered c4d's NG ping {since}: {state}"
	asleep, unknown = "it is asleep in Kamailio and gets no calls", "Kamailio does not know it and sends it no calls"
	says(rc=0)
	r.a.pause()
	found = says(silent(r.a, r"for (0|[1-9]\d*)s", asleep))
	assert re.match("no answer within .*; c4d asks on, and gives it calls again at its first answer$", found[0]["hint"]), found
	plain = r.c4d.ctl("status").out
	assert all(len(line) <= 80 for line in plain.splitlines()) and f"{r.a.ip}:{r.a.port} has not answered" in plain, plain
	r.b.pause()  # nobody is left: that is said of the set besides
	says("sbc/rtpengine/0 failed: no node of set 0 answers .*", silent(r.a, r"for \d+s", asleep),
		silent(r.b, r"for \d+s", "Kamailio goes on using it, since no node of the set answers"))
	r.b.resume()
	says(silent(r.a, r"for \d+s", asleep))
	r.out(r.a.url)  # it is not wanted now
	says(rc=0)
	r.out(r.a.url, False)
	says(silent(r.a, r"for \d+s", asleep))
	r.a.resume()
	says(rc=0)
	# some that never answered, and then so many that they are one line
	dead = [Rtpengine(lab, f"rtp-dead{i}") for i in range(4)]
	r.add_nodes(*dead[:2])
	found = says(*(silent(n, r"since it was first asked, \d+s ago", unknown) for n in dead[:2]))
	assert found[0]["hint"].startswith("refused: nobody listens there"), found
	r.a.pause()
	says(silent(r.a, r"for \d+s", asleep), *(silent(n, r"since it was first asked, \d+s ago", unknown) for n in dead[:2]))
	r.add_nodes(*dead[2:])
	five = rf"sbc/rtpengine/0: 5 of 6 nodes do not answer c4d's NG ping, {lab.net}\.\d+:\d+ for \d+s, the longest: "
	found = says(five + "they get no calls")
	assert found[0]["hint"].startswith("c4ctl show rtpengine sbc/rtpengine/0; "), found
	r.sbc.stop()
	says("sbc/1 unreachable: .*", "sbc/rtpengine/0 unreachable: .*", five + "Kamailio can't be read, so who gets calls is not known")


def test_others_at_work(media):
	"""What somebody does by kamcmd, to the file, and to Kamailio itself; and c4d's own restart."""
	r = media(2, there=True)
	r.c4d.start()
	r.is_converged()
	r.sbc.rpc("rtpengine.enable", r.a.url, 0)
	r.shows(a="in", b="in", timeout=5)
	r.c4d.wait_log(r"sbc/rtpengine/0: somebody changed it \(enable .* c4ctl drain")
	for _ in range(2):
		r.sbc.rpc("rtpengine.enable", r.a.url, 0)
		until(lambda: shown(r.sbc)[0, r.a.url] == "in" or r.target("sbc/rtpengine/0")["state"] == "failed", 5, "put right, or left")
	r.failed("somebody else changes sbc/rtpengine/0", name="sbc/rtpengine/0")
	assert shown(r.sbc)[0, r.a.url] == "out"
	# what changes meanwhile is not left to them
	r.out(r.b.url)
	r.shows(a="in", b="out", timeout=3)
	r.out(r.b.url, False)
	r.shows(a="in", b="in", timeout=3)
	r.is_converged()
	# a Kamailio that restarts finds its file
	r.out(r.a.url)
	r.shows(a="out", b="in", timeout=3)
	r.sbc.restart()
	r.shows(a="out", b="in", timeout=5)
	r.is_converged()
	r.c4d.stop()
	r.sbc.restart()
	r.shows(a="out", b="in", timeout=5)
	r.c4d.start()
	r.is_converged()
	assert r.count("reloads") == r.count("set_states") == r.count("file_writes") == 0
	# one that hangs: the file is right all the same, and then it
	r.sbc.pause()
	r.out(r.a.url, False)
	r.filed(r.a, 0, timeout=5)
	until(lambda: r.target("sbc/rtpengine/0")["state"] == "unreachable", 5, "unreachable")
	r.sbc.resume()
	r.shows(a="in", b="in", timeout=5)
	r.is_converged()
	# the file can't be written: in and out goes on
	blocked = os.path.join(r.sbc.tables, "rtpengine.c4d-tmp")
	os.mkdir(blocked)
	r.out(r.a.url)
	r.shows(a="out", b="in", timeout=3)
	r.failed("cannot create", "rtpengine", name="sbc/rtpengine/0")
	os.rmdir(blocked)
	r.is_converged()
	r.filed(r.a, 1)
	# the file goes, with its directory's others
	for name in ("rtpengine", "version"):
		os.unlink(os.path.join(r.sbc.tables, name))
	until(lambda: table(r.sbc) == {(0, r.a.url): (1, 1), (0, r.b.url): (1, 0)}, 8, "the file is made anew")
	with open(os.path.join(r.sbc.tables, "version")) as f:
		assert "\n0:rtpengine:1\n" in f.read()
	r.sbc.restart()
	r.shows(a="out", b="in", timeout=5)


def test_fresh_answers_before_a_reload(media, lab):
	"""Nodes that answer late, and one that stops while the reload waits for its window: the reload has not to wait for it."""
	slow, mortal = FakeNg(lab), FakeNg(lab)
	r = media(1, there=True, slow=slow, mortal=mortal, over={"kamailio": {"sbc": {"rtpengine": {"0": {"ping": "1s", "ping_timeout": "400ms"}}}}})
	slow.late = 0.25
	r.c4d.start()
	r.is_converged()
	until(lambda: r.count("reloads") == 0 and len(slow.heard("c4d")) > 1, 5, "both are watched")
	r.b = Rtpengine(lab, "rtp-b").start()
	r.add_nodes(r.b)
	# it answers c4d once more, just before the reload would go, and is dead then
	until(lambda: r.target("sbc/rtpengine/0")["state"] in ("window", "converged") and r.row(r.b)["ping"] == "alive", 5, "b is to come")
	mortal.deaf = {"c4d", "kamailio"}
	silent = time.monotonic()
	r.shows(a="in", b="in", slow="in", mortal="asleep")
	asked = slow.heard("kamailio", silent)
	at = [q.at for q in mortal.heard("kamailio", silent)]
	assert at and not [x for x in at if asked[0].at - 0.5 < x < asked[0].at + 0.1], "only to put it to sleep: {at}, {asked}"
	assert asked, "Kamailio asks all that are in after a reload"
	for node in (slow,):
		last = [a.at for a in node.heard("c4d") if a.at < asked[0].at and a.answered]
		assert asked[0].at - last[-1] < 1.0 + node.late, "its answer was older than a second"
	r.is_converged()
	assert r.count("repairs") == 0


def test_kamailio_s_own_sleep(media, lab):
	"""It puts a node to sleep that answers c4d: woken; when it can't reach it: said, and not asked again and again."""
	node = FakeNg(lab)
	r = media(1, there=True, n1=node)
	r.c4d.start()
	r.is_converged()
	node.deaf = {"kamailio"}
	assert binrpc.get(r.sbc.rpc("rtpengine.ping", node.url, timeout=10)[0], "status") == "fail"
	assert shown(r.sbc)[0, node.url] == "asleep"
	# c4d tries once; Kamailio waits for the node with all its RPCs
	r.failed("does not wake", node.url, "Kamailio gets no answer from it", name="sbc/rtpengine/0", timeout=8)
	assert r.row(node)["actual"] == "asleep" and r.row(node)["ping"] == "alive"
	asked = len(node.heard("kamailio"))
	holds(lambda: len(node.heard("kamailio")) == asked, 4, "it is not asked again at once")
	node.deaf = set()
	assert r.c4d.ctl("resync", "sbc/rtpengine/0").rc in (0, 1)
	r.shows(a="in", n1="in", timeout=8)
	r.c4d.wait_log(f"Kamailio had put {re.escape(node.url)} to sleep; it answers and is woken")
	r.is_converged()


def test_one_that_leaves_with_calls(media, lab):
	"""Calls of a node that is drained and then gone: each BYE is handled; its row goes when it has no sessions any more."""
	over = {"services": {"rtp": {"remove_hold": "1s", "max_shrink": 100}}}
	r = media(2, there=True, over=over)
	carrier = Uas(lab)
	r.sbc.write_list([f"1 sip:{carrier.addr} 16"])
	r.consul.register("router", carrier.ip, carrier.port)
	r.c4d.start()
	r.is_converged()
	r.is_converged("sbc/1")
	calls = Uac(lab, r.sbc.addr, rate=10, count=80, hold_ms=12000)
	until(lambda: r.a.sessions() > 5 and r.b.sessions() > 5, 10, "both have calls")
	got = r.c4d.ctl("drain", f"{r.a.ip}:{r.a.port}", "--timeout", "10m", timeout=15)
	assert got.rc == 0, (got.out, got.err)
	assert shown(r.sbc)[0, r.a.url] == "out", "true when it says so"
	had = r.a.sessions()
	until(lambda: r.b.sessions() > 30, 15, "calls go to the other one")
	assert r.a.sessions() <= had, "no new calls"
	assert r.row(r.a)["desired"] == "disabled" and r.row(r.a)["sessions"] > 0
	# and now it leaves altogether
	r.gone(r.a.url)
	until(lambda: r.row(r.a)["desired"] == "leaving", 10, lambda: f"it leaves: {r.c4d.show('rtpengine')}")
	assert r.a.sessions() > 0 and (0, r.a.url) in table(r.sbc)
	calls.ok()
	until(lambda: r.a.sessions() == 0, 10, "no calls left")
	r.shows(b="in", timeout=WINDOW + 5)
	assert set(table(r.sbc)) == {(0, r.b.url)}
	assert r.sbc.media_errors() == []
	r.is_converged()


QUIRKS = b"""id(int,auto) setid(int) url(string) weight(int) disabled(int) stamp(int)
1:0:udp\\:%(a)s:1:0:0
1:0:udp\\:%(a)s:1:0:0
2:0: udp\\:192.0.2.1\\:22222 :1:1:0
3:0:UDP\\:192.0.2.2\\:22222:10000:1:0
4:0:192.0.2.3\\:22222:1:1:0
5:0:udp\\:192.0.2.4:0:1:0
7:7:udp\\:192.0.2.5\\:22222:1:1:99"""


def test_a_table_with_quirks_is_no_endless_difference(media):
	"""Duplicates, blanks, urls that Kamailio ignores and c4d can't ask, and a last line without newline; then a node comes."""
	r = media(2)
	path = os.path.join(r.sbc.tables, "rtpengine")
	with open(path, "wb") as f:
		f.write(QUIRKS % {b"a": f"{r.a.ip}\\:{r.a.port}".encode()})
	r.sbc.restart()
	there = {k: v for k, v in shown(r.sbc).items() if k != (0, r.a.url)}
	assert (0, "udp:192.0.2.1:22222") in there and (0, "192.0.2.3:22222") not in there, there
	r.add_nodes(r.a)
	r.c4d.start()
	r.is_converged()
	assert r.count("reloads") == 0
	r.add_nodes(r.b)
	r.shows(a="in", b="in", rows={**there, (7, "udp:192.0.2.5:22222"): "out"}, timeout=WINDOW + 8)
	r.is_converged()
	passes, reloads, writes = r.count("faults"), r.count("reloads"), r.count("file_writes")
	holds(lambda: (r.count("reloads"), r.count("file_writes"), r.count("faults")) == (reloads, writes, passes), 3, "it is quiet")
	assert r.target("sbc/rtpengine/0")["state"] == "converged"
	assert "7:7:udp\\:192.0.2.5\\:22222:1:1:99\n" in open(path).read()
	assert {row["desired"] for row in r.c4d.show("rtpengine")} == {"active", "adopted"}


@pytest.mark.parametrize("how", ["db_mode", "db_url", "module"])
def test_a_kamailio_configured_otherwise(media, how):
	"""The modparam that is missing is named."""
	def edit(text):
		if how == "db_mode":
			return text.replace('modparam("db_text", "db_mode", 1)\n', "")
		if how == "db_url":
			return text.replace('modparam("rtpengine", "db_url", "text://TABLES")\n', 'modparam("rtpengine", "rtpengine_sock", "udp:192.0.2.1:9")\n')
		text = re.sub(r'modparam\("rtpengine".*\n', "", text).replace('loadmodule "rtpengine.so"\n', "")
		return text.replace('rtpengine_manage("replace-origin replace-session-connection")', "is_method(\"INVITE\")")
	r = media(1, edit=edit, there=how == "module")
	r.add_nodes(r.a)
	r.c4d.start()
	if how == "module":
		r.failed("rtpengine.show", "is rtpengine.so loaded?", name="sbc/rtpengine/0")
		return
	if how == "db_url":
		r.failed("No Database URL", 'modparam("rtpengine", "db_url"', r.sbc.tables, name="sbc/rtpengine/0")
		return
	r.failed("said Ok to rtpengine.reload but does not hold", 'modparam("db_text", "db_mode", 1)', r.sbc.tables, name="sbc/rtpengine/0",
		timeout=WINDOW + 5)
	assert 'modparam("db_text", "db_mode", 1)' in " ".join(r.c4d.ctl("status").out.split())


def test_plan_and_reloads_of_the_configuration(media, lab):
	"""c4d plan writes nothing; a section that comes, changes and goes loses no row."""
	r = media(2, there=True)
	late = FakeNg(lab)
	r.late = late
	r.add_nodes(late)
	before = open(os.path.join(r.sbc.tables, "rtpengine")).read()
	plan = r.c4d.plan()
	assert plan.rc == 1, plan
	rows = [line.split() for line in plan.out.splitlines() if late.url in line]
	assert {(w[1], w[2]) for w in rows} == {("kamailio", "add"), ("file", "add")}, plan.out
	assert not any(r.a.url in line for line in plan.out.splitlines()), plan.out
	assert all(len(line) <= 80 for line in plan.out.splitlines())
	assert open(os.path.join(r.sbc.tables, "rtpengine")).read() == before
	assert sorted(os.listdir(r.sbc.tables)) == ["rtpengine", "version"], "not even a lock"
	r.c4d.start()
	r.shows(a="in", b="in", late="in")
	r.is_converged()
	assert r.c4d.plan().rc == 0
	assert r.c4d.ctl("diff", "sbc/rtpengine/0").rc == 0
	log = len(r.c4d.log())

	def reload(over):
		r.c4d.write(merge(r.conf, over))
		assert r.c4d.ctl("reload").rc == 0
		if "sbc/rtpengine/0" in r.c4d.targets():
			r.is_converged()
	reload({"services": {"rtp": {"interval": "150ms"}}})
	reload({"kamailio": {"sbc": {"poll": "300ms"}}})
	reload({"kamailio": {"sbc": {"rtpengine": None}}})
	assert "sbc/rtpengine/0" not in r.c4d.targets()
	r.out(r.a.url)
	holds(lambda: shown(r.sbc)[0, r.a.url] == "in", 0.5, "nobody minds it")
	reload({})
	r.shows(a="out", b="in", late="in", timeout=3)
	r.out(r.a.url, False)
	r.shows(a="in", b="in", late="in", timeout=3)
	assert r.count("reloads") == 0 and "somebody changed" not in r.c4d.log()[log:]


def test_several_kamailios_share_the_nodes(media, lab, consul):
	"""Each has its own target; one that hangs is its own trouble."""
	r = media(2, there=True)
	two = MediaSbc(lab, "two", probing=False, reload_delta=1)
	two.write_nodes([(0, r.a.url, 1, 0), (0, r.b.url, 1, 0)])
	two.start()
	section = merge(r.conf["kamailio"]["sbc"], {"binrpc": two.ctl, "list_file": two.list_file, "tables": two.tables, "timeout": "500ms"})
	r.conf["kamailio"]["two"] = section
	r.c4d.write(r.conf)
	r.c4d.start()
	r.is_converged()
	r.is_converged("two/rtpengine/0")
	two.pause()
	r.a.pause()
	r.shows(a="asleep", b="in", timeout=3)
	until(lambda: table(two)[0, r.a.url] == (1, 1), 5, "the other's file too")
	assert r.target("two/rtpengine/0")["state"] in ("unreachable", "pending")
	two.resume()
	r.shows(a="asleep", b="in", timeout=5, sbc=two)
	r.a.resume()
	r.shows(a="in", b="in", timeout=5, sbc=two)
	r.shows(a="in", b="in", timeout=5)
