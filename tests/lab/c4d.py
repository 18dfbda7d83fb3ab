"""c4d itself, driven by its command line alone."""
import atexit
import collections
import functools
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile

from .base import ROOT, Ended, LabError, tail, until

Ctl = collections.namedtuple("Ctl", "rc out err data")  # data: decoded JSON, or None


def c4d_binary():
	"""$C4D, else the release build; a copy where only root can get at that, since tests run it as other users."""
	path = os.path.abspath(os.environ.get("C4D") or os.path.join(ROOT, "build/c4d"))
	if not os.access(path, os.X_OK):
		raise LabError(f"{path} is missing: run make, or set C4D=/path/to/c4d")
	return _for_all(path) if os.geteuid() == 0 else path


@functools.cache
def _for_all(path):
	above = os.path.dirname(path)
	while os.stat(above).st_mode & 0o001 and above != "/":
		above = os.path.dirname(above)
	if above == "/":
		return path
	place = tempfile.mkdtemp(prefix="c4d-bin-")
	atexit.register(shutil.rmtree, place, ignore_errors=True)
	os.chmod(place, 0o755)
	return shutil.copy(path, place)


@functools.cache
def unit():
	"""The unit's text: c4d runs here as there."""
	with open(os.path.join(ROOT, "packaging/debian/c4d.service"), encoding="utf-8") as f:
		return f.read()


def unit_environment():
	return dict(re.findall(r"^Environment=(\w+)=(.*)$", unit(), re.M))


@functools.cache
def may(*prefix):
	"""Whether commands can be run behind it: a container's root may not all that root may."""
	p = subprocess.run([*prefix, "true"], capture_output=True, check=False)
	return p.returncode == 0 and not p.stderr


def as_nice(argv, user=None):
	"""To run it with the unit's nice value, where that can be given."""
	prefix = ["nice", "-n", re.search(r"^Nice=(.*)$", unit(), re.M)[1]]
	return [*prefix, *argv] if not user and may(*prefix) else argv


def yaml(value, depth=0):
	"""A configuration as block style YAML, one key per line (so that errors have lines)."""
	out = []
	for key, v in value.items():
		lead = "  " * depth + f"{key}:"
		if isinstance(v, dict):
			out.append(f"{lead} {{}}\n" if not v else f"{lead}\n{yaml(v, depth + 1)}")
		elif isinstance(v, bool):
			out.append(f"{lead} {'true' if v else 'false'}\n")
		elif isinstance(v, (list, tuple)):
			out.append(f"{lead} [{', '.join(json.dumps(str(x)) for x in v)}]\n")
		else:
			out.append(f"{lead} {v if isinstance(v, int) else json.dumps(str(v))}\n")
	return "".join(out)


def merge(base, over):
	"""A new dict: `over` laid on `base`, deeply; a value None takes a key away."""
	out = dict(base)
	for key, v in over.items():
		if v is None:
			out.pop(key, None)
		elif isinstance(v, dict) and isinstance(out.get(key), dict):
			out[key] = merge(out[key], v)
		else:
			out[key] = v
	return out


def next_port(lab):
	"""Of HTTP servers, from which on to look for a free one: those of the same lab may not run yet."""
	lab.http_ports = getattr(lab, "http_ports", 19600) + 1
	return lab.http_ports


