"""Both ends of the session of protocol.md 3 and 4, written from that document alone; it shares no code with the crate.

usage: smv2.py donor  HOST PORT CODE POLICY [BAD] PACKAGE...  NAME=LENGTH: the bytes 0 to 250, repeated; NAME@FILE: a file
       smv2.py target CODE POLICY [once|break AFTER|used]     listens on a free port and prints it; takes one deploy

BAD is one thing to do wrong: `--flip=FILE,CHUNK` changes a byte of that chunk, `--skip=FILE,CHUNK` leaves it out, `--stop=FILE,CHUNK` closes
before it, `--early=FILE,CHUNK` sends Boot before it, `--list` gives a chunk list that is none of the manifest's, `--hasty` sends the first
chunk before it has agreed to the disk, `--no` gives up instead of agreeing, `--think` says first that a person is being asked.

POLICY is `secret=9D4TX2WM`, or `pinned=OWN_PRIVATE_KEY,OTHERS_PUBLIC_KEY` in hexadecimal. `break AFTER` resets the connection after
that many chunks, once, and goes on where it was when the donor pairs again; `once` takes one connection, whatever comes of it; the disk
of a `used` one is not blank.

Prints one line per event: `paired ...`, `accept FILE CHUNK DISK`, `disk SIZE FLAGS SERIAL MODEL TRANSPORT CONTENTS`, `consent ANSWER`,
`gave up TEXT`, `reject CODE TEXT`, `progress STAGE`, `installed DIGEST`, `boot AFTER`,
`NAME LENGTH SHA256`, `broken ...`. Exit status 0: the deploy ended with Installed and Boot.
"""

import contextlib
import hashlib
import os
import socket
import struct
import sys

from crypto import Noise, Spake2, hkdf, sha256

CHUNK = 65536
MANIFEST, ACCEPT, REJECT, DATA, PROGRESS, LOG, FAILED, INSTALLED, BOOT, CONSENT, GIVE_UP = range(5, 16)
BLANK, ASKS = 1, 2
STAGES = (
    "starting network waiting accepted planned formatting receiving finishing committing installed leaving failed holding"
).split()


class Broken(Exception):
    """The connection, or what came over it."""


def exactly(peer, length):
    data = bytearray()
    while len(data) < length:
        part = peer.recv(min(length - len(data), 1 << 16))
        if not part:
            raise Broken(f"closed {length - len(data)} bytes early")
        data += part
    return bytes(data)


class Channel:
    """protocol.md 3.3: records below, messages above."""

    def __init__(self, peer, ciphers):
        self.peer, (self.sending, self.receiving) = peer, ciphers
        self.plain = bytearray()

    def send(self, kind, payload):
        data = struct.pack(">BI", kind, len(payload)) + payload
        # Records of odd sizes: where they end means nothing.
        step = 65519 if len(data) > 4096 else 3
        for at in range(0, len(data), step):
            sealed = self.sending.seal(b"", data[at : at + step])
            self.peer.sendall(struct.pack(">H", len(sealed)) + sealed)

    def exactly(self, length):
        while len(self.plain) < length:
            (size,) = struct.unpack(">H", exactly(self.peer, 2))
            if size < 17:
                raise Broken(f"a record of {size} bytes")
            self.plain += self.receiving.unseal(b"", exactly(self.peer, size))
        data = bytes(self.plain[:length])
        del self.plain[:length]
        return data

    def receive(self):
        kind, length = struct.unpack(">BI", self.exactly(5))
        if length > 4 << 20:
            raise Broken(f"a message of {length} bytes")
        return kind, self.exactly(length)


