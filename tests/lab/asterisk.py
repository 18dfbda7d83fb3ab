"""A real Asterisk with its HTTP server and ARI, and nothing else: no SIP, no dialplan."""
import base64
import json
import os
import urllib.error
import urllib.request

from .base import LabError
from .daemon import Daemon, by_script

USER, PASSWORD = "c4d", "ari-secret"
# What ARI's asterisk/info needs.
MODULES = ("res_http_websocket", "res_stasis", "res_ari", "res_ari_model", "res_ari_asterisk")


def asterisk_binary():
	return by_script("C4D_LAB_ASTERISK", "asterisk.sh", "no Asterisk: set ASTERISK=/path/to/asterisk")


class Asterisk(Daemon):
	"""
	ARI is at .url, for USER with PASSWORD, which .password_file holds. entity_id: what asterisk.conf says from the next
	start on; None: Asterisk makes one of the machine's network card. It writes only below the lab's directory.
	"""

	works, stop_s = "answers ARI", 10.0

	def __init__(self, lab, entity_id=None, name="asterisk"):
		super().__init__(lab, name)
		self.entity_id = entity_id
		self.ip = lab.ip()
		self.port = lab.port(self.ip, 8088)
		self.url = f"http://{self.ip}:{self.port}/ari"
		self.password_file = lab.path(name, "password")
		self._write("password", PASSWORD)

	def _write(self, file, *lines):
		with open(self.lab.path(self.name, file), "w") as f:
			f.write("".join(f"{line}\n" for line in lines))

	def _configure(self, exe):
		root = os.path.join(os.path.dirname(os.path.realpath(exe)), "root")
		dirs = {key: self.lab.mkdir(self.name, key) for key in ("astvarlibdir", "astdbdir", "astkeydir", "astagidir",
			"astspooldir", "astrundir", "astlogdir")}
		dirs["astetcdir"] = self.lab.mkdir(self.name)
		if os.path.isdir(root):  # else it knows where its own are
			dirs["astmoddir"] = os.path.join(root, "usr/lib/asterisk/modules")
			dirs["astdatadir"] = os.path.join(root, "usr/share/asterisk")
		self._write("asterisk.conf", "[directories]", *[f"{k} => {v}" for k, v in dirs.items()], "[options]", "nocolor = yes",
			*([f"entityid = {self.entity_id}"] if self.entity_id else []))
		self._write("modules.conf", "[modules]", "autoload = no", *[f"load = {m}.so" for m in MODULES])
		self._write("http.conf", "[general]", "enabled = yes", f"bindaddr = {self.ip}", f"bindport = {self.port}")
		self._write("ari.conf", "[general]", "enabled = yes", f"[{USER}]", "type = user", "read_only = yes",
			f"password = {PASSWORD}")
		self._write("logger.conf", "[logfiles]", "console => notice,warning,error")

	def start(self, wait=True):
		exe = asterisk_binary()
		self._configure(exe)
		return self.started([exe, "-C", self.lab.path(self.name, "asterisk.conf"), "-f", "-n"], wait)

	def up(self):
		return self.said_eid()

	def stop(self):
		if super().stop() is None:
			raise LabError(f"{self.name} did not end\n{self.proc.log_tail()}")

	def said_eid(self):
		"""What ARI says, asked apart from c4d; None: nobody answers."""
		word = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
		req = urllib.request.Request(f"{self.url}/asterisk/info", headers={"Authorization": f"Basic {word}"})
		try:
			with _direct.open(req, timeout=2) as got:
				return json.load(got)["system"]["entity_id"]
		except OSError:
			return None


# Whatever proxy the environment names is not for loopback.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
