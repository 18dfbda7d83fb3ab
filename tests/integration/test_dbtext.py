"""c4d's db_text files and the real Kamailio: each reads what the other means, and every write is seen."""
import os
import random
import time

import pytest

from lab import LabError, binrpc
from lab.tables import BLOB, DOUBLE, STRING, Code, Tables

pytestmark = pytest.mark.both_kamailios

VERSION = b"id(int,auto) table_name(string) table_version(int) \n0:version:1\n0:domain:2\n0:domain_attrs:1\n"
DOMAIN = b"id(int,auto) domain(string) did(string,null) last_modified(int) \n"
ATTRS = b"id(int,auto) did(string) name(string) type(int) value(string) last_modified(int) \n"
RTPENGINE = b"id(int,auto) setid(int) url(string) weight(int) disabled(int) stamp(int) \n"
ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\", ":": "\\:", "\0": "\\0"}


def make(lab):
	k = Tables(lab)
	k.write("version", VERSION)
	k.write("domain", DOMAIN)
	k.write("domain_attrs", ATTRS)
	return k


@pytest.fixture
def tables(lab):
	return make(lab).start()


@pytest.fixture
def code(lab):
	return Code(lab)


def as_kamailio(cell, kind):
	"""How Kamailio itself would write this cell."""
	if cell is None:
		return ""
	text = cell.decode(errors="replace")
	if kind in (STRING, BLOB):
		return "".join(ESCAPES.get(c, c) for c in text)
	if kind == DOUBLE:
		return f"{float(text):.2f}"
	n = int(text) & 0xffffffff
	return str(n - (1 << 32) if n >= 1 << 31 else n)


def expected(code, text):
	"""
	What Tables.rows() may say, if c4d's reader is right. A last line without newline is not read, but some of what is
	bad in it has the table refused all the same.
	"""
	whole = text[:text.rfind(b"\n") + 1]
	table = code.parse(text)
	if table is None or code.parse(whole).n_bad:
		return [None]
	kinds = [kind for _, kind in table.cols]
	rows = [":".join(as_kamailio(c, k) for c, k in zip(row, kinds)) for row in table.rows]
	return [rows, None] if code.parse(text + b"\n").n_bad else [rows]


TEXTS = [
	RTPENGINE,
	RTPENGINE + b"1:0:udp\\:127.0.0.1\\:2223:1:0:0\n2:0:udp\\:[fd00\\:\\:1]\\:2223:50:1:0\n",
	RTPENGINE + b"1:0:udp:127.0.0.1:2223:1:0:0\n",
	DOMAIN + b"1:sip.example.org::0\n:10.0.0.1:x:0\n",
	b"id(int) a(string)\n\n\n1:x\n\n2:y\n\n",
	b"id(int) a(string)\n1:x\n2:y",
	b"id(int) a(string)\n1:x\n2:\\q",
	b"id(int) a(string)\r\n1:x\r\n",
	b"id(int) a(string)\n1:x\r\n2:y\n",
	b"a(string) id(int)\nx:1\r\n",
	b"id(int) a(string) b(string,null)\n1:x\n2\n3:\n4:x:\n5:x:y:\n",
	b"id(int) n(int) b(string,null)\n1\n",
	b"id(int) a(string)\n1:x:y\n",
	b"id(int) a(string)\n1:\n",
	b"id(int) a(string)\n:x\n",
	b"id(int,auto) a(string)\n:x\n5:y\n:z\n",
	b"id(int,null) a(string,null)\n:\n:x\n1:\n",
	b"a(string,null)\n:\nx\n",
	b"id(int) a(string)\n1:a\\n\\r\\t\\\\\\:b\\0c\n",
	b"id(int) a(string)\n1:\\q\n",
	b"id(int) a(string)\n1:x\\\n2:y\n",
	b"id(int) a(string)\n1:a\0b\n",
	b"id(int) a(string)\n# no comment\n",
	b"id(int) a(string)\n1:# no comment\n",
	b"id(int) a(string)\n-1:x\n-0:y\n007:z\n2147483647:a\n-2147483648:b\n4294967297:c\n",
	b"id(int) a(string)\n 1:x\n",
	b"id(int) a(string)\n+1:x\n",
	b"id(int) a(string)\n-:x\n",
	b"id(int) a(string)\n1 :x\n",
	b"d(double) a(string)\n-1.25:x\n1.:y\n2:z\n0.123456789:a\n",
	b"d(double) a(string)\n.5:x\n",
	b"d(double) a(string)\n1e3:x\n",
	b"d(double) a(string)\n1.2.3:x\n",
	b"t(time) b(blob)\n1700000000:x\n",
	b"id(int)a(string)\n1:x\n",
	b"  ID(Integer)   A( STRING , NULLABLE )  b(ix,nx)\n1::\n",
	b"id(int)\ta(string)\n1:x\n",
	b"a(int,auto) b(int,auto)\n1:2\n",
	b"id(string,auto)\nx\n",
	b"id(int,key)\n1\n",
	b"id(x)\n1\n",
	b"id\n1\n",
	b"(int)\n1\n",
	b"id(int) # remark\n1\n",
	b"\nid(int)\n1\n",
	b"",
	b"id(int) a(string)\n1:" + b"x" * 16383 + b"\n",
	b"id(int) a(string)\n1:" + b"x" * 16384 + b"\n",
	b"id(int) a(string)\n1:" + b"\\:" * 16383 + b"\n",
	b"n" * 16383 + b"(int)\n1\n",
	b"n" * 16384 + b"(int)\n1\n",
]


