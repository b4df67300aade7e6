//! A test's own directory, removed afterwards.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

/// Removed on drop.
pub(crate) struct TestDir(TempDir);

impl TestDir {
    pub(crate) fn new(name: &str) -> Self {
        let prefix = format!("mkinitramfs-{name}-");
        Self(tempfile::Builder::new().prefix(&prefix).tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// With the directories above it.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}
