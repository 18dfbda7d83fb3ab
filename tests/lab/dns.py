"""Just enough DNS over TCP to see what Consul answers, independent of c4d's code."""
import ipaddress
import os
import socket
import struct

A, AAAA, SRV = 1, 28, 33
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5


def _name(msg, at):
	labels, end = [], None
	while msg[at]:
		if msg[at] & 0xC0:
			end = end or at + 2
			at = (msg[at] & 0x3F) << 8 | msg[at + 1]
			continue
		labels.append(msg[at + 1:at + 1 + msg[at]].decode())
		at += 1 + msg[at]
	return ".".join(labels), end or at + 1


class Answer:
	def __init__(self, msg):
		self.rcode = msg[3] & 15
		self.tc = bool(msg[2] & 2)
		self.srv, self.addr = [], {}
		qd, an, ns, ar = struct.unpack("!4H", msg[4:12])
		at = 12
		for _ in range(qd):
			at = _name(msg, at)[1] + 4
		for i in range(an + ns + ar):
			owner, at = _name(msg, at)
			kind, _, _, size = struct.unpack("!HHIH", msg[at:at + 10])
			at += 10
			if kind == SRV and i < an:
				prio, weight, port = struct.unpack("!HHH", msg[at:at + 6])
				self.srv.append((prio, weight, port, _name(msg, at + 6)[0]))
			elif kind in (A, AAAA):
				self.addr[owner.lower()] = str(ipaddress.ip_address(msg[at:at + size]))
			at += size

	def instances(self):
		"""{(address, port)}, by the additional section."""
		return {(self.addr.get(t.lower(), t), p) for _, _, p, t in self.srv}


def question(name, kind=SRV):
	"""As it goes over TCP."""
	labels = b"".join(bytes([len(x)]) + x.encode() for x in name.rstrip(".").split("."))
	msg = os.urandom(2) + struct.pack("!5H", 0x0100, 1, 0, 0, 0) + labels + struct.pack("!BHH", 0, kind, 1)
	return struct.pack("!H", len(msg)) + msg


def query(server, name, kind=SRV, timeout=2.0):
	"""server: (ip, port)"""
	with socket.create_connection(server, timeout) as s:
		s.sendall(question(name, kind))
		data = b""
		while len(data) < 2 or len(data) < 2 + struct.unpack("!H", data[:2])[0]:
			more = s.recv(65536)
			if not more:
				raise ConnectionResetError("DNS server closed")
			data += more
	return Answer(data[2:])
