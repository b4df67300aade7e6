#!/bin/sh
# Writes stream.bin: two packages and the terminator, lengths written out by hand from protocol.md 2.
set -eu
cd "$(dirname "$0")"
{
    printf '\000\000\000\017smechvisor-base\000\000\000\000\000\000\000\004base'
    printf '\000\000\000\026bootloader-grub.tar.xz\000\000\000\000\000\000\000\005grub!'
    printf '\000\000\000\000'
} > stream.bin
