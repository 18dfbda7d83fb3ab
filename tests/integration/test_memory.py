"""
What c4d leaves to the system of the memory and the time that it does not need; and that the soak (tests/tools/soak.py) tells what
grows from what does not.
"""
import argparse
import os
import random
import sys
import time

import pytest

from lab import FakeDns, until, watching
from lab.base import ROOT
from lab.service import EAGER
from lab.tls import Ca, TlsConsul

from test_notify import Manager

sys.path.insert(0, os.path.join(ROOT, "tests", "tools"))
import soak  # noqa: E402

SETTLED = 20  # seconds: what the start left goes after 10


def resident(pid, part):
	"""KiB of the files whose names have `part`."""
	total, counts = 0, False
	with open(f"/proc/{pid}/smaps", encoding="utf-8") as f:
		for line in f:
			words = line.split(None, 5)
			if not words[0].endswith(":"):
				counts = len(words) > 5 and part in words[5]
			elif words[0] == "Rss:" and counts:
				total += int(words[1])
	return total


def test_what_only_the_start_needed_of_openssl_is_left(lab, make_c4d):
	ca = Ca(lab)
	consul = TlsConsul(lab, ca).start()
	c = make_c4d(watching(consul, {}, consul={"http": consul.https_addr, "ca_file": ca.file},
		register={"sbc": {"id": "sbc-id", "address": "10.0.0.1", "port": 5060, "when": "now"}})).start()
	until(lambda: "sbc-id" in consul.http("GET", "/v1/agent/services"), 10, "it is registered by https")
	most = resident(c.proc.pid, "/libcrypto.so")
	assert most > 2000
	until(lambda: resident(c.proc.pid, "/libcrypto.so") < 0.6 * most, SETTLED, lambda: f"of {most} KiB {resident(c.proc.pid, '/libcrypto.so')} are left")
	# It works on with what is left, and a reload leaves no more.
	consul.deregister("sbc-id")
	until(lambda: "sbc-id" in consul.http("GET", "/v1/agent/services"), 30, "it is registered again")
	assert c.ctl("reload").rc == 0
	until(lambda: resident(c.proc.pid, "/libcrypto.so") < 0.6 * most, SETTLED, "left after a reload too")


def test_the_store_is_no_memory_of_ours(lab, make_c4d):
	"""Its file grows with the history, and what is resident of it does not."""
	dns = FakeDns(lab)
	c = make_c4d(watching(dns, {"router": EAGER}))
	path = os.path.join(c.state, "topology.mdb")
	dns.list("router", ("10.0.0.1", 5060, 1))
	c.start()
	for n in range(2, 150):
		dns.list("router", *((f"10.0.{k}.1", 5060, n) for k in range(20)))
		until(lambda n=n: c.instances("router").get("10.0.0.1:5060", {}).get("weight") == n, 5, "taken over")
	until(lambda: c.ctl("status", fmt="json").data["store"]["pending"] == 0, 5, "stored")
	assert os.stat(path).st_blocks // 2 > 500
	until(lambda: resident(c.proc.pid, "/topology.mdb") <= 128, 5, lambda: f"{resident(c.proc.pid, '/topology.mdb')} KiB are resident")


def test_nobody_looks_and_the_loop_sleeps(lab, make_c4d):
	"""The line for the service manager is made of the same as status, whose reader wants the loop's lag measured."""
	dns = FakeDns(lab)
	dns.list("router", ("10.0.0.1", 5060, 1))
	m = Manager(lab)
	c = make_c4d(watching(dns, {"router": {"interval": "1s"}}), env=m.env).start(wait=False)
	m.await_word("STATUS", "1 service, all is well")
	time.sleep(1)  # in which it would beat 50 times
	assert c.ctl("status", fmt="json").data["loop_lag"]["beats"] == 0
	until(lambda: c.ctl("status", fmt="json").data["loop_lag"]["beats"] > 10, 5, "now it is measured")


# ---- the soak's judgement ----

def judged(change=None, minutes=11, fds=(43, 43, 43)):
	"""Of 11 minutes with what a sound c4d's memory does: a saw of 600 KiB, and noise."""
	rnd = random.Random(1)
	s = soak.Soak(argparse.Namespace(minutes=minutes, bound=soak.BOUND_KB, rate=50, seed=1))
	for t in range(60 * minutes):
		private = 3400 + t % 10 * 60 + rnd.randint(-100, 100) + (800 if t < 40 else 0)
		row = {"t": t, "private": private, "store": rnd.choice((0, 0, 60)), "files": 3700}
		if change:
			change(t, row)
		s.samples.append({**row, "rss": row["private"] + row["store"] + row["files"]})
	s.quiet = [{"fds": n, "dns": 1 + i % 2, "threads": 2, "t": i, "what": {}} for i, n in enumerate(fds)]
	return {r[0].split(" (")[0]: r[-1] for r in s.judge()}


def test_the_soak_passes_what_does_not_grow():
	assert set(judged().values()) == {True}
	assert set(judged(fds=(43, 42, 43)).values()) == {True}


@pytest.mark.parametrize("what,change", [
	# 12 bytes a change, at 50 a second: in half an hour 4 are enough
	("private memory", lambda t, r: r.update(private=r["private"] + t * 600 // 1024)),
	# a step in the last minutes alone
	("private memory", lambda t, r: r.update(private=r["private"] + (300 if t > 530 else 0))),
	("the store's pages", lambda t, r: r.update(store=r["store"] + t)),
	("the programs' own pages: typical", lambda t, r: r.update(files=r["files"] + t)),
])
def test_the_soak_sees_what_grows(what, change):
	assert judged(change)[what] is False


def test_the_soak_counts_descriptors():
	assert [k for k, ok in judged(fds=(43, 43, 44)).items() if not ok] == ["descriptors at quiet points"]
	assert [k for k, ok in judged(fds=(43,)).items() if not ok] == ["descriptors at quiet points"]
