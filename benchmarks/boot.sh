# Part of ./bench: what our init adds to the time a kernel needs anyway, what each way to boot takes, and in how much
# memory. Sourced, not run.
#
# About the first: one machine in QEMU, one kernel, one command line; the initramfs differs in /init alone. The clock is the host's, between
# two lines on the serial port: the first the kernel writes at all, and the first of the init.

boot_rounds=5
boot_deadline_seconds=180

# boot INITRAMFS TEXT: one boot; the microseconds from the first line to the first with TEXT in `took`.
boot() {
    local line first='' qemu began=$SECONDS
    took=''
    truncate -s 4G "$scratch/boot-disk"
    rm -f "$scratch/serial"
    mkfifo "$scratch/serial"
    # A static address and a network of QEMU's own that leads nowhere: neither a DHCP server nor its absence is counted.
    qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot -machine q35 -smp 2 -m 512M "${accel[@]}" \
        -device virtio-rng-pci \
        -drive "file=$scratch/boot-disk,format=raw,if=none,id=disk" -device virtio-blk-pci,drive=disk \
        -netdev user,id=net,restrict=on -device virtio-net-pci,netdev=net,romfile= \
        -kernel "$kernel" -initrd "$1" \
        -append 'earlyprintk=serial,ttyS0,115200 console=ttyS0,115200 printk.devkmsg=on smv.policy=legacy smv.ip=10.9.0.15/24' \
        -serial stdio </dev/null >"$scratch/serial" 2>"$scratch/qemu" &
    qemu=$!
    running[$qemu]=1
    : >"$scratch/console"
    while IFS= read -rt $boot_deadline_seconds line; do
        echo "$line" >>"$scratch/console"
        [ -n "$first" ] || first=$(now)
        if [[ $line == *"$2"* ]]; then
            took=$(($(now) - first))
            break
        fi
        [ $((SECONDS - began)) -lt $boot_deadline_seconds ] || break
    done <"$scratch/serial"
    kill "$qemu" 2>/dev/null || true
    ended "$qemu" || true
    [ -n "$took" ] || fail "no '$2' on the console within $boot_deadline_seconds s: $(tail -n 3 "$scratch/console" "$scratch/qemu")"
}

bench_boot() {
    local round kernel accel ours=() nothing=() took
    kernel=$(kernel-config/build)
    # Everywhere alike: a /dev/kvm inside a virtual machine may exist and not work.
    accel=(-accel tcg,thread=multi -cpu qemu64)
    make_initramfs "$programs/init" "$scratch/initramfs.ours"
    make_initramfs "$programs/nothing" "$scratch/initramfs.nothing"
    for ((round = 1; round <= boot_rounds; round++)); do
        boot "$scratch/initramfs.nothing" 'nothing: started'; nothing+=("$took")
        boot "$scratch/initramfs.ours" 'smv waiting: '; ours+=("$took")
        say "boot: round $round: nothing $(seconds "${nothing[-1]}"), ours $(seconds "${ours[-1]}")"
    done
    row "kernel entry to the code, TCG" "$(seconds "$(median "${ours[@]}")")" "$(seconds "$(median "${nothing[@]}")") empty init" \
        "$(quotient "$(median "${ours[@]}")" "$(median "${nothing[@]}")")" "<= 1.5"
}

# Machines, networks and media are those of the scenarios; a clock runs from QEMU's first instruction to the first beacon
# that arrives on the donor's side of the network. DHCP is in it, on both sides of every ratio.
bench_ways() {
    local way seconds all bare
    say "ways: power on to the beacon, $rounds rounds"
    cargo run --locked --quiet --release -p qemu -- measure ways --rounds "$rounds" --accel tcg | tee "$scratch/ways" >&2
    bare=$(of_way kernel-bios)
    for way in $(sed -n 's/^way=\([^ ]*\) .*/\1/p' "$scratch/ways" | awk '!seen[$0]++'); do
        seconds=$(of_way "$way")
        row "power on to the beacon, $way, TCG" "$seconds s" "$bare s kernel-bios" "$(quotient "$seconds" "$bare")" -
    done
}

# of_way NAME: the median of its seconds.
of_way() {
    local all
    mapfile -t all < <(sed -n "s/^way=$1 seconds=//p" "$scratch/ways")
    median "${all[@]}"
}

# The smallest of the peers' own figures that are stated at all is 512 MB (FOG).
bench_smallest() {
    local profile mib system
    say "smallest: bisecting the memory of a machine"
    cargo run --locked --quiet --release -p qemu -- measure memory --accel tcg | tee "$scratch/smallest" >&2
    while read -r profile mib system; do
        row "smallest machine that receives $system, $profile" "$mib MiB" "512 MB, FOG's statement" "$(quotient "$mib" 488)" "<= 0.25"
    done < <(sed -n 's/^memory=\([^ ]*\) mib=\([0-9]*\) system=\([^ ]*\) .*/\1 \2 \3/p' "$scratch/smallest")
}
