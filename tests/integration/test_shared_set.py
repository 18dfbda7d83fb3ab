"""A set that is not c4d's alone, where somebody else's line names a destination of ours."""
import pytest

from lab import Sbc, holds, until
from lab.rig import Rig


@pytest.fixture
def rig(lab, consul, make_c4d):
	def make(*lines, **kw):
		box = Sbc(lab, probing=False, reload_delta=1, lines=lines, **kw).start()
		return Rig(lab, consul, box, make_c4d, over={"kamailio": {"sbc": {"probing": False,
			"dispatcher": {"1": {"exclusive": False}}}}})
	return make


def lines(r, uri):
	return [e[2:] for e in r.sbc.file_entries() if e[1] == uri]


def test_theirs_stands_and_the_difference_is_said(lab, rig):
	ip = lab.ip()
	a = f"sip:{ip}:5060"
	r = rig(f"1 {a} 16 7 weight=50")
	r.add(address=ip)
	b = r.add()
	r.start(wait=False)
	r.lists(a, b)
	r.failed(r.sbc.list_file, a, "is not c4d's (priority 7 -> 0)", "corrects or removes")
	assert lines(r, a) == [(16, 7, "weight=50")], "one line, theirs"
	assert {d.uri: (d.priority, d.attrs) for d in r.sbc.dispatcher()[1]} == {a: (7, "weight=50"), b: (0, "weight=1")}
	before = {k: r.count(k) for k in ("reloads", "set_states", "file_writes")}
	holds(lambda: {k: r.count(k) for k in before} == before, 1.0, "peace")
	assert ("theirs", a) in {(s["op"], s["item"]) for s in r.c4d.ctl("diff", fmt="json").data}
	r.out(a)
	until(lambda: r.sbc.disabled() == {a}, 5, "out of service all the same")
	r.out(a, False)
	until(lambda: r.sbc.disabled() == set(), 5, "and back")
	text = r.sbc.file_text()
	with open(r.sbc.list_file, "w") as f:
		f.write(text.replace(f"1 {a} 16 7 weight=50\n", ""))
	until(lambda: lines(r, a) == [(16, 0, "weight=1")], 10, "ours takes its place")
	r.converged()
	assert {d.uri: (d.priority, d.attrs) for d in r.sbc.dispatcher()[1]} == {a: (0, "weight=1"), b: (0, "weight=1")}


def test_one_that_says_the_same_is_no_trouble(lab, rig):
	ip = lab.ip()
	a = f"sip:{ip}:5060"
	r = rig(f"1 {a} 16 0 weight=1")
	r.add(address=ip)
	b = r.add()
	r.start(a, b)
	assert lines(r, a) == [(16, 0, "weight=1")], "two lines would be a double share"
	r.converged()
