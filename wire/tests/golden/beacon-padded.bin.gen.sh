#!/bin/sh
# Writes beacon-padded.bin: the same beacon as a peer sends it that ends the line and pads a fixed buffer of 32 bytes.
set -eu
cd "$(dirname "$0")"
printf 'SMECHVISOR_SHIM:e13gts2\r\n\0\0\0\0\0\0\0' > beacon-padded.bin
