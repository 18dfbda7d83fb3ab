#!/bin/bash
# coverage.sh [PART...]: runs the tests against a build that counts its lines (VARIANT=coverage), and reports by gcovr which
# lines of src/ they reach: build/coverage/lines.txt (per file, the most missing lines first), build/coverage/html.
# Ends with 1 when a test fails or fewer than MIN (90) percent of the lines are reached. Exclusion markers don't count.
# Parts: unit replay sim it (all of them when none is named); they add to what was counted before, `clean` forgets it, and
# `report` alone counts nothing new. IT_ARGS goes to pytest, e.g. IT_ARGS="-k store".
set -u
cd "$(dirname "$0")/../.." || exit 1
export B=${B:-build/coverage}
min=${MIN:-90}
status=0
[ $# -gt 0 ] || set -- clean unit replay sim it
for part in "$@"; do
	case $part in
	clean | unit | replay | sim | it | report) ;;
	*)
		echo "usage: coverage.sh [clean|unit|replay|sim|it|report]..." >&2
		exit 2
		;;
	esac
done
has() { case " $parts " in *" $1 "*) return 0 ;; esac; return 1; }
parts=$*

groups="build coverage"
{ has unit || has replay || has sim || has it; } && groups="$groups test"
# shellcheck disable=SC2086 # words
tests/tools/deps.sh $groups || exit 1
mk() { make --no-print-directory -j"${JOBS:-$(nproc)}" VARIANT=coverage B="$B" "$@"; }
mkdir -p "$B"
if has clean; then
	find "$B" -name '*.gcda' -delete
fi
mk "$B/c4d" >"$B/build.log" 2>&1 || { tail -n 30 "$B/build.log"; exit 1; }

# A daemon that runs as its own user, or in a directory of its own, writes its counters to the same files: they exist before
# it starts, and everyone may write them.
prepare()
{
	find "$B" -type d -exec chmod a+rwx {} + 2>/dev/null
	find "$B" -name '*.gcno' | while read -r f; do
		data=${f%.gcno}.gcda
		[ "$f" -nt "$data" ] && rm -f "$data" # of what was compiled anew since
		case $data in
		*/unit/* | */fuzz/* | */sim/*) ;;
		*) : >>"$data" ;;
		esac
	done
	find "$B" -name '*.gcda' -exec chmod a+rw {} +
}
# part NAME COMMAND...
part()
{
	name=$1 begin=$SECONDS
	shift
	if "$@" >"$B/$name.log" 2>&1; then
		printf 'coverage: %-12s ok (%d s)\n' "$name" $((SECONDS - begin))
	else
		printf 'coverage: %-12s FAIL (%d s; %s)\n' "$name" $((SECONDS - begin)) "$B/$name.log"
		tail -n "${LINES_SHOWN:-40}" "$B/$name.log"
		status=1
	fi
}
# shellcheck disable=SC2317 # called by part()
integration()
{
	C4D_LAB_CONSUL=$(tests/tools/consul.sh) && C4D_LAB_KAMAILIO6=$(tests/tools/kamailio6.sh) &&
		C4D_LAB_ASTERISK=$(tests/tools/asterisk.sh) || return 1
	export C4D_LAB_CONSUL C4D_LAB_KAMAILIO6 C4D_LAB_ASTERISK PYTHONDONTWRITEBYTECODE=1
	# shellcheck disable=SC2086
	C4D=$(realpath "$B/c4d") /usr/bin/python3 -m pytest -q -n "${C4D_JOBS:-4}" -p no:cacheprovider \
		tests/integration ${IT_ARGS:-}
}
prepare
has unit && part unit mk -k unit
has replay && part replay mk replay
has sim && part sim mk sim
has it && part integration integration

# gcov takes an empty file of counters for a broken one.
find "$B" -name '*.gcda' -size 0 -delete
json=$B/lines.json
gcovr --root . --filter 'src/' --no-markers --object-directory "$B" --exclude-directories '.*/(unit|fuzz|sim|html)$' -j "${JOBS:-$(nproc)}" --json "$json" "$B" \
	>"$B/gcovr.log" 2>&1 || { tail -n 20 "$B/gcovr.log"; exit 1; }
mkdir -p "$B/html"
gcovr --root . --add-tracefile "$json" --html-details "$B/html/index.html" --html-title "c4d: lines reached by the tests" \
	>>"$B/gcovr.log" 2>&1 || { tail -n 20 "$B/gcovr.log"; exit 1; }
# The table: missing lines, percent, lines, file, which lines are missing.
/usr/bin/python3 - "$json" "$min" >"$B/lines.txt" <<'PY'
import json
import sys


def spans(lines):
	out = []
	for n in lines:
		if out and n == out[-1][1] + 1:
			out[-1][1] = n
		else:
			out.append([n, n])
	return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in out)


rows = []
for f in json.load(open(sys.argv[1], encoding="utf-8"))["files"]:
	lines = [x for x in f["lines"] if not x.get("gcovr/noncode")]
	missing = [x["line_number"] for x in lines if x["count"] == 0]
	rows.append((len(missing), len(lines), f["file"], missing))
rows.sort(key=lambda r: (-r[0], r[2]))
total, gone = sum(r[1] for r in rows), sum(r[0] for r in rows)
print(f"{100 * (total - gone) / max(total, 1):.2f} % of {total} lines in {len(rows)} files; {gone} are not reached"
	f" (at least {sys.argv[2]} % is asked for)")
print(f"{'missing':>7} {'percent':>7} {'lines':>6} file")
for missing, lines, name, which in rows:
	print(f"{missing:7} {100 * (lines - missing) / max(lines, 1):7.1f} {lines:6} {name:36} {spans(which)}".rstrip())
PY
printf 'coverage: %s\n' "$(head -n 1 "$B/lines.txt")"
printf 'coverage: %s and %s\n' "$B/lines.txt" "$B/html/index.html"
if ! awk -v min="$min" 'NR == 1 { exit $1 + 0 >= min + 0 ? 0 : 1 }' "$B/lines.txt"; then
	echo "coverage: TOO FEW; most is missing here:"
	sed -n 2,22p "$B/lines.txt" | cut -c 1-60
	status=1
fi
exit $status
