# Part of ./bench: what it costs to apply a site. Sourced, not run.
#
# Both sides unpack the same archive onto the same file system, and both are over when all of it is
# on the medium: theirs by syncfs(2) of that file system, as coreutils' `sync -f` does it, ours by the
# same call and three commits of names. Ours verifies the signature, each chunk and each file on the
# way. A root of its own, for content has fixed paths: in it are spk-visor, its keys, /proc
# and /dev/null.

bench_content() {
    say "content: a site of 10,000 files, $rounds rounds"
    measured content env BENCH_INSIDE=1 unshare --mount --fork --kill-child "$top/bench" content
}

# ten_thousand_files DIR: 4 KiB to 20 KiB each, in a hundred directories, half of it compressible.
ten_thousand_files() {
    local dir file
    for ((dir = 0; dir < 100; dir++)); do
        mkdir -p "$1/$dir"
        for ((file = 0; file < 100; file++)); do
            {
                head -c $((2048 + (dir * 100 + file) * 7919 % 8192)) /dev/urandom | base64 -w 100
            } >"$1/$dir/$file.html"
        done
    done
}

inside_content() {
    local root=$scratch/root round began
    mkdir -p "$root"/{proc,dev,usr/lib/smechvisor,var/lib,tmp}
    mount -t proc proc "$root/proc"
    mknod -m 666 "$root/dev/null" c 1 3 # the decoder is started with it
    cp "$programs/spk-visor" "$root/spk-visor"
    minisign -G -W -f -p "$scratch/key.pub" -s "$scratch/key" >/dev/null
    cp "$scratch/key.pub" "$root/usr/lib/smechvisor/trust"
    ten_thousand_files "$scratch/site"
    for ((round = 1; round <= rounds; round++)); do
        "$programs/spk-visor" bundle create "$root/www.smv" "$scratch/site" --role site \
            --counter "$round" --key "$scratch/key" >/dev/null
        # The archive alone, from the same bytes.
        [ -f "$scratch/site.tar.zst" ] || tar -C "$scratch/site" --sort=name -c . | zstd -q -12 -o "$scratch/site.tar.zst"
        sync
        began=$(now)
        chroot "$root" /spk-visor bundle apply /www.smv >/dev/null
        echo "content=ours us=$(($(now) - began))"
        rm -rf "$scratch/theirs"
        mkdir "$scratch/theirs"
        sync
        began=$(now)
        tar -C "$scratch/theirs" --zstd -xf "$scratch/site.tar.zst"
        sync -f "$scratch/theirs"
        echo "content=tar us=$(($(now) - began))"
    done
    umount "$root/proc"
}
