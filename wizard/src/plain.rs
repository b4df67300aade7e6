//! The wizard without screens, for screen readers and slow lines: events and typed lines in; lines
//! to show, and commands to the machine, out. Numbered questions and lines only, no escape
//! sequence.
//!
//! The same [`Wizard`] decides what is asked, and the same functions as on the screens say what may
//! be answered. A line is said again only when it is new; an empty one typed repeats everything.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use disk::sizes::{self, Sizes, Swap};
use machine::gate;
use wifi::{Join, Ssid, is_passphrase};

use crate::canvas;
use crate::command::Command;
use crate::event::MachineEvent;
use crate::model::Model;
use crate::overlay;
use crate::screens::disk::{Verdict, asked, verdict, wish};
use crate::screens::{logs, plan, wifi as networks};
use crate::state::Wizard;
use crate::theme::Charset;
use crate::view::{Act, Screen};

use menu::{Choice, Step, What};
use transcript::Line;

mod menu;
mod transcript;

/// Columns of a line: no terminal has to break one.
const WIDTH: usize = 78;
/// The expected form of a layout.
const LAYOUTS: &str = "single, ab, or ab and the size of a slot from 64M to 64G, like ab 1G";
/// In front of what a line had no room for.
const INDENT: &str = "   ";
/// Lines that wait to be shown; of more the oldest are dropped.
const LINES_MAX: usize = 500;
/// Of the log, when it is asked for.
const LOG_LINES: usize = 20;
/// Longer lines are no answer.
const ANSWER_MAX: usize = 256;
/// The last of the lines, as long as a number is expected.
const PROMPT: &str = "Type a number and Enter; Enter alone repeats everything:";

/// Questions and answers.
#[derive(Debug)]
pub struct Plain {
    wizard: Wizard,
    check_ip: fn(&str) -> Result<(), String>,
    /// The meaning of the next line.
    step: Step,
    /// The choices behind the numbers that were shown last.
    menu: Vec<Choice>,
    /// The text that was printed last, and its screen.
    said: (Option<Screen>, Vec<String>),
    /// The networks in range are numbered again when the list changes.
    wants_networks: bool,
    /// The sizes that were typed.
    sizes: Option<Sizes>,
    lines: VecDeque<String>,
}

impl Plain {
    /// Nothing is known and nothing was typed. `check_ip` as for [`Wizard::new`].
    #[must_use]
    pub fn new(check_ip: fn(&str) -> Result<(), String>) -> Self {
        Self {
            wizard: Wizard::new(check_ip),
            check_ip,
            step: Step::default(),
            menu: Vec::new(),
            said: (None, Vec::new()),
            wants_networks: false,
            sizes: None,
            lines: VecDeque::new(),
        }
    }

    /// The state behind the text.
    #[must_use]
    pub const fn wizard(&self) -> &Wizard {
        &self.wizard
    }

    /// Learns an event.
    pub fn learn(&mut self, fact: MachineEvent, now: Instant) {
        // Nothing is shown before the machine is known; the log is shown on request.
        let is_silent = match &fact {
            MachineEvent::Machine(_) => false,
            MachineEvent::Log(_) => true,
            _ => self.said.0.is_none(),
        };
        self.wizard.learn(fact, now);
        if !is_silent {
            self.refresh();
        }
    }

    /// Time passes.
    pub fn tick(&mut self, now: Instant) -> Vec<Command> {
        let commands = self.wizard.tick(now);
        if self.said.0.is_some() {
            self.refresh();
        }
        commands
    }

    /// When [`Plain::tick`] will have something to do.
    #[must_use]
    pub fn next_tick(&self, now: Instant) -> Option<Duration> {
        self.wizard.next_tick(now)
    }

    /// The lines to show, each once. None is longer than 78 columns or has anything in it that a
    /// terminal would act upon.
    pub fn lines(&mut self) -> Vec<String> {
        self.lines.drain(..).collect()
    }

    /// The next line is a passphrase: it should not be shown while it is typed.
    #[must_use]
    pub const fn is_secret(&self) -> bool {
        matches!(self.step, Step::Passphrase(..))
    }

