//! Images for tests: files with the manifest and chunk lists that belong to them, a key that signs,
//! and a source that sends the chunks, changed where a test wants it.

use std::io::Cursor;

use minisign::KeyPair;
use sha2::{Digest, Sha256};
use wire::manifest::{
    Builder, CHUNK_SIZE_MIN, Content, File, Head, IMAGE_SUFFIX, PRODUCT, Role, Unpacked,
};
use wire::outcome::Outcome;
use wire::stream::PackageName;

use crate::decode::{DecodeLimits, decode};
use crate::trust::{ApproveError, Approved, Offered, Trust, Wanted, approve};
use crate::unpack::{Owners, UnpackLimits, check};
use crate::verify::{ChunkError, ChunkSource, IsLast, VerifyError};

/// Small, so that small files have several.
pub const CHUNK: usize = CHUNK_SIZE_MIN as usize;

pub const HEAD: Head<'static> = Head {
    role: Role::Os,
    product: PRODUCT,
    version: "1.0",
    counter: 417,
    keyset: 3,
    created: "2026-11-20T00:00:00Z",
};

/// Files and what is said of them.
#[derive(Clone)]
pub struct Image {
    pub manifest: Vec<u8>,
    pub chunk_lists: Vec<u8>,
    pub files: Vec<(String, Vec<u8>)>,
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// What a package unpacks to; 1 byte and 1 entry if it is not a package.
pub fn count(package: &[u8]) -> Unpacked {
    let limits = DecodeLimits {
        memory_bytes: 64 << 20,
        threads: 1,
        output_cap: 1 << 30,
    };
    let unpack = UnpackLimits {
        entries: 1000,
        owners: Owners::Caller,
        content: None,
    };
    let tar = decode(package, limits).ok();
    let found = tar.and_then(|mut tar| check(&mut tar, &unpack).ok());
    found.map_or(
        Unpacked {
            size_bytes: 1,
            entries: 1,
        },
        |found| Unpacked {
            size_bytes: found.tar_bytes,
            entries: u32::try_from(found.entries).unwrap(),
        },
    )
}

/// A file's line, and its part of the chunk lists.
pub fn describe(name: &str, data: &[u8], unpacked: Option<Unpacked>) -> (File, Vec<u8>) {
    let list: Vec<u8> = data.chunks(CHUNK).flat_map(sha256).collect();
    let file = File {
        name: PackageName::parse(name.as_bytes()).unwrap(),
        chunk_size: CHUNK_SIZE_MIN,
        content: Content::Hashed {
            sha256: sha256(data),
            size_bytes: data.len() as u64,
            unpacked,
            chunk_list_sha256: sha256(&list),
        },
    };
    (file, list)
}

pub fn manifest(head: &Head<'_>, files: &[File]) -> Vec<u8> {
    let mut builder = Builder::new(String::new(), head).unwrap();
    for file in files {
        builder.file(file).unwrap();
    }
    builder.end().unwrap().into_bytes()
}

impl Image {
    pub fn new(files: &[(&str, &[u8])]) -> Self {
        let described: Vec<(File, Vec<u8>)> = files
            .iter()
            .map(|(name, data)| {
                let image = Unpacked::of_image(data.len() as u64);
                let is_image = name.ends_with(IMAGE_SUFFIX);
                let counted = if is_image { image } else { count(data) };
                describe(name, data, Some(counted))
            })
            .collect();
        let lines: Vec<File> = described.iter().map(|(file, _)| file.clone()).collect();
        Self {
            manifest: manifest(&HEAD, &lines),
            chunk_lists: described.into_iter().flat_map(|(_, list)| list).collect(),
            files: files
                .iter()
                .map(|(name, data)| ((*name).to_owned(), data.to_vec()))
                .collect(),
        }
    }

    /// Three chunks, the last one short, then one chunk.
    pub fn small() -> Self {
        Self::new(&[
            ("first.tar.xz", &noise(2 * CHUNK + 100, 1)),
            ("second.tar.xz", &noise(1000, 2)),
        ])
    }

