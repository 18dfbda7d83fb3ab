/* fault: see fault.h. The table below is the list of functions that the linker redirects: the Makefile reads it from here. */
#include "fault.h"

#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <ares.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <jansson.h>
#include <lmdb.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <yaml.h>

#define PLANS 8

struct plan {
	char names[512]; /* " name name " */
	unsigned left;   /* calls until it fails; 0: not used */
	unsigned times;
	int err;
};
struct watch {
	char name[64];
	unsigned calls;
};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct plan plans[PLANS];
static struct watch watches[PLANS];
static unsigned hits;
static size_t min_bytes;
static bool active;
/* Of base/mem.c's functions, what they ask for is "xalloc": 1 that goes through, 2 its next call fails. */
static __thread int within_x;

static bool
x_fails(void)
{
	bool fails = within_x == 2;

	within_x = within_x ? 1 : 0;
	return fails;
}
/* FAULT_EACH */
static char each_names[512];
static int each_err;
static unsigned each_nth;

static bool
listed(const char *names, const char *name)
{
	char word[80];

	snprintf(word, sizeof word, " %s ", name);
	return strstr(names, word) != NULL;
}

static int
plans_hit(const char *name)
{
	int err = 0;

	for (size_t i = 0; i < PLANS && err == 0; i++) {
		struct plan *p = &plans[i];

		if (p->left == 0 || !listed(p->names, name))
			continue;
		if (p->left > 1) {
			p->left--;
			continue;
		}
		err = p->err;
		if (--p->times == 0)
			p->left = 0;
	}
	return err;
}

/* What this call has to fail with; 0: it goes through. */
static int
hit(const char *name)
{
	int err;

	if (!__atomic_load_n(&active, __ATOMIC_ACQUIRE))
		return 0;
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < PLANS; i++)
		if (strcmp(watches[i].name, name) == 0)
			watches[i].calls++;
	err = plans_hit(name);
	if (err)
		hits++;
	pthread_mutex_unlock(&lock);
	return err;
}

void
fault_times(const char *names, unsigned nth, unsigned times, int err)
{
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < PLANS; i++) {
		if (plans[i].left != 0)
			continue;
		snprintf(plans[i].names, sizeof plans[i].names, " %s ", names);
		plans[i].left = nth;
		plans[i].times = times;
		plans[i].err = err;
		__atomic_store_n(&active, true, __ATOMIC_RELEASE);
		pthread_mutex_unlock(&lock);
		return;
	}
	fprintf(stderr, "fault: more than %d at once\n", PLANS);
	abort();
}

void
fault_set(const char *names, unsigned nth, int err)
{
	fault_times(names, nth, 1, err);
}

void
fault_min_bytes(size_t bytes)
{
	pthread_mutex_lock(&lock);
	min_bytes = bytes;
	pthread_mutex_unlock(&lock);
}

void
fault_watch(const char *name)
{
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < PLANS; i++)
		if (watches[i].name[0] == '\0') {
			snprintf(watches[i].name, sizeof watches[i].name, "%s", name);
			break;
		}
	__atomic_store_n(&active, true, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&lock);
}

unsigned
fault_calls(const char *name)
{
	unsigned n = 0;

	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < PLANS; i++)
		if (strcmp(watches[i].name, name) == 0)
			n = watches[i].calls;
	pthread_mutex_unlock(&lock);
	return n;
}

void
fault_disarm(void)
{
	pthread_mutex_lock(&lock);
	memset(plans, 0, sizeof plans);
	pthread_mutex_unlock(&lock);
}

void
fault_clear(void)
{
	pthread_mutex_lock(&lock);
	memset(plans, 0, sizeof plans);
	memset(watches, 0, sizeof watches);
	hits = 0;
	min_bytes = 0;
	__atomic_store_n(&active, false, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&lock);
}

int
fault_teardown(void **state)
{
	(void)state;
	fault_clear();
	return 0;
}

unsigned
fault_hits(void)
{
	unsigned n;

	pthread_mutex_lock(&lock);
	n = hits;
	pthread_mutex_unlock(&lock);
	return n;
}

void
fault_first(const char *names, int err)
{
	snprintf(each_names, sizeof each_names, "%s", names);
	each_err = err;
	each_nth = 0;
}

