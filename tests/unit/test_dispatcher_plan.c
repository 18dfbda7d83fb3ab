/*
 * dispatcher_plan: from a snapshot and a configuration to what a Kamailio should hold, from its
 * reply to what it holds, and the steps and states in between.
 */
#include <ctype.h>
#include <errno.h>

#include "conf_fx.h"
#include "reconcile/dispatcher_plan.h"
#include "store_fx.h"

/* ---- texts of entries and plans ---- */

/* "set uri FLAGS prio attrs|" each. */
static char *
print_entries(const struct ds_entries *e)
{
	struct buf b = { 0 };
	size_t i;

	buf_puts(&b, "");
	for (i = 0; i < e->n; i++)
		buf_printf(&b, "%d %s %u %d%s%s|", e->v[i].set, e->v[i].uri, e->v[i].flags,
		    e->v[i].priority, e->v[i].attrs ? " " : "", e->v[i].attrs ? e->v[i].attrs : "");
	return buf_take(&b);
}

static void
assert_entries(const char *what, const struct ds_entries *e, const char *want)
{
	char *got = print_entries(e);

	if (strcmp(got, want) != 0)
		fail_msg("%s:\n got %s\nwant %s", what, got, want);
	free(got);
}

/* "op set uri state (detail)|" each. */
static void
assert_plan(const char *what, const struct dsp_plan *p, const char *want)
{
	struct buf b = { 0 };
	size_t i, structural = 0;

	buf_puts(&b, "");
	for (i = 0; i < p->n; i++) {
		buf_printf(&b, "%s %d %s", dsp_op_name(p->v[i].op), p->v[i].set, p->v[i].uri);
		if (p->v[i].state != NULL)
			buf_printf(&b, " %s", p->v[i].state);
		if (p->v[i].detail != NULL)
			buf_printf(&b, " (%s)", p->v[i].detail);
		buf_puts(&b, "|");
		structural += dsp_is_structural(&p->v[i]);
	}
	if (strcmp(b.s, want) != 0)
		fail_msg("%s:\n got %s\nwant %s", what, b.s, want);
	assert_int_equal(p->structural, structural);
	buf_free(&b);
}

/* Lines as in a list file; the flags column holds whatever a row is about. */
static struct ds_entries
entries_of(const char *lines)
{
	struct ds_entries e = { 0 };
	size_t bad = 0;

	dslist_parse(lines, strlen(lines), &e, &bad);
	assert_int_equal(bad, 0);
	return e;
}

/* ---- templates ---- */

static void
templates_are_filled_in(void **state)
{
	static const struct {
		const char *template;
		const char *addr;
		uint16_t weight, priority;
		const char *want;
	} rows[] = {
		{ "", "10.0.0.1:5060", 1, 1, "" },
		{ "sip:{address}:{port}", "10.0.0.1:5060", 1, 1, "sip:10.0.0.1:5060" },
		{ "sip:{address}:{port};transport=tcp", "[2001:db8::1]:5061", 1, 1,
		    "sip:[2001:db8::1]:5061;transport=tcp" },
		{ "{address}{address}{port}{port}", "10.0.0.1:7", 1, 1, "10.0.0.110.0.0.177" },
		{ "weight={weight}", "10.0.0.1:1", 0, 1, "weight=1" },
		{ "weight={weight}", "10.0.0.1:1", 1, 1, "weight=1" },
		{ "weight={weight}", "10.0.0.1:1", 100, 1, "weight=100" },
		{ "weight={weight}", "10.0.0.1:1", 101, 1, "weight=100" },
		{ "weight={weight}", "10.0.0.1:1", 65535, 1, "weight=100" },
		{ "p={priority};w={weight}", "10.0.0.1:1", 50, 0, "p=0;w=50" },
		{ "p={priority}", "10.0.0.1:1", 50, 65535, "p=65535" },
		{ "{port}", "10.0.0.1:0", 1, 1, "0" },
		{ "{port}", "10.0.0.1:65535", 1, 1, "65535" },
		{ "{address", "10.0.0.1:1", 1, 1, "{address" },
		{ "{Address}{}{{port}}", "10.0.0.1:1", 1, 1, "{Address}{}{1}" },
		{ "100%s{port}%n", "10.0.0.1:1", 1, 1, "100%s1%n" },
	};
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		struct topo_instance inst = { .weight = rows[i].weight,
			.priority = rows[i].priority };
		char *got;

		assert_int_equal(topo_addr_parse(rows[i].addr, &inst.addr), 0);
		got = dsp_expand(rows[i].template, &inst);
		assert_string_equal(got, rows[i].want);
		free(got);
	}
}

/* ---- desired ---- */

#define HEAD \
	"services:\n  router: { tags: [blue] }\n  rtp: {}\nkamailio:\n  sbc:\n    list_file: /l\n    dispatcher:\n"

static struct conf *
conf_of(const char *sets)
{
	char *text = xasprintf(HEAD "%s", sets);
	struct conf *conf = conf_of_text(text);

	free(text);
	return conf;
}

