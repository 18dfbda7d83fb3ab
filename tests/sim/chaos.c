/*
 * chaos: a long random run. Changes and faults come as they like; in between all is healed, and then all
 * must be as it should. What must hold at any time is checked with every step, by the fakes and here.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "sim.h"

#define POOL 8
#define SETTLE_US (16 * SIM_SECOND)  /* window, poll, interval, back-off of a server: no guard's time */
#define APPLY_US (8 * SIM_SECOND)    /* window and poll: from a generation to Kamailio */
#define GUARDS_US (240 * SIM_SECOND) /* and these: empty_hold, shrink_hold, a back-off */

static const char conf_text[] =
    "consul: { dns: [\"127.0.0.1:8600\", \"127.0.0.1:8601\"] }\n"
    "services:\n"
    "  router: { remove_hold: 60s, tags: [primary] }\n"
    "  asterisk:\n"
    "    names: [asterisk.service.dc1.consul, asterisk.service.dc2.consul]\n"
    "    remove_hold: 60s\n"
    "kamailio:\n"
    "  sbc:\n"
    "    binrpc: unix:/sbc.ctl\n"
    "    list_file: /sbc.list\n"
    "    dispatcher:\n"
    "      1: { service: router, uri: \"sip:{address}:{port}\", attrs: \"weight={weight}\" }\n"
    "      2: { service: asterisk, uri: \"sip:{address}:{port}\" }\n"
    "  edge:\n"
    "    binrpc: unix:/edge.ctl\n"
    "    list_file: /edge.list\n"
    "    dispatcher:\n"
    "      1: { service: router, uri: \"sip:{address}:{port}\", tag: { primary: { priority: 9 } } }\n";

static const char *const names[] = {
	"router.service.consul", "asterisk.service.dc1.consul", "asterisk.service.dc2.consul",
};
static const char *const canaries[] = {
	"consul.service.consul", "consul.service.dc1.consul", "consul.service.dc2.consul",
};
static const char *const services[] = { "router", "asterisk" };

static bool up[NELEM(names)][POOL];
static unsigned weight[NELEM(names)][POOL];
static bool primary[POOL];
static bool drained[NELEM(names)][POOL];
static bool was_active[NELEM(services)];
static bool healthy;          /* no fault is in force */
static uint64_t generation;   /* and what c4d itself changed, as time went by */
static int64_t changed_us;
static unsigned n_checks;

/* ---- what is true ---- */

static void
tell_dns(const char *name, unsigned which, const bool *listed)
{
	char *words[POOL], *none[] = { (char *)"nxdomain" };
	size_t i, n = 0;

	for (i = 0; i < POOL; i++)
		if (listed[i])
			words[n++] = xasprintf("10.0.%u.%zu:5060;w=%u", which, i + 1, weight[which][i]);
	(void)dns_answer(name, n ? words : none, n ? n : 1);
	while (n > 0)
		free(words[--n]);
}

static void
publish(unsigned which)
{
	bool both[POOL];
	size_t i;

	tell_dns(names[which], which, up[which]);
	for (i = 0; i < POOL; i++)
		both[i] = up[which][i] && primary[i];
	if (which == 0)
		tell_dns("_router._primary.service.consul", which, both);
}

static void
canary(unsigned which, const char *word)
{
	char *words[] = { (char *)(uintptr_t)word };

	(void)dns_answer(canaries[which], words, 1);
}

/* ---- actions ---- */

static struct kamailio *
some_kamailio(void)
{
	return kamailio_find(chance(2) ? "sbc" : "edge");
}

static void
act_instance(void)
{
	unsigned which = chance(NELEM(names)), i = chance(POOL);

	up[which][i] = !up[which][i];
	publish(which);
	disturb("10.0.%u.%u is %s", which, i + 1, up[which][i] ? "listed" : "gone");
}

static void
act_weight(void)
{
	unsigned which = chance(NELEM(names)), i = chance(POOL);

	weight[which][i] = 1 + chance(3);
	primary[i] = chance(2);
	publish(which);
	publish(0);
	disturb("10.0.%u.%u has weight %u", which, i + 1, weight[which][i]);
}

static void
act_outage(void)
{
	unsigned which = chance(NELEM(names));

	memset(up[which], 0, sizeof up[which]);
	publish(which);
	disturb("%s is empty", names[which]);
}

