/*
 * nodes: what c4d knows of its rtpengine nodes, against peers in the same loop, and against the real
 * rtpengine at an address of 127/8 of the test's own.
 */
#include "ng_fx.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "rtpengine/nodes.h"

#define INTERVAL_MS 40
#define LONG_MS 200 /* what is to be seen between two pings must come within it */
#define TIMEOUT_MS 60
#define PATIENT_MS 10000
#define NEVER_MS 100000000

static int socket_errno; /* 0: socket() does what it does */

int
socket(int domain, int type, int protocol)
{
	if (socket_errno != 0) {
		errno = socket_errno;
		return -1;
	}
	return (int)syscall(SYS_socket, domain, type, protocol);
}

struct env {
	struct fx fx;
	struct nodes *nodes;
	unsigned changes;
	bool free_in_cb;
};

static void
on_changed(void *arg)
{
	struct env *env = arg;

	loop_stop(env->fx.loop);
	env->changes++;
	if (env->free_in_cb) {
		nodes_free(env->nodes);
		env->nodes = NULL;
	}
}

static void
begin(struct env *env, int64_t interval_ms, int64_t timeout_ms)
{
	socket_errno = 0;
	memset(env, 0, sizeof *env);
	fx_init(&env->fx);
	assert_int_equal(
	    nodes_new(&env->nodes, env->fx.loop, interval_ms, timeout_ms, on_changed, env), 0);
	assert_int_equal(nodes_count(env->nodes), 0);
	assert_true(nodes_is_settled(env->nodes));
}

static void
end(struct env *env)
{
	nodes_free(env->nodes);
	fx_fini(&env->fx);
}

static const struct node_view *
view(const struct env *env, const struct peer *p)
{
	const struct node_view *v = nodes_find(env->nodes, &p->addr);

	assert_non_null(v);
	return v;
}

static void
assert_log(const struct env *env, unsigned lines, const char *last)
{
	assert_int_equal(fx_lines(&env->fx), lines);
	if (strstr(env->fx.log.s, last) == NULL)
		fail_msg("\"%s\" is not in\n%s", last, env->fx.log.s);
}

/* ---- states ---- */

static void
test_alive_at_the_first_pong(void **state)
{
	const struct node_view *v;
	struct env env;
	struct peer p;
	int64_t before;

	begin(&env, INTERVAL_MS, PATIENT_MS);
	peer_init(&p, &env.fx, "127.0.0.1");
	p.mute = 1;
	nodes_set(env.nodes, &p.addr, 1);
	before = loop_now_ms(env.fx.loop);
	v = view(&env, &p);
	assert_int_equal(topo_addr_cmp(&v->addr, &p.addr), 0);
	assert_int_equal(v->state, NODE_UNKNOWN);
	assert_int_equal(v->answer_ms, 0);
	assert_int_equal(v->sessions, -1);
	assert_true(v->since_ms > 0);
	assert_string_equal(v->why, "");
	assert_false(nodes_is_fresh(env.nodes, &p.addr, NEVER_MS));
	AWAIT(&env.fx, env.changes == 1);
	assert_int_equal(v->state, NODE_ALIVE);
	assert_in_range(v->answer_ms, before + 90, loop_now_ms(env.fx.loop));
	assert_in_range(v->rtt_us, 90000, 5000000); /* it was sent twice */
	assert_int_equal(v->missed, 0);
	assert_true(nodes_is_fresh(env.nodes, &p.addr, 1000));
	/* And on it goes, with nothing more to tell. */
	AWAIT(&env.fx, p.pings >= 6);
	AWAIT(&env.fx, v->rtt_us < 90000);
	assert_int_equal(p.lists, 0);
	assert_int_equal(env.changes, 1);
	assert_log(&env, 1, ": alive, rtt_us=");
	peer_close(&p);
	end(&env);
}

