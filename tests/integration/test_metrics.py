"""
/metrics: read by a strict parser of our own and by Prometheus' own ones, with values that follow what happens at a real Consul
and a real Kamailio; and the alerts and the dashboard that ask for them.
"""
import json
import os
import re
import statistics
import subprocess
import time

import pytest
from prometheus_client.openmetrics import parser as theirs_new
from prometheus_client import parser as theirs_old

from lab import FakeDns, Sbc, until
from lab.base import ROOT, which
from lab.fake_dns import instances
from lab.openmetrics import Scrape, Wrong, read
from lab.rig import Rig
from lab.routing import TENANT, Api, load, small

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
PROMETHEUS_ASKS = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"
ALERTS = os.path.join(ROOT, "conf", "prometheus-alerts.yml")
DASHBOARD = os.path.join(ROOT, "conf", "grafana-dashboard.json")


def ask(c4d, accept=None):
	answer = Api(c4d).ask("GET", "/metrics", headers={"Accept": accept} if accept else None)
	assert answer.status == 200
	return answer


def scrape(c4d):
	"""What the strict parser reads; Prometheus' own must read as many families and samples."""
	text = ask(c4d).body.decode("ascii")
	got = Scrape(text)
	theirs = list(theirs_new.text_string_to_metric_families(text))
	assert len(theirs) == len(got.families)
	assert sum(len(f.samples) for f in theirs) == len(got.samples)
	return got


def promtool(*args, **kw):
	"""What it finds wrong fails the test, also where it is of the opinion that this is a matter of style."""
	tool = which(os.environ.get("PROMTOOL") or "promtool", "install the Debian package prometheus (tests/tools/deps.sh does it)")
	done = subprocess.run([tool, *args], capture_output=True, check=False, timeout=60, **kw)
	assert done.returncode == 0, (done.stdout.decode(), done.stderr.decode())


# ---- the reader itself ----

GOOD = """# TYPE a gauge
# HELP a What.
a{b="c"} 1
# TYPE h_seconds histogram
# UNIT h_seconds seconds
# HELP h_seconds What.
h_seconds_bucket{le="0.5"} 1
h_seconds_bucket{le="+Inf"} 2
h_seconds_count 2
h_seconds_sum 3.5
# EOF
"""


def test_the_strict_parser_reads_what_is_right():
	got = Scrape(GOOD)
	assert got.value("a", b="c") == 1 and got.value("h_seconds_sum") == 3.5
	assert Scrape('# TYPE a gauge\n# HELP a W\na{b="x\\"\\\\\\n}, y"} 1\n# EOF\n').samples[0].labels == {"b": 'x"\\\n}, y'}


@pytest.mark.parametrize("change", [
	("# EOF\n", ""), ("# EOF\n", "# EOF\n\n"), ("# EOF\n", "# EOF\n# EOF\n"), ('a{b="c"} 1', 'a{b="c"} 1\na{b="c"} 2'),
	('a{b="c"} 1', 'a{b="c"}  1'), ('a{b="c"} 1', 'a{b="c",} 1'), ('a{b="c"} 1', 'a{b="c"} x'), ('b="c"', 'b="\\t"'),
	('b="c"', 'b="c",b="d"'), ('b="c"', '__b="c"'), ('a{b="c"} 1', 'a_total{b="c"} 1'), ("# HELP a What.\n", ""),
	("# TYPE a gauge\n", ""), ("# TYPE a gauge", "# TYPE a counter"), ('le="0.5"} 1', 'le="0.5"} 3'), ('le="0.5"', 'le="0.50"'),
	('h_seconds_bucket{le="+Inf"} 2\n', ""), ("h_seconds_count 2", "h_seconds_count 3"), ("h_seconds_sum 3.5\n", ""),
	("# UNIT h_seconds seconds", "# UNIT h_seconds bytes"), ('le="0.5"} 1', 'le="7.0"} 1\nh_seconds_bucket{le="0.5"} 1'),
	("# TYPE h_", "# TYPE a gauge\n# TYPE h_"), ('a{b="c"} 1', 'a{b="c"} 1\na{d="c"} 1'), ("h_seconds_count 2", "h_seconds_count{b=\"c\"} 2"),
])
def test_the_strict_parser_refuses_what_is_wrong(change):
	assert change[0] in GOOD
	with pytest.raises(Wrong):
		Scrape(GOOD.replace(*change, 1))


# ---- the formats ----

