/* c4ctl: one request, rendered for people or as JSON. Blocking on purpose; it is a command, not a daemon. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/jsonx.h"
#include "base/text.h"
#include "config/conf.h"
#include "control/client.h"
#include "control/control.h"
#include "control/render_int.h"
#include "control/terminal.h"

#define DEFAULT_SOCKET "/run/c4d/control.sock"
#define REPLY_TIMEOUT_S 20
#define LOOK_TIMEOUT_S 5 /* on -w's screen, where keys wait for it */
#define WATCH_MAX_S 86400

enum format { FORMAT_PLAIN, FORMAT_JSON, FORMAT_JSONL, FORMAT_DOT, FORMAT_MERMAID };

struct client {
	const char *socket;
	enum format format;
	int watch_s; /* 0: once */
	int timeout_s;
	FILE *err;
};

/* A command as it was given. */
struct asked {
	struct client *c;
	const struct command *cmd;
	int argc;
	char **argv;
};

static void
usage_line(const char *line)
{
	fprintf(stderr, "%s\n", line);
}

static void
help_line(const char *line)
{
	printf("%s\n", line);
}

int64_t
client_wall_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int
client_connect(const char *path, int timeout_s, char *error, size_t size)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct timeval tv = { timeout_s, 0 };
	int fd, err;

	if (strlen(path) >= sizeof sun.sun_path) {
		snprintf(error, size, "the socket's path is too long: %s", path);
		return -1;
	}
	strcpy(sun.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0) /* a daemon that hangs takes no connections either */
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&sun, sizeof sun) == 0)
		return fd;
	err = errno;
	if (fd >= 0)
		close(fd);
	snprintf(error, size, "cannot reach c4d at %s: %s (%s)", path, strerror(err),
	    err == EACCES ? "are you in the control group?" :
	    err == ENOENT || err == ECONNREFUSED ? "c4d is not running; or name its control.socket with -s" : "it hangs, or is overloaded (see its log)");
	return -1;
}

static void
show(const struct client *c, const struct command *cmd, const json_t *data)
{
	FILE *out = render_out();
	const json_t *row;
	size_t i;

	if (c->format == FORMAT_DOT || c->format == FORMAT_MERMAID) {
		(c->format == FORMAT_DOT ? cmd->dot : cmd->mermaid)(data, client_wall_ms());
	} else if (c->format == FORMAT_PLAIN) {
		if (cmd->columns != NULL)
			render_table(cmd->columns, data, client_wall_ms());
		else if (cmd->render != NULL)
			cmd->render(data, client_wall_ms());
		else if (jsonx_get_text(data, "done"))
			render_done(data, client_wall_ms());
	} else if (c->format == FORMAT_JSONL && json_is_array(data)) {
		json_array_foreach(data, i, row) {
			json_dumpf(row, out, JSON_COMPACT | JSON_ENCODE_ANY);
			putc('\n', out);
		}
	} else {
		json_dumpf(data, out, (c->format == FORMAT_JSONL || cmd->streams ? JSON_COMPACT : JSON_INDENT(2)) | JSON_ENCODE_ANY);
		putc('\n', out);
	}
	fflush(out);
}

static bool
send_all(int fd, const char *s, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, s, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		s += n;
		len -= (size_t)n;
	}
	return true;
}

/* Reads answer lines until the end line; its exit status. */
static int
read_answer(const struct client *c, const struct command *cmd, int fd)
{
	FILE *in = fdopen(fd, "r");
	char *line = NULL;
	size_t cap = 0;
	int code = -1;

	while (code < 0 && in != NULL && getline(&line, &cap, in) > 0) {
		json_t *o = json_loads(line, JSON_DECODE_ANY, NULL);
		const json_t *data = json_object_get(o, "data"), *end = json_object_get(o, "exit");
		const char *error = jsonx_get_text(o, "error");

		if (data != NULL)
			show(c, cmd, data);
		if (end != NULL)
			code = (int)json_integer_value(end);
		if (error != NULL)
			fprintf(c->err, "c4ctl: %s\n", error);
		json_decref(o);
	}
	if (code < 0) {
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			fprintf(c->err, "c4ctl: no answer within %ds: c4d hangs (see its log)\n", c->timeout_s);
		else
			fprintf(c->err, "c4ctl: c4d closed the connection without an answer (is it stopping?)\n");
		code = EXIT_UNREACHABLE;
	}
	free(line);
	if (in != NULL)
		fclose(in);
	return code;
}

