#!/bin/sh
# test.sh: `make deb-test`, as root: the package on Debian 12 and on Debian 13, each built there, in trees that debootstrap makes once
# (packaging/tree.sh; the rest lives in memory and in namespaces of its own, and is gone afterwards, whatever ends this):
#   in a chroot, beside Kamailio, what apt brings and the autopkgtest;
#   booted by the tree's own systemd, with Consul and no network but its own: install, Kamailio later, reload, restart, upgrade, crash,
#   hang, stop, remove, purge (packaging/test-inside.sh).
# RELEASES="bookworm" narrows it.
set -eu
cd "$(dirname "$0")/.."
top=$PWD
out=$top/${B:-build}/deb-test
libs="build-essential debhelper pkgconf libevent-dev libc-ares-dev libjansson-dev liblmdb-dev libyaml-dev libpcre2-dev nettle-dev libssl-dev"

die()
{
	echo "deb-test: $*" >&2
	exit 1
}
[ "$(id -u)" = 0 ] || die "run as root: it makes namespaces and installs packages in trees of its own"
unshare -m -p -f -n true 2>/dev/null || die "no namespaces here (unshare -m -p -f -n)"
cg=$(findmnt -n -t cgroup2 -o TARGET | head -n 1)
[ -n "$cg" ] || die "no cgroup2 is mounted here, which systemd needs"
tests/tools/deps.sh package
consul=$(tests/tools/consul.sh) || exit 1
consul=$(command -v "$consul")
archives=$out/archives
mkdir -p "$out" "$archives/partial"

# over TREE: shell text that lays an overlay in memory on it, for a shell with its own mount namespace; $m is the result.
over()
{
	# shellcheck disable=SC2016
	cat <<X
set -e
s=$out/ns; mkdir -p \$s; mount -t tmpfs tmpfs \$s; mkdir \$s/u \$s/w \$s/m; m=\$s/m
mount -t overlay overlay -o lowerdir=$1,upperdir=\$s/u,workdir=\$s/w \$m
mount -t proc proc \$m/proc
mount -o bind \$m/proc/sys \$m/proc/sys; mount -o remount,ro,bind \$m/proc/sys
mount -t tmpfs -o mode=755 tmpfs \$m/dev
for d in null zero full random urandom tty; do : >\$m/dev/\$d; mount --bind /dev/\$d \$m/dev/\$d; done
mkdir \$m/dev/shm \$m/dev/pts; mount -t devpts -o newinstance,ptmxmode=0666 devpts \$m/dev/pts
ln -s pts/ptmx \$m/dev/ptmx; ln -s /proc/self/fd \$m/dev/fd
mount -t tmpfs tmpfs \$m/run; mount -t tmpfs -o mode=1777 tmpfs \$m/tmp; mkdir \$m/run/lock
cp /etc/resolv.conf \$m/etc/resolv.conf
mkdir \$m/test; mount --bind $2 \$m/test
mkdir -p \$m/var/cache/apt/archives; mount --bind $archives \$m/var/cache/apt/archives
X
}
env="env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/"
# shellcheck disable=SC1091
. tests/tools/archive.sh # which knows of proxies
archive_proxy
env="$env${http_proxy:+ http_proxy=$http_proxy}${https_proxy:+ https_proxy=$https_proxy}"

