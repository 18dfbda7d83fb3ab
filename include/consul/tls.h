/*
 * tls: a client's TLS by OpenSSL, for consul/http alone; the only file that knows openssl's headers. OpenSSL is initialised
 * with the first tls_new() and not before: a program that has a context takes 5 MB more.
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
	const char *server_name; /* a name or an IP that the peer's certificate must hold; never NULL */
	bool verify;
};

/*
 * Reads the files: before the loop runs, or by a worker. -EINVAL, and `why` names the file and OpenSSL's reason. TLS 1.2 at
 * least.
 */
MUST_USE int tls_new(struct tls **out, const struct tls_conf *, char *why, size_t size);
void tls_free(struct tls *); /* NULL is fine; not before its bufferevents */
/* A client's, not connected yet. NULL: out of memory. */
struct bufferevent *tls_bufferevent(struct tls *, struct loop *);
/* What went wrong on it, for people ("the certificate is not for consul.example: ..."); "" when it was not TLS. */
void tls_error(struct bufferevent *, char *why, size_t size);

#endif
