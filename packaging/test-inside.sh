#!/bin/bash
# test-inside.sh chroot|booted OLD NEW: what packaging/test.sh runs inside of a Debian tree, as root, with the packages in /test.
# chroot: nothing runs but what this starts. booted: the tree's own systemd, a network of its own (loopback alone), and Consul.
# shellcheck disable=SC2015,SC2016,SC2020 # fail ends it; what sh -c gets is for sh
set -u
where=$1 old=$2 new=$3
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

fail()
{
	echo "FAIL: $*"
	[ "$where" != booted ] || { journalctl -u c4d --no-pager -n 30; systemctl status --no-pager -l c4d | head -n 20; }
	exit 1
}
ok()
{
	echo "ok: $*"
}
await() # SECONDS WHAT COMMAND...
{
	local left=$(($1 * 10)) what=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		left=$((left - 1))
		[ $left -gt 0 ] || { "$@"; fail "in vain: $what"; }
		sleep 0.1
	done
}
apt()
{
	apt-get -q -y -o Dpkg::Use-Pty=0 --no-install-recommends "$@" </dev/null >/test/apt.log 2>&1 ||
		{ tail -n 15 /test/apt.log; fail "apt-get $*"; }
}
packages()
{
	dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' | sed -n 's/^ii *//p' | sort
}
# All that the file system holds, but for logs, caches and what dpkg, ldconfig and the users' files remember.
files()
{
	find / -xdev \( -path /test -o -path /tmp -o -path /run -o -path /proc -o -path /sys -o -path /dev -o -path /var/log \
		-o -path /var/cache -o -path /var/lib/apt -o -path /var/lib/dpkg -o -path /var/lib/systemd -o -path /etc/systemd/system/consul.service \) -prune \
		-o -print | grep -v '^/etc/\(passwd\|shadow\|group\|gshadow\)-$' | sort
}
one_of()
{
	tr ' ' '\n' | grep -qx "$1"
}

# ---- without systemd: Kamailio is there before c4d; the unit's command by hand (the autopkgtest) ----
if [ "$where" = chroot ]; then
	apt install --download-only "/test/$old" "/test/$new" kamailio 2>/dev/null
	apt install kamailio
	packages >/test/packages.before
	apt install "/test/$old"
	packages | comm -13 /test/packages.before - >/test/packages.new
	# What came besides c4d is named in its control.
	dpkg-query -W -f '${Depends}\n' c4d | tr ',|' '\n\n' | sed 's/(.*//; s/ //g' | sort -u >/test/packages.named
	while read -r p; do
		[ "$p" = c4d ] || grep -qx "$p" /test/packages.named || fail "apt install brings $p, which control does not name"
	done </test/packages.new
	ok "installs; brings $(grep -vc '^c4d$' /test/packages.new) libraries: $(grep -v '^c4d$' /test/packages.new | tr '\n' ' ')"
	id -nG c4d | one_of kamailio || fail "c4d is not in Kamailio's group, which was there before"
	[ "$(stat -c %U:%G:%a /var/lib/c4d/kamailio)" = c4d:kamailio:2750 ] || fail "$(ls -ld /var/lib/c4d/kamailio)"
	ok "Kamailio before c4d: $(id c4d)"
	sh /test/smoke || fail "the autopkgtest"
	apt purge c4d
	[ ! -e /etc/c4d ] && [ ! -e /var/lib/c4d ] || fail "purge leaves something"
	ok "purged"
	exit 0
fi

# ---- with systemd ----
get() # PATH: what Consul answers
{
	local line
	exec 3<>/dev/tcp/127.0.0.1/8500 || return 1
	printf '%s %s HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s' "${3:-GET}" "$1" "${#2}" "$2" >&3
	while read -r line <&3 && [ "$line" != $'\r' ]; do :; done
	cat <&3
	exec 3>&-
}
index_of() # CreateIndex of a service in Consul's catalog: another one when it was away for a moment
{
	get "/v1/catalog/service/$1" "" | sed -n 's/.*"CreateIndex": *\([0-9]*\).*/\1/p' | head -n 1
}
is_registered()
{
	[ -n "$(index_of sbc)" ]
}
is_gone()
{
	[ -z "$(index_of sbc)" ]
}
rss_kb()
{
	sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB$/\1/p' "/proc/$(pid_of)/status"
}
rss_at_most() # KB
{
	[ "$(rss_kb)" -le "$1" ]
}
converged()
{
	c4ctl -f json show targets | grep -q '"state": *"converged"'
}
has_leader()
{
	get /v1/status/leader "" | grep -q :8300
}
pid_of()
{
	systemctl show -P MainPID c4d
}
completes() # LINE: what bash makes of it, where the package put its completion
{
	# shellcheck disable=SC2016
	bash -c '. /usr/share/bash-completion/completions/c4ctl; COMP_LINE=$1 COMP_POINT=${#1}; _c4ctl; echo ${COMPREPLY[@]}' bash "$1"
}
status_says()
{
	systemctl show -P StatusText c4d | grep -q "$1"
}

