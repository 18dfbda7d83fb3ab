"""`c4d exec`: a command's environment from the real Consul's KV, its signals, its end, and when it is started anew."""
import base64
import json
import os
import signal
import socket
import subprocess
import time
import urllib.parse

import pytest

from lab import Consul, HttpError, LabError, c4d_binary, holds, until, yaml

PYTHON = "/usr/bin/python3"
# Prints its environment, whatever bytes are in it.
SHOW = [PYTHON, "-c", "import json, os; print(json.dumps({k.decode('latin1'): v.decode('latin1') for k, v in os.environb.items()}))"]
# Notes that it was started, with V, W and its pid; then what signals it gets. TERM and INT end it as told. It sleeps briefly: Python begins
# a sleep also when a signal has come just before, and looks at that afterwards.
CHILD = """
import os, signal, sys, time
path = sys.argv[1]
def note(text):
	with open(path, "a") as f:
		f.write(text + "\\n")
def on(signo, _):
	note(signal.Signals(signo).name)
	if signo == signal.SIGTERM and "stubborn" not in sys.argv:
		os._exit(3)
	if signo == signal.SIGINT:
		os._exit(4)
for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
	signal.signal(s, on)
if "family" in sys.argv and os.fork() == 0:
	note(f"child {os.getpid()}")
	while True:
		time.sleep(0.1)
note(f"start V={os.environ.get('V', '-')} W={os.environ.get('W', '-')} pid={os.getpid()}")
while True:
	time.sleep(0.1)
"""


class Exec:
	"""c4d exec with the agent's address in a configuration, below prefixes of the test's own."""

	def __init__(self, lab, consul, **over):
		self.lab, self.consul = lab, consul
		self.root = f"exec-{os.urandom(4).hex()}"
		self.conf = lab.path("exec.yml")
		self.notes = lab.path("notes")
		self.write(**over)
		self.runs = 0

	def write(self, **over):
		with open(self.conf, "w") as f:
			f.write(yaml({"consul": {"http": self.consul.http_addr, **over}}))

	def key(self, name):
		return f"/v1/kv/{self.root}/{urllib.parse.quote(name)}"

	def put(self, name, value=b""):
		self.consul.http("PUT", self.key(name), value if isinstance(value, bytes) else value.encode())

	def put_all(self, **values):
		"""In one transaction."""
		self.consul.http("PUT", "/v1/txn", [{"KV": {"Verb": "set", "Key": f"{self.root}/{k.replace('__', '/')}",
			"Value": base64.b64encode(v.encode()).decode()}} for k, v in values.items()])

	def delete(self, name, recurse=False):
		self.consul.http("DELETE", self.key(name) + ("?recurse=true" if recurse else ""))

	def argv(self, options, prefixes, command):
		conf = [] if "-c" in options else ["-c", self.conf]
		return [c4d_binary(), "exec", *conf, *options, *(f"{self.root}/{p}" for p in prefixes), "--", *command]

	def env(self, **over):
		log = self.lab.path("sanitizer")
		env = dict(os.environ, ASAN_OPTIONS=f"detect_leaks=1:exitcode=99:log_path={log}",
			UBSAN_OPTIONS=f"halt_on_error=1:log_path={log}", **over)
		return {k: v for k, v in env.items() if v is not None}

	def run(self, *prefixes, options=(), command=tuple(SHOW), timeout=20, env=None, argv=None):
		return subprocess.run(argv or self.argv(options, prefixes, command), stdin=subprocess.DEVNULL, capture_output=True,
			timeout=timeout, env=self.env(**(env or {})), check=False)

	def shown(self, *prefixes, **kw):
		got = self.run(*prefixes, **kw)
		assert got.returncode == 0, got.stderr.decode()
		return json.loads(got.stdout)

	def spawn(self, *prefixes, options=("--watch",), words=()):
		self.runs += 1
		return self.lab.spawn(f"exec{self.runs}", self.argv(options, prefixes, [PYTHON, "-c", CHILD, self.notes, *words]),
			env=self.env())

	def said(self):
		try:
			with open(self.notes) as f:
				return f.read().splitlines()
		except OSError:
			return []

	def starts(self):
		"""["V=1 W=2"] of each start."""
		return [line.split(" ", 1)[1].rpartition(" ")[0] for line in self.said() if line.startswith("start ")]

	def pid(self):
		return int([line for line in self.said() if line.startswith("start ")][-1].rpartition("=")[2])

	def started(self, *want, timeout=8):
		until(lambda: self.starts() == list(want), timeout, lambda: f"starts {want}, not {self.said()}\n{self.lab.logs()}")

	def stays(self, *want, seconds=1.0):
		holds(lambda: self.starts() == list(want), seconds, f"no start but {want}")

	def clean(self):
		reports = [name for name in os.listdir(self.lab.dir) if name.startswith("sanitizer.")]
		assert not reports, open(os.path.join(self.lab.dir, reports[0])).read()