    /// Handles a typed line and returns what the machine should do.
    pub fn answer(&mut self, line: &str, now: Instant) -> Vec<Command> {
        self.wizard.model_mut().now = Some(now);
        let line = line.trim_end_matches(['\r', '\n']);
        let commands = match line.len() {
            0..=ANSWER_MAX => self.follow_line(line),
            _ => {
                self.say("That line is too long.");
                Vec::new()
            }
        };
        self.refresh();
        if self.step == Step::Number && self.lines.back().is_none_or(|line| line != PROMPT) {
            self.say(PROMPT);
        }
        commands
    }

    fn follow_line(&mut self, line: &str) -> Vec<Command> {
        match std::mem::take(&mut self.step) {
            Step::Number => self.number(line.trim()),
            // A blank may be part of a passphrase, but not all of it.
            _ if line.is_empty() => {
                self.repeat();
                Vec::new()
            }
            Step::Passphrase(card, ssid, is_hidden) => self.join(card, ssid, is_hidden, line),
            step => self.typed(step, line.trim()),
        }
    }

    fn number(&mut self, line: &str) -> Vec<Command> {
        let number = line.parse::<usize>().ok();
        let choice = number.and_then(|number| self.menu.get(number.checked_sub(1)?));
        let what = choice.map(|choice| choice.what.clone());
        match what {
            Some(what) => self.follow(what),
            // Any line that is no answer stops the machine from leaving.
            None if self.wizard.model().may_stay() => {
                self.wizard.act(vec![Act::Command(Command::Stay)])
            }
            None if line.is_empty() => {
                self.repeat();
                Vec::new()
            }
            None => {
                let count = self.menu.len();
                self.say(&format!(
                    "{line} is no answer. A number from 1 to {count} is."
                ));
                Vec::new()
            }
        }
    }

    fn follow(&mut self, what: What) -> Vec<Command> {
        match what {
            What::Decide(acts) => self.decide(acts),
            What::Do(command) => {
                // Input from then on is worth an answer.
                self.wants_networks |= matches!(command, Command::WifiScan(_));
                self.wizard.act(vec![Act::Command(command)])
            }
            What::Disk(path) => self.disk(path),
            What::Plan => self.plan(),
            What::Type(step) => {
                self.ask(step);
                Vec::new()
            }
            What::Log => {
                let lines = self.wizard.model().log.iter().rev().take(LOG_LINES);
                let lines: Vec<String> = lines.map(logs::text).collect();
                lines.iter().rev().for_each(|line| self.say(line));
                Vec::new()
            }
        }
    }

    /// A person decides: the machine waits from the first decision on.
    fn decide(&mut self, acts: Vec<Act>) -> Vec<Command> {
        if let [Act::Command(Command::Network(value))] = acts.as_slice() {
            self.say(&format!("Addresses from now on: {value}"));
        }
        let mut commands: Vec<Command> = self.wizard.take_over().into_iter().collect();
        commands.extend(self.wizard.act(acts));
        commands
    }

    fn disk(&mut self, path: PathBuf) -> Vec<Command> {
        let disks = &self.wizard.model().disks;
        let Some(disk) = disks.iter().find(|disk| disk.disk().path == path) else {
            self.say("That disk is gone.");
            return Vec::new();
        };
        match verdict(disk, disks) {
            Verdict::Free => self.take(wish(disk, None)),
            Verdict::Word | Verdict::Installed(_) => {
                self.ask(Step::Word(path));
                self.wizard.take_over().into_iter().collect()
            }
            Verdict::Never(error) => {
                self.say(&error.to_string());
                Vec::new()
            }
        }
    }

    /// The gate lets it pass, or says why not.
    fn take(&mut self, wish: gate::Wish) -> Vec<Command> {
        let model = self.wizard.model_mut();
        if gate::choose(&model.disks, &wish).is_err() {
            self.say("That is not it. Nothing was changed.");
            return Vec::new();
        }
        model.choices.wish = Some(wish);
        self.decide(vec![Act::Go(Screen::Plan)])
    }

