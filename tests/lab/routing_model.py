"""
What the routing API has to answer, in the plainest way: a document of routing data in, a question in, the answer out. Slow, without an index,
a cache or a thought of speed, and made from what is promised (the README's "The routing API", wazo-router-confd's algorithm, the
contracts of include/routing), not from c4d's sources: test_routing_oracle.py compares the two.

Not in here: services that have instances, destinations that are dead, questions that are refused.
"""
import datetime
import functools
import hashlib
import ipaddress
import itertools
import re
import urllib.parse

NUMBER_MAX = 128
ROUTES_MAX = 16
OF_TENANT = "the tenant's number"  # c4d's own: Model.answer_of() puts it in the place of what was answered
SAFE_IN_USER = "-_.!~*'()&=+$,;?/"  # RFC 3261: unreserved and user-unreserved; all else is escaped
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DEFAULTS = {
	"carrier_trunks": {"sip_proxy_port": 5060}, "ipbxs": {"port": 5060}, "normalization_rules": {"priority": 0, "replace_regex": ""},
	"routing_rules": {"prefix": "", "route_type": "pstn", "priority": 0, "weight": 1, "routing": "serial"},
}


# ---- small things ----

def same_ip(one, other):
	return bool(one and other) and ipaddress.ip_address(one.strip("[]")) == ipaddress.ip_address(other.strip("[]"))


def same_host(one, other):
	"""An address in any spelling, a name in any case of letters."""
	try:
		return same_ip(one, other)
	except ValueError:
		return one.lower() == other.lower()


def bare(number):
	"""What is compared of a number: letters and digits."""
	return re.sub("[^0-9a-zA-Z]", "", number)


def literal_prefix(regex):
	"""What each match begins with: the letters and digits at the start, "" if there is an alternative to them."""
	depth, in_class, escaped = 0, False, False
	for c in regex:
		if escaped:
			escaped = False
		elif c == "\\":
			escaped = True
		elif in_class:
			in_class = c != "]"
		elif c == "[":
			in_class = True
		elif c in "()":
			depth += 1 if c == "(" else -1
		elif c == "|" and depth == 0:
			return ""
	text, behind = re.match(r"\^?([0-9a-zA-Z]*)(.?)", regex).groups()
	return text[:-1] if behind and behind in "?*{" else text


def is_hash(password):
	return re.fullmatch("[0-9a-f]{192}", password) is not None


@functools.lru_cache(maxsize=1000)
def verifies(stored, given):
	"""Stored as plain text, or as 64 digits of salt and 128 of PBKDF2-SHA512."""
	if not is_hash(stored):
		return stored == given
	return hashlib.pbkdf2_hmac("sha512", given.encode(), stored[:64].encode(), 100000).hex() == stored[64:]


def display(name, quoted):
	"""A display name as it stands before <uri>: as it is when it is quoted rightly; tokens need no quotes, but for P-Asserted-Identity."""
	if not name or re.fullmatch(r'"([^"\\]|\\.)*"', name):
		return name
	if not quoted and re.fullmatch(r"[A-Za-z0-9.!%*_+`'~ -]+", name):
		return name
	return '"' + re.sub(r'(["\\])', r"\\\1", name) + '"'


class Uri:
	"""scheme user host port; user is None when it is not of the shape user@host."""

	def __init__(self, text):
		self.text, self.user = text, None
		split = re.fullmatch(r"(?>([a-zA-Z]+:)?)([^@]+)@(\[[^\]@]+\]|[^@:;?\[\]]+)(:[0-9]+)?([;?].*)?", text)
		if not split:
			return
		scheme, user, host, port, _ = split.groups()
		user = re.split("[:;]", user)[0]  # a password, parameters
		if not user or not re.fullmatch(r"[A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\]", host) or (port and int(port[1:]) > 65535):
			return
		self.scheme, self.host, self.port = scheme or "sip:", host, port or ""
		self.user = urllib.parse.unquote(user)

	def write(self, user, port):
		"""A number of which nothing is left leaves no user."""
		user = urllib.parse.quote(user, safe=SAFE_IN_USER) + "@" if user else ""
		return f"{self.scheme}{user}{self.host}{self.port if port else ''}"


# ---- time windows ----

