"""rtpengine in user space, and the NG protocol, written apart from c4d's."""
import itertools
import socket

from .base import which
from .daemon import Daemon

HINT = "install the Debian package rtpengine-daemon (tests/tools/deps.sh does it)"
# Each call takes four ports. Below the kernel's own range.
PORTS = (10000, 32000)


def bencode(x):
	if isinstance(x, int):
		return b"i%de" % x
	if isinstance(x, str):
		x = x.encode()
	if isinstance(x, bytes):
		return b"%d:%s" % (len(x), x)
	if isinstance(x, (list, tuple)):
		return b"l%se" % b"".join(bencode(v) for v in x)
	return b"d%se" % b"".join(bencode(k) + bencode(x[k]) for k in sorted(x))


def bdecode(data, at=0):
	"""(value, where it ends); texts as str."""
	first = data[at:at + 1]
	if first == b"i":
		end = data.index(b"e", at)
		return int(data[at + 1:end]), end + 1
	if first in (b"l", b"d"):
		found, at = [], at + 1
		while data[at:at + 1] != b"e":
			value, at = bdecode(data, at)
			found.append(value)
		return (found if first == b"l" else dict(zip(found[::2], found[1::2]))), at + 1
	colon = data.index(b":", at)
	size = int(data[at:colon])
	return data[colon + 1:colon + 1 + size].decode(errors="replace"), colon + 1 + size


_cookies = itertools.count(1)


def ng(ip, port, command, timeout=1.0, **args):
	"""One NG command; the decoded answer. OSError (also on time-out) when there is none."""
	cookie = b"lab%d" % next(_cookies)
	with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
		s.settimeout(timeout)
		s.connect((ip, port))
		s.send(cookie + b" " + bencode({"command": command, **args}))
		while True:
			got, _, rest = s.recv(65536).partition(b" ")
			if got == cookie:
				return bdecode(rest)[0]


class Rtpengine(Daemon):
	"""One node, at an address of its own. --delete-delay=0: a deleted call's ports are free at once."""

	works, ready_s = "answers ping", 10.0

	def __init__(self, lab, name, ip=None, port=None):
		super().__init__(lab, name)
		self.ip = ip or lab.ip()
		self.port = port or lab.port(self.ip, 2223)
		self.conf = lab.path(name, "rtpengine.conf")
		with open(self.conf, "w") as f:
			f.write("[rtpengine]\n")  # an own one: the package's would be merged with our arguments

	@property
	def url(self):
		return f"udp:{self.ip}:{self.port}"

	def start(self, wait=True):
		exe = which("rtpengine", HINT)
		return self.started([exe, f"--config-file={self.conf}", "--foreground", "--log-stderr",
			"--log-level=4", "--table=-1", f"--interface={self.ip}", f"--listen-ng={self.ip}:{self.port}",
			f"--port-min={PORTS[0]}", f"--port-max={PORTS[1]}", "--delete-delay=0", "--timeout=3600",
			"--silent-timeout=3600", "--num-threads=2"], wait, polite=False)

	def up(self):
		return self.ask("ping", timeout=0.2)["result"] == "pong"

	def ask(self, command, timeout=1.0, **args):
		return ng(self.ip, self.port, command, timeout, **args)

	def sessions(self):
		"""How many calls it holds."""
		return self.ask("statistics")["statistics"]["currentstatistics"]["sessionstotal"]
