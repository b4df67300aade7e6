//! The kernel of an unpacked root: the newest `boot/vmlinuz-*`, and the initial ramdisk that belongs to it.

use std::cmp::Ordering;

use crate::directory::{Directory, DirectoryError};

const DIRECTORY: &str = "boot";
const KERNEL_PREFIX: &str = "vmlinuz-";

/// Which files to boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// What stands behind `vmlinuz-`.
    pub version: String,
    /// Relative to the root.
    pub image: String,
    /// Relative to the root, when there is one.
    pub initrd: Option<String>,
}

/// Finds the newest kernel; `None` when there is none.
///
/// # Errors
/// Reading the directory failed.
pub fn find(root: Directory<'_>) -> Result<Option<Kernel>, DirectoryError> {
    let names = root.names(DIRECTORY)?;
    let versions = names
        .iter()
        .filter_map(|name| name.strip_prefix(KERNEL_PREFIX))
        .filter(|version| is_version(version));
    let mut newest: Option<&str> = None;
    for version in versions {
        let is_newer = newest.is_none_or(|other| compare(version, other) == Ordering::Greater);
        if is_newer
            && root
                .open(&format!("{DIRECTORY}/{KERNEL_PREFIX}{version}"))?
                .is_some()
        {
            newest = Some(version);
        }
    }
    let Some(version) = newest else {
        return Ok(None);
    };
    // Debian's name and Fedora's.
    let candidates = [
        format!("{DIRECTORY}/initrd.img-{version}"),
        format!("{DIRECTORY}/initramfs-{version}.img"),
    ];
    let mut initrd = None;
    for path in candidates {
        if initrd.is_none() && root.open(&path)?.is_some() {
            initrd = Some(path);
        }
    }
    Ok(Some(Kernel {
        version: version.to_owned(),
        image: format!("{DIRECTORY}/{KERNEL_PREFIX}{version}"),
        initrd,
    }))
}

/// Leftovers of package managers are no kernels to boot.
fn is_version(version: &str) -> bool {
    !version.is_empty()
        && ![".old", ".bak", ".dpkg-new", ".dpkg-tmp", ".dpkg-bak"]
            .iter()
            .any(|end| version.ends_with(end))
}

/// Runs of digits by number, the rest by letter; a release candidate stands before its release.
fn compare(left: &str, right: &str) -> Ordering {
    let (left, right) = (left.replace("-rc", "~rc"), right.replace("-rc", "~rc"));
    let (mut left, mut right) = (left.as_str(), right.as_str());
    loop {
        let (left_text, left_number, left_rest) = take_run(left);
        let (right_text, right_number, right_rest) = take_run(right);
        let order = compare_text(left_text, right_text)
            .then_with(|| compare_number(left_number, right_number));
        if order != Ordering::Equal || (left.is_empty() && right.is_empty()) {
            return order;
        }
        (left, right) = (left_rest, right_rest);
    }
}

/// Everything before the first digit, the digits, the rest.
fn take_run(text: &str) -> (&str, &str, &str) {
    let digits = text
        .find(|c: char| c.is_ascii_digit())
        .unwrap_or(text.len());
    let (head, rest) = text.split_at(digits);
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (number, rest) = rest.split_at(end);
    (head, number, rest)
}

/// As bytes, but `~` sorts before everything, even the end.
fn compare_text(left: &str, right: &str) -> Ordering {
    let weights = |text: &str| -> Vec<u16> {
        let weight = |byte: u8| if byte == b'~' { 0 } else { u16::from(byte) + 1 };
        text.bytes().map(weight).chain([1]).collect()
    };
    weights(left).cmp(&weights(right))
}

/// Of any length, without overflow.
fn compare_number(left: &str, right: &str) -> Ordering {
    let (left, right) = (left.trim_start_matches('0'), right.trim_start_matches('0'));
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

#[cfg(test)]
mod tests {
    use super::{compare, find};
    use crate::directory::Directory;
    use crate::test_dir::TestDir;
    use std::cmp::Ordering;
    use std::os::fd::AsFd;

    #[test]
    fn versions_sort_as_kernels_are_released() {
        let sorted = [
            "4.19.0-27-amd64",
            "6.1.0-9-amd64",
            "6.1.0-28-amd64",
            "6.1.0-28-cloud-amd64",
            "6.2",
            "6.12.0-rc1",
            "6.12.0-rc10",
            "6.12.0",
            "6.12.0-1-amd64",
            "6.12.1",
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

    #[test]
    fn the_newest_kernel_is_found_with_its_own_initrd() {
        let dir = TestDir::new("kernel");
        let handle = std::fs::File::open(dir.path()).unwrap();
        let root = Directory::new(handle.as_fd(), "in the test");
        assert_eq!(find(root).unwrap(), None, "no boot directory");
        let put = |name: &str| {
            std::fs::create_dir_all(dir.path().join("boot")).unwrap();
            std::fs::write(dir.path().join("boot").join(name), name).unwrap();
        };
        put("vmlinuz");
        put("vmlinuz-");
        put("vmlinuz-99.old");
        std::fs::create_dir_all(dir.path().join("boot/vmlinuz-98")).unwrap();
        assert_eq!(find(root).unwrap(), None);
        put("vmlinuz-6.1.0-9-amd64");
        put("initrd.img-6.1.0-9-amd64");
        put("vmlinuz-6.1.0-28-amd64");
        let kernel = find(root).unwrap().unwrap();
        assert_eq!(
            (kernel.version.as_str(), &kernel.initrd),
            ("6.1.0-28-amd64", &None),
            "not another kernel's initrd"
        );
        put("initrd.img-6.1.0-28-amd64");
        assert_eq!(
            find(root).unwrap().unwrap().initrd.as_deref(),
            Some("boot/initrd.img-6.1.0-28-amd64")
        );
    }
}
