#include "control/command.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "control/control.h"
#include "control/metrics.h"

static const struct column services_columns[] = {
	{ "SERVICE", "service", COLUMN_TEXT }, { "UP", "up", COLUMN_NUMBER }, { "DISABLED", "disabled", COLUMN_NUMBER },
	{ "HELD", "held", COLUMN_NUMBER }, { "SUPPRESSED", "suppressed", COLUMN_NUMBER },
	{ "DRAINING", "draining", COLUMN_NUMBER }, { "MIN", "min_instances", COLUMN_NUMBER },
	{ "FROZEN", "frozen", COLUMN_TEXT }, { "EVIDENCE", "evidence", COLUMN_TEXT }, { "PROOF", "proof", COLUMN_AGE },
	{ "", "note", COLUMN_BELOW }, { NULL, NULL, 0 },
};
static const struct column instances_columns[] = {
	{ "SERVICE", "service", COLUMN_TEXT }, { "ADDRESS", "address", COLUMN_TEXT }, { "PORT", "port", COLUMN_NUMBER },
	{ "W", "weight", COLUMN_NUMBER }, { "TAGS", "tags", COLUMN_LIST }, { "STATE", "state", COLUMN_TEXT },
	{ "GUARD", "guard", COLUMN_TEXT }, { "SINCE", "since", COLUMN_AGE }, { "GEN", "generation", COLUMN_NUMBER },
	{ "SOURCE", "source", COLUMN_TEXT }, { NULL, NULL, 0 },
};
static const struct column targets_columns[] = {
	{ "TARGET", "target", COLUMN_TEXT }, { "KIND", "kind", COLUMN_TEXT }, { "STATE", "state", COLUMN_TEXT },
	{ "DESIRED", "desired_generation", COLUMN_NUMBER }, { "APPLIED", "applied_generation", COLUMN_NUMBER },
	{ "PENDING", "pending", COLUMN_NUMBER }, { "SINCE", "since", COLUMN_AGE }, { "", "last_error", COLUMN_BELOW },
	{ NULL, NULL, 0 },
};
static const struct column dispatcher_columns[] = {
	{ "TARGET", "target", COLUMN_TEXT }, { "DESTINATION", "uri", COLUMN_TEXT }, { "DESIRED", "desired", COLUMN_TEXT },
	{ "KAMAILIO", "actual", COLUMN_TEXT }, { "PRIO", "priority", COLUMN_NUMBER }, { "ATTRS", "attrs", COLUMN_TEXT },
	{ NULL, NULL, 0 },
};
static const struct column rtpengine_columns[] = {
	{ "TARGET", "target", COLUMN_TEXT }, { "NODE", "url", COLUMN_TEXT }, { "DESIRED", "desired", COLUMN_TEXT },
	{ "KAMAILIO", "actual", COLUMN_TEXT }, { "PING", "ping", COLUMN_TEXT }, { "CALLS", "sessions", COLUMN_NUMBER },
	{ "W", "weight", COLUMN_NUMBER }, { "", "why", COLUMN_BELOW }, { NULL, NULL, 0 },
};
static const struct column domain_columns[] = {
	{ "TARGET", "target", COLUMN_TEXT }, { "DOMAIN", "domain", COLUMN_TEXT }, { "DESIRED", "desired", COLUMN_TEXT },
	{ "KAMAILIO", "actual", COLUMN_TEXT }, { NULL, NULL, 0 },
};
static const struct column permissions_columns[] = {
	{ "TARGET", "target", COLUMN_TEXT }, { "ADDRESS", "address", COLUMN_TEXT }, { "MASK", "mask", COLUMN_NUMBER },
	{ "TAG", "tag", COLUMN_TEXT }, { "DESIRED", "desired", COLUMN_TEXT }, { "KAMAILIO", "actual", COLUMN_TEXT },
	{ NULL, NULL, 0 },
};
static const struct column uacreg_columns[] = {
	{ "TARGET", "target", COLUMN_TEXT }, { "TRUNK", "l_uuid", COLUMN_TEXT }, { "USER", "username", COLUMN_TEXT },
	{ "AT", "proxy", COLUMN_TEXT }, { "DESIRED", "desired", COLUMN_TEXT }, { "KAMAILIO", "actual", COLUMN_TEXT },
	{ "EXPIRES-S", "expires_s", COLUMN_NUMBER }, { NULL, NULL, 0 },
};
static const struct column registrations_columns[] = {
	{ "NAME", "registration", COLUMN_TEXT }, { "ID", "id", COLUMN_SPARE }, { "SERVICE", "service", COLUMN_SPARE },
	{ "ADDRESS", "address", COLUMN_SPARE }, { "PORT", "port", COLUMN_NUMBER }, { "STATE", "state", COLUMN_TEXT },
	{ "AGENT", "agent", COLUMN_TEXT }, { "CATALOG", "catalog", COLUMN_TEXT }, { "DNS", "dns", COLUMN_TEXT },
	{ "SINCE", "since", COLUMN_AGE }, { "", "why", COLUMN_BELOW }, { "", "note", COLUMN_BELOW }, { NULL, NULL, 0 },
};
static const struct column checks_columns[] = {
	{ "REGISTRATION", "registration", COLUMN_TEXT }, { "CHECK", "check", COLUMN_TEXT }, { "TYPE", "type", COLUMN_TEXT },
	{ "C4D", "status", COLUMN_TEXT }, { "AGENT", "agent", COLUMN_TEXT }, { "SINCE", "since", COLUMN_AGE },
	{ "", "output", COLUMN_BELOW }, { NULL, NULL, 0 },
};
static const struct column kv_columns[] = {
	{ "PREFIX", "prefix", COLUMN_TEXT }, { "USED-BY", "used_by", COLUMN_TEXT }, { "KEYS", "keys", COLUMN_NUMBER },
	{ "INDEX", "index", COLUMN_NUMBER }, { "CHANGED", "changed", COLUMN_AGE }, { "ANSWERED", "answered", COLUMN_AGE },
	{ "", "why", COLUMN_BELOW }, { "", "note", COLUMN_BELOW }, { NULL, NULL, 0 },
};
static const struct column cdr_columns[] = {
	{ "TIME", "call_start", COLUMN_TEXT }, { "FROM", "from_uri", COLUMN_SPARE }, { "TO", "to_uri", COLUMN_SPARE },
	{ "SECONDS", "duration", COLUMN_NUMBER }, { "", "tenant_uuid", COLUMN_BELOW }, { "", "call_id", COLUMN_BELOW },
	{ NULL, NULL, 0 },
};
static const struct column dns_columns[] = {
	{ "SERVICE", "service", COLUMN_TEXT }, { "SERVER", "server", COLUMN_TEXT }, { "PROVES", "evidence", COLUMN_TEXT },
	{ "LISTED", "listed", COLUMN_NUMBER }, { "BYTES", "bytes", COLUMN_NUMBER }, { "TOOK-US", "took_us", COLUMN_NUMBER },
	{ "LAST", "last", COLUMN_AGE }, { "PROOF", "proof", COLUMN_AGE }, { "WAKE", "wake", COLUMN_TEXT },
	{ "", "name", COLUMN_BELOW }, { "", "why", COLUMN_BELOW }, { "", "wake_why", COLUMN_BELOW }, { NULL, NULL, 0 },
};

