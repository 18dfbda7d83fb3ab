/* What the keys of consul, http and ari must be together. */
#include <string.h>

#include "config/conf_load_int.h"

/* Of two keys that only make sense together, the one that stands alone. */
static void
check_together(struct loader *l, const char *a, const char *va, const char *b, const char *vb)
{
	const struct mark *ma = conf_mark_of(l->root, a), *mb = conf_mark_of(l->root, b);

	if ((va == NULL) == (vb == NULL) || ma->bad || mb->bad)
		return;
	if (va == NULL)
		conf_error(&l->errs, mb->file, mb->line, "%s: needs %s too; set both or none", b, a);
	else
		conf_error(&l->errs, ma->file, ma->line, "%s: needs %s too; set both or none", a, b);
}

/* Keys of TLS where no TLS is spoken. */
static void
check_tls(struct loader *l)
{
	static const char *const keys[] = { "consul.ca_file", "consul.cert_file", "consul.key_file", "consul.server_name",
		"consul.verify" };
	const struct conf *conf = l->conf;
	size_t i;

	check_together(l, "consul.cert_file", conf->cert_file, "consul.key_file", conf->key_file);
	if (conf_mark_of(l->root, "consul.http")->bad || strncmp(conf->http, "https:", 6) == 0)
		return;
	for (i = 0; i < NELEM(keys); i++) {
		const struct mark *m = conf_mark_of(l->root, keys[i]);

		if (m->line != 0 && !m->bad)
			conf_warning(&l->errs, m->file, m->line,
			    "%s: has no effect with consul.http '%s'; remove it, or write https://IP:PORT there", keys[i], conf->http);
	}
}

static void
check_ari(struct loader *l)
{
	static const char *const keys[] = { "ari.user", "ari.password_file" };
	const struct mark *url = conf_mark_of(l->root, "ari.url");
	const struct conf *conf = l->conf;
	size_t i;

	check_together(l, "ari.user", conf->ari_user, "ari.password_file", conf->ari_password_file);
	if (conf->ari_url != NULL && conf->ari_user == NULL && !url->bad && !conf_mark_of(l->root, "ari.user")->bad)
		conf_warning(&l->errs, url->file, url->line,
		    "ari.url: without ari.user and ari.password_file Asterisk will answer 401; set them");
	for (i = 0; i < NELEM(keys) && conf->ari_url == NULL && !url->bad; i++) {
		const struct mark *m = conf_mark_of(l->root, keys[i]);

		if (m->line != 0 && !m->bad)
			conf_warning(&l->errs, m->file, m->line, "%s: has no effect without ari.url", keys[i]);
	}
}

void
conf_check_consul(struct loader *l)
{
	check_tls(l);
	check_ari(l);
}
