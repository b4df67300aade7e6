//! A program that ends without dropping anything leaves terminals as they were. In a process of its own: it is about all of them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, OutputModes, tcgetattr};
use wizard::terminal::raw::{Raw, restore_all};

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
    let (mut line, one) = terminal();
    let (_other_line, other) = terminal();
    let guards = [&one, &other].map(|terminal| Raw::enter(terminal, false).unwrap());
    assert!(!is_usual(&one) && !is_usual(&other));
    restore_all();
    assert!(is_usual(&one) && is_usual(&other));
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

#[test]
fn what_is_no_terminal_is_refused() {
    assert!(Raw::enter(&File::open("/dev/null").unwrap(), false).is_err());
}
