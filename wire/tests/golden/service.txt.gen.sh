#!/bin/sh
# Writes service.txt: every kind of line of bundles.md 3.
set -eu
cd "$(dirname "$0")"
cat > service.txt <<'END'
smechvisor-service 1
program bin/smechvisord
argument --store=/var/lib/vm
argument --name the first
user smechvisord
listen http tcp 0.0.0.0:8080
listen v6 tcp [::1]:8081
listen control unix /run/smechvisord/control.sock
ready notify
health http://127.0.0.1:8080/health
selftest --selftest
mode queue
end
END