@pytest.fixture
def alone(make_c4d, plain):
	return make_c4d(plain).start()


def test_openmetrics_unless_text_plain_alone_is_asked_for(alone):
	for accept in (None, "*/*", PROMETHEUS_ASKS, "application/openmetrics-text", "text/html,*/*;q=0.8"):
		answer = ask(alone, accept)
		assert answer.headers["content-type"] == OPENMETRICS, accept
		read(answer.body)
	for accept in ("text/plain", "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"):
		answer = ask(alone, accept)
		assert answer.headers["content-type"] == PROMETHEUS, accept
		with pytest.raises(Wrong):
			read(answer.body)
	head = Api(alone).ask("HEAD", "/metrics")
	assert (head.status, head.body, head.headers["content-type"]) == (200, b"", OPENMETRICS)


def test_both_formats_say_the_same(alone):
	new, answer = scrape(alone), ask(alone, "text/plain")
	old = Scrape(answer.body, old=True)
	assert {(s.name, tuple(s.labels.items())) for s in new.samples} == {(s.name, tuple(s.labels.items())) for s in old.samples}
	assert len(list(theirs_old.text_string_to_metric_families(answer.body.decode()))) == len(new.families)
	promtool("check", "metrics", input=answer.body)


def test_the_process(alone):
	got = scrape(alone)
	pid = alone.proc.popen.pid
	with open(f"/proc/{pid}/statm", encoding="ascii") as f:
		resident = int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
	assert abs(got.value("process_resident_memory_bytes") - resident) < resident / 4
	assert abs(got.value("process_open_fds") - len(os.listdir(f"/proc/{pid}/fd"))) <= 2  # our connection comes and goes
	assert 0 < got.value("process_cpu_seconds_total") < 60
	assert 0 <= time.time() - got.value("process_start_time_seconds") < 60
	assert got.value("c4d_build_info", version=alone.run("version").out.split()[-1]) == 1
	assert got.value("c4d_store_size_bytes") == 1 << 30
	assert got.value("c4d_store_used_bytes") == got.value("c4d_store_used_pages") * os.sysconf("SC_PAGE_SIZE") > 0
	requests = got.value("c4d_http_requests_total")
	assert Api(alone).ask("GET", "/nothing").status == 404
	got = scrape(alone)
	assert got.value("c4d_http_requests_total") == requests + 2  # that one, and this scrape
	assert got.value("c4d_http_refused_total") == 1
	assert got.value("c4d_http_connections") >= 1 and got.value("c4d_http_listeners") == 1


def test_c4ctl_shows_the_same(alone):
	rows = alone.show("metrics")
	now = scrape(alone)
	assert [(r["metric"], r["labels"]) for r in rows] == [(s.name, s.labels) for s in now.samples]
	assert {r["type"] for r in rows} == {"gauge", "counter", "histogram", "info"}
	some = alone.ctl("show", "metrics", "c4d_store_", fmt="json").data
	assert {r["metric"] for r in some} == {s.name for s in now.samples if s.name.startswith("c4d_store_")}
	assert next(r for r in some if r["metric"] == "c4d_store_size_bytes")["value"] == 1 << 30
	plain = alone.ctl("show", "metrics").out.splitlines()
	assert plain[0].split() == ["NAME", "LABELS", "VALUE"] and max(map(len, plain)) <= 80
	assert any(line.split() == ["c4d_store_size_bytes", "1073741824"] for line in plain), plain
	assert any(line.split() == ["c4d_routing_auths_total", "result=accepted", "0"] for line in plain), plain
	assert not any("_bucket" in line for line in plain)
	none = alone.ctl("show", "metrics", "nothing")
	assert none.rc == 1 and "nothing" in none.err


# ---- values that follow what happens ----

@pytest.fixture
def rig(lab, consul, make_c4d):
	return Rig(lab, consul, Sbc(lab, probing=False, reload_delta=1).start(), make_c4d)


def states(got, service="router"):
	return {s.labels["state"]: s.value for s in got.find("c4d_instances", service=service) if s.value}


