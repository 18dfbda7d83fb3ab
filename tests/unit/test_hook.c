/*
 * hook: how the command of notify is run: what it gets, one at a time, how its ends are told, a reload and a stop while it runs. The
 * events come of a platform whose service an operator holds and releases, and of a registration and a target that are looked at.
 */
#include <errno.h>
#include <signal.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/jsonx.h"
#include "child_fx.h"
#include "conf_fx.h"
#include "control/app.h"
#include "control/hook_look.h"
#include "store_fx.h"

struct world { /* of the present test */
	struct fx *f;
	struct app a;
	char *conf_text;
	struct buf log; /* of hook's, debug too */
	char *script;
	bool begun;
};

static struct world *w;

/* ---- building ---- */

static void
on_changed(void *arg)
{
	hook_look_soon(w->a.hook);
}

static void
on_log(void *arg, enum log_level level, const char *sub, const char *text)
{
	if (strcmp(sub, "hook") == 0)
		buf_printf(&w->log, "%s: %s\n", log_level_name(level), text);
}

static const char *
logged(void)
{
	return w->log.s ? w->log.s : "";
}

static void
forget_log(void)
{
	buf_free(&w->log);
	memset(&w->log, 0, sizeof w->log);
}

/* `notify`: the script; "": none. */
static struct conf *
conf_of(const char *notify, const char *more)
{
	char *text = xasprintf("state: %s\nnotify: '%s'\nnotify_interval: 0s\n%s"
	    "services:\n  router: { max_shrink: 100, min_instances: 0 }\n  rtp: {}\n"
	    "register:\n  sbc: { port: 5060, address: 10.0.0.9 }\n", w->f->dir, notify, more);
	struct conf *conf = conf_of_text(text);

	free(text);
	return conf;
}

static int
setup(void **state)
{
	void *f = NULL;

	if (fx_setup(&f) != 0)
		return -1;
	w = xcalloc(1, sizeof *w);
	w->f = f;
	w->script = xasprintf("%s/notify.sh", w->f->dir);
	signal(SIGPIPE, SIG_IGN);
	child_fx_clear();
	log_hook(on_log, w);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	void *f = w->f;

	log_unhook(on_log, w);
	buf_free(&w->log);
	free(w->script);
	free(w);
	return fx_teardown(&f);
}

static void
begin(const char *notify, const char *more)
{
	fx_start(w->f);
	if (!w->begun)
		fx_put_known(w->f, 1);
	w->begun = true;
	w->a = (struct app){ .loop = w->f->loop, .worker = w->f->worker, .store = w->f->st, .conf = conf_of(notify, more) };
	assert_int_equal(platform_new(&w->a.platform, w->a.loop, w->a.store, w->a.conf, on_changed, NULL), 0);
	assert_int_equal(registrar_new(&w->a.registrar, w->a.loop, w->a.worker, w->a.store, w->a.conf, MACHINE), 0);
	hook_new(&w->a.hook, &w->a);
}

static void
end(void)
{
	hook_free(w->a.hook);
	w->a.hook = NULL;
	registrar_free(w->a.registrar);
	platform_free(w->a.platform);
	fx_stop(w->f);
	conf_free(w->a.conf);
	no_children();
}

static void
reload(const char *notify, const char *more)
{
	struct conf *old = w->a.conf, *fresh = conf_of(notify, more);

	assert_int_equal(registrar_set_conf(w->a.registrar, fresh), 0);
	platform_set_conf(w->a.platform, fresh);
	w->a.conf = fresh;
	hook_set_conf(w->a.hook);
	conf_free(old);
}

/* ---- the command ---- */

static char *
write_script(const char *name, const char *body)
{
	char *path = xasprintf("%s/%s", w->f->dir, name), *text = xasprintf("#!/bin/sh\ncd %s\n%s\n", w->f->dir, body);
	const char *what;

	assert_int_equal(file_replace(path, text, strlen(text), &what), 0);
	assert_int_equal(chmod(path, 0755), 0);
	free(text);
	return path;
}

static void
command(const char *body)
{
	free(w->script);
	w->script = write_script("notify.sh", body);
}