printf '[Service]\nExecStart=/test/consul agent -dev -log-level=warn\n' >/etc/systemd/system/consul.service
systemctl daemon-reload && systemctl start consul || fail "Consul does not start"
await 20 "Consul has a leader" has_leader
get /v1/agent/service/register '{"Name":"router","Address":"127.0.0.9","Port":5070}' PUT

files >/test/files.before
apt install "/test/$old"
[ "$(systemctl is-active c4d)" = active ] || fail "the unit does not run after the installation"
[ "$(systemctl is-enabled c4d)" = enabled ] || fail "the unit is not enabled"
id -nG c4d | one_of kamailio && fail "a group kamailio, here?"
await 5 "a line of status" status_says "all is well"
ok "installed: runs without an edit: $(systemctl show -P StatusText c4d)"
sh /test/smoke || fail "the autopkgtest"
systemctl start c4d

# Kamailio comes later.
pid=$(pid_of)
mkdir -p /etc/kamailio
apt install kamailio
id -nG c4d | one_of kamailio || fail "c4d did not join Kamailio's group"
[ "$(pid_of)" != "$pid" ] || fail "c4d was not started again with its new group"
[ "$(stat -c %U:%G:%a /var/lib/c4d/kamailio /var/lib/c4d/kamailio/dbtext | sort -u)" = c4d:kamailio:2750 ] ||
	fail "$(ls -ld /var/lib/c4d/kamailio)"
ok "Kamailio after c4d: $(id c4d)"
cat >/etc/kamailio/kamailio.cfg <<'X'
debug=2
log_stderror=no
listen=udp:127.0.0.1:5060
loadmodule "ctl.so"
loadmodule "kex.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "dispatcher.so"
modparam("ctl", "binrpc", "unix:/run/kamailio/kamailio_ctl")
modparam("ctl", "mode", 0660)
modparam("ctl", "group", "kamailio")
modparam("dispatcher", "list_file", "/var/lib/c4d/kamailio/dispatcher.list")
request_route { exit; }
X
runuser -u c4d -- sh -c 'umask 027; : >/var/lib/c4d/kamailio/dispatcher.list' || fail "the empty list"
systemctl restart kamailio || fail "Kamailio does not start: $(journalctl -u kamailio --no-pager -n 5)"
cat >/etc/c4d/conf.d/test.yml <<'X'
services: { router: {} }
kamailio: { sbc: { list_file: /var/lib/c4d/kamailio/dispatcher.list, dispatcher: { 1: { service: router, uri: "sip:{address}:{port}" } } } }
register: { sbc: { id: test-sbc, address: "{ip:lo}", port: 5060, checks: { port: { type: exec, command: [/bin/sh, -c, "nice >/var/lib/c4d/nice"], interval: 5s } } } }
X
c4d check || fail "the test's configuration"
systemctl reload c4d || fail "reload"
await 15 "registered" is_registered
await 20 "the dispatcher set is converged" converged
grep -q 127.0.0.9:5070 /var/lib/c4d/kamailio/dispatcher.list || fail "the list: $(cat /var/lib/c4d/kamailio/dispatcher.list)"
[ "$(stat -c %U:%G:%a /var/lib/c4d/kamailio/dispatcher.list)" = c4d:kamailio:640 ] || fail "$(ls -l /var/lib/c4d/kamailio)"
runuser -u kamailio -- cat /var/lib/c4d/kamailio/dispatcher.list >/dev/null || fail "Kamailio can't read its list"
await 40 "the line of status" status_says "1 of 1 targets converged"
[ "$(completes 'c4ctl sh reg')" = registrations ] && [ "$(completes 'c4ctl hold ')" = router ] ||
	fail "completion: '$(completes 'c4ctl sh reg')' '$(completes 'c4ctl hold ')'"
