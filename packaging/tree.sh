#!/bin/sh
# tree.sh RELEASE [PACKAGE...]: prints the root of a small Debian tree of that release (bookworm, trixie) with these
# packages, which debootstrap and apt make the first time, in a cache. Nothing of it is started. Users lay something over it
# (packaging/test.sh: an overlay) and leave it as it is.
set -eu
release=$1
shift
cd "$(dirname "$0")/../tests/tools"
arch='' site='' keyring='' why='' # archive_find sets them
# shellcheck disable=SC1091
. ./archive.sh

give_up()
{
	echo "tree: ${why:-no Debian tree of $release}" >&2
	exit 1
}
cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/c4d
name=debian-$release
if [ $# -gt 0 ]; then
	name=$name-$(echo "$@" | sha256sum | cut -c1-12)
fi
tree=$cache/$name
if [ -e "$tree/.complete" ]; then
	echo "$tree"
	exit 0
fi
[ "$(id -u)" = 0 ] || { why="only root can make the tree $tree: run packaging/tree.sh $release $* once as root"; give_up; }
command -v debootstrap >/dev/null 2>&1 || { why="debootstrap is missing (apt install debootstrap)"; give_up; }
archive_find || give_up
archive_proxy

mkdir -p "$cache"
exec 9>"$cache/$name.lock"
flock 9
if [ -e "$tree/.complete" ]; then
	echo "$tree"
	exit 0
fi
rm -rf --one-file-system "$cache/$name".get.* "$tree"
tmp=$(mktemp -d "$cache/$name.get.XXXXXX")
trap 'rm -rf --one-file-system "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

echo "tree: making a Debian tree of $release (once)${1:+ with $*}" >&2
# In a mount namespace of its own: what is mounted in the tree is gone with it, whatever ends it.
if [ $# = 0 ]; then
	if ! unshare -m debootstrap --variant=minbase --arch="$arch" --keyring="$keyring" "$release" "$tmp/root" "$site" \
		>"$tmp/log" 2>&1 </dev/null; then
		grep -vE '^I: (Retrieving|Validating|Extracting|Unpacking|Configuring)' "$tmp/log" | tail -n 8 >&2
		why="$release can't be had from this machine's archive by debootstrap"
		give_up
	fi
else
	base=$(../../packaging/tree.sh "$release") || exit 1
	cp -a "$base" "$tmp/root"
	rm -f "$tmp/root/.complete"
	# shellcheck disable=SC2016
	if ! unshare -m sh -c 'root=$1; shift
		mount -t proc proc "$root/proc" && cp /etc/resolv.conf "$root/etc/resolv.conf" &&
		chroot "$root" apt-get -q update &&
		DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get -q -y --no-install-recommends install "$@"' \
		sh "$tmp/root" "$@" >"$tmp/log" 2>&1 </dev/null; then
		tail -n 8 "$tmp/log" >&2
		why="$release: apt could not install $*"
		give_up
	fi
fi
rm -rf "$tmp/root/var/cache/apt/archives/"*.deb
# No daemon is ever started in it, whatever is installed.
printf '#!/bin/sh\nexit 101\n' >"$tmp/root/usr/sbin/policy-rc.d"
chmod 755 "$tmp/root" "$tmp/root/usr/sbin/policy-rc.d"
: >"$tmp/root/.complete"
mv "$tmp/root" "$tree"
echo "$tree"
