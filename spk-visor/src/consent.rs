//! The person at the donor, who is asked before a disk that holds something is taken.
//!
//! In: questions of the threads that serve targets, lines that a person types. Out: one question at a time on standard error,
//! and the answer for the thread that asked. A question whose target is gone is taken back, and no answer to one question is
//! ever taken for that of another: among several targets a person repeats the code.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use wire::code::Code;

use crate::board::Board;
use crate::target_disk::TargetDisk;

/// Longest line that is an answer, in bytes.
const LINE_MAX: u64 = 256;

/// What a person types, when there is one.
pub type Person = Option<Box<dyn Read + Send>>;

/// Questions that are open, for every thread.
#[derive(Debug, Default)]
pub struct Questions {
    has_person: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    open: VecDeque<Question>,
    answers: BTreeMap<Code, bool>,
}

/// May this disk be taken?
#[derive(Clone, Debug, PartialEq, Eq)]
struct Question {
    code: Code,
    disk: TargetDisk,
}

impl Questions {
    /// That this person answers, if there is one.
    pub fn to(person: &Person) -> Self {
        Self {
            has_person: person.is_some(),
            state: Mutex::default(),
        }
    }

    /// Whether anybody can be asked.
    pub const fn has_person(&self) -> bool {
        self.has_person
    }

    /// Asks, unless that was asked already; the answer, once there is one.
    pub fn ask(&self, code: Code, disk: &TargetDisk) -> Option<bool> {
        let mut state = self.lock();
        if let Some(answer) = state.answers.remove(&code) {
            return Some(answer);
        }
        let is_asked = |question: &Question| question.code == code && question.disk == *disk;
        if !state.open.iter().any(is_asked) {
            state.open.retain(|question| question.code != code);
            let disk = disk.clone();
            state.open.push_back(Question { code, disk });
        }
        None
    }

    /// The target does not want to know any more.
    pub fn withdraw(&self, code: Code) {
        let mut state = self.lock();
        state.open.retain(|question| question.code != code);
        state.answers.remove(&code);
    }

    fn answer(&self, question: &Question, answer: bool) {
        let mut state = self.lock();
        // It may have been taken back this moment.
        if state.open.contains(question) {
            state.open.retain(|other| other != question);
            state.answers.insert(question.code, answer);
        }
    }

    /// Every change is one call, so a thread that panicked left nothing half done.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts the questions to the person, one after the other.
pub struct Clerk<'q> {
    questions: &'q Questions,
    person: Person,
    is_several: bool,
    lines: Option<Receiver<String>>,
    asked: Option<Question>,
}

impl<'q> Clerk<'q> {
    /// Among several targets an answer names the one it is meant for.
    pub fn new(questions: &'q Questions, person: Person, is_several: bool) -> Self {
        Self {
            questions,
            person,
            is_several,
            lines: None,
            asked: None,
        }
    }

    /// Looks whether there is something to ask, or an answer; never waits.
    pub fn turn<W: Write, E: Write>(&mut self, board: &mut Board<W, E>) {
        if let Some(question) = self.asked.take() {
            if !self.questions.lock().open.contains(&question) {
                board.answered("(not asked any more)\n");
            } else if let Some(line) = self.line() {
                let is_yes = self.is_yes(&question, line.trim());
                self.questions.answer(&question, is_yes);
                board.answered("");
            } else {
                self.asked = Some(question);
                return;
            }
        }
        let next = self.questions.lock().open.front().cloned();
        if let Some(question) = next {
            self.listen();
            // What was typed before the question was there is no answer to it.
            while self
                .lines
                .as_ref()
                .is_some_and(|lines| lines.try_recv().is_ok())
            {}
            board.ask(&self.words(&question));
            self.asked = Some(question);
        }
    }

    fn words(&self, Question { code, disk }: &Question) -> String {
        let how = if self.is_several {
            format!("type the code {code} if it may, anything else if not: ")
        } else {
            "may it? [y/N] ".to_owned()
        };
        format!("{code} is about to erase {disk}\n{how}")
    }

    fn is_yes(&self, question: &Question, line: &str) -> bool {
        if self.is_several {
            line == question.code.as_str()
        } else {
            matches!(line, "y" | "Y" | "yes" | "Yes" | "YES")
        }
    }

    /// A line that was typed; an empty one, which is a no, when nobody types any more.
    fn line(&self) -> Option<String> {
        match self.lines.as_ref().map(Receiver::try_recv) {
            Some(Ok(line)) => Some(line),
            Some(Err(TryRecvError::Empty)) => None,
            Some(Err(TryRecvError::Disconnected)) | None => Some(String::new()),
        }
    }

