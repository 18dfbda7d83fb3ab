"""The registrar's side of the lab: configurations that register, what an agent has, and an agent that does as it is told."""
import json
import os
import threading
import time
import urllib.parse

from .base import until
from .c4d import merge
from .fake_consul_http import FakeConsulHttp, Query, answer


def registering(consul, sections, /, **over):
	"""A configuration without Kamailio and without a HTTP server. consul: an agent, real or not; sections: {name: keys}."""
	dns = [consul.dns_addr] if hasattr(consul, "dns_addr") else ["127.0.0.1:1"]
	return merge({"consul": {"dns": dns, "http": consul.http_addr, "budget": 100}, "http": {"listen": []},
		"register": sections}, over)


def section(address="10.0.0.1", port=5060, **keys):
	return {"id": "{name}-id", "address": address, "port": port, "when": "now", **keys}


class Switch:
	"""An `exec` check that passes while a file is there."""

	def __init__(self, lab, name="switch", up=True):
		self.path = lab.path(name)
		self.set(up)

	def set(self, up):
		if up:
			with open(self.path, "w"):
				pass
		elif os.path.exists(self.path):
			os.unlink(self.path)

	def check(self, interval="200ms", **more):
		return {"type": "exec", "command": ["/bin/sh", "-c", f"test -e {self.path} || exit 2"], "interval": interval, "timeout": "200ms", **more}


# ---- an agent's view ----

def services(agent):
	return {k: v for k, v in agent.http("GET", "/v1/agent/services").items() if k != "consul"}


def checks(agent, sid):
	"""{check id: row} of one service."""
	return {k: v for k, v in agent.http("GET", "/v1/agent/checks").items() if v["ServiceID"] == sid}


def statuses(agent, sid):
	return {k: v["Status"] for k, v in checks(agent, sid).items()}


def row(c4d, name):
	return next(r for r in c4d.show("registrations") if r["registration"] == name)


def has_state(c4d, name, state, timeout=10):
	until(lambda: row(c4d, name)["state"] == state, timeout,
		lambda: f"{name} is {state}: {row(c4d, name)}\n{c4d.proc.log_tail()}")


def is_registered(agent, sid, timeout=10, what=""):
	until(lambda: sid in services(agent), timeout, lambda: f"{sid} is registered {what}: {list(services(agent))}")


def is_gone(agent, sid, timeout=10, what=""):
	until(lambda: sid not in services(agent), timeout, lambda: f"{sid} is deregistered {what}: {list(services(agent))}")


class Request(Query):
	def __init__(self, head, body):
		super().__init__(head, body)
		self.method = head.split(b" ", 1)[0].decode()
		self.path = urllib.parse.unquote(self.target.split("?")[0])
		self.tail = self.path.rpartition("/")[2]
		self.at = time.monotonic()


class FakeAgent(FakeConsulHttp):
	"""
	An agent that keeps what it is told, in memory, and does what `lie` says: a function of the Request that returns
	None (be honest), bytes, or one of fake_consul_http's classes.
	"""

	query = Request

	def __init__(self, lab, ip=None):
		self.services, self.checks = {}, {}
		self.lock = threading.Lock()
		super().__init__(lab, ip)

	@property
	def http_addr(self):
		return self.url

	def of(self, method, path):
		return [q for q in list(self.queries) if q.method == method and q.path.startswith(path)]

	def puts(self, sid=None):
		"""The register requests, of one id or of all."""
		return [q for q in self.of("PUT", "/v1/agent/service/register") if sid in (None, json.loads(q.body)["ID"])]

	def _answer(self, s, q):
		what = self.lie(q) if self.lie else None
		if what is not None:
			return self._send(s, what)
		with self.lock:
			return self._send(s, self._honest(q))

	def _honest(self, q):
		def said(value):
			return answer(json.dumps(value).encode())
		if q.method == "GET" and q.path == "/v1/agent/services":
			return said(self.services)
		if q.method == "GET" and q.path == "/v1/agent/checks":
			return said(self.checks)
		if q.method == "GET" and q.path.startswith("/v1/agent/service/"):
			one = self.services.get(q.tail)
			return said(one) if one else answer(b"unknown service ID", status="404 Not Found")
		if q.method == "GET":
			return said([])
		if q.path == "/v1/agent/service/register":
			body = json.loads(q.body)
			sid = body["ID"]
			self.services[sid] = {"ID": sid, "Service": body["Name"], "Address": body.get("Address", ""),
				"Port": body.get("Port", 0), "Meta": body.get("Meta") or {}, "Tags": body.get("Tags") or []}
			for c in body.get("Checks") or []:
				self.checks.setdefault(c["CheckID"], {"CheckID": c["CheckID"], "ServiceID": sid, "Notes": "", "Output": "",
					"Status": c.get("Status") or "critical"})
		elif q.path.startswith("/v1/agent/service/deregister/"):
			self.services.pop(q.tail, None)
			self.checks = {k: c for k, c in self.checks.items() if c["ServiceID"] != q.tail}
		elif q.path.startswith("/v1/agent/check/update/"):
			if q.tail not in self.checks:
				return answer(b"CheckID does not have associated TTL", status="500 Internal Server Error")
			self.checks[q.tail].update(Status=json.loads(q.body)["Status"])
		elif q.path.startswith("/v1/agent/check/deregister/"):
			self.checks.pop(q.tail, None)
		elif q.path.startswith("/v1/agent/service/maintenance/"):
			cid = "_service_maintenance:" + q.tail
			if q.tail not in self.services:
				return answer(b"No service registered", status="404 Not Found")
			if "enable=true" in q.target:
				notes = urllib.parse.parse_qs(urllib.parse.urlsplit(q.target).query).get("reason", [""])[0]
				self.checks.setdefault(cid, {"CheckID": cid, "ServiceID": q.tail, "Notes": notes, "Output": "", "Status": "critical"})
			else:
				self.checks.pop(cid, None)
		return answer(b"")
