/*
 * child_fx: for the tests of what runs a command. The system calls around it fail when the test says so: the program's own
 * definitions stand before libc's. (fault.h is for programs of its own, and knows no child that is not seen to die.)
 */
#ifndef CHILD_FX_H
#define CHILD_FX_H

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fds_fx.h"

static int pipe_errno, pipe_after, pidfd_errno; /* pipe_after: so many go through before */
static bool blind;                              /* nobody seems to die */

int
pipe2(int fds[2], int flags)
{
	if (pipe_errno != 0 && pipe_after-- <= 0) {
		errno = pipe_errno;
		return -1;
	}
	return (int)syscall(SYS_pipe2, fds, flags);
}

int pidfd_open(pid_t pid, unsigned flags);
int
pidfd_open(pid_t pid, unsigned flags)
{
	if (pidfd_errno != 0) {
		errno = pidfd_errno;
		return -1;
	}
	return (int)syscall(SYS_pidfd_open, pid, flags);
}

pid_t
waitpid(pid_t pid, int *status, int options)
{
	if (blind)
		return 0;
	return (pid_t)syscall(SYS_wait4, pid, status, options, NULL);
}

/* Nothing fails any more. */
static inline void
child_fx_clear(void)
{
	pipe_errno = pipe_after = pidfd_errno = 0;
	blind = false;
}

static inline void
no_children(void)
{
	errno = 0;
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static inline bool
is_gone(int pid)
{
	char path[64], line[256] = "";
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (f == NULL)
		return true;
	(void)!fgets(line, sizeof line, f);
	fclose(f);
	return line[0] == '\0' || strstr(line, ") Z") != NULL; /* an orphan's corpse is init's */
}

#endif
