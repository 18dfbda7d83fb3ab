"""Consul as a platform has it: three servers, and the client agents of VMs."""
from .base import LabError, until
from .consul import ROOT_TOKEN, Consul, HttpError


class Cluster:
	"""
	servers: the Consul servers; agent: the client agent that c4d asks; vms: those of other VMs, if any.
	Servers keep their addresses and data, so each can be killed and started again; wipe() makes one forget.
	config: for all; agent_config: for the agent alone. acl: the servers give nothing without a token. DNS has one from
	its agent's file, which servers know from theirs, also with empty data; dns_token() gives it another. The agents of
	VMs leave it to the servers to judge tokens: they take registrations while no server answers.
	"""

	def __init__(self, lab, servers=3, acl=False, config=None, agent_config=None, vms=0):
		ips = [lab.ip() for _ in range(servers)]
		# Each address is this server's own, so that the ports that Consul() will take are known now.
		members = [f"{ip}:{lab.port(ip, 18301)}" for ip in ips]
		shared = {"retry_join": members, "retry_interval": "500ms", **(config or {})}
		self.lab, self.acl = lab, acl
		self.servers = [Consul(lab, f"server{i + 1}", ip=ip, acl=acl, config={"bootstrap_expect": servers, **shared})
			for i, ip in enumerate(ips)]
		def client(name, enabled, extra):
			tokens = {"agent": ROOT_TOKEN, "default": ROOT_TOKEN}
			acls = {"acl": {"enabled": enabled, "default_policy": "deny", "tokens": tokens}} if acl else {}
			return Consul(lab, name, join=self.servers[0], acl=acl, config={**shared, **acls, **extra})
		self.agent = client("agent", True, agent_config or {})
		self.vms = [client(f"vm{i + 1}", False, {}) for i in range(vms)]
		for a in self.vms:
			a.patience = 30.0  # it tries each server before it says that there is none

	def dns_token(self, token=ROOT_TOKEN):
		"""What the agent's DNS may see from now on, until it is started again; "" is nobody's token."""
		self.agent.http("PUT", "/v1/agent/token/default", {"Token": token})

	def start(self):
		for s in self.servers:
			s.start(wait=False)
		for s in self.servers:
			s.ready(60)
		for a in (self.agent, *self.vms):
			a.start(wait=False)
		self.agent.ready()
		for a in self.vms:
			until(lambda a=a: a.srv("consul").srv, 30, lambda a=a: f"{a.name} answers DNS\n{a.proc.log_tail()}")
		until(lambda: len(self.agent.srv("consul").srv) == len(self.servers), 30,
			lambda: f"the agent knows every server: {self.agent.srv('consul').srv}")
		return self

	def leader(self, patience=20):
		"""The server that leads."""
		def found():
			for s in self.servers:
				try:
					at = s.http("GET", "/v1/status/leader", timeout=2)
				except (OSError, HttpError):
					continue
				ip = at.rpartition(":")[0]
				for candidate in self.servers:
					if ip and candidate.ip == ip and candidate.proc.alive():
						return candidate
			return None
		return until(found, patience, "one of the servers leads")

	def followers(self):
		leader = self.leader()
		return [s for s in self.servers if s is not leader and s.proc.alive()]

	def kill_servers(self, n=None):
		"""All, or so many: the leader among them."""
		first = [self.leader()] if n else []
		for s in (first + [s for s in self.servers if s not in first])[:n]:
			s.kill()

	def start_servers(self, wipe=False, wait=True):
		"""Those that do not run. wipe: with empty data."""
		down = [s for s in self.servers if not s.proc.alive()]
		for s in down:
			if wipe:
				s.wipe()
			s.start(wait=False)
		if wait:
			for s in down:
				s.ready(60)

	def listed(self, service):
		"""{(address, port)} as the agent answers by DNS; LabError when it says nothing."""
		answer = self.agent.srv(service)
		if answer.rcode not in (0, 3):
			raise LabError(f"Consul answers rcode {answer.rcode} about {service}")
		return answer.instances()
