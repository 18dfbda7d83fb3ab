#!/bin/bash
# soak.sh: 30 minutes (MINUTES) at 50 changes a second: c4d's memory and open files must not grow (soak.py says how).
# C4D=/path/to/c4d: this binary, else it is built.
set -eu
cd "$(dirname "$0")/../.."
tests/tools/deps.sh build test
C4D_LAB_CONSUL=$(tests/tools/consul.sh)
export C4D_LAB_CONSUL
[ -n "${C4D:-}" ] || make --no-print-directory -j"$(nproc)" all
export PYTHONDONTWRITEBYTECODE=1
exec /usr/bin/python3 tests/tools/soak.py --minutes "${MINUTES:-30}" "$@"
