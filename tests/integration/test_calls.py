"""Calls through both sample Kamailios (conf/kamailio), rtpengine and c4d: what the callee sees, what the caller sees, and the CDRs."""
import hashlib
import os
import re
import shutil
import signal
import time

import pytest

from lab import until
from lab.media import SLOW_RELOAD, await_reload, write_nodes
from lab.platform import STOCK, Platform, Sip, document
from lab.routing import OTHER, TENANT

pytestmark = pytest.mark.both_kamailios
DID = "39040123456"
ABROAD = "33123456789"
MEDIA = "audio [media_port] RTP/AVP 0"


class Place:
	"""The platform, with addresses of an IPBX and of two carriers that nobody plays yet, and of a stranger."""

	def __init__(self, lab, consul, make_c4d):
		self.lab = lab
		self.pbx, self.carrier, self.second, self.stranger = (lab.ip() for _ in range(4))
		self.doc = document(f"{self.pbx}:5060", f"{self.carrier}:5060", second=f"{self.second}:5060")
		self.platform = Platform(lab, consul, make_c4d, self.doc).start()
		self.sbc, self.router = self.platform.sbc.addr, self.platform.router.addr
		self.cdrs = self.platform.cdrs

	def play(self, scenario, ip, **values):
		"""A callee."""
		return Sip(self.lab, scenario, ip=ip, port=5060, **{"qop": "", **values})

	def call(self, source, number, scenario="caller", *, at=None, host=None, headers="", **values):
		"""Ann, at an address, calls a number through the SBC."""
		return Sip(self.lab, scenario, at or self.sbc, ip=source, port=self.lab.port(source, 5080), headers=headers,
			**{"media": MEDIA, "from": f'"Ann" <sip:100@{source}>', "to": f"sip:{number}@{host or self.sbc}", **values})

	def no_media(self):
		until(lambda: self.platform.rtp.sessions() == 0, 5, "rtpengine holds no call")


@pytest.fixture
def place(lab, consul, make_c4d):
	return Place(lab, consul, make_c4d)


def credentials(n):
	"""What trunk n's carrier wants."""
	return {"realm": f"carrier{n}.example", "username": f"carrier{n}", "password": f"secret of carrier{n}"}


def uri_of(header):
	return re.search(r"<([^>]*)>", header)[1]


def media_of(message):
	return re.search(r"(?m)^c=IN IP4 (\S+)", message.body)[1]


def callee_saw(callee, frm, to):
	"""All requests that it received have these, and where they came from is not among their headers."""
	for m in callee.messages():
		assert (uri_of(m.get("From")), uri_of(m.get("To"))) == (frm, to), m
		assert m.all("X-Forwarded-For") == [], m


def caller_saw(caller):
	"""All that it received has the From and To that it sent."""
	sent = caller.messages(received=False)[0]
	for m in caller.messages():
		assert m.get("From") == sent.get("From") and uri_of(m.get("To")) == uri_of(sent.get("To")), m
		assert m.cseq == 1 or "BYE" in m.name, m


def cdr_is(cdr, caller, seconds, **more):
	invite = caller.messages(received=False)[0]
	want = {"tenant_uuid": TENANT, "ipbx_id": None, "carrier_trunk_id": None, "source_ip": caller.ip, "source_port": caller.port,
		"call_id": invite.get("Call-ID"), "from_uri": uri_of(invite.get("From")), "to_uri": uri_of(invite.get("To")), **more}
	assert {k: cdr[k] for k in want} == want, cdr
	# whole seconds, from a second's beginning to another's
	assert seconds - 1 <= cdr["duration"] <= seconds + 1, cdr


