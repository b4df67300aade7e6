//! The root of a slot: packages or a tree in, one tar out, checked for what a node needs.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read};
use std::path::{Path, PathBuf};
use std::thread;

use bundle::decode::{self, DecodeError, DecodeLimits};
use pack::secure_boot::FIRST_STAGE_NAME;
use wire::stream::DATA_MAX;

use super::{SlotCommandError, unread};
use crate::join::{Join, Joined, Taken};
use crate::output::OutputError;
use crate::progress::Progress;
use crate::scratch::Scratch;
use crate::slot::{Grub, RELEASE_PATH, Release};
use crate::tool::Tool;

/// The joined tar, in the scratch directory.
pub(super) const TAR: &str = "root.tar";
/// What is set aside of it, likewise.
pub(super) const ASIDE: &str = "aside";
/// Memory for a decoder: what `xz -9` needs, several times.
const DECODE_BYTES: u64 = 512 << 20;
/// What slot-init mounts something over (`slot.md 2.4`); the ledger of updates lies below the
/// last one.
const MOUNT_POINTS: [&str; 7] = ["/dev", "/etc", "/proc", "/run", "/sys", "/tmp", "/var"];
const GRUB: &str = "usr/lib/smechvisor/grub";

/// A root that is being put together.
pub(super) struct RootTar {
    join: Join<BufWriter<File>>,
}

impl RootTar {
    pub fn new(scratch: &Scratch) -> Result<Self, SlotCommandError> {
        let (tar, aside) = (scratch.file(TAR), scratch.file(ASIDE));
        let made = fs::create_dir(&aside).and_then(|()| File::create_new(&tar));
        let file = made.map_err(|source| OutputError {
            path: tar.clone(),
            source,
        })?;
        let join = Join::new(BufWriter::with_capacity(1 << 20, file), &tar, &aside);
        Ok(Self { join })
    }

    /// Adds packages, in this order.
    ///
    /// # Errors
    /// One cannot be read, or does not go with those before it.
    pub fn add_packages(&mut self, packages: &[PathBuf]) -> Result<(), SlotCommandError> {
        for path in packages {
            let file = File::open(path).map_err(|source| unread(path, source))?;
            let tar = decoded(path, file)?;
            self.add(path, tar)?;
        }
        Ok(())
    }

    /// Adds a tree, as tar(1) packs it.
    ///
    /// # Errors
    /// It cannot be packed.
    pub fn add_tree(&mut self, tree: &Path, scratch: &Scratch) -> Result<(), SlotCommandError> {
        let packed = scratch.file("tree.tar");
        Tool::new("tar", "tar")
            .args(["--format=pax", "--sort=name", "--numeric-owner", "--sparse"])
            .args(["--xattrs", "--xattrs-include=*", "--one-file-system"])
            .arg("--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime")
            .arg("-C")
            .arg(tree)
            .arg("-cf")
            .arg(&packed)
            .arg(".")
            .run()?;
        let file = File::open(&packed).map_err(|source| unread(&packed, source))?;
        self.add(tree, Box::new(file))?;
        // As large as the tree.
        fs::remove_file(&packed).map_err(|source| unread(&packed, source))
    }

