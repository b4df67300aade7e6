#!/bin/sh
# Writes channel.txt: entries of protocol.md 4.7, two of one role.
set -eu
cd "$(dirname "$0")"
cat > channel.txt <<END
smechvisor-channel 1
os smv-x86_64 417 2026.11.20/MANIFEST
daemon smechvisord 18446744073709551615 smechvisord.smv
site docs 0 a/b/MANIFEST
site www 1763596800 www-1763596800/MANIFEST
end
END
