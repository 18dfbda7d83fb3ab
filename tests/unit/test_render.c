/*
 * render: the plain output, word for word; and whatever the daemon sends, 80 columns.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/text.h"
#include "control/control.h"

#define NOW 1795222800000LL /* 2026-11-21T01:00:00Z */

struct shown {
	render_fn *render; /* NULL: a table of `columns` */
	const struct column *columns;
	const char *json;
};

/* What it prints to standard output. `json` is in single quotes, for reading. */
static char *
capture(const struct shown *s)
{
	char *text = xstrdup(s->json), *p, out[65536];
	FILE *tmp = tmpfile();
	json_error_t error;
	json_t *j;
	int saved;
	size_t n;

	for (p = text; *p; p++)
		if (*p == '\'')
			*p = '"';
	j = json_loads(text, JSON_REJECT_DUPLICATES, &error);
	if (j == NULL)
		fail_msg("%s: %s", text, error.text);
	free(text);
	assert_non_null(tmp);
	fflush(stdout);
	saved = dup(1);
	assert_int_equal(dup2(fileno(tmp), 1), 1);
	if (s->render != NULL)
		s->render(j, NOW);
	else
		render_table(s->columns, j, NOW);
	fflush(stdout);
	assert_int_equal(dup2(saved, 1), 1);
	close(saved);
	rewind(tmp);
	n = fread(out, 1, sizeof out - 1, tmp);
	out[n] = '\0';
	fclose(tmp);
	json_decref(j);
	return xstrdup(out);
}

static void
assert_shows(const struct shown *s, const char *want)
{
	char *got = capture(s);

	if (strcmp(got, want) != 0)
		fail_msg("%s:\n--- got\n%s--- want\n%s", s->json, got, want);
	free(got);
}

static void
assert_fits(const struct shown *s)
{
	char *got = capture(s), *line = got, *end;

	for (; *line; line = end + 1) {
		end = strchr(line, '\n');
		assert_non_null(end); /* the last line ends too */
		if (end - line > 80)
			fail_msg("%d columns: %.*s", (int)(end - line), (int)(end - line), line);
	}
	free(got);
}

static const struct column *
columns_of(const char *command)
{
	const struct command *c = command_by_name(command);

	assert_non_null(c);
	assert_non_null(c->columns);
	return c->columns;
}

/* ---- tables ---- */

static void
tables(void **state)
{
	static const struct {
		const char *command, *json, *want;
	} rows[] = {
		{ "show instances", "[]", "(none)\n" },
		{ "show instances",
		    "[{'service':'router','address':'10.0.0.1','port':5060,'weight':1,'tags':['blue','primary'],'state':'up','guard':'',"
		    "'since':'2026-11-21T00:59:59.500Z','generation':12,'source':'dns'},"
		    "{'service':'rtp','address':'::1','port':2223,'weight':10,'tags':[],'state':'held','guard':'shrink',"
		    "'since':'2026-11-20T22:58:00.000Z','generation':3,'source':'store'}]",
		    "SERVICE ADDRESS  PORT  W TAGS         STATE GUARD  SINCE GEN SOURCE\n"
		    "router  10.0.0.1 5060  1 blue,primary up    -      0.5s   12 dns\n"
		    "rtp     ::1      2223 10 -            held  shrink 2h02m   3 store\n" },
		{ "show targets",
		    "[{'target':'sbc/1','kind':'dispatcher','state':'failed','desired_generation':7,'applied_generation':5,'pending':2,"
		    "'since':null,'last_error':'cannot write /var/lib/c4d/kamailio/dispatcher.list: No space left on device (make room; "
		    "c4d tries again by itself)'}]",
		    "TARGET KIND       STATE  DESIRED APPLIED PENDING SINCE\n"
		    "sbc/1  dispatcher failed       7       5       2 never\n"
		    "    cannot write /var/lib/c4d/kamailio/dispatcher.list: No space left on device\n"
		    "    (make room; c4d tries again by itself)\n" },
		{ "show services",
		    "[{'service':'router','up':3,'disabled':0,'held':1,'suppressed':2,'draining':13,'min_instances':1,'frozen':true,"
		    "'evidence':'complete','proof':'2026-11-21T00:56:40.000Z','note':''},{'service':'rtp','frozen':false}]",
		    "SERVICE UP DISABLED HELD SUPPRESSED DRAINING MIN FROZEN EVIDENCE PROOF\n"
		    "router   3        0    1          2       13   1 yes    complete 3m20s\n"
		    "rtp      -        -    -          -        -   - no     -        never\n" },
		{ "show registrations",
		    "[{'registration':'sbc','id':'vm7-sbc','service':'sbc','address':'10.0.0.1','port':5060,'state':'up','agent':'passing',"
		    "'catalog':'passing','dns':'listed','since':'2026-11-21T00:56:40.000Z','why':null,'note':''}]",
		    "NAME ID      SERVICE ADDRESS  PORT STATE AGENT   CATALOG DNS    SINCE\n"
		    "sbc  vm7-sbc sbc     10.0.0.1 5060 up    passing passing listed 3m20s\n" },
		{ "show checks",
		    "[{'registration':'sbc','check':'sip','type':'sip','status':'passing','agent':'critical',"
		    "'output':'SIP 200 from sip:10.0.0.1:5060','since':'2026-11-21T00:59:55.000Z'},"
		    "{'registration':'sbc','check':'port','type':'tcp','status':null,'agent':'passing','output':null,'since':null},"
		    "{'registration':'rtp','check':'ng','type':'ng','status':'off','agent':null,'output':'','since':null}]",
		    "REGISTRATION CHECK TYPE C4D     AGENT    SINCE\n"
		    "sbc          sip   sip  passing critical 5.0s\n"
		    "    SIP 200 from sip:10.0.0.1:5060\n"
		    "sbc          port  tcp  -       passing  never\n"
		    "rtp          ng    ng   off     -        never\n" },
		{ "show kv",
		    "[{'prefix':'c4/domains','used_by':'sbc/domain','keys':2,'index':1234,'changed':'2026-11-21T00:00:00.000Z',"
		    "'answered':'2026-11-21T00:59:59.000Z','why':null,'note':'empty at Consul for 3s: its last 2 keys are kept'}]",
		    "PREFIX     USED-BY    KEYS INDEX CHANGED ANSWERED\n"
		    "c4/domains sbc/domain    2  1234 1h00m   1.0s\n"
		    "    empty at Consul for 3s: its last 2 keys are kept\n" },
	};
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		struct shown s = { NULL, columns_of(rows[i].command), rows[i].json };

		assert_shows(&s, rows[i].want);
	}
}

