#include "http/metrics.h"

#include "control/metrics.h"

void
metrics_get(struct httpd_req *r, void *arg)
{
	enum metrics_format format = metrics_format_of(httpd_header(r, "Accept"));
	struct buf text = { 0 };

	metrics_text(arg, format, &text);
	httpd_reply(r, 200, metrics_type(format), text.s, text.len);
	buf_free(&text);
}
