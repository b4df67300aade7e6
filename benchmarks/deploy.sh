# Part of ./bench: a whole deploy against the shell pipeline that people use today. Sourced, not
# run.
#
# Both sides send over the loopback of a network namespace of their own, and write into an image
# file on the same file system. Both clocks stop when everything is on that file: unmounted, synced.
# Ours includes what the pipeline's user has done before: partitions, file systems, boot loader.

port=9192
disk_bytes=$((6 << 30))
# For one event; a deploy itself takes as long as it takes.
deadline_seconds=30

# inside PART: runs ./bench PART in namespaces of its own, which take mounts and loop devices along
# when they end.
inside() {
    say "$1: network and mounts of its own"
    # Others may be at work on the machine: both sides go before them.
    BENCH_INSIDE=1 nice -n -20 unshare --net --mount --fork --kill-child "$top/bench" "$1" >>"$table"
}
with_debian() {
    command -v nc >/dev/null || fail "$1 needs OpenBSD's nc (netcat-openbsd)"
    packages=$(debian_packages) inside "$1"
}
bench_deploy() { with_debian deploy; }
bench_memory() { with_debian memory; }

# until_true COMMAND...: an event nobody can be woken for (a listening socket of another program),
# looked for often.
until_true() {
    local end=$((SECONDS + deadline_seconds))
    until "$@"; do
        [ $SECONDS -lt $end ] || fail "waited $deadline_seconds s for: $*"
        pause 0.02
    done
}

# pause SECONDS: without a process.
pause() { read -rt "$1" <>"$scratch/never" || true; }

is_listening() { ss -Hltn "sport = :$port" | grep -q .; }

# Fresh, sparse, and nothing of the rounds before still on its way to the disk.
fresh_image() {
    rm -f "$scratch/disk"
    truncate -s "$disk_bytes" "$scratch/disk"
    sync
}

fresh_mount() {
    fresh_image
    mke2fs -q -t ext4 "$scratch/disk"
    sync
    mount -o loop "$scratch/disk" "$scratch/mnt"
}

# The mount is part of the time: what is not on the disk yet is not deployed.
unmount() { umount "$scratch/mnt" && sync "$scratch/disk"; }

# high_water PID: the kernel's own high-water mark, proc(5), in KiB; nothing when it has ended.
high_water() { awk '/^VmHWM:/ { print $2 }' "/proc/$1/status" 2>/dev/null; }

# peak_of PID: the high-water marks of the process and of the largest decoder that it started,
# together, in KiB in `peak`: a mark never falls, the last one read is the peak.
peak_of() {
    local kib own=0 decoder=0 child
    while kib=$(high_water "$1") && [ -n "$kib" ]; do
        own=$kib
        for child in $(cat /proc/"$1"/task/*/children 2>/dev/null); do
            kib=$(high_water "$child")
            [ "${kib:-0}" -le "$decoder" ] || decoder=$kib
        done
        pause 0.05
    done
    peak=$((own + decoder))
}

# ours PACKAGES [WATCH]: one deploy; its microseconds in `took`. WATCH is called with the receiver's
# process id; it takes processor time from the deploy, so never in a round that is timed.
ours() {
    local began receiver donor
    fresh_image
    : >"$scratch/receiver"
    "$programs/spk-visor" receive-deploy --disk "$scratch/disk" --legacy 2>"$scratch/receiver" &
    receiver=$!
    running[$receiver]=1
    until_true grep -q '^smv waiting: ' "$scratch/receiver"
    began=$(now)
    "$programs/spk-visor" deploy-system-img-copy "$(sed -n 's/^smv waiting: code=\([a-z0-9]*\).*/\1/p' "$scratch/receiver")" \
        --legacy --to 127.0.0.1 --packages "$1" >"$scratch/donor" 2>&1 &
    donor=$!
    running[$donor]=1
    [ -z "${2-}" ] || "$2" "$receiver"
    ended "$donor" || fail "the donor failed: $(tail -n 3 "$scratch/donor")"
    ended "$receiver" || fail "the receiver failed: $(tail -n 3 "$scratch/receiver")"
    sync "$scratch/disk"
    took=$(($(now) - began))
}

# theirs PACKAGE: the pipeline; its microseconds in `took`.
theirs() {
    local began receiver
    fresh_mount
    # tar is the judge: it may stop at the archive's end and let xz find nobody to give the padding
    # to.
    (set +o pipefail; nc -l 127.0.0.1 $port | xz -T0 -dc | tar -xp --numeric-owner --xattrs --xattrs-include='*' -C "$scratch/mnt") </dev/null &
    receiver=$!
    running[$receiver]=1
    until_true is_listening
    began=$(now)
    nc -N 127.0.0.1 $port <"$1"
    ended "$receiver" || fail "nc | xz | tar failed"
    unmount
    took=$(($(now) - began))
}

# One stage of our pipeline with nothing beside it.
decode_alone() {
    local began
    began=$(now)
    "$programs/decode" --alone liblzma-mt "$1" >"$scratch/alone"
    took=$(($(now) - began))
}
unpack_alone() {
    local began
    fresh_mount
    began=$(now)
    "$programs/decode" --alone unpack "$1" "$scratch/mnt" >"$scratch/alone"
    unmount
    took=$(($(now) - began))
}

# repacked PACKAGES NAME EXTENSION COMMAND...: the same trees, compressed by COMMAND and cached
# beside the systems. Prints the directory.
repacked() {
    local from=$1 dir extension=$3 package
    dir=$cache/benchmarks/$(basename "$1")-$2
    shift 3
    if [ ! -d "$dir" ]; then
        say "deploy: packing with $*"
        mkdir -p "$cache/benchmarks"
        rm -rf "$dir.new"
        mkdir "$dir.new"
        for package in "$from"/*.tar.xz; do
            xz -T0 -dc "$package" | "$@" >"$dir.new/$(basename "$package" .xz).$extension"
        done
        mv "$dir.new" "$dir"
    fi
    echo "$dir"
}

inside_prepare() {
    ip link set lo up
    mkdir "$scratch/mnt"
    mkfifo "$scratch/never"
    zst=$(repacked "$packages" zst zst zstd -q -T0 -10)
    # One block, which one processor decodes while the others do the rest.
    block=$(repacked "$packages" one-block xz xz -T1)
    # From memory, like a donor that has sent it before: the donor's disk is not what is measured.
    cat "$packages"/* "$zst"/* "$block"/* >/dev/null
}

# run NAME COMMAND...: one measurement of a round, kept as a line in `text`.
run() {
    local name=$1 took
    shift
    "$@"
    text+="run=$name us=$took"$'\n'
    say "${FUNCNAME[1]#inside_}: round $round: $name $(ms "$took")"
}

inside_deploy() {
    local round text= base=smechvisor-base.tar.xz
    inside_prepare
    xz -T0 -dc "$packages/$base" >"$scratch/plain.tar"
    for ((round = 1; round <= rounds; round++)); do
        run pipeline theirs "$packages/$base"
        run xz ours "$packages"
        run zst ours "$zst"
        run decode decode_alone "$packages/$base"
        run unpack unpack_alone "$scratch/plain.tar"
        run one-block ours "$block"
        run one-block-decode decode_alone "$block/$base"
    done
    rows deploy <<<"$text"
}

inside_memory() {
    local took peak=0 text=
    inside_prepare
    ours "$packages" peak_of
    text+="package=xz peak_kib=$peak"$'\n'
    ours "$zst" peak_of
    text+="package=zst peak_kib=$peak"$'\n'
    rows memory <<<"$text"
}
