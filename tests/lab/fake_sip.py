"""A SIP peer that answers OPTIONS with 200, or stays silent: what Kamailio's probes see of a destination."""
import socket
import threading

KEPT = ("via", "v", "from", "f", "to", "t", "call-id", "i", "cseq")


class SipPeer:
	"""alive may be changed at any time. The port stays bound, so that silence is silence and not an ICMP error."""

	def __init__(self, lab, ip=None, port=None, alive=True):
		self.ip = ip or lab.ip()
		self.port = port or lab.port(self.ip, 5060)
		self.alive = alive
		self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		self.sock.bind((self.ip, self.port))
		self.sock.settimeout(0.1)
		self.ending = False
		self.thread = threading.Thread(target=self._serve, daemon=True)
		self.thread.start()
		lab.cleanups.append(self.close)

	@property
	def uri(self):
		return f"sip:{self.ip}:{self.port}"

	def _serve(self):
		while not self.ending:
			try:
				data, peer = self.sock.recvfrom(4096)
			except socket.timeout:
				continue
			except OSError:
				return
			lines = data.decode(errors="replace").split("\r\n\r\n")[0].split("\r\n")
			if self.alive and lines[0].startswith("OPTIONS "):
				kept = [x for x in lines[1:] if x.split(":")[0].strip().lower() in KEPT]
				answer = ["SIP/2.0 200 OK", *kept, "Content-Length: 0", "", ""]
				self.sock.sendto("\r\n".join(answer).encode(), peer)

	def close(self):
		self.ending = True
		self.sock.close()
		self.thread.join(1)
