"""
The benchmark of the routing API: c4d on one core, tests/bench/http_load.c on another, kept connections on loopback.

A table and build/bench_routing.json; the targets stand beside the figures; nothing passes or fails here, but a wrong answer
or a failed request is a figure of its own. The document has DIDS numbers (90 % literal, 10 % with a class), 1,000 trunks,
1,000 IPBXs and 10,000 normalization rules. A question is a carrier, known by its address, that calls one of the numbers, drawn
uniformly from all of them, with rules on the way in and out; each answer must name that number's IPBX.

"Half the load" is 25,000 requests per second, due at even spaces: a request that has to wait for a late one is charged for it.
Beside its p99 stands how long c4d was ready to run and had no core, as the kernel counts it, and, in turns with c4d and on the same core,
the p99 of tests/bench/http_constant.c, which answers a constant: what the machine adds to any server's, and not c4d. c4d has the unit's
nice value, and http_load goes before all others on its core, where that can be had: what stops the meter is not c4d's delay.
Beside it, when python3-fastapi and uvicorn are installed, a FastAPI handler that answers a constant, on the same core.
"""
import argparse
import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from lab import C4d, Lab, LabError, until  # noqa: E402
from lab.c4d import as_nice, may  # noqa: E402
from lab.base import ROOT  # noqa: E402
from bench_scale import Bench as Figures  # noqa: E402

TENANT = "2c34c282-433e-4bb8-8d56-fec14ff7e1e9"
IPBXS, TRUNKS, PROFILES, RULES = 1000, 1000, 100, 10000
ROUTING, CDR = "/1.0/kamailio/routing", "/1.0/kamailio/cdr"
CONSTANT = """
from fastapi import FastAPI

app = FastAPI()


@app.post("/1.0/kamailio/routing")
def routing(request: dict):
	return {"success": True, "rtjson": {"success": True}}
"""


def ipbx_of(i):
	return i * 7919 % IPBXS + 1


def has_class(i):
	return i % 10 == 9


def trunk_ip(n):
	return f"10.1.{n // 250}.{n % 250}"


