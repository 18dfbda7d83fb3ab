/* Answers of the kinds that handlers give. */
#include "reply.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "http/httpd.h"

char *
reply_error_text(const char *text, size_t *len)
{
	json_t *o = json_object();
	char *s;

	jsonx_set_text(o, "detail", text);
	s = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	*len = s != NULL ? strlen(s) : 0;
	return s;
}

void
httpd_reply_error(struct httpd_req *r, int status, const char *fmt, ...)
{
	char text[512], *s;
	va_list ap;
	size_t len;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	s = reply_error_text(text, &len);
	httpd_reply(r, status, REPLY_JSON, s, len);
	free(s);
}

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
httpd_reply_buf(struct httpd_req *r, int status, struct buf *json)
{
	httpd_reply(r, status, REPLY_JSON, json->s, json->len);
	json->len = 0;
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
	httpd_reply(r, status, REPLY_JSON, s, strlen(s));
	free(s);
}
