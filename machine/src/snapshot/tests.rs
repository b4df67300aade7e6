//! On a real btrfs: in a file, by way of a loop device.

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, openat};
use tempfile::TempDir;
use wire::chain::chain;

use super::{Snapshot, SnapshotError};
use crate::children;

const LONG: Duration = Duration::from_secs(60);

/// Mounted until it is dropped.
struct Btrfs {
    dir: TempDir,
    mounted: Vec<PathBuf>,
}

fn run(program: &str, args: &[&str]) {
    // A plain wait would lose its status to another test, which reaps everybody.
    let output = children::run(Command::new(program).args(args), LONG);
    let output = output.expect("./setup installs it");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {said}");
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

impl Btrfs {
    fn new() -> Self {
        let mut btrfs = Self {
            dir: tempfile::tempdir().unwrap(),
            mounted: Vec::new(),
        };
        let image = btrfs.dir.path().join("image");
        File::create(&image).unwrap().set_len(128 << 20).unwrap();
        run("mkfs.btrfs", &["-q", text(&image)]);
        btrfs.mount("top", "subvol=/");
        btrfs
    }

    /// Mounts the image once more.
    fn mount(&mut self, name: &str, option: &str) -> PathBuf {
        let (image, at) = (self.dir.path().join("image"), self.path(name));
        fs::create_dir(&at).unwrap();
        let options = format!("loop,{option}");
        run("mount", &["-o", &options, text(&image), text(&at)]);
        self.mounted.push(at.clone());
        at
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A subvolume with a file.
    fn subvolume(&self) -> PathBuf {
        let path = self.path("top/staging");
        run("btrfs", &["-q", "subvolume", "create", text(&path)]);
        fs::write(path.join("file"), "before").unwrap();
        path
    }

    /// Names beside the subvolume.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("top")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }
}

impl Drop for Btrfs {
    fn drop(&mut self) {
        for at in self.mounted.iter().rev() {
            let _ = children::run(Command::new("umount").arg(at), LONG);
        }
    }
}

fn snapshot(path: &Path) -> Result<Option<Snapshot>, SnapshotError> {
    let directory = File::open(path).unwrap();
    Snapshot::of(path, directory.as_fd())
}

fn read(snapshot: &Snapshot) -> String {
    let file = openat(snapshot.directory(), "file", OFlags::RDONLY, Mode::empty());
    let mut text = String::new();
    File::from(file.unwrap()).read_to_string(&mut text).unwrap();
    text
}

#[test]
#[ignore = "needs root"] // to mount
fn a_snapshot_stays_as_it_was_and_is_removed() {
    let btrfs = Btrfs::new();
    let path = btrfs.subvolume();
    let taken = snapshot(&path).unwrap().unwrap();
    fs::write(path.join("file"), "after").unwrap();
    fs::write(path.join("more"), "").unwrap();
    assert_eq!(read(&taken), "before");
    let into = btrfs.path("top/.staging.snapshot/file");
    let error = fs::write(&into, "x").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    assert_eq!(btrfs.names(), [".staging.snapshot", "staging"]);
    drop(taken);
    assert_eq!(btrfs.names(), ["staging"]);
    // A power cut leaves one.
    let left = btrfs.path("top/.staging.snapshot");
    run(
        "btrfs",
        &[
            "-q",
            "subvolume",
            "snapshot",
            "-r",
            text(&path),
            text(&left),
        ],
    );
    assert_eq!(btrfs.names(), [".staging.snapshot", "staging"]);
    let taken = snapshot(&path).unwrap().unwrap();
    assert_eq!(read(&taken), "after");
    drop(taken);
    assert_eq!(btrfs.names(), ["staging"]);
}

#[test]
#[ignore = "needs root"] // to mount
fn only_a_subvolume_has_snapshots() {
    let btrfs = Btrfs::new();
    let path = btrfs.path("top/plain");
    fs::create_dir(&path).unwrap();
    assert!(snapshot(&path).unwrap().is_none());
    assert!(snapshot(btrfs.dir.path()).unwrap().is_none());
    assert_eq!(btrfs.names(), ["plain"]);
}

/// Each says why, and changes nothing.
#[test]
#[ignore = "needs root"] // to mount
fn a_snapshot_that_cannot_be_had_is_an_error() {
    let mut btrfs = Btrfs::new();
    let path = btrfs.subvolume();
    let said = |path: &Path| chain(&snapshot(path).unwrap_err()).to_string();
    // What a person has put there stays.
    let name = btrfs.path("top/.staging.snapshot");
    run("btrfs", &["-q", "subvolume", "create", text(&name)]);
    let taken = format!("{} is there, and no read-only subvolume", name.display());
    assert_eq!(said(&path), taken);
    fs::remove_dir(&name).unwrap();
    fs::write(&name, "").unwrap();
    assert_eq!(said(&path), taken);
    fs::remove_file(&name).unwrap();
    // Mounted by itself, it is in a directory of another file system.
    let alone = btrfs.mount("alone", "subvol=staging");
    let error = said(&alone);
    assert!(
        error.ends_with(" (os error 18)") || error.ends_with(" (os error 25)"),
        "{error}"
    );
    // Who does not own it may not.
    rustix::fs::chown(&path, Some(rustix::fs::Uid::from_raw(1)), None).unwrap();
    let told = std::thread::spawn({
        let path = path.clone();
        move || {
            // Of this thread alone.
            rustix::thread::set_thread_uid(rustix::fs::Uid::from_raw(2)).unwrap();
            chain(&snapshot(&path).unwrap_err()).to_string()
        }
    });
    let told = told.join().unwrap();
    let expected = format!("making {}: ", name.display());
    assert!(told.starts_with(&expected), "{told}");
    assert_eq!(btrfs.names(), ["staging"]);
}
