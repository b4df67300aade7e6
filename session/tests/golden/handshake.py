"""Golden handshakes of protocol.md 3.2, by the packages `spake2` 0.9 and `noiseprotocol` 0.3 (see secret.txt.gen.sh).

usage: handshake.py secret|pinned > NAME.txt
"""

import hashlib
import hmac
import sys

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from noise.connection import Keypair, NoiseConnection
from spake2 import SPAKE2_A, SPAKE2_B

L = 2**252 + 27742317777372353535851937790883648493
CODE, SECRET, INFO = b"e13gts2", b"9D4TX2WM", b"smv=0.1.0 cpus=2"


def drawn(name, length):
    """Any bytes will do; these anybody can make again."""
    return hashlib.shake_256(name.encode()).digest(length)


def hkdf(salt, key, info):
    prk = hmac.digest(salt, key, "sha256")
    return hmac.digest(prk, info + b"\x01", "sha256")


class Fixed:
    """One end of SPAKE2 whose random scalar is 64 little-endian bytes modulo L, as curve25519-dalek reduces them."""

    def __init__(self, kind, scalar):
        self.spake2 = kind(b"smv2-pw" + SECRET, idA=b"smv2 donor", idB=b"smv2 target:" + CODE)
        group = self.spake2.params.group
        kept, group.random_scalar = group.random_scalar, lambda _: int.from_bytes(scalar, "little") % L
        self.message = self.spake2.start()
        group.random_scalar = kept


def noise(pattern, is_donor, prologue, end, **keys):
    connection = NoiseConnection.from_name(f"Noise_{pattern}_25519_ChaChaPoly_SHA256".encode())
    (connection.set_as_initiator if is_donor else connection.set_as_responder)()
    connection.set_prologue(prologue)
    if "psk" in keys:
        connection.set_psks(keys["psk"])
    else:
        connection.set_keypair_from_private_bytes(Keypair.STATIC, keys["private"])
        connection.set_keypair_from_public_bytes(Keypair.REMOTE_STATIC, keys["peer"])
    connection.set_keypair_from_private_bytes(Keypair.EPHEMERAL, drawn(end + " ephemeral", 32))
    connection.start_handshake()
    return connection


def public(private):
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def main(policy):
    out = {}
    for end in ("donor", "target"):
        for what, length in (("nonce", 32), ("scalar", 64), ("ephemeral", 32)):
            out[f"{end} {what}"] = drawn(f"{end} {what}", length)
    if policy == "secret":
        donor = Fixed(SPAKE2_A, out["donor scalar"])
        target = Fixed(SPAKE2_B, out["target scalar"])
        shares, byte = (donor.message, target.message), b"\x01"
    else:
        out["donor private"], out["target private"] = drawn("donor private", 32), drawn("target private", 32)
        shares, byte = (bytes(33), bytes(33)), b"\x02"
    m1 = b"SMV2\x02\x01" + CODE + out["donor nonce"] + shares[0]
    m2 = b"SMV2\x02\x01" + byte + out["target nonce"] + len(INFO).to_bytes(2, "big") + INFO + shares[1]
    th = hashlib.sha256(m1 + m2).digest()
    if policy == "secret":
        keys = donor.spake2.finish(target.message), target.spake2.finish(donor.message)
        assert keys[0] == keys[1]
        psk = hkdf(th, keys[0], b"smv2 noise psk")
        ends = [noise("NNpsk0", is_donor, b"smv2" + th, end, psk=psk) for is_donor, end in ((True, "donor"), (False, "target"))]
    else:
        ends = [
            noise("KK", is_donor, b"smv2" + th, end, private=out[f"{end} private"], peer=public(out[f"{other} private"]))
            for is_donor, end, other in ((True, "donor", "target"), (False, "target", "donor"))
        ]
    m3 = bytes(ends[0].write_message())
    assert ends[1].read_message(m3) == b""
    m4 = bytes(ends[1].write_message())
    assert ends[0].read_message(m4) == b""
    out.update({"m1": m1, "m2": m2, "m3": m3, "m4": m4})
    # Boot{kexec} twice, then Reject{2, "/dev/vda"}: kind, length, payload.
    boot, reject = b"\x0d\0\0\0\x01\x01", b"\x07\0\0\0\x0a" + b"\0\x02" + b"/dev/vda"
    for name, sealed in (
        ("donor record 0", ends[0].encrypt(boot)),
        ("donor record 1", ends[0].encrypt(boot)),
        ("target record 0", ends[1].encrypt(reject)),
    ):
        out[name] = len(sealed).to_bytes(2, "big") + bytes(sealed)
    for name, value in out.items():
        print(name + ": " + value.hex())


main(sys.argv[1])
