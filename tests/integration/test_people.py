"""c4ctl for people: completion in three shells, drawings, colours, the live screen, and a status of ten lines."""
import os
import re
import shutil
import signal
import socket
import subprocess
import termios

import pytest

from lab import EAGER, FakeDns, base_config, merge, until, watching
from lab.made import made
from lab.screen import Screen
from lab.service import has_state, is_up

FILES = ["bash/c4ctl", "bash/c4d", "zsh/_c4ctl", "fish/c4ctl.fish", "fish/c4d.fish"]


@pytest.fixture
def fake(lab):
	fake = FakeDns(lab)
	fake.list("router", ("10.1.0.1", 5060, 5), ("fd00::1", 5061, 7))
	fake.list("rtp", ("10.2.0.1", 2223, 1))
	return fake


@pytest.fixture
def c4d(fake, make_c4d):
	c = make_c4d(watching(fake, {"router": merge(EAGER, {"remove_hold": "10m"}), "rtp": EAGER})).start()
	is_up(c, "router", "10.1.0.1:5060", "[fd00::1]:5061")
	is_up(c, "rtp", "10.2.0.1:2223")
	return c


# ---- completion ----

@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
	"""{name: path}"""
	made_in = made(str(tmp_path_factory.mktemp("completions")), "completions")
	return {name: os.path.join(made_in, name) for name in FILES}


def run(*argv, env=None):
	p = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60, env={**os.environ, **(env or {})})
	assert p.returncode == 0 and p.stderr == "", p
	return p.stdout


def in_bash(script, line):
	"""What bash has in COMPREPLY for this line, the cursor at its end."""
	code = '. "$1"; COMP_LINE=$2 COMP_POINT=${#2}; COMPREPLY=(); _c4ctl; printf "%s\\n" "${COMPREPLY[@]}"'
	return [word for word in run("bash", "--norc", "-c", code, "bash", script, line).splitlines() if word]



def in_zsh(script, line):
	"""The core that all three share, run by zsh."""
	words = line.split(" ")
	code = 'script=$1; shift; service=; . "$script"; _c4ctl_candidates "$@"'
	rows = run("zsh", "-f", "-c", code, "zsh", script, *words).splitlines()
	return [r.split("\t")[0] for r in rows if r.startswith(words[-1])]


def in_fish(script, line):
	"""Fish's own machinery; it must find the program by its name."""
	words = line.split(" ", 1)
	env = {"HOME": os.path.dirname(script), "PATH": f"{os.path.dirname(words[0])}:{os.environ['PATH']}"}
	rows = run("fish", "--no-config", "-c", f"source {script}; complete -C $argv[1]", f"c4ctl {words[1]}", env=env)
	return [r.split("\t")[0] for r in rows.splitlines()]


# the line after the program's name; what is offered
CASES = [
	("stat", ["status"]),
	("show t", ["topology", "targets"]),
	("sh topo", ["topology"]),
	("show topology ", ["router", "rtp"]),
	("show topology ro", ["router"]),
	("approve ", ["router", "rtp"]),
	("app ", ["router", "rtp"]),
	("hold rt", ["rtp"]),
	("why 10.1", ["10.1.0.1:5060"]),
	("why ", ["10.1.0.1:5060", "10.2.0.1:2223", "[fd00::1]:5061"]),
	("drain 10.1.0.1:5060 ", ["--timeout"]),
	("drain --timeout 5s 10.2", ["10.2.0.1:2223"]),
	("maintenance o", ["on", "off"]),
	("log d", ["debug"]),
	("rollback ", ["1", "2"]),
	("-f ", ["plain", "json", "jsonl", "dot", "mermaid"]),
	("-f json show kv ", []),
	("routing ", ["load", "check"]),
	("nosuch ", []),
	("status ", []),
]


