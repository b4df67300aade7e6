//! The kernel is built of the source that its package brought, and of no other.
#![allow(clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

struct Package {
    dir: PathBuf,
}

impl Package {
    /// An archive and what dpkg keeps of it, in a directory that goes with it.
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("kernel-source-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory");
        let package = Self { dir };
        fs::write(package.archive(), "an archive").expect("a file");
        // md5sum of that text.
        let line = format!("a0901c46356600fdbaffe0fc8c8ac8ba  {}\n", package.relative());
        fs::write(package.list(), line).expect("a file");
        package
    }

    fn archive(&self) -> PathBuf {
        self.dir.join("linux-source.tar.xz")
    }

    fn list(&self) -> PathBuf {
        self.dir.join("linux-source.md5sums")
    }

    /// As dpkg writes it.
    fn relative(&self) -> String {
        let path = self.archive().to_string_lossy().into_owned();
        path.trim_start_matches('/').to_owned()
    }

    fn judge(&self, version: &str) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kernel-config/source");
        Command::new(script)
            .arg(self.archive())
            .arg(version)
            .arg(self.list())
            .output()
            .expect("the script starts")
    }
}

impl Drop for Package {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir); // nothing depends on it
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn what_the_package_brought_is_taken_and_its_hash_told() {
    let package = Package::new("whole");
    let output = package.judge("1.2.3");
    assert!(output.status.success(), "{}", said(&output));
    let hash = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(
        hash.trim(),
        "9e691d5adacf0e102f203100842ffaba4e2a7dfe3dbd536827d3c0db8c7e88f1"
    );
    assert!(said(&output).contains("no hash for 1.2.3"));
}

#[test]
fn an_archive_that_was_changed_is_refused() {
    let package = Package::new("changed");
    fs::write(package.archive(), "an Archive").expect("a file");
    let output = package.judge("1.2.3");
    assert!(!output.status.success() && output.stdout.is_empty());
    assert!(said(&output).contains("does not match its package"));
    fs::write(package.list(), "").expect("a file");
    let output = package.judge("1.2.3");
    assert!(!output.status.success());
    assert!(said(&output).contains("does not name"));
}

#[test]
fn a_version_that_we_know_has_our_hash_whatever_dpkg_says() {
    let known = include_str!("../../kernel-config/sources.sha256");
    let version = known
        .lines()
        .filter(|line| !line.starts_with('#'))
        .find_map(|line| line.split_once("  "))
        .expect("one version is known")
        .1;
    let output = Package::new("other").judge(version);
    assert!(!output.status.success() && output.stdout.is_empty());
    assert!(said(&output).contains("has the SHA-256"));
}
