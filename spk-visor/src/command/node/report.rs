//! Shows what happens: to a person lines, of which that of the progress is drawn over on a
//! terminal; to a script JSON. Why a command failed goes to standard error, too.

use std::error::Error;
use std::io::{self, Stderr, Stdout, Write};
use std::time::{Duration, Instant};

use wire::chain::chain;

use super::error::NodeError;
use super::event::{Event, Phase, Step};
use crate::exit::Exit;
use crate::json;
use crate::progress::Progress;
use crate::screen::Screen;
use donor::rate::Rate;

/// Between two events about the same progress.
const JSON_PROGRESS: Duration = Duration::from_millis(500);

/// Who hears what happens.
pub trait Tell: Send {
    /// Something happened.
    fn tell(&mut self, event: &Event);

    /// So many bytes of something long are done.
    fn step(&mut self, phase: Phase, done: u64, total: u64);

    /// The command did not do what it was asked for.
    fn refuse(&mut self, error: &NodeError) -> Exit {
        let (exit, reason) = (Exit::from(error), chain(error as &dyn Error).to_string());
        self.tell(&Event::Refused { exit, reason });
        exit
    }

    /// Nothing comes behind this.
    fn end(&mut self, exit: Exit) -> Exit {
        self.tell(&Event::End { exit });
        exit
    }
}

/// A terminal or a file, and standard error.
pub struct Report<W: Write, E: Write> {
    screen: Screen<W>,
    errors: E,
    is_json: bool,
    start: Instant,
    rate: Rate,
    phase: Option<Phase>,
    json_at: Option<Instant>,
}

impl Report<Stdout, Stderr> {
    /// On standard output and error.
    #[must_use]
    pub fn stdout(is_json: bool) -> Self {
        Self::new(Screen::stdout(), io::stderr(), is_json)
    }
}

impl<W: Write, E: Write> Report<W, E> {
    /// Lines to `screen`, failures to `errors`.
    pub fn new(screen: Screen<W>, errors: E, is_json: bool) -> Self {
        let start = Instant::now();
        Self {
            screen,
            errors,
            is_json,
            start,
            rate: Rate::start(start),
            phase: None,
            json_at: None,
        }
    }

    /// A line that stays, as it is: an object of `status`, or its lines.
    pub fn say(&mut self, text: &str) {
        self.screen.say(text);
    }

    fn draw(&mut self, step: &Step) {
        let progress = Progress {
            doing: match step.phase {
                Phase::Fetch => "fetching".to_owned(),
                Phase::Compare => "comparing".to_owned(),
                Phase::Write => "writing".to_owned(),
                Phase::Read => "reading back".to_owned(),
            },
            done: step.done,
            total: Some(step.total),
            percent: step.percent(),
            rate: step.rate,
        };
        self.screen
            .show(Instant::now(), |width| vec![progress.line(width)]);
    }

    fn json_step(&mut self, step: Step, now: Instant) {
        let is_soon = self
            .json_at
            .is_some_and(|at| now.saturating_duration_since(at) < JSON_PROGRESS);
        if !is_soon || step.done == step.total {
            self.json_at = Some(now);
            let line = json::node::event(&Event::Progress(step), self.start.elapsed());
            self.screen.say(&line);
        }
    }
}

impl<W: Write + Send, E: Write + Send> Tell for Report<W, E> {
    fn tell(&mut self, event: &Event) {
        if self.is_json {
            let line = json::node::event(event, self.start.elapsed());
            self.screen.say(&line);
        }
        match event {
            Event::Refused { reason, .. } => {
                self.screen.clear();
                // Nobody is left to tell when standard error is closed; the exit code says it.
                let _ = writeln!(self.errors, "spk-visor: {reason}");
            }
            Event::Content(event) if event.is_complaint() => {
                self.screen.clear();
                let _ = writeln!(self.errors, "spk-visor: {event}");
            }
            // The exit code is there already.
            Event::End { .. } => self.screen.clear(),
            Event::Checked { is_known: true, .. } => {}
            _ if !self.is_json => self.screen.say(&event.to_string()),
            _ => {}
        }
    }

    fn step(&mut self, phase: Phase, done: u64, total: u64) {
        let now = Instant::now();
        if self.phase != Some(phase) {
            self.phase = Some(phase);
            self.rate = Rate::start_at(now, done);
            self.json_at = None;
        }
        let step = Step {
            phase,
            done,
            total,
            rate: self.rate.update(now, done),
        };
        match self.is_json {
            true => self.json_step(step, now),
            false => self.draw(&step),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Report, Tell};
    use crate::command::node::error::NodeError;
    use crate::command::node::event::{Event, Phase};
    use crate::exit::Exit;
    use crate::screen::Screen;
    use wire::record::Slot;

    /// What is shown of an update that is refused: on the screen, and on standard error.
    fn shown(is_json: bool) -> (String, String) {
        let (mut out, mut errors) = (Vec::new(), Vec::new());
        let mut report = Report::new(Screen::new(&mut out, None), &mut errors, is_json);
        report.tell(&Event::Stable { seconds: 120 });
        for done in 0..=100 {
            report.step(Phase::Write, done, 100);
        }
        let exit = report.refuse(&NodeError::NoFormer { slot: Slot::B });
        assert_eq!(report.end(exit), Exit::NotNow);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(out), text(errors))
    }

    #[test]
    fn a_person_reads_lines_and_the_reason_on_standard_error() {
        let (out, errors) = shown(false);
        let lines: Vec<_> = out.lines().collect();
        assert_eq!(lines.len(), 2, "{out}");
        assert_eq!(lines[0], "healthy; it has to stay so for 120 s");
        assert!(lines[1].starts_with("writing "), "{out}");
        let expected = "spk-visor: slot b does not hold the version that ran before\n";
        assert_eq!(errors, expected);
    }

    #[test]
    fn a_person_reads_once_what_runs() {
        for (is_known, is_json, is_shown) in [
            (false, false, true),
            (true, false, false),
            (false, true, true),
            (true, true, true),
        ] {
            let mut out = Vec::new();
            let mut report = Report::new(Screen::new(&mut out, None), Vec::new(), is_json);
            report.tell(&Event::Checked {
                slot: Slot::A,
                version: "1".into(),
                counter: 1,
                trial: None,
                is_known,
            });
            assert_eq!(!out.is_empty(), is_shown, "{is_known} {is_json}");
        }
    }

    #[test]
    fn a_script_gets_every_event_and_progress_now_and_then() {
        let (out, errors) = shown(true);
        let events = out.lines().map(|line| line.split('"').nth(3).unwrap());
        let events: Vec<_> = events.collect();
        assert_eq!(events, ["stable", "progress", "progress", "refused", "end"]);
        assert!(errors.starts_with("spk-visor: slot b"));
    }
}
