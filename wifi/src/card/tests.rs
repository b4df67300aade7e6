use super::{ANSWER_MAX, Broken, Card, JOIN_MAX, SCAN_MAX};
use crate::report::{Failure, Join, Ssid, State};
use std::time::{Duration, Instant};

/// A card with a supplicant that answers as 2.10 does.
struct Talk {
    card: Card,
    now: Instant,
    /// The commands that it has got.
    said: Vec<String>,
    page: &'static str,
}

const NOTHING: &str = "";
const FOUR: &str = "id=0\nfreq=2412\nlevel=-40\nflags=[WPA2-PSK-CCMP][ESS]\nssid=psk\n====\n\
    id=1\nfreq=2412\nlevel=-41\nflags=[WPA2-SAE-CCMP][ESS]\nssid=sae\n====\n\
    id=2\nfreq=2412\nlevel=-42\nflags=[ESS]\nssid=open\n====\n\
    id=3\nfreq=2412\nlevel=-43\nflags=[WPA2-EAP-CCMP][ESS]\nssid=eap\n####\n";

impl Talk {
    fn new(page: &'static str) -> Self {
        let now = Instant::now();
        let mut card = Card::new("wlan0");
        card.attach(now);
        let mut talk = Self {
            card,
            now,
            said: Vec::new(),
            page,
        };
        talk.settle();
        assert_eq!(talk.said(), ["ATTACH", "SET sae_pwe 2"]);
        assert_eq!(talk.state(), State::Idle);
        talk
    }

    fn settle(&mut self) {
        while let Some(text) = self.card.next(self.now) {
            assert!(self.card.next(self.now).is_none(), "one at a time");
            let answer = match text.as_str() {
                text if text.starts_with("BSS RANGE=") => self.page,
                "ADD_NETWORK" => "7\n",
                _ => "OK\n",
            };
            self.said.push(text.to_string());
            self.card.hear(answer.as_bytes()).unwrap();
        }
    }

    fn event(&mut self, text: &str) {
        self.card.hear(format!("<3>{text}").as_bytes()).unwrap();
        self.settle();
    }

    fn said(&mut self) -> Vec<String> {
        std::mem::take(&mut self.said)
    }

    /// The new state.
    fn state(&mut self) -> State {
        let report = self.card.report().unwrap();
        assert!(self.card.report().is_none(), "news only once");
        report.state
    }

    fn join(&mut self, name: &str, passphrase: Option<&str>) {
        self.card.join(join(name, passphrase), self.now);
        self.settle();
    }

    fn pass(&mut self, time: Duration) -> Result<(), Broken> {
        self.now += time;
        self.card.expire(self.now)
    }
}

fn ssid(name: &str) -> Ssid {
    Ssid::new(name.as_bytes()).unwrap()
}

fn join(name: &str, passphrase: Option<&str>) -> Join {
    Join {
        interface: "wlan0".to_owned(),
        ssid: ssid(name),
        passphrase: passphrase.map(str::to_owned),
        is_hidden: false,
    }
}

fn failed(name: &str, failure: Failure) -> State {
    State::Failed(ssid(name), failure)
}

const CONNECTED: &str =
    "CTRL-EVENT-CONNECTED - Connection to 02:00:00:00:00:00 completed [id=7 id_str=]";
const DISCONNECTED: &str =
    "CTRL-EVENT-DISCONNECTED bssid=02:00:00:00:00:00 reason=4 locally_generated=1";
const WRONG_KEY: &str =
    "CTRL-EVENT-SSID-TEMP-DISABLED id=7 ssid=\"psk\" auth_failures=1 duration=10 reason=WRONG_KEY";
const IN_VAIN: &str = "CTRL-EVENT-SSID-TEMP-DISABLED id=7 ssid=\"psk\" auth_failures=1 duration=10 reason=CONN_FAILED";
const NOT_FOUND: &str = "CTRL-EVENT-NETWORK-NOT-FOUND ";

#[test]
fn a_protected_network_is_joined_by_what_it_offers() {
    let mut talk = Talk::new(NOTHING);
    let mut wish = join("a \"b\"", Some("pass \"word\""));
    wish.is_hidden = true;
    talk.card.join(wish, talk.now);
    talk.settle();
    assert_eq!(
        talk.said(),
        [
            "REMOVE_NETWORK all",
            "ADD_NETWORK",
            "SET_NETWORK 7 ssid 6120226222",
            "SET_NETWORK 7 scan_ssid 1",
            "SET_NETWORK 7 proto RSN",
            "SET_NETWORK 7 pairwise CCMP",
            "SET_NETWORK 7 key_mgmt WPA-PSK WPA-PSK-SHA256 SAE",
            "SET_NETWORK 7 ieee80211w 1",
            "SET_NETWORK 7 psk \"pass \"word\"\"",
            "SELECT_NETWORK 7",
        ]
    );
    assert_eq!(talk.state(), State::Joining(ssid("a \"b\"")));
    talk.event(CONNECTED);
    assert_eq!(talk.state(), State::Joined(ssid("a \"b\"")));
    assert_eq!(talk.card.deadline(), None);
}

