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
echo "==> making ready what the demo needs, and c4d"
. tests/tools/ready.sh
exec /usr/bin/python3 tests/tools/demo.py $keep
