/*
 * Any text as a configuration: it loads, or every reason why not is told with its place; what was
 * loaded can be compared, shown and freed. Warnings are told likewise, and are no reason.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
count(void *arg, const char *text)
{
	const char *p = text + 9;

	if (strncmp(text, "fuzz.yml:", 9) != 0 || *p < '1' || *p > '9')
		abort();
	p += strspn(p, "0123456789");
	if (strncmp(p, ": ", 2) != 0 || p[2] == '\0')
		abort();
	*(size_t *)arg += strncmp(p, ": warning: ", 11) != 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct conf *conf = NULL, *again = NULL;
	size_t n = 0, i;
	int err;

	err = conf_load_text(&conf, "fuzz.yml", (const char *)data, len, count, &n);
	if ((err == 0) != (n == 0) || (err == 0) != (conf != NULL))
		abort();
	if (err == 0) {
		if (conf_load_text(&again, "fuzz.yml", (const char *)data, len, count, &n) != 0)
			abort();
		if (conf_restart_keys(conf, again, NULL, NULL) != 0 || conf->n_items == 0)
			abort();
		for (i = 0; i < conf->n_kamailios; i++)
			if (!conf_kamailio_same(conf->kamailios[i], again->kamailios[i]))
				abort();
		for (i = 0; i < conf->n_registers; i++)
			if (!conf_register_same(conf->registers[i], again->registers[i]))
				abort();
		if (n != 0)
			abort();
	}
	conf_free(conf);
	conf_free(again);
	return 0;
}
