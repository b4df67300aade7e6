//! The terminals of this machine, for text that must not be logged: the secret goes only to them.
//!
//! Text in, the same text on every console that the kernel writes to. `/dev/kmsg` would be simpler
//! and would keep the secret for every program and every crash dump of this boot.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use sys::vt;
use wizard::terminal::raw;

/// The consoles that the kernel writes to, one for each line (`fs/proc/consoles.c`).
const CONSOLES: &str = "/proc/consoles";
/// Where there is no list, or nothing on it is a terminal: what the kernel opened for PID 1.
const FALLBACK: &str = "/dev/console";
/// A terminal that takes nothing for so long (stopped with Ctrl-S, unplugged) misses the rest. At
/// 9600 baud the longest text, a QR code of 2 KiB, needs two seconds as a whole and is never silent
/// that long.
const PATIENCE: Duration = Duration::from_secs(2);

/// The kernel's console level is written here, and what it is while screens are where its lines
/// would go: emergencies only.
const LEVEL: &str = "/proc/sys/kernel/printk";
const LEVEL_SHOWN: &str = "7\n";
const LEVEL_SILENT: &str = "1\n";
/// The virtual terminal for the kernel's lines, and those that the screens may have.
const LINES_VT: u8 = 1;
const SCREENS_VT: std::ops::RangeInclusive<u8> = 2..=3;
/// The console that means whichever virtual terminal is shown.
const SHOWN_VT: &str = "/dev/tty0";

/// The consoles that are in use.
struct Taken {
    /// Terminals that only the screens may write to.
    occupied: Vec<PathBuf>,
    /// The screens' own virtual terminal.
    screens: Option<(File, u8)>,
    is_silent: bool,
}

static TAKEN: Mutex<Taken> = Mutex::new(Taken {
    occupied: Vec::new(),
    screens: None,
    is_silent: false,
});

static SHOWING: Mutex<()> = Mutex::new(());

fn taken() -> MutexGuard<'static, Taken> {
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes `text` and a line end to every console that shows lines, in one piece each as far as the
/// kernel goes along.
pub fn show(text: &str) {
    let text = format!("{}\n", text.trim_end_matches('\n'));
    let list = fs::read_to_string(CONSOLES).unwrap_or_default(); // without it the fallback is left
    let (paths, is_any_taken): (Vec<PathBuf>, bool) = {
        let taken = taken();
        let all = consoles(&list, taken.screens.is_some());
        let free = all
            .into_iter()
            .filter(|path| !taken.occupied.contains(path));
        (free.collect(), !taken.occupied.is_empty())
    };
    let mut terminals: Vec<File> = paths.iter().filter_map(|path| open(path)).collect();
    if terminals.is_empty() && !is_any_taken {
        terminals.extend(open(Path::new(FALLBACK)));
    }
    // One text after the other: a slow terminal takes it in pieces.
    let _alone = SHOWING.lock().unwrap_or_else(PoisonError::into_inner);
    for terminal in &mut terminals {
        write(terminal, text.as_bytes());
    }
}

/// The terminals that people sit at.
#[derive(Debug)]
pub struct Terminals {
    /// Each with its device.
    pub all: Vec<Terminal>,
}

/// One of them.
#[derive(Debug)]
#[allow(missing_docs)] // the fields name themselves
pub struct Terminal {
    pub path: PathBuf,
    /// Open, and never waiting.
    pub file: File,
    /// It is one of the kernel's own.
    pub is_virtual: bool,
    /// The kernel does not write to it.
    pub is_ours: bool,
}

impl Terminals {
    /// Opens every console that is a terminal, and on request a virtual terminal for screens, which
    /// is shown from now on; the kernel's lines go to another one then. A machine without virtual
    /// terminals has none.
    #[must_use]
    pub fn open(with_screens: bool) -> Self {
        // Without it no terminal is opened.
        let list = fs::read_to_string(CONSOLES).unwrap_or_default();
        let screens = with_screens.then(|| take_virtual_terminal(&list)).flatten();
        let paths = consoles(&list, screens.is_some());
        let consoles = paths.into_iter().filter_map(|path| terminal(path, false));
        Self {
            all: screens.into_iter().chain(consoles).collect(),
        }
    }
}

fn take_virtual_terminal(list: &str) -> Option<Terminal> {
    let consoles: Vec<PathBuf> = names(list).collect();
    let (terminal, number) = SCREENS_VT.clone().find_map(|number| {
        let path = PathBuf::from(format!("/dev/tty{number}"));
        let is_free = !consoles.contains(&path);
        Some((is_free.then(|| terminal(path, true))??, number))
    })?;
    vt::redirect_messages(&terminal.file, LINES_VT).ok()?;
    vt::activate(&terminal.file, number).ok()?;
    taken().screens = Some((terminal.file.try_clone().ok()?, number));
    Some(terminal)
}

/// Reopens a terminal that was hung up.
#[must_use]
pub fn reopen(path: &Path) -> Option<File> {
    let terminal = terminal(path.to_owned(), false)?;
    if let Some((screens, number)) = &mut taken().screens
        && path == Path::new(&format!("/dev/tty{number}"))
    {
        *screens = terminal.file.try_clone().ok()?;
    }
    Some(terminal.file)
}

fn terminal(path: PathBuf, is_ours: bool) -> Option<Terminal> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .custom_flags(i32::try_from(flags.bits()).ok()?);
    let file = options
        .open(&path)
        .ok()
        .filter(|file| rustix::termios::isatty(file))?;
    let is_virtual = is_virtual(&path);
    Some(Terminal {
        path,
        file,
        is_virtual,
        is_ours,
    })
}

