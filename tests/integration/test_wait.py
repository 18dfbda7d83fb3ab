"""`c4d run --wait`: it waits for Consul's DNS, for a leader where one is needed, says for what; and starts in the end."""
import re
import time

from lab import Consul, holds, until


def config(consul, **over):
	return {"consul": {"dns": [consul.dns_addr], "http": consul.http_addr, "timeout": "500ms"},
		"services": {"router": {"interval": "100ms"}}, **over}


KV = {"kamailio": {"sbc": {"binrpc": "unix:/nonexistent/ctl", "tables": "/nonexistent", "domain": {"kv": "c4/domains"}}}}


def waits(c4d):
	return [line for line in c4d.log().splitlines() if "wait: waiting for" in line]


def test_consul_comes(lab, make_c4d):
	"""Refused, then no leader, then on: within a moment of its coming."""
	consul = Consul(lab)
	c4d = make_c4d(config(consul, **KV))
	c4d.start("--wait", wait=False)
	c4d.wait_log(rf"waiting for {consul.dns_addr} to answer consul.service.consul: Connection refused, 1s of 1m")
	holds(lambda: c4d.ctl("status").rc == 4, 2, "nothing is built yet")
	assert len(waits(c4d)) <= 4, waits(c4d)
	consul.start()
	c4d.wait_log(r"c4d .* runs: pid=", timeout=5)
	until(c4d.answers, 5, "it answers")
	said = waits(c4d)
	c4d.stop()
	assert said and all(re.search(r": .*, \d+s of 1m", line) for line in said)
	# and when it is there already, at once
	began = time.monotonic()
	c4d.start("--wait=30")
	assert time.monotonic() - began < 3


def test_no_leader(lab, agent, make_c4d):
	"""Of three servers one runs: DNS is silent, HTTP has no leader. And --wait has an end: c4d starts all the same."""
	alone = Consul(lab, "alone", config={"bootstrap_expect": 3}).start(wait=False)
	until(lambda: alone.http("GET", "/v1/status/leader") == "", 20, "it runs, without a leader")
	c4d = make_c4d(config(alone))
	began = time.monotonic()
	c4d.start("--wait=3", wait=False)
	why = r"consul.service.consul: (no answer in time|SERVFAIL|NXDOMAIN)"
	c4d.wait_log(rf"waiting for .* to answer {why}.*, 2s of 3s", timeout=5)
	c4d.wait_log(rf"waited 3s in vain for {alone.dns_addr} to answer {why}")
	assert 2.5 < time.monotonic() - began < 8
	c4d.wait_log("starting without Consul, from what the store holds")
	until(c4d.answers, 5, "it runs")
	c4d.stop()
	# with a DNS that answers: KV needs the leader
	c4d.write({**config(agent, **KV), "consul": {"dns": [agent.dns_addr], "http": alone.http_addr}})
	c4d.start("--wait=2", wait=False)
	c4d.wait_log(rf"waiting for {alone.http_addr} to have a leader: it has none yet, 1s of 2s")
	c4d.wait_log(rf"waited 2s in vain for {alone.http_addr} to have a leader: it has none yet")


def test_only_what_is_needed(lab, agent, make_c4d):
	"""Without KV and registrations nobody asks HTTP; with them it must have a leader."""
	port = lab.port(lab.ip(1), 18500)
	conf = config(agent)
	conf["consul"]["http"] = f"http://{lab.ip(1)}:{port}"
	c4d = make_c4d(conf)
	c4d.start("--wait=20")
	assert not waits(c4d)
	c4d.stop()
	c4d.write({**conf, **KV})
	c4d.start("--wait=20", wait=False)
	c4d.wait_log(rf"waiting for http://{lab.ip(1)}:{port} to have a leader: .*refused.*, 1s of 20s")
	# the second DNS server will do
	conf["consul"]["dns"] = [f"{lab.ip(1)}:{port}", agent.dns_addr]
	c4d.stop()
	c4d.write(conf)
	c4d.start("--wait=20")


def test_a_stop_while_it_waits(lab, make_c4d):
	consul = Consul(lab)
	c4d = make_c4d(config(consul))
	c4d.start("--wait", wait=False)
	c4d.wait_log("waiting for")
	c4d.stop(2)  # status 0
	assert "runs: pid=" not in c4d.log()


def test_usage(lab, make_c4d):
	c4d = make_c4d({"services": {}})
	for words in (["--wait="], ["--wait=x"], ["--wait=0"], ["--wait", "5"], ["--waiting"], ["--wait=-1"]):
		got = c4d.run("run", "-c", c4d.conf, *words)
		assert got.rc == 2 and "c4d run" in got.err, (words, got)
	for verb in ("check", "plan"):
		assert c4d.run(verb, "-c", c4d.conf, "--wait").rc == 2
	c4d.write("nonsense: 1\n")
	got = c4d.run("run", "-c", c4d.conf, "--wait")
	assert got.rc == 3 and got.err.count("unknown key") == 1, got
