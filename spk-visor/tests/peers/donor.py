"""A donor written from protocol.md 1, 2 and 4.4 alone; it shares no code with the crate.

usage: donor.py BEACON_PORT STREAM_PORT CODE [--manifest] [--no-end] WORD...

Finds CODE, sends what the words say, and prints how the target closed: FIN or RST. A word is one of

    NAME=LENGTH   a package whose data repeats the bytes 0 to 250
    NAME@FILE     a package with the bytes of a file
    raw:HEX       these bytes, whatever they mean

--manifest sends MANIFEST and MANIFEST.chunks of the packages first; --no-end leaves the terminator out.
"""

import socket
import struct
import sys

import smv2


def find(port, code):
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.settimeout(20)
    listener.bind(("", port))
    print("listening", flush=True)
    while True:
        payload, (address, _) = listener.recvfrom(2048)
        if payload == b"SMECHVISOR_SHIM:" + code.encode():
            return address


def record(name, data):
    return struct.pack(">I", len(name)) + name.encode() + struct.pack(">Q", len(data)) + data


def parts(words):
    """(name, bytes) for each package, and (None, bytes) for raw ones."""
    for word in words:
        if word.startswith("raw:"):
            yield None, bytes.fromhex(word[4:])
        elif "@" in word:
            name, path = word.split("@", 1)
            with open(path, "rb") as file:
                yield name, file.read()
        else:
            name, length = word.split("=")
            length = int(length)
            yield name, (bytes(range(251)) * (length // 251 + 1))[:length]


def stream(words, has_manifest):
    files = list(parts(words))
    if has_manifest:
        cut = lambda data: [data[at : at + smv2.CHUNK] for at in range(0, len(data), smv2.CHUNK)]
        text, lists = smv2.manifest([(name, cut(data)) for name, data in files if name])
        yield record("MANIFEST", text)
        yield record("MANIFEST.chunks", lists)
    for name, data in files:
        yield record(name, data) if name else data


def main():
    flags = [word for word in sys.argv[1:] if word.startswith("--")]
    beacon_port, stream_port, code, *words = [word for word in sys.argv[1:] if not word.startswith("--")]
    address = find(int(beacon_port), code)
    target = socket.create_connection((address, int(stream_port)), timeout=20)
    try:
        for data in stream(words, "--manifest" in flags):
            target.sendall(data)
        if "--no-end" not in flags:
            target.sendall(bytes(4))
        target.shutdown(socket.SHUT_WR)
        answer = target.recv(1)
    except OSError:
        # Reset while it was sent to, or before it could be closed.
        print("RST")
        return
    print("FIN" if answer == b"" else f"answer {answer!r}")


main()
