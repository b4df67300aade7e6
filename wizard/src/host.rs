//! The loop around the wizard: keys of every terminal and events of the machine in, pictures on
//! every terminal and commands to the machine out. It sleeps until something happens and never
//! waits for a terminal: one that takes no output only misses pictures.

mod frontend;
mod inbox;
mod tty;

use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use frontend::Frontend;
pub use inbox::Inbox;
pub use tty::{Enter, Mode, TtyConfig};
use tty::{Tty, TtyInput};

use crate::command::Command;
use crate::event::MachineEvent;
use crate::key::Key;
use crate::terminal::keys::Decoded;
use crate::{Plain, Wizard};

/// Redraws the terminal on which it was typed.
const DRAW_ANEW: Key = Key::Ctrl('l');
/// Changes the theme of that terminal: ASCII only, no colours.
const CHANGE_THEME: Key = Key::Ctrl('t');
const INTERRUPT: Key = Key::Ctrl('c');

/// One of the host's terminals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalId(usize);

impl TerminalId {
    /// Its place among those that the host was given.
    #[must_use]
    pub const fn number(self) -> usize {
        self.0
    }
}

/// The services that the host needs of its machine. Nothing here may wait.
pub trait Machine {
    /// Does what a person wants; `from` is where it was pressed.
    fn carry_out(&mut self, command: Command, from: TerminalId);

    /// A person typed this on a terminal with lines. The answer is shown there.
    fn typed(&mut self, _line: &str) -> Option<String> {
        None
    }

    /// Brings the terminal with the screens before the person's eyes ([`Enter::Elsewhere`]).
    fn show_screens(&mut self) {}

    /// Whether the kernel is to keep its lines to itself: screens are where it writes them.
    /// Meanwhile the host writes log lines to the other terminals of that kind.
    fn silence(&mut self, _is_silent: bool) {}

    /// Whether screens or a shell have this terminal, so that nothing else writes to it.
    fn occupy(&mut self, _id: TerminalId, _is_occupied: bool) {}

    /// Gives the terminal to a shell until [`Inbox::give_back`].
    ///
    /// # Errors
    /// The image has no shell, or it does not start.
    fn lend(&mut self, _terminal: &File, _id: TerminalId) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Reopens a terminal that was lent: a session that ends hangs up the terminal that it had
    /// (`TIOCSCTTY`).
    ///
    /// # Errors
    /// It is gone.
    fn reopen(&mut self, _id: TerminalId) -> io::Result<File> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Whether Ctrl-C ends the host; else it is a key like any other.
    fn ends_on_interrupt(&self) -> bool {
        false
    }
}

/// Why the host came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// [`Inbox::close`].
    Closed,
    /// Ctrl-C.
    Interrupted,
    /// The last terminal is gone.
    Alone,
}

/// Everything that is needed to run.
#[derive(Debug)]
pub struct Host<M> {
    frontend: Frontend,
    machine: M,
    inbox: Inbox,
    /// One that is gone leaves its place empty: the others keep their numbers.
    ttys: Vec<Option<Tty>>,
    is_silent: bool,
}

impl<M: Machine> Host<M> {
    /// On these terminals.
    #[must_use]
    pub fn new(wizard: Wizard, machine: M, inbox: Inbox, configs: Vec<TtyConfig>) -> Self {
        Self::with(Frontend::Screens(Box::new(wizard)), machine, inbox, configs)
    }

    /// On these terminals, with lines instead of screens: what mode they begin with and what an
    /// empty line does there means nothing.
    #[must_use]
    pub fn plain(plain: Plain, machine: M, inbox: Inbox, mut configs: Vec<TtyConfig>) -> Self {
        for config in &mut configs {
            (config.mode, config.enter) = (Mode::Lines, Enter::Nothing);
        }
        Self::with(Frontend::Lines(Box::new(plain)), machine, inbox, configs)
    }

    fn with(frontend: Frontend, machine: M, inbox: Inbox, configs: Vec<TtyConfig>) -> Self {
        let ttys = configs.into_iter().map(|config| Some(Tty::new(config)));
        Self {
            frontend,
            machine,
            inbox,
            ttys: ttys.collect(),
            is_silent: false,
        }
    }

