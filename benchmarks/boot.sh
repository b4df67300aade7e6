# Part of ./bench: what our init adds to the time a kernel needs anyway, what each way to boot
# takes, in how much memory, and how soon a slot starts its system. Sourced, not run.
#
# About the first: one machine in QEMU, one kernel, one command line; the initramfs differs in /init
# alone. The clock is the host's, between two lines on the serial port: the first the kernel writes
# at all, and the first of the init.

boot_rounds=5
boot_deadline_seconds=180

# boot INITRAMFS TEXT: one boot; the microseconds from the first line to the first with TEXT in
# `took`.
boot() {
    local line first='' qemu began=$SECONDS
    took=''
    truncate -s 4G "$scratch/boot-disk"
    rm -f "$scratch/serial"
    mkfifo "$scratch/serial"
    # A static address and a network of QEMU's own that leads nowhere: neither a DHCP server nor its
    # absence is counted.
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
    local round kernel accel took text=
    kernel=$(kernel-config/build)
    # Everywhere alike: a /dev/kvm inside a virtual machine may exist and not work.
    accel=(-accel tcg,thread=multi -cpu qemu64)
    make_initramfs "$programs/init" "$scratch/initramfs.ours"
    make_initramfs "$programs/nothing" "$scratch/initramfs.nothing"
    for ((round = 1; round <= boot_rounds; round++)); do
        boot "$scratch/initramfs.nothing" 'nothing: started'
        text+="boot=nothing us=$took"$'\n'
        say "boot: round $round: nothing $(ms "$took")"
        boot "$scratch/initramfs.ours" 'smv waiting: '
        text+="boot=ours us=$took"$'\n'
        say "boot: round $round: ours $(ms "$took")"
    done
    rows boot <<<"$text"
}

# Machines, networks and media are those of the scenarios; a clock runs from QEMU's first
# instruction to the first beacon that arrives on the donor's side of the network. DHCP is in it, on
# both sides of every ratio.
bench_ways() {
    say "ways: power on to the beacon, $rounds rounds"
    measured ways measure ways --rounds "$rounds" --accel tcg
}

measure() { cargo run --locked --quiet --release -p qemu -- measure "$@"; }

bench_smallest() {
    say "smallest: bisecting the memory of a machine"
    measured smallest measure memory --accel tcg
}

# One tree of files as a slot and as a plain ext4, one kernel. Its /sbin/init says that it runs.
bench_starts() {
    say "starts: kernel entry to /sbin/init, $boot_rounds rounds"
    measured starts measure starts --rounds "$boot_rounds" --accel tcg
}
