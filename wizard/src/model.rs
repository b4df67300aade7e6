//! The facts from events, and the choices of the operator: everything that a screen
//! may show. Its size is bounded.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use disk::sizes::Sizes;
use machine::gate::{self, Candidate, Cleared, GateError, Wish};
use receiver::operator::event::ReceiverEvent;
use wire::stage::Stage;

use crate::event::{LogLine, Machine, MachineEvent, Nic};
use crate::rates::Rates;

/// Lines of the log that are kept.
pub const LOG_MAX: usize = 1000;
/// Characters of one of them.
const LOG_TEXT_MAX: usize = 500;
/// Of each of these the last ones are kept.
const REFUSALS_MAX: usize = 8;
const WARNINGS_MAX: usize = 32;
const MISSING_MAX: usize = 32;
/// More cards than any machine has.
const CARDS_MAX: usize = 64;

/// Where the receiver is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// It looks for disks and addresses.
    #[default]
    Starting,
    /// It cannot choose a disk by itself, and waits.
    Undecided,
    /// A person decides.
    Held,
    /// Donors are invited.
    Inviting,
    /// A donor is connected. Nothing is written.
    Accepted,
    /// The disk is being written.
    Writing,
    /// The disk is complete.
    Installed,
    /// No donor can help any more: the machine will start over.
    Dead,
}

/// The invitation to donors.
#[derive(Clone, Debug)]
pub struct Invitation {
    /// The code in the beacon.
    pub code: String,
    /// The secret of the donor, if the policy has one.
    pub secret: Option<String>,
    /// `secret`, `pinned` or `legacy`.
    pub policy: String,
    /// The disk that will be written.
    pub disk: Candidate,
    /// The addresses at which this machine is reached.
    pub addresses: Vec<IpAddr>,
}

/// A donor that was refused.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // the fields name themselves
pub struct Refusal {
    /// The address of the donor.
    pub peer: SocketAddr,
    /// How many donors have been refused so far.
    pub count: u64,
    pub reason: String,
}

/// A deploy, from the donor that proved itself to its end.
#[derive(Clone, Debug)]
pub struct Deploy {
    /// The address of the donor.
    pub peer: SocketAddr,
    /// The version of the image.
    pub version: Option<String>,
    /// Names of its packages.
    pub packages: Vec<String>,
    /// The size of all packages together, on the wire.
    pub total_bytes: Option<u64>,
    /// The donor must agree.
    pub awaits_consent: bool,
    /// The stage it is in.
    pub stage: Stage,
    /// The package that is being received: its name, its length on the wire, and what had been
    /// received before it.
    pub package: Option<(String, u64, u64)>,
    /// How many packages were begun.
    pub packages_begun: usize,
    /// On the wire.
    pub received_bytes: u64,
    /// Unpacked from them.
    pub unpacked_bytes: u64,
    /// When it began.
    pub began: Instant,
    /// The connection broke because of this; the donor is waited for.
    pub lost: Option<String>,
    /// Warnings of this deploy, the last ones.
    pub warnings: VecDeque<String>,
    /// How fast it is.
    pub rates: Rates,
}

/// A deploy that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The reason chain.
    pub reason: String,
    /// The machine starts over.
    pub is_fatal: bool,
    /// The disk had been written to.
    pub was_writing: bool,
    /// A person cancelled it.
    pub was_cancelled: bool,
    /// When.
    pub at: Instant,
}

/// The machine leaves by itself.
#[derive(Clone, Copy, Debug)]
pub struct Leaving {
    /// `reboot`, `kexec` or `poweroff`.
    pub how: &'static str,
    /// When.
    pub at: Instant,
}

/// The operator's decisions. `None` keeps the machine's own decision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// The disk, with leave to erase it.
    pub wish: Option<Wish>,
    /// Of its partitions.
    pub sizes: Option<Sizes>,
    /// The last value of `smv.ip=` that a person applied.
    pub network: Option<String>,
}

