//! The wizard without screens: whole conversations as golden files, `>` before what was typed and
//! `!` before what was ordered.

#![allow(clippy::unwrap_used, clippy::panic)] // a failure here is a failed test

mod scene;

use std::time::{Duration, Instant};

use machine::gate::{Candidate, Wish, choose};
use receiver::operator::event::ReceiverEvent;
use scene::{BLANK, disk, inviting, occupied, zoo};
use wifi::{Failure, Network, Report, Security, Ssid, State};
use wire::stage::Stage;
use wizard::event::Machine;
use wizard::{Command, MachineEvent, Plain, Screen};

struct Talk {
    plain: Plain,
    now: Instant,
    /// Everything that was said so far.
    text: String,
}

impl Talk {
    fn new() -> Self {
        let mut talk = Self {
            plain: Plain::new(scene::check_ip),
            now: Instant::now(),
            text: String::new(),
        };
        talk.learn(MachineEvent::Nic(scene::nic("eth0")));
        talk.learn(MachineEvent::Machine(scene::machine()));
        talk
    }

    fn learn(&mut self, fact: MachineEvent) {
        self.plain.learn(fact, self.now);
        self.listen();
    }

    fn news(&mut self, news: ReceiverEvent) {
        self.learn(MachineEvent::News(news));
    }

    fn disks(&mut self, seen: &[Candidate]) {
        let choice =
            choose(seen, &Wish::default()).map(|cleared| Box::new(cleared.into_candidate()));
        let seen = seen.to_vec();
        self.news(ReceiverEvent::Disks { seen, choice });
    }

    fn stage(&mut self, stage: Stage) {
        let facts = String::new();
        self.news(ReceiverEvent::Stage { stage, facts });
    }

    fn answer(&mut self, line: &str) -> Vec<Command> {
        self.text.push_str(&format!("> {line}\n"));
        let commands = self.plain.answer(line, self.now);
        for command in &commands {
            self.text.push_str(&format!("! {command:?}\n"));
        }
        self.listen();
        commands
    }

    /// The number of what is offered with these words.
    fn choose(&mut self, words: &str) -> Vec<Command> {
        let is_offer = |line: &&str| {
            let is_numbered = line.starts_with(|char: char| char.is_ascii_digit());
            is_numbered && line.contains(words)
        };
        let offered = self.text.lines().rev().find(is_offer);
        let line = offered.unwrap_or_else(|| panic!("{words} is not offered:\n{}", self.text));
        let number = line.split(' ').next().unwrap().to_owned();
        self.answer(&number)
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.plain.next_tick(self.now) {
            if self.now + next > end {
                break;
            }
            self.now += next;
            let _ = self.plain.tick(self.now);
            self.listen();
        }
        self.now = end;
        let _ = self.plain.tick(end);
        self.listen();
    }

    fn listen(&mut self) {
        for line in self.plain.lines() {
            assert!(line.chars().count() <= 78, "{line}");
            assert!(!line.chars().any(char::is_control), "{line:?}");
            self.text.push_str(&line);
            self.text.push('\n');
        }
    }

