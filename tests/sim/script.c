/* script: reads a scenario and does what it says, line by line. README lists the words. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "sim.h"

#define WORDS_MAX 64
#define TEXT_MAX (1 << 20)

static const char standard_conf[] =
    "consul: { dns: [\"127.0.0.1:8600\"] }\n"
    "services: { router: {} }\n"
    "kamailio:\n"
    "  sbc:\n"
    "    binrpc: unix:/sbc.ctl\n"
    "    list_file: /sbc.list\n"
    "    dispatcher: { 1: { service: router, uri: \"sip:{address}:{port}\" } }\n";

struct script {
	const char *path;
	char *text, *at;
	unsigned line;
	char *shown;      /* the present line, as written */
	char *words[WORDS_MAX];
	size_t n;
	char *heredoc;    /* what followed <<END */
	unsigned expects;
	bool expecting;   /* the last line was an expectation */
	int64_t began_us;
	uint64_t asked;   /* questions when the span began */
	uint64_t queried; /* the same of queries at Consul's HTTP port */
	char *wrong;      /* why it failed */
};

static void wrong(struct script *, const char *fmt, ...) PRINTF(2, 3);

static void
wrong(struct script *s, const char *fmt, ...)
{
	char text[4096];
	va_list ap;

	if (s->wrong != NULL)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	s->wrong = xstrdup(text);
}

void
run_for(int64_t us)
{
	int64_t end = clock_now_us() + us;

	while (sim_failure() == NULL && clock_step(end))
		;
}

/* ---- words ---- */

static bool
parse_time(struct script *s, const char *word, int64_t *us)
{
	int64_t ms;

	if (word == NULL || text_parse_duration(word, &ms) != 0) {
		wrong(s, "\"%s\" is no time", word ? word : "");
		return false;
	}
	*us = ms * 1000;
	return true;
}

/* "3", "<=3", ">=3" */
static bool
count_fits(const char *word, uint64_t is)
{
	uint64_t want = strtoull(word + strspn(word, "<>="), NULL, 10);

	return word[0] == '<' ? is <= want : word[0] == '>' ? is >= want : is == want;
}

static bool
is_count(const char *word)
{
	size_t skip = strncmp(word, "<=", 2) == 0 || strncmp(word, ">=", 2) == 0 ? 2 : 0;

	return word[skip] != '\0' && word[skip + strspn(word + skip, "0123456789")] == '\0';
}

/* The words that remain; "[NAME]" in front picks a Kamailio. */
struct rest {
	char **w;
	size_t n;
};

static struct kamailio *
pick(struct rest *r)
{
	struct kamailio *k = r->n > 0 ? kamailio_find(r->w[0]) : NULL;

	if (k == NULL)
		return kamailio_find(NULL);
	r->w++;
	r->n--;
	return k;
}

static char *
full_uri(const char *word, size_t len)
{
	return strncmp(word, "sip", 3) == 0 ? xstrndup(word, len) : xasprintf("sip:%.*s", (int)len, word);
}

/* ---- expectations: NULL, or why they do not hold ---- */

typedef char *expect_fn(struct script *, struct rest);
static char *number_is(struct rest, uint64_t is);
typedef void state_fn(const struct ds_entry *, char out[16]);

static void
letters(const struct ds_entry *e, char out[16])
{
	dsp_flags_text(e->flags, out);
}

static void
number(const struct ds_entry *e, char out[16])
{
	snprintf(out, 16, "%u", e->flags);
}

static char *
entries_text(const struct ds_entries *e, int set, state_fn *state)
{
	struct buf b = { 0 };
	char flags[16];
	size_t i;

	buf_puts(&b, "");
	for (i = 0; i < e->n; i++) {
		if (e->v[i].set != set)
			continue;
		state(&e->v[i], flags);
		buf_printf(&b, " %s=%s", e->v[i].uri, flags);
	}
	return buf_take(&b);
}

static bool
entry_fits(const struct ds_entries *e, int set, const char *word, state_fn *state, bool prefix)
{
	const char *eq = strrchr(word, '=');
	const struct ds_entry *at;
	char flags[16];
	char *uri;

	if (eq == NULL)
		return false;
	uri = full_uri(word, (size_t)(eq - word));
	at = dsp_find(e, set, uri);
	free(uri);
	if (at == NULL)
		return false;
	state(at, flags);
	return prefix ? strncmp(flags, eq + 1, strlen(eq + 1)) == 0 : strcmp(flags, eq + 1) == 0;
}

/* SET URI=STATE ... | none: exactly these are in the set. */
static char *
check_entries(const struct ds_entries *e, struct rest r, state_fn *state, bool prefix)
{
	size_t i, n = 0, want = 0;
	bool fits = true;
	int set;

	if (r.n < 2)
		return xstrdup("needs a set and its destinations, or none");
	set = atoi(r.w[0]);
	for (i = 1; i < r.n; i++) {
		if (strcmp(r.w[i], "none") == 0)
			continue;
		want++;
		fits &= entry_fits(e, set, r.w[i], state, prefix);
	}
	for (i = 0; i < e->n; i++)
		n += e->v[i].set == set;
	return fits && n == want ? NULL : entries_text(e, set, state);
}

