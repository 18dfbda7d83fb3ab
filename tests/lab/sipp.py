"""sipp as carrier (uas) and as caller (uac)."""
import csv
import os

from .base import LAB, LabError, which

HINT = "install the Debian package sip-tester (tests/tools/deps.sh does it)"


class Result:
	"""Figures of a caller, from sipp's statistics file."""

	def __init__(self, row, rc):
		def number(key):
			return int(row.get(key) or 0)
		self.rc = rc
		self.calls = number("TotalCallCreated")
		self.ok = number("SuccessfulCall(C)")
		self.failed = number("FailedCall(C)")
		self.retransmissions = number("Retransmissions(C)")
		# {"<10": n, ..., ">=5000": n} of milliseconds from INVITE to 200
		self.answered = {}
		for key, value in row.items():
			if key and key.startswith("ResponseTimeRepartition1_"):
				name = key[len("ResponseTimeRepartition1_"):]
				if name:
					self.answered[name] = int(value or 0)

	def slower_than(self, ms):
		"""Calls that took at least so long (ms must be a limit of uac.xml)."""
		return sum(n for k, n in self.answered.items()
			if (k.startswith(">=") and int(k[2:]) >= ms) or (k.startswith("<") and int(k[1:]) > ms))

	def __str__(self):
		return f"{self.ok} of {self.calls} calls, {self.failed} failed, {self.retransmissions} retransmissions"


class Sipp:
	"""One sipp, to be started once, in a directory of its own."""

	def __init__(self, lab, name):
		self.lab, self.name = lab, name
		self.dir = lab.mkdir(name)
		self.errors = os.path.join(self.dir, "errors.log")
		self.proc = None

	def start(self, scenario, args):
		argv = [which("sipp", HINT), "-nostdin", "-sf", scenario, "-trace_err", "-error_file", self.errors, *args]
		self.proc = self.lab.spawn(self.name, argv, env=dict(os.environ, TERM="xterm"), cwd=self.dir,
			stdout=os.path.join(self.dir, "screen.log"))
		self.proc.polite = False

	def why(self):
		try:
			with open(self.errors, errors="replace") as f:
				return f.read()[:3000]
		except OSError:
			return "(sipp noted no errors)"


class _Counted(Sipp):
	def __init__(self, lab, name, scenario, args):
		super().__init__(lab, name)
		self.stat = os.path.join(self.dir, "stat.csv")
		self.start(os.path.join(LAB, scenario), ["-trace_stat", "-stf", self.stat, "-fd", "1", *args])

	def result(self):
		try:
			with open(self.stat, newline="") as f:
				rows = list(csv.DictReader(f, delimiter=";"))
		except OSError:
			rows = []
		return Result(rows[-1] if rows else {}, self.proc.popen.poll())


class Uas(_Counted):
	"""The carrier behind the routers."""

	def __init__(self, lab, name="carrier", ip=None):
		self.ip = ip or lab.ip()
		self.port = lab.port(self.ip, 5070)
		super().__init__(lab, name, "uas.xml", ["-i", self.ip, "-p", self.port, "-ci", self.ip])

	@property
	def addr(self):
		return f"{self.ip}:{self.port}"


class Uac(_Counted):
	"""Calls to `to` ("ip:port"): rate per second, count in all, each held for hold_ms, given up after patience_ms."""

	_count = 0

	def __init__(self, lab, to, rate=10, count=10, hold_ms=100, ip=None, patience_ms=8000):
		Uac._count += 1
		self.ip = ip or lab.ip()
		self.count, self.rate = count, rate
		args = ["-i", self.ip, "-p", lab.port(self.ip, 5080), "-ci", self.ip, "-r", rate, "-m", count,
			"-d", hold_ms, "-s", "0123456789", "-recv_timeout", patience_ms,
			"-timeout", f"{int(count / rate) + 40}s", "-timeout_error", to]
		super().__init__(lab, f"caller{Uac._count}", "uac.xml", args)

	def wait(self, timeout=None):
		self.proc.wait(timeout or self.count / self.rate + 45)
		return self.result()

	def ok(self, timeout=None):
		"""Wait, and assert that every call was answered and ended well."""
		r = self.wait(timeout)
		if r.rc != 0 or r.failed or r.ok != self.count:
			raise LabError(f"{r} (sipp's status {r.rc})\n{self.why()}")
		return r
