#!/bin/sh
# deps.sh [build|test|rtp|lint|coverage|package|all]...: installs by apt what the group needs and the machine lacks.
# Says nothing and takes no time when all is there. Installing starts no daemon and enables none.
set -eu

build="gcc make pkg-config libc6-dev libevent-dev libssl-dev libc-ares-dev libjansson-dev liblmdb-dev libyaml-dev libpcre2-dev nettle-dev"
test="libcmocka-dev iproute2 openssl kamailio kamailio-extra-modules kamailio-utils-modules sip-tester python3 python3-pytest python3-pytest-xdist groff-base mandoc python3-prometheus-client prometheus chromium fonts-dejavu-core debian-archive-keyring debootstrap"
rtp="rtpengine-daemon"
lint="clang clang-tidy clang-tools cppcheck codespell shellcheck apparmor"
coverage="gcovr"
package="debhelper dpkg-dev build-essential lintian debootstrap debian-archive-keyring"

wanted=
[ $# -gt 0 ] || set -- all
for group in "$@"; do
	case $group in
	build) wanted="$wanted $build" ;;
	test) wanted="$wanted $build $test $rtp" ;;
	rtp) wanted="$wanted $rtp" ;;
	lint) wanted="$wanted $build libcmocka-dev $lint" ;;
	coverage) wanted="$wanted $build $coverage" ;;
	package) wanted="$wanted $build $package" ;;
	all) wanted="$wanted $build $test $rtp $lint $coverage $package" ;;
	*)
		echo "usage: deps.sh [build|test|rtp|lint|coverage|package|all]..." >&2
		exit 2
		;;
	esac
done

if ! command -v dpkg-query >/dev/null 2>&1 || ! command -v apt-get >/dev/null 2>&1; then
	echo "deps: this is no Debian system; install the equivalents of:$wanted" >&2
	exit 1
fi

# shellcheck disable=SC2086 # the list is meant to be split
have=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $wanted 2>/dev/null |
	sed -n 's/^installed //p' | sort -u)
missing=
for p in $(printf '%s\n' $wanted | sort -u); do
	printf '%s\n' "$have" | grep -qxF "$p" || missing="$missing $p"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
	echo "deps: missing:$missing" >&2
	echo "deps: run as root: apt-get install --no-install-recommends$missing" >&2
	exit 1
fi

# A service manager must not start what we install. policy-rc.d is how maintainer scripts ask; the
# administrator's own one is set aside meanwhile and comes back, also when apt fails or we are killed.
policy=/usr/sbin/policy-rc.d
kept=$policy.c4d-kept
# Units that are there before are the user's: they are never touched. What comes new is not left enabled.
units_before=
list_units()
{
	for d in /lib/systemd/system /usr/lib/systemd/system /etc/init.d; do
		[ -d "$d" ] && find -L "$d" -maxdepth 1 -type f \( -name '*.service' -o -path '/etc/init.d/*' \) \
			-exec basename {} .service \;
	done 2>/dev/null | sort -u
}
restore()
{
	if [ -n "${ours:-}" ]; then
		rm -f "$policy"
		ours=
	fi
	if [ -e "$kept" ] || [ -L "$kept" ]; then
		mv -f "$kept" "$policy"
	fi
}
# One at a time.
if command -v flock >/dev/null 2>&1; then
	exec 9>/run/lock/c4d-deps.lock
	flock 9
fi
trap restore EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

if [ -e "$kept" ] || [ -L "$kept" ]; then
	# An earlier run was killed hard: what is set aside is the administrator's, what is in place is ours.
	rm -f "$policy"
elif grep -qs '^# c4d: deps.sh' "$policy"; then
	rm -f "$policy"
elif [ -e "$policy" ] || [ -L "$policy" ]; then
	mv "$policy" "$kept"
fi
ours=1
printf '#!/bin/sh\n# c4d: deps.sh forbids starting daemons while it installs; removed when it ends\nexit 101\n' >"$policy"
chmod 755 "$policy"
units_before=$(list_units)

echo "deps: installing$missing"
export DEBIAN_FRONTEND=noninteractive
install()
{
	# shellcheck disable=SC2086
	apt-get -q -y -o Dpkg::Use-Pty=0 install --no-install-recommends $missing
}
# Package lists may be absent (fresh image) or too old for what the archive holds: then, and only then, update.
log=$(mktemp)
if ! install >"$log" 2>&1; then
	if ! apt-get -q update >>"$log" 2>&1 || ! install >>"$log" 2>&1; then
		tail -n 30 "$log" >&2
		rm -f "$log"
		echo "deps: apt could not install:$missing (see above)" >&2
		exit 1
	fi
fi
rm -f "$log"

for u in $(list_units); do
	printf '%s\n' "$units_before" | grep -qxF "$u" && continue
	case $u in
	kamailio* | sip-tester* | rtpengine-daemon | prometheus) ;;
	*) continue ;; # a dependency's unit is none of ours to decide on
	esac
	if command -v deb-systemd-helper >/dev/null 2>&1; then
		deb-systemd-helper disable "$u.service" >/dev/null 2>&1 || :
	fi
	if [ -x "/etc/init.d/$u" ]; then
		update-rc.d "$u" disable >/dev/null 2>&1 || :
	fi
	echo "deps: $u is installed, neither running nor enabled (enable it yourself if you want it)"
done
