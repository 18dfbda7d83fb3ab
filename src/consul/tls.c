#include "consul/tls.h"

#include <dlfcn.h>
#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/loop.h"
#include "base/text.h"
#include "topology/addr.h"

#define NAMES_TEXT 100 /* of a certificate that is for others, so much is shown */

/* It brings OpenSSL's libraries with it. */
#define LIBRARY "libevent_openssl-2.1.so.7"

/*
 * All that is used of them. They are loaded with the first tls_new(): linked, they would take 1.6 MB of every c4d, and a
 * millisecond of every c4ctl, that speaks no TLS.
 */
#define FUNCTIONS(F) \
	F(bufferevent_openssl_socket_new) F(bufferevent_openssl_get_ssl) F(bufferevent_get_openssl_error) \
	F(ASN1_STRING_get0_data) F(ASN1_STRING_length) F(ASN1_TIME_to_tm) F(ERR_clear_error) F(ERR_get_error) \
	F(ERR_reason_error_string) F(GENERAL_NAMES_free) F(OPENSSL_sk_num) F(OPENSSL_sk_value) \
	F(OpenSSL_version_num) F(SSL_CTX_ctrl) F(SSL_CTX_free) F(SSL_CTX_load_verify_file) F(SSL_CTX_new) \
	F(SSL_CTX_set_client_cert_cb) F(SSL_CTX_set_default_passwd_cb) F(SSL_CTX_set_default_verify_paths) \
	F(SSL_CTX_set_options) F(SSL_CTX_set_verify) F(SSL_CTX_use_PrivateKey_file) \
	F(SSL_CTX_use_certificate_chain_file) F(SSL_ctrl) F(SSL_free) F(SSL_get0_param) F(SSL_get_ex_data) \
	F(SSL_get_ex_data_X509_STORE_CTX_idx) F(SSL_is_init_finished) F(SSL_new) F(SSL_peek) F(SSL_set1_host) \
	F(SSL_set_ex_data) F(SSL_set_hostflags) F(SSL_set_shutdown) F(SSL_shutdown) F(TLS_client_method) \
	F(X509_STORE_CTX_get_current_cert) F(X509_STORE_CTX_get_error) F(X509_STORE_CTX_get_error_depth) \
	F(X509_STORE_CTX_get_ex_data) F(X509_VERIFY_PARAM_set1_ip_asc) F(X509_get0_notAfter) \
	F(X509_get0_notBefore) F(X509_get_ext_d2i) F(X509_verify_cert_error_string)

#define MEMBER(name) __typeof__(name) *(name);
static struct { FUNCTIONS(MEMBER) } lib;

struct tls {
	SSL_CTX *ctx;
	char *ca_file, *server_name;
	bool is_ip; /* server_name */
	bool has_cert;
	bool lacks_cert; /* the peer asked for ours, and we have none */
	char verify_why[200]; /* the first thing that is wrong with the peer's certificate; goes behind "the certificate of HOST " */
};

/* ---- the libraries ---- */

static char load_error[160]; /* "": they are there */

static void
find_functions(void *handle)
{
#define ENTRY(name) { #name, &lib.name },
	static const struct {
		const char *name;
		void *slot;
	} wanted[] = { FUNCTIONS(ENTRY) };
	size_t i;

	for (i = 0; i < NELEM(wanted); i++) {
		void *found = dlsym(handle, wanted[i].name);

		if (found == NULL)
			snprintf(load_error, sizeof load_error, "https needs %s of OpenSSL %d, which %s does not bring", wanted[i].name,
			    OPENSSL_VERSION_MAJOR, LIBRARY);
		memcpy(wanted[i].slot, &found, sizeof found);
	}
}

static void
load(void)
{
	void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

	if (handle == NULL) {
		snprintf(load_error, sizeof load_error, "https needs a library that can't be loaded: %.110s", dlerror());
		return;
	}
	find_functions(handle);
	if (load_error[0] == '\0' && lib.OpenSSL_version_num() >> 28 != OPENSSL_VERSION_MAJOR)
		snprintf(load_error, sizeof load_error, "https needs OpenSSL %d, and %s brings %lu", OPENSSL_VERSION_MAJOR, LIBRARY,
		    lib.OpenSSL_version_num() >> 28);
}

/* ---- what OpenSSL says ---- */

static const char *
reason_text(unsigned long e)
{
	const char *text;

	if (ERR_SYSTEM_ERROR(e))
		return strerror(ERR_GET_REASON(e));
	text = lib.ERR_reason_error_string(e);
	return text != NULL ? text : "an error without a name";
}