@pytest.fixture
def ex(lab, agent):
	made = Exec(lab, agent)
	yield made
	made.clean()
	made.delete("", recurse=True)


def test_the_environment(ex):
	"""Of one prefix: values as they are; names as asked for; its own environment kept or not."""
	utf8 = "żółć ✓ \U0001f600"
	ex.put("a/PLAIN", "1")
	ex.put("a/EMPTY")
	ex.put("a/LINES", "one\ntwo\n")
	ex.put("a/EQUALS", "a=b=c=")
	ex.put("a/UTF8", utf8)
	ex.put("a/BYTES", bytes(range(1, 256)))
	ex.put("a/db/url-path", "x")
	ex.put("a/folder/")
	ex.put("a2/NEIGHBOUR", "no")
	ex.put("a", "the key itself")
	want = {"PLAIN": "1", "EMPTY": "", "LINES": "one\ntwo\n", "EQUALS": "a=b=c=", "UTF8": utf8.encode().decode("latin1"),
		"BYTES": bytes(range(1, 256)).decode("latin1")}
	got = ex.shown("a", env={"OWN": "1", "PLAIN": "own"})
	assert {k: got[k] for k in want} == want and got["db/url-path"] == "x" and got["OWN"] == "1"
	assert "NEIGHBOUR" not in got and not [k for k in got if k.startswith("folder")]
	got = ex.shown("a/", options=["--pristine"])
	got.pop("LC_CTYPE", None)  # Python's own
	assert got == {**want, "db/url-path": "x"}
	got = ex.shown("a", options=["--pristine", "--sanitize", "--upcase"])
	got.pop("LC_CTYPE", None)
	assert got == {**want, "DB_URL_PATH": "x"}
	got = ex.shown("a", options=["--upcase"])
	assert got["DB/URL-PATH"] == "x" and "PATH" in got


def test_later_prefixes_win(ex):
	"""And a prefix without a key is said, but does not stop it; when none has one, it does not run."""
	ex.put_all(all__A="1", all__B="1", site__B="2", site__C="2", host__C="3")
	got = ex.shown("all", "site", "host", env={"A": "own", "D": "own"})
	assert {k: got[k] for k in "ABCD"} == {"A": "1", "B": "2", "C": "3", "D": "own"}
	assert ex.shown("host", "all", "site")["C"] == "2"
	got = ex.run("none", "all", "nothing")
	assert got.returncode == 0 and json.loads(got.stdout)["A"] == "1"
	for name in ("none", "nothing"):
		assert f"there is no key below {ex.root}/{name}: going on without it" in got.stderr.decode()
	ran = ex.lab.path("ran")
	got = ex.run("none", "nothing", command=["touch", ran])
	assert got.returncode == 1 and not os.path.exists(ran)
	for name in ("none", "nothing"):
		assert f"there is no key below {ex.root}/{name}: is the prefix right" in got.stderr.decode()


def test_statuses(ex):
	ex.put("a/V", "1")
	for watch in ([], ["--watch"]):
		run = lambda *command, o=watch: ex.run("a", options=o, command=command)  # noqa: E731
		assert run("true").returncode == 0
		assert run("sh", "-c", "exit 7").returncode == 7
		# without --watch it is the command itself that dies
		assert run("sh", "-c", "kill -9 $$").returncode == (137 if watch else -signal.SIGKILL)
		got = run("no-such-command")
		assert got.returncode == 127 and b"cannot run no-such-command: No such file" in got.stderr
		got = run("/etc/passwd")
		assert got.returncode == 126 and b"cannot run /etc/passwd: Permission denied" in got.stderr
		# what c4d has open is not the command's; what it was given is
		r, w = os.pipe()
		got = subprocess.run(ex.argv(watch, ["a"], ["sh", "-c", "ls /proc/self/fd"]), stdin=subprocess.DEVNULL,
			capture_output=True, env=ex.env(), pass_fds=[w], check=True)
		assert {int(n) for n in got.stdout.split()} - {w} <= {0, 1, 2, 3, 4}, got.stdout
		assert str(w).encode() in got.stdout.split()
		os.close(r)
		os.close(w)


