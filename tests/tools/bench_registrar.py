"""
The benchmark of the registrar: c4d beside a real Consul, a server and a client agent of it; Kamailio is real too, what is
asked by SIP and NG are small peers that fail when they are told to.

A table and build/bench_registrar.json; the targets stand beside the figures; nothing passes or fails here.
Latencies end with the arrival of the first answer of the agent's /v1/agent/checks that says critical; it is asked every
millisecond from the moment on at which it may. A failure can't be seen by anybody before the next check is made, so that
each is told twice: from the failure, which comes at a random moment of the interval; and from the arrival of the first
question that meets it, which is c4d's and Consul's own share (and, where the peer is silent, the check's time-out).
CPU is c4d's, of all its threads, with nobody asking it anything; Consul's own is not in it.
"""
import argparse
import json
import os
import random
import re
import socket
import statistics
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from lab import C4d, Lab, LabError, Sbc, pair, until  # noqa: E402
from lab.base import ROOT, session_pids  # noqa: E402
from lab.fake_ng import FakeNg  # noqa: E402
from lab.registrar import registering, section, services  # noqa: E402
from lab.tls import Ca, TlsConsul  # noqa: E402
from bench import Agent  # noqa: E402
from bench_scale import Bench as Figures  # noqa: E402

POLL = 0.001
INTERVAL_MS = 1000
SLACK_MS = 50  # what may be added to the interval
NG_TIMEOUT_MS = 200


class Sip:
	"""Answers OPTIONS with 200 or, once it is broken, 503. met: when the first question found it so."""

	def __init__(self, lab):
		self.ip = lab.ip()
		self.port = lab.port(self.ip, 5060)
		self.broken, self.met = False, threading.Event()
		self.met_at = None
		self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		self.sock.bind((self.ip, self.port))
		threading.Thread(target=self._serve, daemon=True).start()
		lab.cleanups.append(self.sock.close)

	def fail(self):
		self.met.clear()
		self.broken = True

	def mend(self):
		self.broken = False

	def _serve(self):
		kept = re.compile(rb"^(?:via|from|to|call-id|cseq):.*\r\n", re.I | re.M)
		while True:
			try:
				data, peer = self.sock.recvfrom(4096)
				broken = self.broken
				if broken and not self.met.is_set():
					self.met_at = time.monotonic()
				line = b"SIP/2.0 503 Service Unavailable\r\n" if broken else b"SIP/2.0 200 OK\r\n"
				self.sock.sendto(line + b"".join(kept.findall(data)) + b"Content-Length: 0\r\n\r\n", peer)
			except OSError:
				return
			if broken:
				self.met.set()


class Ng:
	"""Answers ping or, once it is broken, nothing."""

	def __init__(self, lab):
		self.met = threading.Event()
		self.met_at = None
		self.fake = FakeNg(lab)
		self.fake.trap = self._asked
		self.ip, self.port = self.fake.ip, self.fake.port

	def fail(self):
		self.met.clear()
		self.fake.deaf = {"c4d"}

	def mend(self):
		self.fake.deaf = set()

	def _asked(self, who, command):
		if self.fake.deaf and not self.met.is_set():
			self.met_at = time.monotonic()
			self.met.set()