for f in /usr/share/zsh/vendor-completions/_c4ctl /usr/share/fish/vendor_completions.d/c4ctl.fish /usr/share/fish/vendor_completions.d/c4d.fish \
	/usr/share/doc/c4d/examples/prometheus-alerts.yml /usr/share/doc/c4d/examples/grafana-dashboard.json; do
	[ -s "$f" ] || fail "$f is missing"
done
# Calls go first: the loop's nice value, the worker's, a command's.
await 10 "the check has run" [ -s /var/lib/c4d/nice ]
pid=$(pid_of)
worker=$(printf '%s\n' "/proc/$pid/task/"* | grep -v "/$pid\$")
got=$(awk '{ print $19 }' "/proc/$pid/stat" "$worker/stat" | tr '\n' ' ')$(cat /var/lib/c4d/nice)
[ "$got" = "-5 0 0" ] || fail "nice values of the loop, the worker, a command: $got"
ok "Kamailio's set by the socket of its group, an exec check in the sandbox; $(systemctl show -P StatusText c4d)"

journalctl -u c4d --no-pager | grep AF_NETLINK && fail "no news of addresses in the sandbox"

# notify: a shell script in the unit's sandbox reads its line, writes where c4d may and nowhere else, and reaches syslog.
cat >/etc/c4d/notify.sh <<'X'
#!/bin/sh
cat >/var/lib/c4d/notified || exit 1
logger -t c4d-notify -- "$C4D_EVENT $C4D_SERVICE" || exit 1
! touch /usr/local/notified 2>/dev/null
X
chown root:c4d /etc/c4d/notify.sh && chmod 750 /etc/c4d/notify.sh
echo 'notify: /etc/c4d/notify.sh' >/etc/c4d/conf.d/notify.yml
c4d check | grep -q warning && fail "c4d check about notify: $(c4d check)"
systemctl reload c4d || fail "reload with notify"
c4ctl hold router >/dev/null || fail "hold"
await 15 "notified" grep -q '"event":"service-held","service":"router"' /var/lib/c4d/notified
await 5 "the command of notify has ended" sh -c 'c4ctl show metrics c4d_notify_runs | grep -q "outcome=ok *1"'
journalctl --sync; journalctl -t c4d-notify --no-pager | grep -q 'service-held router' || fail "no line by logger"
[ ! -e /usr/local/notified ] || fail "the command of notify wrote outside of the sandbox"
c4ctl status | grep 'notify:' && fail "notify fails"
c4ctl release router >/dev/null
rm /etc/c4d/conf.d/notify.yml
systemctl reload c4d || fail "reload without notify"
rm /etc/c4d/notify.sh /var/lib/c4d/notified
ok "notify: a shell script in the sandbox"

# A reload that is refused: the unit's reload fails, c4d goes on.
echo 'nonsense: 1' >/etc/c4d/conf.d/bad.yml
systemctl reload c4d 2>/dev/null && fail "a wrong configuration was taken"
rm /etc/c4d/conf.d/bad.yml
[ "$(systemctl is-active c4d)" = active ] || fail "not active after a reload that was refused"

# A restart keeps the registration, though on_stop is deregister; so does an upgrade, which keeps everything else too.
index=$(index_of sbc) pid=$(pid_of)
systemctl restart c4d || fail "restart"
[ "$(pid_of)" != "$pid" ] || fail "not restarted"
[ "$(index_of sbc)" = "$index" ] || fail "a restart took the service out"
ok "restart: the registration stays (CreateIndex $index)"
echo '# an administrator wrote this' >>/etc/c4d/c4d.yml
c4ctl hold router >/dev/null || fail "hold"
generation=$(c4ctl -f json status | grep -o '"generation": *[0-9]*') pid=$(pid_of) uid=$(id -u c4d)
apt install "/test/$new"
[ "$(pid_of)" != "$pid" ] && [ "$(systemctl is-active c4d)" = active ] || fail "the upgrade did not start the new one"
[ "$(index_of sbc)" = "$index" ] || fail "an upgrade took the service out"
[ "$(c4ctl -f json status | grep -o '"generation": *[0-9]*')" = "$generation" ] || fail "the upgrade lost the generation"
c4ctl status | grep -q 'router is frozen' || fail "the upgrade lost what an operator said"
grep -q 'an administrator wrote this' /etc/c4d/c4d.yml || fail "the upgrade lost the configuration"
[ "$(id -u c4d)" = "$uid" ] && [ "$(stat -c %U:%G:%a /etc/c4d)" = root:c4d:750 ] || fail "users or modes changed"
await 20 "converged after the upgrade" converged
ok "upgrade: registration, store, configuration and hold are there; $generation"

