"""A donor written from protocol.md 1 and 2 alone; it shares no code with the crate.

usage: donor.py BEACON_PORT STREAM_PORT CODE NAME=LENGTH...

Finds CODE, sends packages whose data repeats the bytes 0 to 250, and prints how the target closed: FIN or RST.
"""

import socket
import struct
import sys


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


def data(length):
    return (bytes(range(251)) * (length // 251 + 1))[:length]


def main():
    beacon_port, stream_port, code, *packages = sys.argv[1:]
    address = find(int(beacon_port), code)
    target = socket.create_connection((address, int(stream_port)), timeout=20)
    try:
        for package in packages:
            name, length = package.split("=")
            target.sendall(struct.pack(">I", len(name)) + name.encode())
            target.sendall(struct.pack(">Q", int(length)) + data(int(length)))
        target.sendall(bytes(4))
        target.shutdown(socket.SHUT_WR)
        answer = target.recv(1)
    except ConnectionError:
        print("RST")
        return
    print("FIN" if answer == b"" else f"answer {answer!r}")


main()