class Bench(Figures):
	def __init__(self, opts):
		super().__init__(opts)
		self.n = opts.n
		self.rnd = random.Random(1)

	# ---- a local service fails ----

	def becomes(self, agent, check, status, timeout=20.0):
		"""Ask the agent again and again; when the answer that says so has come."""
		end = time.monotonic() + timeout
		while True:
			seen = agent.get("/v1/agent/checks").get(check, {}).get("Status")
			now = time.monotonic()
			if seen == status:
				return now
			if now > end:
				raise LabError(f"{check} is not {status} within {timeout:g} s, but {seen}")
			time.sleep(POLL)

	def settle(self):
		time.sleep(0.1 + self.rnd.random() * INTERVAL_MS / 1000)

	def failures(self, agent, peer, check, what, share_ms):
		"""share_ms: the check's time-out, where the failure is that nothing comes."""
		whole, own = [], []
		for _ in range(self.n):
			self.settle()
			begin = time.monotonic()
			peer.fail()
			if not peer.met.wait(10):
				raise LabError(f"{check} is not made")
			end = self.becomes(agent, check, "critical")
			whole.append(1000 * (end - begin))
			own.append(1000 * (end - peer.met_at))
			peer.mend()
			self.becomes(agent, check, "passing")
		self.add(f"{what} -> critical", "ms", whole, f"{INTERVAL_MS + share_ms + SLACK_MS} ms")
		self.add(f"{what}, asked -> critical", "ms", own, f"{share_ms + SLACK_MS} ms")

	def deaths(self, agent, sbc, check):
		took = []
		for _ in range(self.n):
			self.settle()
			pids = session_pids(sbc.proc.pid)
			begin = time.monotonic()
			for pid in pids:
				os.kill(pid, 9)
			took.append(1000 * (self.becomes(agent, check, "critical") - begin))
			sbc.kill()
			sbc.start()
			self.becomes(agent, check, "passing")
		self.add("Kamailio is killed -> critical (binrpc)", "ms", took, f"{INTERVAL_MS + SLACK_MS} ms")

	def failing(self):
		self.say(f"local services fail: checks every {INTERVAL_MS / 1000:g} s, {self.n} failures of each kind")
		with Lab("registrar", temporary=True) as lab:
			_, client = pair(lab)
			sip, ng, sbc = Sip(lab), Ng(lab), Sbc(lab, probing=False).start()
			each = {"interval": f"{INTERVAL_MS}ms"}
			c4d = C4d(lab, registering(client, {
				"sip": section(sip.ip, sip.port, checks={"up": {"type": "sip", "timeout": "500ms", **each}}),
				"ng": section(ng.ip, ng.port, checks={"up": {"type": "ng", "timeout": f"{NG_TIMEOUT_MS}ms", **each}}),
				"rpc": section(sbc.ip, sbc.port, checks={"up": {"type": "binrpc", "to": sbc.ctl, "timeout": "500ms", **each}}),
			})).start()
			agent = Asker(client)
			for name in ("sip", "ng", "rpc"):
				self.becomes(agent, f"{name}-id:up", "passing")
			time.sleep(5)
			self.failures(agent, sip, "sip-id:up", "SIP answers 503", 0)
			self.failures(agent, ng, "ng-id:up", f"rtpengine is silent for {NG_TIMEOUT_MS} ms", NG_TIMEOUT_MS)
			self.deaths(agent, sbc, "rpc-id:up")
			c4d.stop()

	# ---- many registrations ----

	def many(self, lab, client, n, check):
		"""A configuration of n registrations of 20 services, each with one check."""
		return registering(client, {f"s{i}": section(f"10.3.{i // 250}.{i % 250 + 1}", name=f"svc{i % 20}",
			checks={"up": check}) for i in range(n)})

	def checks(self, lab, client):
		"""One that Consul makes, seldom, and one that c4d makes."""
		ng = FakeNg(lab)
		return ({"type": "tcp", "to": f"{client.ip}:{client.http_port}", "interval": "1h", "status": "passing"},
			{"type": "ng", "to": f"{ng.ip}:{ng.port}", "interval": "10s"})

	def asserting(self):
		n = self.opts.registrations
		self.say(f"re-assertion: {n} registrations, {self.opts.idle} s")
		with Lab("registrar", temporary=True) as lab:
			_, client = pair(lab)
			theirs, ours = self.checks(lab, client)
			ng_rows = []
			for check in (theirs, ours):
				c4d = C4d(lab, self.many(lab, client, n, check), name=f"c4d-{check['type']}").start()
				until(lambda: len(services(client)) == n, 30, f"{n} are registered")
				until(lambda: {r["state"] for r in c4d.show("registrations")} == {"registered"}, 30, "c4d says so")
				time.sleep(35)  # the first looks at the catalog, and `show`, which measures the loop for 10 s
				puts = sum(r["puts"] for r in c4d.show("registrations"))
				time.sleep(12)
				begin = time.monotonic()
				cpu, rss = self.sample(c4d, self.opts.idle)
				took = time.monotonic() - begin
				ng_rows.append(100 * statistics.mean(cpu))
				puts = (sum(r["puts"] for r in c4d.show("registrations")) - puts) / (took + 12)
				self.say(f"{check['type']}: {puts:.1f} registrations repeated each second")
				self.add(f"CPU: {n} registrations, checked by {'Consul' if check is theirs else 'c4d'}", "% of a core",
					ng_rows[-1:], "0.5 %" if check is theirs else None)
				c4d.stop(20)
				until(lambda: not services(client), 20, "all are deregistered")
			self.add(f"CPU: of it {n} checks by c4d (ng, every 10s)", "% of a core", [ng_rows[1] - ng_rows[0]])
			self.add(f"VmRSS: {n} registrations, checked by c4d", "MB", rss)

	def storm(self):
		n = self.opts.storm
		self.say(f"a storm: {n} registrations at once, {self.opts.storms} times with each kind of check")
		with Lab("registrar", temporary=True) as lab:
			_, client = pair(lab)
			client.patience = 30.0
			for check, whose in zip(self.checks(lab, client), ("Consul", "c4d")):
				took, away = [], []
				c4d = C4d(lab, self.many(lab, client, n, check), name=f"c4d-{check['type']}")
				agent = Asker(client)
				for _ in range(self.opts.storms):
					begin = time.monotonic()
					c4d.start(wait=False)
					took.append(self.listed(agent, n, begin) - begin)
					time.sleep(3)
					begin = time.monotonic()
					c4d.stop(60)
					away.append(time.monotonic() - begin)
					until(lambda: not services(client), 60, "all are deregistered")
				said = re.findall(r"^\S+ (?:warning|error) .*", c4d.log(), re.M)
				for line in said[:3]:
					self.say(line)
				self.add(f"start -> {n} registered, checked by {whose}", "s", took, "10 s")
				self.add(f"stop -> {n} deregistered, checked by {whose}", "s", away)
				self.add(f"warnings and errors of it logged, {whose}", "lines", [len(said)], "0")

	def listed(self, agent, n, begin):
		"""First the two at the ends, one of which is the last: that costs the agent little; then the list."""
		ends = [f"/v1/agent/service/s{i}-id" for i in (0, n - 1)]
		while time.monotonic() < begin + 60:
			if all(agent.get(path) for path in ends) and len(agent.get("/v1/agent/services")) == n:
				return time.monotonic()
			time.sleep(0.02)
		raise LabError(f"not {n} registrations within 60 s")

	# ---- memory ----

	def memory(self):
		self.say("VmRSS, idle, one registration with one check of c4d's")
		for kind, target in (("http", "6 MB"), ("https", "10 MB")):
			with Lab("registrar", temporary=True) as lab:
				over = {}
				if kind == "https":
					ca = Ca(lab)
					consul = TlsConsul(lab, ca, strict=True).start()
					cert, key = ca.issue("c4d")
					over = {"consul": {"http": consul.https_addr, "ca_file": ca.file, "cert_file": cert, "key_file": key}}
				else:
					_, consul = pair(lab)
				ng = FakeNg(lab)
				c4d = C4d(lab, registering(consul, {"rtp": section(ng.ip, ng.port, checks={"ng": {"type": "ng", "interval": "1s"}})},
					**over)).start()
				until(lambda: [r["state"] for r in c4d.show("registrations")] == ["registered"], 20, "it is registered")
				time.sleep(15)
				cpu, rss = self.sample(c4d, self.opts.idle)
				self.add(f"VmRSS by {kind}, 1 registration", "MB", rss, target)
				self.add(f"CPU by {kind}, 1 registration, checked every 1s", "% of a core", [100 * statistics.mean(cpu)])
				c4d.stop()