static void
act_canary(void)
{
	static const char *const words[] = { "nxdomain", "servfail", "timeout", "127.0.0.1:8300" };
	unsigned which = chance(NELEM(names)), w = chance(NELEM(words));

	canary(which, words[w]);
	healthy &= w == 3;
	disturb("canary %s: %s", canaries[which], words[w]);
}

static void
act_server(void)
{
	static const char *const words[] = { "ok", "timeout", "unreachable", "servfail", "refused", "nxdomain", "malformed" };
	const char *server = chance(2) ? "127.0.0.1:8600" : "127.0.0.1:8601";
	char *word = (char *)(uintptr_t)words[chance(NELEM(words))];

	(void)dns_server(server, &word, 1);
	healthy &= strcmp(word, "ok") == 0;
	disturb("server %s: %s", server, word);
}

static void
act_kamailio(void)
{
	struct kamailio *k = some_kamailio();

	if (k->up && chance(3) == 0) {
		kamailio_down(k);
		healthy = false;
		disturb("kamailio %s is down", k->name);
		return;
	}
	if (k->up)
		kamailio_down(k);
	kamailio_boot(k);
	disturb("kamailio %s starts", k->name);
}

static void
act_wedge(void)
{
	struct kamailio *k = some_kamailio();

	k->wedged = !k->wedged;
	healthy &= !k->wedged;
	disturb("kamailio %s is %swedged", k->name, k->wedged ? "" : "no longer ");
}

static void
act_mute(void)
{
	struct kamailio *k = some_kamailio();

	free(k->mute);
	k->mute = xstrdup(chance(2) ? "dispatcher.reload" : chance(2) ? "dispatcher.list" : "dispatcher.set_state");
	k->mute_n = 1;
	disturb("kamailio %s will not answer one %s", k->name, k->mute);
}

/* What people do; they leave somebody to take the calls. */
static void
act_admin(void)
{
	struct kamailio *k = some_kamailio();
	const struct ds_entry *e;
	unsigned left = 0;
	const char *why;
	size_t i;

	if (k->list.n == 0)
		return;
	e = &k->list.v[chance((unsigned)k->list.n)];
	for (i = 0; i < k->list.n; i++)
		left += k->list.v[i].set == e->set && !(k->list.v[i].flags & DS_DISABLED);
	if (chance(8) == 0) {
		disturb("kamailio %s: an admin reloads", k->name);
		(void)kamailio_reload(k, &why);
	} else if (chance(3) != 0) {
		disturb("kamailio %s finds %s dead", k->name, e->uri);
		if (!(e->flags & DS_DISABLED))
			(void)kamailio_set_state(k, chance(2) ? "ip" : "ap", e->set, e->uri);
	} else if (left > 1) {
		disturb("kamailio %s: an admin disables %s", k->name, e->uri);
		(void)kamailio_set_state(k, "dx", e->set, e->uri);
	}
}

static void
act_disk(void)
{
	static const int errs[] = { 0, -ENOSPC, -EACCES };
	int err = errs[chance(NELEM(errs))];

	world_disk_error(err);
	disk.delay_us = chance(2) ? 0 : (int64_t)chance(3000) * 1000;
	healthy &= err == 0 && disk.delay_us == 0;
	disturb("disk: %s, %lld ms", err ? strerror(-err) : "ok", (long long)disk.delay_us / 1000);
}

static void
act_pause(void)
{
	int64_t us = (int64_t)chance(900) * SIM_SECOND;

	disturb("the VM is paused for %lld s", (long long)(us / SIM_SECOND));
	clock_jump(us);
	disturbed.last_us = clock_now_us();
}

static struct topo_addr
addr_of(unsigned which, unsigned i)
{
	return (struct topo_addr){ .family = 4, .ip = { 10, 0, (uint8_t)which, (uint8_t)(i + 1) }, .port = 5060 };
}

static void
act_drain(void)
{
	unsigned which = chance(NELEM(names)), i = chance(POOL);
	struct topo_addr addr = addr_of(which, i);
	struct platform_refusal no;
	int err;

	if (drained[which][i])
		err = platform_undrain(c4d.platform, &addr, "chaos");
	else
		err = platform_drain(c4d.platform, &addr, chance(2) * 60000, "chaos", &no);
	if (err == 0)
		drained[which][i] = !drained[which][i];
	disturb("%s 10.0.%u.%u: %s", drained[which][i] ? "drain" : "undrain", which, i + 1, err ? strerror(-err) : "done");
}

