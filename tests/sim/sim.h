/*
 * sim: c4d's deciding floors with a manual clock. The fakes here export the symbols of base/loop.h, base/worker.h,
 * base/file.h, base/log.h, discovery/resolver.h and kamailio/kam.h; everything else is c4d's own code.
 * There is one world: one clock, one disk, one Consul, some Kamailios, at most one running c4d.
 */
#ifndef SIM_H
#define SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "config/conf.h"
#include "consul/wake.h"
#include "discovery/watch.h"
#include "kamailio/dslist.h"
#include "reconcile/dispatcher.h"
#include "reconcile/kamhost.h"
#include "reconcile/platform.h"
#include "store/store.h"

/* ---- clock.c: the clock and the loop ---- */

#define SIM_SECOND 1000000LL

int64_t clock_now_us(void);
int64_t clock_wall_ms(void);
void clock_reset(void);
/* Runs what comes next, if it is due by `limit_us`; false: nothing is, and it is `limit_us` now. */
bool clock_step(int64_t limit_us);
void clock_jump(int64_t us);                           /* the time passes, and nothing runs (a paused VM) */
void clock_start_us(struct loop_timer *, int64_t us);  /* loop_timer_start() in microseconds, for the fakes */
void clock_set_jitter(uint64_t seed);                  /* 0: loop_jitter() changes nothing */

/* ---- trace.c: what happened, and what went wrong ---- */

void trace_reset(void);
void trace(const char *fmt, ...) PRINTF(1, 2);
void trace_print(void);                      /* the last lines, to stdout */
void note(const char *what);                 /* something that changes the world: "set_state", "reload", "file", ... */
unsigned note_count(const char *what);       /* since span_begin(); NULL: all */
char *note_list(void);                       /* "set_state file reload"; the caller frees */
bool log_has(const char *text);              /* a log line since span_begin() holds it */
unsigned log_count(const char *text);
void span_begin(void);
void sim_fail(const char *fmt, ...) PRINTF(1, 2); /* an invariant is broken: the scenario ends */
const char *sim_failure(void);               /* NULL: none so far */

/* ---- disk.c ---- */

struct disk_knobs {
	int err;          /* 0, or what each write meets: -ENOSPC, -EACCES */
	int64_t delay_us; /* what each job of the worker takes */
	bool lost;        /* power is gone: jobs end without having run */
};
extern struct disk_knobs disk;

void disk_reset(void);
void disk_put(const char *path, const char *text); /* whoever else writes there; NULL: the file goes */
const char *disk_get(const char *path);            /* NULL: no such file */
void disk_lock(const char *path, int pid);         /* another process has it; 0: no longer */

/* ---- consul.c: DNS ---- */

void dns_reset(void);
/* NULL, or what is wrong with the words: [on SERVER] ROW... | nxdomain | timeout | ... as README says. */
const char *dns_answer(const char *name, char *const *words, size_t n);
const char *dns_server(const char *server, char *const *words, size_t n);
const char *dns_host(const char *name, char *const *words, size_t n);
uint64_t dns_questions(void);

/* ---- wake.c: Consul's HTTP port, as far as `wake: index` asks it ---- */

void http_reset(void);
/* The index of "service" or "service@dc"; who waits for it is answered. */
void http_index(const char *name, uint64_t at);
const char *http_fate(char *const *words, size_t n); /* NULL, or what is wrong with the words */
uint64_t http_queries(void);

/* ---- kamailio.c ---- */

struct kamailio {
	struct kamailio *next;
	char *name;
	char *list_path;
	int64_t delta_ms;       /* its own reload_delta */
	int64_t latency_us;
	bool up, wedged;
	bool stuck;             /* reload says Ok and reads nothing */
	bool may_empty;         /* the scenario allows that nothing takes calls */
	int pid;
	char since[64];
	int64_t updated_s;      /* wall seconds of the last structural change; 0 never */
	struct ds_entries list; /* as it holds them, in the file's order */
	char *refuse, *reason;  /* the next `refuse_n` calls of this method get a fault */
	unsigned refuse_n;
	char *mute;             /* the next `mute_n` calls of this method are done, and the reply never comes */
	unsigned mute_n;
	char *unresolvable;     /* a URI that it skips, saying Ok */
	int64_t mine_us;        /* c4d's last reload that was answered Ok; 0 none */
	int64_t mine_delta_ms;  /* what c4d is configured to leave between two */
};

