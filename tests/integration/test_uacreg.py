"""Carrier registrations: the target uacreg, its endpoint, and the routing data's domains; a registrar and Kamailio itself are the judges."""
import os
import time

import pytest

from lab import holds, merge, until
from lab.carrier import Registrar, UacKamailio
from lab.fake_binrpc import Middle
from lab.routing import TENANT, Api, load, small

pytestmark = pytest.mark.both_kamailios
V4 = ("id l_uuid l_username l_domain r_username r_domain realm auth_username auth_password auth_ha1 auth_proxy expires flags "
	"reg_delay socket").split()
V5 = V4[:-1] + ["contact_addr", "socket"]
STOCK = " ".join(c + {"id": "(int,auto)", "expires": "(int)", "flags": "(int)", "reg_delay": "(int)"}.get(c, "(string)") for c in V5) + " \n"
C4 = ("l_uuid(string) l_username(string) l_domain(string) r_username(string) r_domain(string) realm(string) auth_username(string) "
	"auth_password(string) auth_proxy(string) expires(int) flags(int) reg_delay(int) socket(string)\n")
PASSWORD = "pa:ss w%rd'&;|<>ü"
HASH = "0123456789abcdef" * 12


def trunk(n, carrier=None, **over):
	made = {"id": n, "tenant_uuid": TENANT, "carrier_id": 1, "name": f"trunk{n}", "sip_proxy": "10.9.0.1", "registered": True,
		"auth_username": f"user{n}", "auth_password": PASSWORD, "realm": "carrier.example", "from_domain": "from.example",
		"expire_seconds": 60}
	if carrier is not None:
		made["registrar_proxy"] = carrier.addr
	made.update(over)
	return made


def doc(*trunks, **over):
	return small(carrier_trunks=list(trunks), dids=[], **over)


class Box:
	"""c4d and one Kamailio that registers."""

	def __init__(self, lab, make_c4d, kam, **uac):
		self.lab, self.kam = lab, kam
		self.conf = {"consul": {"dns": [f"{lab.ip()}:8600"], "http": f"http://{lab.ip()}:8500"}, "kamailio": {"uac": {
			"binrpc": kam.ctl, "tables": kam.dir, "poll": "200ms", "uacreg": {"enabled": True, **uac}}}}
		self.c4d = make_c4d(self.conf)

	def start(self):
		self.c4d.start("-d")  # whatever is logged has no password
		return self

	def load(self, *trunks, **over):
		got = load(self.c4d, doc(*trunks, **over))
		assert got.rc == 0, (got.out, got.err)

	def target(self, name="uac/uacreg"):
		return self.c4d.targets()[name]

	def has(self, *uuids, timeout=15):
		until(lambda: set(self.kam.registrations()) == set(uuids), timeout, lambda: f"Kamailio has {uuids}, not "
			f"{list(self.kam.registrations())}: {self.target()}\n{self.kam.read('uacreg')}\n{self.kam.proc.log_tail()}")

	def state(self, *states, text="", timeout=12):
		until(lambda: self.target()["state"] in states and text in (self.target()["last_error"] or ""), timeout,
			lambda: f"{states} {text}: {self.target()}\n{self.c4d.proc.log_tail()}")
		return self.target()

	def count(self, key):
		return self.c4d.ctl("status", fmt="json").data["kamailio"][0][key]

	def shown(self):
		return {r["l_uuid"]: r for r in self.c4d.show("uacreg")}

	def anew(self):
		"""c4d knows of no window after its restart; Kamailio's own, of 1 s in those tests, is over."""
		self.state("converged")
		self.c4d.restart()
		self.state("converged")

	def says_nothing(self, *secrets):
		"""No log, show or diff has any of them."""
		said = self.c4d.log() + "".join(self.c4d.ctl(*w.split(), fmt=f).out for f in (None, "json") for w in
			("show uacreg", "show targets", "diff", "status", "show routing", "show config"))
		for s in secrets:
			assert s not in said


