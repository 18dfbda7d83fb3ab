/*
 * command: the one table of c4ctl's commands, used by the client (grammar, usage, abbreviations, how
 * plain output is laid out) and by the daemon (dispatch). Verbs may be shortened while unambiguous.
 *
 * On the wire (unix stream, one JSON object per line): the client sends {"v":1,"cmd":"show targets","args":[...]};
 * where "payload":N says that N bytes follow the line (of commands that take a file: its text);
 * the daemon answers with any number of {"data":...} lines and ends with {"exit":N} or
 * {"exit":N,"error":"..."}. A line is at most CONTROL_LINE_MAX bytes towards the daemon.
 */
#ifndef CONTROL_COMMAND_H
#define CONTROL_COMMAND_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define CONTROL_VERSION 1
#define CONTROL_LINE_MAX 65536
#define CONTROL_PAYLOAD_MAX (256u << 20)

enum { EXIT_DONE = 0, EXIT_NO = 1, EXIT_USAGE = 2, EXIT_CONFIG = 3, EXIT_UNREACHABLE = 4, EXIT_REFUSED = 5 };

struct control_req;
typedef void control_handler(struct control_req *);

/* COLUMN_SPARE: a text that goes below its row when there is no room beside the others. COLUMN_BELOW: always. */
enum column_kind { COLUMN_TEXT, COLUMN_NUMBER, COLUMN_AGE, COLUMN_LIST, COLUMN_SPARE, COLUMN_BELOW };

struct column {
	const char *title;
	const char *key;
	enum column_kind kind;
};

/* Prints `data` for people. `now_ms` is the wall clock. */
typedef void render_fn(const json_t *data, int64_t now_ms);

struct command {
	const char *name;  /* "show targets" */
	const char *args;  /* "[TARGET]" or NULL */
	const char *help;
	bool writes;       /* changes something: logged with the peer's uid, and for those of control.admin_group only */
	bool streams;      /* data comes until the client goes */
	bool payload;      /* the first argument is a file ("-": standard input), whose text goes with the request */
	/* Instead of asking the daemon: the exit status; *data is shown, `error` said. Of a command with a payload, its text. */
	int (*local)(int argc, char **argv, const char *text, size_t len, json_t **data, char *error, size_t size);
	int min_args, max_args;
	control_handler *handle;
	const struct column *columns; /* of an array of objects; NULL: `render` */
	render_fn *render;
	render_fn *dot, *mermaid;     /* -f dot, -f mermaid; NULL: it draws nothing */
};

extern const struct command commands[];
extern const size_t n_commands;

/*
 * Finds the command that argv begins with; *used is how many words it took. NULL: none or several fit, and
 * `error` says which.
 */
const struct command *command_find(int argc, char *const *argv, int *used, char *error, size_t size);
const struct command *command_by_name(const char *name);
void command_usage(void (*line)(const char *));

#endif
