//! The terminals of this machine, for what only eyes may see: the secret goes to them and into no log.
//!
//! Text in, the same text on every console that the kernel writes to. `/dev/kmsg` would be simpler and would keep the secret
//! for every program and every crash dump of this boot.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;

/// The consoles that the kernel writes to, one for each line (`fs/proc/consoles.c`).
const CONSOLES: &str = "/proc/consoles";
/// Where there is no list, or nothing on it is a terminal: what the kernel opened for PID 1.
const FALLBACK: &str = "/dev/console";
/// A terminal that takes nothing for so long (stopped with Ctrl-S, unplugged) misses the rest. At 9600 baud the longest text,
/// a QR code of 2 KiB, needs two seconds as a whole and is never silent that long.
const PATIENCE: Duration = Duration::from_secs(2);

/// Writes `text` and a line end to every console, in one piece each as far as the kernel goes along.
pub fn show(text: &str) {
    let text = format!("{}\n", text.trim_end_matches('\n'));
    let list = fs::read_to_string(CONSOLES).unwrap_or_default(); // without it the fallback is left
    let mut terminals: Vec<File> = names(&list).filter_map(|path| open(&path)).collect();
    if terminals.is_empty() {
        terminals.extend(open(Path::new(FALLBACK)));
    }
    for terminal in &mut terminals {
        write(terminal, text.as_bytes());
    }
}

/// Opens what people type on, on every console that is a terminal.
#[must_use]
pub fn keyboards() -> Vec<File> {
    let list = fs::read_to_string(CONSOLES).unwrap_or_default(); // without it nobody can be heard
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let open = |path: &Path| {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .custom_flags(i32::try_from(flags.bits()).ok()?);
        options
            .open(path)
            .ok()
            .filter(|file| rustix::termios::isatty(file))
    };
    names(&list).filter_map(|path| open(&path)).collect()
}

/// `ttyS0                -W- (EC p a)    4:64`: the device is named like the console.
fn names(list: &str) -> impl Iterator<Item = PathBuf> {
    list.lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| !name.contains('/'))
        .map(|name| Path::new("/dev").join(name))
}

/// A console without a device (netconsole) has nobody in front of it.
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
    use super::{names, write};
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
