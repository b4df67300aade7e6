//! From the code to the end, Wi-Fi and the log: pictures of every state.

#![allow(clippy::unwrap_used, clippy::panic)] // a failure here is a failed test

mod scene;

use std::time::Duration;

use receiver::operator::event::ReceiverEvent;
use scene::{BLANK, Scene, disk, inviting, occupied};
use wifi::{Failure, Join, Network, Report, Security, Ssid, State};
use wire::stage::Stage;
use wizard::fact::Machine;
use wizard::{Fact, Key, Order, Screen};

/// Donors are invited to a blank disk.
fn invited() -> Scene {
    let mut scene = Scene::new();
    let blank = disk("/dev/vda", "A1B2C3D4", BLANK);
    scene.disks(std::slice::from_ref(&blank));
    scene.news(inviting(&blank));
    scene
}

fn refused(count: u64, reason: &str) -> ReceiverEvent {
    ReceiverEvent::Refused {
        peer: ([10, 9, 0, 77], 40_001).into(),
        count,
        reason: reason.to_owned(),
        unreported: 0,
    }
}

#[test]
fn the_code_is_shown_with_all_that_a_donor_needs() {
    let mut scene = invited();
    assert_eq!(scene.wizard.screen(), Screen::Code);
    scene.golden("code");
    scene.news(refused(
        3,
        "pairing: the donor does not know the secret of this screen",
    ));
    scene.golden("code-refused");
    assert_eq!(scene.press(Key::Escape), [Order::Hold]);
    assert_eq!(scene.wizard.screen(), Screen::Network);
}

#[test]
fn without_a_secret_there_is_another_command() {
    for (policy, name) in [("pinned", "code-pinned"), ("legacy", "code-legacy")] {
        let mut scene = invited();
        let ReceiverEvent::Inviting { code, disk, .. } =
            inviting(&disk("/dev/sda", "S1", occupied()))
        else {
            unreachable!()
        };
        scene.news(ReceiverEvent::Inviting {
            code,
            secret: None,
            policy: policy.to_owned(),
            disk,
            addresses: vec![],
            is_renewed: false,
        });
        scene.golden(name);
    }
}

fn stage(stage: Stage) -> ReceiverEvent {
    ReceiverEvent::Stage {
        stage,
        facts: String::new(),
    }
}

/// A donor has been let in and sends the first of two packages.
fn receiving() -> Scene {
    let mut scene = invited();
    scene.news(scene::accepted());
    for it in [Stage::Accepted, Stage::Planned, Stage::Formatting] {
        scene.news(stage(it));
    }
    scene.news(ReceiverEvent::Package {
        name: "base".to_owned(),
        claimed_len: 300_000_000,
    });
    scene
}

/// So many bytes in a second.
fn second(scene: &mut Scene, received_bytes: u64) {
    scene.pass(Duration::from_secs(1));
    scene.news(ReceiverEvent::Progress {
        received_bytes,
        unpacked_bytes: received_bytes * 3,
        is_line_due: false,
    });
}

#[test]
fn a_deploy_is_followed_from_stage_to_stage() {
    let mut scene = invited();
    scene.news(scene::accepted());
    scene.golden("receiving-accepted");
    scene.news(ReceiverEvent::AwaitingConsent {
        peer: ([10, 9, 0, 1], 40_000).into(),
    });
    scene.golden("receiving-consent");
    let mut scene = receiving();
    scene.golden("receiving-begins");
    let mut bytes = 0;
    for at in 0..20 {
        bytes += 10_000_000 + at % 7 * 1_000_000;
        second(&mut scene, bytes);
    }
    scene.golden("receiving");
    scene.news(ReceiverEvent::Warning(
        "no swap: the disk has 4096 MiB".to_owned(),
    ));
    scene.learn(scene::log(4, "nvme nvme0: controller is slow"));
    scene.news(ReceiverEvent::Package {
        name: "grub".to_owned(),
        claimed_len: 100_000_000,
    });
    second(&mut scene, bytes + 3_000_000);
    scene.golden("receiving-warning");
    scene.news(stage(Stage::Committing));
    scene.golden("receiving-committing");
}

#[test]
fn a_donor_that_is_gone_is_waited_for() {
    let mut scene = receiving();
    second(&mut scene, 20_000_000);
    let peer = ([10, 9, 0, 1], 40_000).into();
    let reason = "reading from the donor: Connection reset by peer".to_owned();
    scene.news(ReceiverEvent::DonorLost { peer, reason });
    scene.pass(Duration::from_secs(30));
    scene.golden("receiving-lost");
    // Somebody guessed: the secret is another one, and the deploy goes on all the same.
    let ReceiverEvent::Inviting { code, disk, .. } = inviting(&disk("/dev/vda", "A1B2C3D4", BLANK))
    else {
        unreachable!()
    };
    scene.news(ReceiverEvent::Inviting {
        code,
        secret: Some("9D4T-X2WM-7".to_owned()),
        policy: "secret".to_owned(),
        disk,
        addresses: vec![],
        is_renewed: false,
    });
    assert_eq!(scene.wizard.screen(), Screen::Receiving);
    assert!(scene.shows("secret 9D4T-X2WM-7"));
    scene.news(ReceiverEvent::DonorBack { peer });
    assert!(!scene.shows("waited for"));
}