/* A crash may have kept it from the store. */
static void
recall_drains(void)
{
	unsigned which, i;

	for (which = 0; which < NELEM(names); which++)
		for (i = 0; i < POOL; i++) {
			struct topo_addr addr = addr_of(which, i);

			drained[which][i] = c4d.platform != NULL &&
			    platform_drain_of(c4d.platform, services[which > 0], &addr) != NULL;
		}
}

static void
act_restart(void)
{
	bool crash = chance(2);
	size_t i;

	disturb("c4d %s", crash ? "crashes" : "is restarted");
	world_stop(crash);
	if (chance(3) == 0) {
		clock_jump((int64_t)chance(60) * SIM_SECOND);
		act_kamailio();
	}
	/* it knows what the store and the lists hold: that is less when the disk was full */
	memset(was_active, 0, sizeof was_active);
	world_start();
	/* a crash may have kept a release from the store */
	for (i = 0; c4d.platform != NULL && i < platform_now(c4d.platform)->n; i++)
		healthy &= !platform_now(c4d.platform)->services[i].frozen;
	recall_drains();
	disturbed.last_us = clock_now_us();
}

static void
act_word(void)
{
	const char *service = services[chance(NELEM(services))];
	enum judge_word word = chance(3) ? JUDGE_RELEASE : JUDGE_HOLD;

	if (platform_word(c4d.platform, service, word, "chaos") != 0)
		return;
	healthy &= word == JUDGE_RELEASE;
	disturb("%s %s", word == JUDGE_HOLD ? "hold" : "release", service);
}

static const struct {
	void (*fn)(void);
	unsigned share;
} actions[] = {
	{ act_instance, 40 }, { act_weight, 8 }, { act_outage, 2 }, { act_canary, 6 }, { act_server, 10 },
	{ act_kamailio, 6 }, { act_wedge, 4 }, { act_mute, 4 }, { act_admin, 12 }, { act_disk, 8 },
	{ act_pause, 1 }, { act_restart, 3 }, { act_word, 2 }, { act_drain, 3 },
};

static void
act(void)
{
	unsigned total = 0, at;
	size_t i;

	for (i = 0; i < NELEM(actions); i++)
		total += actions[i].share;
	at = chance(total);
	for (i = 0; at >= actions[i].share; i++)
		at -= actions[i].share;
	actions[i].fn();
}

static void
heal(void)
{
	char *ok[] = { (char *)"ok" };
	struct kamailio *k;
	size_t i;

	disturb("all is healed");
	for (i = 0; i < NELEM(names); i++)
		canary((unsigned)i, "127.0.0.1:8300");
	(void)dns_server("127.0.0.1:8600", ok, 1);
	(void)dns_server("127.0.0.1:8601", ok, 1);
	world_disk_error(0);
	disk.delay_us = 0;
	for (k = kamailio_find(NULL); k != NULL; k = k->next) {
		k->wedged = false;
		if (!k->up)
			kamailio_boot(k);
	}
	for (i = 0; i < NELEM(services); i++)
		if (platform_word(c4d.platform, services[i], JUDGE_RELEASE, "chaos") == 0)
			trace("chaos: %s is released", services[i]);
	healthy = true;
}

/* ---- what must be ---- */

static const struct topo_service *
service_of(unsigned which)
{
	return topo_find(platform_now(c4d.platform), services[which > 0]);
}

static const struct topo_instance *
instance_of(unsigned which, unsigned i)
{
	struct topo_addr addr = addr_of(which, i);

	return topo_find_instance(service_of(which), &addr);
}

static bool
is_damped(unsigned which, unsigned i)
{
	struct judge_flap_view v;
	struct topo_addr addr = addr_of(which, i);

	return judge_flap_view(platform_judge(c4d.platform, services[which > 0]), &addr, loop_now_ms(c4d.loop), &v) &&
	    v.damped && instance_of(which, i)->state == TOPO_SUPPRESSED;
}

static unsigned
count_active(const struct topo_service *s)
{
	unsigned n = 0;
	size_t i;

	for (i = 0; i < s->n; i++)
		n += topo_is_active(s->inst[i].state);
	return n;
}

static void
check_always(void)
{
	size_t i;

	for (i = 0; i < NELEM(services) && c4d.platform != NULL; i++) {
		unsigned n = count_active(topo_find(platform_now(c4d.platform), services[i]));

		if (n == 0 && was_active[i])
			sim_fail("%s: nothing is active, and nobody approved that", services[i]);
		was_active[i] |= n > 0;
	}
	if (c4d.platform != NULL && platform_generation(c4d.platform) != generation) {
		generation = platform_generation(c4d.platform);
		changed_us = clock_now_us();
	}
}

