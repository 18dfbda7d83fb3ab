/*
 * gcov_dump: linked into the coverage build alone. libgcov writes its counters at exit() and before the exec calls that gcc
 * knows; a child that ends by _exit(), an abort() and execvpe() would lose them.
 */
#include <stdlib.h>

void __gcov_dump(void);
void __gcov_reset(void);

_Noreturn void __real__exit(int);
_Noreturn void __real_abort(void);
int __real_execvpe(const char *, char *const[], char *const[]);
_Noreturn void __wrap__exit(int);
_Noreturn void __wrap_abort(void);
int __wrap_execvpe(const char *, char *const[], char *const[]);

void
__wrap__exit(int status)
{
	__gcov_dump();
	__real__exit(status);
}

void
__wrap_abort(void)
{
	__gcov_dump();
	__real_abort();
}

int
__wrap_execvpe(const char *file, char *const argv[], char *const env[])
{
	__gcov_dump();
	__gcov_reset(); /* it comes back only when it failed */
	return __real_execvpe(file, argv, env);
}
