//! Bundle files and directories of releases: what was signed comes out of both, in any order, and
//! of everything else nothing.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bundle::fakes::image::{CHUNK, Image, Signer, noise};
use bundle::legacy;
use bundle::package_stream::Packages as _;
use bundle::trust::{Approved, Trust, Wanted, approve};
use bundle::verify::{ChunkSource, verify_chunk};
use tempfile::TempDir;
use wire::chain::chain;
use wire::manifest::{CHUNK_LISTS, MANIFEST, SIGNATURE};
use wire::outcome::Outcome;

use crate::bundle_file::{BundleFile, Tail};
use crate::spans::ReadAt;
use crate::{Chunks, FetchError, Release, open};

/// What failed first, and what follows.
type Failed = (String, Outcome);

const PATH: &str = "/media/x.smv";

fn image() -> Image {
    Image::new(&[("a.tar.xz", &noise(300, 1)), ("b.tar.xz", &noise(20, 2))])
}

/// As `bundle create` writes it.
fn recorded(image: &Image, signer: &Signer) -> Vec<u8> {
    image.stream(&[
        (MANIFEST, &image.manifest),
        (SIGNATURE, &signer.sign(&image.manifest)),
        (CHUNK_LISTS, &image.chunk_lists),
    ])
}

fn of_bytes(medium: Arc<dyn ReadAt>, len: usize, tail: Tail) -> Result<BundleFile, FetchError> {
    BundleFile::of(Path::new(PATH), medium, len as u64, tail)
}

fn failed(error: &FetchError) -> Failed {
    (chain(error).to_string(), error.outcome())
}

/// Every file, each chunk verified.
fn read_all(
    release: Result<Box<dyn Release>, FetchError>,
    trust: &Trust,
) -> Result<Vec<(String, Vec<u8>)>, Failed> {
    let release = release.map_err(|error| failed(&error))?;
    let approved = approve(release.offered(), Wanted::SYSTEM, trust)
        .map_err(|error| (chain(&error).to_string(), error.outcome()))?;
    let chunks = release.chunks(&approved);
    read_chunks(chunks.map_err(|error| failed(&error))?, &approved)
}

fn read_chunks(
    mut chunks: Box<dyn Chunks>,
    approved: &Approved,
) -> Result<Vec<(String, Vec<u8>)>, Failed> {
    let mut files = Vec::new();
    for (index, file) in (0_u16..).zip(approved.files()) {
        let mut data = Vec::new();
        for chunk in 0..file.chunks().unwrap() {
            let mut buf = Vec::new();
            let is_last = chunks
                .chunk(index, chunk, &mut buf)
                .map_err(|error| (chain(&error).to_string(), error.outcome()))?;
            assert_eq!(is_last.0, Some(chunk + 1) == file.chunks());
            let verified = verify_chunk(approved, index, chunk, &mut buf)
                .map_err(|error| (chain(&error).to_string(), error.outcome()))?;
            data.extend_from_slice(verified.as_slice());
        }
        files.push((file.name.to_string(), data));
    }
    Ok(files)
}

fn read_bytes(bytes: &[u8], tail: Tail, trust: &Trust) -> Result<Vec<(String, Vec<u8>)>, Failed> {
    let release = of_bytes(Arc::new(bytes.to_vec()), bytes.len(), tail);
    read_all(
        release.map(|file| Box::new(file) as Box<dyn Release>),
        trust,
    )
}

/// Joined by cat(1), signed by stock minisign; `pack` writes the same bytes.
#[test]
fn a_golden_bundle_file_is_read() {
    let trust = Trust::parse(include_str!("../../bundle/tests/golden/small.smv.pub")).unwrap();
    let bytes = include_bytes!("../../bundle/tests/golden/small.smv");
    let files = read_bytes(bytes, Tail::Nothing, &trust).unwrap();
    let expected = [
        ("smechvisor-base.tar.xz".to_owned(), vec![b'a'; 300]),
        ("bootloader-grub.tar.xz".to_owned(), vec![b'b'; 20]),
    ];
    assert_eq!(files, expected);
}

