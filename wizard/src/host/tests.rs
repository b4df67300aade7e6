use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::num::NonZeroU16;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use disk::contents::DiskContents;
use machine::gate::{Candidate, Contents};
use machine::inventory::{Found, Transport};
use receiver::operator::event::ReceiverEvent;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use super::{Ended, Enter, Host, Inbox, Machine, Mode, TerminalId, TtyConfig};
use crate::event::{self, LogLine, MachineEvent};
use crate::{Command, Plain, Wizard};

/// For anything that is awaited here; on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(20);

/// The screen as a person in front of a terminal sees it.
struct Person {
    line: File,
    screen: vt100::Parser,
    raw: Vec<u8>,
    config: Option<TtyConfig>,
}

impl Person {
    fn new(rows: u16, columns: u16, mode: Mode, enter: Enter) -> Self {
        let line = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&line).unwrap();
        unlockpt(&line).unwrap();
        let (ws_row, ws_col) = (rows, columns);
        let (ws_xpixel, ws_ypixel) = (0, 0);
        let size = Winsize {
            ws_row,
            ws_col,
            ws_xpixel,
            ws_ypixel,
        };
        tcsetwinsize(&line, size).unwrap();
        let path = ptsname(&line, Vec::new()).unwrap();
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .custom_flags(flags.bits().cast_signed());
        let terminal = options.open(path.to_str().unwrap()).unwrap();
        let or = |count, usual| NonZeroU16::new(count).unwrap_or(NonZeroU16::new(usual).unwrap());
        Self {
            line: File::from(line),
            screen: vt100::Parser::new(or(rows, 24), or(columns, 80), 0),
            raw: Vec::new(),
            config: Some(TtyConfig {
                terminal,
                mode,
                enter,
                is_virtual: false,
                has_kernel_lines: mode == Mode::Lines,
            }),
        }
    }

    fn config(&mut self) -> TtyConfig {
        self.config.take().unwrap()
    }

    fn types(&mut self, bytes: &[u8]) {
        self.line.write_all(bytes).unwrap();
    }

    /// Looks until it is so, or until that takes too long.
    fn waits(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(self) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "waiting for {what}, saw:\n{}",
                self.screen.screen().contents()
            );
            self.looks(left);
        }
    }

    fn looks(&mut self, wait: Duration) {
        let wait = Timespec::try_from(wait).unwrap();
        if poll(&mut [PollFd::new(&self.line, PollFlags::IN)], Some(&wait)).unwrap() > 0 {
            let mut bytes = [0; 4096];
            let len = self.line.read(&mut bytes).unwrap();
            self.screen.process(&bytes[..len]);
            self.raw.extend_from_slice(&bytes[..len]);
        }
    }

    fn sees(&self, text: &str) -> bool {
        self.screen.screen().contents().contains(text)
    }
}

/// Passes each command on through a channel.
struct Told(Sender<String>);

impl Machine for Told {
    fn carry_out(&mut self, command: Command, from: TerminalId) {
        self.0.send(format!("{command:?} from {}", from.0)).unwrap();
    }

    fn typed(&mut self, line: &str) -> Option<String> {
        self.0.send(format!("typed {line}")).unwrap();
        Some(format!("{line}?"))
    }

    fn show_screens(&mut self) {
        self.0.send("show_screens".to_owned()).unwrap();
    }

    fn silence(&mut self, is_silent: bool) {
        self.0.send(format!("silence {is_silent}")).unwrap();
    }

    fn lend(&mut self, _: &File, id: TerminalId) -> io::Result<()> {
        self.0.send(format!("lend {}", id.0)).unwrap();
        Ok(())
    }

    fn ends_on_interrupt(&self) -> bool {
        true
    }
}

struct Running {
    inbox: Inbox,
    told: Receiver<String>,
    thread: JoinHandle<Ended>,
}

fn run(people: &mut [&mut Person]) -> Running {
    run_as(people, |told, inbox, configs| {
        Host::new(Wizard::new(|_| Ok(())), told, inbox, configs)
    })
}

fn run_as(
    people: &mut [&mut Person],
    host: fn(Told, Inbox, Vec<TtyConfig>) -> Host<Told>,
) -> Running {
    let configs = people.iter_mut().map(|person| person.config()).collect();
    let (sender, told) = channel();
    let inbox = Inbox::new().unwrap();
    let host = host(Told(sender), inbox.clone(), configs);
    let thread = thread::spawn(move || host.run());
    Running {
        inbox,
        told,
        thread,
    }
}

impl Running {
    fn is_told(&self) -> String {
        self.told.recv_timeout(PATIENCE).unwrap()
    }

