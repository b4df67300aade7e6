//! A deploy as its person, its script and its log see it.
//!
//! In: events of all targets, one after the other. Out: lines for people or one JSON object each on
//! standard output, failures on standard error, everything in the log. Whatever cannot be written
//! does not stop a deploy.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use wire::chain::chain;
use wire::code::Code;
use wire::human::percent;
use wire::stage::Stage;

use crate::exit::Exit;
use crate::json;
use crate::progress::Progress;
use crate::screen::Screen;
use donor::event::{Event, Step, TargetEvent};
use pack::utc;

/// Between two `progress` objects of one target: what a script shows a person, a person can read.
const JSON_PROGRESS: Duration = Duration::from_millis(500);

/// Where events go.
pub struct Reporter<W: Write, E: Write> {
    screen: Screen<W>,
    errors: E,
    is_json: bool,
    log: Option<File>,
    start: Instant,
    /// Each line of a person names its target.
    is_several: bool,
    rows: BTreeMap<Code, Row>,
    /// Events to show once the question on the screen is answered.
    held: Option<Vec<Event>>,
}

/// One target on the screen.
#[derive(Default)]
struct Row {
    progress: Progress,
    /// Stands in place of the progress.
    words: Option<String>,
    is_open: bool,
    /// The stage of the last console line that the target sent: it comes before the bare stage, and
    /// says more.
    said: Option<Stage>,
    json_at: Option<Instant>,
}

