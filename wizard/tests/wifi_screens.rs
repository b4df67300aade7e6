//! The Wi-Fi screen: pictures of every state, and the commands that it sends.

#![allow(clippy::unwrap_used, clippy::panic)] // a failure here is a failed test

mod scene;

use scene::{BLANK, Scene, disk};
use wifi::{Failure, Join, Network, Report, Security, Ssid, State};
use wizard::{Command, Key, MachineEvent, Screen};

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
    scene.learn(MachineEvent::Nic(scene::wifi_nic("wlan0")));
    scene.learn(MachineEvent::Wifi(report(state)));
    scene.keys(&[Key::Enter, Key::Enter, Key::Enter]);
    assert_eq!(scene.wizard.screen(), Screen::Network);
    scene.press(Key::Char('w'));
    assert_eq!(scene.wizard.screen(), Screen::Wifi);
    scene.commands.clear();
    scene
}

fn join(name: &str, passphrase: Option<&str>, is_hidden: bool) -> Command {
    Command::WifiJoin(Join {
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
    assert_eq!(scene.write("s"), [Command::WifiScan("wlan0".to_owned())]);
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
fn every_reason_for_a_failure_is_shown() {
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
    assert_eq!(scene.write("l"), [Command::WifiLeave("wlan0".to_owned())]);
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
    scene.learn(MachineEvent::Wifi(next));
    scene.golden("wifi-many");
    assert_eq!(scene.press(Key::Enter), [join("guests", None, false)]);
}

#[test]
fn each_of_two_cards_has_its_turn() {
    let mut scene = wifi(State::Idle);
    scene.learn(MachineEvent::Wifi(Report {
        interface: "wlan1".to_owned(),
        state: State::Idle,
        networks: vec![],
    }));
    scene.press(Key::Tab);
    scene.golden("wifi-second-card");
    assert_eq!(
        scene.press(Key::Enter),
        [Command::WifiScan("wlan1".to_owned())]
    );
    scene.press(Key::Tab);
    assert_eq!(scene.write("s"), [Command::WifiScan("wlan0".to_owned())]);
    // The card is pulled out while its passphrase is typed.
    scene.press(Key::Enter);
    scene.learn(MachineEvent::NicGone("wlan0".to_owned()));
    scene.learn(MachineEvent::NicGone("wlan1".to_owned()));
    scene.write("longenough");
    assert_eq!(scene.press(Key::Enter), []);
    scene.golden("wifi-no-card");
}