# Of a shell that is not installed, the script's form alone is tested (test_completion_is_whole).
@pytest.mark.parametrize("shell", ["bash", *(s for s in ("zsh", "fish") if shutil.which(s))])
def test_completion_of_living_names(c4d, scripts, shell):
	complete, script = {"bash": (in_bash, "bash/c4ctl"), "zsh": (in_zsh, "zsh/_c4ctl"), "fish": (in_fish, "fish/c4ctl.fish")}[shell]
	generation = c4d.ctl("status", fmt="json").data["generation"]
	for line, offered in CASES:
		if line.startswith("rollback"):
			offered = [str(n) for n in range(1, generation + 1)]
		got = complete(scripts[script], f"{c4d.c4ctl} -s {c4d.socket} {line}")
		# What stands before a colon stays to readline.
		offered = [o[o.rindex(":") + 1:] if shell == "bash" and ":" in line.split(" ")[-1] else o for o in offered]
		assert sorted(got) == sorted(offered), (line, got)


def test_completion_behind_a_colon(c4d, scripts):
	"""Bash takes a colon for the end of a word: what is offered goes on from there."""
	def bash(line):
		return in_bash(scripts["bash/c4ctl"], f"{c4d.c4ctl} -s {c4d.socket} {line}")

	assert bash("why 10.1.0.1:50") == ["5060"]
	assert bash("why [fd00::1]:") == ["5061"]


def test_completion_without_a_daemon(c4d, scripts):
	"""Commands all the same; no names, no error, and no waiting for a daemon that hangs."""
	def bash(line):
		return in_bash(scripts["bash/c4ctl"], f"{c4d.c4ctl} -s {c4d.socket} {line}")

	c4d.proc.send(signal.SIGSTOP)
	assert bash("show topology ") == []
	c4d.proc.send(signal.SIGCONT)
	assert bash("show topology ") == ["router", "rtp"]
	c4d.stop()
	assert bash("show topology ") == [] and bash("show topo") == ["topology"]
	assert bash("-") == ["-s", "-f", "-w", "-h", "-V"]


def test_completion_of_files(c4d, scripts, lab):
	with open(lab.path("data.json"), "w"):
		pass
	line = f"{c4d.c4ctl} routing load {lab.path('dat')}"
	assert in_bash(scripts["bash/c4ctl"], line) == [lab.path("data.json")]
	assert in_bash(scripts["bash/c4ctl"], f"{c4d.c4ctl} -s {lab.path('dat')}") == [lab.path("data.json")]


def test_completion_is_whole(c4d, scripts):
	"""Every command and every option of the table is offered, in each shell's script; the shells take them."""
	table = [row.split("\t") for row in c4d.run("commands").out.splitlines()]
	for name, args, _, _ in table:
		words = name.split()
		for n, word in enumerate(words):
			assert word in in_bash(scripts["bash/c4ctl"], " ".join(["c4ctl", *words[:n], word[:1]])), name
		offered = in_bash(scripts["bash/c4ctl"], f"c4ctl -s /nosuch {name} --")
		assert sorted(offered) == sorted(set(re.findall(r"--[a-z-]+", args))), name
		for script in ("bash/c4ctl", "zsh/_c4ctl", "fish/c4ctl.fish"):
			assert f"\n{name}\t{args}\t" in open(scripts[script]).read().replace("\\'", "'"), (script, name)  # pylint: disable=consider-using-with
	for script, shell in (("bash/c4ctl", "bash"), ("bash/c4d", "bash"), ("zsh/_c4ctl", "zsh"), ("fish/c4ctl.fish", "fish"),
			("fish/c4d.fish", "fish")):
		if shutil.which(shell):
			run(shell, "-n", scripts[script])
	assert "complete -F _c4ctl c4ctl" in open(scripts["bash/c4ctl"]).read()  # pylint: disable=consider-using-with
	assert open(scripts["zsh/_c4ctl"]).read().startswith("#compdef c4ctl c4d\n")  # pylint: disable=consider-using-with
	# POSIX: what fish runs it with
	with open(scripts["bash/c4ctl"]) as f:
		core = f.read().split("\n_c4ctl() {")[0]
	assert run("sh", "-c", core + '\n_c4ctl_candidates "$@"', "sh", "c4ctl", "stat").splitlines()


