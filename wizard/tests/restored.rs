//! A program that ends without dropping anything leaves terminals as they were. In a process of its
//! own: it is about all of them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, OutputModes, tcgetattr, ttyname};
use wizard::terminal::raw::{Raw, restore_all};

/// Each test is about all terminals of this process.
static ALONE: Mutex<()> = Mutex::new(());

fn terminal() -> (File, File) {
    let line = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&line).unwrap();
    unlockpt(&line).unwrap();
    let path = ptsname(&line, Vec::new()).unwrap();
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    options.custom_flags(OFlags::NOCTTY.bits().cast_signed());
    (
        File::from(line),
        options.open(path.to_str().unwrap()).unwrap(),
    )
}

fn is_usual(terminal: &File) -> bool {
    let modes = tcgetattr(terminal).unwrap();
    modes
        .local_modes
        .contains(LocalModes::ICANON | LocalModes::ECHO)
        && modes.output_modes.contains(OutputModes::OPOST)
}

#[test]
fn every_terminal_is_as_it_was_once_and_a_guard_that_is_left_does_nothing() {
    let _alone = ALONE.lock().unwrap();
    let (mut line, one) = terminal();
    let (_other_line, other) = terminal();
    let guards = [&one, &other].map(|terminal| Raw::enter(terminal, false).unwrap());
    assert!(!is_usual(&one) && !is_usual(&other));
    assert_eq!(guards[0].while_held(|| 1), Some(1));
    restore_all();
    assert!(is_usual(&one) && is_usual(&other));
    assert_eq!(
        guards[0].while_held(|| 1),
        None,
        "nothing is drawn on what was given back"
    );
    let mut bytes = [0; 256];
    let len = line.read(&mut bytes).unwrap();
    let text = String::from_utf8_lossy(&bytes[..len]).into_owned();
    assert!(
        text.contains("\x1b[?25h") && text.contains("\x1b[?1049l"),
        "{text:?}"
    );
    // Somebody else's from now on.
    let again = Raw::enter(&one, false).unwrap();
    drop(guards);
    assert!(!is_usual(&one));
    drop(again);
    assert!(is_usual(&one));
}

/// Somebody draws while the program ends. The kernel lets one writer at a time into a terminal, and
/// turns others away that do not want to wait.
#[test]
fn the_end_is_said_though_somebody_draws() {
    const LEAVE: &[u8] = b"\x1b[?1049l";
    let _alone = ALONE.lock().unwrap();
    let (mut line, one) = terminal();
    let drawing = openat(
        CWD,
        ttyname(&one, Vec::new()).unwrap(),
        OFlags::WRONLY | OFlags::NOCTTY | OFlags::NONBLOCK,
        Mode::empty(),
    );
    let drawing = File::from(drawing.unwrap());
    let is_over = AtomicBool::new(false);
    let (heard, hears) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            let (mut seen, mut bytes) = (Vec::new(), [0; 4096]);
            while !seen.ends_with(b"end") {
                let len = line.read(&mut bytes).unwrap();
                seen.extend(bytes[..len].iter().filter(|byte| **byte != b'x'));
                if seen.windows(LEAVE.len()).any(|bytes| bytes == LEAVE) {
                    seen.clear();
                    heard.send(()).unwrap();
                }
            }
        });
        // As the screens do: whenever the terminal takes something, and without waiting in it.
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                poll(&mut [PollFd::new(&drawing, PollFlags::OUT)], None).unwrap();
                let _ = (&drawing).write(&[b'x'; 4096]);
            }
            (&one).write_all(b"end").unwrap();
        });
        let lost = (0..300_u32).find(|_| {
            let _guard = Raw::enter(&one, false).unwrap();
            restore_all();
            hears.recv_timeout(Duration::from_secs(2)).is_err()
        });
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(lost, None, "the round whose last bytes were lost");
    });
}

#[test]
fn what_is_no_terminal_is_refused() {
    assert!(Raw::enter(&File::open("/dev/null").unwrap(), false).is_err());
}
