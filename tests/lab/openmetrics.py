"""
A strict reader of OpenMetrics 1.0.0 and of Prometheus' text format 0.0.4, as far as c4d writes them: what is not exactly as the
specification has it, is doubled, out of order or against its own type raises Wrong.
"""
import collections
import math
import re

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')
NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|Inf)|NaN")
SUFFIXES = {"gauge": [""], "counter": ["_total"], "info": ["_info"], "histogram": ["_bucket", "_count", "_sum"]}
# In the older format a counter's family has the name of its samples.
OLD_SUFFIXES = {"gauge": [""], "counter": [""], "histogram": ["_bucket", "_count", "_sum"]}

Sample = collections.namedtuple("Sample", "name labels value")


class Wrong(ValueError):
	"""Not what the format allows."""


class Family:
	def __init__(self, name):
		self.name, self.kind, self.unit, self.help, self.samples = name, None, None, None, []


def need(fine, *what):
	if not fine:
		raise Wrong(" ".join(str(w) for w in what))


def unescape(text):
	return re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], text)


def read_labels(text, line):
	out, at = {}, 0
	while at < len(text):
		m = LABEL.match(text, at)
		need(m, "a label that is none:", line)
		need(m[1] not in out, "a label twice:", line)
		need(not m[1].startswith("__"), "a reserved label:", line)
		out[m[1]] = unescape(m[2])
		at = m.end()
		if at < len(text):
			need(text[at] == "," and at + 1 < len(text), "labels that do not end well:", line)
			at += 1
	return out


def read_sample(line):
	m = NAME.match(line)
	need(m, "no name:", line)
	rest, labels = line[m.end():], {}
	if rest.startswith("{"):
		end = 1
		while end < len(rest) and rest[end] != "}":  # a brace may stand in a value
			quoted = LABEL.match(rest, end)
			need(quoted, "a label that is none:", line)
			end = quoted.end() + (rest[quoted.end():quoted.end() + 1] == ",")
		need(end < len(rest), "labels without an end:", line)
		labels = read_labels(rest[1:end], line)
		rest = rest[end + 1:]
	need(rest.startswith(" ") and NUMBER.fullmatch(rest[1:]), "no value, or more than one:", line)
	return Sample(m[0], labels, float(rest[1:]))


def canonical(le):
	"""1.0, 0.25, 1e-05, +Inf."""
	return le == "+Inf" or (NUMBER.fullmatch(le) and repr(float(le)) == le)


def check_histogram(f):
	by = collections.defaultdict(lambda: {"_bucket": [], "_count": [], "_sum": []})
	for s in f.samples:
		rest = tuple(sorted((k, v) for k, v in s.labels.items() if k != "le"))
		part = s.name[len(f.name):]
		need(("le" in s.labels) == (part == "_bucket"), "le belongs to _bucket:", s)
		by[rest][part].append(s)
	for rest, parts in by.items():
		les = [s.labels["le"] for s in parts["_bucket"]]
		counts = [s.value for s in parts["_bucket"]]
		need(all(canonical(le) for le in les), "le is not canonical:", f.name, les)
		need(les and les[-1] == "+Inf", "no class for all:", f.name, rest)
		bounds = [float(le) for le in les]
		need(bounds == sorted(set(bounds)), "classes out of order:", f.name, les)
		need(counts == sorted(counts) and all(c == int(c) >= 0 for c in counts), "classes do not add up:", f.name, counts)
		need(len(parts["_count"]) == 1 and parts["_count"][0].value == counts[-1], "_count is not that of +Inf:", f.name, rest)
		need(len(parts["_sum"]) == 1 and parts["_sum"][0].value >= 0, "no _sum:", f.name, rest)


def check_family(f, old):
	need(f.kind, "no TYPE:", f.name)
	need(f.help, "no HELP:", f.name)
	need(f.unit is None or f.name.endswith("_" + f.unit), "the name does not end with the unit:", f.name, f.unit)
	if not old:
		need(not re.search(r"_(total|info|bucket|count|sum|created)$", f.name), "a reserved end of a name:", f.name)
	for s in f.samples:
		if f.kind == "counter":
			need(s.value >= 0 and not math.isinf(s.value), "a counter of", s)
		if f.kind == "info":
			need(s.value == 1, "an info of", s)
		need(f.kind == "histogram" or "le" not in s.labels, "le belongs to histograms:", s)
	if f.kind == "histogram":
		check_histogram(f)
	elif f.samples:
		need(len({tuple(sorted(s.labels)) for s in f.samples}) == 1, "labels differ within", f.name)


def read(text, old=False):
	"""{name: Family}; old: Prometheus' text format."""
	if isinstance(text, bytes):
		text = text.decode("utf-8")
	need(text.endswith("\n"), "the last line has no end")
	lines = text[:-1].split("\n")
	if not old:
		need(lines.pop() == "# EOF", "no # EOF at the end")
	families, now, seen = {}, None, set()
	for line in lines:
		need(line and "\r" not in line and line == line.strip(" "), "a line that is none:", repr(line))
		if line.startswith("#"):
			m = re.fullmatch(r"# (TYPE|HELP|UNIT) (\S+) (.+)", line)
			need(m and NAME.fullmatch(m[2]), "neither sample nor metadata:", line)
			if now is None or now.name != m[2]:
				need(m[2] not in families, "a family in two places:", m[2])
				now = families[m[2]] = Family(m[2])
			need(not now.samples, "metadata after samples:", line)
			field = {"TYPE": "kind", "HELP": "help", "UNIT": "unit"}[m[1]]
			need(getattr(now, field) is None, "twice:", line)
			need(field != "unit" or not old, "a UNIT in the old format:", line)
			need(not re.search(r"\\[^\\n\"]", m[3]), "an escape that is none:", line)
			setattr(now, field, m[3])
			if m[1] == "TYPE":
				need(m[3] in (OLD_SUFFIXES if old else SUFFIXES), "no type:", line)
			continue
		s = read_sample(line)
		need(now is not None and now.kind, "a sample without a family:", line)
		ends = (OLD_SUFFIXES if old else SUFFIXES)[now.kind]
		need(s.name in [now.name + e for e in ends], "a sample of another family:", line)
		key = (s.name, tuple(sorted(s.labels.items())))
		need(key not in seen, "twice:", line)
		seen.add(key)
		now.samples.append(s)
	for f in families.values():
		check_family(f, old)
	return families


class Scrape:
	"""What was read, by sample: value("c4d_instances", service="router", state="up")."""

	def __init__(self, text, old=False):
		self.families = read(text, old)
		self.samples = [s for f in self.families.values() for s in f.samples]

	def find(self, name, /, **labels):
		return [s for s in self.samples if s.name == name and all(s.labels.get(k) == v for k, v in labels.items())]

	def value(self, name, /, **labels):
		found = self.find(name, **labels)
		if len(found) != 1:
			raise Wrong(f"{len(found)} samples of {name} with {labels}: {found}")
		return found[0].value

	def total(self, name, /, **labels):
		return sum(s.value for s in self.find(name, **labels))
