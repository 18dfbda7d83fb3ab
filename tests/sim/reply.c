/*
 * reply: what the fakes of a Kamailio's modules answer is put together here.
 */
#include <stdlib.h>
#include <string.h>

#include "sim.h"

static struct binrpc_value **values; /* of the present reply */
static size_t n_values, cap_values;

void
reply_forget(void)
{
	while (n_values > 0)
		free(values[--n_values]);
	free(values);
	values = NULL;
	cap_values = 0;
}

struct binrpc_value *
reply_value(enum binrpc_type type, const char *name, struct binrpc_value *parent)
{
	struct binrpc_value *v = xcalloc(1, sizeof *v), **tail;

	values = xgrow(values, n_values, &cap_values, sizeof *values);
	values[n_values++] = v;
	v->type = type;
	v->name = name;
	if (parent != NULL) {
		for (tail = &parent->child; *tail != NULL; tail = &(*tail)->next)
			;
		*tail = v;
	}
	return v;
}

struct binrpc_value *
reply_text(const char *name, const char *text, struct binrpc_value *parent)
{
	struct binrpc_value *v = reply_value(BINRPC_STR, name, parent);

	v->str = text;
	v->len = strlen(text);
	return v;
}

struct binrpc_value *
reply_int(const char *name, int64_t num, struct binrpc_value *parent)
{
	struct binrpc_value *v = reply_value(BINRPC_INT, name, parent);

	v->num = num;
	return v;
}

void
reply_fault(struct binrpc_msg *out, int code, const char *reason)
{
	out->kind = BINRPC_FAULT;
	out->first = reply_int(NULL, code, NULL);
	out->first->next = reply_text(NULL, reason, NULL);
}
