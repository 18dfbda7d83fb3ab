"""The platform that every run is played on: Consul's cluster, the SBC, routers, rtpengines, a carrier, c4d."""
import os
import time

from lab import C4d, Uas, merge, until
from lab.base import which
from lab.cluster import Cluster
from lab.media import MediaSbc, farm
from lab.rtpengine import Rtpengine

from fleet import Fleet
from watch import Guards, Watch

WINDOW = 5       # Kamailio's reload_delta and c4d's, in seconds: the default of both
INTERVAL = 1     # services.*.interval
SLACK = 0.1      # what the promise adds to the two
REMOVE_HOLD = 20
# Who keeps the rtpengine table: "c4d", or "static": nobody; it stays as the harness wrote it.
NODES = os.environ.get("CHAOS_NODES", "c4d")
WAKE = os.environ.get("CHAOS_WAKE", "dns")


class Stage:
	"""
	Attributes: cluster, agent, sbc, routers, nodes (rtpengines), carrier, fleet, watch, c4d (None when `way` is
	"consul-template"). over: laid on c4d's configuration; acl: of Consul's servers; vms: each router's instances register
	at the Consul agent of a VM of its own, else all at the one that c4d asks; each: instances per router; sbc: of MediaSbc; begin: how many instances are registered at first, taken in turn from each router (None: all).
	"""

	def __init__(self, trial, *, each=5, acl=False, vms=False, over=None, fr_ms=500, sbc=None, begin=None, way="c4d", nodes=NODES):
		self.trial, self.way, self.nodes_by = trial, way, nodes if way == "c4d" else "static"
		lab = self.lab = trial.lab
		self.cluster = Cluster(lab, acl=acl, vms=3 if vms else 0).start()
		self.agent = self.cluster.agent
		agents = self.cluster.vms or [self.agent] * 3
		self.nodes = [Rtpengine(lab, f"rtpengine{i + 1}").start() for i in range(3)]
		self.carrier = Uas(lab)
		self.routers = farm(lab, self.carrier.addr, 3, each)
		for r in self.routers:
			r.start()
		self.sbc = MediaSbc(lab, ping=1, reload_delta=WINDOW, fr_ms=fr_ms, **(sbc or {}))
		# As an earlier c4d has left it: Kamailio starts with all nodes, and refuses a reload in its first 10 s.
		self.sbc.write_nodes([(0, n.url, 1, False) for n in self.nodes])
		self.fleet = Fleet(self.agent, self.routers, trial.trace, agents=agents)
		turns = [i for turn in zip(*(self.fleet.of(r) for r in self.routers)) for i in turn]
		for inst in turns[:begin]:
			self.fleet.register(inst)
		self.node_agents = dict(zip(self.nodes, agents))
		for n in self.nodes:
			self.register_node(n)
		until(lambda: len(self.cluster.listed("rtp")) == len(self.nodes), 10, "Consul lists the rtpengines")
		self.fleet.settled()
		self.sbc.start()
		self.watch = Watch(self.sbc.ctl)
		self.watch.start()
		lab.cleanups.append(self.watch.stop)
		self.c4d = self.guards = None
		if way == "c4d":
			self.c4d = C4d(lab, merge(self.config(), over or {})).start()
			self.guards = Guards(self.guarded)
			self.guards.start()
			lab.cleanups.append(self.guards.stop)
		else:
			self.template(way)
		want = {i.uri for i in self.fleet.in_service()}
		until(lambda: self.sbc.active() == want, 30, lambda: f"Kamailio lists {sorted(want)}: {self.sbc.flags()}")
		until(lambda: sum(self.sbc.nodes().values()) == len(self.nodes), 30,
			lambda: f"Kamailio uses the rtpengines: {self.sbc.nodes()}")

	def register_node(self, node):
		"""An rtpengine at Consul, by its name."""
		self.node_agents[node].register("rtp", node.ip, node.port, id=node.name)

	def deregister_node(self, node):
		self.node_agents[node].deregister(node.name)

	def config(self):
		sbc = {
			"binrpc": self.sbc.ctl, "list_file": self.sbc.list_file, "reload_delta": f"{WINDOW}s",
			"dispatcher": {"1": {"service": "router", "uri": "sip:{address}:{port}", "priority": 5,
				"attrs": "weight={weight}", "tag": {"primary": {"priority": 10}}}},
		}
		services = {"router": {"interval": f"{INTERVAL}s", "remove_hold": f"{REMOVE_HOLD}s"}}
		if self.nodes_by == "c4d":
			sbc["tables"] = self.sbc.tables
			sbc["rtpengine"] = {"0": {"service": "rtp", "url": "udp:{address}:{port}", "weight": 1}}
			services["rtp"] = {"interval": f"{INTERVAL}s", "remove_hold": f"{REMOVE_HOLD}s"}
		consul = {"dns": [self.agent.dns_addr], "http": self.agent.http_addr}
		if WAKE != "dns":
			consul["wake"] = WAKE
		return {"consul": consul, "services": services, "kamailio": {"sbc": sbc}}

	def template(self, exe):
		"""The way it was done before: consul-template writes the list, and kamcmd reloads it."""
		kamcmd = which("kamcmd", "it comes with the Debian package kamailio")
		source, conf = self.lab.path("template", "list.tpl"), self.lab.path("template", "template.hcl")
		with open(source, "w") as f:
			f.write('{{range service "router"}}1 sip:{{.Address}}:{{.Port}} 16 5\n{{end}}')
		with open(conf, "w") as f:
			f.write(f'consul {{ address = "{self.agent.ip}:{self.agent.http_port}" }}\nlog_level = "warn"\n'
				f'template {{\n  source = "{source}"\n  destination = "{self.sbc.list_file}"\n'
				f'  command = "{kamcmd} -s {self.sbc.ctl} dispatcher.reload"\n}}\n')
		proc = self.lab.spawn("consul-template", [exe, "-config", conf])
		proc.polite = False

	def programs(self):
		"""[(name, pids of it)] of what a run's figures depend on."""
		from lab.base import session_pids
		found = [("SBC", session_pids(self.sbc.proc.pid)), ("carrier", [self.carrier.proc.pid])]
		if self.c4d:
			found.append(("c4d", [self.c4d.proc.pid]))
		return found

	# ---- what is, and what should be ----

	def guarded(self):
		"""{uri: (state, guard)} of the instances of `router` that c4d lists with a guard."""
		rows = self.c4d.instances("router").values()
		return {f"sip:{r['address']}:{r['port']}": (r["state"], r["guard"]) for r in rows if r["guard"]}

	def expected(self):
		"""The URIs that should take calls now: Consul's answer, and what c4d lists with a guard that differs from it."""
		want = self.fleet.answer()
		guarded = self.guarded() if self.c4d else {}
		kept = {u for u, (state, guard) in guarded.items() if state == "held" and guard}
		out = {u for u, (state, guard) in guarded.items() if state in ("suppressed", "draining") and guard}
		return (want | kept) - out, {u: g for u, g in guarded.items() if (u in want) != (g[0] == "held")}

	def entry(self, uri):
		"""(priority, attributes) that an instance in service should have."""
		inst = self.fleet.by_uri[uri]
		return (10 if inst.primary else 5, f"weight={inst.weight}")

	def wrong(self, seen):
		"""How Kamailio's list differs from what it should be, as text; None when it does not. Second: guarded ones."""
		if seen is None:
			return "Kamailio does not answer", {}
		try:
			want, guarded = self.fleet.answer(), {}
		except OSError as e:
			return f"Consul does not answer ({e})", {}
		have = {u for u, d in seen.items() if d.flags[0] == "A"}
		if have != want and self.c4d:
			want, guarded = self.expected()
		parts = []
		if have - want:
			parts.append(f"active and should not be: {self.names(have - want)}")
		# Kamailio's own pings find out that a router is dead, also while a guard keeps its instances.
		dead = {u for u in want - have if u in seen and seen[u].flags[0] in "IT" and u in guarded
			and not self.fleet.by_uri[u].router.proc.alive()}
		if want - have - dead:
			parts.append("not active and should be: " + ", ".join(
				f"{self.name(u)} ({seen[u].flags if u in seen else 'not listed'})" for u in sorted(want - have - dead)))
		if self.c4d:
			for u in sorted(have & want):
				inst = self.fleet.by_uri[u]
				if inst.in_service and (seen[u].priority, seen[u].attrs) != self.entry(u):
					parts.append(f"{self.name(u)} has priority {seen[u].priority} and {seen[u].attrs!r}, "
						f"not {self.entry(u)}")
		return "; ".join(parts) or None, guarded

	def name(self, uri):
		inst = self.fleet.by_uri.get(uri)
		return inst.sid if inst else uri

	def names(self, uris):
		return " ".join(sorted(self.name(u) for u in uris))

	def converge(self, since=None, within=WINDOW + INTERVAL + SLACK, patience=20.0):
		"""
		Await that Kamailio's active destinations are what they should be. Returns (seconds after `since`, guarded
		ones, None), or (None or seconds, guarded, text) when that was later than `within`.
		"""
		since = self.fleet.last_change() if since is None else since
		late = None
		while True:
			changed, seen = self.watch.now()
			wrong, guarded = self.wrong(seen)
			now = time.time()
			if wrong is None:
				took = max(0.0, changed - since)
				if took <= within:
					return took, guarded, None
				return took, guarded, late or f"{took:.2f} s after the last change"
			if now > since + within and late is None:
				late = wrong
				self.trial.trace(now, f"NOT CONVERGED {now - since:.2f} s after the last change: {wrong}")
				self.evidence()
			if now > since + within + patience:
				return None, guarded, late
			time.sleep(0.01)

	def evidence(self):
		"""What c4d and Kamailio say at this moment, into the trace."""
		say = self.trial.trace
		if self.c4d:
			for words in (["status"], ["show", "targets"], ["show", "instances"], ["show", "dns"], ["diff"]):
				try:
					got = self.c4d.ctl(*words)
					say(time.time(), f"c4ctl {' '.join(words)}:\n{got.out}{got.err}")
				except AssertionError as e:
					say(time.time(), f"c4ctl {' '.join(words)}: {e}")
		try:
			say(time.time(), f"Kamailio: {self.sbc.dispatcher()}\nfile:\n{self.sbc.file_text()}")
		except (OSError, AssertionError) as e:
			say(time.time(), f"Kamailio: {e}")