/// Everything that a screen may show.
#[derive(Debug, Default)]
pub struct Model {
    /// The time of the last event or tick.
    pub now: Option<Instant>,
    /// The machine.
    pub machine: Machine,
    /// Its network cards, by name.
    pub nics: Vec<Nic>,
    /// The last report of each Wi-Fi card, by interface.
    pub wifi: Vec<wifi::Report>,
    /// Its disks.
    pub disks: Vec<Candidate>,
    /// The disk that would be taken now, or why none.
    pub choice: Option<Result<Candidate, GateError>>,
    /// Where the receiver is.
    pub phase: Phase,
    /// The last invitation; it holds in [`Phase::Inviting`].
    pub invitation: Option<Invitation>,
    /// The last donors that were refused.
    pub refusals: VecDeque<Refusal>,
    /// The deploy that runs, or the last one.
    pub deploy: Option<Deploy>,
    /// How the last deploy failed.
    pub failure: Option<Failure>,
    /// The disk that is complete, and its boot entry's title.
    pub installed: Option<(Candidate, String)>,
    /// The machine will leave by itself.
    pub leaving: Option<Leaving>,
    /// The operator has asked the machine to stay, perhaps before it was about to leave.
    pub is_staying: bool,
    /// Devices without a driver, firmware that is not there.
    pub missing: Vec<String>,
    /// The last lines of the log, the newest at the end.
    pub log: VecDeque<LogLine>,
    /// How many lines have been dropped.
    pub log_forgotten: u64,
    /// A person has cancelled the deploy, and it has not ended yet.
    pub is_cancelling: bool,
    /// A person decides, and the machine waits.
    pub is_held: bool,
    /// Why the machine refused a person's decision.
    pub refused: Option<String>,
    /// The operator's decisions.
    pub choices: Choices,
}

impl Model {
    /// Learns an event.
    pub fn learn(&mut self, fact: MachineEvent, now: Instant) {
        self.now = Some(now);
        match fact {
            MachineEvent::Machine(machine) => self.machine = machine,
            MachineEvent::Nic(nic) => replace(&mut self.nics, nic, |nic| &nic.name),
            MachineEvent::NicGone(name) => {
                self.nics.retain(|nic| nic.name != name);
                self.wifi.retain(|report| report.interface != name);
            }
            MachineEvent::Wifi(report) => {
                replace(&mut self.wifi, report, |report| &report.interface)
            }
            MachineEvent::News(news) => self.news(news, now),
            MachineEvent::Missing(lines) => {
                self.missing = lines;
                self.missing.truncate(MISSING_MAX);
            }
            MachineEvent::Log(line) => self.log_line(line),
            MachineEvent::Leaving { .. } if self.is_staying => {}
            MachineEvent::Leaving { how, within } => {
                let at = now.checked_add(within).unwrap_or(now);
                self.leaving = Some(Leaving { how, at });
            }
        }
    }

    fn log_line(&mut self, mut line: LogLine) {
        if let Some((end, _)) = line.text.char_indices().nth(LOG_TEXT_MAX) {
            line.text.truncate(end);
        }
        if push(&mut self.log, line, LOG_MAX) {
            self.log_forgotten = self.log_forgotten.saturating_add(1);
        }
    }

