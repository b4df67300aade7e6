#!/bin/sh
# Writes beacon.bin: the example of protocol.md 1, from the text alone.
set -eu
cd "$(dirname "$0")"
printf 'SMECHVISOR_SHIM:e13gts2' > beacon.bin
