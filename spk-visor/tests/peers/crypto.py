"""Primitives of protocol.md 3.2 in plain Python: X25519, edwards25519, ChaCha20-Poly1305, HKDF, SPAKE2, Noise.

Written from the RFCs (7748, 8032, 8439, 5869) and the Noise specification, with nothing but hashlib, so that a test peer shares
no code with the crate and needs no package. Slow and not constant-time: for tests only.

usage: crypto.py       checks itself against the vectors of those RFCs and prints `ok`.
"""

import hashlib
import os
import struct

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def hmac(key, data):
    key = (sha256(key) if len(key) > 64 else key).ljust(64, b"\0")
    inner = sha256(bytes(b ^ 0x36 for b in key), data)
    return sha256(bytes(b ^ 0x5C for b in key), inner)


def hkdf(salt, key, info, length):
    """RFC 5869. An empty salt is 32 zero bytes, which HMAC pads to the same."""
    prk, okm, block = hmac(salt, key), b"", b""
    for count in range(1, length // 32 + 2):
        block = hmac(prk, block + info + bytes([count]))
        okm += block
    return okm[:length]


# --- X25519, RFC 7748 5 -------------------------------------------------------------------------


def x25519(scalar, u):
    k = bytearray(scalar)
    k[0] &= 248
    k[31] = k[31] & 127 | 64
    k = int.from_bytes(k, "little")
    x1 = int.from_bytes(u, "little") & (2**255 - 1)
    x2, z2, x3, z3, swap = 1, 0, x1, 1, 0
    for t in reversed(range(255)):
        bit = k >> t & 1
        if swap ^ bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = bit
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a % P, b * b % P, d * a % P, c * b % P
        e = aa - bb
        x3, z3 = (da + cb) ** 2 % P, x1 * (da - cb) ** 2 % P
        x2, z2 = aa * bb % P, e * (aa + 121665 * e) % P
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


def x25519_public(private):
    return x25519(private, (9).to_bytes(32, "little"))


# --- edwards25519, RFC 8032 5.1: points are (X, Y, Z, T) -----------------------------------------

D = -121665 * pow(121666, P - 2, P) % P


def add(p, q):
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = 2 * p[3] * q[3] * D % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def multiply(scalar, point):
    result = (0, 1, 1, 0)
    while scalar > 0:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def negate(p):
    return (P - p[0], p[1], p[2], P - p[3])


def compress(p):
    inverse = pow(p[2], P - 2, P)
    x, y = p[0] * inverse % P, p[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decompress(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    xx = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if x * x % P != xx:
        x = x * pow(2, (P - 1) // 4, P) % P
    if y >= P or x * x % P != xx:
        raise ValueError("not a point")
    if x & 1 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


BASE = decompress(bytes.fromhex("5866666666666666666666666666666666666666666666666666666666666666"))
M = decompress(bytes.fromhex("15cfd18e385952982b6a8f8c7854963b58e34388c8e6dae891db756481a02312"))
N = decompress(bytes.fromhex("f04f2e7eb734b2a8f8b472eaf9c3c632576ac64aea650b496a8a20ff00e583c3"))


class Spake2:
    """protocol.md 3.2. `side` is b"A" (donor) or b"B" (target)."""

    def __init__(self, side, password, id_a, id_b):
        self.side, self.password, self.ids = side, password, sha256(id_a) + sha256(id_b)
        self.w = int.from_bytes(hkdf(b"", password, b"SPAKE2 pw", 48), "big") % L
        self.x = int.from_bytes(os.urandom(64), "little") % L
        mine = M if side == b"A" else N
        self.share = compress(add(multiply(self.x, BASE), multiply(self.w, mine)))
        self.message = side + self.share

    def key(self, message):
        if len(message) != 33 or message[:1] != (b"B" if self.side == b"A" else b"A"):
            raise ValueError("not the other side's message")
        theirs = N if self.side == b"A" else M
        z = multiply(self.x, add(decompress(message[1:]), negate(multiply(self.w, theirs))))
        shares = self.share + message[1:] if self.side == b"A" else message[1:] + self.share
        return sha256(sha256(self.password), self.ids, shares, compress(z))


# --- ChaCha20-Poly1305, RFC 8439 ----------------------------------------------------------------


def chacha_block(state):
    x = list(state)
    for _ in range(10):
        for a, b, c, d in (
            (0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
            (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14),
        ):
            xa, xb, xc, xd = x[a], x[b], x[c], x[d]
            xa = xa + xb & 0xFFFFFFFF
            xd ^= xa
            xd = (xd << 16 | xd >> 16) & 0xFFFFFFFF
            xc = xc + xd & 0xFFFFFFFF
            xb ^= xc
            xb = (xb << 12 | xb >> 20) & 0xFFFFFFFF
            xa = xa + xb & 0xFFFFFFFF
            xd ^= xa
            xd = (xd << 8 | xd >> 24) & 0xFFFFFFFF
            xc = xc + xd & 0xFFFFFFFF
            xb ^= xc
            xb = (xb << 7 | xb >> 25) & 0xFFFFFFFF
            x[a], x[b], x[c], x[d] = xa, xb, xc, xd
    return struct.pack("<16I", *(a + b & 0xFFFFFFFF for a, b in zip(x, state)))


def chacha(key, counter, nonce, data):
    start = struct.unpack("<4I", b"expand 32-byte k") + struct.unpack("<8I", key)
    tail = struct.unpack("<3I", nonce)
    blocks = range(counter, counter + (len(data) + 63) // 64)
    stream = b"".join(chacha_block(start + (i,) + tail) for i in blocks)[: len(data)]
    mixed = int.from_bytes(data, "little") ^ int.from_bytes(stream, "little")
    return mixed.to_bytes(len(data), "little")


def poly1305(key, data):
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total = 0
    for i in range(0, len(data), 16):
        total = (total + int.from_bytes(data[i : i + 16] + b"\x01", "little")) * r % (2**130 - 5)
    return ((total + int.from_bytes(key[16:], "little")) % 2**128).to_bytes(16, "little")


def tag(key, nonce, ad, sealed):
    one_time = chacha(key, 0, nonce, bytes(64))[:32]
    padded = ad + bytes(-len(ad) % 16) + sealed + bytes(-len(sealed) % 16)
    return poly1305(one_time, padded + struct.pack("<QQ", len(ad), len(sealed)))


def seal(key, nonce, ad, plain):
    sealed = chacha(key, 1, nonce, plain)
    return sealed + tag(key, nonce, ad, sealed)


def unseal(key, nonce, ad, data):
    if tag(key, nonce, ad, data[:-16]) != data[-16:]:
        raise ValueError("wrong tag")
    return chacha(key, 1, nonce, data[:-16])


class Cipher:
    """Noise 5.1: a key and a counter."""

    def __init__(self, key):
        self.key, self.count = key, 0

    def nonce(self):
        self.count += 1
        return bytes(4) + struct.pack("<Q", self.count - 1)

    def seal(self, ad, plain):
        return seal(self.key, self.nonce(), ad, plain)

    def unseal(self, ad, data):
        return unseal(self.key, self.nonce(), ad, data)


# --- Noise 5.2 and 5.3, for two patterns of two messages -----------------------------------------

PATTERNS = {"NNpsk0": (("psk", "e"), ("e", "ee")), "KK": (("e", "es", "ss"), ("e", "ee", "se"))}


class Noise:
    """One handshake. `static` is (own private, other's public) for KK."""

    def __init__(self, pattern, is_initiator, prologue, psk=None, static=None):
        name = f"Noise_{pattern}_25519_ChaChaPoly_SHA256".encode()
        self.h = name.ljust(32, b"\0") if len(name) <= 32 else sha256(name)
        self.ck, self.cipher = self.h, None
        self.pattern, self.is_initiator, self.psk = PATTERNS[pattern], is_initiator, psk
        self.e, self.re = os.urandom(32), None
        self.mix_hash(prologue)
        if static:
            self.s, self.rs = static
            mine = x25519_public(self.s)
            for public in (mine, self.rs) if is_initiator else (self.rs, mine):
                self.mix_hash(public)

    def mix_hash(self, data):
        self.h = sha256(self.h, data)

    def expand(self, data, count):
        """Noise's HKDF: the chaining key is the salt, and info is empty."""
        okm = hkdf(self.ck, data, b"", 32 * count)
        return [okm[i : i + 32] for i in range(0, 32 * count, 32)]

    def mix_key(self, data):
        self.ck, key = self.expand(data, 2)
        self.cipher = Cipher(key)

    def tokens(self, words):
        for word in words:
            if word == "psk":
                self.ck, digest, key = self.expand(self.psk, 3)
                self.mix_hash(digest)
                self.cipher = Cipher(key)
            elif word != "e":
                # First letter: the initiator's key, second: the responder's.
                mine, theirs = word if self.is_initiator else word[::-1]
                private = self.e if mine == "e" else self.s
                self.mix_key(x25519(private, self.re if theirs == "e" else self.rs))

    def ephemeral(self, public):
        self.mix_hash(public)
        if self.psk:
            self.mix_key(public)

    def around_e(self, words, public):
        self.tokens(words[: words.index("e")])
        self.ephemeral(public)
        self.tokens(words[words.index("e") + 1 :])

    def write(self):
        public = x25519_public(self.e)
        self.around_e(self.pattern[0 if self.is_initiator else 1], public)
        sealed = self.cipher.seal(self.h, b"")
        self.mix_hash(sealed)
        return public + sealed

    def read(self, message):
        self.re = message[:32]
        self.around_e(self.pattern[1 if self.is_initiator else 0], self.re)
        if self.cipher.unseal(self.h, message[32:]) != b"":
            raise ValueError("a payload where none belongs")
        self.mix_hash(message[32:])

    def split(self):
        """(sending, receiving)."""
        first, second = (Cipher(key) for key in self.expand(b"", 2))
        return (first, second) if self.is_initiator else (second, first)


def check():
    unhex = bytes.fromhex
    # RFC 5869 A.1
    okm = hkdf(unhex("000102030405060708090a0b0c"), b"\x0b" * 22, unhex("f0f1f2f3f4f5f6f7f8f9"), 42)
    assert okm.hex() == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    # RFC 7748 5.2, one iteration
    nine = (9).to_bytes(32, "little")
    assert x25519(nine, nine).hex() == "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"
    # RFC 8032 7.1, test 1: from the secret to the public key
    hashed = hashlib.sha512(unhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")).digest()
    scalar = int.from_bytes(hashed[:32], "little") & (2**254 - 8) | 2**254
    public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert compress(multiply(scalar, BASE)).hex() == public
    assert compress(decompress(unhex(public))).hex() == public
    assert compress(multiply(L, BASE)) == compress((0, 1, 1, 0))
    # RFC 8439 2.8.2
    key, nonce, ad = bytes(range(0x80, 0xA0)), unhex("070000004041424344454647"), unhex("50515253c0c1c2c3c4c5c6c7")
    plain = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it."
    sealed = seal(key, nonce, ad, plain)
    assert sealed[:16].hex() == "d31a8d34648e60db7b86afbc53ef7ec2"
    assert sealed[-16:].hex() == "1ae10b594f09e26a7e902ecbd0600691"
    assert unseal(key, nonce, ad, sealed) == plain
    # SPAKE2 and Noise against themselves: same secret, same keys; another secret, other keys.
    donor, target = Spake2(b"A", b"pw", b"a", b"b"), Spake2(b"B", b"pw", b"a", b"b")
    psk = donor.key(target.message)
    assert psk == target.key(donor.message)
    assert psk != Spake2(b"A", b"pq", b"a", b"b").key(target.message)
    one, two = os.urandom(32), os.urandom(32)
    for pattern, ours, theirs in (
        ("NNpsk0", {"psk": psk}, {"psk": psk}),
        ("KK", {"static": (one, x25519_public(two))}, {"static": (two, x25519_public(one))}),
    ):
        first, second = Noise(pattern, True, b"p", **ours), Noise(pattern, False, b"p", **theirs)
        second.read(first.write())
        first.read(second.write())
        (send, _), (_, receive) = first.split(), second.split()
        assert receive.unseal(b"", send.seal(b"", b"x")) == b"x"


if __name__ == "__main__":
    check()
    print("ok")