static char *
expect_kamailio(struct script *s, struct rest r)
{
	struct kamailio *k = pick(&r);

	return check_entries(&k->list, r, letters, true);
}

bool
script_has_line(const char *text, const char *line)
{
	size_t len = strlen(line);

	for (; text != NULL && *text; text += *text == '\n') {
		size_t n = strcspn(text, "\n");

		if (n == len && memcmp(text, line, n) == 0)
			return true;
		text += n;
	}
	return false;
}

static char *
expect_file(struct script *s, struct rest r)
{
	struct kamailio *k = pick(&r);
	const char *text = disk_get(k->list_path);
	struct ds_entries e = { 0 };
	bool no = r.n > 0 && strcmp(r.w[0], "no") == 0;
	char *why;

	if (text == NULL)
		return r.n == 1 && strcmp(r.w[0], "missing") == 0 ? NULL : xstrdup("there is no file");
	if (r.n == 1 && strcmp(r.w[0], "is") == 0)
		return s->heredoc != NULL && strcmp(text, s->heredoc) == 0 ? NULL : xasprintf("it holds\n%s", text);
	if (r.n == 2u + no && strcmp(r.w[no], "line") == 0)
		return script_has_line(text, r.w[1 + no]) != no ? NULL : xasprintf("it holds\n%s", text);
	(void)kamailio_parse(text, &e);
	why = check_entries(&e, r, number, false);
	ds_entries_clear(&e);
	return why;
}

static const struct topo_instance *
find_instance(const char *service, const char *text)
{
	const struct topo *t = c4d.platform ? platform_now(c4d.platform) : NULL;
	struct topo_addr addr;
	size_t i;

	for (i = 0; t != NULL && i < t->n; i++) {
		const struct topo_instance *inst;

		if ((service != NULL && strcmp(t->services[i].name, service) != 0) || topo_addr_parse(text, &addr) != 0)
			continue;
		inst = topo_find_instance(&t->services[i], &addr);
		if (inst != NULL)
			return inst;
	}
	return NULL;
}

/* [SERVICE] ADDRESS:PORT none | STATE[:GUARD] [tags=...] [weight=N] */
static char *
expect_instance(struct script *s, struct rest r)
{
	const char *service = r.n > 2 && strchr(r.w[0], ':') == NULL ? r.w[0] : NULL;
	const struct topo_instance *i;
	char *is, *want;
	size_t k;
	bool ok;

	if (service != NULL) {
		r.w++;
		r.n--;
	}
	if (r.n < 2)
		return xstrdup("needs an address and a state");
	i = find_instance(service, r.w[0]);
	if (i == NULL)
		return strcmp(r.w[1], "none") == 0 ? NULL : xstrdup("no such instance");
	is = xasprintf("%s%s%s", topo_state_name(i->state), i->guard ? ":" : "", topo_guard_name(i->guard));
	ok = strcmp(is, r.w[1]) == 0;
	for (k = 2; k < r.n; k++) {
		if (strncmp(r.w[k], "tags=", 5) == 0)
			ok &= strcmp(r.w[k] + 5, i->tags ? i->tags : "") == 0;
		else if (strncmp(r.w[k], "weight=", 7) == 0)
			ok &= atoi(r.w[k] + 7) == i->weight;
		else
			ok = false;
	}
	want = ok ? NULL : xasprintf("it is %s tags=%s weight=%u", is, i->tags ? i->tags : "", i->weight);
	free(is);
	return want;
}

/* ADDRESS:PORT penalty N: of damping, now; N may be <=N or >=N */
static char *
expect_flap(struct script *s, struct rest r)
{
	const struct topo *t = c4d.platform ? platform_now(c4d.platform) : NULL;
	struct judge_flap_view v = { 0 };
	struct topo_addr addr;
	size_t i;

	if (t == NULL || r.n != 2 || topo_addr_parse(r.w[0], &addr) != 0)
		return xstrdup("needs an address and its penalty");
	for (i = 0; i < t->n; i++)
		if (judge_flap_view(platform_judge(c4d.platform, t->services[i].name), &addr, loop_now_ms(c4d.loop), &v))
			break;
	return number_is((struct rest){ &r.w[1], 1 }, v.penalty);
}

static char *
expect_table(struct script *s, struct rest r)
{
	struct kamailio *k = pick(&r);

	return tables_expect(k, r.w, r.n, s->heredoc);
}

static char *
expect_stalls(struct script *s, struct rest r)
{
	return number_is(r, note_count("stall"));
}

/* SERVICE active N | total N */
static char *
expect_service(struct script *s, struct rest r)
{
	const struct topo_service *sv = c4d.platform && r.n > 0 ? topo_find(platform_now(c4d.platform), r.w[0]) : NULL;
	size_t i, active = 0;

	if (sv == NULL || r.n != 3 || !is_count(r.w[2]))
		return xstrdup("needs a service, active or total, and a number");
	for (i = 0; i < sv->n; i++)
		active += topo_is_active(sv->inst[i].state);
	if (strcmp(r.w[1], "active") == 0 ? count_fits(r.w[2], active) :
	    strcmp(r.w[1], "total") == 0 && count_fits(r.w[2], sv->n))
		return NULL;
	return xasprintf("active %zu, total %zu", active, sv->n);
}

