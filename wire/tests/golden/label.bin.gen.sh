#!/bin/sh
# Writes label.bin: the label of slot.md 3, its text and the zeros behind it.
set -eu
cd "$(dirname "$0")"
digest=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
cat > label.bin <<END
smechvisor-slot-label 1
state complete
digest $digest
counter 417
image 67108864
next 64
end
END
truncate -s 4096 label.bin
