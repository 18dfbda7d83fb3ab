#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/jsonx.h"
#include "base/log.h"
#include "control/control.h"

#define PEERS_MAX 32
#define PEER_REQS_MAX 8        /* under way at once; more of one peer wait their turn */
#define OUTPUT_PAUSE (1u << 20) /* unread answers of one peer; over it no request of its is taken */
#define OUTPUT_MAX (16u << 20)  /* over it the peer is dropped */
#define WAIT_TICK_MS 100
#define FRAMES_PER_TURN 16
#define GROUPS_MAX 65536 /* of one user; the kernel's limit */
#define LARGE (32u << 10) /* an answer of which malloc would keep several times as much */
#define TRIM_MS 1000

enum right { RIGHT_UNKNOWN, RIGHT_READ, RIGHT_WRITE };

struct peer {
	struct peer *next;
	struct control *ct;
	struct bufferevent *bev; /* NULL: gone */
	char name[32];
	struct ucred cred; /* as the kernel says */
	enum right right;  /* known from its first write command on */
	struct control_req *reqs;
	size_t n_reqs;
	int64_t active_ms; /* of its last request, or of its coming */
	bool closing; /* after what is queued has been sent */
	struct control_req *filling; /* whose payload comes now; it is dispatched then */
	struct loop_later doom;
};

struct control_req {
	struct control_req *next; /* of the peer */
	struct peer *peer;        /* NULL: gone */
	struct control *ct;
	const struct command *cmd;
	json_t *args;
	bool streaming;
	char *payload; /* with a NUL behind */
	size_t payload_len, payload_got;
	/* waiting */
	struct control_req *next_waiting;
	bool waiting;
	int64_t deadline_ms;
	control_wait_cb *wait_cb;
	void *wait_arg;
};

struct control {
	struct app *app;
	char *path;
	int fd;
	struct loop_io io;
	struct loop_timer tick;
	struct loop_timer reopen; /* accepting paused */
	struct loop_timer trim;   /* after large answers */
	bool large;               /* one was given since */
	struct peer *peers;
	size_t n_peers;
	struct control_req *waiting;
};

/* ---- answers ---- */

static void drop(struct peer *);

static void
on_doom(void *arg)
{
	struct peer *p = arg;

	log_warnx("ctl", "a peer (%s) does not read its answers: dropped", p->name);
	drop(p);
}

static void
send_line(struct peer *p, json_t *takes)
{
	char *text = json_dumps(takes, JSON_COMPACT);

	json_decref(takes);
	if (p != NULL && p->bev != NULL && text != NULL) {
		struct evbuffer *out = bufferevent_get_output(p->bev);

		p->ct->large |= strlen(text) > LARGE;
		if (evbuffer_get_length(out) + strlen(text) <= OUTPUT_MAX) {
			evbuffer_add(out, text, strlen(text));
			evbuffer_add(out, "\n", 1);
		} else {
			/* not below whoever makes this answer */
			loop_later(p->ct->app->loop, &p->doom, on_doom, p);
		}
	}
	free(text);
}

void
control_data(struct control_req *r, json_t *takes)
{
	send_line(r->peer, json_pack("{s:o}", "data", takes));
}

/* There may be room again for a request that waits in the peer's input. */
static void
go_on(struct peer *p)
{
	if (p->bev != NULL && !p->closing && evbuffer_get_length(bufferevent_get_input(p->bev)) > 0)
		bufferevent_trigger(p->bev, EV_READ, BEV_OPT_DEFER_CALLBACKS);
}

static bool
has_room(const struct peer *p)
{
	return !p->closing && p->n_reqs < PEER_REQS_MAX &&
	    evbuffer_get_length(bufferevent_get_output(p->bev)) < OUTPUT_PAUSE;
}

bool
control_gone(const struct control_req *r)
{
	return r->peer == NULL;
}

bool
control_has_room(const struct control_req *r)
{
	return r->peer != NULL && evbuffer_get_length(bufferevent_get_output(r->peer->bev)) < OUTPUT_PAUSE;
}

static void
unlink_waiting(struct control_req *r)
{
	struct control_req **p;

	for (p = &r->ct->waiting; *p != NULL; p = &(*p)->next_waiting)
		if (*p == r) {
			*p = r->next_waiting;
			break;
		}
}

static void
unlink_req(struct control_req *r)
{
	struct control_req **p;

	for (p = r->peer ? &r->peer->reqs : NULL; p != NULL && *p != NULL; p = &(*p)->next)
		if (*p == r) {
			*p = r->next;
			break;
		}
	unlink_waiting(r);
}

