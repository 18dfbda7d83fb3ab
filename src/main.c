/* One binary: called as c4ctl it is the client, else the first word is the command. */
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "config/conf.h"
#include "control/control.h"
#include "daemon.h"
#include "exec.h"
#include "wait.h"

static const char usage_text[] =
    "usage: c4d run   [-c FILE] [-d] [--wait[=SECONDS]]\n"
    "                                             the daemon, in the foreground\n"
    "       c4d check [-c FILE]                   check the configuration\n"
    "       c4d plan  [-c FILE] [-f plain|json]   show what would change, change nothing\n"
    "       c4d exec  [-c FILE] [--watch] [--pristine] [--upcase] [--sanitize]\n"
    "                 [--wait=SECONDS] PREFIX... -- COMMAND...\n"
    "                                             run COMMAND with an environment\n"
    "                                             from Consul KV\n"
    "       c4d keys                              every configuration key\n"
    "       c4d version\n"
    "FILE is " C4D_CONF " unless given. `c4ctl` talks to the running daemon.\n"
    "--wait: of run, to wait for Consul before anything else, and then start all the\n"
    "same; of exec, to give up after so long. It is 60 seconds.\n"
    "--watch: start COMMAND anew when its environment changes. --pristine: without\n"
    "the present environment. --upcase, --sanitize: names in capitals, and without\n"
    "what is no letter, digit or _.\n";

struct options {
	const char *file;
	const char *format;
	bool debug;
	int64_t wait_ms; /* 0: no */
};

/* When Consul does not come, the daemon starts from its store, as it would have without waiting. */
static int
wait_first(const struct options *o, bool *stop)
{
	struct conf *conf = NULL;
	int rc = daemon_load(&conf, o->file);

	if (rc != EXIT_DONE)
		return rc;
	log_init(o->debug ? LOG_L_DEBUG : (enum log_level)log_level_parse(conf->log));
	switch (wait_for_consul(conf, o->wait_ms)) {
	case -EINTR:
		*stop = true;
		break;
	case -ETIMEDOUT:
		log_warnx("wait", "starting without Consul, from what the store holds");
		break;
	}
	conf_free(conf);
	return EXIT_DONE;
}

static int
cmd_run(const struct options *o)
{
	bool stop = false;
	int rc = EXIT_DONE;

	mem_init();
	if (o->wait_ms > 0)
		rc = wait_first(o, &stop);
	return rc != EXIT_DONE || stop ? rc : daemon_run(o->file, o->debug);
}

static int
cmd_check(const struct options *o)
{
	struct conf *conf = NULL;
	int rc = daemon_load(&conf, o->file);

	if (rc == EXIT_DONE)
		printf("%s: the configuration is good: %zu services, %zu kamailios, %zu registrations\n", o->file, conf->n_services,
		    conf->n_kamailios, conf->n_registers);
	conf_free(conf);
	return rc;
}

static int
cmd_plan(const struct options *o)
{
	return plan_run(o->file, o->format);
}

static void
print_line(void *arg, const char *line)
{
	printf("%s\n", line);
}

static int
cmd_keys(const struct options *o)
{
	conf_print_keys(print_line, NULL);
	return EXIT_DONE;
}

/* The command table as it is, for the manual and the completions, which are made from it. */
static int
cmd_commands(const struct options *o)
{
	size_t i;

	for (i = 0; i < n_commands; i++) {
		const struct command *c = &commands[i];

		printf("%s\t%s\t%s\t%s\n", c->name, c->args ? c->args : "", c->writes ? "write" : c->streams ? "stream" : "read", c->help);
	}
	return EXIT_DONE;
}

static int
cmd_version(const struct options *o)
{
	printf("c4d %s\n", C4D_VERSION);
	return EXIT_DONE;
}

static const struct verb {
	const char *name;
	const char *options;
	bool waits;
	int (*run)(const struct options *);
} verbs[] = {
	{ "run", "cd", true, cmd_run },
	{ "check", "c", false, cmd_check },
	{ "plan", "cf", false, cmd_plan },
	{ "keys", "", false, cmd_keys },
	{ "version", "", false, cmd_version },
	{ "commands", "", false, cmd_commands },
};

static int
usage(void)
{
	fputs(usage_text, stderr);
	return EXIT_USAGE;
}

static bool
parse_wait(struct options *o, const char *word)
{
	int64_t seconds = WAIT_DEFAULT_S;

	if (strcmp(word, "--wait") != 0 &&
	    (strncmp(word, "--wait=", 7) != 0 || text_parse_int(word + 7, 1, WAIT_MAX_S, &seconds) != 0))
		return false;
	o->wait_ms = seconds * 1000;
	return true;
}

static bool
parse(struct options *o, const struct verb *v, int argc, char **argv)
{
	int i;

	for (i = 2; i < argc; i++) {
		const char *word = argv[i];

		if (v->waits && parse_wait(o, word))
			continue;
		if (word[0] != '-' || word[1] == '\0' || word[2] != '\0' || !strchr(v->options, word[1]))
			return false;
		if (word[1] == 'd') {
			o->debug = true;
		} else if (i + 1 == argc) {
			return false;
		} else if (word[1] == 'c') {
			o->file = argv[++i];
		} else {
			o->format = argv[++i];
			if (strcmp(o->format, "plain") != 0 && strcmp(o->format, "json") != 0)
				return false;
		}
	}
	return true;
}

int
main(int argc, char **argv)
{
	struct options o = { .file = C4D_CONF, .format = "plain" };
	size_t v;

	if (argc > 0 && strcmp(basename(argv[0]), "c4ctl") == 0)
		return c4ctl_main(argc, argv);
	if (argc < 2)
		return usage();
	if (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
		fputs(usage_text, stdout);
		return EXIT_DONE;
	}
	if (strcmp(argv[1], "-V") == 0 || strcmp(argv[1], "--version") == 0)
		return cmd_version(&o);
	if (strcmp(argv[1], "exec") == 0)
		return exec_run(argc - 1, argv + 1);
	for (v = 0; v < NELEM(verbs) && strcmp(verbs[v].name, argv[1]) != 0; v++)
		;
	if (v == NELEM(verbs) || !parse(&o, &verbs[v], argc, argv))
		return usage();
	return verbs[v].run(&o);
}
