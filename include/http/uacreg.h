/*
 * uacreg: GET /1.0/kamailio/dbtext/uacreg -> {"content": TABLE}: the carrier trunks that register, as the db_text table that the
 * asking Kamailio can read: 15 columns for version 4, 16 for version 5 (routing/uacreg.h).
 */
#ifndef HTTP_UACREG_H
#define HTTP_UACREG_H

#include "http/httpd.h"

httpd_handler uacreg_get;

#endif
