//! The kernel of an unpacked root, and the initial ramdisk that belongs to it, as distributions
//! name them.
//!
//! | | kernel | ramdisk |
//! | --- | --- | --- |
//! | Debian, Ubuntu | `boot/vmlinuz-V` | `boot/initrd.img-V` |
//! | Fedora | `boot/vmlinuz-V`, `usr/lib/modules/V/vmlinuz` | `boot/initramfs-V.img`, `usr/lib/modules/V/initramfs.img` |
//! | openSUSE | `boot/vmlinuz-V`, a link to `usr/lib/modules/V/vmlinuz` | `boot/initrd-V` |
//! | Arch | `boot/vmlinuz-linux` | `boot/initramfs-linux.img` |
//! | Alpine | `boot/vmlinuz-lts` | `boot/initramfs-lts` |
//!
//! The newest one counts, and dracut's rescue kernel (`boot/vmlinuz-0-rescue-ID`, a copy of one of
//! the others) after all of them. Where the name is no release, as with the last two, the image
//! itself says which it is.
//!
//! A kernel among the modules counts only where `boot` has none: mostly it is the copy that came in
//! the distribution's package, without a ramdisk.

use std::cmp::Ordering;
use std::fs::File;
use std::os::unix::fs::FileExt;

use thiserror::Error;

use crate::directory::{Directory, DirectoryError};
use crate::module_list;

const DIRECTORY: &str = "boot";
const KERNEL_PREFIX: &str = "vmlinuz-";
/// Behind the prefix of dracut's rescue kernel.
const RESCUE_PREFIX: &str = "0-rescue";
/// Where a release's modules are; mostly one of them is a link to the other.
pub const MODULES: [&str; 2] = ["lib/modules", "usr/lib/modules"];
/// Drivers of disks: a kernel that has one of them built in, and ext4, finds its root on some
/// machine by itself.
const DISKS: [&str; 5] = ["virtio_blk", "nvme", "sd_mod", "mmc_block", "xen-blkfront"];

/// The kernel to boot, and its initial ramdisk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// As `uname -r` will say, and its modules' directory is called.
    pub release: String,
    /// Relative to the root.
    pub image: String,
    /// Its initial ramdisk.
    pub ramdisk: Ramdisk,
}

/// A kernel's initial ramdisk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ramdisk {
    /// Relative to the root.
    Found(String),
    /// The system has no ramdisk, and the kernel has all it needs built in.
    NotNeeded,
    /// The system has no ramdisk, and the kernel's drivers are modules: it would find no root.
    Missing(NoRamdisk),
}

/// A kernel that does not boot.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "the kernel {image} has ext4 or its disk drivers in modules, and its initial ramdisk is missing: looked for {}",
    looked_for.join(", ")
)]
pub struct NoRamdisk {
    /// The kernel.
    pub image: String,
    /// Its ramdisk's possible names.
    pub looked_for: Vec<String>,
}

impl Kernel {
    /// Whether it is in `boot`, and not among the modules.
    #[must_use]
    pub fn is_in_boot(&self) -> bool {
        let rest = self.image.strip_prefix(DIRECTORY);
        rest.is_some_and(|rest| rest.starts_with('/'))
    }

    /// Its initial ramdisk, relative to the root, when there is one.
    #[must_use]
    pub fn initrd(&self) -> Option<&str> {
        match &self.ramdisk {
            Ramdisk::Found(path) => Some(path),
            Ramdisk::NotNeeded | Ramdisk::Missing(_) => None,
        }
    }
}

/// Finds the newest kernel; `None` when there is none.
///
/// # Errors
/// Reading a directory or a list failed.
pub fn find(root: Directory<'_>) -> Result<Option<Kernel>, DirectoryError> {
    let mut newest: Option<Image> = None;
    for image in images(root)? {
        let is_newer = newest
            .as_ref()
            .is_none_or(|other| image.order(other) == Ordering::Greater);
        if is_newer {
            newest = Some(image);
        }
    }
    let Some(image) = newest else {
        return Ok(None);
    };
    Ok(Some(Kernel {
        ramdisk: ramdisk(root, &image)?,
        release: image.release,
        image: image.path,
    }))
}