static void log_line(void *arg, enum log_level level, const char *sub, const char *text);

static void
free_req(struct control_req *r)
{
	if (r->streaming)
		log_unhook(log_line, r);
	unlink_req(r);
	if (r->peer != NULL) {
		r->peer->n_reqs--;
		go_on(r->peer);
	}
	json_decref(r->args);
	free(r->payload);
	free(r->wait_arg);
	free(r);
}

void
control_end(struct control_req *r, int code, const char *fmt, ...)
{
	json_t *end = json_object();
	va_list ap;
	char text[1024];

	jsonx_set_int(end, "exit", code);
	if (fmt != NULL) {
		va_start(ap, fmt);
		vsnprintf(text, sizeof text, fmt, ap);
		va_end(ap);
		jsonx_set_text(end, "error", text);
	}
	send_line(r->peer, end);
	free_req(r);
}

struct app *
control_app(struct control_req *r)
{
	return r->ct->app;
}

size_t
control_n_args(const struct control_req *r)
{
	return json_array_size(r->args);
}

const char *
control_arg(const struct control_req *r, size_t i)
{
	return json_string_value(json_array_get(r->args, i));
}

const char *
control_option(const struct control_req *r, size_t i, const char *name)
{
	size_t len = strlen(name);

	for (; i < control_n_args(r); i++) {
		const char *word = control_arg(r, i);

		if (strncmp(word, name, len) == 0 && word[len] == '=')
			return word + len + 1;
		if (strcmp(word, name) == 0)
			return control_arg(r, i + 1);
	}
	return NULL;
}

bool
control_flag(const struct control_req *r, size_t i, const char *name)
{
	for (; i < control_n_args(r); i++)
		if (strcmp(control_arg(r, i), name) == 0)
			return true;
	return false;
}

char *
control_payload(struct control_req *r, size_t *len)
{
	char *p = r->payload;

	*len = r->payload_len;
	r->payload = NULL;
	return p;
}

const char *
control_peer(const struct control_req *r)
{
	return r->peer ? r->peer->name : "a peer that is gone";
}

/* ---- waiting and streaming ---- */

void
control_event(struct control *ct)
{
	struct control_req *r, *next;
	int64_t now;

	if (ct == NULL || ct->waiting == NULL)
		return;
	now = loop_now_ms(ct->app->loop);
	for (r = ct->waiting; r != NULL; r = next) {
		next = r->next_waiting;
		(void)r->wait_cb(r, r->wait_arg, now >= r->deadline_ms); /* true: it ended, and is gone */
	}
}

static void
on_tick(void *arg)
{
	struct control *ct = arg;

	control_event(ct);
	if (ct->waiting != NULL)
		loop_timer_start(&ct->tick, WAIT_TICK_MS);
}

void
control_wait(struct control_req *r, int64_t deadline_ms, control_wait_cb *cb, void *arg)
{
	r->waiting = true;
	r->deadline_ms = deadline_ms;
	r->wait_cb = cb;
	r->wait_arg = arg;
	r->next_waiting = r->ct->waiting;
	r->ct->waiting = r;
	loop_timer_start(&r->ct->tick, WAIT_TICK_MS);
}

void
control_unwait(struct control_req *r)
{
	unlink_waiting(r);
	r->waiting = false;
	r->wait_arg = NULL;
}

static void
log_line(void *arg, enum log_level level, const char *sub, const char *text)
{
	struct control_req *r = arg;
	json_t *o = json_object();

	jsonx_set_time(o, "time", loop_wall_ms(r->ct->app->loop));
	jsonx_set_text(o, "level", log_level_name(level));
	jsonx_set_text(o, "subsystem", sub);
	jsonx_set_text(o, "text", text);
	jsonx_set_int(o, "generation", (int64_t)platform_generation(r->ct->app->platform));
	control_data(r, o);
}

void
control_stream_log(struct control_req *r)
{
	const struct control_req *other;

	for (other = r->peer ? r->peer->reqs : NULL; other != NULL; other = other->next)
		if (other->streaming) {
			control_end(r, EXIT_REFUSED, "this connection watches already");
			return;
		}
	r->streaming = true;
	log_hook(log_line, r);
}

/* ---- peers ---- */

