"""Calls of one c4d fail by order: tests/tools/fault.c, preloaded."""
import os
import re
import subprocess

from .base import ROOT, until
from .c4d import c4d_binary


class Faults:
	"""
	make_c4d(config, env=faults.env); then faults.set("write ENOSPC path=dispatcher.list times=1", ...), which replaces what
	was set before; faults.set() ends all of them. The lines are described in tests/tools/fault.c.
	"""

	def __init__(self, lab, *lines):
		self.control, self.noted = lab.path("faults"), lab.path("faults.log")
		lib = lab.path("fault.so")
		subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", lib,
			os.path.join(ROOT, "tests/tools/fault.c"), "-ldl"], check=True)
		# A sanitizer's library wants to be the first.
		linked = subprocess.run(["ldd", c4d_binary()], check=True, stdout=subprocess.PIPE).stdout.decode()
		first = re.findall(r"=> (\S*lib(?:asan|clang_rt\.asan)\S*)", linked)
		self.env = {"LD_PRELOAD": ":".join([*first, lib]), "FAULT_CONTROL": self.control, "FAULT_LOG": self.noted}
		self.set(*lines)

	def set(self, *lines):
		with open(self.control + ".new", "w") as f:
			f.write("".join(line + "\n" for line in lines))
		os.rename(self.control + ".new", self.control)

	def hits(self, pattern=""):
		"""The calls that failed and match, oldest first: "CALL ERROR loop|worker PATH"."""
		try:
			with open(self.noted) as f:
				return [line for line in f.read().splitlines() if re.search(pattern, line)]
		except OSError:
			return []

	def wait(self, pattern="", timeout=10.0, n=1):
		return until(lambda: len(self.hits(pattern)) >= n, timeout, lambda: f"a call fails: {pattern}: {self.hits()}")