class Policy:
    """The argument that names a policy and its credential."""

    def __init__(self, text):
        name, value = text.split("=")
        self.byte = {"secret": 1, "pinned": 2}[name]
        if self.byte == 1:
            self.secret = value.encode()
        else:
            self.keys = tuple(bytes.fromhex(key) for key in value.split(","))

    def spake2(self, side, code):
        if self.byte == 1:
            return Spake2(side, b"smv2-pw" + self.secret, b"smv2 donor", b"smv2 target:" + code)
        return None

    def noise(self, is_donor, spake2, m1, m2, theirs):
        th = sha256(m1, m2)
        prologue = b"smv2" + th
        if spake2 is None:
            if theirs != bytes(33):
                raise Broken("a SPAKE2 message under pinned keys")
            return Noise("KK", is_donor, prologue, static=self.keys)
        psk = hkdf(th, spake2.key(theirs), b"smv2 noise psk", 32)
        return Noise("NNpsk0", is_donor, prologue, psk=psk)


def pair_donor(peer, code, policy):
    spake2 = policy.spake2(b"A", code)
    m1 = b"SMV2\x02\x01" + code + os.urandom(32) + (spake2.message if spake2 else bytes(33))
    peer.sendall(m1)
    fixed = exactly(peer, 41)
    length = int.from_bytes(fixed[39:41], "big")
    if fixed[:6] != b"SMV2\x02\x01" or fixed[6] != policy.byte or length > 512:
        raise Broken(f"M2 begins {fixed[:7].hex()}, info of {length}")
    rest = exactly(peer, length + 33)
    noise = policy.noise(True, spake2, m1, fixed + rest, rest[length:])
    peer.sendall(noise.write())
    noise.read(exactly(peer, 48))
    print("paired", rest[:length].decode("ascii"), flush=True)
    return Channel(peer, noise.split())


def pair_target(peer, code, policy):
    m1 = exactly(peer, 78)
    if m1[:6] != b"SMV2\x02\x01" or m1[6:13] != code:
        raise Broken(f"M1 begins {m1[:13].hex()}")
    spake2 = policy.spake2(b"B", code)
    info = b"peer=python"
    m2 = b"SMV2\x02\x01" + bytes([policy.byte]) + os.urandom(32) + struct.pack(">H", len(info)) + info
    m2 += spake2.message if spake2 else bytes(33)
    peer.sendall(m2)
    noise = policy.noise(False, spake2, m1, m2, m1[45:])
    noise.read(exactly(peer, 48))
    peer.sendall(noise.write())
    print("paired", flush=True)
    return Channel(peer, noise.split())


# --- donor --------------------------------------------------------------------------------------


