//! The power is cut while a bundle is applied on a real ext4: QEMU's storage daemon records every
//! write and flush below a loop device, and from that record disks are made on which everything
//! that was flushed is there, and of the rest a part. Each is mounted, looked at and recovered.
//!
//! `SMV_POWER_IMAGES` disks, `SMV_POWER_SEED` the random numbers of a former run.

// The lint knows test functions only; this whole file is a test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::BTreeSet;
use std::env;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use bundle::fakes::content::Content;
use bundle::fakes::image::{Signer, noise};
use bundle::unpack_pipeline::Resources;
use bundle::worker::threads::Threads;
use store::activate::activate;
use store::directory::Directory;
use store::recover::recover;
use store::shelf::{Chunks, Offer, Shelf, Target};
use store::stage::{Again, stage};
use tempfile::TempDir;

const DISK_BYTES: usize = 24 << 20;
const SECTOR: usize = 512;
/// What of a write reaches the medium, or does not.
const PIECE: usize = 4096;
const RESOURCES: Resources = Resources {
    memory_bytes: 64 << 20,
    threads: 1,
    workers: &Threads,
};

fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output();
    let output = output.expect("./setup installs it");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {said}");
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A file system that is mounted until this is dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn try_new(disk: &Path, at: &Path, options: &str) -> Option<Self> {
        let options = format!("loop,{options}");
        let mut mount = Command::new("mount");
        let output = mount.args(["-t", "ext4", "-o", &options]).arg(disk).arg(at);
        let status = output.output().expect("mount").status;
        status.success().then(|| Self(at.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// One line of the record.
enum Line {
    Flush,
    /// To be found at `data` of the record.
    Write {
        at: usize,
        len: usize,
        data: usize,
    },
}

/// QEMU's record of a disk, in the format of dm-log-writes.
struct Log {
    bytes: Vec<u8>,
    lines: Vec<Line>,
}

impl Log {
    fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap();
        let word = |at: usize| {
            let word: [u8; 8] = bytes[at..at + 8].try_into().unwrap();
            usize::try_from(u64::from_le_bytes(word)).unwrap()
        };
        assert_eq!(word(0), 0x6a_7366_7773_6872, "no record of writes");
        let (mut lines, mut at) = (Vec::new(), SECTOR);
        for _ in 0..word(16) {
            let (sector, len, flags) = (word(at), word(at + 8) * SECTOR, word(at + 16));
            at += SECTOR;
            // 4 is a discard, which changes nothing here; 2 a write through.
            if flags & 4 != 0 {
                continue;
            }
            if flags & 1 != 0 {
                lines.push(Line::Flush);
            }
            if len > 0 {
                let (begin, data) = (sector * SECTOR, at);
                lines.push(Line::Write {
                    at: begin,
                    len,
                    data,
                });
                at += len;
            }
            if flags & 2 != 0 {
                lines.push(Line::Flush);
            }
        }
        Self { bytes, lines }
    }

    fn put(&self, disk: &mut [u8], line: &Line, keeps: &mut dyn FnMut() -> bool) {
        let Line::Write { at, len, data } = *line else {
            return;
        };
        for from in (0..len).step_by(PIECE) {
            let piece = PIECE.min(len - from);
            if keeps() {
                let bytes = &self.bytes[data + from..data + from + piece];
                disk[at + from..at + from + piece].copy_from_slice(bytes);
            }
        }
    }

    /// The disk when the power goes behind so many lines.
    fn cut(&self, base: &[u8], count: usize, random: &mut Random) -> Vec<u8> {
        let mut disk = base.to_vec();
        let is_flush = |line: &Line| matches!(line, Line::Flush);
        let flushed = self.lines[..count].iter().rposition(is_flush).unwrap_or(0);
        for line in &self.lines[..flushed] {
            self.put(&mut disk, line, &mut || true);
        }
        // All of the rest, most of it, a part, or none.
        let of_eight = [8, 7, 4, 0][usize::try_from(random.next() % 4).unwrap()];
        for line in &self.lines[flushed..count] {
            self.put(&mut disk, line, &mut || random.next() % 8 < of_eight);
        }
        disk
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

/// A file whose writes are recorded.
struct Recorder {
    child: Child,
    file: PathBuf,
}

impl Recorder {
    fn of(disk: &Path, log: &Path, file: &Path) -> Self {
        File::create(log).unwrap();
        File::create(file).unwrap();
        let mut daemon = Command::new("qemu-storage-daemon");
        for (name, path) in [("disk", disk), ("log", log)] {
            let blockdev = format!("driver=file,node-name={name},filename={}", path.display());
            daemon.args(["--blockdev", &blockdev]);
        }
        daemon.args([
            "--blockdev",
            "driver=raw,node-name=raw,file=disk",
            "--blockdev",
            "driver=blklogwrites,node-name=recorded,file=raw,log=log,log-sector-size=512",
        ]);
        let export = format!(
            "type=fuse,id=export,node-name=recorded,writable=on,mountpoint={}",
            file.display()
        );
        let child = daemon.args(["--export", &export]).spawn();
        let recorder = Self {
            child: child.expect("./setup installs it"),
            file: file.to_owned(),
        };
        let end = Instant::now() + Duration::from_secs(60);
        while fs::metadata(file).unwrap().len() == 0 {
            assert!(Instant::now() < end, "the daemon exports nothing");
            thread::sleep(Duration::from_millis(20));
        }
        recorder
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // It writes the record's end when it is asked to go.
        let id = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &id]).status();
        let _ = self.child.wait();
    }
}

struct Side {
    dir: TempDir,
    signer: Signer,
}

impl Side {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn shelf(&self) -> Directory {
        let (state, seeds) = (self.path("mnt/state"), self.path("mnt/seed"));
        let place = "site/www".parse().unwrap();
        Directory::create(&place, &state, &seeds, self.signer.trust()).unwrap()
    }

    fn apply(&self, counter: u64) {
        let (small, large) = (noise(700, counter), noise(90_000, counter));
        let files: [(&str, &[u8]); 4] = [
            ("a/b/c", &small),
            ("a/d", &large),
            ("e", &large),
            ("empty", b""),
        ];
        let mut content = Content::site(&files);
        content.counter = counter;
        let image = content.image();
        let approved = content.approved(&image, &self.signer).unwrap();
        let mut chunks = image.feed();
        let mut offer = Offer {
            approved: &approved,
            role: content.role,
            chunks: Chunks(&mut chunks),
            resources: &RESOURCES,
        };
        let mut shelf = self.shelf();
        recover(&mut shelf).unwrap();
        let staged = stage(&mut shelf, &mut offer, Again(false)).unwrap();
        activate(&mut shelf, &staged).unwrap();
    }

    /// A disk that serves version 1, and the record of what puts version 2 in its place.
    fn record(&self, options: &str) -> (Vec<u8>, Log) {
        let (disk, at) = (self.path("disk"), self.path("mnt"));
        fs::create_dir_all(&at).unwrap();
        fs::write(&disk, vec![0; DISK_BYTES]).unwrap();
        run(
            "mke2fs",
            &["-q", "-F", "-t", "ext4", "-b", "4096", text(&disk)],
        );
        {
            let _mounted = Mounted::try_new(&disk, &at, "rw").unwrap();
            self.apply(1);
        }
        let base = fs::read(&disk).unwrap();
        let recorder = Recorder::of(&disk, &self.path("log"), &self.path("export"));
        {
            let _mounted = Mounted::try_new(&recorder.file, &at, options).unwrap();
            self.apply(2);
        }
        drop(recorder);
        (base, Log::read(&self.path("log")))
    }

    /// What is wrong with a disk, if something is.
    fn judge(&self, disk: &[u8], is_over: bool) -> Result<(), String> {
        let path = self.path("cut");
        fs::write(&path, disk).unwrap();
        let mounted = Mounted::try_new(&path, &self.path("mnt"), "rw");
        let _mounted = mounted.ok_or("it is not mounted")?;
        let mut shelf = self.shelf();
        // A web server asks nobody.
        let before = self.whole(&mut shelf)?;
        recover(&mut shelf).map_err(|error| format!("recovery: {error}"))?;
        let after = self.whole(&mut shelf)?;
        if is_over && (before, after) != (2, 2) {
            return Err(format!("{before}, then {after} is served at the end"));
        }
        let again = recover(&mut shelf).map_err(|error| format!("recovery: {error}"))?;
        match again.is_empty() {
            true => Ok(()),
            false => Err(format!("a second recovery finds {again:?}")),
        }
    }

    /// The counter of what is served, if that is as it was signed.
    fn whole(&self, shelf: &mut Directory) -> Result<u64, String> {
        let listing = shelf.look().map_err(|error| error.to_string())?;
        let Some(Target::Generation(counter)) = listing.current else {
            return Err("nothing is served".to_owned());
        };
        let held = shelf.verify(Target::Generation(counter));
        held.map_err(|reject| format!("{counter} is served: {reject}"))?;
        Ok(counter)
    }

    /// Looks at so many disks; the first that is wrong ends it.
    fn cut(&self, options: &str, images: u64, seed: u64) -> (String, Result<(), String>) {
        let began = Instant::now();
        let (base, log) = self.record(options);
        let (mut random, mut seen) = (Random(seed), BTreeSet::new());
        let mut judged = Ok(());
        let mut number = 0;
        while number < images && judged.is_ok() {
            // Evenly, and the end too.
            let share = usize::try_from(images.max(2) - 1).unwrap();
            let count = log.lines.len() * usize::try_from(number).unwrap() / share;
            let disk = log.cut(&base, count, &mut random);
            let mut hasher = DefaultHasher::new();
            disk.hash(&mut hasher);
            seen.insert(hasher.finish());
            let judgement = self.judge(&disk, count == log.lines.len());
            judged = judgement.map_err(|what| format!("disk {number}, seed {seed}: {what}"));
            number += 1;
        }
        let (lines, different) = (log.lines.len(), seen.len());
        let took = began.elapsed().as_secs_f64();
        let line = format!(
            "bundle apply on ext4: {lines} operations, {number} images, {different} different, \
             seed {seed}, {took:.1} s"
        );
        (line, judged)
    }
}

fn number(variable: &str, default: u64) -> u64 {
    env::var(variable).map_or(default, |text| text.parse().unwrap())
}

#[test]
#[ignore = "needs root"] // to mount
fn no_cut_on_ext4_serves_what_is_not_whole() {
    let side = Side {
        dir: TempDir::new().unwrap(),
        signer: Signer::new(),
    };
    let (images, seed) = (number("SMV_POWER_IMAGES", 24), number("SMV_POWER_SEED", 15));
    let (line, judged) = side.cut("rw", images, seed);
    judged.unwrap();
    println!("{line}");
    // The same judge sees what a file system loses that does not flush.
    let (line, judged) = side.cut("rw,barrier=0", images.max(200), seed);
    let wrong = judged.expect_err("a disk without flushes loses something");
    println!("without flushes: {line}: {wrong}");
}
