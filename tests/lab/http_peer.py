"""What peers over HTTP that are made in Python have in common: a server in threads of its own."""
import http.server
import json
import threading


class HttpPeer:
	"""Answers GET with JSON at (.ip, .port), as reply() says. stop() frees the port, start() takes it again."""

	def __init__(self, lab, first_port):
		self.ip = lab.ip()
		self.port = lab.port(self.ip, first_port)
		self.server = None
		lab.cleanups.append(self.stop)

	def reply(self, path, headers):
		"""(status, what becomes JSON or is its bytes, more headers)"""
		raise NotImplementedError

	def start(self):
		peer = self

		class Handler(http.server.BaseHTTPRequestHandler):
			protocol_version = "HTTP/1.1"

			def do_GET(self):
				status, answer, more = peer.reply(self.path, self.headers)
				body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
				try:
					self.send_response(status)
					for name, value in {**more, "Content-Type": "application/json", "Content-Length": str(len(body))}.items():
						self.send_header(name, value)
					self.end_headers()
					self.wfile.write(body)
				except OSError:  # who asked has gone
					self.close_connection = True

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
