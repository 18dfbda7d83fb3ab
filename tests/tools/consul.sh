#!/bin/sh
# consul.sh: prints the path of a Consul binary: $CONSUL, else the one in PATH, else the cache, else
# Debian 11's package, unpacked into the cache (Debian 12 has none; nothing is installed).
# The archive's address is the one that this machine's apt uses already.
set -eu
# shellcheck disable=SC1091
. "$(dirname "$0")/archive.sh"

cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/c4d
why=

give_up()
{
	[ -z "$why" ] || echo "consul: $why" >&2
	echo "consul: none found. Set CONSUL=/path/to/consul, or put one into PATH (any version from 1.8 on)." >&2
	exit 1
}
runs()
{
	[ -x "$1" ] && "$1" version >/dev/null 2>&1
}

archive_program consul CONSUL "${CONSUL:-}" "$cache/consul"
archive_find || give_up

mkdir -p "$cache"
tmp=$(mktemp -d "$cache/get.XXXXXX")
archive_open "$tmp"
echo "consul: fetching Debian 11's package (once)" >&2
if ! apt update || ! get consul "$tmp/root"; then
	archive_failed "Debian 11's package can't be fetched from this machine's archive"
fi
bin=$tmp/root/usr/bin/consul
libs=
if ! runs "$bin"; then
	# A library that Debian 12 has no longer: the packages that consul itself depends on have it.
	for p in $(depends consul); do
		[ "$p" = libc6 ] || get "$p" "$tmp/root" || :
	done
	libs=$cache/lib
	mkdir -p "$libs"
	find "$tmp/root" -name '*.so*' ! -type d -exec cp -a {} "$libs/" \;
	LD_LIBRARY_PATH=$libs runs "$bin" || { why="Debian 11's consul does not run here"; give_up; }
fi
# Into place by rename: several may do this at once.
if [ -n "$libs" ]; then
	cp "$bin" "$cache/consul.bin"
	printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' "$libs" "$cache/consul.bin" >"$tmp/consul"
	chmod 755 "$tmp/consul"
else
	cp "$bin" "$tmp/consul"
fi
mv -f "$tmp/consul" "$cache/consul"
echo "$cache/consul"