def packages(words):
    for word in words:
        if "@" in word:
            name, path = word.split("@", 1)
            with open(path, "rb") as file:
                data = file.read()
        else:
            name, length = word.split("=")
            data = (bytes(range(251)) * (int(length) // 251 + 1))[: int(length)]
        yield name, [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]


def manifest(files):
    text = "smechvisor-manifest 1\nrole os\nproduct smv-x86_64\nversion 1\ncounter 1\nkeyset 1\ncreated 2026-11-21T00:00:00Z\n"
    lists = b""
    for name, chunks in files:
        hashes = b"".join(sha256(chunk) for chunk in chunks)
        size = sum(len(chunk) for chunk in chunks)
        text += f"file {sha256(*chunks).hex()} {size} 0 0 {CHUNK} {sha256(hashes).hex()} {name}\n"
        lists += hashes
    return (text + f"end {len(files)}\n").encode(), lists


def donate(channel, files, bad):
    text, lists = manifest(files)
    deed, _, place = bad.partition("=")
    place = tuple(int(number) for number in place.split(",")) if place else None
    if deed == "--list":
        lists = bytes(32) + lists[32:]
    channel.send(MANIFEST, struct.pack(">I", len(text)) + text + bytes(2) + lists)
    kind, payload = channel.receive()
    if kind == REJECT:
        print("reject", int.from_bytes(payload[:2], "big"), payload[2:].decode(), flush=True)
        return 1
    if kind != ACCEPT:
        raise Broken(f"kind {kind} instead of an answer")
    first = struct.unpack(">HI", payload[:6])
    flags, size, *lengths = struct.unpack(">BQHHHH", payload[6:23])
    texts, at = [], 23
    for length in lengths:
        texts.append(payload[at : at + length].decode())
        at += length
    print("accept", *first, texts[0], flush=True)
    print("disk", size, flags, *texts[1:], payload[at:].decode(), flush=True)
    if flags & ASKS and deed != "--hasty":
        if deed == "--no":
            channel.send(GIVE_UP, b"python does not want to")
            with contextlib.suppress(ConnectionResetError):
                while channel.peer.recv(65536):
                    pass
            return 1
        for answer in ([0, 0] if deed == "--think" else []) + [1]:
            channel.send(CONSENT, bytes([answer]))
    for file, (_, chunks) in enumerate(files):
        for index, chunk in enumerate(chunks):
            if (file, index) >= first:
                if (file, index) == place and deed == "--stop":
                    # With unread reports a close would be a reset, which takes chunks along that
                    # are still on their way.
                    channel.peer.shutdown(socket.SHUT_WR)
                    with contextlib.suppress(ConnectionResetError):
                        while channel.peer.recv(65536):
                            pass
                    raise Broken("as asked")
                if (file, index) == place and deed == "--skip":
                    continue
                if (file, index) == place and deed == "--early":
                    channel.send(BOOT, b"\x00")
                if (file, index) == place and deed == "--flip":
                    chunk = bytes([chunk[0] ^ 1]) + chunk[1:]
                flags = int(index + 1 == len(chunks))
                channel.send(DATA, struct.pack(">HIB", file, index, flags) + chunk)
    stage = None
    while True:
        kind, payload = channel.receive()
        if kind == PROGRESS:
            now = STAGES[struct.unpack(">BHIQQ", payload)[0]]
            if now != stage:
                print("progress", now, flush=True)
            stage = now
        elif kind == LOG:
            print("log", payload[0], payload[1:].decode(), flush=True)
        elif kind == FAILED:
            print("failed", payload.decode(), flush=True)
            return 1
        elif kind == INSTALLED:
            if payload != sha256(text):
                raise Broken("installed something else")
            print("installed", payload.hex(), flush=True)
            channel.send(BOOT, b"\x00")
            return 0
        else:
            raise Broken(f"kind {kind} from a target")


def donor(host, port, code, policy, *words):
    peer = socket.create_connection((host, int(port)), timeout=30)
    channel = pair_donor(peer, code.encode(), Policy(policy))
    bad = next((word for word in words if word.startswith("--")), "")
    return donate(channel, list(packages(word for word in words if word != bad)), bad)


# --- target -------------------------------------------------------------------------------------


class Deploy:
    """What survives a broken connection: the manifest and the resume point."""

    def __init__(self, text, lists):
        lines = text.decode("ascii").split("\n")
        words = [line.split(" ") for line in lines]
        names = [line[0] for line in words]
        count = len(lines) - 9
        fields = ["role", "product", "version", "counter", "keyset", "created"]
        if names != ["smechvisor-manifest"] + fields + ["file"] * count + ["end", ""] or words[-2][1] != str(count):
            raise Broken(f"manifest {text!r}")
        self.text, self.files, self.hashes, self.sizes = text, [], [], []
        for _, digest, size, _, _, chunk, list_digest, name in words[7:-2]:
            own = lists[: -(-int(size) // int(chunk)) * 32]
            lists = lists[len(own) :]
            if sha256(own).hex() != list_digest:
                raise Broken(f"chunk list of {name}")
            self.files.append((name, int(size), digest, hashlib.sha256()))
            self.sizes.append(int(chunk))
            self.hashes.append([own[at : at + 32] for at in range(0, len(own), 32)])
        if lists:
            raise Broken("chunk lists left over")
        self.next, self.received, self.is_agreed = (0, 0), 0, False

    def chunk_size(self, file):
        return self.sizes[file]

    def is_over(self):
        return self.next[0] == len(self.files)

    def take(self, payload):
        file, chunk, flags = struct.unpack(">HIB", payload[:7])
        is_last = chunk + 1 == len(self.hashes[file])
        if (file, chunk) != self.next or flags != int(is_last):
            raise Broken(f"chunk {file},{chunk} flags {flags} instead of {self.next}")
        if sha256(payload[7:]) != self.hashes[file][chunk]:
            raise Broken(f"hash of chunk {file},{chunk}")
        name, size, digest, running = self.files[file]
        running.update(payload[7:])
        self.received += len(payload) - 7
        self.next = (file + 1, 0) if is_last else (file, chunk + 1)
        if is_last:
            if running.hexdigest() != digest:
                raise Broken(f"hash of {name}")
            print(name, size, digest, flush=True)

    def progress(self, stage):
        return struct.pack(">BHIQQ", STAGES.index(stage), *self.next, self.received, 0)


def serve(channel, deploy, break_after, is_used):
    kind, payload = channel.receive()
    if kind != MANIFEST:
        raise Broken(f"kind {kind} instead of a manifest")
    length = int.from_bytes(payload[:4], "big")
    text = payload[4 : 4 + length]
    signature = int.from_bytes(payload[4 + length : 6 + length], "big")
    lists = payload[6 + length + signature :]
    if deploy and deploy[0].text != text:
        raise Broken("another manifest")
    if not deploy:
        deploy.append(Deploy(text, lists))
    now = deploy[0]
    flags = (0 if is_used else BLANK) | (0 if now.is_agreed else ASKS)
    texts = [b"/dev/python", b"PY-1", b"Snake", b"coil"]
    contents = b"eggs" if is_used else b"blank"
    fields = struct.pack(">HIBQHHHH", *now.next, flags, 1 << 40, *(len(text) for text in texts))
    channel.send(ACCEPT, fields + b"".join(texts) + contents)
    print("accept", *now.next, flush=True)
    while not now.is_agreed:
        kind, payload = channel.receive()
        if kind == GIVE_UP:
            print("gave up", payload.decode(), flush=True)
            deploy.clear()
            channel.peer.close()
            return 1
        if kind != CONSENT or payload not in (b"\x00", b"\x01"):
            raise Broken(f"kind {kind} instead of consent")
        print("consent", payload[0], flush=True)
        now.is_agreed = payload == b"\x01"
    channel.send(PROGRESS, now.progress("receiving"))
    count = 0
    while not now.is_over():
        if count == break_after:
            raise Broken("as asked")
        kind, payload = channel.receive()
        if kind != DATA:
            raise Broken(f"kind {kind} instead of data")
        now.take(payload)
        count += 1
        channel.send(PROGRESS, now.progress("receiving"))
    channel.send(LOG, b"\x03python says hello")
    channel.send(PROGRESS, now.progress("committing"))
    channel.send(INSTALLED, sha256(now.text))
    kind, payload = channel.receive()
    if kind != BOOT:
        raise Broken(f"kind {kind} instead of boot")
    print("boot", payload[0], flush=True)


def target(code, policy, *words):
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(30)
    print(listener.getsockname()[1], flush=True)
    deploy, breaks, is_used = [], [int(words[1])] if words[:1] == ("break",) else [], words == ("used",)
    while True:
        peer, _ = listener.accept()
        peer.settimeout(30)
        try:
            channel = pair_target(peer, code.encode(), Policy(policy))
            return serve(channel, deploy, breaks.pop() if breaks else None, is_used)
        except (Broken, ValueError, OSError) as why:
            print("broken", why, flush=True)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()
            if words[:1] == ("once",):
                return 1


if __name__ == "__main__":
    try:
        sys.exit({"donor": donor, "target": target}[sys.argv[1]](*sys.argv[2:]))
    except (Broken, ValueError, OSError) as why:
        print("broken", why, flush=True)
        sys.exit(1)
