"""
The soak: an appliance's life at 50 changes a second, for 30 minutes; c4d's resident memory and open files must not grow after the
first minute. Status 1 and a table when they do.

The real Consul, Kamailio (dispatcher sets over binrpc) and rtpengine on loopback. 20 services of about 12 instances, each a dispatcher
set; each change is one at Consul's agent that DNS answers with: most are a check that fails or passes, some an instance that is
registered or deregistered, or another weight. Beside it c4d registers and checks this SBC, answers routing questions and scrapes,
takes routing data, reloads, and is asked by c4ctl. The guards are at their defaults but for two: damping is off in all services but
two (an instance here goes every ten seconds, for ever), and what is out is removed after 5 s (10 minutes of new instances are
no leak). The clock is Consul's index (wake: index), with a budget for more rounds than an appliance would make.

What is measured, each second: /proc/PID/smaps, which is exact (the VmRSS of status may be wrong by 64 pages a thread). The first minute is
not judged. c4d gives free memory back every ten seconds, so it goes up and down: of each minute the least (what can't be given
back) and the most count; of pages of files, which the system may take at any time, the typical. The median of the last fifth of the
minutes less that of the first fifth, and the slope of the line through all of them over that time, must both be within BOUND_KB.
Descriptors are counted at quiet points, when nothing is changed or asked: not one more than at the first, but for connections to
Consul, whose number is bounded.
--again judges the samples of an earlier run.
"""
import argparse
import http.client
import json
import os
import random
import select
import signal
import socket
import statistics
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from lab import C4d, Consul, HttpError, Lab, LabError, until  # noqa: E402
from lab.base import ROOT, session_pids  # noqa: E402
from lab.fake_sip import KEPT  # noqa: E402
from lab.media import MediaSbc  # noqa: E402
from lab.openmetrics import Scrape  # noqa: E402
from lab.routing import Api, small, TENANT  # noqa: E402
from lab.rtpengine import Rtpengine  # noqa: E402

SERVICES, EACH, ROOM = 20, 12, 20  # ROOM: addresses of each
DAMPED = 2          # services with damping at its default
AGENT_MAX = SERVICES + 4  # connections to Consul's HTTP port: each is made when it is first needed, and kept: a wake's, and the registrar's
DNS_MAX = 2         # connections: of who asks for services, and of who looks whether DNS knows our registrations
SETTLE_S = 3        # a quiet point must show the same descriptors for so long
# glibc's malloc gives the top of a heap back when 128 KiB of it are free (M_TRIM_THRESHOLD), and c4d has two heaps, the loop's
# and the worker's: with the very same memory in use, two moments may differ by so much. In 29 minutes at 50 changes a second a
# leak of 4 bytes a change is more.
BOUND_KB = 256
MB = 1024


class Peers(threading.Thread):
	"""Answers OPTIONS at every address that an instance may have: Kamailio pings them."""

	def __init__(self, lab):
		super().__init__(daemon=True)
		self.epoll, self.socks, self.ending = select.epoll(), {}, False
		self.places = []  # [service][n] -> (address, port)
		for s in range(SERVICES):
			self.places.append([self._bind(lab.ip(20 + s), 6000 + n) for n in range(ROOM)])
		lab.cleanups.append(self.stop)

	def _bind(self, ip, port):
		sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		sock.bind((ip, port))
		self.socks[sock.fileno()] = sock
		self.epoll.register(sock.fileno(), select.EPOLLIN)
		return ip, port

	def run(self):
		while not self.ending:
			for fd, _ in self.epoll.poll(0.2):
				data, peer = self.socks[fd].recvfrom(4096)
				lines = data.decode(errors="replace").split("\r\n\r\n")[0].split("\r\n")
				if lines[0].startswith("OPTIONS "):
					kept = [x for x in lines[1:] if x.split(":")[0].strip().lower() in KEPT]
					self.socks[fd].sendto("\r\n".join(["SIP/2.0 200 OK", *kept, "Content-Length: 0", "", ""]).encode(), peer)

	def stop(self):
		self.ending = True
		self.join()
		for sock in self.socks.values():
			sock.close()


