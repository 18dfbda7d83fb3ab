"""Asterisk's ARI as far as c4d asks it: GET /ari/asterisk/info, with basic authentication."""
import base64
import http.server
import json
import threading
import urllib.parse


class FakeAri:
	"""
	Listens at .url; eid is what it says (None: an answer without one), user and password what it wants. asked: the paths so
	far, each with the status that it got. stop() frees the port, start() takes it again.
	"""

	def __init__(self, lab, eid="12:34:56:78:9a:bc", user="c4d", password="ari-secret", prefix="/ari"):
		self.ip = lab.ip()
		self.port = lab.port(self.ip, 8088)
		self.url = f"http://{self.ip}:{self.port}{prefix}"
		self.eid, self.user, self.password, self.prefix = eid, user, password, prefix
		self.asked, self.server = [], None
		lab.cleanups.append(self.stop)

	def start(self):
		ari = self

		class Handler(http.server.BaseHTTPRequestHandler):
			protocol_version = "HTTP/1.1"

			def do_GET(self):
				status, answer = ari.answer(self.path, self.headers.get("Authorization", ""))
				body = json.dumps(answer).encode()
				ari.asked.append((self.path, status))
				self.send_response(status)
				if status == 401:
					self.send_header("WWW-Authenticate", 'Basic realm="Asterisk REST Interface"')
				self.send_header("Content-Type", "application/json")
				self.send_header("Content-Length", str(len(body)))
				self.end_headers()
				self.wfile.write(body)

			def log_message(self, *_):
				pass

		self.server = http.server.ThreadingHTTPServer((self.ip, self.port), Handler)
		self.server.daemon_threads = True
		threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
		return self

	def stop(self):
		if self.server:
			self.server.shutdown()
			self.server.server_close()
			self.server = None

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
