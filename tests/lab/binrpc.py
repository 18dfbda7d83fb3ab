"""A binrpc client of its own, so that tests judge by what Kamailio says and not by c4d's code.

Wire: Kamailio's src/modules/ctl/binrpc.h. Values: int, str, float, and for structs a list of
(name, value) pairs, since names repeat; values without a name in a struct have the name None.
"""
import itertools
import socket
import time

INT, STR, DOUBLE, STRUCT, ARRAY, AVP, BYTES = range(7)
REQUEST, REPLY, FAULT = 0, 1, 3


class Fault(Exception):
	def __init__(self, code, reason):
		super().__init__(f"{code} {reason}")
		self.code, self.reason = code, reason


class BadFrame(Exception):
	"""Not what binrpc allows."""


def _uint(n):
	return n.to_bytes((n.bit_length() + 7) // 8, "big")


def encode_value(v):
	if isinstance(v, int):
		body, kind = (_uint(v) if v >= 0 else v.to_bytes(4, "big", signed=True)), INT
	elif isinstance(v, str):
		body, kind = v.encode() + b"\0", STR
	elif isinstance(v, float):
		body, kind = _uint(round(v * 1000)), DOUBLE
	else:
		raise TypeError(f"binrpc can't carry {v!r} in a request")
	return _record(kind, body)


def _record(kind, body):
	if len(body) < 8:
		return bytes([len(body) << 4 | kind]) + body
	size = _uint(len(body))
	return bytes([0x80 | len(size) << 4 | kind]) + size + body


def encode(cookie, method, *args, kind=REQUEST):
	body = b"".join(encode_value(v) for v in (method, *args))
	return encode_header(kind, len(body), cookie) + body


def encode_header(kind, body_len, cookie):
	length, ck = _uint(body_len) or b"\0", _uint(cookie) or b"\0"
	return bytes([0xA1, kind << 4 | (len(length) - 1) << 2 | (len(ck) - 1)]) + length + ck


def header(data):
	"""(type, body length, cookie, header length), or None when more bytes are needed."""
	if len(data) < 2:
		return None
	if data[0] != 0xA1:
		raise BadFrame(f"magic and version are {data[0]:#x}")
	ll, cl = (data[1] >> 2 & 3) + 1, (data[1] & 3) + 1
	if len(data) < 2 + ll + cl:
		return None
	return (data[1] >> 4, int.from_bytes(data[2:2 + ll], "big"),
		int.from_bytes(data[2 + ll:2 + ll + cl], "big"), 2 + ll + cl)


class _Reader:
	def __init__(self, data):
		self.data, self.at = data, 0

	def take(self, n):
		if self.at + n > len(self.data):
			raise BadFrame("a record ends beyond its frame")
		self.at += n
		return self.data[self.at - n:self.at]

	def value(self):
		"""(kind, value); at an end mark, (kind, None)."""
		first = self.take(1)[0]
		size, kind = first >> 4 & 7, first & 15
		if first & 0x80:
			if size == 0:
				return kind, None
			size = int.from_bytes(self.take(size), "big")
		if kind in (STRUCT, ARRAY):
			return kind, self.members(kind)
		body = self.take(size)
		if kind == INT:
			n = int.from_bytes(body, "big")
			return kind, n - (1 << 32) if n >= 1 << 31 else n
		if kind == DOUBLE:
			n = int.from_bytes(body, "big")
			return kind, (n - (1 << 32) if size == 4 and n >= 1 << 31 else n) / 1000
		if kind in (STR, AVP):
			return kind, body.rstrip(b"\0").decode(errors="replace")
		if kind == BYTES:
			return kind, body
		raise BadFrame(f"record type {kind}")

	def members(self, end):
		found, name = [], None
		while True:
			kind, v = self.value()
			if v is None:
				if kind != end:
					raise BadFrame("another end mark than its start")
				return found
			if kind == AVP:
				name = v
				continue
			found.append((name, v))
			name = None


def decode_body(body):
	reader, values = _Reader(body), []
	while reader.at < len(body):
		values.append(reader.value()[1])
	return values


def get(struct, *names):
	"""The first value at a path of names."""
	for name in names:
		for k, v in struct:
			if k == name:
				struct = v
				break
		else:
			return None
	return struct


class Client:
	"""addr: unix:/path or tcp:IP:PORT, as c4d's configuration writes it."""

	_cookies = itertools.count(0x1000)

	answered = 0.0  # time.monotonic() at which the last reply was whole

	def __init__(self, addr, timeout=3.0):
		kind, _, rest = addr.partition(":")
		if kind == "unix":
			self.sock = socket.socket(socket.AF_UNIX)
			where = rest
		else:
			host, _, port = rest.rpartition(":")
			host = host.strip("[]")
			self.sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
			where = (host, int(port))
		self.sock.settimeout(timeout)
		try:
			self.sock.connect(where)
		except OSError:
			self.sock.close()
			raise

	def call(self, method, *args):
		"""The reply's top-level values; Fault when Kamailio says no."""
		cookie = next(self._cookies)
		self.sock.sendall(encode(cookie, method, *args))
		data = b""
		while True:
			head = header(data)
			if head and len(data) >= head[3] + head[1]:
				break
			more = self.sock.recv(1 << 18)
			if not more:
				raise ConnectionResetError(f"Kamailio closed during {method}")
			data += more
		self.answered = time.monotonic()
		kind, length, got, skip = head
		if got != cookie:
			raise BadFrame(f"reply for another request ({got:#x}, not {cookie:#x})")
		values = decode_body(data[skip:skip + length])
		if kind == FAULT:
			raise Fault(*values[:2])
		return values

	def close(self):
		self.sock.close()

	def __enter__(self):
		return self

	def __exit__(self, *exc):
		self.close()