/* KAMAILIO/SET STATE [TEXT of the error] */
static char *
expect_target(struct script *s, struct rest r)
{
	struct target_walk w = { 0 };
	const struct target_view *v = &w.view;

	while (r.n >= 2 && kamhost_walk(c4d.hosts, c4d.n_hosts, &w)) {
		if (strcmp(v->name, r.w[0]) != 0)
			continue;
		if (strcmp(target_state_name(v->state), r.w[1]) == 0 && (r.n < 3 || strstr(v->last_error, r.w[2]) != NULL))
			return NULL;
		return xasprintf("it is %s: %s", target_state_name(v->state), v->last_error);
	}
	return xstrdup("no such target");
}

static char *
number_is(struct rest r, uint64_t is)
{
	if (r.n != 1 || !is_count(r.w[0]))
		return xstrdup("needs a number");
	return count_fits(r.w[0], is) ? NULL : xasprintf("it is %llu", (unsigned long long)is);
}

static char *
expect_generation(struct script *s, struct rest r)
{
	return number_is(r, c4d.platform ? platform_generation(c4d.platform) : 0);
}

static char *
expect_reloads(struct script *s, struct rest r)
{
	return number_is(r, note_count("reload"));
}

static char *
expect_refused(struct script *s, struct rest r)
{
	return number_is(r, note_count("refused"));
}

static char *
expect_set_states(struct script *s, struct rest r)
{
	return number_is(r, note_count("set_state"));
}

static char *
expect_writes(struct script *s, struct rest r)
{
	return number_is(r, note_count("file"));
}

static char *
expect_questions(struct script *s, struct rest r)
{
	return number_is(r, dns_questions() - s->asked);
}

static char *
expect_queries(struct script *s, struct rest r)
{
	return number_is(r, http_queries() - s->queried);
}

/* NAME off|waiting|lost [TEXT] */
static char *
expect_wake(struct script *s, struct rest r)
{
	struct wake_view v;

	if (c4d.wake == NULL || r.n < 2)
		return xstrdup("needs a name and off, waiting or lost");
	wake_view(c4d.wake, r.w[0], &v);
	if (strcmp(wake_state_name(v.state), r.w[1]) == 0 && (r.n < 3 || (v.why != NULL && strstr(v.why, r.w[2]) != NULL)))
		return NULL;
	return xasprintf("it is %s: %s", wake_state_name(v.state), v.why ? v.why : "-");
}

static char *
expect_nothing(struct script *s, struct rest r)
{
	char *list = note_list();

	if (note_count(NULL) > 0)
		return list;
	free(list);
	return NULL;
}

/* What changed something, in this order: set_state file reload refused */
static char *
expect_events(struct script *s, struct rest r)
{
	struct buf b = { 0 };
	char *list = note_list();
	size_t i;
	bool same;

	buf_puts(&b, "");
	for (i = 0; i < r.n; i++)
		buf_printf(&b, "%s%s", i ? " " : "", r.w[i]);
	same = strcmp(b.s, list) == 0;
	buf_free(&b);
	if (!same)
		return list;
	free(list);
	return NULL;
}

/* TEXT [N]: so many log lines hold it */
static char *
expect_log(struct script *s, struct rest r)
{
	if (r.n == 2 && is_count(r.w[1])) {
		unsigned n = log_count(r.w[0]);

		return count_fits(r.w[1], n) ? NULL : xasprintf("%u lines", n);
	}
	return r.n == 1 && log_has(r.w[0]) ? NULL : xstrdup("no such line");
}

static char *
expect_store(struct script *s, struct rest r)
{
	struct store_view v;
	const char *is;

	if (c4d.store == NULL || r.n != 1)
		return xstrdup("needs ok or failing, and a c4d that runs");
	store_view(c4d.store, &v);
	is = v.failing ? "failing" : "ok";
	return strcmp(r.w[0], is) == 0 ? NULL : xasprintf("it is %s %s", is, v.why);
}

/* SERVICE [N] field N: of the name's view; interval in milliseconds */
static char *
expect_watch(struct script *s, struct rest r)
{
	struct watch_view v;
	size_t i;

	for (i = 0; c4d.watch != NULL && r.n == 3 && i < watch_count(c4d.watch); i++) {
		watch_view(c4d.watch, i, &v);
		if (strcmp(v.service, r.w[0]) != 0)
			continue;
		if (strcmp(r.w[1], "server") == 0)
			return strcmp(v.server, r.w[2]) == 0 ? NULL : xasprintf("it is %s", v.server);
		if (strcmp(r.w[1], "interval") == 0)
			return number_is((struct rest){ &r.w[2], 1 }, (uint64_t)v.interval_ms);
		if (strcmp(r.w[1], "failures") == 0)
			return number_is((struct rest){ &r.w[2], 1 }, v.failures);
		if (strcmp(r.w[1], "wakes") == 0)
			return number_is((struct rest){ &r.w[2], 1 }, v.wakes);
	}
	return xstrdup("needs a service, then server, interval, failures or wakes, then its value");
}

