//! The wizard's state machine: which screen is shown, and what follows from an event or a key.
//!
//! The receiver decides by itself what it can, and the screens follow it. The first key where
//! something is left to decide makes the person take over ([`Command::Hold`]), until that person
//! continues ([`Command::Take`], [`Command::GoOn`]). The screens still follow the receiver: a donor
//! that was accepted before the command arrived is shown.

use std::time::{Duration, Instant};

use machine::gate;
use ratatui_core::terminal::Frame;
use receiver::operator::event::ReceiverEvent;

use crate::command::Command;
use crate::event::MachineEvent;
use crate::key::Key;
use crate::model::{Model, Phase};
use crate::overlay::{self, Overlay};
use crate::screens::{
    self, code::Code, disk::Disk, done::Done, failed::Failed, logs::Logs, network::Network,
    plan::Plan, receiving::Receiving, welcome::Welcome, wifi::Wifi,
};
use crate::theme::Theme;
use crate::view::{Act, Question, Screen, ScreenView};

/// A failure is shown so long before donors' screen comes back by itself.
const FAILURE_SHOWN: Duration = Duration::from_secs(60);

/// The screens and what is typed on them.
#[derive(Debug)]
struct ScreenViews {
    welcome: Welcome,
    disk: Disk,
    plan: Plan,
    network: Network,
    wifi: Wifi,
    code: Code,
    receiving: Receiving,
    done: Done,
    failed: Failed,
    logs: Logs,
}

/// The state machine.
#[derive(Debug)]
pub struct Wizard {
    model: Model,
    screen: Screen,
    overlay: Option<Overlay>,
    views: ScreenViews,
    is_changed: bool,
}

impl Wizard {
    /// Nothing is known and nothing was pressed. `check_ip` says whether a value of `smv.ip=` can
    /// be followed, or why not.
    #[must_use]
    pub fn new(check_ip: fn(&str) -> Result<(), String>) -> Self {
        Self {
            model: Model::default(),
            screen: Screen::default(),
            overlay: None,
            views: ScreenViews {
                welcome: Welcome,
                disk: Disk::default(),
                plan: Plan::default(),
                network: Network::new(check_ip),
                wifi: Wifi::default(),
                code: Code::default(),
                receiving: Receiving::default(),
                done: Done::default(),
                failed: Failed::default(),
                logs: Logs::default(),
            },
            is_changed: true,
        }
    }

    /// The screen that is shown, below what may lie over it.
    #[must_use]
    pub const fn screen(&self) -> Screen {
        self.screen
    }

    /// Does a person decide, so that the machine waits?
    #[must_use]
    pub const fn is_held(&self) -> bool {
        self.model.is_held
    }

    /// The facts and the choices.
    #[must_use]
    pub const fn model(&self) -> &Model {
        &self.model
    }

    /// Learns an event.
    pub fn learn(&mut self, fact: MachineEvent, now: Instant) {
        // A line of the log is seen only where there is room for it, and what is known already
        // nowhere.
        let is_seen = match &fact {
            MachineEvent::Nic(nic) => !self.model.nics.contains(nic),
            MachineEvent::Wifi(report) => !self.model.wifi.contains(report),
            MachineEvent::Log(_) => self.overlay == Some(Overlay::Logs) || self.shows_log(),
            _ => true,
        };
        let is_news = matches!(fact, MachineEvent::News(_));
        let is_failure = matches!(fact, MachineEvent::News(ReceiverEvent::Failed { .. }));
        self.model.learn(fact, now);
        if is_news {
            self.follow(is_failure);
        }
        self.is_changed |= is_seen;
    }

    const fn shows_log(&self) -> bool {
        matches!(
            self.screen,
            Screen::Receiving | Screen::Failed | Screen::Done
        )
    }

    /// Shows what the receiver does now. `is_failure`: that it has just failed.
    fn follow(&mut self, is_failure: bool) {
        let is_late = !self.model.is_held && self.model.phase == Phase::Held;
        match is_late {
            // The chosen disk is refused: the same person decides again.
            true if self.model.refused.is_some() => {
                self.model.is_held = true;
                return self.go(Screen::Disk);
            }
            // It was held until a moment ago.
            true => self.model.phase = self.model.free_phase(),
            false => {}
        }
        let is_free = !self.model.is_held;
        let next = match (self.model.phase, self.screen) {
            (Phase::Accepted | Phase::Writing, _) => Screen::Receiving,
            (Phase::Installed, _) => Screen::Done,
            (Phase::Dead, _) => Screen::Failed,
            (_, Screen::Receiving) => self.after_deploy(),
            // It failed before a donor was let in.
            _ if is_failure && is_free => self.after_deploy(),
            (Phase::Inviting, screen) if is_free && screen != Screen::Failed => Screen::Code,
            (Phase::Undecided, Screen::Welcome | Screen::Code) if is_free => Screen::Disk,
            (Phase::Starting, Screen::Disk) if is_free => Screen::Welcome,
            (_, screen) => screen,
        };
        let is_cancel_asked = matches!(self.overlay, Some(Overlay::Ask(Question::Cancel, _)));
        if is_cancel_asked && !self.model.is_deploying() {
            self.overlay = None;
        }
        if next != self.screen {
            self.go(next);
        }
    }