static void
check_desired(const char *what, const struct conf *conf, const struct topo *topo, const char *want,
    const char *want_sets)
{
	struct ds_entries e = { 0 };
	struct ds_set_ref sets[8];
	struct buf b = { 0 };
	size_t n = 99, i;

	dsp_desired(conf->kamailios[0], topo, &e, sets, &n);
	assert_entries(what, &e, want);
	buf_puts(&b, "");
	for (i = 0; i < n; i++)
		buf_printf(&b, "%d%s ", sets[i].id, sets[i].exclusive ? "" : "+");
	if (strcmp(b.s, want_sets) != 0)
		fail_msg("%s: sets %s, want %s", what, b.s, want_sets);
	buf_free(&b);
	ds_entries_clear(&e);
}

static void
desired_follows_the_snapshot(void **state)
{
	static const struct {
		const char *sets;
		const char *topo;
		const char *want, *want_sets;
	} rows[] = {
		{ "      1: { service: router }\n", "router 10.0.0.2:5060/up 10.0.0.1:5060/up",
		    "1 sip:10.0.0.1:5060 0 0|1 sip:10.0.0.2:5060 0 0|", "1 " },
		{ "      1: { service: router, flags: 16, priority: 5, attrs: \"weight={weight}\", exclusive: false }\n",
		    "router [::1]:5060/up", "1 sip:[::1]:5060 16 5 weight=1|", "1+ " },
		/* the states: only up and held take calls */
		{ "      1: { service: router, flags: 8 }\n",
		    "router 10.0.0.1:1/up 10.0.0.2:1/disabled 10.0.0.3:1/held "
		    "10.0.0.4:1/suppressed 10.0.0.5:1/draining",
		    "1 sip:10.0.0.1:1 8 0|1 sip:10.0.0.2:1 12 0|1 sip:10.0.0.3:1 8 0|1 sip:10.0.0.4:1 12 0|1 sip:10.0.0.5:1 12 0|",
		    "1 " },
		/* a service that never had an instance, and one that lost its last */
		{ "      1: { service: router }\n      2: { service: rtp }\n",
		    "router ?; rtp 10.0.0.9:2223/up", "2 sip:10.0.0.9:2223 0 0|", "2 " },
		{ "      1: { service: router }\n      2: { service: rtp }\n", "router; rtp ?", "",
		    "1 " },
		{ "      1: { service: router }\n", "rtp 10.0.0.9:2223/up", "", "" },
		{ "      1: { service: router }\n", "", "", "" },
		/* numeric order of sets and addresses, not that of text */
		{ "      10: { service: router }\n      9: { service: router, uri: \"sips:{address}\" }\n",
		    "router 10.0.0.10:5060/up 10.0.0.9:5060/up",
		    "9 sips:10.0.0.9 0 0|9 sips:10.0.0.10 0 0|10 sip:10.0.0.9:5060 0 0|10 sip:10.0.0.10:5060 0 0|",
		    "10 9 " },
		/* twins: two instances that give one destination; in while one of them is */
		{ "      1: { service: router, uri: \"sip:{address}\" }\n",
		    "router 10.0.0.1:1/disabled 10.0.0.1:2/up 10.0.0.1:3/disabled",
		    "1 sip:10.0.0.1 0 0|", "1 " },
		{ "      1: { service: router, uri: \"sip:{address}\" }\n",
		    "router 10.0.0.1:1/disabled 10.0.0.1:2/disabled", "1 sip:10.0.0.1 4 0|", "1 " },
		{ "      1: { service: router, uri: \"sip:{address}\", flags: 8 }\n",
		    "router 10.0.0.1:1/up 10.0.0.1:2/held 10.0.0.2:2/up",
		    "1 sip:10.0.0.1 8 0|1 sip:10.0.0.2 8 0|", "1 " },
	};
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		struct conf *conf = conf_of(rows[i].sets);
		struct topo *t = topo_of(1, rows[i].topo);

		check_desired(rows[i].topo, conf, t, rows[i].want, rows[i].want_sets);
		topo_unref(t);
		conf_free(conf);
	}
}

static void
the_first_matching_tag_overrides(void **state)
{
	static const char sets[] =
	    "      1:\n"
	    "        service: router\n"
	    "        flags: 8\n"
	    "        priority: 5\n"
	    "        attrs: \"weight={weight}\"\n"
	    "        tag:\n"
	    "          primary: { priority: 10 }\n"
	    "          blue: { uri: \"sips:{address}\", flags: 0, attrs: \"\", priority: 0 }\n"
	    "          green: { attrs: \"color=green\" }\n";
	static const struct {
		const char *tags;
		const char *want;
	} rows[] = {
		{ NULL, "1 sip:10.0.0.1:5060 8 5 weight=1|" },
		{ "", "1 sip:10.0.0.1:5060 8 5 weight=1|" },
		{ "other", "1 sip:10.0.0.1:5060 8 5 weight=1|" },
		{ "primary", "1 sip:10.0.0.1:5060 8 10 weight=1|" },
		{ "blue", "1 sips:10.0.0.1 0 0|" },
		{ "blue,primary",
		    "1 sip:10.0.0.1:5060 8 10 weight=1|" }, /* in the order of the configuration */
		{ "blue,green", "1 sips:10.0.0.1 0 0|" },
		{ "green,other", "1 sip:10.0.0.1:5060 8 5 color=green|" },
		{ "primar,primary2", "1 sip:10.0.0.1:5060 8 5 weight=1|" },
	};
	struct conf *conf = conf_of(sets);
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		struct topo *t = topo_of(1, "router 10.0.0.1:5060/up");

		t->services[0].inst[0].tags = xstrdup(rows[i].tags);
		check_desired(rows[i].tags ? rows[i].tags : "NULL", conf, t, rows[i].want, "1 ");
		topo_unref(t);
	}
	conf_free(conf);
}

