//! A tree with all kinds of entries becomes a package, and the package the same tree, by the code
//! that installs it.
//!
//! Runs as root; what only root can make is left out of the tree otherwise.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod contents;
mod mounts;
mod refusals;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicU64;

use bundle::decode::{DecodeLimits, decode};
use bundle::unpack::{Owners, UnpackLimits, Unpacked, unpack};
use pack::compress::Format;
use pack::create::{Options, run};
use pack::{PackageError, Tree};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags, lgetxattr, llistxattr,
    lsetxattr, makedev, mknodat, utimensat,
};
use spk_visor::command::package::Watcher;
use spk_visor::screen::Screen;
use tempfile::TempDir;

/// Removed with everything in it when dropped.
struct Dir(TempDir);

impl Dir {
    fn new() -> Self {
        Dir(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn put(&self, path: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, contents).unwrap();
        path
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn options(root: &Dir, out: &Path, format: Format) -> Options {
    Options {
        name: "x".into(),
        tree: Tree {
            root: root.path().to_owned(),
            ..Tree::default()
        },
        out: out.to_owned(),
        format,
        threads: Some(2),
        report: None,
    }
}

fn run_on(options: &Options, said: &mut Vec<u8>) -> Result<(), PackageError> {
    run(options, &mut Watcher::new(Screen::new(said, None)))
}

/// The package's bytes, and what was said.
fn create(options: &Options) -> (Vec<u8>, String) {
    let mut said = Vec::new();
    run_on(options, &mut said).unwrap();
    let name = format!("{}{}", options.name, options.format.suffix());
    let package = fs::read(options.out.join(name)).unwrap();
    (package, String::from_utf8(said).unwrap())
}

fn install(package: &[u8]) -> (Dir, Unpacked) {
    let to = Dir::new();
    // The limits of a machine with 64 MiB of memory.
    let limits = DecodeLimits {
        memory_bytes: 16 << 20,
        threads: 2,
        output_cap: 1 << 30,
    };
    let owners = if is_root() {
        Owners::AsPackaged
    } else {
        Owners::Caller
    };
    let unpack_limits = UnpackLimits {
        owners,
        ..UnpackLimits::for_memory(16 << 20)
    };
    let root = File::open(to.path()).unwrap();
    let tar = decode(package, limits).unwrap();
    let unpacked = unpack(tar, root.as_fd(), &unpack_limits, &AtomicU64::new(0)).unwrap();
    (to, unpacked)
}

/// Everything about an entry that a copy must have.
#[derive(Debug, PartialEq)]
struct Entry {
    mode: u32,
    owner: (u32, u32),
    mtime: (i64, i64),
    device: u64,
    links: u64,
    target: Option<PathBuf>,
    contents: Option<Vec<u8>>,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

fn xattrs(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut room = vec![0; 65536];
    let len = llistxattr(path, &mut room[..]).unwrap();
    let names: Vec<Vec<u8>> = room[..len]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(<[u8]>::to_vec)
        .collect();
    let value = |name: &Vec<u8>| {
        let mut room = vec![0; 65536];
        let len = lgetxattr(path, &name[..], &mut room[..]).unwrap();
        room[..len].to_vec()
    };
    names
        .iter()
        .map(|name| (name.clone(), value(name)))
        .collect()
}

fn entry(path: &Path) -> Entry {
    let stat = path.symlink_metadata().unwrap();
    Entry {
        mode: stat.mode(),
        owner: (stat.uid(), stat.gid()),
        mtime: (stat.mtime(), stat.mtime_nsec()),
        device: stat.rdev(),
        links: if stat.is_dir() { 0 } else { stat.nlink() },
        target: stat.is_symlink().then(|| fs::read_link(path).unwrap()),
        contents: stat.is_file().then(|| fs::read(path).unwrap()),
        xattrs: xattrs(path),
    }
}

/// All entries beneath `root`, by their paths; the root itself under the empty path.
fn entries(root: &Path) -> BTreeMap<PathBuf, Entry> {
    let mut found = BTreeMap::from([(PathBuf::new(), entry(root))]);
    let mut left = vec![root.to_owned()];
    while let Some(dir) = left.pop() {
        for child in fs::read_dir(dir).unwrap() {
            let path = child.unwrap().path();
            if path.symlink_metadata().unwrap().is_dir() {
                left.push(path.clone());
            }
            found.insert(path.strip_prefix(root).unwrap().to_owned(), entry(&path));
        }
    }
    found
}

fn set_time(path: &Path, seconds: i64, nanoseconds: i64) {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// A tree with everything that a package can hold.
fn rich_tree(as_root: bool) -> Dir {
    let tree = Dir::new();
    tree.put("etc/plain", "plain");
    tree.put("etc/empty", "");
    tree.put("usr/bin/setuid", "x");
    tree.put(
        &format!("usr/{}/{}", "d".repeat(200), "f".repeat(250)),
        "a long way",
    );
    tree.put("usr/with\nnewline\u{e4}", "odd");
    fs::create_dir_all(tree.path().join("empty/nested")).unwrap();
    symlink("../etc/plain", tree.path().join("usr/link")).unwrap();
    symlink("t".repeat(300), tree.path().join("usr/long-link")).unwrap();
    fs::hard_link(
        tree.path().join("etc/plain"),
        tree.path().join("usr/bin/hard"),
    )
    .unwrap();
    fs::hard_link(
        tree.path().join("usr/link"),
        tree.path().join("usr/hard-link-of-a-link"),
    )
    .unwrap();
    let bytes: Vec<u8> = (0..6_000_001_u32)
        .map(|number| (number.wrapping_mul(number) >> 7) as u8)
        .collect();
    tree.put("srv/large", bytes);
    let mut holes = File::create(tree.path().join("srv/holes")).unwrap();
    holes.set_len(40 << 20).unwrap();
    holes.seek(SeekFrom::Start(17 << 20)).unwrap();
    holes.write_all(b"an island").unwrap();
    mknodat(
        CWD,
        tree.path().join("srv/pipe"),
        FileType::Fifo,
        Mode::from_raw_mode(0o640),
        0,
    )
    .unwrap();
    let raw: OsString = std::os::unix::ffi::OsStringExt::from_vec(b"not utf-8 \xff".to_vec());
    fs::write(tree.path().join("srv").join(raw), "raw").unwrap();
    let set = |path: &str, name: &str, value: &[u8]| {
        lsetxattr(tree.path().join(path), name, value, XattrFlags::empty()).unwrap();
    };
    set("etc/plain", "user.note", b"a=\nb\0c");
    set("empty", "user.of-a-directory", b"");
    if as_root {
        // cap_net_raw+ep, and u::rw- u:1000:r-- g::r-- m::r-- o::---, as the kernel keeps them.
        set(
            "usr/bin/setuid",
            "security.capability",
            &[1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        );
        let acl = [
            &[2, 0, 0, 0][..],
            &[1, 0, 6, 0, 255, 255, 255, 255],
            &[2, 0, 4, 0, 232, 3, 0, 0],
            &[4, 0, 4, 0, 255, 255, 255, 255],
            &[16, 0, 4, 0, 255, 255, 255, 255],
            &[32, 0, 0, 0, 255, 255, 255, 255],
        ]
        .concat();
        set("etc/empty", "system.posix_acl_access", &acl);
        set("usr/link", "security.of-a-link", b"label");
        let node = |path: &str, kind, mode, device| {
            mknodat(
                CWD,
                tree.path().join(path),
                kind,
                Mode::from_raw_mode(mode),
                device,
            )
            .unwrap();
        };
        node("srv/null", FileType::CharacterDevice, 0o666, makedev(1, 3));
        node(
            "srv/disk",
            FileType::BlockDevice,
            0o660,
            makedev(259, 1_000_000),
        );
        for (path, uid, gid) in [
            ("etc/plain", 1000, 1001),
            ("usr/link", 5, 6),
            ("srv/large", 3_000_000, 4_000_000_000),
            ("empty", 7, 8),
        ] {
            std::os::unix::fs::lchown(tree.path().join(path), Some(uid), Some(gid)).unwrap();
        }
    }
    for (path, mode) in [
        ("usr/bin/setuid", 0o4755),
        ("empty", 0o1777),
        ("srv/large", 0o000),
        ("etc", 0o2750),
    ] {
        if path != "srv/large" || as_root {
            fs::set_permissions(tree.path().join(path), fs::Permissions::from_mode(mode)).unwrap();
        }
    }
    for (path, seconds, nanoseconds) in [
        ("etc/plain", 1_600_000_000, 123_456_789),
        ("usr/link", 5, 5),
        ("srv/pipe", -7, 250_000_000),
        ("etc/empty", 1 << 33, 0),
        ("empty/nested", 77, 0),
        ("empty", 1_000_000_000, 1),
        ("etc", 86_400, 999_999_999),
    ] {
        set_time(&tree.path().join(path), seconds, nanoseconds);
    }
    tree
}

#[test]
fn a_copy_is_the_tree() {
    copy_the_tree(false);
}

#[test]
#[ignore = "needs root"]
fn a_copy_keeps_owners_devices_capabilities_and_acls() {
    copy_the_tree(true);
}

fn copy_the_tree(as_root: bool) {
    let (tree, out) = (rich_tree(as_root), Dir::new());
    for format in [Format::Xz, Format::Zst] {
        let (package, said) = create(&options(&tree, out.path(), format));
        let (copy, unpacked) = install(&package);
        let (expected, got) = (entries(tree.path()), entries(copy.path()));
        assert_eq!(
            expected.keys().collect::<Vec<_>>(),
            got.keys().collect::<Vec<_>>()
        );
        for (path, entry) in &expected {
            assert!(got[path] == *entry, "{path:?}: {said}");
        }
        assert_eq!(unpacked.entries, expected.len() as u64);
        assert!(
            !said.contains(" of about "),
            "a part of a file system: {said}"
        );
        let holes = copy.path().join("srv/holes").metadata().unwrap();
        assert!(holes.blocks() * 512 < 1 << 20, "{} blocks", holes.blocks());
        let inode = |path: &str| copy.path().join(path).symlink_metadata().unwrap().ino();
        assert_eq!(inode("etc/plain"), inode("usr/bin/hard"));
        assert_eq!(inode("usr/link"), inode("usr/hard-link-of-a-link"));
        let mode = out
            .path()
            .join(format!("x{}", format.suffix()))
            .metadata()
            .unwrap()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "as secret as /etc/shadow");
    }
}

#[test]
fn flags_of_chattr_are_named_because_they_are_not_kept() {
    let (tree, out) = (Dir::new(), Dir::new());
    let path = tree.put("etc/resolv.conf", "nameserver ::1");
    let chattr = |flags: &str| Command::new("chattr").arg(flags).arg(&path).status();
    if !chattr("+di").is_ok_and(|status| status.success()) {
        return; // Not root, or a file system without flags.
    }
    let (_, said) = create(&options(&tree, out.path(), Format::Zst));
    assert!(chattr("-di").unwrap().success());
    let expected = "/etc/resolv.conf: chattr flags that a package does not keep: \
        i (immutable), d (no dump)";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn the_same_tree_gives_the_same_bytes_on_any_number_of_threads_and_inside_itself() {
    let (tree, out) = (rich_tree(false), Dir::new());
    let mut options = options(&tree, out.path(), Format::Xz);
    let (first, _) = create(&options);
    options.threads = Some(1);
    assert!(create(&options).0 == first);
    // Into the tree that is packed, over its own former self.
    let inside = tree.path().join("srv/packages");
    fs::create_dir(&inside).unwrap();
    set_time(&inside, 1_500_000_000, 7);
    set_time(&tree.path().join("srv"), 1_500_000_000, 7);
    options.out = inside.clone();
    options.report = Some(tree.path().join("srv/report"));
    fs::write(tree.path().join("srv/report"), "").unwrap();
    set_time(&tree.path().join("srv"), 1_500_000_000, 7);
    let (first, _) = create(&options);
    let (second, _) = create(&options);
    assert!(first == second);
    let (copy, _) = install(&first);
    let copied = copy.path().join("srv/packages");
    assert_eq!(fs::read_dir(&copied).unwrap().count(), 0);
    assert_eq!(copied.metadata().unwrap().mtime(), 1_500_000_000);
    assert!(!copy.path().join("srv/report").exists());
    assert_eq!(
        fs::read_dir(inside).unwrap().count(),
        1,
        "nothing but the package is left"
    );
}

#[test]
fn the_identity_of_a_machine_is_left_out_and_reported() {
    let (tree, out) = (Dir::new(), Dir::new());
    for path in [
        "etc/machine-id",
        "etc/ssh/ssh_host_rsa_key",
        "etc/ssh/sshd_config",
        "var/lib/systemd/random-seed",
        "var/lib/tailscale/tailscaled.state",
        "var/log/syslog",
        "var/log/nginx/access.log",
        "var/log/journal/0123/system.journal",
        "var/cache/apt/pkgcache.bin",
        "var/cache/debconf/config.dat",
        "tmp/x/y",
        "run/z",
        "proc/1",
        "home/me/.cache/a",
        "home/me/kept",
        "lost+found/l",
        "srv/lost+found/kept",
        "etc/systemd/network/lan.netdev",
        "etc/hostname",
        "home/me/big.iso",
        "srv/drop/a",
        "srv/kept.iso",
    ] {
        tree.put(path, "x");
    }
    tree.put(
        "etc/systemd/network/wg.netdev",
        "[WireGuard]\nPrivateKey=abc\n",
    );
    tree.put(
        "etc/fstab",
        "UUID=1 / ext4 defaults 0 1\nUUID=2 /data ext4 defaults 0 2\n",
    );
    let mut swap = vec![0; 65536];
    swap[4086..4096].copy_from_slice(b"SWAPSPACE2");
    tree.put("swap.img", swap);
    let _socket = std::os::unix::net::UnixListener::bind(tree.path().join("srv/socket")).unwrap();
    let mut options = options(&tree, out.path(), Format::Zst);
    options.tree.exclude = vec!["*.iso".into(), "/srv/drop".into()];
    options.tree.keep = vec!["/srv/kept.iso".into()];
    options.report = Some(out.path().join("report"));
    let (package, said) = create(&options);
    let (copy, _) = install(&package);
    let files: Vec<String> = entries(copy.path())
        .into_iter()
        .filter(|(_, entry)| entry.contents.is_some())
        .map(|(path, _)| path.to_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        files,
        [
            "etc/fstab",
            "etc/hostname",
            "etc/ssh/sshd_config",
            "etc/systemd/network/lan.netdev",
            "home/me/kept",
            "srv/kept.iso",
            "srv/lost+found/kept",
            "var/cache/debconf/config.dat"
        ]
    );
    for directory in [
        "tmp",
        "run",
        "proc",
        "var/log/nginx",
        "var/log/journal",
        "var/cache/apt",
        "var/lib/tailscale",
    ] {
        assert!(copy.path().join(directory).is_dir(), "{directory}");
    }
    assert_eq!(
        copy.path().join("tmp").metadata().unwrap().mtime(),
        0,
        "says nothing about when"
    );
    assert_eq!(
        fs::read_to_string(copy.path().join("etc/fstab")).unwrap(),
        "UUID=1 / ext4 defaults 0 1\n# not on this machine: UUID=2 /data ext4 defaults 0 2\n"
    );
    let report = fs::read_to_string(out.path().join("report")).unwrap();
    for line in [
        "identity    /etc/machine-id  ",
        "identity    /etc/ssh/ssh_host_rsa_key  ",
        "identity    /etc/systemd/network/wg.netdev  ",
        "log         /var/log/syslog  ",
        "cache       /var/cache/apt/pkgcache.bin  ",
        "swap        /swap.img  ",
        "socket      /srv/socket  ",
        "excluded    /srv/drop  ",
        "excluded    /home/me/big.iso  ",
        "temporary   /tmp  1 entries",
        "rewritten   /etc/fstab  ",
        "look        /etc/hostname  ",
        "pseudo      /lost+found  ",
        "look        /etc/ssh  the installed system gets NO SSH host keys",
    ] {
        assert!(report.contains(line), "{line:?} in\n{report}");
    }
    assert!(
        said.contains("left out  identity        5  /etc/machine-id, /etc/ssh/ssh_host_rsa_key, "),
        "{said}"
    );
}