static void
test_dead_after_two_silent_pings(void **state)
{
	const struct node_view *v;
	struct env env;
	struct peer p;
	unsigned i, pings;

	begin(&env, LONG_MS, TIMEOUT_MS);
	peer_init(&p, &env.fx, "127.0.0.1");
	nodes_set(env.nodes, &p.addr, 1);
	v = view(&env, &p);
	AWAIT(&env.fx, v->state == NODE_ALIVE);
	p.how = H_SILENT;
	AWAIT(&env.fx, v->missed == 1);
	assert_int_equal(v->state, NODE_ALIVE);
	assert_string_equal(v->why, "no answer within 60ms");
	assert_false(nodes_is_fresh(env.nodes, &p.addr, NEVER_MS)); /* its last ping was not answered */
	AWAIT(&env.fx, env.changes == 2);
	assert_int_equal(v->state, NODE_DEAD);
	assert_int_equal(v->missed, 2);
	assert_log(&env, 2, ": dead; no answer within 60ms\n");
	/* Still asked, and told no more. */
	AWAIT(&env.fx, v->missed >= 4);
	assert_int_equal(env.changes, 2);
	assert_int_equal(fx_lines(&env.fx), 2);
	p.how = H_ANSWER;
	AWAIT(&env.fx, v->state == NODE_ALIVE);
	assert_int_equal(v->missed, 0);
	assert_string_equal(v->why, "");
	assert_log(&env, 3, ": alive after ");
	AWAIT(&env.fx, env.changes == 3);
	/* One miss between answers is none. */
	for (i = 0; i < 2; i++) {
		pings = p.pings;
		p.mute = 1;
		AWAIT(&env.fx, p.pings >= pings + 2 && v->missed == 0);
	}
	assert_int_equal(env.changes, 3);
	peer_close(&p);
	end(&env);
}

static void
test_refusals(void **state)
{
	const struct node_view *v;
	struct env env;
	struct peer p;

	begin(&env, LONG_MS, PATIENT_MS);
	peer_init(&p, &env.fx, "127.0.0.1");
	peer_close(&p);
	nodes_set(env.nodes, &p.addr, 1);
	v = view(&env, &p);
	AWAIT(&env.fx, env.changes == 1);
	assert_int_equal(v->state, NODE_DEAD);
	assert_int_equal(v->missed, 1);
	assert_log(&env, 1, ": not reachable; refused: nobody listens there");
	peer_open(&p);
	AWAIT(&env.fx, v->state == NODE_ALIVE);
	/* A living one that is restarted within an interval. */
	peer_close(&p);
	AWAIT(&env.fx, v->missed == 1);
	assert_int_equal(v->state, NODE_ALIVE);
	peer_open(&p);
	AWAIT(&env.fx, v->missed == 0);
	assert_int_equal(fx_lines(&env.fx), 2);
	peer_close(&p);
	AWAIT(&env.fx, env.changes == 3);
	assert_int_equal(v->state, NODE_DEAD);
	assert_int_equal(v->missed, 2);
	assert_log(&env, 3, ": dead; refused: nobody listens there");
	end(&env);
}

static void
test_answers_that_are_no_pong(void **state)
{
	static const struct {
		const char *body;
		const char *why;
	} rows[] = {
		{ "d6:result2:oke", "its answer to ping is no pong (is that rtpengine?)" },
		{ "d10:statisticsdee", "its answer to ping is no pong (is that rtpengine?)" },
		{ "d6:result5:error12:error-reason4:busye", "it answers: error, busy" },
		{ "hello", "its answer cannot be decoded (is that rtpengine's NG port?)" },
	};
	const struct node_view *v;
	struct env env;
	struct peer p;
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		begin(&env, INTERVAL_MS, PATIENT_MS);
		peer_init(&p, &env.fx, "127.0.0.1");
		p.body = rows[i].body;
		nodes_set(env.nodes, &p.addr, 1);
		v = view(&env, &p);
		AWAIT(&env.fx, env.changes == 1);
		assert_int_equal(v->state, NODE_DEAD);
		assert_int_equal(v->missed, 2);
		assert_string_equal(v->why, rows[i].why);
		peer_close(&p);
		end(&env);
	}
}

/* Out of descriptors, c4d knows no more of the nodes, and no less. */
static void
test_own_lack_condemns_nobody(void **state)
{
	const struct node_view *v;
	struct env env;
	struct peer p;
	int64_t answer_ms;

	begin(&env, INTERVAL_MS, PATIENT_MS);
	peer_init(&p, &env.fx, "127.0.0.1");
	nodes_set(env.nodes, &p.addr, 1);
	v = view(&env, &p);
	AWAIT(&env.fx, v->state == NODE_ALIVE);
	socket_errno = EMFILE;
	AWAIT(&env.fx, v->why[0] != '\0');
	assert_string_equal(v->why, "c4d cannot ask: Too many open files");
	answer_ms = v->answer_ms;
	fx_pass(&env.fx, 5 * INTERVAL_MS);
	assert_int_equal(v->state, NODE_ALIVE);
	assert_int_equal(v->missed, 0);
	assert_int_equal(v->answer_ms, answer_ms);
	assert_false(nodes_is_fresh(env.nodes, &p.addr, INTERVAL_MS));
	nodes_refresh(env.nodes, 0);
	assert_false(nodes_is_settled(env.nodes));
	AWAIT(&env.fx, nodes_is_settled(env.nodes));
	socket_errno = 0;
	AWAIT(&env.fx, v->why[0] == '\0');
	assert_int_equal(fx_lines(&env.fx), 1);
	peer_close(&p);
	end(&env);
}

