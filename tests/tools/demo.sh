#!/bin/bash
# demo.sh [KEEP]: the whole of c4d on this machine's loopback: Consul, an SBC, routers, calls (see demo.py).
# Anything but empty or 0 as KEEP leaves all of it running.
set -eu
cd "$(dirname "$0")/../.."
keep=
case ${1:-} in
'' | 0 | no) ;;
*) keep=--keep ;;
esac
echo "==> looking for what the demo needs"
tests/tools/deps.sh build test
C4D_LAB_CONSUL=$(tests/tools/consul.sh)
export C4D_LAB_CONSUL
if [ -z "${C4D:-}" ]; then
	echo "==> building c4d"
	make --no-print-directory -j"$(nproc)" all
fi
export PYTHONDONTWRITEBYTECODE=1
exec /usr/bin/python3 tests/tools/demo.py $keep
