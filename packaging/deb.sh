#!/bin/sh
# deb.sh [VERSION]: `make deb`. Builds the package in a clean copy under build/deb (packaging/debian is its debian/) and leaves
# build/c4d_*.deb. VERSION: instead of the changelog's, for a test of upgrades.
set -eu
cd "$(dirname "$0")/.."
version=$(sed -n 's/^VERSION *:= *//p' Makefile)
named=$(sed -n '1s/.*(\(.*\)).*/\1/p' packaging/debian/changelog)
[ "$version" = "$named" ] || { echo "deb: Makefile says $version, packaging/debian/changelog $named" >&2; exit 1; }
if ! command -v dh >/dev/null || ! command -v dpkg-buildpackage >/dev/null; then
	tests/tools/deps.sh package
fi
out=${OUT:-build}
tree=${B:-build/deb}/c4d-$version
rm -rf "$tree"
mkdir -p "$tree" "$out"
tar -cf - --exclude='*.pyc' --exclude=__pycache__ LICENSE Makefile README.md conf include packaging src tests |
	tar -xf - -C "$tree"
mv "$tree/packaging/debian" "$tree/debian"
if [ -n "${1:-}" ]; then
	sed -i "1s/(.*)/($1)/" "$tree/debian/changelog"
	version=$1
fi
if ! (cd "$tree" && env -u B -u MAKEFLAGS -u MAKELEVEL -u MFLAGS DEB_BUILD_OPTIONS="parallel=$(nproc) ${DEB_BUILD_OPTIONS:-}" \
	dpkg-buildpackage -us -uc -b) >"$tree.log" 2>&1; then
	grep -vE "^(cc|gcc) " "$tree.log" | tail -n 25 >&2
	echo "deb: the build failed (all of it: $tree.log)" >&2
	exit 1
fi
for f in "$tree"/../c4d*_"$version"_*; do
	mv "$f" "$out/"
	case $f in *.deb) echo "$out/${f##*/}" ;; esac
done
