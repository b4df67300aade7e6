//! The whole command: packages in, an image out that others read.

use super::{Slot, SlotCommandError};
use crate::program::tests::program;
use crate::shim::tests::kernel;
use crate::test_dir::TestDir;
use bundle::fakes::archive::{Head, dir, file, symlink, tar};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use wire::chain::chain;
use wire::slot::Description;

/// Bytes that no program can make small.
fn noise(len: usize) -> Vec<u8> {
    let next = |seed: &u32| Some(seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    let seeds = std::iter::successors(Some(1), next);
    seeds.map(|seed| (seed >> 24) as u8).take(len).collect()
}

/// The smallest system that is taken, without the entries that begin with `without`.
fn base(without: &str) -> Vec<u8> {
    let content = |name: &str, bytes: &[u8]| {
        Head::new(b'0', name)
            .mode(0o755)
            .size(bytes.len() as u64)
            .with(bytes)
    };
    let names = [
        "dev", "etc", "home", "proc", "root", "run", "srv", "sys", "tmp", "var",
    ];
    let mut parts: Vec<(&str, Vec<u8>)> =
        names.map(|name| (name, dir(format!("./{name}/")))).into();
    parts.extend([
        ("boot", content("./boot/vmlinuz-6.12.9", &kernel())),
        ("usr", dir("./usr/")),
        ("sbin", symlink("./sbin", "usr/sbin")),
        ("usr/sbin", dir("./usr/sbin/")),
        ("usr/sbin/init", file("./usr/sbin/init")),
        (
            "usr/sbin/e2fsck",
            content("./usr/sbin/e2fsck", &noise(300_000)),
        ),
        (
            "etc/kernel",
            content("./etc/kernel/cmdline", b"console=ttyS0 panic=1\n"),
        ),
    ]);
    let is_wanted = |(name, _): &(&str, Vec<u8>)| without.is_empty() || !name.starts_with(without);
    tar(&parts
        .into_iter()
        .filter(is_wanted)
        .map(|(_, part)| part)
        .collect::<Vec<_>>())
}

fn grub() -> Vec<u8> {
    tar(&[
        file("usr/lib/smechvisor/grub/grubx64.efi"),
        file("usr/lib/smechvisor/trust"),
    ])
}

fn made(dir: &TestDir, packages: &[&str], output: &str) -> Result<(), String> {
    dir.write("slot-init", &program());
    let path = |name: &str| -> PathBuf { dir.path().join(name) };
    let slot = Slot {
        packages: packages.iter().map(|name| path(name)).collect(),
        root: None,
        init: path("slot-init"),
        kernel: None,
        modules: None,
        words: Vec::new(),
        cmdline: None,
        product: "smv-x86_64".to_owned(),
        version: "2026.11".to_owned(),
        counter: 417,
        output: path(output),
    };
    let made: Result<(), SlotCommandError> = slot.make();
    made.map_err(|error| chain(&error).to_string())
}

fn run(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output().expect(program);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program}: {text}{error}");
    text
}