    fn ends(self) -> Ended {
        self.thread.join().unwrap()
    }
}

fn is_raw(person: &Person) -> bool {
    !tcgetattr(&person.line)
        .unwrap()
        .local_modes
        .contains(LocalModes::ICANON)
}

#[test]
fn screens_are_drawn_keys_are_heard_and_the_terminal_is_as_it_was_in_the_end() {
    let mut person = Person::new(24, 80, Mode::Screens, Enter::Nothing);
    let running = run(&mut [&mut person]);
    person.waits("the first screen", |person| person.sees("Welcome"));
    assert!(is_raw(&person) && person.screen.screen().alternate_screen());
    assert!(!running.inbox.is_touched());
    person.types(b"\x1bOP");
    person.waits("help", |person| person.sees("Help"));
    assert!(running.inbox.is_touched());
    person.screen.process(b"\x1b[Hrubbish");
    person.types(b"\x0c");
    person.waits("everything again", |person| !person.sees("rubbish"));
    running.inbox.close_and_wait(PATIENCE);
    assert!(!is_raw(&person));
    assert_eq!(running.ends(), Ended::Closed);
    person.waits("the screen from before", |person| {
        !person.screen.screen().alternate_screen()
    });
    assert!(!is_raw(&person) && !person.screen.screen().hide_cursor());
}

#[test]
fn enter_brings_the_screens_to_a_line_and_the_others_go_on_with_lines() {
    let mut one = Person::new(24, 80, Mode::Lines, Enter::Screens);
    let mut other = Person::new(24, 80, Mode::Lines, Enter::Elsewhere);
    let running = run(&mut [&mut one, &mut other]);
    one.types(b"boot\n");
    assert_eq!(running.is_told(), "typed boot");
    one.waits("the answer", |person| person.sees("boot?"));
    let line = |text: &str| {
        MachineEvent::Log(LogLine {
            level: 5,
            at: Duration::from_millis(1_234_500),
            text: text.to_owned(),
        })
    };
    one.types(b"\n");
    assert_eq!(running.is_told(), "silence true");
    one.waits("screens", |person| person.sees("Welcome"));
    running.inbox.tell(line("smv network: if=eth0"));
    other.waits("the line", |person| person.sees("smv network: if=eth0"));
    assert!(!is_raw(&other));
    other.types(b"\n");
    assert_eq!(running.is_told(), "show_screens");
    running.inbox.close();
    assert_eq!(running.is_told(), "silence false");
    assert_eq!(running.ends(), Ended::Closed);
}

#[test]
fn a_terminal_tells_its_size_and_whether_it_reads_utf_8() {
    let mut person = Person::new(0, 0, Mode::Screens, Enter::Nothing);
    let running = run(&mut [&mut person]);
    let has = |person: &Person, bytes: &[u8]| {
        person
            .raw
            .windows(bytes.len())
            .any(|window| window == bytes)
    };
    person.waits("questions", |person| has(person, b"\x1b[999;999H"));
    person.waits("the first screen", |person| person.sees("Welcome"));
    // It takes a character of three bytes for three, and is wider than most.
    person.raw.clear();
    person
        .screen
        .screen_mut()
        .set_size(NonZeroU16::new(50).unwrap(), NonZeroU16::new(132).unwrap());
    person.types(b"\x1b[1;4R\x1b[8;50;132t");
    person.waits("the last line", |person| has(person, b"\x1b[50;"));
    person.waits("all of it", |person| {
        !person
            .screen
            .screen()
            .contents_between(49, 0, 49, 132)
            .trim()
            .is_empty()
    });
    assert!(person.raw.is_ascii(), "{}", person.raw.escape_ascii());
    drop(person); // the line is cut
    assert_eq!(running.ends(), Ended::Alone);
}

#[test]
fn a_terminal_that_takes_nothing_holds_up_nobody() {
    let mut stuck = Person::new(24, 80, Mode::Screens, Enter::Nothing);
    let mut person = Person::new(24, 80, Mode::Screens, Enter::Nothing);
    let running = run(&mut [&mut stuck, &mut person]);
    person.waits("the first screen", |person| person.sees("Welcome"));
    // Each of these is a whole picture, far more than a line that nobody reads takes.
    for _ in 0..100 {
        person.types(b"\x1bOP");
        person.waits("help", |person| person.sees("Help"));
        person.types(b"\x1b[A");
        person.waits("no help", |person| !person.sees("Help"));
    }
    stuck.types(b"\x0c\x0c\x0c");
    // A flood, with what cuts sequences short in it.
    for _ in 0..50 {
        person.types(&[b"\0\xff\x1b[\x1b[1;\x1b]".as_slice(), &[0; 40]].concat());
        person.looks(Duration::from_millis(1));
    }
    person.types(b"\x03");
    assert_eq!(running.ends(), Ended::Interrupted);
}

