//! `receive-deploy --ui` as a person sees it: the program, a terminal of the kernel's, and the
//! bytes that a screen would act upon. The program runs in a network of its own, where nobody is.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use receiver::fakes::TestDir;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

/// Stands where a shell stands between a terminal and a program, and stays until somebody has
/// opened the gate `$0` and closed it again. When the first process of a session ends, the kernel
/// hangs up its terminal and forgets what was not read yet.
const SHELL: &str = r#""$@"; status=$?; cat <"$0"; exit $status"#;

/// For what takes a moment, on a machine with other things to do.
const PATIENCE: Duration = Duration::from_secs(60);

struct Started {
    child: Child,
    /// The other end of the program's terminal.
    line: File,
    /// The terminal itself, so that it outlives the program.
    terminal: File,
    screen: vt100::Parser,
    raw: Vec<u8>,
    before: Termios,
    dir: TestDir,
}

const fn size(rows: u16, columns: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

/// In a network of its own: without root in a user namespace's, which has to be allowed.
fn start(name: &str) -> Started {
    let unshare: &[&str] = match rustix::process::geteuid().is_root() {
        true => &["unshare", "--net"],
        false => &["unshare", "--map-root-user", "--net"],
    };
    let can = Command::new(unshare[0])
        .args(&unshare[1..])
        .arg("true")
        .status();
    assert!(
        can.is_ok_and(|status| status.success()),
        "no network namespace can be made here: {unshare:?}"
    );
    let dir = TestDir::new(name);
    let image = dir.path().join("disk.img");
    File::create(&image).unwrap().set_len(4 << 30).unwrap();
    let line = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&line).unwrap();
    unlockpt(&line).unwrap();
    tcsetwinsize(&line, size(24, 80)).unwrap();
    let path = PathBuf::from(ptsname(&line, Vec::new()).unwrap().into_string().unwrap());
    let terminal = File::options().read(true).write(true).open(path).unwrap();
    let made = Command::new("mkfifo").arg(dir.path().join("gate")).status();
    assert!(made.unwrap().success());
    let child = Command::new("setsid")
        .args(["--ctty", "--wait", "sh", "-c", SHELL])
        .arg(dir.path().join("gate"))
        .args(unshare)
        .arg(env!("CARGO_BIN_EXE_spk-visor"))
        .args(["receive-deploy", "--ui", "--disk"])
        .arg(image)
        .stdin(terminal.try_clone().unwrap())
        .stdout(terminal.try_clone().unwrap())
        .stderr(File::create(dir.path().join("lines")).unwrap())
        .spawn()
        .unwrap();
    Started {
        child,
        line: File::from(line),
        before: tcgetattr(&terminal).unwrap(),
        terminal,
        screen: vt100::Parser::new(
            NonZeroU16::new(24).unwrap(),
            NonZeroU16::new(80).unwrap(),
            0,
        ),
        raw: Vec::new(),
        dir,
    }
}

impl Started {
    fn shows(&self) -> String {
        self.screen.screen().contents()
    }

    fn awaits(&mut self, what: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.shows().contains(what) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no {what:?} on\n{}", self.shows());
            self.read(left);
        }
    }

    /// Takes what is there, or waits for it.
    fn read(&mut self, left: Duration) {
        let left = Timespec::try_from(left).unwrap();
        if poll(&mut [PollFd::new(&self.line, PollFlags::IN)], Some(&left)).unwrap() == 0 {
            return;
        }
        let mut bytes = [0; 4096];
        let len = self.line.read(&mut bytes).unwrap();
        self.screen.process(&bytes[..len]);
        self.raw.extend_from_slice(&bytes[..len]);
    }

    fn types(&mut self, keys: &[u8]) {
        self.line.write_all(keys).unwrap();
    }

    /// Takes a picture to its end: nothing more for as long as the program may wait for the rest of
    /// a key.
    fn settle(&mut self) {
        let pause = Timespec::try_from(Duration::from_millis(400)).unwrap();
        while poll(&mut [PollFd::new(&self.line, PollFlags::IN)], Some(&pause)).unwrap() > 0 {
            self.read(PATIENCE);
        }
    }

    /// The program's own number: it is the last of those who wait for each other.
    fn program(&self) -> rustix::process::Pid {
        let child_of = |parent: &u32| {
            let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
            let children = children.unwrap_or_default();
            Some(children.split_whitespace().next()?.parse().unwrap())
        };
        let last = std::iter::successors(Some(self.child.id()), child_of).last();
        rustix::process::Pid::from_raw(last.unwrap().try_into().unwrap()).unwrap()
    }

    fn lines(&self) -> String {
        fs::read_to_string(self.dir.path().join("lines")).unwrap()
    }

    /// Waits for the end; the terminal must be as it was.
    fn ends(mut self) -> ExitStatus {
        let gate = File::options()
            .write(true)
            .open(self.dir.path().join("gate"));
        let after = tcgetattr(&self.terminal).unwrap();
        assert_eq!(after.local_modes, self.before.local_modes);
        assert_eq!(after.input_modes, self.before.input_modes);
        // The last bytes may still be on their way to us.
        let deadline = Instant::now() + PATIENCE;
        let leave = b"\x1b[?1049l";
        while !self.raw.windows(leave.len()).any(|bytes| bytes == leave) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the other screen was not left");
            self.read(left);
        }
        drop(gate.unwrap());
        self.child.wait().unwrap()
    }
}

#[test]
fn the_code_is_shown_in_a_window_of_any_size_until_ctrl_c() {
    let mut started = start("ui-code");
    started.awaits("Waiting for a donor");
    let lines = started.lines();
    let code = lines
        .split("code=")
        .nth(1)
        .and_then(|rest| rest.split(' ').next())
        .unwrap();
    started.awaits(&format!("deploy-system-img-copy {code}"));
    started.awaits("Disk     /");
    started.settle();
    // Another window: the last line of it is written.
    tcsetwinsize(&started.line, size(50, 132)).unwrap();
    started
        .screen
        .screen_mut()
        .set_size(NonZeroU16::new(50).unwrap(), NonZeroU16::new(132).unwrap());
    let deadline = Instant::now() + PATIENCE;
    while !started
        .screen
        .screen()
        .rows(0, 132)
        .nth(49)
        .unwrap()
        .contains("F1 help")
    {
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "{}", started.shows());
        started.read(left);
    }
    // Back to the beginning, where a person has taken over and gives it back again.
    let deadline = Instant::now() + PATIENCE;
    while !started.shows().contains("The machine waits for you") {
        assert!(Instant::now() < deadline, "{}", started.shows());
        let before = started.raw.len();
        started.types(b"\x1b");
        while started.raw.len() == before {
            started.read(deadline.saturating_duration_since(Instant::now()));
        }
        started.settle();
    }
    started.types(b"\x1b");
    started.awaits("Waiting for a donor");
    started.types(b"\x03");
    assert_eq!(started.ends().code(), Some(130));
}

#[test]
fn every_way_to_end_restores_the_terminal() {
    let mut started = start("ui-term");
    started.awaits("Waiting for a donor");
    rustix::process::kill_process(started.program(), rustix::process::Signal::TERM).unwrap();
    assert_eq!(started.ends().code(), Some(143));
}
