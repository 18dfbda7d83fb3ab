"""
A Kamailio that holds tables (tables.cfg), and c4d's own code for their files (src/kamailio/dbtext.c, addrfile.c and
file_replace_newer()), called by ctypes from a library that is built into the lab's directory: so that the one judges
the other without a daemon between them.
"""
import collections
import ctypes
import os
import subprocess

from . import binrpc
from .base import ROOT, LabError, which
from .kamailio import Kamailio

SOURCES = ("kamailio/dbtext.c", "kamailio/addrfile.c", "kamailio/block.c", "topology/addr.c", "base/text.c",
	"base/mem.c", "base/file.c")
INT, DOUBLE, STRING, BLOB, TIME = range(5)
Entry = collections.namedtuple("Entry", "group ip mask port tag")


class _Buf(ctypes.Structure):
	_fields_ = [("s", ctypes.c_void_p), ("len", ctypes.c_size_t), ("cap", ctypes.c_size_t)]


class _Col(ctypes.Structure):
	_fields_ = [("name", ctypes.c_char_p), ("type", ctypes.c_int), ("null", ctypes.c_bool), ("automatic", ctypes.c_bool)]


class _Cell(ctypes.Structure):
	_fields_ = [("s", ctypes.c_void_p), ("len", ctypes.c_size_t)]


class _Table(ctypes.Structure):
	_fields_ = [("header", ctypes.c_char_p), ("cols", ctypes.POINTER(_Col)), ("n_cols", ctypes.c_size_t),
		("cap_cols", ctypes.c_size_t), ("rows", ctypes.POINTER(ctypes.POINTER(_Cell))), ("n_rows", ctypes.c_size_t),
		("cap_rows", ctypes.c_size_t), ("n_bad", ctypes.c_size_t), ("bad_line", ctypes.c_size_t),
		("last_auto", ctypes.c_long)]


class _Entry(ctypes.Structure):
	_fields_ = [("group", ctypes.c_int), ("ip", ctypes.c_char_p), ("mask", ctypes.c_int), ("port", ctypes.c_int),
		("tag", ctypes.c_char_p), ("ours", ctypes.c_bool)]


class _Entries(ctypes.Structure):
	_fields_ = [("v", ctypes.POINTER(_Entry)), ("n", ctypes.c_size_t), ("cap", ctypes.c_size_t)]


class Table:
	"""A dbtext, as the C code read it: cols [(name, type)], rows of bytes or None, n_bad."""

	def __init__(self, c):
		self.cols = [(c.cols[i].name.decode(), c.cols[i].type) for i in range(c.n_cols)]
		self.rows = [[_bytes(c.rows[r][i]) for i in range(c.n_cols)] for r in range(c.n_rows)]
		self.n_bad, self.bad_line = c.n_bad, c.bad_line


def _bytes(piece):
	return ctypes.string_at(piece.s, piece.len) if piece.s else None


