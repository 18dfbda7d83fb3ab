#!/bin/bash
# ready.sh, to be sourced at the top of the tree: what a long run needs: the packages, Consul, and c4d ($C4D, else it is built).

tests/tools/deps.sh build test
C4D_LAB_CONSUL=$(tests/tools/consul.sh)
export C4D_LAB_CONSUL
[ -n "${C4D:-}" ] || make --no-print-directory -j"$(nproc)" all
export PYTHONDONTWRITEBYTECODE=1