@pytest.fixture
def box(lab, make_c4d):
	def make(kam=None, **uac):
		return Box(lab, make_c4d, kam or UacKamailio(lab, table=STOCK).start(), **uac)
	make.lab = lab
	return make


def is_registered(registrar, user, timeout=15):
	return until(lambda: registrar.right(user), timeout, lambda: f"{user} registers with the right password: {registrar.seen}")[-1]


# ---- the target ----

def test_a_trunk_registers_and_is_gone_when_it_is_removed(lab, box):
	reg = Registrar(lab, {"user1": PASSWORD, "user2": "two"})
	b = box(UacKamailio(lab, table=STOCK, gc=2, delta=1).start()).start()
	assert b.state("pending", text="no routing data")["last_error"]
	assert b.kam.read("uacreg") == STOCK  # not touched
	b.load(trunk(1, reg), trunk(2, reg, auth_password="two", realm=None, from_domain=None), trunk(3, registered=False))
	b.has("1", "2")
	got = is_registered(reg, "user1")
	assert got.uri == "sip:from.example" and "<sip:user1@from.example>" in got.to and got.expires == 60
	assert got.contact == f"<sip:1@{b.kam.addr}>"
	assert is_registered(reg, "user2").uri == f"sip:{reg.ip}"
	b.state("converged")
	until(lambda: b.shown()["1"]["actual"] == "registered" and b.shown()["1"]["expires_s"] > 0, 15, lambda: str(b.shown()))
	assert b.shown()["1"]["desired"] == "active" and b.shown()["1"]["proxy"] == f"sip:{reg.addr}"
	assert b.count("reloads") == 1
	b.says_nothing(PASSWORD, "two\"")
	# c4d knows of no window after its restart, and Kamailio's, of 2 s here, is soon over
	b.c4d.restart()
	b.state("converged")
	assert b.count("reloads") == 0
	b.load(trunk(2, reg, auth_password="two", realm=None, from_domain=None))
	b.has("2")
	b.state("converged")
	assert set(b.shown()) == {"2"} and "user1" not in b.kam.read("uacreg")


def ended(registrar, user):
	"""The Registers that ended a registration of this user's, with the right password."""
	return [r for r in registrar.right(user) if r.expires == 0]


def test_who_is_taken_out_is_unregistered_at_once_and_may_come_back(lab, box):
	"""Kamailio forgets what a reload leaves out without a word to the carrier; and its window may take minutes."""
	reg = Registrar(lab, {"user1": PASSWORD, "user2": PASSWORD})
	b = box().start()
	b.load(trunk(1, reg), trunk(2, reg))
	b.state("converged")
	until(lambda: len(reg.bound) == 2 and b.shown()["1"]["actual"] == "registered", 15, lambda: str(b.shown()))
	b.load(trunk(2, reg))
	until(lambda: reg.bound["user1"] == set(), 5, lambda: f"it ends at the carrier at once: {reg.seen} {b.target()}")
	assert len(ended(reg, "user1")) == 1 and reg.bound["user2"]
	b.state("window")
	until(lambda: b.shown()["1"]["actual"] == "disabled", 5, lambda: str(b.shown()))
	seen = len(reg.right("user1"))
	holds(lambda: len(reg.right("user1")) == seen and b.target()["state"] == "window", 3, "it stays so", every=0.3)
	b.load(trunk(1, reg), trunk(2, reg))  # a mistake: it comes back without waiting for the window
	until(lambda: reg.bound["user1"], 5, lambda: f"it registers again: {b.target()} {b.kam.registrations()}")
	b.state("converged")
	assert b.count("reloads") == 1 and b.count("faults") == 0 and b.kam.registrations()["1"]["expires"] == 60
	b.says_nothing(PASSWORD)


