#!/bin/sh
# Writes small.smv and its key with coreutils, Python and minisign(1). The key is new each time and thrown away.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
digest() { sha256sum "$1" | cut -d' ' -f1; }
unhex() { python3 -c 'import sys; sys.stdout.buffer.write(bytes.fromhex(sys.stdin.read()))'; }
# name: so many letters a, which is one chunk
line() {
    digest "$work/$1" | unhex > "$work/list"
    cat "$work/list" >> "$work/MANIFEST.chunks"
    size=$(stat -c %s "$work/$1")
    printf 'file %s %s 10240 3 65536 %s %s\n' "$(digest "$work/$1")" "$size" "$(digest "$work/list")" "$1"
}
# name: a record of the stream
record() {
    printf '%08x' "${#1}" | unhex
    printf %s "$1"
    printf '%016x' "$(stat -c %s "$work/$1")" | unhex
    cat "$work/$1"
}
head -c 300 /dev/zero | tr '\0' a > "$work/smechvisor-base.tar.xz"
head -c 20 /dev/zero | tr '\0' b > "$work/bootloader-grub.tar.xz"
{
    printf 'smechvisor-manifest 1\nrole os\nproduct smv-x86_64\nversion 2026.11.3\ncounter 417\nkeyset 3\ncreated 2026-11-20T00:00:00Z\n'
    line smechvisor-base.tar.xz
    line bootloader-grub.tar.xz
    printf 'end 2\n'
} > "$work/MANIFEST"
minisign -G -W -f -p small.smv.pub -s "$work/key" > "$work/log"
minisign -S -s "$work/key" -m "$work/MANIFEST" -x "$work/MANIFEST.minisig" -t 'release 417' > "$work/log"
{
    record MANIFEST
    record MANIFEST.minisig
    record MANIFEST.chunks
    record smechvisor-base.tar.xz
    record bootloader-grub.tar.xz
    printf '00000000' | unhex
} > small.smv
