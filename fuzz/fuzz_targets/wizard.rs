//! A person who presses any keys while anything happens to the machine, on a terminal of any size:
//! no panic, every picture is as large as its terminal and commands none, and nothing is wiped that
//! nobody confirmed.
//!
//! One byte says what happens, its arguments follow; a text has its length in front.
#![no_main]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use disk::contents::{DiskContents, PartitionRef};
use libfuzzer_sys::fuzz_target;
use machine::gate::{Candidate, Contents, Reinstall, Wish, choose};
use machine::inventory::{Found, Transport};
use ratatui_core::backend::TestBackend;
use ratatui_core::terminal::Terminal;
use receiver::operator::event::ReceiverEvent;
use uuid::Uuid;
use wire::stage::Stage;
use wizard::event::{Address, LogLine, Machine, Nic};
use wizard::theme::{Charset, Theme};
use wizard::{Command, Key, MachineEvent, Wizard};

struct Script<'a>(&'a [u8]);

impl Script<'_> {
    fn byte(&mut self) -> u8 {
        let Some((byte, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *byte
    }

    fn text(&mut self) -> String {
        let len = usize::from(self.byte()).min(self.0.len());
        let (text, rest) = self.0.split_at(len);
        self.0 = rest;
        String::from_utf8_lossy(text).into_owned()
    }

    fn number(&mut self) -> u64 {
        let (byte, shift) = (self.byte(), self.byte() % 57);
        u64::from(byte) << shift
    }
}

fn key(byte: u8, script: &mut Script<'_>) -> Key {
    match byte {
        0..32 => Key::Char(
            char::from_u32(u32::from(script.byte()) << 8 | u32::from(byte)).unwrap_or('x'),
        ),
        32..127 => Key::Char(char::from(byte)),
        127 | 128 => Key::Backspace,
        129..140 => Key::Enter,
        140..146 => Key::Escape,
        146..156 => Key::Tab,
        156..160 => Key::BackTab,
        160..170 => Key::Down,
        170..180 => Key::Up,
        180..186 => Key::Left,
        186..192 => Key::Right,
        192..194 => Key::Delete,
        194..196 => Key::Home,
        196..198 => Key::End,
        198..202 => Key::PageUp,
        202..206 => Key::PageDown,
        206..230 => Key::F(byte % 12 + 1),
        _ => Key::Ctrl(char::from(b'a' + byte % 26)),
    }
}

fn contents(script: &mut Script<'_>) -> Contents {
    let partition = |number| PartitionRef {
        number,
        first_lba: 2048,
        sectors: 2048,
        guid: Uuid::from_u128(u128::from(number)),
    };
    Contents::Holds(match script.byte() % 4 {
        0 => DiskContents::Blank,
        1 => DiskContents::Occupied {
            what: script.text(),
            protected: None,
            is_shim_medium: false,
        },
        2 => DiskContents::Occupied {
            what: script.text(),
            protected: Some(script.text()),
            is_shim_medium: script.byte() & 1 == 0,
        },
        _ => DiskContents::Installed {
            esp: partition(1),
            root: partition(3),
            besides: None,
            protected: None,
        },
    })
}

fn disk(script: &mut Script<'_>) -> Candidate {
    let disk = Found {
        path: PathBuf::from(format!("/dev/{}", script.text())),
        size_bytes: script.number(),
        sector_bytes: if script.byte() & 1 == 0 { 512 } else { 4096 },
        transport: if script.byte() & 1 == 0 {
            Transport::Sata
        } else {
            Transport::Usb
        },
        is_removable: script.byte() & 1 == 1,
        is_read_only: script.byte() & 3 == 3,
        serial: (script.byte() & 1 == 0).then(|| script.text()),
        vendor: Some(script.text()),
        model: Some(script.text()),
        wwn: None,
    };
    Candidate::made_up(disk, contents(script))
}

fn disks(script: &mut Script<'_>) -> ReceiverEvent {
    let seen: Vec<Candidate> = (0..script.byte() % 5).map(|_| disk(script)).collect();
    let choice = choose(&seen, &Wish::default()).map(|cleared| Box::new(cleared.into_candidate()));
    ReceiverEvent::Disks { seen, choice }
}

fn news(script: &mut Script<'_>) -> ReceiverEvent {
    let peer = ([10, 9, 0, script.byte()], 40_000).into();
    match script.byte() % 15 {
        0 => disks(script),
        1 => ReceiverEvent::Inviting {
            code: script.text(),
            secret: (script.byte() & 1 == 0).then(|| script.text()),
            policy: script.text(),
            disk: Box::new(disk(script)),
            addresses: vec![[10, 9, 0, 5].into(); usize::from(script.byte() % 9)],
            is_renewed: false,
        },
        2 => ReceiverEvent::Held {
            refused: (script.byte() & 1 == 0).then(|| script.text()),
        },
        3 => ReceiverEvent::Refused {
            peer,
            count: script.number(),
            unreported: 0,
            reason: script.text(),
        },
        4 => ReceiverEvent::Accepted {
            peer,
            version: Some(script.text()),
            packages: vec![script.text(); usize::from(script.byte())],
            total_bytes: (script.byte() & 1 == 0).then(|| script.number()),
            facts: String::new(),
        },
        5 => ReceiverEvent::AwaitingConsent { peer },
        6 => {
            let stage = Stage::ALL[usize::from(script.byte()) % Stage::ALL.len()];
            ReceiverEvent::Stage {
                stage,
                facts: script.text(),
            }
        }
        7 => ReceiverEvent::Package {
            name: script.text(),
            claimed_len: script.number(),
        },
        8 => ReceiverEvent::Progress {
            received_bytes: script.number(),
            unpacked_bytes: script.number(),
            is_line_due: false,
        },
        9 => ReceiverEvent::DonorLost {
            peer,
            reason: script.text(),
        },
        10 => ReceiverEvent::DonorBack { peer },
        11 => ReceiverEvent::Warning(script.text()),
        12 => ReceiverEvent::Failed {
            reason: script.text(),
            is_fatal: script.byte() & 1 == 0,
        },
        13 => ReceiverEvent::Installed {
            disk: Box::new(disk(script)),
            title: script.text(),
        },
        _ => disks(script),
    }
}

fn fact(script: &mut Script<'_>) -> MachineEvent {
    match script.byte() % 9 {
        0 => MachineEvent::Machine(Machine {
            version: script.text(),
            firmware: "uefi",
            memory_bytes: script.number(),
            decided: vec![script.text()],
            owns_network: script.byte() & 1 == 0,
            has_shell: script.byte() & 1 == 0,
            owns_power: script.byte() & 1 == 0,
        }),
        1 => MachineEvent::Nic(Nic {
            name: script.text(),
            mac: script.text(),
            driver: Some(script.text()),
            is_wifi: script.byte() & 1 == 1,
            has_link: script.byte() & 1 == 0,
            speed_mbit: Some(u32::from(script.byte())),
            addresses: vec![Address {
                address: [10, 9, 0, 5].into(),
                prefix_len: script.byte(),
                gateway: None,
                source: "dhcp",
                lease: Some(Duration::from_secs(script.number())),
            }],
            trouble: (script.byte() & 1 == 1).then(|| script.text()),
        }),
        2 => MachineEvent::NicGone(script.text()),
        3 => MachineEvent::Missing(vec![script.text(); usize::from(script.byte() % 60)]),
        4 => MachineEvent::Log(LogLine {
            level: script.byte() % 8,
            at: Duration::from_secs(script.number()),
            text: script.text(),
        }),
        5 => MachineEvent::Leaving {
            how: "reboot",
            within: Duration::from_secs(u64::from(script.byte())),
        },
        _ => MachineEvent::News(news(script)),
    }
}

fn draw(wizard: &Wizard, script: &mut Script<'_>) {
    let (columns, rows) = match script.byte() {
        0..32 => (80, 24),
        // A picture takes as long as it is large.
        32..36 => (u16::from(script.byte()) << 4, 1),
        36..40 => (1, u16::from(script.byte()) << 4),
        _ => (
            u16::from(script.byte() % 140),
            u16::from(script.byte() % 60),
        ),
    };
    let is_plain = script.byte() & 1 == 0;
    let theme = Theme {
        charset: if is_plain {
            Charset::Ascii
        } else {
            Charset::Unicode
        },
        colours: !is_plain,
    };
    let mut terminal =
        Terminal::new(TestBackend::new(columns, rows)).expect("a terminal in memory");
    terminal
        .draw(|frame| wizard.draw(frame, theme))
        .expect("a terminal in memory");
    for cell in terminal.backend().buffer().content() {
        assert!(
            !cell.symbol().chars().any(char::is_control),
            "{:?}",
            cell.symbol()
        );
        assert!(!is_plain || cell.symbol().is_ascii(), "{:?}", cell.symbol());
    }
}

/// Nothing but a blank disk is taken without a word that confirms it, or one for installed
/// systems.
fn judge(command: &Command, wizard: &Wizard) {
    if let Command::Take { wish, .. } = command {
        let taken = choose(&wizard.model().disks, wish);
        if let Ok(cleared) = taken {
            let is_confirmed = wish.wipe.is_some() || wish.reinstall != Reinstall::default();
            assert!(
                is_confirmed
                    || matches!(
                        cleared.candidate().contents(),
                        Contents::Holds(DiskContents::Blank)
                    ),
                "{wish:?}"
            );
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut script = Script(bytes);
    let mut now = Instant::now();
    let check = |value: &str| {
        value
            .parse::<u8>()
            .map(drop)
            .map_err(|error| error.to_string())
    };
    let mut wizard = Wizard::new(check);
    while !script.0.is_empty() {
        let commands = match script.byte() {
            0..64 => {
                wizard.learn(fact(&mut script), now);
                Vec::new()
            }
            64..220 => {
                let byte = script.byte();
                wizard.press(key(byte, &mut script), now)
            }
            220..236 => {
                now += wizard.next_tick(now).unwrap_or_default()
                    + Duration::from_millis(script.number() % 100_000);
                wizard.tick(now)
            }
            _ => {
                draw(&wizard, &mut script);
                Vec::new()
            }
        };
        commands.iter().for_each(|command| judge(command, &wizard));
    }
    draw(&wizard, &mut Script(&[0, 1]));
});