static char *
expect_settled(struct script *s, struct rest r)
{
	return world_differs();
}

static const struct {
	const char *name;
	expect_fn *fn;
} expectations[] = {
	{ "kamailio", expect_kamailio }, { "file", expect_file }, { "instance", expect_instance },
	{ "service", expect_service }, { "flap", expect_flap }, { "target", expect_target }, { "generation", expect_generation },
	{ "reloads", expect_reloads }, { "refused", expect_refused }, { "set_states", expect_set_states },
	{ "writes", expect_writes }, { "questions", expect_questions }, { "nothing", expect_nothing },
	{ "queries", expect_queries }, { "wake", expect_wake },
	{ "events", expect_events }, { "log", expect_log }, { "store", expect_store },
	{ "watch", expect_watch }, { "settled", expect_settled },
	{ "table", expect_table }, { "stalls", expect_stalls },
};

static char *
check(struct script *s, struct rest r)
{
	size_t i;

	for (i = 0; i < NELEM(expectations); i++)
		if (r.n > 0 && strcmp(r.w[0], expectations[i].name) == 0)
			return expectations[i].fn(s, (struct rest){ r.w + 1, r.n - 1 });
	return xstrdup("no such expectation");
}

static void
begin_span(struct script *s)
{
	span_begin();
	s->asked = dns_questions();
	s->queried = http_queries();
}

/* ---- commands ---- */

typedef void command_fn(struct script *, struct rest);
static void run_words(struct script *, struct rest);

static void
cmd_expect(struct script *s, struct rest r)
{
	char *why;

	s->expects++;
	why = check(s, r);
	if (why != NULL)
		wrong(s, "actual:%s%s", why[0] == ' ' ? "" : " ", why);
	free(why);
}

/* TIME expect ...: until it holds, at most so long */
static void
cmd_within(struct script *s, struct rest r)
{
	int64_t us, end;
	char *why;

	if (r.n < 3 || strcmp(r.w[1], "expect") != 0 || !parse_time(s, r.w[0], &us)) {
		wrong(s, "within TIME expect ...");
		return;
	}
	s->expects++;
	end = clock_now_us() + us;
	while ((why = check(s, (struct rest){ r.w + 2, r.n - 2 })) != NULL) {
		if (sim_failure() != NULL || !clock_step(end)) {
			wrong(s, "actual:%s%s", why[0] == ' ' ? "" : " ", why);
			free(why);
			return;
		}
		free(why);
	}
}

static void
cmd_at(struct script *s, struct rest r)
{
	int64_t us;

	if (r.n < 2 || !parse_time(s, r.w[0], &us))
		return;
	if (s->began_us + us < clock_now_us()) {
		wrong(s, "it is later than %s", r.w[0]);
		return;
	}
	run_for(s->began_us + us - clock_now_us());
	run_words(s, (struct rest){ r.w + 1, r.n - 1 });
}

static void
cmd_pass(struct script *s, struct rest r)
{
	int64_t us;

	if (parse_time(s, r.n ? r.w[0] : NULL, &us))
		run_for(us);
}

static void
cmd_jump(struct script *s, struct rest r)
{
	int64_t us;

	if (parse_time(s, r.n ? r.w[0] : NULL, &us))
		clock_jump(us);
}

static void
cmd_conf(struct script *s, struct rest r)
{
	char why[512];

	if (!world_conf(s->heredoc != NULL ? s->heredoc : standard_conf, why, sizeof why))
		wrong(s, "%s", why);
}

static void
cmd_answer(struct script *s, struct rest r)
{
	const char *why = r.n < 2 ? "answer NAME ..." : dns_answer(r.w[0], r.w + 1, r.n - 1);

	if (why != NULL)
		wrong(s, "%s", why);
}

/* canary [DC] ok | nxdomain | ... */
static void
cmd_canary(struct script *s, struct rest r)
{
	char *ok[] = { (char *)"127.0.0.1:8300" };
	char *name;
	const char *why;

	if (r.n == 0) {
		wrong(s, "canary [DC] ok or a word for an answer");
		return;
	}
	name = xasprintf("consul.service.%s%sconsul", r.n > 1 ? r.w[0] : "", r.n > 1 ? "." : "");
	why = strcmp(r.w[r.n - 1], "ok") == 0 ? dns_answer(name, ok, 1) : dns_answer(name, r.w + r.n - 1, 1);
	if (why != NULL)
		wrong(s, "%s", why);
	free(name);
}

static void
cmd_server(struct script *s, struct rest r)
{
	const char *why = r.n < 2 ? "server ADDRESS:PORT ..." : dns_server(r.w[0], r.w + 1, r.n - 1);

	if (why != NULL)
		wrong(s, "%s", why);
}

static void
cmd_host(struct script *s, struct rest r)
{
	const char *why = r.n < 2 ? "host NAME IP..." : dns_host(r.w[0], r.w + 1, r.n - 1);

	if (why != NULL)
		wrong(s, "%s", why);
}

/* index SERVICE[@DC] N */
static void
cmd_index(struct script *s, struct rest r)
{
	if (r.n != 2 || !is_count(r.w[1]))
		wrong(s, "index SERVICE[@DC] N");
	else
		http_index(r.w[0], strtoull(r.w[1], NULL, 10));
}