def test_usage(ex):
	binary = c4d_binary()
	for words in ([], ["--"], ["--", "true"], ["p"], ["p", "--"], ["p", "true"], ["-c"], ["-c", "f", "--", "true"], ["--nonsense", "p", "--", "true"],
			["--wait=x", "p", "--", "true"], ["--wait", "p", "--", "true"], ["", "--", "true"], ["-d", "p", "--", "true"]):
		got = ex.run(argv=[binary, "exec", *words])
		assert got.returncode == 2 and got.stderr.startswith(b"usage: c4d exec"), (words, got)
	got = ex.run(argv=[binary, "exec", "-c", ex.lab.path("none.yml"), "p", "--", "true"])
	assert got.returncode == 3 and b"none.yml" in got.stderr
	ex.write(http="http://example.org:8500")
	got = ex.run("a")
	assert got.returncode == 3 and b"exec.yml:2: consul.http" in got.stderr
	assert b"c4d exec" in subprocess.run([binary, "--help"], capture_output=True, check=True).stdout


def test_without_a_configuration(ex):
	"""Where the agent is says the environment, as to Consul's own programs."""
	assert not os.path.exists("/etc/c4d/c4d.yml"), "this machine has a c4d installed: its configuration would be used"
	ex.put("a/V", "7")
	argv = [c4d_binary(), "exec", "--wait=1", f"{ex.root}/a", "--", *SHOW]
	at = ex.consul.http_addr
	for env in ({"CONSUL_HTTP_ADDR": at.removeprefix("http://")}, {"CONSUL_HTTP_ADDR": at},
			{"CONSUL_HTTP_ADDR": at.removeprefix("http://"), "CONSUL_HTTP_SSL": "false"}):
		got = ex.run(argv=argv, env=env)
		assert got.returncode == 0 and json.loads(got.stdout)["V"] == "7", (env, got)
	sock = ex.lab.path("consul.sock")
	ip = ex.lab.ip()
	unix = Consul(ex.lab, "unix", ip=ip, config={"addresses": {"http": f"{ip} unix://{sock}"}}).start()
	unix.http("PUT", f"/v1/kv/{ex.root}/a/V", b"8")
	for addr in (f"unix://{sock}", f"unix:{sock}"):
		got = ex.run(argv=argv, env={"CONSUL_HTTP_ADDR": addr})
		assert got.returncode == 0 and json.loads(got.stdout)["V"] == "8", (addr, got)
	token = "00000000-0000-4000-8000-00000000beef"
	got = ex.run(argv=argv, env={"CONSUL_HTTP_ADDR": at, "CONSUL_HTTP_TOKEN": token})
	assert got.returncode == 0 and b"name it in CONSUL_HTTP_TOKEN_FILE" in got.stderr and token.encode() not in got.stderr
	for addr, status, text in (("consul.example:8500", 3, "host names"), ("localhost:1", 4, "127.0.0.1:1"),
			("unix:///nonexistent/sock", 4, "/nonexistent/sock"), ("https://127.0.0.1:1", 4, "https://127.0.0.1:1")):
		got = ex.run(argv=argv, env={"CONSUL_HTTP_ADDR": addr})
		assert got.returncode == status and text in got.stderr.decode(), (addr, got)
	got = ex.run(argv=argv, env={"CONSUL_HTTP_ADDR": at, "CONSUL_HTTP_TOKEN_FILE": "relative"})
	assert got.returncode == 3 and b"token_file" in got.stderr


def test_consul_is_not_there(ex, lab):
	"""Without it: 4, in the time that was given, having said what is waited for; as soon as it is there: on."""
	ip = lab.ip()
	ex.write(http=f"http://{ip}:{lab.port(ip, 18500)}")
	began = time.monotonic()
	got = ex.run("a", options=["--wait=2"])
	assert got.returncode == 4 and 1.9 < time.monotonic() - began < 5
	text = got.stderr.decode()
	assert f"waiting for http://{ip}" in text and "Connection refused" in text and ", 1s of 2s" in text
	assert f"waited 2s in vain for http://{ip}" in text
	late = Consul(lab, "late", ip=ip)
	ex.write(http=late.http_addr)
	p = ex.spawn("a")
	until(lambda: "waiting for http" in p.log_tail(), 5, "it waits")
	late.start()
	late.http("PUT", f"/v1/kv/{ex.root}/a/V", b"5")
	# the prefix was empty, perhaps; then it is another start that counts
	until(lambda: ex.starts() == ["V=5 W=-"] or not p.alive(), 30, lambda: f"started: {p.log_tail()}")
	if not p.alive():
		p = ex.spawn("a")
		ex.started("V=5 W=-", timeout=20)
	assert p.stop() == 3
	# a stop while it waits
	late.stop()
	p = ex.spawn("a")
	until(lambda: "waiting for http" in p.log_tail(), 5, "it waits")
	assert p.stop() == 128 + signal.SIGTERM


