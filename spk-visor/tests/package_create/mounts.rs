//! Other file systems in a tree; tests in namespaces of their own.

use super::{Dir, create, install, is_root, options};
use pack::compress::Format;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

/// Runs this test again in the namespaces that these arguments of unshare(1) ask for; returns true
/// there.
pub(super) fn in_namespaces(test: &str, namespaces: &[&str]) -> bool {
    const INSIDE: &str = "PACKAGE_CREATE_INSIDE";
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let ran = Command::new("unshare")
        .args(namespaces)
        .arg("--")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&ran.stdout);
    assert!(
        ran.status.success() && text.contains("1 passed"),
        "{text}{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    false
}

/// Runs this test again in a mount namespace of its own, where it may mount, and where need be in a
/// user namespace; returns true there.
fn in_own_mounts(test: &str) -> bool {
    let namespaces: &[&str] = match is_root() {
        true => &["--mount"],
        false => &["--map-root-user", "--mount"],
    };
    in_namespaces(test, namespaces)
}

fn mount(arguments: &[&str], to: &Path) {
    let done = Command::new("mount")
        .args(arguments)
        .arg(to)
        .status()
        .unwrap();
    assert!(done.success(), "{arguments:?}");
}

#[test]
fn other_file_systems_are_named_and_packed_when_asked_for() {
    if !in_own_mounts("mounts::other_file_systems_are_named_and_packed_when_asked_for") {
        return;
    }
    let (tree, out) = (Dir::new(), Dir::new());
    for directory in ["boot", "home", "mnt", "tmp", "etc"] {
        fs::create_dir(tree.path().join(directory)).unwrap();
    }
    tree.put("etc/x", "x");
    mount(
        &["-t", "tmpfs", "-o", "mode=750", "tmpfs"],
        &tree.path().join("boot"),
    );
    mount(
        &["-t", "tmpfs", "-o", "mode=1777", "tmpfs"],
        &tree.path().join("tmp"),
    );
    mount(
        &["--bind", tree.path().join("etc").to_str().unwrap()],
        &tree.path().join("mnt"),
    );
    tree.put("boot/vmlinuz-1", "kernel");
    tree.put("boot/initrd.img-1", "ramdisk");
    tree.put("usr/lib/modules/1/vmlinuz", "kernel");
    tree.put("usr/lib/modules/1/modules.dep", "kernel/fs/ext4/ext4.ko:\n");
    let mut options = options(&tree, out.path(), Format::Zst);
    options.name = "smechvisor-base".into();
    options.report = Some(out.path().join("report"));
    let (package, said) = create(&options);
    assert!(said.contains("no boot/vmlinuz-* is in it"), "{said}");
    let (copy, _) = install(&package);
    let report = fs::read_to_string(out.path().join("report")).unwrap();
    assert!(copy.path().join("boot").is_dir() && !copy.path().join("boot/vmlinuz-1").exists());
    assert_eq!(
        copy.path().join("tmp").metadata().unwrap().mode(),
        0o041_777
    );
    assert!(
        !copy.path().join("mnt/x").exists(),
        "a bind mount is another mount"
    );
    assert!(report.contains("pseudo      /boot  tmpfs"), "{report}");
    assert!(
        report.contains("mount       /mnt  a file system of its own ("),
        "{report}"
    );
    assert!(
        report.contains("--include-mount /mnt packs it too"),
        "{report}"
    );
    options.tree.include_mounts = vec!["/boot/".into(), "mnt".into()];
    let (package, said) = create(&options);
    assert!(!said.contains("no boot/vmlinuz-*"), "{said}");
    let (copy, _) = install(&package);
    assert_eq!(
        fs::read(copy.path().join("boot/vmlinuz-1")).unwrap(),
        b"kernel"
    );
    assert_eq!(
        copy.path().join("boot").metadata().unwrap().mode(),
        0o040_750
    );
    assert_eq!(fs::read(copy.path().join("mnt/x")).unwrap(), b"x");
    for mounted in ["boot", "tmp", "mnt"] {
        // The namespace ends with this process.
        let _ = Command::new("umount")
            .arg(tree.path().join(mounted))
            .status();
    }
}