# A crash: started again, and nothing is deregistered. A hang: the watchdog.
kill -KILL "$(pid_of)"
await 10 "started again after a crash" sh -c '[ "$(systemctl show -P NRestarts c4d)" = 1 ] && systemctl -q is-active c4d'
[ "$(index_of sbc)" = "$index" ] || fail "a crash took the service out"
mkdir -p /run/systemd/system/c4d.service.d
printf '[Service]\nWatchdogSec=2\n' >/run/systemd/system/c4d.service.d/watchdog.conf
systemctl daemon-reload && systemctl restart c4d
sleep 3 # longer than the watchdog's time
pid=$(pid_of)
[ "$(systemctl show -P NRestarts c4d)" = 0 ] && systemctl -q is-active c4d || fail "the watchdog is not fed"
kill -STOP "$pid"
await 10 "started again after a hang" sh -c '[ "$(systemctl show -P NRestarts c4d)" = 1 ] && systemctl -q is-active c4d'
journalctl --sync; journalctl -u c4d --no-pager | grep -qi 'watchdog timeout' || fail "no word of a watchdog in the journal"
ok "a crash and a hang: started again"

# A stop deregisters, and so does a removal.
systemctl stop c4d
await 5 "deregistered by the stop" is_gone
systemctl start c4d
await 15 "registered again" is_registered
ok "stop deregisters, start registers"
await 15 "VmRSS of at most 6 MB" rss_at_most 6144
rss=$(rss_kb)
# From systemd's fork, its work on the sandbox included, to READY: of nine starts the median.
ready=$(for _ in 1 2 3 4 5 6 7 8 9; do
	systemctl restart c4d
	echo $((($(systemctl show -P ActiveEnterTimestampMonotonic c4d) - $(systemctl show -P ExecMainStartTimestampMonotonic c4d)) / 1000))
done | sort -n | sed -n 5p)
await 15 "registered after the restarts" is_registered
ok "figures: VmRSS $rss kB, exec to READY $ready ms, binary $(stat -c %s /usr/sbin/c4d) bytes, $(systemd-analyze security c4d --no-pager | tail -n 1 | tr -dc '[:print:]')"
# https: its libraries load in the sandbox too.
echo 'consul: { http: "https://127.0.0.1:8443" }' >/etc/c4d/conf.d/tls.yml
systemctl reload c4d || fail "reload with https"
await 10 "OpenSSL is loaded" grep -q libevent_openssl "/proc/$(pid_of)/maps"
first=$(rss_kb)
await 20 "VmRSS of at most 8 MB with https, when it has settled (at first $first kB)" rss_at_most 8192
ok "with https: VmRSS $first kB at first, then $(rss_kb) kB"
rm /etc/c4d/conf.d/tls.yml
systemctl restart c4d || fail "restart without https"
await 15 "registered" sh -c 'c4ctl show registrations | grep -q registered'
[ "$(index_of sbc)" != "" ] || fail "the service is gone"

apt remove c4d
await 5 "deregistered by the removal" is_gone
systemctl -q is-active c4d && fail "c4d runs after its removal"
[ -e /usr/sbin/c4d ] && fail "the binary is still there"
[ -s /var/lib/c4d/topology.mdb ] && [ -e /etc/c4d/conf.d/test.yml ] && [ -s /var/lib/c4d/kamailio/dispatcher.list ] ||
	fail "removal took state or configuration"
ok "removed: deregistered; state and configuration stay"
apt purge c4d
apt purge kamailio
rm -rf /etc/kamailio
apt autoremove --purge
files >/test/files.after
left=$(comm -13 /test/files.before /test/files.after | grep c4d)
[ -z "$left" ] || fail "purge leaves: $left"
ok "purged: nothing of c4d is left but its user"