def test_what_no_environment_can_hold(ex, lab):
	"""A NUL, too many bytes, a '=' in the name: said with the key's name, never with its value."""
	ex.put("nul/SECRET", b"se\0cret")
	ex.put("long/BIG", b"v" * 200000)
	ex.put("name/a=b", "x")
	for prefix, text in (("nul", "the key SECRET below .*/nul: its value has a NUL byte"), ("long", "the key BIG below .*/long: it is longer than the 131071 bytes"),
			("name", "the key a=b below .*/name: a variable's name cannot have a '='")):
		got = ex.run(prefix)
		first, _, last = text.partition(".*")
		assert got.returncode == 1 and first in got.stderr.decode() and last in got.stderr.decode(), got
		assert b"cret" not in got.stderr.replace(b"SECRET", b"") and b"vvv" not in got.stderr
	# 131,071 bytes are possible
	ex.put("most/V", b"v" * (131071 - 2))
	assert len(ex.shown("most", options=["--pristine"])["V"]) == 131069
	# and all of a prefix is read, whatever its size: 1 MB of one value, more than Consul takes unless told
	big = Consul(lab, "big", config={"limits": {"kv_max_value_size": 2 << 20}}).start()
	big.http("PUT", f"/v1/kv/{ex.root}/big/MEGA", b"m" * (1 << 20))
	for i in range(12):  # 3 MB of them
		big.http("PUT", f"/v1/kv/{ex.root}/many/V{i}/x", b"w" * 100000)
	ex.write(http=big.http_addr)
	got = ex.run("big")
	assert got.returncode == 1 and b"the key MEGA" in got.stderr
	assert len(ex.shown("many", options=["--pristine", "--sanitize"])["V11_x"]) == 100000


def test_signals(ex):
	"""All six reach the command; its status is passed on. Without --watch the command is the process itself."""
	ex.put("a/V", "1")
	p = ex.spawn("a", options=())
	ex.started("V=1 W=-")
	assert ex.pid() == p.pid
	assert p.stop() == 3
	for last, status in ((signal.SIGTERM, 3), (signal.SIGINT, 4)):
		os.unlink(ex.notes)
		p = ex.spawn("a")
		ex.started("V=1 W=-")
		assert ex.pid() != p.pid
		names = []
		for s in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT):
			p.send(s)
			names.append(s.name)
			until(lambda: ex.said()[1:] == names, 5, lambda: f"{names}, not {ex.said()}")  # pylint: disable=cell-var-from-loop
		p.send(last)
		assert p.wait(5) == status
		until(lambda: ex.said()[-1] == last.name, 1, "it got it")  # pylint: disable=cell-var-from-loop
	os.unlink(ex.notes)
	p = ex.spawn("a")
	ex.started("V=1 W=-")
	os.kill(ex.pid(), signal.SIGKILL)
	assert p.wait(5) == 137
	p = ex.lab.spawn("nohup", ["nohup", *ex.argv(["--watch"], ["a"], ["sleep", "60"])], env=ex.env())
	until(lambda: _children(p.pid), 5, "it runs")
	p.send(signal.SIGHUP)
	holds(p.alive, 0.5, "nohup's word counts")
	p.send(signal.SIGTERM)
	assert p.wait(5) == 143


def _children(pid):
	with open(f"/proc/{pid}/task/{pid}/children") as f:
		return [int(x) for x in f.read().split()]


