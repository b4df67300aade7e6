//! The releases that a node updates itself with: one system, usually the demo, in several versions,
//! signed by one key. All files are made in the current directory.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Doing, HarnessError, Result};
use crate::lab::{Lab, PLAIN};
use crate::machine::DiskSpec;
use crate::process::run;

/// The key that a node has to trust.
pub const PUBLIC: &str = "release.pub";
/// The only file of a release beside its manifest.
pub const IMAGE: &str = "smechvisor-system.img";
/// Its secret half, without a password.
pub const KEY: &str = "release.key";

/// What one version has of its own.
#[derive(Clone, Copy, Debug)]
pub struct Version<'a> {
    /// Its version word and its directory.
    pub name: &'a str,
    /// Goes up with each one.
    pub counter: u32,
    /// The end of a shell script: its check for trials.
    pub check: &'a str,
    /// How long a trial waits for the check, in seconds.
    pub within: u32,
    /// A file that nobody reads but the check ([`BALLAST`]); none when empty.
    pub ballast: &'a [u8],
}

/// Where [`Version::ballast`] lies.
pub const BALLAST: &str = "/usr/lib/smechvisor/ballast";

impl<'a> Version<'a> {
    /// One that is kept.
    #[must_use]
    pub const fn healthy(name: &'a str, counter: u32) -> Self {
        Self {
            name,
            counter,
            check: "exit 0",
            within: 240,
            ballast: &[],
        }
    }

    /// One that is not, and is not waited for.
    #[must_use]
    pub const fn sick(name: &'a str, counter: u32) -> Self {
        Self {
            check: "exit 1",
            within: 5,
            ..Self::healthy(name, counter)
        }
    }
}

/// Makes them.
#[derive(Clone, Debug)]
pub struct Maker {
    packages: Vec<PathBuf>,
    slot_init: PathBuf,
    /// The demo's kernel, in a directory with its `modules.builtin`; others bring their own.
    kernel: Option<PathBuf>,
    /// The line of the settings that has a trial's daemon asked.
    health: &'static str,
}

impl Maker {
    /// Makes the key, and the packages that all versions of the demo have in common.
    ///
    /// # Errors
    /// A tool is missing or failed.
    pub fn new(lab: &Lab) -> Result<Self> {
        let kernel = &lab.artifacts.kernel;
        let mut build = systems("build");
        build.args(["demo", "--format", "zst", "--kernel"]);
        let demo = run(build.arg(kernel))?;
        let e2fsck = lab.artifacts.built()?.mke2fs.with_file_name("e2fsck");
        Ok(Self {
            kernel: Some(kernel.clone()),
            health: "health=http://127.0.0.1:8080/health\n",
            ..Self::of(lab, "demo", Path::new(demo.trim()), &e2fsck)?
        })
    }

    /// The same of a system that has its own kernel, whose packages are in `directory`. As
    /// `e2fsck`, `-` means that it has its own too.
    ///
    /// # Errors
    /// A tool is missing or failed.
    pub fn of(lab: &Lab, system: &str, directory: &Path, e2fsck: &Path) -> Result<Self> {
        let mut minisign = Command::new("minisign");
        minisign.args(["-G", "-W", "-f", "-p", PUBLIC, "-s", KEY]);
        run(&mut minisign)?;
        let parts = &lab.artifacts;
        let mut packages = archives(directory)?;
        let mut updater = systems("updater/make");
        updater.args([system, "updater"]).arg(&parts.donor);
        run(updater.arg(e2fsck).arg(PUBLIC))?;
        packages.push(archive("updater")?);
        Ok(Self {
            packages,
            slot_init: parts.built()?.init.with_file_name("slot-init"),
            kernel: None,
            health: "",
        })
    }

    /// The first program of every initramfs.
    #[must_use]
    pub fn slot_init(&self) -> &Path {
        &self.slot_init
    }

    /// The same with another one.
    #[must_use]
    pub fn with_slot_init(self, slot_init: PathBuf) -> Self {
        Self { slot_init, ..self }
    }

    /// The same with a root whose `/sbin/init` is no program.
    ///
    /// # Errors
    /// A tool is missing or failed.
    pub fn without_init(&self) -> Result<Self> {
        const TREE: &str = "base-without-init";
        let is_base = |path: &&PathBuf| path.to_string_lossy().contains("smechvisor-base");
        let base = self.packages.iter().find(is_base);
        let base = base.ok_or_else(|| HarnessError::Missing {
            what: "the base of the demo".into(),
            hint: "systems/build demo".into(),
        })?;
        std::fs::create_dir_all(TREE).doing("making", TREE)?;
        let mut tar = Command::new("tar");
        run(tar.args(["-C", TREE, "-xpf"]).arg(base))?;
        let init = Path::new(TREE).join("usr/sbin/init");
        std::fs::remove_file(&init).doing("removing", init.display())?;
        std::fs::write(&init, "no program\n").doing("writing", init.display())?;
        let changed = archive(TREE)?;
        let packages = self.packages.iter();
        let packages = packages.map(|path| if path == base { &changed } else { path });
        Ok(Self {
            packages: packages.cloned().collect(),
            ..self.clone()
        })
    }

