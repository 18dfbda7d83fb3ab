/*
 * fuzz_answer: any bytes as what the daemon's socket answers, into the real c4ctl. The first line of an input is the format and the command as
 * c4ctl would be given them ("jsonl show targets"), the rest is the answer. What c4ctl prints as JSON is JSON; its status is that of the answer's
 * end, or says that there was none.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/client.h"
#include "control/control.h"
#include "fuzz.h"

#define WORDS_MAX 8

static char dir[] = "/tmp/c4d-fuzz-XXXXXX";
static char *path;
static int listener = -1;
static pthread_t daemon_thread;
static FILE *silence;
/* Who asks may have heard enough before all is sent: it changes when nobody is served. */
static pthread_mutex_t serving = PTHREAD_MUTEX_INITIALIZER;
static const uint8_t *answer;
static size_t answer_len;

/* ---- the daemon's side: one request, all of the answer, the end ---- */

static void
serve(int fd)
{
	char c = 0;
	size_t at = 0;
	ssize_t n = 1;

	while (c != '\n' && n > 0)
		n = read(fd, &c, 1);
	for (; at < answer_len && n > 0; at += n > 0 ? (size_t)n : 0)
		n = send(fd, answer + at, answer_len - at, MSG_NOSIGNAL);
	shutdown(fd, SHUT_WR);
	while (read(fd, &c, 1) > 0)
		;
	close(fd);
}

static void *
run_daemon(void *arg)
{
	int fd;

	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		pthread_mutex_lock(&serving);
		serve(fd);
		pthread_mutex_unlock(&serving);
	}
	return NULL;
}

static void
set_answer(const uint8_t *data, size_t len)
{
	pthread_mutex_lock(&serving);
	answer = data;
	answer_len = len;
	pthread_mutex_unlock(&serving);
}

static void
finish(void)
{
	shutdown(listener, SHUT_RDWR);
	pthread_join(daemon_thread, NULL);
	close(listener);
	unlink(path);
	rmdir(dir);
	free(path);
	fclose(silence);
}

static void
start(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	must(mkdtemp(dir) != NULL);
	path = xasprintf("%s/socket", dir);
	snprintf(sun.sun_path, sizeof sun.sun_path, "%s", path);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(listener >= 0 && bind(listener, (struct sockaddr *)&sun, sizeof sun) == 0 && listen(listener, 1) == 0);
	must(pthread_create(&daemon_thread, NULL, run_daemon, NULL) == 0);
	must(setenv("C4D_SOCKET", path, 1) == 0 && setenv("NO_COLOR", "1", 1) == 0);
	silence = fopen("/dev/null", "w");
	must(silence != NULL && freopen("/dev/null", "r", stdin) != NULL); /* no terminal: `watch` would draw on it */
	must(atexit(finish) == 0);
}

/* ---- c4ctl's ---- */

/* The words of the first line; false: it is no command that asks the daemon, or has options of c4ctl's own. */
static bool
is_question(char **words, int n, char *error, size_t size)
{
	const struct command *cmd;
	int used = 0, i;

	for (i = 0; i < n; i++)
		if (words[i][0] == '-')
			return false;
	cmd = n > 1 ? command_find(n - 1, words + 1, &used, error, size) : NULL;
	return cmd != NULL && !cmd->payload && cmd->local == NULL;
}

static void
must_be_json(char *text)
{
	char *line, *rest = text;

	while ((line = strsep(&rest, "\n")) != NULL)
		if (*line != '\0') {
			json_t *o = json_loads(line, JSON_DECODE_ANY, NULL);

			must(o != NULL);
			json_decref(o);
		}
}

static int
run(char **words, int n, char **out)
{
	char *argv[WORDS_MAX + 3] = { (char[]){ "c4ctl" }, (char[]){ "-f" } };
	FILE *was_out = stdout, *was_err = stderr;
	size_t len;
	int rc, i;

	for (i = 0; i < n; i++)
		argv[i + 2] = words[i];
	stdout = open_memstream(out, &len);
	must(stdout != NULL);
	stderr = silence;
	rc = c4ctl_main(n + 2, argv);
	fclose(stdout);
	stdout = was_out;
	stderr = was_err;
	return rc;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
	char line[200] = "", error[640], *rest = line, *words[WORDS_MAX], *out = NULL;
	int n = 0;

	if (listener < 0)
		start();
	if (end == NULL || (size_t)(end - data) >= sizeof line || memchr(data, '\0', (size_t)(end - data)) != NULL)
		return 0;
	memcpy(line, data, (size_t)(end - data));
	while (n < WORDS_MAX && rest != NULL)
		words[n++] = strsep(&rest, " ");
	if (rest != NULL || !is_question(words, n, error, sizeof error))
		return 0;
	set_answer(end + 1, size - (size_t)(end + 1 - data));
	(void)run(words, n, &out);
	if (strcmp(words[0], "jsonl") == 0)
		must_be_json(out);
	free(out);
	json_decref(client_ask(path, "status", 5, error, sizeof error));
	set_answer(NULL, 0);
	return 0;
}