static char *
read_lines(const char *name)
{
	char *path = fx_path(w->f, name), *text = NULL;
	size_t len;

	if (file_read(path, 1 << 20, &text, &len) != 0)
		text = xstrdup("");
	free(path);
	return text;
}

struct lines {
	const char *name;
	unsigned n;
};

static bool
has_lines(void *arg)
{
	struct lines *l = arg;
	char *text = read_lines(l->name), *p;
	unsigned n = 0;

	for (p = text; *p; p++)
		n += *p == '\n';
	free(text);
	return n >= l->n;
}

static void
await_lines(const char *name, unsigned n)
{
	struct lines l = { name, n };

	fx_await(w->f, has_lines, &l);
}

static void
await_file(const char *name)
{
	await_lines(name, 1);
}

static void
make_file(const char *name)
{
	char *path = fx_path(w->f, name);
	const char *what;

	assert_int_equal(file_replace(path, "x\n", 2, &what), 0);
	free(path);
}

static struct hook_view
view(void)
{
	struct hook_view v;

	hook_view(w->a.hook, &v);
	return v;
}

static bool
has_run(void *arg)
{
	struct hook_view v = view();

	return v.ok + v.failed + v.late + v.not_run >= *(uint64_t *)arg;
}

static void
await_runs(uint64_t n)
{
	fx_await(w->f, has_run, &n);
}

static bool
fails_with(void *arg)
{
	return strstr(view().why, arg) != NULL;
}

static bool
is_well(void *arg)
{
	return !view().failing;
}

static bool
is_past(void *arg)
{
	return loop_now_ms(w->a.loop) >= *(int64_t *)arg;
}

/* For what must not happen. */
static void
pass(int64_t ms)
{
	int64_t end_ms = loop_now_ms(w->a.loop) + ms;

	fx_await(w->f, is_past, &end_ms);
}

static void
hold(bool on)
{
	assert_int_equal(platform_word(w->a.platform, "router", on ? JUDGE_HOLD : JUDGE_RELEASE, "uid 0"), 0);
	hook_look_soon(w->a.hook); /* as c4ctl hold does */
}

