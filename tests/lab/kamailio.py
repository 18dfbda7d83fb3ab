"""
Kamailio as SBC (dispatcher) and as router, each with a run-time directory of its own: the machine's own (5.6 on Debian
12), or 6.0 from the tree of tests/tools/kamailio6.sh.
"""
import collections
import glob
import os
import re
import signal
import socket
import subprocess

from . import binrpc
from .base import LAB, LabError, until, which
from .daemon import Daemon, by_script

VERSIONS = ("5.6", "6.0")
Dest = collections.namedtuple("Dest", "uri flags priority attrs")


def default_version():
	"""$C4D_KAMAILIO, else the machine's."""
	version = os.environ.get("C4D_KAMAILIO") or VERSIONS[0]
	if version not in VERSIONS:
		raise LabError(f"C4D_KAMAILIO={version}: there are {' and '.join(VERSIONS)}")
	return version


def _tree():
	return by_script("C4D_LAB_KAMAILIO6", "kamailio6.sh", "no Kamailio 6.0: set KAMAILIO6=/path to a Debian 13 tree")


def program(version):
	"""
	What to start, its arguments still to come. Of the tree, its own loader with its own libraries: so it runs beside the
	machine's older ones without chroot, and paths, users and groups are the machine's.
	"""
	if version != "6.0":
		return [which("kamailio", "install the Debian package kamailio (tests/tools/deps.sh does it)")]
	tree = _tree()
	loader = glob.glob(os.path.join(tree, "usr/lib/*/ld-linux*.so.*"))
	if not loader:
		raise LabError(f"{tree} is no Debian tree: it has no usr/lib/*/ld-linux*.so.*")
	lib = os.path.dirname(loader[0])
	return [loader[0], "--argv0", "kamailio", "--library-path", f"{lib}:{lib}/kamailio",
		os.path.join(tree, "usr/sbin/kamailio"), "-L", os.path.join(lib, "kamailio/modules")]


class Kamailio(Daemon):
	"""
	cfg: a file of tests/lab; defines: {NAME: text} put in front of it as #!substdef (which replaces in
	strings and defines NAME besides), a value None as #!define. user: None runs as who we are, "kamailio" as Debian's user.
	version: None is the lab's (a test's `kamailio` fixture says which), else $C4D_KAMAILIO's.
	"""

	works = "answers binrpc and OPTIONS"

	def __init__(self, lab, name, cfg, *, ip=None, port=None, defines=None, user=None, shm_mb=32, pkg_mb=4,
			version=None):
		super().__init__(lab, name)
		self.user = user
		self.version = version or getattr(lab, "kamailio", None) or default_version()
		self.ip = ip or lab.ip()
		self.port = port or lab.port(self.ip, 5060)
		self.run = lab.mkdir(name, "run", user=user)
		self.ctl = f"unix:{self.run}/ctl"
		self.shm_mb, self.pkg_mb = shm_mb, pkg_mb
		self.host = f"[{self.ip}]" if ":" in self.ip else self.ip
		self.defines = {"RUNDIR": self.run, "LISTEN": f"{self.host}:{self.port}"}
		self.defines.update(defines or {})
		if user:
			self.defines["AS_KAMAILIO"] = None
		with open(os.path.join(LAB, cfg)) as f:
			self.text = f.read()

	@property
	def uri(self):
		return f"sip:{self.addr}"

	@property
	def addr(self):
		return f"{self.host}:{self.port}"

	def _write_cfg(self):
		lines = ["#!KAMAILIO"]
		for key, value in self.defines.items():
			lines.append(f"#!define {key}" if value is None else f"#!substdef \"!{key}!{value}!g\"")
		path = self.lab.path(self.name, "kamailio.cfg")
		with open(path, "w") as f:
			f.write("\n".join(lines) + "\n" + self.text)
		return path

	def start(self, wait=True):
		argv = [*program(self.version), "-DD", "-E", "-f", self._write_cfg(), "-Y", self.run, "-P", f"{self.run}/pid",
			"-w", self.run, "-m", self.shm_mb, "-M", self.pkg_mb]
		if self.user:
			argv += ["-u", self.user, "-g", self.user]
		return self.started(argv, wait)

	def up(self):
		return self.uptime() and options(self.ip, self.port)

	def stop(self, timeout=8.0):
		"""Its main process keeps one signal (sig_flag): with a child's SIGCHLD right behind it a SIGTERM is lost. So it gets another."""
		self.proc.signal_all(signal.SIGCONT)
		self.proc.send(signal.SIGTERM)
		for _ in range(int(timeout / 2)):
			try:
				self.proc.popen.wait(2)
				break
			except subprocess.TimeoutExpired:
				self.proc.send(signal.SIGTERM)
		return self.proc.stop(timeout=0.1)

	def rpc(self, method, *args, timeout=3.0):
		with binrpc.Client(self.ctl, timeout) as c:
			return c.call(method, *args)

	def uptime(self):
		return dict(self.rpc("core.uptime", timeout=1.0)[0])

	def core_version(self):
		"""(5, 6, 3), as it says itself."""
		return tuple(int(x) for x in re.search(r"kamailio (\d+)\.(\d+)\.(\d+)", self.rpc("core.version")[0]).groups())

	def main_pid(self):
		return min(binrpc.get(v, "PID") for v in _psx(self.rpc("core.psx")))


def _psx(values):
	"""core.psx: one struct per process, named or not depending on the version."""
	for v in values:
		if isinstance(v, list):
			if binrpc.get(v, "PID") is not None:
				yield v
			else:
				yield from _psx([x for _, x in v])


