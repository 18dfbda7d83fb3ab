"""An rtpengine that does as it is told, for what the real one can't be made to do: NG protocol, one datagram each way."""
import collections
import re
import socket
import threading
import time

from .rtpengine import bdecode, bencode

Asked = collections.namedtuple("Asked", "at who command answered")  # at: monotonic; who: "c4d" or "kamailio"


class FakeNg:
	"""
	Listens at .ip:.port. deaf: whom it does not answer ("c4d", "kamailio"); late: seconds before each answer; calls: how many
	it says it has. asked: all questions so far. `trap` is called with each question before it is answered.
	"""

	def __init__(self, lab, ip=None, port=None):
		self.ip = ip or lab.ip()
		self.port = port or lab.port(self.ip, 2223)
		self.deaf, self.late, self.calls, self.trap = set(), 0.0, 0, None
		self.asked = []
		self.sock = socket.socket(socket.AF_INET6 if ":" in self.ip else socket.AF_INET, socket.SOCK_DGRAM)
		self.sock.bind((self.ip, self.port))
		threading.Thread(target=self._serve, daemon=True).start()
		lab.cleanups.append(self.sock.close)

	@property
	def url(self):
		return f"udp6:[{self.ip}]:{self.port}" if ":" in self.ip else f"udp:{self.ip}:{self.port}"

	def _serve(self):
		while True:
			try:
				data, peer = self.sock.recvfrom(65536)
			except OSError:
				return
			cookie, _, rest = data.partition(b" ")
			who = "c4d" if re.fullmatch(rb"[0-9a-f]{16}", cookie) else "kamailio"
			command = bdecode(rest)[0]["command"]
			if self.trap:
				self.trap(who, command)
			answers = who not in self.deaf
			self.asked.append(Asked(time.monotonic(), who, command, answers))
			if not answers:
				continue
			reply = {"result": "pong"} if command == "ping" else {"result": "ok", "calls": [f"call-{i}" for i in range(min(self.calls, 12))]}
			if self.late:
				time.sleep(self.late)
			try:
				self.sock.sendto(cookie + b" " + bencode(reply), peer)
			except OSError:
				return

	def heard(self, who, since=0.0):
		"""The questions of one of the two since then."""
		return [a for a in self.asked if a.who == who and a.at >= since]
