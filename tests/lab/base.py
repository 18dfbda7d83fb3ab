"""The ground of the lab: private addresses, processes that always end, and waiting for conditions.

A Lab owns a directory, a network 127.A.B.0/24 and every process it started. Leaving its `with`
block stops them all by their pids, whatever happened inside.
"""
import ctypes
import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time

LAB = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(LAB))
# The network's lock: a listening socket at .254. It frees itself when its owner dies.
LOCK_PORT = 29999
PR_SET_PDEATHSIG = 1


class LabError(AssertionError):
	"""Something the lab waited for did not come, or a part of it is missing."""


class Ended(LabError):
	"""A process that something is awaited of is gone: waiting on is vain."""


def until(cond, timeout=10.0, what=None, every=0.01):
	"""Await that cond() is true and return its value. An exception of cond() counts as "not yet"."""
	end = time.monotonic() + timeout
	value = error = None
	while True:
		try:
			value, error = cond(), None
			if value:
				return value
		except Ended as e:
			raise LabError(f"{_text(cond, what)}; {e}") from None
		except Exception as e:  # pylint: disable=broad-except
			error = e
		if time.monotonic() >= end:
			break
		time.sleep(every)
		every = min(every * 1.3, 0.1)
	seen = f"{type(error).__name__}: {error}" if error else repr(value)
	raise LabError(f"not within {timeout:g} s: {_text(cond, what)}; last seen: {seen[:2000]}") from error


def _text(cond, what):
	return what() if callable(what) else what or getattr(cond, "__doc__", None) or "condition"


def holds(cond, seconds, what, every=0.05):
	"""Assert that cond() stays true for so long (for what must NOT happen)."""
	end = time.monotonic() + seconds
	while time.monotonic() < end:
		value = cond()
		if not value:
			raise LabError(f"did not hold for {seconds:g} s: {what}; seen: {value!r}")
		time.sleep(every)


def which(name, hint):
	path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
	if path is None:
		raise LabError(f"{name} is missing: {hint}")
	return path


def tail(path, lines=40):
	try:
		with open(path, errors="replace") as f:
			return "".join(f.readlines()[-lines:])
	except OSError as e:
		return f"({e})\n"


def proc_stat(pid):
	"""Fields of /proc/PID/stat after the name: [0] is the state."""
	with open(f"/proc/{pid}/stat") as f:
		return f.read().rpartition(")")[2].split()


def session_pids(sid):
	"""Living processes of a session."""
	found = []
	for entry in os.listdir("/proc"):
		if entry.isdigit():
			try:
				st = proc_stat(entry)
			except OSError:
				continue
			if st[3] == str(sid) and st[0] not in "ZX":
				found.append(int(entry))
	return found


class Proc:
	"""One started program, leader of its own session, with its output in a log file."""

	def __init__(self, lab, name, argv, *, env=None, cwd=None, user=None, stdout=None):
		self.lab, self.name, self.argv = lab, name, [str(a) for a in argv]
		self.log_path = stdout or os.path.join(lab.dir, f"{name}.log")
		parent = os.getpid()
		keep = lab.keeping

		def preexec():
			# If we are killed hard, our children get SIGTERM (Kamailio's main ends its own children then).
			if not keep:
				ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
				if os.getppid() != parent:
					os._exit(1)

		with open(self.log_path, "ab") as out:
			self.popen = subprocess.Popen(
				self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=env,
				cwd=cwd or lab.dir, start_new_session=True, preexec_fn=preexec, user=user,
				group=user, extra_groups=[] if user else None)
		self.pid = self.popen.pid
		self.started = proc_stat(self.pid)[19]
		self.polite = True  # whether the lab's end gives it time to end by itself
		lab.procs.append(self)

	def alive(self):
		return self.popen.poll() is None

	def send(self, sig):
		if self.alive():
			os.kill(self.pid, sig)

	def signal_all(self, sig):
		"""To the program and every process that it made in its session."""
		for pid in session_pids(self.pid):
			try:
				os.kill(pid, sig)
			except ProcessLookupError:
				pass

	def wait(self, timeout):
		try:
			return self.popen.wait(timeout)
		except subprocess.TimeoutExpired:
			raise LabError(f"{self.name} (pid {self.pid}) did not end within {timeout:g} s\n"
				f"{self.log_tail()}") from None

	def stop(self, timeout=5.0, sig=signal.SIGTERM):
		"""End it, with force if it must be; returns its status (None: force was needed)."""
		self.signal_all(signal.SIGCONT)
		self.send(sig)
		try:
			rc = self.popen.wait(timeout)
		except subprocess.TimeoutExpired:
			rc = None
		self.kill()
		return rc

	def kill(self):
		"""SIGKILL to the whole session, and reap."""
		left = session_pids(self.pid)
		while left:
			for pid in left:
				try:
					os.kill(pid, signal.SIGKILL)
				except ProcessLookupError:
					pass
			if self.pid in left:
				self.popen.wait(10)
			time.sleep(0.002)
			left = session_pids(self.pid)
		self.popen.wait(10)

	def pause(self):
		self.signal_all(signal.SIGSTOP)

	def resume(self):
		self.signal_all(signal.SIGCONT)

	def rss_kb(self):
		with open(f"/proc/{self.pid}/status") as f:
			for line in f:
				if line.startswith("VmRSS:"):
					return int(line.split()[1])
		raise LabError(f"{self.name} has no VmRSS")

	def cpu_s(self):
		"""CPU time so far, from the scheduler's nanoseconds (all threads)."""
		total = 0
		for tid in os.listdir(f"/proc/{self.pid}/task"):
			with open(f"/proc/{self.pid}/task/{tid}/schedstat") as f:
				total += int(f.read().split()[0])
		return total / 1e9

	def log(self):
		with open(self.log_path, errors="replace") as f:
			return f.read()

	def log_tail(self, lines=40):
		return f"--- {self.name}: {' '.join(self.argv)}\n{tail(self.log_path, lines)}"


