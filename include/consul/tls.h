/*
 * tls: a client's TLS by OpenSSL, for consul/ alone; the only file that knows openssl's headers. OpenSSL and
 * libevent's part for it are not linked but loaded with the first tls_new(): a program that has a context takes 4 MB more.
 * TLS 1.2 at least. One `struct tls` serves one connection.
 */
#ifndef CONSUL_TLS_H
#define CONSUL_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"

struct bufferevent;
struct loop;
struct tls;

struct tls_conf { /* lent; files as PEM */
	const char *ca_file;     /* NULL: the system's */
	const char *cert_file;   /* NULL: none; then key_file too */
	const char *key_file;
	const char *server_name; /* a name or an IP that the peer's certificate must hold; NULL: the IP of the URL */
	bool verify;
};

/*
 * Reads the files: before the loop runs, or by a worker. -EINVAL, and `why` names the file and OpenSSL's reason; server_name is
 * needed here.
 */
MUST_USE int tls_new(struct tls **out, const struct tls_conf *, char *why, size_t size);
void tls_free(struct tls *); /* NULL is fine; not before its bufferevent */
/*
 * A client's, on a connected non-blocking socket, which it will close; it says BEV_EVENT_CONNECTED when the handshake is done.
 * NULL: out of memory, and the socket stays open.
 */
struct bufferevent *tls_bufferevent(struct tls *, struct loop *, int fd);
/* Says goodbye as TLS wants it, as far as that goes without waiting, and frees it. */
void tls_bufferevent_free(struct bufferevent *);
/*
 * Of a bufferevent that met BEV_EVENT_ERROR: what is wrong, as something that can be said of `host`: "the certificate of HOST
 * ...", "HOST ..."; "" when it was not TLS that failed. Once.
 */
void tls_error(struct tls *, struct bufferevent *, const char *host, char *why, size_t size);

#endif