def random_texts(rnd, n):
	"""Tables that are a little wrong in about half of the cases."""
	headers = [b"a(int) b(string)\n", b"a(string) b(int,null) c(string,null)\n", b"a(string,null) b(string) c(int)\n",
		b"a(int,auto) b(string)\n", b"a(double) b(string,null)\n", b"a(string)\n"]
	pieces = [b":", b":", b":", b"\n", b"\n", b"1", b"23", b"-", b".5", b"x", b"y z", b"\\:", b"\\\\", b"\\n", b"\\0",
		b"\\", b"\r", b"\t", b" ", b"\xc3\xa4"]
	for _ in range(n):
		header = rnd.choice(headers)
		cells = header.count(b"(")
		text = header
		for _ in range(rnd.randrange(4)):
			row = [rnd.choice([b"", b"1", b"-7", b"2.5", b"x", b"\\:\\n", b"a b"]) for _ in range(cells)]
			text += b":".join(row) + b"\n"
		if rnd.random() < 0.5:
			text += b"".join(rnd.choice(pieces) for _ in range(rnd.randrange(1, 9)))
		if rnd.random() < 0.8:
			text += b"\n"
		yield text


def test_both_read_the_same(tables, code):
	seed = 20261121
	texts = TEXTS + list(random_texts(random.Random(seed), 500))
	refused = 0
	for i, text in enumerate(texts):
		name = f"t{i}"  # a table once refused is read anew at each query, one that was read only when it is newer
		tables.write(name, text)
		want = expected(code, text)
		assert tables.rows(name) in want, f"text {i} (seed {seed}): {text[:300]!r}"
		refused += want == [None]
	assert 100 < refused < len(texts) - 100, "both kinds were tried"


def test_what_is_put_in_comes_out(tables, code):
	rnd = random.Random(7)
	header = b"id(int,auto) a(string) b(string,null) n(int,null) t(time) e(blob,null)"
	parts = ["", ":", "\\", "\n", "\r", "\t", "\\:", "\\n", "ä", "€", "#", " ", "x" * 300, "\x01", "0",
		"sip:a@[fd00::1]:5060;x=y"]
	numbers = [None, b"0", b"-2147483648", b"2147483647"]

	def text():
		return "".join(rnd.choice(parts) for _ in range(rnd.randrange(4))).encode() or None

	rows = [[str(i + 1).encode(), text() or b"-", text(), rnd.choice(numbers), str(rnd.randrange(1 << 31)).encode(), text()]
		for i in range(200)]
	composed = code.compose(header, rows)
	tables.write("put", composed)
	kinds = [kind for _, kind in code.parse(composed).cols]
	assert tables.rows("put") == [":".join(as_kamailio(c, k) for c, k in zip(row, kinds)) for row in rows]
	again = code.parse(composed)
	assert again.rows == rows and again.n_bad == 0
	# numbers that Kamailio would give are given
	assert code.compose(header, [[None, b"x", None, None, b"0", None]] * 2).splitlines()[1:] == [b"1:x:::0:", b"2:x:::0:"]


