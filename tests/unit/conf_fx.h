/*
 * conf_fx: a configuration from its text, in which nothing may be wrong. The caller frees.
 */
#ifndef CONF_FX_H
#define CONF_FX_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "config/conf.h"

static inline void
conf_fx_report(void *arg, const char *text)
{
	fail_msg("%s", text);
}

static inline struct conf *
conf_of_text(const char *text)
{
	struct conf *conf = NULL;

	assert_int_equal(conf_load_text(&conf, "t", text, strlen(text), conf_fx_report, NULL), 0);
	return conf;
}

#endif