#[test]
fn packages_become_an_image_that_is_the_same_again_and_verifies() {
    let dir = TestDir::new("slot-image");
    dir.write("base.tar.zst", &zstd::bulk::compress(&base(""), 1).unwrap());
    dir.write("grub.tar", &grub());
    made(&dir, &["base.tar.zst", "grub.tar"], "one.img").unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    made(&dir, &["base.tar.zst", "grub.tar"], "two.img").unwrap();
    let image = fs::read(dir.path().join("one.img")).unwrap();
    assert!(image == fs::read(dir.path().join("two.img")).unwrap());
    assert_eq!(image.len() % 4096, 0);
    // Nothing of the work is left behind.
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 5);

    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let initrd = Command::new("mtype")
        .args(["-i", &path("one.img"), "::initrd"])
        .output()
        .unwrap();
    let archives = zstd::stream::decode_all(&*initrd.stdout).unwrap();
    let find = |text: &[u8], from: usize| {
        let found = archives[from..]
            .windows(text.len())
            .position(|found| found == text);
        from + found.unwrap()
    };
    let at = find(b"smechvisor-slot 1\n", 0);
    let text = &archives[at..find(b"\nend\n", at) + 5];
    let description = Description::parse(text).unwrap();
    assert_eq!((description.version, description.counter), ("2026.11", 417));
    let (root, tree) = (description.root, description.tree());
    assert_eq!(tree.end_bytes(), image.len() as u64);
    let part = |offset: u64, len: u64| &image[offset as usize..][..len as usize];
    dir.write("root", part(root.offset_bytes, root.len_bytes));
    dir.write("tree", part(tree.offset_bytes, tree.len_bytes));
    let hash = pack::hash::hex(&description.hash);
    let salt = format!("--salt={}", pack::hash::hex(&description.salt));
    let words = ["verify", "--no-superblock", "--hash=sha256", &salt];
    run(
        "/sbin/veritysetup",
        &[&words[..], &[&path("root"), &path("tree"), &hash]].concat(),
    );

    let list = run("unsquashfs", &["-l", "-d", "", &path("root")]);
    for name in ["/usr/sbin/init", "/usr/lib/smechvisor/release", "/boot"] {
        assert!(list.lines().any(|line| line == name), "{name}: {list}");
    }
    assert!(!list.contains("vmlinuz"), "{list}");
    let release = run(
        "unsquashfs",
        &["-cat", &path("root"), "usr/lib/smechvisor/release"],
    );
    assert_eq!(
        release,
        run("mtype", &["-i", &path("one.img"), "::release"])
    );
    assert!(release.starts_with("product smv-x86_64\nversion 2026.11\ncounter 417\nkernel "));
    let script = run("mtype", &["-i", &path("one.img"), "::boot.cfg"]);
    let words = "'console=ttyS0' 'panic=1' 'systemd.gpt_auto=0' smv.slot=$smv_slot\n";
    assert!(script.contains(words), "{script}");
}

#[test]
fn what_a_node_could_not_start_or_update_is_refused_by_its_name() {
    let dir = TestDir::new("slot-refused");
    dir.write("grub.tar", &grub());
    for (without, expected) in [
        ("tmp", "the root has no /tmp: "),
        ("var", "the root has no /var: "),
        ("usr/sbin/init", "the root has no /sbin/init: "),
        ("usr/sbin/e2fsck", "the root has no e2fsck: "),
        ("boot", "the packages have no kernel in /boot"),
    ] {
        dir.write("base.tar", &base(without));
        let error = made(&dir, &["base.tar", "grub.tar"], "image").unwrap_err();
        assert!(error.contains(expected), "{without}: {error}");
    }
    dir.write("base.tar", &base(""));
    let error = made(&dir, &["base.tar"], "image").unwrap_err();
    assert!(error.contains("bootloader-grub"), "{error}");
    dir.write(
        "signed.tar",
        &tar(&[file("usr/lib/smechvisor/grub/shimx64.efi")]),
    );
    let error = made(&dir, &["base.tar", "grub.tar", "signed.tar"], "image").unwrap_err();
    assert!(error.contains("signed GRUB"), "{error}");
    let error = made(&dir, &["base.tar", "base.tar", "grub.tar"], "image").unwrap_err();
    assert!(
        error.contains("/boot/vmlinuz-6.12.9 is in base.tar and in base.tar"),
        "{error}"
    );
    dir.write("config.tar", &tar(&[file("boot/config-6.12.9")]));
    let error = made(&dir, &["base.tar", "config.tar", "grub.tar"], "image").unwrap_err();
    assert!(error.contains("lacks CONFIG_BLK_DEV_INITRD"), "{error}");
    assert!(!dir.path().join("image").exists());
    // The scratch directories are gone.
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 5);
}