    fn add(&mut self, path: &Path, tar: Box<dyn Read + Send>) -> Result<(), SlotCommandError> {
        let name = path.file_name().unwrap_or(path.as_os_str());
        let tar = Watched {
            tar,
            done_bytes: 0,
            progress: Progress::new("reading packages", 0),
        };
        let joined = self.join.package(&name.to_string_lossy(), tar);
        joined.map_err(|source| SlotCommandError::Join {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }

    /// Sees that a node can start this root and keep it current.
    ///
    /// # Errors
    /// The first thing that it lacks.
    pub fn check(&self) -> Result<(), SlotCommandError> {
        let is_file = |path: &str| matches!(self.join.find(path), Some(Taken::Other));
        let lacking = |what, why| Err(SlotCommandError::Lacking { what, why });
        for what in MOUNT_POINTS {
            if !matches!(self.join.find(what), Some(Taken::Directory { .. })) {
                return lacking(what, "it must have this directory to be mounted over");
            }
        }
        if !is_file("sbin/init") {
            return lacking("/sbin/init", "slot-init starts it");
        }
        if !is_file("sbin/e2fsck") && !is_file("usr/sbin/e2fsck") {
            return lacking(
                "e2fsck",
                "slot-init checks the state partition with it (e2fsprogs)",
            );
        }
        self.grub().map(drop)?;
        if self.join.find("usr/lib/smechvisor/trust").is_none() {
            eprintln!(
                "media: the root has no /usr/lib/smechvisor/trust: \
                 a node that runs it trusts no update"
            );
        }
        Ok(())
    }

    /// GRUB's images, for one kind of firmware at least.
    ///
    /// # Errors
    /// There are none.
    pub fn grub(&self) -> Result<Grub<'_>, SlotCommandError> {
        let image = |name: &str| self.join.remembered(&format!("{GRUB}/{name}"));
        if image(FIRST_STAGE_NAME).is_some() {
            return Err(SlotCommandError::SignedGrub);
        }
        let grub = Grub {
            efi: image("grubx64.efi"),
            bios: image("boot.img").zip(image("core.img")),
        };
        if grub.efi.is_none() && grub.bios.is_none() {
            return Err(SlotCommandError::Lacking {
                what: "/usr/lib/smechvisor/grub",
                why: "the disk boots by the images in it (package bootloader-grub)",
            });
        }
        Ok(grub)
    }

    /// Kernel options that the packages ask for.
    pub fn cmdline(&self) -> String {
        let text = self.join.remembered("etc/kernel/cmdline");
        String::from_utf8_lossy(text.unwrap_or_default())
            .trim()
            .to_owned()
    }

    /// Adds what the root says about its release.
    ///
    /// # Errors
    /// A package has such a file.
    pub fn add_release(&mut self, release: &Release) -> Result<(), SlotCommandError> {
        let text = release.to_text();
        Ok(self
            .join
            .file("this release", RELEASE_PATH, text.as_bytes())?)
    }

    /// Ends the tar.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn finish(&mut self) -> Result<Joined, SlotCommandError> {
        let joined = self.join.finish()?;
        let lost = joined.lost_attributes;
        if lost > 0 {
            eprintln!(
                "media: {lost} attributes are left out, such as ACLs: squashfs holds \
                 user.*, trusted.* and security.* alone"
            );
        }
        if joined.host_keys > 0 {
            eprintln!(
                "media: {} files with SSH host keys are left out: every node makes its own \
                 at its first boot",
                joined.host_keys
            );
        }
        Ok(joined)
    }
}

/// SHA-256 and name of each package.
///
/// # Errors
/// One cannot be read.
pub(super) fn hash(packages: &[PathBuf]) -> Result<Vec<([u8; 32], String)>, SlotCommandError> {
    let hash = |path: &PathBuf| {
        let file = File::open(path).map_err(|source| unread(path, source))?;
        let hashed = pack::hash::file(file, 1 << 20, &mut |_| ());
        let hashed = hashed.map_err(|(_, source)| unread(path, source))?;
        let name = path.file_name().unwrap_or(path.as_os_str());
        Ok((hashed.whole, name.to_string_lossy().into_owned()))
    };
    packages.iter().map(hash).collect()
}

/// The plain tar of a package: its name says whether it is compressed.
fn decoded(path: &Path, file: File) -> Result<Box<dyn Read + Send>, SlotCommandError> {
    if path.extension().is_some_and(|ending| ending == "tar") {
        return Ok(Box::new(file));
    }
    let threads = thread::available_parallelism().ok();
    let limits = DecodeLimits {
        memory_bytes: DECODE_BYTES,
        threads: threads.map_or(1, |threads| u32::try_from(threads.get()).unwrap_or(1)),
        output_cap: DATA_MAX,
    };
    let failed = |source: DecodeError| SlotCommandError::Decode {
        path: path.to_owned(),
        source,
    };
    Ok(Box::new(decode::decode(file, limits).map_err(failed)?))
}

/// Counts what is read.
struct Watched {
    tar: Box<dyn Read + Send>,
    done_bytes: u64,
    progress: Progress,
}

impl Read for Watched {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = self.tar.read(into)?;
        self.done_bytes += len as u64;
        self.progress.at(self.done_bytes);
        Ok(len)
    }
}
