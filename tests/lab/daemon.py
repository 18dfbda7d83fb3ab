"""What the lab's real daemons have in common: how a program is found, awaited, paused and ended."""
import os
import subprocess

from .base import ROOT, Ended, LabError, until


def by_script(variable, script, hint):
	"""What tests/tools/SCRIPT prints; it is asked once, and $VARIABLE keeps it. hint: what to do when there is none."""
	path = os.environ.get(variable)
	if path:
		return path
	got = subprocess.run([os.path.join(ROOT, "tests/tools", script)], stdout=subprocess.PIPE, check=False)
	if got.returncode:
		raise LabError(f"{hint}, or see tests/tools/{script}")
	path = os.environ[variable] = got.stdout.decode().strip()
	return path


class Daemon:
	"""start() makes .proc; up() says whether it works, `works` what that is in words."""

	works, ready_s, stop_s = "answers", 20.0, 5.0

	def __init__(self, lab, name):
		self.lab, self.name, self.proc = lab, name, None

	def start(self, wait=True):
		raise NotImplementedError

	def up(self):
		raise NotImplementedError

	def started(self, argv, wait, polite=True):
		"""For start(): this program, working if `wait`. Not polite: at the lab's end it gets no time to end by itself."""
		self.proc = self.lab.spawn(self.name, argv)
		self.proc.polite = polite
		if wait:
			self.ready()
		return self

	def ready(self, timeout=None):
		def is_up():
			if not self.proc.alive():
				raise Ended(f"{self.name} ended at its start")
			return self.up()
		until(is_up, timeout or self.ready_s, lambda: f"{self.name} {self.works}\n{self.proc.log_tail()}")

	def stop(self):
		return self.proc.stop(timeout=self.stop_s)

	def kill(self):
		"""As a crash of the whole of it: SIGKILL to every process; what it left in the file system stays behind."""
		self.proc.kill()

	def restart(self, wait=True):
		self.stop()
		return self.start(wait)

	def pause(self):
		self.proc.pause()

	def resume(self):
		self.proc.resume()