static void
ages(void **state)
{
	static const struct column columns[] = { { "AGE", "at", COLUMN_AGE }, { NULL, NULL, 0 } };
	static const struct {
		const char *at, *want;
	} rows[] = {
		{ "null", "never" },
		{ "''", "never" },
		{ "'yesterday'", "never" },
		{ "7", "never" },
		{ "'2026-11-21T01:00:00.000Z'", "0.0s" },
		{ "'2026-11-21T01:00:05.000Z'", "0.0s" }, /* a clock that is ahead of ours */
		{ "'2026-11-21T00:59:59.850Z'", "0.1s" },
		{ "'2026-11-21T00:59:50.001Z'", "9.9s" },
		{ "'2026-11-21T00:59:50.000Z'", "10s" },
		{ "'2026-11-21T00:59:00.001Z'", "59s" },
		{ "'2026-11-21T00:59:00Z'", "1m00s" },
		{ "'2026-11-21T00:00:01.000Z'", "59m59s" },
		{ "'2026-11-21T00:00:00.000Z'", "1h00m" },
		{ "'2026-11-20T01:00:00.001Z'", "23h59m" },
		{ "'2026-11-20T01:00:00.000Z'", "1d00h" },
		{ "'2025-11-21T01:00:00.000Z'", "365d00h" },
	};
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		char *json = xasprintf("[{'at':%s}]", rows[i].at),
		     *want = xasprintf("AGE\n%s\n", rows[i].want);
		struct shown s = { NULL, columns, json };

		assert_shows(&s, want);
		free(json);
		free(want);
	}
}

/* The widest column gives way and says so; what is not too wide is not cut. */
static void
wide_cells_give_way(void **state)
{
	static const struct column columns[] = {
		{ "A", "a", COLUMN_TEXT },
		{ "N", "n", COLUMN_NUMBER },
		{ "B", "b", COLUMN_TEXT },
		{ NULL, NULL, 0 },
	};
	static const struct {
		size_t a, b; /* lengths */
		size_t a_shown, b_shown;
	} rows[] = {
		{ 1, 1, 1, 1 },
		{ 20, 20, 20, 20 },
		{ 37, 40, 37, 40 },
		{ 38, 40, 38, 39 },
		{ 100, 10, 67, 10 },
		{ 300, 300, 38, 39 },
	};
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		char a[400] = "", b[400] = "", json[1000], *got, *line;
		struct shown s = { NULL, columns, json };

		memset(a, 'a', rows[i].a);
		memset(b, 'b', rows[i].b);
		snprintf(json, sizeof json, "[{'a':'%s','n':1,'b':'%s'}]", a, b);
		got = capture(&s);
		line = strchr(got, '\n') + 1;
		assert_int_equal(strcspn(line, " "), rows[i].a_shown);
		assert_int_equal(strlen(strrchr(line, ' ')) - 2, rows[i].b_shown);
		assert_int_equal(
		    memchr(line, '~', rows[i].a_shown) != NULL, rows[i].a_shown < rows[i].a);
		assert_int_equal(line[strlen(line) - 2] == '~', rows[i].b_shown < rows[i].b);
		free(got);
		assert_fits(&s);
	}
}

#define I30 "iiiiiiiiiiiiiiiiiiiiiiiiiiiiii"
#define A42 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* What may stand below its row does so before anything is cut, one after the other; a row that has none has no such line. */
static void
spare_cells_move_below(void **state)
{
	static const struct column columns[] = {
		{ "NAME", "name", COLUMN_TEXT }, { "ID", "id", COLUMN_SPARE }, { "AT", "at", COLUMN_SPARE },
		{ "N", "n", COLUMN_NUMBER }, { "", "why", COLUMN_BELOW }, { NULL, NULL, 0 },
	};
	static const struct {
		const char *json, *want;
	} rows[] = {
		{ "[{'name':'one','id':'" I30 "','at':'" A42 "','n':1,'why':'why'}]",
		    "NAME ID                             AT                                         N\n"
		    "one  " I30 " " A42 " 1\n"
		    "    why\n" },
		{ "[{'name':'one','id':'" I30 "','at':'" A42 "a','n':1,'why':'why'},{'name':'two','id':null,'at':'','n':2}]",
		    "NAME AT                                          N\n"
		    "one  " A42 "a 1\n"
		    "    id " I30 "\n"
		    "    why\n"
		    "two  -                                           2\n" },
		{ "[{'name':'one','id':'x','at':'" A42 A42 "','n':1},{'name':'two','id':'y','n':2},{'name':'three','n':3}]",
		    "NAME  N\n"
		    "one   1\n"
		    "    id x, at " A42 "aaaaaaaaaaaaaaaaaaaaaaaaa\n"
		    "    aaaaaaaaaaaaaaaaa\n"
		    "two   2\n"
		    "    id y\n"
		    "three 3\n" },
	};
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		struct shown s = { NULL, columns, rows[i].json };

		assert_shows(&s, rows[i].want);
		assert_fits(&s);
	}
}