impl<W: Write, E: Write> Reporter<W, E> {
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
            held: None,
        }
    }

    /// From now on there may be several targets.
    pub const fn expect_several(&mut self) {
        self.is_several = true;
    }

    /// Shows one event.
    pub fn tell(&mut self, event: &Event) {
        match event {
            Event::Target { code, .. } => self.keep(&format!("{code}: {event}")),
            _ => self.keep(&event.to_string()),
        }
        if self.is_json {
            self.tell_script(event);
        } else {
            self.tell_person(event);
        }
    }

    /// Shows what ends everything before there are targets.
    pub fn fail(&mut self, error: &dyn Error, exit: Exit) -> Exit {
        let reason = chain(error).to_string();
        self.keep(&reason);
        if self.is_json {
            let since_start = self.start.elapsed();
            self.screen
                .say(&json::donor::failed(exit, &reason, since_start));
        }
        self.complain(&reason);
        exit
    }

    /// Puts a question to the person. Until it is answered nothing else is shown below it.
    pub fn ask(&mut self, text: &str) {
        self.screen.clear();
        // Nobody can answer what nobody is shown; the target gives up in time.
        let _ = write!(self.errors, "{text}");
        let _ = self.errors.flush();
        self.held.get_or_insert_default();
    }

    /// The question is gone; `text` ends its line where nobody has.
    pub fn answered(&mut self, text: &str) {
        let _ = write!(self.errors, "{text}");
        for event in self.held.take().unwrap_or_default() {
            self.tell_person(&event);
        }
    }

    /// Draws what is going on, when it is time to.
    pub fn tick(&mut self) {
        if self.is_json || self.held.is_some() {
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

    fn keep(&mut self, text: &str) {
        if let Some(log) = &mut self.log {
            let _ = writeln!(log, "{} {text}", utc::format(utc::now()));
        }
    }

    fn tell_script(&mut self, event: &Event) {
        let now = Instant::now();
        if let Event::Target {
            code,
            what: TargetEvent::Progress(step),
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
        self.screen.say(&json::donor::event(
            event,
            now.saturating_duration_since(self.start),
        ));
        // Standard error is for people whatever standard output is for.
        if let Event::Target {
            code,
            what: TargetEvent::Failed { reason, .. },
        } = event
        {
            self.complain_of(code, reason);
        }
    }

    fn tell_person(&mut self, event: &Event) {
        if let Some(held) = &mut self.held {
            // How far somebody was is no news afterwards.
            if !matches!(
                event,
                Event::Target {
                    what: TargetEvent::Progress(_),
                    ..
                }
            ) {
                held.push(event.clone());
            }
            return;
        }
        match event {
            Event::Hashing { .. } => {
                self.screen
                    .show(Instant::now(), |_| vec![event.to_string()]);
            }
            Event::Target { code, what } => self.tell_of(code, what, event),
            // One target's end has been shown already.
            Event::End { .. } if !self.is_several => {}
            _ => self.screen.say(&event.to_string()),
        }
    }

    fn tell_of(&mut self, code: &Code, what: &TargetEvent, event: &Event) {
        let row = self.rows.entry(*code).or_default();
        match what {
            TargetEvent::Progress(step) => {
                row.open(step);
                self.tick();
            }
            TargetEvent::Waiting(_) => {
                if row.words.is_none() {
                    self.screen.hurry();
                }
                row.words = Some(event.to_string());
                row.is_open = true;
                self.tick();
            }
            // A terminal has the line that is drawn over.
            TargetEvent::Sent { .. } if self.screen.is_terminal() => {}
            TargetEvent::Stage(stage) if row.said == Some(*stage) || self.screen.is_terminal() => {}
            TargetEvent::Failed { reason, .. } => {
                row.is_open = false;
                self.complain_of(code, reason);
            }
            _ => {
                if matches!(
                    what,
                    TargetEvent::Installed { .. } | TargetEvent::Broken { .. }
                ) {
                    row.is_open = false;
                }
                if let TargetEvent::Log { text, .. } = what {
                    row.said = Stage::of_line(text).map(|(stage, _)| stage).or(row.said);
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

    fn complain_of(&mut self, code: &Code, reason: &str) {
        if self.is_several {
            self.complain(&format!("{code}: {reason}"));
        } else {
            self.complain(reason);
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

#[cfg(test)]
mod tests {
    use super::Reporter;
    use crate::screen::{Screen, Terminal};
    use donor::ending::Ending;
    use donor::event::{Event, Step, TargetEvent};
    use std::fs;
    use wire::code::Code;
    use wire::message::Level;
    use wire::stage::Stage;

    const TERMINAL: Option<Terminal> = Some(Terminal {
        columns: 100,
        rows: 24,
    });

    /// The output of a reporter for these events: the screen, and the failures.
    fn shown(
        terminal: Option<Terminal>,
        is_json: bool,
        is_several: bool,
        events: &[Event],
    ) -> (String, String) {
        let (mut out, mut errors) = (Vec::new(), Vec::new());
        let mut reporter =
            Reporter::new(Screen::new(&mut out, terminal), &mut errors, is_json, None);
        if is_several {
            reporter.expect_several();
        }
        for event in events {
            reporter.tell(event);
        }
        drop(reporter);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(out), text(errors))
    }

    fn about(code: &str, what: TargetEvent) -> Event {
        let code: Code = code.parse().unwrap();
        Event::Target { code, what }
    }

    fn progress(code: &str, percent: u8) -> Event {
        let step = Step {
            package: "a.tar.xz".into(),
            package_done: 1,
            package_total: Some(4),
            received: 1 << 20,
            total: Some(4 << 20),
            percent,
            ..Step::default()
        };
        about(code, TargetEvent::Progress(step))
    }

    fn failed(code: &str) -> Event {
        let (ending, reason, left) = (Ending::Refused, "disk full".to_owned(), None);
        about(
            code,
            TargetEvent::Failed {
                ending,
                reason,
                left,
            },
        )
    }

    #[test]
    fn a_terminal_has_one_line_for_each_target() {
        let stage = about("aaaaaaa", TargetEvent::Stage(Stage::Receiving));
        let events = [progress("aaaaaaa", 25), stage, progress("bbbbbbb", 50)];
        let (mut out, mut errors) = (Vec::new(), Vec::new());
        let mut reporter = Reporter::new(Screen::new(&mut out, TERMINAL), &mut errors, false, None);
        reporter.expect_several();
        for event in &events {
            reporter.screen.hurry();
            reporter.tell(event);
        }
        reporter.tell(&failed("aaaaaaa"));
        reporter.screen.hurry();
        reporter.tick();
        drop(reporter);
        let out = String::from_utf8(out).unwrap();
        let drawn: Vec<&str> = out.split("\r\x1b[J").collect();
        assert!(drawn[1].starts_with("aaaaaaa a.tar.xz  25% ["), "{out:?}");
        let rows: Vec<&str> = drawn[2].split("\r\n").collect();
        assert!(
            rows[0].starts_with("aaaaaaa a.tar.xz ") && rows[1].starts_with("bbbbbbb a.tar.xz ")
        );
        assert!(
            rows.iter()
                .all(|row| row.trim_end_matches("\x1b[1A").chars().count() < 100)
        );
        assert!(
            drawn.last().unwrap().starts_with("bbbbbbb "),
            "who failed has no line: {out:?}"
        );
        assert_eq!(errors, b"spk-visor: aaaaaaa: disk full\n");
    }

    #[test]
    fn a_person_reads_each_stage_once_in_the_words_of_the_target() {
        let stage = about("aaaaaaa", TargetEvent::Stage(Stage::Planned));
        let (level, text) = (Level::Info, "smv planned: disk=/dev/vda".to_owned());
        let line = about("aaaaaaa", TargetEvent::Log { level, text });
        let bare = about("aaaaaaa", TargetEvent::Stage(Stage::Finishing));
        let (out, _) = shown(None, false, false, &[line, stage, bare]);
        assert_eq!(out, "target planned: disk=/dev/vda\ntarget finishing\n");
    }

    #[test]
    fn failures_name_their_target_only_among_others() {
        assert_eq!(
            shown(None, false, false, &[failed("aaaaaaa")]).1,
            "spk-visor: disk full\n"
        );
    }

    #[test]
    fn a_script_gets_progress_twice_a_second_and_every_other_event() {
        let many = vec![progress("aaaaaaa", 25); 100];
        let stage = about("aaaaaaa", TargetEvent::Stage(Stage::Finishing));
        let events = [many, vec![stage, failed("aaaaaaa")]].concat();
        let (out, errors) = shown(None, true, false, &events);
        assert_eq!(out.lines().count(), 3, "{out}");
        assert_eq!(errors, "spk-visor: disk full\n");
    }

    #[test]
    fn the_log_keeps_everything_with_its_time() {
        let path = std::env::temp_dir().join(format!("spk-visor-reporter-{}", std::process::id()));
        let log = fs::File::create(&path).unwrap();
        let mut reporter =
            Reporter::new(Screen::new(Vec::new(), None), Vec::new(), true, Some(log));
        for event in [
            progress("aaaaaaa", 25),
            progress("aaaaaaa", 26),
            failed("aaaaaaa"),
        ] {
            reporter.tell(&event);
        }
        let text = fs::read_to_string(&path).unwrap();
        fs::remove_file(path).unwrap();
        assert_eq!(text.lines().count(), 3, "{text}");
        let last = text.lines().last().unwrap();
        assert!(
            last.starts_with("20") && last.ends_with("Z aaaaaaa: disk full"),
            "{last}"
        );
    }
}