class Asker(Agent):
	def get(self, path):
		"""The decoded answer; {} when there is none of it."""
		self.conn.request("GET", path)
		answer = self.conn.getresponse()
		text = answer.read()
		return json.loads(text) if answer.status == 200 else {}


PARTS = ("failing", "asserting", "storm", "memory")


def main():
	args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
	args.add_argument("parts", nargs="*", choices=[*PARTS, []], help=f"which figures (all): {' '.join(PARTS)}")
	args.add_argument("-n", type=int, default=int(os.environ.get("BENCH_N", "50")), help="failures of each kind")
	args.add_argument("--registrations", type=int, default=100, help="that are repeated")
	args.add_argument("--storm", type=int, default=1000, help="registrations that come at once")
	args.add_argument("--storms", type=int, default=5)
	args.add_argument("--idle", type=int, default=60, help="seconds of each idle figure")
	opts = args.parse_args()
	bench = Bench(opts)
	failed = []
	for part in opts.parts or PARTS:
		try:
			getattr(bench, part)()
		except (LabError, OSError) as e:
			failed.append(part)
			bench.say(f"{part} could not be measured: {e}")
	bench.report(os.path.join(ROOT, "build", "bench_registrar.json"))
	return 1 if failed else 0


if __name__ == "__main__":
	sys.exit(main())
