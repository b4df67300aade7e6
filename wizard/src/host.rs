//! The loop around the wizard: keys of every terminal and facts of the machine in, pictures on every terminal and orders to the
//! machine out. It sleeps until something happens, and waits for no terminal: one that takes nothing misses pictures, no more.

mod front;
mod inbox;
mod seat;

use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use front::Front;
pub use inbox::Inbox;
pub use seat::{Enter, Mode, Place};
use seat::{Heard, Seat};

use crate::fact::Fact;
use crate::key::Key;
use crate::order::Order;
use crate::terminal::keys::Said;
use crate::{Plain, Wizard};

/// Draws anew what is on the terminal that it was typed on.
const DRAW_ANEW: Key = Key::Ctrl('l');
/// Another look for that terminal: without characters beyond ASCII, without colours.
const CHANGE_LOOK: Key = Key::Ctrl('t');
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

/// What the host needs of the machine that it runs on. Nothing here may wait.
pub trait Machine {
    /// Does what a person wants; `from` is where it was pressed.
    fn carry_out(&mut self, order: Order, from: TerminalId);

    /// Somebody typed this where lines are shown. The answer is shown there.
    fn typed(&mut self, _line: &str) -> Option<String> {
        None
    }

    /// Brings the terminal with the screens before the person's eyes ([`Enter::Elsewhere`]).
    fn turn(&mut self) {}

    /// Whether the kernel is to keep its lines to itself: screens are where it writes them. While it does, the log lines that the
    /// host is told go to the other terminals of that kind.
    fn silence(&mut self, _is_silent: bool) {}

    /// Whether this terminal is taken by screens, or by a shell: nobody else is to write there then.
    fn occupy(&mut self, _id: TerminalId, _is_occupied: bool) {}

    /// Gives the terminal to a shell until [`Inbox::give_back`].
    ///
    /// # Errors
    /// There is none, or it does not start.
    fn lend(&mut self, _terminal: &File, _id: TerminalId) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Opens a terminal anew that was lent: a session that ends hangs up the terminal that it had (`TIOCSCTTY`).
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
    front: Front,
    machine: M,
    inbox: Inbox,
    /// One that is gone leaves its place empty: the others keep their numbers.
    seats: Vec<Option<Seat>>,
    is_silent: bool,
}

impl<M: Machine> Host<M> {
    /// On these terminals.
    #[must_use]
    pub fn new(wizard: Wizard, machine: M, inbox: Inbox, places: Vec<Place>) -> Self {
        Self::with(Front::Screens(wizard), machine, inbox, places)
    }

    /// On these terminals, with lines instead of screens: what mode they begin with and what an empty line does there means nothing.
    #[must_use]
    pub fn plain(plain: Plain, machine: M, inbox: Inbox, mut places: Vec<Place>) -> Self {
        for place in &mut places {
            (place.mode, place.enter) = (Mode::Lines, Enter::Nothing);
        }
        Self::with(Front::Lines(plain), machine, inbox, places)
    }

    fn with(front: Front, machine: M, inbox: Inbox, places: Vec<Place>) -> Self {
        let seats = places.into_iter().map(|place| Some(Seat::new(place)));
        Self {
            front,
            machine,
            inbox,
            seats: seats.collect(),
            is_silent: false,
        }
    }

