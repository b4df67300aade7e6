//! The inputs of the scenarios: the kernel, the initramfs, the donor, package directories. Each is
//! made by its own part of the tree, which also decides whether there is anything to do.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::error::{Doing, HarnessError, Result};

/// Programs for the target and the donor are static, so that one build runs everywhere.
const TARGET: &str = "x86_64-unknown-linux-musl";

/// Paths of everything; absolute.
#[derive(Clone, Debug)]
pub struct Artifacts {
    /// bzImage of the profile vm.
    pub kernel: PathBuf,
    /// bzImage of the profile metal, when it was asked for.
    pub metal: Option<PathBuf>,
    /// A QEMU that has newer cards than the installed one need have, when that kernel was asked
    /// for.
    pub newer_qemu: Option<PathBuf>,
    /// init and mke2fs as a compressed cpio.
    pub initramfs: PathBuf,
    /// The parts of that initramfs, unless it is of a release.
    pub built: Option<Built>,
    /// The `spk-visor` program.
    pub donor: PathBuf,
    /// Package directory of the demo system.
    pub demo: PathBuf,
    /// Package directory of Debian, when it was asked for.
    pub debian: Option<PathBuf>,
    /// Package directory of Debian with OpenRC, when it was asked for.
    pub openrc: Option<PathBuf>,
    /// Package directory of the system with a gigabyte of files, when it was asked for.
    pub big: Option<PathBuf>,
    /// Debian's own kernel and its modules, when they were asked for.
    pub distribution: Option<PathBuf>,
    /// The demo as the image of a slot, when it was asked for.
    pub slot: Option<PathBuf>,
    /// wpa_supplicant, when that kernel was asked for.
    pub supplicant: Option<PathBuf>,
}

/// The parts of an initramfs: for scenarios that bake in more, and make disks themselves.
#[derive(Clone, Debug)]
pub struct Built {
    /// PID 1, and beside it that of a slot.
    pub init: PathBuf,
    /// mke2fs, and beside it e2fsck.
    pub mke2fs: PathBuf,
}

/// The systems that are needed besides the demo.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// The kernel for real machines.
    pub metal: bool,
    /// Debian 12, packed like this.
    pub debian: Option<Format>,
    /// Debian 12 with OpenRC.
    pub openrc: bool,
    /// A gigabyte unpacked.
    pub big: bool,
    /// Debian's own kernel.
    pub distribution: bool,
    /// The demo as the image of a slot.
    pub slot: bool,
}

/// How the packages of a system are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The usual compression.
    Xz,
    /// Several times as fast to unpack, which an emulated machine does slowly.
    Zst,
}

impl Format {
    const fn name(self) -> &'static str {
        match self {
            Format::Xz => "xz",
            Format::Zst => "zst",
        }
    }
}

impl Artifacts {
    /// Makes what is not there yet; says on standard error what it is doing and how long it took.
    ///
    /// # Errors
    /// A part could not be made; its own words came before.
    pub fn make(wanted: Wanted, work: &Path) -> Result<Self> {
        let top = top();
        let steps = Steps {
            count: 4
                + 2 * u32::from(wanted.metal)
                + u32::from(wanted.debian.is_some())
                + u32::from(wanted.openrc)
                + u32::from(wanted.big)
                + 2 * u32::from(wanted.distribution)
                + u32::from(wanted.slot),
            done: std::cell::Cell::new(0),
        };
        let kernel = steps.path(
            "kernel (five minutes the first time)",
            &mut script(&top, "kernel-config/build"),
        )?;
        let metal = wanted.metal.then(|| {
            steps.path(
                "the kernel for real machines (a quarter of an hour the first time)",
                script(&top, "kernel-config/build").arg("metal"),
            )
        });
        let newer_qemu = wanted.metal.then(|| {
            steps.path(
                "a QEMU with newer cards (seconds the first time)",
                &mut script(&top, "qemu/newer"),
            )
        });
        let mut cargo = Command::new("cargo");
        cargo.args([
            "build",
            "--locked",
            "--quiet",
            "--release",
            "--target",
            TARGET,
            "-p",
            "init",
            "-p",
            "spk-visor",
        ]);
        steps.run("init and spk-visor, static", cargo.current_dir(&top))?;
        let programs = target_dir(&top).join(TARGET).join("release");
        let initramfs = Initramfs::make(&steps, &top, &programs, work)?;
        let demo = steps.path(
            "the demo system's packages",
            script(&top, "systems/build").arg("demo"),
        )?;
        let debian = wanted.debian.map(|format| {
            steps.path(
                "Debian 12 (minutes the first time)",
                script(&top, "systems/build").args(["debian", "--format", format.name()]),
            )
        });
        let openrc = wanted.openrc.then(|| {
            steps.path(
                "Debian 12 with OpenRC (minutes the first time)",
                script(&top, "systems/build").args(["debian-openrc", "--format", "zst"]),
            )
        });
        let big = wanted.big.then(|| {
            steps.path(
                "a gigabyte of files",
                script(&top, "systems/build").arg("big"),
            )
        });
        let distribution = wanted.distribution.then(|| {
            steps.path(
                "Debian's own kernel (a minute or two the first time)",
                &mut script(&top, "mkinitramfs/debian-kernel"),
            )
        });
        let slot = wanted.slot.then(|| {
            steps.path(
                "the demo as the image of a slot",
                script(&top, "systems/slot").arg("demo"),
            )
        });
        let supplicant = wanted.distribution.then(|| {
            steps.path(
                "the Wi-Fi supplicant (a minute the first time)",
                &mut script(&top, "mkinitramfs/wpa-build"),
            )
        });
        Ok(Self {
            kernel,
            metal: metal.transpose()?,
            newer_qemu: newer_qemu.transpose()?,
            initramfs: initramfs.image,
            built: Some(initramfs.built),
            donor: programs.join("spk-visor"),
            demo,
            debian: debian.transpose()?,
            openrc: openrc.transpose()?,
            big: big.transpose()?,
            distribution: distribution.transpose()?,
            slot: slot.transpose()?,
            supplicant: supplicant.transpose()?,
        })
    }