def window_parts(text):
	"""[(days, from, to, utc)], minutes of the day; `days` are indices into DAYS."""
	out, days = [], set()
	for group in text.lower().split(";"):
		parts = group.split(",")
		for i, part in enumerate(parts):
			words = part.split()
			utc = "utc" in words
			hours = [w for w in words if re.fullmatch(r"\d\d:\d\d-\d\d:\d\d", w)]
			for word in words:
				if word == "utc" or word in hours:
					continue
				first, last = (DAYS.index(d) for d in (word.split("-") * 2)[:2])
				days |= {(first + n) % 7 for n in range((last - first) % 7 + 1)}
			if words and (hours or utc or i == len(parts) - 1):
				begin, end = (int(t[:2]) * 60 + int(t[3:]) for t in hours[0].split("-")) if hours else (0, 1440)
				out.append((days or set(range(7)), begin, end if end > begin else end + 1440, utc))
				days = set()
	return out


def windows_open(text, now, utc_offset):
	"""now: seconds since 1970; utc_offset: of the machine, in minutes."""
	if not text or not text.strip():
		return True
	for days, begin, end, utc in window_parts(text):
		t = datetime.datetime.fromtimestamp(now, datetime.timezone.utc) + datetime.timedelta(minutes=0 if utc else utc_offset)
		minute = t.hour * 60 + t.minute
		if t.weekday() in days and begin <= minute < end:
			return True
		if (t.weekday() - 1) % 7 in days and minute + 1440 < end:  # it began yesterday
			return True
	return False


# ---- the model ----