def test_completion_of_c4d(c4d, scripts):
	"""Its commands and options are those of its usage."""
	usage = c4d.run("help").out
	verbs = set(re.findall(r"c4d (\w+)", usage.split("FILE is")[0]))
	code = '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _c4d; printf "%s\\n" "${COMPREPLY[@]}"'

	def offered(*words):
		return set(run("bash", "--norc", "-c", code, "bash", scripts["bash/c4d"], "c4d", *words).split())

	assert offered("") == verbs
	options = set().union(*(offered(v, "-") for v in verbs))
	assert {o.rstrip("=") for o in options} - {"--"} == set(re.findall(r"(?<![\w-])--?[a-z]+", usage))
	for verb in verbs:
		assert f" {verb}" in open(scripts["fish/c4d.fish"]).read() and verb in open(scripts["zsh/_c4ctl"]).read()  # pylint: disable=consider-using-with


# ---- drawings ----

DOT_TEXT = r'"(?:[^"\\]|\\.)*"'
DOT_VALUE = rf"(?:[A-Za-z_]\w*|\d+|{DOT_TEXT})"
DOT_ATTRIBUTES = rf"\[\w+={DOT_VALUE}(?:, \w+={DOT_VALUE})*\]"


def parse_dot(text):
	"""A strict reading of what we write of Graphviz's language: nodes and edges {id: label}."""
	lines = text.splitlines()
	assert lines[0] == "digraph c4 {" and lines[-1] == "}"
	nodes, edges = {}, {}
	for line in lines[1:-1]:
		label = re.search(rf"label=({DOT_TEXT})", line)
		if m := re.fullmatch(rf"\t(\w+) {DOT_ATTRIBUTES};", line):
			if m[1] not in ("graph", "node", "edge"):
				nodes[m[1]] = label[1]
		elif m := re.fullmatch(rf"\t(\w+) -> (\w+) {DOT_ATTRIBUTES};", line):
			edges[m[1], m[2]] = label[1]
		else:
			assert re.fullmatch(rf"\t\w+={DOT_VALUE};", line), line
	return nodes, edges


def parse_mermaid(text):
	lines = text.splitlines()
	assert lines[0] == "flowchart LR"
	nodes, edges, looks = {}, {}, set()
	label = r'"((?:[^"#&<]|#\d+;|<br/>)*)"'
	for line in lines[1:]:
		if m := re.fullmatch(rf"\t(\w+)(?:\(\[{label}\]\)|\[\[{label}\]\]|\[{label}\]):::(\w+)", line):
			nodes[m[1]] = m[2] or m[3] or m[4]
			assert m[5] in looks
		elif m := re.fullmatch(rf"\t(\w+) (?:-->|-\.->)(?:\|{label}\|)? (\w+)", line):
			edges[m[1], m[3]] = m[2] or ""
		else:
			m = re.fullmatch(r"\tclassDef (\w+) fill:#\w{6},stroke:#\w{6},color:#000000", line)
			assert m, line
			looks.add(m[1])
	return nodes, edges


def check_drawing(nodes, edges, platform, colon=":"):
	labels = list(nodes.values())
	assert all(a in nodes and b in nodes for a, b in edges)
	for service in platform["services"]:
		assert any(service["service"] in label for label in labels)
		for i in service["instances"]:
			assert any(f"{i['port']}" in label and i["address"] in label and i["state"] in label for label in labels), i
		for t in service["targets"]:
			assert any(f"{t['target']}{colon} {t['state']}" in label for label in edges.values()), t
	assert len(nodes) == sum(1 + len(s["instances"]) for s in platform["services"]) + len(platform["kamailio"])
	assert len(edges) == sum(len(s["instances"]) + len(s["targets"]) for s in platform["services"])


