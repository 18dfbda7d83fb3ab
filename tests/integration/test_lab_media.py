"""The lab's platform with media: Consul's cluster, rtpengine, routers with several addresses, calls with books."""
import time

import pytest

from lab import Uas, until
from lab.calls import Calls
from lab.cluster import Cluster
from lab.media import SLOW_RELOAD, MediaSbc, await_reload, farm
from lab.rtpengine import Rtpengine, bdecode, bencode


@pytest.mark.parametrize("value, wire", [
	({"command": "ping"}, b"d7:command4:pinge"),
	({"b": [1, -2, "x"], "a": {}}, b"d1:ade1:bli1ei-2e1:xee"),
])
def test_bencode(value, wire):
	assert bencode(value) == wire
	assert bdecode(wire) == (value, len(wire))


def test_a_cluster_loses_its_leader_and_finds_another(lab):
	cluster = Cluster(lab).start()
	cluster.agent.register("router", "10.1.0.1", 5060)
	until(lambda: cluster.listed("router") == {("10.1.0.1", 5060)}, 10, "the agent lists the instance")
	leader = cluster.leader()
	leader.kill()
	until(lambda: cluster.leader() is not leader, 30, "another server leads")
	cluster.agent.register("router", "10.1.0.2", 5060)
	until(lambda: ("10.1.0.2", 5060) in cluster.listed("router"), 20, "a change gets through")
	cluster.start_servers()
	assert len([s for s in cluster.servers if s.proc.alive()]) == 3


@pytest.fixture
def platform(lab):
	"""(SBC, routers, rtpengines), with one set of destinations that never changes."""
	carrier = Uas(lab)
	routers = farm(lab, carrier.addr, 2, 2)
	nodes = [Rtpengine(lab, f"rtpengine{i}").start() for i in (1, 2)]
	for r in routers:
		r.start()
	sbc = MediaSbc(lab, lines=[f"1 sip:{ip}:{r.port} 16 5 weight=1" for r in routers for ip in r.ips])
	sbc.write_nodes([(0, n.url, 1, False) for n in nodes])
	sbc.start()
	return sbc, routers, nodes


def test_calls_are_offered_through_rtpengine_and_end_there(lab, platform):
	sbc, routers, nodes = platform
	assert sbc.nodes() == {n.url: True for n in nodes}
	calls = Calls(lab, sbc.addr, rate=50, hold_ms=1000).start()
	until(lambda: sum(n.sessions() for n in nodes) > 20, 10, "calls have sessions at the rtpengines")
	sbc.rpc("rtpengine.enable", nodes[0].url, 0)
	assert sbc.nodes() == {nodes[0].url: False, nodes[1].url: True}
	until(lambda: nodes[0].sessions() == 0, 10, "the calls of the node that left end there")
	assert nodes[1].sessions() > 20
	books = calls.finish()
	assert not books.failed and not books.running and not sbc.media_errors()
	assert {c.router for c in books.calls} == {ip for r in routers for ip in r.ips}
	assert all(c.began < c.rang <= c.answered < c.ended and c.pdd_ms < 1000 for c in books.calls)
	assert 0 < books.pdd(50) <= books.pdd(99) <= books.pdd(100)
	until(lambda: sum(n.sessions() for n in nodes) == 0, 5, "no session is left")


def test_a_failed_call_has_its_time_its_router_and_a_reason(lab, platform):
	sbc, routers, _ = platform
	calls = Calls(lab, sbc.addr, rate=50, hold_ms=500, patience_ms=3000).start()
	until(lambda: len(calls.books().calls) > 50, 10, "calls are up")
	killed = time.time()
	routers[0].kill()
	dead = time.time()
	until(lambda: calls.books().failed, 10, "calls of the killed router have failed")
	books = calls.finish()
	for f in books.failed:
		assert f.began <= dead and f.at >= killed, f
		# One that had not rung yet went there as well, and does not say so.
		assert f.router in routers[0].ips or (f.router is None and f.began > killed - 1), f
		assert "408" in f.reason or "nothing came" in f.reason, f
	# Those that began afterwards went on to the next destination, later.
	assert books.slower_than(400, killed) and all(c.began > killed - 1 for c in books.slower_than(400))


@pytest.mark.both_kamailios
def test_no_call_is_lost_while_a_reload_hides_all_nodes(lab):
	[router] = farm(lab, Uas(lab).addr, 1, 1)
	router.start()
	node = Rtpengine(lab, "rtpengine").start()
	sbc = MediaSbc(lab, lines=[f"1 sip:{router.ip}:{router.port} 16 5 weight=1"], shm_mb=128, pkg_mb=64)
	sbc.write_nodes([*SLOW_RELOAD, (0, node.url, 1, False)])
	sbc.start()
	calls = Calls(lab, sbc.addr, rate=150, hold_ms=100).start()
	until(lambda: node.sessions() > 10, 10, "calls are up")
	until(lambda: await_reload(sbc) and "failed to select new" in sbc.proc.log(), 100, "a call meets a reload")
	assert not calls.finish().failed and "MEDIA FAILED INVITE" not in sbc.proc.log()