static void
long_text_below_is_cut(void **state)
{
	static const struct column columns[] = { { "A", "a", COLUMN_TEXT }, { "", "b", COLUMN_BELOW }, { NULL, NULL, 0 } };
	char text[5000], *json, *got, *end;
	size_t i;

	for (i = 0; i < sizeof text - 1; i++)
		text[i] = i % 5 == 4 ? ' ' : 'w';
	text[i] = '\0';
	json = xasprintf("[{'a':'x','b':'%s'}]", text);
	got = capture(&(struct shown){ NULL, columns, json });
	assert_true(strlen(got) < 1000);
	end = strstr(got, "(-f json has all)\n");
	assert_non_null(end);
	assert_int_equal(end[strlen("(-f json has all)\n")], '\0');
	free(got);
	free(json);
}

/* A c4d of another version may leave anything out. */
static void
answers_may_lack_anything(void **state)
{
	static const char *const answers[] = { "{}", "[]", "[{}]", "{'steps':[{}],'routes':[{}]}", "{'served':true,'why':'w','errors':[{}]}",
		"{'served':false,'cdr':{'forwarding':true,'why':'w'}}", "{'instances':[{}],'destinations':[{}],'registrations':[{}],'history':[{}]}",
		"{'services':[{'instances':[{}],'targets':[{}]}],'kamailio':[{}],'problems':[{}],'reminders':[{}]}" };
	size_t i, k;

	for (i = 0; i < n_commands; i++)
		for (k = 0; k < NELEM(answers); k++) {
			struct shown s = { commands[i].render, commands[i].columns, answers[k] };

			if (s.render != NULL || s.columns != NULL)
				assert_fits(&s);
		}
}

/* Whoever sends numbers at the end of their range. */
static void
numbers_do_not_overflow(void **state)
{
	struct shown s = { render_why, NULL, "{'address':'a:1','instances':[{'service':'r','state':'disabled','missing_ms':9223372036854775807,"
					     "'remove_hold_ms':-9223372036854775807,'flap':{'damped':true,'reuse_in_ms':9223372036854775807}}]}" };

	assert_shows(&s, "a:1 of service r is disabled since  (never), weight 0\n"
			 "  out for 104249991d8h59m992ms; when DNS lists it again it takes no calls yet:\n"
			 "  flapped 0 times; penalty 0 (suppressed at 0, in again below 0, in about\n"
			 "  104249991d8h59m1s; at once: c4ctl approve r)\n");
}

/* Every table of a command with the longest texts and numbers that it can be given. */
static void
all_tables_fit(void **state)
{
	char long_text[301], words[301];
	size_t i, k, n = 0;

	memset(long_text, 'x', 300);
	long_text[300] = '\0';
	for (i = 0; i < 300; i++)
		words[i] = i % 11 == 10 ? ' ' : 'w';
	words[300] = '\0';
	for (i = 0; i < n_commands; i++) {
		const struct column *c = commands[i].columns;
		struct shown s = { NULL, c, NULL };
		struct buf b = { 0 };

		if (c == NULL)
			continue;
		n++;
		buf_puts(&b, "[{");
		for (k = 0; c[k].key != NULL; k++) {
			buf_printf(&b, "%s'%s':", k ? "," : "", c[k].key);
			if (c[k].kind == COLUMN_NUMBER)
				buf_puts(&b, "65535");
			else if (c[k].kind == COLUMN_AGE)
				buf_puts(&b, "'2023-01-01T00:00:00.000Z'");
			else if (c[k].kind == COLUMN_LIST)
				buf_printf(&b, "['%s','%s']", long_text, long_text);
			else
				buf_printf(&b, "'%s'", k % 2 ? words : long_text);
		}
		buf_puts(&b, "},{}]");
		s.json = b.s;
		assert_fits(&s);
		buf_free(&b);
	}
	assert_true(n >= 5);
}

/* ---- the rest ---- */

static void
status(void **state)
{
	static const struct {
		const char *json, *want;
	} rows[] = {
		{ "{'version':'0.1.0','started':'2026-11-20T20:00:00.000Z','pid':42,'generation':7,'changed':'2026-11-21T00:56:40.000Z',"
		  "'last_proof':'2026-11-21T00:59:59.700Z','problems':[],'services':{'count':3,'up':10,'disabled':1,'held':0},"
		  "'targets':{'converged':2,'pending':0,'window':0,'unreachable':0,'failed':0},"
		  "'kamailio':[{'name':'sbc','up':true,'version':'kamailio 5.6.3 (x86_64/linux)','reloads':4,'set_states':9}],"
		  "'store':{'state':'ok','commits':12,'used_bytes':45056}}",
		    "c4d 0.1.0: all is well\n"
		    "running    5h00m, pid 42, generation 7 (3m20s ago)\n"
		    "services   3: 10 up, 1 disabled, 0 held; last proof from DNS 0.3s ago\n"
		    "targets    2 converged, 0 pending, 0 window, 0 unreachable, 0 failed\n"
		    "kamailio   sbc: kamailio 5.6.3 (x86_64/linux), 4 reloads, 9 set_states\n"
		    "store      ok, 12 commits, 44K used\n" },
		{ "{'version':'0.1.0','started':'2026-11-21T00:59:58.000Z','pid':42,'generation':1,'changed':null,'last_proof':null,"
		  "'problems':[],'services':{'count':1,'up':1,'disabled':0,'held':0},"
		  "'targets':{'converged':1,'pending':0,'window':0,'unreachable':0,'failed':0},"
		  "'kamailio':[{'name':'sbc','up':true,'version':'kamailio 6.0.1','reloads':1,'adds':2,'removes':0,'set_states':9}],"
		  "'store':{'state':'ok','commits':1,'used_bytes':0}}",
		    "c4d 0.1.0: all is well\n"
		    "running    2.0s, pid 42, generation 1 (never)\n"
		    "services   1: 1 up, 0 disabled, 0 held; last proof from DNS never\n"
		    "targets    1 converged, 0 pending, 0 window, 0 unreachable, 0 failed\n"
		    "kamailio   sbc: kamailio 6.0.1, 1 reloads, 2 adds, 0 removes, 9 set_states\n"
		    "store      ok, 1 commits, 0K used\n" },
		{ "{'version':'0.1.0','started':'2026-11-21T00:59:58.000Z','pid':42,'generation':0,'changed':null,'last_proof':null,"
		  "'problems':[{'problem':'kamailio sbc is not reachable','hint':'is it running, and may c4d open its socket? See "
		  "kamailio.sbc.binrpc in the configuration'}],'services':{'count':1,'up':0,'disabled':0,'held':0},"
		  "'targets':{'converged':0,'pending':0,'window':0,'unreachable':1,'failed':0},"
		  "'kamailio':[{'name':'sbc','up':false}],'store':{'state':'failing','commits':0,'used_bytes':0}}",
		    "c4d 0.1.0: 1 problem\n"
		    "! kamailio sbc is not reachable\n"
		    "  -> is it running, and may c4d open its socket? See kamailio.sbc.binrpc in the\n"
		    "  configuration\n"
		    "running    2.0s, pid 42, generation 0 (never)\n"
		    "services   1: 0 up, 0 disabled, 0 held; last proof from DNS never\n"
		    "targets    0 converged, 0 pending, 0 window, 1 unreachable, 0 failed\n"
		    "kamailio   sbc: not reachable\n"
		    "store      failing, 0 commits, 0K used\n" },
	};
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		struct shown s = { render_status, NULL, rows[i].json };

		assert_shows(&s, rows[i].want);
	}
}

