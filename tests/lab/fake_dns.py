"""
A DNS server over TCP that answers as it is told: for what the real Consul can't be made to show.

	fake = FakeDns(lab)
	fake.list("router", ("127.0.0.1", 5060))
	fake.on["router.service.consul"] = lambda q: Raw(b"garbage")

A rule gets the Question and returns the message's bytes, or one of the classes below. Names without a
rule get NXDOMAIN; the canary is there from the start.
"""
import ipaddress
import socket
import struct
import threading
import time

from .base import until
from .dns import A, AAAA, NOERROR, NXDOMAIN, SRV, _name

TXT = 16


class Raw(bytes):
	"""Sent as it is, in one DNS message of that length."""


class Wire(bytes):
	"""Sent as it is, without the length in front."""


class Hang:
	"""No answer; the connection stays."""


class Close:
	"""An answer (or none), then the end of the connection; reset: in the hard way."""

	def __init__(self, msg=b"", reset=False):
		self.msg, self.reset = msg, reset


class Slow:
	"""Byte by byte, or all of it after a while."""

	def __init__(self, msg, each=0.0, first=0.0):
		self.msg, self.each, self.first = msg, each, first


class Question:
	def __init__(self, msg):
		self.id = msg[:2]
		self.name, at = _name(msg, 12)
		self.name = self.name.lower()
		self.kind = struct.unpack("!H", msg[at:at + 2])[0]


def wire_name(name):
	return b"".join(bytes([len(x)]) + x.encode() for x in name.split(".") if x) + b"\0"


def target_of(ip):
	"""The name that Consul gives to an instance with an address of its own."""
	return f"{ipaddress.ip_address(ip).packed.hex()}.addr.dc1.consul"


def record(owner, kind, data, ttl=0):
	return wire_name(owner) + struct.pack("!HHIH", kind, 1, ttl, len(data)) + data


def message(q, rcode=NOERROR, srv=(), addr=(), more=(), tc=False, name=None, kind=None, flags=0x8480, qd=1,
		an=None, raw=b""):
	"""srv: (priority, weight, port, target); addr: (owner, ip); more: records for the additional section."""
	name = q.name if name is None else name
	head = q.id + struct.pack("!H", flags | (0x0200 if tc else 0) | rcode)
	body = wire_name(name) + struct.pack("!HH", q.kind if kind is None else kind, 1)
	for prio, weight, port, target in srv:
		body += record(name, SRV, struct.pack("!HHH", prio, weight, port) + wire_name(target))
	for owner, ip in addr:
		a = ipaddress.ip_address(ip)
		body += record(owner, A if a.version == 4 else AAAA, a.packed)
	body += b"".join(more) + raw
	counts = struct.pack("!4H", qd, len(srv) if an is None else an, 0, len(addr) + len(more))
	return head + counts + body


def instances(q, found, **kw):
	"""What Consul answers for (ip, port) or (ip, port, weight)."""
	srv = [(1, (x + (1,))[2], x[1], target_of(x[0])) for x in found]
	return message(q, srv=srv, addr=[(target_of(x[0]), x[0]) for x in found], **kw)


class FakeDns:
	def __init__(self, lab, ip=None):
		self.ip = ip or lab.ip()
		self.port = lab.port(self.ip, 18700)
		self.on = {}
		self.asked = []  # names, in the order of the questions
		self.connections = 0
		self.errors = []
		self._socks = set()
		self._lock = threading.Lock()
		self._server = None
		self.on["consul.service.consul"] = self.on["consul.service.dc1.consul"] = (
			lambda q: instances(q, [("127.0.0.9", 8300)]))
		lab.cleanups.append(self.stop)
		self.start()

	@property
	def dns_addr(self):
		return f"{self.ip}:{self.port}"

	def list(self, service, *found):
		"""The service has these instances, each (ip, port) or (ip, port, weight)."""
		self.on[f"{service}.service.consul"] = lambda q: instances(q, found)

	def count(self, name):
		return self.asked.count(name)

	def start(self):
		self._server = socket.create_server((self.ip, self.port), reuse_port=False)
		threading.Thread(target=self._accept, args=(self._server,), daemon=True).start()

	def stop(self):
		"""As a server that died: the port refuses, connections end."""
		if self._server is None:
			return
		# close() alone does not wake a thread that waits in accept()
		self._server.shutdown(socket.SHUT_RDWR)
		self._server.close()
		self._server = None
		with self._lock:
			for s in self._socks:
				try:
					s.shutdown(socket.SHUT_RDWR)
				except OSError:
					pass
		until(lambda: not self._socks, 5, "the fake DNS server's connections end")
		assert not self.errors, self.errors

	def _accept(self, server):
		while True:
			try:
				s, _ = server.accept()
			except OSError:
				return
			s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
			self.connections += 1
			with self._lock:
				self._socks.add(s)
			threading.Thread(target=self._serve, args=(s,), daemon=True).start()

	def _serve(self, s):
		try:
			with s:
				while self._one(s):
					pass
		except OSError:
			pass
		except Exception as e:  # pylint: disable=broad-except
			self.errors.append(repr(e))
		finally:
			with self._lock:
				self._socks.discard(s)

	def _one(self, s):
		head = self._read(s, 2)
		msg = head and self._read(s, struct.unpack("!H", head)[0])
		if not msg:
			return False
		q = Question(msg)
		self.asked.append(q.name)
		rule = self.on.get(q.name)
		return self._send(s, rule(q) if rule else message(q, rcode=NXDOMAIN))

	def _read(self, s, n):
		data = b""
		while len(data) < n:
			more = s.recv(n - len(data))
			if not more:
				return None
			data += more
		return data

	def _send(self, s, answer):
		if isinstance(answer, Hang):
			return True
		if isinstance(answer, Close):
			if answer.msg:
				self._send(s, answer.msg)
			if answer.reset:
				s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
			return False
		if isinstance(answer, Slow):
			time.sleep(answer.first)
			for b in struct.pack("!H", len(answer.msg)) + answer.msg:
				s.sendall(bytes([b]))
				time.sleep(answer.each)
			return True
		if isinstance(answer, Wire):
			s.sendall(answer)
			return True
		s.sendall(struct.pack("!H", len(answer)) + answer)
		return True