/* All of a file, or of standard input. NULL: said why. */
static char *
read_payload(const char *path, size_t *len)
{
	int fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
	struct buf b = { 0 };
	char piece[65536];
	ssize_t n = fd < 0 ? -1 : 1;

	while (n > 0 && b.len <= CONTROL_PAYLOAD_MAX) {
		n = read(fd, piece, sizeof piece);
		if (n > 0)
			buf_add(&b, piece, (size_t)n);
	}
	if (n < 0)
		fprintf(stderr, "c4ctl: cannot read %s: %s\n", path, strerror(errno));
	else if (b.len > CONTROL_PAYLOAD_MAX)
		fprintf(stderr, "c4ctl: %s is larger than %u MB\n", path, CONTROL_PAYLOAD_MAX >> 20);
	if (fd >= 0)
		close(fd);
	if (n < 0 || b.len > CONTROL_PAYLOAD_MAX) {
		buf_free(&b);
		return NULL;
	}
	*len = b.len;
	return buf_take(&b);
}

static int
run_local(const struct client *c, const struct command *cmd, int argc, char **argv)
{
	char error[640] = "", *text = NULL;
	json_t *data = NULL;
	size_t len = 0;
	int rc;

	if (cmd->payload) {
		text = read_payload(argv[0], &len);
		if (text == NULL)
			return EXIT_NO;
	}
	rc = cmd->local(argc, argv, text, len, &data, error, sizeof error);
	if (data != NULL)
		show(c, cmd, data);
	if (error[0])
		fprintf(c->err, "c4ctl: %s\n", error);
	json_decref(data);
	free(text);
	return rc;
}

bool
client_send(int fd, const char *command, json_t *args, const char *payload, size_t len)
{
	json_t *req = json_pack("{s:i,s:s,s:o}", "v", CONTROL_VERSION, "cmd", command, "args", args ? args : json_array());
	char *text;
	bool sent;

	if (payload != NULL)
		json_object_set_new(req, "payload", json_integer((json_int_t)len));
	text = json_dumps(req, JSON_COMPACT);
	json_decref(req);
	sent = send_all(fd, text, strlen(text)) && send_all(fd, "\n", 1) && send_all(fd, payload, len);
	free(text);
	return sent;
}

json_t *
client_ask(const char *path, const char *command, int timeout_s, char *error, size_t size)
{
	struct timeval tv = { timeout_s, 0 };
	int fd = client_connect(path, timeout_s, error, size);
	json_t *data = NULL, *o = NULL;
	char *line = NULL;
	size_t cap = 0;
	bool ended = false;
	FILE *in;

	if (fd < 0)
		return NULL;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
	in = client_send(fd, command, NULL, NULL, 0) ? fdopen(fd, "r") : NULL;
	while (in != NULL && !ended && getline(&line, &cap, in) > 0) {
		o = json_loads(line, 0, NULL);
		if (json_object_get(o, "data") != NULL) {
			json_decref(data);
			data = json_incref(json_object_get(o, "data"));
		}
		ended = json_object_get(o, "exit") != NULL;
		json_decref(o);
	}
	if (!ended) {
		json_decref(data);
		data = NULL;
		snprintf(error, size, "c4d at %s does not answer: it hangs, or is stopping (see its log)", path);
	}
	free(line);
	if (in != NULL)
		fclose(in);
	else
		close(fd);
	return data;
}

static int
request(const struct client *c, const struct command *cmd, int argc, char **argv)
{
	struct timeval tv = { c->timeout_s, 0 };
	char *payload = NULL, error[320];
	json_t *args;
	size_t len = 0;
	int fd, i;
	bool sent;

	if (cmd->payload) {
		payload = read_payload(argv[0], &len);
		if (payload == NULL)
			return EXIT_NO;
	}
	fd = client_connect(c->socket, c->timeout_s, error, sizeof error);
	if (fd < 0) {
		fprintf(c->err, "c4ctl: %s\n", error);
		free(payload);
		return EXIT_UNREACHABLE;
	}
	args = json_array();
	for (i = 0; i < argc; i++)
		json_array_append_new(args, jsonx_text(argv[i]));
	if (!cmd->streams)
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
	sent = client_send(fd, cmd->name, args, payload, len);
	free(payload);
	/* Who is refused at once has an answer waiting all the same. */
	if (!sent && errno != EPIPE && errno != ECONNRESET) {
		fprintf(c->err, "c4ctl: cannot send to %s: %s\n", c->socket, strerror(errno));
		close(fd);
		return EXIT_UNREACHABLE;
	}
	errno = 0;
	return read_answer(c, cmd, fd);
}

static int
usage(const char *why)
{
	if (why[0])
		fprintf(stderr, "c4ctl: %s\n", why);
	else
		command_usage(usage_line);
	return EXIT_USAGE;
}

static bool
parse_format(const char *s, enum format *out)
{
	static const char *const names[] = { "plain", "json", "jsonl", "dot", "mermaid" };
	size_t i;

	for (i = 0; s != NULL && i < NELEM(names); i++)
		if (strcmp(names[i], s) == 0) {
			*out = (enum format)i;
			return true;
		}
	return false;
}

