#!/bin/sh
# kamailio6.sh: prints the root of a Debian 13 tree that has Kamailio 6.0: $KAMAILIO6, else the one in the cache,
# which debootstrap makes the first time (half a minute). Nothing of the tree is started or left running.
# The lab runs its Kamailio from outside, by the tree's own loader and libraries (tests/lab/kamailio.py): chroot would
# need root, and neither paths nor users would be this machine's.
set -eu
cd "$(dirname "$0")"
arch='' site='' keyring='' # archive_find sets them
# shellcheck disable=SC1091
. ./archive.sh

cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/c4d
tree=$cache/kamailio6
why=

give_up()
{
	[ -z "$why" ] || echo "kamailio6: $why" >&2
	echo "kamailio6: no Kamailio 6.0. Set KAMAILIO6=/path to the root of a Debian 13 tree with the packages" \
		"kamailio and kamailio-extra-modules (debootstrap makes one)." >&2
	exit 1
}
usable()
{
	loader=$(find "$1"/usr/lib/*/ -maxdepth 1 -name 'ld-linux*.so.*' 2>/dev/null | head -n 1)
	[ -n "$loader" ] || return 1
	lib=${loader%/*}
	[ -r "$lib/kamailio/modules/http_async_client.so" ] || return 1
	"$loader" --library-path "$lib" "$1/usr/sbin/kamailio" -v 2>/dev/null | grep -q '^version: kamailio 6\.'
}

if [ -n "${KAMAILIO6:-}" ]; then
	if usable "$KAMAILIO6"; then
		(cd "$KAMAILIO6" && pwd)
		exit 0
	fi
	why="KAMAILIO6=$KAMAILIO6 holds no Kamailio 6 that runs, or not all of it (kamailio-extra-modules)"
	give_up
fi
if usable "$tree"; then
	echo "$tree"
	exit 0
fi

if [ "$(id -u)" != 0 ]; then
	why="none in $cache; only root can make it: run tests/tools/kamailio6.sh as root, with the same HOME, once"
	give_up
fi
command -v debootstrap >/dev/null 2>&1 || { why="debootstrap is missing (tests/tools/deps.sh installs it)"; give_up; }
archive_find || give_up
archive_proxy

mkdir -p "$cache"
exec 9>"$cache/kamailio6.lock"
flock 9
# Somebody may have made it while we waited; what an earlier run left that was killed is nobody's.
if usable "$tree"; then
	echo "$tree"
	exit 0
fi
rm -rf --one-file-system "$cache"/kamailio6.get.* "$tree"
tmp=$(mktemp -d "$cache/kamailio6.get.XXXXXX")
trap 'rm -rf --one-file-system "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

echo "kamailio6: making a Debian 13 tree (once)" >&2
# In a mount namespace of its own: what debootstrap mounts in the tree is gone with it, whatever ends it.
own=
if unshare -m true 2>/dev/null; then
	own="unshare -m"
fi
if ! $own debootstrap --variant=minbase --arch="$arch" --keyring="$keyring" --include=kamailio,kamailio-extra-modules \
	trixie "$tmp/root" "$site" >"$tmp/log" 2>&1 </dev/null; then
	grep -vE '^I: (Retrieving|Validating|Extracting|Unpacking|Configuring)' "$tmp/log" | tail -n 8 >&2
	why="Debian 13 can't be had from this machine's archive by debootstrap (an old debian-archive-keyring, perhaps)"
	give_up
fi
rm -rf "$tmp/root/var/cache/apt/"* "$tmp/root/var/lib/apt/lists/"*
usable "$tmp/root" || { why="Debian 13's Kamailio does not run here"; give_up; }
chmod 755 "$tmp/root"
mv "$tmp/root" "$tree"
echo "$tree"
