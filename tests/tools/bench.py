"""
The benchmark: what c4d reaches between a real Consul and a real Kamailio on this machine's loopback.

A table and build/bench.json. The targets stand beside the figures; nothing passes or fails here.
Latencies are from just before the cause (the call to Consul's HTTP port, by a connection that is open; the exec)
until the arrival of the first reply to dispatcher.list that shows the effect; Kamailio is asked for it over binrpc
0.2 ms after each reply. The guards are at their defaults, but for damping: it is off, since the same few instances
fail again and again here.
"""
import argparse
import http.client
import json
import os
import platform
import random
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from lab import Binrpc, C4d, Consul, Fault, Lab, LabError, Sbc, base_config, until  # noqa: E402
from lab.base import ROOT, which  # noqa: E402

# Kamailio's shortest safe window. It bounds how soon the next structural change may come, not how long one takes.
WINDOW = 1
POLL = 0.0002


def percentile(values, p):
	v = sorted(values)
	return v[min(len(v) - 1, max(0, round(p / 100 * len(v) + 0.5) - 1))]


class Bench:
	def __init__(self, n, bursts):
		self.n, self.bursts = n, bursts
		self.rows = []
		self.rnd = random.Random(1)

	def say(self, text):
		print(f"bench: {text}", flush=True)

	def add(self, figure, unit, values, target=None, subject="c4d"):
		self.rows.append({"subject": subject, "figure": figure, "unit": unit, "n": len(values), "target": target,
			"median": percentile(values, 50), "p95": percentile(values, 95), "max": max(values), "values": values})
		r = self.rows[-1]
		self.say(f"{subject}: {figure}: median {r['median']:.4g}, p95 {r['p95']:.4g} {unit}"
			+ (f" (target: {target})" if target else ""))

	# ---- the ground ----

	def ground(self, lab, instances, probing=False, window=WINDOW):
		consul = Consul(lab).start()
		sids = [consul.register("router", f"10.1.{i // 250}.{i % 250 + 1}", 5060) for i in range(instances)]
		sbc = Sbc(lab, probing=probing, reload_delta=window).start()
		until(lambda: len(consul.srv("router").srv) == instances, 60, "Consul lists every instance")
		return consul, sbc, sids

	def c4d(self, lab, consul, sbc, interval="100ms", window=WINDOW, n_listed=None, wake=False, remove_hold=None):
		conf = base_config(consul, sbc, kamailio={"sbc": {"reload_delta": f"{window}s", "probing": False}},
			services={"router": {"interval": interval, "remove_hold": remove_hold, "empty_hold": None, "flap_suppress": 0}})
		if wake:
			conf["consul"] = {"dns": [consul.dns_addr], "http": consul.http_addr, "wake": "index"}
		c4d = C4d(lab, conf).start()
		if n_listed is not None:
			until(lambda: len(sbc.listed()) == n_listed, 30, f"Kamailio lists {n_listed}")
		return c4d

	def watch(self, rpc, cond, timeout=20.0):
		"""Ask for the list again and again until cond({uri: flags}); the time at which it was true."""
		end = time.monotonic() + timeout
		while True:
			seen = listing(rpc)
			if cond(seen):
				return rpc.answered
			if rpc.answered > end:
				raise LabError(f"not within {timeout:g} s; Kamailio lists {seen}")
			time.sleep(POLL)

	def changes(self, subject, lab, consul, sbc, sids, target, all_targets=False, again=False):
		"""One check after the other fails and passes again, then new instances come one by one; again: and go, so that there are as many."""
		fail, back, new = [], [], []
		agent = Agent(consul)
		with Binrpc(sbc.ctl) as rpc:
			uris = [f"sip:10.1.0.{i + 1}:5060" for i in range(len(sids))]
			out = lambda uri: lambda seen: uri not in seen or seen[uri][0] == "D"  # noqa: E731
			for i in range(self.n):
				k = i % len(sids)
				self.settle()
				begin = time.monotonic()
				agent.put(f"/v1/agent/check/fail/ttl:{sids[k]}")
				fail.append(1000 * (self.watch(rpc, out(uris[k])) - begin))
				self.settle()
				begin = time.monotonic()
				agent.put(f"/v1/agent/check/pass/ttl:{sids[k]}")
				back.append(1000 * (self.watch(rpc, lambda seen: not out(uris[k])(seen)) - begin))
			for i in range(self.n):
				self.settle()
				begin = time.monotonic()
				agent.put("/v1/agent/service/register", {"ID": f"new{i}", "Name": "router",
					"Address": f"10.2.0.{i + 1}", "Port": 5060})
				new.append(1000 * (self.watch(rpc, lambda seen: f"sip:10.2.0.{i + 1}:5060" in seen) - begin))
				if again:
					self.settle()
					agent.put(f"/v1/agent/service/deregister/new{i}")
					self.watch(rpc, lambda seen: f"sip:10.2.0.{i + 1}:5060" not in seen)
		self.add("check fails -> out of service in Kamailio", "ms", fail, target, subject)
		self.add("check passes -> back in service", "ms", back, target if all_targets else None, subject)
		self.add("new instance -> listed by Kamailio", "ms", new, target, subject)

	def settle(self):
		"""Quiet for a window, then a moment that has nothing to do with anybody's interval."""
		time.sleep(WINDOW + 0.1 + self.rnd.random() * 0.3)

	# ---- c4d's figures ----

	def latency(self):
		self.say(f"latency of changes: 5 instances, interval 100ms, budget 100, {self.n} changes of each kind")
		with Lab("bench", temporary=True) as lab:
			consul, sbc, sids = self.ground(lab, 5)
			c4d = self.c4d(lab, consul, sbc, n_listed=5)
			self.changes("c4d", lab, consul, sbc, sids, "120 ms at p95")
			self.add("VmRSS after these changes", "MB", [c4d.proc.rss_kb() / 1024])
			c4d.stop()

	def wake(self):
		"""The clock asks every 10 s here, so that what is seen sooner is the wake-up's doing."""
		self.say(f"wake: index: 5 instances, interval 10s, {self.n} changes of each kind, each in an open window")
		with Lab("bench", temporary=True) as lab:
			consul, sbc, sids = self.ground(lab, 5)
			c4d = self.c4d(lab, consul, sbc, interval="10s", n_listed=5, wake=True, remove_hold="100ms")
			until(lambda: all(r["wake"] == "waiting" and r["wake_queries"] > 1 for r in c4d.show("dns")), 10,
				"c4d waits at Consul's index")
			self.changes("c4d, wake: index", lab, consul, sbc, sids, "5 ms median, 15 ms p95", all_targets=True, again=True)
			self.add("VmRSS after these changes", "MB", [c4d.proc.rss_kb() / 1024], None, "c4d, wake: index")
			c4d.stop()

	def start(self):
		self.say(f"start with Consul down, Kamailio holding another list, {self.n} times")
		took = []
		with Lab("bench", temporary=True) as lab:
			consul, sbc, _ = self.ground(lab, 5)
			c4d = self.c4d(lab, consul, sbc, n_listed=5)
			until(c4d.converged, 10, "c4d has converged")
			c4d.stop()
			consul.stop()
			want, text = sbc.enabled(), sbc.file_text()
			with Binrpc(sbc.ctl) as rpc:
				for _ in range(self.n):
					time.sleep(WINDOW + 0.2)
					sbc.write_list(["1 sip:10.1.0.1:5060 16", "1 sip:10.9.9.9:5060 16"])
					rpc.call("dispatcher.reload")
					time.sleep(WINDOW + 0.2)
					begin = time.monotonic()
					c4d.start(wait=False)
					took.append(1000 * (self.watch(rpc, lambda seen: {u for u, f in seen.items() if f[0] != "D"} == want)
						- begin))
					until(c4d.answers, 10, "the control socket")
					c4d.stop()
			if sorted(sbc.file_text().split()) != sorted(text.split()):
				self.say("note: the list file differs from the one before")
		self.add("start, Consul down -> stored generation in Kamailio", "ms", took, "60 ms")

	def many(self):
		self.say(f"800 instances in one service, {self.n} rounds")
		with Lab("bench", temporary=True) as lab:
			consul, sbc, _ = self.ground(lab, 800)
			c4d = self.c4d(lab, consul, sbc, interval="1s", n_listed=800)
			time.sleep(5)
			cpu, rss = self.sample(c4d, self.n)
			self.add("800 instances: CPU per unchanged round of 1 s", "ms", [1000 * x for x in cpu])
			self.add("800 instances: VmRSS", "MB", rss, "6 MB")
			c4d.stop()

	def idle(self):
		self.say(f"idle: 5 services of 5 instances at 1 s, {self.n} s")
		with Lab("bench", temporary=True) as lab:
			consul = Consul(lab).start()
			for s in range(5):
				for i in range(5):
					consul.register(f"service{s}", f"10.1.{s}.{i + 1}", 5060)
			sbc = Sbc(lab, probing=False, reload_delta=WINDOW).start()
			conf = base_config(consul, sbc)
			conf["services"] = {f"service{s}": {"interval": "1s"} for s in range(5)}
			conf["consul"] = {"dns": [consul.dns_addr]}
			conf["kamailio"]["sbc"].update({"probing": False, "dispatcher": {
				str(s + 1): {"service": f"service{s}", "uri": "sip:{address}:{port}"} for s in range(5)}})
			c4d = C4d(lab, conf).start()
			until(lambda: len(sbc.dispatcher()) == 5, 30, "Kamailio lists five sets")
			time.sleep(12)  # `status`, asked at the start, measures the loop for 10 s
			cpu, rss = self.sample(c4d, self.n)
			self.add("idle, 5 services at 1 s: CPU", "% of a core", [100 * x for x in cpu], "0.3 %")
			self.add("idle, 5 services at 1 s: VmRSS", "MB", rss)
			c4d.stop()

	def sample(self, who, n):
		"""CPU seconds of each of n seconds, and VmRSS at their ends."""
		cpu, rss = [], []
		last, at = who.proc.cpu_s(), time.monotonic()
		for _ in range(n):
			at += 1
			time.sleep(max(0, at - time.monotonic()))
			now = who.proc.cpu_s()
			cpu.append(now - last)
			last = now
			rss.append(who.proc.rss_kb() / 1024)
		return cpu, rss

	def burst(self, subject, start):
		"""Ten changes in three seconds, Kamailio's default window; is the list right 15 s later?"""
		self.say(f"{subject}: {self.bursts} bursts of ten changes in three seconds")
		wrong = []
		with Lab("bench", temporary=True) as lab:
			consul, sbc, sids = self.ground(lab, 10, window=5)
			start(lab, consul, sbc)
			down = set()
			for _ in range(self.bursts):
				for _ in range(10):
					# Never more than 4 of 10 out: the guards stay as they are and have nothing to hold.
					k = self.rnd.choice(sorted(down) if len(down) >= 4 else range(10))
					(consul.passing if k in down else consul.failing)(sids[k])
					down ^= {k}
					time.sleep(0.3)
				time.sleep(15)
				want = {f"sip:10.1.0.{k + 1}:5060" for k in range(10) if k not in down}
				wrong.append(0 if sbc.enabled() == want else 1)
		self.rows.append({"subject": subject, "figure": "list wrong 15 s after a burst of ten changes", "unit": "bursts",
			"n": len(wrong), "target": "0", "median": sum(wrong), "p95": None, "max": None, "values": wrong})
		self.say(f"{subject}: wrong after {sum(wrong)} of {len(wrong)} bursts")

	def bursts_c4d(self):
		self.burst("c4d", lambda lab, consul, sbc: self.c4d(lab, consul, sbc, window=5, n_listed=10))

	# ---- consul-template ----

	def template(self, lab, consul, sbc, exe, n_listed):
		kamcmd = which("kamcmd", "it comes with the Debian package kamailio")
		source = lab.path("ct", "list.tpl")
		with open(source, "w") as f:
			f.write('{{range service "router"}}1 sip:{{.Address}}:{{.Port}} 16 0\n{{end}}')
		conf = lab.path("ct", "ct.hcl")
		with open(conf, "w") as f:
			f.write(f'consul {{ address = "{consul.ip}:{consul.http_port}" }}\nlog_level = "warn"\n'
				f'template {{\n  source = "{source}"\n  destination = "{sbc.list_file}"\n'
				f'  command = "{kamcmd} -s {sbc.ctl} dispatcher.reload"\n}}\n')

		class Template:
			proc = lab.spawn("consul-template", [exe, "-config", conf])
		until(lambda: len(sbc.listed()) == n_listed, 30, f"Kamailio lists {n_listed}\n{Template.proc.log_tail()}")
		return Template

	def compare(self, exe):
		name = "consul-template"
		self.say(f"the same with {exe} and kamcmd dispatcher.reload")
		with Lab("bench", temporary=True) as lab:
			consul, sbc, sids = self.ground(lab, 5)
			ct = self.template(lab, consul, sbc, exe, 5)
			self.changes(name, lab, consul, sbc, sids, None)
			self.add("VmRSS after these changes", "MB", [ct.proc.rss_kb() / 1024], None, name)
			cpu, _ = self.sample(ct, self.n)
			self.add("idle, 1 service: CPU", "% of a core", [100 * x for x in cpu], None, name)
		with Lab("bench", temporary=True) as lab:
			consul, sbc, _ = self.ground(lab, 800)
			ct = self.template(lab, consul, sbc, exe, 800)
			_, rss = self.sample(ct, 10)
			self.add("800 instances: VmRSS", "MB", rss, None, name)
		self.burst(name, lambda lab, consul, sbc: self.template(lab, consul, sbc, exe, 10))

	# ---- the result ----

	def report(self, path, note):
		print(f"\n{'':16} {'figure':52} {'n':>4} {'median':>8} {'p95':>8} {'unit':12} target")
		for r in self.rows:
			print(f"{r['subject']:16} {r['figure']:52} {r['n']:4} {r['median']:8.4g} "
				f"{'' if r['p95'] is None else format(r['p95'], '8.4g'):>8} {r['unit']:12} {r['target'] or '-'}")
		print(f"\nKamailio's reload_delta {WINDOW} s (bursts: 5 s, its default); {note}")
		os.makedirs(os.path.dirname(path), exist_ok=True)
		with open(path, "w") as f:
			json.dump({"machine": {"cpus": os.cpu_count(), "kernel": platform.release(), "load": os.getloadavg()},
				"note": note, "figures": self.rows}, f, indent=1)
		print(f"all values: {os.path.relpath(path)}")