#[test]
fn an_open_network_is_joined_without_keys() {
    let mut talk = Talk::new(NOTHING);
    talk.join("open", None);
    assert_eq!(
        talk.said(),
        [
            "REMOVE_NETWORK all",
            "ADD_NETWORK",
            "SET_NETWORK 7 ssid 6f70656e",
            "SET_NETWORK 7 key_mgmt NONE",
            "SELECT_NETWORK 7"
        ]
    );
}

#[test]
fn a_person_who_looks_around_gets_a_list_or_the_old_one() {
    let mut talk = Talk::new(FOUR);
    talk.card.scan(talk.now);
    assert_eq!(talk.state(), State::Scanning);
    talk.settle();
    talk.event("CTRL-EVENT-SCAN-STARTED ");
    talk.event("CTRL-EVENT-SCAN-RESULTS ");
    assert_eq!(talk.said(), ["SCAN", "BSS RANGE=0- MASK=21885"]);
    let report = talk.card.report().unwrap();
    assert_eq!((report.state, report.networks.len()), (State::Idle, 4));
    // The supplicant looks around for itself: no news unless something is new.
    talk.event("CTRL-EVENT-SCAN-RESULTS ");
    assert!(talk.card.report().is_none());
    // It is reported to the person in any case.
    for ending in ["CTRL-EVENT-SCAN-RESULTS ", "CTRL-EVENT-SCAN-FAILED ret=-16"] {
        talk.card.scan(talk.now);
        assert_eq!(talk.state(), State::Scanning);
        talk.settle();
        talk.event(ending);
        assert_eq!(talk.state(), State::Idle);
    }
    talk.card.scan(talk.now);
    assert_eq!(talk.state(), State::Scanning);
    talk.settle();
    assert_eq!(talk.card.deadline(), Some(talk.now + SCAN_MAX));
    talk.pass(SCAN_MAX).unwrap();
    assert_eq!(talk.state(), State::Idle);
}

#[test]
fn looking_around_is_no_reason_to_say_less() {
    let mut talk = Talk::new(FOUR);
    talk.join("psk", Some("12345678"));
    talk.event(CONNECTED);
    assert_eq!(talk.state(), State::Joined(ssid("psk")));
    talk.card.scan(talk.now);
    talk.settle();
    assert!(talk.card.report().is_none());
    talk.event("CTRL-EVENT-SCAN-RESULTS ");
    assert_eq!(talk.state(), State::Joined(ssid("psk")));
}

#[test]
fn failures_are_distinguished() {
    let sae =
        "CTRL-EVENT-AUTH-REJECT 02:00:00:00:00:00 auth_type=3 auth_transaction=2 status_code=15";
    let cipher = "CTRL-EVENT-ASSOC-REJECT bssid=02:00:00:00:00:00 status_code=42";
    let refused = || Failure::Unsupported("the access point refuses with status 42".to_owned());
    for (events, expected) in [
        (&[WRONG_KEY][..], Failure::WrongPassphrase),
        (
            &[
                DISCONNECTED,
                "WPA: 4-Way Handshake failed - pre-shared key may be incorrect",
            ],
            Failure::WrongPassphrase,
        ),
        (&[sae, sae, sae, sae, IN_VAIN], Failure::WrongPassphrase),
        (&[NOT_FOUND, NOT_FOUND], Failure::NotFound),
        (&[DISCONNECTED, DISCONNECTED, IN_VAIN], Failure::NoReply),
        (&[cipher], refused()),
    ] {
        let mut talk = Talk::new(NOTHING);
        talk.join("psk", Some("12345678"));
        assert_eq!(talk.state(), State::Joining(ssid("psk")));
        for event in events {
            talk.event(event);
        }
        assert_eq!(talk.state(), failed("psk", expected), "{events:?}");
        // It goes on by itself.
        talk.event(CONNECTED);
        assert_eq!(talk.state(), State::Joined(ssid("psk")));
    }
    let mut talk = Talk::new(NOTHING);
    talk.join("psk", Some("12345678"));
    assert_eq!(talk.state(), State::Joining(ssid("psk")));
    for event in [
        NOT_FOUND,
        "CTRL-EVENT-ASSOC-REJECT status_code=17",
        DISCONNECTED,
    ] {
        talk.event(event);
        assert!(talk.card.report().is_none(), "{event} alone means nothing");
    }
    talk.pass(JOIN_MAX).unwrap();
    assert_eq!(talk.state(), failed("psk", Failure::NoReply));
}

