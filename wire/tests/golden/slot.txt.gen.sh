#!/bin/sh
# Writes slot.txt: every line of slot.md 5.1 for a root of 129 blocks behind a head of 8 MiB. Its
# tree has two blocks of hashes and one above them. Digests are those of one letter, from
# sha256sum(1).
set -eu
cd "$(dirname "$0")"
digest() { printf '%s' "$1" | sha256sum | cut -d' ' -f1; }
cat > slot.txt <<END
smechvisor-slot 1
product smv-x86_64
version 2026.11.3
counter 417
root $((8 << 20)) $((129 * 4096))
tree $(((8 << 20) + 129 * 4096)) $((3 * 4096))
hash $(digest a)
salt $(digest b)
end
END