class Agent:
	"""Consul's agent on a kept connection."""

	def __init__(self, consul):
		self.at, self.conn = (consul.ip, consul.http_port), None

	def put(self, path, body=None):
		self.conn = self.conn or http.client.HTTPConnection(*self.at, timeout=10)
		self.conn.request("PUT", path, json.dumps(body) if body else None)
		answer = self.conn.getresponse()
		text = answer.read()
		if answer.status != 200:
			raise HttpError(answer.status, text.decode(errors="replace"))


class Instance:
	def __init__(self, service, place):
		self.service, (self.ip, self.port) = service, place
		self.sid = f"{service}-{self.port}"
		self.listed, self.passing, self.weight = False, True, 1

	def body(self):
		tags = ["primary"] if self.service == "s0" and self.port % 2 else []
		return {"ID": self.sid, "Name": self.service, "Address": self.ip, "Port": self.port, "Tags": tags,
			"Weights": {"Passing": self.weight, "Warning": 1}, "Checks": [{"CheckID": f"ttl:{self.sid}", "Name": "alive", "TTL": "24h",
				"Status": "passing" if self.passing else "critical"}]}


class Churn(threading.Thread):
	"""The changes, evenly spaced; late ones are made up for. made: how many of which kind; hold() pauses it."""

	def __init__(self, consul, peers, rate, rnd):
		super().__init__(daemon=True)
		self.consul, self.rate, self.rnd = consul, rate, rnd
		self.agent = Agent(consul)
		self.all = [[Instance(f"s{s}", place) for place in peers.places[s]] for s in range(SERVICES)]
		self.made, self.errors = {"fail": 0, "pass": 0, "register": 0, "deregister": 0, "weight": 0}, []
		self.times = []
		self.going, self.resting, self.ending = threading.Event(), threading.Event(), False

	def register_all(self):
		for instances in self.all:
			for i in instances[:EACH]:
				self.do("register", i)

	def do(self, kind, i):
		if kind in ("fail", "pass"):
			self.agent.put(f"/v1/agent/check/{kind}/ttl:{i.sid}")
			i.passing = kind == "pass"
		elif kind == "deregister":
			self.agent.put(f"/v1/agent/service/deregister/{i.sid}")
			i.listed = False
		else:
			if kind == "weight":
				i.weight = i.weight % 9 + 1
			else:
				i.passing = True
			i.listed = True
			self.agent.put("/v1/agent/service/register", i.body())

	def choose(self):
		"""(kind, instance): never so many out of one service that the shrink guard would hold them."""
		rnd = self.rnd
		instances = rnd.choice(self.all)
		listed = [i for i in instances if i.listed]
		up, down = [i for i in listed if i.passing], [i for i in listed if not i.passing]
		dice = rnd.random()
		if dice < 0.03:
			return "weight", rnd.choice(up)
		if dice < 0.10:
			if len(listed) > EACH and (down or len(up) > EACH - 2):
				return "deregister", rnd.choice(down or up)
			return "register", rnd.choice([i for i in instances if not i.listed])
		if down and (len(up) <= EACH - 3 or rnd.random() < 0.5):
			return "pass", rnd.choice(down)
		return "fail", rnd.choice(up)

	def run(self):
		due = time.monotonic()
		while not self.ending:
			if not self.going.is_set():
				self.resting.set()
				self.going.wait(0.1)
				due = time.monotonic()
				continue
			self.resting.clear()
			kind, instance = self.choose()
			try:
				self.do(kind, instance)
				self.made[kind] += 1
				self.times.append(time.monotonic())
			except (OSError, http.client.HTTPException, HttpError) as e:
				self.errors.append(f"{kind} {instance.sid}: {type(e).__name__} {e}")
				self.agent.conn = None
			due += 1 / self.rate
			time.sleep(max(0, due - time.monotonic()))

	def hold(self):
		self.going.clear()
		self.resting.wait(30)

	def go_on(self):
		self.resting.clear()
		self.going.set()

	def wanted(self, s):
		"""URIs that should take calls of service s."""
		return {f"sip:{i.ip}:{i.port}" for i in self.all[s] if i.listed and i.passing}


