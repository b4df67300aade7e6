//! The watchdog of a trial: started by PID 1 before the root is mounted, left running across its
//! exec, taken over and fed by what judges the trial, and stopped when the trial is kept
//! (`update.md` 3). A trial that hangs, or whose judge hangs, is reset.
//!
//! Only hardware counts, for the kernel itself is on trial; and only what can be stopped again and
//! goes on counting when its file is closed (`WDIOF_MAGICCLOSE`).

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use super::{CLASS, Feedable, SOFTWARE, STOP, WatchdogError, feedable, open};

/// From its start to the first feeding by what judges the trial: root file system, init, services.
pub const SECONDS: u16 = 180;
/// linux/watchdog.h: it is stopped by a letter before the file is closed, and by nothing else.
const WDIOF_MAGICCLOSE: u32 = 0x0100;

/// One that runs. Dropping it leaves it running, unfed.
#[derive(Debug)]
pub struct Running {
    file: File,
    device: PathBuf,
    seconds: u64,
}

/// Whether this machine can reset a trial that hangs.
#[must_use]
pub fn exists() -> bool {
    !candidates(Path::new(CLASS), SECONDS).is_empty()
}

/// Starts the first that there is, for so many seconds or as long as it can; `None` when there is
/// none.
///
/// # Errors
/// Why the last one that was tried cannot be started.
pub fn start(seconds: u16) -> Result<Option<Running>, WatchdogError> {
    let mut last = None;
    for Feedable {
        device, seconds, ..
    } in candidates(Path::new(CLASS), seconds)
    {
        match open(device.clone(), seconds) {
            Ok((file, seconds)) => {
                return Ok(Some(Running {
                    file,
                    device,
                    seconds,
                }));
            }
            Err(error) => last = Some(error),
        }
    }
    last.map_or(Ok(None), Err)
}

/// Takes over the one that was started at the beginning of the trial.
///
/// # Errors
/// It cannot be opened. [`io::ErrorKind::ResourceBusy`]: another program, such as systemd, feeds
/// it. Or [`start`] does not start such a one.
pub fn take_over(device: &Path) -> Result<Running, WatchdogError> {
    let mut candidates = candidates(Path::new(CLASS), SECONDS).into_iter();
    let one = candidates.find(|one| one.device == device);
    let seconds = one.ok_or(WatchdogError::None)?.seconds;
    let (file, seconds) = open(device.to_owned(), seconds)?;
    Ok(Running {
        file,
        device: device.to_owned(),
        seconds,
    })
}

/// In the order of their names.
fn candidates(class: &Path, seconds: u16) -> Vec<Feedable> {
    let mut found = feedable(class, seconds);
    found.retain(|one| {
        let name = one.device.file_name().unwrap_or_default();
        let options = fs::read_to_string(class.join(name).join("options"));
        let options = options.ok().and_then(|text| {
            let digits = text.trim().strip_prefix("0x")?.to_owned();
            u32::from_str_radix(&digits, 16).ok()
        });
        let goes_on = options.is_some_and(|options| options & WDIOF_MAGICCLOSE != 0);
        one.identity != SOFTWARE && goes_on
    });
    found
}

impl Running {
    /// Its device node.
    #[must_use]
    pub fn device(&self) -> &Path {
        &self.device
    }

    /// How long it waits without food.
    #[must_use]
    pub const fn seconds(&self) -> u64 {
        self.seconds
    }

    /// Feeds it from a thread, three times as often as it asks for, but not after `most`: what has
    /// not come to a verdict by then hangs.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn feed(self, most: Duration) -> io::Result<Feeding> {
        let pause = Duration::from_secs(self.seconds) / 3;
        self.feed_every(pause, most)
    }

    fn feed_every(self, pause: Duration, most: Duration) -> io::Result<Feeding> {
        let (stop, stopped) = channel();
        let until = Instant::now() + most;
        let thread = Builder::new().name("watchdog".into()).spawn(move || {
            while Instant::now() < until {
                // Any byte but the one that allows stopping. One that takes none resets the
                // machine, which is what it is for.
                let _ = io::Write::write_all(&mut &self.file, b"f");
                if stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
            }
            self
        })?;
        Ok(Feeding { stop, thread })
    }
}

/// One that is fed. Dropping it ends the feeding at the latest at its time.
#[derive(Debug)]
pub struct Feeding {
    stop: Sender<()>,
    thread: JoinHandle<Running>,
}

impl Feeding {
    /// Stops it: the trial is kept.
    ///
    /// # Errors
    /// It did not take the letter that stops it, and will reset the machine.
    pub fn give_back(self) -> Result<(), WatchdogError> {
        drop(self.stop);
        let Ok(running) = self.thread.join() else {
            return Ok(()); // it does not panic
        };
        let Running { file, device, .. } = running;
        io::Write::write_all(&mut &file, STOP).map_err(|source| WatchdogError::Stop {
            path: device,
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Running, candidates};
    use std::fs::{self, File};
    use std::path::{Path, PathBuf};
    use std::thread;
    use std::time::Duration;

    #[test]
    fn only_hardware_that_goes_on_counting_and_can_be_stopped_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        for (name, identity, most, nowayout, options) in [
            ("watchdog0", "Software Watchdog", "65535", "0", "0x8180"),
            ("watchdog1", "i6300ESB timer", "2046", "0", "0x8180"),
            ("watchdog2", "of a BMC", "0", "1", "0x8180"),
            ("watchdog3", "simple", "100", "0", "0x8080"),
            ("watchdog4", "iTCO_wdt", "61", "0", "0x100"),
            ("watchdog5", "odd", "61", "0", "x"),
        ] {
            let class = dir.path().join(name);
            fs::create_dir(&class).unwrap();
            for (attribute, text) in [
                ("identity", identity),
                ("max_timeout", most),
                ("nowayout", nowayout),
                ("options", options),
            ] {
                fs::write(class.join(attribute), format!("{text}\n")).unwrap();
            }
        }
        let found = candidates(dir.path(), 180).into_iter();
        let found: Vec<_> = found.map(|one| (one.device, one.seconds)).collect();
        let expected = [("/dev/watchdog1", 180), ("/dev/watchdog4", 61)];
        assert_eq!(found, expected.map(|(path, s)| (PathBuf::from(path), s)));
        assert!(candidates(Path::new("/nonexistent"), 180).is_empty());
    }

    /// A file that keeps what a watchdog would be fed.
    fn running(dir: &Path) -> (PathBuf, Running) {
        let device = dir.join("watchdog");
        let running = Running {
            file: File::create(&device).unwrap(),
            device: device.clone(),
            seconds: 180,
        };
        assert_eq!((running.device(), running.seconds()), (&*device, 180));
        (device, running)
    }

    #[test]
    fn it_is_fed_until_it_is_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let (device, running) = running(dir.path());
        let feeding = running.feed(Duration::from_secs(600)).unwrap();
        while fs::read(&device).unwrap().is_empty() {
            thread::yield_now();
        }
        feeding.give_back().unwrap();
        assert_eq!(fs::read(&device).unwrap(), b"fV");
    }

    #[test]
    fn what_comes_to_no_verdict_is_fed_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let (device, running) = running(dir.path());
        let (pause, most) = (Duration::from_millis(1), Duration::from_millis(20));
        let feeding = running.feed_every(pause, most).unwrap();
        feeding.thread.join().unwrap();
        let fed = fs::read(&device).unwrap();
        // None at all when the thread begins late.
        assert!(fed.len() <= 20 && fed.iter().all(|byte| *byte == b'f'));
    }
}
