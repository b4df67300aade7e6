//! The parts of a slot's image in, its head and the image out: head, root file system, hash tree,
//! one behind another (`slot.md 2`).
//!
//! The initramfs in the head names the root behind it, and where that begins depends on how long
//! the head is. So the initramfs has two archives, as the kernel allows: a large one that does not
//! depend on the head, and a small one with the description alone, for which there is room in any
//! case.

use disk::head::{self, HeadError};
use disk::slot_script;
use pack::hash::{self, hex};
use wire::slot::head as names;
use wire::slot::{Area, BLOCK_BYTES, DESCRIPTION, Description};

use crate::newc::{self, NewcError};
use crate::shim::Shim;
use crate::tree::{Node, Tree, TreeError};
use crate::{initramfs, verity};

/// More than the packed archive of the description.
const DESCRIPTION_MAX_BYTES: u64 = BLOCK_BYTES;
/// Where the root keeps what the head calls [`names::RELEASE`].
pub const RELEASE_PATH: &str = "usr/lib/smechvisor/release";
/// Kernel options besides those of the packages: no partition is mounted because of its
/// type, and a kernel that panics starts again.
pub const CMDLINE: [&str; 2] = ["systemd.gpt_auto=0", "panic=30"];

/// What the release is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// For which machines.
    pub product: String,
    /// For people.
    pub version: String,
    /// Goes up with each release.
    pub counter: u64,
    /// The kernel's release.
    pub kernel: String,
    /// SHA-256 and name of every package.
    pub packages: Vec<([u8; 32], String)>,
}

impl Release {
    /// For people and for `status`: a name and a value on each line.
    #[must_use]
    pub fn to_text(&self) -> String {
        let Self {
            product,
            version,
            counter,
            kernel,
            packages,
        } = self;
        let packages = packages
            .iter()
            .map(|(hash, name)| format!("package {} {name}\n", hex(hash)));
        let packages: String = packages.collect();
        format!(
            "product {product}\nversion {version}\ncounter {counter}\nkernel {kernel}\n{packages}"
        )
    }
}

/// GRUB's images, as far as the packages have them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Grub<'a> {
    /// `grubx64.efi`.
    pub efi: Option<&'a [u8]>,
    /// `boot.img` and `core.img`.
    pub bios: Option<(&'a [u8], &'a [u8])>,
}

/// The root file system, as far as the head has to know it.
#[derive(Clone, Copy, Debug)]
pub struct Root<'a> {
    /// Its length in bytes.
    pub len_bytes: u64,
    /// Its hashes.
    pub tree: &'a verity::HashTree,
    /// Their salt.
    pub salt: [u8; 32],
}

