"""
A caller with books (call.xml): of each call it is known when it began, when it rang, by which instance it
went, and whether it ended well; of each failed one also what sipp said.
"""
import collections
import csv
import os
import re
import signal

from .base import LAB, LabError, tail, which
from .sipp import HINT

# Times are of the wall clock, in seconds; None: never came. pdd_ms: from the INVITE to the first 180 or 200.
Call = collections.namedtuple("Call", "id began rang answered ended router pdd_ms")
Failed = collections.namedtuple("Failed", "id began at router reason pdd_ms")

_REASONS = (
	(re.compile(r"retransmission timeout for Call-ID '([^']+)'"), "no answer to a request ({what})"),
	(re.compile(r"unexpected message for Call-Id '([^']+)'.*?received '?SIP/2\.0 (\d+ [^\r\n']*)", re.S), "{what}"),
	(re.compile(r"Call-Id: ([^,]+), receive timeout on message (\S+)"), "nothing came ({what})"),
	(re.compile(r"unexpected (?:BYE|CANCEL) for call: (\S+)"), "ended by the other side"),
)
_STAMP = re.compile(r"\d{4}-\d\d-\d\d\t\d\d:\d\d:\d\d\.\d+\t(\d+\.\d+): ")  # sipp does not always begin a line with it


def percentile(values, p):
	v = sorted(values)
	return v[min(len(v) - 1, max(0, round(p / 100 * len(v) + 0.5) - 1))] if v else None


class Books:
	"""What became of the calls so far."""

	def __init__(self, calls, failed, running, retransmitted):
		self.calls = calls                  # [Call], all that began
		self.failed = failed                # [Failed]
		self.running = running              # how many have neither ended nor failed
		self.retransmitted = retransmitted  # requests that sipp sent again

	def pdd(self, p, since=0.0, until=float("inf")):
		"""A percentile of the post-dial delay, in milliseconds, of the calls that began in this time."""
		return percentile([c.pdd_ms for c in self.calls if c.pdd_ms is not None and since <= c.began < until], p)

	def slower_than(self, ms, since=0.0):
		return [c for c in self.calls if c.began >= since and c.pdd_ms is not None and c.pdd_ms > ms]


class Calls:
	"""
	Calls to `to` ("ip:port") at `rate` per second until finish(), each held for hold_ms; an answer that does not
	come within patience_ms fails the call.
	"""

	_count = 0

	def __init__(self, lab, to, rate=100, hold_ms=20000, patience_ms=15000):
		Calls._count += 1
		self.lab, self.rate, self.hold_ms, self.patience_ms = lab, rate, hold_ms, patience_ms
		self.name = f"calls{Calls._count}"
		self.dir = lab.mkdir(self.name)
		ip = lab.ip()
		self.argv = [which("sipp", HINT), "-nostdin", "-sf", os.path.join(LAB, "call.xml"), "-i", ip, "-ci", ip,
			"-p", lab.port(ip, 5080), "-r", rate, "-l", int(rate * (hold_ms + patience_ms) / 1000) + 1000, "-d", hold_ms,
			"-s", "0123456789", "-recv_timeout", patience_ms, "-trace_stat", "-stf", "stat.csv", "-fd", "1",
			"-trace_err", "-error_file", "errors.log", "-trace_logs", "-log_file", "books.log", to]
		self.proc = None

	def start(self):
		self.proc = self.lab.spawn(self.name, self.argv, env=dict(os.environ, TERM="xterm"), cwd=self.dir,
			stdout=os.path.join(self.dir, "screen.log"))
		self.proc.polite = False
		return self

	def finish(self):
		"""No new calls; wait for the end of those that are up; the Books."""
		self.proc.send(signal.SIGUSR1)
		self.proc.wait((self.hold_ms + self.patience_ms) / 1000 + 60)
		books = self.books()
		if not books.calls:
			raise LabError(f"sipp made no calls (status {self.proc.popen.returncode})\n{tail(self._path('screen.log'))}")
		return books

	def _path(self, name):
		return os.path.join(self.dir, name)

	def books(self):
		rows, lines = {}, []
		try:
			with open(self._path("books.log"), errors="replace") as f:
				lines = f.read().split("\n")[:-1]
		except OSError:
			pass
		for line in lines:
			words = line.split()
			if len(words) < 5:
				continue
			row = rows.setdefault(words[1], {})
			row.setdefault(words[0], float(words[4]))
			if len(words) > 5:
				row["router"] = words[5].removeprefix("sip:")
		errors = self._errors()
		over = self.proc is None or not self.proc.alive()
		calls, failed, running = [], [], 0
		for cid, row in rows.items():
			rang = row.get("R", row.get("A"))
			pdd = None if rang is None else 1000 * (rang - row["B"])
			call = Call(cid, row["B"], rang, row.get("A"), row.get("E"), row.get("router"), pdd)
			calls.append(call)
			if call.ended:
				continue
			if cid in errors or over:
				at, reason = errors.get(cid, (None, "sipp does not say"))
				failed.append(Failed(cid, call.began, at, call.router, reason, pdd))
			else:
				running += 1
		return Books(calls, failed, running, self._retransmitted())

	def _errors(self):
		"""{call id: (time, reason)} of sipp's error file."""
		try:
			with open(self._path("errors.log"), errors="replace") as f:
				text = f.read()
		except OSError:
			return {}
		found = {}
		stamps = list(_STAMP.finditer(text))
		for i, stamp in enumerate(stamps):
			entry = text[stamp.end():stamps[i + 1].start() if i + 1 < len(stamps) else len(text)]
			for pattern, reason in _REASONS:
				m = pattern.search(entry)
				if m:
					what = m.group(2) if pattern.groups > 1 else "time-out"
					found.setdefault(m.group(1), (float(stamp.group(1)), reason.format(what=what)))
					break
		return found

	def _retransmitted(self):
		try:
			with open(self._path("stat.csv"), newline="") as f:
				rows = list(csv.DictReader(f, delimiter=";"))
			return int(rows[-1].get("Retransmissions(C)") or 0) if rows else 0
		except (OSError, ValueError):
			return 0
