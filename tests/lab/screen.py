"""A terminal for programs that draw on one: a pty, and what stands on its screen."""
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

from .base import LabError, until

SEQUENCE = re.compile(r"\x1b\[(\??)([\d;]*)([A-Za-z])")


class Screen:
	"""Runs argv on a terminal of its own. Understands what plain ANSI programs write; anything else is an error."""

	def __init__(self, lab, argv, env, rows=24, columns=80):
		self.master, slave = pty.openpty()
		self.resize(rows, columns, tell=False)
		self.before = termios.tcgetattr(slave)
		self.raw, self.rest, self.lines, self.at, self.alternate, self.cursor = "", "", {}, [0, 0], False, True
		self.slave = slave
		self.popen = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, env=env,  # pylint: disable=consider-using-with
			start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
		lab.cleanups.append(self.stop)

	def resize(self, rows, columns, tell=True):
		self.rows, self.columns = rows, columns
		if tell:
			self.lines = {}
		fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

	def type(self, text):
		os.write(self.master, text.encode())

	def read(self):
		"""Takes what was written by now."""
		while select.select([self.master], [], [], 0)[0]:
			try:
				data = os.read(self.master, 65536)
			except OSError:
				return self
			self.raw += data.decode()
			self._draw(self.rest + data.decode())
		return self

	def _draw(self, text):
		i = 0
		self.rest = ""
		while i < len(text):
			c = text[i]
			if c == "\x1b":
				m = SEQUENCE.match(text, i)
				if not m:
					if len(text) - i < 16:
						self.rest = text[i:]
						return
					raise LabError(f"no sequence that a terminal knows: {text[i:i + 20]!r}")
				self._control(*m.groups())
				i = m.end()
				continue
			if c == "\r":
				self.at[1] = 0
			elif c == "\n":
				self.at[0] += 1
			else:
				line = self.lines.get(self.at[0], "").ljust(self.at[1])
				self.lines[self.at[0]] = line[:self.at[1]] + c + line[self.at[1] + 1:]
				self.at[1] += 1
				if self.alternate and self.at[1] > self.columns:
					raise LabError(f"wider than {self.columns}: {self.lines[self.at[0]]!r}")
				if self.alternate and self.at[0] >= self.rows:
					raise LabError(f"more than {self.rows} lines")
			i += 1

	def _control(self, private, numbers, kind):
		if private:
			if numbers == "1049":
				self.alternate, self.lines, self.at = kind == "h", {}, [0, 0]
			elif numbers == "25":
				self.cursor = kind == "h"
			return
		if kind == "H":
			row, column = (int(n) for n in numbers.split(";")) if ";" in numbers else (1, 1)
			self.at = [row - 1, column - 1]
		elif kind == "K":
			self.lines[self.at[0]] = self.lines.get(self.at[0], "")[:self.at[1]]
		elif kind == "J":
			self.lines = {} if numbers == "2" else {n: s for n, s in self.lines.items() if n <= self.at[0]}
			if numbers != "2":
				self.lines[self.at[0]] = self.lines.get(self.at[0], "")[:self.at[1]]
		elif kind != "m":
			raise LabError(f"a sequence that is not awaited: {numbers}{kind}")

	def text(self):
		self.read()
		return "\n".join(self.lines.get(n, "").rstrip() for n in range(max(self.lines, default=-1) + 1))

	def shows(self, pattern, timeout=10.0):
		return until(lambda: re.search(pattern, self.text(), re.M), timeout, lambda: f"/{pattern}/ on\n{self.text()}")

	def ended(self, timeout=5.0):
		"""Its exit status; the terminal must be as it was."""
		end = time.monotonic() + timeout
		while self.popen.poll() is None and time.monotonic() < end:
			self.read()
			time.sleep(0.01)
		self.read()
		if self.popen.returncode is None:
			raise LabError(f"it does not end\n{self.text()}")
		return self.popen.returncode

	def is_restored(self):
		return not self.alternate and self.cursor and termios.tcgetattr(self.slave) == self.before

	def stop(self):
		if self.popen.poll() is None:
			self.popen.kill()
			self.popen.wait()
		for fd in (self.master, self.slave):
			try:
				os.close(fd)
			except OSError:
				pass
