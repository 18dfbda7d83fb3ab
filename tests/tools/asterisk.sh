#!/bin/sh
# asterisk.sh: prints the path of an Asterisk that runs from where it lies: $ASTERISK, else the one in PATH, else the
# cache, else Debian 11's package (Debian 12 and 13 have none), unpacked into the cache with the libraries that this
# machine lacks. Nothing is installed, and nobody need be root. The cached one is a script beside the tree "root" that it
# runs; its modules are in root/usr/lib/asterisk/modules, and it needs an asterisk.conf that says so (tests/lab/asterisk.py).
set -eu
cd "$(dirname "$0")"
# shellcheck disable=SC1091
. ./archive.sh

cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/c4d
why=

give_up()
{
	[ -z "$why" ] || echo "asterisk: $why" >&2
	echo "asterisk: none found. Set ASTERISK=/path/to/asterisk, or put one into PATH (16 or later, with ARI)." >&2
	exit 1
}
runs()
{
	[ -x "$1" ] && "$1" -V 2>/dev/null | grep -q '^Asterisk '
}

archive_program asterisk ASTERISK "${ASTERISK:-}" "$cache/asterisk/asterisk"
archive_find || give_up
[ "$(command -v ldd)" ] || { why="no ldd here"; give_up; }

mkdir -p "$cache"
exec 9>"$cache/asterisk.lock"
flock 9
# Somebody may have fetched it while we waited; what an earlier run left that was killed is nobody's.
if runs "$cache/asterisk/asterisk"; then
	echo "$cache/asterisk/asterisk"
	exit 0
fi
rm -rf "$cache"/asterisk.get.* "$cache/asterisk"
tmp=$(mktemp -d "$cache/asterisk.get.XXXXXX")
archive_open "$tmp"
new=$tmp/asterisk
root=$new/root
mkdir -p "$root" "$new/lib"
# The libraries that are wanted and nowhere to be found.
lacks()
{
	for f in "$root/usr/sbin/asterisk" "$root/usr/lib/asterisk/modules"/res_ari*.so "$root/usr/lib/asterisk/modules"/res_stasis.so \
		"$new"/lib/*.so.*; do
		[ ! -e "$f" ] || LD_LIBRARY_PATH=$new/lib ldd "$f" 2>/dev/null
	done | sed -n 's/^[[:space:]]*\([^ ]*\) => not found$/\1/p' | sort -u
}

echo "asterisk: fetching Debian 11's package (once)" >&2
if ! apt update || ! get asterisk "$root" || ! get asterisk-modules "$root"; then
	archive_failed "Debian 11's package can't be fetched from this machine's archive"
fi
find "$root/usr/lib" -name 'libasterisk*.so*' -exec cp -a {} "$new/lib/" \;
# Of the packages below it, in turn, only what is missing: the machine's own libraries are the better ones here.
todo=$(depends asterisk)
seen=' libc6 '
while [ -n "$todo" ] && [ -n "$(lacks)" ]; do
	next=
	for p in $todo; do
		case $seen in *" $p "*) continue ;; esac
		seen="$seen$p "
		mkdir -p "$tmp/libs/$p"
		get "$p" "$tmp/libs/$p" || continue
		next="$next $(depends "$p")"
	done
	for l in $(lacks); do
		find "$tmp/libs" -name "$l*" ! -type d -exec cp -aL {} "$new/lib/$l" \; -quit
	done
	todo=$next
done
cat >"$new/asterisk" <<'END'
#!/bin/sh
here=$(cd "$(dirname "$0")" && pwd)
LD_LIBRARY_PATH=$here/lib exec "$here/root/usr/sbin/asterisk" "$@"
END
chmod 755 "$new" "$new/asterisk"
if ! runs "$new/asterisk"; then
	missing=$(lacks | tr '\n' ' ')
	why="Debian 11's Asterisk does not run here${missing:+; it lacks $missing}"
	give_up
fi
mv "$new" "$cache/asterisk"
echo "$cache/asterisk/asterisk"