def test_drawings(lab, fake, sbc, make_c4d):
	fake.list("router", ("127.0.0.1", 5999))
	c4d = make_c4d(base_config([fake.dns_addr], sbc, services={"rtp": {}})).start()
	until(c4d.converged, 15, "Kamailio holds it")
	is_up(c4d, "rtp", "10.2.0.1:2223")
	platform = c4d.show("topology")
	assert platform["kamailio"] == [{"name": "sbc", "up": True, "why": None}] or platform["kamailio"][0]["up"] is True
	dot = c4d.ctl("show", "topology", fmt="dot")
	assert dot.rc == 0 and dot.err == ""
	check_drawing(*parse_dot(dot.out), platform)
	mermaid = c4d.ctl("show", "topology", fmt="mermaid")
	check_drawing(*parse_mermaid(mermaid.out), platform)
	one, _ = parse_dot(c4d.ctl("show", "topology", "rtp", fmt="dot").out)
	assert not any("router" in label for label in one.values())
	if shutil.which("dot"):
		p = subprocess.run(["dot", "-Tsvg"], input=dot.out, check=True, capture_output=True, text=True)
		assert p.stderr == "" and "127.0.0.1:5999" in p.stdout and "dispatcher sbc/1: converged" in p.stdout
	# a Kamailio that is gone looks so
	sbc.kill()
	until(lambda: c4d.show("targets")[0]["state"] == "unreachable", 10, "it is seen")
	nodes, edges = parse_dot(c4d.ctl("show", "topology", fmt="dot").out)
	assert any("sbc\\nKamailio: not reachable" in label for label in nodes.values())
	assert any("sbc/1: unreachable" in label for label in edges.values())
	assert c4d.ctl("show", "topology", "nosuch", fmt="dot").rc == 1


def test_drawings_of_nothing_else(c4d):
	for fmt in ("dot", "mermaid"):
		for words in (["status"], ["show", "targets"], ["watch"], ["routing", "check", "/nosuch"]):
			got = c4d.ctl(*words, fmt=fmt)
			assert got.rc == 2 and got.out == "" and "draw show topology" in got.err and " ".join(words[:2]).split("/")[0].strip() in got.err
	assert "show topology also takes dot and mermaid" in c4d.ctl("status", fmt="svg").err


# ---- on a terminal ----

def on_terminal(lab, c4d, *words, rows=24, columns=80, **env):
	full = {**c4d.env(), "TERM": "xterm", **env}
	if "NO_COLOR" not in env:
		full.pop("NO_COLOR", None)
	return Screen(lab, [c4d.c4ctl, "-s", c4d.socket, *words], full, rows, columns)


def test_colours_on_a_terminal_only(lab, c4d):
	for words in (["status"], ["show", "instances"], ["show", "topology"], ["why", "10.1.0.1:5060"]):
		assert "\x1b" not in c4d.ctl(*words).out
		screen = on_terminal(lab, c4d, *words)
		assert screen.ended() == 0 and "\x1b[32m" in screen.raw, screen.raw
		for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
			plain = on_terminal(lab, c4d, *words, **env)
			assert plain.ended() == 0 and "\x1b" not in plain.raw
			# The same text, but for ages.
			assert re.sub(r"[\d.]+", "", plain.text()) == re.sub(r"[\d.]+", "", screen.text())
		screen = on_terminal(lab, c4d, *words, NO_COLOR="")
		assert screen.ended() == 0 and "\x1b[32m" in screen.raw
	as_json = on_terminal(lab, c4d, "-f", "json", "status")
	assert as_json.ended() == 0 and "\x1b" not in as_json.raw


def test_watch_is_a_screen(lab, fake, c4d):
	screen = on_terminal(lab, c4d, "watch")
	screen.shows(r"^c4d \S+: all is well$")
	screen.shows(r"^services   2: 3 up")
	# what was before, and then what happens; in place, and the status with it
	screen.shows(r"^\d\d:\d\d:\d\d generation \d+: rtp 10\.2\.0\.1:2223 new -> up$")
	fake.list("router", ("10.1.0.1", 5060, 5), ("fd00::1", 5061, 7), ("10.1.0.9", 5060, 1))
	screen.shows(r"^\d\d:\d\d:\d\d notice topo: router: 10\.1\.0\.9:5060 up weight=1$")
	screen.shows(r"^services   2: 4 up")
	assert screen.text().count("all is well") == 1 and " info " not in screen.text()
	assert screen.alternate and not screen.cursor
	assert not termios.tcgetattr(screen.slave)[3] & (termios.ECHO | termios.ICANON)
	# keys that mean nothing do nothing
	screen.type("x\x1b[A ")
	fake.list("rtp", ("10.2.0.1", 2223, 1), ("10.2.0.2", 2223, 1))
	screen.shows(r"10\.2\.0\.2:2223 up")
	screen.type("q")
	assert screen.ended() == 0 and screen.is_restored()


