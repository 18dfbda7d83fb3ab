"""A carrier's registrar (UDP) that challenges with digest, and a Kamailio that registers there (uac.cfg)."""
import collections
import hashlib
import os
import re
import threading
import time

from . import binrpc
from .fake_sip import SipUdpPeer
from .kamailio import Kamailio

Register = collections.namedtuple("Register", "username realm contact expires right uri to at")


def md5(text):
	return hashlib.md5(text.encode()).hexdigest()


class Registrar(SipUdpPeer):
	"""
	passwords: {user: password}. .seen: every REGISTER that answered a challenge; right says whether its digest was. min_expires: what is
	shorter gets 423, but for what ends a registration. late: seconds before an answer. .bound: {user: its contacts}.
	"""

	def __init__(self, lab, passwords, realm="carrier.example", min_expires=0, late=0.0):
		self.realm, self.passwords, self.min_expires = realm, dict(passwords), min_expires
		self.seen, self.nonce, self.bound, self.late = [], os.urandom(8).hex(), {}, late
		self.answers = {}
		super().__init__(lab)

	def right(self, user):
		"""The Registers of this user that had the right credentials."""
		return [r for r in self.seen if r.username == user and r.right]

	def took(self, text, peer):
		if text.startswith("REGISTER "):
			# What is sent again is answered as before, and changes nothing: a retransmission may come after what followed it.
			via = text.lower().split("via:", 1)[1].split("\r\n")[0]
			answer = self.answers[via] = self.answers.get(via) or self._answer(text)
			if self.late:
				threading.Timer(self.late, self.send, (answer, peer)).start()
			else:
				self.send(answer, peer)

	def _answer(self, text):
		lines = text.split("\r\n\r\n")[0].split("\r\n")
		headers = {x.split(":")[0].strip().lower(): x.split(":", 1)[1].strip() for x in lines[1:] if ":" in x}
		more, status = [], "401 Unauthorized"
		if "authorization" not in headers:
			more = [f'WWW-Authenticate: Digest realm="{self.realm}", nonce="{self.nonce}", algorithm=MD5, qop="auth"']
		else:
			got = self._check(lines[0].split()[1], headers)
			self.seen.append(got)
			if not got.right:
				status = "403 Forbidden"
			elif 0 < got.expires < self.min_expires:
				status, more = "423 Interval Too Brief", [f"Min-Expires: {self.min_expires}"]
			else:
				bound = self.bound.setdefault(got.username, set())
				(bound.add if got.expires else bound.discard)(got.contact)
				status, more = "200 OK", [f"Contact: {got.contact};expires={got.expires}"]
		return self.answer(lines, status, *more)

	def _check(self, uri, headers):
		d = {k: a or b for k, a, b in re.findall(r'(\w+)=(?:"([^"]*)"|([^",\s]+))', headers["authorization"])}
		user = d.get("username", "")
		ha1 = md5(f"{user}:{self.realm}:{self.passwords.get(user, '')}")
		ha2 = md5(f"REGISTER:{d.get('uri', '')}")
		want = md5(":".join([ha1, self.nonce, d["nc"], d["cnonce"], d["qop"], ha2]) if "qop" in d else f"{ha1}:{self.nonce}:{ha2}")
		return Register(user, d.get("realm"), headers["contact"], int(headers.get("expires", 0)),
			user in self.passwords and d.get("response") == want, uri, headers["to"], time.monotonic())


class UacKamailio(Kamailio):
	"""Its tables lie in .dir. gc: reg_gc_interval, 5.6's window in seconds; delta: reload_delta, 6.0's; None: the modules' defaults."""

	VERSION = "id(int,auto) table_name(string) table_version(int) \n0:domain:2\n1:domain_attrs:1\n2:uacreg:{}\n"

	def __init__(self, lab, name="uac", table=None, version_row=5, gc=None, delta=None, timer=1, **kw):
		self.dir = lab.mkdir(name, "dbtext")
		defines = {"TABLES": self.dir, "TIMER": timer}
		super().__init__(lab, name, "uac.cfg", defines=defines, **kw)
		if gc is not None:
			self.defines["GC"] = gc
		if delta is not None and self.version != "5.6":
			self.defines["DELTA"] = delta
		self.write("version", self.VERSION.format(version_row))
		self.write("domain", "id(int) domain(string) did(string) last_modified(int)\n")
		self.write("domain_attrs", "id(int,auto) did(string) name(string) type(int) value(string) last_modified(int)\n")
		if table is not None:
			self.write("uacreg", table)

	def path(self, table):
		return os.path.join(self.dir, table)

	def write(self, table, text):
		with open(self.path(table) + ".lab", "w", encoding="utf-8") as f:
			f.write(text)
		os.rename(self.path(table) + ".lab", self.path(table))

	def read(self, table):
		with open(self.path(table), encoding="utf-8") as f:
			return f.read()

	def registrations(self):
		"""{l_uuid: {column: value}} as Kamailio dumps them."""
		return {binrpc.get(v, "l_uuid"): dict(v) for v in self.rpc("uac.reg_dump") if isinstance(v, list)}

	def domains(self):
		return sorted(binrpc.get(v, "domain") for _, v in binrpc.get(self.rpc("domain.dump")[0], "domains"))
