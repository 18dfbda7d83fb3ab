/*
 * command: one table for the client and the daemon. Words may be shortened while only one command
 * fits; a command written out is always meant.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "control/control.h"

#define WORDS_MAX 8

static int
split(char *text, char **argv)
{
	int n = 0;
	char *save, *word;

	for (word = strtok_r(text, " ", &save); word != NULL && n < WORDS_MAX;
	     word = strtok_r(NULL, " ", &save))
		argv[n++] = strcmp(word, "''") == 0 ? word + 2 : word;
	return n;
}

static void
words_find_their_command(void **state)
{
	static const struct {
		const char *words;
		const char *want; /* NULL: an error that holds `error` */
		int used;
		const char *error;
	} rows[] = {
		{ "status", "status", 1, NULL },
		{ "stat", "status", 1, NULL },
		{ "show topology", "show topology", 2, NULL },
		{ "show topology router", "show topology", 2, NULL },
		{ "show to", "show topology", 2, NULL },
		{ "sh to", "show topology", 2, NULL },
		{ "show ta sbc/1", "show targets", 2, NULL },
		{ "show dn", "show dns", 2, NULL },
		{ "sho dns", "show dns", 2, NULL },
		{ "show h", "show history", 2, NULL },
		{ "show re", "show registrations", 2, NULL },
		{ "sh ch sbc", "show checks", 2, NULL },
		{ "show k", "show kv", 2, NULL },
		{ "m on sbc", "maintenance", 1, NULL },
		{ "check off sbc sip", "check", 1, NULL },
		{ "hi", "history", 1, NULL },
		{ "history router", "history", 1, NULL },
		{ "w", NULL, 0, "ambiguous: why, watch" },
		{ "wa", "watch", 1, NULL },
		{ "why 10.0.0.1:5060", "why", 1, NULL },
		{ "di sbc/1", "diff", 1, NULL },
		{ "l debug", "log", 1, NULL },
		{ "a router", "approve", 1, NULL },
		{ "res", "resync", 1, NULL },
		{ "relo", "reload", 1, NULL },
		{ "rele x", "release", 1, NULL },
		{ "dr 10.0.0.1:5060 --timeout 5m", "drain", 1, NULL },
		{ "u 10.0.0.1:5060", "undrain", 1, NULL },
		{ "ro 7", "rollback", 1, NULL },
		{ "hold x y z", "hold", 1,
		    NULL }, /* how many arguments it takes is another's question */
		/* several fit */
		{ "h", NULL, 0, "ambiguous: history, hold" },
		{ "re", NULL, 0, "ambiguous: resync, release, reload" },
		{ "d", NULL, 0, "ambiguous: diff, drain" },
		{ "r", NULL, 0, "ambiguous: resync, release, rollback, reload" },
		{ "rel", NULL, 0, "ambiguous: release, reload" },
		{ "show r", NULL, 0, "ambiguous: show rtpengine, show registrations" },
		{ "show t", NULL, 0, "ambiguous: show topology, show targets" },
		{ "sh d", NULL, 0, "ambiguous: show dispatcher, show domains, show dns" },
		/* none does */
		{ "show", NULL, 0,
		    "show what? topology, services, instances, targets, dispatcher, " },
		{ "show nothing", NULL, 0, "show what?" },
		{ "show topologyy", NULL, 0, "show what?" },
		{ "show ''", NULL, 0, "show what?" },
		{ "statusx", NULL, 0, "no such command: statusx (c4ctl help lists them)" },
		{ "Status", NULL, 0, "no such command: Status" },
		{ "topology", NULL, 0, "no such command: topology" },
		{ "holdd", NULL, 0, "no such command: holdd" },
		{ "''", NULL, 0, "no such command:  (" },
		{ "'' status", NULL, 0, "no such command" },
		{ "", NULL, 0, "no such command" },
	};
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		char text[128], error[256], *argv[WORDS_MAX];
		const struct command *c;
		int argc, used = 0;

		snprintf(text, sizeof text, "%s", rows[i].words);
		argc = split(text, argv);
		c = command_find(argc, argv, &used, error, sizeof error);
		if (rows[i].want == NULL) {
			if (c != NULL || strncmp(error, rows[i].error, strlen(rows[i].error)) != 0)
				fail_msg("%s: %s \"%s\", want \"%s\"", rows[i].words,
				    c ? c->name : "none", error, rows[i].error);
			continue;
		}
		if (c == NULL || strcmp(c->name, rows[i].want) != 0)
			fail_msg("%s: %s \"%s\", want %s", rows[i].words, c ? c->name : "none",
			    error, rows[i].want);
		assert_int_equal(used, rows[i].used);
	}
}

