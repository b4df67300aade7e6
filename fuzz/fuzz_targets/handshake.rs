//! The handshake with the fuzzer in the middle, and alone at either end: no panic, and nobody is
//! paired without both proofs.
//!
//! The first byte chooses the policy (bit 0) and what is done with the rest: M1 and M2 as they are
//! read, all of it to a target, all of it to a donor, or changes to a conversation between two
//! honest ends. There a change is `message (2 bits) place (6 bits + 1 byte) value`.
#![no_main]

use std::io::sink;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use session::{Credential, HandshakeRandom, PinnedKeys, donor, pair_donor, pair_target, target};
use wire::code::Code;
use wire::handshake::{Info, M1, M1_LEN, M2, M3_LEN, M4_LEN};
use wire::secret::Secret;

static SECRET: LazyLock<(Credential, Credential)> = LazyLock::new(|| {
    let secret = Credential::Secret(Secret::parse("9D4T-X2WM-7").expect("a secret"));
    (secret.clone(), secret)
});
static PINNED: LazyLock<(Credential, Credential)> = LazyLock::new(|| {
    let (donor, target) = PinnedKeys::draw().expect("random numbers");
    (Credential::Pinned(donor), Credential::Pinned(target))
});

fn code() -> Code {
    Code::parse("e13gts2").expect("a code")
}

/// Parsed bytes are emitted as the same bytes.
fn hellos(bytes: &[u8]) {
    if let Some(m1) = bytes.first_chunk::<M1_LEN>()
        && let Ok(read) = M1::parse(m1)
    {
        assert_eq!(read.emit(), *m1);
    }
    if let Ok(read) = M2::parse(bytes) {
        assert_eq!(read.emit(), bytes);
        assert!(
            read.info
                .as_str()
                .bytes()
                .all(|byte| (0x20..0x7f).contains(&byte))
        );
    }
}

/// Changes the messages of an honest conversation. True for one that is another message afterwards.
struct Changes<'a>(&'a [u8]);

impl Changes<'_> {
    fn to<const N: usize>(&self, number: u8, message: &mut [u8; N]) -> bool {
        self.apply(number, message)
    }

    fn apply(&self, number: u8, message: &mut [u8]) -> bool {
        let before = message.to_vec();
        for change in self.0.chunks_exact(3) {
            let place = usize::from(change[0] & 63) << 8 | usize::from(change[1]);
            if change[0] >> 6 == number {
                let place = place % message.len();
                message[place] ^= change[2];
            }
        }
        before != message
    }
}

fn between(changes: &Changes, (ours, theirs): &(Credential, Credential)) {
    let (code, info) = (code(), Info::parse(b"smv=0.1.0").expect("info"));
    let random = || HandshakeRandom::fresh().expect("random numbers");
    let (await_m2, mut m1) = donor::begin(ours, &code, random()).expect("a donor begins");
    let mut is_changed = changes.to(0, &mut m1);
    let Ok(mut answer) = target::begin(theirs, &code, &info, random()).take(&m1) else {
        return assert!(is_changed);
    };
    is_changed |= changes.apply(1, &mut answer.m2);
    let (Ok((await_m4, mut m3)), Ok(await_m3)) = (await_m2.take(&answer.m2), answer.next) else {
        return assert!(is_changed);
    };
    let _: &[u8; M3_LEN] = &m3;
    is_changed |= changes.to(2, &mut m3);
    let Ok((_, mut m4)) = await_m3.take(&m3) else {
        return assert!(is_changed);
    };
    assert!(
        !is_changed,
        "the target is paired with a donor that said something else"
    );
    let _: &[u8; M4_LEN] = &m4;
    is_changed |= changes.to(3, &mut m4);
    assert_eq!(await_m4.take(&m4).is_ok(), !is_changed);
}

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first() else {
        return;
    };
    let both = if choice & 1 == 0 { &*SECRET } else { &*PINNED };
    match choice >> 1 & 3 {
        0 => hellos(bytes),
        1 => {
            let info = Info::default();
            assert!(pair_target(bytes, sink(), &both.1, &code(), &info).is_err());
        }
        2 => assert!(pair_donor(bytes, sink(), &both.0, &code()).is_err()),
        _ => between(&Changes(bytes), both),
    }
});