def test_watch(ex):
	"""Started anew when the environment is another one, once for what changes together, and else never."""
	ex.put_all(all__V="1", all__W="1", site__W="2")
	p = ex.spawn("all", "site")
	runs = ["V=1 W=2"]
	ex.started(*runs)
	# what makes no difference: a value under which another one lies, the same value, a neighbour, a folder
	ex.put("all/W", "9")
	ex.put("all/V", "1")
	ex.put("all2/V", "9")
	ex.put("site/folder/")
	ex.stays(*runs)
	# two keys together, in both prefixes; one start
	ex.put_all(all__V="2", site__W="3")
	runs.append("V=2 W=3")
	ex.started(*runs)
	for value in "3456":  # one after the other, quickly
		ex.put("all/V", value)
	until(lambda: ex.starts()[-1] == "V=6 W=3", 5, lambda: f"the last of them: {ex.starts()}")
	runs = ex.starts()
	assert len(runs) <= 4, runs
	ex.stays(*runs)
	# changed and changed back within the time that is looked at: nothing
	began = time.monotonic()
	ex.put("all/V", "7")
	ex.put("all/V", "6")
	if time.monotonic() - began < 0.1:
		ex.stays(*runs)
	until(lambda: ex.starts()[-1] == "V=6 W=3", 5, "and if this machine was too slow for that, in the end the same")
	runs = ex.starts()
	# a key that goes, and one that comes
	ex.put("site/V", "8")
	runs.append("V=8 W=3")
	ex.started(*runs)
	ex.delete("site/W")
	runs.append("V=8 W=9")
	ex.started(*runs)
	# the whole prefix goes, but for a folder: what was there last stays, and it coming back is no change
	ex.delete("site/V")
	until(lambda: "site: Consul says that it is empty" in p.log_tail(), 5, "it is said")
	ex.stays(*runs)
	ex.put("all/V", "0")  # that of the other one still wins
	ex.stays(*runs)
	ex.put("site/V", "8")
	until(lambda: "site: is no longer empty" in p.log_tail(), 5, "it is said")
	ex.stays(*runs)
	# a value that no environment can hold
	ex.put("all/X", b"a\0b")
	until(lambda: "the key X below" in p.log_tail(), 5, "it is said")
	ex.stays(*runs)
	ex.put("all/X", b"ab")
	runs.append("V=8 W=9")
	ex.started(*runs)
	# each of them is gone, and none is left as a zombie
	assert _children(p.pid) == [ex.pid()]
	assert all(s == "SIGTERM" for s in ex.said() if not s.startswith("start"))
	assert len(ex.said()) == 2 * len(runs) - 1
	p.send(signal.SIGTERM)
	assert p.wait(5) == 3
	ex.stays(*runs, seconds=0.3)


def test_watch_with_a_prefix_that_comes_later(ex):
	ex.put("all/V", "1")
	p = ex.spawn("all", "site")
	ex.started("V=1 W=-")
	ex.put("site/W", "2")
	ex.started("V=1 W=-", "V=1 W=2")
	assert p.stop() == 3


def test_watch_with_a_stubborn_command(ex):
	"""SIGTERM to it and to what it started; after five seconds both are killed."""
	ex.put("a/V", "1")
	p = ex.spawn("a", words=("stubborn", "family"))
	ex.started("V=1 W=-")
	until(lambda: len(ex.said()) == 2, 5, "and its child")
	old = [ex.pid(), int([s for s in ex.said() if s.startswith("child")][0].split()[1])]
	began = time.monotonic()
	ex.put("a/V", "2")
	until(lambda: ex.said().count("SIGTERM") == 2, 5, lambda: f"both were asked: {ex.said()}")
	# it changes once more meanwhile: the next one has it
	ex.put("a/V", "3")
	ex.started("V=1 W=-", "V=3 W=-", timeout=12)
	assert 4.5 < time.monotonic() - began < 9
	until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in old), 5, "the old ones are gone")
	assert "did not end within 5 s of SIGTERM: killed" in p.log_tail()
	# stopped while it is being started anew: that is a stop, and however long it takes, c4d kills nobody for it
	ex.put("a/V", "4")
	until(lambda: ex.said().count("SIGTERM") >= 4, 5, "asked")
	p.send(signal.SIGTERM)
	holds(p.alive, 6, "it waits for the command")
	p.send(signal.SIGINT)
	assert p.wait(5) == 4
	assert len(ex.starts()) == 2


