//! Events of the machine's threads, for the thread that draws. Sending never waits, and what has
//! not been taken yet stays small: of a progress only the last is kept, of log lines and all else
//! the latest.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use receiver::operator::event::ReceiverEvent;
use sys::eventfd::EventFd;

use super::TerminalId;
use crate::event::MachineEvent;

/// Lines of the log that may wait.
const LINES_MAX: usize = 400;
/// Facts of other kinds that may wait.
const FACTS_MAX: usize = 400;

/// A handle; all clones of one lead to the same host.
#[derive(Clone, Debug)]
pub struct Inbox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    waiting: Mutex<Waiting>,
    /// The events already taken, for a host that begins after another.
    taken: Mutex<VecDeque<MachineEvent>>,
    wakeup: EventFd,
    is_touched: AtomicBool,
    is_running: Mutex<bool>,
    ended: Condvar,
}

/// The events that wait.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) facts: VecDeque<MachineEvent>,
    lines: usize,
    /// Terminals that a borrower has returned.
    pub(super) returned: Vec<TerminalId>,
    /// Nothing more is to be shown.
    pub(super) is_closed: bool,
}

impl Inbox {
    /// Nothing has arrived.
    ///
    /// # Errors
    /// No descriptor.
    pub fn new() -> io::Result<Self> {
        let wakeup = EventFd::new()?;
        Ok(Self(Arc::new(Inner {
            waiting: Mutex::default(),
            taken: Mutex::default(),
            wakeup,
            is_touched: AtomicBool::new(false),
            is_running: Mutex::default(),
            ended: Condvar::new(),
        })))
    }

    /// Tells something.
    pub fn tell(&self, fact: MachineEvent) {
        self.waiting().add(fact);
        self.wake();
    }

    /// The terminal that was borrowed (`super::Machine::borrow`) is free again.
    pub fn give_back(&self, terminal: TerminalId) {
        self.waiting().returned.push(terminal);
        self.wake();
    }

    /// Ends the host; the terminals are as they were before.
    pub fn close(&self) {
        self.waiting().is_closed = true;
        self.wake();
    }