static void
drop(struct peer *p)
{
	struct control *ct = p->ct;
	struct peer **at;
	struct control_req *r, *next;

	for (r = p->reqs; r != NULL; r = next) {
		next = r->next;
		r->peer = NULL;
		if (r->streaming || r->waiting || r == p->filling)
			free_req(r);
		/* others are with the worker and end by themselves */
	}
	loop_later_cancel(ct->app->loop, &p->doom);
	bufferevent_free(p->bev);
	p->bev = NULL;
	for (at = &ct->peers; *at != NULL; at = &(*at)->next)
		if (*at == p) {
			*at = p->next;
			break;
		}
	ct->n_peers--;
	loop_free_later(ct->app->loop, p);
	if (ct->large && !loop_timer_armed(&ct->trim))
		loop_timer_start(&ct->trim, TRIM_MS);
}

static void
on_trim(void *arg)
{
	struct control *ct = arg;

	ct->large = false;
	worker_trim(ct->app->worker);
}

static void
refuse(struct peer *p, const char *why)
{
	send_line(p, json_pack("{s:i,s:s}", "exit", EXIT_REFUSED, "error", why));
	p->closing = true;
	bufferevent_disable(p->bev, EV_READ);
}

/* By the group database, and so at once when somebody was added, without a new login. */
static bool
is_member(uid_t uid, gid_t group)
{
	char text[16384];
	struct passwd pw, *found = NULL;
	gid_t *gids = NULL;
	int n = 64, room, rc = -1, i;
	bool is = false;

	if (getpwuid_r(uid, &pw, text, sizeof text, &found) != 0 || found == NULL)
		return false;
	do {
		room = n;
		gids = xrealloc(gids, (size_t)room, sizeof *gids);
		rc = getgrouplist(pw.pw_name, pw.pw_gid, gids, &n); /* -1: n is how many there are */
	} while (rc < 0 && n > room && n <= GROUPS_MAX);
	for (i = 0; i < rc && !is; i++)
		is = gids[i] == group;
	free(gids);
	return is;
}

/* Root and c4d's own user change what the daemon does anyway, by its files and signals. */
static enum right
right_of(const struct peer *p)
{
	const char *name = p->ct->app->conf->control_admin_group;
	const struct group *gr;

	if (name == NULL || *name == '\0' || p->cred.uid == 0 || p->cred.uid == geteuid())
		return RIGHT_WRITE;
	gr = getgrnam(name);
	if (gr == NULL || p->cred.uid == (uid_t)-1)
		return RIGHT_READ;
	return p->cred.gid == gr->gr_gid || is_member(p->cred.uid, gr->gr_gid) ? RIGHT_WRITE : RIGHT_READ;
}

static bool
may_write(struct peer *p)
{
	if (p->right == RIGHT_UNKNOWN)
		p->right = right_of(p);
	return p->right == RIGHT_WRITE;
}

static void
refuse_write(struct peer *p, const struct command *cmd)
{
	char why[320];

	snprintf(why, sizeof why,
	    "%s changes something, and %s may only look: that is for root, c4d's own user and group %s "
	    "(control.admin_group); as root: usermod -aG %s USER",
	    cmd->name, p->name, p->ct->app->conf->control_admin_group, p->ct->app->conf->control_admin_group);
	log_notice("ctl", "%s by %s is refused: not in control.admin_group %s", cmd->name, p->name,
	    p->ct->app->conf->control_admin_group);
	refuse(p, why);
}

/* What follows the line belongs to the request; false: refused. */
static bool
expect_payload(struct peer *p, struct control_req *r, json_int_t len)
{
	if (len < 0 || len > (json_int_t)CONTROL_PAYLOAD_MAX || (r->payload = malloc((size_t)len + 1)) == NULL) {
		refuse(p, "the file is too large");
		return false;
	}
	r->payload_len = (size_t)len;
	r->payload[len] = '\0';
	p->filling = r;
	return true;
}

/* True: all of it is there, and the request has begun. */
static bool
fill(struct peer *p, struct evbuffer *in)
{
	struct control_req *r = p->filling;
	int n = evbuffer_remove(in, r->payload + r->payload_got, r->payload_len - r->payload_got);

	if (n > 0)
		r->payload_got += (size_t)n;
	p->active_ms = loop_now_ms(p->ct->app->loop);
	if (r->payload_got < r->payload_len)
		return false;
	p->filling = NULL;
	r->cmd->handle(r);
	return true;
}

/* They are logged: a line break would be a line of its own there. */
static bool
is_argument(const json_t *arg)
{
	const char *s = json_string_value(arg);

	if (s == NULL)
		return false;
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return false;
	return true;
}