static void
adopted_lines_stay_as_they_were(void **state)
{
	static const struct {
		const char *origin;
		enum topo_state st;
		const char *want;
	} rows[] = {
		{ "sbc/1 sip:10.0.0.1 16 7 weight=9;x=y", TOPO_UP,
		    "1 sip:10.0.0.1 16 7 weight=9;x=y|" },
		/* its state bits are not ours to keep; D says whether it is in */
		{ "sbc/1 sip:10.0.0.1 31 7", TOPO_UP, "1 sip:10.0.0.1 16 7|" },
		{ "sbc/1 sip:10.0.0.1 0", TOPO_DISABLED, "1 sip:10.0.0.1 4 0|" },
		{ "sbc/1 sip:a.example:5070;transport=tls", TOPO_HELD,
		    "1 sip:a.example:5070;transport=tls 0 0|" },
		/* a line per set */
		{ "sbc/2 sip:two 0 2\nsbc/1 sip:one 0 1 a=b", TOPO_UP,
		    "1 sip:one 0 1 a=b|2 sip:two 0 2|" },
		{ "sbc/1 sip:one 0 1\nsbc/1 sip:again 0 1", TOPO_UP, "1 sip:one 0 1|" },
		/* sets that did not hold it, other Kamailios, and names that only begin alike */
		{ "sbc/10 sip:ten 0 0\nsbc2/1 sip:other 0 0\nxsbc/1 sip:x 0 0", TOPO_UP, "" },
		{ "", TOPO_UP, "" },
		{ "sbc/1 # none", TOPO_UP, "" },
		{ "sbc/1 ", TOPO_UP, "" },
		{ "sbc/1", TOPO_UP, "" },
	};
	struct conf *conf = conf_of(
	    "      1: { service: router, attrs: \"weight={weight}\" }\n      2: { service: router }\n");
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		struct topo *t = topo_of(1, "router 10.0.0.1:5060/up");

		t->services[0].inst[0].origin = xstrdup(rows[i].origin);
		t->services[0].inst[0].state = rows[i].st;
		check_desired(rows[i].origin, conf, t, rows[i].want, "1 2 ");
		topo_unref(t);
	}
	conf_free(conf);
}

/* ---- dispatcher.list ---- */

static void
put_text(struct buf *b, unsigned type, const char *s, size_t n)
{
	uint8_t head[2] = { (uint8_t)(0x90 | type), (uint8_t)(n + 1) };

	assert_true(n < 255);
	buf_add(b, head, 2);
	buf_add(b, s, n);
	buf_add(b, "", 1);
}

/*
 * A reply in few signs: NAME before a value, {...} struct, [...] array, 'text', =int.
 */