/* Of what stands in this thread's queue the first says most: those after it are what it led to. */
static const char *
first_reason(void)
{
	unsigned long e = lib.ERR_get_error();

	lib.ERR_clear_error();
	return e != 0 ? reason_text(e) : "no reason given";
}

/* ---- the peer's certificate ---- */

static void
add_name(struct buf *b, const GENERAL_NAME *name)
{
	struct topo_addr a = { 0 };
	const ASN1_STRING *s;
	char text[TOPO_ADDR_TEXT];
	int len, i;

	if (name->type == GEN_IPADD) {
		s = name->d.iPAddress;
		len = lib.ASN1_STRING_length(s);
		if (len != 4 && len != 16)
			return;
		a.family = len == 4 ? 4 : 6;
		memcpy(a.ip, lib.ASN1_STRING_get0_data(s), (size_t)len);
		topo_addr_format_ip(&a, text);
		buf_printf(b, "%s%s", b->len > 0 ? ", " : "", text);
	} else if (name->type == GEN_DNS) {
		s = name->d.dNSName;
		len = lib.ASN1_STRING_length(s);
		buf_puts(b, b->len > 0 ? ", " : "");
		for (i = 0; i < len && b->len <= NAMES_TEXT; i++) {
			char c = (char)lib.ASN1_STRING_get0_data(s)[i];

			buf_add(b, c > ' ' && c < 127 ? &c : "?", 1);
		}
	}
}

/* "server.dc1.consul, localhost, 127.0.0.1" */
static void
names_of(X509 *cert, char out[NAMES_TEXT])
{
	GENERAL_NAMES *names = lib.X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	struct buf b = { 0 };
	int i;

	for (i = 0; i < lib.OPENSSL_sk_num((const OPENSSL_STACK *)names) && b.len <= NAMES_TEXT; i++)
		add_name(&b, lib.OPENSSL_sk_value((const OPENSSL_STACK *)names, i));
	lib.GENERAL_NAMES_free(names);
	snprintf(out, NAMES_TEXT, "%s", b.len > 0 ? b.s : "no name at all");
	if (b.len >= NAMES_TEXT)
		memcpy(out + NAMES_TEXT - 4, "...", 4);
	buf_free(&b);
}

static void
time_text(const ASN1_TIME *t, char *out, size_t size)
{
	struct tm tm;

	if (t == NULL || lib.ASN1_TIME_to_tm(t, &tm) != 1 || strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		snprintf(out, size, "?");
}

static void
explain_certificate(struct tls *t, X509_STORE_CTX *x)
{
	X509 *cert = lib.X509_STORE_CTX_get_current_cert(x);
	const char *whose = lib.X509_STORE_CTX_get_error_depth(x) > 0 ? "its CA's certificate " : "";
	int e = lib.X509_STORE_CTX_get_error(x);
	char text[NAMES_TEXT] = "?";

	switch (e) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
		time_text(cert ? lib.X509_get0_notAfter(cert) : NULL, text, sizeof text);
		snprintf(t->verify_why, sizeof t->verify_why, "is no good: %sexpired at %s", whose, text);
		break;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		time_text(cert ? lib.X509_get0_notBefore(cert) : NULL, text, sizeof text);
		snprintf(t->verify_why, sizeof t->verify_why, "is no good: %sbegins at %s (is this machine's clock right?)", whose,
		    text);
		break;
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		if (cert != NULL)
			names_of(cert, text);
		snprintf(t->verify_why, sizeof t->verify_why, "is for %s, and not for %.60s (see server_name)", text,
		    t->server_name);
		break;
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_CERT_SIGNATURE_FAILURE:
		snprintf(t->verify_why, sizeof t->verify_why, "is signed by no CA of %.120s",
		    t->ca_file ? t->ca_file : "this system's (see ca_file)");
		break;
	default:
		snprintf(t->verify_why, sizeof t->verify_why, "is no good: %s%s", whose, lib.X509_verify_cert_error_string(e));
		break;
	}
}

/* Below OpenSSL's handshake. */
static int
on_verify(int ok, X509_STORE_CTX *x)
{
	SSL *ssl = lib.X509_STORE_CTX_get_ex_data(x, lib.SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls *t = ssl != NULL ? lib.SSL_get_ex_data(ssl, 0) : NULL;

	if (!ok && t != NULL && t->verify_why[0] == '\0')
		explain_certificate(t, x);
	return ok;
}

/* Below the handshake too: the peer asks for a certificate, and none is configured. */
static int
on_cert_wanted(SSL *ssl, X509 **cert, EVP_PKEY **key)
{
	struct tls *t = lib.SSL_get_ex_data(ssl, 0);

	t->lacks_cert = true;
	return 0;
}

/* ---- a context ---- */

/* A key with a passphrase would be asked for at a terminal, for ever. */
static int
no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	return -1;
}

