//! The wizard: which screen is shown, and what follows from a fact or a key.
//!
//! The receiver decides by itself what it can, and the screens follow it. A key where something is left to decide makes a person
//! take over ([`Order::Hold`]), until that person says with what to go on ([`Order::Take`], [`Order::GoOn`]). What the receiver does
//! nevertheless is followed: a donor that was let in before the order arrived is shown.

use std::time::{Duration, Instant};

use ratatui_core::terminal::Frame;
use receiver::gate;
use receiver::operator::event::ReceiverEvent;

use crate::fact::Fact;
use crate::key::Key;
use crate::look::Look;
use crate::model::{Model, Phase};
use crate::order::Order;
use crate::overlay::{self, Overlay};
use crate::page::{Act, Page, Question};
use crate::screens::{
    self, code::Code, disk::Disk, done::Done, failed::Failed, logs::Logs, network::Network,
    plan::Plan, receiving::Receiving, welcome::Welcome, wifi::Wifi,
};

/// A failure is shown so long before donors' screen comes back by itself.
const FAILURE_SHOWN: Duration = Duration::from_secs(60);

/// The screens, in the order in which they are walked through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Screen {
    /// The machine.
    #[default]
    Welcome,
    /// Which disk.
    Disk,
    /// What will be on it.
    Plan,
    /// Addresses.
    Network,
    /// Wireless networks.
    Wifi,
    /// Donors are invited.
    Code,
    /// A donor sends.
    Receiving,
    /// The disk is complete.
    Done,
    /// The deploy came to nothing.
    Failed,
}

impl Screen {
    /// Every screen.
    pub const ALL: [Screen; 9] = [
        Screen::Welcome,
        Screen::Disk,
        Screen::Plan,
        Screen::Network,
        Screen::Wifi,
        Screen::Code,
        Screen::Receiving,
        Screen::Done,
        Screen::Failed,
    ];

    /// Its name at the top.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Screen::Welcome => "Welcome",
            Screen::Disk => "Disk",
            Screen::Plan => "Plan",
            Screen::Network => "Network",
            Screen::Wifi => "Wi-Fi",
            Screen::Code => "Code",
            Screen::Receiving => "Receiving",
            Screen::Done => "Done",
            Screen::Failed => "Failed",
        }
    }
}

/// The screens and what is typed on them.
#[derive(Debug)]
struct Pages {
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
    pages: Pages,
    is_changed: bool,
}