/* On a terminal that knows colours, unless NO_COLOR says otherwise (no-color.org). */
static bool
wants_colour(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && (no == NULL || *no == '\0') && term != NULL && strcmp(term, "dumb") != 0;
}

static int
ask(struct asked *a)
{
	return a->cmd->local != NULL ? run_local(a->c, a->cmd, a->argc, a->argv) : request(a->c, a->cmd, a->argc, a->argv);
}

static int
ask_for_screen(void *arg)
{
	struct asked *a = arg;

	a->c->err = render_out();
	return ask(a);
}

/* The words as they were given, for the line above -w's screen. */
static char *
title_new(const struct asked *a)
{
	struct buf b = { 0 };
	int i;

	buf_printf(&b, "c4ctl %s", a->cmd->name);
	for (i = 0; i < a->argc; i++)
		buf_printf(&b, " %s", a->argv[i]);
	for (i = 0; b.s[i] != '\0'; i++)
		if ((unsigned char)b.s[i] < ' ' || b.s[i] == 127) /* nothing that would command the terminal */
			b.s[i] = '?';
	return buf_take(&b);
}

/* What is to be looked at again and again changes nothing, and ends. */
static bool
may_repeat(const struct command *cmd)
{
	return !cmd->writes && !cmd->streams && !cmd->payload;
}

static int
repeat(struct asked *a)
{
	char *title;
	int rc;

	if (terminal_is_there()) {
		a->c->timeout_s = LOOK_TIMEOUT_S;
		title = title_new(a);
		rc = terminal_repeat(title, a->c->watch_s, wants_colour(), ask_for_screen, a);
		free(title);
		return rc;
	}
	for (;;) {
		(void)ask(a);
		sleep((unsigned)a->c->watch_s);
	}
}

int
c4ctl_main(int argc, char **argv)
{
	struct client c = { .socket = getenv("C4D_SOCKET"), .timeout_s = REPLY_TIMEOUT_S, .err = stderr };
	struct asked asked = { .c = &c };
	const struct command *cmd;
	char error[640];
	int64_t seconds;
	int i, used = 0;

	if (c.socket == NULL)
		c.socket = DEFAULT_SOCKET;
	for (i = 1; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "-s") == 0 && i + 1 < argc) {
			c.socket = argv[++i];
		} else if (strcmp(argv[i], "-f") == 0) {
			if (!parse_format(i + 1 < argc ? argv[++i] : NULL, &c.format))
				return usage("-f takes plain, json or jsonl; show topology also takes dot and mermaid");
		} else if (strncmp(argv[i], "-w", 2) == 0) {
			if (text_parse_int(argv[i][2] ? argv[i] + 2 : "2", 1, WATCH_MAX_S, &seconds) != 0)
				return usage("-w takes whole seconds, as in -w5");
			c.watch_s = (int)seconds;
		} else if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0) {
			command_usage(help_line);
			return EXIT_DONE;
		} else if (strcmp(argv[i], "-V") == 0 || strcmp(argv[i], "--version") == 0) {
			printf("c4ctl %s\n", C4D_VERSION);
			return EXIT_DONE;
		} else {
			snprintf(error, sizeof error, "no such option: %.100s (c4ctl -h)", argv[i]);
			return usage(error);
		}
	}
	argc -= i;
	argv += i;
	if (argc == 0)
		return usage("");
	if (strcmp(argv[0], "help") == 0) {
		command_usage(help_line);
		return EXIT_DONE;
	}
	cmd = command_find(argc, argv, &used, error, sizeof error);
	if (cmd == NULL)
		return usage(error);
	argc -= used;
	argv += used;
	if (argc < cmd->min_args || argc > cmd->max_args) {
		snprintf(error, sizeof error, "usage: c4ctl %s%s%s", cmd->name, cmd->args ? " " : "", cmd->args ? cmd->args : "");
		return usage(error);
	}
	if ((c.format == FORMAT_DOT && cmd->dot == NULL) || (c.format == FORMAT_MERMAID && cmd->mermaid == NULL)) {
		snprintf(error, sizeof error, "-f dot and -f mermaid draw show topology; %s takes plain, json or jsonl", cmd->name);
		return usage(error);
	}
	if (c.watch_s > 0 && !may_repeat(cmd)) {
		snprintf(error, sizeof error, "-w is for looking; %s %s", cmd->name, cmd->streams ? "goes on by itself" : "is done once");
		return usage(error);
	}
	if (strcmp(cmd->name, "watch") == 0 && c.format == FORMAT_PLAIN && terminal_is_there())
		return watch_screen(c.socket, wants_colour());
	render_to(NULL, wants_colour());
	asked.cmd = cmd;
	asked.argc = argc;
	asked.argv = argv;
	return c.watch_s > 0 ? repeat(&asked) : ask(&asked);
}
