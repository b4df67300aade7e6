//! Who may come in: code and secret on the screen, one handshake at a time, until a donor has proved itself.
//!
//! A network in, a sealed channel to a donor that knows the secret (or has the key) out. Whoever else connects is closed,
//! counted and shown; nothing that he sends gets further than the handshake (`protocol.md` 3.2).

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use session::channel::{Opener, Sealer};
use session::guard::Guard;
use session::{Credential, PairingError, PinnedKeys};
use thiserror::Error;
use wire::code::Code;
use wire::handshake::{HelloError, Info, M1_LEN};
use wire::secret::{RANDOM_LEN, Secret};
use wire::stream::Opening;

use crate::connection::Connection;
use crate::donor::Network;
use crate::gate::Candidate;
use crate::news::News;
use crate::person::Turn;
use crate::picture;
use crate::policy::Policy;
use crate::refusals::Refusals;
use crate::screen::{Screen, warn};
use crate::session::{SessionError, draw_code};

/// For everything a peer has to send before its proof (`protocol.md` 3.6).
const HANDSHAKE: Duration = Duration::from_secs(5);

/// A donor that has proved itself, and both directions of the channel to it.
pub(crate) struct Paired {
    pub(crate) peer: SocketAddr,
    pub(crate) opener: Opener<Connection>,
    pub(crate) sealer: Sealer<Box<dyn Write + Send>>,
}

/// Why a connection was closed.
#[derive(Debug, Error)]
enum Refused {
    /// It said nothing, too little, or broke.
    #[error("waiting for the beginning of a session")]
    Opening(#[source] io::Error),
    /// An original donor.
    #[error(
        "it speaks the original stream, which this target was not told to accept; start the donor with the secret on \
         this screen (without --legacy), or this target with the policy legacy"
    )]
    Legacy,
    /// No donor at all.
    #[error("it begins with neither protocol: {}", first.escape_ascii())]
    Unknown {
        /// What it began with.
        first: [u8; 4],
    },
    /// What the target says of itself cannot be said.
    #[error("describing this target")]
    Info(#[source] HelloError),
    /// The handshake failed.
    #[error("pairing")]
    Pairing(#[source] PairingError),
}

/// One code and one secret, for as long as they hold.
pub(crate) struct Door<'a> {
    policy: &'a Policy,
    /// What a donor is invited to write to.
    disk: Candidate,
    turn: Turn,
    code: Code,
    credential: Credential,
    /// For the screen; `Credential` does not give it back.
    secret: Option<Secret>,
    guard: Guard,
}

impl<'a> Door<'a> {
    /// Draws a code, and under `secret` a secret.
    pub(crate) fn new(
        policy: &'a Policy,
        disk: Candidate,
        turn: &Turn,
    ) -> Result<Self, SessionError> {
        let (credential, secret) = credential(policy)?;
        Ok(Self {
            policy,
            disk,
            turn: turn.clone(),
            code: draw_code()?,
            credential,
            secret,
            guard: Guard::new(),
        })
    }

    /// What a stage line says of it.
    pub(crate) fn facts(&self) -> String {
        format!("code={} policy={}", self.code, self.policy)
    }

    /// Another disk is meant from now on.
    pub(crate) fn mean(&mut self, disk: &Candidate) {
        self.disk = disk.clone();
    }

    /// The same as [`Door::show`], as news.
    pub(crate) fn tell(&self, screen: &dyn Screen, network: &dyn Network) {
        screen.news(&News::Inviting {
            code: self.code.to_string(),
            secret: self.secret.as_ref().map(Secret::to_string),
            policy: self.policy.name().to_owned(),
            disk: Box::new(self.disk.clone()),
            addresses: network.addresses(),
        });
    }

    /// Tells a person what to type on the donor: for eyes, never for a log.
    pub(crate) fn show(&self, screen: &dyn Screen) {
        let code = self.code;
        match &self.secret {
            Some(secret) => {
                let picture = picture::draw(&format!("SMV2:{code}:{secret}"));
                screen.hint(&format!(
                    "{}  code   {code}\n  secret {secret}\n  on the donor: spk-visor deploy-system-img-copy {code}",
                    picture.unwrap_or_default()
                ));
            }
            None => screen.hint(&format!(
                "  on the donor: spk-visor deploy-system-img-copy {code} --pinned NAME.donor"
            )),
        }
    }