    /// What the demo shows of a release that `./dist` has made: nothing has to be built for it.
    ///
    /// # Errors
    /// A file that is not there.
    pub fn of_release(dir: &Path) -> Result<Self> {
        let dir = dir.canonicalize().doing("opening", dir.display())?;
        let part = |name: &str| {
            let path = dir.join(name);
            if path.exists() {
                return Ok(path);
            }
            Err(HarnessError::Missing {
                what: path.display().to_string(),
                hint: "expected a directory that ./dist has made".to_owned(),
            })
        };
        Ok(Self {
            kernel: part("vm/bzImage")?,
            metal: None,
            newer_qemu: None,
            initramfs: part("vm/shim.cpio.zst")?,
            built: None,
            donor: part("spk-visor")?,
            demo: part("demo")?,
            debian: None,
            openrc: None,
            big: None,
            distribution: None,
            slot: None,
            supplicant: None,
        })
    }

    /// The parts of the initramfs.
    ///
    /// # Errors
    /// Of a release they are not known.
    pub fn built(&self) -> Result<&Built> {
        self.built.as_ref().ok_or_else(|| HarnessError::Missing {
            what: "init and mke2fs".to_owned(),
            hint: "a release has the initramfs that is made of them alone".to_owned(),
        })
    }

    /// The arguments by which a child process of this tool gets the same.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let fixed = [
            ("--kernel", &self.kernel),
            ("--initramfs", &self.initramfs),
            ("--donor", &self.donor),
            ("--demo", &self.demo),
        ];
        let built = self.built.iter();
        let built = built.flat_map(|built| [("--init", &built.init), ("--mke2fs", &built.mke2fs)]);
        let more = [
            ("--metal", &self.metal),
            ("--newer-qemu", &self.newer_qemu),
            ("--debian", &self.debian),
            ("--openrc", &self.openrc),
            ("--big", &self.big),
            ("--distribution", &self.distribution),
            ("--slot", &self.slot),
            ("--supplicant", &self.supplicant),
        ];
        let more = more
            .into_iter()
            .filter_map(|(option, path)| Some((option, path.as_ref()?)));
        fixed
            .into_iter()
            .chain(built)
            .chain(more)
            .flat_map(|(option, path)| [option.to_owned(), path.display().to_string()])
            .collect()
    }
}

/// The top of the source tree.
#[must_use]
pub fn top() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}

/// Where cargo builds.
#[must_use]
pub fn target_dir(top: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| top.join("target"), |dir| top.join(dir))
}

fn script(top: &Path, name: &str) -> Command {
    Command::new(top.join(name))
}

struct Steps {
    count: u32,
    done: std::cell::Cell<u32>,
}

impl Steps {
    /// Runs a maker that prints a path.
    fn path(&self, what: &str, command: &mut Command) -> Result<PathBuf> {
        let printed = self.run(what, command)?;
        let path = PathBuf::from(printed.trim());
        if printed.trim().is_empty() || !path.exists() {
            return Err(HarnessError::Missing {
                what: what.to_owned(),
                hint: format!("its maker printed {:?}", printed.trim()),
            });
        }
        Ok(path)
    }

    /// Runs a maker; its progress goes where ours goes.
    fn run(&self, what: &str, command: &mut Command) -> Result<String> {
        self.done.set(self.done.get() + 1);
        eprintln!("make {}/{}: {what}", self.done.get(), self.count);
        let began = Instant::now();
        let printed = stdout(command)?;
        let seconds = began.elapsed().as_secs();
        if seconds > 2 {
            eprintln!(
                "make {}/{}: {what}: ready after {seconds} s",
                self.done.get(),
                self.count
            );
        }
        Ok(printed)
    }
}

/// An image and its parts.
struct Initramfs {
    image: PathBuf,
    built: Built,
}

impl Initramfs {
    fn make(steps: &Steps, top: &Path, programs: &Path, work: &Path) -> Result<Self> {
        let mke2fs = stdout(&mut script(top, "mkinitramfs/mke2fs-build"))?;
        let made = Self {
            image: work.join("initramfs"),
            built: Built {
                init: programs.join("init"),
                mke2fs: PathBuf::from(mke2fs.trim()),
            },
        };
        let mut maker = Command::new(programs.join("spk-visor"));
        maker
            .args(["media", "image", "--init"])
            .arg(&made.built.init);
        maker.arg("--mke2fs").arg(&made.built.mke2fs);
        steps.run("initramfs", maker.arg("-o").arg(&made.image))?;
        Ok(made)
    }
}

fn stdout(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .doing("running", &program)?;
    if !output.status.success() {
        return Err(HarnessError::Program {
            program,
            status: output.status,
            output: "see above".to_owned(),
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