class Lab:
	"""
	Use as a context manager. keep: leave everything running at the end, also when we die.
	temporary: the directory goes with the lab.
	"""

	def __init__(self, name="lab", keep=False, directory=None, temporary=False):
		self.name, self.keeping, self.temporary = name, keep, temporary
		self.procs, self.cleanups = [], []
		self.grace = 3.0
		self.dir = directory or tempfile.mkdtemp(prefix="c4-")  # short: socket paths end at 107 bytes
		os.makedirs(self.dir, exist_ok=True)
		os.chmod(self.dir, 0o755)  # Kamailio may run as its own user
		self._lock_net()
		self._hosts = itertools.count(100)

	def _lock_net(self):
		rnd = random.Random(os.urandom(8))
		for _ in range(1000):
			net = f"127.{rnd.randint(20, 250)}.{rnd.randint(1, 250)}"
			s = socket.socket()
			try:
				s.bind((f"{net}.254", LOCK_PORT))
				s.listen(1)
			except OSError:
				s.close()
				continue
			self.net, self._lock = net, s
			return
		raise LabError("no free 127.A.B.0/24: is everything bound to 0.0.0.0?")

	def ip(self, host=None):
		"""An address of this lab's own network; without a number, one not given before."""
		return f"{self.net}.{next(self._hosts) if host is None else host}"

	def port(self, ip, first):
		"""The first port from `first` that is free at ip, TCP and UDP. Below the kernel's own range."""
		for port in range(first, min(first + 500, 32767)):
			if port_free(ip, port):
				return port
		raise LabError(f"no free port at {ip} from {first}")

	def path(self, *parts):
		p = os.path.join(self.dir, *parts)
		os.makedirs(os.path.dirname(p), exist_ok=True)
		return p

	def mkdir(self, *parts, user=None):
		p = os.path.join(self.dir, *parts)
		os.makedirs(p, exist_ok=True)
		if user:
			shutil.chown(p, user, user)
		return p

	def spawn(self, name, argv, **kw):
		return Proc(self, name, argv, **kw)

	def stop(self):
		for fn in reversed(self.cleanups):
			fn()
		self.cleanups.clear()
		living = [p for p in reversed(self.procs) if p.alive() or session_pids(p.pid)]
		for p in living:
			if p.polite:
				p.signal_all(signal.SIGCONT)
				p.send(signal.SIGTERM)
			else:
				p.kill()
		end = time.monotonic() + self.grace
		for p in living:
			try:
				p.popen.wait(max(0.01, end - time.monotonic()))
			except subprocess.TimeoutExpired:
				pass
		for p in self.procs:
			p.kill()
		self._lock.close()

	def remove(self):
		shutil.rmtree(self.dir, ignore_errors=True)

	def logs(self, lines=30):
		seen = {}
		for p in self.procs:
			seen[p.log_path] = p
		return "\n".join(p.log_tail(lines) for p in seen.values())

	def stop_script(self, path, remove=False):
		"""
		A shell script that ends what this lab started, and only that (pid and start time must match);
		remove: it then deletes the lab's directory too.
		"""
		pids = []
		for p in reversed(self.procs):
			for pid in [p.pid] + [x for x in session_pids(p.pid) if x != p.pid]:
				try:
					pids.append((pid, proc_stat(pid)[19], p.name))
				except OSError:
					pass
		with open(path, "w") as f:
			f.write("#!/bin/sh\n# Stops what this lab started: by pid, and only when it is still the same process.\n"
				"end()\n{\n"
				"\t[ \"$(sed 's/.*) //' /proc/$1/stat 2>/dev/null | cut -d' ' -f20)\" = \"$2\" ] || return 0\n"
				"\tkill -$3 $1 2>/dev/null && echo \"$4 (pid $1)\"\n}\n")
			leaders = {p.pid for p in self.procs}
			for pid, start, name in pids:
				if pid in leaders:
					f.write(f"end {pid} {start} TERM {name}\n")
			f.write("sleep 3\n")
			for pid, start, name in pids:
				f.write(f"end {pid} {start} KILL {name}\n")
			if remove:
				f.write(f"rm -rf '{self.dir}'\n")
			f.write("exit 0\n")
		os.chmod(path, 0o755)

	def __enter__(self):
		return self

	def __exit__(self, *exc):
		if not self.keeping:
			self.stop()
			if self.temporary:
				self.remove()


def port_free(ip, port):
	family = socket.AF_INET6 if ":" in ip else socket.AF_INET
	for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
		with socket.socket(family, kind) as s:
			if kind == socket.SOCK_STREAM:
				s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
			try:
				s.bind((ip, port))
			except OSError:
				return False
	return True