static void
status_of_flaps_and_drains(void **state)
{
	static const struct shown s = { render_status, NULL,
		"{'version':'0.1.0','started':'2026-11-21T00:59:58.000Z','pid':42,'generation':3,'changed':null,'last_proof':null,"
		"'problems':[{'problem':'flapping: router 10.0.0.1:5060 went 4 times: kept out until its penalty 2750 is below 750, in "
		"about 9m22s','hint':'find out why; to let it in at once: c4ctl approve router'}],"
		"'reminders':[{'problem':'10.0.0.2:5060 of router is drained since 2026-11-19T00:00:00.000Z by uid 0',"
		"'hint':'if it may take calls again: c4ctl undrain 10.0.0.2:5060'}],"
		"'services':{'count':1,'up':2,'disabled':0,'held':0,'suppressed':1,'draining':2},"
		"'targets':{'converged':1,'pending':0,'window':0,'unreachable':0,'failed':0},"
		"'kamailio':[],'store':{'state':'ok','commits':0,'used_bytes':0}}" };

	assert_shows(&s, "c4d 0.1.0: 1 problem\n"
			 "! flapping: router 10.0.0.1:5060 went 4 times: kept out until its penalty 2750\n"
			 "is below 750, in about 9m22s\n"
			 "  -> find out why; to let it in at once: c4ctl approve router\n"
			 "* 10.0.0.2:5060 of router is drained since 2026-11-19T00:00:00.000Z by uid 0\n"
			 "  -> if it may take calls again: c4ctl undrain 10.0.0.2:5060\n"
			 "running    2.0s, pid 42, generation 3 (never)\n"
			 "services   1: 2 up, 0 disabled, 0 held, 1 suppressed, 2 draining; last proof\n"
			 "from DNS never\n"
			 "targets    1 converged, 0 pending, 0 window, 0 unreachable, 0 failed\n");
}

/* However much is wrong: ten lines, the first (the worst) whole, a hint once, and how many more there are. */
static void
status_in_ten_lines(void **state)
{
	static const char facts[] = "'services':{'count':1,'up':1,'disabled':0,'held':0},'targets':{'converged':0,'pending':0,'window':0,"
				    "'unreachable':0,'failed':20},'kamailio':[{'name':'sbc','up':false}],'store':{'state':'ok'}}";
	size_t n, i, lines;

	for (n = 1; n <= 40; n++) {
		struct buf b = { 0 };
		struct shown s = { render_status, NULL, NULL };
		char *got, *p;
		size_t told = 0, more = 0;

		buf_puts(&b, "{'version':'1','started':null,'pid':1,'generation':1,'problems':[");
		for (i = 0; i < n; i++)
			buf_printf(&b, "%s{'problem':'sbc/%zu failed: cannot write the list file%s','hint':'%s'}", i ? "," : "", i,
			    i % 3 == 2 ? ", and this has a long reason that needs more than one line to be told to whoever reads it, or two, or three,"
					 " and it goes on and on until nobody reads it any more" : "",
			    i < 4 ? "tries again by itself" : "c4ctl diff");
		buf_printf(&b, "],%s", facts);
		s.json = b.s;
		got = capture(&s);
		assert_fits(&s);
		for (lines = 0, p = got; (p = strchr(p, '\n')) != NULL; p++)
			lines++;
		assert_in_range(lines, 5, 10);
		assert_non_null(strstr(got, "! sbc/0 failed: cannot write the list file\n"));
		assert_non_null(strstr(got, "  -> tries again by itself\n"));
		assert_null(strstr(strstr(got, "-> tries") + 1, "-> tries"));
		assert_non_null(strstr(got, "running "));
		assert_non_null(strstr(got, "targets "));
		for (p = got; (p = strstr(p, "\n! ")) != NULL; p++)
			told++;
		p = strstr(got, "\nand ");
		if (p != NULL)
			assert_int_equal(sscanf(p, " and %zu more: c4ctl -f json status", &more), 1);
		assert_int_equal(told + more, n);
		assert_in_range(told, n < 3 ? n : 3, 5);
		free(got);
		buf_free(&b);
	}
}

/* What is to be done may stand in the reason: the worst is told whole. */
static void
status_tells_the_worst(void **state)
{
	static const char reason[] = "Kamailio said Ok to dispatcher.reload but does not hold the list (add sip:10.0.0.1:5060, 1 in all): does its "
				     "list_file name /var/lib/c4d/kamailio/dispatcher.list? modparam(list_file) END";
	char *json = xasprintf("{'version':'1','started':null,'problems':[{'problem':'%s','hint':'a'},{'problem':'%s','hint':'b'}],"
			       "'services':{},'targets':{},'kamailio':[],'store':{'state':'ok'}}", reason, reason), *got, *end;

	got = capture(&(struct shown){ render_status, NULL, json });
	end = strstr(got, "END\n");
	assert_non_null(end);
	assert_null(strstr(end + 1, "END"));
	assert_non_null(strstr(end, "  -> a\nand 1 more: c4ctl"));
	free(got);
	free(json);
}

