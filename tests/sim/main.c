/* sim: runs scenarios. SIM_SEED=N repeats a random one; SIM_TRACE=1 shows all that happens. */
#include <signal.h>
#include <stdio.h>

#include "base/jsonx.h"
#include "sim.h"

int
main(int argc, char **argv)
{
	unsigned passed = 0, failed = 0;
	int i;

	json_object_seed(1);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (i = 1; i < argc; i++) {
		if (script_run(argv[i]))
			passed++;
		else
			failed++;
	}
	printf("%u passed, %u failed\n", passed, failed);
	return failed > 0 || passed == 0;
}
