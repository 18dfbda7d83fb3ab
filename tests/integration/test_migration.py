"""packaging/MIGRATION.md walked with calls running: from a template and kamcmd to c4d and back."""
import os
import threading
import urllib.parse

from lab import Router, Sbc, Uac, Uas, Fault, until
from lab.rig import Rig


class Template(threading.Thread):
	"""What consul-template and kamcmd do: the list of the passing instances, then a reload whose answer nobody reads."""

	def __init__(self, consul, sbc):
		super().__init__(daemon=True)
		self.consul, self.sbc = consul, sbc
		self.done = threading.Event()
		self.written = None

	def render(self):
		path = "/v1/health/service/router?" + urllib.parse.urlencode({"passing": "1"})
		found = self.consul.http("GET", path)
		return sorted(f"1 sip:{x['Service']['Address']}:{x['Service']['Port']} 16 5" for x in found)

	def run(self):
		while not self.done.wait(0.1):
			lines = self.render()
			if lines == self.written:
				continue
			self.sbc.write_list(lines)
			try:
				self.sbc.reload()
				self.written = lines
			except Fault:
				pass  # within the window; kamcmd's exit status is 0 all the same

	def stop(self):
		self.done.set()
		self.join(5)


def stamp(path):
	st = os.stat(path)
	return st.st_mtime_ns, st.st_ino


def test_from_a_template_to_c4d_and_back(lab, consul, make_c4d):
	carrier = Uas(lab)
	routers = [Router(lab, f"router{i}", carrier.addr).start() for i in (1, 2, 3)]
	sbc = Sbc(lab, reload_delta=1, probing=True, ping=1)
	r = Rig(lab, consul, sbc, make_c4d, over={"kamailio": {"sbc": {"dispatcher": {"1": {"priority": 5, "attrs": None, "flags": None}}}}})
	uris = [r.add(address=x.ip, port=x.port) for x in routers]
	old = Template(consul, sbc)
	sbc.start()
	old.start()
	r.lists(*uris)

	calls = Uac(lab, sbc.addr, rate=20, count=20 * 25, hold_ms=1000)
	# the dry run: nothing to do, nothing written, no lock
	before = stamp(sbc.list_file), set(os.listdir(sbc.list_dir))
	plan = r.c4d.plan()
	assert plan.rc == 0, plan
	assert (stamp(sbc.list_file), set(os.listdir(sbc.list_dir))) == before
	# a configuration that says something else than the template is seen before it does anything
	r.c4d.write({**r.conf, "kamailio": {"sbc": {**r.conf["kamailio"]["sbc"], "dispatcher": {"1": {"service": "router",
		"uri": "sip:{address}:{port}"}}}}})
	plan = r.c4d.plan()
	assert plan.rc == 1 and "priority 5 -> 0" in plan.out, plan
	assert (stamp(sbc.list_file), set(os.listdir(sbc.list_dir))) == before
	r.c4d.write(r.conf)

	# change hands
	old.stop()
	r.c4d.start()
	r.converged()
	until(lambda: {i["source"] for i in r.c4d.instances("router").values()} == {"dns"}, 5, "DNS has confirmed them")
	assert r.count("reloads") == 0 and r.count("set_states") == 0, "nothing was to be done"
	assert r.c4d.ctl("diff").rc == 0

	# it works: one out and back, one gone for good
	r.out(uris[0])
	until(lambda: sbc.disabled() == {uris[0]}, 5, "the first is disabled")
	r.out(uris[0], False)
	until(lambda: not sbc.disabled(), 5, "and back")
	r.gone(uris[2])
	until(lambda: sbc.disabled() == {uris[2]}, 5, "the third is disabled")

	# and back: what c4d had decided stays until the other decides
	r.c4d.stop()
	assert sbc.disabled() == {uris[2]}
	back = Template(consul, sbc)
	back.start()
	r.lists(*uris[:2])
	result = calls.ok()
	back.stop()
	assert result.failed == 0, result