class Sbc(Kamailio):
	"""list_file lies in a directory of its own, which whoever runs c4d can write."""

	def __init__(self, lab, name="sbc", *, probing=True, ping=1, reload_delta=None, tcp=False, algorithm=4,
			call_load=False, lines=(), **kw):
		self.list_dir = lab.mkdir(name, "list")
		self.list_file = os.path.join(self.list_dir, "dispatcher.list")
		defines = {"LISTFILE": self.list_file, "ALGORITHM": algorithm}
		if probing:
			defines.update({"PROBING": None, "PING": ping})
		if reload_delta is not None:
			defines["RELOAD_DELTA"] = int(reload_delta)
		if call_load:
			defines["CALL_LOAD"] = None
		super().__init__(lab, name, "sbc.cfg", defines=defines, **kw)
		self.ctl_tcp = None
		if tcp:
			at = f"{self.host}:{lab.port(self.ip, 2046)}"
			self.ctl_tcp = f"tcp:{at}"
			self.defines["CTLADDR"] = at
		self.write_list(lines)

	def write_list(self, lines):
		"""The list file, as an administrator or consul-template would write it. Missing, Kamailio would not start."""
		tmp = self.list_file + ".lab"
		with open(tmp, "w") as f:
			f.write("".join(f"{line}\n" for line in lines))
		os.rename(tmp, self.list_file)

	def file_text(self):
		with open(self.list_file) as f:
			return f.read()

	def file_entries(self):
		"""[(set, uri, flags, priority, attrs)] in the file's order."""
		found = []
		for line in self.file_text().splitlines():
			words = line.split("#")[0].split()
			if words:
				words += ["0"] * (4 - len(words)) if len(words) < 4 else []
				found.append((int(words[0]), words[1], int(words[2]), int(words[3]), " ".join(words[4:])))
		return found

	def dispatcher(self):
		"""{set: [Dest]} as Kamailio itself lists them; flags are its letters, AP, DX and so on."""
		try:
			reply = self.rpc("dispatcher.list")[0]
		except binrpc.Fault as e:
			if "No Destination Sets" in e.reason:
				return {}
			raise
		sets = {}
		for name, record in binrpc.get(reply, "RECORDS") or []:
			if name != "SET":
				continue
			dests = sets.setdefault(binrpc.get(record, "ID"), [])
			for key, dest in binrpc.get(record, "TARGETS") or []:
				if key == "DEST":
					body = binrpc.get(dest, "ATTRS", "BODY") if binrpc.get(dest, "ATTRS") else ""
					dests.append(Dest(binrpc.get(dest, "URI"), binrpc.get(dest, "FLAGS"),
						binrpc.get(dest, "PRIORITY"), "" if body == "<null string>" else body or ""))
		return sets

	def flags(self, set_id=1):
		"""{uri: flags} of one set; an assertion against duplicates, which would take a double share of calls."""
		dests = self.dispatcher().get(set_id, [])
		found = {d.uri: d.flags for d in dests}
		assert len(found) == len(dests), f"set {set_id} lists a destination twice: {dests}"
		return found

	def listed(self, set_id=1):
		return set(self.flags(set_id))

	def enabled(self, set_id=1):
		"""What calls may go to as far as c4d decides: everything but D."""
		return {u for u, f in self.flags(set_id).items() if f[0] != "D"}

	def disabled(self, set_id=1):
		return {u for u, f in self.flags(set_id).items() if f[0] == "D"}

	def active(self, set_id=1):
		return {u for u, f in self.flags(set_id).items() if f[0] == "A"}

	def reload(self):
		return self.rpc("dispatcher.reload")

	def add(self, set_id, uri, flags=0, priority=0, attrs=""):
		return self.rpc("dispatcher.add", set_id, uri, flags, priority, *([attrs] if attrs else []))

	def remove(self, set_id, uri):
		return self.rpc("dispatcher.remove", set_id, uri)

	def set_state(self, state, set_id, uri):
		return self.rpc("dispatcher.set_state", state, set_id, uri)


class Router(Kamailio):
	"""carrier: IP:PORT that calls are relayed to. tcp: listen there too, for Consul's TCP checks."""

	def __init__(self, lab, name, carrier, tcp=False, **kw):
		defines = {"CARRIER": carrier}
		if tcp:
			defines["WITH_TCP"] = None
		super().__init__(lab, name, "router.cfg", defines=defines, **kw)

	def calls(self):
		"""INVITEs seen since it started."""
		try:
			return int(binrpc.get(self.rpc("htable.get", "count", "calls")[0], "item", "value"))
		except (binrpc.Fault, TypeError):
			return 0


def options(ip, port, timeout=0.3):
	"""One OPTIONS over UDP; whether 200 came back."""
	family = socket.AF_INET6 if ":" in ip else socket.AF_INET
	host = f"[{ip}]" if ":" in ip else ip
	with socket.socket(family, socket.SOCK_DGRAM) as s:
		s.settimeout(timeout)
		s.connect((ip, port))
		me = s.getsockname()
		here = f"[{me[0]}]" if ":" in me[0] else me[0]
		tag = os.urandom(6).hex()
		s.send((f"OPTIONS sip:{host}:{port} SIP/2.0\r\n"
			f"Via: SIP/2.0/UDP {here}:{me[1]};branch=z9hG4bK{tag};rport\r\n"
			f"From: <sip:lab@{here}>;tag={tag}\r\nTo: <sip:{host}:{port}>\r\n"
			f"Call-ID: {tag}\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 10\r\nContent-Length: 0\r\n\r\n").encode())
		return s.recv(4096).startswith(b"SIP/2.0 200")
