#include "plan_register.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/jsonx.h"

int
plan_register_new(struct dry **out, struct loop *loop, struct worker *worker, const struct conf *conf)
{
	char machine_id[64];

	file_machine_id(machine_id);
	return dry_new(out, loop, worker, conf, machine_id);
}

struct report {
	json_t *rows;
	size_t changes;
};

static void
add_row(void *arg, const struct dry_step *step)
{
	struct report *r = arg;
	json_t *o = json_object();
	char *target = *step->name ? xasprintf("register.%s", step->name) : xstrdup("register");

	jsonx_set_text(o, "target", target);
	jsonx_set_text(o, "where", "consul");
	jsonx_set_text(o, "op", step->op);
	jsonx_set_text(o, "item", step->id);
	jsonx_set_text(o, "detail", step->detail);
	json_array_append_new(r->rows, o);
	r->changes += step->changes;
	free(target);
}

bool
plan_register_report(const struct dry *d, const struct conf *conf, json_t *rows, size_t *changes)
{
	struct report r = { rows, 0 };

	dry_steps(d, add_row, &r);
	*changes += r.changes;
	if (*dry_why(d) == '\0' || conf->n_registers == 0) /* who registers nothing need not have an agent */
		return true;
	fprintf(stderr, "c4d: Consul's agent can't be asked: %s; what this machine registers there is not compared\n", dry_why(d));
	return false;
}
