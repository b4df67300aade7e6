//! The two Noise patterns, one for each policy (`protocol.md` 3.2), over snow's own primitives and
//! `ring`'s cipher.

use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, Error, HandshakeState};
use wire::handshake::Suite;
use wire::message::End;
use zeroize::Zeroizing;

use crate::keys::PinnedKeys;
use crate::randomness::{EPHEMERAL_LEN, Once};
use crate::record_key::{KEY_LEN, RecordKey, TAG_LEN};

/// Length of `th`, of a SPAKE2 key and of a pre-shared key.
pub(crate) const DIGEST_LEN: usize = 32;

const fn secret_pattern(suite: Suite) -> &'static str {
    match suite {
        Suite::ChaChaPoly => "Noise_NNpsk0_25519_ChaChaPoly_SHA256",
    }
}

const fn pinned_pattern(suite: Suite) -> &'static str {
    match suite {
        Suite::ChaChaPoly => "Noise_KK_25519_ChaChaPoly_SHA256",
    }
}

/// The prologue of Noise: the digest of M1 and M2, and with it all that they
/// say.
fn prologue(th: &[u8; DIGEST_LEN]) -> Vec<u8> {
    [&b"smv2"[..], th].concat()
}

/// Policy `secret`.
pub(crate) fn with_secret(
    end: End,
    suite: Suite,
    th: &[u8; DIGEST_LEN],
    psk: &[u8; DIGEST_LEN],
    ephemeral: [u8; EPHEMERAL_LEN],
) -> Result<HandshakeState, Error> {
    let prologue = prologue(th);
    let builder = builder(secret_pattern(suite), ephemeral)?
        .prologue(&prologue)?
        .psk(0, psk)?;
    build(end, builder)
}

/// Policy `pinned`.
pub(crate) fn with_keys(
    end: End,
    suite: Suite,
    th: &[u8; DIGEST_LEN],
    keys: &PinnedKeys,
    ephemeral: [u8; EPHEMERAL_LEN],
) -> Result<HandshakeState, Error> {
    let prologue = prologue(th);
    let builder = builder(pinned_pattern(suite), ephemeral)?
        .prologue(&prologue)?
        .local_private_key(keys.private())?
        .remote_public_key(keys.peer().as_bytes())?;
    build(end, builder)
}

fn builder<'a>(pattern: &str, ephemeral: [u8; EPHEMERAL_LEN]) -> Result<Builder<'a>, Error> {
    let resolver = Resolver(Zeroizing::new(ephemeral));
    Ok(Builder::with_resolver(pattern.parse()?, Box::new(resolver)))
}

/// The donor begins.
fn build(end: End, builder: Builder<'_>) -> Result<HandshakeState, Error> {
    match end {
        End::Donor => builder.build_initiator(),
        End::Target => builder.build_responder(),
    }
}

/// snow's primitives with random numbers that were drawn before.
struct Resolver(Zeroizing<[u8; EPHEMERAL_LEN]>);

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Once::new(*self.0)))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        match choice {
            CipherChoice::ChaChaPoly => Some(Box::new(ChaChaPoly::default())),
            CipherChoice::AESGCM => None,
        }
    }
}

/// The cipher of the handshake, which has no key until snow sets one.
#[derive(Default)]
struct ChaChaPoly(Option<RecordKey>);

impl Cipher for ChaChaPoly {
    fn name(&self) -> &'static str {
        "ChaChaPoly"
    }

    fn set(&mut self, key: &[u8; KEY_LEN]) {
        self.0 = RecordKey::new(key);
    }

    /// 0 bytes, which no peer takes, where there is no key or no room.
    fn encrypt(&self, nonce: u64, authtext: &[u8], plaintext: &[u8], out: &mut [u8]) -> usize {
        seal(self.0.as_ref(), nonce, authtext, plaintext, out).unwrap_or(0)
    }

    fn decrypt(
        &self,
        nonce: u64,
        authtext: &[u8],
        ciphertext: &[u8],
        out: &mut [u8],
    ) -> Result<usize, Error> {
        let mut sealed = ciphertext.to_vec();
        let key = self.0.as_ref().ok_or(Error::Decrypt)?;
        let text = key
            .open(nonce, authtext, &mut sealed)
            .ok_or(Error::Decrypt)?;
        out.get_mut(..text.len())
            .ok_or(Error::Input)?
            .copy_from_slice(text);
        Ok(text.len())
    }
}

fn seal(
    key: Option<&RecordKey>,
    nonce: u64,
    authtext: &[u8],
    plaintext: &[u8],
    out: &mut [u8],
) -> Option<usize> {
    let (text, rest) = out.split_at_mut_checked(plaintext.len())?;
    text.copy_from_slice(plaintext);
    *rest.first_chunk_mut()? = key?.seal(nonce, authtext, text)?;
    text.len().checked_add(TAG_LEN)
}