def test_a_router_goes_critical(rig):
	a, b = rig.add(), rig.add()
	rig.start(a, b)
	rig.quiet()
	before = scrape(rig.c4d)
	assert states(before) == {"up": 2}
	assert before.value("c4d_target_state", target="sbc/1", kind="dispatcher", state="converged") == 1
	assert before.value("c4d_kamailio_up", kamailio="sbc") == 1
	assert before.total("c4d_kamailio_info") == 1
	generation, seen = (before.value("c4d_generation"), before.value("c4d_propagation_seconds_count", target="sbc/1"))
	rig.consul.failing(rig.sids[a])
	until(lambda: rig.sbc.disabled() == {a}, 5, "Kamailio has it disabled")
	rig.converged()
	got = scrape(rig.c4d)
	assert states(got) == {"up": 1, "disabled": 1}
	assert got.value("c4d_generation") == generation + 1
	assert got.value("c4d_target_generation_lag", target="sbc/1") == 0
	assert got.value("c4d_target_pending_steps", target="sbc/1") == 0
	assert got.value("c4d_propagation_seconds_count", target="sbc/1") == seen + 1
	assert 0 <= got.value("c4d_propagation_seconds_sum", target="sbc/1") - before.value("c4d_propagation_seconds_sum", target="sbc/1") < 5
	assert got.value("c4d_target_set_states_total", kamailio="sbc", kind="dispatcher") == \
		before.value("c4d_target_set_states_total", kamailio="sbc", kind="dispatcher") + 1
	assert got.value("c4d_target_reloads_total", kamailio="sbc") == before.value("c4d_target_reloads_total", kamailio="sbc")
	assert got.value("c4d_target_file_writes_total", kamailio="sbc") > before.value("c4d_target_file_writes_total", kamailio="sbc")
	assert abs(time.time() - got.value("c4d_generation_seen_timestamp_seconds")) < 30
	history = rig.c4d.show("history")[0]
	assert abs(got.value("c4d_propagation_seconds_sum") - before.value("c4d_propagation_seconds_sum") -
		sum(history["targets"][0][k] for k in ("seen_to_applied_ms", "applied_to_verified_ms")) / 1000) < 0.002


def test_rounds_and_the_age_of_the_evidence(rig):
	rig.start(rig.add())
	name = {"service": "router", "name": "router.service.consul"}
	until(lambda: scrape(rig.c4d).value("c4d_dns_rounds_total", outcome="complete", **name) > 3, 10, "rounds are counted")
	assert scrape(rig.c4d).value("c4d_evidence_age_seconds", **name) < 5
	failed = scrape(rig.c4d).value("c4d_dns_rounds_total", outcome="nothing", **name)
	rig.consul.kill()
	until(lambda: scrape(rig.c4d).value("c4d_dns_rounds_total", outcome="nothing", **name) > failed, 15, "failures are counted")
	until(lambda: scrape(rig.c4d).value("c4d_evidence_age_seconds", **name) > 2, 10, "the evidence grows old")
	until(lambda: scrape(rig.c4d).total("c4d_problems") > 0, 5, "and that is a problem")
	assert states(scrape(rig.c4d)) == {"up": 1}


def test_kamailio_goes_and_refuses(rig):
	a = rig.add()
	rig.start(a)
	rig.quiet()
	connections = scrape(rig.c4d).value("c4d_kamailio_connections_total", kamailio="sbc")
	rig.sbc.kill()
	until(lambda: scrape(rig.c4d).value("c4d_kamailio_up", kamailio="sbc") == 0, 5, "it is down")
	got = scrape(rig.c4d)
	assert got.value("c4d_target_state", target="sbc/1", state="unreachable") == 1
	assert got.value("c4d_problems", severity="failure") >= 1 and got.value("c4d_problems", severity="warning") == 0
	assert got.value("c4d_target_generation_lag", target="sbc/1") == 0, "what was in force last is what is wanted"
	b = rig.add()
	until(lambda: scrape(rig.c4d).value("c4d_target_generation_lag", target="sbc/1") == 1, 5, "and now no more")
	rig.sbc.start()
	rig.lists(a, b)
	rig.converged()
	got = scrape(rig.c4d)
	assert got.value("c4d_target_generation_lag", target="sbc/1") == 0
	assert got.value("c4d_kamailio_connections_total", kamailio="sbc") > connections