static bool
all_pinged(const struct peer *p, unsigned n, unsigned times)
{
	unsigned i;

	for (i = 0; i < n; i++)
		if (p[i].pings < times)
			return false;
	return true;
}

static void
test_pings_are_spread(void **state)
{
	int64_t first = INT64_MAX, last = 0, begun;
	struct topo_addr addrs[8];
	struct peer p[8];
	struct env env;
	unsigned i;

	begin(&env, 500, PATIENT_MS);
	for (i = 0; i < 8; i++) {
		peer_init(&p[i], &env.fx, "127.0.0.1");
		addrs[i] = p[i].addr;
	}
	nodes_set(env.nodes, addrs, 8);
	AWAIT(&env.fx, all_pinged(p, 8, 1));
	begun = p[7].at_ms[0];
	AWAIT(&env.fx, all_pinged(p, 8, 2));
	for (i = 0; i < 8; i++) {
		first = p[i].at_ms[1] < first ? p[i].at_ms[1] : first;
		last = p[i].at_ms[1] > last ? p[i].at_ms[1] : last;
		peer_close(&p[i]);
	}
	/* Eight draws of 0..500 ms: neither within 50 of each other nor all late, but once in 200,000 runs. */
	assert_true(last - first > 50);
	assert_true(first - begun < 400);
	end(&env);
}

/* ---- sessions ---- */

static void
test_sessions(void **state)
{
	const struct node_view *v;
	struct env env;
	struct peer p;
	unsigned lists;
	int64_t before;

	begin(&env, INTERVAL_MS, PATIENT_MS);
	peer_init(&p, &env.fx, "127.0.0.1");
	nodes_count_sessions(env.nodes, &p.addr, true); /* not watched */
	nodes_set(env.nodes, &p.addr, 1);
	v = view(&env, &p);
	AWAIT(&env.fx, env.changes == 1);
	nodes_count_sessions(env.nodes, &p.addr, true);
	AWAIT(&env.fx, v->sessions == 0);
	assert_non_null(strstr(p.text[p.got - 1], " d7:command4:list5:limiti12ee"));
	assert_int_equal(NODES_SESSIONS_MAX, 12);
	AWAIT(&env.fx, env.changes == 2); /* unknown to zero */
	p.sessions = 3;
	AWAIT(&env.fx, v->sessions == 3);
	AWAIT(&env.fx, env.changes == 3); /* from zero */
	p.sessions = 5;
	AWAIT(&env.fx, v->sessions == 5);
	before = loop_now_ms(env.fx.loop);
	p.sessions = 2;
	AWAIT(&env.fx, v->sessions == 2);
	assert_in_range(v->sessions_ms, before, loop_now_ms(env.fx.loop));
	assert_int_equal(env.changes, 3);
	p.sessions = 0;
	AWAIT(&env.fx, v->sessions == 0);
	AWAIT(&env.fx, env.changes == 4); /* to zero */
	nodes_count_sessions(env.nodes, &p.addr, true); /* as it is already */
	assert_int_equal(v->sessions, 0);
	nodes_count_sessions(env.nodes, &p.addr, false);
	assert_int_equal(v->sessions, -1);
	assert_int_equal(v->sessions_ms, 0);
	fx_pass(&env.fx, INTERVAL_MS); /* one may be under way */
	lists = p.lists;
	fx_pass(&env.fx, 4 * INTERVAL_MS);
	assert_int_equal(p.lists, lists);
	assert_int_equal(v->sessions, -1);
	assert_int_equal(env.changes, 4);
	assert_int_equal(fx_lines(&env.fx), 1);
	peer_close(&p);
	end(&env);

	/* The first count does not wait for the interval. */
	begin(&env, NEVER_MS, PATIENT_MS);
	peer_init(&p, &env.fx, "127.0.0.1");
	nodes_set(env.nodes, &p.addr, 1);
	AWAIT(&env.fx, env.changes == 1);
	nodes_count_sessions(env.nodes, &p.addr, true);
	AWAIT(&env.fx, view(&env, &p)->sessions == 0);
	AWAIT(&env.fx, env.changes == 2);
	/* An answer that comes when nobody counts any more. */
	nodes_count_sessions(env.nodes, &p.addr, false);
	p.mute_lists = 1;
	p.lists = 0;
	nodes_count_sessions(env.nodes, &p.addr, true);
	AWAIT(&env.fx, p.lists == 1);
	nodes_count_sessions(env.nodes, &p.addr, false);
	AWAIT(&env.fx, p.lists == 2);
	fx_pass(&env.fx, 20);
	assert_int_equal(view(&env, &p)->sessions, -1);
	assert_int_equal(env.changes, 2);
	peer_close(&p);
	end(&env);
}

