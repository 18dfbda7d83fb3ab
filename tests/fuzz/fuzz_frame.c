/*
 * fuzz_frame: any bytes from a peer of the control socket, into the real server with the real
 * handlers. Every line of the answer is a JSON object with "data" or "exit", and the server is
 * there for the next peer.
 */
#include <sys/un.h>

#include "fuzz_app.h"

#define PATIENCE_MS 20 /* `watch` never ends, `resync` waits: then the peer hangs up */

static const char config[] = "services:\n  router: { tags: [blue] }\n  rtp: {}\n"
			     "http: { listen: [] }\n"
			     "register:\n  sbc: { address: 10.0.0.1, port: 5060, checks: { own: { type: sip }, port: { type: tcp } } }\n";

static char *path;
static struct control *control;

static void
finish(void)
{
	control_free(control);
	fuzz_app_finish();
	free(path);
}

static void
start(void)
{
	fuzz_app_start(config);
	path = xasprintf("%s/socket", fuzz_dir);
	must(control_new(&control, &app, path, NULL) == 0);
	atexit(finish);
}

/* So many requests ended. */
static bool
has_enough(const struct buf *answer, size_t wanted)
{
	static const char end[] = "{\"exit\"";
	const char *line = answer->s;
	size_t n = 0;

	for (; line != NULL && *line != '\0'; line = strchr(line, '\n')) {
		line += *line == '\n';
		n += strncmp(line, end, sizeof end - 1) == 0;
	}
	return n >= wanted;
}

static void
check(const struct buf *answer)
{
	char *line = answer->s, *end;

	for (; line != NULL && (end = strchr(line, '\n')) != NULL; line = end + 1) {
		json_t *j = json_loadb(line, (size_t)(end - line), JSON_REJECT_DUPLICATES, NULL);

		must(json_is_object(j));
		must((json_object_get(j, "data") != NULL) !=
		     json_is_integer(json_object_get(j, "exit")));
		json_decref(j);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct fuzz_peer p = { .data = data, .left = size < FUZZ_INPUT_MAX ? size : FUZZ_INPUT_MAX, .has_enough = has_enough,
		.patience_ms = PATIENCE_MS };
	struct buf answer;
	size_t i;

	if (control == NULL)
		start();
	fuzz_serve_document(); /* an input before may have changed it */
	for (i = 0; i < p.left; i++)
		p.wanted += data[i] == '\n';
	snprintf(sun.sun_path, sizeof sun.sun_path, "%s", path);
	answer = fuzz_talk((struct sockaddr *)&sun, sizeof sun, &p);
	check(&answer);
	buf_free(&answer);
	return 0;
}
