/* One binary: called as c4ctl it is the client, else the first word is the command. */
#include <libgen.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "config/conf.h"
#include "control/control.h"
#include "daemon.h"

#define DEFAULT_CONF "/etc/c4d/c4d.yml"

static const char usage_text[] =
    "usage: c4d run   [-c FILE] [-d]              the daemon, in the foreground\n"
    "       c4d check [-c FILE]                   check the configuration\n"
    "       c4d plan  [-c FILE] [-f plain|json]   show what would change, change nothing\n"
    "       c4d keys                              every configuration key\n"
    "       c4d version\n"
    "FILE is " DEFAULT_CONF " unless given. `c4ctl` talks to the running daemon.\n";

struct options {
	const char *file;
	const char *format;
	bool debug;
};

static int
cmd_run(const struct options *o)
{
	mem_init();
	return daemon_run(o->file, o->debug);
}

static int
cmd_check(const struct options *o)
{
	struct conf *conf = NULL;
	int rc = daemon_load(&conf, o->file);

	if (rc == EXIT_DONE)
		printf("%s: the configuration is good: %zu services, %zu kamailios\n", o->file, conf->n_services,
		    conf->n_kamailios);
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

static int
cmd_version(const struct options *o)
{
	printf("c4d %s\n", C4D_VERSION);
	return EXIT_DONE;
}

static const struct {
	const char *name;
	const char *options;
	int (*run)(const struct options *);
} verbs[] = {
	{ "run", "cd", cmd_run },
	{ "check", "c", cmd_check },
	{ "plan", "cf", cmd_plan },
	{ "keys", "", cmd_keys },
	{ "version", "", cmd_version },
};

static int
usage(void)
{
	fputs(usage_text, stderr);
	return EXIT_USAGE;
}

int
main(int argc, char **argv)
{
	struct options o = { .file = DEFAULT_CONF, .format = "plain" };
	size_t v;
	int i;

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
	for (v = 0; v < NELEM(verbs) && strcmp(verbs[v].name, argv[1]) != 0; v++)
		;
	if (v == NELEM(verbs))
		return usage();
	for (i = 2; i < argc; i++) {
		if (argv[i][0] != '-' || argv[i][1] == '\0' || argv[i][2] != '\0' || !strchr(verbs[v].options, argv[i][1]))
			return usage();
		if (argv[i][1] == 'd') {
			o.debug = true;
		} else if (i + 1 == argc) {
			return usage();
		} else if (argv[i][1] == 'c') {
			o.file = argv[++i];
		} else {
			o.format = argv[++i];
			if (strcmp(o.format, "plain") != 0 && strcmp(o.format, "json") != 0)
				return usage();
		}
	}
	return verbs[v].run(&o);
}