def test_a_carrier_calls_a_number(place):
	callee = place.play("callee", place.pbx)
	caller = place.call(place.carrier, DID, hold_ms=2000).ok()
	host = place.sbc.split(":")[0]
	frm, to = f"sip:100@{place.carrier}", f"sip:{DID}@{host}"
	invite = callee.got("INVITE")
	assert invite.get("P-Asserted-Identity") == f'"Ann" <{frm}>' and invite.get("From").startswith('"Ann" <')
	assert invite.uri == to, "the number that c4d gives is the one that is called"
	callee_saw(callee, frm, to)
	caller_saw(caller)
	assert caller.names()[-2:] == ["200 INVITE", "200 BYE"] and callee.names() == ["INVITE", "ACK", "BYE"]
	assert media_of(invite) == media_of(caller.got("200 INVITE")) == place.platform.rtp.ip
	[cdr] = place.cdrs()
	cdr_is(cdr, caller, 2, carrier_trunk_id=1)
	place.no_media()


def test_a_domain_is_called(place):
	callee = place.play("callee", place.pbx)
	caller = place.call(place.carrier, "bob", host="sip.fabrikam.com").ok()
	assert callee.got("INVITE").uri == "sip:bob@sip.fabrikam.com"
	callee_saw(callee, f"sip:100@{place.carrier}", "sip:bob@sip.fabrikam.com")
	caller_saw(caller)
	cdr_is(place.cdrs()[0], caller, 0, carrier_trunk_id=1)


@pytest.mark.parametrize("callee", ["the IPBX", "a carrier with credentials"])
def test_the_callee_hangs_up(place, callee):
	if callee == "the IPBX":
		callee = place.play("callee_hangs_up", place.pbx, hold_ms=1000)
		caller = place.call(place.carrier, DID, "caller_waits").ok()
	else:
		callee = place.play("carrier407_hangs_up", place.carrier, hold_ms=1000, **credentials(1))
		caller = place.call(place.pbx, ABROAD, "caller_waits").ok()
	bye, invite = caller.got("BYE"), caller.messages(received=False)[0]
	assert uri_of(bye.get("From")) == uri_of(invite.get("To")) and uri_of(bye.get("To")) == uri_of(invite.get("From"))
	callee.got("200 BYE")
	callee.ok_so_far()
	cdr_is(place.cdrs()[0], caller, 1, **({"carrier_trunk_id": 1} if caller.ip == place.carrier else {"ipbx_id": 1}))
	place.no_media()


@pytest.mark.parametrize("scenario", ["caller_again", "caller_overtakes"])
def test_a_second_invite_in_the_call(place, scenario):
	"""From and To, the CSeq that a challenge moved, and the media hold in it too, also when it comes before the first one's ACK."""
	carrier = place.play("carrier407_again", place.carrier, **credentials(1))
	caller = place.call(place.pbx, ABROAD, scenario, hold_ms=1000).ok()
	again = carrier.got("INVITE", 2)
	callee_saw(carrier, f"sip:+100@{place.pbx}", f"sip:+{ABROAD}@{place.sbc}")
	assert [(m.name, m.cseq) for m in carrier.messages()][2:] == [("INVITE", 2), ("ACK", 2), ("INVITE", 3), ("ACK", 3), ("BYE", 4)]
	assert media_of(again) == media_of(caller.got("200 INVITE", 1)) == place.platform.rtp.ip
	assert [m.cseq for m in caller.messages() if m.name == "200 INVITE"] == [1, 2]
	cdr_is(place.cdrs()[0], caller, 1, ipbx_id=1)
	place.no_media()


def test_the_caller_gives_up(place):
	callee = place.play("callee_rings", place.pbx)
	caller = place.call(place.carrier, DID, "caller_cancels").ok()
	callee.got("CANCEL")
	callee.got("ACK")
	callee_saw(callee, f"sip:100@{place.carrier}", f"sip:{DID}@{place.sbc.split(':')[0]}")
	caller_saw(caller)
	place.no_media()
	assert place.cdrs(0) == []