/* A count that fails leaves the last one with its time, and the node alive. */
static void
test_sessions_not_answered(void **state)
{
	static const char *const bodies[] = {
		"d6:result5:error12:error-reason20:Unrecognized commande",
		"d6:result2:oke",
		"d5:calls3:two6:result2:oke",
	};
	const struct node_view *v;
	struct env env;
	struct peer p;
	int64_t when;
	size_t i;

	for (i = 0; i < NELEM(bodies); i++) {
		begin(&env, INTERVAL_MS, TIMEOUT_MS);
		peer_init(&p, &env.fx, "127.0.0.1");
		p.sessions = 2;
		nodes_set(env.nodes, &p.addr, 1);
		nodes_count_sessions(env.nodes, &p.addr, true);
		v = view(&env, &p);
		AWAIT(&env.fx, v->sessions == 2);
		p.list_body = bodies[i];
		AWAIT(&env.fx, fx_lines(&env.fx) == 2);
		assert_log(&env, 2, ": sessions cannot be counted: ");
		when = v->sessions_ms;
		p.lists = 0;
		AWAIT(&env.fx, p.lists == 3);
		assert_int_equal(v->state, NODE_ALIVE);
		assert_int_equal(v->sessions, 2);
		assert_int_equal(v->sessions_ms, when);
		assert_int_equal(fx_lines(&env.fx), 2);
		/* What is dead has none that could be counted. */
		p.how = H_SILENT;
		AWAIT(&env.fx, v->state == NODE_DEAD);
		assert_int_equal(v->sessions, -1);
		assert_int_equal(v->sessions_ms, 0);
		p.how = H_ANSWER;
		p.list_body = NULL;
		AWAIT(&env.fx, v->sessions == 2);
		peer_close(&p);
		end(&env);
	}
}

/* ---- which nodes ---- */

static void
test_set(void **state)
{
	struct topo_addr addrs[6];
	const struct node_view *v;
	struct peer p[3];
	struct env env;
	int64_t answer_ms;
	unsigned i, pings;

	begin(&env, INTERVAL_MS, PATIENT_MS);
	for (i = 0; i < 3; i++)
		peer_init(&p[i], &env.fx, i == 0 ? "::1" : i == 1 ? "127.0.0.2" : "127.0.0.1");
	addrs[0] = addrs[3] = p[0].addr;
	addrs[1] = addrs[4] = p[1].addr;
	addrs[2] = p[2].addr;
	memset(&addrs[5], 0, sizeof addrs[5]); /* no address */
	nodes_set(env.nodes, addrs, 6);
	assert_int_equal(nodes_count(env.nodes), 3);
	/* In order, whatever the order given. */
	assert_ptr_equal(nodes_at(env.nodes, 0), view(&env, &p[2]));
	assert_ptr_equal(nodes_at(env.nodes, 1), view(&env, &p[1]));
	assert_ptr_equal(nodes_at(env.nodes, 2), view(&env, &p[0]));
	assert_null(nodes_find(env.nodes, &addrs[5]));
	for (i = 0; i < 3; i++)
		AWAIT(&env.fx, view(&env, &p[i])->state == NODE_ALIVE);
	/* Who stays keeps what it has. */
	v = view(&env, &p[0]);
	answer_ms = v->answer_ms;
	addrs[1] = addrs[2];
	nodes_set(env.nodes, addrs, 2);
	assert_int_equal(nodes_count(env.nodes), 2);
	assert_ptr_equal(view(&env, &p[0]), v);
	assert_int_equal(v->state, NODE_ALIVE);
	assert_int_equal(v->answer_ms, answer_ms);
	assert_null(nodes_find(env.nodes, &p[1].addr));
	assert_false(nodes_is_fresh(env.nodes, &p[1].addr, NEVER_MS));
	fx_pass(&env.fx, INTERVAL_MS / 2); /* one may be under way */
	pings = p[1].pings;
	p[0].pings = 0;
	AWAIT(&env.fx, p[0].pings == 5);
	assert_int_equal(p[1].pings, pings);
	/* Who comes back begins anew. */
	nodes_set(env.nodes, &p[1].addr, 1);
	assert_int_equal(nodes_count(env.nodes), 1);
	assert_int_equal(view(&env, &p[1])->state, NODE_UNKNOWN);
	AWAIT(&env.fx, view(&env, &p[1])->state == NODE_ALIVE);
	nodes_set(env.nodes, NULL, 0);
	assert_int_equal(nodes_count(env.nodes), 0);
	for (i = 0; i < 3; i++)
		peer_close(&p[i]);
	end(&env);
}