    /// Where a deploy leads that ended before the disk was complete.
    const fn after_deploy(&self) -> Screen {
        match &self.model.failure {
            Some(failure) if !failure.was_cancelled => Screen::Failed,
            // A person took over when a donor was already accepted, and still has to decide.
            _ if self.model.is_held => Screen::Disk,
            _ => Screen::Code,
        }
    }

    fn go(&mut self, screen: Screen) {
        self.screen = screen;
        let model = std::mem::take(&mut self.model);
        self.view_mut().enter(&model);
        self.model = model;
    }

    /// A key, and what the machine is to do because of it.
    pub fn press(&mut self, key: Key, now: Instant) -> Vec<Command> {
        self.model.now = Some(now);
        self.is_changed = true;
        let acts = match (key, &mut self.overlay) {
            (Key::F(1), Some(Overlay::Help)) | (Key::F(2), Some(Overlay::Logs)) => {
                self.overlay = None;
                return Vec::new();
            }
            (Key::F(number), _) => return self.function(number),
            (_, Some(Overlay::Help)) => {
                self.overlay = None;
                return Vec::new();
            }
            (_, Some(Overlay::Logs)) => {
                let acts = self.views.logs.press(key, &mut self.model, now);
                if acts.contains(&Act::Back) {
                    self.overlay = None;
                }
                return Vec::new();
            }
            (_, Some(Overlay::Ask(question, is_yes))) => {
                let question = *question;
                let Some(answer) = overlay::answer(key, is_yes) else {
                    return Vec::new();
                };
                self.overlay = None;
                match answer {
                    true => vec![Act::Command(question.command())],
                    false => Vec::new(),
                }
            }
            (Key::Ctrl('l' | 't'), None) => return Vec::new(), // the host handles it
            (_, None) => return self.page_press(key, now),
        };
        self.act(acts)
    }

    /// The keys that work everywhere.
    fn function(&mut self, number: u8) -> Vec<Command> {
        let machine = &self.model.machine;
        self.overlay = match number {
            1 => Some(Overlay::Help),
            2 => {
                self.views.logs.enter(&self.model);
                Some(Overlay::Logs)
            }
            9 if machine.has_shell => return vec![Command::Shell],
            11 if machine.owns_power => Some(Overlay::ask(Question::Reboot)),
            12 if machine.owns_power => Some(Overlay::ask(Question::PowerOff)),
            _ => return Vec::new(),
        };
        Vec::new()
    }

    fn page_press(&mut self, key: Key, now: Instant) -> Vec<Command> {
        let mut commands: Vec<Command> = self.take_over().into_iter().collect();
        if !commands.is_empty() && self.screen == Screen::Welcome && key == Key::Escape {
            return commands; // as a first key it takes over like any other; the second gives back
        }
        let mut model = std::mem::take(&mut self.model);
        let acts = self.view_mut().press(key, &mut model, now);
        self.model = model;
        commands.extend(self.act(acts));
        commands
    }

    /// A person begins to decide, if anything is left to decide.
    pub(crate) fn take_over(&mut self) -> Option<Command> {
        let is_open = matches!(self.screen, Screen::Welcome | Screen::Disk);
        match !self.model.is_held && is_open {
            true => self.carry(Command::Hold),
            false => None,
        }
    }

    /// The operator's choices are stored here, by views and by [`crate::plain`].
    pub(crate) const fn model_mut(&mut self) -> &mut Model {
        &mut self.model
    }

    pub(crate) fn act(&mut self, acts: Vec<Act>) -> Vec<Command> {
        let mut commands = Vec::new();
        for act in acts {
            match act {
                Act::Command(command) => commands.extend(self.carry(command)),
                // No donor is invited while a person decides.
                Act::Go(Screen::Code)
                    if self.model.is_held || self.model.phase == Phase::Undecided =>
                {
                    self.go(Screen::Disk);
                }
                Act::Go(screen) => self.go(screen),
                Act::Back => commands.extend(self.back()),
                Act::Invite => commands.extend(self.invite()),
                Act::Ask(question) => self.overlay = Some(Overlay::ask(question)),
            }
        }
        commands
    }

    /// An order that is given changes what we know.
    fn carry(&mut self, command: Command) -> Option<Command> {
        match &command {
            Command::Hold => self.model.is_held = true,
            Command::GoOn | Command::Take { .. } => {
                if command == Command::GoOn {
                    (self.model.choices.wish, self.model.choices.sizes) = (None, None);
                }
                self.model.is_held = false;
                self.model.refused = None;
                self.model.phase = self.model.free_phase();
            }
            Command::Cancel if !self.model.is_deploying() => return None, // it has ended meanwhile
            Command::Cancel => self.model.is_cancelling = true,
            Command::Stay => (self.model.leaving, self.model.is_staying) = (None, true),
            Command::Leave => self.model.is_staying = false,
            Command::Network(value) => self.model.choices.network = Some(value.clone()),
            _ => {}
        }
        Some(command)
    }