    /// The directory of one release.
    ///
    /// # Errors
    /// A tool is missing or failed.
    pub fn release(&self, lab: &Lab, version: &Version<'_>) -> Result<PathBuf> {
        let (name, counter) = (version.name, version.counter.to_string());
        let dir = Path::new(name);
        std::fs::create_dir_all(dir).doing("making", dir.display())?;
        let own = own_package(version, self.health)?;
        let mut sources: Vec<&OsStr> = self.packages.iter().map(|path| path.as_os_str()).collect();
        sources.push(own.as_os_str());
        self.image(lab, version, &sources, &dir.join(IMAGE))?;
        lab.visor(&[
            "manifest",
            "create",
            name,
            "--version",
            name,
            "--counter",
            &counter,
        ])?;
        let mut minisign = Command::new("minisign");
        minisign.args(["-S", "-s", KEY, "-m"]);
        run(minisign.arg(dir.join("MANIFEST")))?;
        dir.canonicalize().doing("resolving", dir.display())
    }

    /// Makes an image of packages, or of `--root` and a tree.
    ///
    /// # Errors
    /// It was refused.
    pub fn image(
        &self,
        lab: &Lab,
        version: &Version<'_>,
        sources: &[&OsStr],
        to: &Path,
    ) -> Result<()> {
        let mut maker = Command::new(&lab.artifacts.donor);
        maker.args(["media", "slot"]).args(sources);
        maker.arg("--init").arg(&self.slot_init);
        maker.args(["--version", version.name]);
        maker.args(["--counter", &version.counter.to_string()]);
        if let Some(kernel) = &self.kernel {
            let modules = kernel.parent().unwrap_or(Path::new("."));
            maker.arg("--kernel").arg(kernel);
            maker.arg("--modules").arg(modules);
        }
        // A kernel that panics is not watched for half a minute.
        let cmdline = format!("console=tty0 console=ttyS0,115200 {PLAIN} panic=1");
        maker.args(["--cmdline", &cmdline]);
        run(maker.arg("-o").arg(to)).map(drop)
    }

    /// Unpacks what all versions have in common.
    ///
    /// # Errors
    /// tar failed.
    pub fn unpack(&self, tree: &Path) -> Result<()> {
        std::fs::create_dir_all(tree).doing("making", tree.display())?;
        for package in &self.packages {
            let mut tar = Command::new("tar");
            tar.args(["--zstd", "-xpf"]).arg(package);
            run(tar.arg("-C").arg(tree))?;
        }
        Ok(())
    }

    /// One release on a disk of its own, as a bundle that begins with the disk.
    ///
    /// # Errors
    /// A tool is missing or failed.
    pub fn disk(&self, lab: &Lab, version: &Version<'_>) -> Result<DiskSpec> {
        let dir = self.release(lab, version)?;
        let name = version.name;
        let (bundle, image) = (format!("{name}.smv"), format!("{name}.img"));
        lab.visor(&["bundle", "create", &bundle, &dir.display().to_string()])?;
        std::fs::rename(&bundle, &image).doing("renaming", &bundle)?;
        Ok(DiskSpec::new(image, &format!("SMV-{name}")))
    }
}

/// The demo's daemon, out of its package.
///
/// # Errors
/// A tool is missing or failed.
pub fn daemon(lab: &Lab) -> Result<PathBuf> {
    let tree = Path::new("smechvisor-daemon");
    std::fs::create_dir_all(tree).doing("making", tree.display())?;
    let package = lab.artifacts.demo.join("smechvisor-daemon.tar.xz");
    let mut tar = Command::new("tar");
    run(tar.arg("-xpf").arg(package).arg("-C").arg(tree))?;
    Ok(tree.join("usr/sbin/smechvisor-daemon"))
}

/// A disk that begins with the bundle of a directory.
///
/// # Errors
/// The bundle cannot be made.
pub fn bundle_disk(lab: &Lab, directory: &str, words: &[&str]) -> Result<DiskSpec> {
    let (file, image) = (format!("{directory}.smv"), format!("{directory}.img"));
    lab.visor(&[&["bundle", "create", &file, directory], words].concat())?;
    lab.visor(&["bundle", "sign", &file, "--key", KEY])?;
    std::fs::rename(&file, &image).doing("renaming", &file)?;
    Ok(DiskSpec::new(image, &format!("SMV-{directory}")))
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

/// Trials that are judged soon, the check, and what it reads.
fn own_package(version: &Version<'_>, health: &str) -> Result<PathBuf> {
    let tree = format!("own-{}", version.name);
    let within = version.within;
    let settings = format!("{health}confirm-within={within}\nstable=2\n");
    let check = "etc/smechvisor/health.d/check";
    let script = format!("#!/bin/sh\n{}\n", version.check);
    let mut files = vec![
        ("etc/smechvisor/update", settings.as_bytes()),
        (check, script.as_bytes()),
    ];
    if !version.ballast.is_empty() {
        files.push((BALLAST.trim_start_matches('/'), version.ballast));
    }
    for (path, content) in files {
        let path = Path::new(&tree).join(path);
        let above = path.parent().unwrap_or(&path);
        std::fs::create_dir_all(above).doing("making", above.display())?;
        std::fs::write(&path, content).doing("writing", path.display())?;
    }
    run(Command::new("chmod")
        .arg("755")
        .arg(Path::new(&tree).join(check)))?;
    archive(&tree)
}
