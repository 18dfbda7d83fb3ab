#!/bin/bash
# bench.sh: the figures of the README, measured: a table, and build/bench.json (see bench.py).
# BENCH_N=50: how often each is measured. CONSUL_TEMPLATE=/path: the same work beside it. Without arguments also that
# of size (bench_scale.py), the registrar's (bench_registrar.py), the routing's (tests/bench/routing_core.c, bench_routing.py, bench_calls.py): build/NAME.json.
set -eu
cd "$(dirname "$0")/../.."
. tests/tools/ready.sh
status=0
/usr/bin/python3 tests/tools/bench.py "$@" || status=1
if [ $# -eq 0 ]; then
	/usr/bin/python3 tests/tools/bench_scale.py || status=1
	/usr/bin/python3 tests/tools/bench_registrar.py || status=1
	make --no-print-directory build/release/bench/routing_core
	build/release/bench/routing_core || status=1
	/usr/bin/python3 tests/tools/bench_routing.py || status=1
	/usr/bin/python3 tests/tools/bench_calls.py || status=1
fi
exit $status
