/*
 * wrap: texts for people, within 80 columns.
 */
#ifndef CONTROL_WRAP_H
#define CONTROL_WRAP_H

#include <stddef.h>

void print_wrapped(const char *, size_t indent); /* of every line; "": nothing */

#endif
