"""The REST interface as a client has it, and a wazo-auth to ask about tokens."""
import http.client
import json
import uuid

from .http_peer import HttpPeer


class Answer:
	def __init__(self, response):
		self.status, self.body = response.status, response.read()
		self.headers = {k.lower(): v for k, v in response.getheaders()}

	@property
	def json(self):
		assert self.headers.get("content-type") == "application/json", (self.status, self.headers, self.body[:200])
		return json.loads(self.body)

	@property
	def detail(self):
		return self.json["detail"]

	def ok(self):
		"""The JSON of a 200."""
		assert self.status == 200, (self.status, self.body)
		return self.json

	def __repr__(self):
		return f"<{self.status} {self.body!r}>"


class Api:
	"""Asks the server at (ip, port); headers go with each request."""

	def __init__(self, at, headers=None, timeout=10):
		self.at, self.headers, self.timeout = at, dict(headers or {}), timeout

	def with_(self, **headers):
		"""Another one, with these headers besides: token, tenant, origin."""
		names = {"token": "X-Auth-Token", "tenant": "Wazo-Tenant", "origin": "Origin"}
		return Api(self.at, {**self.headers, **{names[k]: v for k, v in headers.items()}}, self.timeout)

	def ask(self, method, path, body=None, raw=None):
		conn = http.client.HTTPConnection(*self.at, timeout=self.timeout)
		try:
			data = raw if raw is not None else None if body is None else json.dumps(body)
			conn.request(method, path if path.startswith("/api") else f"/1.0/{path}", data, self.headers)
			return Answer(conn.getresponse())
		finally:
			conn.close()

	def get(self, path):
		return self.ask("GET", path)

	def post(self, path, body=None, **kw):
		return self.ask("POST", path, kw or body)

	def put(self, path, body=None, **kw):
		return self.ask("PUT", path, kw if body is None else body)

	def delete(self, path):
		return self.ask("DELETE", path)

	def items(self, path):
		return self.get(path).ok()["items"]

	def up(self):
		"""Does it answer, whatever?"""
		try:
			return self.get("tenants").status != 503
		except OSError:
			return False


class FakeWazoAuth(HttpPeer):
	"""
	GET /0.1/token/T and /0.1/tenants at .url. tokens: of each its tenants' uuids; own: the one that it is of. asked: the paths so far, with
	the X-Auth-Token of each. fail: this status to everything. hold: an Event that answers wait for.
	"""

	def __init__(self, lab, prefix="/0.1"):
		super().__init__(lab, 9497)
		self.url = f"http://{self.ip}:{self.port}{prefix}"
		self.prefix, self.tokens, self.own, self.asked = prefix, {}, {}, []
		self.fail, self.hold, self.no_tenants, self.text = None, None, False, None

	def token(self, *tenants, own=None):
		made = str(uuid.uuid4())
		self.tokens[made] = list(tenants)
		self.own[made] = own or (tenants + (None,))[0]
		return made

	def count(self, part="/token/"):
		return sum(part in path for path, _ in list(self.asked))

	def answer(self, path, header):
		if self.fail:
			return self.fail, {"reason": [f"failed, token {header}"]}
		if path.startswith(f"{self.prefix}/token/"):
			token = path.rsplit("/", 1)[1]
			if token not in self.tokens:
				return 404, {"reason": ["No such token"]}
			metadata = {"uuid": str(uuid.uuid4()), "tenant_uuid": self.own[token]}
			return 200, {"data": {"auth_id": metadata["uuid"], "token": token, "metadata": metadata}}
		if path == f"{self.prefix}/tenants":
			if header not in self.tokens or self.no_tenants:
				return 401, {"reason": ["Unauthorized"]}
			return 200, {"items": [{"uuid": t, "name": "n"} for t in self.tokens[header]]}
		return 404, {"reason": ["Not found"]}

	def reply(self, path, headers):
		header = headers.get("X-Auth-Token")
		self.asked.append((path, header))
		if self.hold:
			self.hold.wait(20)
		status, answer = self.answer(path, header)
		return status, answer if self.text is None else self.text, {}
