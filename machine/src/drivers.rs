//! Kernel modules (`modules.md` 2): what the buses announce in, the modules that answer loaded.
//!
//! Three occasions: once at the start for every device there is, later for each that comes, and
//! whenever the kernel itself asks for one by name (a file system, a checksum), for which it starts
//! PID 1's program again. On a kernel without modules all of it finds nothing to do.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use modules::{Index, IndexError, Row, Tables};
use rustix::io::Errno;
use rustix::system::uname;
use sys::uevents::{self, Announcements, Heard, MESSAGE_MAX};
use thiserror::Error;
use wire::outcome::Outcome;

/// A directory for each kernel's modules, named after its release.
const RELEASES: &str = "/lib/modules";
/// Each bus with its devices.
const BUSES: &str = "/sys/bus";
/// The program that the kernel starts when it wants a module
/// (`Documentation/admin-guide/sysctl/kernel.rst`).
const HELPER: (&str, &str) = ("/proc/sys/kernel/modprobe", "/init\n");
/// The arguments that the kernel puts before the name (`kernel/module/kmod.c`).
const HELPER_OPTION: &str = "-q";
/// Why no module is ever loaded, or why one is not.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum DriversError {
    /// The image was made for another kernel.
    #[error("{RELEASES} has modules for {found}, but the kernel is {running}")]
    Release {
        /// The release of the modules in the image.
        found: String,
        /// The release of the booted kernel.
        running: String,
    },
    /// A table is there and cannot be read.
    #[error("reading {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// A table is damaged.
    #[error("reading the tables of {RELEASES}")]
    Index(#[from] IndexError),
    /// The kernel's own log has its reasons.
    #[error("loading the module {name}")]
    Load { name: String, source: io::Error },
}

impl DriversError {
    /// The code that needs the driver reports what is missing.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        Outcome::Retry
    }
}

/// Has the kernel ask this program when it wants a module by name. Call it after proc is mounted
/// and before anything else.
pub fn offer_help() {
    let (path, program) = HELPER;
    let _ = fs::write(path, program); // a kernel without modules has no such file
}

/// Whether these are the kernel's words when it wants a module.
#[must_use]
pub fn is_asked_by_kernel(arguments: &[String]) -> bool {
    arguments.get(1).is_some_and(|word| word == HELPER_OPTION)
}

/// Answers the kernel: the last word is what it wants. `report` takes what goes wrong.
#[must_use]
pub fn help(arguments: &[String], report: &dyn Fn(&DriversError)) -> ExitCode {
    // Then modules get no options.
    let line = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let wanted = arguments.last().map(String::as_str).unwrap_or_default();
    // PID 1 has already reported what is wrong with the tables.
    let loader = Loader::open(&line, report).ok().flatten();
    if loader.is_some_and(|mut loader| loader.answer(wanted)) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The modules of the running kernel.
pub struct Loader<'a> {
    directory: PathBuf,
    index: Index<'static>,
    /// Names that have to be loaded whatever devices there are.
    always: String,
    /// The kernel command line, for options of modules.
    line: &'a str,
    /// Paths that need not be tried again.
    tried: Vec<&'static str>,
    loaded: u32,
    report: &'a dyn Fn(&DriversError),
}

impl<'a> Loader<'a> {
    /// For the kernel command line `line`; `None` without modules. `report` takes what goes wrong
    /// with one of them.
    ///
    /// # Errors
    /// The image is for another kernel, or its tables cannot be read.
    pub fn open(
        line: &'a str,
        report: &'a dyn Fn(&DriversError),
    ) -> Result<Option<Self>, DriversError> {
        let name = uname();
        let release = name.release().to_string_lossy();
        let directory = Path::new(RELEASES).join(&*release);
        if !directory.exists() {
            let others = fs::read_dir(RELEASES).into_iter().flatten().flatten();
            let mut names = others.map(|entry| entry.file_name());
            return match names.next() {
                None => Ok(None),
                Some(found) => Err(DriversError::Release {
                    found: found.to_string_lossy().into_owned(),
                    running: release.into_owned(),
                }),
            };
        }
        let table = |name: &str| {
            let path = directory.join(name);
            fs::read_to_string(&path).map_err(|source| DriversError::Read { path, source })
        };
        // For the rest of this process's life.
        let lasting = |name: &str| table(name).map(|text| &*text.leak());
        let index = Index::parse(Tables {
            dep: lasting("modules.dep")?,
            alias: lasting("modules.alias")?,
            softdep: lasting("modules.softdep")?,
        })?;
        Ok(Some(Self {
            // Only our own images have it.
            always: table("modules.load").unwrap_or_default(),
            directory,
            index,
            line,
            tried: Vec::new(),
            loaded: 0,
            report,
        }))
    }

