# Part of ./bench: a release from a web server with TLS. Sourced, not run.
#
# nginx serves a Debian as zst, on the loopback of a network namespace of its own. We fetch its
# chunks, verify each and give them to the decoder; the peer is curl, whose output goes to the same
# decoder unverified. Beside the time stands that of the processor, with the server's left out: a
# busy neighbour disturbs it less.

bench_https() {
    local tool
    for tool in nginx openssl curl; do command -v $tool >/dev/null || fail "https needs $tool"; done
    say "https: a Debian from nginx, $rounds rounds"
    packages=$(systems/build debian --format zst) inside https
}

# authority: one that vouches for localhost.
authority() {
    local key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
    openssl req -x509 "${key[@]}" -keyout "$scratch/ca.key" -out "$scratch/ca.pem" -days 2 \
        -subj /CN=authority -addext keyUsage=critical,keyCertSign
    openssl req "${key[@]}" -keyout "$scratch/server.key" -out "$scratch/server.csr" -subj /CN=server
    openssl x509 -req -in "$scratch/server.csr" -CA "$scratch/ca.pem" -CAkey "$scratch/ca.key" \
        -CAcreateserial -days 2 -extfile <(echo subjectAltName=DNS:localhost) -out "$scratch/server.pem"
}

serve_https() {
    local nginx
    cat >"$scratch/nginx.conf" <<END
user root; daemon off; pid $scratch/nginx.pid; error_log $scratch/nginx.log; events { }
http {
    access_log off; sendfile on; client_body_temp_path $scratch/t1; proxy_temp_path $scratch/t2;
    fastcgi_temp_path $scratch/t3; uwsgi_temp_path $scratch/t4; scgi_temp_path $scratch/t5;
    server {
        listen 127.0.0.1:$port ssl; server_name localhost; root $scratch/served;
        ssl_certificate $scratch/server.pem; ssl_certificate_key $scratch/server.key;
    }
}
END
    nginx -c "$scratch/nginx.conf" 2>/dev/null &
    nginx=$!
    running[$nginx]=1
    until_true is_listening
}

# side NAME COMMAND...: one run, and what it took of time and of the processor.
side() {
    local name=$1 wall user system
    shift
    { TIMEFORMAT='%3R %3U %3S'; time "$@" 2>"$scratch/said"; } 2>"$scratch/took" || fail "$name: $(tail -n 3 "$scratch/said")"
    read -r wall user system <"$scratch/took"
    echo "https=$name us=$((10#${wall/./} * 1000)) cpu_us=$(((10#${user/./} + 10#${system/./}) * 1000))"
}

by_us() { "$programs/https" "https://localhost:$port/" "$scratch/ca.pem"; }
by_curl() {
    curl --silent --show-error --fail --cacert "$scratch/ca.pem" "https://localhost:$port/$package" | "$programs/https"
}

inside_https() {
    local round package=smechvisor-base.tar.zst
    ip link set lo up
    mkfifo "$scratch/never"
    mkdir "$scratch/served"
    cp "$packages/$package" "$scratch/served/"
    "$programs/spk-visor" manifest create "$scratch/served" --version 1 --counter 1 >&2
    authority 2>/dev/null
    serve_https
    # From memory, and each once for nothing.
    by_us && by_curl
    for ((round = 1; round <= rounds; round++)); do
        side ours by_us
        side curl by_curl
    done >"$scratch/https"
    cat "$scratch/https" >&2
    rows https <"$scratch/https"
}
