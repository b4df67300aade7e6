//! Untrusted input of `serve-boot`: an HTTP question, the answer of a DHCP server, a line of
//! dnsmasq's log with their words in it. No panic, a range lies within its file, and a name comes
//! out as it went in.
#![no_main]

use bootserver::dhcp_probe::{offer, question};
use bootserver::dnsmasq::line::{Reader, Said};
use bootserver::http::request::{Request, part};
use libfuzzer_sys::fuzz_target;

const MAC: [u8; 6] = [0x52, 0x54, 0, 9, 0, 1];

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rest)) = bytes.split_first() else {
        return;
    };
    match choice % 3 {
        0 => http(rest),
        1 => dhcp(rest),
        _ => log(rest),
    }
});

fn http(bytes: &[u8]) {
    let Ok(request) = Request::parse(bytes) else {
        return;
    };
    assert!(!request.name.starts_with('/') && !request.name.contains(['?', '#']));
    for len in [0, 1, 1000, u64::MAX] {
        if let Some((first, count)) = request.range.and_then(|range| part(range, len)) {
            assert!(count > 0 && first.checked_add(count).is_some_and(|end| end <= len));
        }
    }
}

/// The number of the question and the hardware address are put right, or no answer would ever be
/// ours.
fn dhcp(bytes: &[u8]) {
    let asked = question(MAC, 7);
    let mut answer = bytes.to_vec();
    if let (Some(to), Some(from)) = (answer.get_mut(4..8), asked.get(4..8)) {
        to.copy_from_slice(from);
    }
    if let (Some(to), Some(from)) = (answer.get_mut(28..34), asked.get(28..34)) {
        to.copy_from_slice(from);
    }
    let _ = offer(&answer, &asked);
}

fn log(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut reader = Reader::new("/run/x/files/".to_owned());
    for line in text.lines() {
        if let Said::Event(event) = reader.read(line) {
            assert!(!event.to_string().contains(char::is_control), "{event:?}");
        }
    }
}