static struct buf
packet_of(enum binrpc_kind kind, const char *p)
{
	struct buf body = { 0 }, out;

	for (; *p; p++) {
		size_t n;

		switch (*p) {
		case '{':
			buf_add(&body, "\x03", 1);
			break;
		case '}':
			buf_add(&body, "\x83", 1);
			break;
		case '[':
			buf_add(&body, "\x04", 1);
			break;
		case ']':
			buf_add(&body, "\x84", 1);
			break;
		case '\'':
			n = strcspn(++p, "'");
			put_text(&body, 1, p, n);
			p += n;
			break;
		case '=':
			binrpc_add_int(&body, (int32_t)strtol(p + 1, NULL, 10));
			p += strspn(p + 1, "-0123456789");
			break;
		case ' ':
			break;
		default:
			assert_true(isupper((unsigned char)*p));
			n = strspn(p, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
			put_text(&body, 5, p, n);
			p += n - 1;
		}
	}
	assert_int_equal(binrpc_packet(kind, 7, &body, &out), 0);
	buf_free(&body);
	return out;
}

static int
read_list(enum binrpc_kind kind, const char *text, struct ds_entries *out)
{
	struct buf packet = packet_of(kind, text);
	struct binrpc_msg msg;
	int rc;

	assert_int_equal(binrpc_open((const uint8_t *)packet.s, packet.len, &msg), 0);
	rc = dsp_read_list(&msg, out);
	buf_free(&packet);
	return rc;
}

#define NO_ATTRS \
	"ATTRS{BODY'<null string>' DUID'<null string>' MAXLOAD=0 WEIGHT=0 RWEIGHT=0 " \
	"SOCKET'<null string>' SOCKNAME'<null string>' OBPROXY'<null string>'}"
#define LATENCY "LATENCY{AVG=0 STD=0 EST=0 MAX=0 TIMEOUT=0}"

static void
lists_are_read(void **state)
{
	static const struct {
		const char *reply;
		const char *want;
	} rows[] = {
		{ "{NRSETS=0 RECORDS{}}", "" },
		{ "{NRSETS=1 RECORDS{SET{ID=1 TARGETS{}}}}", "" },
		{ "{NRSETS=1 RECORDS{SET{ID=1}}}", "" },
		{ "{NRSETS=2 RECORDS{SET{ID=2 TARGETS{"
		  "DEST{URI'sip:10.0.0.9:5060' FLAGS'AX' PRIORITY=0 " NO_ATTRS LATENCY "}}}"
		  "SET{ID=1 TARGETS{"
		  "DEST{URI'sip:10.0.0.2:5060' FLAGS'IP' PRIORITY=5 "
		  "ATTRS{BODY'weight=50' DUID'' WEIGHT=50} " LATENCY "RUNTIME{DLGLOAD=3}}"
		  "DEST{URI'sip:10.0.0.1;transport=tcp' FLAGS'DX' PRIORITY=5 ATTRS{BODY''}}"
		  "DEST{URI'sip:10.0.0.3' FLAGS'TP' PRIORITY=9}}}}}",
		    "2 sip:10.0.0.9:5060 0 0|1 sip:10.0.0.2:5060 9 5 weight=50|"
		    "1 sip:10.0.0.1;transport=tcp 4 5|1 sip:10.0.0.3 10 9|" },
		{ "{RECORDS{SET{ID=1 TARGETS{DEST{URI'sip:a' FLAGS'AP'}DEST{URI'sip:a' FLAGS'AP'}}}}}",
		    "1 sip:a 8 0|1 sip:a 8 0|" },
		/* what may be missing */
		{ "{RECORDS{SET{ID=1 TARGETS{DEST{URI'sip:a'}}}}}", "1 sip:a 0 0|" },
		{ "{RECORDS{SET{ID=1 TARGETS{DEST{URI'sip:a' FLAGS'' PRIORITY'5' ATTRS'weight=1'}}}}}",
		    "1 sip:a 0 0|" },
		{ "{RECORDS{SET{ID=1 TARGETS{DEST{URI'sip:a' ATTRS{}}}}}}", "1 sip:a 0 0|" },
		/* things of a later version between */
		{ "{HELLO=1 RECORDS{EXTRA{ID=9}SET{NEW'x' ID=1 TARGETS{OTHER{}DEST{IUID=3 URI'sip:a' FLAGS'A'}OTHER{}}}EXTRA=1}}",
		    "1 sip:a 0 0|" },
		{ "{RECORDS[{}=1]}", "" },
		{ "{RECORDS{SET'one'}}", NULL },
		{ "{RECORDS{SET{TARGETS{DEST{URI'sip:a'}}}}}", NULL },
		{ "{RECORDS{SET{ID'1' TARGETS{DEST{URI'sip:a'}}}}}", NULL },
		{ "{RECORDS{SET{ID=1 TARGETS{DEST{FLAGS'AX'}}}}}", NULL },
		{ "{RECORDS{SET{ID=1 TARGETS{DEST{URI=5}}}}}", NULL },
		{ "{RECORDS{SET{ID=1 TARGETS{DEST=1}}}}", NULL },
		{ "{RECORDS'none'}", NULL },
		{ "{NRSETS=0}", NULL },
		{ "{}", NULL },
		{ "", NULL },
		{ "'Ok'", NULL },
		{ "=200", NULL },
	};
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		struct ds_entries e = { 0 };
		int rc = read_list(BINRPC_REPLY, rows[i].reply, &e);

		if (rc != (rows[i].want ? 0 : -EBADMSG))
			fail_msg("%s: %d", rows[i].reply, rc);
		if (rows[i].want != NULL)
			assert_entries(rows[i].reply, &e, rows[i].want);
		ds_entries_clear(&e);
	}
}

static void
a_fault_is_no_list(void **state)
{
	struct ds_entries e = { 0 };

	assert_int_equal(read_list(BINRPC_FAULT, "=500 'No Destination Sets'", &e), -EBADMSG);
	assert_int_equal(e.n, 0);
}

static void
flags_as_kamailio_shows_them(void **state)
{
	static const struct {
		unsigned flags;
		const char *want;
	} rows[] = {
		{ 0, "AX" },
		{ DS_PROBING, "AP" },
		{ DS_DISABLED, "DX" },
		{ DS_DISABLED | DS_PROBING, "DP" },
		{ DS_INACTIVE, "IX" },
		{ DS_INACTIVE | DS_PROBING, "IP" },
		{ DS_TRYING, "TX" },
		{ DS_TRYING | DS_PROBING, "TP" },
		{ DS_DISABLED | DS_INACTIVE | DS_TRYING, "DX" },
		{ DS_NODNS | DS_NOPING, "AX" },
	};
	char out[8];
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		dsp_flags_text(rows[i].flags, out);
		assert_string_equal(out, rows[i].want);
	}
}

/* ---- the plan ---- */