static void
test_new_and_free(void **state)
{
	struct nodes *nodes = NULL;
	struct env env;
	struct peer p;

	begin(&env, INTERVAL_MS, PATIENT_MS);
	assert_int_equal(nodes_new(&nodes, env.fx.loop, 0, 1, on_changed, NULL), -EINVAL);
	assert_int_equal(nodes_new(&nodes, env.fx.loop, 1, 0, on_changed, NULL), -EINVAL);
	assert_null(nodes);
	nodes_free(NULL);
	/* From its own callback, with a count under way and a refresh that is never told of. */
	peer_init(&p, &env.fx, "127.0.0.1");
	env.free_in_cb = true;
	nodes_set(env.nodes, &p.addr, 1);
	nodes_count_sessions(env.nodes, &p.addr, true);
	nodes_refresh(env.nodes, 0);
	AWAIT(&env.fx, env.nodes == NULL);
	fx_pass(&env.fx, INTERVAL_MS);
	assert_int_equal(env.changes, 1);
	peer_close(&p);
	end(&env);
	/* With a callback due. */
	begin(&env, INTERVAL_MS, PATIENT_MS);
	peer_init(&p, &env.fx, "127.0.0.1");
	nodes_set(env.nodes, &p.addr, 1);
	nodes_refresh(env.nodes, 0);
	nodes_set(env.nodes, NULL, 0);
	nodes_free(env.nodes);
	env.nodes = NULL;
	fx_pass(&env.fx, INTERVAL_MS);
	assert_int_equal(env.changes, 0);
	peer_close(&p);
	end(&env);
}

/* ---- refresh ---- */

static void
await_alive(struct env *env, struct peer p[2])
{
	struct topo_addr addrs[2];
	unsigned i;

	for (i = 0; i < 2; i++) {
		peer_init(&p[i], &env->fx, i == 0 ? "127.0.0.1" : "127.0.0.2");
		addrs[i] = p[i].addr;
	}
	nodes_set(env->nodes, addrs, 2);
	for (i = 0; i < 2; i++)
		AWAIT(&env->fx, view(env, &p[i])->state == NODE_ALIVE);
	fx_pass(&env->fx, 30);
	env->changes = 0;
}

