# Part of ./bench: what the wizard costs. Sourced, not run.
#
# Time: machines in QEMU that differ in one word of the kernel command line. Bytes: a second init,
# linked from the same library, whose `main` hands in no wizard, so that the linker leaves it out:
# there is no recorded number to compare with. Processor: the kernel's own account of the thread
# that draws, on a terminal that is larger than most, while a deploy runs as fast as it can.

bench_wizard() {
    say "wizard: power on to the beacon, $rounds rounds"
    measured screens screens
    inside wizard
}

screens() {
    measure screens --rounds "$rounds" --accel tcg
    stat -c 'init=with bytes=%s' "$programs/init"
    stat -c 'init=without bytes=%s' "$programs/init_without_wizard"
}

# ticks_of PID: what the thread that draws has used of a processor until the disk is complete,
# proc_pid_stat(5), in `ticks`.
ticks_of() {
    local task fields
    until grep -q '^smv installed: ' "$scratch/receiver" || [ ! -d "/proc/$1" ]; do
        for task in "/proc/$1"/task/*; do
            # Gone between two looks.
            [ "$(cat "$task/comm" 2>/dev/null)" = wizard ] || continue
            read -ra fields 2>/dev/null <"$task/stat" || continue
            ticks=$((fields[13] + fields[14]))
        done
        pause 0.05
    done
}

# on_a_terminal COMMAND...: runs it on a pseudo terminal of 132 by 50 until it ends; its process id
# in `shown`.
on_a_terminal() {
    local words
    printf -v words '%q ' "$@"
    rm -f "$scratch/pid"
    : >"$scratch/receiver"
    script --quiet --return --command "stty columns 132 rows 50; echo \$\$ >$scratch/pid; exec $words 2>$scratch/receiver" \
        "$scratch/typescript" <>"$scratch/never" >/dev/null &
    terminal=$!
    running[$terminal]=1
    until_true [ -s "$scratch/pid" ]
    shown=$(<"$scratch/pid")
}

inside_wizard() {
    local began took donor terminal shown ticks hertz round text=
    inside_prepare
    hertz=$(getconf CLK_TCK)
    for ((round = 1; round <= rounds; round++)); do
        fresh_image
        ticks=
        on_a_terminal "$programs/spk-visor" receive-deploy --ui --disk "$scratch/disk" --legacy
        until_true grep -q '^smv waiting: ' "$scratch/receiver"
        began=$(now)
        "$programs/spk-visor" deploy-system-img-copy "$(sed -n 's/^smv waiting: code=\([a-z0-9]*\).*/\1/p' "$scratch/receiver")" \
            --legacy --to 127.0.0.1 --packages "$zst" >"$scratch/donor" 2>&1 &
        donor=$!
        running[$donor]=1
        ticks_of "$shown"
        took=$(($(now) - began))
        # The last screen stays until a person has seen it.
        printf '\r' >"$scratch/never"
        ended "$donor" || fail "the donor failed: $(tail -n 3 "$scratch/donor")"
        ended "$terminal" || fail "the receiver failed: $(tail -n 3 "$scratch/receiver")"
        [ -n "$ticks" ] || fail "the receiver had no thread named wizard"
        say "wizard: round $round: $ticks of $hertz ticks a second in $(ms "$took")"
        text+="drawing=$ticks hertz=$hertz us=$took"$'\n'
    done
    rows drawing <<<"$text"
}