/// Is it one of the kernel's own? They have a number and no letters.
#[must_use]
pub fn is_virtual(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let number = name.and_then(|name| name.strip_prefix("tty"));
    number.is_some_and(|number| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// The consoles' devices. While screens have a virtual terminal, the one that is shown is not where
/// lines go.
fn consoles(list: &str, have_screens: bool) -> Vec<PathBuf> {
    let lines = PathBuf::from(format!("/dev/tty{LINES_VT}"));
    let device = |path: PathBuf| match path.as_os_str() == SHOWN_VT && have_screens {
        true => lines.clone(),
        false => path,
    };
    names(list).map(device).collect()
}

/// Whether a terminal is taken, so that lines for eyes are not shown there.
pub fn occupy(path: &Path, is_occupied: bool) {
    let occupied = &mut taken().occupied;
    occupied.retain(|known| known != path);
    if is_occupied {
        occupied.push(path.to_owned());
    }
}

/// All consoles are taken.
pub fn occupy_all() {
    let list = fs::read_to_string(CONSOLES).unwrap_or_default(); // without it nothing is taken
    for path in consoles(&list, false) {
        occupy(&path, true);
    }
}

/// Shows the virtual terminal with the screens.
pub fn turn_to_screens() {
    if let Some((terminal, number)) = &taken().screens {
        // Alt+F2 leads there as well.
        let _ = vt::activate(terminal, *number);
    }
}

/// Has the kernel keep its lines from the consoles, or no more.
pub fn silence(is_silent: bool) {
    taken().is_silent = is_silent;
    // Without proc it goes on as before, and its lines cross the screens.
    let _ = fs::write(LEVEL, if is_silent { LEVEL_SILENT } else { LEVEL_SHOWN });
}

/// The terminals are as they were, and the kernel's lines are shown again. Every way out of this
/// program calls it, a bug included: it never waits.
pub fn give_back() {
    raw::restore_all();
    let Ok(mut taken) = TAKEN.try_lock() else {
        // Held for a moment by a thread that shows something: what is left is no worse than before.
        return;
    };
    if std::mem::take(&mut taken.is_silent) {
        let _ = fs::write(LEVEL, LEVEL_SHOWN); // as above
    }
    taken.occupied.clear();
    if let Some((terminal, _)) = taken.screens.take() {
        let _ = vt::activate(&terminal, LINES_VT); // where the last lines are
    }
}

/// `ttyS0                -W- (EC p a)    4:64`: the device is named like the console.
fn names(list: &str) -> impl Iterator<Item = PathBuf> {
    list.lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| !name.contains('/'))
        .map(|name| Path::new("/dev").join(name))
}

/// A console without a device (netconsole) has no operator.
fn open(path: &Path) -> Option<File> {
    // A terminal must neither hold us up nor become the one whose hangup is ours.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut options = OpenOptions::new();
    options
        .write(true)
        .custom_flags(i32::try_from(flags.bits()).ok()?);
    options.open(path).ok()
}

/// Gives up on a terminal that fails or takes nothing: the others show the same.
fn write(terminal: &mut File, mut rest: &[u8]) {
    while !rest.is_empty() {
        match terminal.write(rest) {
            Ok(len) => rest = rest.get(len..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if !takes_more(terminal) {
                    return;
                }
            }
            Err(_) => return,
        }
    }
}

fn takes_more(terminal: &File) -> bool {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok(left) = Timespec::try_from(left) else {
            return false;
        };
        match poll(&mut [PollFd::new(terminal, PollFlags::OUT)], Some(&left)) {
            Ok(ready) => return ready > 0,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{consoles, is_virtual, names, write};
    use std::fs::File;
    use std::io::Read;
    use std::path::Path;
    use std::time::{Duration, Instant};

    #[test]
    fn every_console_of_the_kernel_is_found() {
        let list = "tty0                 -WU (E  p  )    4:1\n\
                    ttyS0                -W- (EC p a)    4:64\n\
                    netcon0              -W- (E     )\n";
        let found: Vec<_> = names(list).collect();
        let expected = ["/dev/tty0", "/dev/ttyS0", "/dev/netcon0"];
        assert_eq!(found, expected.map(Path::new));
        let lines = ["/dev/tty1", "/dev/ttyS0", "/dev/netcon0"];
        assert_eq!(consoles(list, true), lines.map(Path::new));
        let virtual_ones = ["/dev/tty0", "/dev/tty63"].map(Path::new);
        assert!(virtual_ones.into_iter().all(is_virtual));
        assert!(
            !["/dev/tty", "/dev/ttyS0", "/dev/hvc0"]
                .map(Path::new)
                .into_iter()
                .any(is_virtual)
        );
        assert_eq!(names("\n../etc/passwd -W-\n").count(), 0);
    }

    #[test]
    fn a_terminal_that_takes_nothing_is_given_up_and_one_that_reads_gets_all() {
        let (reader, writer) = std::io::pipe().unwrap();
        rustix::fs::fcntl_setfl(&writer, rustix::fs::OFlags::NONBLOCK).unwrap();
        let mut terminal = File::from(std::os::fd::OwnedFd::from(writer));
        let began = Instant::now();
        write(&mut terminal, &vec![b'x'; 1 << 20]);
        assert!(began.elapsed() < Duration::from_secs(20));
        let reading = std::thread::spawn(move || {
            let mut all = Vec::new();
            let mut reader = reader;
            reader.read_to_end(&mut all).unwrap();
            all
        });
        write(&mut terminal, &vec![b'y'; 1 << 20]);
        drop(terminal);
        let all = reading.join().unwrap();
        assert_eq!(all.iter().filter(|byte| **byte == b'y').count(), 1 << 20);
        assert!(all.first() == Some(&b'x'));
    }
}
