//! Texts of strangers never break the layout: control characters, characters that are wide or have
//! no width, and reasons as long as they may be, wherever a donor, an access point, a disk or the
//! kernel can put one.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // a failure here is a failed test

mod scene;

use std::path::PathBuf;

use machine::gate::Candidate;
use ratatui_core::text::Span;
use receiver::operator::event::ReceiverEvent;
use scene::{ASCII, BLANK, Scene, UNICODE, altered, disk};
use wifi::{Failure, Network, Report, Security, Ssid, State};
use wire::stage::Stage;
use wizard::event::Machine;
use wizard::{Key, MachineEvent, Plain, Screen};

const SIZES: [(u16, u16); 4] = [(80, 24), (132, 50), (40, 12), (1, 1)];

/// Input of strangers; each is repeated to 400 characters as well.
fn texts() -> Vec<String> {
    let pieces = [
        "\u{1b}[2J\u{1b}[31;1H\u{1b}]0;x\u{7}",
        "\r\n\t\u{8}\u{0}\u{7f}\u{9b}2J",
        "漢字かな",
        "e\u{301}\u{302}\u{303}",
        "\u{202e}\u{2066}\u{200b}\u{feff}x",
        "👩\u{200d}👩\u{200d}👧\u{fe0f}",
        "\u{ad}ﷺ한글ᄀ\u{1160}",
        "word ",
        "no-blank-anywhere",
        "",
    ];
    let long = pieces
        .iter()
        .filter(|piece| !piece.is_empty())
        .map(|piece| {
            let all = piece.chars().cycle();
            all.take(400).collect::<String>()
        });
    let short = pieces.iter().map(|piece| (*piece).to_owned());
    short.chain(long).collect()
}

/// Every row is as wide as the terminal, and nothing in it is a command.
fn check(scene: &Scene, what: &str) {
    for size in SIZES {
        let themes = if size == (80, 24) {
            &[UNICODE, ASCII][..]
        } else {
            &[UNICODE]
        };
        for theme in themes {
            let theme = *theme;
            let picture = scene.picture(size, theme);
            let rows: Vec<&str> = picture.lines().collect();
            // One more tells where the cursor is.
            assert_eq!(
                rows.len(),
                usize::from(size.1) + 1,
                "{what} {size:?}:\n{picture}"
            );
            for row in &rows[..usize::from(size.1)] {
                assert!(!row.chars().any(char::is_control), "{what} {row:?}");
                // A wide character hides the blank cell behind it.
                let width = Span::raw(*row).width();
                let hidden = row
                    .chars()
                    .filter(|char| Span::raw(char.to_string()).width() == 2);
                assert!(
                    width <= usize::from(size.0) + hidden.count(),
                    "{what} {size:?} {row:?}"
                );
            }
            assert!(theme != ASCII || picture.is_ascii(), "{what}");
        }
    }
    // The frame stays where it is.
    let picture = scene.picture((80, 24), UNICODE);
    let rows: Vec<&str> = picture.lines().collect();
    assert!(
        rows[0].starts_with(" spk-visor 0.1.0"),
        "{what}:\n{picture}"
    );
    assert!(rows[23].starts_with(" F1 help"), "{what}:\n{picture}");
}

fn named(text: &str) -> Candidate {
    altered(&disk("/dev/sda", text, BLANK), |found| {
        found.model = Some(text.to_owned());
        found.vendor = Some(text.to_owned());
        found.path = PathBuf::from(format!("/dev/{text}"));
    })
}