/// The seeds of the fuzz target, as files and on a partition, with and without the key of the one
/// signed file among them.
#[test]
fn nothing_of_the_hostile_corpus_is_accepted() {
    let key = Trust::parse(include_str!("../../bundle/tests/golden/small.smv.pub")).unwrap();
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/bundle_file");
    let mut tried = 0;
    for entry in fs::read_dir(corpus).unwrap() {
        let path = entry.unwrap().path();
        let seed = fs::read(&path).unwrap();
        // Others are changes to the signed file, and no files.
        let Some((0 | 0x80, bytes)) = seed.split_first() else {
            continue;
        };
        for (tail, trust) in [
            (Tail::Nothing, &key),
            (Tail::Anything, &key),
            (Tail::Nothing, &Trust::default()),
            (Tail::Anything, &Trust::default()),
        ] {
            let result = read_bytes(bytes, tail, trust);
            let is_good = match path.file_name().and_then(|name| name.to_str()) {
                Some("whole") => true,
                Some("trailing") => tail == Tail::Anything,
                Some("unsigned" | "counter-max") => !trust.demands_signature(),
                Some("partition") => tail == Tail::Anything && !trust.demands_signature(),
                _ => false,
            };
            assert_eq!(result.is_ok(), is_good, "{}", path.display());
            if let Err((text, outcome)) = result {
                assert_eq!(outcome, Outcome::Refuse, "{}: {text}", path.display());
                assert!(text.chars().all(|c| !c.is_control()), "{text}");
            }
            tried += 1;
        }
    }
    assert!(tried >= 150, "{tried}");
    eprintln!("hostile corpus: {tried} read");
}

/// The wire's reader and the file's, over the same bytes.
#[test]
fn a_recorded_stream_is_read_as_the_wire_is() {
    let (image, signer) = (Image::small(), Signer::new());
    let bytes = recorded(&image, &signer);
    let files = read_bytes(&bytes, Tail::Nothing, &signer.trust()).unwrap();
    assert!(files == image.files);
    let (mut source, trust) = (bytes.as_slice(), signer.trust());
    let mut wire = legacy::open(&mut source, Wanted::SYSTEM, &trust).unwrap();
    for (name, data) in &files {
        let header = wire.next_header().unwrap().unwrap();
        let (mut got, mut buf) = (Vec::new(), [0; 5000]);
        loop {
            match wire.read_data(&mut buf).unwrap() {
                0 => break,
                len => got.extend_from_slice(&buf[..len]),
            }
        }
        assert!(header.name.as_str() == name && got == *data);
    }
    assert!(wire.next_header().unwrap().is_none());
}

#[test]
fn chunks_come_in_any_order_and_again() {
    let (image, signer) = (Image::small(), Signer::new());
    let bytes = recorded(&image, &signer);
    let file = of_bytes(Arc::new(bytes.clone()), bytes.len(), Tail::Nothing).unwrap();
    let approved = approve(file.offered(), Wanted::SYSTEM, &signer.trust()).unwrap();
    let mut spans = file.spans(&approved).unwrap();
    for ((file, chunk), expected, is_last) in image.feed().chunks.into_iter().rev() {
        for _ in 0..2 {
            let mut buf = Vec::new();
            assert_eq!(spans.chunk(file, chunk, &mut buf).unwrap().0, is_last);
            assert_eq!(buf, expected);
        }
        let place = spans.place(file, chunk);
        let at: usize = place.split(' ').nth(1).unwrap().parse().unwrap();
        assert_eq!(bytes[at..at + expected.len()], expected);
        assert!(place.ends_with(PATH), "{place}");
    }
    for (file, chunk) in [(0, 3), (1, 1), (2, 0), (u16::MAX, u32::MAX), (0, u32::MAX)] {
        let error = spans.chunk(file, chunk, &mut Vec::new()).unwrap_err();
        let expected = format!("there is no chunk {chunk} of file {file}");
        assert_eq!(error.to_string(), expected);
    }
}