void kamailio_reset(void);
struct kamailio *kamailio_add(const char *name, const char *list_path, int64_t delta_ms);
struct kamailio *kamailio_find(const char *name); /* NULL name: the first */
void kamailio_boot(struct kamailio *);            /* reads its list; without a file it does not start */
void kamailio_down(struct kamailio *);
void kamailio_forget_c4d(void);                   /* another c4d: it can't know of windows */
bool kamailio_set_state(struct kamailio *, const char *state, int set, const char *uri);
bool kamailio_reload(struct kamailio *, const char **fault);
/* NULL, or what is wrong: the list as Kamailio reads it (its own parser, not c4d's). */
const char *kamailio_parse(const char *text, struct ds_entries *out);

/* ---- reply.c: the reply to an RPC; one at a time, texts are lent ---- */

/* The last among its parent's; NULL parent: the caller puts it somewhere. */
struct binrpc_value *reply_value(enum binrpc_type type, const char *name, struct binrpc_value *parent);
struct binrpc_value *reply_text(const char *name, const char *text, struct binrpc_value *parent);
struct binrpc_value *reply_int(const char *name, int64_t num, struct binrpc_value *parent);
void reply_fault(struct binrpc_msg *out, int code, const char *reason);
void reply_forget(void);

/* ---- tables.c: Kamailio's tables; rtpengine.c: the nodes themselves, at their NG ports ---- */

void tables_reset(void);
/* False: the method is none of these modules'. */
bool tables_call(struct kamailio *, const char *method, const struct binrpc_value *args, struct binrpc_msg *out);
const char *tables_command(struct kamailio *, char *const *words, size_t n, const char *heredoc); /* NULL, or what is wrong */
char *tables_expect(struct kamailio *, char *const *words, size_t n, const char *heredoc);        /* likewise; free it */
void rtpengine_reset(void);
const char *rtpengine_fate(char *const *words, size_t n); /* NULL, or what is wrong with the words */
bool rtpengine_answers(const struct topo_addr *);
int64_t rtpengine_since_us(const struct topo_addr *);     /* for so long it has, or has not */
void tables_strict(bool on);                              /* see tables.c */
const char *tables_state(struct kamailio *, int set, const char *address); /* in, out, asleep or none */
void tables_chaos(int64_t us);                            /* tables_chaos.c: random changes and faults */

/* ---- world.c: c4d ---- */

struct c4d {
	struct conf *conf;
	struct loop *loop;
	struct worker *worker;
	struct store *store;
	struct platform *platform;
	struct watch *watch;
	struct wake *wake;
	struct kamhost **hosts;
	size_t n_hosts;
};
extern struct c4d c4d; /* loop NULL: it does not run */

bool world_conf(const char *text, char *why, size_t size);
void world_reset(void);
void world_start(void);
void world_stop(bool crash);
void world_disk_error(int err);
/* NULL, or how Kamailios and their files differ from what c4d wants. */
char *world_differs(void);
/* What must hold for each text that c4d writes over a list file. */
void world_check_file(const char *path, const char *was, const char *is);

/* ---- chance.c: what the long random runs have in common ---- */

struct disturbed {
	unsigned n;      /* changes and faults since chance_begin() */
	int64_t last_us; /* when the last one came */
};
extern struct disturbed disturbed;

void chance_begin(void);     /* by SIM_SEED, or the time; it is printed */
unsigned chance(unsigned n); /* 0 to n - 1 */
void disturb(const char *fmt, ...) PRINTF(1, 2); /* one came: counted, and in the trace */

/* ---- script.c, chaos.c ---- */

bool script_run(const char *path); /* prints its line */
bool script_has_line(const char *text, const char *line);
void chaos_run(int64_t us);        /* random changes and faults; sim_fail() when anything is broken */
void run_for(int64_t us);          /* until then, or until sim_fail() */

#endif
