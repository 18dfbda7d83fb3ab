/*
 * Any text as a configuration: it loads, or every reason why not is told with its place; what was
 * loaded can be compared, shown and freed. Warnings are told likewise, and are no reason. A form feed in the text
 * begins another file, of conf.d. In the environment are FUZZ_TEXT, FUZZ_ADDRESS and FUZZ_EMPTY.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/conf.h"
#include "fuzz.h"

#define PARTS_MAX 4

static char dir[] = "/tmp/c4d-fuzz-XXXXXX";
static char *files[PARTS_MAX]; /* the first is c4d.yml */
static char *conf_d;

static void
finish(void)
{
	for (size_t i = 0; i < PARTS_MAX; i++) {
		unlink(files[i]);
		free(files[i]);
	}
	rmdir(conf_d);
	rmdir(dir);
	free(conf_d);
}

static void
start(void)
{
	must(setenv("FUZZ_TEXT", "a: {b: [c", 1) == 0 && setenv("FUZZ_ADDRESS", "10.0.0.1", 1) == 0 && setenv("FUZZ_EMPTY", "", 1) == 0);
	must(mkdtemp(dir) != NULL);
	conf_d = xasprintf("%s/conf.d", dir);
	must(mkdir(conf_d, 0700) == 0);
	files[0] = xasprintf("%s/fuzz.yml", dir);
	for (size_t i = 1; i < PARTS_MAX; i++)
		files[i] = xasprintf("%s/%zu.yml", conf_d, i);
	must(atexit(finish) == 0);
}

static void
write_file(const char *path, const uint8_t *data, size_t len)
{
	FILE *f = fopen(path, "w");

	must(f != NULL && fwrite(data, 1, len, f) == len && fclose(f) == 0);
}

/* "fuzz.yml:12: what is the matter" */
static void
count(void *arg, const char *text)
{
	static const char end[] = ".yml:";
	const char *p = strstr(text, end);

	must(p != NULL);
	p += sizeof end - 1;
	must(*p >= '1' && *p <= '9');
	p += strspn(p, "0123456789");
	must(strncmp(p, ": ", 2) == 0 && p[2] != '\0');
	*(size_t *)arg += strncmp(p, ": warning: ", 11) != 0;
}

/* One file for each part; a part that is empty is a file that is not there. */
static void
write_parts(const uint8_t *data, size_t len)
{
	const uint8_t *end;
	size_t i, n;

	for (i = 0; i < PARTS_MAX; i++) {
		end = len > 0 && i < PARTS_MAX - 1 ? memchr(data, '\f', len) : NULL;
		n = end != NULL ? (size_t)(end - data) : len;
		if (n > 0 || i == 0)
			write_file(files[i], data, n);
		else
			unlink(files[i]);
		data += n + (end != NULL);
		len -= n + (end != NULL);
	}
}

static int
load(struct conf **out, const uint8_t *data, size_t len, bool parts, size_t *n)
{
	return parts ? conf_load(out, files[0], count, n) : conf_load_text(out, "fuzz.yml", (const char *)data, len, count, n);
}

static void
check(const struct conf *conf, const struct conf *again)
{
	size_t i;

	must(conf_restart_keys(conf, again, NULL, NULL) == 0 && conf->n_items != 0);
	for (i = 0; i < conf->n_kamailios; i++)
		must(conf_kamailio_same(conf->kamailios[i], again->kamailios[i]));
	for (i = 0; i < conf->n_registers; i++)
		must(conf_register_same(conf->registers[i], again->registers[i]));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct conf *conf = NULL, *again = NULL;
	bool parts = len > 0 && memchr(data, '\f', len) != NULL;
	size_t n = 0;
	int err;

	if (files[0] == NULL)
		start();
	if (parts)
		write_parts(data, len);
	err = load(&conf, data, len, parts, &n);
	must((err == 0) == (n == 0) && (err == 0) == (conf != NULL));
	if (err == 0) {
		must(load(&again, data, len, parts, &n) == 0);
		check(conf, again);
		must(n == 0);
	}
	conf_free(conf);
	conf_free(again);
	return 0;
}
