//! Crowds of strangers, by a clock that costs nothing.

use super::{ANSWER, EACH, GRACE, Refusal, SLOT_WAIT, STRANGERS, Strangers};
use crate::donor::{Donor, Interrupter};
use crate::operator::CancelToken;
use session::guess_limit::{GuessLimit, PACE};
use session::trial::Terms;
use session::{Credential, HandshakeRandom, PinnedKeys, donor};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use wire::code::Code;
use wire::handshake::Info;
use wire::message::Message;
use wire::secret::Secret;

/// Both directions of a connection.
#[derive(Clone, Default)]
struct Wire(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    said: VecDeque<u8>,
    answered: Vec<u8>,
    is_reset: bool,
}

struct End(Wire, SocketAddr);

impl Read for End {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let said = &mut self.0.0.lock().unwrap().said;
        match said.read(buf)? {
            0 => Err(ErrorKind::TimedOut.into()),
            len => Ok(len),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().answered.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Donor for End {
    fn peer(&self) -> SocketAddr {
        self.1
    }

    fn writer(&self) -> Box<dyn Write + Send> {
        Box::new(self.0.clone())
    }

    fn interrupter(&self) -> Interrupter {
        Box::new(|| {})
    }

    fn succeed(self: Box<Self>) -> io::Result<()> {
        Ok(())
    }

    fn fail(self: Box<Self>) {
        self.0.0.lock().unwrap().is_reset = true;
    }
}

impl Wire {
    fn say(&self, bytes: &[u8]) {
        self.0.lock().unwrap().said.extend(bytes);
    }

    fn answer(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap().answered)
    }

    fn is_reset(&self) -> bool {
        self.0.lock().unwrap().is_reset
    }
}

/// A target with its clock.
struct Target {
    credential: Credential,
    /// The credential of its donor.
    counterpart: Credential,
    strangers: Strangers,
    guard: GuessLimit,
    now: Instant,
    refused: Vec<String>,
}

impl Target {
    fn new() -> Self {
        let secret = Credential::Secret(Secret::draw([7; 5]));
        Self::of(secret.clone(), secret)
    }

    fn pinned() -> Self {
        let (donor, target) = PinnedKeys::draw().unwrap();
        Self::of(Credential::Pinned(target), Credential::Pinned(donor))
    }

    fn of(credential: Credential, counterpart: Credential) -> Self {
        Self {
            credential,
            counterpart,
            strangers: Strangers::default(),
            guard: GuessLimit::new(),
            now: Instant::now(),
            refused: Vec::new(),
        }
    }

    fn connect(&mut self, last: u8) -> Wire {
        let wire = Wire::default();
        let peer = (Ipv4Addr::new(10, 9, 0, last), 40_000).into();
        let end = Box::new(End(wire.clone(), peer));
        if let Some((_, why)) = self.strangers.add(end, self.now) {
            self.refused.push(why.to_string());
        }
        wire
    }

    /// A true M1, as anybody who heard the beacon can send it.
    fn hello(&mut self, last: u8) -> Wire {
        let wire = self.connect(last);
        let (_, m1) = donor::begin(
            &self.counterpart,
            &code(),
            HandshakeRandom::fresh().unwrap(),
        )
        .unwrap();
        wire.say(&m1);
        wire
    }

    /// True: somebody has proved himself, and everything is due later than now.
    fn judge(&mut self) -> Option<IpAddr> {
        let (code, info) = (code(), Info::default());
        let terms = Terms {
            credential: &self.credential,
            code: &code,
            info: &info,
        };
        let refused = &mut self.refused;
        let mut refuse = |(_, why): Refusal| refused.push(wire::chain::chain(&why).to_string());
        let (guard, token) = (&mut self.guard, CancelToken::of(None));
        let (strangers, now) = (&mut self.strangers, self.now);
        let paired = strangers.judge(terms, guard, &token, now, &mut refuse);
        let due = strangers.due(terms, guard, now);
        assert!(due.is_none_or(|due| due > now));
        paired.map(|paired| paired.peer.ip())
    }

    /// Lets time pass, with work for the other parties every 10 ms.
    fn pass(&mut self, time: Duration, mut others: impl FnMut(&mut Self)) {
        let end = self.now + time;
        while self.now < end {
            self.now += Duration::from_millis(10);
            others(self);
            assert_eq!(self.judge(), None);
        }
    }