/// Whether there is a kernel to boot among paths that are seen one by one: one in `boot`, or one
/// among the modules together with its ramdisk.
#[derive(Clone, Debug, Default)]
pub struct Spotted {
    is_in_boot: bool,
    /// Of the kernels among the modules.
    releases: Vec<String>,
    /// Candidates for the ramdisk of any kernel.
    ramdisks: Vec<String>,
}

impl Spotted {
    /// Takes the next path, relative to the root.
    pub fn see(&mut self, path: &[u8]) {
        let Some((directory, file)) = std::str::from_utf8(path)
            .ok()
            .and_then(|path| path.rsplit_once('/'))
        else {
            return;
        };
        let release = MODULES
            .iter()
            .find_map(|modules| directory.strip_prefix(modules)?.strip_prefix('/'));
        if directory == DIRECTORY && file.starts_with(KERNEL_PREFIX) {
            self.is_in_boot = true;
        } else if let Some(release) = release.filter(|_| file == "vmlinuz") {
            self.releases.push(release.to_owned());
        } else if (directory == DIRECTORY || release.is_some()) && file.starts_with("init") {
            self.ramdisks.push(format!("{directory}/{file}"));
        }
    }

    /// Whether one was among them.
    #[must_use]
    pub fn has_kernel(&self) -> bool {
        let is_here = |path: &String| self.ramdisks.contains(path);
        self.is_in_boot
            || self
                .releases
                .iter()
                .any(|release| ramdisk_paths(release, release).iter().any(is_here))
    }
}

struct Image {
    path: String,
    /// The name behind `vmlinuz-`, or the release.
    name: String,
    release: String,
}

impl Image {
    /// The later one is booted.
    fn order(&self, other: &Self) -> Ordering {
        let is_regular = |image: &Self| !image.name.starts_with(RESCUE_PREFIX);
        let order = is_regular(self).cmp(&is_regular(other));
        order.then_with(|| compare(&self.release, &other.release))
    }
}

fn images(root: Directory<'_>) -> Result<Vec<Image>, DirectoryError> {
    let in_boot = images_in_boot(root)?;
    match in_boot.is_empty() {
        true => images_among_modules(root),
        false => Ok(in_boot),
    }
}

fn images_in_boot(root: Directory<'_>) -> Result<Vec<Image>, DirectoryError> {
    let mut images = Vec::new();
    for file in root.names(DIRECTORY)? {
        let name = file.strip_prefix(KERNEL_PREFIX).unwrap_or_default();
        let path = format!("{DIRECTORY}/{file}");
        if is_version(name)
            && let Some(image) = root.open(&path)?
        {
            let has_modules = MODULES
                .iter()
                .any(|modules| root.has_directory(&format!("{modules}/{name}")));
            let said = if has_modules { None } else { said(&image) };
            images.push(Image {
                path,
                name: name.to_owned(),
                release: said.unwrap_or_else(|| name.to_owned()),
            });
        }
    }
    Ok(images)
}

fn images_among_modules(root: Directory<'_>) -> Result<Vec<Image>, DirectoryError> {
    let mut images = Vec::new();
    for modules in MODULES {
        for release in root.names(modules)? {
            let path = format!("{modules}/{release}/vmlinuz");
            if root.open(&path)?.is_some() {
                images.push(Image {
                    path,
                    name: release.clone(),
                    release,
                });
            }
        }
    }
    Ok(images)
}

/// The release in a bzImage (`Documentation/arch/x86/boot.rst`, `kernel_version`); `None` for
/// anything else.
fn said(image: &File) -> Option<String> {
    const MAGIC: (usize, &[u8]) = (0x202, b"HdrS");
    const POINTER: usize = 0x20e;
    const BASE: u64 = 0x200;
    let mut header = [0; POINTER + 2];
    image.read_exact_at(&mut header, 0).ok()?;
    if header.get(MAGIC.0..)?.get(..MAGIC.1.len())? != MAGIC.1 {
        return None;
    }
    let pointer = header.get(POINTER..)?.first_chunk()?;
    let mut text = [0; 128];
    let at = BASE.saturating_add(u64::from(u16::from_le_bytes(*pointer)));
    image.read_exact_at(&mut text, at).ok()?;
    let word = text.split(|byte| matches!(byte, 0 | b' ')).next()?;
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._+-~".contains(byte);
    let is_release = word.first().is_some_and(u8::is_ascii_digit) && word.iter().all(is_plain);
    let word = std::str::from_utf8(word).ok()?;
    is_release.then(|| word.to_owned())
}