void
fault_arm(void)
{
	fault_set(each_names, each_nth, each_err);
}

bool
fault_again(bool arm)
{
	bool over = each_nth > 0 && fault_hits() == 0;

	fault_clear();
	if (over)
		return false;
	each_nth++;
	if (arm)
		fault_arm();
	return true;
}

bool
fault_aborts(void (*fn)(void *), void *arg)
{
	char said[512];
	ssize_t n, used = 0;
	int ends[2], status;
	pid_t pid;

	if (pipe(ends) != 0)
		return false;
	pid = fork();
	if (pid == 0) {
		struct rlimit none = { 0, 0 };

		(void)setrlimit(RLIMIT_CORE, &none);
		(void)signal(SIGABRT, SIG_DFL);
		(void)dup2(ends[1], STDERR_FILENO);
		fn(arg);
		_exit(0);
	}
	close(ends[1]);
	while (used < (ssize_t)sizeof said - 1 && (n = read(ends[0], said + used, sizeof said - 1 - (size_t)used)) > 0)
		used += n;
	said[used] = '\0';
	close(ends[0]);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return false;
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && strstr(said, "out of memory") != NULL;
}

/* --- the table --- */

#define WRAP(name, type, params, args, failing) \
	type __real_##name params; \
	type __wrap_##name params; \
	type __wrap_##name params \
	{ \
		int err = hit(#name); \
\
		if (err) { \
			failing; \
		} \
		return __real_##name args; \
	}
#define ERRNO(value) \
	errno = err; \
	return value
/* FAULT_SHORT: one byte, and the call goes through */
#define SHORT_OR_ERRNO(n) \
	if (err != FAULT_SHORT) { \
		errno = err; \
		return -1; \
	} \
	if ((n) > 1) \
		(n) = 1
#define ALLOC(name, params, args, bytes) \
	void *__real_##name params; \
	void *__wrap_##name params; \
	void *__wrap_##name params \
	{ \
		int err = within_x || (bytes) < min_bytes ? 0 : hit(#name); \
\
		if (err) { \
			errno = ENOMEM; \
			return NULL; \
		} \
		return x_fails() ? NULL : __real_##name args; \
	}
/* A function of base/mem.c: it asks malloc() and its kin, which say no when "xalloc" fails. */
#define XALLOC(name, type, params, args) \
	type __real_##name params; \
	type __wrap_##name params; \
	type __wrap_##name params \
	{ \
		type got; \
\
		within_x = hit("xalloc") ? 2 : 1; \
		got = __real_##name args; \
		within_x = 0; \
		return got; \
	}

/* clang-format off */
/* memory */
ALLOC(malloc, (size_t n), (n), n)
ALLOC(calloc, (size_t n, size_t size), (n, size), n * size)
ALLOC(realloc, (void *p, size_t n), (p, n), n)
ALLOC(strdup, (const char *s), (s), strlen(s) + 1)
XALLOC(xcalloc, void *, (size_t n, size_t size), (n, size))
XALLOC(xrealloc, void *, (void *p, size_t n, size_t size), (p, n, size))
XALLOC(xstrdup, char *, (const char *s), (s))
XALLOC(xstrndup, char *, (const char *s, size_t n), (s, n))
XALLOC(xgrow, void *, (void *arr, size_t n, size_t *cap, size_t size), (arr, n, cap, size))

/* files */
WRAP(read, ssize_t, (int fd, void *p, size_t n), (fd, p, n), SHORT_OR_ERRNO(n))
WRAP(write, ssize_t, (int fd, const void *p, size_t n), (fd, p, n), SHORT_OR_ERRNO(n))
WRAP(pwrite, ssize_t, (int fd, const void *p, size_t n, off_t at), (fd, p, n, at), SHORT_OR_ERRNO(n))
WRAP(fsync, int, (int fd), (fd), ERRNO(-1))
WRAP(ftruncate, int, (int fd, off_t n), (fd, n), ERRNO(-1))
WRAP(futimens, int, (int fd, const struct timespec t[2]), (fd, t), ERRNO(-1))
WRAP(rename, int, (const char *from, const char *to), (from, to), ERRNO(-1))
WRAP(unlink, int, (const char *path), (path), ERRNO(-1))
WRAP(rmdir, int, (const char *path), (path), ERRNO(-1))
WRAP(mkdir, int, (const char *path, mode_t mode), (path, mode), ERRNO(-1))
WRAP(stat, int, (const char *path, struct stat *st), (path, st), ERRNO(-1))
WRAP(lstat, int, (const char *path, struct stat *st), (path, st), ERRNO(-1))
WRAP(fstat, int, (int fd, struct stat *st), (fd, st), ERRNO(-1))
WRAP(fchmod, int, (int fd, mode_t mode), (fd, mode), ERRNO(-1))
WRAP(fchown, int, (int fd, uid_t u, gid_t g), (fd, u, g), ERRNO(-1))
WRAP(chown, int, (const char *path, uid_t u, gid_t g), (path, u, g), ERRNO(-1))
WRAP(flock, int, (int fd, int how), (fd, how), ERRNO(-1))
WRAP(mmap, void *, (void *p, size_t n, int prot, int flags, int fd, off_t at), (p, n, prot, flags, fd, at), ERRNO(MAP_FAILED))
WRAP(opendir, DIR *, (const char *path), (path), ERRNO(NULL))
WRAP(fopen, FILE *, (const char *path, const char *mode), (path, mode), ERRNO(NULL))
WRAP(fdopen, FILE *, (int fd, const char *mode), (fd, mode), ERRNO(NULL))
WRAP(open_memstream, FILE *, (char **p, size_t *n), (p, n), ERRNO(NULL))
WRAP(fflush, int, (FILE *f), (f), ERRNO(EOF))
WRAP(getrandom, ssize_t, (void *p, size_t n, unsigned flags), (p, n, flags), ERRNO(-1))

/* sockets, processes, threads */
WRAP(socket, int, (int family, int type, int protocol), (family, type, protocol), ERRNO(-1))
WRAP(bind, int, (int fd, const struct sockaddr *sa, socklen_t n), (fd, sa, n), ERRNO(-1))
WRAP(listen, int, (int fd, int n), (fd, n), ERRNO(-1))
WRAP(connect, int, (int fd, const struct sockaddr *sa, socklen_t n), (fd, sa, n), ERRNO(-1))
WRAP(accept4, int, (int fd, struct sockaddr *sa, socklen_t *n, int flags), (fd, sa, n, flags), ERRNO(-1))
WRAP(getsockname, int, (int fd, struct sockaddr *sa, socklen_t *n), (fd, sa, n), ERRNO(-1))
WRAP(getsockopt, int, (int fd, int level, int name, void *p, socklen_t *n), (fd, level, name, p, n), ERRNO(-1))
WRAP(setsockopt, int, (int fd, int level, int name, const void *p, socklen_t n), (fd, level, name, p, n), ERRNO(-1))
WRAP(send, ssize_t, (int fd, const void *p, size_t n, int flags), (fd, p, n, flags), SHORT_OR_ERRNO(n))
WRAP(recv, ssize_t, (int fd, void *p, size_t n, int flags), (fd, p, n, flags), SHORT_OR_ERRNO(n))
WRAP(sendto, ssize_t, (int fd, const void *p, size_t n, int flags, const struct sockaddr *sa, socklen_t l),
    (fd, p, n, flags, sa, l), ERRNO(-1))
WRAP(pipe2, int, (int fds[2], int flags), (fds, flags), ERRNO(-1))
WRAP(eventfd, int, (unsigned n, int flags), (n, flags), ERRNO(-1))
WRAP(poll, int, (struct pollfd *p, nfds_t n, int ms), (p, n, ms), ERRNO(-1))
WRAP(ppoll, int, (struct pollfd *p, nfds_t n, const struct timespec *t, const sigset_t *m), (p, n, t, m), ERRNO(-1))
WRAP(fork, pid_t, (void), (), ERRNO(-1))
WRAP(waitpid, pid_t, (pid_t pid, int *status, int flags), (pid, status, flags), ERRNO(-1))
WRAP(kill, int, (pid_t pid, int sig), (pid, sig), ERRNO(-1))
WRAP(pidfd_open, int, (pid_t pid, unsigned flags), (pid, flags), ERRNO(-1))
WRAP(posix_spawnp, int, (pid_t *pid, const char *file, const posix_spawn_file_actions_t *fa, const posix_spawnattr_t *at,
    char *const argv[], char *const env[]), (pid, file, fa, at, argv, env), return err)
WRAP(pthread_create, int, (pthread_t *t, const pthread_attr_t *at, void *(*fn)(void *), void *arg), (t, at, fn, arg), return err)
WRAP(sigaction, int, (int sig, const struct sigaction *new, struct sigaction *old), (sig, new, old), ERRNO(-1))
WRAP(gethostname, int, (char *p, size_t n), (p, n), ERRNO(-1))
WRAP(getgrnam, struct group *, (const char *name), (name), ERRNO(NULL))
WRAP(getpwuid_r, int, (uid_t uid, struct passwd *pw, char *p, size_t n, struct passwd **out), (uid, pw, p, n, out), return err)
WRAP(getrlimit, int, (int what, struct rlimit *out), (what, out), ERRNO(-1))
WRAP(gmtime_r, struct tm *, (const time_t *t, struct tm *out), (t, out), ERRNO(NULL))
WRAP(localtime_r, struct tm *, (const time_t *t, struct tm *out), (t, out), ERRNO(NULL))
WRAP(dlopen, void *, (const char *path, int flags), (path, flags), return NULL)
WRAP(dlsym, void *, (void *lib, const char *name), (lib, name), return NULL)

/* libevent */
WRAP(event_config_new, struct event_config *, (void), (), return NULL)
WRAP(event_base_new_with_config, struct event_base *, (const struct event_config *c), (c), return NULL)
WRAP(event_new, struct event *, (struct event_base *b, evutil_socket_t fd, short what, event_callback_fn fn, void *arg),
    (b, fd, what, fn, arg), return NULL)
WRAP(event_add, int, (struct event *ev, const struct timeval *t), (ev, t), return -1)
WRAP(evbuffer_new, struct evbuffer *, (void), (), return NULL)
WRAP(evbuffer_add, int, (struct evbuffer *b, const void *p, size_t n), (b, p, n), return -1)
WRAP(evbuffer_add_reference, int, (struct evbuffer *b, const void *p, size_t n, evbuffer_ref_cleanup_cb fn, void *arg),
    (b, p, n, fn, arg), return -1)
WRAP(evbuffer_pullup, unsigned char *, (struct evbuffer *b, ev_ssize_t n), (b, n), return NULL)
WRAP(evbuffer_add_cb, struct evbuffer_cb_entry *, (struct evbuffer *b, evbuffer_cb_func fn, void *arg), (b, fn, arg), return NULL)
WRAP(evbuffer_readln, char *, (struct evbuffer *b, size_t *n, enum evbuffer_eol_style eol), (b, n, eol), return NULL)
WRAP(bufferevent_socket_new, struct bufferevent *, (struct event_base *b, evutil_socket_t fd, int o), (b, fd, o), return NULL)
WRAP(bufferevent_enable, int, (struct bufferevent *b, short what), (b, what), return -1)
WRAP(bufferevent_write_buffer, int, (struct bufferevent *b, struct evbuffer *from), (b, from), return -1)
WRAP(evconnlistener_new, struct evconnlistener *, (struct event_base *b, evconnlistener_cb fn, void *arg, unsigned flags, int n,
    evutil_socket_t fd), (b, fn, arg, flags, n, fd), return NULL)
WRAP(evhttp_new, struct evhttp *, (struct event_base *b), (b), return NULL)
WRAP(evhttp_bind_listener, struct evhttp_bound_socket *, (struct evhttp *h, struct evconnlistener *l), (h, l), return NULL)
WRAP(evhttp_add_header, int, (struct evkeyvalq *h, const char *k, const char *v), (h, k, v), return -1)

/* c-ares */
WRAP(ares_library_init, int, (int flags), (flags), return err)
WRAP(ares_init_options, int, (ares_channel *out, struct ares_options *o, int mask), (out, o, mask), return err)
WRAP(ares_set_servers_ports_csv, int, (ares_channel c, const char *servers), (c, servers), return err)

/* jansson; what takes a reference takes it when it fails, too */
WRAP(json_object, json_t *, (void), (), return NULL)
WRAP(json_array, json_t *, (void), (), return NULL)
WRAP(json_string, json_t *, (const char *s), (s), return NULL)
WRAP(json_stringn, json_t *, (const char *s, size_t n), (s, n), return NULL)
WRAP(json_stringn_nocheck, json_t *, (const char *s, size_t n), (s, n), return NULL)
WRAP(json_integer, json_t *, (json_int_t i), (i), return NULL)
WRAP(json_real, json_t *, (double d), (d), return NULL)
WRAP(json_deep_copy, json_t *, (const json_t *j), (j), return NULL)
WRAP(json_object_set_new, int, (json_t *o, const char *k, json_t *v), (o, k, v), json_decref(v); return -1)
WRAP(json_object_set_new_nocheck, int, (json_t *o, const char *k, json_t *v), (o, k, v), json_decref(v); return -1)
WRAP(json_array_append_new, int, (json_t *a, json_t *v), (a, v), json_decref(v); return -1)
WRAP(json_array_insert_new, int, (json_t *a, size_t i, json_t *v), (a, i, v), json_decref(v); return -1)
WRAP(json_array_extend, int, (json_t *a, json_t *b), (a, b), return -1)
WRAP(json_dumps, char *, (const json_t *j, size_t flags), (j, flags), return NULL)
WRAP(json_dumpf, int, (const json_t *j, FILE *f, size_t flags), (j, f, flags), return -1)

/* lmdb */
WRAP(mdb_env_create, int, (MDB_env **out), (out), return err)
WRAP(mdb_env_set_maxdbs, int, (MDB_env *e, MDB_dbi n), (e, n), return err)
WRAP(mdb_env_set_mapsize, int, (MDB_env *e, size_t n), (e, n), return err)
WRAP(mdb_env_open, int, (MDB_env *e, const char *path, unsigned flags, mdb_mode_t mode), (e, path, flags, mode), return err)
WRAP(mdb_env_info, int, (MDB_env *e, MDB_envinfo *out), (e, out), return err)
WRAP(mdb_env_stat, int, (MDB_env *e, MDB_stat *out), (e, out), return err)
WRAP(mdb_txn_begin, int, (MDB_env *e, MDB_txn *parent, unsigned flags, MDB_txn **out), (e, parent, flags, out), return err)
WRAP(mdb_txn_commit, int, (MDB_txn *t), (t), mdb_txn_abort(t); return err)
WRAP(mdb_dbi_open, int, (MDB_txn *t, const char *name, unsigned flags, MDB_dbi *out), (t, name, flags, out), return err)
WRAP(mdb_stat, int, (MDB_txn *t, MDB_dbi d, MDB_stat *out), (t, d, out), return err)
WRAP(mdb_get, int, (MDB_txn *t, MDB_dbi d, MDB_val *k, MDB_val *v), (t, d, k, v), return err)
WRAP(mdb_put, int, (MDB_txn *t, MDB_dbi d, MDB_val *k, MDB_val *v, unsigned flags), (t, d, k, v, flags), return err)
WRAP(mdb_del, int, (MDB_txn *t, MDB_dbi d, MDB_val *k, MDB_val *v), (t, d, k, v), return err)
WRAP(mdb_drop, int, (MDB_txn *t, MDB_dbi d, int del), (t, d, del), return err)
WRAP(mdb_cursor_open, int, (MDB_txn *t, MDB_dbi d, MDB_cursor **out), (t, d, out), return err)
WRAP(mdb_cursor_get, int, (MDB_cursor *c, MDB_val *k, MDB_val *v, MDB_cursor_op op), (c, k, v, op), return err)
WRAP(mdb_cursor_del, int, (MDB_cursor *c, unsigned flags), (c, flags), return err)

/* pcre2, libyaml */
WRAP(pcre2_compile_context_create_8, pcre2_compile_context *, (pcre2_general_context *g), (g), return NULL)
WRAP(pcre2_match_context_create_8, pcre2_match_context *, (pcre2_general_context *g), (g), return NULL)
WRAP(pcre2_match_data_create_8, pcre2_match_data *, (uint32_t n, pcre2_general_context *g), (n, g), return NULL)
WRAP(pcre2_compile_8, pcre2_code *, (PCRE2_SPTR p, PCRE2_SIZE n, uint32_t o, int *code, PCRE2_SIZE *at, pcre2_compile_context *c),
    (p, n, o, code, at, c), *code = PCRE2_ERROR_HEAP_FAILED; *at = 0; return NULL)
WRAP(pcre2_match_8, int, (const pcre2_code *p, PCRE2_SPTR s, PCRE2_SIZE n, PCRE2_SIZE at, uint32_t o, pcre2_match_data *d,
    pcre2_match_context *c), (p, s, n, at, o, d, c), return err)
WRAP(yaml_parser_initialize, int, (yaml_parser_t *p), (p), return 0)
WRAP(yaml_parser_parse, int, (yaml_parser_t *p, yaml_event_t *ev),
    (p, ev), memset(ev, 0, sizeof *ev); p->error = YAML_MEMORY_ERROR; return 0)
/* clang-format on */

/* Those with an open list of arguments have a function of their own, and their names here for the Makefile:
WRAP(open,
WRAP(xasprintf,
WRAP(json_pack,
WRAP(json_sprintf,
WRAP(evbuffer_add_printf,
WRAP(vasprintf,
*/
int __real_vasprintf(char **, const char *, va_list) __attribute__((format(printf, 2, 0)));
int __wrap_vasprintf(char **, const char *, va_list) __attribute__((format(printf, 2, 0)));
int __real_open(const char *, int, ...);
int __wrap_open(const char *, int, ...);
char *__real_xasprintf(const char *, ...) __attribute__((format(printf, 1, 2)));
char *__wrap_xasprintf(const char *, ...) __attribute__((format(printf, 1, 2)));
json_t *__wrap_json_pack(const char *, ...);
json_t *__wrap_json_sprintf(const char *, ...) __attribute__((format(printf, 1, 2)));
int __wrap_evbuffer_add_printf(struct evbuffer *, const char *, ...) __attribute__((format(printf, 2, 3)));

int
__wrap_open(const char *path, int flags, ...)
{
	int err = hit("open");
	mode_t mode = 0;
	va_list ap;

	if (err) {
		errno = err;
		return -1;
	}
	if (flags & O_CREAT) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	return __real_open(path, flags, mode);
}

/* Within xasprintf() it is "xalloc" that makes it fail. */
int
__wrap_vasprintf(char **out, const char *fmt, va_list ap)
{
	int err = within_x ? x_fails() : hit("vasprintf");

	if (err) {
		errno = err;
		return -1;
	}
	return __real_vasprintf(out, fmt, ap);
}

char *
__wrap_xasprintf(const char *fmt, ...)
{
	char *text = NULL, *got;
	va_list ap;

	va_start(ap, fmt);
	if (__real_vasprintf(&text, fmt, ap) < 0)
		abort();
	va_end(ap);
	within_x = hit("xalloc") ? 2 : 1;
	got = __real_xasprintf("%s", text);
	within_x = 0;
	free(text);
	return got;
}

json_t *
__wrap_json_pack(const char *fmt, ...)
{
	int err = hit("json_pack");
	json_t *j;
	va_list ap;

	va_start(ap, fmt);
	j = json_vpack_ex(NULL, 0, fmt, ap);
	va_end(ap);
	if (err) {
		/* What fails has taken the references all the same (jansson's rule). */
		json_decref(j);
		return NULL;
	}
	return j;
}

json_t *
__wrap_json_sprintf(const char *fmt, ...)
{
	json_t *j;
	va_list ap;

	if (hit("json_sprintf"))
		return NULL;
	va_start(ap, fmt);
	j = json_vsprintf(fmt, ap);
	va_end(ap);
	return j;
}

int
__wrap_evbuffer_add_printf(struct evbuffer *b, const char *fmt, ...)
{
	int n;
	va_list ap;

	if (hit("evbuffer_add_printf"))
		return -1;
	va_start(ap, fmt);
	n = evbuffer_add_vprintf(b, fmt, ap);
	va_end(ap);
	return n;
}