    /// Waits until a donor has proved itself, whatever else connects; `None` when `deadline` passes first.
    ///
    /// # Errors
    /// The network, or no random numbers for a new secret, or a person who wants something else.
    pub(crate) fn pair(
        &mut self,
        network: &mut dyn Network,
        refusals: &mut Refusals,
        screen: &dyn Screen,
        deadline: Option<Instant>,
    ) -> Result<Option<Paired>, SessionError> {
        loop {
            let connection = Connection::accept(network, &self.turn, &self.code, M1_LEN, deadline)?;
            let Some(connection) = connection else {
                return Ok(None);
            };
            let peer = connection.peer();
            match self.judge(connection) {
                Ok(paired) => return Ok(Some(paired)),
                Err(error) => {
                    if let Some(stop) = self.turn.stop() {
                        return Err(stop.into());
                    }
                    refusals.note(peer, &error, Instant::now(), screen);
                }
            }
            if self.replace_secret(screen)? {
                self.tell(screen, network);
            }
        }
    }

    /// One handshake. A connection that fails it is reset by being dropped.
    fn judge(&mut self, mut connection: Connection) -> Result<Paired, Refused> {
        connection.within(Some(HANDSHAKE));
        let first = connection.peek().map_err(Refused::Opening)?;
        match Opening::of(first) {
            Ok(Opening::Session) => {}
            Ok(_) => return Err(Refused::Legacy),
            Err(_) => return Err(Refused::Unknown { first }),
        }
        let peer = connection.peer();
        let writer = connection.writer().map_err(Refused::Opening)?;
        let info = concat!("version=", env!("CARGO_PKG_VERSION"));
        let info = Info::parse(info.as_bytes()).map_err(Refused::Info)?;
        let (mut opener, sealer) = session::pair_target(
            connection,
            writer,
            &self.credential,
            &self.code,
            &info,
            &mut self.guard,
            Instant::now,
        )
        .map_err(Refused::Pairing)?;
        opener.get_mut().within(None);
        Ok(Paired {
            peer,
            opener,
            sealer,
        })
    }

    /// After too many wrong guesses; true when there is another one.
    fn replace_secret(&mut self, screen: &dyn Screen) -> Result<bool, SessionError> {
        // Keys cannot be guessed.
        if self.secret.is_none() || !self.guard.is_spent() {
            return Ok(false);
        }
        let wrong = self.guard.wrong_guesses();
        let text = format!("{wrong} wrong guesses: the secret is replaced by a new one");
        warn(screen, &text);
        (self.credential, self.secret) = credential(self.policy)?;
        self.guard = Guard::new();
        self.show(screen);
        Ok(true)
    }
}

/// What a donor has to prove; under `secret` also what the screen shows.
fn credential(policy: &Policy) -> Result<(Credential, Option<Secret>), SessionError> {
    if let Policy::Pinned(keys) = policy {
        return Ok((Credential::Pinned(PinnedKeys::clone(keys)), None));
    }
    let mut random = [0; RANDOM_LEN];
    getrandom::fill(&mut random).map_err(|error| SessionError::Code(error.into()))?;
    let secret = Secret::draw(random);
    Ok((Credential::Secret(secret.clone()), Some(secret)))
}

#[cfg(test)]
mod tests {
    use super::Door;
    use crate::fakes::{self, Lines};
    use crate::person::Turn;
    use crate::policy::Policy;
    use session::PinnedKeys;
    use session::guard::GUESSES_MAX;
    use std::time::Instant;

    #[test]
    fn after_64_wrong_guesses_there_is_another_secret_and_the_screen_says_so() {
        let (lines, policy) = (Lines::default(), Policy::Secret);
        let mut door = Door::new(&policy, fakes::candidate(), &Turn::of(None)).unwrap();
        let (code, old) = (door.code, door.secret.clone().unwrap());
        for guess in 1..=GUESSES_MAX {
            door.replace_secret(&lines).unwrap();
            assert_eq!(lines.all().len(), 0, "after {} guesses", guess - 1);
            door.guard.wrong_guess(Instant::now());
        }
        door.replace_secret(&lines).unwrap();
        let new = door.secret.clone().unwrap();
        assert_ne!(new.as_bytes(), old.as_bytes());
        assert_eq!((door.code, door.guard.wrong_guesses()), (code, 0));
        let shown = lines.all();
        assert!(shown[0].contains("64 wrong guesses"), "{}", shown[0]);
        assert!(
            shown[1].contains(&format!("  secret {new}\n")),
            "{}",
            shown[1]
        );
    }

    #[test]
    fn keys_are_never_replaced_and_never_shown() {
        let (_, target) = PinnedKeys::draw().unwrap();
        let (lines, policy) = (Lines::default(), Policy::Pinned(Box::new(target)));
        let mut door = Door::new(&policy, fakes::candidate(), &Turn::of(None)).unwrap();
        for _ in 0..2 * GUESSES_MAX {
            door.guard.wrong_guess(Instant::now());
        }
        door.replace_secret(&lines).unwrap();
        assert_eq!(lines.all().len(), 0);
        door.show(&lines);
        assert!(!lines.all()[0].contains("secret"), "{:?}", lines.all());
    }
}
