"""
The demonstration: c4d between a real Consul and a real Kamailio, with real calls, on loopback.

Each step says what it does, does it, shows what c4d and Kamailio hold, and is judged by what Kamailio
itself lists (asked over binrpc without any of c4d's code) and by what became of the calls.
"""
import argparse
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from lab import (C4d, Consul, HttpError, Lab, LabError, Router, Sbc, Uac, Uas, base_config, consul_binary, holds,  # noqa: E402
	until)

REMOVE_HOLD = 15
# What c4d may take to follow: Consul's check (1 s) and a window of Kamailio's (5 s), with room for a slow machine.
PATIENCE = 15


class Demo:
	def __init__(self, lab):
		self.lab = lab
		self.began = time.monotonic()
		self.results = []
		self.seen_history = set()
		self.last_calls = {}
		self.notes = []

	def say(self, text):
		print(f"[{time.monotonic() - self.began:5.1f} s] {text}", flush=True)

	def start(self):
		lab = self.lab
		self.say(f"starting Consul ({consul_binary()})")
		self.consul = Consul(lab).start()
		self.say("starting a carrier (sipp) that answers the calls")
		self.carrier = Uas(lab)
		self.routers = {}
		for n in (1, 2, 3):
			self.add_router(n)
		self.sbc = Sbc(lab, ping=1)
		self.say(f"starting the SBC: Kamailio at {self.sbc.addr}, its dispatcher list empty")
		self.sbc.start()
		conf = base_config(self.consul, self.sbc, consul={"budget": 5},
			services={"router": {"interval": "200ms", "remove_hold": f"{REMOVE_HOLD}s", "empty_hold": None}})
		self.c4d = C4d(lab, conf)
		self.say(f"starting c4d with {self.c4d.conf}:")
		with open(self.c4d.conf) as f:
			print("".join(f"          {line}" for line in f), end="", flush=True)
		self.c4d.start()

	def add_router(self, n):
		name = f"router{n}"
		router = self.routers.get(name) or Router(self.lab, name, self.carrier.addr, tcp=True,
			ip=self.lab.ip(10 + n))
		self.routers[name] = router
		self.say(f"starting {name}: Kamailio at {router.addr}, and registering it at Consul")
		router.start()
		router.sid = self.consul.register("router", router.ip, router.port, id=name, weight=10, tcp_check="1s")
		until(lambda: (router.ip, router.port) in self.consul.srv("router").instances(), 10,
			f"Consul lists {name}")

	# ---- looking ----

	def uris(self, *names):
		return {self.routers[n].uri for n in names}

	def listed(self):
		"""What c4d decides about: the destinations that Kamailio lists enabled, and disabled."""
		return self.sbc.enabled(), self.sbc.disabled()

	def until_kamailio(self, text, enabled, disabled=(), timeout=PATIENCE):
		"""Kamailio lists exactly these, enabled and disabled."""
		begin = time.monotonic()
		until(lambda: self.listed() == (self.uris(*enabled), self.uris(*disabled)), timeout,
			lambda: f"Kamailio lists {' '.join(sorted(enabled))} enabled, {' '.join(sorted(disabled)) or 'none'} "
			f"disabled; it lists {self.sbc.flags()}")
		took = time.monotonic() - begin
		self.notes.append(f"{text} ({took:.1f} s)")
		self.say(f"Kamailio: {text} ({took:.1f} s)")

	def counts(self):
		found = {}
		for name, r in self.routers.items():
			try:
				found[name] = r.calls()
			except OSError:
				found[name] = None
		return found

	def calls(self, text, reach, count=40, slow_ms=None, background=False):
		"""Calls through the SBC; all must be answered, and exactly the routers in `reach` must get them."""
		self.say(f"calls: {text}")
		before = self.counts()
		uac = Uac(self.lab, self.sbc.addr, rate=20, count=count, hold_ms=200)

		def finish():
			result = uac.wait()
			self.last_calls = {n: c - (before.get(n) or 0) for n, c in self.counts().items() if c is not None}
			self.call_results.append(result)
			self.say(f"calls: {result}; by router: "
				+ ", ".join(f"{n} {c}" for n, c in sorted(self.last_calls.items())))
			if result.failed or result.ok != count:
				raise LabError(f"calls: {result}\n{uac.why()[:300]}")
			got = {n for n, c in self.last_calls.items() if c > 0}
			if reach is not None and got != set(reach):
				raise LabError(f"calls reached {sorted(got)}, not {sorted(reach)}")
			if slow_ms and result.slower_than(slow_ms):
				raise LabError(f"{result.slower_than(slow_ms)} calls took more than {slow_ms} ms to be answered")
		return finish if background else finish()

	def show(self):
		"""One table of what c4d and Kamailio hold, c4d's targets, and what is new in its history."""
		print()
		try:
			states = self.c4d.states("router")
		except LabError as e:
			states = {}
			print(f"          c4d: {str(e).splitlines()[0][:66]}")
		try:
			flags = self.sbc.flags()
		except (OSError, AssertionError) as e:
			flags = {}
			print(f"          Kamailio: {e}")
		print(f"          {'router':9} {'address':22} {'c4d':11} {'Kamailio':10} calls")
		for name, r in self.routers.items():
			calls = self.last_calls.get(name)
			print(f"          {name:9} {r.addr:22} {states.pop(r.addr, '-'):11} {flags.pop(r.uri, '-'):10}"
				f" {'-' if calls is None else calls}")
		for extra in sorted(set(states) | set(flags)):
			print(f"          {'?':9} {extra:22} {states.get(extra, '-'):11} {flags.get(extra, '-'):10}")
		self.show_ctl("targets", 6)
		self.show_ctl("history", 6, only_new=True)
		print(flush=True)

	def show_ctl(self, what, lines, only_new=False):
		try:
			got = self.c4d.ctl("show", what)
		except LabError as e:
			print(f"          c4ctl show {what}: {str(e)[:60]}")
			return
		text = (got.out or got.err).splitlines()
		if only_new:
			fresh = [x for x in text if x not in self.seen_history]
			self.seen_history.update(text)
			text = fresh
		if text:
			print(f"          $ c4ctl show {what}" + (" (what is new)" if only_new else ""))
		for line in text[:lines]:
			print(f"            {line[:100]}")
		if len(text) > lines:
			print(f"            ... and {len(text) - lines} lines more")

	# ---- the steps ----

	def step(self, title, fn):
		print(f"\n==> {len(self.results) + 1}. {title}", flush=True)
		self.notes, self.call_results = [], []
		error = None
		try:
			fn()
		except (LabError, AssertionError, OSError, HttpError) as e:
			error = str(e) or type(e).__name__
			self.say(f"FAIL: {error}")
		self.show()
		ok = sum(r.ok for r in self.call_results)
		failed = sum(r.calls - r.ok for r in self.call_results)
		self.results.append((title, error is None, f"{ok} ok, {failed} failed" if self.call_results else "-",
			"; ".join(self.notes) if error is None else error.splitlines()[0]))
		return error is None

	def first(self):
		self.until_kamailio("the three routers are listed", ["router1", "router2", "router3"])
		self.calls("40 in 2 s through the SBC", ["router1", "router2", "router3"], slow_ms=500)

	def add(self):
		self.add_router(4)
		self.until_kamailio("router4 is listed", ["router1", "router2", "router3", "router4"])
		self.calls("40 in 2 s", ["router1", "router2", "router3", "router4"], slow_ms=500)

	def kill(self):
		self.say("killing router1 (SIGKILL); Consul's check will notice within about a second")
		self.routers["router1"].kill()
		# Calls that it carried die with it, whoever keeps the list; none that begins now may.
		finish = self.calls("100 in 5 s, begun while router1 is dead and still listed", None, count=100, background=True)
		others = ["router2", "router3", "router4"]
		self.until_kamailio("router1 is disabled", others, ["router1"])
		finish()
		self.calls("40 in 2 s, router1 dead", others, slow_ms=500)
		self.say(f"waiting for remove_hold ({REMOVE_HOLD} s) to pass")
		self.until_kamailio("router1 is removed", others, timeout=REMOVE_HOLD + PATIENCE)

	def maintain(self):
		self.say("putting router2 into maintenance at Consul")
		self.consul.maintenance("router2", True, "demo")
		self.until_kamailio("router2 is disabled", ["router3", "router4"], ["router2"])
		self.calls("40 in 2 s, router2 in maintenance", ["router3", "router4"], slow_ms=500)
		self.say("taking router2 out of maintenance")
		self.consul.maintenance("router2", False)
		self.until_kamailio("router2 is enabled", ["router2", "router3", "router4"])
		self.calls("40 in 2 s", ["router2", "router3", "router4"], slow_ms=500)

	def stop_consul(self):
		self.say("stopping Consul")
		self.consul.stop()
		finish = self.calls("100 in 5 s, Consul away", ["router2", "router3", "router4"], count=100, slow_ms=500,
			background=True)
		holds(lambda: self.listed() == (self.uris("router2", "router3", "router4"), set()), 5,
			"Kamailio keeps all three routers without Consul")
		self.say("Kamailio: unchanged for 5 s")
		self.notes.append("unchanged for 5 s without Consul")
		finish()

	def start_consul(self):
		self.say("starting Consul again")
		self.consul.start()
		self.add_router(1)
		self.until_kamailio("router1 is back", ["router1", "router2", "router3", "router4"], timeout=2 * PATIENCE)
		self.calls("40 in 2 s", ["router1", "router2", "router3", "router4"], slow_ms=500)

	def restart_kamailio(self):
		self.say("stopping the SBC's Kamailio; while it is away, router3 goes into maintenance")
		self.sbc.stop()
		self.consul.maintenance("router3", True, "demo")
		uri = self.routers["router3"].uri
		until(lambda: any(u == uri and f & 4 for _, u, f, _, _ in self.sbc.file_entries()), PATIENCE,
			"the list file says so (flag 4) before Kamailio starts")
		self.say("starting the SBC's Kamailio again")
		self.sbc.start()
		rest = ["router1", "router2", "router4"]
		self.until_kamailio("came up with router3 disabled", rest, ["router3"])
		self.calls("40 in 2 s", rest, slow_ms=500)
		self.consul.maintenance("router3", False)
		self.until_kamailio("router3 is enabled", rest + ["router3"])

	def restart_c4d(self):
		before = self.listed()
		self.say("stopping c4d")
		self.c4d.stop()
		everyone = ["router1", "router2", "router3", "router4"]
		finish = self.calls("100 in 5 s, c4d away and coming back", everyone, count=100, slow_ms=500, background=True)
		holds(lambda: self.listed() == before, 1, "Kamailio keeps its list without c4d")
		self.say("starting c4d again")
		self.c4d.start()
		holds(lambda: self.listed() == before, 3, "Kamailio's list does not change when c4d returns")
		self.say("Kamailio: unchanged")
		self.notes.append("unchanged without c4d and after its return")
		finish()

	def run(self):
		steps = (
			("start with three routers", self.first),
			("add a router", self.add),
			("kill a router", self.kill),
			("a router in maintenance, and back", self.maintain),
			("stop Consul", self.stop_consul),
			("start Consul, the killed router returns", self.start_consul),
			("restart the SBC's Kamailio", self.restart_kamailio),
			("restart c4d", self.restart_c4d),
		)
		for title, fn in steps:
			self.step(title, fn)
		return self.report()

	def report(self):
		print("\n==> what came of it\n")
		print(f"  {'':2} {'step':40} {'':5} calls")
		for i, (title, ok, calls, note) in enumerate(self.results, 1):
			print(f"  {i:2} {title:40} {'PASS' if ok else 'FAIL':5} {calls}")
			print(f"     {note[:95 if ok else 400]}")
		failed = sum(not r[1] for r in self.results)
		print(f"\n{len(self.results) - failed} of {len(self.results)} steps passed in "
			f"{time.monotonic() - self.began:.0f} s", flush=True)
		return failed == 0

	def keep(self):
		"""What the user can do now, and how to end it."""
		stop = self.lab.path("stop.sh")
		self.lab.stop_script(stop, remove=True)
		link = os.path.join(os.path.dirname(self.c4d.binary), "c4ctl")
		ctl = f"{os.path.relpath(link) if os.path.exists(link) else self.c4d.c4ctl} -s {self.c4d.socket}"
		maintenance = f"{self.consul.http_addr}/v1/agent/service/maintenance/router2"
		print(f"""
Everything is still running, in {self.lab.dir}. Try:

  {ctl} status
  {ctl} show instances
  {ctl} show targets
  {ctl} why {self.routers['router2'].addr}
  {ctl} watch
  curl -X PUT '{maintenance}?enable=true'      (and false)
  kamcmd -s {self.sbc.run}/ctl dispatcher.list
  kill -9 -- -{self.routers['router1'].proc.pid}      (router1, all of its processes)
  tail -f {self.c4d.proc.log_path}

To stop all of it, and nothing else, and remove the directory:

  {stop}
""", flush=True)


def main():
	args = argparse.ArgumentParser(description=__doc__)
	args.add_argument("--keep", action="store_true", help="leave everything running at the end")
	opts = args.parse_args()
	for sig in (signal.SIGTERM, signal.SIGHUP):
		signal.signal(sig, lambda *_: sys.exit(130))
	lab = Lab("demo", keep=opts.keep)
	kept = False
	try:
		demo = Demo(lab)
		try:
			print("\n==> setting up", flush=True)
			demo.start()
			ok = demo.run()
			if opts.keep:
				demo.keep()
				kept = True
			return 0 if ok else 1
		except (LabError, OSError, HttpError) as e:
			print(f"\ndemo: {e}\n\n{lab.logs(10)}", file=sys.stderr)
			return 1
	except KeyboardInterrupt:
		print("\ndemo: interrupted; stopping what it started", file=sys.stderr)
		return 130
	finally:
		if not kept:
			lab.keeping = False
			lab.stop()
			lab.remove()


if __name__ == "__main__":
	sys.exit(main())
