/*
 * daemon: `c4d run`: builds the objects in order, runs the loop, tears down in reverse. No logic of its own.
 * plan: `c4d plan`: the same objects, dry: asks once, compares, changes nothing.
 * Both return the exit status of control/command.h.
 */
#ifndef DAEMON_H
#define DAEMON_H

#include <stdbool.h>

struct conf;

int daemon_run(const char *file, bool debug);
int plan_run(const char *file, const char *format);
/* Loads and reports to stderr. EXIT_DONE or EXIT_CONFIG. */
int daemon_load(struct conf **out, const char *file);

#endif
