//! Any chunk lists, any order and content of chunks, any stream behind a signed manifest: no panic,
//! and what comes out is the beginning of the signed files; it ends in order only when it was all
//! of them.
//!
//! The first byte chooses: chunk lists (as they are, or changes to the true ones), what a session
//! sends for each chunk, or records of an original stream.
#![no_main]

use bundle::legacy;
use bundle::package_stream::{Packages, PackagesError};
use bundle::trust::{ApproveError, Approved, Offered, Trust, Wanted};
use bundle::verify::{ChunkError, ChunkSource, IsLast, VerifiedPackages, VerifyError};
use libfuzzer_sys::fuzz_target;
use wire::manifest;
use wire::outcome::Outcome;
use wire::stream::{PackageName, TERMINATOR, header};

const MANIFEST: &[u8] = include_bytes!("../../bundle/tests/golden/signed.manifest");
const SIGNATURE: &[u8] = include_bytes!("../../bundle/tests/golden/signed.manifest.minisig");
const CHUNK_LISTS: &[u8] = include_bytes!("../../bundle/tests/golden/signed.manifest.chunks");
const PUBLIC: &str = include_str!("../../bundle/tests/golden/signed.manifest.pub");
/// The files of the manifest: so many letters a.
const FILES: [(&str, usize); 2] = [
    ("smechvisor-base.tar.xz", 131_073),
    ("bootloader-grub.tar.xz", 65_536),
];
const CHUNK: usize = 65_536;

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

fn trust() -> Trust {
    Trust::parse(PUBLIC).expect("minisign wrote it")
}

fn approved() -> Approved {
    approve(MANIFEST, SIGNATURE, CHUNK_LISTS, &trust()).expect("minisign signed it")
}

/// Two bytes for each chunk that is asked for: what is done to it, and where.
struct Script<'a>(&'a [u8]);

impl ChunkSource for Script<'_> {
    fn chunk(&mut self, file: u16, chunk: u32, buf: &mut Vec<u8>) -> Result<IsLast, ChunkError> {
        assert!(buf.is_empty());
        let gone = ChunkError::Missing {
            what: "gone".to_owned(),
            outcome: Outcome::Retry,
            source: None,
        };
        let (&[action, by], rest) = self.0.split_first_chunk::<2>().ok_or(gone)?;
        self.0 = rest;
        let size = FILES[usize::from(file)].1;
        let before = CHUNK * chunk as usize;
        assert!(before < size, "never asked for more than there is");
        let len = CHUNK.min(size - before);
        buf.resize(len, b'a');
        let is_last = before + len == size;
        let at = len * usize::from(by) / 256;
        match action % 8 {
            0 => return Ok(IsLast(!is_last)),
            1 => buf[at] ^= 1 << (by % 8),
            2 => buf.truncate(at),
            3 => buf.extend(std::iter::repeat_n(b'a', 1 + usize::from(by))),
            4 => buf.extend_from_slice(&vec![b'a'; 1 << 20]),
            _ => {}
        }
        Ok(IsLast(is_last))
    }

    fn refused(&mut self, fault: &VerifyError) -> bool {
        assert_eq!(fault.outcome(), Outcome::Refuse);
        self.0.len() % 2 == 0
    }
}

/// Reads as far as it goes; what comes out is checked on the way.
fn drain(packages: &mut dyn Packages) -> Result<(), PackagesError> {
    let mut buf = [0; 10_000];
    for (name, size) in FILES {
        let header = packages.next_header()?.expect("the manifest has two files");
        assert_eq!(
            (header.name.as_str(), header.claimed_len),
            (name, Some(size as u64))
        );
        let mut got = 0;
        loop {
            let len = packages.read_data(&mut buf)?;
            if len == 0 {
                break;
            }
            got += len;
            assert!(got <= size && buf[..len].iter().all(|byte| *byte == b'a'));
        }
        assert_eq!(got, size, "an end, and not all of it");
    }
    assert!(packages.next_header()?.is_none());
    Ok(())
}

fn record(stream: &mut Vec<u8>, name: &str, data: &[u8]) {
    let name = PackageName::parse(name.as_bytes()).expect("a name");
    stream.extend_from_slice(&header(&name, data.len() as u64).expect("a length"));
    stream.extend_from_slice(data);
}

/// The true stream with changes: three bytes of place, one of value; the last one cuts it when its
/// value is 0.
fn stream(changes: &[u8]) {
    let mut bytes = Vec::new();
    record(&mut bytes, manifest::MANIFEST, MANIFEST);
    record(&mut bytes, manifest::SIGNATURE, SIGNATURE);
    record(&mut bytes, manifest::CHUNK_LISTS, CHUNK_LISTS);
    for (name, size) in FILES {
        record(&mut bytes, name, &vec![b'a'; size]);
    }
    bytes.extend_from_slice(&TERMINATOR);
    let original = bytes.clone();
    for change in changes.chunks_exact(4) {
        let at = u32::from_le_bytes([change[0], change[1], change[2], 0]) as usize % bytes.len();
        bytes[at] = change[3];
    }
    if let [.., 0] = changes {
        bytes.truncate(changes.len() * 1000 % original.len());
    }
    let mut source = bytes.as_slice();
    let result = legacy::open(&mut source, Wanted::SYSTEM, &trust())
        .map(|mut packages| drain(&mut packages).is_ok());
    assert_eq!(matches!(result, Ok(true)), bytes == original);
}

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rest)) = bytes.split_first() else {
        return;
    };
    match choice % 4 {
        0 => {
            let result = approve(MANIFEST, SIGNATURE, rest, &trust());
            assert_eq!(result.is_ok(), rest == CHUNK_LISTS);
        }
        1 => {
            let mut lists = CHUNK_LISTS.to_vec();
            for change in rest.chunks_exact(2) {
                let at = usize::from(change[0]) % lists.len();
                lists[at] = change[1];
            }
            let result = approve(MANIFEST, &[], &lists, &Trust::default());
            assert_eq!(result.is_ok(), lists == CHUNK_LISTS);
        }
        2 => drop(drain(&mut VerifiedPackages::new(&approved(), Script(rest)))),
        _ => stream(rest),
    }
});
