#!/bin/sh
# Writes manifest.txt: every kind of line of protocol.md 4.1; digests are those of nothing and of one letter, from sha256sum(1).
set -eu
cd "$(dirname "$0")"
digest() { printf '%s' "$1" | sha256sum | cut -d' ' -f1; }
cat > manifest.txt <<END
smechvisor-manifest 1
role os
product smv-x86_64
version 2026.11.3
counter 417
keyset 3
created 2026-11-20T00:00:00Z
file $(digest a) 1048577 7000064 23 1048576 $(digest b) smechvisor-base.tar.xz
file $(digest '') 1 0 0 65536 $(digest c) bootloader-grub.tar.xz
live 262144 running
end 3
END