/// There is no head.
#[derive(Debug, thiserror::Error)]
pub enum SlotError {
    /// Its files do not fit.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The description cannot be packed.
    #[error("laying out the description of the root")]
    Tree(#[from] TreeError),
    /// Likewise.
    #[error("writing the archive of the description")]
    Newc(#[from] NewcError),
    /// No memory.
    #[error("compressing the archive of the description")]
    Compress(#[source] std::io::Error),
}

/// A head, and where it begins and ends.
#[derive(Debug)]
pub struct Head {
    /// All of it.
    pub bytes: Vec<u8>,
    /// Bytes of its files.
    pub content_bytes: u64,
}

/// Makes the head. The initramfs of `shim` lacks nothing but the description.
///
/// # Errors
/// See [`SlotError`].
pub fn head(
    shim: &Shim,
    release: &Release,
    grub: Grub<'_>,
    root: Root<'_>,
) -> Result<Head, SlotError> {
    let (script, text) = (slot_script::emit(shim.cmdline()), release.to_text());
    let mut files: Vec<(&str, &[u8])> = vec![
        (names::SCRIPT, script.as_bytes()),
        (names::KERNEL, shim.kernel()),
        (names::INITRD, shim.initramfs()),
        (names::RELEASE, text.as_bytes()),
    ];
    if let Some(efi) = grub.efi {
        files.push((names::GRUB_EFI, efi));
    }
    if let Some((boot, core)) = grub.bios {
        files.extend([(names::GRUB_BOOT, boot), (names::GRUB_CORE, core)]);
    }
    let lens = files.iter().map(|(_, bytes)| bytes.len() as u64);
    // The list of hashes has one block, too.
    let len_bytes = head::len_bytes(lens.chain([DESCRIPTION_MAX_BYTES, BLOCK_BYTES]))?;

    let description = Description {
        product: &release.product,
        version: &release.version,
        counter: release.counter,
        root: Area {
            offset_bytes: len_bytes,
            len_bytes: root.len_bytes,
        },
        hash: root.tree.root,
        salt: root.salt,
    };
    let initrd = [shim.initramfs(), &*packed(&description)?].concat();
    for (name, bytes) in &mut files {
        if *name == names::INITRD {
            *bytes = &initrd;
        }
    }
    let started = [names::SCRIPT, names::INITRD, names::KERNEL];
    let sums = sums(files.iter().filter(|(name, _)| started.contains(name)));
    files.push((names::SUMS, sums.as_bytes()));
    let content_bytes = files.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    // Images differ in it as they differ in their roots.
    let [a, b, c, d, ..] = root.tree.root;
    let bytes = head::make(len_bytes, u32::from_be_bytes([a, b, c, d]), &files)?;
    Ok(Head {
        bytes,
        content_bytes,
    })
}

/// The archive with the description alone.
fn packed(description: &Description<'_>) -> Result<Vec<u8>, SlotError> {
    let mut tree = Tree::default();
    let text = description.to_string().into_bytes();
    tree.add(DESCRIPTION, Node::Data(text))?;
    initramfs::compress(&newc::archive(&tree)?).map_err(SlotError::Compress)
}

/// As sha256sum(1) writes it and GRUB's `hashsum --check` reads it.
fn sums<'a>(files: impl Iterator<Item = &'a (&'a str, &'a [u8])>) -> String {
    let line = |(name, bytes): &(&str, &[u8])| format!("{}  {name}\n", hex(&hash::of(bytes)));
    files.map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::{Grub, Release, Root, head};
    use crate::initramfs;
    use crate::newc;
    use crate::shim::Shim;
    use crate::shim::tests::kernel;
    use crate::test_dir::TestDir;
    use crate::verity::hash_tree;
    use std::fs;
    use std::process::Command;
    use wire::slot::{Description, head as names};

    const SALT: [u8; 32] = [9; 32];

    fn release() -> Release {
        Release {
            product: "smv-x86_64".to_owned(),
            version: "2026.11.30".to_owned(),
            counter: 417,
            kernel: "6.12.9".to_owned(),
            packages: vec![([0xAB; 32], "smechvisor-base.tar.xz".to_owned())],
        }
    }

    fn shim() -> Shim {
        let tree = initramfs::starting(b"slot-init".to_vec()).unwrap();
        let initramfs = initramfs::compress(&newc::archive(&tree).unwrap()).unwrap();
        Shim::new(kernel(), initramfs, "console=tty0 panic=30").unwrap()
    }

    fn read(image: &TestDir, name: &str) -> Vec<u8> {
        let path = image.path().join("head");
        let output = Command::new("mtype")
            .args(["-i", path.to_str().unwrap(), &format!("::{name}")])
            .output()
            .unwrap();
        assert!(output.status.success(), "{name}: {output:?}");
        output.stdout
    }

    #[test]
    fn the_head_has_everything_and_names_the_root_behind_it() {
        let root = vec![7; 40_960];
        let tree = hash_tree(&*root, &SALT, &mut |_| ()).unwrap();
        let root = Root {
            len_bytes: root.len() as u64,
            tree: &tree,
            salt: SALT,
        };
        let grub = Grub {
            efi: Some(b"efi"),
            bios: Some((b"boot", b"core")),
        };
        let made = head(&shim(), &release(), grub, root).unwrap().bytes;
        assert!(made == head(&shim(), &release(), grub, root).unwrap().bytes);

        let dir = TestDir::new("slot-head");
        dir.write("head", &made);
        let script = String::from_utf8(read(&dir, names::SCRIPT)).unwrap();
        assert_eq!(
            script,
            "# Made by spk-visor media slot.\n\
             linux \"$smv_at/vmlinuz\" 'console=tty0' 'panic=30' smv.slot=$smv_slot\n\
             initrd \"$smv_at/initrd\"\n"
        );
        assert_eq!(read(&dir, names::KERNEL), kernel());
        assert_eq!(read(&dir, names::GRUB_CORE), b"core");
        let release = String::from_utf8(read(&dir, names::RELEASE)).unwrap();
        assert!(
            release.contains("counter 417\nkernel 6.12.9\npackage abab"),
            "{release}"
        );

        for name in [names::SCRIPT, names::KERNEL, names::INITRD, names::SUMS] {
            fs::write(dir.path().join(name), read(&dir, name)).unwrap();
        }
        let checked = Command::new("sha256sum")
            .args(["--check", "--strict", names::SUMS])
            .current_dir(dir.path())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&checked.stdout).into_owned();
        assert!(
            checked.status.success() && text.lines().count() == 3,
            "{text}"
        );

        let initrd = fs::read(dir.path().join(names::INITRD)).unwrap();
        let archives = zstd::stream::decode_all(&*initrd).unwrap();
        let text = b"smechvisor-slot 1\n";
        let at = archives
            .windows(text.len())
            .position(|found| found == text)
            .unwrap();
        let end = archives[at..]
            .windows(5)
            .position(|found| found == b"\nend\n")
            .unwrap();
        let description = Description::parse(&archives[at..at + end + 5]).unwrap();
        assert_eq!(description.root.offset_bytes, made.len() as u64);
        assert_eq!(description.hash, tree.root);
        assert_eq!(description.counter, 417);
    }
}
