#!/bin/bash
# fuzz.sh [SECONDS [NAME...]]: every tests/fuzz/fuzz_NAME.c for so many seconds, with libFuzzer and the sanitizers; as many at once as there
# are cores, or JOBS.
# New inputs go to build/fuzz-found/NAME, crashes to build/fuzz-crash; the corpus in git is read only. B: another place for what is built.
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
B=${B:-build/fuzz} jobs=${JOBS:-$(nproc)}
bins=
for name in "$@"; do
	bins="$bins $B/fuzz/fuzz_$name"
done
# shellcheck disable=SC2086
make --no-print-directory -j"$jobs" VARIANT=fuzz B="$B" $bins || exit 1
mkdir -p build/fuzz-crash

fuzz_one() # NAME: one line when all is well
{
	name=$1 found=build/fuzz-found/$1 log=build/fuzz-found/$1.log
	mkdir -p "$found"
	set -- "$found"
	[ -d "tests/fuzz/corpus/$name" ] && set -- "$@" "tests/fuzz/corpus/$name"
	[ -f "tests/fuzz/$name.dict" ] && set -- "-dict=tests/fuzz/$name.dict" "$@"
	if ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 "$B/fuzz/fuzz_$name" \
		-max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
		-artifact_prefix="build/fuzz-crash/$name-" "$@" >"$log" 2>&1; then
		runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
		new=$(sed -n 's/^stat::new_units_added: *//p' "$log")
		printf 'fuzz: %-16s ok: %s runs in %d s, %s new inputs\n' "$name" "${runs:-?}" "$seconds" "${new:-?}"
	else
		printf 'fuzz: %-16s FOUND SOMETHING (build/fuzz-crash, %s)\n%s\n' "$name" "$log" "$(grep -vE '^(#|INFO)' "$log" | head -n 60)"
		return 1
	fi
}
export -f fuzz_one
export B seconds
printf '%s\n' "$@" | xargs -P "$jobs" -I{} bash -c 'fuzz_one {}' || exit 1
