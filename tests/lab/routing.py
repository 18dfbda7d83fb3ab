"""The routing API from outside: documents, and the questions that Kamailio asks."""
import http.client
import json

from .rest import Answer

TENANT = "2c34c282-433e-4bb8-8d56-fec14ff7e1e9"
OTHER = "8a4b7f7e-6f0e-4d0e-9d8b-0a7a1a8f4c11"


def small(**over):
	"""
	A document with one of each: tenant fabrikam with the domain sip.fabrikam.com, an IPBX at 10.0.0.1, a carrier trunk at 10.9.0.1 and the
	DID 39040123456. Arguments replace whole tables.
	"""
	doc = {
		"tenants": [{"uuid": TENANT, "name": "fabrikam"}],
		"domains": [{"id": 1, "tenant_uuid": TENANT, "domain": "sip.fabrikam.com"}],
		"carriers": [{"id": 1, "tenant_uuid": TENANT, "name": "carrier1"}],
		"carrier_trunks": [{"id": 1, "tenant_uuid": TENANT, "carrier_id": 1, "name": "trunk1", "sip_proxy": "10.9.0.1"}],
		"ipbxs": [{"id": 1, "tenant_uuid": TENANT, "domain_id": 1, "customer": 1, "ip_fqdn": "10.0.0.1", "registered": True,
			"username": "user", "password": "password", "realm": "sip.fabrikam.com"}],
		"dids": [{"id": 1, "tenant_uuid": TENANT, "ipbx_id": 1, "carrier_trunk_id": 1, "did_regex": "^39040123456$"}],
	}
	doc.update(over)
	return doc


class Api:
	"""A kept connection to c4d's HTTP server, made again when it was lost."""

	def __init__(self, c4d, source=None):
		self.at = (c4d.http_ip, c4d.http_port)
		self.source = source
		self.conn = None

	def ask(self, method, path, body=None, headers=None, timeout=10):
		if body is not None and not isinstance(body, (bytes, str)):
			body = json.dumps(body)
		for again in (True, False):
			fresh = self.conn is None
			if fresh:
				self.conn = http.client.HTTPConnection(*self.at, timeout=timeout,
					source_address=(self.source, 0) if self.source else None)
			try:
				self.conn.request(method, path, body, {"Content-Type": "application/json", **(headers or {})})
				answer = Answer(self.conn.getresponse())
				if answer.headers.get("connection", "").lower() == "close":
					self.close()
				return answer
			except (http.client.HTTPException, OSError):
				self.close()
				if fresh or not again:
					raise
		raise AssertionError("not reached")

	def close(self):
		if self.conn:
			self.conn.close()
		self.conn = None

	def route(self, to="sip:39040123456@sip.other.com", source="10.9.0.1", from_uri="sip:100@10.9.0.1", name="", auth=0, **more):
		"""The decoded answer of the routing endpoint, which must be 200."""
		body = {"event": "sip-routing", "auth": auth, "source_ip": source, "source_port": 5060, "call_id": "call-1",
			"from_name": name, "from_uri": from_uri, "from_tag": "t1", "to_uri": to, "to_name": "", "to_tag": "", **more}
		answer = self.ask("POST", "/1.0/kamailio/routing", body)
		assert answer.status == 200, (answer.status, answer.body)
		return answer.json

	def dsts(self, *args, **kw):
		"""The dst_uris of the routes; [] when there is none."""
		rtjson = self.route(*args, **kw)["rtjson"]
		assert rtjson["success"] is bool(rtjson.get("routes")), rtjson
		return [r["dst_uri"] for r in rtjson.get("routes", [])]


def load(c4d, doc, path=None):
	"""`c4ctl routing load`; the Ctl."""
	path = path or c4d.lab.path(c4d.name, "load.json")
	with open(path, "w", encoding="utf-8") as f:
		f.write(doc if isinstance(doc, str) else json.dumps(doc))
	return c4d.ctl("routing", "load", path, fmt="json")
