/* hook_look: everything that may be told of, as it is now: one look (hook_events.h). */
#ifndef CONTROL_HOOK_LOOK_H
#define CONTROL_HOOK_LOOK_H

#include "control/app.h"
#include "hook_events.h"

void hook_look(const struct app *, struct hook_events *);

#endif