def test_a_refused_reload_is_counted_by_its_code(lab, consul, make_c4d):
	"""Kamailio's window is longer than c4d was told."""
	r = Rig(lab, consul, Sbc(lab, probing=False, reload_delta=3).start(), make_c4d, over={"kamailio": {"sbc": {"reload_delta": "1s"}}})
	a = r.add()
	r.start(a)
	b = r.add()
	r.lists(a, b)
	def refused():
		return scrape(r.c4d).total("c4d_kamailio_rpc_faults_total", kamailio="sbc", method="dispatcher.reload", code="500")
	if not refused():
		c = r.add()
		r.lists(a, b, c)
	got = scrape(r.c4d)
	faults = got.value("c4d_kamailio_rpc_faults_total", kamailio="sbc", method="dispatcher.reload", code="500")
	assert faults >= 1
	assert got.value("c4d_target_faults_total", kamailio="sbc", kind="dispatcher") >= faults
	assert got.value("c4d_target_window_waits_total", kamailio="sbc", kind="dispatcher") >= faults
	promtool("check", "metrics", input=ask(r.c4d, "text/plain").body)


def test_routing_decisions_auths_and_cdrs(alone):
	assert load(alone, small()).rc == 0
	api = Api(alone)
	for _ in range(3):
		assert api.dsts("sip:39040123456@sip.other.com")
	assert api.dsts("sip:1@nowhere.example") == []
	assert api.ask("POST", "/1.0/kamailio/routing", "[").status in (400, 422)
	api.ask("POST", "/1.0/kamailio/auth", {"source_ip": "10.0.0.1", "username": "nobody", "password": "wrong"})
	assert api.ask("POST", "/1.0/kamailio/cdr", {"tenant_uuid": TENANT, "source_ip": "10.0.0.1", "from_uri": "sip:a@b",
		"to_uri": "sip:c@d", "call_id": "1", "call_start": "2026-11-21T03:40:00", "duration": 7}).json["success"]
	got = scrape(alone)
	assert got.value("c4d_routing_decisions_total", result="routed") == 3
	assert got.value("c4d_routing_decisions_total", result="unrouted") == 1
	assert got.value("c4d_routing_decision_seconds_count") == 4
	assert 0 < got.value("c4d_routing_decision_seconds_sum") < 1
	assert got.value("c4d_routing_refused_total") == 1
	assert got.total("c4d_routing_auths_total") == got.value("c4d_routing_auths_total", result="rejected") == 1
	assert got.value("c4d_routing_rows", table="dids") == 1
	assert got.value("c4d_routing_served") == 1 and got.value("c4d_routing_version") == 1
	assert got.value("c4d_cdrs_stored_total") == got.value("c4d_cdrs_kept") == 1
	assert got.value("c4d_cdrs_waiting") == got.value("c4d_cdrs_lost_total") == got.value("c4d_cdrs_failing") == 0
	load(alone, small(dids=[{"id": 1, "tenant_uuid": TENANT, "ipbx_id": 9, "did_regex": "^1$"}]))
	assert scrape(alone).value("c4d_routing_version") == 1


def test_registrations_and_checks(lab, consul, make_c4d):
	c = make_c4d({"consul": {"dns": [consul.dns_addr], "http": consul.http_addr}, "register": {
		"sbc": {"address": lab.ip(), "port": 5060, "checks": {"up": {"type": "exec", "command": ["/bin/true"], "interval": "1s"}}}}}).start()
	until(lambda: scrape(c).value("c4d_registration_registered", registration="sbc") == 1, 10, lambda: f"{c.show('registrations')}")
	until(lambda: scrape(c).value("c4d_check_passing", registration="sbc", check="up", type="exec") == 1, 10, lambda: f"{c.show('checks')}")
	got = scrape(c)
	assert got.value("c4d_registrations", state="registered") == got.total("c4d_registrations") == 1
	assert got.value("c4d_checks", status="passing") == got.total("c4d_checks") == 1
	assert got.value("c4d_registration_puts_total", registration="sbc") >= 1
	assert c.ctl("check", "off", "sbc", "up").rc == 0
	until(lambda: scrape(c).value("c4d_checks", status="off") == 1, 5, "it is off")
	assert not scrape(c).find("c4d_check_passing")
	assert c.ctl("maintenance", "on", "sbc").rc == 0
	until(lambda: scrape(c).value("c4d_registrations", state="maintenance") == 1, 10, "maintenance")
	assert scrape(c).value("c4d_registration_registered", registration="sbc") == 1


# ---- what asks for them ----

def asked(expr):
	"""Names and labels that an expression of PromQL uses."""
	bare = re.sub(r'"[^"]*"', '""', expr)
	names = set(re.findall(r"\b(?:c4d|process)_\w+", bare))
	labels = set(re.findall(r"(\w+)\s*(?:=~|!=|!~|=)\s*\"\"", bare))
	for group in re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", bare):
		labels |= {g.strip() for g in group.split(",")}
	return names, labels


