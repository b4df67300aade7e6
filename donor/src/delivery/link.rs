//! The messages of a target during a transfer: one thread reads, the sender sees its notes.
//!
//! In: messages. Out: events, and the few facts that the sender waits for.

use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use session::channel::{ChannelError, Opener};
use wire::human::percent;
use wire::manifest::{Content, Sha256};
use wire::message::{Message, Next, RejectCode};
use wire::outcome::Outcome;
use wire::stage::Stage;

use super::line::{Incoming, Pulse};
use super::{Cut, Delivery, DeliveryError, Limits};
use crate::event::{Step, TargetEvent};
use crate::interrupt::{Interrupt, LOOK};
use crate::rate::Rate;
use crate::target_disk::TargetDisk;

/// How long a target that has said its last word may take to close.
const CLOSING: Duration = Duration::from_secs(10);

/// The notes of the reader.
#[derive(Debug, Default)]
pub(super) struct Heard {
    state: Mutex<State>,
    changed: Condvar,
    /// Bytes of packages that have left.
    pub(super) sent: AtomicU64,
}

/// The target's answer to the manifest.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) next: Next,
    /// It wants to hear that we agree to the disk.
    pub(super) asks: bool,
    pub(super) disk: TargetDisk,
}

#[derive(Debug, Default)]
struct State {
    /// The manifest has left.
    is_offered: bool,
    has_accepted: bool,
    accepted: Option<Accepted>,
    /// The limit of the target's requests: everything before it has been sent.
    sent: Next,
    acknowledged: Next,
    installed: Option<Sha256>,
    rejected: Option<(RejectCode, String)>,
    failed: Option<String>,
    /// A message that is not allowed, or not yet.
    violated: Option<String>,
    closed: Option<ChannelError>,
}

impl State {
    /// Whether nothing is to be expected any more.
    const fn is_over(&self) -> bool {
        self.rejected.is_some()
            || self.failed.is_some()
            || self.violated.is_some()
            || self.closed.is_some()
    }

    /// Whether the target has everything that has left, by its own word.
    fn has_all(&self) -> bool {
        self.acknowledged >= self.sent
    }

    /// The rule that this message breaks here and now (`protocol.md` 3.3), if any. `end`:
    /// behind the last file.
    fn violation(&self, message: &Message<'_>, end: Next) -> Option<String> {
        let fault = match *message {
            Message::Accept { .. } if !self.is_offered => "accepts what it was not offered",
            Message::Accept { .. } if self.has_accepted => "accepts a second time",
            Message::Installed { .. } if !self.has_accepted || self.sent < end => {
                "says that it is installed before everything was sent"
            }
            Message::Installed { .. } if self.installed.is_some() => {
                "says a second time that it is installed"
            }
            Message::Progress { next, .. } if self.has_accepted && next > self.sent => {
                return Some(format!(
                    "acknowledges what was not sent: it wants chunk {} of file {} now",
                    next.chunk, next.file
                ));
            }
            _ => return None,
        };
        Some(fault.to_owned())
    }
}

impl Heard {
    /// The manifest is about to leave.
    pub(super) fn offered(&self) {
        self.note(|state| state.is_offered = true);
    }

    /// Everything before `next` is about to have left.
    pub(super) fn sending(&self, next: Next) {
        self.note(|state| state.sent = next);
    }

    /// The target's answer to the manifest.
    pub(super) fn accepted(&self, place: &Place<'_>) -> Result<Accepted, Cut> {
        let limit = Some((place.limits.silence, "its answer to the manifest"));
        let mut state = self.wait_for(place, limit, |state| state.accepted.is_some())?;
        // It has just been looked at.
        state.accepted.take().ok_or_else(|| place.cut(state))
    }

    /// Waits until the target wants `next` or something behind it.
    pub(super) fn acknowledged(&self, next: Next, place: &Place<'_>) -> Result<(), Cut> {
        let limit = Some((place.limits.silence, "an acknowledgement"));
        let is_reached = |state: &State| !state.is_over() && state.acknowledged >= next;
        self.wait_for(place, limit, is_reached).map(drop)
    }

    /// Waits until the target has everything that `sending` has spoken of.
    pub(super) fn has_all(&self, place: &Place<'_>) -> Result<(), Cut> {
        let limit = Some((place.limits.silence, "an acknowledgement"));
        self.wait_for(place, limit, State::has_all).map(drop)
    }

    /// The furthest chunk that the target has wanted.
    pub(super) fn furthest(&self) -> Next {
        self.lock().acknowledged
    }

    /// Fails as soon as nothing is to be expected any more.
    pub(super) fn is_open(&self, place: &Place<'_>) -> Result<(), Cut> {
        self.wait_for(place, None, |state| !state.is_over())
            .map(drop)
    }

