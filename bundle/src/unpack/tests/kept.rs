//! Everything that an operating system needs is unpacked, also across packages.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink as make_symlink};
use std::path::Path;

use super::super::{Refusal, UnpackError};
use super::{Fenced, is_root, walk};
use crate::fakes::archive::{Head, dir, file, hard_link, pax, record, symlink, tar};

fn refusal(error: &UnpackError) -> &Refusal {
    match error {
        UnpackError::Refused { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn merged_usr_of_an_earlier_package_is_followed_and_kept() {
    let fenced = Fenced::new();
    let base = tar(&[dir("usr"), dir("usr/lib"), symlink("lib", "usr/lib")]);
    fenced.unpack(&base[..]).expect("base");
    let modules = tar(&[
        dir("lib/"),
        dir("lib/modules"),
        file("lib/modules/e1000.ko"),
    ]);
    fenced.unpack(&modules[..]).expect("modules");
    let root = fenced.root();
    assert_eq!(
        fs::read(root.join("usr/lib/modules/e1000.ko")).unwrap(),
        b"content"
    );
    assert_eq!(
        fs::read_link(root.join("lib")).unwrap(),
        Path::new("usr/lib")
    );
}

#[test]
fn absolute_and_rising_links_of_an_earlier_package_lead_nowhere_but_inside() {
    for target in ["/run", "../../../../run", "/../run", "usr/../../run"] {
        let fenced = Fenced::new();
        let base = tar(&[dir("run"), dir("usr"), symlink("way", target)]);
        fenced.unpack(&base[..]).expect("base");
        fenced.unpack(&tar(&[file("way/pid")])[..]).expect("second");
        fenced.assert_fence_holds();
        assert_eq!(
            fs::read(fenced.root().join("run/pid")).unwrap(),
            b"content",
            "{target}"
        );
    }
}

#[test]
fn links_already_in_the_root_never_lead_to_what_is_around_it() {
    let fenced = Fenced::new();
    let outside = fenced.dir.path().join("outside");
    make_symlink(&outside, fenced.root().join("out")).unwrap();
    make_symlink("../outside", fenced.root().join("up")).unwrap();
    make_symlink("loop", fenced.root().join("loop")).unwrap();
    make_symlink("/proc/self/root", fenced.root().join("magic")).unwrap();
    for path in ["out/canary", "up/canary", "loop/canary", "magic/canary"] {
        let error = fenced.unpack(&tar(&[file(path)])[..]).expect_err(path);
        assert_eq!(error.outcome(), wire::outcome::Outcome::Refuse, "{error:?}");
        assert!(error.to_string().contains(path), "{error}");
    }
    for target in ["out/canary", "up/canary"] {
        fenced
            .unpack(&tar(&[hard_link("h", target)])[..])
            .expect_err(target);
    }
    fenced.assert_fence_holds();
}

#[test]
fn later_package_replaces_files_links_and_fifos_without_opening_them() {
    let fenced = Fenced::new();
    let first = tar(&[
        file("file"),
        symlink("link", "../canary"),
        Head::new(b'6', "fifo").bytes(),
        file("one"),
        hard_link("two", "one"),
        symlink("dangling", "nowhere"),
        file("becomes-dir"),
    ]);
    fenced.unpack(&first[..]).expect("first");
    let new = |name: &str| Head::new(b'0', name).with(b"new");
    let second = tar(&[
        new("file"),
        new("link"),
        new("fifo"),
        new("one"),
        dir("dangling"),
        dir("becomes-dir"),
    ]);
    fenced.unpack(&second[..]).expect("second");
    fenced.assert_fence_holds();
    for name in ["file", "link", "fifo", "one"] {
        let path = fenced.root().join(name);
        assert!(fs::symlink_metadata(&path).unwrap().is_file(), "{name}");
        assert_eq!(fs::read(&path).unwrap(), b"new", "{name}");
    }
    assert_eq!(
        fs::read(fenced.root().join("two")).unwrap(),
        b"content",
        "the other name keeps the old file"
    );
    assert!(
        fs::symlink_metadata(fenced.root().join("dangling"))
            .unwrap()
            .is_dir()
    );
    assert!(
        fs::symlink_metadata(fenced.root().join("becomes-dir"))
            .unwrap()
            .is_dir()
    );
}

#[test]
fn a_later_package_sets_a_directorys_mode_but_never_replaces_it() {
    let fenced = Fenced::new();
    fenced
        .unpack(&tar(&[dir("d"), file("d/f")])[..])
        .expect("first");
    for other in [
        file("d"),
        symlink("d", "x"),
        Head::new(b'6', "d").bytes(),
        hard_link("d", "d/f"),
    ] {
        let error = fenced
            .unpack(&tar(&[other])[..])
            .expect_err("a directory is there");
        assert_eq!(refusal(&error), &Refusal::DirectoryInTheWay);
    }
    fenced
        .unpack(&tar(&[Head::new(b'5', "d").mode(0o700).bytes()])[..])
        .expect("a directory again");
    assert_eq!(
        fs::metadata(fenced.root().join("d")).unwrap().mode() & 0o7777,
        0o700
    );
    assert!(fenced.root().join("d/f").exists());
}

#[test]
fn hard_links_share_one_file_within_and_across_packages() {
    let fenced = Fenced::new();
    fenced
        .unpack(&tar(&[file("a"), hard_link("b", "./a")])[..])
        .expect("first");
    // The same again, over what is there: `b` is `a` already and must not be unlinked with it.
    fenced
        .unpack(&tar(&[hard_link("b", "a"), hard_link("c", "b")])[..])
        .expect("second");
    let inode = |name: &str| fs::metadata(fenced.root().join(name)).unwrap().ino();
    assert_eq!((inode("a"), inode("a")), (inode("b"), inode("c")));
    let missing = fenced
        .unpack(&tar(&[hard_link("d", "no/such")])[..])
        .expect_err("nothing to link to");
    assert_eq!(missing.outcome(), wire::outcome::Outcome::Refuse);
    let itself = fenced
        .unpack(&tar(&[hard_link("e", "e")])[..])
        .expect_err("nothing to link to");
    assert_eq!(itself.outcome(), wire::outcome::Outcome::Refuse);
}

#[test]
fn times_of_directories_survive_what_is_put_into_them() {
    let fenced = Fenced::new();
    let at = |name: &str, seconds| Head::new(b'5', name).mode(0o755).mtime(seconds).bytes();
    let parts = [
        at("./", 1),
        at("a", 2),
        file("a/f"),
        at("a/b", 3),
        file("a/b/g"),
        file("h"),
        file("a/late"),
    ];
    fenced.unpack(&tar(&parts)[..]).expect("first");
    let mtime = |name: &str| fs::metadata(fenced.root().join(name)).unwrap().mtime();
    assert_eq!([mtime(""), mtime("a"), mtime("a/b")], [1, 2, 3]);
    fenced
        .unpack(&tar(&[file("a/b/c/d/implied")])[..])
        .expect("second");
    assert_eq!([mtime(""), mtime("a")], [1, 2]);
}

#[test]
fn a_directorys_default_acl_gives_nobody_access_to_what_is_unpacked_into_it() {
    // u::rwx u:1000:rwx g::r-x m::rwx o::---, as the kernel keeps it (linux/posix_acl_xattr.h).
    let acl = [
        &[2, 0, 0, 0][..],
        &[1, 0, 7, 0, 255, 255, 255, 255],
        &[2, 0, 7, 0, 232, 3, 0, 0],
        &[4, 0, 5, 0, 255, 255, 255, 255],
        &[16, 0, 7, 0, 255, 255, 255, 255],
        &[32, 0, 0, 0, 255, 255, 255, 255],
    ]
    .concat();
    let with_acl = || pax(&[record("SCHILY.xattr.system.posix_acl_default", &acl[..])]);
    let secret = |name: &str| Head::new(b'0', name).mode(0o640).with(b"x");
    let at = |name: &str, seconds| Head::new(b'5', name).mode(0o750).mtime(seconds).bytes();
    let fenced = Fenced::new();
    let first = tar(&[
        with_acl(),
        at("d", 7),
        secret("d/secret"),
        at("d/sub", 8),
        secret("d/sub/secret"),
        Head::new(b'6', "d/fifo").mode(0o600).bytes(),
        secret("between"),
        secret("d/again"),
    ]);
    fenced.unpack(&first[..]).expect("first");
    let second = tar(&[
        secret("d/late"),
        secret("d/implied/one/late"),
        at("d/dressed", 9),
        secret("d/dressed/late"),
        at("d", 7),
        secret("d/last"),
    ]);
    fenced.unpack(&second[..]).expect("second");
    let mut seen = walk(&fenced.root());
    let d = seen.remove(Path::new("d")).unwrap();
    let expected = (b"system.posix_acl_default".to_vec(), acl);
    assert_eq!((&d.xattrs[..], d.mtime), (&[expected][..], (7, 0)));
    assert_eq!(seen.len(), 14);
    for (path, seen) in &seen {
        assert_eq!(seen.xattrs, [], "{path:?}");
    }
    assert_eq!(seen[Path::new("d/secret")].mode, 0o100_640);
}

#[test]
fn modes_times_and_names_are_exact() {
    let fenced = Fenced::new();
    let parts = [
        Head::new(b'0', "setuid")
            .mode(0o106_755)
            .mtime(7)
            .with(b"x"),
        pax(&[record("path", b"bytes \xff\n"), record("mtime", "-1.25")]),
        Head::new(b'0', "x").mode(0o400).with(b""),
        pax(&[record("SCHILY.xattr.user.note", b"a=b\nc\0d")]),
        Head::new(b'0', "attr").with(b"y"),
        Head::new(b'0', "x".repeat(100))
            .prefix(&"p/".repeat(20))
            .with(b"z"),
    ];
    let done = fenced.unpack(&tar(&parts)[..]).expect("honest");
    assert_eq!((done.entries, done.content_bytes), (4, 3));
    assert_eq!(done.tar_bytes, tar(&parts).len() as u64);
    let seen = walk(&fenced.root());
    let find = |name: &[u8]| {
        use std::os::unix::ffi::OsStrExt;
        seen[Path::new(std::ffi::OsStr::from_bytes(name))].clone()
    };
    assert_eq!(
        (find(b"setuid").mode, find(b"setuid").mtime),
        (0o106_755, (7, 0))
    );
    let odd = find(b"bytes \xff\n");
    assert_eq!((odd.mode, odd.mtime), (0o100_400, (-2, 750_000_000)));
    assert_eq!(
        find(b"attr").xattrs,
        [(b"user.note".to_vec(), b"a=b\nc\0d".to_vec())]
    );
}

#[test]
#[ignore = "needs root"]
fn owners_devices_and_capabilities_are_kept_for_root() {
    assert!(is_root(), "run by ./check as root");
    let fenced = Fenced::new();
    // cap_net_raw=ep, version 2 (capabilities(7)).
    let capability = [
        1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    let parts = [
        pax(&[record("SCHILY.xattr.security.capability", capability)]),
        Head::new(b'0', "ping").mode(0o755).owner(12, 34).with(b"x"),
        Head::new(b'0', "su").mode(0o4755).owner(1, 2).with(b"x"),
        Head::new(b'3', "null").mode(0o666).device(1, 3).bytes(),
        Head::new(b'4', "sda")
            .mode(0o660)
            .owner(0, 6)
            .device(8, 0)
            .bytes(),
        Head::new(b'6', "fifo").mode(0o622).owner(5, 5).bytes(),
        Head::new(b'2', "link")
            .link("gone")
            .owner(7, 8)
            .mtime(9)
            .bytes(),
    ];
    fenced.unpack(&tar(&parts)[..]).expect("honest");
    let seen = walk(&fenced.root());
    let find = |name: &str| &seen[Path::new(name)];
    assert_eq!(find("ping").owner, (12, 34));
    assert_eq!(
        find("ping").xattrs,
        [(b"security.capability".to_vec(), capability.to_vec())]
    );
    assert_eq!((find("su").owner, find("su").mode), ((1, 2), 0o104_755));
    assert_eq!(
        (find("null").mode, find("null").device),
        (0o020_666, rustix::fs::makedev(1, 3))
    );
    assert_eq!(
        (find("sda").mode, find("sda").device),
        (0o060_660, rustix::fs::makedev(8, 0))
    );
    assert_eq!((find("fifo").mode, find("fifo").owner), (0o010_622, (5, 5)));
    assert_eq!((find("link").owner, find("link").mtime), ((7, 8), (9, 0)));
}

#[test]
#[ignore = "needs root"] // to mount a memory file system
fn full_file_system_is_the_packages_fault_and_names_sizes() {
    let small = SmallFileSystem::mount();
    let root = fs::File::open(&small.0).unwrap();
    let tar = tar(&[Head::new(b'0', "big").with(&vec![1; 1 << 20])]);
    let progress = std::sync::atomic::AtomicU64::new(0);
    let error = super::super::unpack(
        &tar[..],
        std::os::fd::AsFd::as_fd(&root),
        &super::limits(),
        &progress,
    );
    let error = error.expect_err("does not fit");
    assert_eq!(error.outcome(), wire::outcome::Outcome::Refuse);
    let UnpackError::NoSpace {
        len_bytes,
        total_bytes,
        free_bytes,
        ..
    } = error
    else {
        panic!("{error:?}")
    };
    assert_eq!(
        (len_bytes, total_bytes, free_bytes),
        (1 << 20, 256 << 10, 0)
    );
}

/// 256 KiB of tmpfs, unmounted when dropped.
struct SmallFileSystem(std::path::PathBuf, #[allow(dead_code)] tempfile::TempDir);

impl SmallFileSystem {
    fn mount() -> Self {
        let dir = tempfile::TempDir::new().unwrap();
        let at = dir.path().join("mounted");
        fs::create_dir(&at).unwrap();
        let mut mount = std::process::Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=256k", "none"])
            .arg(&at);
        assert!(mount.status().unwrap().success(), "{mount:?}");
        SmallFileSystem(at, dir)
    }
}

impl Drop for SmallFileSystem {
    fn drop(&mut self) {
        let unmounted = std::process::Command::new("umount").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}

#[test]
fn fifos_are_fifos() {
    let fenced = Fenced::new();
    fenced
        .unpack(&tar(&[Head::new(b'6', "run/initctl").mode(0o600).bytes()])[..])
        .expect("honest");
    let meta = fs::symlink_metadata(fenced.root().join("run/initctl")).unwrap();
    assert!(meta.file_type().is_fifo());
}