static json_t *
line_at(const char *name, unsigned i)
{
	char *text = read_lines(name), *save, *p = strtok_r(text, "\n", &save);
	json_t *o;

	while (i-- > 0 && p != NULL)
		p = strtok_r(NULL, "\n", &save);
	assert_non_null(p);
	o = json_loads(p, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(o);
	free(text);
	return o;
}

static void
says(const char *name, unsigned i, const char *event)
{
	json_t *o = line_at(name, i);

	assert_string_equal(jsonx_get_text(o, "event"), event);
	json_decref(o);
}

/* ---- tests ---- */

static void
gets_a_line_and_variables(void **state)
{
	json_t *o;
	char *env, host[256] = "";

	command("cat >> lines; env | sort | grep -v ^PWD= > env; : > done; echo x > done");
	begin(w->script, "");
	pass(400); /* all is as it should be: nothing */
	assert_int_equal(view().ok, 0);
	hold(true);
	await_file("done");
	await_runs(1);
	o = line_at("lines", 0);
	assert_string_equal(jsonx_get_text(o, "event"), "service-held");
	assert_string_equal(jsonx_get_text(o, "service"), "router");
	assert_true(json_is_null(json_object_get(o, "target")));
	assert_string_equal(jsonx_get_text(o, "detail"), "frozen by an operator: nothing comes in and nothing goes out");
	assert_string_equal(jsonx_get_text(o, "hint"), "c4ctl release router");
	assert_int_equal(json_integer_value(json_object_get(o, "generation")), 1);
	assert_int_equal(json_integer_value(json_object_get(o, "count")), 1);
	gethostname(host, sizeof host - 1);
	assert_string_equal(jsonx_get_text(o, "host"), host);
	json_decref(o);
	env = read_lines("env");
	assert_non_null(strstr(env, "C4D_EVENT=service-held\n"));
	assert_non_null(strstr(env, "C4D_SERVICE=router\n"));
	assert_non_null(strstr(env, "C4D_TARGET=\n"));
	assert_non_null(strstr(env, "C4D_REGISTRATION=\n"));
	assert_non_null(strstr(env, "C4D_HINT=c4ctl release router\n"));
	assert_non_null(strstr(env, "C4D_COUNT=1\n"));
	assert_null(strstr(env, "HOME="));
	free(env);
	hold(false);
	await_lines("lines", 2);
	says("lines", 1, "service-back");
	assert_false(view().failing);
	end();
}

static void
without_a_command(void **state)
{
	begin("", "");
	hold(true);
	hook_approved(w->a.hook, "router", "uid 0");
	pass(300);
	assert_false(view().on);
	assert_int_equal(view().waiting, 0);
	end();
	hook_free(NULL);
	hook_look_soon(NULL);
	hook_approved(NULL, "router", "uid 0");
	assert_false(view().on); /* of none at all */
}

/* What was not as it should be when c4d ended. */
static void
held_at_the_start(void **state)
{
	command("cat >> lines");
	begin("", "");
	hold(true);
	end();
	begin(w->script, "");
	await_lines("lines", 1);
	says("lines", 0, "service-held");
	pass(400);
	await_runs(1);
	assert_int_equal(view().ok, 1);
	end();
}

static void
an_approval_is_told(void **state)
{
	json_t *o;

	command("cat >> lines");
	begin(w->script, "");
	hook_approved(w->a.hook, "router", "uid 1000");
	await_lines("lines", 1);
	o = line_at("lines", 0);
	assert_string_equal(jsonx_get_text(o, "event"), "service-approved");
	assert_string_equal(jsonx_get_text(o, "service"), "router");
	assert_non_null(strstr(jsonx_get_text(o, "detail"), "by uid 1000"));
	assert_true(json_is_null(json_object_get(o, "hint")));
	json_decref(o);
	end();
}

/* It is told until the command takes it; the log has the first of a row of failures, and its end. */
static void
told_again_until_it_is_taken(void **state)
{
	char killed[] = "notify.sh: ended by signal 9 (Killed): oops", line[100];

	command("cat > /dev/null; echo nonsense; echo 'no route' >&2; echo 'second line' >&2; exit 3");
	begin(w->script, "");
	hold(true);
	await_runs(1);
	assert_int_equal(view().failed, 1);
	assert_true(view().failing);
	assert_non_null(strstr(view().why, "notify.sh: exit status 3: no route"));
	assert_null(strstr(view().why, "second"));
	assert_non_null(strstr(logged(), "notify.sh: exit status 3: no route; it was told of service-held of router\n"));
	assert_int_equal(view().waiting, 1);
	forget_log();
	command("echo oops; kill -KILL $$"); /* another failure, so soon */
	fx_await(w->f, fails_with, killed);
	assert_string_equal(logged(), "");
	command("cat >> lines");
	await_lines("lines", 1);
	says("lines", 0, "service-held");
	fx_await(w->f, is_well, NULL);
	assert_string_equal(view().why, "");
	assert_int_equal(view().waiting, 0);
	assert_int_equal(view().dropped, 0);
	assert_int_equal(view().ok, 1);
	snprintf(line, sizeof line, "notify.sh works again after %d failures\n", (int)view().failed);
	assert_non_null(strstr(logged(), "notice: "));
	assert_non_null(strstr(logged(), line));
	end();
}

static void
what_it_says_is_for_the_debug_log(void **state)
{
	command("echo one; printf 'two\\033\\n\\nend'; yes err | head -n 1000 >&2; yes | head -c 300 | tr -d '\\n'");
	begin(w->script, "");
	assert_int_equal(log_set("hook", "debug"), 0);
	hold(true);
	await_runs(1);
	assert_int_equal(view().ok, 1);
	assert_non_null(strstr(logged(), "debug: stdout: one\ndebug: stdout: two?\ndebug: stdout: \ndebug: stdout: endy"));
	assert_non_null(strstr(logged(), "debug: stderr: err\n"));
	assert_true(w->log.len < 3000); /* and no more than enough */
	assert_int_equal(log_set("hook", "error"), 0);
	end();
}

static void
takes_too_long(void **state)
{
	command("trap 'echo x > told' TERM; echo waiting >&2; echo $$ > pid; while :; do sleep 0.05; done");
	begin(w->script, "notify_timeout: 200ms\n");
	hold(true);
	await_runs(1);
	assert_int_equal(view().late, 1);
	await_file("told"); /* SIGTERM first */
	assert_non_null(strstr(view().why, "ended by c4d: it took longer than notify_timeout (200ms): waiting"));
	command("cat >> lines");
	await_lines("lines", 1); /* and it is run again */
	says("lines", 0, "service-held");
	end();
}

static void
cannot_be_run(void **state)
{
	char *path;

	begin("/nonexistent/notify", "");
	hold(true);
	await_runs(1);
	assert_int_equal(view().not_run, 1);
	assert_non_null(strstr(view().why, "cannot run /nonexistent/notify: No such file or directory (can c4d's user run it?"));
	path = write_script("open.sh", "echo x > ran");
	assert_int_equal(chmod(path, 0777), 0);
	reload(path, "");
	hold(false);
	await_runs(2);
	assert_non_null(strstr(view().why, "open.sh: Operation not permitted (can everybody write to it? chmod o-w)"));
	free(path);
	path = read_lines("ran");
	assert_string_equal(path, "");
	free(path);
	end();
}

static void
not_enough_descriptors(void **state)
{
	command("cat >> lines");
	begin(w->script, "");
	pipe_errno = EMFILE;
	hold(true);
	await_runs(1);
	assert_int_equal(view().not_run, 1);
	assert_non_null(strstr(view().why, "notify.sh: pipe: Too many open files"));
	pipe_errno = 0;
	await_lines("lines", 1);
	says("lines", 0, "service-held");
	fx_await(w->f, is_well, NULL);
	end();
}

/* It hangs in the kernel: the next one waits until it is gone. */
static void
does_not_die(void **state)
{
	command("trap '' TERM; echo x > began; while :; do sleep 1000; done");
	begin(w->script, "notify_timeout: 100ms\n");
	hold(true);
	await_file("began");
	blind = true;
	command("cat >> lines");
	hold(false);
	await_runs(1); /* SIGTERM, and SIGKILL */
	assert_int_equal(view().late, 1);
	pass(1500);
	assert_int_equal(view().waiting, 1);
	blind = false;
	await_lines("lines", 1);
	says("lines", 0, "service-back");
	await_runs(2);
	end();
}

/* One at a time; what happens meanwhile comes as it is then. */
static void
one_at_a_time(void **state)
{
	json_t *o;

	command("echo x >> started; while [ ! -e go ]; do sleep 0.02; done; cat >> lines");
	begin(w->script, "");
	hold(true);
	await_lines("started", 1);
	hold(false);
	pass(300); /* longer than a look takes to come */
	hold(true);
	pass(300);
	hold(false);
	pass(300);
	assert_int_equal(view().waiting, 1);
	assert_int_equal(view().ok, 0);
	await_lines("started", 1);
	make_file("go");
	await_lines("lines", 2);
	await_runs(2);
	pass(300);
	assert_int_equal(view().ok, 2);
	o = line_at("lines", 1);
	assert_string_equal(jsonx_get_text(o, "event"), "service-back");
	assert_int_equal(json_integer_value(json_object_get(o, "count")), 3);
	json_decref(o);
	end();
}

/* What runs goes on; the next one is the new one. */
static void
another_command_meanwhile(void **state)
{
	char *other = write_script("other.sh", "cat >> others");

	command("echo x >> started; while [ ! -e go ]; do sleep 0.02; done; cat >> lines");
	begin(w->script, "");
	hold(true);
	await_file("started");
	reload(other, "");
	hold(false);
	pass(300);
	assert_int_equal(view().waiting, 1);
	make_file("go");
	await_lines("lines", 1);
	says("lines", 0, "service-held");
	await_lines("others", 1);
	says("others", 0, "service-back");
	await_runs(2);
	assert_int_equal(view().ok, 2);
	free(other);
	end();
}

static void
no_command_meanwhile(void **state)
{
	command("echo x >> started; while [ ! -e go ]; do sleep 0.02; done; cat >> lines; exit 1");
	begin(w->script, "");
	hold(true);
	await_file("started");
	reload("", "");
	hold(false);
	make_file("go");
	await_lines("lines", 1);
	await_runs(1);
	pass(300);
	assert_false(view().on);
	assert_false(view().failing); /* nobody's, by now */
	assert_int_equal(view().waiting, 0);
	/* and when there is one again, what is now counts */
	command("cat >> lines");
	reload(w->script, "");
	pass(400);
	hold(true);
	await_lines("lines", 2);
	says("lines", 1, "service-held");
	end();
}

static void
freed_meanwhile(void **state)
{
	char *pid;

	command("trap '' TERM; echo $$ > pid; while :; do sleep 1000; done");
	begin(w->script, "");
	hold(true);
	await_file("pid");
	end(); /* no child is left */
	pid = read_lines("pid");
	assert_int_equal(kill(atoi(pid), 0), -1);
	free(pid);
}

static void
does_not_read(void **state)
{
	command("exec <&-; echo x >> done; exit 0");
	begin(w->script, "");
	hold(true);
	await_runs(1);
	assert_int_equal(view().ok, 1);
	end();
}

/* ---- what is looked at ---- */

static const char *
event_of(struct hook_events *e, const char *name)
{
	struct hook_event ev;

	hook_look(&w->a, e);
	if (!hook_events_next(e, loop_now_ms(w->a.loop), &ev))
		return "";
	assert_string_equal(ev.name, name);
	return ev.event;
}

/* What the guards and damping make of the instances. */
static void
the_worst_of_a_service(void **state)
{
	static const struct {
		enum topo_state one, two;
		enum topo_guard guard_one, guard_two;
		const char *event;
	} rows[] = {
		{ TOPO_UP, TOPO_DISABLED, GUARD_NONE, GUARD_NONE, "" },
		{ TOPO_UP, TOPO_DRAINING, GUARD_NONE, GUARD_OPERATOR, "" },
		{ TOPO_UP, TOPO_SUPPRESSED, GUARD_NONE, GUARD_FLAP, "service-suppressed" },
		{ TOPO_SUPPRESSED, TOPO_HELD, GUARD_FLAP, GUARD_SHRINK, "service-held" },
		{ TOPO_HELD, TOPO_HELD, GUARD_EMPTY, GUARD_SHRINK, "service-empty" },
		{ TOPO_DISABLED, TOPO_DRAINING, GUARD_NONE, GUARD_TAG, "service-empty" },
		{ TOPO_SUPPRESSED, TOPO_SUPPRESSED, GUARD_FLAP, GUARD_FLAP, "service-empty" },
	};
	const struct hook_limits limits = { 0, 6000 };
	size_t i;

	begin("", "");
	for (i = 0; i < NELEM(rows); i++) {
		struct topo_service *s = &platform_now(w->a.platform)->services[0];
		struct hook_events *e = hook_events_new(&limits);

		assert_int_equal(s->n, 2);
		s->inst[0].state = rows[i].one;
		s->inst[0].guard = rows[i].guard_one;
		s->inst[1].state = rows[i].two;
		s->inst[1].guard = rows[i].guard_two;
		assert_string_equal(event_of(e, "router"), rows[i].event);
		s->inst[0].state = s->inst[1].state = TOPO_UP;
		s->inst[0].guard = s->inst[1].guard = GUARD_NONE;
		assert_string_equal(event_of(e, "router"), rows[i].event[0] ? "service-back" : "");
		hook_events_free(e);
	}
	end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(gets_a_line_and_variables),
		T(without_a_command),
		T(held_at_the_start),
		T(an_approval_is_told),
		T(told_again_until_it_is_taken),
		T(what_it_says_is_for_the_debug_log),
		T(takes_too_long),
		T(cannot_be_run),
		T(not_enough_descriptors),
		T(does_not_die),
		T(one_at_a_time),
		T(another_command_meanwhile),
		T(no_command_meanwhile),
		T(freed_meanwhile),
		T(does_not_read),
		T(the_worst_of_a_service),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