static void
dispatch(struct peer *p, const char *line, size_t len)
{
	json_t *req = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	const json_t *args = json_object_get(req, "args"), *arg;
	const char *name = jsonx_get_text(req, "cmd");
	const struct command *cmd = name ? command_by_name(name) : NULL;
	struct control_req *r;
	size_t i;

	if (json_integer_value(json_object_get(req, "v")) != CONTROL_VERSION) {
		refuse(p, "this c4ctl does not fit the running c4d: use the one that was installed with it");
	} else if (cmd == NULL || cmd->handle == NULL) { /* or one that c4ctl does alone */
		refuse(p, "no such command");
	} else if (args != NULL && (!json_is_array(args) || (int)json_array_size(args) > cmd->max_args)) {
		refuse(p, "too many arguments");
	} else if ((int)json_array_size(args) < cmd->min_args) {
		refuse(p, "an argument is missing");
	} else if (cmd->writes && !may_write(p)) {
		refuse_write(p, cmd);
	} else {
		json_array_foreach(args, i, arg)
			if (!is_argument(arg)) {
				refuse(p, "arguments are texts without control characters");
				json_decref(req);
				return;
			}
		if (cmd->writes)
			log_info("ctl", "%s%s%s by %s", cmd->name, json_array_size(args) ? " " : "",
			    json_array_size(args) ? json_string_value(json_array_get(args, 0)) : "", p->name);
		r = xcalloc(1, sizeof *r);
		r->peer = p;
		r->ct = p->ct;
		r->cmd = cmd;
		r->args = args ? json_incref(json_object_get(req, "args")) : json_array();
		r->next = p->reqs;
		p->reqs = r;
		p->n_reqs++;
		p->active_ms = loop_now_ms(p->ct->app->loop);
		if (cmd->payload && !expect_payload(p, r, json_integer_value(json_object_get(req, "payload"))))
			free_req(r);
		else if (p->filling == NULL || r->payload_len == 0) {
			p->filling = NULL;
			cmd->handle(r);
		}
	}
	json_decref(req);
}

static void
on_read(struct bufferevent *bev, void *arg)
{
	struct peer *p = arg;
	struct evbuffer *in = bufferevent_get_input(bev);
	size_t len;
	char *line;
	int n;

	for (n = 0; n < FRAMES_PER_TURN && has_room(p); n++) {
		if (p->filling != NULL) {
			if (!fill(p, in))
				return;
			continue;
		}
		line = evbuffer_readln(in, &len, EVBUFFER_EOL_LF);
		if (line == NULL) {
			if (evbuffer_get_length(in) >= CONTROL_LINE_MAX)
				refuse(p, "the request is too long");
			return;
		}
		dispatch(p, line, len);
		free(line);
	}
	if (n == FRAMES_PER_TURN)
		go_on(p);
}

static void
on_written(struct bufferevent *bev, void *arg)
{
	struct peer *p = arg;

	struct control *ct = p->ct;

	if (p->closing)
		drop(p);
	else
		go_on(p);
	control_event(ct); /* who waits for room has it */
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR | BEV_EVENT_TIMEOUT))
		drop(arg);
}

static void
on_reopen(void *arg)
{
	struct control *ct = arg;

	loop_io_want(&ct->io, LOOP_READ);
}

/* Who has been idle for longest makes room for a new one: connections that nobody uses must not lock c4ctl out. */
static bool
make_room(struct control *ct)
{
	struct peer *p, *idle = NULL;

	if (ct->n_peers < PEERS_MAX)
		return true;
	for (p = ct->peers; p != NULL; p = p->next) /* the newest first */
		if (p->reqs == NULL && (idle == NULL || p->active_ms <= idle->active_ms))
			idle = p;
	if (idle == NULL)
		return false;
	drop(idle);
	return true;
}