static void
plans_are_least(void **state)
{
	static const struct {
		const char *desired, *actual, *foreign;
		const char *sets; /* "1 2+": + is not exclusive */
		const char *want;
	} rows[] = {
		{ "", "", "", "1", "" },
		{ "1 sip:a 0 0 w=1\n", "1 sip:a 0 0 w=1\n", "", "1", "" },
		{ "1 sip:a\n1 sip:b\n", "1 sip:b\n1 sip:a\n", "", "1",
		    "" }, /* the order is no difference */
		{ "1 sip:a\n", "", "", "1", "add 1 sip:a|" },
		{ "1 sip:a 4\n", "", "", "1", "add 1 sip:a|" },
		{ "", "1 sip:a\n", "", "1", "remove 1 sip:a|" },
		{ "1 sip:b\n", "1 sip:a\n", "", "1", "add 1 sip:b|remove 1 sip:a|" },
		{ "1 sip:a 0 5\n", "1 sip:a 0 0\n", "", "1", "change 1 sip:a (priority 0 -> 5)|" },
		{ "1 sip:a 0 0 w=1\n", "1 sip:a 0 0\n", "", "1",
		    "change 1 sip:a (attributes \"\" -> \"w=1\")|" },
		{ "1 sip:a 0 0\n", "1 sip:a 0 0 w=2\n", "", "1",
		    "change 1 sip:a (attributes \"w=2\" -> \"\")|" },
		{ "1 sip:a 0 5 w=1\n", "1 sip:a 0 0 w=2\n", "", "1",
		    "change 1 sip:a (priority 0 -> 5)|" }, /* one is enough */
		{ "1 sip:a 4\n", "1 sip:a 0\n", "", "1", "disable 1 sip:a dx|" },
		{ "1 sip:a 0\n", "1 sip:a 4\n", "", "1", "enable 1 sip:a a|" },
		{ "1 sip:a 8\n", "1 sip:a 4\n", "", "1", "enable 1 sip:a ap|" },
		{ "1 sip:a 4 5\n", "1 sip:a 0 0\n", "", "1",
		    "change 1 sip:a (priority 0 -> 5)|disable 1 sip:a dx|" },
		{ "1 sip:a 4\n", "1 sip:a 4\n", "", "1", "" },
		/* I, T and P are Kamailio's; no DNS and no ping are not visible in its list */
		{ "1 sip:a 56\n", "1 sip:a 3\n", "", "1", "" },
		/* listed more than once: one add too many, or two */
		{ "1 sip:a\n", "1 sip:a\n1 sip:a\n1 sip:a\n", "", "1",
		    "duplicate 1 sip:a|duplicate 1 sip:a|" },
		{ "", "1 sip:a\n1 sip:a\n", "", "1", "remove 1 sip:a|duplicate 1 sip:a|" },
		/* the same URI in two sets is two destinations */
		{ "1 sip:a\n", "2 sip:a\n", "", "1 2", "add 1 sip:a|remove 2 sip:a|" },
		/* sets that are not c4d's */
		{ "", "3 sip:a\n3 sip:a\n", "", "1 2+", "" },
		{ "", "1 sip:a\n", "", "", "" },
		/* not exclusive: what the file's own lines hold stays, also when it stands there
		   twice */
		{ "2 sip:a\n", "2 sip:a\n2 sip:f\n", "2 sip:f\n", "2+", "" },
		{ "2 sip:a\n", "2 sip:a\n2 sip:f\n2 sip:g\n", "2 sip:f\n", "2+",
		    "remove 2 sip:g|" },
		{ "", "2 sip:f\n2 sip:f\n", "2 sip:f\n2 sip:f\n", "2+", "" },
		/* theirs and ours of one URI: theirs stands, once */
		{ "2 sip:f\n", "2 sip:f\n", "2 sip:f\n", "2+", "" },
		{ "2 sip:f\n", "2 sip:f\n2 sip:f\n", "2 sip:f\n", "2+", "duplicate 2 sip:f|" },
		{ "2 sip:f 0 1 w=1\n", "2 sip:f 0 1 w=1\n", "2 sip:f 0 3 w=1\n", "2+",
		    "theirs 2 sip:f (priority 3 -> 1)|change 2 sip:f (priority 1 -> 3)|" },
		{ "2 sip:f 0 1\n", "2 sip:f 0 1 w=9\n", "2 sip:f 0 1 w=9\n", "2+",
		    "theirs 2 sip:f (attributes \"w=9\" -> \"\")|" },
		{ "2 sip:f 0 1\n", "", "2 sip:f 0 1 w=9\n", "2+",
		    "theirs 2 sip:f (attributes \"w=9\" -> \"\")|add 2 sip:f|" },
		/* out of service it is taken all the same */
		{ "2 sip:f 4\n", "2 sip:f\n", "2 sip:f\n", "2+", "disable 2 sip:f dx|" },
		{ "2 sip:f\n", "2 sip:f 4\n", "2 sip:f\n", "2+", "enable 2 sip:f a|" },
		/* in a set that is c4d's alone, nothing is theirs */
		{ "1 sip:f 0 1\n", "1 sip:f 0 1\n", "1 sip:f 0 3\n", "1", "" },
		{ "", "2 sip:f\n", "1 sip:f\n", "2+", "remove 2 sip:f|" },
		{ "", "1 sip:f\n", "1 sip:f\n", "1",
		    "remove 1 sip:f|" }, /* exclusive: none is foreign */
		{ "", "1 sip:f\n1 sip:f\n", "1 sip:f\n", "1", "remove 1 sip:f|duplicate 1 sip:f|" },
	};
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		struct ds_entries desired = entries_of(rows[i].desired),
				  actual = entries_of(rows[i].actual);
		struct ds_entries foreign = entries_of(rows[i].foreign);
		struct ds_set_ref sets[4];
		struct dsp_plan plan = { 0 };
		char *what = xasprintf("row %zu: %s / %s", i, rows[i].desired, rows[i].actual);
		const char *p;
		size_t n = 0;

		for (p = rows[i].sets; *p; p++)
			if (isdigit((unsigned char)*p))
				sets[n++] = (struct ds_set_ref){ *p - '0', p[1] != '+' };
		dsp_make_plan(&desired, &actual, &foreign, sets, n, &plan);
		assert_plan(what, &plan, rows[i].want);
		dsp_plan_clear(&plan);
		assert_int_equal(plan.n, 0);
		free(what);
		ds_entries_clear(&desired);
		ds_entries_clear(&actual);
		ds_entries_clear(&foreign);
	}
}

