"""A man in the middle between c4d and the real Kamailio, for the faults that Kamailio can't be made to show."""
import os
import socket
import threading

from . import binrpc


def _packet(sock, data=b""):
	"""(whole packet, its header, what follows it); ConnectionError at the end."""
	while True:
		head = binrpc.header(data)
		if head and len(data) >= head[3] + head[1]:
			return data[:head[3] + head[1]], head, data[head[3] + head[1]:]
		more = sock.recv(1 << 16)
		if not more:
			raise ConnectionError("end")
		data += more


def _oversized(packet, head):
	"""A header that promises 200 MB."""
	return bytes([0xA1, packet[1] & 0xF0 | 3 << 2 | 3]) + (200 << 20).to_bytes(4, "big") + \
		head[2].to_bytes(4, "big") + packet[head[3]:]


# What becomes of a reply: (bytes to send, whether the connection is closed then)
FAULTS = {
	"cut": lambda p, h: (p[:len(p) * 2 // 3], True),
	"stuck": lambda p, h: (p[:len(p) * 2 // 3], False),
	"cookie": lambda p, h: (binrpc.encode_header(h[0], h[1], h[2] ^ 0x55) + p[h[3]:], False),
	"oversized": lambda p, h: (_oversized(p, h), False),
	"garbage": lambda p, h: (b"HTTP/1.1 400 Bad Request\r\n\r\n", False),
	"records": lambda p, h: (p[:h[3]] + b"\xff" * h[1], False),
	"twice": lambda p, h: (p + p, False),
	"closed": lambda p, h: (b"", True),
}


class Middle:
	"""
	Listens at .addr; fault: a key of FAULTS that `methods` meet (all of them when empty), None: passes everything. refused: methods
	that Kamailio does not know.
	"""

	def __init__(self, lab, ctl, name="middle"):
		self.path = os.path.join(lab.mkdir(name), "ctl")
		self.addr = f"unix:{self.path}"
		self.there = ctl.partition(":")[2]
		self.fault, self.methods, self.refused = None, (), ()
		self.connections = 0
		self.spoilt = 0
		self.listener = socket.socket(socket.AF_UNIX)
		self.listener.bind(self.path)
		self.listener.listen(16)
		self.socks = [self.listener]
		threading.Thread(target=self._accept, daemon=True).start()
		lab.cleanups.append(self.close)

	def _accept(self):
		while True:
			try:
				client = self.listener.accept()[0]
			except OSError:
				return
			self.connections += 1
			self.socks.append(client)
			threading.Thread(target=self._serve, args=(client,), daemon=True).start()

	def _serve(self, client):
		try:
			with client, socket.socket(socket.AF_UNIX) as server:
				server.connect(self.there)
				data = b""
				while True:
					request, head, data = _packet(client, data)
					method = binrpc.decode_body(request[head[3]:])[0]
					if method in self.refused:
						client.sendall(binrpc.encode(head[2], 500, f"command {method} not found", kind=binrpc.FAULT))
						continue
					server.sendall(request)
					reply, head, _ = _packet(server)
					close = False
					if self.fault and (not self.methods or method in self.methods):
						self.spoilt += 1
						reply, close = FAULTS[self.fault](reply, head)
					client.sendall(reply)
					if close:
						return
		except (OSError, binrpc.BadFrame):
			pass

	def close(self):
		for s in self.socks:
			try:
				s.shutdown(socket.SHUT_RDWR)
			except OSError:
				pass
			s.close()