    /// Lines come from a thread of their own, which ends with the process: nothing ends a read from a terminal.
    fn listen(&mut self) {
        let Some(person) = self.person.take() else {
            return;
        };
        let (sender, lines) = mpsc::channel();
        let reads = move || {
            let mut input = BufReader::new(person);
            let mut line = String::new();
            while let Ok(1..) = input.by_ref().take(LINE_MAX).read_line(&mut line) {
                if sender.send(std::mem::take(&mut line)).is_err() {
                    return;
                }
            }
        };
        // Without it every answer is a no.
        if thread::Builder::new()
            .name("answers".into())
            .spawn(reads)
            .is_ok()
        {
            self.lines = Some(lines);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Clerk, Questions};
    use crate::board::Board;
    use crate::event::{About, Event};
    use crate::screen::Screen;
    use crate::target_disk::TargetDisk;
    use std::io::Write as _;
    use std::time::{Duration, Instant};
    use wire::code::Code;
    use wire::stage::Stage;

    fn code(text: &str) -> Code {
        text.parse().unwrap()
    }

    fn disk(path: &str) -> TargetDisk {
        TargetDisk {
            path: path.to_owned(),
            contents: "ext4".to_owned(),
            ..TargetDisk::default()
        }
    }

    /// What the person is shown, and what comes of typing these lines, one at each question.
    fn asked(is_several: bool, questions: &[(&str, &str)]) -> (Vec<bool>, String) {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let person: super::Person = Some(Box::new(reader));
        let open = Questions::to(&person);
        let (mut out, mut errors) = (Vec::new(), Vec::new());
        let mut board = Board::new(Screen::new(&mut out, None), &mut errors, false, None);
        let mut clerk = Clerk::new(&open, person, is_several);
        let mut answers = Vec::new();
        for (name, typed) in questions {
            assert_eq!(open.ask(code(name), &disk("/dev/vda")), None);
            clerk.turn(&mut board);
            writeln!(writer, "{typed}").unwrap();
            let deadline = Instant::now() + Duration::from_secs(20);
            let answer = loop {
                clerk.turn(&mut board);
                if let Some(answer) = open.ask(code(name), &disk("/dev/vda")) {
                    break answer;
                }
                assert!(Instant::now() < deadline);
                std::thread::sleep(Duration::from_millis(1));
            };
            answers.push(answer);
        }
        drop(board);
        (answers, String::from_utf8(errors).unwrap())
    }

    #[test]
    fn yes_is_yes_and_everything_else_is_no() {
        for (typed, expected) in [
            ("y", true),
            ("yes", true),
            (" Y ", true),
            ("", false),
            ("n", false),
            ("yy", false),
            ("aaaaaaa", false),
        ] {
            let (answers, shown) = asked(false, &[("aaaaaaa", typed)]);
            assert_eq!(answers, [expected], "{typed:?}");
            assert_eq!(
                shown,
                "aaaaaaa is about to erase /dev/vda (0 MiB, ext4)\nmay it? [y/N] "
            );
        }
    }

    #[test]
    fn among_several_targets_only_the_code_is_a_yes() {
        let (answers, shown) = asked(
            true,
            &[
                ("aaaaaaa", "y"),
                ("bbbbbbb", "bbbbbbb"),
                ("ccccccc", "bbbbbbb"),
            ],
        );
        assert_eq!(answers, [false, true, false]);
        assert!(shown.contains("type the code bbbbbbb if it may"), "{shown}");
    }

    #[test]
    fn a_question_that_is_taken_back_is_answered_by_nobody() {
        let person: super::Person = Some(Box::new(std::io::pipe().unwrap().0));
        let open = Questions::to(&person);
        let (mut out, mut errors) = (Vec::new(), Vec::new());
        let mut board = Board::new(Screen::new(&mut out, None), &mut errors, false, None);
        // A writer that is never dropped: nobody types anything.
        let (reader, writer) = std::io::pipe().unwrap();
        let mut clerk = Clerk::new(&open, Some(Box::new(reader)), false);
        let (a, b) = (code("aaaaaaa"), code("bbbbbbb"));
        open.ask(a, &disk("/dev/vda"));
        clerk.turn(&mut board);
        let told = Event::Target {
            code: b,
            what: About::Stage(Stage::Planned),
        };
        board.tell(&told);
        // The disk is another one now: that is another question.
        assert_eq!(open.ask(a, &disk("/dev/vdb")), None);
        clerk.turn(&mut board);
        open.withdraw(a);
        clerk.turn(&mut board);
        assert_eq!(open.ask(b, &disk("/dev/vda")), None);
        drop(writer);
        drop(board);
        let (out, errors) = (
            String::from_utf8(out).unwrap(),
            String::from_utf8(errors).unwrap(),
        );
        assert_eq!(
            errors.matches("(not asked any more)").count(),
            2,
            "{errors}"
        );
        assert!(errors.contains("erase /dev/vdb"), "{errors}");
        assert_eq!(
            out, "target planned\n",
            "told when nothing is asked any more"
        );
    }

    #[test]
    fn nobody_at_all_is_a_no() {
        let (reader, _) = std::io::pipe().unwrap();
        let person: super::Person = Some(Box::new(reader));
        let open = Questions::to(&person);
        let mut board = Board::new(Screen::new(Vec::new(), None), Vec::new(), false, None);
        let mut clerk = Clerk::new(&open, person, false);
        let deadline = Instant::now() + Duration::from_secs(20);
        while open.ask(code("aaaaaaa"), &disk("/dev/vda")) != Some(false) {
            clerk.turn(&mut board);
            assert!(Instant::now() < deadline);
        }
    }
}