def is_right(invite, header, n):
	"""Its digest (RFC 2617, without and with qop) is that of trunk n's credentials."""
	given = dict(re.findall(r'(\w+)="?([^",]*)"?', invite.get(header)))
	assert given["username"] == f"carrier{n}" and given["realm"] == f"carrier{n}.example" and given["uri"] == invite.uri, given

	def h(*words):
		return hashlib.md5(":".join(words).encode()).hexdigest()
	ha1, ha2 = h(given["username"], given["realm"], f"secret of carrier{n}"), h("INVITE", given["uri"])
	more = [given[k] for k in ("nc", "cnonce", "qop")] if "qop" in given else []
	assert given["response"] == h(ha1, given["nonce"], *more, ha2), given


@pytest.mark.parametrize("scenario, header, qop", [("carrier407", "Proxy-Authorization", ', qop="auth"'), ("carrier401", "Authorization", "")])
def test_a_carrier_wants_credentials(place, scenario, header, qop):
	carrier = place.play(scenario, place.carrier, qop=qop, **credentials(1))
	caller = place.call(place.pbx, ABROAD, hold_ms=1000).ok()
	first, second = carrier.got("INVITE"), carrier.got("INVITE", 1)
	frm, to = f"sip:+100@{place.pbx}", f"sip:+{ABROAD}@{place.sbc}"
	assert first.get(header) is None
	is_right(second, header, 1)
	for invite in (first, second):
		assert invite.uri == to and invite.get("P-Asserted-Identity") == f'"Ann" <{frm}>', invite
	callee_saw(carrier, frm, to)
	caller_saw(caller)
	# the caller knows nothing of it, and counts on from 1
	assert [(m.name, m.cseq) for m in carrier.messages()] == [("INVITE", 1), ("ACK", 1), ("INVITE", 2), ("ACK", 2), ("BYE", 3)]
	cdr_is(place.cdrs()[0], caller, 1, ipbx_id=1)
	place.no_media()


@pytest.mark.parametrize("first", ["dead", "503", "wrong password"])
def test_the_second_route(place, first):
	"""With credentials of its own; the first costs at most fr_timer."""
	if first == "503":
		refuses = place.play("callee_refuses", place.carrier, code="503")
	elif first == "wrong password":
		refuses = place.play("carrier401", place.carrier, **{**credentials(1), "password": "another"})
	carrier = place.play("carrier407", place.second, **credentials(2))
	begin = time.monotonic()
	caller = place.call(place.pbx, ABROAD, hold_ms=1000).ok()
	assert time.monotonic() - begin < (8 if first == "dead" else 3)
	if first != "dead":
		refuses.got("INVITE")
	frm, to = f"sip:+100@{place.pbx}", f"sip:+{ABROAD}@{place.sbc}"
	second = carrier.got("INVITE", 1)
	assert second.uri == to and second.get("P-Asserted-Identity") == f'"Ann" <{frm}>', second
	is_right(second, "Proxy-Authorization", 2)
	callee_saw(carrier, frm, to)
	caller_saw(caller)
	assert carrier.names() == ["INVITE", "ACK", "INVITE", "ACK", "BYE"]
	cdr_is(place.cdrs()[0], caller, 1, ipbx_id=1)
	place.no_media()


def test_nobody_has_the_number(place):
	caller = place.call(place.carrier, "39049999", "caller_refused", code="404").ok()
	caller_saw(caller)
	place.no_media()
	assert place.cdrs(0) == []


def test_c4d_goes_and_comes(place):
	"""No Kamailio is touched meanwhile."""
	place.play("callee", place.pbx)
	place.call(place.carrier, DID).ok()
	c4d = place.platform.c4d
	place.cdrs(1)
	c4d.proc.pause()
	begin = time.monotonic()
	place.call(place.carrier, DID, "caller_refused", code="500").ok()
	assert 0.4 < time.monotonic() - begin < 3
	c4d.proc.resume()
	place.call(place.carrier, DID).ok()
	place.cdrs(2)
	# calls that are up then, and end meanwhile: their CDRs come later
	up = place.call(place.carrier, DID, count=5, rate=100, hold_ms=1500)
	until(lambda: up.names().count("200 INVITE") == 5, 5, "five calls are up")
	c4d.stop()
	begin = time.monotonic()
	place.call(place.carrier, DID, "caller_refused", code="500").ok()
	assert time.monotonic() - begin < 1
	up.ok()
	place.no_media()
	c4d.start()
	place.call(place.carrier, DID).ok()
	rows = place.cdrs(8)
	assert len({r["call_id"] for r in rows}) == len(rows) == 8, "each once"


