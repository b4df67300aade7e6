//! The networks that a supplicant has heard: pages of its answer to `BSS RANGE=` in, networks out.
//!
//! `SCAN_RESULTS` ends after 4096 bytes, which is some forty access points, and not the strongest;
//! `BSS RANGE=` goes on where it ended. An entry is lines of `key=value` and ends with `====`, the
//! last of all with `####` (`wpa_supplicant/ctrl_iface.c`, `print_bss_info`). Everything in it was
//! said by strangers: names are any bytes, and there may be thousands of them.

use crate::report::{Network, Security, Ssid};

/// `WPA_BSS_MASK_` ID, FREQ, LEVEL, FLAGS, SSID and DELIM (`src/common/wpa_ctrl.h`).
const MASK: &str = "21885";
/// A page has some thirty entries.
const PAGES_MAX: u32 = 64;
/// More do not fit on any screen.
const NETWORKS_MAX: usize = 256;

/// Entries read so far.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    networks: Vec<Network>,
    next_id: u32,
    pages: u32,
}

impl Listing {
    /// Asks for the next page.
    pub(crate) fn question(&self) -> String {
        format!("BSS RANGE={}- MASK={MASK}", self.next_id)
    }

    /// Takes a page; true when that was the last one.
    pub(crate) fn add(&mut self, page: &[u8]) -> bool {
        let mut entry = Entry::default();
        let (mut is_last, mut has_more) = (false, false);
        for line in page.split(|byte| *byte == b'\n') {
            if !matches!(line, b"====" | b"####") {
                entry.read(line);
                continue;
            }
            is_last = line == b"####";
            let entry = std::mem::take(&mut entry);
            // Numbers only grow: after an answer in which they do not, asking would never end.
            if let Some(id) = entry.id.filter(|id| *id >= self.next_id) {
                self.next_id = id.saturating_add(1);
                has_more = true;
            }
            if let Some(network) = entry.network() {
                self.merge(network);
            }
        }
        self.pages = self.pages.saturating_add(1);
        is_last || !has_more || self.pages >= PAGES_MAX
    }

    /// The strongest first.
    pub(crate) fn networks(mut self) -> Vec<Network> {
        self.networks.sort_by(|one, other| {
            let by_signal = other.signal_dbm.cmp(&one.signal_dbm);
            by_signal.then_with(|| one.ssid.cmp(&other.ssid))
        });
        self.networks
    }

    fn merge(&mut self, new: Network) {
        let Some(known) = self.networks.iter_mut().find(|one| one.ssid == new.ssid) else {
            if self.networks.len() < NETWORKS_MAX {
                self.networks.push(new);
            }
            return;
        };
        let security = both(known.security, new.security);
        if new.signal_dbm > known.signal_dbm {
            *known = new;
        }
        known.security = security;
    }
}

/// The security of access points that share one name. One that asks less must not make a
/// person send more: an open one beside protected ones is not meant by that name.
const fn both(one: Security, other: Security) -> Security {
    use Security::{Open, Unsupported, Wpa2, Wpa2Wpa3, Wpa3};
    match (one, other) {
        (Wpa2, Wpa2) => Wpa2,
        (Wpa3, Wpa3) => Wpa3,
        (Wpa2 | Wpa3 | Wpa2Wpa3, Wpa2 | Wpa3 | Wpa2Wpa3) => Wpa2Wpa3,
        (Open, other) | (other, Open) => other,
        (Unsupported, other) | (other, Unsupported) => other,
    }
}

/// One access point.
#[derive(Debug, Default)]
struct Entry {
    id: Option<u32>,
    frequency_mhz: Option<u32>,
    signal_dbm: Option<i32>,
    /// None when it is no access point.
    security: Option<Security>,
    ssid: Option<Ssid>,
}

impl Entry {
    fn read(&mut self, line: &[u8]) {
        let Some((key, value)) = str::from_utf8(line)
            .ok()
            .and_then(|line| line.split_once('='))
        else {
            return;
        };
        match key {
            "id" => self.id = value.parse().ok(),
            "freq" => self.frequency_mhz = value.parse().ok(),
            "level" => self.signal_dbm = value.parse().ok(),
            "flags" => self.security = security(value),
            "ssid" => self.ssid = unescape(value).and_then(|name| Ssid::new(&name)),
            _ => {}
        }
    }

    fn network(self) -> Option<Network> {
        // One that hides its name sends none, or as many zeros as it has bytes.
        let ssid = self
            .ssid
            .filter(|ssid| ssid.as_bytes() != [0].repeat(ssid.as_bytes().len()));
        Some(Network {
            ssid: ssid?,
            security: self.security?,
            signal_dbm: self.signal_dbm?,
            frequency_mhz: self.frequency_mhz?,
        })
    }
}

/// Of `[WPA2-PSK+SAE-CCMP][ESS]` and the like (`wpa_supplicant_ie_txt`); none when that is no
/// access point.
fn security(flags: &str) -> Option<Security> {
    let flags = || flags.split(['[', ']']).filter(|flag| !flag.is_empty());
    if !flags().any(|flag| flag == "ESS") || flags().any(|flag| flag == "MESH") {
        return None;
    }
    let Some(rsn) = flags().find_map(|flag| flag.strip_prefix("WPA2-")) else {
        let is_other =
            |flag: &str| flag == "WEP" || flag.starts_with("WPA-") || flag.starts_with("OSEN-");
        return Some(match flags().any(is_other) {
            true => Security::Unsupported,
            false => Security::Open,
        });
    };
    let has = |wanted: &str| rsn.split(['-', '+']).any(|word| word == wanted);
    Some(match (has("PSK"), has("SAE"), has("CCMP")) {
        (true, true, true) => Security::Wpa2Wpa3,
        (true, false, true) => Security::Wpa2,
        (false, true, true) => Security::Wpa3,
        _ => Security::Unsupported,
    })
}

/// Undoes `printf_encode` (`src/utils/common.c`).
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next()? {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'e' => 0x1b,
                b'x' => {
                    let mut digit = || char::from(rest.next()?).to_digit(16);
                    let (high, low) = (digit()?, digit()?);
                    u8::try_from(high << 4 | low).ok()?
                }
                same @ (b'"' | b'\\') => same,
                _ => return None,
            },
            byte => byte,
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