def known(c4d):
	got = scrape(c4d)
	names = set()
	for f in got.families.values():
		ends = {"counter": ["_total"], "info": ["_info"], "histogram": ["_bucket", "_count", "_sum"]}.get(f.kind, [""])
		names |= {f.name + e for e in ends}
	return names


LABELS = {"instance", "job", "le", "service", "state", "name", "outcome", "target", "kind", "kamailio", "method", "code",
	"registration", "check", "status", "result", "severity"}


def test_alerts_ask_for_what_there_is(alone):
	with open(ALERTS, encoding="utf-8") as f:
		text = f.read()
	exprs = [m.strip() for m in re.findall(r"^ +expr: (?:>-\n)?((?:.+\n)(?: {10,}.+\n)*)", text, re.M)]
	alerts = re.findall(r"- alert: (\w+)", text)
	assert len(exprs) == len(alerts) == len(set(alerts)) > 20
	there = known(alone)
	for expr in exprs:
		names, labels = asked(expr)
		assert (names or "up{" in expr) and names <= there, (expr, names - there)
		assert labels <= LABELS, (expr, labels - LABELS)
	for part in ("summary", "why", "action"):
		assert len(re.findall(rf"^ +{part}: \".+\"$", text, re.M)) == len(alerts), part
	assert len(re.findall(r"severity: (?:page|ticket) ", text)) == len(alerts)
	promtool("check", "rules", ALERTS)


# Each alert: what makes it fire, when it does, when it does not yet ("": it has no `for`), and the same in order.
# Series are in the notation of promtool's tests, a value each 30 s; "instance" is added to each.
def buckets(of, labels, fast, slow):
	"""A histogram with so many more each time below the first bound, and as many in all."""
	return {f'{of}_bucket{{{labels}le="{le}"}}': f"0+{n}x80" for le, n in (("0.01", fast), ("60", fast + slow), ("+Inf", fast + slow))}


def instances_of(state, n):
	return {f'c4d_instances{{service="router",state="{s}"}}': f"{n if s == state else 0}x80" for s in ("up", "held", "disabled", "suppressed")}