def test_a_router_is_dead(place):
	"""A call that comes to it goes to the other one within the SBC's fr_timer."""
	dead = f"sip:{place.lab.ip()}:5060"
	place.platform.consul.register("router", dead.split(":")[1], 5060)
	sbc = place.platform.sbc
	until(lambda: dead in str(sbc.rpc("dispatcher.list")), 15, "the SBC knows both")
	place.play("callee", place.pbx, trace=False)
	begin = time.monotonic()
	place.call(place.carrier, DID, count=4, rate=10).ok()
	assert 1.9 < time.monotonic() - begin < 6
	assert len(place.cdrs(4)) == 4
	until(lambda: re.search(r"'FLAGS', '[IT]P'", str(sbc.rpc("dispatcher.list"))), 15, "it is probed, and gets no more calls")
	place.no_media()


def test_no_call_is_lost_while_a_reload_hides_all_nodes(lab, consul, make_c4d):
	"""An administrator's own table and reload; those of c4d hide the nodes as well, for a shorter time."""
	pbx, source = lab.ip(), lab.ip()
	p = Platform(lab, consul, make_c4d, document(f"{pbx}:5060", f"{source}:5060"), shm_mb=128, pkg_mb=64)
	p.c4d.write(p.conf().replace("    rtpengine:\n      0: { service: rtp }\n", ""))
	write_nodes(f"{p.sbc.files}/dbtext", [*SLOW_RELOAD, (0, p.rtp.url, 1, False)])
	p.start()
	Sip(lab, "callee", ip=pbx, port=5060, trace=False)
	caller = Sip(lab, "caller", p.sbc.addr, ip=source, port=lab.port(source, 5080), count=100000, rate=200, headers="", trace=False,
		**{"from": f"sip:100@{source}", "to": f"sip:{DID}@{p.sbc.addr}"})
	until(lambda: p.rtp.sessions() > 5, 10, "calls are up")
	until(lambda: await_reload(p.sbc) and "failed to select new" in p.sbc.proc.log(), 50, "a call meets a reload")
	assert caller.proc.alive(), caller.why()
	caller.proc.send(signal.SIGUSR1)  # no new calls
	caller.ok()
	assert "no rtpengine for the INVITE" not in p.sbc.proc.log()


@pytest.mark.parametrize("why", ["silent", "refuses"])
def test_a_node_that_is_there_is_not_tried_again(place, why):
	"""Only one that a reload hides is: a worker has better to do than to wait for the others."""
	p = place.platform
	if why == "silent":
		p.c4d.proc.pause()
		p.rtp.pause()
	place.call(place.carrier, DID, "caller_refused", code="503", media="audio 99999 RTP/AVP 0" if why == "refuses" else MEDIA).ok()
	p.rtp.resume()
	p.c4d.proc.resume()
	log = p.sbc.proc.log()
	assert log.count("no rtpengine for the INVITE") == 1
	assert (log.count("failed to select new"), log.count("replied with error")) == ((1, 0) if why == "silent" else (0, 1)), log


def test_an_sdp_that_is_none(place):
	place.call(place.carrier, DID, "caller_refused", code="488", media="audio").ok()
	assert "no rtpengine" not in place.platform.sbc.proc.log()
	place.no_media()