    /// Waits a little; fails as soon as nothing is to be expected any more.
    pub(super) fn pause(&self, time: Duration, place: &Place<'_>) -> Result<(), Cut> {
        let until = Instant::now() + time;
        let is_reached = |state: &State| !state.is_over() && Instant::now() >= until;
        self.wait_for(place, None, is_reached).map(drop)
    }

    /// The digest of what the target has installed.
    pub(super) fn installed(&self, place: &Place<'_>) -> Result<Sha256, Cut> {
        let limit = Some((place.limits.finishing, "the end of the deploy"));
        let state = self.wait_for(place, limit, |state| state.installed.is_some())?;
        state.installed.ok_or_else(|| place.cut(state))
    }

    /// Why a message could not be sent: the target's own words, if it had some.
    pub(super) fn why(&self, error: ChannelError, place: &Place<'_>) -> Cut {
        if place.interrupt.came().is_some() {
            return Cut::Interrupted;
        }
        let deadline = Instant::now() + CLOSING;
        let mut state = self.wait_until(deadline, State::is_over);
        if !state.is_over() {
            state.closed = Some(error);
        }
        place.cut(state)
    }

    /// Waits until the target has closed; whether it has.
    pub(super) fn closed(&self) -> bool {
        let state = self.wait_until(Instant::now() + CLOSING, State::is_over);
        state.is_over()
    }

    /// Waits until the target wants nothing more that was sent, or nothing is to be expected, or
    /// time is up; whether the target has it all.
    pub(super) fn drained(&self) -> bool {
        let is_done = |state: &State| state.is_over() || state.has_all();
        self.wait_until(Instant::now() + CLOSING, is_done).has_all()
    }

    /// Whether the target has said that it has everything that was sent to it.
    pub(super) fn is_drained(&self) -> bool {
        self.lock().has_all()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for something that the target says, for at most so long in which it says nothing and
    /// is sent nothing.
    fn wait_for(
        &self,
        place: &Place<'_>,
        limit: Option<(Duration, &'static str)>,
        is_reached: impl Fn(&State) -> bool,
    ) -> Result<MutexGuard<'_, State>, Cut> {
        loop {
            // The looks at the clock are far apart; what the target says wakes at once.
            let is_done = |state: &State| is_reached(state) || state.is_over();
            let state = self.wait_until(Instant::now() + LOOK, is_done);
            if place.interrupt.came().is_some() {
                return Err(Cut::Interrupted);
            }
            if state.violated.is_none() && is_reached(&state) {
                return Ok(state);
            }
            if state.is_over() {
                return Err(place.cut(state));
            }
            if let Some((after, awaited)) = limit
                && place.pulse.silence() >= after
            {
                let to = place.to;
                return Err(Cut::Broken(DeliveryError::Silent { to, awaited, after }));
            }
        }
    }

    fn wait_until(
        &self,
        deadline: Instant,
        is_reached: impl Fn(&State) -> bool,
    ) -> MutexGuard<'_, State> {
        let left = deadline.saturating_duration_since(Instant::now());
        self.changed
            .wait_timeout_while(self.lock(), left, |state| !is_reached(state))
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }

    fn note(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

/// Where we are connected, and how long we wait there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) stream: &'a TcpStream,
    pub(super) to: SocketAddr,
    pub(super) pulse: &'a Pulse,
    pub(super) limits: &'a Limits,
    pub(super) interrupt: &'a Interrupt,
}

impl Place<'_> {
    fn cut(&self, mut state: MutexGuard<'_, State>) -> Cut {
        if let Some(what) = state.violated.take() {
            return Cut::Over(DeliveryError::Protocol { what });
        }
        if let Some(text) = state.failed.take() {
            return Cut::Over(DeliveryError::Failed { text });
        }
        if let Some((code, text)) = state.rejected.take() {
            return Cut::Over(DeliveryError::Rejected { code, text });
        }
        let source = state.closed.take().unwrap_or(ChannelError::Closed);
        let to = self.to;
        if source.outcome() == Outcome::Retry {
            Cut::Broken(DeliveryError::Broken { to, source })
        } else {
            Cut::Over(DeliveryError::Nonsense { to, source })
        }
    }
}

