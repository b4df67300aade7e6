//! What a target says while it is sent to: one thread reads, the sender looks at what it has noted.
//!
//! In: messages. Out: events, and the few facts that the sender waits for.

use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use session::channel::{ChannelError, Opener};
use wire::manifest::{Content, Sha256};
use wire::message::{Message, Next, RejectCode};
use wire::outcome::Outcome;
use wire::stage::Stage;
use wizard::figures::percent;

use super::{Cut, Delivery, DeliveryError};
use crate::event::{About, Step};
use crate::progress::Rate;
use crate::target_disk::TargetDisk;

/// How long a target that has said its last word may take to close.
const CLOSING: Duration = Duration::from_secs(10);

/// What the reader has heard.
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
    accepted: Option<Accepted>,
    acknowledged: Next,
    installed: Option<Sha256>,
    rejected: Option<(RejectCode, String)>,
    failed: Option<String>,
    closed: Option<ChannelError>,
}

impl State {
    /// Whether nothing is to be expected any more.
    const fn is_over(&self) -> bool {
        self.rejected.is_some() || self.failed.is_some() || self.closed.is_some()
    }
}

impl Heard {
    /// The target's answer to the manifest.
    pub(super) fn accepted(&self, delivery: &Place<'_>) -> Result<Accepted, Cut> {
        let mut state = self.wait_while(|state| state.accepted.is_none() && !state.is_over());
        match state.accepted.take() {
            Some(accepted) => Ok(accepted),
            None => Err(delivery.cut(state)),
        }
    }

    /// Waits until the target wants `next` or something behind it.
    pub(super) fn acknowledged(&self, next: Next, delivery: &Place<'_>) -> Result<(), Cut> {
        let state = self.wait_while(|state| state.acknowledged < next && !state.is_over());
        if state.is_over() {
            return Err(delivery.cut(state));
        }
        Ok(())
    }

    /// What the target has acknowledged until now.
    pub(super) fn progress(&self, delivery: &Place<'_>) -> Result<Next, Cut> {
        let state = self.lock();
        if state.is_over() {
            return Err(delivery.cut(state));
        }
        Ok(state.acknowledged)
    }

    /// Waits a little; fails as soon as nothing is to be expected any more.
    pub(super) fn pause(&self, time: Duration, delivery: &Place<'_>) -> Result<(), Cut> {
        let state = self.wait_until(Instant::now() + time, State::is_over);
        if state.is_over() {
            return Err(delivery.cut(state));
        }
        Ok(())
    }

    /// The digest of what the target has installed.
    pub(super) fn installed(&self, delivery: &Place<'_>) -> Result<Sha256, Cut> {
        let state = self.wait_while(|state| state.installed.is_none() && !state.is_over());
        match state.installed {
            Some(digest) => Ok(digest),
            None => Err(delivery.cut(state)),
        }
    }

    /// Why a message could not be sent: the target's own words, if it had some.
    pub(super) fn why(&self, error: ChannelError, delivery: &Place<'_>) -> Cut {
        let deadline = Instant::now() + CLOSING;
        let mut state = self.wait_until(deadline, State::is_over);
        if !state.is_over() {
            state.closed = Some(error);
        }
        delivery.cut(state)
    }

    /// Waits until the target has closed.
    pub(super) fn closed(&self) {
        drop(self.wait_until(Instant::now() + CLOSING, State::is_over));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while(&self, mut is_awaited: impl FnMut(&State) -> bool) -> MutexGuard<'_, State> {
        self.changed
            .wait_while(self.lock(), |state| is_awaited(state))
            .unwrap_or_else(PoisonError::into_inner)
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

/// Where we are connected, for errors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) stream: &'a TcpStream,
    pub(super) to: std::net::SocketAddr,
}

impl Place<'_> {
    fn cut(&self, mut state: MutexGuard<'_, State>) -> Cut {
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
    mut opener: Opener<&TcpStream>,
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
                if telling.message(&message) {
                    // Whatever is being sent is of no use any more; a sender that waits for room must not wait for ever.
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
        match *message {
            Message::Accept { next, asks, disk } => {
                let disk = TargetDisk::from(disk);
                self.heard.note(|state| {
                    state.acknowledged = state.acknowledged.max(next);
                    let accepted = Accepted { next, asks, disk };
                    state.accepted.get_or_insert(accepted);
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
                self.heard
                    .note(|state| state.installed = Some(manifest_sha256));
            }
            Message::Log { level, text } => tell(About::Log {
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
                    tell(About::Stage(stage));
                }
                tell(About::Progress(self.step(
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

/// How much of the whole job is done. Receiving is most of it; what comes then takes seconds, but it is not nothing.
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
