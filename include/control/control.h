/*
 * control: the socket that c4ctl talks to. A socket file left by a dead process is replaced; one that
 * answers is not (-EADDRINUSE). Peers are limited in number, line length and unread output.
 */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include <stdio.h>

#include "control/app.h"
#include "control/command.h"

struct control;
struct control_req;
struct ds_entries;

/* Errors are logged with what to do. */
MUST_USE int control_new(struct control **out, struct app *, const char *path, const char *group);
void control_free(struct control *); /* NULL is fine; removes the socket file */
/* A target ended a pass: waiters (resync) look again. */
void control_event(struct control *);

/* For handlers. A request ends once, by control_end(); it outlives its peer if it must. */
struct app *control_app(struct control_req *);
size_t control_n_args(const struct control_req *);
const char *control_arg(const struct control_req *, size_t i); /* NULL past the end */
const char *control_peer(const struct control_req *);          /* "uid 0" */
/* "--from URI" or "--from=URI" among the arguments from the i-th on; NULL: not there. */
const char *control_option(const struct control_req *, size_t i, const char *name);
bool control_flag(const struct control_req *, size_t i, const char *name); /* "--auth" */
char *control_payload(struct control_req *, size_t *len);      /* given away, with a NUL behind; NULL: none, or taken already */
void control_data(struct control_req *, json_t *takes);
void control_end(struct control_req *, int exit_code, const char *fmt, ...) PRINTF(3, 4); /* fmt NULL: no error text */
/* Called after each pass of a target and every 100 ms until it returns true or the deadline comes (then `late` is true). `arg` is given away and free()d. */
typedef bool control_wait_cb(struct control_req *, void *arg, bool late);
void control_wait(struct control_req *, int64_t deadline_ms, control_wait_cb *, void *arg);
/* From that callback: it is over with waiting, and not with the request; `arg` is the caller's again, the callback returns false. */
void control_unwait(struct control_req *);
bool control_gone(const struct control_req *); /* nobody is there to read the answer */
bool control_has_room(const struct control_req *); /* for more data: what was given is read, but for a megabyte */
/* Log lines of notice and above as data until the peer goes. */
void control_stream_log(struct control_req *);

/* Handlers, by room: show.c, show_targets.c, show_tables.c, show_registrar.c, maintenance.c and act.c */
control_handler ctl_status, ctl_show_topology, ctl_show_services, ctl_show_instances, ctl_show_targets,
    ctl_show_dispatcher, ctl_show_rtpengine, ctl_show_domains, ctl_show_permissions, ctl_show_uacreg, ctl_show_dns, ctl_history,
    ctl_show_config, ctl_diff, ctl_resync, ctl_why, ctl_hold,
    ctl_release, ctl_approve, ctl_drain, ctl_undrain, ctl_rollback, ctl_watch, ctl_log, ctl_reload,
    ctl_show_registrations, ctl_show_checks, ctl_show_kv, ctl_maintenance, ctl_check, ctl_show_cdr, ctl_cdr_export,
    ctl_show_routing, ctl_routing_load, ctl_route_explain;
/* routing check, without the daemon (command.h) */
int routing_check(int argc, char **argv, const char *text, size_t len, json_t **data, char *error, size_t size);

/* JSON that more than one command shows. */
json_t *show_status(const struct app *);
json_t *show_topology(const struct app *, const char *service); /* NULL: all */
json_t *show_instance(const struct app *, const char *service, const struct topo_instance *);
json_t *show_service(const struct app *, const struct topo_service *); /* without its instances */
json_t *show_targets(const struct app *, const char *service); /* NULL: all */
json_t *show_filter_targets(json_t *rows, const char *only);   /* rows with a "target"; returns them */
json_t *show_destinations(const struct kamhost *);
/* Of each of its sets first what is wanted, then what Kamailio lists besides. */
json_t *show_sets(const struct conf_kamailio *, const struct ds_entries *want, const struct ds_entries *have, bool was_read);
void show_places(const struct kamhost *, const struct topo_addr *, json_t *rows); /* adds this address's rows of tables */
void show_diff(const struct kamhost *, json_t *rows);          /* adds to them */
/* What this machine registers. */
json_t *show_registration(const struct registration_view *);
bool show_registration_named(const struct registration_view *, const char *name); /* by section or id; NULL: any */
json_t *show_registrations_at(const struct app *, const struct topo_addr *);
struct kv;
/* What is read from Consul's KV, one after the other from i = 0 on; false: no more. */
bool show_next_kv(const struct app *, size_t *i, const struct kv **, char used_by[96]);
/* Of `status`: how many are in which state. Adds what is wrong with them and with what is read from KV. */
json_t *show_registrar_status(const struct app *, json_t *problems, json_t *reminders);
/* Adds to what is wrong: what, and what to do. */
void show_problem(json_t *problems, const char *hint, const char *fmt, ...) PRINTF(3, 4);
/* The same of what is worse, and stands before the others: calls suffer from it, or will. */
void show_failure(json_t *problems, const char *hint, const char *fmt, ...) PRINTF(3, 4);
void show_routing_status(const struct app *, json_t *problems);
json_t *show_nodes(const struct app *); /* the rows of show rtpengine, of all Kamailios */
void show_silent_nodes(const struct app *, const struct kamhost *, json_t *problems);
/* An array to show, or "no such `what`" (1) when it was narrowed to nothing. Takes the rows. */
void show_reply_rows(struct control_req *, json_t *rows, bool found, const char *what);
/* "sbc" means all targets of that Kamailio, "sbc/1" one, NULL all. */
bool show_target_wanted(const char *only, const char *name);

/* The client: `c4ctl ...`. Returns the exit status. */
int c4ctl_main(int argc, char **argv);
/* `watch` on a terminal, watch_screen.c: until q, Ctrl-C or a signal to end. */
int watch_screen(const char *socket, bool colour);
/*
 * Rendering, render.c. Where to, and whether in colour; NULL: to standard output.
 */
void render_to(FILE *, bool colour);
void render_table(const struct column *, const json_t *rows, int64_t now_ms);
render_fn render_status, render_topology, render_why, render_history, render_config, render_messages, render_lines, render_event,
    render_diff, render_done, render_routing, render_routing_load, render_explain, render_dot, render_mermaid;

#endif
