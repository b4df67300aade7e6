//! The unsolicited messages of a supplicant (`src/common/wpa_ctrl.h`, `WPA_EVENT_`): a datagram
//! in, an event out.
//!
//! Two of them mean a wrong passphrase. With a pre-shared key the access point lets us go during
//! the handshake: `CTRL-EVENT-SSID-TEMP-DISABLED … reason=WRONG_KEY`. With SAE it refuses the
//! second message of the exchange:
//! `CTRL-EVENT-AUTH-REJECT … auth_type=3 auth_transaction=2 status_code=15` (IEEE 802.11-2020
//! 12.4.7.6).

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// There is something new to list.
    ScanResults,
    /// It could not look around.
    ScanFailed,
    /// We belong to a network, and its keys are ours.
    Connected,
    /// Not any more.
    Disconnected,
    /// It has looked around and not seen what it is to join.
    NotFound,
    /// The access point knows another passphrase.
    WrongPassphrase,
    /// It has tried several times and rests.
    TriedInVain,
    /// The access point does not want us, for this reason (IEEE 802.11-2020 9.4.1.9).
    Rejected(u16),
    /// It ends.
    Terminating,
    /// Not for us.
    Other,
}

/// The value of `auth_type=` for SAE.
const SAE: Option<u16> = Some(3);
/// `WLAN_STATUS_CHALLENGE_FAIL`.
const CHALLENGE_FAIL: Option<u16> = Some(15);

/// The text of an event; none when this is an answer.
pub(crate) fn text(datagram: &[u8]) -> Option<&[u8]> {
    let (level, text) = datagram.strip_prefix(b"<")?.split_first_chunk::<2>()?;
    (level.first()?.is_ascii_digit() && level.ends_with(b">")).then_some(text)
}

/// The event in a message.
pub(crate) fn parse(text: &[u8]) -> Event {
    let text = String::from_utf8_lossy(text);
    let text = text.trim_end();
    let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
    match name {
        "CTRL-EVENT-SCAN-RESULTS" => Event::ScanResults,
        "CTRL-EVENT-SCAN-FAILED" => Event::ScanFailed,
        "CTRL-EVENT-CONNECTED" => Event::Connected,
        "CTRL-EVENT-DISCONNECTED" => Event::Disconnected,
        "CTRL-EVENT-NETWORK-NOT-FOUND" => Event::NotFound,
        "CTRL-EVENT-TERMINATING" => Event::Terminating,
        // The name of the network comes before the reason, and may look like one.
        "CTRL-EVENT-SSID-TEMP-DISABLED" => match rest.rsplit_once(" reason=") {
            Some((_, "WRONG_KEY")) => Event::WrongPassphrase,
            _ => Event::TriedInVain,
        },
        "CTRL-EVENT-AUTH-REJECT" => {
            let status = number(rest, "status_code=");
            let is_confirm = number(rest, "auth_transaction=") == Some(2);
            match number(rest, "auth_type=") == SAE && (is_confirm || status == CHALLENGE_FAIL) {
                true => Event::WrongPassphrase,
                false => Event::Rejected(status.unwrap_or_default()),
            }
        }
        // Cards that do SAE by themselves say it here.
        "CTRL-EVENT-ASSOC-REJECT" => match number(rest, "status_code=") {
            CHALLENGE_FAIL => Event::WrongPassphrase,
            status => Event::Rejected(status.unwrap_or_default()),
        },
        "WPA:" if rest.starts_with("4-Way Handshake failed") => Event::WrongPassphrase,
        _ => Event::Other,
    }
}

fn number(text: &str, key: &str) -> Option<u16> {
    let mut words = text.split(' ');
    words.find_map(|word| word.strip_prefix(key)?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::{Event, parse, text};

    #[test]
    fn the_lines_of_wpa_supplicant_2_10_are_understood() {
        for (line, expected) in [
            ("<3>CTRL-EVENT-SCAN-RESULTS ", Event::ScanResults),
            ("<3>CTRL-EVENT-SCAN-RESULTS id=7", Event::ScanResults),
            (
                "<3>CTRL-EVENT-SCAN-FAILED ret=-16 retry=1",
                Event::ScanFailed,
            ),
            (
                "<3>CTRL-EVENT-CONNECTED - Connection to 02:00:00:00:00:00 completed [id=0 id_str=]",
                Event::Connected,
            ),
            (
                "<3>CTRL-EVENT-DISCONNECTED bssid=02:00:00:00:00:00 reason=4 locally_generated=1",
                Event::Disconnected,
            ),
            ("<3>CTRL-EVENT-NETWORK-NOT-FOUND ", Event::NotFound),
            ("<3>CTRL-EVENT-TERMINATING ", Event::Terminating),
            (
                "<3>CTRL-EVENT-SSID-TEMP-DISABLED id=0 ssid=\"a\" auth_failures=1 duration=10 reason=WRONG_KEY",
                Event::WrongPassphrase,
            ),
            (
                "<3>CTRL-EVENT-SSID-TEMP-DISABLED id=0 ssid=\"a reason=WRONG_KEY\" auth_failures=1 duration=10 reason=CONN_FAILED",
                Event::TriedInVain,
            ),
            (
                "<3>CTRL-EVENT-AUTH-REJECT 02:00:00:00:00:00 auth_type=3 auth_transaction=2 status_code=15",
                Event::WrongPassphrase,
            ),
            (
                "<3>CTRL-EVENT-AUTH-REJECT 02:00:00:00:00:00 auth_type=3 auth_transaction=1 status_code=77",
                Event::Rejected(77),
            ),
            (
                "<3>CTRL-EVENT-AUTH-REJECT 02:00:00:00:00:00 auth_type=0 auth_transaction=2 status_code=17 ie=dd00",
                Event::Rejected(17),
            ),
            (
                "<3>CTRL-EVENT-ASSOC-REJECT bssid=02:00:00:00:00:00 status_code=43",
                Event::Rejected(43),
            ),
            (
                "<3>CTRL-EVENT-ASSOC-REJECT status_code=1 timeout=reason",
                Event::Rejected(1),
            ),
            (
                "<4>WPA: 4-Way Handshake failed - pre-shared key may be incorrect",
                Event::WrongPassphrase,
            ),
            (
                "<3>SME: Trying to authenticate with 02:00:00:00:00:00 (SSID='CTRL-EVENT-CONNECTED ' freq=2412 MHz)",
                Event::Other,
            ),
            ("<3>CTRL-EVENT-CONNECTEDX", Event::Other),
            ("<3>", Event::Other),
        ] {
            let said = text(line.as_bytes()).unwrap();
            assert_eq!(parse(said), expected, "{line}");
        }
    }

    #[test]
    fn an_answer_is_no_event() {
        for answer in [
            "OK\n",
            "FAIL\n",
            "0\n",
            "",
            "<",
            "<3",
            "<x>CTRL",
            "id=0\nssid=<3>CTRL\n",
        ] {
            assert_eq!(text(answer.as_bytes()), None, "{answer}");
        }
    }
}
