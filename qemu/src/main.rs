//! `qemu test` runs scenarios, `qemu demo` shows one, `qemu measure` takes times, `qemu pictures`
//! takes pictures; all make first what they need. `qemu scenario`, `qemu show`, `qemu picturing`
//! and `qemu measuring` are what they start in name spaces of its own; nobody else needs them.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use lexopt::prelude::{Long, Value, ValueExt};
use qemu::artifacts::{Artifacts, Built, Format, Wanted, target_dir, top};
use qemu::demo::{self, Show};
use qemu::error::{Doing, HarnessError, Result};
use qemu::lab::Lab;
use qemu::machine::Firmware;
use qemu::machine::accel::Accel;
use qemu::measure;
use qemu::pictures;
use qemu::runner::{Run, fresh_dir, isolated};
use qemu::scenarios::{self, Needs, Scenario};
use wire::chain::chain;

const HELP: &str = "\
usage: qemu test [--list] [--slow] [--jobs N] [FILTER...]   run scenarios with a FILTER in the name
       qemu demo [--bios] [--kexec] [--debian|--release DIR] a blank machine becomes an installed one
       qemu demo --update [--bios]                          a node keeps itself current
       qemu demo --upgrade [--bios]                         all of it with one command
       qemu measure ways|screens|memory|starts [--rounds N] what ./bench asks for
       qemu pictures                                        the documentation's, into target/qemu
       qemu make [--slow]                                   only make what scenarios need

  --slow        also what takes long or repeats others; a whole name is enough too
  --jobs N      scenarios at the same time (default: half the processors and one, at least 3)
  --rounds N    how often each way to boot is measured (default: 3)
  --accel A     kvm or tcg, without trying what works

Each scenario keeps its logs under target/qemu/NAME. Exit status: 0 all passed, 1 not,
2 wrong arguments.
";