def test_watch_after_a_resize(lab, fake, c4d):
	screen = on_terminal(lab, c4d, "watch", rows=40, columns=120)
	screen.shows("last changes")
	for n in range(30):
		fake.list("router", ("10.1.0.1", 5060, n + 10), ("fd00::1", 5061, 7))
		until(lambda n=n: c4d.instances()["10.1.0.1:5060"]["weight"] == n + 10, 5, "taken over")
	screen.shows("10.1.0.1:5060.*weight=39")
	screen.read()
	# The terminal knows no line more than it has: Screen says so otherwise. The newest is at the bottom, the status stays.
	screen.resize(12, 40)
	until(lambda: "all is well" in screen.text() and "q ends" in screen.text(), 5, lambda: screen.text())
	lines = screen.text().splitlines()
	assert len(lines) <= 12 and max(map(len, lines)) <= 40
	assert lines[0].endswith("all is well") and lines[11].endswith("q ends")
	screen.resize(30, 80)
	screen.shows("10.1.0.1:5060.*weight=39")
	assert screen.popen.poll() is None
	screen.type("\x03")
	assert screen.ended() == 0 and screen.is_restored()


def test_watch_waits_for_a_daemon(lab, c4d):
	screen = on_terminal(lab, c4d, "watch")
	screen.shows("all is well")
	c4d.stop()
	screen.shows("cannot reach c4d at .*(?:\n.*)*trying again")
	c4d.start()
	screen.shows("all is well")
	assert "trying again" not in screen.text()
	# Once again it hears of changes.
	assert c4d.ctl("hold", "router").rc == 0
	screen.shows("router.*(frozen|hold|held)")
	for sig in (signal.SIGTERM,):
		screen.popen.send_signal(sig)
	assert screen.ended() == 0 and screen.is_restored()


def stops_and_goes_on(screen):
	"""Ctrl-Z gives the terminal back; the shell's fg brings the screen again."""
	screen.shows("all is well")
	screen.type("\x1a")
	with open(f"/proc/{screen.popen.pid}/stat") as f:
		until(lambda: f.seek(0) == 0 and f.read().rsplit(")", 1)[1].split()[0] == "T", 5, "it is stopped")
	screen.read()
	assert screen.is_restored()
	screen.popen.send_signal(signal.SIGCONT)
	screen.shows("all is well")
	assert screen.alternate


def test_watch_stops_and_goes_on(lab, c4d):
	screen = on_terminal(lab, c4d, "watch")
	stops_and_goes_on(screen)
	screen.type("q")
	assert screen.ended() == 0 and screen.is_restored()


def test_watch_is_lines_in_a_pipe(fake, c4d, lab):
	out = lab.path("watch.out")
	with open(out, "w") as f:
		p = subprocess.Popen([c4d.c4ctl, "-s", c4d.socket, "watch"], stdout=f, stderr=f, env=c4d.env())
	try:
		def seen():
			with open(out) as f:
				return f.read()

		def changed():
			fake.list("rtp", ("10.2.0.1", 2223, 1), (f"10.2.0.{changed.n}", 2223, 1))
			changed.n += 1
			until(lambda: f"10.2.0.{changed.n - 1}:2223" in c4d.instances(), 5, "taken over")
			return "topo: rtp:" in seen()
		changed.n = 2
		until(changed, 10, "a line")
		assert "\x1b" not in seen()
		wrong = [line for line in seen().splitlines() if not re.match(r"\d{4}-\d\d-\d\dT\S+Z (info   |notice |warning|error  ) \w+: ", line)]
		assert wrong == []
	finally:
		p.terminate()
		p.wait()