/* States have their colour, names that look like states have none, and what is counted is what is seen. */
static void
colours(void **state)
{
	static const struct {
		const char *command, *json, *want;
	} rows[] = {
		{ "show instances",
		    "[{'service':'held','address':'10.0.0.1','port':1,'weight':1,'tags':['up'],'state':'up','since':null,'generation':1,"
		    "'source':'dns'},{'service':'b','address':'10.0.0.2','port':1,'weight':1,'tags':[],'state':'held','guard':'shrink',"
		    "'since':null,'generation':1,'source':'dns'}]",
		    "SERVICE ADDRESS  PORT W TAGS STATE GUARD  SINCE GEN SOURCE\n"
		    "held    10.0.0.1    1 1 up   \033[32mup   \033[0m -      never   1 dns\n"
		    "b       10.0.0.2    1 1 -    \033[33mheld \033[0m shrink never   1 dns\n" },
		{ "show targets",
		    "[{'target':'sbc/1','kind':'dispatcher','state':'failed','desired_generation':7,'applied_generation':5,'pending':2,"
		    "'since':null,'last_error':null}]",
		    "TARGET KIND       STATE  DESIRED APPLIED PENDING SINCE\n"
		    "sbc/1  dispatcher \033[31mfailed\033[0m       7       5       2 never\n" },
	};
	struct shown s = { render_status, NULL,
		"{'version':'1','started':null,'problems':[{'problem':'wwwwwwwwwwwwwwwwww wwwwwwwwwwwwwwwwww wwwwwwwwwwwwwwwwww wwwwwwwwwwwwwwwwww ww',"
		"'hint':'mend it'}],'services':{},'targets':{},'kamailio':[],'store':{'state':'ok'}}" };
	char *got;
	size_t i;

	render_to(NULL, true);
	for (i = 0; i < NELEM(rows); i++)
		assert_shows(&(struct shown){ NULL, columns_of(rows[i].command), rows[i].json }, rows[i].want);
	got = capture(&s);
	render_to(NULL, false);
	assert_non_null(strstr(got, "c4d 1: \033[31m1 problem\033[0m\n"
				    "\033[31m!\033[0m wwwwwwwwwwwwwwwwww wwwwwwwwwwwwwwwwww wwwwwwwwwwwwwwwwww wwwwwwwwwwwwwwwwww ww\n"));
	free(got);
}

static void
status_of_registrations(void **state)
{
	static const char frame[] = "{'version':'0.1.0','started':null,'pid':42,'generation':0,'services':{},'targets':{},"
				    "'store':{'state':'ok'},'registrations':%s}";
	static const struct {
		const char *json, *want; /* the line; NULL: none */
	} rows[] = {
		{ "{'count':0,'registered':0}", NULL },
		{ "{'count':3,'registered':3,'maintenance':0,'failed':0}", "registers  3: 3 registered\n" },
		{ "{'count':7,'waiting':1,'pending':1,'registered':1,'maintenance':1,'failed':1,'unreachable':1,'leaving':1}",
		    "registers  7: 1 registered, 1 maintenance, 1 waiting, 1 pending, 1 failed, 1\nunreachable, 1 leaving\n" },
	};
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		char json[500], *got, *line;
		struct shown s = { render_status, NULL, json };

		snprintf(json, sizeof json, frame, rows[i].json);
		got = capture(&s);
		line = strstr(got, "registers");
		if (rows[i].want == NULL)
			assert_null(line);
		else if (line == NULL || strncmp(line, rows[i].want, strlen(rows[i].want)) != 0)
			fail_msg("%s", got);
		free(got);
		assert_fits(&s);
	}
}

static void
topology(void **state)
{
	static const struct shown s = { render_topology, NULL,
		"{'generation':7,'changed':'2026-11-21T00:59:00.000Z','services':["
		"{'service':'router','up':1,'disabled':0,'held':1,'frozen':true,'proof':'2026-11-21T00:59:58.000Z','note':'',"
		"'instances':[{'address':'10.0.0.1','port':5060,'state':'up','guard':'','weight':1,'since':'2026-11-21T00:00:00.000Z'},"
		"{'address':'2001:db8::1','port':5060,'state':'held','guard':'shrink','weight':10,'since':'2026-11-21T00:59:55.000Z'}],"
		"'targets':[{'target':'sbc/1','state':'converged','applied_generation':7}]},"
		"{'service':'rtp','up':0,'disabled':0,'held':0,'frozen':false,'proof':null,'note':'never had an instance: its targets are "
		"left alone'}]}" };

	assert_shows(&s, "generation 7, 1m00s ago\n"
			 "router  1 up, 0 disabled, 1 held, frozen  (proof 2.0s ago)\n"
			 "  |- 10.0.0.1:5060            up  weight 1  1h00m\n"
			 "  |- [2001:db8::1]:5060       held:shrink  weight 10  5.0s\n"
			 "  `> sbc/1                    converged generation 7\n"
			 "rtp  0 up, 0 disabled, 0 held  (proof never)\n"
			 "    never had an instance: its targets are left alone\n");
}