static void
on_accept(void *arg, int fd, int what)
{
	static const char full[] = "{\"exit\":5,\"error\":\"too many connections to c4d's control socket are busy\"}\n";
	struct control *ct = arg;
	socklen_t len = sizeof(struct ucred);
	struct peer *p;
	int s;

	s = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (s < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
			log_warn("ctl", "accept"); /* no descriptors left: not again at once */
			loop_io_want(&ct->io, 0);
			loop_timer_start(&ct->reopen, 1000);
		}
		return;
	}
	if (!make_room(ct)) {
		(void)!send(s, full, sizeof full - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		close(s);
		return;
	}
	p = xcalloc(1, sizeof *p);
	p->ct = ct;
	p->active_ms = loop_now_ms(ct->app->loop);
	if (getsockopt(s, SOL_SOCKET, SO_PEERCRED, &p->cred, &len) != 0)
		p->cred = (struct ucred){ .uid = (uid_t)-1, .gid = (gid_t)-1 };
	snprintf(p->name, sizeof p->name, "uid %ld", (long)p->cred.uid);
	p->bev = loop_bufferevent(ct->app->loop, s);
	if (p->bev == NULL) {
		close(s);
		free(p);
		return;
	}
	bufferevent_setcb(p->bev, on_read, on_written, on_event, p);
	bufferevent_setwatermark(p->bev, EV_READ, 0, CONTROL_LINE_MAX);
	bufferevent_enable(p->bev, EV_READ | EV_WRITE);
	p->next = ct->peers;
	ct->peers = p;
	ct->n_peers++;
}

/* ---- life ---- */

static int
listen_at(const char *path, const char *group)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct group *gr;
	struct stat st;
	mode_t mask;
	int fd, probe, rc, err;

	if (strlen(path) >= sizeof sun.sun_path)
		return -ENAMETOOLONG;
	if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
		return -EEXIST; /* connect() would say of it what it says of a dead one's socket */
	strcpy(sun.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* Does somebody answer there? Only a dead one's socket may be replaced. */
	probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	rc = probe < 0 ? -1 : connect(probe, (struct sockaddr *)&sun, sizeof sun);
	err = rc == 0 || errno == EAGAIN ? -EADDRINUSE : 0;
	if (err == 0 && errno == ECONNREFUSED)
		(void)unlink(path);
	if (probe >= 0)
		close(probe);
	if (err == 0) {
		mask = umask(0117);
		if (bind(fd, (struct sockaddr *)&sun, sizeof sun) != 0 || listen(fd, 16) != 0)
			err = -errno;
		umask(mask);
	}
	if (err != 0) {
		close(fd);
		return err;
	}
	if (group != NULL) {
		gr = getgrnam(group);
		if (gr == NULL || chown(path, (uid_t)-1, gr->gr_gid) != 0)
			log_warnx("ctl", "control.group: cannot give %s to group %s: %s", path, group,
			    gr == NULL ? "no such group" : strerror(errno));
	}
	return fd;
}

int
control_new(struct control **out, struct app *app, const char *path, const char *group)
{
	struct control *ct;
	char *dir = xstrdup(path), *slash = strrchr(dir, '/');
	int fd;

	if (slash != NULL && slash != dir) {
		*slash = '\0';
		(void)mkdir(dir, 0755);
	}
	free(dir);
	fd = listen_at(path, group);
	if (fd == -EADDRINUSE) {
		log_error("ctl", "another c4d answers at %s: stop it, or give this one its own control.socket", path);
		return fd;
	}
	if (fd == -EEXIST) {
		log_error("ctl", "%s is there and is no socket: move it away, or set another control.socket", path);
		return fd;
	}
	if (fd < 0) {
		log_error("ctl", "cannot listen at %s: %s (control.socket; does the directory exist, and may c4d write there?)",
		    path, strerror(-fd));
		return fd;
	}
	ct = xcalloc(1, sizeof *ct);
	ct->app = app;
	ct->path = xstrdup(path);
	ct->fd = fd;
	loop_timer_init(&ct->tick, app->loop, on_tick, ct);
	loop_timer_init(&ct->reopen, app->loop, on_reopen, ct);
	loop_timer_init(&ct->trim, app->loop, on_trim, ct);
	loop_io_init(&ct->io, app->loop, fd, on_accept, ct);
	loop_io_want(&ct->io, LOOP_READ);
	*out = ct;
	return 0;
}

void
control_free(struct control *ct)
{
	struct control_req *r;

	if (ct == NULL)
		return;
	loop_io_fini(&ct->io);
	close(ct->fd);
	(void)unlink(ct->path);
	while ((r = ct->waiting) != NULL)
		control_end(r, EXIT_UNREACHABLE, "c4d is stopping");
	while (ct->peers != NULL) {
		struct evbuffer *o = bufferevent_get_output(ct->peers->bev);

		(void)evbuffer_unfreeze(o, 1); /* the bufferevent keeps its front to itself */
		(void)evbuffer_write(o, bufferevent_getfd(ct->peers->bev)); /* what fits, without waiting */
		drop(ct->peers);
	}
	loop_timer_fini(&ct->tick);
	loop_timer_fini(&ct->reopen);
	loop_timer_fini(&ct->trim);
	free(ct->path);
	free(ct);
}