#[test]
fn cancelling_is_asked_for_once_more() {
    let mut scene = receiving();
    assert_eq!(scene.press(Key::Escape), []);
    assert!(scene.shows("unbootable"));
    scene.golden("receiving-cancel");
    assert_eq!(scene.press(Key::Enter), []); // No is selected
    assert!(!scene.shows("unbootable"));
    scene.press(Key::Escape);
    assert_eq!(scene.write("y"), [Order::Cancel]);
    scene.golden("receiving-cancelling");
    assert_eq!(scene.keys(&[Key::Escape, Key::Char('y')]), []);
    scene.news(ReceiverEvent::Failed {
        reason: "cancelled at the machine".to_owned(),
        is_fatal: false,
    });
    scene.news(inviting(&disk("/dev/vda", "A1B2C3D4", BLANK)));
    assert_eq!(scene.wizard.screen(), Screen::Code);
}

#[test]
fn a_second_changes_few_cells() {
    let mut scene = receiving();
    let mut bytes = 0;
    for at in 0..50 {
        let before = scene.picture((80, 24), scene::UNICODE);
        bytes += 5_000_000;
        second(&mut scene, bytes);
        let after = scene.picture((80, 24), scene::UNICODE);
        let changed = before
            .lines()
            .zip(after.lines())
            .map(|(before, after)| {
                let (before, after) = (format!("{before:80}"), format!("{after:80}"));
                let cells = before.chars().zip(after.chars());
                cells.filter(|(before, after)| before != after).count()
            })
            .sum::<usize>();
        // The first rate, and its scale, are drawn anew.
        assert!(changed < 40 || at < 5, "{changed} cells:\n{before}{after}");
    }
}

#[test]
fn the_log_is_followed_scrolled_and_thinned_out() {
    let mut scene = Scene::new();
    for number in 0..200_u8 {
        scene.learn(scene::log(
            number % 8,
            &format!("line {number} says {}", "much ".repeat(30)),
        ));
    }
    scene.press(Key::F(2));
    scene.golden("log");
    assert!(scene.shows("line 199 "));
    scene.press(Key::PageUp);
    scene.golden("log-scrolled");
    assert!(!scene.shows("line 199 ") && scene.shows("line 184 "));
    // What comes now moves nothing.
    let before = scene.picture((80, 24), scene::UNICODE);
    scene.learn(scene::log(3, "line 200"));
    assert_eq!(scene.picture((80, 24), scene::UNICODE), before);
    scene.press(Key::Down);
    assert!(scene.shows("line 185 "));
    scene.press(Key::Home);
    assert!(scene.shows("line 0 ") && scene.shows("line 19 "));
    scene.press(Key::End);
    assert!(scene.shows("line 200"));
    scene.keys(&[Key::Tab, Key::Tab]);
    assert!(!scene.shows("line 197 ") && scene.shows("line 196 "));
    scene.keys(&[Key::Right, Key::Right]);
    scene.golden("log-errors-shifted");
    assert_eq!(scene.press(Key::Escape), []);
    assert!(scene.shows("Welcome"));
}

#[test]
fn a_log_that_is_flooded_stays_where_it_was_scrolled_to_or_at_its_beginning() {
    let mut scene = Scene::new();
    for number in 0..1000 {
        scene.learn(scene::log(6, &format!("line {number}")));
    }
    scene.keys(&[Key::F(2), Key::PageUp]);
    for number in 1000..5000 {
        scene.learn(scene::log(6, &format!("line {number}")));
    }
    assert!(scene.shows("line 4000\n") && scene.shows("4000 older lines"));
    scene.keys(&[Key::Up, Key::PageDown, Key::PageDown]);
    assert!(scene.shows("line 4030\n"));
}

fn installed(scene: &mut Scene) {
    scene.news(stage(Stage::Installed));
    scene.news(ReceiverEvent::Installed {
        disk: Box::new(disk("/dev/vda", "A1B2C3D4", BLANK)),
        title: "smechvisor 2026.11".to_owned(),
    });
}

