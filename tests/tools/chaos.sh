#!/bin/bash
# chaos.sh: the proof: real calls through a platform that changes and fails (tests/chaos/README).
# RUN=1,3 SHORT=1 SEED=n CONSUL_TEMPLATE=/path C4D=/path/to/c4d (else it is built). Its records are in build/chaos.
set -eu
cd "$(dirname "$0")/../.."
. tests/tools/ready.sh
exec /usr/bin/python3 tests/chaos/main.py "$@"