/// One byte of a medium at a time.
struct OneByte(Vec<u8>);

impl ReadAt for OneByte {
    fn read_at(&self, buf: &mut [u8], offset_bytes: u64) -> io::Result<usize> {
        let len = buf.len().min(1);
        self.0.read_at(&mut buf[..len], offset_bytes)
    }
}

#[test]
fn one_byte_at_a_time_is_the_same() {
    let (image, signer) = (image(), Signer::new());
    let bytes = recorded(&image, &signer);
    let len = bytes.len();
    let release = of_bytes(Arc::new(OneByte(bytes)), len, Tail::Nothing);
    let release = release.map(|file| Box::new(file) as Box<dyn Release>);
    let files = read_all(release, &signer.trust()).unwrap();
    assert!(files == image.files);
}

#[test]
fn every_truncation_is_refused_and_says_where() {
    let (image, signer) = (image(), Signer::new());
    let (bytes, trust) = (recorded(&image, &signer), signer.trust());
    for len in 0..bytes.len() {
        for tail in [Tail::Nothing, Tail::Anything] {
            let (text, outcome) = read_bytes(&bytes[..len], tail, &trust).unwrap_err();
            assert_eq!(outcome, Outcome::Refuse, "{len}: {text}");
            assert!(text.ends_with("it ends there"), "{len}: {text}");
            assert!(text.contains(PATH), "{len}: {text}");
        }
    }
    assert!(read_bytes(&bytes, Tail::Nothing, &trust).is_ok());
}

#[test]
fn no_changed_byte_is_accepted() {
    let (image, signer) = (image(), Signer::new());
    let (bytes, trust) = (recorded(&image, &signer), signer.trust());
    let mut tried = 0;
    for at in 0..bytes.len() {
        for flip in [1, 0x20, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[at] ^= flip;
            for tail in [Tail::Nothing, Tail::Anything] {
                let (text, outcome) = read_bytes(&changed, tail, &trust).unwrap_err();
                assert_eq!(outcome, Outcome::Refuse, "byte {at}: {text}");
                assert!(text.chars().all(|c| !c.is_control()), "byte {at}: {text}");
            }
            tried += 1;
        }
    }
    eprintln!("bundle file: {tried} changed bytes, 0 accepted");
}

#[test]
fn what_follows_the_end_is_refused_in_a_file_and_not_looked_at_on_a_partition() {
    let (image, signer) = (image(), Signer::new());
    let bytes = recorded(&image, &signer);
    let longer = [bytes.as_slice(), &noise(1000, 3)].concat();
    let (text, _) = read_bytes(&longer, Tail::Nothing, &signer.trust()).unwrap_err();
    let expected = format!(
        "reading the bundle file {PATH}: byte {} of the stream follows its terminator",
        bytes.len()
    );
    assert_eq!(text, expected);
    let files = read_bytes(&longer, Tail::Anything, &signer.trust()).unwrap();
    assert!(files == image.files);
}

