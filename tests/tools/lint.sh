#!/bin/bash
# lint.sh: the floor rules of the house, both compilers with -Werror, clang-tidy, scan-build, gcc -fanalyzer, cppcheck, codespell, shellcheck, AppArmor's parser.
# lint.sh --self-test: plants a violation of each rule in a copy of the tree and expects each to be found.
# lint.sh --rules: the grep rules alone (a second).
set -u
cd "$(dirname "$0")/../.." || exit 1
top=$PWD
jobs=$(nproc)
out=$top/build/lint

# ---- the rules: functions that print one line per violation, run in the tree's top directory ----

sources()
{
	find src include -name '*.[ch]' 2>/dev/null | sort
}
# Every file that git would carry (also those not added yet); in a copy without git, every file.
texts()
{
	if git rev-parse --is-inside-work-tree >/dev/null 2>&1 && [ "$(git rev-parse --show-toplevel)" = "$PWD" ]; then
		git ls-files -co --exclude-standard
	else
		find . -path ./build -prune -o -type f -print | sed 's,^\./,,'
	fi | while read -r f; do [ -f "$f" ] && echo "$f"; done | sort
}

includes_of() # PATTERN: file:line of every include that matches
{
	sources | xargs -r grep -nE "^[[:space:]]*#[[:space:]]*include[[:space:]]*[<\"]($1)" /dev/null
}