def test_watch_without_a_daemon(lab, c4d):
	c4d.stop()
	screen = on_terminal(lab, c4d, "watch")
	assert screen.ended() == 4
	assert "cannot reach c4d" in screen.text() and "\x1b[?1049h" not in screen.raw and screen.is_restored()


# ---- -w ----

HEAD = r"^Every 1s: c4ctl {} +\S+: \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d$"


def test_w_redraws_in_place(lab, fake, c4d):
	screen = on_terminal(lab, c4d, "-w1", "show", "instances")
	screen.shows(HEAD.format("show instances"))
	screen.shows(r"^rtp +10\.2\.0\.1 +2223")
	lines = screen.text().splitlines()
	assert re.match(HEAD.format("show instances"), lines[0]) and lines[1] == "" and lines[2].startswith("SERVICE")
	assert len(lines[0]) == 80 and socket.gethostname() in lines[0]
	assert screen.alternate and not screen.cursor and "\x1b[32m" in screen.raw
	fake.list("rtp", ("10.2.0.1", 2223, 1), ("10.2.0.7", 2223, 1))
	screen.shows(r"10\.2\.0\.7 +2223")
	# In place, and nothing is cleared before it is written anew: that would flicker.
	assert screen.text().count("SERVICE") == 1 and screen.raw.count("\x1b[2J") == 1
	# What is gone from the answer is gone from the screen.
	assert c4d.ctl("hold", "router").rc == 0
	screen.type("q")
	assert screen.ended() == 0 and screen.is_restored()


def test_w_leaves_nothing_of_a_longer_answer(lab, c4d):
	screen = on_terminal(lab, c4d, "-w1", "status")
	screen.shows("all is well")
	assert c4d.ctl("hold", "router").rc == 0
	screen.shows("router is frozen")
	more = len(screen.text().splitlines())
	assert c4d.ctl("release", "router").rc == 0
	until(lambda: "frozen" not in screen.text() and len(screen.text().rstrip().splitlines()) < more, 5, lambda: screen.text())
	screen.type("\x03")
	assert screen.ended() == 0 and screen.is_restored()


def test_w_shows_what_fits(lab, fake, c4d):
	many = [(f"10.1.2.{n}", 5060, 5) for n in range(1, 41)]
	fake.list("router", *many)
	until(lambda: len(c4d.instances("router")) >= 40, 10, "they are taken over")
	total = len(c4d.ctl("show", "instances").out.splitlines())
	screen = on_terminal(lab, c4d, "-w1", "show", "instances", rows=20, columns=60)
	screen.shows(rf"^\.\.\. {total - 17} more lines$")
	lines = screen.text().splitlines()
	assert len(lines) == 20 and max(map(len, lines)) <= 60 and lines[19].startswith("... ")
	# Another size is drawn at once; a height of few lines is no reason to break anything.
	for rows, columns in ((70, 100), (5, 30), (2, 12), (1, 5), (24, 80)):
		screen.resize(rows, columns)
		until(lambda n=min(rows, total + 2) if rows > 2 else 1: len(screen.text().splitlines()) == n, 5, lambda: screen.text())
		lines = screen.text().splitlines()
		assert max(map(len, lines)) <= columns and lines[0].startswith("Every 1s"[:columns])
		if rows == 70:
			assert len(lines) == total + 2 and "more line" not in screen.text()
		if rows == 5:
			assert lines[4] == f"... {total - 2} more lines"
	screen.type("q")
	assert screen.ended() == 0 and screen.is_restored()


