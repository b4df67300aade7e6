#!/bin/sh
# Writes ledger.txt: every kind of line of update.md 1, the two that repeat twice.
set -eu
cd "$(dirname "$0")"
digest() { printf "$1%.0s" $(seq 32); }
cat > ledger.txt <<END
smechvisor-ledger 1
current $(digest 11) 417
previous $(digest 22) 416
trial $(digest 33) 418 E7620F1842B4E81F 3
floor 00000000000000AB 7
floor E7620F1842B4E81F 417
failed $(digest 44) 415 3 health
failed $(digest ab) 18446744073709551615 0 rolled-back
rollbacks 1
end
END