/// Another order, other names, lengths that lie: each says what is there and what belongs there.
#[test]
fn hostile_bundle_files_are_refused_with_the_reason() {
    let (image, signer) = (image(), Signer::new());
    let trust = signer.trust();
    let signature = signer.sign(&image.manifest);
    let manifest = (MANIFEST, image.manifest.as_slice());
    let signed = (SIGNATURE, signature.as_slice());
    let lists = (CHUNK_LISTS, image.chunk_lists.as_slice());
    let front = [manifest, signed, lists];
    let with = |change: fn(&mut Image)| {
        let mut changed = image.clone();
        change(&mut changed);
        changed.stream(&front)
    };
    let long = vec![b'x'; 1025];
    let mut huge = image.stream(&[]);
    huge[4 + 8..4 + 8 + 8].copy_from_slice(&u64::MAX.to_be_bytes());
    let mut control = image.stream(&front);
    let name_at = control.windows(8).rposition(|name| name == b"a.tar.xz");
    control[name_at.unwrap()] = 0x1b;
    for (bytes, expected) in [
        (
            Vec::new(),
            "reading the first four bytes at byte 0 of the stream: it ends there",
        ),
        (
            b"GET / HTTP/1.1".to_vec(),
            "is no bundle file: reading a package header at byte 0",
        ),
        (b"SMV2 and more".to_vec(), "is no bundle file"),
        (
            vec![0; 100],
            "is no bundle file: the stream ends before its first package",
        ),
        (
            image.stream(&[]),
            "is no bundle file: a.tar.xz where MANIFEST belongs",
        ),
        (
            image.stream(&[signed, manifest, lists]),
            "MANIFEST.minisig where MANIFEST belongs",
        ),
        (
            image.stream(&[manifest, signed]),
            "a.tar.xz where MANIFEST.chunks belongs",
        ),
        (image.stream(&[manifest, lists, signed]), "is unsigned"),
        (image.stream(&[manifest, lists]), "is unsigned"),
        (
            image.stream(&[manifest, (SIGNATURE, &long), lists]),
            "MANIFEST.minisig of 1025 bytes",
        ),
        (
            image.stream(&[manifest, manifest, lists]),
            "MANIFEST is sent a second time",
        ),
        (
            with(|image| image.files.reverse()),
            "has b.tar.xz where its manifest has a.tar.xz",
        ),
        (
            with(|image| image.files[0].0 = "c".into()),
            "has c where its manifest has a.tar.xz",
        ),
        (
            with(|image| drop(image.files.pop())),
            "has the end of the stream where",
        ),
        (
            with(|image| image.files.push(("c".into(), vec![0]))),
            "has c, which its manifest has",
        ),
        (
            with(|image| image.files[1].1.push(0)),
            "with 21 bytes, its manifest says 20",
        ),
        (
            with(|image| image.files[1].1.truncate(1)),
            "with 1 bytes, its manifest says 20",
        ),
        (
            with(|image| image.files[1].1[3] ^= 4),
            "b.tar.xz, chunk 0: its SHA-256 is not",
        ),
        (control, "a package name has '\\x1b' at byte 0"),
        (huge, "18446744073709551615"),
    ] {
        for tail in [Tail::Nothing, Tail::Anything] {
            let (text, outcome) = read_bytes(&bytes, tail, &trust).unwrap_err();
            assert_eq!(outcome, Outcome::Refuse, "{text}");
            assert!(text.contains(expected), "{expected}: {text}");
        }
    }
}

/// A directory with a release, and the key that signed it.
struct Side {
    dir: TempDir,
    image: Image,
    signer: Signer,
}