#[test]
fn what_cannot_work_is_not_tried() {
    let refused = |talk: &mut Talk| {
        assert!(
            !talk
                .said()
                .iter()
                .any(|text| text.starts_with("ADD") || text.starts_with("SELECT"))
        );
        talk.state()
    };
    let mut talk = Talk::new(FOUR);
    talk.card.scan(talk.now);
    talk.settle();
    talk.event("CTRL-EVENT-SCAN-RESULTS ");
    talk.said();
    talk.join("eap", Some("12345678"));
    assert!(matches!(
        refused(&mut talk),
        State::Failed(_, Failure::Unsupported(_))
    ));
    talk.join("sae", None);
    assert!(matches!(
        refused(&mut talk),
        State::Failed(_, Failure::Unsupported(_))
    ));
    talk.join("psk", Some("short"));
    assert_eq!(refused(&mut talk), failed("psk", Failure::WrongPassphrase));
    talk.join("psk", Some("12345678\nSET_NETWORK 7 x"));
    assert_eq!(refused(&mut talk), failed("psk", Failure::WrongPassphrase));
}

#[test]
fn a_network_that_is_lost_is_lost_until_it_is_back() {
    let mut talk = Talk::new(NOTHING);
    talk.join("psk", Some("12345678"));
    talk.event(CONNECTED);
    talk.state();
    talk.event(DISCONNECTED);
    assert_eq!(talk.state(), failed("psk", Failure::Lost));
    for event in [NOT_FOUND, NOT_FOUND, NOT_FOUND, IN_VAIN, DISCONNECTED] {
        talk.event(event);
        assert!(talk.card.report().is_none(), "{event}");
    }
    talk.event(CONNECTED);
    assert_eq!(talk.state(), State::Joined(ssid("psk")));
}

#[test]
fn a_new_supplicant_gets_the_network_again() {
    let mut talk = Talk::new(NOTHING);
    talk.join("psk", Some("12345678"));
    talk.event(CONNECTED);
    talk.state();
    let told = talk.said();
    talk.card.detach();
    assert_eq!(talk.state(), failed("psk", Failure::Lost));
    assert!(talk.card.next(talk.now).is_none(), "there is nobody");
    talk.card.attach(talk.now);
    talk.settle();
    assert_eq!(talk.said()[2..], told);
    assert_eq!(
        talk.state(),
        failed("psk", Failure::Lost),
        "said again, not changed"
    );
    talk.event(CONNECTED);
    assert_eq!(talk.state(), State::Joined(ssid("psk")));
}

#[test]
fn the_last_wish_counts() {
    let mut talk = Talk::new(NOTHING);
    talk.card.join(join("one", None), talk.now);
    talk.card.join(join("two", None), talk.now);
    // Messages about the one before.
    talk.card
        .hear(format!("<3>{CONNECTED}").as_bytes())
        .unwrap();
    assert_eq!(talk.state(), State::Joining(ssid("two")));
    talk.settle();
    assert!(
        !talk
            .said()
            .contains(&"SET_NETWORK 7 ssid 6f6e65".to_owned())
    );
    talk.event(CONNECTED);
    assert_eq!(talk.state(), State::Joined(ssid("two")));
    talk.card.leave();
    talk.settle();
    assert_eq!(talk.said(), ["REMOVE_NETWORK all"]);
    assert_eq!(talk.state(), State::Idle);
    for event in [DISCONNECTED, CONNECTED, WRONG_KEY, NOT_FOUND] {
        talk.event(event);
        assert!(talk.card.report().is_none(), "{event}");
    }
}

#[test]
fn a_supplicant_that_refuses_or_is_silent_is_not_waited_for() {
    let now = Instant::now();
    let mut card = Card::new("wlan0");
    card.attach(now);
    assert_eq!(card.next(now).unwrap().as_str(), "ATTACH");
    assert_eq!(card.deadline(), Some(now + ANSWER_MAX));
    assert_eq!(card.expire(now), Ok(()));
    assert_eq!(card.expire(now + ANSWER_MAX), Err(Broken::Silent));
    assert_eq!(card.hear(b"FAIL\n"), Err(Broken::NotAttached));
    assert_eq!(
        card.hear(b"<3>CTRL-EVENT-TERMINATING "),
        Err(Broken::Terminating)
    );

    for (refused, reason) in [
        ("ADD_NETWORK", "a network"),
        ("SET_NETWORK 0 key_mgmt NONE", "key_mgmt"),
        ("SELECT_NETWORK 0", "to join"),
    ] {
        let mut card = Card::new("wlan0");
        card.attach(now);
        card.join(join("open", None), now);
        while let Some(text) = card.next(now) {
            let answer: &[u8] = match text.as_str() {
                text if text == refused => b"FAIL\n",
                "ADD_NETWORK" => b"0\n",
                _ => b"OK\n",
            };
            card.hear(answer).unwrap();
        }
        let reason = format!("the supplicant refuses {reason}");
        assert_eq!(
            card.report().unwrap().state,
            failed("open", Failure::Unsupported(reason))
        );
    }
}

#[test]
fn nothing_prints_a_passphrase() {
    let mut talk = Talk::new(NOTHING);
    talk.card.join(join("psk", Some("do not show")), talk.now);
    assert!(!format!("{:?}", talk.card).contains("do not"));
    assert!(!format!("{:?}", talk.card.report()).contains("do not"));
}