fn main() -> ExitCode {
    let request = match Request::parse(std::env::args_os().skip(1)) {
        Ok(request) => request,
        Err(error) => {
            eprint!("qemu: {error}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    match request.obey() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("qemu: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

#[derive(Debug, Default)]
struct Request {
    command: String,
    words: Vec<String>,
    list: bool,
    slow: bool,
    debian_system: bool,
    bios: bool,
    kexec: bool,
    update: bool,
    upgrade: bool,
    release: Option<PathBuf>,
    jobs: Option<usize>,
    rounds: Option<u32>,
    accel: Option<String>,
    paths: Paths,
}

/// For the children, and for callers that have made it all before: where it is.
#[derive(Clone, Debug, Default)]
struct Paths {
    kernel: Option<PathBuf>,
    metal: Option<PathBuf>,
    newer_qemu: Option<PathBuf>,
    initramfs: Option<PathBuf>,
    init: Option<PathBuf>,
    mke2fs: Option<PathBuf>,
    donor: Option<PathBuf>,
    demo: Option<PathBuf>,
    debian: Option<PathBuf>,
    openrc: Option<PathBuf>,
    big: Option<PathBuf>,
    distribution: Option<PathBuf>,
    slot: Option<PathBuf>,
    supplicant: Option<PathBuf>,
}

impl Request {
    fn parse(args: impl Iterator<Item = OsString>) -> std::result::Result<Self, lexopt::Error> {
        let mut request = Self::default();
        let mut parser = lexopt::Parser::from_args(args);
        while let Some(argument) = parser.next()? {
            let paths = &mut request.paths;
            match argument {
                Long("help") => request.command = "help".to_owned(),
                Long("list") => request.list = true,
                Long("slow") => request.slow = true,
                Long("bios") => request.bios = true,
                Long("kexec") => request.kexec = true,
                Long("update") => request.update = true,
                Long("upgrade") => request.upgrade = true,
                Long("release") => request.release = Some(parser.value()?.into()),
                Long("jobs") => request.jobs = Some(parser.value()?.parse()?),
                Long("rounds") => request.rounds = Some(parser.value()?.parse()?),
                Long("accel") => request.accel = Some(parser.value()?.string()?),
                Long("kernel") => paths.kernel = Some(parser.value()?.into()),
                Long("metal") => paths.metal = Some(parser.value()?.into()),
                Long("newer-qemu") => paths.newer_qemu = Some(parser.value()?.into()),
                Long("initramfs") => paths.initramfs = Some(parser.value()?.into()),
                Long("init") => paths.init = Some(parser.value()?.into()),
                Long("mke2fs") => paths.mke2fs = Some(parser.value()?.into()),
                Long("donor") => paths.donor = Some(parser.value()?.into()),
                Long("demo") => paths.demo = Some(parser.value()?.into()),
                Long("big") => paths.big = Some(parser.value()?.into()),
                Long("supplicant") => paths.supplicant = Some(parser.value()?.into()),
                Long("slot") => paths.slot = Some(parser.value()?.into()),
                Long("distribution") => paths.distribution = Some(parser.value()?.into()),
                // For people it says which system; for children, where it is.
                Long("debian") if request.command == "demo" => request.debian_system = true,
                Long("debian") => paths.debian = Some(parser.value()?.into()),
                Long("openrc") => paths.openrc = Some(parser.value()?.into()),
                Value(word) if request.command.is_empty() => request.command = word.string()?,
                Value(word) => request.words.push(word.string()?),
                other => return Err(other.unexpected()),
            }
        }
        if request.release.is_some() && request.debian_system {
            let text = "--release has the demo system, not --debian";
            return Err(lexopt::Error::Custom(text.into()));
        }
        let is_other = request.kexec || request.debian_system || request.release.is_some();
        if request.update && (is_other || request.upgrade) || request.upgrade && is_other {
            let text = "--update and --upgrade go with --bios alone";
            return Err(lexopt::Error::Custom(text.into()));
        }
        match request.command.as_str() {
            "test" | "demo" | "measure" | "pictures" | "make" | "scenario" | "show"
            | "picturing" | "measuring" | "help" => Ok(request),
            other => Err(lexopt::Error::Custom(
                format!("no command {other:?}").into(),
            )),
        }
    }

    fn obey(self) -> Result<bool> {
        match self.command.as_str() {
            "test" if self.list => {
                self.list_scenarios();
                Ok(true)
            }
            "test" => self.test(),
            "demo" => self.demo(),
            "make" => Artifacts::make(
                Wanted {
                    metal: true,
                    debian: Some(Format::Zst),
                    openrc: self.slow,
                    big: self.slow,
                    distribution: true,
                    slot: true,
                },
                &work()?,
            )
            .map(|_| true),
            "measure" => self.measure(),
            "pictures" => self.pictures(),
            "picturing" => {
                let accel = Accel::parse(self.accel.as_deref().unwrap_or("tcg"))?;
                pictures::run(self.paths.artifacts()?, accel).map(|()| true)
            }
            "scenario" => self.scenario(),
            "measuring" => {
                let what = self.words.first().cloned().unwrap_or_default();
                let accel = Accel::parse(self.accel.as_deref().unwrap_or("tcg"))?;
                measure::take(&what, self.paths.artifacts()?, accel).map(|()| true)
            }
            "show" => self.show(),
            _ => {
                print!("{HELP}");
                Ok(true)
            }
        }
    }

    fn chosen(&self) -> Vec<&'static Scenario> {
        let named = |scenario: &&Scenario| {
            self.words.is_empty()
                || self
                    .words
                    .iter()
                    .any(|word| scenario.name.contains(word.as_str()))
        };
        scenarios::all()
            .filter(named)
            .filter(|scenario| {
                self.slow
                    || !scenario.is_slow
                    || self.words.iter().any(|word| word == scenario.name)
            })
            .filter(|scenario| scenario.needs != Needs::Root || is_root())
            .collect()
    }

    fn list_scenarios(&self) {
        for scenario in self.chosen() {
            println!("{:24} {}", scenario.name, scenario.about);
        }
    }

    fn test(&self) -> Result<bool> {
        let chosen = self.chosen();
        if !is_root() {
            eprintln!("qemu: scenarios that need root are left out");
        }
        if chosen.is_empty() {
            let named = format!("{:?}", self.words);
            return Err(HarnessError::unexpected(
                "a scenario's name",
                "one of --list --slow",
                named,
            ));
        }
        let work = work()?;
        let needs = |need| chosen.iter().any(|scenario| scenario.needs == need);
        let wanted = Wanted {
            metal: needs(Needs::Metal),
            debian: [Needs::Debian, Needs::SecureBoot, Needs::SlotDebian]
                .into_iter()
                .any(needs)
                .then_some(Format::Zst),
            openrc: needs(Needs::SlotOpenRc),
            big: needs(Needs::Big),
            distribution: needs(Needs::Distribution) || needs(Needs::SecureBoot),
            slot: needs(Needs::Slot) || needs(Needs::SlotDebian) || needs(Needs::SlotOpenRc),
        };
        let artifacts = self.artifacts(wanted, &work)?;
        let accel = self.accel(&artifacts, &work)?;
        let half = std::thread::available_parallelism().map_or(1, |count| count.get() / 2);
        // One machine more than keeps the processors busy: some only wait.
        let jobs = self.jobs.unwrap_or((half + 1).max(3));
        eprintln!(
            "qemu: {} scenarios, {jobs} at a time, {}",
            chosen.len(),
            accel.name()
        );
        let began = Instant::now();
        let tally = Run {
            artifacts,
            accel,
            work,
            jobs,
        }
        .all(&chosen);
        println!(
            "{} passed, {} failed in {} s",
            tally.passed,
            tally.failed,
            began.elapsed().as_secs()
        );
        Ok(tally.failed == 0 && tally.passed > 0)
    }

    fn demo(&self) -> Result<bool> {
        let work = work()?;
        let wanted = Wanted {
            debian: self.debian_system.then_some(Format::Xz),
            // With it slot-init is built.
            slot: self.update || self.upgrade,
            ..Wanted::default()
        };
        let artifacts = match &self.release {
            Some(dir) => Artifacts::of_release(dir)?,
            None => self.artifacts(wanted, &work)?,
        };
        let accel = self.accel(&artifacts, &work)?;
        let dir = work.join("demo");
        fresh_dir(&dir)?;
        let mut command = isolated()?;
        command
            .args(["show", "--accel", accel.name()])
            .args(artifacts.arguments())
            .current_dir(&dir);
        command
            .args(self.bios.then_some("--bios"))
            .args(self.kexec.then_some("--kexec"))
            .args(self.update.then_some("--update"))
            .args(self.upgrade.then_some("--upgrade"));
        let status = command.status().doing("starting", "the demo")?;
        Ok(status.success())
    }

    fn pictures(&self) -> Result<bool> {
        let work = work()?;
        let artifacts = self.artifacts(Wanted::default(), &work)?;
        let accel = self.accel(&artifacts, &work)?;
        let dir = work.join("pictures");
        fresh_dir(&dir)?;
        let mut command = isolated()?;
        command
            .args(["picturing", "--accel", accel.name()])
            .args(artifacts.arguments())
            .current_dir(&dir);
        let status = command.status().doing("starting", "the person")?;
        Ok(status.success())
    }

    fn measure(&self) -> Result<bool> {
        let what = self.words.first().map(String::as_str).unwrap_or_default();
        let wanted = Wanted {
            metal: what == "memory",
            debian: (what == "memory").then_some(Format::Xz),
            // With it slot-init is built.
            slot: what == "starts",
            ..Wanted::default()
        };
        let work = work()?;
        let artifacts = self.artifacts(wanted, &work)?;
        let accel = self.accel(&artifacts, &work)?;
        match what {
            "ways" => measure::ways(self.rounds.unwrap_or(3), &artifacts, accel, &work)?,
            "screens" => {
                measure::screens(self.rounds.unwrap_or(3), &artifacts, accel, &work)?;
            }
            "memory" => measure::memory(&artifacts, accel, &work)?,
            "starts" => measure::starts(self.rounds.unwrap_or(3), &artifacts, accel, &work)?,
            other => {
                return Err(HarnessError::unexpected(
                    "the measurement",
                    "ways, screens, memory or starts",
                    other,
                ));
            }
        }
        Ok(true)
    }

    /// Parts that are given by path are taken, the others are made.
    fn artifacts(&self, wanted: Wanted, work: &std::path::Path) -> Result<Artifacts> {
        if self.paths.kernel.is_some() {
            return self.paths.clone().artifacts();
        }
        Artifacts::make(wanted, work)
    }

    fn accel(&self, artifacts: &Artifacts, work: &std::path::Path) -> Result<Accel> {
        match &self.accel {
            Some(word) => Accel::parse(word),
            None => Accel::probe(&artifacts.kernel, work),
        }
    }

    fn scenario(self) -> Result<bool> {
        let name = self.words.first().map(String::as_str).unwrap_or_default();
        let scenario = scenarios::find(name)?;
        let accel = Accel::parse(self.accel.as_deref().unwrap_or("tcg"))?;
        let mut lab = Lab::set_up(self.paths.artifacts()?, accel, scenario.dhcp)?;
        lab.policy = scenario.policy;
        (scenario.run)(&mut lab).map(|()| true)
    }

    fn show(self) -> Result<bool> {
        let firmware = if self.bios {
            Firmware::Bios
        } else {
            Firmware::Uefi
        };
        let show = Show {
            firmware,
            debian: self.paths.debian.is_some(),
            kexec: self.kexec,
            update: self.update,
            upgrade: self.upgrade,
        };
        let accel = Accel::parse(self.accel.as_deref().unwrap_or("tcg"))?;
        demo::run(show, self.paths.artifacts()?, accel).map(|()| true)
    }
}

impl Paths {
    fn artifacts(self) -> Result<Artifacts> {
        let needed = |path: Option<PathBuf>, option: &str| {
            path.ok_or_else(|| HarnessError::Missing {
                what: option.to_owned(),
                hint: "needed beside --kernel".to_owned(),
            })
        };
        Ok(Artifacts {
            kernel: needed(self.kernel, "--kernel")?,
            metal: self.metal,
            newer_qemu: self.newer_qemu,
            initramfs: needed(self.initramfs, "--initramfs")?,
            built: self
                .init
                .zip(self.mke2fs)
                .map(|(init, mke2fs)| Built { init, mke2fs }),
            donor: needed(self.donor, "--donor")?,
            demo: needed(self.demo, "--demo")?,
            debian: self.debian,
            openrc: self.openrc,
            big: self.big,
            distribution: self.distribution,
            slot: self.slot,
            supplicant: self.supplicant,
        })
    }
}

/// Where everything is kept.
fn work() -> Result<PathBuf> {
    let work = target_dir(&top()).join("qemu");
    std::fs::create_dir_all(&work).doing("making", work.display())?;
    Ok(work)
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
