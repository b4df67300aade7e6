//! What is joined, what is set aside, and what is refused.

use super::{Join, JoinError, Joined, Taken};
use crate::test_dir::TestDir;
use bundle::fakes::archive::{self, Head, dir, file, hard_link, symlink, tar};
use bundle::unpack::{Kind, UnpackError, UnpackLimits, visit};
use std::fs;

/// Each entry of a tar: path, permissions, contents.
type Seen = Vec<(String, u32, Vec<u8>)>;

fn seen(tar: &[u8]) -> Seen {
    let mut seen = Seen::new();
    let limits = UnpackLimits::for_memory(1 << 20);
    let visited = visit(tar, &limits, |entry, content| -> Result<(), UnpackError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = content.next_chunk()? {
            bytes.extend_from_slice(chunk);
        }
        if let Kind::HardLink(target) = &entry.kind {
            bytes = target.as_bytes().to_vec();
        }
        let path = String::from_utf8_lossy(entry.path.as_bytes()).into_owned();
        seen.push((path, entry.mode, bytes));
        Ok(())
    });
    visited.unwrap();
    seen
}

/// Joins packages; shows what came out.
fn joined(dir: &TestDir, packages: &[Vec<u8>]) -> Result<(Joined, Vec<u8>), JoinError> {
    let mut out = Vec::new();
    let mut join = Join::new(&mut out, dir.path(), dir.path());
    for (number, package) in packages.iter().enumerate() {
        join.package(&format!("p{number}"), &**package)?;
    }
    let joined = join.finish()?;
    Ok((joined, out))
}

fn refusal(packages: &[Vec<u8>]) -> String {
    let dir = TestDir::new("join-refused");
    joined(&dir, packages).unwrap_err().to_string()
}

fn base() -> Vec<u8> {
    tar(&[
        dir("./"),
        dir("./usr/"),
        dir("./usr/lib/"),
        symlink("./lib", "usr/lib"),
        dir("./boot/"),
        Head::new(b'0', "./boot/vmlinuz-1").size(6).with(b"kernel"),
        symlink("./vmlinuz", "boot/vmlinuz-1"),
        dir("./etc/"),
        dir("./etc/kernel/"),
        Head::new(b'0', "./etc/kernel/cmdline")
            .size(5)
            .mtime(77)
            .with(b"quiet"),
    ])
}

fn modules() -> Vec<u8> {
    let modules = Head::new(b'0', "lib/modules/1/modules.dep")
        .size(3)
        .with(b"dep");
    tar(&[dir("usr/"), dir("lib/"), dir("lib/modules/"), modules])
}

#[test]
fn packages_become_one_root_without_boot() {
    let dir = TestDir::new("join");
    let (joined, out) = joined(&dir, &[base(), modules()]).unwrap();
    let paths: Vec<(String, u32)> = seen(&out)
        .into_iter()
        .map(|(path, mode, _)| (path, mode))
        .collect();
    let expected = [
        ("usr", 0o755),
        ("usr/lib", 0o755),
        ("lib", 0o644),
        ("boot", 0o755),
        ("vmlinuz", 0o644),
        ("etc", 0o755),
        ("etc/kernel", 0o755),
        ("etc/kernel/cmdline", 0o644),
        ("usr/lib/modules", 0o755),
        ("usr/lib/modules/1", 0o755),
        ("usr/lib/modules/1/modules.dep", 0o644),
    ];
    assert_eq!(paths, expected.map(|(path, mode)| (path.to_owned(), mode)));
    assert_eq!(joined.entries, 11);
    assert_eq!(joined.content_bytes, 8);
    let aside = |path: &str| fs::read(dir.path().join(path)).unwrap();
    assert_eq!(aside("boot/vmlinuz-1"), b"kernel");
    assert_eq!(aside("usr/lib/modules/1/modules.dep"), b"dep");
    // The times of directories and links are those of `Head::new`.
    assert_eq!(joined.newest, 0o7_000_000_000);
}

#[test]
fn the_same_packages_give_the_same_bytes() {
    let bytes = |name: &str| {
        let dir = TestDir::new(name);
        joined(&dir, &[base(), modules()]).unwrap().1
    };
    assert_eq!(bytes("join-once"), bytes("join-twice"));
}

#[test]
fn what_is_asked_for_afterwards_is_found_through_links() {
    let dir = TestDir::new("join-find");
    let mut join = Join::new(Vec::new(), dir.path(), dir.path());
    join.package("base", &*base()).unwrap();
    join.file("release", "lib/smechvisor/release", b"version 1\n")
        .unwrap();
    assert_eq!(join.remembered("etc/kernel/cmdline"), Some(&b"quiet"[..]));
    assert_eq!(join.remembered("etc/passwd"), None);
    assert_eq!(join.find("usr/lib/smechvisor/release"), Some(&Taken::Other));
    assert!(matches!(join.find("/lib"), Some(Taken::Directory { .. })));
    // Its target is not in the root.
    assert_eq!(join.find("vmlinuz"), None);
    let again = join.file("another", "usr/lib/smechvisor/release", b"");
    assert_eq!(
        again.unwrap_err().to_string(),
        "/usr/lib/smechvisor/release is in release and in another"
    );
}