class C4d:
	"""
	One daemon. config: a dict (see base_config()) or text. user: run as this user, as on a real VM.
	A report of a sanitizer, or an end by a signal that nobody sent, makes check_clean() fail.
	"""

	def __init__(self, lab, config, name="c4d", *, binary=None, user=None, env=None):
		self.lab, self.name, self.user = lab, name, user
		self.binary = binary or c4d_binary()
		self.dir = lab.mkdir(name, user=user)
		self.http_ip = lab.ip(254)
		self.http_port = lab.port(self.http_ip, next_port(lab))
		self.conf = os.path.join(self.dir, "c4d.yml")
		self.socket = os.path.join(self.dir, "ctl.sock")
		self.state = os.path.join(self.dir, "state")
		lab.mkdir(name, "state", user=user)
		self.extra_env = dict(env or {})
		self.proc, self.starts, self.killed = None, 0, False
		self.write(config)
		# `c4ctl` is a link to the binary; a build directory need not have it.
		self.c4ctl = os.path.join(self.dir, "c4ctl")
		if not os.path.lexists(self.c4ctl):
			os.symlink(self.binary, self.c4ctl)
		lab.cleanups.append(self._end)

	def _end(self):
		if self.proc and self.proc.alive() and not self.lab.keeping:
			self.proc.resume()
			self.proc.stop()

	def write(self, config):
		"""Replace the configuration (reload() or a restart makes it take effect)."""
		if isinstance(config, dict):
			config = yaml(merge({"state": self.state, "control": {"socket": self.socket},
				"http": {"listen": [f"{self.http_ip}:{self.http_port}"]}}, config))
		with open(self.conf, "w") as f:
			f.write(config)

	def env(self):
		env = {**os.environ, **unit_environment()}
		log = os.path.join(self.dir, "sanitizer")
		env["ASAN_OPTIONS"] = (f"detect_leaks=1:halt_on_error=1:abort_on_error=0:exitcode=99:log_path={log}:"
			f"{env.get('ASAN_OPTIONS', '')}")
		env["UBSAN_OPTIONS"] = f"print_stacktrace=1:halt_on_error=1:log_path={log}:{env.get('UBSAN_OPTIONS', '')}"
		env.update(self.extra_env)
		return env

	def start(self, *args, wait=True, timeout=10.0):
		self.starts += 1
		self.killed = False
		self.proc = self.lab.spawn(self.name, as_nice([self.binary, "run", "-c", self.conf, *args], self.user), env=self.env(),
			user=self.user)
		if wait:
			until(self.answers, timeout, lambda: f"{self.name} answers at its control socket\n{self.proc.log_tail()}")
		return self

	def answers(self):
		if not self.proc.alive():
			raise Ended(f"c4d ended with status {self.proc.popen.returncode}")
		return self.ctl("status").rc in (0, 1)

	def run(self, *args, timeout=20.0, env=None):
		"""One of c4d's other commands: check, plan, version. Returns a Ctl."""
		return self._call([self.binary, *args], timeout, env)

	def check(self, *args, **kw):
		return self.run("check", "-c", self.conf, *args, **kw)

	def plan(self, *args, **kw):
		return self.run("plan", "-c", self.conf, *args, **kw)

	def ctl(self, *words, fmt=None, timeout=10.0):
		"""c4ctl with these words; fmt "json" also decodes."""
		argv = [self.c4ctl, "-s", self.socket]
		if fmt:
			argv += ["-f", fmt]
		return self._call([*argv, *words], timeout, None, fmt)

	def _call(self, argv, timeout, env, fmt=None):
		full = self.env()
		full.update(env or {})
		try:
			p = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout,
				env=full, cwd=self.dir, check=False)
		except subprocess.TimeoutExpired as e:
			raise LabError(f"{' '.join(map(str, argv))} did not end within {timeout:g} s: {e.stdout!r}") from None
		out, err = p.stdout.decode(errors="replace"), p.stderr.decode(errors="replace")
		data = None
		if fmt == "json" and out.strip():
			try:
				data = json.loads(out)
			except ValueError as e:
				raise LabError(f"{' '.join(map(str, argv))}: no JSON ({e}): {out[:500]!r} {err[:500]!r}") from None
		return Ctl(p.returncode, out, err, data)

	def show(self, what):
		"""`c4ctl -f json show WHAT`, which must work."""
		got = self.ctl("show", *what.split(), fmt="json")
		if got.rc != 0 or got.data is None:
			raise LabError(f"c4ctl show {what}: status {got.rc}: {got.out[:500]}{got.err[:500]}")
		return got.data

	def instances(self, service=None):
		"""{"address:port": row} of show instances."""
		rows = {}
		for row in self.show("instances"):
			if service in (None, row["service"]):
				a = row["address"]
				rows[f"[{a}]:{row['port']}" if ":" in a else f"{a}:{row['port']}"] = row
		return rows

	def states(self, service=None):
		return {k: r["state"] for k, r in self.instances(service).items()}

	def targets(self):
		"""{name: row} of show targets."""
		return {row["target"]: row for row in self.show("targets")}

	def converged(self):
		"""All targets hold the newest generation."""
		rows = self.show("targets")
		return bool(rows) and all(r["state"] == "converged" for r in rows)

	def log(self):
		try:
			return self.proc.log()
		except OSError:
			return ""

	def wait_log(self, pattern, timeout=10.0):
		return until(lambda: re.search(pattern, self.log(), re.M), timeout,
			lambda: f"the log says /{pattern}/\n{self.log()[-3000:]}")

	def reload(self):
		"""SIGHUP."""
		self.proc.send(signal.SIGHUP)

	def stop(self, timeout=5.0):
		"""SIGTERM; it must end by itself in time and with status 0."""
		rc = self.proc.stop(timeout)
		if rc is None:
			raise LabError(f"c4d did not end within {timeout:g} s of SIGTERM\n{self.proc.log_tail()}")
		if rc != 0:
			raise LabError(f"c4d ended with status {rc} on SIGTERM\n{self.proc.log_tail()}\n{self.reports()}")

	def kill(self):
		self.killed = True
		self.proc.kill()

	def restart(self):
		self.stop()
		return self.start()

	def reports(self):
		return "\n".join(tail(p, 80) for p in sorted(glob.glob(os.path.join(self.dir, "sanitizer.*"))))

	def check_clean(self):
		"""Stop it if it runs; fail on sanitizer reports and on an unexpected end."""
		if self.proc:
			if self.proc.alive():
				self.proc.resume()
				self.stop(10.0)
			elif not self.killed and (self.proc.popen.returncode < 0 or self.proc.popen.returncode == 99):
				raise LabError(f"c4d ended with status {self.proc.popen.returncode}\n{self.proc.log_tail()}\n"
					f"{self.reports()}")
		text = self.reports()
		if text:
			raise LabError(f"a sanitizer reports:\n{text}")


def base_config(consul, sbc, /, **over):
	"""
	What most tests start from: one service, one set, short times, and no damping (tests make an instance fail and pass
	more often than a real one does). over: laid on top, deeply.
	"""
	return merge({
		"consul": {"dns": [consul.dns_addr] if hasattr(consul, "dns_addr") else list(consul), "budget": 100},
		"services": {"router": {"interval": "100ms", "remove_hold": "2s", "empty_hold": "3s", "flap_suppress": 0}},
		"kamailio": {"sbc": {
			"binrpc": sbc.ctl, "list_file": sbc.list_file,
			"dispatcher": {"1": {"service": "router", "uri": "sip:{address}:{port}", "flags": 16,
				"attrs": "weight={weight}"}},
		}},
	}, over)