def test_nobody_else_says_who_calls(place):
	"""The IPBX's address would open the way abroad."""
	claim = f"X-Forwarded-For: {place.pbx}:5060\n"
	place.play("carrier401", place.carrier, **credentials(1))
	for headers in (claim, claim + claim, claim.lower(), claim.replace(":", " :", 1)):
		place.call(place.stranger, ABROAD, "caller_refused", code="404", headers=headers).ok()
	place.call(place.stranger, ABROAD, "caller_refused", at=place.router, code="403", headers=claim).ok()
	place.call(place.pbx, ABROAD, headers=f"X-Forwarded-For: {place.stranger}:5060\n").ok()


def test_no_call_has_what_another_left(place):
	"""As many calls as the router has processes, and again by somebody whom nobody knows: none has the ids of an earlier one."""
	place.play("callee", place.pbx, trace=False)
	place.call(place.carrier, DID, count=40, rate=40, hold_ms=50).ok()
	rows = place.cdrs(40)
	assert {(r["tenant_uuid"], r["carrier_trunk_id"], r["ipbx_id"]) for r in rows} == {(TENANT, 1, None)}
	place.call(place.pbx, DID, count=40, rate=40, hold_ms=50).ok()
	rows = place.cdrs(80)[40:]
	assert {(r["tenant_uuid"], r["carrier_trunk_id"], r["ipbx_id"]) for r in rows} == {(TENANT, None, 1)}
	place.call(place.stranger, DID, count=40, rate=40, hold_ms=50).ok()
	rows = place.cdrs(120)[80:]
	assert {(r["tenant_uuid"], r["carrier_trunk_id"], r["ipbx_id"], r["source_ip"]) for r in rows} == {(TENANT, None, None, place.stranger)}
	assert "no CDR of " not in place.platform.router.proc.log()


def test_a_carrier_that_no_trunk_has_the_address_of(place):
	"""Its call is on the account of whose number it is, and of nobody else's."""
	other = place.lab.ip()
	doc = place.doc
	doc["tenants"].append({"uuid": OTHER, "name": "other"})
	doc["domains"].append({"id": 50, "tenant_uuid": OTHER, "domain": "sip.other.example"})
	doc["ipbxs"].append({"id": 50, "tenant_uuid": OTHER, "domain_id": 50, "ip_fqdn": other})
	doc["dids"].append({"id": 50, "tenant_uuid": OTHER, "ipbx_id": 50, "did_regex": "^39049$"})
	version = place.platform.c4d.show("routing")["version"]
	place.platform.load(doc)
	until(lambda: place.platform.c4d.show("routing")["version"] > version, 10, lambda: str(place.platform.c4d.show("routing")))
	for ip, number, tenant in ((place.pbx, DID, TENANT), (other, "39049", OTHER)):
		place.play("callee", ip)
		before = len(place.platform.c4d.show("cdr"))
		caller = place.call(place.stranger, number, hold_ms=1000).ok()
		cdr_is(place.cdrs(before + 1)[-1], caller, 1, tenant_uuid=tenant)


def test_with_uacreg(lab, consul, make_c4d):
	"""As the comments in c4d.yml and router.cfg say: a trunk that is registered gets to the router's uac module."""
	doc = document(f"{lab.ip()}:5060", f"{lab.ip()}:5060")
	doc["carrier_trunks"][0]["registered"] = True
	p = Platform(lab, consul, make_c4d, doc)
	tables = os.path.join(p.router.files, "dbtext")
	os.mkdir(tables)
	for name in ("version", "uacreg"):
		shutil.copy(os.path.join(STOCK, name), tables)
	conf = p.conf()
	assert conf.count("    #tables: ") == conf.count("    #uacreg: ") == 1
	p.c4d.write(conf.replace("    #tables: ", "    tables: ").replace("    #uacreg: ", "    uacreg: "))
	p.router.defines["WITH_UACREG"] = None
	p.start()
	until(lambda: "carrier1" in str(p.router.rpc("uac.reg_dump")), 20, lambda: f"the trunk is registered: {p.c4d.targets()}")