impl Wizard {
    /// Nothing is known and nothing was pressed. `check_ip` says whether a value of `smv.ip=` can be followed, or why not.
    #[must_use]
    pub fn new(check_ip: fn(&str) -> Result<(), String>) -> Self {
        Self {
            model: Model::default(),
            screen: Screen::default(),
            overlay: None,
            pages: Pages {
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

    /// What was learnt and chosen.
    #[must_use]
    pub const fn model(&self) -> &Model {
        &self.model
    }

    /// Something is so from now on.
    pub fn learn(&mut self, fact: Fact, now: Instant) {
        // A line of the log is seen only where there is room for it, and what is known already nowhere.
        let is_seen = match &fact {
            Fact::Nic(nic) => !self.model.nics.contains(nic),
            Fact::Wifi(report) => !self.model.wifi.contains(report),
            Fact::Log(_) => self.overlay == Some(Overlay::Logs) || self.shows_log(),
            _ => true,
        };
        let is_news = matches!(fact, Fact::News(_));
        let is_failure = matches!(fact, Fact::News(ReceiverEvent::Failed { .. }));
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
            // What was taken cannot be: the same person decides again.
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
            // Somebody took over while the donor was let in already, and still has to decide.
            _ if self.model.is_held => Screen::Disk,
            _ => Screen::Code,
        }
    }

    fn go(&mut self, screen: Screen) {
        self.screen = screen;
        let model = std::mem::take(&mut self.model);
        self.page_mut().enter(&model);
        self.model = model;
    }

    /// A key, and what the machine is to do because of it.
    pub fn press(&mut self, key: Key, now: Instant) -> Vec<Order> {
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
                let acts = self.pages.logs.press(key, &mut self.model, now);
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
                    true => vec![Act::Order(question.order())],
                    false => Vec::new(),
                }
            }
            (Key::Ctrl('l' | 't'), None) => return Vec::new(), // whoever draws has heard it
            (_, None) => return self.page_press(key, now),
        };
        self.act(acts)
    }

    /// The keys that work everywhere.
    fn function(&mut self, number: u8) -> Vec<Order> {
        let machine = &self.model.machine;
        self.overlay = match number {
            1 => Some(Overlay::Help),
            2 => {
                self.pages.logs.enter(&self.model);
                Some(Overlay::Logs)
            }
            9 if machine.has_shell => return vec![Order::Shell],
            11 if machine.owns_power => Some(Overlay::ask(Question::Reboot)),
            12 if machine.owns_power => Some(Overlay::ask(Question::PowerOff)),
            _ => return Vec::new(),
        };
        Vec::new()
    }

    fn page_press(&mut self, key: Key, now: Instant) -> Vec<Order> {
        let mut orders: Vec<Order> = self.take_over().into_iter().collect();
        if !orders.is_empty() && self.screen == Screen::Welcome && key == Key::Escape {
            return orders; // as a first key it takes over like any other; the second gives back
        }
        let mut model = std::mem::take(&mut self.model);
        let acts = self.page_mut().press(key, &mut model, now);
        self.model = model;
        orders.extend(self.act(acts));
        orders
    }

    /// Somebody begins to decide, where something is left to decide.
    pub(crate) fn take_over(&mut self) -> Option<Order> {
        let is_open = matches!(self.screen, Screen::Welcome | Screen::Disk);
        match !self.model.is_held && is_open {
            true => self.carry(Order::Hold),
            false => None,
        }
    }

    /// What a person chooses is kept here, by pages and by [`crate::plain`].
    pub(crate) const fn model_mut(&mut self) -> &mut Model {
        &mut self.model
    }

    pub(crate) fn act(&mut self, acts: Vec<Act>) -> Vec<Order> {
        let mut orders = Vec::new();
        for act in acts {
            match act {
                Act::Order(order) => orders.extend(self.carry(order)),
                // Nobody is invited while somebody has to decide.
                Act::Go(Screen::Code)
                    if self.model.is_held || self.model.phase == Phase::Undecided =>
                {
                    self.go(Screen::Disk);
                }
                Act::Go(screen) => self.go(screen),
                Act::Back => orders.extend(self.back()),
                Act::Invite => orders.extend(self.invite()),
                Act::Ask(question) => self.overlay = Some(Overlay::ask(question)),
            }
        }
        orders
    }

    /// An order that is given changes what we know.
    fn carry(&mut self, order: Order) -> Option<Order> {
        match &order {
            Order::Hold => self.model.is_held = true,
            Order::GoOn | Order::Take { .. } => {
                if order == Order::GoOn {
                    (self.model.choices.wish, self.model.choices.sizes) = (None, None);
                }
                self.model.is_held = false;
                self.model.refused = None;
                self.model.phase = self.model.free_phase();
            }
            Order::Cancel if !self.model.is_deploying() => return None, // it has ended meanwhile
            Order::Cancel => self.model.is_cancelling = true,
            Order::Stay => self.model.leaving = None,
            Order::Network(value) => self.model.choices.network = Some(value.clone()),
            _ => {}
        }
        Some(order)
    }

    /// One screen back. Where that is not possible, nothing.
    fn back(&mut self) -> Vec<Order> {
        let previous = match self.screen {
            Screen::Welcome if self.model.is_held => {
                let order = self.carry(Order::GoOn);
                self.follow(false);
                return order.into_iter().collect();
            }
            Screen::Disk => Screen::Welcome,
            Screen::Plan => Screen::Disk,
            Screen::Network => Screen::Plan,
            Screen::Wifi => Screen::Network,
            Screen::Code => {
                self.go(Screen::Network);
                return self.carry(Order::Hold).into_iter().collect();
            }
            Screen::Welcome | Screen::Receiving | Screen::Done | Screen::Failed => {
                return Vec::new();
            }
        };
        self.go(previous);
        Vec::new()
    }

    /// On with what was chosen, if the gate lets it pass.
    fn invite(&mut self) -> Vec<Order> {
        let choices = &self.model.choices;
        let wish = match (&choices.wish, self.model.disk()) {
            (Some(wish), _) => Some(wish.clone()),
            // Other sizes on the disk that the machine chose. Where it holds something, the same person has to say that it may go.
            (None, Ok(disk)) if choices.sizes.is_some() => Some(screens::disk::wish(disk, None)),
            (None, _) => None,
        };
        let is_good = match &wish {
            Some(wish) => gate::choose(&self.model.disks, wish).is_ok(),
            None => self.model.disk().is_ok(),
        };
        let order = match (is_good, wish) {
            (false, _) => {
                self.go(Screen::Disk);
                return Vec::new();
            }
            (true, None) => Order::GoOn,
            (true, Some(wish)) => {
                let sizes = choices.sizes.unwrap_or_default();
                self.model.choices.wish = Some(wish.clone());
                Order::Take { wish, sizes }
            }
        };
        self.go(Screen::Code);
        self.carry(order).into_iter().collect()
    }

    /// Time passes.
    pub fn tick(&mut self, now: Instant) -> Vec<Order> {
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
    pub fn draw(&self, frame: &mut Frame<'_>, look: Look) {
        let logs: &dyn Page = &self.pages.logs;
        let picture = overlay::Picture {
            screen: self.screen,
            page: self.page(),
            logs,
            overlay: self.overlay.as_ref(),
            model: &self.model,
        };
        picture.draw(frame, look);
    }

    fn page(&self) -> &dyn Page {
        match self.screen {
            Screen::Welcome => &self.pages.welcome,
            Screen::Disk => &self.pages.disk,
            Screen::Plan => &self.pages.plan,
            Screen::Network => &self.pages.network,
            Screen::Wifi => &self.pages.wifi,
            Screen::Code => &self.pages.code,
            Screen::Receiving => &self.pages.receiving,
            Screen::Done => &self.pages.done,
            Screen::Failed => &self.pages.failed,
        }
    }

    fn page_mut(&mut self) -> &mut dyn Page {
        match self.screen {
            Screen::Welcome => &mut self.pages.welcome,
            Screen::Disk => &mut self.pages.disk,
            Screen::Plan => &mut self.pages.plan,
            Screen::Network => &mut self.pages.network,
            Screen::Wifi => &mut self.pages.wifi,
            Screen::Code => &mut self.pages.code,
            Screen::Receiving => &mut self.pages.receiving,
            Screen::Done => &mut self.pages.done,
            Screen::Failed => &mut self.pages.failed,
        }
    }
}