def test_w_goes_on_without_a_daemon_and_ends_with_the_last_status(lab, c4d):
	screen = on_terminal(lab, c4d, "-w1", "-f", "json", "status")
	screen.shows('"healthy": true')
	c4d.stop()
	screen.shows("c4ctl: cannot reach c4d at ")
	screen.type("q")
	assert screen.ended() == 4 and screen.is_restored()
	screen = on_terminal(lab, c4d, "-w1", "status")
	assert screen.ended() == 4 and "cannot reach c4d" in screen.text() and "\x1b[?1049h" not in screen.raw and screen.is_restored()
	c4d.start()
	screen = on_terminal(lab, c4d, "-w1", "show", "services", "nosuch")
	screen.shows("no service nosuch")
	screen.type("q")
	assert screen.ended() == 1 and screen.is_restored()


def test_w_stops_and_goes_on(lab, c4d):
	screen = on_terminal(lab, c4d, "-w1", "status")
	stops_and_goes_on(screen)
	screen.popen.send_signal(signal.SIGTERM)
	assert screen.ended() == 0 and screen.is_restored()


def test_w_cuts_letters_and_not_bytes(lab, c4d):
	"""A header with a word of two-byte letters; and nothing in it commands the terminal."""
	screen = on_terminal(lab, c4d, "-w1", "show", "services", "\xe9\xe8\xe0" * 20 + "\x1b[31m", rows=5, columns=40)
	screen.shows(r"^Every 1s: c4ctl show services (\xe9\xe8\xe0)+")
	assert all(len(line) <= 40 for line in screen.text().splitlines()) and "\x1b[31m\x1b" not in screen.raw
	screen.type("q")
	assert screen.ended() == 1 and screen.is_restored()


def test_w_is_for_looking(c4d):
	for words, why in ((["hold", "router"], "hold is done once"), (["watch"], "watch goes on by itself"), (["routing", "check", "/nosuch"], "is done once"),
			(["reload"], "reload is done once")):
		got = c4d.ctl("-w1", *words)
		assert got.rc == 2 and got.out == "" and f"-w is for looking; {why}" in got.err.replace("routing check ", "")


def test_w_prints_again_where_nothing_can_be_redrawn(lab, c4d):
	"""Without a keyboard, and on a terminal that knows no sequences; in a pipe: test_ctl.py."""
	deaf = Screen(lab, ["sh", "-c", f"exec {c4d.c4ctl} -s {c4d.socket} -w1 status </dev/null"], {**c4d.env(), "TERM": "xterm"}, 60, 80)
	dumb = on_terminal(lab, c4d, "-w1", "status", rows=60, TERM="dumb")
	for screen in (deaf, dumb):
		until(lambda s=screen: s.read().raw.count("all is well") >= 2, 10, "printed twice")
		assert "\x1b[?1049h" not in screen.raw and "\x1b[H" not in screen.raw and "Every" not in screen.raw
		screen.stop()


# ---- status ----

def test_status_in_ten_lines(lab, fake, sbc, make_c4d):
	"""Twenty services that never came, and a Kamailio that went: what is worst is said first, and it is still ten lines."""
	names = {f"missing{n}": {"interval": "200ms"} for n in range(20)}
	fake.list("router", ("127.0.0.1", 5999))
	c4d = make_c4d(base_config([fake.dns_addr], sbc, services=names)).start()
	until(c4d.converged, 15, "Kamailio holds it")
	until(lambda: len(c4d.ctl("status", fmt="json").data["problems"]) >= 20, 10, "they are missed")
	assert {p["severity"] for p in c4d.ctl("status", fmt="json").data["problems"]} == {"warning"}
	sbc.kill()
	until(lambda: c4d.show("targets")[0]["state"] == "unreachable", 10, "it is seen")
	got, told = c4d.ctl("status"), c4d.ctl("status", fmt="json").data["problems"]
	lines = got.out.splitlines()
	assert got.rc == 1 and len(lines) <= 10 and max(map(len, lines)) <= 80
	assert told[0]["severity"] == "failure" and told[0]["problem"].startswith("sbc/1 unreachable")
	assert lines[0].endswith(f"{len(told)} problems") and lines[1].startswith("! sbc/1 unreachable")
	shown = sum(line.startswith("! ") for line in lines)
	assert shown >= 1 and f"and {len(told) - shown} more: c4ctl -f json status" in lines
	has_state(c4d, "router", "127.0.0.1:5999", "up")