    /// The lines since the last time.
    fn said(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    fn golden(&self, name: &str) {
        scene::compare(&format!("plain-{name}.txt"), &self.text);
    }
}

#[test]
fn nobody_answers_and_each_fact_is_printed_once() {
    let mut talk = Talk::new();
    let blank = disk("/dev/vda", "A1B2C3D4", BLANK);
    talk.disks(std::slice::from_ref(&blank));
    talk.news(inviting(&blank));
    talk.news(ReceiverEvent::Refused {
        peer: ([10, 9, 0, 77], 40_001).into(),
        count: 1,
        reason: "pairing: wrong secret".to_owned(),
        unreported: 0,
    });
    talk.news(scene::accepted());
    for stage in [
        Stage::Accepted,
        Stage::Planned,
        Stage::Formatting,
        Stage::Receiving,
    ] {
        talk.stage(stage);
    }
    talk.news(ReceiverEvent::Package {
        name: "base".to_owned(),
        claimed_len: 300_000_000,
    });
    let peer = ([10, 9, 0, 1], 40_000).into();
    for second in 1..=40 {
        talk.pass(Duration::from_secs(1));
        talk.news(ReceiverEvent::Progress {
            received_bytes: second * 10_000_000,
            unpacked_bytes: 0,
            is_line_due: false,
        });
        if second == 10 {
            let reason = "reading: Connection reset by peer".to_owned();
            talk.news(ReceiverEvent::DonorLost { peer, reason });
            talk.pass(Duration::from_secs(20));
            talk.news(ReceiverEvent::DonorBack { peer });
        }
    }
    talk.news(ReceiverEvent::Warning(
        "no swap: the disk has 4096 MiB".to_owned(),
    ));
    for stage in [Stage::Finishing, Stage::Committing, Stage::Installed] {
        talk.stage(stage);
    }
    talk.news(ReceiverEvent::Installed {
        disk: Box::new(blank),
        title: "smechvisor 2026.11".to_owned(),
    });
    talk.learn(MachineEvent::Leaving {
        how: "reboot",
        within: Duration::from_secs(10),
    });
    talk.pass(Duration::from_secs(5));
    assert_eq!(talk.answer(""), [Command::Stay]);
    assert_eq!(talk.choose("Leave for"), [Command::Leave]);
    talk.golden("unattended");
}

#[test]
fn a_person_decides_everything() {
    let mut talk = Talk::new();
    talk.disks(&zoo());
    assert_eq!(talk.choose("Replace what is on /dev/sda"), [Command::Hold]);
    assert_eq!(talk.answer("654321"), []);
    talk.choose("Replace what is on /dev/sda");
    assert_eq!(talk.answer("123456"), []);
    talk.choose("size for the EFI");
    talk.answer("1");
    talk.choose("size for the EFI");
    talk.answer("1G");
    talk.choose("size for swap");
    talk.answer("none");
    talk.choose("Go on with this table");
    talk.choose("Type an address");
    talk.answer("10.9.0.5");
    let ip = "10.9.0.5/24,gw=10.9.0.1";
    assert_eq!(talk.answer(ip), [Command::Network(ip.to_owned())]);
    let commands = talk.choose("Go on: invite");
    let [Command::Take { wish, sizes }] = commands.as_slice() else {
        panic!("{commands:?}");
    };
    assert_eq!(wish.wipe.as_deref(), Some("123456"));
    assert_eq!(
        (sizes.esp_bytes, sizes.swap),
        (Some(1 << 30), disk::sizes::Swap::None)
    );
    talk.golden("decided");
}

#[test]
fn what_may_not_be_had_is_not_offered() {
    let mut talk = Talk::new();
    talk.disks(&zoo());
    for path in ["/dev/sdd", "/dev/mmcblk0", "/dev/sde"] {
        let offered = talk.text.lines().filter(|line| line.contains(path));
        let is_offered = |line: &str| line.starts_with(|char: char| char.is_ascii_digit());
        let may = path == "/dev/sdd"; // a stick may be named, with its word
        assert_eq!(
            offered.into_iter().any(is_offered),
            may,
            "{path}:\n{}",
            talk.text
        );
    }
}

#[test]
fn a_network_is_joined() {
    let mut talk = Talk::new();
    talk.disks(&[disk("/dev/vda", "A1B2C3D4", BLANK)]);
    talk.learn(MachineEvent::Nic(scene::wifi_nic("wlan0")));
    let ssid = Ssid::new("lab\u{1b}[2J".as_bytes()).unwrap();
    let report = |state, networks| {
        MachineEvent::Wifi(Report {
            interface: "wlan0".to_owned(),
            state,
            networks,
        })
    };
    talk.learn(report(State::Idle, vec![]));
    talk.choose("Choose disk");
    talk.choose("Take /dev/vda");
    talk.choose("Go on with this table");
    talk.choose("Wi-Fi");
    assert_eq!(
        talk.choose("Scan for networks"),
        [Command::WifiScan("wlan0".to_owned())]
    );
    talk.learn(report(State::Scanning, vec![]));
    let heard = vec![Network {
        ssid: ssid.clone(),
        security: Security::Wpa3,
        signal_dbm: -60,
        frequency_mhz: 5180,
    }];
    talk.learn(report(State::Idle, heard.clone()));
    talk.choose("Join lab");
    assert!(talk.plain.is_secret());
    assert_eq!(talk.answer("short"), []);
    assert!(talk.plain.is_secret());
    let commands = talk.answer(" with blanks ");
    let [Command::WifiJoin(join)] = commands.as_slice() else {
        panic!("{commands:?}");
    };
    assert_eq!(join.passphrase.as_deref(), Some(" with blanks "));
    assert!(!talk.plain.is_secret());
    talk.learn(report(State::Joining(ssid.clone()), heard.clone()));
    let failed = State::Failed(ssid.clone(), Failure::WrongPassphrase);
    talk.learn(report(failed, heard.clone()));
    talk.learn(report(State::Joined(ssid), heard));
    talk.choose("hidden");
    talk.answer("den");
    let commands = talk.answer("none");
    assert!(matches!(
        commands.as_slice(),
        [Command::WifiJoin(join)] if join.is_hidden && join.passphrase.is_none()
    ));
    let text = talk
        .text
        .replace("> short\n", "> (short)\n")
        .replace(">  with blanks \n", "> (a passphrase)\n");
    talk.text = text;
    talk.golden("wifi");
}

#[test]
fn a_deploy_is_cancelled_after_a_yes() {
    let mut talk = Talk::new();
    let blank = disk("/dev/vda", "A1B2C3D4", BLANK);
    talk.disks(std::slice::from_ref(&blank));
    talk.news(inviting(&blank));
    talk.news(scene::accepted());
    talk.stage(Stage::Formatting);
    talk.choose("Cancel");
    assert_eq!(talk.answer("no"), []);
    talk.choose("Cancel");
    assert!(talk.said().contains("unbootable"));
    assert_eq!(talk.answer("Yes"), [Command::Cancel]);
    talk.news(ReceiverEvent::Failed {
        reason: "cancelled at the machine".to_owned(),
        is_fatal: false,
    });
    talk.news(inviting(&blank));
    assert_eq!(talk.plain.wizard().screen(), Screen::Code);
}

#[test]
fn a_failure_is_shown_and_left() {
    let mut talk = Talk::new();
    let blank = disk("/dev/vda", "A1B2C3D4", BLANK);
    talk.disks(std::slice::from_ref(&blank));
    talk.news(inviting(&blank));
    talk.news(scene::accepted());
    talk.stage(Stage::Receiving);
    talk.news(ReceiverEvent::Failed {
        reason: "unpacking base: \u{1b}[2J not an archive".to_owned(),
        is_fatal: false,
    });
    talk.learn(MachineEvent::Missing(vec![
        "missing firmware: x.bin".to_owned(),
    ]));
    talk.news(inviting(&blank));
    talk.choose("The end of the log");
    talk.choose("On to the code");
    assert_eq!(talk.plain.wizard().screen(), Screen::Code);
    talk.golden("failed");
    // No donor can help.
    talk.news(ReceiverEvent::Failed {
        reason: "listening for disks".to_owned(),
        is_fatal: true,
    });
    talk.choose("Reboot");
    assert_eq!(talk.answer("yes"), [Command::Reboot]);
}

/// Any line, at any time.
#[test]
fn no_line_confuses_the_conversation_and_none_is_without_an_answer() {
    let long = "9".repeat(5000);
    let lines = [
        "",
        "1",
        "2",
        "3",
        "4",
        "5",
        "6",
        "7",
        "8",
        "9",
        "0",
        "-1",
        "yes",
        "\u{1b}[2J",
        "\0\0",
        "1 2",
        "💾",
        &long,
        " ",
        "10.9.0.7/24",
        "123456",
        "none",
        "+1",
        "18446744073709551616",
        "\t3",
        "usual",
    ];
    let mut seed = 7_u32;
    for _ in 0..300 {
        let mut talk = Talk::new();
        talk.learn(MachineEvent::Machine(Machine {
            owns_power: true,
            has_shell: true,
            ..scene::machine()
        }));
        talk.disks(&zoo());
        for round in 0..40 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let line = lines[(seed >> 16) as usize % lines.len()];
            talk.said();
            let commands = talk.answer(line);
            assert!(
                talk.text.lines().count() > 1 || !commands.is_empty(),
                "{line:?} was not answered"
            );
            let sda = disk("/dev/sda", "S5Y1NX0R123456", occupied());
            match (seed >> 8) % 40 {
                0 => talk.news(inviting(&sda)),
                1 => talk.news(scene::accepted()),
                2 => talk.stage(Stage::Receiving),
                3 => talk.news(ReceiverEvent::Failed {
                    reason: "x\u{7}".repeat(round),
                    is_fatal: false,
                }),
                4 => talk.news(ReceiverEvent::Held { refused: None }),
                _ => {}
            }
        }
    }
}
