//! Cards, their supplicants and a person's wishes, as PID 1 has them; the supplicant is
//! `supplicant.py`.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use wifi::known::{self, Known};
use wifi::{Failure, Handle, Join, Place, Report, Security, Ssid, State, Told, WifiError};

const LIMIT: Duration = Duration::from_secs(60);

/// A machine with one card and an air.
struct World {
    directory: PathBuf,
    radio: Option<Handle>,
    told: Receiver<Told>,
}

fn fake(command: &mut Command) -> std::io::Result<Child> {
    assert_eq!(command.get_program(), "/sbin/wpa_supplicant");
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/supplicant.py");
    let mut fake = Command::new("python3");
    fake.arg(program).args(command.get_args());
    fake.stdout(std::process::Stdio::piped());
    fake.spawn()
}

fn hopeless(_: &mut Command) -> std::io::Result<Child> {
    Command::new("/bin/sh")
        .args(["-c", "echo; echo 'nl80211: no such driver'; exit 1"])
        .stdout(std::process::Stdio::piped())
        .spawn()
}

impl World {
    fn new(name: &str, air: &str, spawn: wifi::Spawn) -> Self {
        Self::knowing(None, name, air, spawn)
    }

    fn knowing(known: Option<Known>, name: &str, air: &str, spawn: wifi::Spawn) -> Self {
        let directory = std::env::temp_dir().join(format!("wifi-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        let card = directory.join("net/wlan0");
        fs::create_dir_all(&card).unwrap();
        fs::write(card.join("type"), "1\n").unwrap();
        fs::write(card.join("uevent"), "DEVTYPE=wlan\n").unwrap();
        fs::write(directory.join("air.json"), air).unwrap();
        let place = Place {
            cards: directory.join("net"),
            program: "/sbin/wpa_supplicant".into(),
            directory: directory.join("run"),
            spawn,
            known,
        };
        let (tell, told) = mpsc::channel();
        let radio = wifi::start(place, move |news| {
            let _ = tell.send(news); // the test is over
        });
        let world = Self {
            directory,
            radio: Some(radio.unwrap()),
            told,
        };
        assert!(matches!(world.next(), Told::Found(name) if name == "wlan0"));
        world
    }

    fn radio(&self) -> &Handle {
        self.radio.as_ref().unwrap()
    }

    fn next(&self) -> Told {
        self.told.recv_timeout(LIMIT).unwrap()
    }

    /// Reports until one has this state.
    fn until(&self, wanted: &State) -> Report {
        loop {
            match self.next() {
                Told::Report(report) if report.state == *wanted => return report,
                Told::Report(_) => {}
                told => panic!("{told:?}"),
            }
        }
    }

    fn join(&self, name: &[u8], passphrase: Option<&str>) -> Ssid {
        let ssid = Ssid::new(name).unwrap();
        self.radio().join(Join {
            interface: "wlan0".to_owned(),
            ssid: ssid.clone(),
            passphrase: passphrase.map(str::to_owned),
            is_hidden: false,
        });
        ssid
    }

    /// A word to the fake.
    fn test(&self, word: &str) {
        let link = UnixDatagram::unbound().unwrap();
        let path = self.directory.join("run/wlan0");
        link.send_to(format!("TEST {word}").as_bytes(), path)
            .unwrap();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.radio = None;
        // The thread drops what it tells with when it ends.
        while self.told.recv_timeout(LIMIT).is_ok() {}
        let _ = fs::remove_dir_all(&self.directory);
    }
}

const AIR: &str = r#"[
    {"ssid": "70736b", "passphrase": "12345678", "sae": false},
    {"ssid": "736165", "passphrase": "a \"quoted\" one", "sae": true},
    {"ssid": "00ff0a225c", "passphrase": null, "sae": false}
]"#;

#[test]
fn a_person_looks_around_and_joins() {
    let world = World::new("join", AIR, fake);
    world.until(&State::Idle);
    world.radio().scan("wlan0");
    let report = world.until(&State::Idle);
    let seen: Vec<_> = report
        .networks
        .iter()
        .map(|network| (network.ssid.as_bytes(), network.security))
        .collect();
    assert_eq!(
        seen,
        [
            (&b"psk"[..], Security::Wpa2),
            (b"sae", Security::Wpa3),
            (b"\x00\xff\n\"\\", Security::Open),
        ]
    );
    for (name, passphrase) in [
        (&b"psk"[..], Some("12345678")),
        (b"sae", Some("a \"quoted\" one")),
        (b"\x00\xff\n\"\\", None),
    ] {
        let ssid = world.join(name, passphrase);
        world.until(&State::Joined(ssid));
    }
    world.radio().leave("wlan0");
    world.until(&State::Idle);
}

#[test]
fn a_known_network_is_joined_by_itself_and_left_when_told() {
    let known = known::parse(b"ssid=sae\npassphrase=a \"quoted\" one\n").unwrap();
    let ssid = known.ssid.clone();
    let world = World::knowing(Some(known), "known", AIR, fake);
    world.until(&State::Joined(ssid));
    world.radio().leave("wlan0");
    world.until(&State::Idle);
    let ssid = world.join(b"psk", Some("12345678"));
    world.until(&State::Joined(ssid));
}

#[test]
fn failures_have_reasons() {
    let world = World::new("failures", AIR, fake);
    for (name, passphrase, failure) in [
        (&b"psk"[..], "87654321", Failure::WrongPassphrase),
        (b"sae", "87654321", Failure::WrongPassphrase),
        (b"elsewhere", "87654321", Failure::NotFound),
    ] {
        let ssid = world.join(name, Some(passphrase));
        world.until(&State::Failed(ssid, failure));
    }
}

#[test]
fn an_access_point_goes_and_comes_back() {
    let world = World::new("lost", AIR, fake);
    let ssid = world.join(b"psk", Some("12345678"));
    world.until(&State::Joined(ssid.clone()));
    world.test("lose");
    world.until(&State::Failed(ssid.clone(), Failure::Lost));
    world.test("back");
    world.until(&State::Joined(ssid));
}

#[test]
fn a_supplicant_that_dies_is_started_again_and_joins_again() {
    let world = World::new("dies", AIR, fake);
    let ssid = world.join(b"psk", Some("12345678"));
    world.until(&State::Joined(ssid.clone()));
    world.test("die");
    let trouble = std::iter::repeat_with(|| world.next()).find_map(|told| match told {
        Told::Trouble { error, .. } => Some(error),
        _ => None,
    });
    // Its socket may be seen to close before its end is.
    assert!(matches!(
        trouble,
        Some(WifiError::Ended { .. } | WifiError::Talking(_))
    ));
    world.until(&State::Failed(ssid.clone(), Failure::Lost));
    world.until(&State::Joined(ssid));
}

#[test]
fn a_supplicant_that_cannot_work_is_tried_later_each_time() {
    let world = World::new("hopeless", AIR, hopeless);
    for seconds in [1, 2, 4] {
        let Told::Trouble {
            interface,
            error,
            again,
        } = world.next()
        else {
            panic!("no trouble");
        };
        assert_eq!(
            (interface.as_str(), again),
            ("wlan0", Duration::from_secs(seconds))
        );
        let WifiError::Ended { words } = error else {
            panic!("{error}");
        };
        assert_eq!(words, "nl80211: no such driver");
    }
}

#[test]
fn many_networks_come_in_many_answers() {
    let points: Vec<_> = (1..=200)
        .map(|number| format!(r#"{{"ssid": "{number:08x}", "passphrase": null, "sae": false}}"#))
        .collect();
    let world = World::new("many", &format!("[{}]", points.join(",")), fake);
    world.until(&State::Idle);
    world.radio().scan("wlan0");
    assert_eq!(world.until(&State::Idle).networks.len(), 200);
}

/// The real one, without a card: whether it takes everything that we say.
#[test]
#[ignore = "needs wpa_supplicant and root"]
fn the_real_supplicant_takes_our_words() {
    fn real(command: &mut Command) -> std::io::Result<Child> {
        let mut real = Command::new(command.get_program());
        let arguments: Vec<_> = command.get_args().map(|word| word.to_os_string()).collect();
        let words = arguments.iter().map(|word| match word.to_str() {
            Some("wlan0") => "lo".into(),
            Some("nl80211") => "none".into(),
            _ => word.clone(),
        });
        real.args(words)
            .stdout(std::process::Stdio::piped())
            .spawn()
    }
    assert!(Path::new("/sbin/wpa_supplicant").exists());
    let world = World::new("real", AIR, real);
    let socket = world.directory.join("run");
    std::os::unix::fs::symlink("lo", socket.join("wlan0")).unwrap();
    world.until(&State::Idle);
    let ssid = world.join(b"psk", Some("12345678"));
    world.until(&State::Joining(ssid.clone()));
    // No refusal until nobody answers; there is no card.
    world.until(&State::Failed(ssid, Failure::NoReply));
}