#[test]
fn a_path_of_two_packages_is_refused_with_both_names() {
    let one = tar(&[file("f"), dir("d"), symlink("l", "d")]);
    for (second, expected) in [
        (file("f"), "/f is in p0 and in p1"),
        (dir("f"), "/f is in p0 and in p1"),
        (file("d"), "/d is in p0 and in p1"),
        (symlink("l", "d"), "/l is in p0 and in p1"),
        (file("f/x"), "/f/x: /f on the way to it is no directory"),
    ] {
        assert_eq!(refusal(&[one.clone(), tar(&[second])]), expected);
    }
    // The second one goes through the link of the first.
    let second = tar(&[file("l/x")]);
    let error = refusal(&[one.clone(), second, tar(&[file("d/x")])]);
    assert_eq!(error, "/d/x is in p1 and in p2");
    let other = tar(&[Head::new(b'5', "d").mode(0o700).owner(5, 6).bytes()]);
    let error = refusal(&[one, other]);
    assert!(
        error.contains("/d has mode 0755 and owner 0:0 in p0"),
        "{error}"
    );
}

#[test]
fn hard_links_lead_to_what_is_in_the_root() {
    let dir = TestDir::new("join-links");
    let second = tar(&[hard_link("x", "lib/f")]);
    let first = tar(&[archive::dir("usr/"), symlink("lib", "usr"), file("usr/f")]);
    let (_, out) = joined(&dir, &[first, second]).unwrap();
    assert!(seen(&out).contains(&("x".to_owned(), 0o644, b"usr/f".to_vec())));
    let error = refusal(&[tar(&[file("boot/k"), hard_link("x", "boot/k")])]);
    assert_eq!(
        error,
        "/x is a hard link to /boot/k, which is not in the root before it"
    );
}

#[test]
fn host_keys_are_left_out_and_counted() {
    let dir = TestDir::new("join-host-keys");
    let keys = [
        archive::dir("etc/"),
        archive::dir("etc/ssh/"),
        file("etc/ssh/ssh_host_ed25519_key"),
        file("etc/ssh/ssh_host_ed25519_key.pub"),
        symlink("etc/ssh/ssh_host_rsa_key", "/etc/keys/rsa"),
        file("etc/ssh/ssh_host_key_notes"),
        file("etc/ssh/sshd_config"),
        file("etc/ssh_host_rsa_key"),
    ];
    let (joined, out) = joined(&dir, &[tar(&keys)]).unwrap();
    assert_eq!(joined.host_keys, 3);
    let paths: Vec<String> = seen(&out).into_iter().map(|(path, ..)| path).collect();
    assert_eq!(
        paths,
        [
            "etc",
            "etc/ssh",
            "etc/ssh/ssh_host_key_notes",
            "etc/ssh/sshd_config",
            "etc/ssh_host_rsa_key"
        ]
    );
}

#[test]
fn attributes_that_squashfs_has_not_are_counted() {
    let dir = TestDir::new("join-attributes");
    let records = [
        archive::record("SCHILY.xattr.security.capability", [1]),
        archive::record("SCHILY.xattr.system.posix_acl_access", [2]),
    ];
    let (joined, out) = joined(&dir, &[tar(&[archive::pax(&records), file("f")])]).unwrap();
    assert_eq!(joined.lost_attributes, 1);
    let mut names = Vec::new();
    let limits = UnpackLimits::for_memory(1 << 20);
    visit(&*out, &limits, |entry, _| -> Result<(), UnpackError> {
        names.extend(entry.xattrs.iter().map(|xattr| xattr.name.clone()));
        Ok(())
    })
    .unwrap();
    assert_eq!(names, [b"security.capability".to_vec()]);
}

#[test]
fn a_file_with_holes_keeps_them_and_a_damaged_package_is_named_by_the_decoder() {
    let dir = TestDir::new("join-sparse");
    let map = b"1\n4096\n3\n";
    let mut content = map.to_vec();
    content.resize(512, 0);
    content.extend(b"end");
    let records = [
        archive::record("GNU.sparse.major", "1"),
        archive::record("GNU.sparse.minor", "0"),
        archive::record("GNU.sparse.name", "holes"),
        archive::record("GNU.sparse.realsize", "8192"),
    ];
    let sparse = Head::new(b'0', "GNUSparseFile.0/holes");
    let sparse = sparse.size(content.len() as u64).with(&content);
    let (joined, out) = joined(&dir, &[tar(&[archive::pax(&records), sparse])]).unwrap();
    assert_eq!(joined.content_bytes, 3);
    assert_eq!(seen(&out), [("holes".to_owned(), 0o644, b"end".to_vec())]);
    let cut = base();
    let error = refusal(&[cut[..cut.len() - 1024].to_vec()]);
    assert!(error.contains("unpacking"), "{error}");
}
