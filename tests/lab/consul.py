"""Consul agents: one server for most tests, a client beside it, or a server that denies by default."""
import json
import os
import subprocess
import urllib.error
import urllib.request

from . import dns
from .daemon import Daemon, by_script

# Management token of the ACL variant; anything will do, it lives as long as the test.
ROOT_TOKEN = "c4d00000-0000-4000-8000-000000000001"


def consul_binary():
	return by_script("C4D_LAB_CONSUL", "consul.sh", "no Consul: set CONSUL=/path/to/consul")


class HttpError(Exception):
	def __init__(self, code, text):
		super().__init__(f"HTTP {code}: {text.strip()}")
		self.code = code


class Consul(Daemon):
	"""
	One agent. It keeps its state in a data directory, so that stop() and start() bring it back with its
	services; wipe() makes it forget. join: the server (another Consul) that this client agent serves for.
	"""

	works, ready_s, stop_s = "has a leader and answers DNS", 30.0, 8.0
	patience = 5.0  # for an answer by HTTP

	def __init__(self, lab, name="consul", *, ip=None, join=None, acl=False, dc="dc1", config=None, token=None,
			retry_join_wan=None):
		super().__init__(lab, name)
		self.join, self.acl, self.dc = join, acl, dc
		self.ip = ip or lab.ip()
		self.token = token or (ROOT_TOKEN if acl else None)
		self.data = lab.path(name, "data")
		ports = {}
		for key, first in (("http", 18500), ("dns", 18600), ("serf_lan", 18301), ("serf_wan", 18302),
				("server", 18300)):
			ports[key] = lab.port(self.ip, first)
		self.http_port, self.dns_port, self.lan_port = ports["http"], ports["dns"], ports["serf_lan"]
		self.wan_port = ports["serf_wan"]
		if join:
			ports["serf_wan"] = -1
		ports["grpc"] = -1
		conf = {
			"node_name": f"{name}-{os.getpid()}" if join else name,
			"datacenter": dc, "data_dir": self.data, "bind_addr": self.ip, "client_addr": self.ip, "ports": ports,
			"log_level": "WARN", "disable_update_check": True, "leave_on_terminate": bool(join),
			"skip_leave_on_interrupt": True, "performance": {"raft_multiplier": 1},
			"enable_script_checks": False,
		}
		if join:
			conf["retry_join"] = [f"{join.ip}:{join.lan_port}"]
			conf["retry_interval"] = "1s"
		else:
			conf.update({"server": True, "bootstrap_expect": 1})
		if retry_join_wan:
			conf["retry_join_wan"] = [f"{retry_join_wan.ip}:{retry_join_wan.wan_port}"]
			conf["retry_interval_wan"] = "1s"
		if acl:
			conf["primary_datacenter"] = dc
			conf["acl"] = {"enabled": True, "default_policy": "deny",
				"tokens": {"master": ROOT_TOKEN, "agent": ROOT_TOKEN}}
		conf.update(config or {})
		self.conf_path = lab.path(name, "consul.json")
		with open(self.conf_path, "w") as f:
			json.dump(conf, f, indent=1)

	@property
	def dns_addr(self):
		return f"{self.ip}:{self.dns_port}"

	@property
	def http_addr(self):
		return f"http://{self.ip}:{self.http_port}"

	def start(self, wait=True):
		return self.started([consul_binary(), "agent", f"-config-file={self.conf_path}"], wait, polite=False)

	def up(self):
		"""A leader, and the canary that says that DNS answers can be trusted."""
		if not self.http("GET", "/v1/status/leader"):
			return False
		if self.acl:  # the tokens come a moment after the leader
			return self.http("GET", "/v1/acl/token/self")
		return self.srv("consul").srv

	def wipe(self):
		"""Of a stopped agent: forget everything."""
		subprocess.run(["rm", "-rf", self.data], check=True)

	def http(self, method, path, body=None, token=None, timeout=None):
		"""The decoded JSON answer, or its text. HttpError for all but 2xx."""
		data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
		req = urllib.request.Request(self.http_addr + path, data=data, method=method)
		if token or self.token:
			req.add_header("X-Consul-Token", token or self.token)
		try:
			with _direct.open(req, timeout=timeout or self.patience) as answer:
				text = answer.read().decode()
		except urllib.error.HTTPError as e:
			with e:
				raise HttpError(e.code, e.read().decode(errors="replace")) from None
		try:
			return json.loads(text)
		except ValueError:
			return text

	def srv(self, service, tag=None, dc=None):
		"""What DNS answers for a service: the whole dns.Answer."""
		name = f"_{service}._{tag}.service" if tag else f"{service}.service"
		return dns.query((self.ip, self.dns_port), f"{name}{'.' + dc if dc else ''}.consul")

	def register(self, service, address, port, *, id=None, tags=(), weight=1, status="passing", check=True,
			tcp_check=None):
		"""
		A service with one TTL check, which passing()/failing() set; or with tcp_check ("500ms") one that
		Consul makes by itself. Returns the service's id.
		"""
		sid = id or f"{service}-{address}-{port}".replace(".", "-").replace(":", "_")
		body = {"ID": sid, "Name": service, "Address": address, "Port": port, "Tags": list(tags),
			"Weights": {"Passing": weight, "Warning": 1}}
		if tcp_check:
			at = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
			body["Checks"] = [{"CheckID": f"tcp:{sid}", "Name": "connects", "TCP": at, "Interval": tcp_check,
				"Timeout": "500ms"}]
		elif check:
			body["Checks"] = [{"CheckID": f"ttl:{sid}", "Name": "alive", "TTL": "1h", "Status": status}]
		self.http("PUT", "/v1/agent/service/register", body)
		return sid

	def deregister(self, sid):
		self.http("PUT", f"/v1/agent/service/deregister/{sid}")

	def passing(self, sid):
		self.http("PUT", f"/v1/agent/check/pass/ttl:{sid}")

	def warning(self, sid):
		self.http("PUT", f"/v1/agent/check/warn/ttl:{sid}")

	def failing(self, sid):
		self.http("PUT", f"/v1/agent/check/fail/ttl:{sid}")

	def maintenance(self, sid, on, reason="maintenance"):
		self.http("PUT", f"/v1/agent/service/maintenance/{sid}?enable={'true' if on else 'false'}&reason={reason}")

	def make_token(self, rules):
		"""ACL variant: a token with these rules (HCL text); returns its secret."""
		name = f"p{os.urandom(4).hex()}"
		self.http("PUT", "/v1/acl/policy", {"Name": name, "Rules": rules})
		return self.http("PUT", "/v1/acl/token", {"Policies": [{"Name": name}]})["SecretID"]

	def allow_dns(self, rules='node_prefix "" { policy = "read" } service_prefix "" { policy = "read" }'):
		"""ACL variant: what DNS questions may see (they carry no token of their own)."""
		self.http("PUT", "/v1/agent/token/default", {"Token": self.make_token(rules)})

	def deny_dns(self):
		self.http("PUT", "/v1/agent/token/default", {"Token": ""})


# Whatever proxy the environment names is not for loopback.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def pair(lab, **kw):
	"""(server, client): the client agent asks its server for every question, as on a real VM."""
	server = Consul(lab, "consul-server", **kw).start()
	client = Consul(lab, "consul-client", join=server).start()
	return server, client
