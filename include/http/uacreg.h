/*
 * uacreg: GET /1.0/kamailio/dbtext/uacreg -> {"content": TABLE}: the carrier trunks that register, as the db_text table that the
 * asking Kamailio can read: 15 columns for version 4, 16 for version 5 (routing/uacreg.h). Which one: ?version=4 or 5; else what the
 * `version` tables of the configured Kamailios say, if they agree; else what the connected ones need, if they agree; else 5.
 * 409 when a trunk can't be sent, naming it: the asking Kamailio then keeps the table that it has.
 */
#ifndef HTTP_UACREG_H
#define HTTP_UACREG_H

#include "http/httpd.h"

httpd_handler uacreg_get;

#endif
