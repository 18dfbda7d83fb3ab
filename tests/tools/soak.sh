#!/bin/bash
# soak.sh: 30 minutes (MINUTES) at 50 changes a second: c4d's memory and open files must not grow (soak.py says how).
# C4D=/path/to/c4d: this binary, else it is built.
set -eu
cd "$(dirname "$0")/../.."
. tests/tools/ready.sh
exec /usr/bin/python3 tests/tools/soak.py --minutes "${MINUTES:-30}" "$@"