DOWN, FULL, FEW = 'up{job="c4d"}', "c4d_store_used_bytes", 'process_open_fds{job="c4d"}'
START, KNOWN, AGE = 'process_start_time_seconds{job="c4d"}', 'c4d_service_known{service="router"}', "c4d_evidence_age_seconds"
LAG, STATE = 'c4d_target_generation_lag{target="sbc/1",kind="dispatcher"}', "c4d_target_state"
FAULTS = "c4d_kamailio_rpc_faults_total"
ON = 'target="sbc/1",kind="dispatcher"'
FIRES = {
	"C4dDown": ({DOWN: "0x40"}, "2m", "1m30s", {DOWN: "1x40"}),
	"C4dRestarts": ({START: "1 1 2 2 3 3 4x40"}, "5m", "", {START: "1 1 2 2 3x40"}),
	"C4dProblems": ({'c4d_problems{severity="warning"}': "1x60"}, "10m", "9m", {'c4d_problems{severity="warning"}': "0x60"}),
	"C4dServiceEmpty": ({**instances_of("disabled", 3), KNOWN: "1x80"}, "1m", "30s", {**instances_of("held", 1), KNOWN: "1x80"}),
	"C4dServiceEmpty ": ({**instances_of("", 0), KNOWN: "1x80"}, "1m", "30s", {**instances_of("", 0), KNOWN: "0x80"}),
	"C4dInstancesHeld": ({**instances_of("held", 2), KNOWN: "1x80"}, "5m", "4m", instances_of("up", 2)),
	"C4dInstancesSuppressed": (instances_of("suppressed", 1), "5m", "4m", instances_of("up", 1)),
	"C4dServiceFrozen": ({'c4d_service_frozen{service="router"}': "1x1000"}, "8h", "7h", {'c4d_service_frozen{service="router"}': "0x1000"}),
	"C4dEvidenceOld": ({f'{AGE}{{service="router",name="router.service.consul"}}': "0+30x40"}, "3m30s", "3m",
		{f'{AGE}{{service="router",name="router.service.consul"}}': "90x40"}),
	"C4dTargetNotConverged": ({f'{STATE}{{{ON},state="failed"}}': "1x40", f'{STATE}{{{ON},state="unreachable"}}': "0x40"}, "2m", "1m",
		{f'{STATE}{{{ON},state="failed"}}': "0x40", f'{STATE}{{{ON},state="unreachable"}}': "0x40", f'{STATE}{{{ON},state="window"}}': "1x40"}),
	"C4dTargetLags": ({LAG: "2x40", f'{STATE}{{{ON},state="window"}}': "1x40"}, "1m", "30s", {LAG: "0x40", f'{STATE}{{{ON},state="pending"}}': "1x40"}),
	"C4dPropagationSlow": (buckets("c4d_propagation_seconds", 'kind="dispatcher",', 0, 9), "6m", "4m",
		buckets("c4d_propagation_seconds", 'kind="dispatcher",', 9, 0)),
	"C4dSomebodyElseChanges": ({'c4d_target_repairs_total{kamailio="sbc",kind="dispatcher"}': "0+1x40"}, "5m", "",
		{'c4d_target_repairs_total{kamailio="sbc",kind="dispatcher"}': "0 1x40"}),
	"C4dKamailioRefuses": ({f'{FAULTS}{{kamailio="sbc",method="dispatcher.reload",code="500"}}': "0+5x40"}, "5m", "",
		{f'{FAULTS}{{kamailio="sbc",method="dispatcher.list",code="500"}}': "0+5x40"}),
	"C4dNotRegistered": ({'c4d_registration_registered{registration="sbc"}': "0x40"}, "2m", "1m", {'c4d_registration_registered{registration="sbc"}': "1x40"}),
	"C4dCheckFails": ({'c4d_check_passing{registration="sbc",check="sip"}': "0x40"}, "2m", "1m",
		{'c4d_check_passing{registration="sbc",check="sip"}': "1x40"}),
	"C4dNoRoutingData": ({"c4d_routing_served": "0x40", "c4d_routing_refused_total": "0+1x40"}, "2m", "30s",
		{"c4d_routing_served": "0x40", "c4d_routing_refused_total": "7x40"}),
	"C4dRoutingDataRefused": ({"c4d_routing_errors": "3x40"}, "5m", "4m", {"c4d_routing_errors": "0x40"}),
	"C4dCallsUnrouted": ({'c4d_routing_decisions_total{result="unrouted"}': "0+9x60", 'c4d_routing_decisions_total{result="routed"}': "0+9x60"}, "12m",
		"9m", {'c4d_routing_decisions_total{result="unrouted"}': "0+2x60", 'c4d_routing_decisions_total{result="routed"}': "0+9x60"}),
	"C4dRoutingSlow": (buckets("c4d_routing_decision_seconds", "", 0, 9), "6m", "4m", buckets("c4d_routing_decision_seconds", "", 9, 0)),
	"C4dCdrsNotStored": ({"c4d_cdrs_failing": "1x40"}, "1m", "30s", {"c4d_cdrs_failing": "0x40"}),
	"C4dCdrsNotStored ": ({"c4d_cdrs_failing": "0x40", "c4d_cdrs_refused_total": "0+1x40"}, "2m", "30s",
		{"c4d_cdrs_failing": "0x40", "c4d_cdrs_refused_total": "3x40"}),
	"C4dCdrsLost": ({"c4d_cdrs_lost_total": "0 0 5x40"}, "2m", "", {"c4d_cdrs_lost_total": "5x40"}),
	"C4dCdrsBehind": ({"c4d_cdrs_behind_age_seconds": "901x40"}, "5m", "4m", {"c4d_cdrs_behind_age_seconds": "900x40"}),
	"C4dStoreFailing": ({"c4d_store_failing": "1x40"}, "1m", "30s", {"c4d_store_failing": "0x40"}),
	"C4dStoreFull": ({FULL: "71x80", "c4d_store_size_bytes": "100x80"}, "30m", "29m", {FULL: "70x80", "c4d_store_size_bytes": "100x80"}),
	"C4dLoopLate": ({"c4d_loop_late_beats_total": "0+2x60", "c4d_loop_beats_total": "0+9x60"}, "11m", "9m",
		{"c4d_loop_late_beats_total": "0x60", "c4d_loop_beats_total": "0+9x60"}),
	"C4dFewDescriptors": ({FEW: "81x40", 'process_max_fds{job="c4d"}': "100x40"}, "5m", "4m", {FEW: "80x40", 'process_max_fds{job="c4d"}': "100x40"}),
}


