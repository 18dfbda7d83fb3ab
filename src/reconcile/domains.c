#include "reconcile/domains.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"

#define BAD_MAX 32 /* so many are remembered */
#define SHOWN 64   /* bytes of one in the log */

struct domains {
	struct kv *kv;
	char *kamailio;
	loop_cb *changed;
	void *arg;
	struct strlist names;
	struct strlist bad; /* said already */
	bool known;
};

/* ---- pure ---- */

void
domains_list_clear(struct strlist *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
	memset(l, 0, sizeof *l);
}

struct collecting {
	struct strlist names, bad;
	size_t cap_names, cap_bad;
};

/* A key and a value may hold NULs, which part words too. */
static void
add_word(struct collecting *c, const char *word, size_t len)
{
	char *s = xstrndup(word, len);

	if (text_make_dns_name(s) == NULL) {
		c->names.v = xgrow(c->names.v, c->names.n, &c->cap_names, sizeof *c->names.v);
		c->names.v[c->names.n++] = s;
	} else if (c->bad.n < BAD_MAX) {
		c->bad.v = xgrow(c->bad.v, c->bad.n, &c->cap_bad, sizeof *c->bad.v);
		c->bad.v[c->bad.n++] = s;
	} else {
		free(s);
	}
}

static bool
is_space(char c)
{
	return memchr(" \t\r\n\v\f,", c, 8) != NULL;
}

static void
add_words(struct collecting *c, const char *text, size_t len)
{
	const char *end = text + len, *begin;

	while (text < end) {
		if (is_space(*text)) {
			text++;
			continue;
		}
		for (begin = text; text < end && !is_space(*text); text++)
			;
		add_word(c, begin, (size_t)(text - begin));
	}
}

static int
text_cmp(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void
sort_once(struct strlist *l, size_t max)
{
	size_t i, n = 0;

	if (l->n > 1)
		qsort(l->v, l->n, sizeof *l->v, text_cmp);
	for (i = 0; i < l->n; i++) {
		if (n < max && (n == 0 || strcmp(l->v[n - 1], l->v[i]) != 0))
			l->v[n++] = l->v[i];
		else
			free(l->v[i]);
	}
	l->n = n;
}

void
domains_collect(const struct kv_pair *pairs, size_t n, struct strlist *names, struct strlist *bad)
{
	struct collecting c = { 0 };
	const char *last;
	size_t i;

	for (i = 0; i < n; i++) {
		last = strrchr(pairs[i].key, '/');
		last = last != NULL ? last + 1 : pairs[i].key;
		if (last[0] != '\0')
			add_word(&c, last, strlen(last));
		add_words(&c, pairs[i].value, pairs[i].len);
	}
	sort_once(&c.names, DOMAINS_MAX);
	sort_once(&c.bad, BAD_MAX);
	*names = c.names;
	*bad = c.bad;
}

/* ---- what Consul says ---- */

static bool
has(const struct strlist *sorted, const char *text)
{
	return sorted->n > 0 && bsearch(&text, sorted->v, sorted->n, sizeof *sorted->v, text_cmp) != NULL;
}

/* Takes `bad`. One line for what is new in it. */
static void
say_bad(struct domains *d, struct strlist bad)
{
	struct kv_view v;
	char text[SHOWN + 1];
	size_t i, k;

	for (i = 0; i < bad.n && has(&d->bad, bad.v[i]); i++)
		;
	if (i < bad.n) {
		kv_view(d->kv, &v);
		snprintf(text, sizeof text, "%s", bad.v[i]);
		for (k = 0; text[k] != '\0'; k++)
			if (text[k] < 0x21 || text[k] > 0x7e)
				text[k] = '?';
		log_warnx("target", "%s/domain: '%s' below %s in Consul's KV is no DNS name: left out (%zu%s such in all)", d->kamailio,
		    text, v.prefix, bad.n, bad.n == BAD_MAX ? " or more" : "");
	}
	domains_list_clear(&d->bad);
	d->bad = bad;
}

static void
on_value(void *arg, const struct kv_pair *pairs, size_t n)
{
	struct domains *d = arg;
	struct strlist names, bad;
	struct kv_view v;

	kv_view(d->kv, &v);
	if (!v.known) /* there is nothing yet */
		return;
	domains_collect(pairs, n, &names, &bad);
	say_bad(d, bad);
	if (names.n == 0 && n > 0) {
		log_warnx("target", "%s/domain: not one domain is among the %zu keys below %s in Consul's KV: %s", d->kamailio, n, v.prefix,
		    d->known ? "those that were there last stay" : "nothing is changed");
		return;
	}
	if (names.n == DOMAINS_MAX)
		log_warnx("target", "%s/domain: %d domains below %s in Consul's KV are as many as there can be: what is more is left out",
		    d->kamailio, DOMAINS_MAX, v.prefix);
	domains_list_clear(&d->names);
	d->names = names;
	d->known = true;
	log_info("target", "%s/domain: %zu domains come from %s in Consul's KV", d->kamailio, names.n, v.prefix);
	d->changed(d->arg);
}

/* ---- life ---- */

int
domains_new(struct domains **out, struct loop *loop, struct worker *worker, const struct conf *conf, const char *kamailio,
    const char *prefix, int64_t hold_ms, loop_cb *changed, void *arg)
{
	struct domains *d = xcalloc(1, sizeof *d);
	int err = kv_new(&d->kv, loop, worker, conf, prefix, hold_ms, on_value, d);

	if (err != 0) {
		free(d);
		return err;
	}
	d->kamailio = xstrdup(kamailio);
	d->changed = changed;
	d->arg = arg;
	*out = d;
	return 0;
}

void
domains_free(struct domains *d)
{
	if (d == NULL)
		return;
	kv_free(d->kv);
	domains_list_clear(&d->names);
	domains_list_clear(&d->bad);
	free(d->kamailio);
	free(d);
}

void
domains_set_conf(struct domains *d, const struct conf *conf, int64_t hold_ms)
{
	if (kv_set_conf(d->kv, conf, hold_ms) != 0)
		log_error("target", "%s/domain: cannot use consul.http %s: KV is still asked where it was", d->kamailio, conf->http);
}

const struct strlist *
domains_names(const struct domains *d)
{
	return &d->names;
}

bool
domains_known(const struct domains *d)
{
	return d->known;
}

bool
domains_proven(const struct domains *d)
{
	struct kv_view v;

	kv_view(d->kv, &v);
	return d->known && v.why[0] == '\0' && !v.held;
}

const struct kv *
domains_kv(const struct domains *d)
{
	return d->kv;
}
