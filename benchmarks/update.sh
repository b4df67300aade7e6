# Part of ./bench: what an update of a node with two slots costs. Sourced, not run.
#
# The node is a directory that spk-visor is shut into (chroot): dev/vda is the image file of a disk that
# receive-deploy has made, run/smv/boot says what slot-init would have written. Each round begins with the disk as it
# was deployed. The slot that runs holds the other system, which has no chunk in common with the one that is taken;
# where only the kernel changes it holds the same system. The peers move the same image on the same file system.

image=smechvisor-system.img

bench_update() {
    local releases=$scratch/releases kernel system tool
    for tool in minisign openssl; do command -v $tool >/dev/null || fail "update needs $tool"; done
    say "update: slot images of the demo and of Debian"
    minisign -GWf -p "$scratch/release.pub" -s "$scratch/release.key" >/dev/null
    mkdir "$releases"
    cp "$scratch/release.pub" "$releases/"
    kernel=$(kernel-config/build)
    other_kernel "$kernel" "$scratch/demo"
    tar --zstd -xOf "$(systems/build debian --format zst)/smechvisor-base.tar.zst" --wildcards './boot/vmlinuz-*' >"$scratch/vmlinuz"
    other_kernel "$scratch/vmlinuz" "$scratch/debian"
    for system in demo debian; do
        release "$system" "$system" 1
        release "$system-kernel" "$system" 2 --kernel "$scratch/$system/bzImage"
    done
    releases=$releases inside update
}

# other_kernel BZIMAGE DIR: a kernel of the same length, of which every byte behind its setup code is another one, as
# of a release that changes only the kernel. It is never started. The setup's length: Linux
# Documentation/arch/x86/boot.rst, field setup_sects at 0x1f1.
other_kernel() {
    local setup
    setup=$((($(od -An -tu1 -j 497 -N 1 "$1") + 1) * 512))
    mkdir "$2"
    find "$(dirname "$1")" -maxdepth 1 -name 'modules.*' -exec cp {} "$2/" \;
    { head -c "$setup" "$1"; tail -c "+$((setup + 1))" "$1" | LC_ALL=C tr '\000-\377' '\001-\377\000'; } >"$2/bzImage"
}

# release NAME SYSTEM COUNTER [OPTION...]: a signed release below $releases, and its image as zst beside it.
release() {
    local name=$1 system=$2 counter=$3
    shift 3
    systems/slot "$system" "$releases/$name" --version "$counter" --counter "$counter" "$@" >/dev/null
    "$programs/spk-visor" manifest create "$releases/$name" --version "$counter" --counter "$counter" >&2
    minisign -S -s "$scratch/release.key" -m "$releases/$name/MANIFEST" >/dev/null
    zstd -q -T0 -10 "$releases/$name/$image" -o "$releases/$name.zst"
}

# deployed RELEASE: the disk of a node that runs it, from slot A.
deployed() {
    local receiver donor
    truncate -s "$disk_bytes" "$scratch/$1.disk"
    : >"$scratch/receiver"
    "$programs/spk-visor" receive-deploy --disk "$scratch/$1.disk" --layout ab --slot 1G --swap none --once \
        --trust "$releases/release.pub" 2>"$scratch/receiver" &
    receiver=$!
    running[$receiver]=1
    until_true grep -q '^ *secret ' "$scratch/receiver"
    sed -n 's/^ *secret  *\([0-9A-Z-]*\).*/\1/p' "$scratch/receiver" >"$scratch/secret"
    "$programs/spk-visor" deploy-system-img-copy "$(sed -n 's/^smv waiting: code=\([a-z0-9]*\).*/\1/p' "$scratch/receiver")" \
        --secret-file "$scratch/secret" --to 127.0.0.1 --packages "$releases/$1" >"$scratch/donor" 2>&1 &
    donor=$!
    running[$donor]=1
    ended "$donor" || fail "the donor failed: $(tail -n 3 "$scratch/donor")"
    ended "$receiver" || fail "the receiver failed: $(tail -n 3 "$scratch/receiver")"
}

# node_with RELEASE: the node runs it again, and nothing else has happened.
node_with() {
    local digest
    rm -rf "$node/var/lib/smv" "$node/dev/vda"
    cp --sparse=always "$scratch/$1.disk" "$node/dev/vda"
    digest=$(sha256sum <"$releases/$1/MANIFEST")
    # Fields: docs/slot.md 5.4. The hash of the root is for slot-init alone.
    printf '%s\n' "smechvisor-boot 1" "slot a" "product smv-x86_64" "version 1" "counter 1" "digest ${digest%% *}" \
        "hash ${digest%% *}" "trial 0" "left 0" "fell 0" "disk /dev/vda" "watchdog -" "end" >"$node/run/smv/boot"
    sync
}

on_node() { chroot "$node" /usr/bin/spk-visor "$@" >>"$scratch/node.log" || fail "$*: $(tail -n 3 "$scratch/node.log")"; }

# takes RELEASE: the image goes to the other slot, is read back, and armed; its microseconds in `took`.
takes() {
    local began
    : >"$scratch/node.log"
    began=$(now)
    on_node update "/srv/$1" --json
    on_node activate --without-watchdog --json
    took=$(($(now) - began))
}

# written RELEASE, read_back RELEASE: the peers.
written() {
    local began
    rm -f "$scratch/peer"
    truncate -s 1G "$scratch/peer"
    sync
    began=$(now)
    zstd -dc "$releases/$1.zst" | dd of="$scratch/peer" bs=1M iflag=fullblock conv=notrunc,fsync status=none
    took=$(($(now) - began))
}
read_back() {
    local began
    # As the node does it: nothing is answered from memory, and what is read is hashed, by the processor's own
    # instructions where it has them (sha256sum does not use them).
    dd of="$scratch/peer" oflag=nocache conv=notrunc,fdatasync count=0 status=none
    began=$(now)
    head -c "$(stat -c %s "$releases/$1/$image")" "$scratch/peer" | openssl dgst -sha256 >/dev/null
    took=$(($(now) - began))
}

# number_of KEY: in the event that ends an update (docs/update.md 2.3).
number_of() { sed -n "/\"event\":\"staged\"/s/.*\"$1\":\\([0-9]*\\).*/\\1/p" "$scratch/node.log"; }

inside_update() {
    local round node=$scratch/node text= release
    ip link set lo up
    mkfifo "$scratch/never"
    mkdir -p "$node"/{dev,run/smv,usr/bin,usr/lib/smechvisor,var/lib}
    cp "$programs/spk-visor" "$node/usr/bin/"
    sed -n '/^RW/p' "$releases/release.pub" >"$node/usr/lib/smechvisor/trust"
    cp -r "$releases" "$node/srv"
    for release in demo debian; do deployed "$release"; done
    # From memory, as a medium that is faster than the disk.
    cat "$releases"/*.zst "$node"/srv/*/* >/dev/null
    for ((round = 1; round <= rounds; round++)); do
        for release in demo debian; do
            if [ $release = demo ]; then node_with debian; else node_with demo; fi
            run "$release" takes "$release"
            run "$release-written" written "$release"
            run "$release-read" read_back "$release"
        done
    done
    for release in demo debian; do
        node_with "$release"
        takes "$release-kernel"
        text+="system=$release fetched=$(number_of fetched) reused=$(number_of reused)"
        text+=" image=$(stat -c %s "$releases/$release-kernel/$image")"$'\n'
    done
    rows update <<<"$text"
}