#[test]
fn a_complete_disk_is_shown_and_left_for() {
    let mut scene = receiving();
    second(&mut scene, 400_000_000);
    installed(&mut scene);
    assert_eq!(scene.wizard.screen(), Screen::Done);
    scene.golden("done");
    assert_eq!(scene.press(Key::Enter), [Order::Leave]);
}

#[test]
fn a_key_stops_the_countdown() {
    let mut scene = receiving();
    installed(&mut scene);
    scene.learn(Fact::Leaving {
        how: "kexec",
        within: Duration::from_secs(10),
    });
    assert!(scene.shows("in 10 s."));
    scene.pass(Duration::from_secs(3));
    assert!(scene.shows("in 7 s."));
    scene.golden("done-leaving");
    assert_eq!(scene.press(Key::Char(' ')), [Order::Stay]);
    scene.pass(Duration::from_secs(30));
    assert!(scene.shows("until Enter is pressed"));
    assert_eq!(scene.press(Key::Char(' ')), []);
}

fn failed(scene: &mut Scene, is_fatal: bool) {
    let reason = "unpacking smechvisor-base.tar.xz: writing /usr/lib/x86_64-linux-gnu/libc.so.6: writing lba 2048 on \
                  /dev/vda: Input/output error (os error 5)";
    scene.news(ReceiverEvent::Failed {
        reason: reason.to_owned(),
        is_fatal,
    });
}

#[test]
fn a_failure_tells_why_and_what_to_try() {
    let mut scene = receiving();
    scene.learn(scene::log(
        3,
        "blk_update_request: I/O error, dev vda, sector 2048",
    ));
    failed(&mut scene, false);
    assert_eq!(scene.wizard.screen(), Screen::Failed);
    scene.golden("failed");
    scene.learn(Fact::Missing(vec![
        "no driver: network device 8086:15f3 at 0000:02:00.0".to_owned(),
        "missing firmware: iwlwifi-ty-a0-gf-a0-72.ucode".to_owned(),
    ]));
    scene.golden("failed-missing");
    scene.news(inviting(&disk("/dev/vda", "A1B2C3D4", BLANK)));
    assert_eq!(scene.wizard.screen(), Screen::Failed);
    assert_eq!(scene.press(Key::Enter), []);
    assert_eq!(scene.wizard.screen(), Screen::Code);
}

#[test]
fn what_no_donor_can_help_with_leads_to_a_restart() {
    let mut scene = invited();
    failed(&mut scene, true);
    scene.golden("failed-fatal");
    scene.press(Key::Enter);
    assert_eq!(scene.write("y"), [Order::Reboot]);
    // On a Linux that runs, the program ends.
    let mut scene = invited();
    scene.learn(Fact::Machine(Machine {
        owns_power: false,
        ..scene::machine()
    }));
    failed(&mut scene, true);
    assert_eq!(scene.press(Key::Enter), [Order::Leave]);
}

fn network(ssid: &str, security: Security, signal_dbm: i32) -> Network {
    Network {
        ssid: Ssid::new(ssid.as_bytes()).unwrap(),
        security,
        signal_dbm,
        frequency_mhz: 2437,
    }
}

fn report(state: State) -> Report {
    Report {
        interface: "wlan0".to_owned(),
        state,
        networks: vec![
            network("lab", Security::Wpa2Wpa3, -41),
            network("Café au lait", Security::Wpa3, -60),
            network("guests", Security::Open, -72),
            network("old printer", Security::Unsupported, -79),
            network("neighbour", Security::Wpa2, -88),
        ],
    }
}

fn ssid(name: &str) -> Ssid {
    Ssid::new(name.as_bytes()).unwrap()
}

/// On the Wi-Fi screen, with one card.
fn wifi(state: State) -> Scene {
    let mut scene = Scene::new();
    scene.disks(&[disk("/dev/vda", "A1B2C3D4", BLANK)]);
    scene.learn(Fact::Nic(scene::wifi_nic("wlan0")));
    scene.learn(Fact::Wifi(report(state)));
    scene.keys(&[Key::Enter, Key::Enter, Key::Enter]);
    assert_eq!(scene.wizard.screen(), Screen::Network);
    scene.press(Key::Char('w'));
    assert_eq!(scene.wizard.screen(), Screen::Wifi);
    scene.orders.clear();
    scene
}

fn join(name: &str, passphrase: Option<&str>, is_hidden: bool) -> Order {
    Order::WifiJoin(Join {
        interface: "wlan0".to_owned(),
        ssid: ssid(name),
        passphrase: passphrase.map(str::to_owned),
        is_hidden,
    })
}