def test_no_reload_before_the_carrier_has_ended_it(lab, box):
	"""The answer to its challenge is made of the row that the reload takes away."""
	reg = Registrar(lab, {"user1": PASSWORD, "user2": PASSWORD})
	b = box(UacKamailio(lab, table=STOCK, gc=1, delta=1).start()).start()
	b.load(trunk(1, reg), trunk(2, reg))
	until(lambda: len(reg.bound) == 2, 15, lambda: str(b.kam.registrations()))
	b.state("converged")
	until(lambda: not any(r["flags"] & 10 for r in b.kam.registrations().values()), 5, "nothing is on its way")
	b.anew()
	reg.late = 0.4
	b.load(trunk(2, reg))
	b.has("2")
	b.state("converged")
	assert reg.bound["user1"] == set() and len(ended(reg, "user1")) == 1
	assert b.count("reloads") == 1


def test_a_carrier_that_says_nothing_keeps_no_reload_waiting(lab, box):
	reg = Registrar(lab, {"user1": PASSWORD})
	b = box(UacKamailio(lab, table=STOCK, gc=1, delta=1).start()).start()
	b.load(trunk(1, reg))
	until(lambda: reg.bound, 15, lambda: str(b.kam.registrations()))
	b.state("converged")
	b.anew()
	reg.close()
	b.load()
	began = time.monotonic()
	b.has()
	assert 2.5 < time.monotonic() - began < 8
	b.state("converged")
	assert "have no answer to their unregistration" in b.c4d.log()


def test_a_kamailio_that_does_not_unregister(lab, box):
	"""It is said, and keeps nothing from being done."""
	reg = Registrar(lab, {"user1": PASSWORD, "user2": PASSWORD, "user3": PASSWORD})
	kam = UacKamailio(lab, table=STOCK, gc=1, delta=1).start()
	middle = Middle(lab, kam.ctl)
	b = box(kam)
	b.c4d.write(merge(b.conf, {"kamailio": {"uac": {"binrpc": middle.addr}}}))
	b.start()
	b.load(trunk(1, reg), trunk(2, reg))
	until(lambda: len(reg.bound) == 2, 15, lambda: str(kam.registrations()))
	b.anew()
	middle.refused = ("uac.reg_unregister", "uac.reg_refresh")
	b.load(trunk(2, reg))
	b.has("2", timeout=5)
	b.state("converged")
	assert "Kamailio does not unregister 1 (command uac.reg_unregister not found): its registration ends by itself" in b.c4d.log()
	assert reg.bound["user1"] and b.count("faults") == 1
	b.anew()
	middle.refused = ("uac.reg_refresh",)
	b.load(trunk(2, reg, auth_username="user3"))
	b.state("converged")
	until(lambda: reg.bound.get("user3"), 10, lambda: f"by a reload: {reg.seen}")
	assert "uac.reg_refresh of 2 refused (command uac.reg_refresh not found): it registers again after the next reload" in b.c4d.log()
	assert reg.bound["user2"] == set() and b.count("reloads") == 1


def test_who_registers_elsewhere_leaves_where_it_was(lab, box):
	"""Another registrar, another account, another contact; but a new password is none of these."""
	old, new = (Registrar(lab, {"user1": PASSWORD, "other": PASSWORD, "changed": "new"}) for _ in range(2))
	b = box(UacKamailio(lab, table=STOCK, gc=1, delta=1).start()).start()
	b.load(trunk(1, old))
	until(lambda: old.bound, 15, lambda: str(b.kam.registrations()))
	b.anew()
	b.load(trunk(1, new))
	until(lambda: new.bound and old.bound["user1"] == set(), 10, lambda: f"another registrar: {old.seen} {new.seen} {b.target()}")
	b.anew()
	b.load(trunk(1, new, auth_username="other"))
	until(lambda: new.bound.get("other") and new.bound["user1"] == set(), 10, lambda: f"another account: {new.seen} {b.target()}")
	b.anew()
	was = next(iter(new.bound["other"]))
	b.c4d.write(merge(b.conf, {"kamailio": {"uac": {"uacreg": {"contact_addr": "192.0.2.1:5070"}}}}))
	assert b.c4d.ctl("reload").rc == 0
	until(lambda: new.bound["other"] == {"<sip:1@192.0.2.1:5070>"}, 10, lambda: f"another contact than {was}: {new.seen} {b.target()}")
	b.anew()
	gone = len([r for r in new.seen if r.expires == 0])
	new.passwords["other"] = "new"
	b.load(trunk(1, new, auth_username="other", auth_password="new"))
	until(lambda: b.kam.registrations()["1"]["auth_password"] == "new" and new.right("other")[-1].expires, 10, "the new password")
	b.state("converged")
	assert len([r for r in new.seen if r.expires == 0]) == gone


