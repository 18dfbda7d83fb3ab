"""One c4d and several Kamailios: each has its own connection, window and state, and the trouble of one is its own."""
import statistics
import time

import pytest

from lab import Sbc, base_config, merge, until


@pytest.fixture
def three(lab, consul, make_c4d):
	"""(boxes, c4d): three Kamailios whose set 1 is the same service."""
	boxes = [Sbc(lab, f"sbc{i}", probing=False, reload_delta=1).start() for i in (1, 2, 3)]
	conf = base_config(consul, boxes[0], services={"router": {"interval": "50ms", "remove_hold": "1m"}})
	section = merge(conf["kamailio"].pop("sbc"), {"reload_delta": "1s", "poll": "200ms", "probing": False, "timeout": "500ms"})
	conf["kamailio"] = {b.name: merge(section, {"binrpc": b.ctl, "list_file": b.list_file}) for b in boxes}
	return boxes, make_c4d(conf)


def took(act, cond):
	begin = time.monotonic()
	act()
	until(cond, 5, "it is in force", every=0.002)
	return time.monotonic() - begin


def test_one_that_hangs_delays_no_other(lab, consul, three):
	boxes, c4d = three
	sids = {f"sip:{(ip := lab.ip())}:5060": consul.register("router", ip, 5060) for _ in range(4)}
	c4d.start()
	for b in boxes:
		until(lambda: b.listed() == set(sids), 10, f"{b.name} lists all")
	until(c4d.converged, 5, "all converged")
	uri, sid = next(iter(sids.items()))
	ok, hung = boxes[:2], boxes[2]

	def rounds(n):
		found = []
		for _ in range(n):
			for out in (True, False):
				found.append(took(lambda: consul.maintenance(sid, out),
					lambda: all((uri in b.disabled()) is out for b in ok)))
		return found
	before = rounds(6)
	hung.pause()
	during = rounds(10)  # more than its time-out, again and again
	assert statistics.median(during) < statistics.median(before) + 0.05, (before, during)
	assert max(during) < max(before) + 0.3, (before, during)
	targets = c4d.targets()
	assert {k: v["state"] for k, v in targets.items() if k != "sbc3/1"} == {"sbc1/1": "converged", "sbc2/1": "converged"}
	until(lambda: c4d.targets()["sbc3/1"]["state"] == "unreachable", 5, "that one is unreachable")
	assert "within 500ms" in c4d.targets()["sbc3/1"]["last_error"]
	# structural changes, and its file all the same
	new = lab.ip()
	consul.register("router", new, 5060)
	until(lambda: all(f"sip:{new}:5060" in b.listed() for b in ok), 5, "the others list a new one")
	until(lambda: f"sip:{new}:5060" in hung.file_text(), 5, "what it will read at a restart is right")
	consul.maintenance(sid, True)
	until(lambda: all(uri in b.disabled() for b in ok), 5, "out there")
	hung.resume()
	until(lambda: hung.listed() == {*sids, f"sip:{new}:5060"} and hung.disabled() == {uri}, 10, "it catches up")
	until(c4d.converged, 10, "all converged")


def test_each_has_its_window(lab, consul, three):
	boxes, c4d = three
	a = lab.ip()
	consul.register("router", a, 5060)
	c4d.start()
	for b in boxes:
		until(lambda: len(b.listed()) == 1, 10, f"{b.name} lists it")
	until(lambda: all(t["window_ms"] == 0 for t in c4d.targets().values()), 5, "all windows are open")
	boxes[0].reload()  # somebody else closes one
	begin = time.monotonic()
	consul.register("router", lab.ip(), 5060)
	until(lambda: all(len(b.listed()) == 2 for b in boxes[1:]), 5, "the others do not wait for it", every=0.005)
	assert time.monotonic() - begin < 0.9
	until(lambda: len(boxes[0].listed()) == 2, 5, "nor is it forgotten")
	until(c4d.converged, 5, "all converged")