class Code:
	"""c4d's functions. Errors are raised as OSError."""

	def __init__(self, lab):
		path = lab.path("tables.so")
		built = subprocess.run(
			[os.environ.get("CC") or which("gcc", "tests/tools/deps.sh installs it"), "-std=gnu11", "-D_GNU_SOURCE", "-O1", "-g",
				"-shared", "-fPIC", "-I", f"{ROOT}/include", "-o", path, *(f"{ROOT}/src/{s}" for s in SOURCES)],
			stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
		if built.returncode:
			raise LabError(f"tables.so can't be built:\n{built.stdout.decode()}")
		self.lib = ctypes.CDLL(path)

	def _taken(self, err, buf):
		if err:
			raise OSError(-err, os.strerror(-err))
		text = _bytes(buf)
		self.lib.buf_free(ctypes.byref(buf))
		return text

	def parse(self, text):
		"""The Table; None: the header is none."""
		c = _Table()
		if self.lib.dbtext_parse(text, ctypes.c_size_t(len(text)), ctypes.byref(c)):
			return None
		table = Table(c)
		self.lib.dbtext_clear(ctypes.byref(c))
		return table

	def compose(self, header, rows):
		"""The text of a table with these rows, each of bytes or None."""
		c, buf, bad = _Table(), _Buf(), ctypes.c_size_t(0)
		err = self.lib.dbtext_init(ctypes.byref(c), header)
		for row in rows:
			if not err:
				assert len(row) == c.n_cols
				err = self.lib.dbtext_add(ctypes.byref(c), (ctypes.c_char_p * len(row))(*row), ctypes.byref(bad))
		if not err:
			self.lib.dbtext_compose(ctypes.byref(c), ctypes.byref(buf))
		self.lib.dbtext_clear(ctypes.byref(c))
		return self._taken(err, buf)

	def version_set(self, text, table, version):
		buf = _Buf()
		return self._taken(self.lib.dbtext_version_set(text, ctypes.c_size_t(len(text)), table, version,
			ctypes.byref(buf)), buf)

	def _entries(self, c):
		return [(Entry(e.group, e.ip.decode(), e.mask, e.port, e.tag.decode() if e.tag else None),
			self.lib.addr_entry_kind(ctypes.byref(e)), e.ours) for e in c.v[:c.n]]

	def addr_parse(self, text):
		"""([(Entry, kind, ours)], bad); kind: 0 host, 1 subnet, 2 name."""
		c, bad = _Entries(), ctypes.c_size_t(0)
		self.lib.addrfile_parse(text, ctypes.c_size_t(len(text)), ctypes.byref(c), ctypes.byref(bad))
		found = self._entries(c)
		self.lib.addr_entries_clear(ctypes.byref(c))
		return found, bad.value

	def addr_compose(self, old, groups, entries):
		c, buf, bad = _Entries(), _Buf(), ctypes.c_char_p()
		for e in entries:
			self.lib.addr_entries_add(ctypes.byref(c), e.group, e.ip.encode(), e.mask, e.port, e.tag and e.tag.encode())
		self.lib.addr_entries_sort(ctypes.byref(c))
		err = self.lib.addrfile_compose(old, ctypes.c_size_t(len(old)), (ctypes.c_int * len(groups))(*groups),
			ctypes.c_size_t(len(groups)), ctypes.byref(c), ctypes.byref(buf), ctypes.byref(bad))
		self.lib.addr_entries_clear(ctypes.byref(c))
		return self._taken(err, buf)

	def replace_newer(self, path, text):
		what = ctypes.c_char_p()
		err = self.lib.file_replace_newer(path.encode(), text, ctypes.c_size_t(len(text)), ctypes.byref(what))
		if err:
			raise OSError(-err, f"can't {what.value.decode()} {path}")


class Tables(Kamailio):
	"""Its tables lie in .dir, its address file is .addr_file; both can be written before start()."""

	def __init__(self, lab, name="tables", **kw):
		self.dir = lab.mkdir(name, "dbtext")
		self.addr_file = lab.path(name, "address.list")
		super().__init__(lab, name, "tables.cfg", defines={"TABLES": self.dir, "ADDRFILE": self.addr_file}, **kw)
		self.write_addr(b"")

	def path(self, table):
		return os.path.join(self.dir, table)

	def write(self, table, text, mtime=None):
		_write(self.path(table), text, mtime)

	def write_addr(self, text):
		_write(self.addr_file, text)

	def rows(self, table):
		"""
		What Kamailio itself makes of a table, in the form in which it would write it: its lines without the header, None:
		it refuses the table.
		"""
		lines = self.rpc("db_text.query", f"select * from {table}")
		if lines == ["error executing sql statement"]:
			return None
		if lines == ["statement returned 0 rows"]:
			return []
		assert lines[-1].startswith("\ntotal rows "), lines
		return lines[1:-1]

	def addresses(self):
		"""[(Entry, kind)] of the three dumps; mask: 0 for hosts and names, which have none there. No tag is None."""
		found = []
		for kind, (method, name) in enumerate((("addressDump", "ip"), ("subnetDump", "ip"), ("domainDump", "domain_name"))):
			for struct in self.rpc(f"permissions.{method}"):
				if not struct:
					continue
				group = binrpc.get(struct, "group")
				for key, item in struct:
					if key == "item":
						tag = binrpc.get(item, "tag")
						found.append((Entry(group, binrpc.get(item, name), binrpc.get(item, "mask") or 0,
							binrpc.get(item, "port"), None if tag in ("", "NULL") else tag), kind))
		return found

	def addr_reload(self):
		"""Whether Kamailio took the address file."""
		try:
			return self.rpc("permissions.addressReload") == ["Reload OK"]
		except binrpc.Fault as e:
			assert e.reason == "Reload failed.", e
			return False


def _write(path, text, mtime=None):
	with open(path + ".lab", "wb") as f:
		f.write(text)
	if mtime is not None:
		os.utime(path + ".lab", (mtime, mtime))
	os.rename(path + ".lab", path)