static void
history(void **state)
{
	static const char change[] =
	    "{'service':'router','address':'10.0.0.1','port':5060,'from':'up','to':'held','guard':'empty'}";
	static const struct shown none = { render_history, NULL, "[]" };
	static const struct shown s = { render_history, NULL,
		"[{'generation':7,'seen':'2026-11-21T00:59:50.000Z','committed':'2026-11-21T00:59:50.012Z',"
		"'seen_to_committed_ms':12,'cause':'complete list of router.service.consul from 127.0.0.1:8600 (2 listed)','changes':["
		"{'service':'router','address':'10.0.0.1','port':5060,'from':null,'to':'up'},"
		"{'service':'rtp','address':'::1','port':2223,'from':'disabled','to':null}],"
		"'targets':[{'target':'sbc/1','applied':'2026-11-21T00:59:50.030Z','verified':'2026-11-21T00:59:50.031Z',"
		"'seen_to_applied_ms':30,'applied_to_verified_ms':1},"
		"{'target':'router/10','applied':'2026-11-21T00:59:50.040Z','verified':null,'seen_to_applied_ms':40,'applied_to_verified_ms':null},"
		"{'target':'lost/1','applied':null,'verified':null}]},"
		"{'generation':6,'seen':'2026-11-21T00:00:00.000Z','committed':null,'cause':'c4ctl hold router by uid 0','changes':[],"
		"'targets':[]}]" };
	struct buf b = { 0 };
	struct shown many = { render_history, NULL, NULL };
	char *got;
	size_t i;

	assert_shows(&none, "(none)\n");
	assert_shows(&s, "generation 7  2026-11-21T00:59:50.000Z (10s ago)\n"
			 "  complete list of router.service.consul from 127.0.0.1:8600 (2 listed)\n"
			 "  router 10.0.0.1:5060 new -> up\n"
			 "  rtp [::1]:2223 disabled -> removed\n"
			 "  committed 00:59:50.012 (+12ms)\n"
			 "  sbc/1 applied 00:59:50.030 (+30ms), verified 00:59:50.031 (+1ms)\n"
			 "  router/10 applied 00:59:50.040 (+40ms)\n"
			 "  lost/1 not applied\n"
			 "generation 6  2026-11-21T00:00:00.000Z (1h00m ago)\n"
			 "  c4ctl hold router by uid 0\n");
	buf_puts(&b, "[{'generation':1,'seen':null,'committed':null,'cause':'c','changes':[");
	for (i = 0; i < 12; i++)
		buf_printf(&b, "%s%s", i ? "," : "", change);
	buf_puts(&b, "],'targets':[]}]");
	many.json = b.s;
	got = capture(&many);
	assert_non_null(strstr(got,
	    "  router 10.0.0.1:5060 up -> held:empty\n  ... and 2 more (-f json shows all)\n"));
	free(got);
	buf_free(&b);
}

static void
why_of_flaps_and_drains(void **state)
{
	static const struct {
		const char *instance, *want;
	} rows[] = {
		{ "'state':'suppressed','guard':'flap','penalty':2750,'flap':{'goings':4,'suppress':2000,'reuse':750,"
		  "'reuse_in_ms':562000,'damped':true,'kept_in':null}",
		    "  flapped 4 times; penalty 2750 (suppressed at 2000, in again below 750, in\n"
		    "  about 9m22s; at once: c4ctl approve router)\n" },
		{ "'state':'up','penalty':2750,'flap':{'goings':4,'suppress':2000,'reuse':750,"
		  "'reuse_in_ms':562000,'damped':true,'kept_in':'fewer than min_instances would be left'}",
		    "  flapped 4 times; penalty 2750 (suppressed at 2000): it takes calls all the\n"
		    "  same: fewer than min_instances would be left\n" },
		{ "'state':'up','penalty':900,'flap':{'goings':1,'suppress':2000,'reuse':750,'reuse_in_ms':9000,'damped':false}",
		    "  went 1 times lately; penalty 900 (suppressed at 2000)\n" },
		{ "'state':'disabled','missing_ms':5000,'remove_hold_ms':600000,'penalty':2750,'flap':{'goings':4,'suppress':2000,"
		  "'reuse':750,'reuse_in_ms':61000,'damped':true,'kept_in':null}",
		    "  out for 5s; when DNS lists it again it takes no calls yet:\n"
		    "  flapped 4 times; penalty 2750 (suppressed at 2000, in again below 750, in\n"
		    "  about 1m1s; at once: c4ctl approve router)\n" },
		{ "'state':'draining','guard':'operator','drain':{'by':'uid 0','since':'2026-11-21T00:00:00.000Z','until':null}",
		    "  drained by uid 0 since 2026-11-21T00:00:00.000Z: no new calls; established\n"
		    "  ones may take as long as they need. It ends by: c4ctl undrain 10.0.0.1:5060\n" },
		{ "'state':'draining','guard':'operator','drain':{'by':'uid 0','since':'2026-11-21T00:00:00.000Z',"
		  "'until':'2026-11-21T01:00:00.000Z'}",
		    "  drained by uid 0 since 2026-11-21T00:00:00.000Z: no new calls; established\n"
		    "  ones may take until 2026-11-21T01:00:00.000Z. It ends by: c4ctl undrain\n"
		    "  10.0.0.1:5060\n" },
		{ "'state':'draining','guard':'tag'",
		    "  drained by its tag at Consul: no new calls, established ones go on, until the\n"
		    "  tag is gone\n" },
	};
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		char *json = xasprintf("{'address':'10.0.0.1:5060','instances':[{'service':'router','address':'10.0.0.1',"
				       "'port':5060,'since':'2026-11-21T00:59:00.000Z','weight':1,'source':'dns',%s}]}",
		    rows[i].instance);
		struct shown s = { render_why, NULL, json };
		char *got = capture(&s), *second = strstr(got, "\n  ");

		assert_non_null(second);
		assert_string_equal(second + 1, rows[i].want);
		free(got);
		free(json);
	}
}