    /// How many modules were loaded.
    #[must_use]
    pub const fn loaded(&self) -> u32 {
        self.loaded
    }

    /// Serves every device there is. Devices that the drivers find behind theirs are announced.
    pub fn walk(&mut self) {
        let always = std::mem::take(&mut self.always);
        for name in always.lines() {
            self.answer(name);
        }
        self.always = always;
        for bus in entries(Path::new(BUSES)) {
            for device in entries(&bus.join("devices")) {
                if let Ok(modalias) = fs::read_to_string(device.join("modalias")) {
                    self.answer(modalias.trim());
                }
            }
        }
    }

    /// Serves every device that has been announced; true when there was one.
    ///
    /// # Errors
    /// The socket failed.
    pub fn hear(&mut self, announcements: &Announcements) -> io::Result<bool> {
        let mut buffer = [0; MESSAGE_MAX];
        let mut has_news = false;
        loop {
            match announcements.read(&mut buffer)? {
                Heard::Nothing => return Ok(has_news),
                Heard::Lost => self.walk(),
                Heard::Message(message) => {
                    if uevents::field(message, "ACTION=") != Some(b"add") {
                        continue;
                    }
                    let modalias = uevents::field(message, "MODALIAS=");
                    if let Some(modalias) = modalias.and_then(|text| str::from_utf8(text).ok()) {
                        self.answer(modalias);
                    }
                }
            }
            has_news = true;
        }
    }

    /// Loads what answers to a modalias or a name; false when nothing does.
    fn answer(&mut self, wanted: &str) -> bool {
        let order = self.index.order(wanted);
        for row in &order {
            if self.tried.contains(&row.path) {
                continue;
            }
            self.tried.push(row.path);
            if let Err(error) = self.load(row) {
                (self.report)(&error);
            }
        }
        !order.is_empty()
    }

    fn load(&mut self, row: &Row<'static>) -> Result<(), DriversError> {
        let path = self.directory.join(row.path);
        let file = File::open(&path).map_err(|source| DriversError::Read { path, source })?;
        let loaded = sys::modules::load(file.as_fd(), &options(self.line, row.name));
        match loaded.map_err(|source| (Errno::from_io_error(&source), source)) {
            Ok(()) => self.loaded += 1,
            // Another process has loaded it meanwhile, or the driver finds no device here, which is
            // no fault.
            Err((Some(Errno::EXIST | Errno::NODEV), _)) => {}
            Err((_, source)) => {
                let name = row.name.to_owned();
                return Err(DriversError::Load { name, source });
            }
        }
        Ok(())
    }
}

/// A module's options on the kernel command line: `name.option=value`, as modprobe(8) does it.
fn options(line: &str, name: &str) -> CString {
    let words = line.split_ascii_whitespace().filter_map(|word| {
        let (module, option) = word.split_once('.')?;
        modules::is_same_name(module, name).then_some(option)
    });
    // A NUL cannot be on the command line.
    CString::new(words.collect::<Vec<_>>().join(" ")).unwrap_or_default()
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::{is_asked_by_kernel, options};

    #[test]
    fn options_of_a_module_are_the_words_behind_its_name() {
        let line =
            "quiet e1000e.IntMode=1 smv.policy=secret snd-hda.x=2 e1000e.debug=16 e1000.debug=1";
        assert_eq!(options(line, "e1000e").to_bytes(), b"IntMode=1 debug=16");
        assert_eq!(options(line, "snd_hda").to_bytes(), b"x=2");
        assert_eq!(options(line, "nvme").to_bytes(), b"");
    }

    #[test]
    fn the_kernels_words_are_known() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(is_asked_by_kernel(&words("/init -q -- fs-ext4")));
        assert!(!is_asked_by_kernel(&words("/init --help")));
        assert!(!is_asked_by_kernel(&words("/init")));
    }
}