def test_many_leave_one_after_the_other(lab, box):
	"""Kamailio keeps each of its requests for seconds: all at once they would take its memory."""
	reg = Registrar(lab, {f"user{n}": PASSWORD for n in range(1, 101)})
	b = box(UacKamailio(lab, table=STOCK, gc=1, delta=1).start()).start()
	b.load(*(trunk(n, reg, expire_seconds=600) for n in range(1, 101)))
	until(lambda: len(reg.bound) == 100, 60, lambda: f"all register: {len(reg.bound)}")
	b.anew()
	b.load(trunk(7, reg, expire_seconds=600))
	b.has("7", timeout=60)
	left = [u for u, c in reg.bound.items() if c and u != "user7"]
	assert not left, {u: [r.expires for r in reg.seen if r.username == u] for u in left}
	gone = [r.at for r in reg.seen if r.expires == 0]
	assert len(gone) == 99 and gone[-1] - gone[0] > 1.4, gone
	assert "have no answer" not in b.c4d.log()


def test_file_is_not_for_everybody(lab, box):
	b = box(UacKamailio(lab).start()).start()
	b.load(trunk(1))
	b.has("1")
	assert os.stat(b.kam.path("uacreg")).st_mode & 0o777 == 0o640


def test_a_file_that_everybody_could_read_is_no_longer_for_everybody(lab, box):
	"""The stock one is; and whatever makes it so later, without a change in it."""
	kam = UacKamailio(lab, table=STOCK)
	os.chmod(kam.path("uacreg"), 0o644)
	b = box(kam.start()).start()
	b.load(trunk(1))
	b.has("1")
	assert os.stat(kam.path("uacreg")).st_mode & 0o777 == 0o640
	assert os.stat(kam.path("version")).st_mode & 0o004
	b.state("converged")
	os.chmod(kam.path("uacreg"), 0o664)
	until(lambda: os.stat(kam.path("uacreg")).st_mode & 0o777 == 0o640, 25, "made so again")
	assert b.state("converged") and b.count("reloads") == 1


def test_a_second_change_waits_for_the_window_with_the_newest_state(lab, box):
	b = box().start()
	b.load(trunk(1))
	b.has("1")
	b.state("converged")
	b.load(trunk(1), trunk(2))
	row = b.state("window")
	full = 150000 if b.kam.version == "5.6" else 30000
	assert full - 15000 < row["window_ms"] <= full and row["pending"] == 1
	b.load(trunk(1), trunk(3, auth_password="other"))
	until(lambda: "user3" in b.kam.read("uacreg"), 10, "the file is right before the window opens")
	holds(lambda: set(b.kam.registrations()) == {"1"}, 2, "no reload before the window opens", every=0.3)
	diff = b.c4d.ctl("diff", fmt="json").data
	assert {(d["op"], d["item"]) for d in diff if d["where"] == "kamailio"} == {("add", "3")}, diff
	assert b.count("faults") == 0 and b.count("reloads") == 1
	if b.kam.version == "6.0":  # 5.6's takes 150 s
		b.has("1", "3", timeout=45)
		b.state("converged")
		assert b.count("reloads") == 2 and b.count("faults") == 0