impl Side {
    fn new() -> Self {
        let (image, signer) = (Image::small(), Signer::new());
        let dir = TempDir::new().unwrap();
        let side = Self { dir, image, signer };
        fs::write(side.file(MANIFEST), &side.image.manifest).unwrap();
        let signature = side.signer.sign(&side.image.manifest);
        fs::write(side.file(SIGNATURE), signature).unwrap();
        fs::write(side.file(CHUNK_LISTS), &side.image.chunk_lists).unwrap();
        for (name, data) in &side.image.files {
            fs::write(side.file(name), data).unwrap();
        }
        side
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn read(&self) -> Result<Vec<(String, Vec<u8>)>, Failed> {
        read_all(open(self.dir.path()), &self.signer.trust())
    }

    /// Something that must be refused in place of `name`.
    fn refused(&self, name: &str, put: impl FnOnce(&Path)) -> String {
        let (path, aside) = (self.file(name), self.file("aside"));
        fs::rename(&path, &aside).unwrap();
        put(&path);
        let (text, outcome) = self.read().unwrap_err();
        assert_eq!(outcome, Outcome::Refuse, "{text}");
        assert!(text.contains(path.to_str().unwrap()), "{text}");
        let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
        fs::rename(&aside, &path).unwrap();
        text
    }
}

#[test]
fn a_directory_gives_the_release_that_it_holds() {
    let side = Side::new();
    fs::write(side.file("README"), "passed over").unwrap();
    assert!(side.read().unwrap() == side.image.files);
    fs::remove_file(side.file(SIGNATURE)).unwrap();
    assert!(side.read().unwrap_err().0.contains("is unsigned"));
    let unsigned = read_all(open(side.dir.path()), &Trust::default()).unwrap();
    assert!(unsigned == side.image.files);
}

#[test]
fn links_pipes_directories_and_other_lengths_are_refused_by_name() {
    let side = Side::new();
    for name in [MANIFEST, CHUNK_LISTS, "first.tar.xz", "second.tar.xz"] {
        let text = side.refused(name, |_| ());
        assert!(text.starts_with("there is no "), "{text}");
        let text = side.refused(name, |path| symlink(side.file("aside"), path).unwrap());
        assert!(text.ends_with("is no regular file"), "{text}");
        let text = side.refused(name, |path| fs::create_dir(path).unwrap());
        assert!(text.ends_with("is no regular file"), "{text}");
        let text = side.refused(name, |path| {
            let (kind, mode) = (rustix::fs::FileType::Fifo, 0o600.into());
            rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, 0).unwrap();
        });
        assert!(text.ends_with("is no regular file"), "{text}");
    }
    let text = side.refused("second.tar.xz", |path| fs::write(path, "x").unwrap());
    assert!(
        text.ends_with("has 1 bytes; its manifest says 1000"),
        "{text}"
    );
    let text = side.refused(SIGNATURE, |path| fs::write(path, [b'x'; 1025]).unwrap());
    assert!(text.ends_with("has 1025 bytes; 1024 is the most"), "{text}");
}

/// A file is opened once: what takes its name later is not read.
#[test]
fn a_file_that_is_replaced_behind_our_back_does_not_matter() {
    let side = Side::new();
    let release = open(side.dir.path()).unwrap();
    let approved = approve(release.offered(), Wanted::SYSTEM, &side.signer.trust()).unwrap();
    let chunks = release.chunks(&approved).unwrap();
    fs::remove_file(side.file("first.tar.xz")).unwrap();
    fs::write(side.file("first.tar.xz"), "another").unwrap();
    assert!(read_chunks(chunks, &approved).unwrap() == side.image.files);
    // One that is cut short meanwhile ends where it ends, and may be whole again later.
    let side = Side::new();
    let release = open(side.dir.path()).unwrap();
    let approved = approve(release.offered(), Wanted::SYSTEM, &side.signer.trust()).unwrap();
    let chunks = release.chunks(&approved).unwrap();
    let file = File::options().write(true).open(side.file("first.tar.xz"));
    file.unwrap().set_len(CHUNK as u64 + 7).unwrap();
    let (text, outcome) = read_chunks(chunks, &approved).unwrap_err();
    assert_eq!(outcome, Outcome::Retry);
    assert!(
        text.contains("reading byte 65536 of ") && text.ends_with("it ends there"),
        "{text}"
    );
}

#[test]
fn a_path_says_itself_what_it_is() {
    let side = Side::new();
    let file = side.file("release.smv");
    fs::write(&file, recorded(&side.image, &side.signer)).unwrap();
    let files = read_all(open(&file), &side.signer.trust()).unwrap();
    assert!(files == side.image.files);
    let missing = open(&side.file("nowhere")).map(|_| ()).unwrap_err();
    assert!(matches!(&missing, FetchError::Open { .. }), "{missing:?}");
    assert_eq!(missing.outcome(), Outcome::Refuse);
    let device = open(Path::new("/dev/null")).map(|_| ()).unwrap_err();
    let text = "/dev/null is neither a directory nor a file nor a block device";
    assert_eq!(device.to_string(), text);
}
