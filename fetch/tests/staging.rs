//! Staging directories: a downloader that is killed goes on, and nothing that somebody else puts
//! there is taken.

// The lint knows test functions only; this whole file is a test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use bundle::fakes::image::{CHUNK, Image, Signer, noise};
use bundle::trust::{Approved, Wanted, approve};
use bundle::verify::verify_chunk;
use fetch::http::client::Access;
use fetch::source::Source;
use fetch::staging::{Filled, Filling, Staging};
use fetch::{FetchError, Release};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;
use wire::chain::chain;
use wire::manifest::{CHUNK_LISTS, MANIFEST, SIGNATURE};

const NAME: &str = "smechvisor-system.img";

/// Puts something at a path.
type Put = fn(&Path);

struct Side {
    dir: TempDir,
    signer: Signer,
    image: Image,
}

impl Side {
    fn new() -> Self {
        let side = Self {
            dir: tempfile::tempdir().unwrap(),
            signer: Signer::new(),
            image: Image::new(&[(NAME, &noise(5 * CHUNK + 9, 3))]),
        };
        fs::create_dir(side.staging()).unwrap();
        fs::create_dir(side.path("source")).unwrap();
        for (name, bytes) in [
            (MANIFEST, side.image.manifest.clone()),
            (SIGNATURE, side.signer.sign(&side.image.manifest)),
            (CHUNK_LISTS, side.image.chunk_lists.clone()),
            (NAME, side.image.files[0].1.clone()),
        ] {
            fs::write(side.path("source").join(name), bytes).unwrap();
        }
        side
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn staging(&self) -> PathBuf {
        self.path("staging")
    }

    fn source(&self) -> (Box<dyn Release>, Approved) {
        let source = Source::parse(OsStr::new(&self.path("source"))).unwrap();
        let release = source.open(Wanted::SYSTEM, &Access::default()).unwrap();
        let approved = approve(release.offered(), Wanted::SYSTEM, &self.signer.trust());
        (release, approved.unwrap())
    }

    fn fill(&self) -> Result<Filled, FetchError> {
        let (release, approved) = self.source();
        let filling = Filling::begin(&self.staging())?;
        filling.fill(Wanted::SYSTEM, release, &approved, &mut |_, _| {})
    }

    /// All of it, as a node takes it; `between` happens before the second chunk.
    fn take(&self, between: impl FnOnce()) -> Result<(), String> {
        let failed = |error: FetchError| chain(&error).to_string();
        let staging: Box<dyn Release> = Box::new(Staging::open(&self.staging()).map_err(failed)?);
        let approved = approve(staging.offered(), Wanted::SYSTEM, &self.signer.trust())
            .map_err(|error| chain(&error).to_string())?;
        let mut chunks = staging.chunks(&approved).map_err(failed)?;
        let mut between = Some(between);
        for (chunk, expected) in (0..).zip(self.image.files[0].1.chunks(CHUNK)) {
            if let (1, Some(between)) = (chunk, between.take_if(|_| chunk == 1)) {
                between();
            }
            let mut buf = Vec::new();
            let got = chunks.chunk(0, chunk, &mut buf);
            got.map_err(|error| chain(&error).to_string())?;
            let verified = verify_chunk(&approved, 0, chunk, &mut buf);
            let verified = verified.map_err(|error| chain(&error).to_string())?;
            assert_eq!(verified.as_slice(), expected);
        }
        Ok(())
    }
}

#[test]
fn a_release_goes_through_a_staging_directory() {
    let side = Side::new();
    let size = side.image.files[0].1.len() as u64;
    let all = |fetched_bytes, kept_bytes| Filled {
        fetched_bytes,
        kept_bytes,
    };
    assert_eq!(side.fill().unwrap(), all(size, 0));
    side.take(|| {}).unwrap();
    // Once more, and after damage, a rename and a cut.
    assert_eq!(side.fill().unwrap(), all(0, size));
    let file = File::options()
        .write(true)
        .open(side.staging().join(NAME))
        .unwrap();
    file.write_all_at(b"x", 2 * CHUNK as u64 + 5).unwrap();
    fs::rename(side.staging(), side.path("other")).unwrap();
    fs::rename(side.path("other"), side.staging()).unwrap();
    let chunk = CHUNK as u64;
    assert_eq!(side.fill().unwrap(), all(chunk, size - chunk));
    let part = side.staging().join(format!("{NAME}.part"));
    fs::rename(side.staging().join(NAME), &part).unwrap();
    File::options()
        .write(true)
        .open(&part)
        .unwrap()
        .set_len(3 * chunk)
        .unwrap();
    assert_eq!(side.fill().unwrap(), all(size - 3 * chunk, 3 * chunk));
    side.take(|| {}).unwrap();
}

#[test]
fn what_does_not_belong_refuses_the_directory_by_name() {
    let put: [(&str, Put); 9] = [
        ("README", |path| fs::write(path, "").unwrap()),
        (".hidden", |path| fs::write(path, "").unwrap()),
        ("link", |path| symlink("MANIFEST", path).unwrap()),
        ("fifo", |path| mknod(path, FileType::Fifo)),
        ("socket", |path| drop(UnixListener::bind(path).unwrap())),
        ("directory", |path| fs::create_dir(path).unwrap()),
        ("smechvisor-system.img.part", |path| {
            symlink("/etc/passwd", path).unwrap()
        }),
        (".lock", |path| {
            fs::remove_file(path).unwrap();
            mknod(path, FileType::Fifo);
        }),
        ("MANIFEST.part", |path| {
            fs::hard_link(path.with_file_name("MANIFEST.chunks"), path).unwrap();
        }),
    ];
    for (name, put) in put {
        let side = Side::new();
        side.fill().unwrap();
        put(&side.staging().join(name));
        let taken = side.take(|| {}).unwrap_err();
        let is_named = |text: &str| {
            text.contains(&format!("/staging/{name} ")) || text.contains("/MANIFEST.chunks has 2")
        };
        assert!(is_named(&taken), "{name}: {taken}");
        // A downloader does not write through it either.
        let filled = chain(&side.fill().unwrap_err()).to_string();
        assert!(filled.contains("/staging/"), "{name}: {filled}");
    }
}

fn mknod(path: &Path, kind: FileType) {
    mknodat(CWD, path, kind, Mode::RWXU, 0).unwrap();
}

#[test]
fn files_in_place_of_others_are_refused_by_name() {
    let replace: [(Put, &str); 4] = [
        (
            |path| symlink("/etc/passwd", path).unwrap(),
            "is no regular file",
        ),
        (|path| mknod(path, FileType::Fifo), "is no regular file"),
        (
            |path| fs::write(path, "short").unwrap(),
            "has 5 bytes; its manifest says 327689",
        ),
        (|path| fs::create_dir(path).unwrap(), "is no regular file"),
    ];
    for (replace, expected) in replace {
        let side = Side::new();
        side.fill().unwrap();
        let file = side.staging().join(NAME);
        fs::remove_file(&file).unwrap();
        replace(&file);
        let text = side.take(|| {}).unwrap_err();
        assert_eq!(text, format!("{} {expected}", file.display()));
    }
    let side = Side::new();
    side.fill().unwrap();
    fs::hard_link(side.staging().join(NAME), side.path("second")).unwrap();
    let text = side.take(|| {}).unwrap_err();
    assert!(
        text.contains("has 2 names; a file of a staging directory has one"),
        "{text}"
    );
}

#[test]
fn what_changes_between_two_reads_is_noticed_or_does_not_matter() {
    let side = Side::new();
    side.fill().unwrap();
    let path = side.staging().join(NAME);
    let text = side.take(|| {
        let file = File::options().write(true).open(&path).unwrap();
        file.write_all_at(b"changed", 3 * CHUNK as u64).unwrap();
    });
    let text = text.unwrap_err();
    assert!(
        text.starts_with("verifying smechvisor-system.img, chunk 3"),
        "{text}"
    );
    side.fill().unwrap();
    // Another file under the name is another file.
    side.take(|| {
        fs::remove_file(&path).unwrap();
        fs::write(&path, "another").unwrap();
    })
    .unwrap();
    side.fill().unwrap();
    let text = side.take(|| {
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(9)
            .unwrap()
    });
    assert!(text.unwrap_err().ends_with("it ends there"));
}

#[test]
fn two_downloaders_exclude_each_other() {
    let side = Side::new();
    side.fill().unwrap();
    let lock = File::options()
        .write(true)
        .open(side.staging().join(".lock"))
        .unwrap();
    lock.lock().unwrap();
    let error = side.fill().unwrap_err();
    assert!(matches!(error, FetchError::Busy { .. }), "{error}");
    drop(lock);
    side.fill().unwrap();
    let missing = Staging::open(&side.path("nowhere"))
        .map(|_| ())
        .unwrap_err();
    assert!(matches!(missing, FetchError::Open { .. }), "{missing}");
}