    /// Runs until the inbox is closed or no terminal is left. The terminals are then restored.
    pub fn run(mut self) -> Ended {
        self.inbox.set_running(true);
        for number in 0..self.ttys.len() {
            if self
                .tty(number)
                .is_some_and(|tty| tty.config.mode == Mode::Screens)
            {
                self.begin(number);
            }
        }
        let ended = self.serve();
        self.each(|tty| tty.hide(false));
        self.ttys.clear();
        self.hush();
        self.inbox.set_running(false);
        ended
    }

    fn serve(&mut self) -> Ended {
        loop {
            let waiting = self.inbox.take();
            if waiting.is_closed {
                return Ended::Closed;
            }
            let now = Instant::now();
            for TerminalId(number) in waiting.returned {
                let reopened = self.machine.reopen(TerminalId(number));
                if let (Some(tty), Ok(terminal)) = (self.tty(number), reopened) {
                    tty.config.terminal = terminal;
                }
                self.begin(number);
            }
            self.each(Tty::notice_size);
            for fact in waiting.facts {
                self.forward(&fact);
                self.frontend.learn(fact, now);
            }
            for number in 0..self.ttys.len() {
                let said = self.tty(number).and_then(|tty| tty.expire(now));
                if let Some(Decoded::Key(key)) = said {
                    self.press(key, number, now);
                }
            }
            for command in self.frontend.tick(now) {
                self.machine.carry_out(command, TerminalId(0));
            }
            if self.frontend.is_changed() {
                self.each(|tty| tty.change(false));
            }
            self.say();
            let mut is_any = false;
            self.each(|_| is_any = true);
            if !is_any {
                return Ended::Alone;
            }
            if let Some(ended) = self.wait(now) {
                return ended;
            }
        }
    }

