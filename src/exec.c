#include "exec.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "control/command.h"
#include "daemon.h"
#include "wait.h"

#define SAY_MS 1000
#define COALESCE_MS 200
#define KILL_MS 5000
#define DESCRIPTORS 1024
#define NOT_RUN 126   /* as in a shell: it is there, but is no program */
#define NOT_FOUND 127

static const char usage_text[] =
    "usage: c4d exec [-c FILE] [--watch] [--pristine] [--upcase] [--sanitize] [--wait=SECONDS] PREFIX... -- COMMAND...\n";

enum exec_state { EXEC_READING, EXEC_RUNNING, EXEC_RESTARTING, EXEC_ENDING };

struct exec;

struct source { /* one prefix */
	struct exec *e;
	struct kv *kv;
	bool heard; /* Consul has answered, that there is a value or that there is none */
};

struct exec {
	/* what was asked for */
	const char *file;
	struct exec_env_options o;
	bool watch;
	int64_t limit_ms;
	char **prefixes;
	size_t n;
	char **command;
	/* how it goes */
	struct conf *conf;
	struct loop *loop;
	struct worker *worker;
	struct source *sources;
	enum exec_state state;
	int64_t began_ms;
	struct loop_timer say_timer, change_timer, kill_timer;
	pid_t child;
	char **env; /* the last good one */
	int rc;
	bool inherited[DESCRIPTORS]; /* descriptors that are the command's too */
};

static void
finish(struct exec *e, int rc)
{
	e->rc = rc;
	loop_stop(e->loop);
}

/* ---- the environment ---- */

/* NULL: there is none, and why has been logged. */
static char **
make_env(const struct exec *e)
{
	struct exec_source *v = xcalloc(e->n, sizeof *v);
	char why[512], **env;
	size_t i;

	for (i = 0; i < e->n; i++) {
		v[i].prefix = e->prefixes[i];
		v[i].n = kv_pairs(e->sources[i].kv, &v[i].pairs);
	}
	env = exec_env(v, e->n, environ, &e->o, why, sizeof why);
	if (env == NULL)
		log_error("exec", "%s", why);
	free(v);
	return env;
}

/* ---- the command ---- */

/* libevent's sockets are not for the command; what c4d was given is. */
static void
keep_own_descriptors(const struct exec *e)
{
	int fd;

	for (fd = 3; fd < DESCRIPTORS; fd++)
		if (!e->inherited[fd])
			(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
}

static void
note_descriptors(struct exec *e)
{
	int fd;

	for (fd = 3; fd < DESCRIPTORS; fd++)
		e->inherited[fd] = fcntl(fd, F_GETFD) >= 0;
}

static int
cannot_run(const char *command, int err)
{
	log_error("exec", "cannot run %s: %s", command, strerror(err));
	return err == ENOENT ? NOT_FOUND : NOT_RUN;
}

/* In a process group of its own, so that what it starts ends with it. */
static int
spawn(struct exec *e)
{
	short flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
	posix_spawnattr_t attr;
	sigset_t none, defaults;
	int err;

	keep_own_descriptors(e);
	sigemptyset(&none);
	sigemptyset(&defaults);
	sigaddset(&defaults, SIGPIPE);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, flags);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &defaults);
	err = posix_spawnp(&e->child, e->command[0], NULL, &attr, e->command, e->env);
	posix_spawnattr_destroy(&attr);
	return err;
}

static void
start(struct exec *e)
{
	int err = spawn(e);

	if (err != 0) {
		e->child = 0;
		finish(e, cannot_run(e->command[0], err));
		return;
	}
	e->state = EXEC_RUNNING;
	log_info("exec", "started %s: pid=%ld", e->command[0], (long)e->child);
}

static void
on_kill(void *arg)
{
	struct exec *e = arg;

	log_warnx("exec", "%s (pid %ld) did not end within %d s of SIGTERM: killed", e->command[0], (long)e->child, KILL_MS / 1000);
	(void)kill(-e->child, SIGKILL);
}

