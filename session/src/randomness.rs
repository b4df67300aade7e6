//! The random numbers of one handshake, drawn before it begins, so that nothing can fail for want
//! of them later.

use rand_core::{CryptoRng, RngCore};
use thiserror::Error;
use wire::handshake::NONCE_LEN;
use wire::outcome::Outcome;
use zeroize::Zeroize;

/// Bytes that make one scalar of the Ed25519 group without bias.
pub(crate) const SCALAR_LEN: usize = 64;
/// A private key of X25519.
pub(crate) const EPHEMERAL_LEN: usize = 32;

/// Everything random that one end needs for one handshake. Used once, wiped when dropped.
pub struct HandshakeRandom {
    pub(crate) nonce: [u8; NONCE_LEN],
    pub(crate) scalar: [u8; SCALAR_LEN],
    pub(crate) ephemeral: [u8; EPHEMERAL_LEN],
}

/// The kernel gives no random numbers.
#[derive(Clone, Copy, Debug, Error)]
#[error("drawing random numbers")]
pub struct RandomError(#[source] pub(crate) getrandom::Error);

impl RandomError {
    /// Without random numbers nobody can be trusted.
    #[must_use]
    pub const fn outcome(self) -> Outcome {
        Outcome::Fatal
    }
}

impl HandshakeRandom {
    /// Fresh ones from the kernel, which waits until it has them.
    ///
    /// # Errors
    /// The kernel has none: a sandbox, or a kernel older than the system call.
    pub fn fresh() -> Result<Self, RandomError> {
        let mut random = Self {
            nonce: [0; NONCE_LEN],
            scalar: [0; SCALAR_LEN],
            ephemeral: [0; EPHEMERAL_LEN],
        };
        for bytes in [
            &mut random.nonce[..],
            &mut random.scalar[..],
            &mut random.ephemeral[..],
        ] {
            getrandom::fill(bytes).map_err(RandomError)?;
        }
        Ok(random)
    }
}

impl Drop for HandshakeRandom {
    fn drop(&mut self) {
        self.scalar.zeroize();
        self.ephemeral.zeroize();
    }
}

/// Hands out bytes that were drawn before, once, through the traits of two crates. A caller that
/// asks for more than there are has misunderstood something, which must never turn into a guessable
/// key: [`Once::is_overdrawn`].
pub(crate) struct Once<const N: usize> {
    bytes: [u8; N],
    given: usize,
    is_overdrawn: bool,
}

impl<const N: usize> Once<N> {
    pub(crate) const fn new(bytes: [u8; N]) -> Self {
        Self {
            bytes,
            given: 0,
            is_overdrawn: false,
        }
    }

    /// Was more asked for than there was?
    pub(crate) const fn is_overdrawn(&self) -> bool {
        self.is_overdrawn
    }

    /// Fills all of `wanted`, or nothing.
    fn give(&mut self, wanted: &mut [u8]) -> bool {
        let end = self.given.saturating_add(wanted.len());
        let Some(bytes) = self.bytes.get(self.given..end) else {
            self.is_overdrawn = true;
            return false;
        };
        wanted.copy_from_slice(bytes);
        self.given = end;
        true
    }
}

impl<const N: usize> Drop for Once<N> {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl<const N: usize> snow::types::Random for Once<N> {
    fn try_fill_bytes(&mut self, wanted: &mut [u8]) -> Result<(), snow::Error> {
        if self.give(wanted) {
            Ok(())
        } else {
            Err(snow::Error::Rng)
        }
    }
}

/// For `spake2`, which calls [`RngCore::fill_bytes`] for its one scalar and cannot be told of
/// failure; its caller asks [`Once::is_overdrawn`] afterwards.
impl<const N: usize> RngCore for Once<N> {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill_bytes(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill_bytes(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill_bytes(&mut self, wanted: &mut [u8]) {
        self.give(wanted);
    }

    fn try_fill_bytes(&mut self, wanted: &mut [u8]) -> Result<(), rand_core::Error> {
        self.give(wanted);
        Ok(())
    }
}

impl<const N: usize> CryptoRng for Once<N> {}

#[cfg(test)]
mod tests {
    use super::{HandshakeRandom, Once};
    use rand_core::RngCore;

    #[test]
    fn two_draws_share_nothing() {
        let (one, two) = (
            HandshakeRandom::fresh().unwrap(),
            HandshakeRandom::fresh().unwrap(),
        );
        assert_ne!(one.nonce, two.nonce);
        assert_ne!(one.scalar, two.scalar);
        assert_ne!(one.ephemeral, two.ephemeral);
        assert_ne!(one.nonce, one.ephemeral);
    }

    #[test]
    fn bytes_are_given_once_and_then_it_is_said() {
        let mut once = Once::new([1, 2, 3, 4]);
        let mut three = [0; 3];
        once.fill_bytes(&mut three);
        assert_eq!((three, once.is_overdrawn()), ([1, 2, 3], false));
        let mut two = [9; 2];
        assert_eq!(
            snow::types::Random::try_fill_bytes(&mut once, &mut two),
            Err(snow::Error::Rng)
        );
        assert_eq!((two, once.is_overdrawn()), ([9; 2], true));
    }
}
