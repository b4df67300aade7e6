use super::{Listing, NETWORKS_MAX, PAGES_MAX, security, unescape};
use crate::report::{Network, Security, Ssid};

fn entry(id: u32, level: i32, flags: &str, ssid: &str) -> String {
    format!("id={id}\nfreq=2412\nlevel={level}\nflags={flags}\nssid={ssid}\n")
}

fn read(pages: &[&str]) -> Vec<Network> {
    let mut listing = Listing::default();
    for (page, number) in pages.iter().zip(1..) {
        assert_eq!(listing.add(page.as_bytes()), number == pages.len());
    }
    listing.networks()
}

#[test]
fn an_answer_of_wpa_supplicant_2_10_is_read() {
    let networks = read(&[
        "id=0\nfreq=5180\nlevel=-61\nflags=[WPA2-PSK+SAE-CCMP][SAE-H2E][ESS][UTF-8]\nssid=B\\xc3\\xbcro\n====\n\
         id=3\nfreq=2437\nlevel=-48\nflags=[WPA2-SAE-CCMP][ESS]\nssid=a \\\"b\\\"\n====\n\
         id=4\nfreq=2412\nlevel=-30\nflags=[ESS]\nssid=\n####\n",
    ]);
    let network = |ssid: &str, security, signal_dbm, frequency_mhz| Network {
        ssid: Ssid::new(ssid.as_bytes()).unwrap(),
        security,
        signal_dbm,
        frequency_mhz,
    };
    assert_eq!(
        networks,
        [
            network("a \"b\"", Security::Wpa3, -48, 2437),
            network("Büro", Security::Wpa2Wpa3, -61, 5180),
        ]
    );
}

#[test]
fn pages_follow_each_other_until_the_last() {
    let mut listing = Listing::default();
    assert_eq!(listing.question(), "BSS RANGE=0- MASK=21885");
    let page = entry(5, -50, "[ESS]", "a") + "====\n" + &entry(9, -60, "[ESS]", "b") + "====\n";
    assert!(!listing.add(page.as_bytes()));
    assert_eq!(listing.question(), "BSS RANGE=10- MASK=21885");
    assert!(listing.add(b""), "nothing more");
    assert_eq!(listing.networks().len(), 2);

    let mut listing = Listing::default();
    assert!(!listing.add(page.as_bytes()));
    assert!(
        listing.add(page.as_bytes()),
        "the same again is no progress"
    );
    assert_eq!(listing.networks().len(), 2);
}

#[test]
fn a_flood_ends() {
    let mut listing = Listing::default();
    for number in 0.. {
        let page = entry(number, -50, "[ESS]", &number.to_string()) + "====\n";
        if listing.add(page.as_bytes()) {
            assert_eq!(number + 1, PAGES_MAX);
            break;
        }
    }
    let mut listing = Listing::default();
    let flood: String = (0..2000)
        .map(|id| entry(id, -50, "[ESS]", &id.to_string()) + "====\n")
        .collect();
    listing.add(flood.as_bytes());
    assert_eq!(listing.networks().len(), NETWORKS_MAX);
}

#[test]
fn flags_say_what_is_asked() {
    for (flags, expected) in [
        ("[ESS]", Some(Security::Open)),
        ("[ESS][UTF-8]", Some(Security::Open)),
        ("[OWE-TRANS-OPEN][ESS]", Some(Security::Open)),
        ("[WPS][ESS]", Some(Security::Open)),
        ("[WPA2-PSK-CCMP][ESS]", Some(Security::Wpa2)),
        ("[WPA2-PSK-CCMP-preauth][WPS][ESS]", Some(Security::Wpa2)),
        (
            "[WPA-PSK-TKIP][WPA2-PSK-CCMP+TKIP][ESS]",
            Some(Security::Wpa2),
        ),
        (
            "[WPA2-PSK+FT/PSK+PSK-SHA256-CCMP][ESS]",
            Some(Security::Wpa2),
        ),
        ("[WPA2-PSK-SHA256-CCMP][ESS]", Some(Security::Wpa2)),
        ("[WPA2-PSK+SAE-CCMP][ESS]", Some(Security::Wpa2Wpa3)),
        ("[WPA2-SAE-CCMP][SAE-H2E][ESS]", Some(Security::Wpa3)),
        ("[WPA2-SAE-GCMP-256][ESS]", Some(Security::Unsupported)),
        ("[WPA-PSK-TKIP][ESS]", Some(Security::Unsupported)),
        ("[WPA2-PSK-TKIP][ESS]", Some(Security::Unsupported)),
        ("[WPA2-EAP-CCMP][ESS]", Some(Security::Unsupported)),
        (
            "[WPA2-EAP-SUITE-B-192-GCMP-256][ESS]",
            Some(Security::Unsupported),
        ),
        ("[WPA2-OWE-CCMP][ESS]", Some(Security::Unsupported)),
        ("[WPA2--CCMP][OWE-TRANS][ESS]", Some(Security::Unsupported)),
        ("[WPA2-?][ESS]", Some(Security::Unsupported)),
        ("[OSEN-OSEN-CCMP][ESS]", Some(Security::Unsupported)),
        ("[WEP][ESS]", Some(Security::Unsupported)),
        ("[IBSS]", None),
        ("[RSN-SAE-CCMP][MESH]", None),
        ("", None),
    ] {
        assert_eq!(security(flags), expected, "{flags}");
    }
}