static void
entries_are_found_by_set_and_uri(void **state)
{
	struct ds_entries e = entries_of("1 sip:a 0 1\n2 sip:a 0 2\n2 sip:b 0 3\n");
	struct dsp_index ix;

	assert_int_equal(dsp_find(&e, 2, "sip:a")->priority, 2);
	assert_int_equal(dsp_find(&e, 2, "sip:b")->priority, 3);
	assert_null(dsp_find(&e, 1, "sip:b"));
	assert_null(dsp_find(&e, 3, "sip:a"));
	ix = dsp_index_make(&e);
	assert_int_equal(dsp_index_find(&ix, 2, "sip:b")->priority, 3);
	assert_null(dsp_index_find(&ix, 1, "sip:b"));
	assert_null(dsp_index_find(&ix, 1, "sip:"));
	dsp_index_free(&ix);
	ds_entries_clear(&e);
	assert_null(dsp_find(&e, 1, "sip:a"));
}

/* ---- states ---- */

enum { A = 0, I = DS_INACTIVE, T = DS_TRYING, D = DS_DISABLED, P = DS_PROBING };

/* One by one as all at once. */
static void
assert_flags(const struct ds_entries *desired, const struct dsp_known *known, const struct ds_entries *out)
{
	size_t i;

	for (i = 0; i < out->n; i++)
		assert_int_equal(dsp_file_flags(desired, known, dsp_find(desired, out->v[i].set, out->v[i].uri)),
		    out->v[i].flags);
}

/* "1 sip:a 8" lines: the desired ones with the configured bits and D, the others with what Kamailio
 * shows. */
static void
the_file_carries_states(void **state)
{
	static const struct {
		const char *desired, *states;
		bool probing;
		const char *want;
	} rows[] = {
		/* nothing known yet */
		{ "1 sip:a 0 5 w=1\n1 sip:b 4\n", "", true, "1 sip:a 0 5 w=1|1 sip:b 4 0|" },
		/* I goes with P, while another of the set is not inactive */
		{ "1 sip:a\n1 sip:b\n", "1 sip:a 9\n1 sip:b 0\n", true,
		    "1 sip:a 9 0|1 sip:b 0 0|" },
		{ "1 sip:a\n1 sip:b\n", "1 sip:a 1\n1 sip:b 0\n", true,
		    "1 sip:a 9 0|1 sip:b 0 0|" },
		/* T and P as they are */
		{ "1 sip:a\n1 sip:b\n", "1 sip:a 10\n1 sip:b 8\n", true,
		    "1 sip:a 10 0|1 sip:b 8 0|" },
		{ "1 sip:a 16\n1 sip:b 48\n", "1 sip:a 2\n1 sip:b 0\n", true,
		    "1 sip:a 18 0|1 sip:b 48 0|" },
		/* never for all of a set; a disabled one does not count as one that is left */
		{ "1 sip:a\n1 sip:b\n", "1 sip:a 9\n1 sip:b 9\n", true,
		    "1 sip:a 8 0|1 sip:b 8 0|" },
		{ "1 sip:a\n", "1 sip:a 9\n", true, "1 sip:a 8 0|" },
		{ "1 sip:a\n1 sip:b 4\n", "1 sip:a 9\n1 sip:b 4\n", true,
		    "1 sip:a 8 0|1 sip:b 4 0|" },
		{ "1 sip:a\n1 sip:b\n", "1 sip:a 9\n", true,
		    "1 sip:a 9 0|1 sip:b 0 0|" }, /* b is new: it takes calls */
		{ "1 sip:a\n2 sip:a\n2 sip:b\n", "1 sip:a 9\n2 sip:a 9\n2 sip:b 8\n", true,
		    "1 sip:a 8 0|2 sip:a 9 0|2 sip:b 8 0|" },
		{ "1 sip:a\n1 sip:b\n2 sip:a\n", "1 sip:a 9\n1 sip:b 0\n2 sip:a 9\n", true,
		    "1 sip:a 9 0|1 sip:b 0 0|2 sip:a 8 0|" },
		/* D is ours alone: both ways */
		{ "1 sip:a 4\n1 sip:b\n", "1 sip:a 9\n1 sip:b 0\n", true,
		    "1 sip:a 4 0|1 sip:b 0 0|" },
		{ "1 sip:a 0\n1 sip:b\n", "1 sip:a 4\n1 sip:b 0\n", true,
		    "1 sip:a 0 0|1 sip:b 0 0|" },
		{ "1 sip:a 0\n1 sip:b\n", "1 sip:a 12\n1 sip:b 0\n", true,
		    "1 sip:a 8 0|1 sip:b 0 0|" },
		/* where Kamailio does not ping, what is written inactive would stay so */
		{ "1 sip:a\n1 sip:b\n", "1 sip:a 9\n1 sip:b 0\n", false,
		    "1 sip:a 8 0|1 sip:b 0 0|" },
		{ "1 sip:a\n1 sip:b\n", "1 sip:a 1\n1 sip:b 2\n", false,
		    "1 sip:a 0 0|1 sip:b 2 0|" },
		/* of another set, or no longer desired */
		{ "1 sip:a\n", "2 sip:a 8\n1 sip:c 8\n", true, "1 sip:a 0 0|" },
	};
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		struct ds_entries desired = entries_of(rows[i].desired),
				  states = entries_of(rows[i].states), out = { 0 };
		char *what = xasprintf("row %zu: %s / %s", i, rows[i].desired, rows[i].states);
		struct dsp_known known;

		known = (struct dsp_known){ .states = &states, .probing = rows[i].probing };
		dsp_file_entries(&desired, &known, &out);
		assert_entries(what, &out, rows[i].want);
		assert_flags(&desired, &known, &out);
		free(what);
		ds_entries_clear(&desired);
		ds_entries_clear(&states);
		ds_entries_clear(&out);
	}
}

