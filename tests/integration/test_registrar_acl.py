"""The registrar where Consul denies by default: README's policies are enough, and a token may be rotated."""
import os
import re

import pytest

from lab import holds, until
from lab.base import ROOT
from lab.consul import Consul
from lab.registrar import Switch, registering, row, section, services, statuses


@pytest.fixture
def rules():
	"""README's policies: {its first comment's word: rules}."""
	with open(os.path.join(ROOT, "README.md")) as f:
		text = f.read().split("## Consul's ACLs", 1)[1].split("\n## ", 1)[0]
	return dict(re.findall(r"```hcl\n# (\w+)[^\n]*\n(.*?)```", text, re.S))


@pytest.fixture
def guarded(lab, rules):
	consul = Consul(lab, acl=True).start()
	consul.allow_dns(rules["dns"])
	return consul


def put(path, text):
	with open(path + ".new", "w") as f:
		f.write(text)
	os.replace(path + ".new", path)


def all_is_well(c4d):
	def well():
		r = row(c4d, "sbc")
		return (r["state"], r["agent"], r["catalog"], r["dns"]) == ("registered", "passing", "passing", "listed")
	until(well, 40, lambda: f"registered, at the catalog and in DNS: {row(c4d, 'sbc')}\n{c4d.proc.log_tail()}")


def delete(consul, secret):
	consul.http("DELETE", f"/v1/acl/token/{consul.http('GET', '/v1/acl/token/self', token=secret)['AccessorID']}")


def test_an_acl_cluster(lab, guarded, rules, make_c4d):
	switch, path = Switch(lab), lab.path("consul.token")
	tokens = [guarded.make_token(rules["c4d"]) for _ in range(2)]
	put(path, tokens[0] + "\n")
	c4d = make_c4d(registering(guarded, {"sbc": section(checks={"run": switch.check()})},
		consul={"token_file": path, "events": True})).start()
	all_is_well(c4d)
	until(lambda: "c4d-register" in [e["Name"] for e in guarded.http("GET", "/v1/event/list")], 5, "the event was fired")
	assert c4d.ctl("maintenance", "on", "--reason", "new disk").rc == 0
	assert row(c4d, "sbc")["state"] == "maintenance"
	assert c4d.ctl("maintenance", "off").rc == 0
	# the old token is deleted when the new one is in its place: nobody notices
	put(path, tokens[1])
	delete(guarded, tokens[0])
	switch.set(False)
	until(lambda: statuses(guarded, "sbc-id")["sbc-id:run"] == "critical", 5, "told with the new token")
	switch.set(True)
	all_is_well(c4d)
	assert " 403" not in c4d.log() and not [t for t in tokens if t in c4d.log()]


def test_a_token_that_may_not(lab, guarded, rules, make_c4d):
	"""Said, with what Consul said, in `status` too; and when the policy is put right, all is well without a restart."""
	path = lab.path("consul.token")
	put(path, guarded.make_token('service "other" { policy = "write" }'))
	c4d = make_c4d(registering(guarded, {"sbc": section()}, consul={"token_file": path})).start()
	until(lambda: row(c4d, "sbc")["state"] == "failed", 10, lambda: f"refused: {row(c4d, 'sbc')}")
	why = row(c4d, "sbc")["why"]
	assert "403" in why and "Permission denied" in why, why
	status = c4d.ctl("status")
	assert status.rc == 1 and "Permission denied" in status.out, status.out
	holds(lambda: "sbc-id" not in services(guarded), 1, "not registered")
	put(path, guarded.make_token(rules["c4d"]))
	all_is_well(c4d)
	assert c4d.ctl("status").rc == 0
