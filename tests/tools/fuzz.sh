#!/bin/bash
# fuzz.sh [SECONDS [NAME...]]: every tests/fuzz/fuzz_NAME.c for so many seconds, with libFuzzer and the sanitizers.
# New inputs go to build/fuzz-found/NAME, crashes to build/fuzz-crash; the corpus in git is read only.
set -u
cd "$(dirname "$0")/../.." || exit 1
seconds=${1:-60}
[ $# -gt 0 ] && shift
case $seconds in
'' | *[!0-9]*)
	echo "usage: fuzz.sh [SECONDS [NAME...]]" >&2
	exit 2
	;;
esac
if [ $# = 0 ]; then
	for f in tests/fuzz/fuzz_*.c; do
		[ -e "$f" ] || { echo "fuzz: no targets in tests/fuzz" >&2; exit 1; }
		f=${f##*/fuzz_}
		set -- "$@" "${f%.c}"
	done
fi
tests/tools/deps.sh build lint || exit 1
bins=
for name in "$@"; do
	bins="$bins build/fuzz/fuzz/fuzz_$name"
done
# shellcheck disable=SC2086
make --no-print-directory -j"$(nproc)" VARIANT=fuzz $bins || exit 1
mkdir -p build/fuzz-crash
status=0
for name in "$@"; do
	mkdir -p "build/fuzz-found/$name"
	set -- "build/fuzz-found/$name"
	[ -d "tests/fuzz/corpus/$name" ] && set -- "$@" "tests/fuzz/corpus/$name"
	dict=
	[ -f "tests/fuzz/$name.dict" ] && dict=-dict=tests/fuzz/$name.dict
	log=build/fuzz-found/$name.log
	if ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 "build/fuzz/fuzz/fuzz_$name" \
		-max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 $dict \
		-artifact_prefix="build/fuzz-crash/$name-" "$@" >"$log" 2>&1; then
		runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
		new=$(sed -n 's/^stat::new_units_added: *//p' "$log")
		printf 'fuzz: %-12s ok: %s runs in %d s, %s new inputs\n' "$name" "${runs:-?}" "$seconds" "${new:-?}"
	else
		printf 'fuzz: %-12s FOUND SOMETHING (build/fuzz-crash, %s)\n' "$name" "$log"
		grep -vE '^(#|INFO)' "$log" | head -n 60
		status=1
	fi
done
exit $status
