/*
 * fault_fx: a loop whose peers' and whose own calls fail (fault.h), for one test at a time.
 */
#ifndef FAULT_FX_H
#define FAULT_FX_H

#include "fault.h"
#include "loop_fx.h"

static struct fx fx;

FX int
fault_fx_setup(void **state)
{
	(void)state;
	fx_init(&fx);
	return 0;
}

FX int
fault_fx_teardown(void **state)
{
	(void)fault_teardown(state);
	fx_fini(&fx);
	return 0;
}

#endif
