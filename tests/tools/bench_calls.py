"""
The benchmark of calls: a carrier (sipp) calls numbers of an IPBX (sipp) through both sample Kamailios, rtpengine and c4d, all of them on
this machine: INVITE, 180, 200, ACK, held for --hold milliseconds, BYE. Each call is one routing request and one CDR.

A table and build/bench_calls.json; the targets stand beside the figures. The public baseline on such a platform is 20 calls per second
without loss. The post-dial delay is from the INVITE to the 180 (at latest the 200), as sipp's log has it. With Kamailio 5.6 and with 6.0;
C4D_KAMAILIO=5.6: with that one alone. One sipp is good for about 1,000 calls per second; all the rest shares the same cores.
"""
import argparse
import json
import os
import platform
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from lab import C4d, Consul, Lab, LabError, until  # noqa: E402
from lab.base import ROOT, session_pids  # noqa: E402
from lab.calls import Calls, percentile  # noqa: E402
from lab.kamailio import VERSIONS, default_version  # noqa: E402
from lab.platform import Platform, Sip, document  # noqa: E402

NUMBER = "39040123456"


def cpu_s(proc):
	"""CPU time so far of a program and all processes that it made."""
	total = 0
	for pid in session_pids(proc.pid):
		try:
			with open(f"/proc/{pid}/stat") as f:
				words = f.read().rpartition(")")[2].split()
		except OSError:
			continue
		total += int(words[11]) + int(words[12])
	return total / os.sysconf("SC_CLK_TCK")


class Bench:
	def __init__(self, opts):
		self.opts, self.rows = opts, []

	def say(self, text):
		print(f"bench: {text}", flush=True)

	def add(self, subject, figure, unit, values, target=None):
		self.rows.append({"subject": subject, "figure": figure, "unit": unit, "n": len(values), "target": target,
			"median": percentile(values, 50), "p95": percentile(values, 95), "max": max(values), "values": values})
		r = self.rows[-1]
		self.say(f"{subject}: {figure}: {r['median']:.4g}" + (f", p95 {r['p95']:.4g}, max {r['max']:.4g}" if len(values) > 1 else "")
			+ f" {unit}" + (f" (target: {target})" if target else ""))

	def calls(self, version):
		o, name = self.opts, f"Kamailio {version}"
		self.say(f"{name}: {o.rate} calls per second for {o.seconds} s, each held for {o.hold} ms")
		with Lab("calls", temporary=True) as lab:
			lab.kamailio = version
			pbx = lab.ip()
			callee = Sip(lab, "callee", ip=pbx, port=5060, trace=False)
			caller = Calls(lab, "", rate=o.rate, hold_ms=o.hold)
			ip = caller.argv[caller.argv.index("-i") + 1]
			p = Platform(lab, Consul(lab).start(), lambda conf: C4d(lab, conf), document(f"{pbx}:5060", f"{ip}:5060"),
				shm_mb=256, pkg_mb=8).start()
			caller.argv[caller.argv.index("-s") + 1] = NUMBER
			caller.argv[-1] = p.sbc.addr
			parts = {"c4d": p.c4d.proc, "the SBC": p.sbc.proc, "the router": p.router.proc, "rtpengine": p.rtp.proc}
			before = {k: cpu_s(v) for k, v in parts.items()}
			begin = time.monotonic()
			caller.start()
			time.sleep(o.seconds)
			spent = time.monotonic() - begin
			after = {k: cpu_s(v) for k, v in parts.items()}
			books = caller.finish()
			ended = sum(1 for c in books.calls if c.ended)
			self.add(name, "calls", "", [len(books.calls)])
			self.add(name, "failed", "", [len(books.failed)], "0 (public baseline: 0 at 20 per second)")
			self.add(name, "retransmissions by the caller", "", [books.retransmitted])
			self.add(name, "CDRs missing", "", [max(0, ended - self.cdrs(p.c4d, ended))], "0")
			self.add(name, "post-dial delay", "ms", [round(c.pdd_ms, 3) for c in books.calls if c.pdd_ms is not None])
			for k in parts:
				self.add(name, f"CPU of {k}", "% of a core", [100 * (after[k] - before[k]) / spent])
			self.add(name, "VmRSS of c4d", "MB", [p.c4d.proc.rss_kb() / 1024])
			for f in books.failed[:5]:
				self.say(f"failed: {f}")
			if not callee.proc.alive():
				raise LabError(f"the callee ended\n{callee.why()}")
			p.c4d.stop()

	def cdrs(self, c4d, n):
		"""How many there are, once they are n, or no more come."""
		def count():
			got = c4d.ctl("cdr", "export", timeout=60)
			return len(got.out.splitlines())
		try:
			return until(lambda: (c := count()) >= n and c, 10, "a CDR of each call", every=0.5)
		except LabError:
			return count()

	def report(self, path):
		print(f"\n{'':14} {'figure':32} {'n':>6} {'median':>8} {'p95':>8} {'max':>8} {'unit':12} target")
		for r in self.rows:
			print(f"{r['subject']:14} {r['figure']:32} {r['n']:6} {r['median']:8.4g} {r['p95']:8.4g} {r['max']:8.4g} {r['unit']:12} {r['target'] or '-'}")
		os.makedirs(os.path.dirname(path), exist_ok=True)
		with open(path, "w") as f:
			json.dump({"machine": {"cpus": os.cpu_count(), "kernel": platform.release(), "load": os.getloadavg()},
				"rate": self.opts.rate, "seconds": self.opts.seconds, "hold_ms": self.opts.hold, "figures": self.rows}, f, indent=1)
		print(f"all values: {os.path.relpath(path)}")


def main():
	args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
	args.add_argument("--rate", type=int, default=300, help="calls per second")
	args.add_argument("--seconds", type=int, default=30)
	args.add_argument("--hold", type=int, default=1000, help="milliseconds that a call is up")
	bench = Bench(args.parse_args())
	failed = False
	for version in [default_version()] if os.environ.get("C4D_KAMAILIO") else VERSIONS:
		try:
			bench.calls(version)
		except (LabError, OSError) as e:
			failed = True
			bench.say(f"Kamailio {version} could not be measured: {e}")
	bench.report(os.path.join(ROOT, "build", "bench_calls.json"))
	return 1 if failed else 0


if __name__ == "__main__":
	sys.exit(main())
