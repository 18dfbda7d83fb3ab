/* Answers of the kinds that handlers give. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/httpd.h"

void
httpd_reply_text(struct httpd_req *r, int status, const char *fmt, ...)
{
	va_list ap;
	char *s = NULL;
	int len;

	va_start(ap, fmt);
	len = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (len < 0) {
		httpd_reply_error(r, 500, "the answer could not be made");
		return;
	}
	httpd_reply(r, status, "text/plain; charset=utf-8", s, (size_t)len);
	free(s);
}

void
httpd_reply_json(struct httpd_req *r, int status, json_t *takes)
{
	char *s = json_dumps(takes, JSON_COMPACT);

	json_decref(takes);
	if (s == NULL) {
		httpd_reply_error(r, 500, "the answer could not be made");
		return;
	}
	httpd_reply(r, status, "application/json", s, strlen(s));
	free(s);
}
