"""The routing API among hostile documents, files, patterns and peers: what is served stays right, and nobody waits."""
import concurrent.futures
import hashlib
import json
import os
import socket
import subprocess
import time

import pytest

from lab import holds, merge, until
from lab.routing import OTHER, TENANT, Api, load, small
from test_store import in_own_mounts, mount_inside

DID = "sip:39040123456@sip.other.com"
SECRET = "s3kr3t-%s"


@pytest.fixture
def c4d(make_c4d, plain):
	return make_c4d(plain).start()


def served(c):
	return c.show("routing")


def ipbx(**over):
	return [{**small()["ipbxs"][0], **over}]


def did(n, regex, **over):
	return {"id": n, "tenant_uuid": TENANT, "ipbx_id": 1, "did_regex": regex, **over}


def place(n):
	return small(ipbxs=ipbx(ip_fqdn=f"10.0.0.{n}"))


# ---- the file ----

@pytest.fixture
def filed(lab, make_c4d, plain):
	path = lab.path("routing.json")
	real = lab.path("real.json")
	with open(real, "w") as f:
		json.dump(small(), f)
	os.symlink(real, path)
	c = make_c4d(merge(plain, {"routing": {"file": path}})).start()
	c.doc, c.real = path, real
	until(lambda: served(c)["served"], 5, "the file is served")
	return c


def test_a_file_that_stays_the_same_is_left_alone(filed):
	"""It is looked at every second."""
	version = served(filed)["version"]
	holds(lambda: served(filed)["version"] == version and not served(filed)["why"], 3.5, "nothing happens", every=0.2)
	assert Api(filed).dsts(DID) == ["sip:10.0.0.1:5060"]


def test_the_same_file_that_was_away_is_right_again(filed):
	"""As with a mount that comes back: its inode and times are those of before."""
	os.unlink(filed.doc)
	until(lambda: served(filed)["why"], 5, "it is missed")
	os.symlink(filed.real, filed.doc)
	until(lambda: not served(filed)["why"], 5, lambda: f"right again: {served(filed)['why']}")


def test_what_is_no_file_keeps_nobody_waiting(filed):
	"""A directory, a pipe that nobody writes to, one that somebody holds, a device without an end, a link to itself."""
	api, held = Api(filed), None

	def replaced(make, word):
		os.unlink(filed.doc)
		make()
		until(lambda: word in served(filed)["why"], 5, lambda: f"{word}: {served(filed)['why']}")
		begin = time.monotonic()
		assert api.dsts(DID) == ["sip:10.0.0.1:5060"]
		assert load(filed, small()).rc == 5  # the worker has time to say no
		assert time.monotonic() - begin < 2
	replaced(lambda: os.mkfifo(filed.doc), "no regular file")
	held = os.open(filed.doc, os.O_RDWR)
	os.utime(filed.doc)
	holds(lambda: api.dsts(DID) == ["sip:10.0.0.1:5060"], 1.5, "answers")
	os.close(held)
	replaced(lambda: os.symlink("/dev/zero", filed.doc), "no regular file")
	replaced(lambda: os.symlink(filed.doc, filed.doc), "symbolic links")
	os.unlink(filed.doc)
	os.mkdir(filed.doc)
	until(lambda: "directory" in served(filed)["why"], 5, "it is a directory")
	os.rmdir(filed.doc)
	os.symlink(filed.real, filed.doc)
	until(lambda: not served(filed)["why"], 5, "right again")


def test_a_link_that_is_swapped(filed, lab):
	"""As ConfigMaps do it."""
	api = Api(filed)
	for n in (2, 3, 4):
		other = lab.path(f"other{n}.json")
		with open(other, "w") as f:
			json.dump(place(n), f)
		os.symlink(other, filed.doc + ".new")
		os.rename(filed.doc + ".new", filed.doc)
		until(lambda n=n: api.dsts(DID) == [f"sip:10.0.0.{n}:5060"], 5, "the new one is served")


# ---- documents ----

