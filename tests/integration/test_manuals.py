"""The manuals: what c4d's own tables, its JSON and the design promise is in them, and no formatter complains."""
import glob
import os
import re
import shutil
import subprocess

import pytest

from lab import base_config, c4d_binary, until
from lab.base import ROOT
from lab.made import made

MAN = os.path.join(ROOT, "packaging", "man")
PAGES = ["c4ctl.8", "c4d.8", "c4d.yml.5"]
SECTIONS = {
	"c4d.8": ["NAME", "SYNOPSIS", "DESCRIPTION", "SIGNALS", "ENVIRONMENT", "FILES", "EXIT STATUS", "EXAMPLES", "SEE ALSO", "SECURITY"],
	"c4ctl.8": ["NAME", "SYNOPSIS", "DESCRIPTION", "JSON FORMATS", "ENVIRONMENT", "FILES", "EXIT STATUS", "SIGNALS", "EXAMPLES",
		"SEE ALSO", "SECURITY"],
	"c4d.yml.5": ["NAME", "DESCRIPTION", "KEYS", "NOTIFY", "FILES", "EXAMPLES", "SEE ALSO", "SECURITY"],
}
# What the design says that there is.
COMMANDS = [
	"status", *("show " + w for w in ("topology services instances targets dispatcher rtpengine domains registrations checks dns kv "
	"routing cdr history config metrics").split()), "diff", "resync", "why", "hold", "release", "approve", "drain", "undrain",
	"maintenance", "check", "routing load", "routing check", "route explain", "history", "rollback", "watch", "log", "reload"]
INSTANCE = "service address port weight priority tags state since generation source".split()
TARGET = "target kind state desired_generation applied_generation pending last_error since".split()


def said(*args):
	return subprocess.run([c4d_binary(), *args], check=True, capture_output=True, text=True).stdout


def commands():
	return [line.split("\t") for line in said("commands").splitlines()]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
	"""{name: path}"""
	made_in = made(str(tmp_path_factory.mktemp("man")), "man")
	assert sorted(os.listdir(made_in)) == sorted(PAGES)
	return {name: os.path.join(made_in, name) for name in PAGES}


def rendered(path, width=2000):
	"""As plain text on very long lines. groff's warnings fail the test."""
	if not shutil.which("groff"):
		pytest.fail("groff is missing: apt install groff-base (tests/tools/deps.sh does)")
	p = subprocess.run(["groff", "-ww", "-Tascii", "-P-cbou", f"-rLL={width}n", "-mandoc", path], check=True, capture_output=True,
		text=True)
	assert p.stderr == ""
	return p.stdout


def words(text):
	return set(re.findall(r"[A-Za-z_0-9]+", text))


