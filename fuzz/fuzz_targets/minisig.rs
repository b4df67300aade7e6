//! Any signature file, and any list of trusted keys: no panic, and of all signatures of one
//! manifest the one that its key made is accepted.
//!
//! The first byte chooses: a signature as it is, a change to the true one (where, to what), or a
//! list of keys.
#![no_main]

use bundle::trust::{ApproveError, Approved, Offered, Trust, Voucher, Wanted};
use libfuzzer_sys::fuzz_target;

const MANIFEST: &[u8] = include_bytes!("../../bundle/tests/golden/signed.manifest");
const SIGNATURE: &[u8] = include_bytes!("../../bundle/tests/golden/signed.manifest.minisig");
const CHUNK_LISTS: &[u8] = include_bytes!("../../bundle/tests/golden/signed.manifest.chunks");
const PUBLIC: &str = include_str!("../../bundle/tests/golden/signed.manifest.pub");

fn approve(
    manifest: &[u8],
    signature: &[u8],
    chunk_lists: &[u8],
    trust: &Trust,
) -> Result<Approved, ApproveError> {
    bundle::trust::approve(
        Offered {
            manifest,
            signature,
            chunk_lists,
        },
        Wanted::SYSTEM,
        trust,
    )
}

fn judge(signature: &[u8]) {
    let trust = Trust::parse(PUBLIC).expect("minisign wrote it");
    let result = approve(MANIFEST, signature, CHUNK_LISTS, &trust);
    assert_eq!(result.is_ok(), signature == SIGNATURE);
    // Without a key it is not looked at, and nobody says that it was.
    let unkeyed = approve(MANIFEST, signature, CHUNK_LISTS, &Trust::default());
    let is_claimed = |voucher: &Voucher| matches!(voucher, Voucher::Key(_));
    assert!(unkeyed.map_or(signature.len() > 1024, |image| !is_claimed(image.voucher())));
}

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rest)) = bytes.split_first() else {
        return;
    };
    match choice % 3 {
        0 => judge(rest),
        1 => {
            let mut signature = SIGNATURE.to_vec();
            for change in rest.chunks_exact(3) {
                let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % signature.len();
                signature[at] = change[2];
            }
            judge(&signature);
        }
        _ => {
            if let Ok(trust) = Trust::parse(&String::from_utf8_lossy(rest)) {
                assert!(trust.demands_signature(), "a list that is taken has a key");
                let is_trusted = trust.keys().any(|key| PUBLIC.contains(key));
                assert_eq!(
                    approve(MANIFEST, SIGNATURE, CHUNK_LISTS, &trust).is_ok(),
                    is_trusted
                );
            }
        }
    }
});