@pytest.mark.parametrize("text, word", [
	(b"", "line 1"), (b"[]", "object of arrays"), (b"5", "line 1"), (json.dumps(small()).encode("utf-16"), "UTF-8"),
	(b'{"tenants":[],"tenants":[]}', "duplicate"), (b'{"tenants":[null]}', "tenants[0]"), (b"[" * 100000, "nested more than 16 deep"),
	(b'{"a":' * 20 + b"1" + b"}" * 20, "nested"), (b'{"dids":[{"id":99999999999999999999}]}', "too big"),
	(b'{"dids":[{"id":1.5}]}', "is 1.5"), (b'{"tenants":"x"}', "must be an array"), (b'{"t\\u001b[31m":[]}', "no table"),
	(b'{"tenants":[{"uuid":"\\u0000"}]}', "u0000"),
], ids=range(13))
def test_bad_documents(c4d, text, word):
	assert load(c4d, small()).rc == 0
	p = subprocess.run([c4d.c4ctl, "-s", c4d.socket, "routing", "load", "-"], input=text, check=False, capture_output=True, timeout=20,
		env=c4d.env())
	out = p.stdout.decode()
	assert p.returncode == 3 and word in " ".join(out.split()) and "\x1b" not in out, (out, p.stderr)
	assert all(len(line) <= 80 for line in out.splitlines()), out
	assert Api(c4d).dsts(DID) == ["sip:10.0.0.1:5060"] and served(c4d)["version"] == 1


def test_a_byte_order_mark_is_no_error(c4d):
	p = subprocess.run([c4d.c4ctl, "-s", c4d.socket, "routing", "load", "-"], input=b"\xef\xbb\xbf" + json.dumps(small()).encode(),
		check=False, capture_output=True, timeout=20, env=c4d.env())
	assert p.returncode == 0, p.stdout
	assert Api(c4d).dsts(DID) == ["sip:10.0.0.1:5060"]


def test_many_errors_are_not_silently_cut(c4d):
	got = load(c4d, small(dids=[{"id": n + 1} for n in range(3000)]))
	assert got.rc == 3 and len(got.data["errors"]) == 101
	assert got.data["errors"][0]["path"] == "dids[0].tenant_uuid" and "routing check" in got.data["errors"][-1]["text"]
	path = c4d.lab.path(c4d.name, "load.json")
	got = c4d._call([c4d.c4ctl, "-f", "json", "routing", "check", path], 20, None, "json")
	assert got.rc == 3 and len(got.data["errors"]) == 1001 and got.data["errors"][-1]["text"] == "and 5000 more"


def test_loads_at_once_come_one_after_the_other(c4d):
	paths = [c4d.lab.path(f"doc{n}.json") for n in range(12)]
	with concurrent.futures.ThreadPoolExecutor(12) as pool:
		got = list(pool.map(lambda n: load(c4d, place(n + 1), paths[n]), range(12)))
	assert [g.rc for g in got] == [0] * 12
	assert sorted(g.data["version"] for g in got) == list(range(1, 13))
	last = next(n for n, g in enumerate(got) if g.data["version"] == 12)
	assert Api(c4d).dsts(DID) == [f"sip:10.0.0.{last + 1}:5060"]


