"""The rtpengine target: real Kamailio, real rtpengines; what rtpengine.show and the table say is the judge."""
import os

import pytest

from lab import binrpc, merge, until
from lab.media import MediaSbc
from lab.rig import Rig
from lab.rtpengine import Rtpengine

pytestmark = pytest.mark.both_kamailios
SERVICES = {"rtp": {"interval": "100ms", "remove_hold": "1m"}}


def shown(sbc):
	"""{url: 'in', 'out' (for good) or 'asleep'} as Kamailio shows them."""
	try:
		values = sbc.rpc("rtpengine.show", "all", timeout=10)
	except binrpc.Fault as e:
		if "not found" in e.reason:
			return {}
		raise
	def word(v):
		if binrpc.get(v, "disabled") == 0:
			return "in"
		# 5.6 says 1(permanent), 6.0 recheck_ticks -1
		good = str(binrpc.get(v, "disabled")).endswith("(permanent)") or binrpc.get(v, "recheck_ticks") == -1
		return "out" if good else "asleep"
	return {binrpc.get(v, "url"): word(v) for v in values}


def table(sbc):
	"""{url: (set, weight, disabled)} of the file."""
	found = {}
	with open(os.path.join(sbc.tables, "rtpengine")) as f:
		for line in f.read().splitlines()[1:]:
			cells = [c.replace("\0", ":") for c in line.replace("\\:", "\0").split(":")]
			found[cells[2]] = (int(cells[1]), int(cells[3]), int(cells[4]))
	return found


class Media(Rig):
	def shows(self, timeout=15, **states):
		want = {getattr(self, k).url: v for k, v in states.items()}
		until(lambda: shown(self.sbc) == want, timeout, lambda: f"Kamailio shows {want}, not {shown(self.sbc)}; table "
			f"{table(self.sbc)}; {self.c4d.targets()}\n{self.c4d.proc.log_tail()}")

	def add_node(self, node):
		self.sids[node.url] = self.consul.register("rtp", node.ip, node.port)


@pytest.fixture
def media(lab, consul, make_c4d):
	"""media(n, over): n running nodes a, b, c; c4d is not started yet, nothing is registered."""
	def make(n=2, over=None, nodes=(), again_s=60):
		box = MediaSbc(lab, probing=False, reload_delta=1, again_s=again_s)
		box.write_nodes(nodes)
		conf = {"services": SERVICES, "kamailio": {"sbc": {"tables": box.tables, "rtpengine": {
			"0": {"service": "rtp", "ping": "200ms", "ping_timeout": "200ms"}}}}}
		r = Media(lab, consul, box, make_c4d, over=merge(conf, over or {}))
		for name in "abcd"[:n]:
			setattr(r, name, Rtpengine(lab, f"rtp-{name}").start())
		box.start()
		return r
	return make


def test_nodes_come_and_go(media):
	r = media(2)
	r.add_node(r.a)
	r.c4d.start()
	r.shows(a="in")
	assert table(r.sbc) == {r.a.url: (0, 1, 0)}
	r.add_node(r.b)
	r.shows(a="in", b="in")
	reloads = r.count("reloads")
	r.out(r.a.url)
	r.shows(a="out", b="in", timeout=3)
	assert table(r.sbc)[r.a.url] == (0, 1, 1)
	r.out(r.a.url, False)
	r.shows(a="in", b="in", timeout=3)
	assert r.count("reloads") == reloads, "out and back need no reload"
	until(lambda: r.c4d.targets()["sbc/rtpengine/0"]["state"] == "converged", 5, "converged")


def test_dead_node_is_taken_out_at_once_and_comes_back(media):
	r = media(2)
	r.add_node(r.a)
	r.add_node(r.b)
	r.c4d.start()
	r.shows(a="in", b="in")
	r.a.pause()
	r.shows(a="out", b="in", timeout=5)
	r.a.resume()
	r.shows(a="in", b="in", timeout=5)
