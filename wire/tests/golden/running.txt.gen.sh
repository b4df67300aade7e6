#!/bin/sh
# Writes running.txt: every line of slot.md 5.4 for a trial; digests are those of one letter, from
# sha256sum(1).
set -eu
cd "$(dirname "$0")"
digest() { printf '%s' "$1" | sha256sum | cut -d' ' -f1; }
cat > running.txt <<END
smechvisor-boot 1
slot b
product smv-x86_64
version 2026.11.3
counter 417
digest $(digest c)
hash $(digest a)
trial 1
left 2
fell 0
disk /dev/nvme0n1
watchdog /dev/watchdog0
end
END