/* Every combination of states in a set of three: the rules that no row above may break. */
static void
the_file_never_puts_a_set_out(void **state)
{
	static const unsigned shown[] = { A, P, I, I | P, T, T | P, D, D | P, D | I };
	unsigned n = NELEM(shown), combo, probing, d;

	for (combo = 0; combo < n * n * n; combo++)
		for (d = 0; d < 8; d++)
			for (probing = 0; probing < 2; probing++) {
				struct ds_entries desired = { 0 }, states = { 0 }, out = { 0 };
				struct dsp_known known;
				unsigned at = combo, k, in = 0, inactive = 0;

				for (k = 0; k < 3; k++, at /= n) {
					const char uri[] = { 's', 'i', 'p', ':', (char)('a' + k),
						'\0' };

					ds_entries_add(
					    &desired, 1, uri, d >> k & 1 ? D : 0, 0, NULL);
					ds_entries_add(&states, 1, uri, shown[at % n], 0, NULL);
				}
				known = (struct dsp_known){ .states = &states, .probing = probing };
				dsp_file_entries(&desired, &known, &out);
				assert_int_equal(out.n, 3);
				for (k = 0; k < 3; k++) {
					assert_int_equal(
					    out.v[k].flags & D, desired.v[k].flags & D);
					assert_false((out.v[k].flags & I) && !(out.v[k].flags & P));
					assert_false((out.v[k].flags & I) && (out.v[k].flags & D));
					in += !(out.v[k].flags & D);
					inactive += (out.v[k].flags & I) != 0;
				}
				assert_true(inactive == 0 || (probing && inactive < in));
				ds_entries_clear(&desired);
				ds_entries_clear(&states);
				ds_entries_clear(&out);
			}
}

static void
the_file_leaves_theirs_out(void **state)
{
	struct ds_entries desired = entries_of("1 sip:a\n1 sip:b\n2 sip:a\n"), theirs = entries_of("1 sip:b 0 7\n");
	struct ds_entries states = { 0 }, out = { 0 };
	struct dsp_known known = { .states = &states, .theirs = &theirs, .probing = true };

	dsp_file_entries(&desired, &known, &out);
	assert_entries("theirs", &out, "1 sip:a 0 0|2 sip:a 0 0|");
	ds_entries_clear(&desired);
	ds_entries_clear(&theirs);
	ds_entries_clear(&out);
}

static void
lost_destinations_keep_their_states(void **state)
{
	static const struct {
		const char *desired, *before, *now, *lost;
		const char *want_lost, *want_file;
	} rows[] = {
		{ "1 sip:a\n1 sip:b\n", "1 sip:a 9\n1 sip:b 0\n", "1 sip:a 9\n1 sip:b 0\n", "", "",
		    "1 sip:a 9 0|1 sip:b 0 0|" },
		{ "1 sip:a\n1 sip:b\n", "1 sip:a 9\n1 sip:b 0\n", "1 sip:b 0\n", "", "1 sip:a 9 0|",
		    "1 sip:a 9 0|1 sip:b 0 0|" },
		/* for as long as it is missing, however often the list is read */
		{ "1 sip:a\n1 sip:b\n", "", "1 sip:b 0\n", "1 sip:a 9\n", "1 sip:a 9 0|",
		    "1 sip:a 9 0|1 sip:b 0 0|" },
		{ "1 sip:a\n1 sip:b\n", "1 sip:b 0\n", "1 sip:a 0\n1 sip:b 0\n", "1 sip:a 9\n", "",
		    "1 sip:a 0 0|1 sip:b 0 0|" },
		/* the newer of two */
		{ "1 sip:a\n1 sip:b\n", "1 sip:a 8\n", "1 sip:b 0\n", "1 sip:a 9\n", "1 sip:a 8 0|",
		    "1 sip:a 8 0|1 sip:b 0 0|" },
		/* nobody wants it any more */
		{ "1 sip:b\n", "1 sip:a 9\n1 sip:b 0\n", "1 sip:b 0\n", "1 sip:a 9\n", "", "1 sip:b 0 0|" },
		/* it must not count as the one that is alive */
		{ "1 sip:a\n1 sip:b\n", "1 sip:a 9\n1 sip:b 9\n", "1 sip:b 9\n", "", "1 sip:a 9 0|",
		    "1 sip:a 8 0|1 sip:b 8 0|" },
	};
	struct ds_set_ref sets[] = { { 1, true } };
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		struct ds_entries desired = entries_of(rows[i].desired), before = entries_of(rows[i].before);
		struct ds_entries now = entries_of(rows[i].now), lost = entries_of(rows[i].lost), none = { 0 }, out = { 0 };
		struct dsp_known known = { .states = &now, .lost = &lost, .probing = true };
		struct dsp_plan plan = { 0 };
		char *what = xasprintf("row %zu", i);

		dsp_make_plan(&desired, &now, &none, sets, 1, &plan);
		dsp_note_lost(&plan, &before, &lost);
		assert_entries(what, &lost, rows[i].want_lost);
		dsp_file_entries(&desired, &known, &out);
		assert_entries(what, &out, rows[i].want_file);
		assert_flags(&desired, &known, &out);
		free(what);
		dsp_plan_clear(&plan);
		ds_entries_clear(&desired);
		ds_entries_clear(&before);
		ds_entries_clear(&now);
		ds_entries_clear(&lost);
		ds_entries_clear(&out);
	}
}