/* Every command is found by its own name, whatever others begin like it. */
static void
a_name_in_full_is_meant(void **state)
{
	size_t i;

	for (i = 0; i < n_commands; i++) {
		char text[64], error[256], *argv[WORDS_MAX];
		int used = 0, argc;

		snprintf(text, sizeof text, "%s", commands[i].name);
		argc = split(text, argv);
		assert_ptr_equal(
		    command_find(argc, argv, &used, error, sizeof error), &commands[i]);
		assert_int_equal(used, argc);
		assert_ptr_equal(command_by_name(commands[i].name), &commands[i]);
	}
	assert_null(command_by_name("show"));
	assert_null(command_by_name("show top"));
	assert_null(command_by_name(""));
}

/* The text of an ambiguity is cut to the room that there is. */
static void
errors_fit_their_buffer(void **state)
{
	char word[] = "re", *argv[] = { word };
	size_t size;
	int used;

	for (size = 1; size < 64; size++) {
		char *error = malloc(size);

		assert_non_null(error);
		memset(error, 'x', size);
		assert_null(command_find(1, argv, &used, error, size));
		assert_int_equal(strlen(error), size - 1 < 34 ? size - 1 : 34);
		free(error);
	}
}

static void
the_table_is_sound(void **state)
{
	static const char stem[] = "abcdefghijklmnopqrstuvwxyz ";
	size_t i, k;

	for (i = 0; i < n_commands; i++) {
		const struct command *c = &commands[i];

		assert_int_equal(strspn(c->name, stem), strlen(c->name));
		assert_true((c->handle != NULL) != (c->local != NULL));
		assert_non_null(c->help);
		assert_true(c->min_args <= c->max_args);
		assert_int_equal(c->args == NULL, c->max_args == 0);
		/* a table or a renderer, not both; what only does has neither */
		assert_false(c->columns != NULL && c->render != NULL);
		for (k = 0; c->columns != NULL && c->columns[k].key != NULL; k++)
			assert_true(k < 16 && c->columns[k].title != NULL);
		for (k = 0; k < i; k++)
			assert_string_not_equal(commands[k].name, c->name);
	}
}

static struct buf usage;

static void
take_line(const char *line)
{
	if (strlen(line) > 80)
		fail_msg("wider than 80: %s", line);
	buf_puts(&usage, line);
	buf_puts(&usage, "\n");
}

static void
usage_names_every_command(void **state)
{
	size_t i;

	command_usage(take_line);
	assert_int_equal(strncmp(usage.s, "usage: c4ctl ", 13), 0);
	for (i = 0; i < n_commands; i++) {
		assert_non_null(strstr(usage.s, commands[i].name));
		assert_non_null(strstr(usage.s, commands[i].help));
	}
	buf_free(&usage);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_find_their_command),
		cmocka_unit_test(a_name_in_full_is_meant),
		cmocka_unit_test(errors_fit_their_buffer),
		cmocka_unit_test(the_table_is_sound),
		cmocka_unit_test(usage_names_every_command),
	};

	return cmocka_run_group_tests_name("command", tests, NULL, NULL);
}
