/*
 * dir_fx: a directory of the test's own, and its end.
 */
#ifndef DIR_FX_H
#define DIR_FX_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

static inline void
make_dir(char dir[64])
{
	strcpy(dir, "/tmp/c4d-unit-XXXXXX");
	assert_non_null(mkdtemp(dir));
}

static inline void
remove_tree(const char *dir)
{
	char *cmd = xasprintf("rm -rf -- '%s'", dir);

	assert_int_equal(system(cmd), 0);
	free(cmd);
}

#endif
