#!/bin/sh
# Writes record.bin: the example of slot.md 4, an environment block of GRUB, filled up to 1024 bytes.
set -eu
cd "$(dirname "$0")"
{
    printf '# GRUB Environment Block\n'
    printf 'smv_v=1\nsmv_good=a\nsmv_trial=b\nsmv_left=3\nsmv_fell=0\nsmv_gen=0000000042\nsmv_end=1\n'
    head -c 1024 /dev/zero | tr '\0' '#'
} | head -c 1024 > record.bin