static void
why(void **state)
{
	static const struct shown s = {
		render_why, NULL,
		"{'address':'10.0.0.1:5060','instances':[{'service':'router','state':'held','guard':'shrink',"
		"'since':'2026-11-21T00:59:00.000Z','weight':1,'missing_ms':61000,'shrink_hold_ms':60000,'source':'store',"
		"'listed_by':[{'name':'router.service.dc2.consul','proof':'2026-11-21T00:59:59.000Z'}],"
		"'not_listed_by':[{'name':'router.service.dc1.consul','evidence':'complete','why':'a whole list'}]}],"
		"'destinations':[{'target':'sbc/1','uri':'sip:10.0.0.1:5060','desired':'AX','actual':''}],"
		"'history':[{'generation':3,'seen':'2026-11-21T00:59:00.000Z','cause':'complete list','changes':["
		"{'service':'router','address':'10.0.0.1','port':5060,'from':'up','to':'held','guard':'shrink'},"
		"{'service':'router','address':'10.0.0.2','port':5060,'from':'up','to':'held','guard':'shrink'}]}]}"
	};
	static const struct shown gone = {
		render_why, NULL,
		"{'address':'[::1]:5060','instances':[],'destinations':[],'history':[{'generation':3,'seen':'2026-11-21T00:59:00.000Z',"
		"'cause':'proven absence','changes':[{'service':'router','address':'::1','port':5060,'from':'disabled','to':null}]}]}"
	};

	static const struct shown own = {
		render_why, NULL,
		"{'address':'10.0.0.1:5060','instances':[],'registrations':[{'registration':'sbc','id':'vm7-sbc','service':'sbc',"
		"'state':'maintenance','agent':'critical','catalog':'critical','dns':'hidden','why':null,'note':'maintenance by uid 0: "
		"upgrade; it ends by: c4ctl maintenance off sbc'},{'registration':'b','id':'b','service':'c','state':'unreachable',"
		"'agent':null,'catalog':'unknown','dns':'unknown','why':'connection refused'}]}"
	};

	assert_shows(&own,
	    "10.0.0.1:5060 is no instance now\n"
	    "  registered by this c4d as sbc (id vm7-sbc, service sbc): maintenance; at the\n"
	    "  agent critical, at the catalog critical, in DNS hidden\n"
	    "    maintenance by uid 0: upgrade; it ends by: c4ctl maintenance off sbc\n"
	    "  registered by this c4d as b (id b, service c): unreachable; at the agent not\n"
	    "  there, at the catalog unknown, in DNS unknown\n"
	    "    connection refused\n");
	assert_shows(&s,
	    "10.0.0.1:5060 of service router is held:shrink since 2026-11-21T00:59:00.000Z\n"
	    "(1m00s ago), weight 1\n"
	    "  listed by router.service.dc2.consul, last proof 1.0s ago\n"
	    "  not listed by router.service.dc1.consul: last round complete (a whole list)\n"
	    "  known from the store: DNS has not spoken of it since c4d started\n"
	    "  missing for 1m1s; held because too many left at once, until 1m or: c4ctl\n"
	    "  approve router\n"
	    "  in sbc/1 as sip:10.0.0.1:5060: desired AX, Kamailio says not there\n"
	    "  2026-11-21T00:59:00.000Z generation 3: up -> held:shrink, by complete list\n");
	assert_shows(&gone,
	    "[::1]:5060 is no instance now\n"
	    "  2026-11-21T00:59:00.000Z generation 3: disabled -> removed, by proven absence\n");
}

static void
other_renderers(void **state)
{
	static const struct {
		render_fn *render;
		const char *json, *want;
	} rows[] = {
		{ render_config,
		    "[{'key':'state','value':'/var/lib/c4d','origin':'default'},{'key':'services.router.interval','value':'1s',"
		    "'origin':'/etc/c4d/c4d.yml:12'}]",
		    "state: /var/lib/c4d  (default)\nservices.router.interval: 1s  (/etc/c4d/c4d.yml:12)\n" },
		{ render_messages, "['one','two']", "one\ntwo\n" },
		{ render_messages, "[]", "" },
		{ render_event,
		    "{'time':'2026-11-21T00:59:00.000Z','level':'notice','subsystem':'topo','text':'router: 10.0.0.1:5060 up'}",
		    "2026-11-21T00:59:00.000Z notice  topo: router: 10.0.0.1:5060 up\n" },
		{ render_done, "{'service':'router','done':'is held'}", "router is held\n" },
		{ render_done, "{'registration':'sbc, rtp','done':'are in maintenance'}", "sbc, rtp are in maintenance\n" },
		{ render_diff, "[]", "no difference\n" },
		{ render_diff,
		    "[{'target':'sbc/1','where':'kamailio','op':'change','item':'sip:10.0.0.1:5060','detail':'priority 0 -> 5'}]",
		    "TARGET WHERE    STEP   ITEM\n"
		    "sbc/1  kamailio change sip:10.0.0.1:5060\n"
		    "    priority 0 -> 5\n" },
	};
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		struct shown s = { rows[i].render, NULL, rows[i].json };

		assert_shows(&s, rows[i].want);
	}
}

#define LONG63 "a-service-name-that-is-as-long-as-it-may-be-which-is-63-bytes-xx"
#define IP6 "2001:db8:1234:5678:9abc:def0:1234:5678"
#define NAME255 LONG63 "." LONG63 "." LONG63 ".service.a-datacenter.consul"

/* As long as the texts can be, and nothing where something should be: no line is wider than 80,
 * nothing crashes. */