def test_a_refused_reload_is_tried_until_it_is_taken(lab, box):
	"""Somebody else's reload opened a window that c4d knows nothing of."""
	kam = UacKamailio(lab, table=STOCK, gc=6, delta=6).start()
	b = box(kam).start()
	b.state("pending")
	kam.rpc("uac.reg_reload")
	b.load(trunk(1))
	until(lambda: b.count("faults") == 1, 10, "refused once")
	assert b.target()["state"] == "window" and b.target()["window_ms"] <= 5000
	b.has("1", timeout=20)
	b.state("converged")
	assert b.count("reloads") == 1


def test_a_changed_password_is_given_to_kamailio_and_shown_by_name_only(lab, box):
	b = box().start()
	b.load(trunk(1))
	b.has("1")
	b.state("converged")
	b.load(trunk(1, auth_password="another", expire_seconds=90))
	b.state("window")
	diff = [d for d in b.c4d.ctl("diff", fmt="json").data if d["where"] == "kamailio"]
	assert [(d["op"], d["item"]) for d in diff] == [("change", "1")]
	assert "auth_password" in diff[0]["detail"] and "expires 60 -> 90" in diff[0]["detail"]
	b.says_nothing("another", PASSWORD)
	if b.kam.version == "6.0":
		until(lambda: b.kam.registrations()["1"]["auth_password"] == "another", 45, "the new one is in force")


def test_a_longer_interval_of_the_registrar_is_no_difference(lab, box):
	reg = Registrar(lab, {"user1": PASSWORD}, min_expires=300)
	b = box(contact_addr="192.0.2.1:5070").start()
	b.load(trunk(1, reg))
	until(lambda: b.kam.registrations().get("1", {}).get("expires") == 300, 15, "Kamailio took what the registrar wants")
	assert is_registered(reg, "user1").contact == "<sip:1@192.0.2.1:5070>"
	b.c4d.ctl("resync")
	holds(lambda: b.c4d.converged(), 2, "no difference", every=0.3)
	assert b.count("reloads") == 1


def test_a_contact_that_is_configured_or_no_longer_is_a_change(lab, box):
	b = box(UacKamailio(lab, table=STOCK, gc=1, delta=1).start()).start()
	b.load(trunk(1))
	b.has("1")
	b.state("converged")
	for contact in ("192.0.2.1:5070", None):
		b.c4d.write(merge(b.conf, {"kamailio": {"uac": {"uacreg": {"contact_addr": contact}}}}))
		assert b.c4d.ctl("reload").rc == 0
		until(lambda: b.kam.registrations().get("1", {}).get("contact_addr") == (contact or b.kam.addr), 20,
			lambda: f"{contact}: {b.kam.registrations()} {b.target()}")
		b.state("converged")


@pytest.mark.parametrize("header,row", [(STOCK, 4), (C4, 4), (None, 5)], ids=["stock", "c4", "none"])
def test_tables_of_before_are_made_fit(lab, box, header, row):
	"""Version rows that this Kamailio refuses, columns that it lacks, fields that may not be empty: it would load nothing."""
	b = box(UacKamailio(lab, table=header, version_row=row).start()).start()
	b.load(trunk(1))
	b.has("1")
	b.state("converged")
	assert "uacreg:5" in b.kam.read("version")
	b.kam.restart()
	b.has("1")
	b.state("converged")
	assert b.count("reloads") == 1


def test_what_c4d_did_not_write_stays_when_it_is_not_exclusive(lab, box):
	theirs = STOCK.replace("(string)", "(string,null)").replace("l_uuid(string,null)", "l_uuid(string)") + \
		"7:theirs:u:d.example:u:d.example::u:secret7::sip\\:10.1.1.1:60:16:0::\n"
	b = box(UacKamailio(lab, table=theirs).start(), exclusive=False).start()
	b.load(trunk(1))
	b.has("1", "theirs")
	b.state("converged")
	assert b.shown()["theirs"]["desired"] == "foreign"
	b.load()
	row = b.state("window")
	assert row["pending"] == 1
	until(lambda: "user1" not in b.kam.read("uacreg"), 10, "no trunk registers any more")
	assert "theirs:u:d.example" in b.kam.read("uacreg")
	b.says_nothing("secret7")