    fn news(&mut self, news: ReceiverEvent, now: Instant) {
        match news {
            ReceiverEvent::Disks { seen, choice } => {
                self.disks = seen;
                match self.phase {
                    Phase::Starting | Phase::Inviting if choice.is_err() => {
                        self.phase = Phase::Undecided;
                    }
                    Phase::Undecided if choice.is_ok() => self.phase = Phase::Starting,
                    _ => {}
                }
                self.choice = Some(choice.map(|disk| *disk));
            }
            ReceiverEvent::Inviting {
                code,
                secret,
                policy,
                disk,
                addresses,
                ..
            } => {
                // A donor that was lost is invited with a new secret, to go on.
                let is_resumed = self.is_deploying()
                    && self
                        .deploy
                        .as_ref()
                        .is_some_and(|deploy| deploy.lost.is_some());
                if !is_resumed {
                    self.phase = Phase::Inviting;
                    self.is_cancelling = false;
                }
                self.choice = Some(Ok((*disk).clone()));
                self.invitation = Some(Invitation {
                    code,
                    secret,
                    policy,
                    disk: *disk,
                    addresses,
                });
            }
            ReceiverEvent::Held { refused } => {
                self.phase = Phase::Held;
                self.refused = refused;
            }
            ReceiverEvent::Refused {
                peer,
                count,
                reason,
                ..
            } => {
                let refusal = Refusal {
                    peer,
                    count,
                    reason,
                };
                push(&mut self.refusals, refusal, REFUSALS_MAX);
            }
            ReceiverEvent::Accepted {
                peer,
                version,
                packages,
                total_bytes,
                ..
            } => {
                self.phase = Phase::Accepted;
                self.is_cancelling = false;
                self.failure = None;
                self.deploy = Some(Deploy {
                    version,
                    packages,
                    total_bytes,
                    ..Deploy::of(peer, now)
                });
            }
            ReceiverEvent::Failed { reason, is_fatal } => self.failed(reason, is_fatal, now),
            ReceiverEvent::Installed { disk, title } => {
                self.phase = Phase::Installed;
                self.is_cancelling = false;
                self.installed = Some((*disk, title));
            }
            ReceiverEvent::Warning(text) => match &mut self.deploy {
                Some(deploy) if self.phase != Phase::Inviting => {
                    push(&mut deploy.warnings, text, WARNINGS_MAX);
                }
                _ => {} // it is in the log as well
            },
            news => self.deploy_news(news, now),
        }
    }

    /// Takes an event that only a running deploy has.
    fn deploy_news(&mut self, news: ReceiverEvent, now: Instant) {
        let Some(deploy) = &mut self.deploy else {
            return;
        };
        match news {
            ReceiverEvent::AwaitingConsent { .. } => deploy.awaits_consent = true,
            ReceiverEvent::Stage { stage, .. } => {
                deploy.awaits_consent = false;
                match stage {
                    Stage::Formatting | Stage::Receiving | Stage::Finishing | Stage::Committing => {
                        self.phase = Phase::Writing;
                    }
                    Stage::Accepted | Stage::Planned => {}
                    _ => return,
                }
                deploy.stage = stage;
            }
            ReceiverEvent::Package { name, claimed_len } => {
                // The first of them begins it.
                deploy.stage = Stage::Receiving;
                self.phase = Phase::Writing;
                deploy.package = Some((name, claimed_len, deploy.received_bytes));
                deploy.packages_begun = deploy.packages_begun.saturating_add(1);
            }
            ReceiverEvent::Progress {
                received_bytes,
                unpacked_bytes,
                ..
            } => {
                deploy.received_bytes = received_bytes;
                deploy.unpacked_bytes = unpacked_bytes;
                deploy.rates.pass(received_bytes, now);
            }
            ReceiverEvent::DonorLost { reason, .. } => deploy.lost = Some(reason),
            ReceiverEvent::DonorBack { .. } => deploy.lost = None,
            _ => {}
        }
    }

    fn failed(&mut self, reason: String, is_fatal: bool, now: Instant) {
        self.failure = Some(Failure {
            reason,
            is_fatal,
            was_writing: self.phase == Phase::Writing,
            was_cancelled: self.is_cancelling,
            at: now,
        });
        self.is_cancelling = false;
        self.phase = match is_fatal {
            true => Phase::Dead,
            false => self.free_phase(),
        };
    }

    /// Whether [`Command::Stay`](crate::Command::Stay) has an effect: the machine leaves by itself,
    /// now or once its donor has said goodbye.
    #[must_use]
    pub fn may_stay(&self) -> bool {
        let will_leave = self.machine.owns_power && self.phase == Phase::Installed;
        self.leaving.is_some() || (will_leave && !self.is_staying)
    }