/// Where the ramdisk of a kernel with this name and release may be.
fn ramdisk_paths(name: &str, release: &str) -> Vec<String> {
    let mut names = vec![name];
    if release != name {
        names.push(release);
    }
    let mut looked_for = Vec::new();
    for name in names {
        for file in [
            format!("initrd.img-{name}"),
            format!("initramfs-{name}.img"),
            format!("initrd-{name}"),
            format!("initramfs-{name}"),
            format!("initrd-{name}.img"),
        ] {
            looked_for.push(format!("{DIRECTORY}/{file}"));
        }
    }
    for modules in MODULES {
        for file in ["initramfs.img", "initrd"] {
            looked_for.push(format!("{modules}/{release}/{file}"));
        }
    }
    looked_for
}

fn ramdisk(root: Directory<'_>, image: &Image) -> Result<Ramdisk, DirectoryError> {
    let looked_for = ramdisk_paths(&image.name, &image.release);
    for path in &looked_for {
        if root.open(path)?.is_some() {
            return Ok(Ramdisk::Found(path.clone()));
        }
    }
    Ok(match is_modular(root, &image.release)? {
        false => Ramdisk::NotNeeded,
        true => Ramdisk::Missing(NoRamdisk {
            image: image.path.clone(),
            looked_for,
        }),
    })
}

/// Whether the kernel needs modules to reach its root: it has some, and its list of what is built
/// in lacks ext4 or every disk.
fn is_modular(root: Directory<'_>, release: &str) -> Result<bool, DirectoryError> {
    for modules in MODULES {
        let directory = format!("{modules}/{release}");
        let dependencies = module_list::read(root, &format!("{directory}/modules.dep"))?;
        if dependencies.is_empty() && root.names(&format!("{directory}/kernel"))?.is_empty() {
            continue;
        }
        let built_in = module_list::read(root, &format!("{directory}/modules.builtin"))?;
        let has = |driver: &str| module_list::has(&built_in, driver);
        return Ok(!has("ext4") || !DISKS.into_iter().any(has));
    }
    Ok(false)
}

/// Leftovers of package managers are no kernels to boot.
fn is_version(version: &str) -> bool {
    let leftovers = [
        ".old",
        ".bak",
        ".dpkg-new",
        ".dpkg-tmp",
        ".dpkg-bak",
        ".rpmsave",
        ".rpmnew",
        "~",
    ];
    !version.is_empty() && !leftovers.iter().any(|end| version.ends_with(end))
}

/// Part by part, as rpm does it: runs of digits by number, of letters as text, digits after
/// letters, the longer one last. A release candidate stands before its release.
fn compare(left: &str, right: &str) -> Ordering {
    let (left, right) = (left.replace("-rc", "~rc"), right.replace("-rc", "~rc"));
    let (mut left, mut right) = (left.as_str(), right.as_str());
    loop {
        let is_between = |c: char| !c.is_ascii_alphanumeric() && c != '~';
        left = left.trim_start_matches(is_between);
        right = right.trim_start_matches(is_between);
        match (left.strip_prefix('~'), right.strip_prefix('~')) {
            (Some(left_rest), Some(right_rest)) => (left, right) = (left_rest, right_rest),
            (Some(_), None) => return Ordering::Less,
            (None, Some(_)) => return Ordering::Greater,
            (None, None) if left.is_empty() || right.is_empty() => {
                return left.len().cmp(&right.len());
            }
            (None, None) => {
                let (left_part, left_rest) = take_part(left);
                let (right_part, right_rest) = take_part(right);
                let order = compare_parts(left_part, right_part);
                if order != Ordering::Equal {
                    return order;
                }
                (left, right) = (left_rest, right_rest);
            }
        }
    }
}

