//! A pipeline of a few files, for the tests: `TOY` is its source tree.
//!
//! `left` and `right` wait for each other when the file `meet` says so, which only works beside one
//! another; `slow` waits until somebody removes the file `hold`.

use std::path::PathBuf;
use std::process::ExitCode;

use pipeline::step::Step;
use pipeline::table::{Profile, Table};

fn main() -> ExitCode {
    let top = PathBuf::from(std::env::var_os("TOY").unwrap_or_default());
    let once = "echo ran >>runs-STEP; ";
    let step = |name: &str, line: &str| {
        Step::shell(name, &(once.replace("STEP", name) + line)).reads_variables(["TOY_FLAVOUR"])
    };
    let meet = "if grep -q yes meet; then touch here-ONE; \
                for i in $(seq 500); do [ -e here-OTHER ] && break; sleep 0.01; done; \
                [ -e here-OTHER ]; fi; cat source.ONE {asked}/name >{out}/ONE";
    let pair = |one: &str, other: &str| {
        let line = meet.replace("ONE", one).replace("OTHER", other);
        step(one, &line).reads([format!("source.{one}")])
    };
    let table = Table {
        steps: vec![
            step("asked", "cat name >{out}/name").asked_each_time(),
            pair("left", "right"),
            pair("right", "left"),
            step(
                "both",
                "cat {left}/left {right}/right >{out}/both; echo {word} >>{out}/both",
            )
            .parameter("word", "a"),
            step(
                "slow",
                "echo half >{out}/slow; (while [ -e hold ]; do echo beat >beat; sleep 0.05; done) & \
                 while [ -e hold ]; do sleep 0.05; done; wait; cp {both}/both {out}/slow",
            ),
            step("broken", "echo about to fail; exit 3"),
            step("empty", "true"),
            step("huge", "touch {out}/huge").wants_mib(1 << 40),
        ],
        profiles: ["both", "slow", "broken", "empty", "huge"]
            .map(profile)
            .to_vec(),
    };
    pipeline::cli::run(&table, &top, std::env::args_os().skip(1))
}

fn profile(name: &'static str) -> Profile {
    let results: &[&str] = match name {
        "both" => &["both"],
        "slow" => &["slow"],
        "broken" => &["left", "broken"],
        "empty" => &["empty"],
        _ => &["huge"],
    };
    Profile {
        name,
        about: "for a test",
        results,
    }
}
