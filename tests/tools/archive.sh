#!/bin/sh
# archive.sh, to be sourced: where this machine's apt gets Debian from, and programs of Debian 11, which nobody installs.
# archive_find sets arch, site, keyring; it fails with the reason in `why`.

# shellcheck disable=SC2034 # they are for who sources this
archive_find()
{
	why=
	command -v apt-get >/dev/null 2>&1 || { why="no apt here"; return 1; }
	arch=$(dpkg --print-architecture)
	# Of Debian's own indexes, the plain suite's (its Site also has the other suites; security's has not).
	archive_target=$(apt-get indextargets --format '$(ORIGIN) $(SUITE) $(CODENAME) $(SITE) $(SIGNED_BY)' \
		'Identifier: Packages' 2>/dev/null | awk '$1 == "Debian" && $3 !~ /-/ { print; exit }')
	if [ -z "$archive_target" ]; then
		# Package lists were never fetched: then apt knows no Origin yet, only the addresses it would ask.
		# shellcheck disable=SC1091
		codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-stable}")
		archive_target=$(apt-get --print-uris update 2>/dev/null |
			sed -nE "s,^'(.*)/dists/($codename|(old)*stable|testing)/(In)?Release'.*,Debian - \\2 \\1 -,p" | head -n 1)
	fi
	# shellcheck disable=SC2086
	set -- $archive_target
	site=${4:-}
	[ -n "$site" ] || { why="apt's configuration names no Debian archive"; return 1; }
	keyring=/usr/share/keyrings/debian-archive-keyring.gpg
	case ${5:-} in
	/*) keyring=$5 ;;
	esac
	[ -r "$keyring" ] || { why="$keyring can't be read (package debian-archive-keyring)"; return 1; }
}
# archive_proxy: what apt has been told of proxies, also for programs that only look into the environment.
archive_proxy()
{
	archive_http=$(apt-config dump --format '%v' Acquire::http::Proxy)
	archive_https=$(apt-config dump --format '%v' Acquire::https::Proxy)
	case $archive_http in http*) export http_proxy="$archive_http" ;; esac
	case $archive_https in http*) export https_proxy="$archive_https" ;; esac
}
# archive_program NAME VARIABLE VALUE CACHED: prints the program and ends if there is one for which runs() is true: what VALUE
# names (or else give_up), NAME in PATH, the cached one.
archive_program()
{
	if [ -n "$3" ]; then
		archive_found=$(command -v "$3" || :)
		why="$2=$3 can't be run"
		[ -n "$archive_found" ] && runs "$archive_found" || give_up
		echo "$archive_found"
		exit 0
	fi
	for archive_found in "$(command -v "$1" || :)" "$4"; do
		if [ -n "$archive_found" ] && runs "$archive_found"; then
			echo "$archive_found"
			exit 0
		fi
	done
}
# archive_open TMP: for apt and get, below the directory TMP, which goes when the script ends. Debian 11's packages: the machine's
# apt.conf (proxies and the like) holds; lists, state and sources are private. TMP is ours alone, hence no download as another user.
archive_open()
{
	archive_tmp=$1
	trap 'rm -rf "$archive_tmp"' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	mkdir -p "$archive_tmp/state/lists/partial" "$archive_tmp/cache/archives/partial"
	: >"$archive_tmp/state/status"
	echo "deb [arch=$arch signed-by=$keyring] $site bullseye main" >"$archive_tmp/sources.list"
}
apt()
{
	apt-get -q -o Dir::State="$archive_tmp/state" -o Dir::State::status="$archive_tmp/state/status" \
		-o Dir::Cache="$archive_tmp/cache" -o Dir::Etc::sourcelist="$archive_tmp/sources.list" -o Dir::Etc::sourceparts=- \
		-o APT::Sandbox::User=root -o Acquire::Languages=none \
		-o Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false -o Dpkg::Use-Pty=0 "$@" >>"$archive_tmp/log" 2>&1
}
# get PACKAGE DIRECTORY: unpacked there; its file stays in TMP.
get()
{
	(cd "$archive_tmp" && apt download "$1" && dpkg -x "$1"_*.deb "$2")
}
# depends PACKAGE: the libraries' packages that a fetched one depends on.
depends()
{
	dpkg -f "$archive_tmp/$1"_*.deb Depends | tr ',' '\n' | sed 's/^ *//;s/[ |(].*//;s/:.*//' | grep '^lib' || :
}
# archive_failed WHY: what apt said, and give_up.
archive_failed()
{
	grep -E '^(E|W|Err)' "$archive_tmp/log" | head -n 5 >&2
	why=$1
	give_up
}