class Life(threading.Thread):
	"""What else happens to an appliance: questions, scrapes, commands, reloads. Errors are counted, and shown."""

	def __init__(self, c4d, docs, medium, rnd):
		super().__init__(daemon=True)
		self.c4d, self.docs, self.rnd = c4d, docs, rnd
		self.medium = medium
		self.api, self.done, self.errors = Api(c4d), {}, []
		self.going, self.resting, self.ending = threading.Event(), threading.Event(), False
		self.turn = 0
		# Every so many seconds; all of it comes round each minute, so that minutes can be compared.
		self.jobs = [
			[0.05, self.route], [5, self.scrape], [6, self.pages], [12, self.strangers], [60 / 32, self.ask], [20, self.media],
			[60, self.reload], [30, self.load],
		]

	def route(self):
		number = self.rnd.randrange(3000)
		if self.rnd.random() < 0.02:
			self.api.close()  # a new connection now and then
		got = self.api.route(to=f"sip:39{number:08d}@sip.other.com")
		if (number < 2000) != got["rtjson"]["success"]:
			raise LabError(f"39{number:08d}: {got}")

	def scrape(self):
		for accept in (None, "text/plain"):
			answer = self.api.ask("GET", "/metrics", headers={"Accept": accept} if accept else None)
			if answer.status != 200:
				raise LabError(f"/metrics: {answer.status}")

	def pages(self):
		for path in ("/", "/health", "/status", "/v1/topology"):
			if self.api.ask("GET", path).status >= 500:
				raise LabError(path)
		# Who looks at the page listens to its events for a while, and goes without a word.
		with socket.create_connection(self.api.at, 2) as s:
			s.sendall(b"GET /v1/events HTTP/1.1\r\nHost: c4d\r\nAccept: text/event-stream\r\n\r\n")
			s.settimeout(0.3)
			try:
				s.recv(65536)
			except socket.timeout:
				pass

	def strangers(self):
		"""Nothing that is sent may stay."""
		for text in (b"GET /nosuch HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00", b"POST /1.0/kamailio/routing HTTP/1.1\r\n"
				b"Host: x\r\nContent-Length: 9\r\n\r\n{\"event\":", b"GET /metrics HTTP/1.1\r\n"):
			with socket.create_connection(self.api.at, 2) as s:
				s.sendall(text)
		with socket.socket(socket.AF_UNIX) as s:
			s.connect(self.c4d.socket)
			s.sendall(b'{"v":1,"cmd":"watch","args":[]}\n')
			s.recv(4096)

	def ask(self):
		words = [["status"], ["show", "instances"], ["show", "targets"], ["show", "topology"], ["history"], ["show", "dns"],
			["show", "registrations"], ["show", "checks"], ["diff"], ["show", "config"], ["show", "metrics"], ["nosuch"],
			["why", f"{self.c4d.lab.ip(20)}:6001"], ["hold", "s1"], ["release", "s1"], ["approve", "s2"]]
		got = self.c4d.ctl(*words[self.turn % len(words)], fmt=(None, "json")[self.turn // len(words) % 2] or "plain")
		self.turn += 1
		if got.rc not in (0, 1, 2):
			raise LabError(f"{words[(self.turn - 1) % len(words)]}: {got}")

	def media(self):
		"""An rtpengine leaves, or comes back."""
		consul, node, is_in = self.medium
		(consul.failing if is_in else consul.passing)(node)
		self.medium[2] = not is_in

	def reload(self):
		got = self.c4d.ctl("reload")
		if got.rc != 0:
			raise LabError(f"reload: {got}")

	def load(self):
		self.docs.reverse()
		got = self.c4d.ctl("routing", "load", self.docs[0])
		if got.rc != 0:
			raise LabError(f"routing load: {got}")

	def run(self):
		due = [time.monotonic()] * len(self.jobs)
		while not self.ending:
			if not self.going.is_set():
				self.api.close()
				if not self.medium[2]:
					self.media()
				self.resting.set()
				self.going.wait(0.1)
				continue
			self.resting.clear()
			for k, (every, job) in enumerate(self.jobs):
				if time.monotonic() < due[k]:
					continue
				due[k] = max(due[k] + every, time.monotonic() - 1)
				try:
					job()
					self.done[job.__name__] = self.done.get(job.__name__, 0) + 1
				except (OSError, AssertionError, KeyError, http.client.HTTPException, HttpError, ValueError) as e:
					self.errors.append(f"{job.__name__}: {type(e).__name__}: {str(e)[:300]}")
			time.sleep(max(0, min(due) - time.monotonic()))

	hold, go_on = Churn.hold, Churn.go_on


# ---- what is measured ----

KINDS = ("heap", "anon", "stack", "store", "files")


def memory(pid):
	"""KiB resident by kind, exactly; rss is their sum, private what malloc and the stacks hold."""
	found, kind = dict.fromkeys(KINDS, 0), None
	with open(f"/proc/{pid}/smaps") as f:
		for line in f:
			head = line.split(None, 5)
			if head[0].endswith(":"):
				if head[0] == "Rss:":
					found[kind] += int(head[1])
				continue
			name = head[5].strip() if len(head) > 5 else ""
			kind = ("heap" if name == "[heap]" else "stack" if name == "[stack]" else "store" if name.endswith(".mdb")
				else "files" if name.startswith("/") else "anon")
	found["rss"] = sum(found[k] for k in KINDS)
	found["private"] = found["heap"] + found["anon"] + found["stack"]
	return found


def sockets(pid):
	"""{inode: what it is}"""
	found = {}
	for kind in ("tcp", "udp", "unix"):
		with open(f"/proc/{pid}/net/{kind}") as f:
			for words in map(str.split, f.readlines()[1:]):
				if kind == "unix":
					found[words[6]] = f"unix {words[7] if len(words) > 7 else 'connected'}"
				else:
					port = int(words[2].split(":")[1], 16)
					found[words[9]] = f"{kind} to port {port}" if port else f"{kind} listening"
	return found


def descriptors(pid):
	"""{what: how many}"""
	found, known = {}, sockets(pid)
	for fd in os.listdir(f"/proc/{pid}/fd"):
		try:
			name, _, inode = os.readlink(f"/proc/{pid}/fd/{fd}").partition(":[")
		except OSError:
			continue
		if name == "socket":
			name = known.get(inode[:-1], "socket of another kind")
		found[name] = found.get(name, 0) + 1
	return found


def threads(pid):
	return len(os.listdir(f"/proc/{pid}/task"))


def cpu_of(pids):
	total = 0
	for pid in pids:
		try:
			with open(f"/proc/{pid}/schedstat") as f:
				total += int(f.read().split()[0])
			for tid in os.listdir(f"/proc/{pid}/task"):
				if tid != str(pid):
					with open(f"/proc/{pid}/task/{tid}/schedstat") as f:
						total += int(f.read().split()[0])
		except OSError:
			pass
	return total / 1e9


class Soak:
	def __init__(self, opts):
		self.opts, self.samples, self.quiet, self.errors = opts, [], [], []

	def say(self, text):
		print(f"soak: {text}", flush=True)

	def config(self, consul, sbc, notify):
		services = {f"s{s}": {"remove_hold": "5s", **({} if s >= SERVICES - DAMPED else {"flap_suppress": 0})} for s in range(SERVICES)}
		sets = {str(s + 1): {"service": f"s{s}", "uri": "sip:{address}:{port}", "attrs": "weight={weight}"} for s in range(SERVICES)}
		sets["1"]["tag"] = {"primary": {"priority": 10}}
		conf = {
			"consul": {"dns": [consul.dns_addr], "http": consul.http_addr, "wake": "index", "budget": 100},
			"services": {**services, "rtp": {"min_instances": 0, "remove_hold": "5s", "flap_suppress": 0, "max_shrink": 100}},
			"kamailio": {"sbc": {"binrpc": sbc.ctl, "list_file": sbc.list_file, "tables": sbc.tables, "dispatcher": sets,
				"rtpengine": {"0": {"service": "rtp", "url": "udp:{address}:{port}", "drain_timeout": "2s"}}}},
			"register": {"sbc": {"id": "{name}-id", "address": sbc.ip, "port": sbc.port, "when": "now", "checks": {
				"sip": {"type": "sip", "interval": "1s"}, "rpc": {"type": "binrpc", "to": "sbc", "interval": "1s"},
				"true": {"type": "exec", "command": ["/bin/true"], "interval": "5s"}}}},
			"routing": {"clients": ["127.0.0.0/8"]},
		}
		if notify:
			conf["notify"] = notify
		return conf

	def documents(self, lab):
		"""Two documents of 2,000 numbers, which differ in size."""
		paths = []
		for n, more in enumerate((0, 500)):
			ids = [*range(2000), *range(5000, 5000 + more)]
			doc = small(dids=[{"id": i + 1, "tenant_uuid": TENANT, "ipbx_id": 1, "carrier_trunk_id": 1,
				"did_regex": f"^39{i:08d}{'[0-9]?' if i % 10 == 9 else ''}$"} for i in ids])
			paths.append(lab.path(f"routing{n}.json"))
			with open(paths[-1], "w") as f:
				json.dump(doc, f)
		return paths

	def run(self):
		o, rnd = self.opts, random.Random(self.opts.seed)
		with Lab("soak", temporary=not o.keep) as lab:
			consul = Consul(lab, config={"limits": {"http_max_conns_per_client": 1000}}).start()
			nodes = [Rtpengine(lab, f"rtpengine{n}").start() for n in (1, 2)]
			for n in nodes:
				consul.register("rtp", n.ip, n.port, id=n.name)
			peers = Peers(lab)
			peers.start()
			churn = Churn(consul, peers, o.rate, rnd)
			churn.register_all()
			sbc = MediaSbc(lab, ping=2, reload_delta=5, shm_mb=128, pkg_mb=16)
			sbc.write_nodes([(0, n.url, 1, False) for n in nodes])
			sbc.start()
			c4d = C4d(lab, "")
			notify = None
			if any(line.startswith("notify ") for line in c4d.run("keys").out.splitlines()):
				notify = lab.path("notify.sh")
				with open(notify, "w") as f:
					f.write("#!/bin/sh\ncat >/dev/null\n")
				os.chmod(notify, 0o755)
			c4d.write(self.config(consul, sbc, notify))
			c4d.start()
			self.c4d, self.sbc, self.churn, self.consul = c4d, sbc, churn, consul
			docs = self.documents(lab)
			if c4d.ctl("routing", "load", docs[0]).rc != 0:
				raise LabError("the routing data")
			until(c4d.converged, 60, lambda: f"all targets converged: {c4d.targets()}")
			self.life = Life(c4d, docs, [consul, nodes[1].name, True], random.Random(o.seed + 1))
			churn.start()
			self.life.start()
			try:
				self.soak()
			finally:
				churn.ending = self.life.ending = True
				churn.join()
				self.life.join()
			c4d.stop()

	def soak(self):
		o, pid = self.opts, self.c4d.proc.pid
		length, quiets = o.minutes * 60, [60 + k * (o.minutes - 1) * 15 for k in range(4)]
		consuls = session_pids(self.consul.proc.pid)
		self.life.go_on()
		self.churn.go_on()
		self.begin = time.monotonic()
		cpu = cpu_of([pid]), cpu_of(consuls)
		gen = self.generation()
		minute, paused = 1, 0.0
		while (now := time.monotonic() - self.begin) < length:
			if not self.c4d.proc.alive():
				raise LabError(f"c4d ended\n{self.c4d.proc.log_tail()}")
			m = memory(pid)
			m.update(t=now, fds=len(os.listdir(f"/proc/{pid}/fd")), threads=threads(pid))
			self.samples.append(m)
			if quiets and now >= quiets[0]:
				quiets.pop(0)
				paused += self.quiet_point(pid)
			if now >= 60 * minute:
				self.minute_line(minute)
				minute += 1
			time.sleep(max(0, 1 - (time.monotonic() - self.begin - now)))
		self.minute_line(minute)
		took = time.monotonic() - self.begin
		paused += self.quiet_point(pid)
		self.errors = self.churn.errors + self.life.errors
		self.figures = {
			"changes made at Consul": sum(self.churn.made.values()), "of them": self.churn.made,
			"a second, pauses left out": round(len(self.churn.times) / (took - paused), 2), "seconds of pauses": round(paused, 1),
			"generations": self.generation() - gen,
			"c4d's CPU, % of a core": round(100 * (cpu_of([pid]) - cpu[0]) / took, 1),
			"Consul's": round(100 * (cpu_of(consuls) - cpu[1]) / took, 1),
			"of life besides": self.life.done, "store on disk, KiB": self.store_kb(),
		}

	def generation(self):
		return self.c4d.ctl("status", fmt="json").data["generation"]

	def store_kb(self):
		return os.stat(os.path.join(self.c4d.state, "topology.mdb")).st_blocks // 2

	def minute_line(self, minute):
		rows = [s for s in self.samples if 60 * (minute - 1) <= s["t"] < 60 * minute]
		if not rows:
			return
		med = {k: statistics.median(r[k] for r in rows) for k in ("rss", "private", "store", "files", "fds")}
		since = self.begin + 60 * (minute - 1)
		made = sum(1 for t in self.churn.times if since <= t < since + 60)
		self.say(f"minute {minute:2}: resident {med['rss']:.0f} KiB (private {med['private']:.0f}, store {med['store']:.0f}, programs "
			f"{med['files']:.0f}), {med['fds']:.0f} descriptors; {made} changes; store {self.store_kb()} KiB on disk")

	def quiet_point(self, pid):
		"""Nobody changes or asks anything: how many descriptors are left, and is all as it should be? Seconds that it took."""
		begin = time.monotonic()
		self.churn.hold()
		self.life.hold()
		until(self.agrees, 60, lambda: f"Kamailio has what Consul lists: {self.differs()}\n{self.c4d.ctl('status').out}")
		seen, since = descriptors(pid), time.monotonic()
		end = since + 60
		while time.monotonic() < since + SETTLE_S and time.monotonic() < end:
			time.sleep(0.1)
			now = descriptors(pid)
			if now != seen:
				seen, since = now, time.monotonic()
		what = dict(seen)
		dns = what.pop(f"tcp to port {self.consul.dns_port}", 0)
		self.quiet.append({"t": begin - self.begin, "fds": sum(what.values()), "dns": dns, "what": what, "threads": threads(pid)})
		self.say(f"quiet at {begin - self.begin:.0f} s: {sum(seen.values())} descriptors, {threads(pid)} threads; Kamailio has what Consul lists")
		self.life.go_on()
		self.churn.go_on()
		return time.monotonic() - begin

	def differs(self):
		"""Sets whose active destinations are not what Consul lists; those of damped services are what their guards let in."""
		sets, wrong = self.sbc.dispatcher(), []
		for s in range(SERVICES - DAMPED):
			active = {d.uri for d in sets.get(s + 1, []) if d.flags[0] != "D"}
			want = self.churn.wanted(s)
			if active != want:
				wrong.append(f"s{s}: {sorted(active ^ want)}")
		return wrong

	def agrees(self):
		return not self.differs() and sum(self.sbc.nodes().values()) == 2 and self.c4d.converged()

	# ---- the judgement ----

	def judge(self):
		"""[(what, at first, at last, grown, slope over the time, bound, unit, ok)]"""
		rows, part = [], max(1, (self.opts.minutes - 1) // 5)
		for key, name, of in (("private", "private memory (heaps, stacks): least", min), ("private", "  most", max),
				("files", "the programs' own pages: typical", statistics.median),
				("store", "the store's pages (given back at need): typical", statistics.median)):
			minutes = [of([s[key] for s in self.samples if 60 * (m - 1) <= s["t"] < 60 * m]) for m in range(2, self.opts.minutes + 1)]
			first, last = statistics.median(minutes[:part]), statistics.median(minutes[-part:])
			slope = slope_of(minutes) * (len(minutes) - 1)
			rows.append((name, first, last, last - first, slope, self.opts.bound, "KiB", max(last - first, slope) <= self.opts.bound))
		agent = [sum(n for what, n in q["what"].items() if what.startswith("tcp to port")) for q in self.quiet]
		fds = [q["fds"] - n for q, n in zip(self.quiet, agent)]
		rows.append(("descriptors at quiet points", fds[0], fds[-1], max(fds) - fds[0], None, 0, "", max(fds) <= fds[0] and len(fds) > 1))
		rows.append(("to Consul's HTTP port besides (kept)", agent[0], agent[-1], max(agent) - agent[0], None, None, "", max(agent) <= AGENT_MAX))
		n = [q["dns"] for q in self.quiet]
		rows.append(("of DNS besides (idle ones close)", n[0], n[-1], max(n) - n[0], None, None, "", max(n) <= DNS_MAX))
		n = [q["threads"] for q in self.quiet]
		rows.append(("threads", n[0], n[-1], max(n) - n[0], None, 0, "", max(n) <= n[0]))
		return rows

	def load(self, path):
		with open(path) as f:
			was = json.load(f)
		self.opts.minutes, self.opts.rate, self.opts.seed = was["minutes"], was["rate"], was["seed"]
		self.samples, self.quiet, self.figures, self.errors = was["samples"], was["quiet"], was["figures"], was["errors"]
		return self

	def report(self, path):
		rows = self.judge()
		print(f"\n{'after the first minute':46} {'at first':>9} {'at last':>9} {'grown':>8} {'slope':>8} {'bound':>6}  ")
		for name, first, last, grown, slope, bound, unit, ok in rows:
			print(f"{name:46} {first:9.0f} {last:9.0f} {grown:+8.0f} {'' if slope is None else format(slope, '+8.1f'):>8} "
				f"{'-' if bound is None else bound:>6}  {unit:4}{'' if ok else 'GROWS'}")
		for name, value in self.figures.items():
			print(f"{name}: {value}")
		bad = [f"{r[0]}: grows" for r in rows if not r[-1]]
		rate = self.figures["a second, pauses left out"]
		if rate < 0.98 * self.opts.rate:
			bad.append(f"only {rate} changes a second were made")
		if self.errors:
			bad.append(f"{len(self.errors)} errors, the first: {self.errors[0]}")
		fds = {q["fds"] for q in self.quiet}
		if len(fds) > 1:
			print("descriptors:", *(f"\n  at {q['t']:.0f} s: {q['what']}" for q in self.quiet))
		os.makedirs(os.path.dirname(path), exist_ok=True)
		with open(path, "w") as f:
			json.dump({"minutes": self.opts.minutes, "rate": self.opts.rate, "seed": self.opts.seed, "figures": self.figures,
				"rows": rows, "quiet": self.quiet, "samples": self.samples, "errors": self.errors,
				"machine": {"cpus": os.cpu_count(), "load": os.getloadavg()}}, f, indent=1)
		print(f"all samples: {os.path.relpath(path)}")
		print(f"soak: {self.opts.minutes} minutes: " + ("; ".join(bad) if bad else "nothing grows"))
		return 1 if bad else 0


def slope_of(v):
	"""Of the straight line that fits v[0], v[1], ... best, per step."""
	n = len(v)
	mid = (n - 1) / 2
	return sum((x - mid) * y for x, y in enumerate(v)) / max(1, sum((x - mid) ** 2 for x in range(n)))


def main():
	args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
	args.add_argument("--minutes", type=int, default=30, help="3 at least: the first is not judged")
	args.add_argument("--rate", type=float, default=50, help="changes a second")
	args.add_argument("--bound", type=int, default=BOUND_KB, help="KiB that memory may differ by")
	args.add_argument("--seed", type=int, default=6)
	args.add_argument("--keep", action="store_true", help="keep the directory with all logs")
	args.add_argument("--again", metavar="FILE", help="what an earlier run left, judged anew")
	args.add_argument("--out", default=os.path.join(ROOT, "build", "soak.json"))
	opts = args.parse_args()
	if opts.minutes < 3:
		args.error("--minutes: 3 at least")
	for sig in (signal.SIGTERM, signal.SIGHUP):
		signal.signal(sig, lambda *_: sys.exit(130))
	soak = Soak(opts)
	if opts.again:
		return soak.load(opts.again).report(opts.again)
	try:
		soak.run()
	except (LabError, OSError) as e:
		soak.say(f"it could not go on: {e}")
		return 1
	return soak.report(opts.out)


if __name__ == "__main__":
	sys.exit(main())
