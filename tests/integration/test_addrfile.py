"""c4d's address files and the real Kamailio's permissions module: each reads what the other means."""
import pytest

from lab import LabError
from lab.tables import Code, Entry, Tables

pytestmark = pytest.mark.both_kamailios

HOST, SUBNET, NAME = range(3)
VERSION = b"id(int,auto) table_name(string) table_version(int) \n0:version:1\n0:domain:2\n0:domain_attrs:1\n"


@pytest.fixture
def tables(lab):
	k = Tables(lab)
	k.write("version", VERSION)
	k.write("domain", b"id(int,auto) domain(string) did(string,null) last_modified(int) \n")
	k.write("domain_attrs", b"id(int,auto) did(string) name(string) type(int) value(string) last_modified(int) \n")
	return k.start()


@pytest.fixture
def code(lab):
	return Code(lab)


def as_dumped(entry, kind):
	"""As Tables.addresses() says it: octets beyond 255 wrap, IPv6 in its short form, no mask but for subnets."""
	ip = entry.ip
	if kind != NAME and ":" not in ip:
		ip = ".".join(str(int(octet or 0) & 255) for octet in ip.split("."))
	elif kind != NAME:
		ip = ip.strip("[]").lower()
	return entry._replace(ip=ip, mask=entry.mask if kind == SUBNET else 0), kind


def key(pair):
	return str(pair)


LINES = [
	b"", b"\n \n\t\r\n", b"# 1 10.0.0.1\n", b"1 10.0.0.1 32 5060 sbc\n", b"1 10.0.0.1", b"1 10.0.0.1 0\n1 fd00::1 0\n",
	b"2 10.0.0.0 8\n2 fd00:: 16 5060 v6\n", b" \t 1\t\t10.0.0.1 \t 24\t5060 \t tag\t\n",
	b"1 10.0.0.1 32 5060 tag and more\n",
	b"1 10.0.0.1 32 5060 tag#more\n", b"1 10.0.0.1 32 5060 9tag\n",
	b"1 10.0.0.1# a\n1 10.0.0.2 24 # b\n1 10.0.0.3 24 5060# c\n",
	b"1 10.0.0.1\r\n1 10.0.0.2 24 1 t\r\n", b"1 10.0.0.1 x 5060 t\n", b"1 10.0.0.1 32 70000\n", b"10.0.0.1\n",
	b"1 sbc.example.org 0 5060 t\n1 name 200\n", b"1 10.0.0.0/8\n", b"bad line\n", b"-1 10.0.0.1\n",
	b"1 1.2.3 32\n1 1.2.3.4.5 32\n1 [10.0.0.1] 32\n", b"1 ::ffff:1.2.3.4 128\n1 [::1 128\n1 [] 8\n1 [\n1 : 8\n1 1:2 8\n",
	b"1 010.0.0.1 8\n1 1..2.3 8\n1 1.2.3. 8\n1 256.0.0.1 8\n1 [fd00::2] 64\n1 FD00::A 64\n",
	b"1\n2 10.0.0.2\n", b"1 # remark\n", b"1 #10.0.0.1\n", b"1 10.0.0.1 33\n", b"1 fd00::1 129\n", b"7 \t\n",
	b"2147483647 10.0.0.1 32 5060\n", b"0 10.0.0.1\n", b"1 10.0.0.1 32 0 t\0z\n2 10.0.0.2\0\n\0 3 10.0.0.3\n4 10.0.0.4",
	b"#" + b"." * 1022 + b"7 10.0.0.1\n", b"#" + b"." * 1021 + b"7 10.0.0.1\n", b"#" + b"." * 1013 + b"7 10.0.0.1\n",
	b"# c4d begin: x\n1 10.0.0.1\n# c4d end\n1 10.0.0.2\n",
]


def test_both_read_the_same(tables, code):
	before = []
	for text in LINES:
		entries, bad = code.addr_parse(text)
		tables.write_addr(text)
		assert tables.addr_reload() == (bad == 0), text
		if bad == 0:
			before = sorted((as_dumped(e, kind) for e, kind, _ in entries), key=key)
		assert sorted(tables.addresses(), key=key) == before, text


def test_the_block_among_foreign_lines(tables, code):
	foreign = b"# the office\r\n7 192.0.2.1 32 5060 office # desk\n\n7 192.0.2.0 24"
	ours = [Entry(1, "10.0.0.2", 32, 5060, "sbc"), Entry(1, "10.0.0.1", 0, 0, None), Entry(1, "fd00::1", 128, 5060, None),
		Entry(2, "10.9.0.0", 16, 0, "net"), Entry(2, "sbc.example.org", 0, 5061, "name")]
	theirs = [(Entry(7, "192.0.2.1", 0, 5060, "office"), HOST), (Entry(7, "192.0.2.0", 24, 0, None), SUBNET)]
	text = code.addr_compose(foreign + b"\n1 10.0.0.99\n", [1, 2], ours)
	assert text.startswith(foreign + b"\n# c4d begin: ") and text.endswith(b"\n# c4d end\n") and b"10.0.0.99" not in text
	tables.write_addr(text)
	assert tables.addr_reload()
	kinds = [HOST, HOST, HOST, SUBNET, NAME]
	want = theirs + [as_dumped(e, k) for e, k in zip(ours, kinds)]
	assert sorted(tables.addresses(), key=key) == sorted(want, key=key)
	# and without ours: the office is left
	text = code.addr_compose(text, [1, 2], [])
	tables.write_addr(text)
	assert tables.addr_reload()
	assert sorted(tables.addresses(), key=key) == sorted(theirs, key=key)


def test_a_bad_line_of_ours_is_mended(tables, code):
	tables.write_addr(b"7 192.0.2.1\n1 10.0.0.1 64\n")
	assert not tables.addr_reload()
	tables.write_addr(code.addr_compose(b"7 192.0.2.1\n1 10.0.0.1 64\n", [1], [Entry(1, "10.0.0.1", 0, 0, None)]))
	assert tables.addr_reload()
	assert len(tables.addresses()) == 2
	# with a bad line Kamailio does not start, with an empty file it does
	tables.stop()
	tables.write_addr(b"1\n")
	with pytest.raises(LabError, match="ended at its start"):
		tables.start()
	tables.proc.kill()
	tables.write_addr(b"")
	tables.start()
	assert tables.addresses() == []


def test_what_is_refused(code):
	for entry in (Entry(1, "10.0.0.0/8", 0, 0, None), Entry(1, "10.0.0.1", 33, 0, None), Entry(3, "10.0.0.1", 0, 0, None),
			Entry(1, "10.0.0.1", 32, 0, "a b")):
		with pytest.raises(OSError):
			code.addr_compose(b"", [1], [entry])
