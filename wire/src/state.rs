//! The state partition of a node with two slots: the names in it that the installer and slot-init
//! share (`slot.md 6`). All are relative to the top of its file system.

/// The name of the partition in the table.
pub const PARTITION_NAME: &str = "smechvisor-state";
/// What stands above the image's `/etc`: here the installer puts what makes the node itself.
pub const ETC_UPPER: &str = "etc/upper";
/// The directory that an overlay needs beside it.
pub const ETC_WORK: &str = "etc/work";
/// Directories of the top that a node sees in place of the image's, under the same names.
pub const DIRECTORIES: [&str; 4] = ["var", "home", "root", "srv"];
/// slot-init's own directory.
pub const OWN: &str = "smv";
/// The roots whose first boot is done: their hashes, one a line, the newest last.
pub const SEEN: &str = "smv/seen";

/// In the image: the paths below `/var` that stay the image's, one a line, as in `lib/dpkg`.
pub const VAR_IMAGE: &str = "usr/lib/smechvisor/var.image";