class Model:
	"""doc: as it is loaded. utc_offset: of c4d's TZ, in minutes."""

	def __init__(self, doc, utc_offset=0):
		self.utc_offset = utc_offset
		self.t = {}
		for table in ("tenants", "domains", "carriers", "carrier_trunks", "ipbxs", "dids", "normalization_profiles", "normalization_rules",
				"routing_rules", "routing_groups"):
			rows = []
			for row in doc.get(table) or []:
				given = {k: v for k, v in row.items() if v is not None}
				rows.append({**DEFAULTS.get(table, {}), **given})
			self.t[table] = sorted(rows, key=lambda r: r.get("id", 0))

	def row(self, table, key):
		return next((r for r in self.t[table] if r["id"] == key), None)

	def domain_of(self, ipbx):
		return self.row("domains", ipbx["domain_id"])["domain"]

	# ---- who ----

	def authenticate(self, q, password=None):
		"""(ipbx, trunk): one of them, or neither. An IPBX by address or user name, else a trunk by its address."""
		source, user, domain = q.get("source_ip"), q.get("username"), q.get("domain")
		for ipbx in self.t["ipbxs"]:
			by_ip = same_ip(source, ipbx.get("ip_address"))
			by_user = bool(user) and ipbx.get("username") == user
			if source and ipbx.get("ip_address") and not by_ip:
				continue
			if user and not by_user and (ipbx.get("username") or ipbx.get("password_ha1")):
				continue
			if domain and self.domain_of(ipbx).lower() != domain.lower():
				continue
			if not by_ip and not by_user:
				continue  # one without an address is nobody's by that alone
			if password and not verifies(ipbx.get("password", ""), password):
				continue
			return ipbx, None
		return None, next((t for t in self.t["carrier_trunks"] if same_ip(source, t.get("ip_address"))), None)

	def auth_answer(self, ipbx, trunk):
		who = ipbx or trunk
		return {"success": who is not None, "tenant_uuid": who and who["tenant_uuid"], "tenant_id": OF_TENANT if who else 0,
			"ipbx_id": ipbx["id"] if ipbx else 0, "carrier_trunk_id": trunk["id"] if trunk else 0,
			"domain": self.domain_of(ipbx) if ipbx else None, "username": ipbx.get("username") if ipbx else None,
			"password_ha1": self.ha1(ipbx) if ipbx else None}

	def ha1(self, ipbx):
		if ipbx.get("password_ha1"):
			return ipbx["password_ha1"]
		if not ipbx.get("username") or not ipbx.get("password") or is_hash(ipbx["password"]):
			return None
		return hashlib.md5(f"{ipbx['username']}:{self.domain_of(ipbx)}:{ipbx['password']}".encode()).hexdigest()

	def auth(self, q):
		"""The answer of /kamailio/auth."""
		return self.auth_answer(*self.authenticate(q, q.get("password")))

	# ---- numbers ----

	def normalize(self, profile_id, rule_type, number):
		"""All rules of the profile and type, by priority, then id, whose prefix the number began with. One that is too long stays as it is."""
		if len(bare(number)) > NUMBER_MAX:
			return number
		number = begun = bare(number)
		profile = profile_id and self.row("normalization_profiles", profile_id)
		if not profile:
			return number
		rules = [r for r in self.t["normalization_rules"] if r["profile_id"] == profile_id and r["rule_type"] == rule_type]
		for rule in sorted(rules, key=lambda r: (r["priority"], r["id"])):
			if begun.startswith(literal_prefix(rule["match_regex"])):
				replaced = re.sub(rule["match_regex"], rule["replace_regex"], number)
				number = replaced if len(replaced) <= NUMBER_MAX else number
		if rule_type == 2 and profile.get("always_intl_prefix_plus") and number and not number.startswith("+"):
			number = "+" + number
		return number

	def header(self, uri, name, number, profile_id, port):
		"""A From or To of a route: (display, uri). `number`: its user, normalized by the caller's profile."""
		if uri.user is None:
			return {"display": display(name, False), "uri": uri.text}
		return {"display": display(name, False), "uri": uri.write(self.normalize(profile_id, 2, number) if profile_id else number, port)}

	# ---- where ----

	def by_domain(self, uri, tenant):
		for ipbx in self.t["ipbxs"]:
			if same_host(self.domain_of(ipbx), uri.host) and tenant in (None, ipbx["tenant_uuid"]):
				return ipbx
		return None

	def by_fqdn(self, source, tenant):
		return next((i for i in self.t["ipbxs"] if source and same_host(i["ip_fqdn"], source) and tenant in (None, i["tenant_uuid"])), None)

	def by_did(self, number, tenant):
		"""As with domains it is the IPBX that has to be the tenant's."""
		found = [d for d in self.t["dids"] if d.get("ipbx_id") and re.match(d["did_regex"], number)
			and tenant in (None, self.row("ipbxs", d["ipbx_id"])["tenant_uuid"])]
		found.sort(key=lambda d: (-len(literal_prefix(d["did_regex"])), d["ipbx_id"], d["id"]))
		return self.row("ipbxs", found[0]["ipbx_id"]) if found else None

	def tenants_of_rule(self, rule):
		"""None: all."""
		groups = {g["tenant_uuid"] for g in self.t["routing_groups"] if g["routing_rule_id"] == rule["id"]}
		if groups:
			return groups
		if rule.get("tenant_uuid"):
			return {rule["tenant_uuid"]}
		rows = [self.row("carrier_trunks", n) for n in self.trunks_of_rule(rule)]
		if rule.get("ipbx_id"):
			rows.append(self.row("ipbxs", rule["ipbx_id"]))
		return {r["tenant_uuid"] for r in rows} or None

	@staticmethod
	def trunks_of_rule(rule):
		first = [rule["carrier_trunk_id"]] if rule.get("carrier_trunk_id") else []
		return list(dict.fromkeys(first + rule.get("trunks", [])))

	def outbound(self, number, tenant, is_ipbx, came_from, now):
		"""
		All orders that are possible, each a list of (ipbx, trunk, rule). came_from: the trunk that is authenticated; its calls leave by rules for
		transit, unless an IPBX is at its address too (is_ipbx), and never by it.
		"""
		rules = [r for r in self.t["routing_rules"] if tenant in (self.tenants_of_rule(r) or {tenant})]
		if not rules:
			trunks = [t for t in self.t["carrier_trunks"] if self.row("carriers", t["carrier_id"])["tenant_uuid"] == tenant]
			return [[(None, t, None) for t in trunks[:1] if is_ipbx and t is not came_from]]
		rules = [r for r in rules if number.startswith(bare(r["prefix"])) and windows_open(r.get("time_windows"), now, self.utc_offset)
			and (not r.get("did_regex") or re.match(r["did_regex"], number)) and (is_ipbx or r["route_type"] == "transit")]
		longest = max((len(bare(r["prefix"])) for r in rules), default=0)
		orders = [[]]
		for _, equal in itertools.groupby(sorted((r for r in rules if len(bare(r["prefix"])) == longest), key=lambda r: r["priority"]),
				key=lambda r: r["priority"]):
			equal = list(equal)
			drawn = itertools.permutations(r for r in equal if r["weight"])
			last = list(itertools.permutations(r for r in equal if not r["weight"]))
			orders = [o + list(d) + list(z) for o, d, z in itertools.product(orders, list(drawn), last)]
		return [self.destinations(order, came_from) for order in orders]

	def destinations(self, rules, came_from):
		out = []
		for rule in rules:
			out += [(None, self.row("carrier_trunks", n), rule) for n in self.trunks_of_rule(rule) if not came_from or n != came_from["id"]]
			if rule.get("ipbx_id"):
				out.append((self.row("ipbxs", rule["ipbx_id"]), None, rule))
		return out

	# ---- the answer ----

	@staticmethod
	def place(ipbx, trunk):
		"""None: a service, which has no instance."""
		host, port = (ipbx["ip_fqdn"], ipbx["port"]) if ipbx else (trunk["sip_proxy"], trunk["sip_proxy_port"])
		if host.startswith("service:"):
			return None
		return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"

	@staticmethod
	def credentials(ipbx, trunk):
		"""All three, or none; never a hash."""
		keys = ("username", "password", "realm") if ipbx else ("auth_username", "auth_password", "realm")
		values = [(ipbx or trunk).get(k) for k in keys]
		if not all(values) or is_hash(values[1]):
			return {}
		return dict(zip(("auth_username", "auth_password", "realm"), values))

	def route(self, q, now):
		"""The answers of /kamailio/routing that are possible at that time; more than one where weights draw lots."""
		asks = q.get("auth") in (1, "1", True, "true")
		ipbx, trunk = self.authenticate(q) if asks else (None, None)
		who = ipbx or trunk
		tenant = who and who["tenant_uuid"]
		source_uri, to_uri = Uri(q["from_uri"]), Uri(q["to_uri"])
		profile = who and who.get("normalization_profile_id")
		calling, called = (self.normalize(profile, 1, u.user) if u.user is not None else "" for u in (source_uri, to_uri))

		number = called if called and len(called) <= NUMBER_MAX else None  # no number, and one that is too long, match nothing
		inbound, orders, owner = None, [[]], tenant
		if to_uri.user is not None:
			inbound = self.by_domain(to_uri, tenant) or number and self.by_did(number, tenant)
		known = ipbx or self.by_fqdn(q.get("source_ip"), tenant)
		if number and (known or trunk):
			owner = (known or trunk)["tenant_uuid"]
			orders = self.outbound(number, owner, known is not None, trunk, now)
		first = [(inbound, None, None)] if inbound else []
		if inbound and self.place(inbound, None):
			owner = inbound["tenant_uuid"]
		answers = []
		for order in orders:
			rtjson = self.rtjson(q, (source_uri, calling), (to_uri, called), first + order)
			answer = {"auth": self.auth_answer(ipbx, trunk) if asks else None, "rtjson": rtjson}
			if asks and not who and rtjson["success"]:
				answer["cdr"] = {"tenant_uuid": owner, "tenant_id": OF_TENANT}
			answers.append(answer)
		return answers

	def rtjson(self, q, calling, called, chosen):
		routes, seen = [], []
		for ipbx, trunk, rule in chosen:
			place, own = self.place(ipbx, trunk), self.credentials(ipbx, trunk)
			same = place and (place.lower(), own.get("auth_username"), own.get("realm"))  # another account is another destination
			if place is None or same in seen or len(routes) == ROUTES_MAX:
				continue
			seen.append(same)
			profile = (ipbx or trunk).get("normalization_profile_id")
			source = self.header(calling[0], q.get("from_name") or "", calling[1], profile, trunk)
			identity = self.header(calling[0], "", calling[1], profile, False)["uri"]
			name = display(q.get("from_name") or "", True)
			routes.append(({"dst_uri": f"sip:{place}", "path": "", "socket": "",
				"headers": {"from": source, "to": self.header(called[0], q.get("to_name") or "", called[1], profile, trunk),
					"extra": f"P-Asserted-Identity: {name + ' ' if name else ''}<{identity}>\r\n"},
				"branch_flags": 8, "fr_timer": 5000, "fr_inv_timer": 30000}, own, trunk, rule))
		if not routes:
			return {"success": False}
		top = next((own for _, own, trunk, _ in routes if trunk and own), None) or next((own for _, own, _, _ in routes if own), {})
		# one alone is serial: in parallel, rtjson sets neither headers nor timers
		parallel = len(routes) > 1 and all(rule and rule["routing"] == "parallel" for _, _, _, rule in routes)
		return {"success": True, "version": "1.0", "routing": "parallel" if parallel else "serial",
			"routes": [{**route, **(own if own != top else {})} for route, own, _, _ in routes], **top}


def names_tenants(answer, numbers):
	"""
	A decoded answer with OF_TENANT in the place of right numbers of tenants. numbers: {uuid: number}, what was seen so far: a tenant keeps its
	number, no two share one, and it is a positive integer of Kamailio's.
	"""
	def named(part):
		if not isinstance(part, dict) or not part.get("tenant_uuid"):
			return part
		uuid, number = part["tenant_uuid"], part["tenant_id"]
		right = isinstance(number, int) and 0 < number < 1 << 31 and numbers.setdefault(uuid, number) == number
		if not right or sum(n == number for n in numbers.values()) != 1:
			return part
		return {**part, "tenant_id": OF_TENANT}
	if "rtjson" not in answer:
		return named(answer)
	return {k: named(v) if k in ("auth", "cdr") else v for k, v in answer.items()}
