#include "http/uacreg.h"

#include "control/app.h"

void
uacreg_get(struct httpd_req *r, void *arg)
{
	if (kamapi_refuses(arg, r))
		return;
	httpd_reply_error(r, 503, "not yet");
}