    /// The sizes on the command line, as on the screen.
    fn given(model: &Model) -> Sizes {
        let esp = plan::said(model, "smv.esp=").and_then(sizes::esp);
        let swap = plan::said(model, "smv.swap=").and_then(sizes::swap);
        Sizes {
            layout: plan::layout_kind(&plan::said_layout(model)).unwrap_or_default(),
            esp_bytes: esp,
            swap: swap.unwrap_or_default(),
        }
    }

    fn sizes(&self) -> Sizes {
        self.sizes
            .unwrap_or_else(|| Self::given(self.wizard.model()))
    }

    fn plan(&mut self) -> Vec<Command> {
        let (sizes, model) = (self.sizes(), self.wizard.model_mut());
        let table = match model.disk() {
            Ok(disk) => plan::layout(&disk, sizes).map(|_| ()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = table {
            self.say(&error);
            return Vec::new();
        }
        let given = Self::given(model);
        plan::choose(model, sizes, Some(given));
        self.decide(vec![Act::Go(Screen::Network)])
    }

    /// Says what has to be typed now.
    fn ask(&mut self, step: Step) {
        let model = self.wizard.model();
        let text = match &step {
            Step::Number => String::new(),
            Step::Word(path) => {
                let disk = model.disks.iter().find(|disk| disk.disk().path == *path);
                let word = disk.map_or_else(String::new, asked);
                format!("To lose what is on {}, type {word}.", path.display())
            }
            Step::Layout => format!("Type {LAYOUTS}."),
            Step::Esp => format!("Type {}.", sizes::ESP_EXPECTED),
            Step::Swap => format!("Type usual, {}.", sizes::SWAP_EXPECTED),
            Step::Address => "Type an address with its prefix, and a gateway after a comma, like \
                              10.9.0.5/24,gw=10.9.0.1; for one card, another comma and if=NAME."
                .to_owned(),
            Step::Name(_) => "Type the name of the network.".to_owned(),
            Step::Passphrase(_, ssid, is_hidden) => {
                let open = if *is_hidden {
                    ", or none if it is open"
                } else {
                    ""
                };
                format!("Type the passphrase of {ssid}{open}.")
            }
            Step::Sure(question) => {
                let consequence = overlay::consequence(*question, model);
                format!("{} {consequence} Type yes to do it.", question.text())
            }
        };
        self.say(&text);
        self.say("An empty line goes back.");
        self.step = step;
    }

    fn typed(&mut self, step: Step, line: &str) -> Vec<Command> {
        match step {
            Step::Number | Step::Passphrase(..) => Vec::new(), // never asked for here
            Step::Word(path) => {
                let mut disks = self.wizard.model().disks.iter();
                let disk = disks.find(|disk| disk.disk().path == path);
                match disk.map(|disk| wish(disk, Some(line))) {
                    Some(wish) => self.take(wish),
                    None => {
                        self.say("That disk is gone.");
                        Vec::new()
                    }
                }
            }
            Step::Layout => {
                let (layout, sizes) = (plan::layout_kind(line), self.sizes());
                self.size(layout.map(|layout| Sizes { layout, ..sizes }), LAYOUTS)
            }
            Step::Esp => {
                let esp = sizes::esp(line);
                let sizes = self.sizes();
                self.size(
                    esp.map(|esp_bytes| Sizes {
                        esp_bytes: Some(esp_bytes),
                        ..sizes
                    }),
                    sizes::ESP_EXPECTED,
                )
            }
            Step::Swap => {
                let swap = match line {
                    "usual" => Some(Swap::Usual),
                    line => sizes::swap(line),
                };
                let sizes = self.sizes();
                self.size(
                    swap.map(|swap| Sizes { swap, ..sizes }),
                    sizes::SWAP_EXPECTED,
                )
            }
            Step::Address => match (self.check_ip)(line) {
                Ok(()) => self.decide(vec![Act::Command(Command::Network(line.to_owned()))]),
                Err(error) => {
                    self.say(&error);
                    self.ask(Step::Address);
                    Vec::new()
                }
            },
            Step::Name(card) => {
                match Ssid::new(line.as_bytes()) {
                    Some(ssid) => self.ask(Step::Passphrase(card, ssid, true)),
                    None => {
                        self.say(&networks::not_a_name());
                        self.ask(Step::Name(card));
                    }
                }
                Vec::new()
            }
            Step::Sure(question) if line.eq_ignore_ascii_case("yes") => {
                self.wizard.act(vec![Act::Command(question.command())])
            }
            Step::Sure(_) => {
                self.say("Nothing was done.");
                Vec::new()
            }
        }
    }

    fn size(&mut self, sizes: Option<Sizes>, expected: &str) -> Vec<Command> {
        match sizes {
            Some(sizes) => {
                self.sizes = Some(sizes);
                self.repeat();
            }
            None => self.say(&format!("Expected {expected}. Nothing was changed.")),
        }
        Vec::new()
    }

    fn join(&mut self, interface: String, ssid: Ssid, is_hidden: bool, line: &str) -> Vec<Command> {
        let is_open = is_hidden && line == "none";
        if !is_open && !is_passphrase(line) {
            self.say(&networks::not_a_passphrase(line));
            self.ask(Step::Passphrase(interface, ssid, is_hidden));
            return Vec::new();
        }
        let join = Join {
            interface,
            ssid,
            passphrase: (!is_open).then(|| line.to_owned()),
            is_hidden,
        };
        self.wizard.act(vec![Act::Command(Command::WifiJoin(join))])
    }

    /// One more line, or several where it is long. Those begin with blanks: no number in them is an
    /// answer's.
    fn say(&mut self, text: &str) {
        let text = canvas::visible(text, Charset::Unicode).into_owned();
        let room = WIDTH.saturating_sub(INDENT.len());
        for (at, line) in canvas::broken(&text, room).into_iter().enumerate() {
            if self.lines.len() >= LINES_MAX {
                self.lines.pop_front();
            }
            let indent = if at == 0 { "" } else { INDENT };
            self.lines.push_back(format!("{indent}{line}"));
        }
    }

    /// Everything again.
    fn repeat(&mut self) {
        self.said = (None, Vec::new());
        self.menu.clear();
    }

    /// Says what is new, and what can be answered if that is.
    fn refresh(&mut self) {
        let screen = self.wizard.screen();
        let is_other = self.said.0 != Some(screen);
        let lines = transcript::lines(screen, self.wizard.model(), self.sizes());
        if is_other {
            self.step = Step::Number;
            self.say(&format!("-- {}", screen.name()));
        }
        let old = std::mem::take(&mut self.said.1);
        let is_new = |line: &&Line| is_other || !old.contains(&line.key);
        for line in lines.iter().filter(is_new) {
            self.say(&line.text);
        }
        let is_lost = |keys: &[String]| keys.iter().any(|key| key == transcript::LOST);
        let keys: Vec<String> = lines.into_iter().map(|line| line.key).collect();
        if !is_other && is_lost(&old) && !is_lost(&keys) {
            self.say("The donor is back.");
        }
        self.said = (Some(screen), keys);
        self.offer(screen, is_other);
    }

    /// The numbers, where they have changed and nothing else is being typed. Networks come and go
    /// all the time: they get new numbers only when they are asked for.
    fn offer(&mut self, screen: Screen, is_other: bool) {
        if self.step != Step::Number {
            return;
        }
        let choices = menu::choices(screen, self.wizard.model());
        let is_restless = screen == Screen::Wifi && !self.menu.is_empty() && !self.wants_networks;
        if !is_other && (choices == self.menu || is_restless) {
            return;
        }
        for (number, choice) in (1..).zip(&choices) {
            self.say(&format!("{number}  {}", choice.text));
        }
        self.say(PROMPT);
        let mut reports = self.wizard.model().wifi.iter();
        self.wants_networks = reports.all(|report| report.networks.is_empty());
        self.menu = choices;
    }
}
