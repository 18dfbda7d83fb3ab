/*
 * tables_chaos: a long random run of rtpengine's nodes and a domain table. Nodes die, come back and lie, Consul and the disk
 * fail, somebody meddles, all restart; in between all is healed, and then all must be as it should.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "sim.h"

#define POOL 5
#define SETTLE_US (320 * SIM_SECOND) /* somebody's minute, a pause, a window, what is leaving; who died is out for good */

static const char conf_text[] =
    "consul: { dns: [\"127.0.0.1:8600\"] }\n"
    "services:\n"
    "  a: { remove_hold: 20s, max_shrink: 100, empty_hold: 10s, flap_suppress: 0 }\n"
    "  b: { remove_hold: 20s, max_shrink: 100, empty_hold: 10s, flap_suppress: 0 }\n"
    "kamailio:\n"
    "  sbc:\n"
    "    binrpc: unix:/sbc.ctl\n"
    "    list_file: /sbc.list\n"
    "    tables: /t\n"
    "    rtpengine: { 0: { service: a, drain_timeout: 40s }, 1: { service: b, drain_timeout: 40s } }\n"
    "    domain: { services: [a, b], names: [sip.example.org] }\n";

static bool listed[2][POOL]; /* of a and b; node 0 is of both */
static unsigned n_checks;

/* ---- what is true ---- */

static void
node_text(unsigned which, unsigned i, char out[32])
{
	snprintf(out, 32, "10.%u.0.%u:22222", i == 0 ? 0 : which, i + 1);
}

static void
publish(unsigned which, const char *instead)
{
	char *words[POOL], *one[] = { (char *)(uintptr_t)(instead ? instead : "nxdomain") };
	const char *name = which == 0 ? "a.service.consul" : "b.service.consul";
	char text[32];
	unsigned i;
	size_t n = 0;

	for (i = 0; i < POOL && instead == NULL; i++)
		if (listed[which][i]) {
			node_text(which, i, text);
			words[n++] = xstrdup(text);
		}
	(void)dns_answer(name, n ? words : one, n ? n : 1);
	while (n > 0)
		free(words[--n]);
}

static void
set_fate(unsigned which, unsigned i, const char *fate, const char *arg)
{
	char text[32];
	char *words[] = { text, (char *)(uintptr_t)fate, (char *)(uintptr_t)arg };

	node_text(which, i, text);
	(void)rtpengine_fate(words, arg ? 3 : 2);
}

/* ---- actions ---- */

static void
act_list(void)
{
	unsigned which = chance(2), i = chance(POOL);

	listed[which][i] = !listed[which][i];
	publish(which, NULL);
	disturb("%c %u is %s", 'a' + (int)which, i + 1, listed[which][i] ? "listed" : "gone");
}

static void
act_node(void)
{
	static const char *const fates[][2] = {
		{ "alive", NULL }, { "alive", NULL }, { "silent", NULL }, { "refused", NULL }, { "slow", "300ms" }, { "slow", "1ms" },
		{ "sessions", "3" }, { "sessions", "0" },
	};
	unsigned which = chance(2), i = chance(POOL), f = chance(NELEM(fates));

	set_fate(which, i, fates[f][0], fates[f][1]);
	disturb("node %u of %c: %s", i + 1, 'a' + (int)which, fates[f][0]);
}

static void
act_dns(void)
{
	publish(chance(2), chance(2) ? "timeout" : "servfail");
	disturb("Consul fails");
}

static void
act_kamailio(void)
{
	struct kamailio *k = kamailio_find("sbc");

	switch (chance(4)) {
	case 0:
		kamailio_down(k);
		kamailio_boot(k);
		break;
	case 1:
		kamailio_down(k);
		break;
	case 2:
		k->wedged = true;
		break;
	default:
		if (!k->up)
			kamailio_boot(k);
		k->wedged = false;
	}
	disturb("Kamailio is %s%s", k->up ? "up" : "down", k->wedged ? ", wedged" : "");
}

static void
act_admin(void)
{
	static const char *const words[] = { "enable", "disable", "sleep", "forget" };
	unsigned which = chance(2), i = chance(POOL), w = chance(NELEM(words));
	struct kamailio *k = kamailio_find("sbc");
	char url[40], text[32];
	char *line[] = { (char *)(uintptr_t)words[w], url };

	node_text(which, i, text);
	snprintf(url, sizeof url, "udp:%s", text);
	if (k->up && tables_command(k, line, 2, NULL) == NULL)
		disturb("somebody: %s %s", words[w], url);
}

static void
act_disk(void)
{
	static const int errs[] = { 0, 0, -ENOSPC, -EACCES };

	world_disk_error(errs[chance(NELEM(errs))]);
	disk.delay_us = chance(3) == 0 ? (int64_t)chance(1500) * 1000 : 0;
	disturb("disk: %s, %lld ms", disk.err ? strerror(-disk.err) : "ok", (long long)(disk.delay_us / 1000));
}

