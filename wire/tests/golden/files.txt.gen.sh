#!/bin/sh
# Writes files.txt: the list of bundles.md 2 for five files. Digests and lengths are those of the
# texts, from sha256sum(1) and wc(1).
set -eu
cd "$(dirname "$0")"
line() {
    printf '%s %s %s %s\n' "$(printf '%s' "$1" | sha256sum | cut -d' ' -f1)" \
        "$(printf '%s' "$1" | wc -c)" "$2" "$3"
}
{
    echo 'smechvisor-files 1'
    line 'home' 644 a/b/index.html
    line '' 644 a/c
    line '#!/bin/sh' 755 a-b
    line 'a/c' link a.link
    line 'two' 644 'ä name with blanks'
    echo 'end 5'
} > files.txt