static void
everything_fits(void **state)
{
	static const struct shown rows[] = {
		{ render_status, NULL,
		    "{'version':'0.1.0','started':'2020-01-01T00:00:00Z','pid':4194304,'generation':12345678901,"
		    "'changed':'2020-01-01T00:00:00Z','last_proof':'2020-01-01T00:00:00Z','problems':[{'problem':'" NAME255
		    "','hint':'" NAME255
		    "'}],'services':{'count':10000,'up':100000,'disabled':100000,'held':100000},'targets':{'converged':100000,"
		    "'pending':100000,'window':100000,'unreachable':100000,'failed':100000},'kamailio':[{'name':'" LONG63
		    "','up':true,"
		    "'version':'" NAME255
		    "','reloads':123456789,'set_states':123456789},{'name':'" LONG63 "'}],"
		    "'store':{'state':'failing','commits':123456789012,'used_bytes':1099511627776}}" },
		{ render_topology, NULL,
		    "{'generation':12345678901,'changed':'2020-01-01T00:00:00Z','services':[{'service':'" LONG63
		    "',"
		    "'up':100000,'disabled':100000,'held':100000,'frozen':true,'proof':'2020-01-01T00:00:00Z','note':'" NAME255
		    "',"
		    "'instances':[{'address':'" IP6
		    "','port':65535,'state':'suppressed','guard':'shrink','weight':65535,"
		    "'since':'2020-01-01T00:00:00Z'}],'targets':[{'target':'" LONG63
		    "/2147483647','state':'unreachable',"
		    "'applied_generation':12345678901}]}]}" },
		{ render_history, NULL,
		    "[{'generation':12345678901,'seen':'2020-01-01T00:00:00.000Z','committed':'2021-01-01T00:00:00Z',"
		    "'cause':'complete list of " NAME255 " from [" IP6
		    "]:65535 (1024 listed)','changes':[{'service':'" LONG63 "',"
		    "'address':'" IP6
		    "','port':65535,'from':'suppressed','to':'disabled','guard':'shrink'}],'targets':[{'target':'" LONG63
		    "/2147483647','applied':'2021-01-01T00:00:00Z','verified':'2021-01-01T00:00:00Z'},{'target':'" LONG63
		    "/2147483647','applied':'2021-01-01T00:00:00Z','verified':'2021-01-01T00:00:00Z'}]}]" },
		{ render_why, NULL,
		    "{'address':'[" IP6 "]:65535','instances':[{'service':'" LONG63
		    "','state':'suppressed','guard':'empty',"
		    "'since':'2020-01-01T00:00:00.000Z','weight':65535,'missing_ms':123456789012,'source':'adopted','listed_by':[{'name':'" NAME255
		    "','proof':'2020-01-01T00:00:00Z'}],'not_listed_by':[{'name':'" NAME255
		    "','evidence':'nothing','why':'" NAME255
		    "'}]}],'destinations':[{'target':'" LONG63 "/2147483647','uri':'sip:[" IP6
		    "]:65535;transport=tls','desired':'AP',"
		    "'actual':'IP'}],'history':[{'generation':12345678901,'seen':'2020-01-01T00:00:00.000Z','cause':'complete list of " NAME255
		    "','changes':[{'service':'x','address':'" IP6
		    "','port':65535,'from':'up','to':'held','guard':'empty'}]}]}" },
		{ render_why, NULL, "{'address':'" NAME255 "','instances':[]}" },
		{ render_why, NULL,
		    "{'instances':[{'service':'" LONG63 "','address':'" IP6 "','port':65535,'state':'disabled','penalty':48000,"
		    "'flap':{'goings':65535,'suppress':20000,'reuse':20000,'reuse_in_ms':86399999,'damped':true},"
		    "'drain':{'by':'" LONG63 "','since':'2026-11-21T00:00:00.000Z','until':'2026-11-21T00:00:00.000Z'}}]}" },
		{ render_why, NULL, "{'instances':[{'flap':{},'drain':{}},{'flap':1,'drain':[]}]}" },
		{ render_config, NULL,
		    "[{'key':'services." LONG63 ".names','value':'" NAME255 " " NAME255
		    "','origin':'/etc/c4d/conf.d/" LONG63 ".yml:123456'}]" },
		{ render_diff, NULL,
		    "[{'target':'" LONG63
		    "/1','where':'kamailio','op':'duplicate','item':'sip:" NAME255
		    "','detail':'" NAME255 "'}]" },
		{ render_status, NULL, "{}" },
		{ render_topology, NULL, "{}" },
		{ render_topology, NULL, "{'services':[{'instances':[{}],'targets':[{}]}]}" },
		{ render_history, NULL, "[{}]" },
		{ render_history, NULL, "[{'changes':[{}],'targets':[{}]}]" },
		{ render_why, NULL, "{}" },
		{ render_why, NULL,
		    "{'instances':[{}],'destinations':[{}],'history':[{'changes':[{}]}]}" },
		{ render_config, NULL, "[{}]" },
		{ render_diff, NULL, "[{}]" },
		{ render_event, NULL, "{}" },
		{ render_status, NULL, "[]" },
		{ render_history, NULL, "{}" },
		{ render_why, NULL, "[1]" },
		{ render_why, NULL, "{'registrations':[{},1,[]]}" },
		{ render_why, NULL,
		    "{'registrations':[{'registration':'" LONG63 "','id':'" NAME255 "','service':'" NAME255 "','why':'" NAME255 "','note':'" NAME255
		    " " NAME255 "'}]}" },
		{ render_done, NULL, "{'registration':'" NAME255 "','done':'" NAME255 "'}" },
	};
	size_t i;

	for (i = 0; i < NELEM(rows); i++)
		assert_fits(&rows[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables),
		cmocka_unit_test(ages),
		cmocka_unit_test(wide_cells_give_way),
		cmocka_unit_test(spare_cells_move_below),
		cmocka_unit_test(long_text_below_is_cut),
		cmocka_unit_test(answers_may_lack_anything),
		cmocka_unit_test(numbers_do_not_overflow),
		cmocka_unit_test(all_tables_fit),
		cmocka_unit_test(status),
		cmocka_unit_test(status_of_flaps_and_drains),
		cmocka_unit_test(status_of_registrations),
		cmocka_unit_test(status_in_ten_lines),
		cmocka_unit_test(status_tells_the_worst),
		cmocka_unit_test(colours),
		cmocka_unit_test(topology),
		cmocka_unit_test(history),
		cmocka_unit_test(why),
		cmocka_unit_test(why_of_flaps_and_drains),
		cmocka_unit_test(other_renderers),
		cmocka_unit_test(everything_fits),
	};

	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	return cmocka_run_group_tests_name("render", tests, NULL, NULL);
}