/* storm SERVICE[@DC] N TIME: its index moves N times, once in TIME */
static void
cmd_storm(struct script *s, struct rest r)
{
	static uint64_t at = 1000000; /* it always grows */
	int64_t us;
	int i;

	if (r.n != 3 || !is_count(r.w[1]) || !parse_time(s, r.w[2], &us)) {
		wrong(s, "storm SERVICE[@DC] N TIME");
		return;
	}
	for (i = 0; i < atoi(r.w[1]); i++) {
		http_index(r.w[0], at++);
		run_for(us);
	}
}

static void
cmd_http(struct script *s, struct rest r)
{
	const char *why = http_fate(r.w, r.n);

	if (why != NULL)
		wrong(s, "%s", why);
}

static void
cmd_node(struct script *s, struct rest r)
{
	const char *why = rtpengine_fate(r.w, r.n);

	if (why != NULL)
		wrong(s, "%s", why);
}

static void
cmd_table(struct script *s, struct rest r)
{
	struct kamailio *k = pick(&r);
	const char *why = k == NULL ? "no Kamailio yet: conf comes first" : tables_command(k, r.w, r.n, s->heredoc);

	if (why != NULL)
		wrong(s, "%s", why);
}

static void
disk_knob(struct script *s, struct rest r)
{
	if (strcmp(r.w[0], "ok") == 0) {
		world_disk_error(0);
		disk.delay_us = 0;
	} else if (strcmp(r.w[0], "full") == 0) {
		world_disk_error(-ENOSPC);
	} else if (strcmp(r.w[0], "readonly") == 0) {
		world_disk_error(-EACCES);
	} else if (strcmp(r.w[0], "slow") != 0 || !parse_time(s, r.n > 1 ? r.w[1] : NULL, &disk.delay_us)) {
		wrong(s, "disk ok, full, readonly or slow TIME");
	}
}

static void
cmd_disk(struct script *s, struct rest r)
{
	if (r.n == 0)
		wrong(s, "disk ok, full, readonly or slow TIME");
	else
		disk_knob(s, r);
}

/* file [NAME] <<END | append LINE | delete LINE | missing */
static void
cmd_file(struct script *s, struct rest r)
{
	struct kamailio *k = pick(&r);
	const char *old = k ? disk_get(k->list_path) : NULL, *line, *end;
	struct buf b = { 0 };

	if (k == NULL) {
		wrong(s, "no Kamailio yet: conf comes first");
	} else if (s->heredoc != NULL) {
		disk_put(k->list_path, s->heredoc);
	} else if (r.n == 1 && strcmp(r.w[0], "missing") == 0) {
		disk_put(k->list_path, NULL);
	} else if (r.n == 2 && strcmp(r.w[0], "append") == 0) {
		buf_printf(&b, "%s%s\n", old ? old : "", r.w[1]);
		disk_put(k->list_path, b.s);
	} else if (r.n == 2 && strcmp(r.w[0], "delete") == 0 && script_has_line(old, r.w[1])) {
		buf_puts(&b, "");
		for (line = old; *line; line = end + (*end == '\n')) {
			end = line + strcspn(line, "\n");
			if (strncmp(line, r.w[1], (size_t)(end - line)) != 0 || strlen(r.w[1]) != (size_t)(end - line))
				buf_printf(&b, "%.*s\n", (int)(end - line), line);
		}
		disk_put(k->list_path, b.s);
	} else {
		wrong(s, "file <<END, append LINE, delete LINE (that is there) or missing");
	}
	buf_free(&b);
}

static void
cmd_lock(struct script *s, struct rest r)
{
	char *path;

	if (r.n != 2) {
		wrong(s, "lock PATH PID (0: unlock)");
		return;
	}
	path = xasprintf("%s.c4d-lock", r.w[0]);
	disk_lock(path, atoi(r.w[1]));
	free(path);
}

/* ---- kamailio ... ---- */

static void
kam_list(struct script *s, struct kamailio *k, struct rest r)
{
	size_t i, at;

	ds_entries_clear(&k->list);
	for (i = 1; i < r.n; i++) {
		const char *eq = strrchr(r.w[i], '=');
		char *uri = full_uri(r.w[i], eq ? (size_t)(eq - r.w[i]) : strlen(r.w[i]));

		at = k->list.n;
		ds_entries_add(&k->list, atoi(r.w[0]), uri, 0, 0, NULL);
		if (eq != NULL && !kamailio_set_state(k, (char[]){ (char)(eq[1] | 32), eq[1] ? eq[2] : 0, 0 },
		    k->list.v[at].set, uri))
			wrong(s, "no state in %s", r.w[i]);
		free(uri);
	}
}