rule_pure_headers()
{
	includes_of '(event2/|event\.h|ares|lmdb\.h)' |
		grep -E '^(src|include)/(topology/|consul/agent\.|discovery/dnsmsg\.|routing/(schema|row|value|data|check|document|pattern|map|index[a-z_]*|decide|outbound|destination|authenticate|uri|flat|request|answer|uacreg)\.|kamailio/(addrfile|binrpc|block|dbtext|dslist)\.|rtpengine/bencode\.|[^:]*_plan\.[ch]:)' |
		sed 's/$/   <- a pure file/'
}
rule_pure_calls()
{
	find src -name '*.c' 2>/dev/null |
		grep -E '/topology/|/(addrfile|agent|bencode|binrpc|block|dbtext|dnsmsg|dslist)\.c|_plan\.c|/routing/(schema|row|value|data|check|document|pattern|map|index[a-z_]*|decide|outbound|destination|authenticate|uri|flat|request|answer|uacreg)\.c' | sort -u |
		xargs -r grep -nE '\b(time|clock_gettime|gettimeofday|loop_now_ms|open|fopen|socket|send|recv|getenv)\(' /dev/null |
		sed 's/$/   <- I\/O or a clock in a pure file/'
}
rule_ares_one_file()
{
	n=$(includes_of 'ares[a-z_]*\.h' | cut -d: -f1 | sort -u | wc -l)
	[ "$n" -le 1 ] || includes_of 'ares[a-z_]*\.h' | sed 's/$/   <- ares.h in more than one file/'
}
rule_lmdb_in_store()
{
	includes_of 'lmdb\.h' | grep -vE '^(src|include)/store/' | sed 's/$/   <- lmdb.h outside of store\//'
}
rule_http_two_files()
{
	includes_of 'event2/http' | grep -vE '^src/(consul/http|http/httpd)\.c:' |
		sed 's/$/   <- event2\/http.h outside of the client (consul\/http.c) and the server (http\/httpd.c)/'
}
rule_openssl_one_file()
{
	includes_of '(openssl/|event2/bufferevent_ssl)' | grep -vE '^src/consul/tls\.c:' | sed 's/$/   <- openssl outside of consul\/tls.c/'
}
rule_event_base_in_base()
{
	sources | xargs -r grep -nwE 'event_base(_[a-z_]+)?' /dev/null | grep -vE '^(src|include)/base/' |
		sed 's/$/   <- event_base outside of base\//'
}
rule_floors()
{
	sources | xargs -r grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' /dev/null | awk -F'"' '
	function floor(path, room) {
		if (path !~ /\//)
			return 7
		room = path
		sub(/\/.*/, "", room)
		return (room in f) ? f[room] : -1
	}
	BEGIN {
		f["base"] = 0; f["topology"] = 1; f["config"] = 2; f["store"] = 3
		f["discovery"] = f["kamailio"] = f["rtpengine"] = f["consul"] = f["routing"] = 4
		f["reconcile"] = f["registrar"] = 5; f["control"] = f["http"] = 6
	}
	{
		file = $1; sub(/:.*/, "", file)
		own = file; sub(/^(src|include)\//, "", own)
		want = $2
		if (want !~ /\//) {
			# Beside its source, else a header of the top floor.
			dir = file; sub(/\/[^\/]*$/, "", dir)
			if ((getline dummy < (dir "/" want)) >= 0) { close(dir "/" want); next }
		}
		if (floor(own) < 0 || floor(want) < 0)
			print $0 "   <- a room that lint.sh does not know"
		else if (floor(want) > floor(own))
			print $0 "   <- a floor above its own"
	}'
}
rule_no_host_or_path()
{
	texts | xargs -r grep -nIE '(^|[^[:alnum:]_.])/(work|root|home)/|/tmp/[a-z]/|\.[d]ebian\.(org|net)|\.[u]buntu\.com|(deb|snapshot|archive|mirror)\.[a-z]+\.(org|net|com)' /dev/null |
		grep -vE '^packaging/debian/copyright:1:Format: ' | # the format's name is that address
		sed 's/$/   <- an archive host or a path of one machine/'
}
rule_no_skips()
{
	find tests -name '*.py' -o -name '*.c' | sort |
		xargs -r grep -nE 'pytest\.(mark\.)?(skip|xfail|importorskip)|^[[:space:]]*skip\(\)' /dev/null |
		sed 's/$/   <- tests do not skip/'
}
rule_tabs()
{
	{ sources; find tests -name '*.[ch]'; } | xargs -r grep -nE '^ {8}' /dev/null | sed 's/$/   <- indented by spaces/'
}
rules="pure_headers pure_calls ares_one_file lmdb_in_store http_two_files openssl_one_file event_base_in_base floors
no_host_or_path no_skips tabs"

# ---- the tools: each takes files (all when none are named) and ends non-zero when it finds something ----

flags()
{
	echo "-std=gnu11 -D_GNU_SOURCE -DC4D_VERSION=\"lint\" -Iinclude -Isrc -Itests/unit -Itests/sim"
	# shellcheck disable=SC2046
	pkg-config --cflags $(sed -n 's/^PKGS *:= *//p' Makefile)
}
tests_c()
{
	find tests -name '*.c' | sort
}
tool_gcc()
{
	build_with gcc "$@"
}
tool_clang()
{
	build_with clang "$@"
}
build_with() # COMPILER [SOURCE]
{
	b=build/lint-$1
	if [ $# -gt 1 ]; then
		o=${2#src/}
		rm -f "$b/${o%.c}.o"
		make --no-print-directory B="$b" CC="$1" WERROR=1 "$b/${o%.c}.o"
		return
	fi
	make --no-print-directory -j"$jobs" -k B="$b" CC="$1" WERROR=1 "$b/c4d" || return 1
	warn=$(sed -n '/^WARN *:=/,/[^\\]$/p' Makefile | sed 's/^WARN *:=//;s/\\$//' | tr '\n' ' ')
	# shellcheck disable=SC2046,SC2086
	tests_c | xargs -r -P "$jobs" -n 1 "$1" $(flags) $warn -Werror -O1 -fsyntax-only
}
# COMMAND...: with {} for each of the files on standard input (none: all of src). One file per process, the output of each in one piece and
# only when it failed.
for_each()
{
	files=$(cat)
	# shellcheck disable=SC2016
	printf '%s\n' "${files:-$(find src -name '*.c' | sort)}" | xargs -P "$jobs" -I{} sh -c '
		if ! text=$("$@" 2>&1); then
			printf "%s\n" "$text" | grep -vE "warnings? generated|^Suppressed|^Use -header|^scan-build: "
			exit 1
		fi' each "$@"
}
tool_clang_tidy()
{
	# shellcheck disable=SC2046
	printf '%s\n' "$@" | for_each clang-tidy --quiet {} -- $(flags)
}
tool_scan_build()
{
	checkers=
	for c in $scan_checkers; do
		checkers="$checkers -enable-checker $c"
	done
	# shellcheck disable=SC2046,SC2086
	printf '%s\n' "$@" | for_each scan-build --status-bugs -o build/lint/scan-build --use-cc=clang $checkers \
		clang $(flags) -O0 -c -o /dev/null {}
}
# Besides scan-build's own choice (core, deadcode, security, unix, nullability).
scan_checkers="nullability.NullableDereferenced nullability.NullablePassedToNonnull nullability.NullableReturnedFromNonnull
optin.portability.UnixAPI security.FloatLoopCounter security.insecureAPI.rand valist.CopyToSelf valist.Uninitialized valist.Unterminated
alpha.security.cert.pos.34c"
tool_gcc_analyzer()
{
	# shellcheck disable=SC2046
	printf '%s\n' "$@" | for_each gcc $(flags) -O1 -fanalyzer -Werror -c -o /dev/null {}
}
tool_cppcheck()
{
	[ $# -gt 0 ] || set -- src
	# System headers are not read, but for the one whose macros make structs.
	queue=$(echo '#include <sys/queue.h>' | gcc -M -x c - | tr -s ' \\' '\n' | grep 'queue\.h$')
	cppcheck --quiet --error-exitcode=1 --enable=warning,performance --inline-suppr --std=c11 \
		--library=posix -j "$jobs" -D_GNU_SOURCE -DC4D_VERSION='"lint"' -DMUST_USE= -Iinclude -Isrc --include="$queue" \
		--suppress=missingIncludeSystem --suppress=unknownMacro --suppress=funcArgOrderDifferent --suppress=duplicateAssignExpression "$@"
}
tool_codespell()
{
	# shellcheck disable=SC2046
	[ $# -gt 0 ] || set -- $(texts | grep -vE '^(tests/fuzz/corpus/|LICENSE)')
	codespell -q 3 -L intervall,adress,nd,optin "$@"
}
tool_shellcheck()
{
	if ! command -v shellcheck >/dev/null; then
		echo "not installed: left out"
		return 0
	fi
	# shellcheck disable=SC2046
	[ $# -gt 0 ] || set -- $(texts | while read -r f; do head -c 11 "$f" | grep -qaE '^#!/bin/(ba)?sh' && echo "$f"; done)
	shellcheck -S warning "$@"
}
# Parsed and compiled, but neither loaded into the kernel nor kept.
tool_apparmor()
{
	PATH=$PATH:/usr/sbin:/sbin
	[ $# -gt 0 ] || set -- packaging/apparmor/*
	for profile in "$@"; do
		apparmor_parser --skip-kernel-load --skip-cache --quiet "$profile" || return 1
	done
}
tools="gcc clang clang_tidy scan_build gcc_analyzer cppcheck codespell shellcheck apparmor"

# ---- runs ----

run_rules()
{
	bad=0
	for r in $rules; do
		found=$("rule_$r")
		if [ -n "$found" ]; then
			printf 'lint: %-20s FAIL\n%s\n' "$r" "$found"
			bad=1
		else
			printf 'lint: %-20s ok\n' "$r"
		fi
	done
	return $bad
}
run_tools()
{
	bad=0
	mkdir -p "$out"
	for t in $tools; do
		begin=$SECONDS
		if "tool_$t" >"$out/$t.log" 2>&1; then
			printf 'lint: %-20s ok (%d s)\n' "$t" $((SECONDS - begin))
		else
			printf 'lint: %-20s FAIL (%d s)\n' "$t" $((SECONDS - begin))
			head -n 60 "$out/$t.log"
			bad=1
		fi
	done
	return $bad
}

# plant RULE FILE TEXT: the rule must be quiet about FILE before and complain of it after.
missed=0
plant()
{
	rule=$1 file=$2
	shift 2
	mkdir -p "$(dirname "$file")"
	[ ! -e "$file" ] || { echo "self-test: $file exists"; missed=1; return; }
	printf '%s\n' "$@" >"$file"
	if "rule_$rule" | grep -qF "$file:"; then
		printf 'self-test: %-20s bites (%s)\n' "$rule" "$file"
	else
		printf 'self-test: %-20s DOES NOT BITE: %s: %s\n' "$rule" "$file" "$1"
		missed=1
	fi
	rm -f "$file"
}
plant_tool()
{
	tool=$1 file=$2 clean=$3
	shift 3
	mkdir -p "$(dirname "$file")"
	printf '%s\n' "$clean" >"$file"
	"tool_$tool" "$file" >/dev/null 2>&1
	before=$?
	printf '%s\n' "$@" >"$file"
	if [ $before = 0 ] && ! "tool_$tool" "$file" >/dev/null 2>&1; then
		printf 'self-test: %-20s bites\n' "$tool"
	else
		printf 'self-test: %-20s DOES NOT BITE (status of a clean file: %d)\n' "$tool" $before
		missed=1
	fi
	rm -f "$file"
}
self_test()
{
	copy=$(mktemp -d)
	trap 'rm -rf "$copy"' EXIT
	texts | tar -cf - -T - | tar -xf - -C "$copy"
	cd "$copy" || return 1
	ev='#include <event2/event.h>'
	plant pure_headers src/topology/zz.c "$ev"
	plant pure_headers include/topology/zz.h '#include <lmdb.h>'
	plant pure_headers src/discovery/dnsmsg.zz.c '#include <ares.h>'
	plant pure_headers src/kamailio/binrpc.zz.c "$ev"
	plant pure_headers src/kamailio/dslist.zz.c "$ev"
	plant pure_headers src/kamailio/dbtext.zz.c "$ev"
	plant pure_headers include/kamailio/addrfile.zz.h '#include <lmdb.h>'
	plant pure_headers src/rtpengine/bencode.zz.c "$ev"
	plant pure_headers src/reconcile/zz_plan.c '# include <event2/buffer.h>'
	plant pure_calls src/topology/zz.c '	now = time(NULL);'
	plant pure_calls src/reconcile/zz_plan.c '	int64_t now = loop_now_ms(l);'
	printf '#include <ares.h>\n' >src/discovery/yy.c
	plant ares_one_file src/discovery/zz.c '#include <ares.h>'
	rm -f src/discovery/yy.c
	plant lmdb_in_store src/reconcile/zz.c '#include <lmdb.h>'
	plant lmdb_in_store src/zz.c '#include "lmdb.h"'
	plant http_two_files src/consul/zz.c '#include <event2/http.h>'
	plant http_two_files src/http/zz.c '#include <event2/http_struct.h>'
	plant openssl_one_file src/consul/zz.c '#include <openssl/ssl.h>'
	plant openssl_one_file src/http/zz.c '#include <event2/bufferevent_ssl.h>'
	plant pure_headers src/consul/agent.zz.c "$ev"
	plant event_base_in_base src/control/zz.c '	struct event_base *b;'
	plant event_base_in_base src/discovery/zz.c '	event_base_loop(b, 0);'
	plant floors src/base/zz.c '#include "config/conf.h"'
	plant floors include/base/zz.h '#include "topology/addr.h"'
	plant floors src/topology/zz.c '#include "config/conf.h"'
	plant floors src/config/zz.c '#include "store/store.h"'
	plant floors src/store/zz.c '#include "kamailio/kam.h"'
	plant floors src/kamailio/zz.c '#include "reconcile/target.h"'
	plant floors src/rtpengine/zz.c '#include "reconcile/target.h"'
	plant floors src/reconcile/zz.c '#include "control/ctl.h"'
	plant floors src/control/zz.c '#include "daemon.h"'
	plant floors src/newroom/zz.c '#include "base/log.h"'
	plant no_host_or_path zz.md "from http://deb.debi""an.org/debian"
	plant no_host_or_path zz.md "see /wor""k/notes"
	plant no_skips tests/integration/zz.py '@pytest.mark.sk''ip'
	plant no_skips tests/unit/zz.c '	sk''ip();'
	plant tabs src/base/zz.c '        return 0;'

	proto='int zz_get(int n);'
	good="$proto
int
zz_get(int n)
{
	return n;
}"
	for t in gcc clang; do
		plant_tool "$t" src/base/zz.c "$good" "$good" 'int' 'zz_undeclared(void)' '{' '	return 0;' '}'
	done
	plant_tool clang_tidy src/base/zz.c "$good" "$proto" 'int' 'zz_get(int n)' '{' '	return n > 3 || n > 3;' '}'
	plant_tool scan_build src/base/zz.c "$good" '#include <stdlib.h>' "$proto" 'int' 'zz_get(int n)' '{' '	char *p = malloc(8);' \
		'	return p == NULL ? n : p[0];' '}'
	plant_tool gcc_analyzer src/base/zz.c "$good" '#include <stdio.h>' "$proto" 'int' 'zz_get(int n)' '{' \
		'	FILE *f = fopen("/dev/null", "r");' '	return f == NULL ? n : getc(f);' '}'
	plant_tool cppcheck src/base/zz.c "$good" "$proto" 'int' 'zz_get(int n)' '{' '	int a[2] = { 0, 0 };' '	return a[2] + n;' '}'
	plant_tool codespell zz.md 'we receive' "we rec""ieve"
	command -v shellcheck >/dev/null && plant_tool shellcheck zz.sh '#!/bin/sh' '#!/bin/sh' 'f() { cd /tmp' 'rm -rf $1/*; }' 'read x; [ $y = 1 ] && rm $y/'
	plant_tool apparmor zz 'profile zz { /etc/zz r, }' 'profile zz {' '	/etc/zz readable,' '}'
	return $missed
}

case ${1:-} in
--rules)
	run_rules
	exit
	;;
--self-test)
	tests/tools/deps.sh build lint || exit 1
	self_test
	exit
	;;
"") ;;
*)
	echo "usage: lint.sh [--rules|--self-test]" >&2
	exit 2
	;;
esac
tests/tools/deps.sh build lint || exit 1
status=0
run_rules || status=1
run_tools || status=1
if self=$(bash "$0" --self-test 2>&1); then
	printf 'lint: %-20s ok (%d planted violations found)\n' self-test "$(printf '%s\n' "$self" | grep -c ' bites')"
else
	printf 'lint: %-20s FAIL\n%s\n' self-test "$(printf '%s\n' "$self" | grep -v ' bites')"
	status=1
fi
[ $status = 0 ] && echo "lint: all ok in $SECONDS s" || echo "lint: FAILED (logs in build/lint)"
exit $status