    /// Waits for whatever comes first, and takes and gives what is there to take and give.
    fn wait(&mut self, now: Instant) -> Option<Ended> {
        // A borrower may hang its terminal up.
        let is_here = |tty: &&Tty| tty.config.mode != Mode::Lent;
        let ttys = self.ttys.iter().flatten().filter(is_here);
        let patience = ttys.clone().filter_map(|tty| tty.patience(now));
        let patience = patience.chain(self.frontend.next_tick(now)).min();
        let wakeup = PollFd::new(self.inbox.wakeup(), PollFlags::IN);
        let terminals = ttys.map(|tty| PollFd::new(&tty.config.terminal, tty.wants(now)));
        let mut ready: Vec<_> = terminals.chain([wakeup]).collect();
        // A moment more, so that what was waited for is surely over.
        let patience = patience.map(|patience| patience + Duration::from_millis(1));
        let patience = patience.and_then(|patience| Timespec::try_from(patience).ok());
        // Interrupted, or out of memory: then nothing is ready, and we look again.
        let _ = poll(&mut ready, patience.as_ref());
        let ready: Vec<_> = ready.iter().map(PollFd::revents).collect();
        let numbers: Vec<_> = (0..self.ttys.len())
            .filter(|number| matches!(self.ttys.get(*number), Some(Some(tty)) if is_here(&tty)))
            .collect();
        let now = Instant::now();
        for (number, flags) in numbers.into_iter().zip(ready) {
            if flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
                let hung_up = flags.intersects(PollFlags::HUP | PollFlags::ERR);
                if let Some(ended) = self.hear(number, hung_up, now) {
                    return Some(ended);
                }
            }
            if flags.contains(PollFlags::OUT)
                && let Some(Some(tty)) = self.ttys.get_mut(number)
            {
                tty.write(self.frontend.wizard(), now);
            }
        }
        None
    }

    fn hear(&mut self, number: usize, hung_up: bool, now: Instant) -> Option<Ended> {
        let heard = self.tty(number)?.read(hung_up, now);
        match heard {
            TtyInput::Gone => {
                if let Some(tty) = self.ttys.get_mut(number) {
                    *tty = None;
                }
                self.hush();
            }
            TtyInput::Line(line) => self.typed(&line, number, now),
            TtyInput::Decoded(said) => {
                for said in said {
                    match said {
                        Decoded::Key(INTERRUPT) if self.machine.ends_on_interrupt() => {
                            return Some(Ended::Interrupted);
                        }
                        Decoded::Key(key) => self.press(key, number, now),
                        answer => self.each_of(number, |tty| tty.answer(answer)),
                    }
                }
            }
        }
        None
    }

    /// Prints all new lines on every terminal.
    fn say(&mut self) {
        let (lines, is_secret) = self.frontend.lines();
        if self.frontend.is_lines() {
            self.each(|tty| {
                lines.iter().for_each(|line| tty.say(line));
                tty.hide(is_secret);
            });
        }
    }

    fn typed(&mut self, line: &str, number: usize, now: Instant) {
        if let Frontend::Lines(plain) = &mut self.frontend {
            self.inbox.touch();
            let commands = plain.answer(line, now);
            return self.carry_out(commands, number);
        }
        let line = line.trim();
        if !line.is_empty() {
            let answer = self.machine.typed(line);
            self.each_of(number, |tty| answer.iter().for_each(|text| tty.say(text)));
            return;
        }
        match self.tty(number).map(|tty| tty.config.enter) {
            Some(Enter::Screens) => {
                self.inbox.touch();
                self.begin(number);
            }
            Some(Enter::Elsewhere) => {
                self.inbox.touch();
                self.machine.show_screens();
            }
            Some(Enter::Nothing) | None => {}
        }
    }

    fn press(&mut self, key: Key, number: usize, now: Instant) {
        self.inbox.touch();
        match key {
            DRAW_ANEW => self.each_of(number, Tty::redraw_all),
            CHANGE_THEME => self.each_of(number, Tty::change_theme),
            _ => {}
        }
        let Frontend::Screens(wizard) = &mut self.frontend else {
            return;
        };
        let commands = wizard.press(key, now);
        self.carry_out(commands, number);
        // The effect of a key is shown at once, on every terminal.
        if self.frontend.is_changed() {
            self.each(|tty| tty.change(true));
        }
    }

    fn carry_out(&mut self, commands: Vec<Command>, number: usize) {
        for command in commands {
            if command == Command::Shell {
                self.lend(number);
            } else {
                self.machine.carry_out(command, TerminalId(number));
            }
        }
    }

    fn lend(&mut self, number: usize) {
        let Some(Some(tty)) = self.ttys.get_mut(number) else {
            return;
        };
        tty.end(Mode::Lent);
        let lent = self.machine.lend(&tty.config.terminal, TerminalId(number));
        if lent.is_err() {
            self.begin(number);
        }
    }

    /// Brings the screens there. A terminal that cannot be set up for them stays with lines.
    fn begin(&mut self, number: usize) {
        let Some(Some(tty)) = self.ttys.get_mut(number) else {
            return;
        };
        if self.frontend.is_lines() {
            tty.config.mode = Mode::Lines; // as before it was lent
            return self.hush();
        }
        let begun = tty.begin();
        if begun.is_err() {
            tty.end(Mode::Lines);
        }
        self.machine.occupy(TerminalId(number), begun.is_ok());
        self.hush();
    }

    /// Silences the kernel, or no more.
    fn hush(&mut self) {
        let mut is_silent = false;
        self.each(|tty| {
            is_silent |= tty.config.has_kernel_lines && tty.config.mode != Mode::Lines;
        });
        if is_silent != self.is_silent {
            self.is_silent = is_silent;
            self.machine.silence(is_silent);
        }
    }

    fn forward(&mut self, fact: &MachineEvent) {
        if let (MachineEvent::Log(line), true) = (fact, self.is_silent) {
            self.each(|tty| {
                if tty.config.has_kernel_lines {
                    tty.line(line);
                }
            });
        }
    }

    fn tty(&mut self, number: usize) -> Option<&mut Tty> {
        self.ttys.get_mut(number)?.as_mut()
    }

    fn each_of(&mut self, number: usize, act: impl FnOnce(&mut Tty)) {
        if let Some(tty) = self.tty(number) {
            act(tty);
        }
    }

    fn each(&mut self, act: impl FnMut(&mut Tty)) {
        self.ttys.iter_mut().flatten().for_each(act);
    }
}

#[cfg(test)]
mod tests;