#[test]
fn of_several_with_one_name_the_strongest_is_listed() {
    let page = entry(1, -70, "[WPA2-PSK-CCMP][ESS]", "x")
        + "====\n"
        + &entry(2, -40, "[WPA2-PSK-CCMP][ESS]", "x")
        + "====\n"
        + &entry(3, -60, "[WPA2-PSK-CCMP][ESS]", "x")
        + "####\n";
    let networks = read(&[&page]);
    assert_eq!((networks.len(), networks[0].signal_dbm), (1, -40));
}

#[test]
fn an_open_access_point_does_not_pass_for_a_protected_one() {
    for (others, expected) in [
        (["[WPA2-PSK-CCMP][ESS]", "[ESS]"], Security::Wpa2),
        (["[ESS]", "[WPA2-SAE-CCMP][ESS]"], Security::Wpa3),
        (
            ["[WPA2-PSK-CCMP][ESS]", "[WPA2-SAE-CCMP][ESS]"],
            Security::Wpa2Wpa3,
        ),
        (
            ["[WPA2-PSK+SAE-CCMP][ESS]", "[WPA2-SAE-CCMP][ESS]"],
            Security::Wpa2Wpa3,
        ),
        (["[WPA2-EAP-CCMP][ESS]", "[ESS]"], Security::Unsupported),
        (
            ["[WPA2-EAP-CCMP][ESS]", "[WPA2-PSK-CCMP][ESS]"],
            Security::Wpa2,
        ),
    ] {
        let [one, other] = others;
        let page = entry(1, -70, one, "x") + "====\n" + &entry(2, -20, other, "x") + "####\n";
        assert_eq!(read(&[&page])[0].security, expected, "{others:?}");
    }
}

#[test]
fn names_are_any_bytes() {
    assert_eq!(
        unescape(r#"a\"\\\e\n\r\t\x00\xfF "#).unwrap(),
        b"a\"\\\x1b\n\r\t\x00\xff "
    );
    for broken in [r"\", r"\x", r"\x0", r"\xg0", r"\q"] {
        assert_eq!(unescape(broken), None, "{broken}");
    }
    let page = entry(1, -70, "[ESS]", r"\x00\x00\x00")
        + "====\n"
        + &entry(2, -70, "[ESS]", &"x".repeat(33))
        + "====\n"
        + &entry(3, -70, "[ESS]", "flags=[WEP]=")
        + "####\n";
    let networks = read(&[&page]);
    assert_eq!(networks.len(), 1, "a hidden name, and one that is too long");
    assert_eq!(networks[0].ssid.as_bytes(), b"flags=[WEP]=");
}

#[test]
fn every_cut_and_every_changed_byte_is_survived() {
    let page = entry(1, -70, "[WPA2-PSK-CCMP][ESS]", r"x\xff")
        + "====\n"
        + &entry(7, -1, "[ESS]", "y")
        + "####\n";
    for at in 0..page.len() {
        let mut listing = Listing::default();
        listing.add(&page.as_bytes()[..at]);
        let is_whole = at + 1 == page.len(); // but for the end of its last line
        assert_eq!(listing.networks().len() == 2, is_whole);
        for byte in 0..=255 {
            let mut changed = page.clone().into_bytes();
            changed[at] = byte;
            let mut listing = Listing::default();
            listing.add(&changed);
            assert!(listing.networks().len() <= 2);
        }
    }
}
