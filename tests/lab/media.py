"""An SBC that offers its calls through rtpengine, and routers that are several instances each."""
import os
import re

from . import binrpc
from .base import LAB, until
from .kamailio import Router, Sbc

TABLE_HEAD = "id(int,auto) setid(int) url(string) weight(int) disabled(int) stamp(int)\n"
# Rows at a table's beginning that are all one node, disabled. A reload hides every node until it comes to the node's own row: this
# many make some milliseconds of an instant, which is less than the script bears also where tests fill the machine.
SLOW_RELOAD = [(0, "udp:127.0.0.9:9", 1, True)] * 20000
VERSION = "id(int,auto) table_name(string) table_version(int) \n0:version:1\n1:rtpengine:1\n"


def write_nodes(tables, rows):
	"""The rtpengine table: rows of (set, url, weight, disabled). Kamailio must see a newer second each time."""
	path = os.path.join(tables, "rtpengine")
	newest = os.stat(path).st_mtime if os.path.exists(path) else 0
	with open(path + ".lab", "w") as f:
		f.write(TABLE_HEAD)
		for i, (set_id, url, weight, disabled) in enumerate(rows, 1):
			f.write(f"{i}:{set_id}:{url.replace(':', chr(92) + ':')}:{weight}:{int(disabled)}:0\n")
	if newest:
		now = os.stat(path + ".lab").st_mtime
		os.utime(path + ".lab", (now, max(now, int(newest) + 1)))
	os.rename(path + ".lab", path)


def await_reload(kamailio, timeout=15):
	"""rtpengine.reload, as soon as Kamailio lets: it refuses within 10 s of the last one, and of its start."""
	def done():
		try:
			return kamailio.rpc("rtpengine.reload", timeout=10)
		except binrpc.Fault as e:
			if "try later" not in e.reason and "Initializing" not in e.reason:
				raise
			return None
	return until(done, timeout, f"{kamailio.name} reloads its rtpengines", every=0.2)


class MediaSbc(Sbc):
	"""
	`tables` is its directory of db_text tables, which whoever runs c4d can write. fr_ms: what a dead
	destination costs a call. again_s: how long Kamailio leaves a dead rtpengine alone.
	"""

	def __init__(self, lab, name="sbc", *, fr_ms=500, again_s=10, allow_op=2, **kw):
		super().__init__(lab, name, **kw)
		with open(os.path.join(LAB, "media.cfg")) as f:
			self.text = f.read()
		self.tables = lab.mkdir(name, "tables")
		self.defines.update({"TABLES": self.tables, "FR_TIMER": int(fr_ms), "RTPENGINE_AGAIN": int(again_s),
			"ALLOW_OP": int(allow_op)})
		with open(os.path.join(self.tables, "version"), "w") as f:
			f.write(VERSION)
		self.write_nodes([])

	def write_nodes(self, rows):
		write_nodes(self.tables, rows)

	def rows(self):
		"""{url: (set, weight, disabled)} of the rtpengine table."""
		with open(os.path.join(self.tables, "rtpengine")) as f:
			lines = f.read().splitlines()[1:]
		cells = [line.replace("\\:", "\0").split(":") for line in lines if line]
		return {c[2].replace("\0", ":"): (int(c[1]), int(c[3]), c[4] == "1") for c in cells}

	def reload_nodes(self):
		return self.rpc("rtpengine.reload", timeout=10)

	def nodes(self):
		"""{url: True when in use} as Kamailio itself shows them, once it has asked them."""
		def shown():
			try:
				return [self.rpc("rtpengine.show", "all", timeout=10)]
			except binrpc.Fault as e:
				if "not found" in e.reason:
					return [[]]
				if "try later" in e.reason:
					return None
				raise
		values = until(shown, 10, "Kamailio shows its rtpengines")[0]
		return {binrpc.get(v, "url"): binrpc.get(v, "disabled") == 0 for v in values}

	def media_errors(self):
		"""Lines of its log that say that a command to rtpengine failed."""
		return [line for line in self.proc.log().splitlines() if "MEDIA FAILED" in line]


class FarmRouter(Router):
	"""One Kamailio at several addresses: each address and port is an instance of its own."""

	def __init__(self, lab, name, carrier, ips):
		super().__init__(lab, name, carrier, ip=ips[0])
		self.ips = list(ips)
		listen = "".join(f"listen=udp:{ip}:{self.port}\n" for ip in ips)
		# One process for each address is plenty.
		self.text, n = re.subn(r"(?m)^listen=udp:LISTEN\n", lambda _: listen, self.text, count=1)
		self.text, m = re.subn(r"(?m)^children=\d+$", "children=1", self.text)
		assert n == 1 and m == 1, "router.cfg is not what this expects"


def farm(lab, carrier, routers=3, each=5):
	"""The routers, not started; router k has the addresses .(10k+11) and following."""
	return [FarmRouter(lab, f"router{k + 1}", carrier, [lab.ip(10 * k + 11 + i) for i in range(each)])
		for k in range(routers)]
