"""A target written from protocol.md 1, 2 and 4.4 alone; it shares no code with the crate.

usage: target.py BEACON_PORT CODE VERDICT

Listens on a free port and prints it, broadcasts CODE on the loopback network when BEACON_PORT is not 0, takes one donor,
prints a line `NAME LENGTH SHA256` for each package, checks them when a manifest comes first, and closes as protocol.md 2.4 lists it. VERDICT is one of

    install   FIN after the terminator           leave     FIN behind the first package's header
    fail      RST after the terminator           refuse    RST behind the first package's header
    hasty     FIN when the terminator is read,   talk      one byte behind the first package's header, then as install
              before the donor has closed
"""

import hashlib
import re
import socket
import struct
import sys
import threading

import smv2


def exactly(donor, length):
    parts = []
    while length > 0:
        part = donor.recv(min(length, 1 << 20))
        if not part:
            sys.exit("the donor ended without a terminator")
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def beacons(port, code, is_over):
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    while True:
        sender.sendto(b"SMECHVISOR_SHIM:" + code.encode(), ("127.255.255.255", port))
        if is_over.wait(1):
            return


def check(deploy, name, data):
    """As if its chunks had come one by one; `take` prints the line when the last one is right."""
    file, _ = deploy.next
    if deploy.files[file][0] != name:
        sys.exit(f"{name} instead of {deploy.files[file][0]}")
    count = len(deploy.hashes[file])
    size = deploy.chunk_size(file)
    for chunk in range(count):
        part = data[chunk * size : (chunk + 1) * size if chunk + 1 < count else None]
        deploy.take(struct.pack(">HIB", file, chunk, int(chunk + 1 == count)) + part)


def serve(donor, verdict):
    names, records, deploy = set(), {}, None
    while True:
        (length,) = struct.unpack(">I", exactly(donor, 4))
        if length == 0:
            break
        if length > 255:
            sys.exit(f"name length {length}")
        name = exactly(donor, length).decode("ascii")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", name) or name in names:
            sys.exit(f"name {name!r}")
        names.add(name)
        (length,) = struct.unpack(">Q", exactly(donor, 8))
        if not 1 <= length <= 1 << 40:
            sys.exit(f"data length {length}")
        if verdict in ("leave", "refuse"):
            return
        if verdict == "talk":
            donor.sendall(b"?")
        data = exactly(donor, length)
        if name.startswith("MANIFEST"):
            records[name] = data
        elif "MANIFEST" in records:
            deploy = deploy or smv2.Deploy(records["MANIFEST"], records["MANIFEST.chunks"])
            check(deploy, name, data)
        else:
            print(name, length, hashlib.sha256(data).hexdigest(), flush=True)
    if records and not (deploy and deploy.is_over()):
        sys.exit("the manifest lists more")
    if verdict != "hasty" and donor.recv(1) != b"":
        sys.exit("bytes after the terminator")


def main():
    beacon_port, code, verdict = sys.argv[1:]
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(20)
    print(listener.getsockname()[1], flush=True)
    is_over = threading.Event()
    if beacon_port != "0":
        threading.Thread(target=beacons, args=(int(beacon_port), code, is_over), daemon=True).start()
    donor, _ = listener.accept()
    is_over.set()
    donor.settimeout(20)
    try:
        serve(donor, verdict)
    except ConnectionError:
        sys.exit("the donor reset the connection")
    if verdict == "leave":
        # Closing with unread bytes would be a reset.
        donor.shutdown(socket.SHUT_WR)
        try:
            while donor.recv(1 << 20):
                pass
        except ConnectionError:
            pass
    if verdict in ("fail", "refuse"):
        donor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    donor.close()


main()
