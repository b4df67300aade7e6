//! A stranger's steps, and what an attacker who has `NAME.shim` can and cannot do with them.

use super::{Terms, Trial, Verdict};
use crate::donor::AwaitM4;
use crate::randomness::Once;
use crate::{Credential, HandshakeError, HandshakeRandom, PinnedKeys, Step, donor};
use sha2::{Digest, Sha256};
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, Error};
use std::io;
use wire::code::Code;
use wire::handshake::Info;
use wire::message::Message;
use wire::secret::Secret;

fn code() -> Code {
    Code::parse("e13gts2").unwrap()
}

fn both() -> [(Credential, Credential); 2] {
    let secret = Credential::Secret(Secret::draw([7; 5]));
    let (ours, theirs) = PinnedKeys::draw().unwrap();
    let keys = (Credential::Pinned(ours), Credential::Pinned(theirs));
    [(secret.clone(), secret), keys]
}

fn answer(verdict: Result<Verdict, HandshakeError>) -> Vec<u8> {
    match verdict {
        Ok(Verdict::Answer(answer)) => answer,
        Ok(_) => panic!("it ended"),
        Err(error) => panic!("{error}"),
    }
}

/// Up to M4, over a donor that knows the credential.
fn up_to_m4(trial: &mut Trial, ours: &Credential, terms: Terms<'_>) -> (AwaitM4, Vec<u8>) {
    let (await_m2, m1) = donor::begin(ours, &code(), HandshakeRandom::fresh().unwrap()).unwrap();
    assert_eq!((trial.awaits(), trial.wants(&[])), (Some(Step::M1), 78));
    let m2 = answer(trial.take(&m1, terms));
    let (await_m4, m3) = await_m2.take(&m2).unwrap();
    assert_eq!((trial.awaits(), trial.wants(&[])), (Some(Step::M3), 48));
    let m4 = answer(trial.take(&m3, terms));
    assert_eq!((trial.awaits(), trial.wants(&[])), (None, 2));
    (await_m4, m4)
}

#[test]
fn a_donor_has_proved_itself_when_its_first_record_opens_and_not_before() {
    let info = Info::default();
    for (ours, theirs) in both() {
        let code = code();
        let terms = Terms {
            credential: &theirs,
            code: &code,
            info: &info,
        };
        let record = |await_m4: AwaitM4, m4: Vec<u8>| {
            let paired = await_m4.take(&m4.try_into().unwrap()).unwrap();
            let mut record = Vec::new();
            let (_, mut sealer) = paired.channel(io::empty(), &mut record);
            sealer
                .send(&Message::Manifest {
                    manifest: &[b'm'; 100_000],
                    signature: &[],
                    chunk_lists: &[],
                })
                .unwrap();
            let len = 2 + usize::from(u16::from_be_bytes([record[0], record[1]]));
            record.truncate(len);
            record
        };
        let mut trial = Trial::new();
        let (await_m4, m4) = up_to_m4(&mut trial, &ours, terms);
        let whole = record(await_m4, m4);
        assert_eq!(trial.wants(&whole), whole.len());
        assert!(matches!(trial.take(&whole, terms), Ok(Verdict::Proved(_))));
        // One bit of it changed, or cut short, or none at all.
        for change in 0..3 {
            let mut trial = Trial::new();
            let (await_m4, m4) = up_to_m4(&mut trial, &ours, terms);
            let mut bytes = record(await_m4, m4);
            match change {
                0 => bytes[50] ^= 1,
                1 => bytes.truncate(60),
                _ => bytes = vec![0, 1, 7],
            }
            let error = trial.take(&bytes, terms).err().unwrap();
            assert!(error.is_wrong_guess(), "{error}");
        }
    }
}

/// A static key whose private half is somebody else's: KK's first message wants only what it shares
/// with the target's static key, and the target's private half makes that too.
struct Forged {
    keys: Option<[u8; 32]>,
    target_private: [u8; 32],
    inner: Box<dyn Dh>,
}

impl Dh for Forged {
    fn name(&self) -> &'static str {
        self.inner.name()
    }
    fn pub_len(&self) -> usize {
        self.inner.pub_len()
    }
    fn priv_len(&self) -> usize {
        self.inner.priv_len()
    }
    fn set(&mut self, donor_public: &[u8]) {
        self.keys = Some(donor_public.try_into().unwrap());
        self.inner.set(&self.target_private.clone());
    }
    fn generate(&mut self, rng: &mut dyn Random) -> Result<(), Error> {
        self.inner.generate(rng)
    }
    fn pubkey(&self) -> &[u8] {
        self.keys.as_ref().map_or(self.inner.pubkey(), |keys| keys)
    }
    fn privkey(&self) -> &[u8] {
        self.inner.privkey()
    }
    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), Error> {
        // The shared key that the donor would compute, the target computes from the donor's public
        // key.
        let public = self.keys.as_ref().map_or(public, |keys| keys);
        self.inner.dh(public, out)
    }
}

struct Forger([u8; 32]);

impl CryptoResolver for Forger {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Once::new([9; 32])))
    }
    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        Some(Box::new(Forged {
            keys: None,
            target_private: self.0,
            inner: DefaultResolver.resolve_dh(choice)?,
        }))
    }
    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }
    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

#[test]
fn who_has_the_targets_keys_is_answered_but_never_taken_for_the_donor() {
    let (donor_keys, target_keys) = PinnedKeys::draw().unwrap();
    let theirs = Credential::Pinned(target_keys.clone());
    let (code, info) = (code(), Info::default());
    let terms = Terms {
        credential: &theirs,
        code: &code,
        info: &info,
    };
    // Of M1 only the nonce is the donor's own.
    let (_, m1) = donor::begin(
        &Credential::Pinned(donor_keys.clone()),
        &code,
        HandshakeRandom::fresh().unwrap(),
    )
    .unwrap();
    let mut trial = Trial::new();
    let m2 = answer(trial.take(&m1, terms));
    let th = Sha256::new().chain_update(m1).chain_update(&m2).finalize();
    let prologue = [&b"smv2"[..], &th].concat();
    let mut forged = Builder::with_resolver(
        "Noise_KK_25519_ChaChaPoly_SHA256".parse().unwrap(),
        Box::new(Forger(*target_keys.private())),
    )
    .prologue(&prologue)
    .unwrap()
    .local_private_key(target_keys.peer().as_bytes())
    .unwrap()
    .remote_public_key(donor_keys.peer().as_bytes())
    .unwrap()
    .build_initiator()
    .unwrap();
    let mut m3 = [0; 48];
    assert_eq!(forged.write_message(&[], &mut m3).unwrap(), 48);
    let m4 = answer(trial.take(&m3, terms));
    assert_eq!(trial.awaits(), None, "it has to send a record");
    // Its channel's keys need the donor's private half.
    assert!(forged.read_message(&m4, &mut []).is_err());
    let guess = [&[0, 40][..], &[0x5a; 40]].concat();
    assert_eq!(trial.wants(&guess), guess.len());
    let error = trial.take(&guess, terms).err().unwrap();
    assert!(error.is_wrong_guess(), "{error}");
}
