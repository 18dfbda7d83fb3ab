/* client: how c4ctl asks the daemon; blocking, with time-outs. */
#ifndef CONTROL_CLIENT_H
#define CONTROL_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"

int64_t client_wall_ms(void);
/* A socket, or -1 with what is the matter in `error`. It gives up a send after timeout_s; an answer is waited for without end. */
MUST_USE int client_connect(const char *path, int timeout_s, char *error, size_t size);
/* Takes `args` (NULL: none). `payload` goes behind the request. False: errno says why. */
MUST_USE bool client_send(int fd, const char *command, json_t *args, const char *payload, size_t len);
/* The last data of an answer, given away, within timeout_s; NULL: none came, `error` says why. */
json_t *client_ask(const char *path, const char *command, int timeout_s, char *error, size_t size);

#endif
