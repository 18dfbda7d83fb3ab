#include "control/headline.h"

#include "base/text.h"

static long long
number(const json_t *o, const char *group, const char *key)
{
	const json_t *g = group != NULL ? json_object_get(o, group) : o;

	return (long long)json_integer_value(json_object_get(g, key));
}

char *
headline_new(const json_t *status)
{
	const json_t *problems = json_object_get(status, "problems");
	json_t *counts = json_object_get(status, "targets"), *v;
	const char *key;
	struct buf b = { 0 };
	long long targets = 0, services = number(status, "services", "count"),
		  n = (long long)json_array_size(problems);

	json_object_foreach(counts, key, v) targets += (long long)json_integer_value(v);
	buf_printf(&b, "generation %lld, %lld service%s, ", number(status, NULL, "generation"),
	    services, services == 1 ? "" : "s");
	if (targets > 0)
		buf_printf(&b, "%lld of %lld targets converged, ",
		    number(status, "targets", "converged"), targets);
	if (n == 0)
		buf_puts(&b, "all is well");
	else
		buf_printf(&b, "%lld problem%s: %s", n, n == 1 ? "" : "s",
		    json_string_value(json_object_get(json_array_get(problems, 0), "problem")));
	return buf_take(&b);
}
