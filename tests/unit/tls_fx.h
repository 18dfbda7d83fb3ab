/*
 * tls_fx: a CA and certificates made on the spot, and a TLS server in a thread of its own, which serves one connection after
 * the other as told.
 */
#ifndef TLS_FX_H
#define TLS_FX_H

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DAY (24L * 3600)

struct pair { /* a certificate and its key */
	X509 *cert;
	EVP_PKEY *key;
};

static void
fx_extension(X509 *cert, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	assert_non_null(e);
	assert_int_equal(X509_add_ext(cert, e, -1), 1);
	X509_EXTENSION_free(e);
}

/* issuer NULL: signs itself, and is a CA. san: "DNS:a.example,IP:127.0.0.1"; NULL: none. Valid from..to seconds from now. */
static struct pair
fx_certificate(const char *cn, const struct pair *issuer, const char *san, long from, long to)
{
	static long serial = 1;
	struct pair p = { X509_new(), EVP_EC_gen("P-256") };
	X509_NAME *name = X509_get_subject_name(p.cert);

	assert_non_null(p.key);
	X509_set_version(p.cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(p.cert), serial++);
	X509_gmtime_adj(X509_getm_notBefore(p.cert), from);
	X509_gmtime_adj(X509_getm_notAfter(p.cert), to);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0);
	X509_set_issuer_name(p.cert, issuer ? X509_get_subject_name(issuer->cert) : name);
	X509_set_pubkey(p.cert, p.key);
	if (issuer == NULL)
		fx_extension(p.cert, NID_basic_constraints, "critical,CA:TRUE");
	if (san != NULL)
		fx_extension(p.cert, NID_subject_alt_name, san);
	assert_true(X509_sign(p.cert, issuer ? issuer->key : p.key, EVP_sha256()) > 0);
	return p;
}

static void
fx_pair_free(struct pair *p)
{
	X509_free(p->cert);
	EVP_PKEY_free(p->key);
}

/* DIR/NAME.pem and DIR/NAME.key; passphrase NULL: none. */
static void
fx_write(const struct pair *p, const char *dir, const char *name, const char *passphrase)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s.pem", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(PEM_write_X509(f, p->cert), 1);
	fclose(f);
	snprintf(path, sizeof path, "%s/%s.key", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(PEM_write_PrivateKey(f, p->key, passphrase ? EVP_aes_128_cbc() : NULL, (const unsigned char *)passphrase,
	    passphrase ? (int)strlen(passphrase) : 0, NULL, NULL), 1);
	fclose(f);
}

/* ---- the server ---- */

enum fx_manner {
	FX_TLS,      /* answers each request with `say` */
	FX_ONCE,     /* one request; then TLS's goodbye */
	FX_RUDE,     /* one request; then the connection just ends */
	FX_PLAIN,    /* speaks HTTP without TLS */
	FX_CLOSE,    /* closes in the middle of the handshake */
	FX_SILENT    /* never answers the handshake */
};

struct fx_server {
	pthread_t thread;
	bool runs;
	int fd;
	char url[64];
	SSL_CTX *ctx;
	const char *say;
	_Atomic(int) manner;
	atomic_bool stop;
	atomic_uint accepted, asked, goodbyes; /* goodbyes: connections that the client ended as TLS wants it */
	char sni[64];  /* of the last connection; read it after its answer */
	char last[4096]; /* the last request */
};

static int
fx_on_sni(SSL *ssl, int *alert, void *arg)
{
	struct fx_server *s = arg;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

	snprintf(s->sni, sizeof s->sni, "%s", name ? name : "");
	return SSL_TLSEXT_ERR_OK;
}

/* Until there is something to read; false: the test is over. */
static bool
fx_readable(struct fx_server *s, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	while (!s->stop)
		if (poll(&p, 1, 20) > 0)
			return true;
	return false;
}

static void
fx_serve(struct fx_server *s, SSL *ssl, int fd)
{
	size_t n;
	int got;

	if (SSL_accept(ssl) != 1)
		return;
	for (;;) {
		for (n = 0; n == 0 || memmem(s->last, n, "\r\n\r\n", 4) == NULL; n += (size_t)got) {
			if (SSL_pending(ssl) == 0 && !fx_readable(s, fd))
				return;
			got = SSL_read(ssl, s->last + n, (int)(sizeof s->last - 1 - n));
			if (got <= 0) {
				if (SSL_get_error(ssl, got) == SSL_ERROR_ZERO_RETURN)
					s->goodbyes++;
				return;
			}
			s->last[n + (size_t)got] = '\0';
		}
		s->asked++;
		(void)SSL_write(ssl, s->say, (int)strlen(s->say));
		if (s->manner == FX_ONCE)
			SSL_shutdown(ssl);
		if (s->manner != FX_TLS)
			return;
	}
}

static void
fx_connection(struct fx_server *s, int fd)
{
	static const char plain[] = "HTTP/1.0 400 Bad Request\r\n\r\nthis is HTTP";
	char junk[512];
	SSL *ssl;

	if (s->manner == FX_SILENT) {
		while (!s->stop && s->manner == FX_SILENT)
			usleep(5000);
		return;
	}
	if (s->manner == FX_PLAIN || s->manner == FX_CLOSE) {
		if (fx_readable(s, fd))
			(void)!read(fd, junk, sizeof junk);
		if (s->manner == FX_PLAIN)
			(void)!write(fd, plain, sizeof plain - 1);
		return;
	}
	ssl = SSL_new(s->ctx);
	SSL_set_fd(ssl, fd);
	fx_serve(s, ssl, fd);
	SSL_free(ssl);
}

static void *
fx_run(void *arg)
{
	struct fx_server *s = arg;

	while (fx_readable(s, s->fd)) {
		int fd = accept(s->fd, NULL, NULL);

		if (fd < 0)
			continue;
		s->accepted++;
		fx_connection(s, fd);
		close(fd);
		ERR_clear_error();
	}
	return NULL;
}

/* client_ca: of the certificates that it wants to see; NULL: none. versions 0: any. */
static void
fx_server_start(struct fx_server *s, const struct pair *own, const struct pair *client_ca, int max_version, const char *say)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof a;

	memset(s, 0, sizeof *s);
	s->say = say;
	s->ctx = SSL_CTX_new(TLS_server_method());
	SSL_CTX_set_security_level(s->ctx, 0);
	SSL_CTX_set_min_proto_version(s->ctx, TLS1_VERSION);
	SSL_CTX_set_max_proto_version(s->ctx, max_version);
	assert_int_equal(SSL_CTX_use_certificate(s->ctx, own->cert), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(s->ctx, own->key), 1);
	SSL_CTX_set_tlsext_servername_callback(s->ctx, fx_on_sni);
	SSL_CTX_set_tlsext_servername_arg(s->ctx, s);
	if (client_ca != NULL) {
		X509_STORE_add_cert(SSL_CTX_get_cert_store(s->ctx), client_ca->cert);
		SSL_CTX_set_verify(s->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	}
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(s->fd, 16), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&a, &len), 0);
	snprintf(s->url, sizeof s->url, "https://127.0.0.1:%u", ntohs(a.sin_port));
	assert_int_equal(pthread_create(&s->thread, NULL, fx_run, s), 0);
	s->runs = true;
}

static void
fx_server_stop(struct fx_server *s)
{
	if (!s->runs)
		return;
	s->runs = false;
	s->stop = true;
	pthread_join(s->thread, NULL);
	close(s->fd);
	SSL_CTX_free(s->ctx);
}

#endif
