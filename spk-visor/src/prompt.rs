//! The terminal's question before a disk that is not blank is taken.
//!
//! In: open questions, lines that a person types. Out: one question at a time on standard error,
//! and the person's answers. Among several targets a person repeats the code.

use std::io::{BufRead, BufReader, Read, Write};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;

use crate::reporter::Reporter;
use donor::consent::{Question, Questions};

/// Longest line that is an answer, in bytes.
const LINE_MAX: u64 = 256;

/// The input of a person, when there is one.
pub type Person = Option<Box<dyn Read + Send>>;

/// Puts the questions to the person, one after the other.
pub struct Prompt {
    person: Person,
    is_several: bool,
    lines: Option<Receiver<String>>,
    asked: Option<Question>,
}

impl Prompt {
    /// This person answers, if there is one.
    #[must_use]
    pub fn new(person: Person) -> Self {
        Self {
            person,
            is_several: false,
            lines: None,
            asked: None,
        }
    }

    /// Whether anybody is there to answer.
    #[must_use]
    pub const fn has_person(&self) -> bool {
        self.person.is_some()
    }

    /// Among several targets an answer names the one it is meant for.
    pub const fn expect_several(&mut self) {
        self.is_several = true;
    }

    /// Looks whether there is something to ask, or an answer; never waits.
    pub fn turn<W: Write, E: Write>(
        &mut self,
        questions: &Questions,
        reporter: &mut Reporter<W, E>,
    ) {
        if let Some(question) = self.asked.take() {
            if !questions.is_open(&question) {
                reporter.answered("(not asked any more)\n");
            } else if let Some(line) = self.line() {
                let is_yes = self.is_yes(&question, line.trim());
                questions.answer(&question, is_yes);
                reporter.answered("");
            } else {
                self.asked = Some(question);
                return;
            }
        }
        if let Some(question) = questions.first() {
            self.listen();
            // Input from before the question is no answer to it.
            while self
                .lines
                .as_ref()
                .is_some_and(|lines| lines.try_recv().is_ok())
            {}
            reporter.ask(&self.words(&question));
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

    /// Lines come from a thread of their own, which ends with the process: nothing ends a read from
    /// a terminal.
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
    use super::Prompt;
    use crate::reporter::Reporter;
    use crate::screen::Screen;
    use donor::consent::Questions;
    use donor::event::{Event, TargetEvent};
    use donor::target_disk::TargetDisk;
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

    /// The questions, and the result of typing these lines, one at each question.
    fn asked(is_several: bool, questions: &[(&str, &str)]) -> (Vec<bool>, String) {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let person: super::Person = Some(Box::new(reader));
        let open = Questions::new(person.is_some());
        let (mut out, mut errors) = (Vec::new(), Vec::new());
        let mut reporter = Reporter::new(Screen::new(&mut out, None), &mut errors, false, None);
        let mut prompt = Prompt::new(person);
        if is_several {
            prompt.expect_several();
        }
        let mut answers = Vec::new();
        for (name, typed) in questions {
            assert_eq!(open.ask(code(name), &disk("/dev/vda")), None);
            prompt.turn(&open, &mut reporter);
            writeln!(writer, "{typed}").unwrap();
            let deadline = Instant::now() + Duration::from_secs(20);
            let answer = loop {
                prompt.turn(&open, &mut reporter);
                if let Some(answer) = open.ask(code(name), &disk("/dev/vda")) {
                    break answer;
                }
                assert!(Instant::now() < deadline);
                std::thread::sleep(Duration::from_millis(1));
            };
            answers.push(answer);
        }
        drop(reporter);
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
        let open = Questions::new(person.is_some());
        let (mut out, mut errors) = (Vec::new(), Vec::new());
        let mut reporter = Reporter::new(Screen::new(&mut out, None), &mut errors, false, None);
        // A writer that is never dropped: nobody types anything.
        let (reader, writer) = std::io::pipe().unwrap();
        let mut prompt = Prompt::new(Some(Box::new(reader)));
        let (a, b) = (code("aaaaaaa"), code("bbbbbbb"));
        open.ask(a, &disk("/dev/vda"));
        prompt.turn(&open, &mut reporter);
        let told = Event::Target {
            code: b,
            what: TargetEvent::Stage(Stage::Planned),
        };
        reporter.tell(&told);
        // The disk is another one now: that is another question.
        assert_eq!(open.ask(a, &disk("/dev/vdb")), None);
        prompt.turn(&open, &mut reporter);
        open.withdraw(a);
        prompt.turn(&open, &mut reporter);
        assert_eq!(open.ask(b, &disk("/dev/vda")), None);
        drop(writer);
        drop(reporter);
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
        let open = Questions::new(person.is_some());
        let mut reporter = Reporter::new(Screen::new(Vec::new(), None), Vec::new(), false, None);
        let mut prompt = Prompt::new(person);
        let deadline = Instant::now() + Duration::from_secs(20);
        while open.ask(code("aaaaaaa"), &disk("/dev/vda")) != Some(false) {
            prompt.turn(&open, &mut reporter);
            assert!(Instant::now() < deadline);
        }
    }
}
