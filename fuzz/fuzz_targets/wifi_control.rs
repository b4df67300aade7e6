//! Any datagrams from a supplicant between any wishes of a person: no panic, one command at a time,
//! none that says two things, a list that is bounded and sorted, and no report without news. The
//! same bytes as the file of a known network.
//!
//! Pieces ended by a NUL: `s`, `l`, `t` and `d` alone are a scan, leaving, time that passes and a
//! supplicant that dies; what begins with `j` joins the network of that name; all others are heard.
#![no_main]

use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use wifi::card::Card;
use wifi::{Join, Ssid, is_passphrase, known};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(known) = known::parse(bytes) {
        assert!(known.passphrase.as_deref().is_none_or(is_passphrase));
        assert!((1..=32).contains(&known.ssid.as_bytes().len()));
    }
    let mut now = Instant::now();
    let mut card = Card::new("wlan0");
    card.attach(now);
    for piece in bytes.split(|byte| *byte == 0) {
        let is_well = match piece {
            b"s" => Ok(card.scan(now)),
            b"l" => Ok(card.leave()),
            b"d" => Err(()),
            b"t" => {
                now += Duration::from_secs(7);
                card.expire(now).map_err(drop)
            }
            [b'j', name @ ..] => {
                if let Some(ssid) = Ssid::new(name) {
                    // Not every passphrase is one.
                    let passphrase =
                        (name.len() % 3 > 0).then(|| String::from_utf8_lossy(name).into_owned());
                    let interface = "wlan0".to_owned();
                    card.join(
                        Join {
                            interface,
                            ssid,
                            passphrase,
                            is_hidden: name.len() % 2 == 0,
                        },
                        now,
                    );
                }
                Ok(())
            }
            datagram => card.hear(datagram).map_err(drop),
        };
        if is_well.is_err() {
            card.detach();
            assert!(card.next(now).is_none());
            card.attach(now);
        }
        if let Some(command) = card.next(now) {
            assert!(
                !command.contains('\n') && command.len() < 256,
                "{command:?}"
            );
            assert!(card.next(now).is_none());
            assert!(card.deadline().is_some_and(|deadline| deadline > now));
        }
        if let Some(report) = card.report() {
            assert!(report.networks.len() <= 256);
            assert!(
                report
                    .networks
                    .is_sorted_by_key(|network| -i64::from(network.signal_dbm))
            );
            assert!(card.report().is_none());
        }
    }
});
