//! Any bundle file, on a partition or as a file: no panic, no chunk from behind its end, and of all
//! that say to be the signed one only that one is given out whole.
//!
//! The first byte chooses: bytes as they are, without a key; or changes to the signed file. Its
//! highest bit says whether something may follow the end.
#![no_main]

use std::path::Path;
use std::sync::Arc;

use bundle::trust::{Approved, Trust, Wanted, approve};
use bundle::verify::{ChunkSource as _, verify_chunk};
use fetch::bundle_file::{BundleFile, Tail};
use fetch::{FetchError, Release as _};
use libfuzzer_sys::fuzz_target;
use wire::chain::chain;
use wire::manifest::Manifest;

const GOLDEN: &[u8] = include_bytes!("../../bundle/tests/golden/small.smv");
const PUBLIC: &str = include_str!("../../bundle/tests/golden/small.smv.pub");

fn open(bytes: &[u8], tail: Tail) -> Result<BundleFile, FetchError> {
    BundleFile::of(
        Path::new("x.smv"),
        Arc::new(bytes.to_vec()),
        bytes.len() as u64,
        tail,
    )
}

/// Whether every chunk is there and right.
fn is_whole(file: &BundleFile, approved: &Approved) -> Result<bool, FetchError> {
    let mut spans = file.spans(approved)?;
    let mut is_whole = true;
    for (index, file) in (0_u16..).zip(approved.files()) {
        for chunk in 0..file.chunks().expect("no bundle file has a live one") {
            let mut buf = Vec::new();
            // The medium has the bytes: that was seen when the headers were read.
            spans.chunk(index, chunk, &mut buf).expect("there");
            assert!(!buf.is_empty() && buf.len() <= file.chunk_size as usize);
            is_whole &= verify_chunk(approved, index, chunk, &mut buf).is_ok();
        }
        let behind = file.chunks().expect("not live");
        assert!(spans.chunk(index, behind, &mut Vec::new()).is_err());
    }
    Ok(is_whole)
}

fn judge(bytes: &[u8], tail: Tail, trust: &Trust) -> Option<bool> {
    let shown =
        |error: &FetchError| assert!(chain(error).to_string().chars().all(|c| !c.is_control()));
    let file = open(bytes, tail).inspect_err(shown).ok()?;
    let offered = file.offered();
    let wanted = Manifest::parse(offered.manifest).map_or(Wanted::SYSTEM, |manifest| Wanted {
        role: manifest.head().role,
        product: manifest.head().product,
    });
    let approved = approve(offered, wanted, trust).ok()?;
    is_whole(&file, &approved).inspect_err(shown).ok()
}

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rest)) = bytes.split_first() else {
        return;
    };
    let tail = if choice & 0x80 == 0 {
        Tail::Nothing
    } else {
        Tail::Anything
    };
    if choice & 1 == 0 {
        judge(rest, tail, &Trust::default());
        return;
    }
    // Two bytes of place, one of value; a value of 0 at the end cuts it, any other lengthens it.
    let mut changed = GOLDEN.to_vec();
    for change in rest.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % changed.len();
        changed[at] = change[2];
    }
    match rest.chunks_exact(3).remainder() {
        [0, by] => changed.truncate(GOLDEN.len() * usize::from(*by) / 256),
        [_, by] => changed.extend(std::iter::repeat_n(b'x', usize::from(*by))),
        _ => {}
    }
    let trust = Trust::parse(PUBLIC).expect("minisign wrote it");
    let expected = match tail {
        Tail::Nothing => changed == GOLDEN,
        Tail::Anything => changed.starts_with(GOLDEN),
    };
    assert_eq!(judge(&changed, tail, &trust) == Some(true), expected);
});
