//! Builds of a small pipeline (`programs/toy.rs`) in processes of their own: what runs, what does
//! not run again, and what is left after a kill.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

struct Toy {
    top: TempDir,
    cache: TempDir,
}

impl Toy {
    fn new() -> Self {
        let toy = Self {
            top: tempfile::tempdir().unwrap(),
            cache: tempfile::tempdir().unwrap(),
        };
        for (name, text) in [
            ("source.left", "l"),
            ("source.right", "r"),
            ("name", "n"),
            ("meet", "no"),
        ] {
            toy.write(name, text);
        }
        toy
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.top.path().join(name), text).unwrap();
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_toy-pipeline"));
        command
            .args(words)
            .env("TOY", self.top.path())
            .env("SPK_VISOR_CACHE", self.cache.path());
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    fn succeeds(&self, words: &[&str]) -> String {
        let output = self.run(words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{words:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn fails(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        assert!(output.stdout.is_empty());
        String::from_utf8(output.stderr).unwrap()
    }

    /// How often a step's command has begun.
    fn runs(&self, step: &str) -> usize {
        let path = self.top.path().join(format!("runs-{step}"));
        fs::read_to_string(path).unwrap_or_default().lines().count()
    }

    fn runs_of(&self, steps: [&str; 4]) -> [usize; 4] {
        steps.map(|step| self.runs(step))
    }

    fn slow(&self) -> Child {
        self.write("hold", "");
        let child = self
            .command(&["slow"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        eventually("the slow step begins", || self.path("beat").exists());
        child
    }

    fn path(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }

    /// Whether a process that the slow step has started still runs.
    fn beats(&self) -> bool {
        let beat = self.path("beat");
        let _ = fs::remove_file(&beat);
        std::thread::sleep(Duration::from_millis(300));
        beat.exists()
    }

    /// Directories of the cache that are not whole.
    fn parts(&self) -> Vec<PathBuf> {
        let slow = self.cache.path().join("steps/slow");
        let entries = fs::read_dir(slow)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let is_part = |path: &PathBuf| path.extension().is_some_and(|end| end == "part");
        entries.filter(is_part).collect()
    }
}

fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_true() {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "not in time: {what}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn kill(child: &mut Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
    child.wait().unwrap();
}

const ALL: [&str; 4] = ["asked", "left", "right", "both"];

#[test]
fn the_same_inputs_run_nothing_again() {
    let toy = Toy::new();
    let first = toy.succeeds(&["both"]);
    let path = Path::new(first.trim().strip_prefix("both ").unwrap());
    assert_eq!(fs::read_to_string(path.join("both")).unwrap(), "lnrna\n");
    assert_eq!(toy.runs_of(ALL), [1, 1, 1, 1]);
    assert_eq!(toy.succeeds(&["both"]), first);
    assert_eq!(toy.runs_of(ALL), [2, 1, 1, 1]);
}

#[test]
fn a_changed_input_makes_what_depends_on_it() {
    let toy = Toy::new();
    let first = toy.succeeds(&["both"]);
    toy.write("source.left", "L");
    let second = toy.succeeds(&["both"]);
    assert_ne!(first, second);
    assert_eq!(toy.runs_of(ALL), [2, 2, 1, 2]);
    // What was made of it before is still there.
    toy.write("source.left", "l");
    assert_eq!(toy.succeeds(&["both"]), first);
    assert_eq!(toy.runs_of(ALL), [3, 2, 1, 2]);
    // What a step that is asked each time makes.
    toy.write("name", "N");
    toy.succeeds(&["both"]);
    assert_eq!(toy.runs_of(ALL), [4, 3, 2, 3]);
    let output = toy.command(&["both"]).env("TOY_FLAVOUR", "x").output();
    assert!(output.unwrap().status.success());
    assert_eq!(toy.runs_of(ALL), [5, 4, 3, 4]);
}

#[test]
fn a_parameter_is_an_input() {
    let toy = Toy::new();
    let first = toy.succeeds(&["path", "both"]);
    let second = toy.succeeds(&["path", "both", "--set", "word=b"]);
    assert_ne!(first, second);
    let text = fs::read_to_string(Path::new(second.trim()).join("both")).unwrap();
    assert_eq!(text, "lnrnb\n");
    assert!(toy.fails(&["both", "--set", "x=1"]).contains("parameter x"));
}

#[test]
fn a_file_that_a_parameter_names_counts_with_its_contents() {
    let toy = Toy::new();
    toy.write("key", "1");
    let word = format!("word={}", toy.path("key").display());
    let first = toy.succeeds(&["path", "both", "--set", &word]);
    assert_eq!(toy.succeeds(&["path", "both", "--set", &word]), first);
    toy.write("key", "2");
    assert_ne!(toy.succeeds(&["path", "both", "--set", &word]), first);
}

#[test]
fn steps_that_do_not_depend_run_beside_one_another() {
    let toy = Toy::new();
    toy.write("meet", "yes");
    toy.succeeds(&["both", "--jobs", "2"]);
}

#[test]
fn a_build_that_was_killed_goes_on() {
    let toy = Toy::new();
    let mut child = toy.slow();
    let before = toy.runs_of(ALL);
    kill(&mut child, Signal::KILL);
    eventually("what it had started ends", || !toy.beats());
    eventually("its half output is gone", || toy.parts().is_empty());
    fs::remove_file(toy.path("hold")).unwrap();
    let path = toy.succeeds(&["path", "slow"]);
    let text = fs::read_to_string(Path::new(path.trim()).join("slow")).unwrap();
    assert_eq!(text, "lnrna\n");
    assert_eq!(toy.runs_of(ALL)[1..], before[1..]);
    assert_eq!(toy.runs("slow"), 2);
}

#[test]
fn ctrl_c_leaves_nothing_running() {
    let toy = Toy::new();
    let mut child = toy.slow();
    kill(&mut child, Signal::INT);
    eventually("what it had started ends", || !toy.beats());
    eventually("its half output is gone", || toy.parts().is_empty());
}

#[test]
fn two_builds_at_once_share() {
    let toy = Toy::new();
    let mut first = toy.slow();
    let mut second = toy.command(&["path", "slow"]);
    let second = second
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The second has asked `asked`, and so has gone as far as the lock, or nearly.
    eventually("the second build begins", || toy.runs("asked") == 2);
    std::thread::sleep(Duration::from_millis(300));
    fs::remove_file(toy.path("hold")).unwrap();
    assert!(first.wait().unwrap().success());
    let second = second.wait_with_output().unwrap();
    assert!(second.status.success());
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains("slow: another build makes it"), "{said}");
    assert_eq!(toy.runs("slow"), 1);
}

#[test]
fn a_failed_step_names_itself_its_log_and_how_to_run_it() {
    let toy = Toy::new();
    for _ in 0..2 {
        let said = toy.fails(&["broken"]);
        assert!(
            said.contains("broken failed: its command ended with exit status: 3"),
            "{said}"
        );
        assert!(said.contains("    about to fail\n"), "{said}");
        assert!(said.contains("./build broken --only broken\n"), "{said}");
        let log = said
            .lines()
            .find_map(|line| line.split_once("all that it said: "));
        let log = fs::read_to_string(log.unwrap().1).unwrap();
        assert_eq!(log, "about to fail\n");
    }
    assert_eq!(toy.runs("broken"), 2);
    // What ran beside it was finished, and is kept.
    let asked = toy.cache.path().join("steps/asked");
    let kept = fs::read_dir(asked)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    assert_eq!(kept.filter(|path| path.join("record").exists()).count(), 1);
    assert!(
        toy.fails(&["empty"])
            .contains("empty failed: its command made nothing")
    );
}

#[test]
fn a_lack_of_room_is_said_before() {
    let toy = Toy::new();
    let said = toy.fails(&["huge"]);
    assert!(said.contains("it needs 1099511627776 MiB in "), "{said}");
    assert_eq!(toy.runs("huge"), 0);
}

#[test]
fn only_and_from_choose_steps() {
    let toy = Toy::new();
    toy.succeeds(&["both", "--only", "left"]);
    assert_eq!(toy.runs_of(ALL), [1, 1, 0, 0]);
    toy.succeeds(&["both", "--from", "right"]);
    assert_eq!(toy.runs_of(ALL), [2, 1, 1, 1]);
    toy.succeeds(&["both", "--from", "right"]);
    assert_eq!(toy.runs_of(ALL), [3, 1, 2, 2]);
    let said = toy.fails(&["both", "--from", "slow"]);
    assert!(said.contains("slow is not among the steps to make: asked left right both"));
}

#[test]
fn why_names_what_has_changed() {
    let toy = Toy::new();
    let why = |step: &str| toy.succeeds(&["both", "--why", step]);
    assert!(why("left").starts_with("left waits for asked"));
    toy.succeeds(&["both"]);
    let said = why("left");
    assert!(said.starts_with("left would not run: "), "{said}");
    toy.write("source.left", "L");
    let said = why("left");
    assert!(said.contains("\n  changed: file source.left\n"), "{said}");
    assert!(why("both").starts_with("both waits for left"));
    // It asks nothing and makes nothing.
    assert_eq!(toy.runs_of(ALL), [1, 1, 1, 1]);
    let list = toy.succeeds(&["both", "--list"]);
    let states: Vec<_> = list
        .lines()
        .filter_map(|line| line.split_once("  "))
        .collect();
    assert!(states[0].1.starts_with("asked each time"), "{list}");
    assert!(states[1].1.trim().starts_with("to make"), "{list}");
    assert!(states[2].1.starts_with("there"), "{list}");
    assert!(states[3].1.trim().starts_with("waits for left"), "{list}");
}

#[test]
fn artefacts_are_copied() {
    let toy = Toy::new();
    let out = toy.path("artefacts");
    let words = ["both", "--out", out.to_str().unwrap()];
    for source in ["l", "L"] {
        toy.write("source.left", source);
        toy.succeeds(&words);
        let text = fs::read_to_string(out.join("both")).unwrap();
        assert_eq!(text, format!("{source}nrna\n"));
    }
    assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
}

#[test]
fn half_an_output_is_not_believed() {
    let toy = Toy::new();
    let path = toy.succeeds(&["path", "left"]);
    // As after a cut of the power before the record was written.
    let record = Path::new(path.trim()).parent().unwrap().join("record");
    fs::write(&record, "").unwrap();
    assert_eq!(toy.succeeds(&["path", "left"]), path);
    assert_eq!(toy.runs("left"), 2);
}

#[test]
fn a_usage_error_is_another_exit_status() {
    let toy = Toy::new();
    for words in [
        &[][..],
        &["both", "--set", "x"],
        &["both", "x"],
        &["--nothing"],
    ] {
        assert_eq!(toy.run(words).status.code(), Some(2), "{words:?}");
    }
    let help = toy.succeeds(&["--help"]);
    assert!(
        help.contains("--why STEP") && help.contains("\n  both "),
        "{help}"
    );
}
