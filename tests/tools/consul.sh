#!/bin/sh
# consul.sh: prints the path of a Consul binary: $CONSUL, else the one in PATH, else the cache, else
# Debian 11's package, unpacked into the cache (Debian 12 has none; nothing is installed).
# The archive's address is the one that this machine's apt uses already.
set -eu

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

if [ -n "${CONSUL:-}" ]; then
	found=$(command -v "$CONSUL" || :)
	if [ -n "$found" ] && runs "$found"; then
		echo "$found"
		exit 0
	fi
	why="CONSUL=$CONSUL can't be run"
	give_up
fi
found=$(command -v consul || :)
if [ -n "$found" ] && runs "$found"; then
	echo "$found"
	exit 0
fi
if runs "$cache/consul"; then
	echo "$cache/consul"
	exit 0
fi

command -v apt-get >/dev/null 2>&1 || { why="no apt here"; give_up; }
arch=$(dpkg --print-architecture)
# Of Debian's own indexes, the plain suite's (its Site also has the older suites; security's has not).
target=$(apt-get indextargets --format '$(ORIGIN) $(SUITE) $(CODENAME) $(SITE) $(SIGNED_BY)' \
	'Identifier: Packages' 2>/dev/null | awk '$1 == "Debian" && $3 !~ /-/ { print; exit }')
if [ -z "$target" ]; then
	# Package lists were never fetched: then apt knows no Origin yet, only the addresses it would ask.
	# shellcheck disable=SC1091
	codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-stable}")
	target=$(apt-get --print-uris update 2>/dev/null |
		sed -nE "s,^'(.*)/dists/($codename|(old)*stable|testing)/(In)?Release'.*,Debian - \\2 \\1 -,p" | head -n 1)
fi
# shellcheck disable=SC2086
set -- $target
site=${4:-}
[ -n "$site" ] || { why="apt's configuration names no Debian archive"; give_up; }
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
case ${5:-} in
/*) keyring=$5 ;;
esac
[ -r "$keyring" ] || { why="$keyring can't be read (package debian-archive-keyring)"; give_up; }

mkdir -p "$cache"
tmp=$(mktemp -d "$cache/get.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir -p "$tmp/state/lists/partial" "$tmp/cache/archives/partial" "$tmp/root"
: >"$tmp/state/status"
echo "deb [arch=$arch signed-by=$keyring] $site bullseye main" >"$tmp/sources.list"
# The machine's apt.conf (proxies and the like) holds; lists, state and sources are private. The
# directory is ours alone, hence no download as another user.
apt()
{
	apt-get -q -o Dir::State="$tmp/state" -o Dir::State::status="$tmp/state/status" -o Dir::Cache="$tmp/cache" \
		-o Dir::Etc::sourcelist="$tmp/sources.list" -o Dir::Etc::sourceparts=- -o APT::Sandbox::User=root \
		-o Acquire::Languages=none -o Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false \
		-o Dpkg::Use-Pty=0 "$@"
}
get()
{
	(cd "$tmp" && apt download "$1" >>"$tmp/log" 2>&1 && dpkg -x "$1"_*.deb root)
}
echo "consul: fetching Debian 11's package (once)" >&2
if ! apt update >"$tmp/log" 2>&1 || ! get consul; then
	grep -E '^(E|W|Err)' "$tmp/log" | head -n 5 >&2
	why="Debian 11's package can't be fetched from this machine's archive"
	give_up
fi
bin=$tmp/root/usr/bin/consul
libs=
if ! runs "$bin"; then
	# A library that Debian 12 has no longer: the packages that consul itself depends on have it.
	for p in $(dpkg -f "$tmp"/consul_*.deb Depends | tr ',' '\n' | sed 's/[ |(].*//;s/:.*//' | grep '^lib'); do
		[ "$p" = libc6 ] || get "$p" || :
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