/* admin set_state STATE SET URI | add SET URI | remove SET URI | reload */
static void
kam_admin(struct script *s, struct kamailio *k, struct rest r)
{
	const char *why = NULL;
	char *uri = NULL;
	size_t i;

	if (r.n == 4 && strcmp(r.w[0], "set_state") == 0) {
		uri = full_uri(r.w[3], strlen(r.w[3]));
		if (!kamailio_set_state(k, r.w[1], atoi(r.w[2]), uri))
			why = "no such destination, or no such state";
	} else if (r.n == 3 && strcmp(r.w[0], "add") == 0) {
		uri = full_uri(r.w[2], strlen(r.w[2]));
		ds_entries_add(&k->list, atoi(r.w[1]), uri, 0, 0, NULL);
	} else if (r.n == 3 && strcmp(r.w[0], "remove") == 0) {
		uri = full_uri(r.w[2], strlen(r.w[2]));
		why = "no such destination";
		for (i = 0; i < k->list.n; i++)
			if (k->list.v[i].set == atoi(r.w[1]) && strcmp(k->list.v[i].uri, uri) == 0) {
				k->list.v[i] = k->list.v[--k->list.n];
				why = NULL;
			}
	} else if (r.n == 1 && strcmp(r.w[0], "reload") == 0) {
		(void)kamailio_reload(k, &why);
		if (why != NULL && strcmp(why, "Ongoing reload") == 0 && k->updated_s == clock_wall_ms() / 1000)
			why = NULL; /* the word that it starts from */
	} else {
		why = "admin set_state STATE SET URI, add SET URI, remove SET URI or reload";
	}
	if (why != NULL)
		wrong(s, "%s", why);
	free(uri);
}

static void
kam_up(struct script *s, struct kamailio *k, struct rest r)
{
	if (disk_get(k->list_path) == NULL)
		disk_put(k->list_path, "");
	kamailio_boot(k);
}

static void
kam_down(struct script *s, struct kamailio *k, struct rest r)
{
	kamailio_down(k);
}

static void
kam_restart(struct script *s, struct kamailio *k, struct rest r)
{
	kamailio_down(k);
	kamailio_boot(k);
}

static void
kam_wedge(struct script *s, struct kamailio *k, struct rest r)
{
	k->wedged = true;
}

static void
kam_unwedge(struct script *s, struct kamailio *k, struct rest r)
{
	k->wedged = false;
}

static void
kam_stuck(struct script *s, struct kamailio *k, struct rest r)
{
	k->stuck = true;
}

static void
kam_unstuck(struct script *s, struct kamailio *k, struct rest r)
{
	k->stuck = false;
}

/* state STATE SET URI: what its own probes found */
static void
kam_state(struct script *s, struct kamailio *k, struct rest r)
{
	char *uri = r.n == 3 ? full_uri(r.w[2], strlen(r.w[2])) : NULL;

	if (uri == NULL || !kamailio_set_state(k, r.w[0], atoi(r.w[1]), uri))
		wrong(s, "state STATE SET URI (that is there)");
	free(uri);
}

static void
kam_delta(struct script *s, struct kamailio *k, struct rest r)
{
	int64_t us;

	if (parse_time(s, r.n ? r.w[0] : NULL, &us))
		k->delta_ms = us / 1000;
}

static void
kam_slow(struct script *s, struct kamailio *k, struct rest r)
{
	(void)parse_time(s, r.n ? r.w[0] : NULL, &k->latency_us);
}

/* refuse METHOD REASON [N] */
static void
kam_refuse(struct script *s, struct kamailio *k, struct rest r)
{
	if (r.n < 2) {
		wrong(s, "refuse METHOD REASON [TIMES]");
		return;
	}
	free(k->refuse);
	free(k->reason);
	k->refuse = xstrdup(r.w[0]);
	k->reason = xstrdup(r.w[1]);
	k->refuse_n = r.n > 2 ? (unsigned)atoi(r.w[2]) : 1;
}

static void
kam_mute(struct script *s, struct kamailio *k, struct rest r)
{
	if (r.n < 1) {
		wrong(s, "mute METHOD");
		return;
	}
	free(k->mute);
	k->mute = xstrdup(r.w[0]);
	k->mute_n = 1;
}

static void
kam_unresolvable(struct script *s, struct kamailio *k, struct rest r)
{
	free(k->unresolvable);
	k->unresolvable = r.n > 0 ? full_uri(r.w[0], strlen(r.w[0])) : NULL;
}

static void
kam_may_empty(struct script *s, struct kamailio *k, struct rest r)
{
	k->may_empty = true;
}

static const struct {
	const char *name;
	void (*fn)(struct script *, struct kamailio *, struct rest);
} kam_words[] = {
	{ "up", kam_up }, { "down", kam_down }, { "restart", kam_restart }, { "wedge", kam_wedge },
	{ "unwedge", kam_unwedge }, { "stuck", kam_stuck }, { "unstuck", kam_unstuck }, { "list", kam_list },
	{ "admin", kam_admin }, { "state", kam_state }, { "delta", kam_delta }, { "slow", kam_slow },
	{ "refuse", kam_refuse }, { "mute", kam_mute }, { "unresolvable", kam_unresolvable },
	{ "may-empty", kam_may_empty },
};

static void
cmd_kamailio(struct script *s, struct rest r)
{
	struct kamailio *k = pick(&r);
	size_t i;

	for (i = 0; k != NULL && r.n > 0 && i < NELEM(kam_words); i++)
		if (strcmp(r.w[0], kam_words[i].name) == 0) {
			kam_words[i].fn(s, k, (struct rest){ r.w + 1, r.n - 1 });
			return;
		}
	wrong(s, "no such Kamailio, or no such word for it");
}

