//! The reports of a Wi-Fi card and its orders, as values.

use std::fmt;

/// Longest name of a network, in bytes (IEEE 802.11-2020 9.4.2.2).
pub const SSID_MAX: usize = 32;

/// The name of a network: up to [`SSID_MAX`] bytes of any value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ssid(Vec<u8>);

impl Ssid {
    /// `None` when it is empty or too long.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (1..=SSID_MAX)
            .contains(&bytes.len())
            .then(|| Self(bytes.to_vec()))
    }

    /// As sent over the air.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// For a screen: nothing that a terminal would act upon.
impl fmt::Display for Ssid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in String::from_utf8_lossy(&self.0).chars() {
            if char.is_control() {
                write!(f, "{}", char.escape_default())?;
            } else {
                write!(f, "{char}")?;
            }
        }
        Ok(())
    }
}

/// The security of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// Nothing.
    Open,
    /// A passphrase, by WPA2-Personal.
    Wpa2,
    /// A passphrase, by WPA3-Personal (SAE) only.
    Wpa3,
    /// A passphrase, by either.
    Wpa2Wpa3,
    /// Unsupported here: WEP, the first WPA, 802.1X.
    Unsupported,
}

/// A network within reach; of several access points with one name the strongest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// The name that its access points announce.
    pub ssid: Ssid,
    /// Its security.
    pub security: Security,
    /// In dBm, about -90 to -30.
    pub signal_dbm: i32,
    /// In MHz.
    pub frequency_mhz: u32,
}

/// The network to join.
#[derive(Clone, PartialEq, Eq)]
pub struct Join {
    /// The card.
    pub interface: String,
    /// The network.
    pub ssid: Ssid,
    /// None for an open network.
    pub passphrase: Option<String>,
    /// It does not announce its name.
    pub is_hidden: bool,
}

/// Without the passphrase.
impl fmt::Debug for Join {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Join")
            .field("interface", &self.interface)
            .field("ssid", &self.ssid)
            .field("is_hidden", &self.is_hidden)
            .finish_non_exhaustive()
    }
}

/// Where a card is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It belongs to no network.
    Idle,
    /// It looks around.
    Scanning,
    /// It is being let in.
    Joining(Ssid),
    /// It belongs to one and can be used.
    Joined(Ssid),
    /// It does not, and why.
    Failed(Ssid, Failure),
}

/// Why a network was not joined, or is no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The access point does not accept the passphrase.
    WrongPassphrase,
    /// No access point of that name answers.
    NotFound,
    /// The access point does not answer, or let us go.
    NoReply,
    /// The network wants what this card or the supplicant cannot do.
    Unsupported(String),
    /// Joined before; the access point is out of reach now. It is looked for.
    Lost,
}

/// News of one card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// `wlan0`.
    pub interface: String,
    /// Where it is.
    pub state: State,
    /// The networks of its last scan, the strongest first.
    pub networks: Vec<Network>,
}
