//! The releases that a node updates itself with: the demo system in several versions, signed by one
//! key. All files are made in the current directory.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Doing, Result};
use crate::lab::Lab;
use crate::machine::DiskSpec;
use crate::process::run;

/// The key that a node has to trust.
pub const PUBLIC: &str = "release.pub";
const IMAGE: &str = "smechvisor-system.img";
const KEY: &str = "release.key";

/// Makes them.
#[derive(Debug)]
pub struct Maker {
    packages: Vec<PathBuf>,
    slot_init: PathBuf,
}

impl Maker {
    /// Makes the key, and the packages that all versions have in common.
    ///
    /// # Errors
    /// A tool is missing or failed.
    pub fn new(lab: &Lab) -> Result<Self> {
        let mut minisign = Command::new("minisign");
        minisign.args(["-G", "-W", "-f", "-p", PUBLIC, "-s", KEY]);
        run(&mut minisign)?;
        let parts = &lab.artifacts;
        let mut build = systems("build");
        build.args(["demo", "--format", "zst", "--kernel"]);
        let demo = run(build.arg(&parts.kernel))?;
        let mut packages = archives(Path::new(demo.trim()))?;
        let mut updater = systems("updater/make");
        updater.args(["demo", "updater"]).arg(&parts.donor);
        updater.arg(parts.mke2fs.with_file_name("e2fsck"));
        run(updater.arg(PUBLIC))?;
        packages.push(archive("updater")?);
        Ok(Self {
            packages,
            slot_init: parts.init.with_file_name("slot-init"),
        })
    }

    /// The directory of one release. A version that is not healthy has a check that fails.
    ///
    /// # Errors
    /// A tool is missing or failed.
    pub fn release(&self, lab: &Lab, number: u32, is_healthy: bool) -> Result<PathBuf> {
        let (name, counter) = (format!("v{number}"), number.to_string());
        let dir = Path::new(&name);
        std::fs::create_dir_all(dir).doing("making", dir.display())?;
        let own = own_package(&name, is_healthy)?;
        let parts = &lab.artifacts;
        let modules = parts.kernel.parent().unwrap_or(Path::new("."));
        let mut maker = Command::new(&parts.mkinitramfs);
        maker.arg("slot").args(&self.packages).arg(own);
        maker.arg("--init").arg(&self.slot_init);
        maker.args(["--version", &name, "--counter", &counter]);
        maker.arg("--kernel").arg(&parts.kernel);
        maker.arg("--modules").arg(modules);
        run(maker.arg("-o").arg(dir.join(IMAGE)))?;
        lab.visor(&[
            "manifest",
            "create",
            &name,
            "--version",
            &name,
            "--counter",
            &counter,
        ])?;
        let mut minisign = Command::new("minisign");
        minisign.args(["-S", "-s", KEY, "-m"]);
        run(minisign.arg(dir.join("MANIFEST")))?;
        dir.canonicalize().doing("resolving", dir.display())
    }

    /// One release on a disk of its own, as a bundle that begins with the disk.
    ///
    /// # Errors
    /// A tool is missing or failed.
    pub fn disk(&self, lab: &Lab, number: u32, is_healthy: bool) -> Result<DiskSpec> {
        let dir = self.release(lab, number, is_healthy)?;
        let (bundle, image) = (format!("v{number}.smv"), format!("v{number}.img"));
        lab.visor(&["bundle", "create", &bundle, &dir.display().to_string()])?;
        std::fs::rename(&bundle, &image).doing("renaming", &bundle)?;
        Ok(DiskSpec::new(image, &format!("SMV-v{number}")))
    }
}

fn systems(name: &str) -> Command {
    Command::new(crate::artifacts::top().join("systems").join(name))
}

/// Packs a tree.
fn archive(tree: &str) -> Result<PathBuf> {
    let path = PathBuf::from(format!("smechvisor-{tree}.tar.zst"));
    run(systems("archive").arg(tree).arg(&path))?;
    Ok(path)
}

/// The archives in a directory, by name.
fn archives(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(dir).doing("listing", dir.display())?;
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    found.retain(|path| path.extension().is_some_and(|word| word == "zst"));
    found.sort();
    Ok(found)
}

/// What one version has of its own: trials that are judged soon, and the check.
fn own_package(name: &str, is_healthy: bool) -> Result<PathBuf> {
    let tree = format!("own-{name}");
    let etc = Path::new(&tree).join("etc/smechvisor");
    let checks = etc.join("health.d");
    std::fs::create_dir_all(&checks).doing("making", checks.display())?;
    // One that is not healthy is not waited for.
    let within = if is_healthy { 240 } else { 5 };
    let settings =
        format!("health=http://127.0.0.1:8080/health\nconfirm-within={within}\nstable=2\n");
    let path = etc.join("update");
    std::fs::write(&path, settings).doing("writing", path.display())?;
    let check = checks.join("check");
    let verdict = if is_healthy { "exit 0" } else { "exit 1" };
    std::fs::write(&check, format!("#!/bin/sh\n{verdict}\n")).doing("writing", check.display())?;
    run(Command::new("chmod").arg("755").arg(&check))?;
    archive(&tree)
}