    /// How long a donor that knows the credential needs, beside others.
    fn honest(&mut self, last: u8, mut others: impl FnMut(&mut Self)) -> Duration {
        let begun = self.now;
        let ours = self.counterpart.clone();
        let wire = self.connect(last);
        let (await_m2, m1) =
            donor::begin(&ours, &code(), HandshakeRandom::fresh().unwrap()).unwrap();
        wire.say(&m1);
        let m2 = self.await_answer(&wire, &mut others);
        let (await_m4, m3) = await_m2.take(&m2).unwrap();
        wire.say(&m3);
        let m4 = self.await_answer(&wire, &mut others);
        let paired = await_m4.take(&m4.try_into().unwrap()).unwrap();
        let mut record = Vec::new();
        let (_, mut sealer) = paired.channel(io::empty(), &mut record);
        let text = wire::message::Text::new("no more");
        sealer.send(&Message::GiveUp { text }).unwrap();
        wire.say(&record);
        assert_eq!(self.judge(), Some(Ipv4Addr::new(10, 9, 0, last).into()));
        self.now - begun
    }

    /// A round trip takes 10 ms.
    fn await_answer(&mut self, wire: &Wire, others: &mut impl FnMut(&mut Self)) -> Vec<u8> {
        for _ in 0..6000 {
            self.now += Duration::from_millis(10);
            others(self);
            assert_eq!(self.judge(), None, "nobody else knows it");
            let answer = wire.answer();
            if !answer.is_empty() {
                return answer;
            }
            assert!(
                !wire.is_reset(),
                "an honest donor was reset: {:?}",
                self.refused
            );
        }
        panic!("no answer within a minute");
    }
}

fn code() -> Code {
    Code::parse("e13gts2").unwrap()
}

#[test]
fn one_address_that_sends_true_m1s_keeps_nobody_else_waiting() {
    for mut target in [Target::new(), Target::pinned()] {
        let crowd = |target: &mut Target| {
            // Each comes again as soon as it was reset.
            let mut held = target.strangers.of(Ipv4Addr::new(10, 9, 0, 66).into());
            while held < EACH {
                target.hello(66);
                held += 1;
            }
            target.hello(66);
        };
        target.pass(Duration::from_secs(20), crowd);
        for _ in 0..5 {
            let wait = target.honest(1, crowd);
            assert!(wait <= Duration::from_millis(50), "{wait:?}");
            target.strangers.clear();
        }
    }
}

#[test]
fn more_addresses_than_places_delay_a_donor_by_the_grace() {
    let mut target = Target::new();
    let begun = target.now;
    let crowd = |target: &mut Target| {
        let tenths = (target.now - begun).as_millis() / 10;
        if tenths.is_multiple_of(50) {
            target.hello(10 + u8::try_from(tenths / 50 % 100).unwrap());
        }
    };
    target.pass(Duration::from_secs(20), crowd);
    for _ in 0..5 {
        let wait = target.honest(1, crowd);
        assert!(wait <= 3 * GRACE, "{wait:?}");
        assert!(target.strangers.0.len() <= STRANGERS);
        target.strangers.clear();
    }
}

#[test]
fn a_donor_that_has_shown_the_secret_makes_room_for_nobody() {
    let mut target = Target::new();
    let ours = target.counterpart.clone();
    let (await_m2, m1) = donor::begin(&ours, &code(), HandshakeRandom::fresh().unwrap()).unwrap();
    let wire = target.connect(1);
    wire.say(&m1);
    target.judge();
    let (await_m4, m3) = await_m2.take(&wire.answer()).unwrap();
    wire.say(&m3);
    target.judge();
    let paired = await_m4.take(&wire.answer().try_into().unwrap()).unwrap();
    // Its record comes late, and others come all the time: of many addresses, and of its own.
    let mut last = 10;
    let crowd = |target: &mut Target| {
        last = if last < 200 { last + 1 } else { 10 };
        target.hello(last);
        target.hello(1);
    };
    target.pass(ANSWER - Duration::from_millis(20), crowd);
    assert!(!wire.is_reset(), "{:?}", target.refused);
    let mut record = Vec::new();
    let (_, mut sealer) = paired.channel(io::empty(), &mut record);
    let text = wire::message::Text::new("no more");
    sealer.send(&Message::GiveUp { text }).unwrap();
    wire.say(&record);
    assert_eq!(target.judge(), Some(Ipv4Addr::new(10, 9, 0, 1).into()));
}

/// A wrong M3, over and over.
fn guess(target: &mut Target, wire: &mut Option<Wire>, last: u8) {
    let connected = wire.get_or_insert_with(|| target.hello(last));
    if connected.is_reset() {
        *wire = None;
    } else if !connected.answer().is_empty() {
        connected.say(&[0x5a; 48]);
    }
}

#[test]
fn guesses_of_one_address_are_held_back_and_nobody_else_is() {
    let mut target = Target::new();
    let mut wire = None;
    target.pass(Duration::from_secs(100), |target| {
        guess(target, &mut wire, 66)
    });
    // 4 at once, then 1, 2, 4, 8, 16, 30 and 30 s apart: held, and not reset, in between.
    assert_eq!(target.guard.wrong_guesses(), 11);
    assert_eq!(target.refused.len(), 11, "{:?}", target.refused);
    for _ in 0..5 {
        let wait = target.honest(1, |target| guess(target, &mut wire, 66));
        assert!(wait <= PACE + Duration::from_millis(50), "{wait:?}");
        target.strangers.clear();
        wire = None;
    }
}

#[test]
fn guesses_of_many_addresses_come_one_in_the_pace_and_a_donor_among_them() {
    let mut target = Target::new();
    let mut wires: Vec<Option<Wire>> = vec![None; 6];
    let mut crowd = |target: &mut Target| {
        for (last, wire) in (100..).zip(&mut wires) {
            guess(target, wire, last);
        }
    };
    target.pass(Duration::from_secs(60), &mut crowd);
    // 9 at once, then one in 4 s.
    let wrong = target.guard.wrong_guesses();
    assert!((22..=24).contains(&wrong), "{wrong}");
    wires.fill(None);
    let wait = target.honest(1, |target| guess(target, &mut wires[0], 100));
    assert!(wait <= PACE + GRACE, "{wait:?}");
}

#[test]
fn with_keys_nobody_is_taken_for_the_donor_before_a_record_and_is_waited_for_5_seconds() {
    let mut target = Target::pinned();
    let ours = target.counterpart.clone();
    let (await_m2, m1) = donor::begin(&ours, &code(), HandshakeRandom::fresh().unwrap()).unwrap();
    let wire = target.connect(66);
    wire.say(&m1);
    target.judge();
    let (_, m3) = await_m2.take(&wire.answer()).unwrap();
    wire.say(&m3);
    assert_eq!(target.judge(), None);
    assert_eq!(wire.answer().len(), 48);
    let begun = target.now;
    target.pass(ANSWER - Duration::from_millis(10), |_| {});
    assert!(!wire.is_reset());
    let wait = target.honest(1, |_| {});
    assert!(wait <= Duration::from_millis(50), "{wait:?}");
    assert!(wire.is_reset() && target.now - begun < Duration::from_secs(6));
    assert!(
        target.refused[0].contains("first record"),
        "{:?}",
        target.refused
    );

    // A record that it cannot have sealed is a wrong guess.
    let (await_m2, m1) = donor::begin(&ours, &code(), HandshakeRandom::fresh().unwrap()).unwrap();
    let wire = target.connect(66);
    wire.say(&m1);
    target.judge();
    let (_, m3) = await_m2.take(&wire.answer()).unwrap();
    wire.say(&[&m3[..], &[]].concat());
    target.judge();
    wire.say(&[&[0, 40][..], &[7; 40]].concat());
    assert_eq!(target.judge(), None);
    assert!(wire.is_reset());
    assert_eq!(target.guard.wrong_guesses(), 1);
}

#[test]
fn who_says_too_much_or_too_little_or_something_else_is_reset() {
    let mut target = Target::new();
    let (_, m1) = donor::begin(
        &target.counterpart,
        &code(),
        HandshakeRandom::fresh().unwrap(),
    )
    .unwrap();
    let more = target.connect(10);
    more.say(&[&m1[..], &[0]].concat());
    let original = target.connect(11);
    original.say(b"\0\0\0\x0fsmechvisor-base");
    let nobody = target.connect(12);
    nobody.say(b"GET / HTTP/1.1");
    let little = target.connect(13);
    little.say(&m1[..77]);
    assert_eq!(target.judge(), None);
    assert!(more.is_reset() && original.is_reset() && nobody.is_reset() && !little.is_reset());
    target.pass(ANSWER, |_| {});
    assert!(little.is_reset());
    assert_eq!(target.refused.len(), 4, "{:?}", target.refused);
    assert_eq!(target.guard.wrong_guesses(), 0);
}

#[test]
fn nobody_waits_for_ever() {
    let mut target = Target::new();
    let ip = Ipv4Addr::new(10, 9, 0, 66).into();
    for _ in 0..12 {
        target.guard.wrong_guess(ip, target.now);
    }
    let held: Vec<Wire> = (0..EACH).map(|_| target.hello(66)).collect();
    target.pass(Duration::from_secs(29), |_| {});
    assert!(
        held.iter()
            .all(|wire| !wire.is_reset() && wire.answer().is_empty())
    );
    target.pass(SLOT_WAIT, |_| {});
    assert!(held.iter().all(Wire::is_reset));
}