    /// Runs until there is nothing more to show, or nobody to show it to. The terminals are then as they were before.
    pub fn run(mut self) -> Ended {
        self.inbox.set_running(true);
        for number in 0..self.seats.len() {
            if self
                .seat(number)
                .is_some_and(|seat| seat.place.mode == Mode::Screens)
            {
                self.begin(number);
            }
        }
        let ended = self.serve();
        self.each(|seat| seat.hide(false));
        self.seats.clear();
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
                if let (Some(seat), Ok(terminal)) = (self.seat(number), reopened) {
                    seat.place.terminal = terminal;
                }
                self.begin(number);
            }
            self.each(Seat::notice_size);
            for fact in waiting.facts {
                self.forward(&fact);
                self.front.learn(fact, now);
            }
            for number in 0..self.seats.len() {
                let said = self.seat(number).and_then(|seat| seat.expire(now));
                if let Some(Said::Key(key)) = said {
                    self.press(key, number, now);
                }
            }
            for order in self.front.tick(now) {
                self.machine.carry_out(order, TerminalId(0));
            }
            if self.front.is_changed() {
                self.each(|seat| seat.change(false));
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
        // Whoever has borrowed one may well hang it up.
        let is_here = |seat: &&Seat| seat.place.mode != Mode::Lent;
        let seats = self.seats.iter().flatten().filter(is_here);
        let patience = seats.clone().filter_map(|seat| seat.patience(now));
        let patience = patience.chain(self.front.next_tick(now)).min();
        let wakeup = PollFd::new(self.inbox.wakeup(), PollFlags::IN);
        let terminals = seats.map(|seat| PollFd::new(&seat.place.terminal, seat.wants(now)));
        let mut ready: Vec<_> = terminals.chain([wakeup]).collect();
        // A moment more, so that what was waited for is surely over.
        let patience = patience.map(|patience| patience + Duration::from_millis(1));
        let patience = patience.and_then(|patience| Timespec::try_from(patience).ok());
        // Interrupted, or out of memory: then nothing is ready, and we look again.
        let _ = poll(&mut ready, patience.as_ref());
        let ready: Vec<_> = ready.iter().map(PollFd::revents).collect();
        let numbers: Vec<_> = (0..self.seats.len())
            .filter(|number| matches!(self.seats.get(*number), Some(Some(seat)) if is_here(&seat)))
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
                && let Some(Some(seat)) = self.seats.get_mut(number)
            {
                seat.write(self.front.wizard(), now);
            }
        }
        None
    }

    fn hear(&mut self, number: usize, hung_up: bool, now: Instant) -> Option<Ended> {
        let heard = self.seat(number)?.read(hung_up, now);
        match heard {
            Heard::Gone => {
                if let Some(seat) = self.seats.get_mut(number) {
                    *seat = None;
                }
                self.hush();
            }
            Heard::Line(line) => self.typed(&line, number, now),
            Heard::Said(said) => {
                for said in said {
                    match said {
                        Said::Key(INTERRUPT) if self.machine.ends_on_interrupt() => {
                            return Some(Ended::Interrupted);
                        }
                        Said::Key(key) => self.press(key, number, now),
                        answer => self.each_of(number, |seat| seat.answer(answer)),
                    }
                }
            }
        }
        None
    }

    /// What there is to say, on every terminal.
    fn say(&mut self) {
        let (lines, is_secret) = self.front.lines();
        if self.front.is_lines() {
            self.each(|seat| {
                lines.iter().for_each(|line| seat.say(line));
                seat.hide(is_secret);
            });
        }
    }

    fn typed(&mut self, line: &str, number: usize, now: Instant) {
        if let Front::Lines(plain) = &mut self.front {
            self.inbox.touch();
            let orders = plain.answer(line, now);
            return self.carry_out(orders, number);
        }
        let line = line.trim();
        if !line.is_empty() {
            let answer = self.machine.typed(line);
            self.each_of(number, |seat| answer.iter().for_each(|text| seat.say(text)));
            return;
        }
        match self.seat(number).map(|seat| seat.place.enter) {
            Some(Enter::Screens) => {
                self.inbox.touch();
                self.begin(number);
            }
            Some(Enter::Elsewhere) => {
                self.inbox.touch();
                self.machine.turn();
            }
            Some(Enter::Nothing) | None => {}
        }
    }

    fn press(&mut self, key: Key, number: usize, now: Instant) {
        self.inbox.touch();
        match key {
            DRAW_ANEW => self.each_of(number, Seat::draw_anew),
            CHANGE_LOOK => self.each_of(number, Seat::change_look),
            _ => {}
        }
        let Front::Screens(wizard) = &mut self.front else {
            return;
        };
        let orders = wizard.press(key, now);
        self.carry_out(orders, number);
        // What a key does is seen at once, on every terminal.
        if self.front.is_changed() {
            self.each(|seat| seat.change(true));
        }
    }

    fn carry_out(&mut self, orders: Vec<Order>, number: usize) {
        for order in orders {
            if order == Order::Shell {
                self.lend(number);
            } else {
                self.machine.carry_out(order, TerminalId(number));
            }
        }
    }

    fn lend(&mut self, number: usize) {
        let Some(Some(seat)) = self.seats.get_mut(number) else {
            return;
        };
        seat.end(Mode::Lent);
        let lent = self.machine.lend(&seat.place.terminal, TerminalId(number));
        if lent.is_err() {
            self.begin(number);
        }
    }

    /// Brings the screens there. A terminal that cannot be set up for them stays with lines.
    fn begin(&mut self, number: usize) {
        let Some(Some(seat)) = self.seats.get_mut(number) else {
            return;
        };
        if self.front.is_lines() {
            seat.place.mode = Mode::Lines; // as it was before somebody borrowed it
            return self.hush();
        }
        let begun = seat.begin();
        if begun.is_err() {
            seat.end(Mode::Lines);
        }
        self.machine.occupy(TerminalId(number), begun.is_ok());
        self.hush();
    }

    /// Silences the kernel, or no more.
    fn hush(&mut self) {
        let mut is_silent = false;
        self.each(|seat| {
            is_silent |= seat.place.has_kernel_lines && seat.place.mode != Mode::Lines;
        });
        if is_silent != self.is_silent {
            self.is_silent = is_silent;
            self.machine.silence(is_silent);
        }
    }

    fn forward(&mut self, fact: &Fact) {
        if let (Fact::Log(line), true) = (fact, self.is_silent) {
            self.each(|seat| {
                if seat.place.has_kernel_lines {
                    seat.line(line);
                }
            });
        }
    }

    fn seat(&mut self, number: usize) -> Option<&mut Seat> {
        self.seats.get_mut(number)?.as_mut()
    }

    fn each_of(&mut self, number: usize, act: impl FnOnce(&mut Seat)) {
        if let Some(seat) = self.seat(number) {
            act(seat);
        }
    }

    fn each(&mut self, act: impl FnMut(&mut Seat)) {
        self.seats.iter_mut().flatten().for_each(act);
    }
}

#[cfg(test)]
mod tests;
