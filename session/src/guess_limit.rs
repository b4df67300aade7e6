//! How fast a secret may be guessed at (`protocol.md` 3.5). The clock is passed in.
//!
//! In: addresses that want to begin a handshake, wrong guesses and their times. Out: how long an
//! address has to wait for its next handshake, how long the next proof has to wait whose ever it
//! is, and whether the secret has to be replaced.
//!
//! Two levels: an address that guesses wrong pauses, up to [`PAUSE_MAX`], and keeps nobody else out
//! by that. All addresses together guess once in [`PACE`] at most when they have been wrong
//! [`FREE_GUESSES_OF_ALL`] times. It never locks out for good: who could make it do that could keep
//! a machine from being installed.

use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Wrong guesses of an address that cost nothing: people mistype.
pub const FREE_GUESSES: u32 = 3;
/// Wrong guesses after which a secret is to be replaced, of all addresses together.
pub const GUESSES_MAX: u32 = 64;
/// The first pause, after the guess behind the free ones; each further one is twice as long.
pub const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
pub const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Wrong guesses of all addresses that cost the others nothing.
pub const FREE_GUESSES_OF_ALL: u32 = 8;
/// Behind these: between a wrong guess and the next look at a proof. Short, because an honest donor
/// waits for it too.
pub const PACE: Duration = Duration::from_secs(4);
/// Handshakes that an address may begin one after the other; each costs this machine some
/// computing.
pub const BURST: u32 = 16;
/// Then one in this time.
pub const REFILL: Duration = Duration::from_millis(125);

/// Addresses that are remembered. Beyond them the one that was quiet for longest is forgotten; the
/// count of all is not.
const ADDRESSES_MAX: usize = 64;

/// The account of one address.
#[derive(Clone, Copy, Debug)]
struct Account {
    address: IpAddr,
    wrong: u32,
    closed_until: Option<Instant>,
    /// Handshakes that it may begin now.
    credit: u32,
    /// When the credit was last paid.
    paid: Instant,
    /// When it was last heard of.
    seen: Instant,
}

/// Counts the wrong guesses at one credential. A new secret begins with a new one.
#[derive(Clone, Debug, Default)]
pub struct GuessLimit {
    wrong: u32,
    /// Since somebody last proved to know the secret.
    wrong_lately: u32,
    paced_until: Option<Instant>,
    accounts: Vec<Account>,
}

impl GuessLimit {
    /// For a credential that nobody has guessed at.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            wrong: 0,
            wrong_lately: 0,
            paced_until: None,
            accounts: Vec::new(),
        }
    }

    /// How long this address has to wait before it may begin a handshake; zero: not at all.
    #[must_use]
    pub fn wait(&self, address: IpAddr, now: Instant) -> Duration {
        let spent = self
            .account(address)
            .filter(|account| account.credit_at(now) == 0);
        let refilled = spent.and_then(|account| account.paid.checked_add(REFILL));
        self.pause(address, now).max(left(refilled, now))
    }

    /// How long this address has to wait before its proof is looked at.
    #[must_use]
    pub fn pause(&self, address: IpAddr, now: Instant) -> Duration {
        let account = self.account(address);
        left(account.and_then(|account| account.closed_until), now)
    }

    /// How long the next proof has to wait, whose ever it is.
    #[must_use]
    pub fn pace(&self, now: Instant) -> Duration {
        left(self.paced_until, now)
    }

    /// Wrong guesses until now.
    #[must_use]
    pub const fn wrong_guesses(&self) -> u32 {
        self.wrong
    }

    /// Those of one address, as far as it is remembered.
    #[must_use]
    pub fn wrong_guesses_of(&self, address: IpAddr) -> u32 {
        self.account(address).map_or(0, |account| account.wrong)
    }

    /// When this address last began a handshake or guessed, as far as it is remembered.
    #[must_use]
    pub fn last_seen(&self, address: IpAddr) -> Option<Instant> {
        self.account(address).map(|account| account.seen)
    }

    /// Is a secret to be replaced? Keys cannot be guessed; their owner does not ask.
    #[must_use]
    pub const fn is_spent(&self) -> bool {
        self.wrong >= GUESSES_MAX
    }

    /// This address begins a handshake.
    pub fn begin(&mut self, address: IpAddr, now: Instant) {
        let account = self.account_mut(address, now);
        let credit = account.credit_at(now);
        if credit > account.credit {
            account.paid = now;
        }
        account.credit = credit.saturating_sub(1);
    }

    /// Notes a wrong guess, and says how long this address has to wait now.
    pub fn wrong_guess(&mut self, address: IpAddr, now: Instant) -> Duration {
        self.wrong = self.wrong.saturating_add(1);
        self.wrong_lately = self.wrong_lately.saturating_add(1);
        if self.wrong_lately > FREE_GUESSES_OF_ALL {
            self.paced_until = now.checked_add(PACE);
        }
        let account = self.account_mut(address, now);
        account.wrong = account.wrong.saturating_add(1);
        let pause = pause_after(account.wrong);
        account.closed_until = now.checked_add(pause);
        pause
    }

    /// Somebody at this address knows the secret: nothing is held against it, and nobody waits for
    /// others. What was guessed still counts towards [`GUESSES_MAX`].
    pub fn proved(&mut self, address: IpAddr) {
        self.wrong_lately = 0;
        self.paced_until = None;
        self.accounts.retain(|account| account.address != address);
    }

    fn account(&self, address: IpAddr) -> Option<&Account> {
        let mut accounts = self.accounts.iter();
        accounts.find(|account| account.address == address)
    }

    fn account_mut(&mut self, address: IpAddr, now: Instant) -> &mut Account {
        let mut account = Account {
            address,
            wrong: 0,
            closed_until: None,
            credit: BURST,
            paid: now,
            seen: now,
        };
        let mut known = self.accounts.iter().enumerate();
        if let Some((at, known)) = known.find(|(_, known)| known.address == address) {
            account = Account {
                seen: now,
                ..*known
            };
            self.accounts.remove(at);
        }
        // The quiet ones come first.
        if self.accounts.len() >= ADDRESSES_MAX {
            self.accounts.remove(0);
        }
        self.accounts.push_mut(account)
    }
}

impl Account {
    fn credit_at(&self, now: Instant) -> u32 {
        let passed = now.saturating_duration_since(self.paid).as_millis();
        let paid = passed.checked_div(REFILL.as_millis()).unwrap_or_default();
        let paid = u32::try_from(paid).unwrap_or(u32::MAX);
        self.credit.saturating_add(paid).min(BURST)
    }
}

fn left(until: Option<Instant>, now: Instant) -> Duration {
    until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
}

/// The pause after so many wrong guesses.
fn pause_after(wrong: u32) -> Duration {
    match wrong.checked_sub(FREE_GUESSES.saturating_add(1)) {
        None => Duration::ZERO,
        Some(doublings) => 2u32
            .checked_pow(doublings)
            .and_then(|factor| PAUSE.checked_mul(factor))
            .map_or(PAUSE_MAX, |pause| pause.min(PAUSE_MAX)),
    }
}

#[cfg(test)]
mod tests;
