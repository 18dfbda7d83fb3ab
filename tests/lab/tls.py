"""
A CA made on the spot by openssl, and Consul agents that speak https or listen at a unix socket.

	ca = Ca(lab)
	consul = TlsConsul(lab, ca).start()      consul.https_addr, with ca.issue("agent", ...) as its certificate
"""
import json
import os
import subprocess
import time

from .base import which
from .consul import Consul

CONF = """
[ca]
default_ca = own
[own]
dir = {dir}
new_certs_dir = {dir}
database = {dir}/index.txt
serial = {dir}/serial
certificate = {dir}/ca.pem
private_key = {dir}/ca.key
default_md = sha256
policy = any
copy_extensions = copy
unique_subject = no
[any]
commonName = supplied
[req]
distinguished_name = dn
prompt = no
[dn]
CN = {name}
"""


class Ca:
	"""ca.file; ca.issue() makes certificates. Each has a directory of its own."""

	def __init__(self, lab, name="ca"):
		self.dir = lab.mkdir(name)
		self.file, self.key = self.path("ca.pem"), self.path("ca.key")
		self.conf = self.path("ca.cnf")
		with open(self.conf, "w") as f:
			f.write(CONF.format(dir=self.dir, name=name))
		for file, text in (("index.txt", ""), ("serial", "1000\n")):
			with open(self.path(file), "w") as f:
				f.write(text)
		self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
			"-subj", f"/CN=test {name}", "-addext", "basicConstraints=critical,CA:TRUE", "-keyout", self.key,
			"-out", self.file, "-config", self.conf)

	def path(self, name):
		return os.path.join(self.dir, name)

	def _openssl(self, *args):
		subprocess.run([which("openssl", "apt-get install openssl"), *args], check=True, stdin=subprocess.DEVNULL,
			stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

	def issue(self, name, san=None, expired=False):
		"""(certificate, key), as paths. san: "IP:127.0.0.1,DNS:consul.example"."""
		cert, key, request = (self.path(f"{name}.{kind}") for kind in ("pem", "key", "csr"))
		self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
			*(["-addext", f"subjectAltName={san}"] if san else []), "-keyout", key, "-out", request, "-config", self.conf)
		day, now = 86400, time.time()
		first, last = (now - 3 * day, now - day) if expired else (now - day, now + day)
		self._openssl("ca", "-batch", "-notext", "-config", self.conf, "-in", request, "-out", cert,
			"-startdate", _stamp(first), "-enddate", _stamp(last))
		return cert, key


def _stamp(seconds):
	return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(seconds))


def _edit(consul, change):
	with open(consul.conf_path) as f:
		conf = json.load(f)
	change(conf)
	with open(consul.conf_path, "w") as f:
		json.dump(conf, f, indent=1)


class TlsConsul(Consul):
	"""
	An agent that speaks https besides http, and, with `strict`, wants a client's certificate of the same CA. san: what its
	own certificate holds; None: its address.
	"""

	def __init__(self, lab, ca, *, san=None, strict=False, expired=False, **kw):
		super().__init__(lab, **kw)
		self.https_port = lab.port(self.ip, 18443)
		self.strict = strict
		self.certify(ca, san, expired)

	@property
	def https_addr(self):
		return f"https://{self.ip}:{self.https_port}"

	def certify(self, ca, san=None, expired=False):
		"""Another certificate, by this CA; for the next start."""
		cert, key = ca.issue("agent", san or f"IP:{self.ip}", expired)

		def change(conf):
			conf["ports"]["https"] = self.https_port
			conf.update({"ca_file": ca.file, "cert_file": cert, "key_file": key, "verify_incoming_https": self.strict})
		_edit(self, change)


class UnixConsul(Consul):
	"""An agent whose HTTP port is a unix socket too."""

	def __init__(self, lab, **kw):
		super().__init__(lab, **kw)
		self.socket = lab.path(self.name, "http.sock")
		_edit(self, lambda conf: conf.update({"addresses": {"http": f"unix://{self.socket} {self.ip}"}}))
