/*
 * disk: base/file.h on files in memory, and base/worker.h: one job at a time, urgent ones first, each taking
 * disk.delay_us; what a job does happens at its end.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/worker.h"
#include "sim.h"

struct file {
	struct file *next;
	char *path;
	char *text;     /* NULL: not there */
	int watch_fd;   /* the reading end of the pipe whose writing end is the lock; -1: never locked */
	int foreign;    /* locked by this other process */
};

struct disk_knobs disk;
static struct file *files;

static struct file *
file_at(const char *path)
{
	struct file *f;

	for (f = files; f != NULL; f = f->next)
		if (strcmp(f->path, path) == 0)
			return f;
	f = xcalloc(1, sizeof *f);
	f->path = xstrdup(path);
	f->watch_fd = -1;
	f->next = files;
	files = f;
	return f;
}

void
disk_reset(void)
{
	struct file *f;

	while ((f = files) != NULL) {
		files = f->next;
		if (f->watch_fd >= 0)
			close(f->watch_fd);
		free(f->text);
		free(f->path);
		free(f);
	}
	memset(&disk, 0, sizeof disk);
}

void
disk_put(const char *path, const char *text)
{
	struct file *f = file_at(path);

	free(f->text);
	f->text = xstrdup(text);
}

const char *
disk_get(const char *path)
{
	return file_at(path)->text;
}

void
disk_lock(const char *path, int pid)
{
	file_at(path)->foreign = pid;
}

/* ---- base/file.h ---- */

int
file_read(const char *path, size_t max, char **out, size_t *len)
{
	const char *text = disk_get(path);

	if (text == NULL)
		return -ENOENT;
	if (strlen(text) > max)
		return -EFBIG;
	*out = xstrdup(text);
	*len = strlen(text);
	return 0;
}

int
file_replace(const char *path, const void *data, size_t len, const char **what)
{
	char *text;

	*what = disk.err == -ENOSPC ? "write" : "create a file beside";
	if (disk.err != 0)
		return disk.err;
	text = xstrndup(data, len);
	world_check_file(path, disk_get(path), text);
	disk_put(path, text);
	free(text);
	note("file");
	trace("disk: %s is written", path);
	return 0;
}

int
file_replace_unsynced(const char *path, const void *data, size_t len, const char **what)
{
	return file_replace(path, data, len, what);
}

/* Nobody's: c4d looks at stamps of the routing data's file alone, which the simulation does not have. */
int
file_stamp(const char *path, struct file_stamp *out)
{
	return -ENOENT;
}

bool
file_stamp_same(const struct file_stamp *a, const struct file_stamp *b)
{
	return memcmp(a, b, sizeof *a) == 0;
}

int
file_sync_dir(const char *path)
{
	return disk.err;
}

/* Files in memory have no times: whoever reads them sees every write. */
int
file_replace_newer(const char *path, const void *data, size_t len, const char **what)
{
	return file_replace(path, data, len, what);
}

/* Nobody else reads here. */
int
file_replace_secret(const char *path, const void *data, size_t len, const char **what)
{
	return file_replace(path, data, len, what);
}

bool
file_mode_is_open(mode_t mode)
{
	return false;
}

int
file_lock(const char *path, pid_t *holder)
{
	struct file *f = file_at(path);
	struct pollfd p = { .fd = f->watch_fd, .events = POLLIN };
	int fd[2];

	*holder = f->foreign ? f->foreign : getpid();
	if (f->foreign || (f->watch_fd >= 0 && (poll(&p, 1, 0) == 0 || !(p.revents & POLLHUP))))
		return -EWOULDBLOCK;
	if (f->watch_fd >= 0)
		close(f->watch_fd);
	f->watch_fd = -1;
	if (pipe2(fd, O_CLOEXEC) != 0)
		return -errno;
	f->watch_fd = fd[0];
	return fd[1]; /* closing it is what unlocks */
}

/* ---- base/worker.h ---- */

struct queue {
	struct worker_job *head;
	struct worker_job **tail;
};

struct worker {
	struct loop_timer timer;
	struct queue todo[2];
	struct worker_job *doing;
};

static struct worker_job *
take(struct worker *w)
{
	int i;

	for (i = WORKER_URGENT; i <= WORKER_NORMAL; i++) {
		struct worker_job *job = w->todo[i].head;

		if (job == NULL)
			continue;
		w->todo[i].head = job->next;
		if (job->next == NULL)
			w->todo[i].tail = &w->todo[i].head;
		return job;
	}
	return NULL;
}

static void
begin(struct worker *w)
{
	w->doing = take(w);
	if (w->doing != NULL)
		clock_start_us(&w->timer, disk.delay_us);
}

static void
end(struct worker_job *job)
{
	if (!disk.lost)
		job->run(job);
	job->done(job);
}

static void
on_timer(void *arg)
{
	struct worker *w = arg;
	struct worker_job *job = w->doing;

	begin(w);
	end(job);
}

int
worker_new(struct worker **out, struct loop *l)
{
	struct worker *w = xcalloc(1, sizeof *w);

	loop_timer_init(&w->timer, l, on_timer, w);
	w->todo[0].tail = &w->todo[0].head;
	w->todo[1].tail = &w->todo[1].head;
	*out = w;
	return 0;
}

void
worker_submit(struct worker *w, enum worker_prio prio, struct worker_job *job)
{
	job->next = NULL;
	*w->todo[prio].tail = job;
	w->todo[prio].tail = &job->next;
	if (w->doing == NULL)
		begin(w);
}

/* A job of the simulation takes no time. */
void
worker_breathe(void)
{
}

void
worker_free(struct worker *w)
{
	struct worker_job *job;

	if (w == NULL)
		return;
	while ((job = w->doing) != NULL) {
		w->doing = take(w);
		end(job);
		if (w->doing == NULL)
			w->doing = take(w);
	}
	loop_timer_fini(&w->timer);
	free(w);
}
