"""How busy the machine is: what a run's figures must be read beside. The promises do not depend on it."""
import os
import threading
import time

TICK = 0.02


def _cpu():
	with open("/proc/stat") as f:
		v = [int(x) for x in f.readline().split()[1:9]]
	return sum(v), v[3] + v[4]


def _stalled_us():
	"""Microseconds in which somebody wanted a CPU and had none; 0 where the kernel does not tell."""
	try:
		with open("/proc/pressure/cpu") as f:
			return int(f.readline().rpartition("total=")[2])
	except (OSError, ValueError):
		return 0


def waited_s(pids):
	"""Seconds that these processes were ready to run and had no CPU."""
	total = 0
	for pid in pids:
		try:
			for tid in os.listdir(f"/proc/{pid}/task"):
				with open(f"/proc/{pid}/task/{tid}/schedstat") as f:
					total += int(f.read().split()[1])
		except OSError:
			pass
	return total / 1e9


class Load(threading.Thread):
	"""Samples from start() to stop()."""

	def __init__(self):
		super().__init__(daemon=True)
		self._end = threading.Event()
		self.late = []     # how late a sleep of 20 ms ended, in ms: what any timer here suffers
		self.late_at = []  # [(wall clock, ms)] of those above 50 ms
		self.busy = self.stalled = 0.0

	def run(self):
		begin, total, idle, stall = time.monotonic(), *_cpu(), _stalled_us()
		while not self._end.is_set():
			before = time.monotonic()
			time.sleep(TICK)
			late = 1000 * (time.monotonic() - before - TICK)
			self.late.append(late)
			if late > 50:
				self.late_at.append((time.time(), late))
		total2, idle2 = _cpu()
		self.busy = 100 * (1 - (idle2 - idle) / max(1, total2 - total))
		self.stalled = (_stalled_us() - stall) / 1e4 / max(0.001, time.monotonic() - begin)

	def stop(self):
		self._end.set()
		self.join()
		return self

	def text(self):
		v = sorted(self.late) or [0]
		return (f"CPUs {self.busy:.0f}% busy, somebody waited for one {self.stalled:.0f}% of the time; "
			f"a timer was late by {v[int(len(v) * 0.99)]:.0f} ms at p99, {v[-1]:.0f} ms at most")