static int
load_ca(struct tls *t, const struct tls_conf *c, char *why, size_t size)
{
	if (c->ca_file == NULL ? lib.SSL_CTX_set_default_verify_paths(t->ctx) :
	    lib.SSL_CTX_load_verify_file(t->ctx, c->ca_file))
		return 0;
	snprintf(why, size, "cannot use the CA file %s: %s", c->ca_file ? c->ca_file : "of the system", first_reason());
	return -EINVAL;
}

static int
load_own(struct tls *t, const struct tls_conf *c, char *why, size_t size)
{
	const char *key = c->key_file ? c->key_file : c->cert_file;

	if (c->cert_file == NULL) {
		lib.SSL_CTX_set_client_cert_cb(t->ctx, on_cert_wanted);
		return 0;
	}
	t->has_cert = true;
	if (lib.SSL_CTX_use_certificate_chain_file(t->ctx, c->cert_file) != 1)
		snprintf(why, size, "cannot use the certificate %s: %s", c->cert_file, first_reason());
	else if (lib.SSL_CTX_use_PrivateKey_file(t->ctx, key, SSL_FILETYPE_PEM) != 1)
		snprintf(why, size, "cannot use the key %s: %s", key, first_reason());
	else
		return 0;
	return -EINVAL;
}

static int
set_up(struct tls *t, const struct tls_conf *c, char *why, size_t size)
{
	struct topo_addr a;
	int err;

	t->ca_file = xstrdup(c->ca_file);
	t->server_name = xstrdup(c->server_name);
	t->is_ip = topo_addr_parse_ip(c->server_name, &a) == 0;
	if (t->ctx == NULL || lib.SSL_CTX_ctrl(t->ctx, SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_2_VERSION, NULL) != 1) {
		snprintf(why, size, "OpenSSL can't be used: %s", first_reason());
		return -EINVAL;
	}
	lib.SSL_CTX_set_default_passwd_cb(t->ctx, no_passphrase);
	/* Idle connections hold no buffers, and one connection has nothing to resume. */
	lib.SSL_CTX_ctrl(t->ctx, SSL_CTRL_MODE, SSL_MODE_RELEASE_BUFFERS, NULL);
	lib.SSL_CTX_set_options(t->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET);
	lib.SSL_CTX_ctrl(t->ctx, SSL_CTRL_SET_SESS_CACHE_MODE, SSL_SESS_CACHE_OFF, NULL);
	lib.SSL_CTX_set_verify(t->ctx, c->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, c->verify ? on_verify : NULL);
	err = c->verify ? load_ca(t, c, why, size) : 0;
	return err == 0 ? load_own(t, c, why, size) : err;
}

int
tls_new(struct tls **out, const struct tls_conf *c, char *why, size_t size)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct tls *t;
	int err;

	(void)pthread_once(&once, load);
	if (load_error[0] != '\0') {
		snprintf(why, size, "%s", load_error);
		return -EINVAL;
	}
	t = xcalloc(1, sizeof *t);
	lib.ERR_clear_error();
	t->ctx = lib.SSL_CTX_new(lib.TLS_client_method());
	err = set_up(t, c, why, size);
	if (err != 0)
		tls_free(t);
	else
		*out = t;
	return err;
}

void
tls_free(struct tls *t)
{
	if (t == NULL)
		return;
	lib.SSL_CTX_free(t->ctx);
	free(t->ca_file);
	free(t->server_name);
	free(t);
}

/* ---- a connection ---- */

static SSL *
new_ssl(struct tls *t)
{
	SSL *ssl = lib.SSL_new(t->ctx);
	int ok;

	if (ssl == NULL)
		return NULL;
	lib.SSL_set_ex_data(ssl, 0, t);
	if (t->is_ip)
		ok = lib.X509_VERIFY_PARAM_set1_ip_asc(lib.SSL_get0_param(ssl), t->server_name);
	else
		ok = lib.SSL_set1_host(ssl, t->server_name) &&
		    lib.SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, t->server_name);
	if (!ok) {
		lib.SSL_free(ssl);
		return NULL;
	}
	lib.SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return ssl;
}

