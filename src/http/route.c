#include "route.h"

#include <stdio.h>
#include <string.h>

static const char id_mark[] = "{id}";

/* Without its {id}, that is up to and with the slash before it; 0: it has none. */
static size_t
stem_of(const char *pattern, size_t len)
{
	size_t mark = sizeof id_mark - 1;

	return len > mark && memcmp(pattern + len - mark, id_mark, mark) == 0 ? len - mark : 0;
}

static bool
is_segment(const char *s)
{
	return *s != '\0' && strchr(s, '/') == NULL;
}

/* One pass for the routes that equal the path up to `len`, or (`by_id`) for those whose {id} is all that follows their stem. */
static const struct httpd_route *
find(const struct httpd_route *routes, const char *path, size_t len, int method, bool by_id, unsigned *methods)
{
	const struct httpd_route *route;
	size_t n, stem;

	for (route = routes; route->path != NULL; route++) {
		n = strlen(route->path);
		stem = stem_of(route->path, n);
		if ((stem > 0) != by_id || (by_id ? stem >= len : n != len))
			continue;
		if (memcmp(route->path, path, by_id ? stem : n) != 0 || (by_id && !is_segment(path + stem)))
			continue;
		if ((int)route->method == method)
			return route;
		*methods |= 1u << route->method;
	}
	return NULL;
}

/* "/x/" where there is "/x/{id}". */
static bool
is_collection(const struct httpd_route *route, const char *path, size_t len)
{
	if (len < 2 || path[len - 1] != '/')
		return false;
	for (; route->path != NULL; route++)
		if (strncmp(route->path, path, len) == 0 && strcmp(route->path + len, id_mark) == 0)
			return true;
	return false;
}

const struct httpd_route *
route_find(const struct httpd_route *routes, const char *path, int method, const char **id, unsigned *methods)
{
	size_t len = strlen(path);
	const struct httpd_route *route;

	*id = NULL;
	*methods = 0;
	if (is_collection(routes, path, len))
		len--;
	route = find(routes, path, len, method, false, methods);
	if (route != NULL || *methods != 0) /* that path is exactly there */
		return route;
	route = find(routes, path, len, method, true, methods);
	if (route != NULL)
		*id = path + stem_of(route->path, strlen(route->path));
	return route;
}

void
route_allow(unsigned methods, char *out, size_t size)
{
	static const char *const names[] = { "GET, HEAD", "POST", "PUT", "DELETE" };
	size_t i, n = 0;

	out[0] = '\0';
	for (i = 0; i < NELEM(names); i++)
		if ((methods >> i & 1) != 0 && n < size)
			n += (size_t)snprintf(out + n, size - n, "%s%s", n > 0 ? ", " : "", names[i]);
}
