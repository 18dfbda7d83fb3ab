"""
The benchmark of size: 5,000 destinations in 10 sets (10 services of 500 instances), a real Kamailio, and a DNS server of
the lab that answers as Consul does, from memory.

A table and build/bench_scale.json; nothing passes or fails here. A change is one instance that leaves (out of service by
set_state), comes back, or is new (a reload): from the moment the changed answer is sent until c4d has read it back as in force
(history's "verified"), and c4d's CPU time for it: that of the seconds around it, less what as many quiet ones cost.
"""
import argparse
import datetime
import json
import os
import statistics
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from lab import Binrpc, C4d, FakeDns, Lab, LabError, Sbc, until  # noqa: E402
from lab.base import ROOT  # noqa: E402
from lab.binrpc import encode, header  # noqa: E402
from lab.fake_dns import instances  # noqa: E402

WINDOW = 1
SPAN = 2  # seconds that a change is watched for
KINDS = (("out", "an instance leaves"), ("back", "it comes back"), ("new", "a new instance"))


def percentile(values, p):
	v = sorted(values)
	return v[min(len(v) - 1, max(0, round(p / 100 * len(v) + 0.5) - 1))]


def drain(sock):
	"""One reply, not decoded: Kamailio's time and not ours."""
	data = bytearray()
	while not (head := header(bytes(data[:10]))) or len(data) < head[3] + head[1]:
		data += sock.recv(1 << 20)
	return len(data)


def stamp(text):
	return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


class Names:
	"""The services' answers, made once per change: what a question costs is a copy."""

	def __init__(self, dns, services, each):
		self.dns = dns
		self.found = {f"s{i}": [(f"10.{i}.{k // 250}.{k % 250 + 1}", 5060) for k in range(each)] for i in range(services)}
		self.sent = {}  # wall clock at which the present answer went out first
		for name in self.found:
			self.publish(name)

	def publish(self, name):
		made = []

		def answer(q):
			if not made:
				made.append(bytes(instances(q, self.found[name]))[2:])
			self.sent.setdefault(name, time.time())
			return q.id + made[0]
		self.sent.pop(name, None)
		self.dns.on[f"{name}.service.consul"] = answer