def test_every_template_is_tested():
	assert {os.path.basename(p)[:-3] for p in glob.glob(f"{MAN}/*.in")} == set(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_form(pages, name):
	text = rendered(pages[name])
	assert re.findall(r"^[A-Z][A-Z ]+$", text, re.M) == SECTIONS[name]
	assert "@" not in text.replace("@TABLE@", "!")
	assert max(map(len, rendered(pages[name], 80).splitlines())) <= 80
	if shutil.which("mandoc"):
		p = subprocess.run(["mandoc", "-Tlint", pages[name]], check=False, capture_output=True, text=True)
		# Which manuals this machine has is not theirs to say.
		assert [line for line in p.stdout.splitlines() if "referenced manual not found" not in line] == []


def test_c4ctl_commands(pages):
	text = rendered(pages["c4ctl.8"])
	table = commands()
	assert len(table) >= len(COMMANDS) and set(COMMANDS) <= {row[0] for row in table}
	for name, args, _, tells in table:
		head = " ".join(f"{name} {args}".split()).replace("|", " | ")
		at = re.search(rf"^ +{re.escape(head)}(\n +|  +)(.*)$", text, re.M)
		assert at, head
		assert at[2].lower().startswith(tells.lower()), at[2]
	for option in ("-s SOCKET", "-f FORMAT", "-w[SECONDS]", "plain | json | jsonl", "dot | mermaid", "-h, --help", "-V, --version"):
		assert option in text, option


def test_exit_statuses(pages):
	for name, statuses in (("c4ctl.8", "012345"), ("c4d.8", "01234")):
		section = rendered(pages[name]).split("EXIT STATUS")[1].split("\n\nE")[0].split("\n\nS")[0]
		assert re.findall(r"^ +(\d) ", section, re.M) == list(statuses)


def test_c4d_commands_and_options(pages):
	text = rendered(pages["c4d.8"])
	usage = said("help")
	verbs = re.findall(r"c4d (\w+)", usage)
	assert len(verbs) >= 6
	for verb in verbs:
		assert re.search(rf"^ +{verb}\b", text, re.M) and f"c4d {verb}" in text, verb
	for option in set(re.findall(r"(?<![\w-])--?[a-z]+", usage)):
		assert option in text, option
	for variable in re.findall(r'"(CONSUL_\w+|NOTIFY_SOCKET|WATCHDOG_\w+|JOURNAL_STREAM)"', sources("src/exec.c", "src/base/*.c")):
		assert variable in text or variable == "CONSUL_HTTP_TOKEN", variable
	for variable in ("C4D_SOCKET", "NO_COLOR", "TERM"):
		assert variable in rendered(pages["c4ctl.8"])


def test_keys(pages):
	text = rendered(pages["c4d.yml.5"])
	rows = [re.split(r"  +", line) for line in said("keys").splitlines()]
	assert len(rows) > 100
	for key, kind, default, bounds, reload_, tells in rows:
		at = re.search(rf"^ +{re.escape(key)}(?:\n +|  +)(.*)\n +(.*)$", text, re.M)
		assert at, key
		assert at[1].lower().startswith(tells.lower()) and at[2].startswith(kind), (key, at[1], at[2])
		assert (f"default {default}" if default != "-" else "unset by default") in at[2]
		assert bounds == "-" or bounds in at[2]
		assert ("needs a restart" in at[2]) == (reload_ == "restart")


def sources(*patterns):
	return "".join(open(p).read() for pattern in patterns for p in sorted(glob.glob(os.path.join(ROOT, pattern))))  # pylint: disable=consider-using-with


def json_sections(path):
	"""{command: the text of its format}"""
	part = open(path).read().split(".Sh JSON FORMATS")[1].split("\n.Sh ")[0]  # pylint: disable=consider-using-with
	made = {}
	for item in part.split("\n.It Cm ")[1:]:
		head, body = item.split("\n", 1)
		for name in head.split(" , "):
			made[name] = body
	return made


def test_json_of_every_command_is_told(pages):
	told = json_sections(pages["c4ctl.8"])
	assert set(told) == {row[0] for row in commands()}
	assert set(INSTANCE) <= words(told["show instances"]) and set(TARGET) <= words(told["show targets"])
	for state in ("up", "disabled", "held", "suppressed", "draining", "converged", "pending", "window", "unreachable", "failed"):
		assert state in words(rendered(pages["c4ctl.8"]).split("States")[1].split("JSON FORMATS")[0])


def line_keys():
	"""Of the line that the command of notify reads."""
	return set(re.findall(r'jsonx_set_\w+\(o, "(\w+)"', sources("src/control/hook_events.c")))


def test_notify(pages):
	"""All events, and all keys of their line."""
	text = rendered(pages["c4d.yml.5"]).split("\nNOTIFY\n")[1].split("\nFILES\n")[0]
	code = sources("src/control/hook_events.c")
	events = set(re.findall(r'= "((?:service|target|registration)-\w+)"', code))
	assert len(events) == 9 and len(line_keys()) == 11
	told = set(re.findall(r"^ +([a-z-]+)(?: +.*)?$", text.split("The events:")[1].split("After a start")[0], re.M))
	assert events <= told
	assert line_keys() <= words(text)
	for variable in re.findall(r'"(C4D_\w+)=', sources("src/control/hook.c")):
		assert variable in text


def test_json_keys_of_the_source_are_told(pages):
	"""Those that no test's daemon shows, too."""
	text = "".join(json_sections(pages["c4ctl.8"]).values())
	code = sources("src/control/*.c", "src/store/history.c")
	keys = set(re.findall(r'(?:jsonx_set_\w+|json_object_set_new)\(\w+, "(\w+)"', code))
	keys -= {"cmd", "payload", "exit", "error", "data"}  # of the socket's protocol
	keys -= line_keys()                                  # of notify
	keys -= {"from_name", "auth", "cdrs", "le"}          # of a request that is built, of a number by table, a label
	assert len(keys) > 150 and sorted(keys - words(text)) == []


def keys_of(value, depth=0):
	if isinstance(value, list):
		return set().union(*(keys_of(v, depth) for v in value[:50]))
	if isinstance(value, dict):
		return set(value) | set().union(*(keys_of(v, depth + 1) for v in value.values()))
	return set()


def test_json_keys_of_a_running_c4d_are_told(pages, agent, service, sbc, make_c4d):
	told = json_sections(pages["c4ctl.8"])
	key = service.add("127.0.0.1", 5998)
	c4d = make_c4d(base_config(agent, sbc, consul={"http": agent.http_addr}, services={"router": None, service.name: {}},
		kamailio={"sbc": {"dispatcher": {"1": {"service": service.name}}}},
		register={f"{service.name}-own": {"address": "10.0.0.1", "port": 5060, "when": "now",
			"checks": {"c": {"type": "exec", "command": ["/bin/true"]}}}})).start()
	until(c4d.converged, 20, "Kamailio holds it")
	until(lambda: c4d.show("registrations")[0]["state"] == "registered", 20, "it is registered")
	asked = {name: name for name in told if name.startswith("show ") or name in ("status", "diff", "history", "resync")}
	asked.update({"why": f"why {key}", "hold": f"hold {service.name}", "release": f"release {service.name}", "log": "log info"})
	asked.update({"maintenance": f"maintenance on {service.name}-own", "check": f"check off {service.name}-own c"})
	for name, line in asked.items():
		got = c4d.ctl(*line.split(), fmt="json", timeout=20)
		assert got.rc in (0, 1), (line, got)
		if got.data is None or name == "show metrics":
			continue
		known = words(told[name])
		# "the rows of show services", "as in show instances"
		for other, text in told.items():
			if other != name and re.search(rf"\b{re.escape(other)}\b", told[name].replace("\n.Cm ", " ")):
				known |= words(text)
		if name in ("show topology", "why", "maintenance", "check"):
			known |= words(told["show targets"]) | words(told["show instances"]) | words(told["show registrations"]) | words(told["show history"])
		unknown = keys_of(got.data) - known
		if name == "show routing":
			unknown -= set(got.data["rows"])
		assert not unknown, (name, unknown)
	c4d.ctl("maintenance", "off", f"{service.name}-own")
	assert c4d.ctl("check", "on", f"{service.name}-own", "c").rc == 0