class Agent:
	"""One open connection to Consul's HTTP port: what is measured is not how it is made."""

	def __init__(self, consul):
		self.conn = http.client.HTTPConnection(consul.ip, consul.http_port, timeout=5)
		self.conn.connect()
		self.conn.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

	def put(self, path, body=None):
		self.conn.request("PUT", path, body and json.dumps(body))
		answer = self.conn.getresponse()
		text = answer.read()
		if answer.status != 200:
			raise LabError(f"PUT {path}: {answer.status} {text!r}")


def listing(rpc):
	"""{uri: flags} of set 1, by an open connection."""
	try:
		reply = rpc.call("dispatcher.list")[0]
	except Fault as e:
		if "No Destination Sets" in e.reason:
			return {}
		raise
	found = {}
	for name, record in dict_of(reply, "RECORDS"):
		if name == "SET" and dict_of(record, "ID") == 1:
			for _, dest in dict_of(record, "TARGETS"):
				found[dict_of(dest, "URI")] = dict_of(dest, "FLAGS")
	return found


def dict_of(pairs, name):
	return next((v for k, v in pairs if k == name), None)


PARTS = ("latency", "wake", "start", "many", "idle", "bursts")


def main():
	args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
	args.add_argument("parts", nargs="*", choices=[*PARTS, []], help=f"which figures (all): {' '.join(PARTS)}")
	opts = args.parse_args()
	bench = Bench(int(os.environ.get("BENCH_N", "50")), int(os.environ.get("BENCH_BURSTS", "5")))
	parts = opts.parts or PARTS
	template = os.environ.get("CONSUL_TEMPLATE")
	note = f"beside {template}" if template else \
		"consul-template not compared: set CONSUL_TEMPLATE=/path/to/consul-template"
	failed = []
	for part in parts:
		try:
			getattr(bench, {"bursts": "bursts_c4d"}.get(part, part))()
		except (LabError, OSError) as e:
			failed.append(part)
			bench.say(f"{part} could not be measured: {e}")
	if template:
		try:
			bench.compare(template)
		except (LabError, OSError) as e:
			failed.append("consul-template")
			bench.say(f"consul-template could not be measured: {e}")
	bench.report(os.path.join(ROOT, "build", "bench.json"), note)
	return 1 if failed else 0


if __name__ == "__main__":
	sys.exit(main())
