//! Trees of which no package is made.

use super::mounts::in_namespaces;
use super::{Dir, create, is_root, options, run_on};
use pack::PackageError;
use pack::compress::Format;
use std::fs;
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_base_whose_kernel_lacks_its_ramdisk_is_no_package() {
    let (tree, out) = (Dir::new(), Dir::new());
    tree.put("boot/vmlinuz-6.1.0-28-amd64", "kernel");
    tree.put(
        "lib/modules/6.1.0-28-amd64/modules.dep",
        "kernel/fs/ext4/ext4.ko:\n",
    );
    let mut options = options(&tree, out.path(), Format::Zst);
    let (_, _) = create(&options);
    options.name = "smechvisor-base".into();
    let error = run_on(&options, &mut Vec::new()).unwrap_err();
    let PackageError::NoRamdisk(missing) = &error else {
        panic!("{error}");
    };
    let text = missing.to_string();
    assert!(text.contains("boot/vmlinuz-6.1.0-28-amd64 has"), "{text}");
    assert!(text.contains("boot/initrd.img-6.1.0-28-amd64"), "{text}");
    assert!(!out.path().join("smechvisor-base.tar.zst").exists());
    tree.put("boot/initrd.img-6.1.0-28-amd64", "ramdisk");
    let (_, said) = create(&options);
    assert!(said.contains("GRUB's images"), "{said}");
}

#[test]
fn a_base_whose_only_kernel_is_among_the_modules_waits_for_another_package() {
    let (tree, out) = (Dir::new(), Dir::new());
    tree.put("usr/lib/modules/6.12.1-arch1-1/vmlinuz", "kernel");
    tree.put(
        "usr/lib/modules/6.12.1-arch1-1/modules.dep",
        "kernel/fs/ext4/ext4.ko:\n",
    );
    let mut options = options(&tree, out.path(), Format::Zst);
    options.name = "smechvisor-base".into();
    let (_, said) = create(&options);
    assert!(said.contains("no boot/vmlinuz-* is in it"), "{said}");
    tree.put("usr/lib/modules/6.12.1-arch1-1/initramfs.img", "ramdisk");
    let (_, said) = create(&options);
    assert!(!said.contains("no boot/vmlinuz-*"), "{said}");
}

#[test]
fn a_file_that_cannot_be_read_stops_everything_and_leaves_no_package() {
    // Root reads every file, and so runs this as somebody else who owns root's files.
    let somebody: &[&str] = &["--map-user=1000", "--map-group=1000"];
    if is_root()
        && !in_namespaces(
            "refusals::a_file_that_cannot_be_read_stops_everything_and_leaves_no_package",
            somebody,
        )
    {
        return;
    }
    let (tree, out) = (Dir::new(), Dir::new());
    let path = tree.put("etc/shadow", "x");
    fs::set_permissions(path, fs::Permissions::from_mode(0o0)).unwrap();
    let options = options(&tree, out.path(), Format::Xz);
    let error = run_on(&options, &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("/etc/shadow (only root"));
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
}

#[test]
fn a_tree_that_is_not_there_stops_everything_and_leaves_no_package() {
    let (tree, out) = (Dir::new(), Dir::new());
    let mut wrong = options(&tree, out.path(), Format::Xz);
    wrong.tree.include_mounts = vec!["/boot".into()];
    let error = run_on(&wrong, &mut Vec::new()).unwrap_err();
    assert!(matches!(error, PackageError::Mount { .. }), "{error}");
    wrong.tree.include_mounts = vec!["../etc".into()];
    assert!(run_on(&wrong, &mut Vec::new()).is_err());
    wrong.tree.root = out.path().join("missing");
    assert!(run_on(&wrong, &mut Vec::new()).is_err());
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
}