/// Is what is typed there shown?
fn echoes(person: &Person) -> bool {
    let modes = tcgetattr(&person.line).unwrap().local_modes;
    modes.contains(LocalModes::ECHO)
}

#[test]
fn without_screens_there_are_questions_and_a_passphrase_is_not_shown() {
    let mut one = Person::new(50, 80, Mode::Screens, Enter::Screens);
    let mut other = Person::new(50, 80, Mode::Lines, Enter::Nothing);
    let running = run_as(&mut [&mut one, &mut other], |told, inbox, configs| {
        Host::plain(Plain::new(|_| Ok(())), told, inbox, configs)
    });
    let network = wifi::Network {
        ssid: wifi::Ssid::new(b"lab").unwrap(),
        security: wifi::Security::Wpa3,
        signal_dbm: -40,
        frequency_mhz: 2412,
    };
    running.inbox.tell(MachineEvent::Wifi(wifi::Report {
        interface: "wlan0".to_owned(),
        state: wifi::State::Idle,
        networks: vec![network],
    }));
    running.inbox.tell(MachineEvent::Machine(event::Machine {
        has_shell: true,
        ..event::Machine::default()
    }));
    let disk = blank();
    running.inbox.tell(MachineEvent::News(ReceiverEvent::Disks {
        seen: vec![disk.clone()],
        choice: Ok(Box::new(disk)),
    }));
    one.waits("the first question", |person| person.sees("-- Welcome"));
    other.waits("the same", |person| person.sees("-- Welcome"));
    assert!(!is_raw(&one) && echoes(&one));
    one.types(b"1\n");
    assert!(running.is_told().starts_with("Hold"));
    for (answer, question) in [("1", "-- Plan"), ("1", "-- Network"), ("2", "-- Wi-Fi")] {
        other.types(format!("{answer}\n").as_bytes());
        one.waits(question, |person| person.sees(question));
        other.waits(question, |person| person.sees(question));
    }
    one.types(b"1\n");
    one.waits("the question", |person| {
        person.sees("Type the passphrase of lab")
    });
    one.waits("no echo", |person| !echoes(person));
    other.waits("no echo", |person| !echoes(person));
    one.types(b"sesame-open\n");
    assert!(running.is_told().starts_with("WifiJoin"));
    one.waits("an echo", echoes);
    assert!(!one.sees("sesame"));
    // Behind the networks and the way back there are the log and the shell.
    one.types(b"6\n");
    assert_eq!(running.is_told(), "lend 0");
    running.inbox.give_back(TerminalId(0));
    other.types(b"99\n");
    other.waits("an answer", |person| person.sees("99 is no answer"));
    other.types(&[[b' '; 600].as_slice(), b"1\n98\n"].concat());
    other.waits("an answer", |person| person.sees("That line is too long"));
    // Not the end of that line.
    other.waits("an answer", |person| person.sees("98 is no answer"));
    running.inbox.close();
    assert_eq!(running.ends(), Ended::Closed);
    assert!(!one.raw.contains(&0x1b) && echoes(&one) && echoes(&other));
}

fn blank() -> Candidate {
    let disk = Found {
        path: "/dev/vda".into(),
        size_bytes: 8 << 30,
        sector_bytes: 512,
        transport: Transport::Virtio,
        is_removable: false,
        is_read_only: false,
        serial: None,
        vendor: None,
        model: None,
        wwn: None,
    };
    let contents = Contents::Holds(DiskContents::Blank);
    Candidate::made_up(disk, contents)
}

#[test]
fn a_terminal_is_lent_as_it_was_and_the_screens_come_back() {
    let mut person = Person::new(24, 80, Mode::Screens, Enter::Nothing);
    let running = run(&mut [&mut person]);
    let has_shell = true;
    running
        .inbox
        .tell(MachineEvent::Machine(crate::event::Machine {
            has_shell,
            ..Default::default()
        }));
    person.waits("a shell", |person| person.sees("F9"));
    person.types(b"\x1b9");
    assert_eq!(running.is_told(), "lend 0");
    assert!(!is_raw(&person));
    person.waits("the screen from before", |person| {
        !person.screen.screen().alternate_screen()
    });
    running.inbox.tell(MachineEvent::NicGone("eth0".to_owned()));
    running.inbox.give_back(super::TerminalId(0));
    person.waits("screens", |person| person.sees("F9"));
    assert!(is_raw(&person));
    running.inbox.close();
    assert_eq!(running.ends(), Ended::Closed);
}
