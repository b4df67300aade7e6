//! One end's share of the key agreement. The policy is chosen here, once, by what this end knows;
//! there is no way from one to the other.

use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use snow::HandshakeState;
use spake2::{Ed25519Group, Identity, Password, Spake2};
use wire::code::Code;
use wire::handshake::{M1_LEN, NO_SPAKE, Policy, SPAKE_LEN, Suite};
use wire::message::End;
use wire::secret::Secret;
use zeroize::{Zeroize, Zeroizing};

use crate::Credential;
use crate::handshake::HandshakeError;
use crate::keys::PinnedKeys;
use crate::noise::{self, DIGEST_LEN};
use crate::randomness::{EPHEMERAL_LEN, Once, SCALAR_LEN};

const PASSWORD: &[u8] = b"smv2-pw";
const DONOR: &[u8] = b"smv2 donor";
const TARGET: &[u8] = b"smv2 target:";
const PSK: &[u8] = b"smv2 noise psk";

/// The state of an end between its own hello and the other's.
pub(crate) enum Share {
    /// Policy `secret`.
    Secret(Box<Spake2<Ed25519Group>>),
    /// Policy `pinned`.
    Pinned(PinnedKeys),
}

/// Both hellos as they were sent: every bit of them counts.
pub(crate) struct Hellos<'a> {
    pub(crate) m1: &'a [u8; M1_LEN],
    pub(crate) m2: &'a [u8],
    pub(crate) suite: Suite,
}

impl Hellos<'_> {
    fn digest(&self) -> [u8; DIGEST_LEN] {
        Sha256::new()
            .chain_update(self.m1)
            .chain_update(self.m2)
            .finalize()
            .into()
    }
}

impl Share {
    /// Begins, and says what goes into the SPAKE2 field of this end's hello.
    pub(crate) fn begin(
        credential: &Credential,
        end: End,
        code: &Code,
        scalar: [u8; SCALAR_LEN],
    ) -> Result<(Self, [u8; SPAKE_LEN]), HandshakeError> {
        match credential {
            Credential::Secret(secret) => begin_secret(secret, end, code, scalar),
            Credential::Pinned(keys) => Ok((Self::Pinned(keys.clone().for_end(end)?), NO_SPAKE)),
        }
    }

    pub(crate) const fn policy(&self) -> Policy {
        match self {
            Share::Secret(_) => Policy::Secret,
            Share::Pinned(_) => Policy::Pinned,
        }
    }

    /// The Noise handshake that follows the hellos.
    pub(crate) fn noise(
        self,
        end: End,
        hellos: &Hellos<'_>,
        theirs: &[u8; SPAKE_LEN],
        ephemeral: [u8; EPHEMERAL_LEN],
    ) -> Result<HandshakeState, HandshakeError> {
        let own = self.policy();
        // The field is all zeros under `pinned` and never under `secret`, where it begins with a
        // letter.
        if (*theirs == NO_SPAKE) != (own == Policy::Pinned) {
            return Err(HandshakeError::PeerPolicy { own });
        }
        let th = hellos.digest();
        let state = match self {
            Share::Secret(exchange) => {
                let psk = psk(*exchange, theirs, &th)?;
                noise::with_secret(end, hellos.suite, &th, &psk, ephemeral)
            }
            Share::Pinned(keys) => noise::with_keys(end, hellos.suite, &th, &keys, ephemeral),
        };
        state.map_err(|source| HandshakeError::Setup { source })
    }
}

fn begin_secret(
    secret: &Secret,
    end: End,
    code: &Code,
    scalar: [u8; SCALAR_LEN],
) -> Result<(Share, [u8; SPAKE_LEN]), HandshakeError> {
    let mut bytes = Zeroizing::new([0; PASSWORD.len() + wire::secret::SECRET_LEN]);
    let characters = PASSWORD.iter().chain(secret.as_bytes());
    for (to, from) in bytes.iter_mut().zip(characters) {
        *to = *from;
    }
    let password = Password::new(*bytes);
    let (donor, target) = (
        Identity::new(DONOR),
        Identity::new(&[TARGET, code.as_bytes()].concat()),
    );
    let mut once = Once::new(scalar);
    let (exchange, message) = match end {
        End::Donor => Spake2::start_a_with_rng(&password, &donor, &target, &mut once),
        End::Target => Spake2::start_b_with_rng(&password, &donor, &target, &mut once),
    };
    // The length is fixed by the group; an empty message would be a changed crate.
    match message.try_into() {
        Ok(message) if !once.is_overdrawn() => Ok((Share::Secret(Box::new(exchange)), message)),
        _ => Err(HandshakeError::Overdrawn),
    }
}

/// The pre-shared key of the Noise handshake. SPAKE2 always ends with some key; whether it is the
/// other end's too, only M3 and M4 tell.
fn psk(
    exchange: Spake2<Ed25519Group>,
    theirs: &[u8; SPAKE_LEN],
    th: &[u8; DIGEST_LEN],
) -> Result<Zeroizing<[u8; DIGEST_LEN]>, HandshakeError> {
    let mut key = exchange
        .finish(theirs)
        .map_err(|_| HandshakeError::Exchange)?;
    let mut psk = Zeroizing::new([0; DIGEST_LEN]);
    let expanded = Hkdf::<Sha256>::new(Some(th), &key).expand(PSK, psk.as_mut());
    key.zeroize();
    // Refused are lengths above 255 digests only.
    expanded.map_err(|_| HandshakeError::Exchange)?;
    Ok(psk)
}
