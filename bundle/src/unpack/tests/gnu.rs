//! A tree with every kind of entry, packed by GNU tar in each of its formats, unpacked by it and by
//! us: the same.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::{CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};

use super::{Fenced, OneByte, is_root, walk};
use tempfile::TempDir;

fn tar(options: &[&str], dir: &Path) -> Vec<u8> {
    let mut tar = Command::new("tar");
    tar.args(options)
        .args(["--sort=name", "--numeric-owner", "-c", "-f", "-", "-C"])
        .arg(dir)
        .arg(".");
    let done = tar.output().expect("GNU tar");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    done.stdout
}

fn untar(archive: &[u8], into: &Path, options: &[&str]) {
    let mut tar = Command::new("tar");
    tar.args(options)
        .args(["-x", "-p", "--numeric-owner", "-f", "-", "-C"])
        .arg(into)
        .stdin(Stdio::piped());
    let mut child = tar.spawn().expect("GNU tar");
    std::io::Write::write_all(&mut child.stdin.take().expect("piped"), archive).expect("tar reads");
    assert!(child.wait().expect("tar ends").success());
}

/// Every kind of file, odd names, modes and times; devices and other people's files as only root
/// makes them.
fn make_tree(top: &Path, longest_name: usize, as_root: bool) {
    let long = "n".repeat(longest_name);
    let deep = top
        .join("deep")
        .join("d".repeat(90))
        .join("e".repeat(90))
        .join("f".repeat(90));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("file"), vec![7; 70_000]).unwrap();
    fs::create_dir(top.join("empty")).unwrap();
    fs::write(top.join(&long), "long name").unwrap();
    fs::write(top.join(OsStr::from_bytes(b"odd \xff\xfe \n name")), "odd").unwrap();
    fs::write(top.join("block"), [1; 512]).unwrap();
    fs::write(top.join("none"), "").unwrap();
    fs::hard_link(top.join("block"), top.join("other name of block")).unwrap();
    symlink("/an/absolute/target", top.join("absolute")).unwrap();
    symlink("../../up", top.join("up")).unwrap();
    symlink("t/".repeat(120), top.join("long target")).unwrap();
    fs::hard_link(top.join("up"), top.join("other name of up")).unwrap();
    rustix::fs::mknodat(
        CWD,
        top.join("fifo"),
        FileType::Fifo,
        Mode::from_raw_mode(0o640),
        0,
    )
    .unwrap();
    if as_root {
        let device = rustix::fs::makedev(7, 300);
        rustix::fs::mknodat(
            CWD,
            top.join("loop"),
            FileType::BlockDevice,
            Mode::from_raw_mode(0o660),
            device,
        )
        .unwrap();
        std::os::unix::fs::chown(top.join("none"), Some(1000), Some(70_000)).unwrap();
        // Larger than seven octal digits hold.
        std::os::unix::fs::chown(top.join("empty"), Some(3_000_000_000), Some(4)).unwrap();
        std::os::unix::fs::lchown(top.join("up"), Some(3), Some(4)).unwrap();
    }
    for (name, mode) in [("block", 0o4755), ("none", 0o2711), ("empty", 0o1777)] {
        fs::set_permissions(top.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    for (name, tv_sec, tv_nsec) in [
        ("block", -5, 0),
        ("none", 1 << 34, 0),
        ("empty", 1_000_000, 123_456_789),
        ("up", 77, 0),
    ] {
        let time = Timespec { tv_sec, tv_nsec };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        rustix::fs::utimensat(
            CWD,
            top.join(name),
            &times,
            rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
        )
        .unwrap();
    }
}

fn assert_same(archive: &[u8], options: &[&str]) {
    let theirs = TempDir::new().unwrap();
    untar(archive, theirs.path(), options);
    let ours = Fenced::new();
    ours.unpack(archive)
        .unwrap_or_else(|error| panic!("{options:?}: {error:?}"));
    ours.assert_fence_holds();
    let (expected, got) = (walk(theirs.path()), walk(&ours.root()));
    assert_eq!(
        expected.keys().collect::<Vec<_>>(),
        got.keys().collect::<Vec<_>>()
    );
    for (path, expected) in &expected {
        assert_eq!(&got[path], expected, "{options:?} {}", path.display());
    }
    let slowly = Fenced::new();
    slowly.unpack(OneByte(archive)).expect("one byte at a time");
    assert_eq!(walk(&slowly.root()), got);
}

#[test]
fn every_kind_of_entry_in_pax_and_gnu_format_is_unpacked_as_gnu_tar_does() {
    unpack_every_kind_of_entry(false);
}

#[test]
#[ignore = "needs root"]
fn owners_devices_and_capabilities_are_unpacked_as_gnu_tar_does() {
    assert!(is_root(), "run by ./check as root");
    unpack_every_kind_of_entry(true);
}

fn unpack_every_kind_of_entry(as_root: bool) {
    let tree = TempDir::new().unwrap();
    make_tree(tree.path(), 255, as_root);
    rustix::fs::setxattr(
        tree.path().join("block"),
        "user.note",
        b"a\n=b",
        XattrFlags::empty(),
    )
    .unwrap();
    if as_root {
        let capability = [
            1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ];
        rustix::fs::setxattr(
            tree.path().join("other name of block"),
            "security.capability",
            &capability,
            XattrFlags::empty(),
        )
        .unwrap();
    }
    let xattrs = ["--xattrs", "--xattrs-include=*"];
    assert_same(
        &tar(
            &["--format=pax", "--xattrs", "--xattrs-include=*"],
            tree.path(),
        ),
        &xattrs,
    );
    assert_same(&tar(&["--format=gnu"], tree.path()), &[]);
}

#[test]
fn plain_ustar_is_unpacked_as_gnu_tar_does() {
    let tree = TempDir::new().unwrap();
    fs::create_dir_all(tree.path().join("usr/share").join("d".repeat(80))).unwrap();
    fs::write(
        tree.path()
            .join("usr/share")
            .join("d".repeat(80))
            .join("f".repeat(90)),
        "prefix",
    )
    .unwrap();
    assert_same(&tar(&["--format=ustar"], tree.path()), &[]);
}

#[test]
fn a_package_over_another_one_is_unpacked_as_gnu_tar_does() {
    let (first, second) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    for (dir, text) in [(&first, "one"), (&second, "two, longer")] {
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join("a/b/both"), text).unwrap();
    }
    fs::write(second.path().join("a/new"), "new").unwrap();
    let (theirs, ours) = (TempDir::new().unwrap(), Fenced::new());
    for dir in [&first, &second] {
        let archive = tar(&["--format=gnu"], dir.path());
        untar(&archive, theirs.path(), &[]);
        ours.unpack(&archive[..]).expect("honest");
    }
    assert_eq!(walk(theirs.path()), walk(&ours.root()));
}

#[test]
fn file_beyond_eight_gibibytes_has_its_size_read_in_every_format() {
    let tree = TempDir::new().unwrap();
    let huge = fs::File::create(tree.path().join("huge")).unwrap();
    // One byte more than eleven octal digits can say; a hole, but packed without --sparse.
    huge.set_len((1 << 33) + 1).unwrap();
    for format in ["--format=pax", "--format=gnu"] {
        let mut tar = Command::new("tar");
        tar.args([format, "-c", "-f", "-", "-C"])
            .arg(tree.path())
            .arg("huge")
            .stdout(Stdio::piped());
        let mut child = tar.spawn().expect("GNU tar");
        let mut head = [0; 4096];
        child
            .stdout
            .take()
            .expect("piped")
            .read_exact(&mut head)
            .expect("headers");
        // The pipe is closed by now: tar ends on its own.
        let _ = child.wait(); // It was cut off; its status says so.
        let error = super::super::check(&head[..], &super::limits()).expect_err("cut off");
        assert!(error.to_string().contains("\"huge\""), "{format}: {error}");
        let super::UnpackError::Refused { reason, .. } = error else {
            panic!("{format}: {error:?}")
        };
        assert_eq!(reason, super::super::Refusal::Truncated, "{format}");
    }
}
