//! A deploy as its person, its script and its log see it.
//!
//! In: events of all targets, one after the other. Out: lines for people or one JSON object each on standard output, failures on
//! standard error, everything in the log. Whatever cannot be written does not stop a deploy.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use receiver::screen::chain;
use wire::code::Code;

use crate::event::{About, Event, Step};
use crate::exit::Exit;
use crate::progress::{Progress, percent};
use crate::screen::Screen;
use crate::utc;

/// Between two `progress` objects of one target: what a script shows a person, a person can read.
const JSON_PROGRESS: Duration = Duration::from_millis(500);

/// Where events go.
pub struct Board<W: Write, E: Write> {
    screen: Screen<W>,
    errors: E,
    is_json: bool,
    log: Option<File>,
    start: Instant,
    /// Each line of a person names its target.
    is_several: bool,
    rows: BTreeMap<Code, Row>,
}

/// One target on the screen.
#[derive(Default)]
struct Row {
    progress: Progress,
    /// Stands in place of the progress.
    words: Option<String>,
    is_open: bool,
    json_at: Option<Instant>,
}

impl<W: Write, E: Write> Board<W, E> {
    /// Lines to `screen`, failures to `errors`.
    pub fn new(screen: Screen<W>, errors: E, is_json: bool, log: Option<File>) -> Self {
        Self {
            screen,
            errors,
            is_json,
            log,
            start: Instant::now(),
            is_several: false,
            rows: BTreeMap::new(),
        }
    }

    /// From now on there may be several targets.
    pub const fn expect_several(&mut self) {
        self.is_several = true;
    }

    /// Shows one event.
    pub fn tell(&mut self, event: &Event) {
        self.keep(event);
        if self.is_json {
            self.tell_script(event);
        } else {
            self.tell_person(event);
        }
    }

    /// Shows what ends everything before there are targets.
    pub fn fail(&mut self, error: &dyn Error, exit: Exit) -> Exit {
        let event = Event::Failed {
            exit,
            reason: chain(error),
        };
        self.tell(&event);
        exit
    }

    /// Draws what is going on, when it is time to.
    pub fn tick(&mut self) {
        if self.is_json {
            return;
        }
        let (rows, is_several) = (&self.rows, self.is_several);
        if rows.values().any(|row| row.is_open) {
            self.screen.show(Instant::now(), |width| {
                let open = rows.iter().filter(|(_, row)| row.is_open);
                open.map(|(code, row)| row.line(code, is_several, width))
                    .collect()
            });
        }
    }

    fn keep(&mut self, event: &Event) {
        if let Some(log) = &mut self.log {
            let name = match event {
                Event::Target { code, .. } => format!("{code}: "),
                _ => String::new(),
            };
            let _ = writeln!(log, "{} {name}{event}", utc::format(utc::now()));
        }
    }

    fn tell_script(&mut self, event: &Event) {
        let now = Instant::now();
        if let Event::Target {
            code,
            what: About::Progress(step),
        } = event
        {
            let row = self.rows.entry(*code).or_default();
            let is_soon = row
                .json_at
                .is_some_and(|at| now.saturating_duration_since(at) < JSON_PROGRESS);
            if is_soon && step.percent < 100 {
                return;
            }
            row.json_at = Some(now);
        }
        self.screen
            .say(&event.json(now.saturating_duration_since(self.start)));
    }

    fn tell_person(&mut self, event: &Event) {
        match event {
            Event::Hashing { .. } => {
                self.screen
                    .show(Instant::now(), |_| vec![event.to_string()]);
            }
            Event::Failed { reason, .. } => self.complain(reason),
            Event::Target { code, what } => self.tell_of(code, what, event),
            // One target's end has been told already.
            Event::End { .. } if !self.is_several => {}
            _ => self.screen.say(&event.to_string()),
        }
    }

    fn tell_of(&mut self, code: &Code, what: &About, event: &Event) {
        let row = self.rows.entry(*code).or_default();
        match what {
            About::Progress(step) => {
                row.open(step);
                self.tick();
            }
            About::Waiting(_) => {
                if row.words.is_none() {
                    self.screen.hurry();
                }
                row.words = Some(event.to_string());
                row.is_open = true;
                self.tick();
            }
            // A terminal has the line that is drawn over.
            About::Sent { .. } | About::Stage(_) if self.screen.is_terminal() => {}
            About::Failed { reason, .. } => {
                row.is_open = false;
                let text = if self.is_several {
                    format!("{code}: {reason}")
                } else {
                    reason.clone()
                };
                self.complain(&text);
            }
            _ => {
                if matches!(what, About::Installed { .. } | About::Broken { .. }) {
                    row.is_open = false;
                }
                let text = if self.is_several {
                    format!("{code}: {event}")
                } else {
                    event.to_string()
                };
                self.screen.say(&text);
            }
        }
    }

    fn complain(&mut self, reason: &str) {
        self.screen.clear();
        // Nobody is left to tell when standard error is closed; the exit code still says it.
        let _ = writeln!(self.errors, "spk-visor: {reason}");
    }
}

impl Row {
    fn open(&mut self, step: &Step) {
        self.is_open = true;
        self.words = None;
        let doing = match step.package_total {
            Some(total) => format!("{} {:>3}%", step.package, percent(step.package_done, total)),
            None => step.package.clone(),
        };
        self.progress = Progress {
            doing,
            done: step.received,
            total: step.total,
            percent: step.percent,
            rate: step.rate,
        };
    }

    fn line(&self, code: &Code, is_several: bool, width: usize) -> String {
        let name = if is_several {
            format!("{code} ")
        } else {
            String::new()
        };
        match &self.words {
            Some(words) => format!("{name}{words}").chars().take(width).collect(),
            None => {
                let room = width.saturating_sub(name.chars().count());
                format!("{name}{}", self.progress.line(room))
            }
        }
    }
}
