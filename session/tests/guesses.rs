//! A hundred thousand wrong guesses, each a whole handshake of the target's, by a clock that costs nothing.

// The lint knows test functions only; this whole file is a test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::io::sink;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use session::guard::{GUESSES_MAX, Guard, PAUSE_MAX};
use session::{Credential, Draws, PairingError, donor, pair_donor, pair_target};
use wire::code::Code;
use wire::handshake::{Info, M3_LEN};
use wire::secret::Secret;

const GUESSES: u32 = 100_000;
/// Of one secret, in seconds: nothing for the free ones, then doubling.
const FIRST_PAUSES: [u64; 9] = [0, 0, 0, 1, 2, 4, 8, 16, 30];

/// A target with its screen, and the time it lives in.
struct Screen {
    credential: Credential,
    guard: Guard,
    now: Instant,
    secrets_shown: u32,
}

impl Screen {
    fn new() -> Self {
        let mut screen = Self {
            credential: Credential::Secret(Secret::draw([0; 5])),
            guard: Guard::new(),
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
        self.guard = Guard::new();
    }

    /// Somebody connects and sends these bytes.
    fn connection(&mut self, bytes: &[u8]) -> PairingError {
        let now = self.now;
        let info = Info::default();
        pair_target(
            bytes,
            sink(),
            &self.credential,
            &code(),
            &info,
            &mut self.guard,
            || now,
        )
        .expect_err("a wrong guess was right")
    }

    /// A person reads the screen and types what is there.
    fn honest_donor(&mut self) {
        let wait = self.guard.wait(self.now);
        assert!(wait <= PAUSE_MAX);
        self.now += wait;
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (now, info) = (self.now, Info::default());
        let (credential, guard) = (self.credential.clone(), &mut self.guard);
        thread::scope(|scope| {
            scope.spawn(|| pair_donor(&ours, &ours, &credential, &code()).unwrap());
            pair_target(&theirs, &theirs, &credential, &code(), &info, guard, || now).unwrap();
        });
    }
}

fn code() -> Code {
    Code::parse("e13gts2").unwrap()
}

/// M1 of a donor that does not know the secret, and an M3 that cannot verify: whatever secret an attacker has in mind, the
/// target does the same work and says the same nothing.
fn guess() -> Vec<u8> {
    let wrong = Credential::Secret(Secret::parse("00000000-3").unwrap());
    let (_, m1) = donor::begin(&wrong, &code(), Draws::fresh().unwrap()).unwrap();
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
            // The last secret is used up: nobody is let in until it is replaced, not even with the right one.
            screen.now += PAUSE_MAX;
            let error = screen.connection(&bytes);
            assert!(matches!(
                error,
                PairingError::Spent {
                    wrong_guesses: GUESSES_MAX
                }
            ));
            screen.show_new_secret();
        }
        let error = screen.connection(&bytes);
        assert!(error.is_wrong_guess(), "guess {number}: {error}");
        assert_eq!(screen.guard.wrong_guesses(), of_this_secret + 1);

        let pause = FIRST_PAUSES
            .get(of_this_secret as usize)
            .copied()
            .unwrap_or(30);
        let pause = Duration::from_secs(pause);
        assert_eq!(screen.guard.wait(screen.now), pause, "guess {number}");
        if of_this_secret + 1 < GUESSES_MAX && pause > Duration::ZERO {
            // Too early, by a millisecond: the connection is not even read.
            screen.now += pause - Duration::from_millis(1);
            assert!(matches!(
                screen.connection(&bytes),
                PairingError::TooEarly { .. }
            ));
            assert_eq!(screen.guard.wrong_guesses(), of_this_secret + 1);
            screen.now += Duration::from_millis(1);
        }
        if number % 9973 == 0 {
            screen.honest_donor();
        }
    }
    screen.honest_donor();
    assert_eq!(screen.secrets_shown, GUESSES.div_ceil(GUESSES_MAX));
    // What the pauses are for: all this took an attacker more than a month.
    assert!(screen.now - begun > Duration::from_secs(30 * 86_400));
}