const struct command commands[] = {
	{ .name = "status", .handle = ctl_status, .render = render_status,
	    .help = "is all well, and if not, what to do" },
	{ .name = "show topology", .args = "[SERVICE]", .max_args = 1, .handle = ctl_show_topology, .render = render_topology,
	    .dot = render_dot, .mermaid = render_mermaid,
	    .help = "services, instances, where in force; -f dot draws" },
	{ .name = "show services", .args = "[SERVICE]", .max_args = 1, .handle = ctl_show_services, .columns = services_columns,
	    .help = "counts, guards and the age of the evidence" },
	{ .name = "show instances", .args = "[SERVICE]", .max_args = 1, .handle = ctl_show_instances, .columns = instances_columns,
	    .help = "every instance: state, weight, age and source" },
	{ .name = "show targets", .args = "[TARGET]", .max_args = 1, .handle = ctl_show_targets, .columns = targets_columns,
	    .help = "desired against applied generation, last error" },
	{ .name = "show dispatcher", .args = "[TARGET]", .max_args = 1, .handle = ctl_show_dispatcher, .columns = dispatcher_columns,
	    .help = "destinations as desired and as Kamailio lists them" },
	{ .name = "show rtpengine", .args = "[TARGET]", .max_args = 1, .handle = ctl_show_rtpengine, .columns = rtpengine_columns,
	    .help = "nodes as desired, in Kamailio and by NG ping" },
	{ .name = "show domains", .args = "[TARGET]", .max_args = 1, .handle = ctl_show_domains, .columns = domain_columns,
	    .help = "domains as desired and as Kamailio dumps them" },
	{ .name = "show permissions", .args = "[TARGET]", .max_args = 1, .handle = ctl_show_permissions,
	    .columns = permissions_columns, .help = "trusted addresses, likewise" },
	{ .name = "show uacreg", .args = "[TARGET]", .max_args = 1, .handle = ctl_show_uacreg, .columns = uacreg_columns,
	    .help = "carrier registrations as desired and in Kamailio" },
	{ .name = "show registrations", .args = "[REGISTRATION]", .max_args = 1, .handle = ctl_show_registrations,
	    .columns = registrations_columns, .help = "what is offered at Consul; who has it" },
	{ .name = "show checks", .args = "[REGISTRATION]", .max_args = 1, .handle = ctl_show_checks, .columns = checks_columns,
	    .help = "by c4d's word and at the agent; last output" },
	{ .name = "show kv", .args = "[PREFIX]", .max_args = 1, .handle = ctl_show_kv, .columns = kv_columns,
	    .help = "what is read from Consul's KV" },
	{ .name = "show routing", .handle = ctl_show_routing, .render = render_routing,
	    .help = "the routing data: whence, how much, what is wrong" },
	{ .name = "routing load", .args = "FILE", .min_args = 1, .max_args = 1, .payload = true, .writes = true,
	    .handle = ctl_routing_load, .render = render_routing_load,
	    .help = "serve this document (-: standard input) instead" },
	{ .name = "routing check", .args = "FILE", .min_args = 1, .max_args = 1, .payload = true, .local = routing_check,
	    .render = render_routing_load, .help = "is it right? Asks no daemon" },
	{ .name = "route explain", .args = "--from URI --to URI [--source IP]",
	    .min_args = 2, .max_args = 13, .handle = ctl_route_explain, .render = render_explain,
	    .help = "where a call goes, and why" },
	{ .name = "show dns", .args = "[SERVICE]", .max_args = 1, .handle = ctl_show_dns, .columns = dns_columns,
	    .help = "what each name's last round proved, by which server" },
	{ .name = "show cdr", .args = "[--last N] [--tenant UUID] [--call-id ID]", .max_args = 6, .handle = ctl_show_cdr,
	    .columns = cdr_columns, .help = "the newest CDRs" },
	{ .name = "show history", .args = "[SERVICE]", .max_args = 1, .handle = ctl_history, .render = render_history,
	    .help = "generations: what changed, why, and when in force" },
	{ .name = "show config", .args = "[PREFIX]", .max_args = 1, .handle = ctl_show_config, .render = render_config,
	    .help = "effective values and where they come from" },
	{ .name = "show metrics", .args = "[PREFIX]", .max_args = 1, .handle = ctl_show_metrics, .render = render_metrics,
	    .help = "what GET /metrics says" },
	{ .name = "history", .args = "[SERVICE]", .max_args = 1, .handle = ctl_history, .render = render_history,
	    .help = "the same as show history" },
	{ .name = "diff", .args = "[TARGET]", .max_args = 1, .handle = ctl_diff, .render = render_diff,
	    .help = "desired against actual; 1 when they differ" },
	{ .name = "resync", .args = "[TARGET]", .max_args = 1, .writes = true, .handle = ctl_resync, .columns = targets_columns,
	    .help = "ask DNS, read back and push again; waits for it" },
	{ .name = "why", .args = "ADDRESS:PORT", .min_args = 1, .max_args = 1, .handle = ctl_why, .render = render_why,
	    .help = "how this instance came to be in, out or held" },
	{ .name = "hold", .args = "SERVICE", .min_args = 1, .max_args = 1, .writes = true, .handle = ctl_hold,
	    .help = "freeze a service as it is" },
	{ .name = "release", .args = "SERVICE", .min_args = 1, .max_args = 1, .writes = true, .handle = ctl_release,
	    .help = "end a hold" },
	{ .name = "approve", .args = "SERVICE", .min_args = 1, .max_args = 1, .writes = true, .handle = ctl_approve,
	    .help = "let go what a guard holds, let in what flapped" },
	{ .name = "drain", .args = "ADDRESS:PORT [--timeout T]", .min_args = 1, .max_args = 3, .writes = true,
	    .handle = ctl_drain, .render = render_done, .help = "no new calls; established ones go on" },
	{ .name = "undrain", .args = "ADDRESS:PORT", .min_args = 1, .max_args = 1, .writes = true, .handle = ctl_undrain,
	    .render = render_done, .help = "end a drain" },
	{ .name = "maintenance", .args = "on|off [REGISTRATION] [--reason TEXT]", .min_args = 1, .max_args = 4, .writes = true,
	    .handle = ctl_maintenance, .render = render_done, .help = "out of service, and back" },
	{ .name = "check", .args = "on|off REGISTRATION CHECK", .min_args = 3, .max_args = 3, .writes = true, .handle = ctl_check,
	    .render = render_done, .help = "one check is made, or not" },
	{ .name = "cdr export", .args = "[--after ID] [--limit N] [--csv] [--follow]", .max_args = 6, .streams = true,
	    .handle = ctl_cdr_export, .render = render_lines, .help = "as JSON or CSV" },
	{ .name = "rollback", .args = "GENERATION", .min_args = 1, .max_args = 1, .writes = true, .handle = ctl_rollback,
	    .render = render_done, .help = "instances as they were then, and hold them" },
	{ .name = "watch", .streams = true, .handle = ctl_watch, .render = render_event,
	    .help = "every change as it happens" },
	{ .name = "log", .args = "LEVEL [SUBSYSTEM]", .min_args = 1, .max_args = 2, .writes = true, .handle = ctl_log,
	    .help = "error, warning, notice, info, debug; till a restart" },
	{ .name = "reload", .writes = true, .handle = ctl_reload, .render = render_messages,
	    .help = "check the configuration and take it over" },
};
const size_t n_commands = NELEM(commands);