/// Reads until the connection ends.
pub(super) fn listen(
    delivery: &Delivery<'_>,
    place: Place<'_>,
    mut opener: Opener<Incoming>,
    heard: &Heard,
) {
    let mut telling = Telling {
        delivery,
        heard,
        stage: None,
        rate: None,
    };
    let mut payload = Vec::new();
    loop {
        match opener.next(&mut payload) {
            Ok(message) => {
                place.pulse.beat();
                if telling.message(&message) {
                    // Whatever is being sent is of no use any more; a sender that waits for room
                    // must not wait for ever.
                    let _ = place.stream.shutdown(Shutdown::Write);
                }
            }
            Err(error) => {
                heard.note(|state| state.closed = Some(error));
                let _ = place.stream.shutdown(Shutdown::Both);
                return;
            }
        }
    }
}

struct Telling<'a> {
    delivery: &'a Delivery<'a>,
    heard: &'a Heard,
    stage: Option<Stage>,
    /// Since the first report on this connection.
    rate: Option<Rate>,
}

impl Telling<'_> {
    /// Takes one message; `true` when it is the target's last.
    fn message(&mut self, message: &Message<'_>) -> bool {
        let tell = self.delivery.tell;
        if let Some(what) = self.violation(message) {
            self.heard.note(|state| state.violated = Some(what));
            return true;
        }
        match *message {
            Message::Accept { next, asks, disk } => {
                let disk = TargetDisk::from(disk);
                self.heard.note(|state| {
                    state.has_accepted = true;
                    (state.sent, state.acknowledged) = (next, next);
                    state.accepted = Some(Accepted { next, asks, disk });
                });
            }
            Message::Reject { code, text } => {
                let text = text.to_string();
                self.heard.note(|state| state.rejected = Some((code, text)));
                return true;
            }
            Message::Failed { text } => {
                let text = text.to_string();
                self.heard.note(|state| state.failed = Some(text));
                return true;
            }
            Message::Installed { manifest_sha256 } => {
                self.heard.note(|state| {
                    state.installed = Some(manifest_sha256);
                    state.acknowledged = state.sent;
                });
            }
            Message::Log { level, text } => tell(TargetEvent::Log {
                level,
                text: text.to_string(),
            }),
            Message::Progress {
                stage,
                next,
                received_bytes,
                unpacked_bytes,
            } => {
                self.heard
                    .note(|state| state.acknowledged = state.acknowledged.max(next));
                self.acknowledge(next);
                if self.stage != Some(stage) {
                    self.stage = Some(stage);
                    tell(TargetEvent::Stage(stage));
                }
                tell(TargetEvent::Progress(self.step(
                    stage,
                    next,
                    received_bytes,
                    unpacked_bytes,
                )));
            }
            // The opener lets nothing through that a donor says.
            Message::Manifest { .. }
            | Message::Data { .. }
            | Message::Boot { .. }
            | Message::Consent { .. }
            | Message::GiveUp { .. } => {}
        }
        false
    }

    fn violation(&self, message: &Message<'_>) -> Option<String> {
        // A manifest has at most FILES_MAX of them.
        let file = u16::try_from(self.delivery.offer.files.len()).unwrap_or(u16::MAX);
        let end = Next { file, chunk: 0 };
        self.heard.lock().violation(message, end)
    }

    fn acknowledge(&self, next: Next) {
        if let Some(item) = self.delivery.offer.items.get(usize::from(next.file)) {
            item.acknowledged(next.chunk);
        }
    }

    fn step(&mut self, stage: Stage, next: Next, received: u64, unpacked: u64) -> Step {
        let now = Instant::now();
        let offer = self.delivery.offer;
        let rate = self
            .rate
            .get_or_insert_with(|| Rate::start_at(now, received))
            .update(now, received);
        let total = offer.total_bytes();
        let mut step = Step {
            sent: self.heard.sent.load(Ordering::Relaxed).max(received),
            received,
            unpacked,
            total,
            percent: share(stage, received, total),
            rate,
            ..Step::default()
        };
        match offer.files.get(usize::from(next.file)) {
            Some(file) if stage == Stage::Receiving => {
                step.package = file.name.to_string();
                let done = u64::from(next.chunk).saturating_mul(u64::from(file.chunk_size));
                if let Content::Hashed { size_bytes, .. } = file.content {
                    step.package_done = done.min(size_bytes);
                    step.package_total = Some(size_bytes);
                }
            }
            _ => step.package = stage.name().to_owned(),
        }
        step
    }
}

/// How much of the whole job is done. Receiving is most of it; what comes then takes seconds, but
/// it is not nothing.
fn share(stage: Stage, received: u64, total: Option<u64>) -> u8 {
    match stage {
        Stage::Finishing => 96,
        Stage::Committing => 98,
        Stage::Installed => 99,
        Stage::Leaving => 100,
        Stage::Receiving => match total {
            Some(total) => (u16::from(percent(received, total)) * 19 / 20) as u8,
            None => 0,
        },
        _ => 0,
    }
}
