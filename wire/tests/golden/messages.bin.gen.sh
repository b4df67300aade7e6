#!/bin/sh
# Writes messages.bin: one message of every kind, lengths written out by hand from protocol.md 3.3.
set -eu
cd "$(dirname "$0")"
digest=$(printf '%032d' 7) # 32 bytes of text, for want of a real one
{
    # 5 Manifest: 4 + 8 + 2 + 4 + 32 = 50 bytes
    printf '\005\000\000\000\062' && printf '\000\000\000\010manifest\000\004sign' && printf '%s' "$digest"
    # 6 Accept: file 1, chunk 258, asks (2), 6 GiB, 8 + 3 + 4 + 4 bytes of texts, and "ext4"
    printf '\006\000\000\000\056\000\001\000\000\001\002\002\000\000\000\001\200\000\000\000'
    printf '\000\010\000\003\000\004\000\004/dev/vdaSN7Disksataext4'
    # 7 Reject: code 2, "no disk"
    printf '\007\000\000\000\011\000\002no disk'
    # 8 Data: file 1, chunk 258, last, "bytes"
    printf '\010\000\000\000\014\000\001\000\000\001\002\001bytes'
    # 9 Progress: receiving (6), file 1, chunk 259, 2^32 received, 3 * 2^32 + 5 unpacked
    printf '\011\000\000\000\027\006\000\001\000\000\001\003\000\000\000\001\000\000\000\000\000\000\000\003\000\000\000\005'
    # 10 Log: warning, "späť" in UTF-8
    printf '\012\000\000\000\007\002sp\303\244\305\245'
    # 11 Failed: "a: b"
    printf '\013\000\000\000\004a: b'
    # 12 Installed
    printf '\014\000\000\000\040' && printf '%s' "$digest"
    # 13 Boot: reboot
    printf '\015\000\000\000\001\002'
    # 14 Consent: yes
    printf '\016\000\000\000\001\001'
    # 15 GiveUp: "no"
    printf '\017\000\000\000\002no'
} > messages.bin