    /// Time passes. True when something that is shown has changed.
    pub fn tick(&mut self, now: Instant) -> bool {
        self.now = Some(now);
        let is_moving = self.phase == Phase::Writing;
        let deploy = self.deploy.as_mut().filter(|_| is_moving);
        let is_sampled = deploy.is_some_and(|deploy| deploy.rates.pass(deploy.received_bytes, now));
        is_sampled || self.leaving.is_some()
    }

    /// When something will have changed by itself.
    #[must_use]
    pub fn next_tick(&self, now: Instant) -> Option<Duration> {
        let deploy = self.deploy.as_ref();
        let sample = deploy
            .filter(|_| self.phase == Phase::Writing)
            .map(|deploy| deploy.rates.next(now));
        // The next whole second.
        let countdown = self.leaving.and_then(|leaving| {
            let left = leaving.at.saturating_duration_since(now);
            let part = Duration::from_nanos(u64::from(left.subsec_nanos()));
            (!left.is_zero()).then(|| part.max(Duration::from_millis(10)))
        });
        sample.into_iter().chain(countdown).min()
    }

    /// How long ago that was.
    #[must_use]
    pub fn since(&self, at: Instant) -> Duration {
        let now = self.now.unwrap_or(at);
        now.saturating_duration_since(at)
    }

    /// How long it will be until then.
    #[must_use]
    pub fn until(&self, at: Instant) -> Duration {
        let now = self.now.unwrap_or(at);
        at.saturating_duration_since(now)
    }

    /// The disk that would be taken: the person's, else the machine's. Or why none would.
    ///
    /// # Errors
    /// The verdict of the gate.
    pub fn disk(&self) -> Result<Candidate, GateError> {
        match (&self.choices.wish, &self.choice) {
            (Some(wish), _) => gate::choose(&self.disks, wish).map(Cleared::into_candidate),
            (None, Some(Ok(disk))) => Ok(disk.clone()),
            (None, Some(Err(error))) => Err(error.clone()),
            (None, None) => Err(GateError::NoDisk),
        }
    }

    /// Where the receiver is once it is free again. What was said of the disks last holds, as it is
    /// said once, but not for a wish that it has not seen.
    #[must_use]
    pub(crate) const fn free_phase(&self) -> Phase {
        match (&self.choice, &self.choices.wish) {
            (Some(Err(_)), None) => Phase::Undecided,
            _ => Phase::Starting,
        }
    }

    /// A donor is connected, or was and is waited for: only cancelling leads back from here.
    #[must_use]
    pub const fn is_deploying(&self) -> bool {
        matches!(self.phase, Phase::Accepted | Phase::Writing)
    }
}

impl Deploy {
    fn of(peer: SocketAddr, now: Instant) -> Self {
        Self {
            peer,
            version: None,
            packages: Vec::new(),
            total_bytes: None,
            awaits_consent: false,
            stage: Stage::Accepted,
            package: None,
            packages_begun: 0,
            received_bytes: 0,
            unpacked_bytes: 0,
            began: now,
            lost: None,
            warnings: VecDeque::new(),
            rates: Rates::new(now),
        }
    }
}

/// Puts it in the place of the one with the same key, in order.
fn replace<T>(all: &mut Vec<T>, new: T, key: fn(&T) -> &String) {
    match all.binary_search_by(|old| key(old).cmp(key(&new))) {
        Ok(at) => {
            if let Some(old) = all.get_mut(at) {
                *old = new;
            }
        }
        Err(at) if all.len() < CARDS_MAX => all.insert(at, new),
        Err(_) => {}
    }
}

/// True when another one had to go.
fn push<T>(ring: &mut VecDeque<T>, new: T, max: usize) -> bool {
    let is_full = ring.len() >= max;
    if is_full {
        ring.pop_front();
    }
    ring.push_back(new);
    is_full
}