def test_killed_in_the_midst_of_loads(c4d):
	"""Either the old or the new data is there, whole; and the new, when the load had said so."""
	def doc(n):
		return small(ipbxs=ipbx(ip_fqdn=f"10.0.0.{n}"), dids=[did(i, f"^39{n:03d}{i:07d}$") for i in range(1, 3000)])

	def ask(api, n):
		return [api.dsts(f"sip:39{n:03d}{i:07d}@x") for i in (1, 1500, 2999)]
	assert load(c4d, doc(1)).rc == 0
	old, kept = 1, 0
	for n in range(2, 22):
		p = subprocess.Popen([c4d.c4ctl, "-s", c4d.socket, "routing", "load", "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
			stderr=subprocess.DEVNULL, env=c4d.env())
		p.stdin.write(json.dumps(doc(n)).encode())
		p.stdin.close()
		time.sleep(0.012 * (n - 2))  # in all its stages
		c4d.kill()
		said = p.wait(10)
		c4d.start()
		until(lambda: served(c4d)["served"], 5, "what is stored is served")
		api = Api(c4d)
		is_new = ask(api, n)[0] != []
		now, other = (n, old) if is_new else (old, n)
		assert ask(api, now) == [[f"sip:10.0.0.{now}:5060"]] * 3 and ask(api, other) == [[]] * 3
		assert is_new or said != 0, "it was said to be served"
		kept += not is_new
		old = now
		api.close()
	assert kept > 0, "all were in time: the test shows nothing"


# ---- patterns ----

EVIL = ["^(a+)+$", "^(([0-9]+)+)+$", "^([0-9]*)*[0-9]*x", r"^(\d+)*\1$", r"(?:\d?){50}\d{50}$", r"^(\d|\d\d)+$x", r"^(?=(\d+))\1*x"]


def test_hostile_patterns_keep_no_call_waiting(c4d):
	rules = [{"id": n + 1, "profile_id": 1, "rule_type": 2, "match_regex": f"([0-9]*)*[0-9]*x{n}", "replace_regex": r"\1\1\1"} for n in range(300)]
	profile = [{"id": 1, "tenant_uuid": TENANT, "name": "p", "always_intl_prefix_plus": True}]
	doc = small(dids=[did(n + 1, r) for n, r in enumerate(EVIL)] + [did(50 + n, f"^([0-9]*)*[0-9]*x{n}") for n in range(1000)] +
		[did(5000, "^39040123456$"), did(5001, "^99[0-9]+$")], normalization_profiles=profile, normalization_rules=rules, ipbxs=ipbx(
		normalization_profile_id=1))
	assert load(c4d, doc).rc == 0
	api, worst = Api(c4d), 0.0
	for to in (DID, "sip:" + "1" * 128 + "@x", "sip:" + "1" * 127 + "x@x", "sip:a" * 20 + "@x", "sip:9912345678@x"):
		begin = time.monotonic()
		rtjson = api.route(to)["rtjson"]
		worst = max(worst, time.monotonic() - begin)
		if to in (DID, "sip:9912345678@x"):  # a longer literal prefix comes first
			assert rtjson["routes"][0]["headers"]["to"]["uri"] == to.replace("sip:", "sip:+")
	assert worst < 0.5, worst


# ---- requests ----

@pytest.mark.parametrize("user", ["39040123456", "+39040123456", "+39 040 123456", "39-040-123456", "+39(040)123.456", "39040123456;npdi",
	"39040123456:pw", "%33%39040123456", "%2B39040123456"])
@pytest.mark.parametrize("rest", ["@x", "@X.example:5062;transport=tcp", "@[2001:db8::1]:5060", "@10.1.1.1?Subject=a"])
def test_numbers_in_all_their_shapes(c4d, user, rest):
	load(c4d, small())
	rtjson = Api(c4d).route(f"sip:{user}{rest}")["rtjson"]
	host = rest[1:].split("?")[0].split(";")[0]
	host = host[:host.index("]") + 1] if host.startswith("[") else host.split(":")[0]
	assert rtjson["routes"][0]["headers"]["to"] == {"display": "", "uri": f"sip:39040123456@{host}"}


@pytest.mark.parametrize("uri", ["sip:1@h>", "<sip:1@h>", "sip:1@h;x=<", 'sip:"1"@h', "sip:1@h x", " sip:1@h", "sip:1@h ", "sip:1\t2@h",
	"sip:1%0d%0aX@h", "sip:1%00@h", "sip:1\\2@h", "sip:1@h\u007f", "1 2@h"])
def test_what_would_leave_its_place_in_a_header_is_refused(c4d, uri):
	load(c4d, small())
	api = Api(c4d)
	for key in ("from_uri", "to_uri"):
		answer = api.ask("POST", "/1.0/kamailio/routing", {"from_name": "", "from_uri": "sip:1@h", "to_uri": DID, key: uri})
		assert answer.status == 422 and answer.json["detail"][0]["loc"] == ["body", key], (key, answer.body)


@pytest.mark.parametrize("name", ['Al "x"', "a<b>", "a\\", '"a\\"', '"', "a,b;c", "é", '\\"\\', '"a" <sip:x@y>, "b"', "\u2028", "x" * 256])
def test_names_stay_within_their_quotes(c4d, name):
	"""Whatever stands in them: one quoted text, then the URI, then the end of the line."""
	load(c4d, small())
	headers = Api(c4d).route(DID, name=name, to_name=name)["rtjson"]["routes"][0]["headers"]
	assert headers["to"]["display"] == headers["from"]["display"]
	lead, tail = "P-Asserted-Identity: ", " <sip:100@10.9.0.1>\r\n"
	assert headers["extra"].startswith(lead) and headers["extra"].endswith(tail)
	quoted = headers["extra"][len(lead):-len(tail)]
	inside, i = quoted[1:-1], 0
	assert len(quoted) > 1 and quoted[0] == quoted[-1] == '"'
	while i < len(inside):
		assert inside[i] != '"' and (inside[i] != "\\" or i + 1 < len(inside)), quoted
		i += 2 if inside[i] == "\\" else 1


def test_peers_that_leave_while_their_password_is_verified(c4d):
	salt = hashlib.sha256(b"salt").hexdigest()
	stored = salt + hashlib.pbkdf2_hmac("sha512", b"secret", salt.encode(), 100000).hex()
	load(c4d, small(ipbxs=ipbx(password=stored)))
	body = json.dumps({"username": "user", "password": "wrong"}).encode()
	head = f"POST /1.0/kamailio/auth HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
	for n in range(20):
		with socket.create_connection((c4d.http_ip, c4d.http_port)) as s:
			s.sendall(head + body)
			if n % 2:
				s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
	assert Api(c4d).dsts(DID) == ["sip:10.0.0.1:5060"]
	answer = Api(c4d).ask("POST", "/1.0/kamailio/auth", {"username": "user", "password": "secret"}, timeout=60)
	assert answer.json["success"] is True


# ---- whose is it ----

def test_a_did_is_for_callers_of_its_ipbxs_tenant(c4d):
	"""As with domains; several tenants may have the same number."""
	tenants = [{"uuid": TENANT, "name": "a"}, {"uuid": OTHER, "name": "b"}]
	domains = [{"id": 1, "tenant_uuid": TENANT, "domain": "a.example"}, {"id": 2, "tenant_uuid": OTHER, "domain": "b.example"}]
	boxes = [{"id": n, "tenant_uuid": t, "domain_id": n, "ip_fqdn": f"10.0.0.{n}", "ip_address": f"10.0.0.{n}"} for n, t in ((1, TENANT), (2, OTHER))]
	dids = [did(1, "^39040123456$"), did(2, "^39040123456$", tenant_uuid=OTHER, ipbx_id=2), did(3, "^555$", tenant_uuid=OTHER)]
	assert load(c4d, small(tenants=tenants, domains=domains, ipbxs=boxes, dids=dids, carrier_trunks=[])).rc == 0
	api = Api(c4d)
	for n in (1, 2):
		assert api.dsts(DID, source=f"10.0.0.{n}", auth=1) == [f"sip:10.0.0.{n}:5060"]
	assert api.dsts(DID, source="192.0.2.1") == ["sip:10.0.0.1:5060"]
	assert api.dsts("sip:555@x", source="10.0.0.1", auth=1) == ["sip:10.0.0.1:5060"]
	assert api.dsts("sip:555@x", source="10.0.0.2", auth=1) == []


# ---- secrets ----

def test_no_secret_is_shown_anywhere(c4d, lab):
	"""But to Kamailio, which needs them."""
	secrets = [SECRET % n for n in range(6)]
	trunk = {**small()["carrier_trunks"][0], "auth_username": "cu", "auth_password": secrets[0], "realm": "r", "registered": True}
	doc = small(carrier_trunks=[trunk], ipbxs=ipbx(password=secrets[1], password_ha1=secrets[2]))
	assert load(c4d, doc).rc == 0
	said = []
	for words in (("show", "routing"), ("status",), ("show", "config"), ("route", "explain", "--from", "sip:1@h", "--to", DID, "--source", "10.0.0.1")):
		for fmt in (None, "json"):
			got = c4d.ctl(*words, fmt=fmt)
			said.append(got.out + got.err)
	for bad in ({"password": secrets[3] + "\x01"}, {"password": [secrets[3]]}, {"password": secrets[3] * 30}, {"password": 5, "realm": " "},
			{"password_ha1": secrets[4] + " x"}):
		got = load(c4d, small(ipbxs=ipbx(**bad)))
		assert got.rc == 3
		said.append(got.out + got.err)
	for text in ('{"ipbxs":[{"password":"%s" x}]}' % secrets[5], '{"ipbxs":[{"password":"%s' % secrets[5], '{"ipbxs":[{"password":%s}]}' % secrets[5]):
		got = load(c4d, text)
		assert got.rc == 3
		said.append(got.out + got.err)
	api = Api(c4d)
	for body in ('{"username":"user","password":"%s" x}' % secrets[3], '{"username":5,"password":"%s"}' % secrets[3],
			'{"username":"user","password":["%s"]}' % secrets[3], '{"username":"user","password":"%s' % secrets[3]):
		answer = api.ask("POST", "/1.0/kamailio/auth", body)
		assert answer.status in (400, 422)
		said.append(answer.body.decode())
	said.append(c4d.log())
	assert "s3kr3t" not in "".join(said)
	assert api.route(DID, source="10.0.0.1")["rtjson"]["auth_password"] == secrets[0]


# ---- for people ----

def test_texts_for_people_fit_a_terminal(c4d):
	rules = [{"id": n, "prefix": "39" * n, "carrier_trunk_id": 1, "tenant_uuid": TENANT, "time_windows": "mon 00:00-00:01 utc, tue 00:00-00:01 utc"}
		for n in range(1, 4)]
	load(c4d, small(routing_rules=rules, ipbxs=ipbx(password="0123456789abcdef" * 12)))
	Api(c4d).route(DID)
	words = ("route", "explain", "--from", "sip:1@h", "--to", DID, "--source")
	for got in (c4d.ctl("show", "routing"), c4d.ctl(*words, "10.0.0.1"), c4d.ctl(*words, "203.0.113.200"),
			c4d.ctl(*words, "10.0.0.1", "--username", "user", "--domain", "sip.fabrikam.com"), c4d.ctl("status")):
		assert got.out and all(len(line) <= 80 for line in got.out.splitlines()), got.out
	assert c4d.ctl(*words, "10.0.0.1").out.count("sip:10.0.0.1:5060") == 1, "the routes are said once"


@pytest.mark.parametrize("more", [["--sorce", "10.0.0.1"], ["--source"], ["10.0.0.1"], ["--auth=1"], ["--sourceip=10.0.0.1"], [""]])
def test_explain_takes_no_word_for_another(c4d, more):
	"""A mistyped option must not give the explanation of another call."""
	load(c4d, small())
	words = ("route", "explain", "--from", "sip:1@h", "--to=" + DID)
	assert c4d.ctl(*words, "--auth", "--source=10.0.0.1").rc == 0
	got = c4d.ctl(*words, *more)
	assert got.rc == 2 and not got.out and f'"{more[0]}"' in got.err


# ---- Consul's KV ----

def test_kv_with_garbage(consul, make_c4d):
	"""What is wrong is named by its key, and the last good data stays; what is beside the prefix is none of ours."""
	c = make_c4d({"consul": {"dns": [consul.dns_addr], "http": consul.http_addr}, "routing": {"kv": "c4/routing"}})

	def put(key, value):
		consul.http("PUT", f"/v1/kv/c4/routing{key}", value if isinstance(value, bytes) else json.dumps(value).encode())

	def delete(key):
		consul.http("DELETE", f"/v1/kv/c4/routing{key}")
	for table, rows in small().items():
		for row in rows:
			put(f"/{table}/{row.get('uuid', row.get('id'))}", row)
	put("-old/dids/7", b"{")
	put("2", b"{")
	put("/dids/", b"")
	c.start()
	until(lambda: served(c)["served"], 10, lambda: f"served: {served(c)}")
	api = Api(c)
	assert api.dsts(DID) == ["sip:10.0.0.1:5060"] and not served(c)["why"]
	for key, value, word in (("/nonsense", b"x", "TABLE/ID"), ("/dids/x", small()["dids"][0], "must end with a number"),
			("/dids/1/2", small()["dids"][0], "must end with a number"), ("/dids/2", b"\xff\xfe", "UTF-8"), ("/dids/2", b"[]", "object"),
			("/dids/2", b"", "line 1"), ("/dids/2", small()["dids"][0], "the same as in the key"), ("/dids/2", b"null", "line 1"),
			("/cdrs/1", {"id": 1}, "TABLE/ID"), ("", small(), "TABLE/ID")):
		put(key, value)
		until(lambda word=word: word in json.dumps([served(c)["why"], served(c)["errors"]]), 10, lambda: f"{key}: {word}: {served(c)}")
		assert "\x1b" not in c.ctl("show", "routing").out
		assert api.dsts(DID) == ["sip:10.0.0.1:5060"]
		delete(key)
		until(lambda: not served(c)["why"], 10, lambda: f"{key}: right again: {served(c)}")
	delete("/dids/1")
	until(lambda: api.dsts(DID) == [], 10, "a row that is gone is gone")


# ---- a disk that is full ----

def many(n, count=20000):
	return small(ipbxs=ipbx(ip_fqdn=f"10.0.0.{n}"), dids=[did(i, f"^3904{i:07d}$") for i in range(1, count)] + [did(count + 1, "^39040123456$")])


def test_a_load_that_cannot_be_stored_changes_nothing(lab, make_c4d, plain):
	c = make_c4d(plain)
	in_own_mounts(lab, c, 'mount -t tmpfs -o size=512k,mode=0755 none "$STATE"')
	c.start()
	api = Api(c)
	assert load(c, small()).rc == 0
	got = load(c, many(2))
	assert got.rc == 1 and "nothing was changed" in got.err and c.state in got.err
	assert api.dsts(DID) == ["sip:10.0.0.1:5060"] and served(c)["version"] == 1
	assert load(c, place(3)).rc == 0 and api.dsts(DID) == ["sip:10.0.0.3:5060"]


def test_a_file_that_could_not_be_stored_is_later(lab, make_c4d, plain):
	"""It is served meanwhile, and stored when there is room again, though the file did not change: the next start may have no file."""
	path = lab.path("routing.json")
	with open(path, "w") as f:
		json.dump(many(2), f)
	c = make_c4d(merge(plain, {"routing": {"file": path}}))
	in_own_mounts(lab, c, 'mount -t tmpfs -o size=512k,mode=0755 none "$STATE"')
	c.start()
	until(lambda: served(c)["served"], 10, "it is served")
	assert Api(c).dsts(DID) == ["sip:10.0.0.2:5060"] and served(c)["stored"] is False
	assert any("not stored" in p["problem"] for p in c.ctl("status", fmt="json").data["problems"])
	mount_inside(c, "-o", "remount,size=64m", c.state)
	until(lambda: served(c)["stored"], 45, "it is stored", every=0.5)
	assert c.log().count("cannot be stored") == 1
	assert Api(c).dsts(DID) == ["sip:10.0.0.2:5060"]