const struct command *
command_by_name(const char *name)
{
	size_t i;

	for (i = 0; i < n_commands; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

/* How many words of argv fit the command's words, each a prefix; 0: no fit. *exact: none was shortened. */
static int
fit(const struct command *c, int argc, char *const *argv, bool *exact)
{
	const char *p = c->name;
	int n = 0;

	*exact = true;
	while (*p) {
		size_t len = strcspn(p, " ");

		if (n == argc || argv[n][0] == '\0' || strlen(argv[n]) > len || strncmp(argv[n], p, strlen(argv[n])) != 0)
			return 0;
		*exact &= strlen(argv[n]) == len;
		n++;
		p += len + (p[len] == ' ');
	}
	return n;
}

static void
what_to_show(char *error, size_t size)
{
	size_t i, len = (size_t)snprintf(error, size, "show what?");
	const char *before = " ";

	for (i = 0; i < n_commands; i++) {
		if (strncmp(commands[i].name, "show ", 5) != 0 || len >= size)
			continue;
		len += (size_t)snprintf(error + len, size - len, "%s%s", before, commands[i].name + 5);
		before = ", ";
	}
}

const struct command *
command_find(int argc, char *const *argv, int *used, char *error, size_t size)
{
	const struct command *found = NULL;
	size_t i, len = 0;
	int n, fits = 0;
	bool exact;

	error[0] = '\0';
	for (i = 0; i < n_commands; i++) {
		n = fit(&commands[i], argc, argv, &exact);
		if (n == 0)
			continue;
		found = &commands[i];
		*used = n;
		if (exact)
			return found;
		fits++;
		len += (size_t)snprintf(error + len, len < size ? size - len : 0, "%s%s", len ? ", " : "", commands[i].name);
	}
	if (fits == 1)
		return found;
	if (fits > 1) {
		char list[512];

		snprintf(list, sizeof list, "%s", error);
		snprintf(error, size, "ambiguous: %s", list);
	} else if (argc > 0 && strcmp(argv[0], "show") == 0) {
		what_to_show(error, size);
	} else {
		snprintf(error, size, "no such command: %s (c4ctl help lists them)", argc > 0 ? argv[0] : "");
	}
	return NULL;
}

void
command_usage(void (*line)(const char *))
{
	char text[256];
	size_t i;

	line("usage: c4ctl [-s SOCKET] [-f plain|json|jsonl] [-w[SECONDS]] COMMAND");
	line("       c4ctl [-s SOCKET] -f dot|mermaid show topology [SERVICE]");
	for (i = 0; i < n_commands; i++) {
		char head[64];

		snprintf(head, sizeof head, "%s%s%s", commands[i].name, commands[i].args ? " " : "",
		    commands[i].args ? commands[i].args : "");
		snprintf(text, sizeof text, "  %-26s %s", head, commands[i].help);
		line(text);
	}
}