/// A run of digits, or of letters, and the rest.
fn take_part(text: &str) -> (&str, &str) {
    let is_number = is_number(text);
    let belongs = |c: char| c.is_ascii_alphanumeric() && c.is_ascii_digit() == is_number;
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

fn is_number(part: &str) -> bool {
    part.starts_with(|c: char| c.is_ascii_digit())
}

/// Numbers of any length, without overflow.
fn compare_parts(left: &str, right: &str) -> Ordering {
    let order = is_number(left).cmp(&is_number(right));
    match is_number(left) {
        true => order.then_with(|| {
            let (left, right) = (left.trim_start_matches('0'), right.trim_start_matches('0'));
            left.len().cmp(&right.len()).then_with(|| left.cmp(right))
        }),
        false => order.then_with(|| left.cmp(right)),
    }
}

#[cfg(test)]
mod tests {
    use super::{Kernel, NoRamdisk, Ramdisk, Spotted, compare, find};
    use crate::directory::Directory;
    use std::cmp::Ordering;
    use std::fs;
    use std::os::fd::AsFd;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    #[test]
    fn versions_sort_as_kernels_are_released() {
        let sorted = [
            "0-rescue-0123456789abcdef0123456789abcdef",
            "4.19.0-27-amd64",
            "5.14.0-503.el9.x86_64",
            "5.14.0-503.11.1.el9_5.x86_64",
            "6.1.0-9-amd64",
            "6.1.0-28-amd64",
            "6.1.0-28-cloud-amd64",
            "6.2",
            "6.8.0-9-generic",
            "6.8.0-51-generic",
            "6.12.0-rc1",
            "6.12.0-rc10",
            "6.12.0",
            "6.12.0-1-amd64",
            "6.12.0-160000.5-default",
            "6.12.0-160000.26-default",
            "6.12.1",
            "6.12.1-arch1-1",
            "6.12.9-200.fc41.x86_64",
            "6.12.10-200.fc41.x86_64",
            "6.12.99999999999999999999",
            "10.0",
        ];
        for (at, left) in sorted.iter().enumerate() {
            assert_eq!(compare(left, left), Ordering::Equal);
            for right in &sorted[at + 1..] {
                assert_eq!(compare(left, right), Ordering::Less, "{left} {right}");
                assert_eq!(compare(right, left), Ordering::Greater, "{right} {left}");
            }
        }
    }

    /// A tree of `path=content` or `path->target` each.
    fn with_tree<T>(entries: &[&str], look: impl FnOnce(Directory<'_>) -> T) -> T {
        let dir = TempDir::new().unwrap();
        for entry in entries {
            let is_link = entry.contains("->");
            let (path, rest) = entry
                .split_once(if is_link { "->" } else { "=" })
                .unwrap_or((entry, "x"));
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match (is_link, rest.strip_prefix("bzImage ")) {
                (true, _) => symlink(rest, path).unwrap(),
                (false, Some(release)) => fs::write(path, bzimage(release)).unwrap(),
                (false, None) => fs::write(path, rest).unwrap(),
            }
        }
        let handle = fs::File::open(dir.path()).unwrap();
        look(Directory::new(handle.as_fd(), "in the test"))
    }

    /// As much of a kernel as says which it is.
    fn bzimage(release: &str) -> Vec<u8> {
        let mut image = vec![0; 0x400];
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x20e..0x210].copy_from_slice(&0x100_u16.to_le_bytes());
        let text = format!("{release} (builder@host) #1 SMP");
        image[0x300..0x300 + text.len()].copy_from_slice(text.as_bytes());
        image
    }

    fn found(entries: &[&str]) -> Option<(String, String, Option<String>)> {
        let kernel = with_tree(entries, find).unwrap()?;
        let initrd = kernel.initrd().map(str::to_owned);
        Some((kernel.release, kernel.image, initrd))
    }

    /// A modular kernel of each distribution, with an older one beside it.
    const SYSTEMS: [(&str, &[&str], [&str; 3]); 7] = [
        (
            "Debian",
            &[
                "vmlinuz->boot/vmlinuz-6.1.0-28-amd64",
                "lib->usr/lib",
                "boot/vmlinuz-6.1.0-28-amd64",
                "boot/initrd.img-6.1.0-28-amd64",
                "boot/vmlinuz-6.1.0-9-amd64",
                "usr/lib/modules/6.1.0-28-amd64/modules.dep",
            ],
            [
                "6.1.0-28-amd64",
                "boot/vmlinuz-6.1.0-28-amd64",
                "boot/initrd.img-6.1.0-28-amd64",
            ],
        ),
        (
            "Ubuntu",
            &[
                "boot/vmlinuz->vmlinuz-6.8.0-51-generic",
                "boot/vmlinuz-6.8.0-51-generic",
                "boot/vmlinuz-6.8.0-9-generic",
                "boot/initrd.img-6.8.0-51-generic",
                "usr/lib/modules/6.8.0-51-generic/modules.dep",
            ],
            [
                "6.8.0-51-generic",
                "boot/vmlinuz-6.8.0-51-generic",
                "boot/initrd.img-6.8.0-51-generic",
            ],
        ),
        (
            "Fedora",
            &[
                "boot/vmlinuz-0-rescue-0123456789abcdef0123456789abcdef=bzImage 6.12.10-200.fc41.x86_64",
                "boot/initramfs-0-rescue-0123456789abcdef0123456789abcdef.img",
                "boot/.vmlinuz-6.12.10-200.fc41.x86_64.hmac",
                "boot/vmlinuz-6.12.10-200.fc41.x86_64",
                "boot/vmlinuz-6.12.9-200.fc41.x86_64",
                "boot/initramfs-6.12.10-200.fc41.x86_64.img",
                "usr/lib/modules/6.12.10-200.fc41.x86_64/modules.dep",
                "usr/lib/modules/6.12.10-200.fc41.x86_64/vmlinuz",
            ],
            [
                "6.12.10-200.fc41.x86_64",
                "boot/vmlinuz-6.12.10-200.fc41.x86_64",
                "boot/initramfs-6.12.10-200.fc41.x86_64.img",
            ],
        ),
        (
            "Fedora made of an image",
            &[
                "usr/lib/modules/6.12.10-200.fc41.x86_64/modules.dep",
                "usr/lib/modules/6.12.10-200.fc41.x86_64/vmlinuz",
                "usr/lib/modules/6.12.10-200.fc41.x86_64/initramfs.img",
            ],
            [
                "6.12.10-200.fc41.x86_64",
                "usr/lib/modules/6.12.10-200.fc41.x86_64/vmlinuz",
                "usr/lib/modules/6.12.10-200.fc41.x86_64/initramfs.img",
            ],
        ),
        (
            "openSUSE",
            &[
                "boot/vmlinuz->vmlinuz-6.4.0-9-default",
                "boot/initrd->initrd-6.4.0-9-default",
                "boot/vmlinuz-6.4.0-9-default->../usr/lib/modules/6.4.0-9-default/vmlinuz",
                "boot/initrd-6.4.0-9-default",
                "usr/lib/modules/6.4.0-9-default/vmlinuz",
                "usr/lib/modules/6.4.0-9-default/modules.dep",
            ],
            [
                "6.4.0-9-default",
                "boot/vmlinuz-6.4.0-9-default",
                "boot/initrd-6.4.0-9-default",
            ],
        ),
        (
            "Arch",
            &[
                "boot/vmlinuz-linux=bzImage 6.12.1-arch1-1",
                "boot/vmlinuz-linux-lts=bzImage 6.6.63-1-lts",
                "boot/initramfs-linux.img",
                "boot/initramfs-linux-fallback.img",
                "boot/initramfs-linux-lts.img",
                "usr/lib/modules/6.12.1-arch1-1/modules.dep",
            ],
            [
                "6.12.1-arch1-1",
                "boot/vmlinuz-linux",
                "boot/initramfs-linux.img",
            ],
        ),
        (
            "Alpine",
            &[
                "boot/vmlinuz-lts=bzImage 6.6.63-0-lts",
                "boot/initramfs-lts",
                "lib/modules/6.6.63-0-lts/modules.dep",
            ],
            ["6.6.63-0-lts", "boot/vmlinuz-lts", "boot/initramfs-lts"],
        ),
    ];

    #[test]
    fn every_distributions_kernel_is_found_with_its_ramdisk() {
        for (system, entries, [release, image, initrd]) in SYSTEMS {
            let expected = (
                release.to_owned(),
                image.to_owned(),
                Some(initrd.to_owned()),
            );
            assert_eq!(found(entries), Some(expected), "{system}");
            assert!(is_spotted(&[image, initrd]), "{system}");
        }
    }

    fn is_spotted(paths: &[&str]) -> bool {
        let mut spotted = Spotted::default();
        for path in paths {
            spotted.see(path.as_bytes());
        }
        spotted.has_kernel()
    }

    #[test]
    fn a_kernel_among_the_modules_counts_only_with_its_ramdisk() {
        let kernel = "usr/lib/modules/6.1/vmlinuz";
        for ramdisk in ["usr/lib/modules/6.1/initramfs.img", "boot/initrd-6.1"] {
            assert!(is_spotted(&[kernel, ramdisk]), "{ramdisk}");
            assert!(is_spotted(&[ramdisk, kernel]), "{ramdisk}");
        }
        for other in [
            "usr/lib/modules/6.2/initramfs.img",
            "usr/lib/modules/6.1/initramfs/",
            "usr/lib/initrd-6.1",
            "boot/vmlinuz",
            "usr/lib/modules/6.1/vmlinux",
        ] {
            assert!(!is_spotted(&[kernel, other]), "{other}");
        }
        assert!(is_spotted(&["boot/vmlinuz-6.1"]));
    }

    #[test]
    fn a_kernel_among_the_modules_does_not_stand_before_one_in_boot() {
        let entries = [
            "usr/lib/modules/6.12.1-arch1-1/modules.dep",
            "usr/lib/modules/6.12.1-arch1-1/vmlinuz",
            "boot/vmlinuz-6.1.0-28-amd64",
            "boot/initrd.img-6.1.0-28-amd64",
        ];
        let (release, _, initrd) = found(&entries).unwrap();
        assert_eq!(
            (release.as_str(), initrd.as_deref()),
            ("6.1.0-28-amd64", Some("boot/initrd.img-6.1.0-28-amd64"))
        );
    }

    #[test]
    fn a_modular_kernel_without_its_ramdisk_names_what_was_looked_for() {
        for (system, entries, [_, image, initrd]) in SYSTEMS {
            let without: Vec<&str> = entries
                .iter()
                .copied()
                .filter(|entry| *entry != initrd)
                .collect();
            let kernel = with_tree(&without, find).unwrap().unwrap();
            let Ramdisk::Missing(missing) = kernel.ramdisk else {
                panic!("{system}: {:?}", kernel.ramdisk);
            };
            assert_eq!(missing.image, image, "{system}");
            assert!(
                missing.looked_for.iter().any(|path| path == initrd),
                "{system}"
            );
            let text = missing.to_string();
            assert!(text.contains(image) && text.contains(initrd), "{text}");
        }
    }

    #[test]
    fn a_kernel_with_its_drivers_built_in_needs_no_ramdisk() {
        let ramdisk = |modules: &[&str]| {
            let entries = [&["boot/vmlinuz-6.12"], modules].concat();
            let Kernel { ramdisk, .. } = with_tree(&entries, find).unwrap().unwrap();
            ramdisk
        };
        const DEP: &str = "lib/modules/6.12/modules.dep=kernel/x.ko:";
        assert_eq!(ramdisk(&[]), Ramdisk::NotNeeded, "monolithic");
        let built_in =
            |list: &str| ramdisk(&[DEP, &format!("lib/modules/6.12/modules.builtin={list}")]);
        let ext4 = "kernel/fs/ext4/ext4.ko\n";
        assert_eq!(
            built_in(&format!("{ext4}kernel/drivers/block/virtio_blk.ko\n")),
            Ramdisk::NotNeeded
        );
        for list in ["", ext4, "kernel/drivers/nvme/host/nvme.ko\n"] {
            assert!(
                matches!(built_in(list), Ramdisk::Missing(NoRamdisk { .. })),
                "{list}"
            );
        }
        assert!(matches!(ramdisk(&[DEP]), Ramdisk::Missing(_)), "no list");
        let other = "lib/modules/6.11/modules.dep=kernel/x.ko:";
        assert_eq!(
            ramdisk(&[other]),
            Ramdisk::NotNeeded,
            "another kernel's modules"
        );
    }

    #[test]
    fn what_is_no_kernel_is_passed_over() {
        assert_eq!(found(&["etc/x"]), None, "no boot directory");
        let nothing = [
            "boot/vmlinuz",
            "boot/vmlinuz-",
            "boot/vmlinuz-99.old",
            "boot/vmlinuz-98/x",
        ];
        assert_eq!(found(&nothing), None);
        let other = [
            "boot/vmlinuz-6.2",
            "boot/vmlinuz-6.1",
            "boot/initrd.img-6.1",
        ];
        let (release, _, initrd) = found(&other).unwrap();
        assert_eq!(
            (release.as_str(), initrd),
            ("6.2", None),
            "not another kernel's"
        );
        for release in ["bzImage ../../etc", "bzImage /x", "bzImage ", "HdrS"] {
            let (said, ..) = found(&[&format!("boot/vmlinuz-lts={release}")]).unwrap();
            assert_eq!(said, "lts", "{release}");
        }
    }
}