struct bufferevent *
tls_bufferevent(struct tls *t, struct loop *loop, int fd)
{
	struct bufferevent *plain = loop_bufferevent(loop, -1), *bev = NULL; /* knows the loop's base */
	SSL *ssl = new_ssl(t);

	if (plain != NULL && ssl != NULL)
		bev = lib.bufferevent_openssl_socket_new(bufferevent_get_base(plain), fd, ssl, BUFFEREVENT_SSL_CONNECTING,
		    BEV_OPT_CLOSE_ON_FREE);
	if (bev == NULL)
		lib.SSL_free(ssl);
	if (plain != NULL)
		bufferevent_free(plain);
	lib.ERR_clear_error();
	return bev;
}

void
tls_bufferevent_free(struct bufferevent *bev)
{
	SSL *ssl = lib.bufferevent_openssl_get_ssl(bev);

	/* Ours goes out; the peer's we don't wait for. */
	if (ssl != NULL && lib.SSL_is_init_finished(ssl)) {
		lib.SSL_set_shutdown(ssl, SSL_RECEIVED_SHUTDOWN);
		lib.SSL_shutdown(ssl);
	}
	bufferevent_free(bev);
	lib.ERR_clear_error();
}

/* ---- errors ---- */

enum said { SAID_HOST, SAID_CERT, SAID_CLOSED };

/* OpenSSL's reasons that deserve better words. */
static const struct {
	int reason;
	enum said said;
	const char *text; /* goes behind "HOST " */
} reasons[] = {
	{ SSL_R_WRONG_VERSION_NUMBER, SAID_HOST, "speaks no TLS: is that its http:// port?" },
	{ SSL_R_UNSUPPORTED_PROTOCOL, SAID_HOST, "speaks no TLS 1.2 or newer" },
	{ SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, SAID_HOST, "speaks no TLS 1.2 or newer" },
	{ SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, SAID_CERT, "it is not what it takes" },
	{ SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE, SAID_CERT, "its kind is not supported" },
	{ SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED, SAID_CERT, "it is revoked" },
	{ SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, SAID_CERT, "it has expired" },
	{ SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, SAID_CERT, "it is not what it takes" },
	{ SSL_R_TLSV1_ALERT_UNKNOWN_CA, SAID_CERT, "it does not know its CA" },
	{ SSL_R_TLSV1_ALERT_ACCESS_DENIED, SAID_CERT, "it may not come in" },
	{ SSL_R_UNEXPECTED_EOF_WHILE_READING, SAID_CLOSED, NULL },
};

/* The first of what libevent has kept, which is the last that it gives; 0: none is OpenSSL's. */
static unsigned long
first_error(struct bufferevent *bev)
{
	unsigned long e, first = 0;

	while ((e = lib.bufferevent_get_openssl_error(bev)) != 0)
		if (ERR_GET_LIB(e) == ERR_LIB_SSL)
			first = e;
	return first;
}

/*
 * A peer that refuses our certificate says so and closes; when our request meets the closed door first, what it said has
 * arrived all the same.
 */
static unsigned long
last_words(SSL *ssl)
{
	unsigned long e;
	char c;

	lib.ERR_clear_error();
	(void)lib.SSL_peek(ssl, &c, 1);
	e = lib.ERR_get_error();
	lib.ERR_clear_error();
	return ERR_GET_LIB(e) == ERR_LIB_SSL ? e : 0;
}

static void
explain_reason(const struct tls *t, unsigned long e, const char *host, char *why, size_t size)
{
	size_t i;

	for (i = 0; i < NELEM(reasons) && reasons[i].reason != ERR_GET_REASON(e); i++)
		;
	if (t->lacks_cert && ERR_GET_REASON(e) >= SSL_AD_REASON_OFFSET) /* it ended by an alert */
		snprintf(why, size, "%s wants a client's certificate: cert_file and key_file", host);
	else if (i == NELEM(reasons) || (reasons[i].said == SAID_CERT && !t->has_cert))
		snprintf(why, size, "TLS with %s failed: %s", host, reason_text(e));
	else if (reasons[i].said == SAID_HOST)
		snprintf(why, size, "%s %s", host, reasons[i].text);
	else if (reasons[i].said == SAID_CERT)
		snprintf(why, size, "%s refuses our certificate: %s", host, reasons[i].text);
}

void
tls_error(struct tls *t, struct bufferevent *bev, const char *host, char *why, size_t size)
{
	unsigned long e = first_error(bev);

	why[0] = '\0';
	if (t->verify_why[0] != '\0') {
		snprintf(why, size, "the certificate of %s %s", host, t->verify_why);
		return;
	}
	if (e == 0)
		e = last_words(lib.bufferevent_openssl_get_ssl(bev));
	if (e != 0)
		explain_reason(t, e, host, why, size);
}