static void
test_refresh(void **state)
{
	struct peer p[2];
	struct env env;
	int64_t before;

	begin(&env, NEVER_MS, PATIENT_MS);
	await_alive(&env, p);
	before = loop_now_ms(env.fx.loop);
	/* All are young enough. */
	nodes_refresh(env.nodes, NEVER_MS);
	assert_true(nodes_is_settled(env.nodes));
	fx_pass(&env.fx, 20);
	assert_int_equal(p[0].pings + p[1].pings, 2);
	assert_int_equal(env.changes, 0);
	/* Too old, both; asking again changes nothing of it. */
	assert_false(nodes_is_fresh(env.nodes, &p[0].addr, 20));
	p[0].mute = 1;
	nodes_refresh(env.nodes, 20);
	nodes_refresh(env.nodes, 20);
	assert_false(nodes_is_settled(env.nodes));
	AWAIT(&env.fx, view(&env, &p[1])->answer_ms >= before);
	assert_false(nodes_is_settled(env.nodes));
	assert_int_equal(env.changes, 0);
	nodes_refresh(env.nodes, 1000); /* of the one that is under way */
	AWAIT(&env.fx, env.changes == 1);
	assert_true(nodes_is_settled(env.nodes));
	assert_true(nodes_is_fresh(env.nodes, &p[0].addr, 1000));
	assert_int_equal(p[0].pings, 3); /* of which one was not heard */
	assert_int_equal(p[1].pings, 2);
	/* Only the one that is. */
	fx_pass(&env.fx, 30);
	p[1].pings = 0;
	nodes_set(env.nodes, &p[0].addr, 1);
	nodes_refresh(env.nodes, 20);
	AWAIT(&env.fx, env.changes == 2);
	assert_int_equal(p[1].pings, 0);
	assert_int_equal(fx_lines(&env.fx), 2);
	peer_close(&p[0]);
	peer_close(&p[1]);
	end(&env);
}

static void
test_refresh_that_fails(void **state)
{
	const struct node_view *v;
	struct peer p[2];
	struct env env;
	int64_t before;

	begin(&env, NEVER_MS, 600);
	await_alive(&env, p);
	p[0].how = H_SILENT;
	v = view(&env, &p[0]);
	nodes_refresh(env.nodes, 20);
	AWAIT(&env.fx, env.changes == 1);
	assert_true(nodes_is_settled(env.nodes));
	assert_int_equal(v->missed, 1);
	assert_int_equal(v->state, NODE_ALIVE);
	assert_false(nodes_is_fresh(env.nodes, &p[0].addr, NEVER_MS));
	/* Young, but its last ping failed: asked again. The second makes it dead, in the same turn as the end. */
	nodes_refresh(env.nodes, NEVER_MS);
	AWAIT(&env.fx, env.changes == 2);
	assert_true(nodes_is_settled(env.nodes));
	assert_int_equal(v->state, NODE_DEAD);
	/* A dead one is asked, but holds up nobody. */
	fx_pass(&env.fx, 30);
	p[0].pings = 0;
	before = loop_now_ms(env.fx.loop);
	nodes_refresh(env.nodes, 20);
	AWAIT(&env.fx, env.changes == 3);
	assert_true(nodes_is_settled(env.nodes));
	assert_true(loop_now_ms(env.fx.loop) - before < 550);
	AWAIT(&env.fx, p[0].pings >= 1);
	assert_true(nodes_is_fresh(env.nodes, &p[1].addr, 1000));
	/* And tells when it is back. */
	AWAIT(&env.fx, v->missed == 3);
	p[0].how = H_ANSWER;
	nodes_refresh(env.nodes, NEVER_MS);
	AWAIT(&env.fx, env.changes == 4);
	assert_int_equal(v->state, NODE_ALIVE);
	peer_close(&p[0]);
	peer_close(&p[1]);
	end(&env);
}

static void
test_refresh_of_one_that_goes(void **state)
{
	struct peer p[2];
	struct env env;
	int64_t before;

	begin(&env, NEVER_MS, PATIENT_MS);
	await_alive(&env, p);
	before = loop_now_ms(env.fx.loop);
	p[0].how = H_SILENT;
	nodes_refresh(env.nodes, 20);
	AWAIT(&env.fx, view(&env, &p[1])->answer_ms >= before);
	assert_false(nodes_is_settled(env.nodes));
	nodes_set(env.nodes, &p[1].addr, 1);
	assert_true(nodes_is_settled(env.nodes));
	assert_int_equal(env.changes, 0); /* never from within */
	AWAIT(&env.fx, env.changes == 1);
	peer_close(&p[0]);
	peer_close(&p[1]);
	end(&env);
}

/* ---- the real one ---- */

struct real {
	struct topo_addr addr;
	char ip[TOPO_ADDR_TEXT];
	char where[TOPO_ADDR_TEXT];
	pid_t pid;
	int fd; /* the tests' own questions */
};