build() # RELEASE DIR: the package and its next version, built in that release
{
	# shellcheck disable=SC2086
	tree=$(packaging/tree.sh "$1" $libs)
	{
		over "$tree" "$2"
		echo "mkdir \$m/src; tar -cf - --exclude='*.pyc' --exclude=__pycache__ LICENSE Makefile README.md conf include packaging src tests | tar -xf - -C \$m/src"
		echo "chroot \$m $env sh -c 'cd /src && export OUT=/test/out && packaging/deb.sh && packaging/deb.sh $next'"
	} >"$2/build.sh"
	unshare -m -p -f --kill-child=KILL sh "$2/build.sh" || die "$1: the build failed"
}
in_chroot() # RELEASE DIR
{
	{
		over "$tree" "$2"
		echo "exec chroot \$m $env bash /test/test-inside.sh chroot $old_deb $next_deb"
	} >"$2/chroot.sh"
	unshare -m -p -f --kill-child=KILL sh "$2/chroot.sh" || die "$1: in a chroot"
}
booted() # RELEASE DIR: in a cgroup of its own; systemd is process 1 of its own pid namespace
{
	rm -f "$2/log" "$2/done"
	{
		over "$tree" "$2"
		cat <<'X'
mount -t sysfs -o ro sysfs $m/sys
mount -t cgroup2 cgroup2 $m/sys/fs/cgroup
rm -f $m/usr/sbin/policy-rc.d
hostname c4d-deb-test
X
		cat <<X
cat >\$m/etc/systemd/system/inside.service <<Y
[Service]
Type=oneshot
StandardOutput=file:/test/log
StandardError=file:/test/log
ExecStart=/bin/sh -c 'bash /test/test-inside.sh booted $old_deb $next_deb && echo yes >/test/done'
ExecStopPost=/bin/systemctl --no-block exit
Y
printf '[Unit]\nRequires=basic.target\nAfter=basic.target\nWants=inside.service\n' >\$m/etc/systemd/system/inside.target
exec chroot \$m env -i container=lxc SYSTEMD_LOG_TARGET=journal PATH=/usr/sbin:/usr/bin:/sbin:/bin \\
	/lib/systemd/systemd --system --unit=inside.target
X
	} >"$2/boot.sh"
	group=$cg/c4d-deb-test.$$
	mkdir "$group"
	# shellcheck disable=SC2016
	timeout 300 sh -c 'echo $$ >"$1/cgroup.procs"; exec unshare -m -p -f -C -u -i -n --kill-child=KILL sh "$2"' \
		sh "$group" "$2/boot.sh" </dev/null >"$2/boot.log" 2>&1 || true
	sleep 0.2
	find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
	cat "$2/log" 2>/dev/null || true
	[ -e "$2/done" ] || { tail -n 5 "$2/boot.log"; die "$1: with systemd"; }
}

version=$(sed -n 's/^VERSION *:= *//p' Makefile)
next=$version+1
old_deb=out/c4d_${version}_$(dpkg --print-architecture).deb
next_deb=out/c4d_${next}_$(dpkg --print-architecture).deb
for release in ${RELEASES:-bookworm trixie}; do
	dir=$out/$release
	rm -rf "$dir"
	mkdir -p "$dir/out"
	echo "== $release: build"
	build "$release" "$dir"
	if command -v lintian >/dev/null 2>&1; then
		lintian --allow-root --fail-on error,warning "$dir/out/c4d_${version}_"*.changes || die "$release: lintian"
	else
		die "lintian is missing (apt install lintian)"
	fi
	cp packaging/test-inside.sh packaging/debian/tests/smoke "$dir/"
	cp "$consul" "$dir/consul"
	tree=$(packaging/tree.sh "$release" systemd systemd-sysv)
	echo "== $release: in a chroot"
	in_chroot "$release" "$dir"
	# The package of the older release is installed on the newer one, too (library names changed between them).
	if [ "$release" != "${first:=$release}" ]; then
		cp "$out/$first/$old_deb" "$dir/older.deb"
		{
			over "$tree" "$dir"
			echo "exec chroot \$m $env sh -c 'apt-get -q -y --no-install-recommends install /test/older.deb && c4d version && apt-get -q -y purge c4d'"
		} >"$dir/older.sh"
		unshare -m -p -f --kill-child=KILL sh "$dir/older.sh" >"$dir/older.log" 2>&1 ||
			{ tail -n 12 "$dir/older.log"; die "$first's package on $release"; }
		echo "ok: $first's package on $release"
	fi
	echo "== $release: with systemd"
	booted "$release" "$dir"
done
echo "deb-test: ok"
