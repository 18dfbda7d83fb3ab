"""One run: its ground, its calls, its promises and what came of them."""
import collections
import os
import random
import re
import shutil
import time

from lab import Lab
from lab.base import ROOT
from lab.calls import Calls, percentile

from load import Load, waited_s
from stage import Stage

RATE = 100        # calls per second
HOLD_S = 20       # how long each lasts
HOLD_SHORT_S = 5  # in the short form
OUT = os.path.join(ROOT, "build", "chaos")

Broken = collections.namedtuple("Broken", "at text")


class Trial:
	"""
	What a run works with: stage() for the platform, calls() for traffic, say() and trace() for the record, promise() and
	broken() for the verdict, figure() for the table, rnd for every decision that is left to chance, `short` for the
	short form.
	"""

	def __init__(self, number, title, seed, short, way="c4d"):
		self.number, self.title, self.seed, self.short, self.way = number, title, seed, short, way
		self.rnd = random.Random(f"{seed}/{number}")
		self.name = f"run{number}" + ("" if way == "c4d" else "-template")
		self.dir = os.path.join(OUT, self.name)
		shutil.rmtree(self.dir, ignore_errors=True)
		os.makedirs(self.dir)
		self._trace = open(os.path.join(self.dir, "trace.log"), "w", buffering=1)
		self.began = time.time()
		self.promises_broken, self.figures, self.notes = [], [], []
		self.books, self.excused = None, []
		self.load = Load()
		self.lab = Lab(f"chaos{number}")
		self._stage = self._calls = None
		self._waited = {}

	# ---- the record ----

	def trace(self, at, text):
		self._trace.write(f"{at - self.began:9.3f} {time.strftime('%H:%M:%S', time.gmtime(at))}.{int(at % 1 * 1000):03d}Z "
			f"{text}\n")

	def say(self, text):
		"""Into the record and onto the screen."""
		self.trace(time.time(), text)
		print(f"  [{time.time() - self.began:6.1f} s] {text}", flush=True)

	def broken(self, text, at=None):
		"""A promise that was not kept."""
		at = at or time.time()
		self.promises_broken.append(Broken(at, text))
		self.trace(at, f"BROKEN {text}")
		if len(self.promises_broken) <= 20:
			print(f"  [{at - self.began:6.1f} s] BROKEN: {text}", flush=True)

	def promise(self, kept, text, at=None):
		if not kept:
			self.broken(text, at)
		return kept

	def figure(self, name, value):
		self.figures.append((name, value))

	def note(self, text):
		self.notes.append(text)

	# ---- the ground ----

	def stage(self, **kw):
		kw.setdefault("way", self.way)
		self._stage = Stage(self, **kw)
		self.say(f"the platform is up: {len(self._stage.fleet.in_service())} router instances, "
			f"{len(self._stage.nodes)} rtpengines (table kept by {'c4d' if self._stage.nodes_by == 'c4d' else 'nobody'}), "
			f"{self.lab.dir}")
		return self._stage

	def calls(self, rate=RATE, hold_s=None, warm=True):
		"""Begin calls through the SBC; they go on until end_calls(). warm: only return when the first ones have ended."""
		hold_s = hold_s or (HOLD_SHORT_S if self.short else HOLD_S)
		self._calls = Calls(self.lab, self._stage.sbc.addr, rate=rate, hold_ms=int(1000 * hold_s)).start()
		self.load.start()
		self._waited = {name: waited_s(pids) for name, pids in self._programs()}
		self.say(f"calls begin: {rate} per second, held for {hold_s:g} s")
		if warm:
			time.sleep(1.0)
		self.calls_from = time.time()
		return self._calls

	def _programs(self):
		return [*self._stage.programs(), ("sipp", [self._calls.proc.pid])]

	def end_calls(self, excuse=None):
		"""
		No new calls, wait for those that are up, and judge: a failed call breaks the run's promise unless
		excuse(Failed) gives a reason.
		"""
		self._waited = {name: waited_s(pids) - self._waited.get(name, 0) for name, pids in self._programs()}
		self.books = self._calls.finish()
		if self.load.is_alive():
			self.load.stop()
		for f in sorted(self.books.failed, key=lambda f: f.began):
			why = excuse(f) if excuse else None
			went = f"began {self.at(f.began)}, by {f.router or 'no router known'}"
			if why:
				self.excused.append((f, why))
				self.trace(f.at or f.began, f"call {f.id} failed: {f.reason} ({went}); excused: {why}")
			else:
				self.broken(f"call {f.id} failed: {f.reason} ({went})", f.at or f.began)
		return self.books

	def at(self, when):
		return f"{when - self.began:.2f} s"

	def on_killed_router(self, fleet):
		"""An excuse for end_calls(): the call was on a router at the moment it was killed."""
		def excuse(f):
			for k in fleet.killed:
				if f.began <= k.until and (f.at is None or f.at >= k.at):
					if f.router in k.router.ips:
						return f"it was on {k.router.name}, killed at {self.at(k.at)}"
					# It had not rung yet: nobody knows where it was, but it was somewhere just then.
					if f.router is None and k.at - f.began < 0.5:
						return f"it was being set up when {k.router.name} was killed at {self.at(k.at)}"
			return None
		return excuse

	# ---- the end ----

	def close(self):
		"""Stops everything; what the programs wrote is kept when a promise was broken."""
		if self.load.is_alive():
			self.load.stop()
		try:
			self.lab.stop()
		finally:
			keep = bool(self.promises_broken) or os.environ.get("CHAOS_KEEP")
			if keep:
				shutil.copytree(self.lab.dir, os.path.join(self.dir, "lab"), symlinks=True, ignore=_unneeded,
					ignore_dangling_symlinks=True)
			self.lab.remove()
			self._trace.close()

	def row(self):
		"""The cells of the table."""
		b = self.books
		def ms(x):
			return "-" if x is None else f"{x:.0f}"
		if b is None:
			return ["-"] * 7
		return [len(b.calls), len(b.failed), len(self.excused), b.retransmitted, ms(b.pdd(50)), ms(b.pdd(99)),
			ms(b.pdd(100))]

	def waits(self):
		"""How long the programs were ready to run and had no CPU."""
		return ", ".join(f"{name} {s:.1f} s" for name, s in self._waited.items())


def _unneeded(directory, names):
	"""Sockets can't be copied; Consul's data and the calls' raw records are large and say nothing more."""
	out = [n for n in names if not (os.path.isdir(p := os.path.join(directory, n)) or os.path.isfile(p))]
	return out + [n for n in names if n in ("data", "screen.log") or re.fullmatch(r"fifo.*", n)]


__all__ = ["Trial", "percentile", "RATE", "HOLD_S"]