def series(values):
	"""{name or name{labels}: values} with the label that a scrape adds."""
	def named(name):
		head, _, labels = name.rstrip("}").partition("{")
		return f"{head}{{{labels + ',' if labels else ''}instance=\"vm7:9600\"}}"
	return [{"series": named(k), "values": v} for k, v in values.items()]


def firing(at, names):
	return {"expr": 'count by (alertname) (ALERTS{alertstate="firing"})', "eval_time": at,
		"exp_samples": [{"labels": f'{{alertname="{n}"}}', "value": 1} for n in names]}


def test_each_alert_fires_when_it_should(lab):
	with open(ALERTS, encoding="utf-8") as f:
		assert set(re.findall(r"- alert: (\w+)", f.read())) == {name.strip() for name in FIRES}
	tests = []
	for name, (bad, at, before, good) in FIRES.items():
		told = [firing(at, [name.strip()])] + ([firing(before, [])] if before else [])
		tests += [{"name": name, "interval": "30s", "input_series": series(bad), "promql_expr_test": told},
			{"name": f"no {name}", "interval": "30s", "input_series": series(good), "promql_expr_test": [firing(at, [])]}]
	path = lab.path("alerts.json")
	with open(path, "w", encoding="utf-8") as f:
		json.dump({"rule_files": [ALERTS], "evaluation_interval": "30s", "tests": tests}, f)
	promtool("test", "rules", path)


def test_promtool_sees_an_alert_that_does_not_fire(lab):
	"""The test above can fail."""
	path = lab.path("alerts.json")
	with open(path, "w", encoding="utf-8") as f:
		json.dump({"rule_files": [ALERTS], "tests": [{"interval": "30s", "input_series": series({DOWN: "1x40"}),
			"promql_expr_test": [firing("2m", ["C4dDown"])]}]}, f)
	with pytest.raises(AssertionError, match="C4dDown"):
		promtool("test", "rules", path)


def test_the_dashboard_asks_for_what_there_is(alone):
	with open(DASHBOARD, encoding="utf-8") as f:
		board = json.load(f)
	there, ids = known(alone), set()
	for p in board["panels"]:
		assert p["id"] not in ids and p["title"]
		ids.add(p["id"])
		assert p["gridPos"]["x"] + p["gridPos"]["w"] <= 24
		assert p["type"] == "row" or p["targets"]
		for t in p.get("targets", []):
			names, labels = asked(t["expr"])
			assert names and names <= there, (p["title"], names - there)
			assert labels <= LABELS, (p["title"], labels - LABELS)
	for v in board["templating"]["list"]:
		if v["type"] == "query":
			assert asked(v["query"]["query"])[0] <= there
	for a in board["annotations"]["list"]:
		assert asked(a["expr"])[0] <= there


def test_the_dashboard_is_promql(lab):
	"""What Grafana puts in is put in, and Prometheus parses it."""
	with open(DASHBOARD, encoding="utf-8") as f:
		board = json.load(f)
	exprs = [t["expr"] for p in board["panels"] for t in p.get("targets", [])] + [a["expr"] for a in board["annotations"]["list"]]
	assert len(exprs) > 30
	rules = [{"record": f"dashboard:x{i}", "expr": re.sub(r"\$__(rate_)?interval", "5m", e)} for i, e in enumerate(exprs)]
	path = lab.path("rules.json")
	with open(path, "w", encoding="utf-8") as f:
		json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, f)
	promtool("check", "rules", path)


# ---- what a scrape costs ----

def test_a_scrape_does_not_hold_the_loop(lab, make_c4d):
	"""5,000 instances in 10 services. The bound is wide, for a busy machine; `make bench` measures."""
	dns = FakeDns(lab)
	for i in range(10):
		rows = [(f"10.{i}.{k // 250}.{k % 250 + 1}", 5060) for k in range(500)]
		dns.on[f"s{i}.service.consul"] = lambda q, rows=rows: instances(q, rows)
	c = make_c4d({"consul": {"dns": [dns.dns_addr], "budget": 100}, "services": {f"s{i}": {"interval": "5s"} for i in range(10)}}).start()
	until(lambda: scrape(c).total("c4d_instances", state="up") == 5000, 20, "all are known")
	api, took = Api(c), []
	for _ in range(20):
		began = time.monotonic()
		assert api.ask("GET", "/metrics").status == 200
		took.append(time.monotonic() - began)
	assert statistics.median(took) < 0.02, took
