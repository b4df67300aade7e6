//! Any tar unpacked into a real file system: no panic, and nothing outside the directory is made,
//! changed or removed, through whatever links, names and kinds of entries. What is taken is what
//! was counted.
//!
//! Its checksums are put right first. Two packages when the first byte is odd: the second meets
//! what the first has left.
#![no_main]

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;

use bundle::unpack::{Owners, UnpackLimits, unpack};
use libfuzzer_sys::fuzz_target;

const LIMITS: UnpackLimits = UnpackLimits {
    entries: 100,
    owners: Owners::Caller,
    content: None,
};
const CANARY: &str = "alive";

/// In memory where there is such a file system, and gone when dropped.
struct World(PathBuf);

impl World {
    fn new() -> Self {
        let memory = PathBuf::from("/dev/shm");
        let base = if memory.is_dir() {
            memory
        } else {
            std::env::temp_dir()
        };
        let path = base.join(format!("fuzz-tree-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path); // of a run that was ended
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .expect("a directory of our own");
        fs::create_dir(path.join("root")).expect("one inside");
        fs::create_dir(path.join("outside")).expect("one beside");
        fs::write(path.join("outside/canary"), CANARY).expect("a file");
        // Ways out that an earlier package may have left, and a real system has.
        std::os::unix::fs::symlink("../outside", path.join("root/up")).expect("a link");
        std::os::unix::fs::symlink(path.join("outside"), path.join("root/away")).expect("a link");
        std::os::unix::fs::symlink("/", path.join("root/top")).expect("a link");
        Self(path)
    }

    fn assert_fence_holds(&self) {
        assert_eq!(names(&self.0), ["outside", "root"]);
        assert_eq!(names(&self.0.join("outside")), ["canary"]);
        let canary = self.0.join("outside/canary");
        assert_eq!(fs::read(&canary).expect("it is there"), CANARY.as_bytes());
        let meta = canary.metadata().expect("it is there");
        assert!(
            meta.nlink() == 1 && meta.mode() & 0o7777 == 0o644,
            "{meta:?}"
        );
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0); // nothing depends on it
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("it is there");
    let mut names: Vec<_> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

/// In every block that claims to be a header.
fn repair_checksums(tar: &mut [u8]) {
    for block in tar
        .chunks_exact_mut(512)
        .filter(|block| block[257..].starts_with(b"ustar"))
    {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    }
}

fn unpack_into(world: &World, tar: &[u8]) {
    let root = File::open(world.0.join("root")).expect("it is there");
    let written = AtomicU64::new(0);
    if let Ok(unpacked) = unpack(tar, root.as_fd(), &LIMITS, &written) {
        assert!(unpacked.entries <= LIMITS.entries && unpacked.tar_bytes <= tar.len() as u64);
    }
    world.assert_fence_holds();
}

fuzz_target!(init: {
    // Modes of the fence are those that are looked for.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
}, |bytes: &[u8]| {
    let Some((choice, rest)) = bytes.split_first() else { return };
    let mut tar = rest.to_vec();
    repair_checksums(&mut tar);
    let world = World::new();
    // On a block of the tar, so that the second one begins with a header.
    let half = tar.len() / 1024 * 512;
    let (first, second) = tar.split_at(if choice & 1 == 0 { tar.len() } else { half });
    unpack_into(&world, first);
    if !second.is_empty() {
        unpack_into(&world, second);
    }
});