static void
exec_rtpengine(const struct real *r, pid_t parent)
{
	char interface[128], listen[128];
	const char *path = getenv("PATH");
	char *more = xasprintf("%s:/usr/sbin:/usr/bin", path ? path : "");

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	snprintf(interface, sizeof interface, "--interface=%s", r->ip);
	snprintf(listen, sizeof listen, "--listen-ng=%s", r->where);
	setenv("PATH", more, 1);
	unsetenv("LD_PRELOAD");
	/* A configuration file of its own: Debian's would be merged with these. */
	execlp("rtpengine", "rtpengine", "--table=-1", "--config-file=none", interface, listen,
	    "--foreground", "--log-stderr", "--log-level=4", "--delete-delay=0", "--num-threads=2",
	    "--port-min=30000", "--port-max=30200", NULL);
	fprintf(stderr, "rtpengine: %s: install the Debian package rtpengine-daemon "
			"(tests/tools/deps.sh does it)\n", strerror(errno));
	_exit(127);
}

static void
real_start(struct real *r)
{
	pid_t parent = getpid();

	r->pid = fork();
	assert_true(r->pid >= 0);
	if (r->pid == 0)
		exec_rtpengine(r, parent);
}

static void
real_kill(struct real *r)
{
	if (r->pid <= 0)
		return;
	kill(r->pid, SIGKILL);
	assert_int_equal(waitpid(r->pid, NULL, 0), r->pid);
	r->pid = 0;
}

