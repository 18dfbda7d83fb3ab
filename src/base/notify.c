#include "base/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"

#define STATUS_MAX 400 /* the journal and `systemctl status` show one line */
#define AGAIN_MS 100 /* the manager's queue was full */
#define STOPPING_MS 5000 /* so often more time is asked for, */
#define EXTEND_MS 20000 /* and so much */

/* What is to be said yet. */
enum { SAY_READY = 1, SAY_RELOADING = 2, SAY_STATUS = 4, SAY_STOPPING = 8, SAY_ALIVE = 16 };

struct notify {
	struct loop *loop;
	int fd; /* -1: nobody to tell */
	struct sockaddr_un to;
	socklen_t to_len;
	unsigned say;
	bool failed; /* logged */
	char status[STATUS_MAX];
	int64_t beat_ms; /* between two signs of life; 0: none are wanted */
	struct loop_timer beat, again, stopping;
	char *restart; /* NULL: no directory of the manager's */
};

static void
put(struct buf *b, struct notify *n)
{
	if (n->say & SAY_READY)
		buf_printf(b, "READY=1\n");
	if (n->say & SAY_RELOADING)
		buf_printf(
		    b, "RELOADING=1\nMONOTONIC_USEC=%lld\n", (long long)loop_now_us(n->loop));
	if (n->say & SAY_STATUS)
		buf_printf(b, "STATUS=%s\n", n->status);
	if (n->say & SAY_STOPPING)
		buf_printf(
		    b, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%lld\n", (long long)EXTEND_MS * 1000);
	if (n->say & SAY_ALIVE)
		buf_printf(b, "WATCHDOG=1\n");
}

/* All that is unsaid in one datagram. */
static void
tell(struct notify *n, unsigned what)
{
	struct buf b = { 0 };
	ssize_t rc;

	if (n->fd < 0)
		return;
	n->say |= what;
	put(&b, n);
	rc = sendto(
	    n->fd, b.s, b.len, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&n->to, n->to_len);
	if (rc >= 0) {
		n->say = 0;
		n->failed = false;
		loop_timer_stop(&n->again);
	} else {
		if (errno != EAGAIN && errno != EINTR && !n->failed) {
			log_warn("c4d", "the service manager can't be told (NOTIFY_SOCKET %s)",
			    n->to.sun_path[0] ? n->to.sun_path : "(abstract)");
			n->failed = true;
		}
		loop_timer_start(&n->again, AGAIN_MS);
	}
	buf_free(&b);
}

static void
on_again(void *arg)
{
	tell(arg, 0);
}

static void
on_beat(void *arg)
{
	struct notify *n = arg;

	tell(n, SAY_ALIVE);
	loop_timer_start(&n->beat, n->beat_ms);
}

static void
on_stopping(void *arg)
{
	struct notify *n = arg;

	tell(n, SAY_STOPPING);
	loop_timer_start(&n->stopping, STOPPING_MS);
}

/* Half of what the manager allows. Of a watchdog that is for another process: none. */
static int64_t
beat_of(const char *usec, const char *pid)
{
	int64_t v = 0;

	if (pid != NULL && (text_parse_int(pid, 1, INT32_MAX, &v) != 0 || v != getpid()))
		return 0;
	if (usec == NULL || text_parse_int(usec, 1, INT64_MAX, &v) != 0)
		return 0;
	return v / 2000 > 0 ? v / 2000 : 1;
}

static int
open_socket(struct notify *n, const char *path)
{
	size_t len = strlen(path);

	if ((path[0] != '/' && path[0] != '@') || len < 2 || len >= sizeof n->to.sun_path)
		return -EINVAL;
	n->to.sun_family = AF_UNIX;
	memcpy(n->to.sun_path, path, len);
	if (path[0] == '@')
		n->to.sun_path[0] = '\0';
	n->to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (path[0] == '/'));
	n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return n->fd < 0 ? -errno : 0;
}

static void
find_restart(struct notify *n)
{
	const char *dir = getenv("RUNTIME_DIRECTORY");
	struct buf b = { 0 };

	if (dir == NULL || dir[0] != '/')
		return;
	buf_printf(
	    &b, "%.*s/%s", (int)strcspn(dir, ":"), dir, NOTIFY_RESTART); /* the first of several */
	n->restart = buf_take(&b);
	(void)rmdir(n->restart);
}

int
notify_new(struct notify **out, struct loop *loop)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct notify *n = xcalloc(1, sizeof *n);
	int err;

	n->loop = loop;
	n->fd = -1;
	loop_timer_init(&n->beat, loop, on_beat, n);
	loop_timer_init(&n->again, loop, on_again, n);
	loop_timer_init(&n->stopping, loop, on_stopping, n);
	find_restart(n);
	if (path != NULL && *path != '\0') {
		err = open_socket(n, path);
		if (err != 0)
			log_warnx("c4d", "the service manager can't be told: NOTIFY_SOCKET %s: %s",
			    path, strerror(-err));
	}
	if (n->fd >= 0)
		n->beat_ms = beat_of(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"));
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	if (n->beat_ms > 0)
		on_beat(n);
	*out = n;
	return 0;
}

void
notify_free(struct notify *n)
{
	if (n == NULL)
		return;
	loop_timer_fini(&n->beat);
	loop_timer_fini(&n->again);
	loop_timer_fini(&n->stopping);
	if (n->fd >= 0)
		close(n->fd);
	free(n->restart);
	free(n);
}

bool
notify_is_on(const struct notify *n)
{
	return n->fd >= 0;
}

void
notify_ready(struct notify *n)
{
	n->say &= ~(unsigned)SAY_RELOADING; /* it would be read as one that is yet to end */
	tell(n, SAY_READY);
}

void
notify_reloading(struct notify *n)
{
	n->say &= ~(unsigned)SAY_READY;
	tell(n, SAY_RELOADING);
}

void
notify_status(struct notify *n, const char *line)
{
	char text[STATUS_MAX];
	size_t i;

	memset(text, 0, sizeof text);
	snprintf(text, sizeof text, "%s", line);
	for (i = 0; text[i] != '\0';
	     i++) /* one line, and no half of a character: systemd would take none of it */
		if (text[i] < ' ' || text[i] > '~')
			text[i] = text[i] == '\n' || text[i] == '\t' ? ' ' : '?';
	if (strcmp(text, n->status) == 0)
		return;
	memcpy(n->status, text, sizeof text);
	tell(n, SAY_STATUS);
}

void
notify_stopping(struct notify *n)
{
	if (n->fd >= 0)
		on_stopping(n);
}

bool
notify_is_restart(const struct notify *n)
{
	struct stat st;

	return n->restart != NULL && stat(n->restart, &st) == 0;
}
