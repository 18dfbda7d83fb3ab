"""Asterisk's ARI as far as c4d asks it: GET /ari/asterisk/info, with basic authentication."""
import base64
import urllib.parse

from .http_peer import HttpPeer


class FakeAri(HttpPeer):
	"""
	Listens at .url; eid is what it says (None: an answer without one), user and password what it wants. asked: the paths so
	far, each with the status that it got. stop() frees the port, start() takes it again.
	"""

	def __init__(self, lab, eid="12:34:56:78:9a:bc", user="c4d", password="ari-secret", prefix="/ari"):
		super().__init__(lab, 8088)
		self.url = f"http://{self.ip}:{self.port}{prefix}"
		self.eid, self.user, self.password, self.prefix = eid, user, password, prefix
		self.asked = []

	def reply(self, path, headers):
		status, answer = self.answer(path, headers.get("Authorization", ""))
		self.asked.append((path, status))
		return status, answer, {"WWW-Authenticate": 'Basic realm="Asterisk REST Interface"'} if status == 401 else {}

	def answer(self, path, authorization):
		"""(status, body)"""
		want = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
		if authorization != f"Basic {want}":
			return 401, {"message": "Authentication required"}
		url = urllib.parse.urlsplit(path)
		if url.path != f"{self.prefix}/asterisk/info":
			return 404, {"message": "Resource not found"}
		info = {"system": {"version": "20.6.0"}, "status": {"startup_time": "2026-11-21T04:28:36.123+0000"}}
		if self.eid is not None:
			info["system"]["entity_id"] = self.eid
		only = urllib.parse.parse_qs(url.query).get("only", [""])[0]
		return 200, {k: v for k, v in info.items() if k in only.split(",")} if only else info
