#include "origin.h"

#include <string.h>
#include <strings.h>

#include "topology/addr.h"

/* "NAME" of "NAME" and "NAME:PORT", "[::1]" included. */
static size_t
name_length(const char *host)
{
	return host[0] == '[' ? strcspn(host, "]") + (strchr(host, ']') != NULL) : strcspn(host, ":");
}

static bool
is_name(const char *host, const char *name)
{
	size_t len = name_length(host);

	return len > 0 && strlen(name) == len && strncasecmp(host, name, len) == 0;
}

static bool
is_ip(const char *host)
{
	size_t len = name_length(host), skip = host[0] == '[';
	char ip[TOPO_ADDR_TEXT];
	struct topo_addr a;

	if (len <= 2 * skip || len - 2 * skip >= sizeof ip)
		return false;
	memcpy(ip, host + skip, len - 2 * skip);
	ip[len - 2 * skip] = '\0';
	return topo_addr_parse_ip(ip, &a) == 0;
}

bool
origin_is_fine(const char *origin, const char *host, const char *machine)
{
	const char *place = strstr(origin, "://"); /* none: "null", of what comes from nowhere */

	if (place == NULL || host == NULL || strcasecmp(place + 3, host) != 0)
		return false;
	return is_ip(host) || is_name(host, "localhost") || is_name(host, machine);
}