class Bench:
	def __init__(self, opts):
		self.opts = opts
		self.rows = []
		self.gone = None

	def say(self, text):
		print(f"bench: {text}", flush=True)

	def add(self, figure, unit, values, target=None):
		self.rows.append({"figure": figure, "unit": unit, "n": len(values), "target": target, "median": percentile(values, 50),
			"p95": percentile(values, 95), "max": max(values), "values": values})
		r = self.rows[-1]
		self.say(f"{figure}: median {r['median']:.4g}, p95 {r['p95']:.4g}, max {r['max']:.4g} {unit}"
			+ (f" (target: {target})" if target else ""))

	def conf(self, dns, sbc, names, interval):
		sets = {str(i + 1): {"service": name, "uri": "sip:{address}:{port}", "flags": 16, "attrs": self.opts.attrs}
			for i, name in enumerate(names.found)}
		return {
			"consul": {"dns": [dns.dns_addr], "budget": 100},
			"services": {name: {"interval": interval} for name in names.found},
			"kamailio": {"sbc": {"binrpc": sbc.ctl, "list_file": sbc.list_file, "reload_delta": f"{WINDOW}s", "probing": False,
				"dispatcher": sets}},
		}

	def run(self):
		o = self.opts
		with Lab("scale", temporary=True) as lab:
			dns = FakeDns(lab)
			names = Names(dns, o.services, o.each)
			sbc = Sbc(lab, probing=False, reload_delta=WINDOW, shm_mb=128, pkg_mb=16).start()
			c4d = C4d(lab, self.conf(dns, sbc, names, "1s")).start()
			total = o.services * o.each
			until(lambda: sum(len(s) for s in sbc.dispatcher().values()) == total, 60, f"Kamailio lists {total}")
			until(c4d.converged, 20, "c4d has converged")
			self.kamailio(sbc, total)
			self.changes(c4d, names)
			c4d.stop()
			# quiet: names asked once; only Kamailio is read back every 2 s
			c4d.write(self.conf(dns, sbc, names, "1h"))
			c4d.start()
			until(c4d.converged, 20, "c4d has converged")
			time.sleep(12)
			cpu, rss = self.sample(c4d, o.idle)
			self.add("CPU with read-backs alone, every 2s", "% of a core", [100 * statistics.mean(cpu)])
			c4d.stop()
			c4d.write(self.conf(dns, sbc, names, "1s"))
			c4d.start()
			until(c4d.converged, 20, "c4d has converged")
			time.sleep(12)
			cpu, rss = self.sample(c4d, o.idle)
			self.add(f"CPU with {o.services} names asked every 1s", "% of a core", [100 * statistics.mean(cpu)])
			self.add("VmRSS after a start, idle", "MB", rss, "12 MB")
			c4d.stop()

	def kamailio(self, sbc, total):
		"""What Kamailio takes for its own part."""
		lists, loads = [], []
		with Binrpc(sbc.ctl) as rpc:
			for _ in range(5):
				begin = time.monotonic()
				rpc.sock.sendall(encode(1, "dispatcher.list"))
				drain(rpc.sock)
				lists.append(1000 * (time.monotonic() - begin))
			for _ in range(3):
				time.sleep(WINDOW + 1.1)
				begin = time.monotonic()
				rpc.call("dispatcher.reload")
				loads.append(1000 * (time.monotonic() - begin))
		self.add(f"Kamailio's own dispatcher.list of {total}", "ms", lists)
		self.add(f"Kamailio's own dispatcher.reload of {total}", "ms", loads)
		time.sleep(WINDOW + 1.1)

	def changes(self, c4d, names):
		"""
		First c4d's CPU and memory, with nobody asking it anything; then the times, from its history (whose first
		generations, of all instances, are large).
		"""
		cpu, seen, verified = {k: [] for k, _ in KINDS}, {k: [] for k, _ in KINDS}, {k: [] for k, _ in KINDS}
		time.sleep(10)  # `show`, asked at the start, measures the loop for 10 s
		for i in range(self.opts.n):
			for kind, _ in KINDS:
				time.sleep(WINDOW + 0.5)
				quiet = self.spent(c4d, SPAN)
				before, end = c4d.proc.cpu_s(), time.monotonic() + SPAN
				self.change(names, kind, i)
				time.sleep(max(0, end - time.monotonic()))
				cpu[kind].append(1000 * (c4d.proc.cpu_s() - before - quiet))
		self.add("VmRSS after these changes", "MB", [c4d.proc.rss_kb() / 1024], "12 MB")
		for i in range(self.opts.n, 2 * self.opts.n):
			for kind, _ in KINDS:
				time.sleep(WINDOW + 0.5)
				name = self.change(names, kind, i)
				time.sleep(1.5)
				at, done = self.times(c4d)
				seen[kind].append(1000 * (at - names.sent[name]))
				verified[kind].append(1000 * (done - names.sent[name]))
		for kind, words in KINDS:
			self.add(f"{words}: answer sent -> seen", "ms", seen[kind])
			self.add(f"{words}: answer sent -> verified", "ms", verified[kind], "150 ms")
			self.add(f"{words}: c4d's CPU", "ms", cpu[kind], "30 ms")

	def change(self, names, kind, i):
		name = f"s{i % self.opts.services}"
		row = (f"10.200.{i // 250}.{i % 250 + 1}", 5060)
		if kind == "out":
			self.gone = names.found[name].pop(i % self.opts.each)
		else:
			names.found[name].append(self.gone if kind == "back" else row)
		names.publish(name)
		return name

	def times(self, c4d):
		"""Wall clock of the newest generation: seen, and the last target verified."""
		def verified():
			row = c4d.ctl("history", fmt="json").data[0]
			done = [t["verified"] for t in row["targets"] if t["verified"]]
			return len(done) == self.opts.services and (stamp(row["seen"]), max(map(stamp, done)))
		return until(verified, 10, "the newest generation is verified")

	def spent(self, who, seconds):
		before, end = who.proc.cpu_s(), time.monotonic() + seconds
		time.sleep(max(0, end - time.monotonic()))
		return who.proc.cpu_s() - before

	def sample(self, who, n):
		cpu, rss = [], []
		for _ in range(n):
			cpu.append(self.spent(who, 1))
			rss.append(who.proc.rss_kb() / 1024)
		return cpu, rss

	def report(self, path):
		print(f"\n{'figure':52} {'n':>4} {'median':>8} {'p95':>8} {'max':>8} {'unit':12} target")
		for r in self.rows:
			print(f"{r['figure']:52} {r['n']:4} {r['median']:8.4g} {r['p95']:8.4g} {r['max']:8.4g} {r['unit']:12} {r['target'] or '-'}")
		os.makedirs(os.path.dirname(path), exist_ok=True)
		with open(path, "w") as f:
			json.dump({"machine": {"cpus": os.cpu_count(), "load": os.getloadavg()}, "figures": self.rows}, f, indent=1)
		print(f"all values: {os.path.relpath(path)}")


def main():
	args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
	args.add_argument("--services", type=int, default=10)
	args.add_argument("--each", type=int, default=500, help="instances of each")
	args.add_argument("--attrs", default="weight={weight}")
	args.add_argument("-n", type=int, default=int(os.environ.get("BENCH_N", "10")), help="changes of each kind")
	args.add_argument("--idle", type=int, default=20, help="seconds of each idle figure")
	bench = Bench(args.parse_args())
	status = 0
	try:
		bench.run()
	except (LabError, OSError) as e:
		bench.say(f"not all could be measured: {e}")
		status = 1
	bench.report(os.path.join(ROOT, "build", "bench_scale.json"))
	return status


if __name__ == "__main__":
	sys.exit(main())
