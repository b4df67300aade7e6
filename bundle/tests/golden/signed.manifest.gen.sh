#!/bin/sh
# Writes signed.manifest and everything beside it with coreutils, Python and minisign(1). The key is new each time and thrown away.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
digest() { sha256sum "$1" | cut -d' ' -f1; }
unhex() { python3 -c 'import sys; sys.stdout.buffer.write(bytes.fromhex(sys.stdin.read()))'; }
# name size: so many letters a, in chunks of 64 KiB
line() {
    head -c "$2" /dev/zero | tr '\0' a > "$work/data"
    split -b 65536 "$work/data" "$work/chunk."
    sha256sum "$work"/chunk.* | cut -d' ' -f1 | unhex > "$work/list"
    rm "$work"/chunk.*
    cat "$work/list" >> signed.manifest.chunks
    printf 'file %s %s 10240 3 65536 %s %s\n' "$(digest "$work/data")" "$2" "$(digest "$work/list")" "$1"
}
: > signed.manifest.chunks
{
    printf 'smechvisor-manifest 1\nrole os\nproduct smv-x86_64\nversion 2026.11.3\ncounter 417\nkeyset 3\ncreated 2026-11-20T00:00:00Z\n'
    line smechvisor-base.tar.xz 131073
    line bootloader-grub.tar.xz 65536
    printf 'end 2\n'
} > signed.manifest
minisign -G -W -f -p signed.manifest.pub -s "$work/key" > "$work/log"
minisign -S -s "$work/key" -m signed.manifest -x signed.manifest.minisig -t 'release 417' > "$work/log"
minisign -S -l -s "$work/key" -m signed.manifest -x signed.manifest.old > "$work/log"