def test_every_write_is_seen(tables, code):
	"""Kamailio compares whole seconds; many writes fit into one."""
	path = tables.path("often")
	begin = time.time()
	for n in range(20):
		code.replace_newer(path, code.compose(b"id(int)", [[str(n).encode()]]))
		assert tables.rows("often") == [str(n)]
	assert time.time() - begin < 15, "several writes fell into one second"
	# a clock that was wrong: Kamailio has read a file from tomorrow
	tables.write("often", b"id(int)\n77\n", mtime=time.time() + 86400)
	assert tables.rows("often") == ["77"]
	for n in range(3):
		code.replace_newer(path, code.compose(b"id(int)", [[str(n).encode()]]))
		assert tables.rows("often") == [str(n)]
	assert os.stat(path).st_mtime < time.time() + 86400 + 10
	# that it is needed: the same second, and an older file, are not seen
	now = int(os.stat(path).st_mtime)
	tables.write("often", b"id(int)\n88\n", mtime=now + 0.5)
	assert tables.rows("often") == ["2"]
	tables.write("often", b"id(int)\n99\n")
	assert tables.rows("often") == ["2"]


def test_a_header_without_newline(lab, code):
	"""
	Kamailio ends when it reads one: c4d's text always has it. The day this fails, Kamailio was mended; then say so in
	include/kamailio/dbtext.h and drop this test.
	"""
	k = make(lab).start()
	assert code.compose(b"id(int)", []) == b"id(int)\n"
	k.write("headless", b"id(int)")
	with pytest.raises((ConnectionError, OSError)):
		k.rows("headless")
	with pytest.raises(LabError):
		k.ready(timeout=1.0)


def test_domain_table(tables, code):
	path = tables.path("domain")
	for domains in ([b"sip.example.org"], [b"sip.example.org", b"10.0.0.1"], [], [b"[fd00::1]", b"a:b"]):
		code.replace_newer(path, code.compose(DOMAIN, [[None, d, None, b"0"] for d in domains]))
		tables.rpc("domain.reload")
		shown = str(tables.rpc("domain.dump"))
		assert shown.count("'domain', '") == len(domains), shown
		assert all(f"'{d.decode()}'" in shown for d in domains), shown


def test_version_table(lab, code):
	text = b""
	for name, version in ((b"version", 1), (b"domain", 1), (b"domain_attrs", 1), (b"domain", 2)):
		text = code.version_set(text, name, version)
	assert text == b"id(int,auto) table_name(string) table_version(int) \n0:version:1\n0:domain:2\n0:domain_attrs:1\n"
	assert code.version_set(text, b"domain", 2) == text
	k = make(lab)
	k.write("version", text)
	k.start()
	assert k.rows("version") == ["0:version:1", "0:domain:2", "0:domain_attrs:1"]
	k.stop()
	# what Kamailio demands of it: the right number, and one row of a table
	for wrong in (code.version_set(text, b"domain", 1), text + b"9:DOMAIN:2\n", b""):
		k.write("version", wrong)
		with pytest.raises(LabError, match="ended at its start"):
			k.start()
		k.proc.kill()
	k.write("version", code.version_set(text + b"9:DOMAIN:2\n", b"domain", 2))
	k.start()


def test_version_table_of_the_package(code):
	"""Debian's own file has all of it already: nothing is written."""
	with open("/usr/share/kamailio/dbtext/kamailio/version", "rb") as f:
		text = f.read()
	for name, version in ((b"domain", 2), (b"domain_attrs", 1), (b"rtpengine", 1)):
		assert code.version_set(text, name, version) == text
	changed = code.version_set(text, b"rtpengine", 9)
	assert changed == text.replace(b"0:rtpengine:1\n", b"0:rtpengine:9\n")


def test_binrpc_says_which_rows(tables):
	"""What these tests stand on: Kamailio's answer is its own, not an empty one."""
	tables.write("sure", b"id(int) a(string)\n1:x\\:y\n")
	assert tables.rows("sure") == ["1:x\\:y"]
	assert tables.rows("absent") is None
	with pytest.raises(binrpc.Fault):
		tables.rpc("db_text.nothing")
