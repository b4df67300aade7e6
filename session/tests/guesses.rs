//! A hundred thousand wrong guesses, each a whole handshake of the target's, by a clock that costs
//! nothing.

// The lint knows test functions only; this whole file is a test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use session::guess_limit::{GUESSES_MAX, GuessLimit, PACE, PAUSE_MAX};
use session::trial::{Terms, Trial, Verdict};
use session::{Credential, HandshakeError, HandshakeRandom, donor};
use wire::code::Code;
use wire::handshake::{Info, M1_LEN, M3_LEN};
use wire::secret::Secret;

const ATTACKER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 0, 66));
const HONEST: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 0, 1));
const GUESSES: u32 = 100_000;
/// Of one secret, in seconds: nothing for the free ones, then doubling.
const FIRST_PAUSES: [u64; 9] = [0, 0, 0, 1, 2, 4, 8, 16, 30];

/// A target with its screen, and the time it lives in.
struct Screen {
    credential: Credential,
    limit: GuessLimit,
    now: Instant,
    secrets_shown: u32,
}

impl Screen {
    fn new() -> Self {
        let mut screen = Self {
            credential: Credential::Secret(Secret::draw([0; 5])),
            limit: GuessLimit::new(),
            now: Instant::now(),
            secrets_shown: 0,
        };
        screen.show_new_secret();
        screen
    }

    fn show_new_secret(&mut self) {
        self.secrets_shown += 1;
        let count = self.secrets_shown.to_be_bytes();
        self.credential =
            Credential::Secret(Secret::draw([count[0], count[1], count[2], count[3], 0x5a]));
        self.limit = GuessLimit::new();
    }

    /// Somebody connects and sends these bytes.
    fn connection(&mut self, bytes: &[u8]) -> HandshakeError {
        let (code, info) = (code(), Info::default());
        let terms = Terms {
            credential: &self.credential,
            code: &code,
            info: &info,
        };
        let (m1, m3) = bytes.split_at(M1_LEN);
        let mut trial = Trial::new();
        assert!(matches!(trial.take(m1, terms), Ok(Verdict::Answer(_))));
        let error = trial
            .take(m3, terms)
            .err()
            .expect("a wrong guess was right");
        if error.is_wrong_guess() {
            self.limit.wrong_guess(ATTACKER, self.now);
        }
        error
    }

    /// A person reads the screen and types what is there, at another machine.
    fn honest_donor(&mut self) {
        assert_eq!(self.limit.wait(HONEST, self.now), Duration::ZERO);
        let pace = self.limit.pace(self.now);
        assert!(pace <= PACE);
        self.now += pace;
        let (code, info) = (code(), Info::default());
        let terms = Terms {
            credential: &self.credential,
            code: &code,
            info: &info,
        };
        let random = HandshakeRandom::fresh().unwrap();
        let (await_m2, m1) = donor::begin(&self.credential, &code, random).unwrap();
        let mut trial = Trial::new();
        let Ok(Verdict::Answer(m2)) = trial.take(&m1, terms) else {
            panic!("no M2");
        };
        let (await_m4, m3) = await_m2.take(&m2).unwrap();
        let Ok(Verdict::Answer(m4)) = trial.take(&m3, terms) else {
            panic!("no M4");
        };
        await_m4.take(&m4.try_into().unwrap()).unwrap();
    }
}

fn code() -> Code {
    Code::parse("e13gts2").unwrap()
}

/// M1 of a donor that does not know the secret, and an M3 that cannot verify: whatever secret an
/// attacker has in mind, the target does the same work and says the same nothing.
fn guess() -> Vec<u8> {
    let wrong = Credential::Secret(Secret::parse("00000000-3").unwrap());
    let (_, m1) = donor::begin(&wrong, &code(), HandshakeRandom::fresh().unwrap()).unwrap();
    [&m1[..], &[0x5a; M3_LEN]].concat()
}

#[test]
fn a_hundred_thousand_wrong_guesses_and_an_honest_donor_still_pairs() {
    let mut screen = Screen::new();
    let bytes = guess();
    let begun = screen.now;
    for number in 0..GUESSES {
        let of_this_secret = number % GUESSES_MAX;
        if of_this_secret == 0 && number > 0 {
            assert!(screen.limit.is_spent());
            screen.now += PAUSE_MAX;
            screen.show_new_secret();
        }
        let error = screen.connection(&bytes);
        assert!(error.is_wrong_guess(), "guess {number}: {error}");
        assert_eq!(screen.limit.wrong_guesses(), of_this_secret + 1);

        let pause = FIRST_PAUSES
            .get(of_this_secret as usize)
            .copied()
            .unwrap_or(30);
        let pause = Duration::from_secs(pause);
        assert_eq!(
            screen.limit.pause(ATTACKER, screen.now),
            pause,
            "guess {number}"
        );
        if of_this_secret + 1 < GUESSES_MAX {
            screen.now += pause;
        }
        if number % 9973 == 0 {
            screen.honest_donor();
        }
    }
    screen.honest_donor();
    assert_eq!(screen.secrets_shown, GUESSES.div_ceil(GUESSES_MAX));
    // The purpose of the pauses: all this took an attacker more than a month.
    assert!(screen.now - begun > Duration::from_secs(30 * 86_400));
}