/// The facts of a whole deploy, with this text wherever one can be.
fn facts(text: &str) -> Vec<MachineEvent> {
    let text = || text.to_owned();
    let peer = ([10, 9, 0, 1], 40_000).into();
    let disk = named(&text());
    let stage = |stage| ReceiverEvent::Stage {
        stage,
        facts: text(),
    };
    let bytes: Vec<u8> = text().bytes().take(32).collect();
    let ssid = Ssid::new(&bytes).unwrap_or(Ssid::new(b"x").unwrap());
    let report = Report {
        interface: text(),
        state: State::Failed(ssid.clone(), Failure::Unsupported(text())),
        networks: vec![Network {
            ssid,
            security: Security::Wpa2,
            signal_dbm: i32::MIN,
            frequency_mhz: 0,
        }],
    };
    let news = |news: Vec<ReceiverEvent>| news.into_iter().map(MachineEvent::News);
    let mut facts = vec![
        MachineEvent::Machine(Machine {
            decided: vec![text()],
            ..scene::machine()
        }),
        MachineEvent::Wifi(report),
        scene::log(3, &text()),
        MachineEvent::Missing(vec![text(); 40]),
    ];
    facts.extend(news(vec![
        ReceiverEvent::Disks {
            seen: vec![disk.clone(), disk.clone()],
            choice: Ok(Box::new(disk.clone())),
        },
        ReceiverEvent::Inviting {
            code: text(),
            secret: Some(text()),
            policy: text(),
            disk: Box::new(disk.clone()),
            addresses: vec![],
            is_renewed: false,
        },
        ReceiverEvent::Refused {
            peer,
            count: u64::MAX,
            reason: text(),
            unreported: 0,
        },
        ReceiverEvent::Accepted {
            peer,
            version: Some(text()),
            packages: vec![text(); 1000],
            total_bytes: Some(0),
            facts: String::new(),
        },
        stage(Stage::Receiving),
        ReceiverEvent::Package {
            name: text(),
            claimed_len: u64::MAX,
        },
        ReceiverEvent::Progress {
            received_bytes: u64::MAX,
            unpacked_bytes: u64::MAX,
            is_line_due: false,
        },
        ReceiverEvent::Warning(text()),
        ReceiverEvent::DonorLost {
            peer,
            reason: text(),
        },
        ReceiverEvent::Failed {
            reason: text(),
            is_fatal: false,
        },
        ReceiverEvent::Accepted {
            peer,
            version: None,
            packages: vec![],
            total_bytes: None,
            facts: String::new(),
        },
        stage(Stage::Committing),
        ReceiverEvent::Installed {
            disk: Box::new(disk),
            title: text(),
        },
    ]));
    facts.push(MachineEvent::Leaving {
        how: "reboot",
        within: std::time::Duration::MAX,
    });
    facts
}

#[test]
fn no_text_breaks_a_screen() {
    for text in texts() {
        let mut scene = Scene::new();
        for fact in facts(&text) {
            scene.learn(fact);
            let what = format!("{:?} {text:?}", scene.wizard.screen());
            check(&scene, &what);
        }
        assert_eq!(scene.wizard.screen(), Screen::Done);
        scene.press(Key::F(2));
        check(&scene, "log");
    }
}

#[test]
fn no_name_breaks_the_list_of_networks() {
    for text in texts() {
        let mut scene = Scene::new();
        scene.disks(&[disk("/dev/vda", "A1B2C3D4", BLANK)]);
        scene.learn(MachineEvent::Nic(scene::wifi_nic("wlan0")));
        for fact in facts(&text).into_iter().take(2) {
            scene.learn(fact);
        }
        scene.keys(&[Key::Enter, Key::Enter, Key::Enter, Key::Char('w')]);
        assert_eq!(scene.wizard.screen(), Screen::Wifi);
        check(&scene, "list");
        scene.press(Key::Enter);
        scene.write("漢字👩 e\u{301}");
        check(&scene, "passphrase");
        scene.press(Key::Tab);
        scene.press(Key::Enter);
        check(&scene, "not a passphrase");
    }
}

#[test]
fn no_text_breaks_a_line() {
    for text in texts() {
        let now = std::time::Instant::now();
        let mut plain = Plain::new(scene::check_ip);
        for fact in facts(&text) {
            plain.learn(fact, now);
            let _ = plain.answer(&text, now);
            let _ = plain.answer("", now);
            for line in plain.lines() {
                assert!(!line.chars().any(char::is_control), "{line:?}");
                assert!(Span::raw(&line).width() <= 78, "{line:?}");
            }
        }
    }
}