static void
act_file(void)
{
	static const char *const rows[] = { "90:5:udp\\:10.5.0.1\\:22222:1:1:0", "91:0:udp\\:10.7.0.1\\:22222:1:1:0",
		"92:1:udp\\:10.7.0.2\\:22222:1:1:7", "93:0:udp\\:10.0.0.1\\:22222:9:0:0" };
	char *words[] = { (char *)"rtpengine", (char *)"append", (char *)(uintptr_t)rows[chance(NELEM(rows))] };

	if (disk_get("/t/rtpengine") == NULL)
		return;
	(void)tables_command(kamailio_find("sbc"), words, 3, NULL);
	disturb("somebody adds %s", words[2]);
}

static void
act_c4d(void)
{
	bool crash = chance(2);

	world_stop(crash);
	world_start();
	disturb("c4d %s", crash ? "crashed" : "restarted");
}

static void
act(void)
{
	static void (*const acts[])(void) = { act_list, act_list, act_list, act_node, act_node, act_node, act_node, act_dns, act_kamailio,
		act_admin, act_admin, act_disk, act_file, act_c4d };

	acts[chance(NELEM(acts))]();
}

/* All is well again: everybody lists and answers, but for one node of each that is listed and dead. */
static void
heal(void)
{
	struct kamailio *k = kamailio_find("sbc");
	unsigned which, i;

	world_disk_error(0);
	disk.delay_us = 0;
	for (which = 0; which < 2; which++) {
		listed[which][1] = true;
		publish(which, NULL);
		for (i = 0; i < POOL; i++) {
			set_fate(which, i, i == 2 ? "silent" : "alive", NULL);
			set_fate(which, i, "slow", "1ms");
			set_fate(which, i, "sessions", "0");
		}
	}
	k->wedged = false;
	if (!k->up)
		kamailio_boot(k);
	disturb("all is well");
}

/* ---- what must be ---- */

static void
expect_node(struct kamailio *k, unsigned which, unsigned i)
{
	const char *is;
	char text[32];

	node_text(which, i, text);
	is = tables_state(k, (int)which, text);
	if (listed[which][i] && i != 2 && strcmp(is, "in") != 0)
		sim_fail("%s of set %u is listed and answers, and is %s", text, which, is);
	if ((!listed[which][i] || i == 2) && strcmp(is, "in") == 0)
		sim_fail("%s of set %u is %s, and is in", text, which, i == 2 ? "dead" : "gone");
	if (!listed[which][i] && strcmp(is, "none") != 0)
		sim_fail("%s of set %u is gone, and is %s", text, which, is);
}

static void
check_healed(void)
{
	struct kamailio *k = kamailio_find("sbc");
	struct target_walk w = { 0 };
	unsigned which, i;

	n_checks++;
	for (which = 0; which < 2; which++)
		for (i = 0; i < POOL; i++)
			expect_node(k, which, i);
	/* somebody's rows, who wrote them disabled */
	if (strcmp(tables_state(k, 0, "10.7.0.1:22222"), "in") == 0 || strcmp(tables_state(k, 1, "10.7.0.2:22222"), "in") == 0)
		sim_fail("what was adopted as disabled is in");
	while (kamhost_walk(c4d.hosts, c4d.n_hosts, &w))
		if (w.view.state != TARGET_CONVERGED)
			sim_fail("%s is %s: %s", w.view.name, target_state_name(w.view.state), w.view.last_error);
}

static void
phase(void)
{
	int64_t end = clock_now_us() + (20 + chance(120)) * SIM_SECOND;

	while (clock_now_us() < end && sim_failure() == NULL) {
		act();
		run_for(chance(10) == 0 ? 15 * SIM_SECOND : (int64_t)chance(3000) * 1000);
	}
	if (sim_failure() != NULL)
		return;
	heal();
	run_for(SETTLE_US);
	if (sim_failure() == NULL)
		check_healed();
	span_begin();
	run_for(15 * SIM_SECOND);
	if (sim_failure() == NULL && note_count(NULL) > 0)
		sim_fail("all is well for long, and still: %s", note_list());
}

void
tables_chaos(int64_t us)
{
	int64_t end = clock_now_us() + us;
	char *ok[] = { (char *)"127.0.0.1:8300" };
	char why[256];
	unsigned which, i;

	chance_begin();
	n_checks = 0;
	if (!world_conf(conf_text, why, sizeof why)) {
		sim_fail("%s", why);
		return;
	}
	(void)dns_answer("consul.service.consul", ok, 1);
	for (which = 0; which < 2; which++) {
		for (i = 0; i < POOL; i++)
			listed[which][i] = chance(2);
		listed[which][1] = true;
		publish(which, NULL);
	}
	disk_put("/sbc.list", "");
	disk_put("/t/rtpengine", "id(int,auto) setid(int) url(string) weight(int) disabled(int) stamp(int)\n");
	kamailio_boot(kamailio_find("sbc"));
	tables_strict(true);
	world_start();
	while (clock_now_us() < end && sim_failure() == NULL)
		phase();
	tables_strict(false);
	printf("  %u changes and faults, %u times settled\n", disturbed.n, n_checks);
}