/* ---- c4d ---- */

static void
cmd_start(struct script *s, struct rest r)
{
	if (c4d.loop != NULL || c4d.conf == NULL)
		wrong(s, "it runs already, or there is no conf");
	else
		world_start();
}

static void
cmd_stop(struct script *s, struct rest r)
{
	if (c4d.loop == NULL)
		wrong(s, "it does not run");
	else
		world_stop(false);
}

static void
cmd_crash(struct script *s, struct rest r)
{
	if (c4d.loop == NULL)
		wrong(s, "it does not run");
	else
		world_stop(true);
}

static void
cmd_restart(struct script *s, struct rest r)
{
	cmd_stop(s, r);
	if (s->wrong == NULL)
		world_start();
}

/* word approve|hold|release SERVICE [refused] */
static void
cmd_word(struct script *s, struct rest r)
{
	static const char *const names[] = { "approve", "hold", "release" };
	bool refused = r.n == 3 && strcmp(r.w[2], "refused") == 0;
	int i, rc = -EINVAL;

	for (i = JUDGE_APPROVE; i <= JUDGE_RELEASE && r.n >= 2 && c4d.platform != NULL; i++)
		if (strcmp(r.w[0], names[i]) == 0)
			rc = platform_word(c4d.platform, r.w[1], (enum judge_word)i, "sim");
	if (rc == -EINVAL)
		wrong(s, "word approve, hold or release SERVICE [refused], of a c4d that runs");
	else if ((rc != 0) != refused)
		wrong(s, "it was %s", rc ? "refused" : "taken");
}

/* The last word says what came of it: -ENOENT and -EALREADY are "refused" too. */
static void
tell_result(struct script *s, struct rest r, int rc)
{
	bool refused = r.n > 0 && strcmp(r.w[r.n - 1], "refused") == 0;

	if ((rc != 0) != refused)
		wrong(s, "it was %s%s%s", rc ? "refused: " : "taken", rc ? strerror(-rc) : "", "");
}

/* drain ADDRESS:PORT [TIMEOUT] [refused] */
static void
cmd_drain(struct script *s, struct rest r)
{
	struct platform_refusal no;
	struct topo_addr addr;
	int64_t timeout_us = 0;

	if (r.n == 0 || topo_addr_parse(r.w[0], &addr) != 0 || c4d.platform == NULL) {
		wrong(s, "drain ADDRESS:PORT [TIMEOUT] [refused], of a c4d that runs");
		return;
	}
	if (r.n > 1 && strcmp(r.w[1], "refused") != 0 && !parse_time(s, r.w[1], &timeout_us))
		return;
	tell_result(s, r, platform_drain(c4d.platform, &addr, timeout_us / 1000, "sim", &no));
}

/* undrain ADDRESS:PORT [refused] */
static void
cmd_undrain(struct script *s, struct rest r)
{
	struct topo_addr addr;

	if (r.n == 0 || topo_addr_parse(r.w[0], &addr) != 0 || c4d.platform == NULL)
		wrong(s, "undrain ADDRESS:PORT [refused], of a c4d that runs");
	else
		tell_result(s, r, platform_undrain(c4d.platform, &addr, "sim"));
}

struct way_back {
	uint64_t generation;
	bool done;
	int err;
};

static void
on_held(void *arg, const char *service)
{
	trace("held by a rollback: %s", service);
}

static void
on_past(void *arg, const struct store_past *p)
{
	struct way_back *b = arg;
	struct platform_refusal no;

	b->err = p->err ? p->err : platform_rollback(c4d.platform, b->generation, p, "sim", on_held, NULL, &no);
	if (b->err == -EAGAIN)
		store_past(c4d.store, b->generation, on_past, b);
	else
		b->done = true;
}

/* rollback GENERATION [refused] */
static void
cmd_rollback(struct script *s, struct rest r)
{
	struct way_back b = { 0 };
	int64_t end = clock_now_us() + 10 * SIM_SECOND;

	if (r.n == 0 || !is_count(r.w[0]) || c4d.store == NULL) {
		wrong(s, "rollback GENERATION [refused], of a c4d that runs");
		return;
	}
	b.generation = strtoull(r.w[0], NULL, 10);
	store_past(c4d.store, b.generation, on_past, &b);
	while (!b.done && sim_failure() == NULL && clock_step(end))
		;
	if (!b.done)
		wrong(s, "the history was not read");
	else
		tell_result(s, r, b.err);
}

static void
cmd_resync(struct script *s, struct rest r)
{
	struct target_walk w = { 0 };

	while (kamhost_walk(c4d.hosts, c4d.n_hosts, &w))
		w.target->ops->resync(w.target);
}

static void
cmd_chaos(struct script *s, struct rest r)
{
	int64_t us;

	if (!parse_time(s, r.n ? r.w[0] : NULL, &us))
		return;
	chaos_run(us);
	s->expects++; /* it checks all the way */
}

static void
cmd_tables_chaos(struct script *s, struct rest r)
{
	int64_t us;

	if (!parse_time(s, r.n ? r.w[0] : NULL, &us))
		return;
	tables_chaos(us);
	s->expects++; /* it checks all the way */
}

