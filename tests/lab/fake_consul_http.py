"""
Consul's HTTP port as far as `wake: index` uses it, answering as it is told: for what the real one can't be made to do.

	fake = FakeConsulHttp(lab)       answers blocking queries honestly; fake.move() moves the index
	fake.lie = lambda q: Close()     every query gets this instead; None: honest again

A lie gets the Query and returns bytes (sent as they are) or one of the classes below.
"""
import re
import socket
import threading
import time

from .base import until


class Hang:
	"""No answer; the connection stays."""


class Close:
	"""These bytes (or none), then the end of the connection; reset: in the hard way."""

	def __init__(self, data=b"", reset=False):
		self.data, self.reset = data, reset


class Slow:
	"""A byte, and after a while the next."""

	def __init__(self, data, each):
		self.data, self.each = data, each


class Endless:
	"""This, and again, until nobody takes it any more."""

	def __init__(self, head, again):
		self.head, self.again = head, again


class Query:
	def __init__(self, head, body=b""):
		self.body = body
		self.head = head.decode(errors="replace")
		self.target = self.head.split(" ", 2)[1]
		found = re.search(r"[?&]index=(\d+)", self.target)
		self.index = int(found.group(1)) if found else None
		self.token = (re.search(r"(?im)^X-Consul-Token: *(\S+)", self.head) or [None, None])[1]


def answer(body=b"[]", index=None, status="200 OK", more=""):
	"""One whole answer."""
	head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
	if index is not None:
		head += f"X-Consul-Index: {index}\r\n"
	return f"{head}{more}\r\n".encode() + body


class FakeConsulHttp:
	query = Query  # what is made of a question's header and body

	def __init__(self, lab, ip=None):
		self.ip = ip or lab.ip()
		self.port = lab.port(self.ip, 18500)
		self.url = f"http://{self.ip}:{self.port}"
		self.index, self.lie = 100, None
		self.queries, self.connections = [], 0
		self.moved = threading.Condition()
		self.ended, self.socks = False, set()
		self.listener = socket.create_server((self.ip, self.port))
		threading.Thread(target=self._accept, daemon=True).start()
		lab.cleanups.append(self.stop)

	def move(self, by=1):
		with self.moved:
			self.index += by
			self.moved.notify_all()

	def tell_lies(self, lie):
		"""From now on, also to those that wait."""
		with self.moved:
			self.lie = lie
			self.moved.notify_all()

	def stop(self):
		with self.moved:
			self.ended = True
			self.moved.notify_all()
		for s in [self.listener, *self.socks]:
			try:
				s.shutdown(socket.SHUT_RDWR)
			except OSError:
				pass
			s.close()

	def asked(self, n=1, timeout=20):
		"""Await so many more queries."""
		before = len(self.queries)
		until(lambda: len(self.queries) >= before + n, timeout, lambda: f"{n} more queries than {before}")

	def _accept(self):
		while not self.ended:
			try:
				s, _ = self.listener.accept()
			except OSError:
				return
			self.connections += 1
			self.socks.add(s)
			threading.Thread(target=self._serve, args=(s,), daemon=True).start()

	def _serve(self, s):
		data = b""

		def more(enough):
			nonlocal data
			while not enough(data):
				got = s.recv(1 << 16)
				if not got:
					raise OSError
				data += got
		try:
			while not self.ended:
				more(lambda d: b"\r\n\r\n" in d)
				head, _, data = data.partition(b"\r\n\r\n")
				length = int((re.search(rb"(?im)^Content-Length: *(\d+)", head) or [0, 0])[1])
				more(lambda d, n=length: len(d) >= n)
				q, data = self.query(head, data[:length]), data[length:]
				self.queries.append(q)
				if not self._answer(s, q):
					return
		except OSError:
			pass
		finally:
			self.socks.discard(s)
			s.close()

	def _answer(self, s, q):
		"""False: the connection is over."""
		if self.lie is None:
			with self.moved:
				self.moved.wait_for(lambda: q.index is None or self.index > q.index or self.lie or self.ended, 60)
		if self.ended:
			return False
		return self._send(s, self.lie(q) if self.lie else answer(index=self.index))

	def _send(self, s, what):
		"""Bytes or a lie. False: the connection is over."""
		if isinstance(what, bytes):
			s.sendall(what)
			return True
		if isinstance(what, Hang):
			with self.moved:
				self.moved.wait_for(lambda: self.ended, 60)
			return False
		if isinstance(what, Slow):
			for i in range(len(what.data)):
				s.sendall(what.data[i:i + 1])
				time.sleep(what.each)
			return True
		if isinstance(what, Endless):
			s.sendall(what.head)
			while not self.ended:
				s.sendall(what.again)
		if isinstance(what, Close):
			if what.data:
				s.sendall(what.data)
			if what.reset:
				s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
		return False