/* A set that c4d leaves alone because others keep changing it, as documented; or the generation is too new. */
static bool
may_differ(void)
{
	struct target_walk w = { 0 };

	if (clock_now_us() - changed_us < APPLY_US)
		return true;
	while (kamhost_walk(c4d.hosts, c4d.n_hosts, &w)) {
		/* somebody's reload may have made it think that the window is longer */
		if (w.view.state == TARGET_WINDOW)
			return true;
		if (w.view.state == TARGET_FAILED && strstr(w.view.last_error, "somebody else changes") != NULL)
			return true;
	}
	return false;
}

static void
check_settled(void)
{
	char *why = may_differ() ? NULL : world_differs();
	unsigned which, i;

	n_checks++;
	if (why != NULL)
		sim_fail("not settled after %lld s of health: %s", (long long)(SETTLE_US / SIM_SECOND), why);
	free(why);
	for (which = 0; which < NELEM(names); which++)
		for (i = 0; i < POOL; i++) {
			const struct topo_instance *inst = instance_of(which, i);

			if (up[which][i] && (inst == NULL || inst->state != (drained[which][i] ? TOPO_DRAINING : TOPO_UP)) &&
			    (inst == NULL || !is_damped(which, i)))
				sim_fail("10.0.%u.%u is listed and not %s", which, i + 1, drained[which][i] ? "draining" : "up");
			if (up[which][i] && inst != NULL && inst->weight != weight[which][i])
				sim_fail("10.0.%u.%u has weight %u, not %u", which, i + 1, inst->weight, weight[which][i]);
		}
}

/* The guards' times are over too: nothing is in that is not listed, unless it is all that is left. */
static void
check_quiet(void)
{
	unsigned which, i, listed[NELEM(services)] = { 0 };
	char *why = may_differ() ? NULL : world_differs();

	if (why != NULL)
		sim_fail("not settled after minutes of health: %s", why);
	free(why);
	for (which = 0; which < NELEM(names); which++)
		for (i = 0; i < POOL; i++)
			listed[which > 0] += up[which][i] && !drained[which][i];
	for (which = 0; which < NELEM(names); which++)
		for (i = 0; i < POOL; i++) {
			const struct topo_instance *inst = instance_of(which, i);

			if (inst == NULL || up[which][i] || !topo_is_active(inst->state))
				continue;
			if (listed[which > 0] > 0 || inst->guard != GUARD_EMPTY)
				sim_fail("10.0.%u.%u is still in, minutes after it went", which, i + 1);
		}
}

static void
live(int64_t us)
{
	int64_t end = clock_now_us() + us;

	while (sim_failure() == NULL && clock_step(end))
		check_always();
	if (healthy && clock_now_us() - disturbed.last_us >= SETTLE_US && sim_failure() == NULL)
		check_settled();
}

static void
phase(void)
{
	int64_t end = clock_now_us() + (30 + chance(240)) * SIM_SECOND;

	while (clock_now_us() < end && sim_failure() == NULL) {
		act();
		check_always();
		live(chance(12) == 0 ? SETTLE_US : (int64_t)chance(4000) * 1000);
		if (chance(40) == 0)
			heal();
	}
	heal();
	live(SETTLE_US);
	if (chance(2) == 0) {
		live(GUARDS_US);
		if (sim_failure() == NULL)
			check_quiet();
	}
}

void
chaos_run(int64_t us)
{
	int64_t end = clock_now_us() + us;
	char why[256];
	unsigned which, i;

	chance_begin();
	n_checks = 0;
	generation = 0;
	memset(was_active, 0, sizeof was_active);
	if (!world_conf(conf_text, why, sizeof why)) {
		sim_fail("%s", why);
		return;
	}
	for (which = 0; which < NELEM(names); which++)
		for (i = 0; i < POOL; i++) {
			up[which][i] = chance(2);
			weight[which][i] = 1;
			drained[which][i] = primary[i] = false;
		}
	for (which = 0; which < NELEM(names); which++)
		publish(which);
	disk_put("/sbc.list", "");
	disk_put("/edge.list", "");
	world_start();
	heal();
	while (clock_now_us() < end && sim_failure() == NULL)
		phase();
	trace("%u disturbances, settled %u times", disturbed.n, n_checks);
	if (n_checks == 0)
		sim_fail("nothing was ever checked");
}