/* Some time after a change: is it one for the command? */
static void
on_changed(void *arg)
{
	struct exec *e = arg;
	char **env;

	if (e->state != EXEC_RUNNING && e->state != EXEC_RESTARTING)
		return;
	env = make_env(e);
	if (env == NULL) {
		log_error("exec", "%s goes on with the environment that it has", e->command[0]);
		return;
	}
	if (exec_env_same(env, e->env)) {
		exec_env_free(env);
		return;
	}
	exec_env_free(e->env);
	e->env = env;
	if (e->state == EXEC_RESTARTING) /* it gets this one when it starts */
		return;
	log_notice("exec", "the environment changed: starting %s anew (pid %ld gets SIGTERM)", e->command[0], (long)e->child);
	e->state = EXEC_RESTARTING;
	(void)kill(-e->child, SIGTERM);
	loop_timer_start(&e->kill_timer, KILL_MS);
}

static void
on_ended(struct exec *e, int status)
{
	e->child = 0;
	loop_timer_stop(&e->kill_timer);
	if (e->state == EXEC_RESTARTING) {
		start(e);
		return;
	}
	finish(e, WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

/* Also of what others left to us: as the first process of a container we are everybody's parent. */
static void
on_child(void *arg)
{
	struct exec *e = arg;
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == e->child)
			on_ended(e, status);
}

/* ---- reading ---- */

/* All prefixes are known, or known to be empty: now the command. */
static void
begin(struct exec *e)
{
	struct kv_view v;
	size_t i, known = 0;

	loop_timer_stop(&e->say_timer);
	for (i = 0; i < e->n; i++) {
		kv_view(e->sources[i].kv, &v);
		known += v.known;
	}
	for (i = 0; i < e->n; i++) {
		kv_view(e->sources[i].kv, &v);
		if (known == 0)
			log_error("exec", "there is no key below %s: is the prefix right, and may the token read it (key_prefix read)?", v.prefix);
		else if (!v.known)
			log_warnx("exec", "there is no key below %s: going on without it", v.prefix);
	}
	e->env = known > 0 ? make_env(e) : NULL;
	if (e->env == NULL)
		finish(e, EXIT_NO);
	else if (e->watch)
		start(e);
	else
		finish(e, EXIT_DONE);
}

static void
on_value(void *arg, const struct kv_pair *pairs, size_t n)
{
	struct source *s = arg;
	struct exec *e = s->e;
	size_t i;

	s->heard = true;
	if (e->state != EXEC_READING) {
		if (!loop_timer_armed(&e->change_timer))
			loop_timer_start(&e->change_timer, COALESCE_MS);
		return;
	}
	for (i = 0; i < e->n; i++)
		if (!e->sources[i].heard)
			return;
	e->state = EXEC_RUNNING;
	begin(e);
}

static void
on_say(void *arg)
{
	struct exec *e = arg;
	int64_t now = loop_now_ms(e->loop), left = e->began_ms + e->limit_ms - now;
	char spent[32], limit[32];
	struct kv_view v;
	size_t i;

	for (i = 0; i < e->n && e->sources[i].heard; i++)
		;
	kv_view(e->sources[i].kv, &v);
	text_format_duration((now - e->began_ms + 500) / 1000 * 1000, spent, sizeof spent);
	text_format_duration(e->limit_ms, limit, sizeof limit);
	if (left > 0) {
		log_notice("exec", "waiting for %s to say what is below %s: %s, %s of %s", e->conf->http, v.prefix,
		    v.why[0] ? v.why : "no answer yet", spent, limit);
		loop_timer_start(&e->say_timer, left < SAY_MS ? left : SAY_MS);
		return;
	}
	log_error("exec", "waited %s in vain for %s to say what is below %s: %s", limit, e->conf->http, v.prefix,
	    v.why[0] ? v.why : "no answer");
	finish(e, EXIT_UNREACHABLE);
}

/* ---- signals ---- */

static void
forward(struct exec *e, int signo, bool ends)
{
	if (e->child > 0) {
		if (ends) {
			e->state = EXEC_ENDING;
			loop_timer_stop(&e->kill_timer); /* it has as long as it likes */
		}
		(void)kill(ends ? -e->child : e->child, signo);
	} else if (signo != SIGUSR1 && signo != SIGUSR2) {
		finish(e, 128 + signo);
	}
}

#define FORWARD(signo, ends) static void on_##signo(void *arg) { forward(arg, signo, ends); }
FORWARD(SIGINT, true)
FORWARD(SIGTERM, true)
FORWARD(SIGQUIT, true)
FORWARD(SIGHUP, false)
FORWARD(SIGUSR1, false)
FORWARD(SIGUSR2, false)

static const struct {
	int signo;
	loop_cb *cb;
} forwards[] = {
	{ SIGINT, on_SIGINT }, { SIGTERM, on_SIGTERM }, { SIGQUIT, on_SIGQUIT },
	{ SIGHUP, on_SIGHUP }, { SIGUSR1, on_SIGUSR1 }, { SIGUSR2, on_SIGUSR2 },
};

static int
take_signals(struct exec *e)
{
	struct sigaction sa;
	size_t i;

	for (i = 0; i < NELEM(forwards); i++) {
		/* nohup's word counts */
		if (forwards[i].signo == SIGHUP && sigaction(SIGHUP, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN)
			continue;
		if (loop_signal(e->loop, forwards[i].signo, forwards[i].cb, e) != 0)
			return -ENOMEM;
	}
	return loop_signal(e->loop, SIGCHLD, on_child, e);
}

/* ---- where Consul is ---- */

/* Of "127.0.0.1:8500", "localhost:8500", "https://...", "unix:///path", as Consul's own programs take it. The caller frees. */
static char *
consul_url(const char *addr)
{
	static const char local[] = "localhost:";
	const char *ssl = getenv("CONSUL_HTTP_SSL"), *colon = strstr(addr, "://"), *host = colon != NULL ? colon + 3 : addr;
	bool https = ssl != NULL && (strcmp(ssl, "true") == 0 || strcmp(ssl, "1") == 0);
	struct buf b = { 0 };

	if (strncmp(addr, "unix:", 5) == 0)
		return xasprintf("unix:%s", colon != NULL ? host : addr + 5);
	if (colon != NULL)
		buf_add(&b, addr, (size_t)(host - addr));
	else
		buf_puts(&b, https ? "https://" : "http://");
	if (strncmp(host, local, sizeof local - 1) == 0)
		buf_printf(&b, "127.0.0.1:%s", host + sizeof local - 1);
	else
		buf_puts(&b, host);
	return buf_take(&b);
}

/* A JSON text is YAML's too. */
static bool
add_key(struct buf *b, const char *key, const char *value, const char *what)
{
	json_t *j = json_string(value);
	char *text = j != NULL ? json_dumps(j, JSON_ENCODE_ANY) : NULL;

	if (text == NULL)
		fprintf(stderr, "the environment's %s is no text\n", what);
	else
		buf_printf(b, "%s: %s, ", key, text);
	free(text);
	json_decref(j);
	return text != NULL;
}

static void
report_stderr(void *arg, const char *text)
{
	fprintf(stderr, "%s\n", text);
}

static int
load_environment(struct conf **out)
{
	static const struct {
		const char *variable, *key;
	} rows[] = {
		{ "CONSUL_HTTP_TOKEN_FILE", "token_file" }, { "CONSUL_CACERT", "ca_file" }, { "CONSUL_CLIENT_CERT", "cert_file" },
		{ "CONSUL_CLIENT_KEY", "key_file" }, { "CONSUL_TLS_SERVER_NAME", "server_name" },
		{ "CONSUL_HTTP_SSL_VERIFY", "verify" },
	};
	const char *addr = getenv("CONSUL_HTTP_ADDR"), *value;
	char *url = consul_url(addr != NULL && addr[0] ? addr : "127.0.0.1:8500");
	struct buf text = { 0 };
	bool https = strncmp(url, "https:", 6) == 0, good;
	size_t i;

	if (getenv("CONSUL_HTTP_TOKEN") != NULL && getenv("CONSUL_HTTP_TOKEN_FILE") == NULL)
		log_warnx("exec", "CONSUL_HTTP_TOKEN is not used: c4d reads a token from a file alone; name it in CONSUL_HTTP_TOKEN_FILE");
	buf_puts(&text, "consul: { ");
	good = add_key(&text, "http", url, "CONSUL_HTTP_ADDR");
	for (i = 0; i < NELEM(rows); i++) {
		value = getenv(rows[i].variable);
		if (value != NULL && value[0] && (https || i == 0))
			good &= add_key(&text, rows[i].key, value, rows[i].variable);
	}
	buf_puts(&text, "}\n");
	if (good)
		good = conf_load_text(out, "CONSUL_HTTP_ADDR and the like", text.s, text.len, report_stderr, NULL) == 0;
	buf_free(&text);
	free(url);
	return good ? EXIT_DONE : EXIT_CONFIG;
}

static int
load(struct exec *e)
{
	if (e->file != NULL)
		return daemon_load(&e->conf, e->file);
	if (access(C4D_CONF, F_OK) == 0)
		return daemon_load(&e->conf, C4D_CONF);
	return load_environment(&e->conf);
}

/* ---- the command line ---- */

static bool
parse_option(struct exec *e, int argc, char **argv, int *i)
{
	const char *word = argv[*i];
	const struct {
		const char *name;
		bool *flag;
	} flags[] = {
		{ "--watch", &e->watch }, { "--pristine", &e->o.pristine }, { "--upcase", &e->o.upcase },
		{ "--sanitize", &e->o.sanitize },
	};
	int64_t seconds;
	size_t k;

	for (k = 0; k < NELEM(flags); k++)
		if (strcmp(word, flags[k].name) == 0) {
			*flags[k].flag = true;
			return true;
		}
	if (strncmp(word, "--wait=", 7) == 0) {
		if (text_parse_int(word + 7, 0, WAIT_MAX_S, &seconds) != 0)
			return false;
		e->limit_ms = seconds * 1000;
		return true;
	}
	if (strcmp(word, "-c") != 0 || *i + 1 >= argc)
		return false;
	e->file = argv[++*i];
	return true;
}

static bool
parse(struct exec *e, int argc, char **argv)
{
	int i;

	e->prefixes = xcalloc((size_t)argc, sizeof *e->prefixes);
	for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (argv[i][0] == '\0')
			return false;
		if (argv[i][0] != '-')
			e->prefixes[e->n++] = argv[i];
		else if (!parse_option(e, argc, argv, &i))
			return false;
	}
	e->command = argv + i + 1; /* argv ends with a NULL */
	return i + 1 < argc && e->n > 0;
}

/* ---- all of it ---- */

static int
build(struct exec *e)
{
	size_t i;

	if (loop_new(&e->loop) != 0 || worker_new(&e->worker, e->loop) != 0 || take_signals(e) != 0) {
		log_error("exec", "cannot start: out of memory or of descriptors");
		return EXIT_NO;
	}
	loop_timer_init(&e->say_timer, e->loop, on_say, e);
	loop_timer_init(&e->change_timer, e->loop, on_changed, e);
	loop_timer_init(&e->kill_timer, e->loop, on_kill, e);
	e->sources = xcalloc(e->n, sizeof *e->sources);
	for (i = 0; i < e->n; i++) {
		e->sources[i].e = e;
		if (kv_new(&e->sources[i].kv, e->loop, e->worker, e->conf, e->prefixes[i], KV_HOLD_FOREVER, on_value, &e->sources[i]) != 0) {
			log_error("exec", "cannot use %s", e->conf->http);
			return EXIT_CONFIG;
		}
	}
	e->began_ms = loop_now_ms(e->loop);
	loop_timer_start(&e->say_timer, e->limit_ms < SAY_MS ? e->limit_ms : SAY_MS);
	return EXIT_DONE;
}

static void
tear_down(struct exec *e)
{
	size_t i;

	for (i = 0; i < e->n && e->sources != NULL; i++)
		kv_free(e->sources[i].kv);
	free(e->sources);
	loop_timer_fini(&e->say_timer);
	loop_timer_fini(&e->change_timer);
	loop_timer_fini(&e->kill_timer);
	worker_free(e->worker);
	loop_free(e->loop);
	conf_free(e->conf);
}

/* In c4d's place. Returns only when it can't be run. */
static int
become(const struct exec *e)
{
	keep_own_descriptors(e);
	signal(SIGPIPE, SIG_DFL);
	(void)execvpe(e->command[0], e->command, e->env);
	return cannot_run(e->command[0], errno);
}

int
exec_run(int argc, char **argv)
{
	struct exec e = { .limit_ms = WAIT_DEFAULT_S * 1000 };

	if (!parse(&e, argc, argv)) {
		fputs(usage_text, stderr);
		e.rc = EXIT_USAGE;
		goto out;
	}
	note_descriptors(&e);
	signal(SIGPIPE, SIG_IGN);
	json_object_seed(0);
	log_init(LOG_L_NOTICE);
	e.rc = load(&e);
	if (e.rc == EXIT_DONE)
		e.rc = build(&e);
	if (e.rc == EXIT_DONE && loop_run(e.loop) != 0)
		e.rc = EXIT_NO;
	tear_down(&e);
	if (e.rc == EXIT_DONE && e.env != NULL && !e.watch)
		e.rc = become(&e);
out:
	exec_env_free(e.env);
	free(e.prefixes);
	return e.rc;
}