static const struct {
	const char *name;
	command_fn *fn;
} commands[] = {
	{ "tables-chaos", cmd_tables_chaos },
	{ "expect", cmd_expect }, { "within", cmd_within }, { "at", cmd_at }, { "pass", cmd_pass },
	{ "jump", cmd_jump }, { "conf", cmd_conf }, { "answer", cmd_answer }, { "canary", cmd_canary },
	{ "server", cmd_server }, { "index", cmd_index }, { "storm", cmd_storm },
	{ "http", cmd_http }, { "host", cmd_host }, { "disk", cmd_disk }, { "file", cmd_file },
	{ "node", cmd_node }, { "table", cmd_table }, { "lock", cmd_lock }, { "kamailio", cmd_kamailio }, { "start", cmd_start }, { "stop", cmd_stop },
	{ "crash", cmd_crash }, { "restart", cmd_restart }, { "word", cmd_word }, { "resync", cmd_resync },
	{ "drain", cmd_drain }, { "undrain", cmd_undrain }, { "rollback", cmd_rollback },
	{ "chaos", cmd_chaos },
};

static void
run_words(struct script *s, struct rest r)
{
	bool expects = strcmp(r.w[0], "expect") == 0;
	size_t i;

	/* What is counted is counted over all that happened since the last group of expectations. */
	if (s->expecting && !expects)
		begin_span(s);
	s->expecting = expects || strcmp(r.w[0], "within") == 0;
	for (i = 0; i < NELEM(commands); i++)
		if (strcmp(r.w[0], commands[i].name) == 0) {
			commands[i].fn(s, (struct rest){ r.w + 1, r.n - 1 });
			return;
		}
	wrong(s, "no such command");
}

/* ---- reading ---- */

static char *
next_line(struct script *s)
{
	char *line = s->at;

	if (line == NULL || *line == '\0')
		return NULL;
	s->at = strchr(line, '\n');
	if (s->at != NULL)
		*s->at++ = '\0';
	s->line++;
	return line;
}

/* Words are parted by blanks; "a b" is one. */
static void
split(struct script *s, char *p)
{
	s->n = 0;
	while (*(p += strspn(p, " \t")) != '\0' && *p != '#' && s->n < WORDS_MAX) {
		char *end;

		if (*p == '"') {
			s->words[s->n++] = ++p;
			end = p + strcspn(p, "\"");
		} else {
			s->words[s->n++] = p;
			end = p + strcspn(p, " \t");
		}
		if (*end == '\0')
			break;
		*end = '\0';
		p = end + 1;
	}
}

static void
read_heredoc(struct script *s)
{
	const char *end = s->words[s->n - 1] + 2;
	struct buf b = { 0 };
	char *line;

	s->n--;
	buf_puts(&b, "");
	while ((line = next_line(s)) != NULL && strcmp(line, end) != 0)
		buf_printf(&b, "%s\n", line);
	if (line == NULL)
		wrong(s, "no %s", end);
	s->heredoc = buf_take(&b);
}

static void
run_line(struct script *s, char *line)
{
	free(s->shown);
	s->shown = xstrdup(line);
	split(s, line);
	if (s->n == 0)
		return;
	if (strncmp(s->words[s->n - 1], "<<", 2) == 0)
		read_heredoc(s);
	if (strcmp(s->words[0], "expect") != 0)
		trace("> %s", s->shown + strspn(s->shown, " \t"));
	run_words(s, (struct rest){ s->words, s->n });
	free(s->heredoc);
	s->heredoc = NULL;
	if (sim_failure() != NULL)
		wrong(s, "%s", sim_failure());
}

static char *
read_text(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = NULL;
	size_t n;

	if (f == NULL)
		return NULL;
	text = xcalloc(1, TEXT_MAX + 1);
	n = fread(text, 1, TEXT_MAX, f);
	text[n] = '\0';
	fclose(f);
	return text;
}

bool
script_run(const char *path)
{
	struct script s = { .path = path, .text = read_text(path), .began_us = 0 };
	const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	char *line;
	bool ok;

	world_reset();
	s.began_us = clock_now_us();
	s.at = s.text;
	if (s.text == NULL)
		wrong(&s, "cannot read %s: %s", path, strerror(errno));
	while (s.wrong == NULL && (line = next_line(&s)) != NULL)
		run_line(&s, line);
	if (s.wrong == NULL && s.expects == 0)
		wrong(&s, "it expects nothing at all");
	if (s.wrong == NULL && c4d.loop != NULL) {
		world_stop(false);
		if (sim_failure() != NULL)
			wrong(&s, "at the end: %s", sim_failure());
	}
	ok = s.wrong == NULL;
	printf("%.*s: %s\n", (int)strcspn(base, "."), base, ok ? "ok" : "FAILED");
	if (!ok) {
		printf("  %s:%u: %s\n  %s\n", path, s.line, s.shown ? s.shown : "", s.wrong);
		trace_print();
	}
	world_reset();
	free(s.wrong);
	free(s.shown);
	free(s.heredoc);
	free(s.text);
	return ok;
}