static void
a_reload_is_repaired(void **state)
{
	static const struct {
		const char *desired, *before, *after;
		bool probing;
		const char *want;
	} rows[] = {
		{ "1 sip:a\n1 sip:b\n", "1 sip:a 9\n1 sip:b 0\n", "1 sip:a 9\n1 sip:b 0\n", true,
		    "" },
		{ "1 sip:a\n1 sip:b\n", "1 sip:a 9\n1 sip:b 0\n", "1 sip:a 0\n1 sip:b 0\n", true,
		    "disable 1 sip:a ip (was inactive before the reload)|" },
		{ "1 sip:a\n1 sip:b\n", "1 sip:a 9\n1 sip:b 0\n", "1 sip:a 0\n1 sip:b 0\n", false,
		    "" },
		{ "1 sip:a\n1 sip:b\n", "1 sip:a 0\n1 sip:b 8\n", "1 sip:a 1\n1 sip:b 9\n", true,
		    "enable 1 sip:a a (was active before the reload)|enable 1 sip:b ap (was active before the reload)|" },
		{ "1 sip:a\n", "1 sip:a 0\n", "1 sip:a 9\n", false,
		    "enable 1 sip:a a (was active before the reload)|" },
		/* all were inactive: left to the probes */
		{ "1 sip:a\n1 sip:b\n", "1 sip:a 9\n1 sip:b 9\n", "1 sip:a 8\n1 sip:b 8\n", true,
		    "" },
		{ "1 sip:a\n2 sip:a\n2 sip:b\n", "1 sip:a 9\n2 sip:a 9\n2 sip:b 0\n",
		    "1 sip:a 8\n2 sip:a 8\n2 sip:b 0\n", true,
		    "disable 2 sip:a ip (was inactive before the reload)|" },
		/* a disabled one, now or before, is the plan's business */
		{ "1 sip:a 4\n1 sip:b\n", "1 sip:a 9\n1 sip:b 0\n", "1 sip:a 0\n1 sip:b 0\n", true,
		    "" },
		{ "1 sip:a\n1 sip:b\n", "1 sip:a 4\n1 sip:b 0\n", "1 sip:a 1\n1 sip:b 0\n", true,
		    "" },
		/* new, or gone */
		{ "1 sip:a\n1 sip:b\n", "1 sip:b 0\n", "1 sip:a 1\n1 sip:b 0\n", true, "" },
		{ "1 sip:a\n1 sip:b\n", "1 sip:a 1\n1 sip:b 0\n", "1 sip:b 0\n", true, "" },
		/* T is on the way, and no state of its own */
		{ "1 sip:a\n1 sip:b\n", "1 sip:a 2\n1 sip:b 0\n", "1 sip:a 0\n1 sip:b 2\n", true,
		    "" },
		{ "", "1 sip:a 9\n", "1 sip:a 0\n", true, "" },
	};
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		struct ds_entries desired = entries_of(rows[i].desired),
				  before = entries_of(rows[i].before);
		struct ds_entries after = entries_of(rows[i].after);
		struct dsp_plan plan = { 0 };
		char *what = xasprintf("row %zu: %s / %s", i, rows[i].before, rows[i].after);

		dsp_repair(&desired, &before, &after, rows[i].probing, &plan);
		assert_plan(what, &plan, rows[i].want);
		free(what);
		dsp_plan_clear(&plan);
		ds_entries_clear(&desired);
		ds_entries_clear(&before);
		ds_entries_clear(&after);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(templates_are_filled_in),
		cmocka_unit_test(desired_follows_the_snapshot),
		cmocka_unit_test(the_first_matching_tag_overrides),
		cmocka_unit_test(adopted_lines_stay_as_they_were),
		cmocka_unit_test(lists_are_read),
		cmocka_unit_test(a_fault_is_no_list),
		cmocka_unit_test(flags_as_kamailio_shows_them),
		cmocka_unit_test(plans_are_least),
		cmocka_unit_test(entries_are_found_by_set_and_uri),
		cmocka_unit_test(the_file_carries_states),
		cmocka_unit_test(the_file_never_puts_a_set_out),
		cmocka_unit_test(the_file_leaves_theirs_out),
		cmocka_unit_test(lost_destinations_keep_their_states),
		cmocka_unit_test(a_reload_is_repaired),
	};

	return cmocka_run_group_tests_name("dispatcher_plan", tests, NULL, NULL);
}
