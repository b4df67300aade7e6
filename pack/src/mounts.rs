//! The mounts of the host, for a report: a mount's number in, what it is and how to include it out.

use std::collections::HashMap;
use std::fs;

use super::node::Facts;
use super::rules::Why;

/// File systems whose files live in memory or come from the kernel (filesystems(5),
/// /proc/filesystems `nodev`).
const PSEUDO: [&str; 26] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nfsd",
    "nsfs",
    "proc",
    "pstore",
    "ramfs",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "smackfs",
    "sysfs",
    "tmpfs",
    "tracefs",
    "fuse.gvfsd-fuse",
];

/// The mounts of this process: number to type.
#[derive(Debug, Default)]
pub struct Mounts(HashMap<u64, String>);

impl Mounts {
    /// As they are now; none where there is no /proc.
    #[must_use]
    pub fn read() -> Self {
        Self::parse(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
    }

    /// proc_pid_mountinfo(5): the number is the first field, the type follows the field `-`.
    fn parse(text: &str) -> Self {
        let line = |line: &str| {
            let number = line.split(' ').next()?.parse().ok()?;
            let kind = line.split_once(" - ")?.1.split(' ').next()?;
            Some((number, kind.to_owned()))
        };
        Mounts(text.lines().filter_map(line).collect())
    }

    /// Why the file system that begins at `path` is not packed, and what to do to have it packed.
    #[must_use]
    pub fn describe(&self, facts: &Facts, path: &str) -> (Why, String) {
        let kind = facts.mount.and_then(|number| self.0.get(&number));
        match kind {
            Some(kind) if PSEUDO.contains(&kind.as_str()) => {
                (Why::Pseudo, format!("{kind}: no files of this disk"))
            }
            Some(kind) => (
                Why::OtherFileSystem,
                format!("a file system of its own ({kind}); --include-mount {path} packs it too"),
            ),
            None => (
                Why::OtherFileSystem,
                format!("a file system of its own; --include-mount {path} packs it too"),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Mounts;

    #[test]
    fn mountinfo_is_read() {
        let text = "22 27 0:20 / /sys rw,nosuid shared:7 - sysfs sysfs rw\n\
            36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw\nx\n";
        let Mounts(mounts) = Mounts::parse(text);
        assert_eq!(mounts.len(), 2);
        assert_eq!(
            (mounts[&22].as_str(), mounts[&36].as_str()),
            ("sysfs", "ext3")
        );
    }
}