#[test]
fn a_network_is_joined_with_its_passphrase() {
    let mut scene = wifi(State::Idle);
    scene.golden("wifi");
    assert_eq!(scene.write("s"), [Order::WifiScan("wlan0".to_owned())]);
    scene.press(Key::Enter);
    scene.write("sesame");
    scene.golden("wifi-passphrase");
    assert!(!scene.shows("sesame"));
    assert_eq!(scene.press(Key::Enter), []);
    assert!(scene.shows("has 8 to 63 characters, this one has 6:"));
    scene.press(Key::Tab);
    scene.golden("wifi-too-short");
    assert!(scene.shows("sesame"));
    scene.write("-open");
    let expected = join("lab", Some("sesame-open"), false);
    assert_eq!(scene.press(Key::Enter), [expected]);
    // Nothing of it is kept.
    scene.press(Key::Enter);
    scene.press(Key::Tab);
    assert!(!scene.shows("sesame"));
}

#[test]
fn a_network_may_ask_nothing_or_too_much() {
    let mut scene = wifi(State::Idle);
    scene.keys(&[Key::Down, Key::Down]);
    assert_eq!(scene.press(Key::Enter), [join("guests", None, false)]);
    scene.press(Key::Down);
    assert_eq!(scene.press(Key::Enter), []);
    scene.golden("wifi-unsupported");
}

#[test]
fn a_hidden_network_is_named() {
    let mut scene = wifi(State::Idle);
    scene.press(Key::Char('h'));
    assert_eq!(scene.press(Key::Enter), []);
    assert!(scene.shows("1 to 32 bytes"));
    scene.write("Käsekästchen");
    scene.golden("wifi-hidden");
    scene.press(Key::Enter);
    scene.write("correct horse");
    let expected = join("Käsekästchen", Some("correct horse"), true);
    assert_eq!(scene.press(Key::Enter), [expected]);
    // 17 characters of two bytes each.
    scene.press(Key::Char('h'));
    scene.write(&"ä".repeat(17));
    scene.press(Key::Enter);
    assert!(scene.shows("1 to 32 bytes"));
    // Open ones hide as well.
    scene.press(Key::Ctrl('u'));
    scene.write("den");
    assert_eq!(
        scene.keys(&[Key::Enter, Key::Enter]),
        [join("den", None, true)]
    );
}

#[test]
fn every_reason_for_a_failure_is_told() {
    for (failure, name) in [
        (Failure::WrongPassphrase, "passphrase"),
        (Failure::NotFound, "not-found"),
        (Failure::NoReply, "no-reply"),
        (
            Failure::Unsupported("SAE with H2E only".to_owned()),
            "unsupported-mode",
        ),
        (Failure::Lost, "lost"),
    ] {
        let scene = wifi(State::Failed(ssid("lab"), failure));
        scene.golden(&format!("wifi-failed-{name}"));
    }
    for (state, name) in [
        (State::Scanning, "wifi-scanning"),
        (State::Joining(ssid("lab")), "wifi-joining"),
        (State::Joined(ssid("lab")), "wifi-joined"),
    ] {
        wifi(state).golden(name);
    }
}

#[test]
fn a_network_that_was_joined_is_left_or_kept() {
    let mut scene = wifi(State::Joined(ssid("lab")));
    assert_eq!(scene.write("l"), [Order::WifiLeave("wlan0".to_owned())]);
    assert_eq!(scene.press(Key::Enter), []);
    assert_eq!(scene.wizard.screen(), Screen::Network);
}

#[test]
fn the_selected_network_stays_selected_when_others_come() {
    let mut scene = wifi(State::Idle);
    scene.keys(&[Key::Down, Key::Down]);
    let mut next = report(State::Idle);
    next.networks.reverse();
    for number in 0..40 {
        let name = format!("net {number}");
        next.networks.insert(0, network(&name, Security::Wpa2, -30));
    }
    scene.learn(Fact::Wifi(next));
    scene.golden("wifi-many");
    assert_eq!(scene.press(Key::Enter), [join("guests", None, false)]);
}

#[test]
fn each_of_two_cards_has_its_turn() {
    let mut scene = wifi(State::Idle);
    scene.learn(Fact::Wifi(Report {
        interface: "wlan1".to_owned(),
        state: State::Idle,
        networks: vec![],
    }));
    scene.press(Key::Tab);
    scene.golden("wifi-second-card");
    assert_eq!(
        scene.press(Key::Enter),
        [Order::WifiScan("wlan1".to_owned())]
    );
    scene.press(Key::Tab);
    assert_eq!(scene.write("s"), [Order::WifiScan("wlan0".to_owned())]);
    // The card is pulled out while its passphrase is typed.
    scene.press(Key::Enter);
    scene.learn(Fact::NicGone("wlan0".to_owned()));
    scene.learn(Fact::NicGone("wlan1".to_owned()));
    scene.write("longenough");
    assert_eq!(scene.press(Key::Enter), []);
    scene.golden("wifi-no-card");
}