    pub fn offered<'a>(&'a self, signature: &'a [u8]) -> Offered<'a> {
        Offered {
            manifest: &self.manifest,
            signature,
            chunk_lists: &self.chunk_lists,
        }
    }

    pub fn approve(&self, signature: &[u8], trust: &Trust) -> Result<Approved, ApproveError> {
        approve(self.offered(signature), Wanted::SYSTEM, trust)
    }

    /// Without any key.
    pub fn approved(&self) -> Approved {
        self.approve(&[], &Trust::default()).unwrap()
    }

    /// Every chunk as it belongs.
    pub fn feed(&self) -> Feed {
        let mut chunks = Vec::new();
        for (file, (_, data)) in (0_u16..).zip(&self.files) {
            let pieces: Vec<&[u8]> = data.chunks(CHUNK).collect();
            for (chunk, piece) in (0_u32..).zip(&pieces) {
                let is_last = chunk as usize + 1 == pieces.len();
                chunks.push(((file, chunk), piece.to_vec(), is_last));
            }
        }
        Feed {
            chunks,
            at: 0,
            refused: Vec::new(),
            second_try: None,
        }
    }

    /// As records of the original stream, with these before the files.
    pub fn stream(&self, before: &[(&str, &[u8])]) -> Vec<u8> {
        let files = self.files.iter().map(|(name, data)| (&**name, &**data));
        let mut bytes = Vec::new();
        for (name, data) in before.iter().copied().chain(files) {
            let name = PackageName::parse(name.as_bytes()).unwrap();
            bytes.extend_from_slice(&wire::stream::header(&name, data.len() as u64).unwrap());
            bytes.extend_from_slice(data);
        }
        bytes.extend_from_slice(&wire::stream::TERMINATOR);
        bytes
    }
}

/// Not compressible, and different everywhere.
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..len).map(step).collect()
}

/// File and number, bytes, last one of its file?
type SentChunk = ((u16, u32), Vec<u8>, bool);

/// Sends chunks in order, and answers for what it was asked.
pub struct Feed {
    pub chunks: Vec<SentChunk>,
    pub at: usize,
    /// The faults that it found.
    pub refused: Vec<String>,
    /// After a refusal everything comes again from there, out of these.
    pub second_try: Option<Vec<SentChunk>>,
}

impl ChunkSource for Feed {
    fn chunk(&mut self, file: u16, chunk: u32, buf: &mut Vec<u8>) -> Result<IsLast, ChunkError> {
        assert!(buf.is_empty());
        let Some((place, bytes, is_last)) = self.chunks.get(self.at) else {
            return Err(ChunkError::Missing {
                what: "the donor is gone".to_owned(),
                outcome: Outcome::Retry,
                source: None,
            });
        };
        assert_eq!(*place, (file, chunk), "asked for in order");
        self.at += 1;
        buf.extend_from_slice(bytes);
        Ok(IsLast(*is_last))
    }

    fn refused(&mut self, fault: &VerifyError) -> bool {
        self.refused.push(fault.to_string());
        let Some(again) = self.second_try.clone() else {
            return false;
        };
        self.chunks = again;
        self.at -= 1;
        true
    }
}

/// A key pair, and the trust of a machine that knows its public half.
pub struct Signer(KeyPair);

impl Signer {
    pub fn new() -> Self {
        Self(KeyPair::generate_unencrypted_keypair().unwrap())
    }

    pub fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        let comment = Some("timestamp:1\tfile:MANIFEST\thashed");
        let signed = minisign::sign(None, &self.0.sk, Cursor::new(bytes), comment, None).unwrap();
        signed.into_string().into_bytes()
    }

    pub fn public(&self) -> String {
        self.0.pk.to_base64()
    }

    pub fn trust(&self) -> Trust {
        Trust::parse(&self.public()).unwrap()
    }
}
