/*
 * hint: which of Kamailio's settings is missing, by the fault that it gives, and what differs between its versions that
 * an operator must know. Pure.
 */
#ifndef KAMAILIO_HINT_H
#define KAMAILIO_HINT_H

#include <stddef.h>

#define HINT_BYTES 120

/*
 * For people, to be put behind the reason: " (...)" with the setting, or "" when the reason speaks for itself.
 * Replies that exceed Kamailio's own buffers are refused as a whole; so are methods of modules that it has not loaded.
 */
void hint_fault(const char *method, const char *reason, char out[HINT_BYTES]);
/*
 * Why these flags of the list file are a trap with this Kamailio ("kamailio 6.0.1 (x86_64/linux)") when it shall ping
 * its destinations; NULL: they are none.
 */
const char *hint_flags(const char *version, unsigned flags);

#endif
