#!/bin/sh
# archive.sh, to be sourced: where this machine's apt gets Debian from.
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
