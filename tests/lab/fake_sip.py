"""SIP peers by UDP; one that answers OPTIONS with 200, or stays silent: what Kamailio's probes see of a destination."""
import socket
import threading

KEPT = ("via", "v", "from", "f", "to", "t", "call-id", "i", "cseq")


class SipUdpPeer:
	"""Takes what comes by UDP to (.ip, .port), from its making to the lab's end."""

	def __init__(self, lab, ip=None, port=None):
		self.ip = ip or lab.ip()
		self.port = port or lab.port(self.ip, 5060)
		self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		self.sock.bind((self.ip, self.port))
		self.sock.settimeout(0.1)
		self.ending = False
		self.thread = threading.Thread(target=self._serve, daemon=True)
		self.thread.start()
		lab.cleanups.append(self.close)

	def took(self, text, peer):
		"""This text, from (ip, port)."""
		raise NotImplementedError

	@property
	def addr(self):
		return f"{self.ip}:{self.port}"

	def _serve(self):
		while not self.ending:
			try:
				data, peer = self.sock.recvfrom(8192)
			except socket.timeout:
				continue
			except OSError:
				return
			self.took(data.decode(errors="replace"), peer)

	def send(self, answer, peer):
		try:
			self.sock.sendto(answer.encode(), peer)
		except OSError:
			pass  # closed meanwhile

	@staticmethod
	def answer(lines, status, *more):
		"""The answer to the request of these lines: with the headers that it must copy, and more."""
		kept = [x for x in lines[1:] if x.split(":")[0].strip().lower() in KEPT]
		return "\r\n".join([f"SIP/2.0 {status}", *kept, *more, "Content-Length: 0", "", ""])

	def close(self):
		self.ending = True
		self.sock.close()
		self.thread.join(1)


class SipPeer(SipUdpPeer):
	"""alive may be changed at any time. The port stays bound, so that silence is silence and not an ICMP error."""

	def __init__(self, lab, ip=None, port=None, alive=True):
		self.alive = alive
		super().__init__(lab, ip, port)

	@property
	def uri(self):
		return f"sip:{self.addr}"

	def took(self, text, peer):
		lines = text.split("\r\n\r\n")[0].split("\r\n")
		if self.alive and lines[0].startswith("OPTIONS "):
			self.send(self.answer(lines, "200 OK"), peer)
