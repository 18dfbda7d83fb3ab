/* graph: the topology as a drawing, and that no name can break out of its label. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "control/control.h"

static char *
drawn(render_fn *render, json_t *takes)
{
	char *text = NULL;
	size_t size = 0;
	FILE *mem = open_memstream(&text, &size);

	assert_non_null(mem);
	assert_non_null(takes);
	render_to(mem, false);
	render(takes, 0);
	render_to(NULL, false);
	fclose(mem);
	json_decref(takes);
	return text;
}

static json_t *
platform_named(const char *service, const char *kamailio)
{
	json_t *target = json_pack("{s:o,s:s,s:s}", "target", json_sprintf("%s/1", kamailio), "kind", "dispatcher", "state", "failed");

	return json_pack("{s:i,s:[{s:s,s:b}],s:[{s:s,s:i,s:i,s:i,s:b,s:[{s:s,s:i,s:s,s:s},{s:s,s:i,s:s,s:s}],s:[o]}]}", "generation", 7,
	    "kamailio", "name", kamailio, "up", 0, "services", "service", service, "up", 1, "disabled", 0, "held", 1, "frozen", 0,
	    "instances", "address", "10.0.0.1", "port", 5060, "state", "up", "guard", "", "address", "fd00::1", "port", 5061, "state", "held",
	    "guard", "shrink", "targets", target);
}

static void
dot(void **state)
{
	char *got = drawn(render_dot, platform_named("router", "sbc"));

	assert_string_equal(got,
	    "digraph c4 {\n"
	    "\trankdir=LR;\n"
	    "\tgraph [fontname=\"sans-serif\", fontsize=11, labelloc=t];\n"
	    "\tnode [fontname=\"sans-serif\", fontsize=10, style=filled];\n"
	    "\tedge [fontname=\"sans-serif\", fontsize=9];\n"
	    "\tlabel=\"generation 7\";\n"
	    "\tk0 [shape=component, color=\"#c62828\", fillcolor=\"#fde7e7\", label=\"sbc\\nKamailio: not reachable\"];\n"
	    "\ts0 [shape=folder, color=\"#b26a00\", fillcolor=\"#fff3dc\", label=\"router\\n1 up, 0 disabled, 1 held\"];\n"
	    "\ts0_i0 [shape=box, color=\"#2e7d32\", fillcolor=\"#e6f4e7\", label=\"10.0.0.1:5060\\nup\"];\n"
	    "\ts0 -> s0_i0 [color=\"#2e7d32\", fontcolor=\"#2e7d32\", label=\"\"];\n"
	    "\ts0_i1 [shape=box, color=\"#b26a00\", fillcolor=\"#fff3dc\", label=\"[fd00::1]:5061\\nheld: shrink\"];\n"
	    "\ts0 -> s0_i1 [color=\"#b26a00\", fontcolor=\"#b26a00\", label=\"\", style=dashed];\n"
	    "\ts0 -> k0 [color=\"#c62828\", fontcolor=\"#c62828\", label=\"dispatcher sbc/1: failed\", style=dashed];\n"
	    "}\n");
	free(got);
}

static void
mermaid(void **state)
{
	char *got = drawn(render_mermaid, platform_named("router", "sbc"));

	assert_int_equal(strncmp(got, "flowchart LR\n\tclassDef none ", 28), 0);
	assert_non_null(strstr(got,
	    "\tk0[[\"sbc<br/>Kamailio: not reachable\"]]:::unreachable\n"
	    "\ts0([\"router<br/>1 up#44; 0 disabled#44; 1 held\"]):::held\n"
	    "\ts0_i0[\"10.0.0.1:5060<br/>up\"]:::up\n"
	    "\ts0 --> s0_i0\n"
	    "\ts0_i1[\"#91;fd00::1#93;:5061<br/>held: shrink\"]:::held\n"
	    "\ts0 -.-> s0_i1\n"
	    "\ts0 -.->|\"dispatcher sbc/1: failed\"| k0\n"));
	free(got);
}

/* Of every odd name: the drawing is the same but for the label. */
static void
odd_names(void **state)
{
	static const struct {
		const char *name, *dot, *mermaid;
	} rows[] = {
		{ "a\"b", "a\\\"b", "a#34;b" },
		{ "a\\", "a\\\\", "a#92;" },
		{ "a\\nb\\", "a\\\\nb\\\\", "a#92;nb#92;" },
		{ "x\"]; y [label=\"z", "x\\\"]; y [label=\\\"z", "x#34;#93;#59; y #91;label#61;#34;z" },
		{ "a\nb\tc\033[31m", "a?b?c?[31m", "a?b?c?#91;31m" },
		{ "<b>&amp;#35;", "<b>&amp;#35;", "#60;b#62;#38;amp#59;#35;35#59;" },
		{ "`end` %%{init}%%", "`end` %%{init}%%", "#96;end#96; #37;#37;#123;init#125;#37;#37;" },
		{ "caf\xc3\xa9", "caf\xc3\xa9", "caf\xc3\xa9" },
		{ "end", "end", "end" },
	};
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		char *got = drawn(render_dot, platform_named(rows[i].name, rows[i].name)), *want;

		want = xasprintf("label=\"%s\\n1 up, ", rows[i].dot);
		if (strstr(got, want) == NULL)
			fail_msg("%s not in:\n%s", want, got);
		free(want);
		want = xasprintf("label=\"dispatcher %s/1: failed\"", rows[i].dot);
		assert_non_null(strstr(got, want));
		free(want);
		free(got);
		got = drawn(render_mermaid, platform_named(rows[i].name, rows[i].name));
		want = xasprintf("\ts0([\"%s<br/>1 up", rows[i].mermaid);
		if (strstr(got, want) == NULL)
			fail_msg("%s not in:\n%s", want, got);
		free(want);
		free(got);
	}
}

/* A Kamailio whose name another's begins with; a platform without anything. */
static void
which_kamailio(void **state)
{
	json_t *o = platform_named("router", "sbc-b");
	char *got;

	json_array_insert_new(json_object_get(o, "kamailio"), 0, json_pack("{s:s,s:b}", "name", "sbc", "up", 1));
	got = drawn(render_dot, o);
	assert_non_null(strstr(got, "s0 -> k1 "));
	assert_null(strstr(got, "s0 -> k0 "));
	free(got);
	got = drawn(render_dot, json_pack("{s:[],s:[]}", "kamailio", "services"));
	assert_non_null(strstr(got, "digraph"));
	free(got);
	got = drawn(render_mermaid, json_object());
	assert_non_null(strstr(got, "flowchart"));
	free(got);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(dot),
		cmocka_unit_test(mermaid),
		cmocka_unit_test(odd_names),
		cmocka_unit_test(which_kamailio),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