def test_a_trunk_that_cannot_register_is_named_and_the_others_do(lab, box):
	b = box().start()
	b.load(trunk(1), trunk(2, auth_password=HASH))
	b.has("1")
	row = b.state("failed", text="trunk 2 (trunk2)")
	assert "hash" in row["last_error"]
	b.load(trunk(1, auth_password=HASH))  # what was there goes on
	b.state("failed", text="trunk 1 (trunk1)")
	holds(lambda: set(b.kam.registrations()) == {"1"}, 2, "kept", every=0.3)
	assert "user1" in b.kam.read("uacreg")
	b.says_nothing(HASH)


def test_a_thousand_trunks(box):
	b = box().start()
	b.load(*(trunk(n) for n in range(1, 1001)))
	until(lambda: len(b.kam.registrations()) == 1000, 20, lambda: f"all are there: {b.target()}")
	b.state("converged")
	assert b.count("reloads") == 1 and len(b.shown()) == 1000


def test_a_document_without_registered_trunks_takes_them_all(box):
	"""It was checked as a whole, so it is meant."""
	b = box(UacKamailio(box.lab, table=STOCK, gc=1, delta=1).start()).start()
	b.load(trunk(1), trunk(2))
	b.has("1", "2")
	b.c4d.restart()
	b.load(trunk(1, registered=False))
	b.has()
	b.state("converged")
	assert b.kam.read("uacreg").count("\n") == 1


def test_a_restarted_kamailio_comes_up_right_without_c4d(lab, box):
	reg = Registrar(lab, {"user1": PASSWORD})
	b = box().start()
	b.load(trunk(1, reg))
	b.has("1")
	b.c4d.stop()
	reg.seen.clear()
	b.kam.restart()
	until(lambda: set(b.kam.registrations()) == {"1"}, 10, "from the file alone")
	is_registered(reg, "user1")


def test_a_kamailio_without_the_module_is_said(lab, box):
	kam = UacKamailio(lab, table=STOCK)
	kam.text = kam.text.replace('loadmodule "uac.so"\n', "")
	kam.text = "\n".join(x for x in kam.text.split("\n") if '"uac"' not in x)
	b = box(kam.start()).start()
	b.load(trunk(1))
	b.state("failed", text="uac.reg_dump")


# ---- the endpoint ----

@pytest.fixture
def api(make_c4d, plain):
	def make(**conf):
		c = make_c4d(merge(plain, conf)).start()
		return c, Api(c)
	return make


def table(answer):
	assert answer.status == 200, (answer.status, answer.body)
	assert set(answer.json) == {"content"}
	return answer.json["content"]


URL = "/1.0/kamailio/dbtext/uacreg"


def columns(text):
	return [c.split("(")[0] for c in text.split("\n")[0].split()]


def test_defect_11_the_columns_are_those_that_the_table_version_wants(lab, api):
	"""15 for version 4, 16 for version 5, and ids that are unique."""
	kam = UacKamailio(lab, version_row=4)
	c, a = api(kamailio={"uac": {"binrpc": kam.ctl, "tables": kam.dir, "domain": {"routing": True}}})
	assert a.ask("GET", URL).status == 503
	assert load(c, doc(trunk(1), trunk(2, registered=False), trunk(7))).rc == 0
	for version, want in ((4, V4), (5, V5)):
		text = table(a.ask("GET", f"{URL}?version={version}"))
		assert columns(text) == want
		rows = [r.split(":", 2)[:2] for r in text.split("\n")[1:-1]]
		assert rows == [["1", "1"], ["2", "7"]] and text.endswith("\n")
	assert columns(table(a.ask("GET", URL))) == V4  # its version table says so
	kam.write("version", kam.VERSION.format(5))
	assert columns(table(a.ask("GET", URL))) == V5
	os.unlink(kam.path("version"))
	assert columns(table(a.ask("GET", URL))) == V5
	for bad in ("3", "6", "", "x"):
		assert a.ask("GET", f"{URL}?version={bad}").status == 422
	assert a.ask("POST", URL).status == 405