    /// One screen back. Where that is not possible, nothing.
    fn back(&mut self) -> Vec<Command> {
        let previous = match self.screen {
            Screen::Welcome if self.model.is_held => {
                let command = self.carry(Command::GoOn);
                self.follow(false);
                return command.into_iter().collect();
            }
            Screen::Disk => Screen::Welcome,
            Screen::Plan => Screen::Disk,
            Screen::Network => Screen::Plan,
            Screen::Wifi => Screen::Network,
            Screen::Code => {
                self.go(Screen::Network);
                return self.carry(Command::Hold).into_iter().collect();
            }
            Screen::Welcome | Screen::Receiving | Screen::Done | Screen::Failed => {
                return Vec::new();
            }
        };
        self.go(previous);
        Vec::new()
    }

    /// On with what was chosen, if the gate lets it pass.
    fn invite(&mut self) -> Vec<Command> {
        let choices = &self.model.choices;
        let wish = match (&choices.wish, self.model.disk()) {
            (Some(wish), _) => Some(wish.clone()),
            // Other sizes on the disk that the machine chose. Where it holds something, the same
            // person has to say that it may go.
            (None, Ok(disk)) if choices.sizes.is_some() => Some(screens::disk::wish(&disk, None)),
            (None, _) => None,
        };
        let is_good = match &wish {
            Some(wish) => gate::choose(&self.model.disks, wish).is_ok(),
            None => self.model.disk().is_ok(),
        };
        let command = match (is_good, wish) {
            (false, _) => {
                self.go(Screen::Disk);
                return Vec::new();
            }
            (true, None) => Command::GoOn,
            (true, Some(wish)) => {
                let sizes = choices.sizes.unwrap_or_default();
                self.model.choices.wish = Some(wish.clone());
                Command::Take { wish, sizes }
            }
        };
        self.go(Screen::Code);
        self.carry(command).into_iter().collect()
    }

    /// Time passes.
    pub fn tick(&mut self, now: Instant) -> Vec<Command> {
        self.is_changed |= self.model.tick(now);
        if self.failure_left(now) == Some(Duration::ZERO) {
            self.is_changed = true;
            self.go(Screen::Code);
        }
        Vec::new()
    }

    /// How long the failure stays on the screen, where donors are invited again.
    fn failure_left(&self, now: Instant) -> Option<Duration> {
        if self.screen != Screen::Failed || self.model.phase != Phase::Inviting {
            return None;
        }
        let failure = self.model.failure.as_ref()?;
        Some(FAILURE_SHOWN.saturating_sub(now.saturating_duration_since(failure.at)))
    }

    /// When [`Wizard::tick`] will have something to do. None: nothing moves.
    #[must_use]
    pub fn next_tick(&self, now: Instant) -> Option<Duration> {
        let model = self.model.next_tick(now);
        model.into_iter().chain(self.failure_left(now)).min()
    }

    /// Is there something to draw, since this was asked the last time?
    pub const fn is_changed(&mut self) -> bool {
        let is_changed = self.is_changed;
        self.is_changed = false;
        is_changed
    }

    /// Draws everything.
    pub fn draw(&self, frame: &mut Frame<'_>, theme: Theme) {
        let logs: &dyn ScreenView = &self.views.logs;
        let picture = overlay::Picture {
            screen: self.screen,
            view: self.view(),
            logs,
            overlay: self.overlay.as_ref(),
            model: &self.model,
        };
        picture.draw(frame, theme);
    }

    fn view(&self) -> &dyn ScreenView {
        match self.screen {
            Screen::Welcome => &self.views.welcome,
            Screen::Disk => &self.views.disk,
            Screen::Plan => &self.views.plan,
            Screen::Network => &self.views.network,
            Screen::Wifi => &self.views.wifi,
            Screen::Code => &self.views.code,
            Screen::Receiving => &self.views.receiving,
            Screen::Done => &self.views.done,
            Screen::Failed => &self.views.failed,
        }
    }

    fn view_mut(&mut self) -> &mut dyn ScreenView {
        match self.screen {
            Screen::Welcome => &mut self.views.welcome,
            Screen::Disk => &mut self.views.disk,
            Screen::Plan => &mut self.views.plan,
            Screen::Network => &mut self.views.network,
            Screen::Wifi => &mut self.views.wifi,
            Screen::Code => &mut self.views.code,
            Screen::Receiving => &mut self.views.receiving,
            Screen::Done => &mut self.views.done,
            Screen::Failed => &mut self.views.failed,
        }
    }
}