def rule(i):
	"""Each profile takes 00 away, puts 39 before what begins with 390, and knows 98 short numbers."""
	each = RULES // PROFILES
	k = i % each
	row = {"id": i + 1, "profile_id": i // each + 1}
	if k == 0:
		return {**row, "rule_type": 1, "priority": 1, "match_regex": "^00(.*)$", "replace_regex": r"\1"}
	if k == 1:
		return {**row, "rule_type": 2, "priority": 1, "match_regex": "^390", "replace_regex": "39"}
	return {**row, "rule_type": k % 2 + 1, "priority": 2, "match_regex": f"^1{k}$", "replace_regex": f"39999{k}"}


def document(dids):
	t = {"tenant_uuid": TENANT}
	return {
		"tenants": [{"uuid": TENANT, "name": "bench"}],
		"domains": [{"id": 1, **t, "domain": "bench.example"}],
		"carriers": [{"id": 1, **t, "name": "carrier"}],
		"normalization_profiles": [{"id": i, **t, "name": f"p{i}", "always_intl_prefix_plus": True} for i in range(1, PROFILES + 1)],
		"normalization_rules": [rule(i) for i in range(RULES)],
		"ipbxs": [{"id": i, **t, "domain_id": 1, "ip_fqdn": f"pbx{i}.example", "normalization_profile_id": i % PROFILES + 1}
			for i in range(1, IPBXS + 1)],
		"carrier_trunks": [{"id": i, **t, "carrier_id": 1, "name": f"t{i}", "sip_proxy": f"10.2.{i // 250}.{i % 250}",
			"ip_address": trunk_ip(i), "normalization_profile_id": i % PROFILES + 1} for i in range(1, TRUNKS + 1)],
		"dids": [{"id": i + 1, **t, "ipbx_id": ipbx_of(i), "did_regex": f"^39{i:08d}" + ("[0-9]$" if has_class(i) else "$")}
			for i in range(dids)],
	}


def questions(dids):
	"""Lines of http_load's file: one for each number."""
	draw = random.Random(5)
	for i in range(dids):
		ip = trunk_ip(draw.randint(1, TRUNKS))
		number = f"0039{i:08d}" + (str(draw.randint(0, 9)) if has_class(i) else "")
		body = {"event": "sip-routing", "auth": "1", "source_ip": ip, "source_port": 5060, "call_id": f"6f1c0d2e-{i}@{ip}",
			"from_name": "Mario Rossi", "from_uri": f"sip:+3904012{i}@{ip}:5060", "from_tag": f"as{i}",
			"to_uri": f"sip:+{number}@sbc.example:5060", "to_name": "", "to_tag": ""}
		yield f"{json.dumps(body, separators=(',', ':'))}\t\"sip:pbx{ipbx_of(i)}.example:5060\"\n"


def cdr():
	return json.dumps({"event": "sip-routing", "tenant_uuid": TENANT, "source_ip": "10.1.0.1", "source_port": 5060,
		"from_uri": "sip:100@a.example", "to_uri": "sip:39@b.example", "call_id": "call-{n}", "call_start": 1700000000, "duration": 60},
		separators=(",", ":"))


def pin(pid, cpu):
	for task in os.listdir(f"/proc/{pid}/task"):
		os.sched_setaffinity(int(task), {cpu})


def waited_ms(pid):
	"""How long its threads were ready to run, and did not."""
	total = 0
	for task in os.listdir(f"/proc/{pid}/task"):
		with open(f"/proc/{pid}/task/{task}/schedstat") as f:
			total += int(f.read().split()[1]) / 1e6
	return total


class Bench(Figures):
	def __init__(self, opts):
		super().__init__(opts)
		cpus = sorted(os.sched_getaffinity(0))
		self.cpu, self.other = cpus[0], cpus[-1]
		if self.cpu == self.other:
			self.say("there is one core only: http_load takes its part of it")

	def load(self, *args, at):
		"""http_load's report."""
		first = ["chrt", "-f", "1"] if self.cpu != self.other and may("chrt", "-f", "1") else []
		argv = ["taskset", "-c", str(self.other), *first, self.loader, "-w", "1", *map(str, args), at]
		p = subprocess.run(argv, capture_output=True, text=True, check=False)
		if p.returncode not in (0, 1):
			raise LabError(f"{' '.join(argv)}: {p.stderr}")
		got = json.loads(p.stdout)
		if got["errors"]:
			self.say(f"{got['errors']} errors: {got['by_kind']}\n{p.stderr[:2000]}")
		return got

	def run(self):
		o = self.opts
		with Lab("routing", temporary=True) as lab:
			self.loader, constant = self.build(lab, "http_load"), self.build(lab, "http_constant", "-levent", "-ljansson")
			self.doc, self.asks = os.path.join(lab.dir, "routing.json"), os.path.join(lab.dir, "questions")
			with open(self.doc, "w") as f:
				json.dump(document(o.dids), f, separators=(",", ":"))
			with open(self.asks, "w") as f:
				f.writelines(questions(o.dids))
			c4d = C4d(lab, {"services": {}}).start()
			self.at = f"{c4d.http_ip}:{c4d.http_port}"
			self.constant = self.beside(lab, "constant", as_nice([constant]), lambda ip, port: [ip, str(port)])
			pin(c4d.proc.pid, self.cpu)
			try:
				self.loading(c4d)
				self.decisions(c4d)
				self.constant.stop()
				self.swaps(c4d)
				self.cdrs()
			finally:
				c4d.stop()
			self.fastapi(lab)

	def build(self, lab, name, *libs):
		path = lab.path(name)
		subprocess.run([os.environ.get("CC", "cc"), "-O2", "-D_GNU_SOURCE", "-std=gnu11", "-o", path,
			os.path.join(ROOT, "tests", "bench", f"{name}.c"), *libs], check=True)
		return path

	def beside(self, lab, name, argv, where):
		"""Another server, on c4d's core."""
		ip = lab.ip()
		port = lab.port(ip, 9601)
		server = lab.spawn(name, ["taskset", "-c", str(self.cpu), *argv, *where(ip, port)])
		server.at = f"{ip}:{port}"
		until(lambda: answers(ip, port), 20, lambda: f"{name} answers\n{server.log_tail()}")
		return server

	# ---- loading ----

	def load_document(self, c4d):
		"""Seconds, and the largest VmRSS meanwhile."""
		peak, done = [0], threading.Event()

		def watch():
			while not done.wait(0.003):
				peak[0] = max(peak[0], c4d.proc.rss_kb() / 1024)

		watcher = threading.Thread(target=watch)
		watcher.start()
		begin = time.monotonic()
		got = c4d.ctl("routing", "load", self.doc, timeout=120)
		took = time.monotonic() - begin
		done.set()
		watcher.join()
		if got.rc != 0:
			raise LabError(f"routing load: status {got.rc}: {got.out[-500:]}{got.err[-2000:]}")
		return took, peak[0]

	def loading(self, c4d):
		self.say(f"VmRSS without data: {c4d.proc.rss_kb() / 1024:.1f} MB; the document has {os.path.getsize(self.doc) / 1e6:.1f} MB")
		times, peaks, steady = [], [], []
		for _ in range(self.opts.n):
			took, peak = self.load_document(c4d)
			times.append(took)
			peaks.append(peak)
			time.sleep(3)
			steady.append(c4d.proc.rss_kb() / 1024)
		self.add("c4ctl routing load", "s", times, "1 s")
		self.add("VmRSS while loading", "MB", peaks, "256 MB")
		self.add("VmRSS 3 s after loading", "MB", steady, "64 MB")

	def swaps(self, c4d):
		"""Loads while it is asked."""
		failed, times, p99 = [], [], []
		for _ in range(self.opts.n):
			got = []
			asker = threading.Thread(target=lambda: got.append(self.load("-r", 5000, "-d", 5, "-c", 16, "-p", ROUTING, "-f", self.asks,
				at=self.at)))
			asker.start()
			time.sleep(2)
			times.append(self.load_document(c4d)[0])
			asker.join()
			failed.append(got[0]["errors"])
			p99.append(got[0]["p99_us"] / 1000)
		self.add("c4ctl routing load, 5,000 questions/s meanwhile", "s", times, "1 s")
		self.add("failed questions meanwhile", "", failed, "0")
		self.add("p99 of 5 s with a load in them", "ms", p99)
		time.sleep(3)
		self.add("VmRSS after them", "MB", [c4d.proc.rss_kb() / 1024], "64 MB")

	# ---- asking ----

	def decisions(self, c4d):
		rps, p99, late, errors, waits, constant, steady = [], [], [], [], [], [], []
		question = next(questions(1)).split("\t")[0]
		for _ in range(self.opts.n):
			got = self.load("-c", 32, "-d", self.opts.seconds, "-p", ROUTING, "-f", self.asks, at=self.at)
			rps.append(got["rps"])
			errors.append(got["errors"])
			before = waited_ms(c4d.proc.pid)
			got = self.load("-c", 32, "-d", self.opts.seconds, "-r", self.opts.rate, "-p", ROUTING, "-f", self.asks, at=self.at)
			p99.append(got["p99_us"] / 1000)
			waits.append((waited_ms(c4d.proc.pid) - before) / (self.opts.seconds + 1))
			late.append(got["max_us"] / 1000)
			errors.append(got["errors"])
			got = self.load("-c", 32, "-d", self.opts.seconds, "-r", self.opts.rate, "-p", ROUTING, "-b", question, "-e", "success",
				at=self.constant.at)
			constant.append(got["p99_us"] / 1000)
			steady.append(self.load("-c", 32, "-d", self.opts.seconds, "-p", ROUTING, "-b", question, "-e", "success", at=self.constant.at)["rps"])
		self.add("routing decisions by HTTP, one core", "1/s", rps, "50000 1/s")
		self.add("evhttp and jansson, a constant answer", "1/s", steady)
		self.add(f"p99 at {self.opts.rate}/s", "ms", p99, "1 ms")
		self.add(f"the slowest at {self.opts.rate}/s", "ms", late)
		self.add(f"evhttp and jansson, a constant answer: p99 at {self.opts.rate}/s", "ms", constant)
		self.add("c4d waited for its core meanwhile", "ms/s", waits)
		self.add("wrong or failed answers", "", errors, "0")

	def cdrs(self):
		rps, p99, errors = [], [], []
		for _ in range(self.opts.n):
			got = self.load("-c", 128, "-d", self.opts.seconds, "-r", 5000, "-p", CDR, "-b", cdr(), "-e", '"success":true', at=self.at)
			rps.append(got["rps"])
			p99.append(got["p99_us"] / 1000)
			errors.append(got["errors"])
		self.add("CDRs, 5,000/s offered", "1/s", rps, "5000 1/s")
		self.add("p99 of a CDR, durable", "ms", p99, "20 ms")
		self.add("CDRs that failed", "", errors, "0")

	def fastapi(self, lab):
		if importlib.util.find_spec("fastapi") is None or importlib.util.find_spec("uvicorn") is None:
			self.say("FastAPI beside it: not installed (python3-fastapi, uvicorn)")
			return
		with open(lab.path("constant.py"), "w") as f:
			f.write(CONSTANT)
		server = self.beside(lab, "fastapi", [sys.executable, "-m", "uvicorn", "--no-access-log", "--log-level", "warning", "constant:app"],
			lambda ip, port: ["--host", ip, "--port", str(port)])
		rps = [self.load("-c", 32, "-d", self.opts.seconds, "-p", ROUTING, "-b", "{}", "-e", "success", at=server.at)["rps"]
			for _ in range(self.opts.n)]
		self.add("FastAPI, a constant answer", "1/s", rps)
		server.stop()


def answers(ip, port):
	import socket
	try:
		socket.create_connection((ip, port), 1).close()
		return True
	except OSError:
		return False


def main():
	args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
	args.add_argument("-n", type=int, default=int(os.environ.get("BENCH_N", "5")), help="how often each is measured")
	args.add_argument("--dids", type=int, default=100000)
	args.add_argument("--seconds", type=float, default=5, help="of each measurement")
	args.add_argument("--rate", type=int, default=25000, help="half the load, per second")
	bench = Bench(args.parse_args())
	if shutil.which("taskset") is None:
		bench.say("taskset is missing (util-linux)")
		return 1
	status = 0
	try:
		bench.run()
	except (LabError, OSError, subprocess.CalledProcessError) as e:
		bench.say(f"not all could be measured: {e}")
		status = 1
	bench.report(os.path.join(ROOT, "build", "bench_routing.json"))
	return status


if __name__ == "__main__":
	sys.exit(main())