    /// The same, and waits for it, but no longer than `patience`: in the host's own thread that
    /// never comes.
    pub fn close_and_wait(&self, patience: Duration) {
        self.close();
        let is_running = self.is_running();
        let ended = self
            .0
            .ended
            .wait_timeout_while(is_running, patience, |is_running| *is_running);
        drop(ended.unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn set_running(&self, is_running: bool) {
        *self.is_running() = is_running;
        self.0.ended.notify_all();
    }

    fn is_running(&self) -> MutexGuard<'_, bool> {
        self.0
            .is_running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Has it look around: a terminal may have another size.
    pub fn wake(&self) {
        self.0.wakeup.notify();
    }

    /// Whether a person has pressed a key since the beginning.
    #[must_use]
    pub fn is_touched(&self) -> bool {
        self.0.is_touched.load(Ordering::SeqCst)
    }

    pub(super) fn touch(&self) {
        self.0.is_touched.store(true, Ordering::SeqCst);
    }

    pub(super) fn wakeup(&self) -> &EventFd {
        &self.0.wakeup
    }

    /// The events since the last call.
    pub(super) fn take(&self) -> Waiting {
        self.0.wakeup.clear();
        let waiting = std::mem::take(&mut *self.waiting());
        let mut taken = self.taken();
        for fact in &waiting.facts {
            remember(&mut taken, fact);
        }
        waiting
    }

    /// Tells everything once more that a host took before, but for lines and what was overtaken:
    /// the one that begins now knows nothing.
    pub fn tell_again(&self) {
        let taken = std::mem::take(&mut *self.taken());
        let mut waiting = self.waiting();
        for fact in taken.into_iter().rev() {
            waiting.facts.push_front(fact);
        }
        drop(waiting);
        self.wake();
    }

    fn taken(&self) -> MutexGuard<'_, VecDeque<MachineEvent>> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// An invitation takes the place of the one before, whose secret is no longer needed.
fn remember(taken: &mut VecDeque<MachineEvent>, fact: &MachineEvent) {
    match fact {
        MachineEvent::Log(_) | MachineEvent::News(ReceiverEvent::Progress { .. }) => return,
        MachineEvent::News(ReceiverEvent::Inviting { .. }) => {
            taken
                .retain(|fact| !matches!(fact, MachineEvent::News(ReceiverEvent::Inviting { .. })));
        }
        _ => {}
    }
    if taken.len() >= FACTS_MAX {
        taken.pop_front();
    }
    taken.push_back(fact.clone());
}

impl Waiting {
    fn add(&mut self, fact: MachineEvent) {
        match &fact {
            MachineEvent::Log(_) => {
                if self.lines == LINES_MAX {
                    self.drop_first(|fact| matches!(fact, MachineEvent::Log(_)));
                } else {
                    self.lines += 1;
                }
                self.facts.push_back(fact);
                return;
            }
            MachineEvent::News(ReceiverEvent::Progress { .. }) => {
                if let Some(last) = self.facts.back_mut()
                    && matches!(last, MachineEvent::News(ReceiverEvent::Progress { .. }))
                {
                    *last = fact;
                    return;
                }
            }
            _ => {}
        }
        if self.facts.len() - self.lines >= FACTS_MAX {
            self.drop_first(|fact| !matches!(fact, MachineEvent::Log(_)));
        }
        self.facts.push_back(fact);
    }

    fn drop_first(&mut self, is_meant: fn(&MachineEvent) -> bool) {
        if let Some(index) = self.facts.iter().position(is_meant) {
            self.facts.remove(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FACTS_MAX, Inbox, LINES_MAX};
    use crate::event::{LogLine, MachineEvent};
    use receiver::operator::event::ReceiverEvent;
    use std::time::Duration;

    fn line(number: usize) -> MachineEvent {
        MachineEvent::Log(LogLine {
            level: 6,
            at: Duration::ZERO,
            text: number.to_string(),
        })
    }

    const fn progress(received_bytes: u64) -> MachineEvent {
        MachineEvent::News(ReceiverEvent::Progress {
            received_bytes,
            unpacked_bytes: 0,
            is_line_due: false,
        })
    }

    #[test]
    fn nobody_who_does_not_listen_costs_memory() {
        let inbox = Inbox::new().unwrap();
        inbox.tell(MachineEvent::NicGone("first".to_owned()));
        for number in 0..5000 {
            inbox.tell(line(number));
            inbox.tell(MachineEvent::News(ReceiverEvent::Warning(
                number.to_string(),
            )));
            inbox.tell(progress(number as u64));
        }
        let waiting = inbox.take();
        let lines = waiting
            .facts
            .iter()
            .filter(|fact| matches!(fact, MachineEvent::Log(_)))
            .count();
        assert_eq!(lines, LINES_MAX);
        assert!(waiting.facts.len() <= LINES_MAX + FACTS_MAX);
        let last = waiting.facts.back().unwrap();
        assert!(matches!(
            last,
            MachineEvent::News(ReceiverEvent::Progress {
                received_bytes: 4999,
                ..
            })
        ));
        assert!(inbox.take().facts.is_empty());
    }

    #[test]
    fn a_second_host_gets_the_facts_of_the_first() {
        let inbox = Inbox::new().unwrap();
        let name = |fact: &MachineEvent| match fact {
            MachineEvent::NicGone(name) => name.clone(),
            other => panic!("{other:?}"),
        };
        inbox.tell(MachineEvent::NicGone("first".to_owned()));
        inbox.tell(line(0));
        inbox.tell(progress(1));
        inbox.take();
        inbox.tell(MachineEvent::NicGone("second".to_owned()));
        for _ in 0..2 {
            inbox.tell_again();
            let again: Vec<_> = inbox.take().facts.iter().map(name).collect();
            assert_eq!(again, ["first", "second"]);
        }
        for number in 0..5000 {
            inbox.tell(MachineEvent::NicGone(number.to_string()));
            inbox.take();
        }
        inbox.tell_again();
        assert_eq!(inbox.take().facts.len(), FACTS_MAX);
    }

    #[test]
    fn of_a_progress_the_last_is_enough() {
        let inbox = Inbox::new().unwrap();
        for number in 0..10 {
            inbox.tell(progress(number));
        }
        inbox.tell(line(0));
        inbox.tell(progress(10));
        assert_eq!(inbox.take().facts.len(), 3);
    }
}