@pytest.mark.parametrize("bad", ['a"b', "a$(id)b", "a`id`b", "a\\b", HASH], ids=["quote", "dollar", "backtick", "backslash", "hash"])
def test_no_answer_that_a_shell_could_execute(api, bad):
	c, a = api()
	assert load(c, doc(trunk(1), trunk(2, auth_password=bad))).rc == 0
	answer = a.ask("GET", URL)
	assert answer.status == 409 and "carrier trunk 2 (trunk2)" in answer.json["detail"]
	assert bad not in answer.body.decode() and bad not in c.log()
	assert load(c, doc(trunk(1), trunk(2, auth_password=bad, registered=False))).rc == 0
	table(a.ask("GET", URL))


def test_no_answer_that_kamailio_cannot_hold(api):
	c, a = api()
	for n in range(1, 400):
		if n % 20:
			continue
		assert load(c, doc(*(trunk(i) for i in range(1, n + 1)))).rc == 0
		answer = a.ask("GET", URL)
		if answer.status != 200:
			break
		assert len(answer.body) <= 8191
	assert answer.status == 409 and "8191" in answer.json["detail"] and n > 20, (n, answer.body)


def test_the_answer_is_what_kamailio_loads(lab, api):
	"""As the C4 systems do: written by a shell's echo into the directory of a real Kamailio."""
	reg = Registrar(lab, {"user1": "pa:ss w%rd'&;|<>"})
	c, a = api()
	assert load(c, doc(trunk(1, reg, auth_password="pa:ss w%rd'&;|<>", realm=None))).rc == 0
	text = table(a.ask("GET", f"{URL}?version=5"))
	kam = UacKamailio(lab)
	assert os.system(f'echo "{text}" > {kam.path("uacreg")}') == 0
	kam.start()
	until(lambda: set(kam.registrations()) == {"1"}, 10, lambda: f"Kamailio has it\n{kam.proc.log_tail()}")
	is_registered(reg, "user1")


def test_the_15_columns_are_a_table_to_kamailio(lab, api):
	"""Its uac wants 16, so it loads none of version 4's; but db_text reads the table."""
	c, a = api()
	assert load(c, doc(trunk(1))).rc == 0
	kam = UacKamailio(lab, table=table(a.ask("GET", f"{URL}?version=4")), version_row=4)
	kam.start()
	lines = kam.rpc("db_text.query", "select l_uuid,auth_password,socket from uacreg")
	assert any(PASSWORD.split(":", maxsplit=1)[0] in str(x) for x in lines), lines


# ---- domains ----

def test_domains_of_the_routing_data(lab, make_c4d, plain):
	kam = UacKamailio(lab, table=STOCK).start()
	c = make_c4d({**plain, "kamailio": {"uac": {
		"binrpc": kam.ctl, "tables": kam.dir, "poll": "200ms", "domain": {"routing": True, "names": ["fixed.example"]}}}}).start()
	until(lambda: kam.domains() == ["fixed.example"], 10, lambda: str(c.targets()))
	one = {"id": 1, "tenant_uuid": TENANT, "domain": "One.Example"}
	assert load(c, small(domains=[one, {**one, "id": 2, "domain": "2001:db8::1"}], ipbxs=[], dids=[])).rc == 0
	until(lambda: kam.domains() == ["[2001:db8::1]", "fixed.example", "one.example"], 10, lambda: f"{kam.domains()} {c.targets()}")
	assert load(c, small(domains=[{**one, "id": 2, "domain": "two.example"}], ipbxs=[], dids=[])).rc == 0
	until(lambda: kam.domains() == ["fixed.example", "two.example"], 10, lambda: f"{kam.domains()} {c.targets()}")
	until(c.converged, 10, lambda: str(c.targets()))
