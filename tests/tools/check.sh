#!/bin/bash
# check.sh: installs what is missing, builds with AddressSanitizer and UndefinedBehaviorSanitizer, and runs
# the unit tests, the fuzz corpora, the simulation and the integration tests. One line per part; logs in build/check.
# check.sh integration: the build and the integration tests alone; further arguments go to pytest.
# What matters most runs with Kamailio 5.6 and with 6.0; C4D_KAMAILIO=5.6 or 6.0 runs all tests with that one alone.
set -u
cd "$(dirname "$0")/../.." || exit 1
only=${1:-all}
[ $# -gt 0 ] && shift
case $only in
all | integration) ;;
*)
	echo "usage: check.sh [integration [PYTEST ARGUMENT...]]" >&2
	exit 2
	;;
esac
out=$PWD/build/check
jobs=$(nproc)
status=0
mkdir -p "$out"

# Leaks count; the first report ends the program, so that nothing is lost in later output.
export ASAN_OPTIONS=detect_leaks=1:halt_on_error=1:strict_string_checks=1:detect_stack_use_after_return=1
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
export PYTHONDONTWRITEBYTECODE=1

# part NAME SECONDS COMMAND...: within this time
part()
{
	name=$1 limit=$2
	shift 2
	begin=$SECONDS
	timeout -k 20 "$limit" "$@" >"$out/$name.log" 2>&1
	rc=$?
	took=$((SECONDS - begin))
	if [ $rc = 0 ]; then
		note=
		[ "$name" = integration ] && note=", $(tail -n 1 "$out/$name.log" | sed 's/ in [0-9.]*s.*//;s/=* *//')"
		printf 'check: %-12s ok (%d s%s)\n' "$name" $took "$note"
		return 0
	fi
	[ $rc = 124 ] && echo "(not done within $limit s)" >>"$out/$name.log"
	printf 'check: %-12s FAIL (%d s, status %d)\n' "$name" $took $rc
	tail -n "${LINES_SHOWN:-120}" "$out/$name.log"
	status=1
	return 1
}
done_now()
{
	if [ $status = 0 ]; then
		echo "check: all ok in $SECONDS s"
	else
		echo "check: FAILED (logs in build/check, failed tests' directories in build/lab-failed)"
	fi
	exit $status
}

tests/tools/deps.sh build test || { echo "check: deps         FAIL"; exit 1; }
# By the tests, a missing daemon is a failure with its hint; here it is one before any time is spent.
C4D_LAB_CONSUL=$(tests/tools/consul.sh) || { echo "check: consul       FAIL"; exit 1; }
C4D_LAB_KAMAILIO6=$(tests/tools/kamailio6.sh) || { echo "check: kamailio6    FAIL"; exit 1; }
C4D_LAB_ASTERISK=$(tests/tools/asterisk.sh) || { echo "check: asterisk     FAIL"; exit 1; }
export C4D_LAB_CONSUL C4D_LAB_KAMAILIO6 C4D_LAB_ASTERISK

part build 300 make --no-print-directory -j"$jobs" asan || done_now
if [ "$only" = all ]; then
	part unit 300 make --no-print-directory -j"$jobs" VARIANT=asan unit
	part replay 120 make --no-print-directory -j"$jobs" VARIANT=asan replay
	part sim 120 make --no-print-directory -j"$jobs" VARIANT=asan sim
fi
rm -rf build/lab-failed
export C4D=$PWD/build/asan/c4d
# Twice as many workers as cores: most of a test is waiting.
part integration 1500 /usr/bin/python3 -m pytest -q -n "${C4D_JOBS:-4}" -p no:cacheprovider tests/integration "$@"
done_now
