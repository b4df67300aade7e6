//! A kernel's lists of its modules, `modules.dep` and `modules.builtin`: whether a driver is in
//! them.

use crate::directory::{Directory, DirectoryError};

/// `modules.dep` of a large kernel has half a megabyte.
const LIST_MAX: u64 = 4 * 1024 * 1024;

/// The list at `path`; an empty one when there is none.
///
/// # Errors
/// It is larger than any, or the file system failed.
pub fn read(root: Directory<'_>, path: &str) -> Result<Vec<u8>, DirectoryError> {
    Ok(root.read(path, LIST_MAX)?.unwrap_or_default())
}

/// `kernel/fs/ext4/NAME.ko`, perhaps compressed, at the beginning of a line.
#[must_use]
pub fn has(list: &[u8], driver: &str) -> bool {
    list.split(|byte| *byte == b'\n').any(|line| {
        let path = line.split(|byte| *byte == b':').next().unwrap_or_default();
        let file = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let rest = file.strip_prefix(driver.as_bytes());
        rest.is_some_and(|rest| rest.starts_with(b".ko"))
    })
}