static void
real_init(struct real *r)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct timeval patience = { 5, 0 };
	unsigned n = (unsigned)getpid();

	memset(r, 0, sizeof *r);
	snprintf(r->ip, sizeof r->ip, "127.%u.%u.%u", 251 + (n >> 16) % 4, n >> 8 & 255, n & 255);
	snprintf(r->where, sizeof r->where, "%.40s:22222", r->ip);
	assert_int_equal(topo_addr_parse(r->where, &r->addr), 0);
	real_start(r);
	r->fd = (int)syscall(SYS_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(r->fd >= 0);
	in.sin_port = htons(r->addr.port);
	memcpy(&in.sin_addr, r->addr.ip, 4);
	assert_int_equal(connect(r->fd, (struct sockaddr *)&in, sizeof in), 0);
	assert_int_equal(setsockopt(r->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
}

static void
real_fini(struct real *r)
{
	real_kill(r);
	close(r->fd);
}

/* A question of the test's own; the answer without its cookie. */
static const char *
real_ask(struct real *r, const char *cookie, const char *body)
{
	static char in[65536];
	struct buf b = { 0 };
	ssize_t n;

	buf_printf(&b, "%s %s", cookie, body);
	assert_int_equal(send(r->fd, b.s, b.len, 0), b.len);
	buf_free(&b);
	n = recv(r->fd, in, sizeof in - 1, 0);
	if (n <= 0)
		fail_msg("rtpengine did not answer %s: %s", body, strerror(errno));
	in[n] = '\0';
	assert_memory_equal(in, cookie, strlen(cookie));
	return in + strlen(cookie) + 1;
}

static void
real_command(struct real *r, const char *command, unsigned call, bool sdp)
{
	static const char text[] = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\n"
				   "t=0 0\r\nm=audio 4000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n";
	static unsigned cookie;
	struct buf b = { 0 };
	char id[32];
	const char *answer;

	bencode_open_dict(&b);
	bencode_add_str(&b, "command");
	bencode_add_str(&b, command);
	snprintf(id, sizeof id, "call-%u", call);
	bencode_add_str(&b, "call-id");
	bencode_add_str(&b, id);
	bencode_add_str(&b, "from-tag");
	bencode_add_str(&b, "a");
	if (strcmp(command, "answer") == 0) {
		bencode_add_str(&b, "to-tag");
		bencode_add_str(&b, "b");
	}
	if (sdp) {
		bencode_add_str(&b, "sdp");
		bencode_add_str(&b, text);
	}
	bencode_close(&b);
	snprintf(id, sizeof id, "c%u", ++cookie);
	answer = real_ask(r, id, b.s);
	if (strstr(answer, "6:result2:ok") == NULL)
		fail_msg("%s: %s", command, answer);
	buf_free(&b);
}

static void
real_calls(struct real *r, unsigned from, unsigned to)
{
	for (; from < to; from++) {
		real_command(r, "offer", from, true);
		real_command(r, "answer", from, true);
	}
}

static bool
real_ended(struct real *r)
{
	if (waitpid(r->pid, NULL, WNOHANG) != r->pid)
		return false;
	r->pid = 0;
	return true;
}

static const struct node_view *
await_real(struct env *env, struct real *r)
{
	const struct node_view *v;

	begin(env, 50, 150);
	real_init(r);
	nodes_set(env->nodes, &r->addr, 1);
	v = nodes_find(env->nodes, &r->addr);
	AWAIT(&env->fx, v->state == NODE_ALIVE || real_ended(r));
	if (v->state != NODE_ALIVE)
		fail_msg("rtpengine ended; see above");
	return v;
}

static void
test_real_sessions(void **state)
{
	const struct node_view *v;
	struct env env;
	struct real r;
	unsigned i;

	v = await_real(&env, &r);
	assert_in_range(v->rtt_us, 1, 5000000);
	nodes_count_sessions(env.nodes, &r.addr, true);
	AWAIT(&env.fx, v->sessions == 0);
	fx_pass(&env.fx, 20); /* told of */
	assert_string_equal(real_ask(&r, "z0", "d7:command4:liste"), "d5:callsle6:result2:oke");
	env.changes = 0;
	real_command(&r, "offer", 0, true); /* counts before it is answered */
	AWAIT(&env.fx, v->sessions == 1);
	AWAIT(&env.fx, env.changes == 1);
	real_command(&r, "answer", 0, true);
	real_calls(&r, 1, 3);
	AWAIT(&env.fx, v->sessions == 3);
	real_calls(&r, 3, 20);
	AWAIT(&env.fx, v->sessions == NODES_SESSIONS_MAX);
	assert_int_equal(env.changes, 1);
	for (i = 0; i < 19; i++)
		real_command(&r, "delete", i, false);
	AWAIT(&env.fx, v->sessions == 1);
	assert_int_equal(env.changes, 1);
	real_command(&r, "delete", 19, false);
	AWAIT(&env.fx, v->sessions == 0);
	AWAIT(&env.fx, env.changes == 2);
	real_fini(&r);
	end(&env);
}

/* What ng.h says of cookies: the answer is repeated, whoever asks and whatever is asked. */
static void
test_real_repeats_its_answer(void **state)
{
	struct env env;
	struct real r;

	(void)await_real(&env, &r);
	assert_string_equal(real_ask(&r, "aa", "d7:command4:liste"), "d5:callsle6:result2:oke");
	real_calls(&r, 1, 2);
	assert_string_equal(real_ask(&r, "aa", "d7:command4:liste"), "d5:callsle6:result2:oke");
	assert_string_equal(real_ask(&r, "aa", "d7:command4:pinge"), "d5:callsle6:result2:oke");
	assert_string_equal(real_ask(&r, "bb", "d7:command4:liste"), "d5:callsl6:call-1e6:result2:oke");
	real_fini(&r);
	end(&env);
}

static void
test_real_stops_and_dies(void **state)
{
	const struct node_view *v;
	struct env env;
	struct real r;

	v = await_real(&env, &r);
	nodes_count_sessions(env.nodes, &r.addr, true);
	real_calls(&r, 0, 2);
	AWAIT(&env.fx, v->sessions == 2);
	kill(r.pid, SIGSTOP);
	AWAIT(&env.fx, v->state == NODE_DEAD);
	assert_string_equal(v->why, "no answer within 150ms");
	assert_int_equal(v->sessions, -1);
	kill(r.pid, SIGCONT);
	AWAIT(&env.fx, v->state == NODE_ALIVE);
	AWAIT(&env.fx, v->sessions == 2);
	real_kill(&r);
	AWAIT(&env.fx, v->state == NODE_DEAD);
	assert_non_null(strstr(v->why, "refused"));
	real_start(&r);
	AWAIT(&env.fx, v->state == NODE_ALIVE);
	AWAIT(&env.fx, v->sessions == 0);
	real_fini(&r);
	end(&env);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alive_at_the_first_pong),
		cmocka_unit_test(test_dead_after_two_silent_pings),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_answers_that_are_no_pong),
		cmocka_unit_test(test_own_lack_condemns_nobody),
		cmocka_unit_test(test_pings_are_spread),
		cmocka_unit_test(test_sessions),
		cmocka_unit_test(test_sessions_not_answered),
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_new_and_free),
		cmocka_unit_test(test_refresh),
		cmocka_unit_test(test_refresh_that_fails),
		cmocka_unit_test(test_refresh_of_one_that_goes),
		cmocka_unit_test(test_real_sessions),
		cmocka_unit_test(test_real_repeats_its_answer),
		cmocka_unit_test(test_real_stops_and_dies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