def test_watch_while_the_agent_is_away(lab):
	"""Killed, started with its data, wiped, answering garbage: the command runs on; and what changed meanwhile gets through."""
	consul = Consul(lab).start()
	ex = Exec(lab, consul)
	ex.put("a/V", "1")
	p = ex.spawn("a")
	runs = ["V=1 W=-"]
	ex.started(*runs)
	consul.kill()
	until(lambda: f"{ex.root}/a: lost" in p.log_tail(), 10, "it is said")
	ex.stays(*runs)
	consul.start()
	until(lambda: f"{ex.root}/a: back after" in p.log_tail(), 30, "it is back")
	ex.stays(*runs)
	ex.put("a/V", "2")
	runs.append("V=2 W=-")
	ex.started(*runs)
	# changed in the very moment in which nobody looks
	consul.pause()
	holds(p.alive, 0.5, "it hangs")
	consul.resume()
	ex.put("a/V", "3")
	runs.append("V=3 W=-")
	ex.started(*runs, timeout=20)
	# a new cluster, whose index begins anew
	consul.kill()
	consul.wipe()
	consul.start()
	until(lambda: "Consul says that it is empty" in p.log_tail(), 40, "it is empty")
	ex.stays(*runs)
	ex.put("a/V", "3")
	until(lambda: "is no longer empty" in p.log_tail(), 10, "it is back")
	ex.stays(*runs)
	ex.put("a/V", "4")
	runs.append("V=4 W=-")
	ex.started(*runs)
	assert p.stop() == 3
	ex.clean()


def test_token(lab):
	"""ACL: by file, read again when it changes; too few rights are no empty prefix; it is never shown."""
	consul = Consul(lab, acl=True).start()
	ex = Exec(lab, consul)
	ex.put("a/V", "1")
	token_file = lab.path("token")

	def give(token):
		with open(token_file + ".new", "w") as f:
			f.write(token + "\n")
		os.rename(token_file + ".new", token_file)

	tokens = {
		"read": consul.make_token(f'key_prefix "{ex.root}/a" {{ policy = "read" }}'),
		"again": consul.make_token(f'key_prefix "{ex.root}/a" {{ policy = "read" }}'),
		"other": consul.make_token('key_prefix "other/" { policy = "read" }'),
		"nobody": "00000000-0000-4000-8000-00000000dead",
	}
	ex.write(token_file=token_file)
	give(tokens["read"])
	assert ex.shown("a")["V"] == "1"
	give(tokens["other"])  # Consul says that there is nothing
	got = ex.run("a")
	assert got.returncode == 1 and b"may the token read it (key_prefix read)?" in got.stderr
	give(tokens["nobody"])
	got = ex.run("a", options=["--wait=2"])
	assert got.returncode == 4 and b"HTTP 403: ACL not found" in got.stderr, got
	give(tokens["read"])
	p = ex.spawn("a")
	ex.started("V=1 W=-")
	# rights taken away: it looks empty, and is not
	give(tokens["other"])
	ex.put("a/V", "2")
	until(lambda: "Consul says that it is empty" in p.log_tail() or "V=2 W=-" in ex.starts(), 10, "it looks empty, or was quicker")
	seen = ex.starts()
	holds(lambda: ex.starts() == seen, 1, "it goes on")
	give(tokens["again"])
	ex.put("a/V", "3")
	until(lambda: ex.starts()[-1] == "V=3 W=-", 30, lambda: f"with the new token: {ex.starts()} {p.log_tail()}")
	# a token that was deleted, and a new one in the file
	accessor = consul.http("GET", "/v1/acl/token/self", token=tokens["again"])["AccessorID"]
	consul.http("DELETE", f"/v1/acl/token/{accessor}")
	ex.put("a/V", "4")
	until(lambda: "403" in p.log_tail() or ex.starts()[-1] == "V=4 W=-", 30, "the token is gone")
	give(tokens["read"])
	until(lambda: ex.starts()[-1] == "V=4 W=-", 30, lambda: f"with the third token: {ex.starts()} {p.log_tail()}")
	p.send(signal.SIGTERM)
	assert p.wait(5) == 3
	log = p.log()
	for token in tokens.values():
		assert token not in log and token.encode() not in got.stderr + got.stdout
	with pytest.raises(HttpError):
		consul.http("GET", f"/v1/kv/{ex.root}/a/V", token=tokens["other"])
	ex.clean()


def test_something_else_answers(ex, lab):
	"""A server that is no Consul proves nothing, whatever it says."""
	site = lab.spawn("web", [PYTHON, "-m", "http.server", "-b", (ip := lab.ip()), str(port := lab.port(ip, 18080))])
	ex.write(http=f"http://{ip}:{port}")
	until(lambda: "Serving" in site.log_tail() or _connects(ip, port), 10, "the other server runs")
	got = ex.run("a", options=["--wait=2"])
	assert got.returncode == 4 and b"without X-Consul-Index: is consul.http the HTTP port of Consul?" in got.stderr, got


def _connects(ip, port):
	try:
		socket.create_connection((ip, port), 1).close()
	except OSError as e:
		raise LabError(str(e)) from None
	return True
