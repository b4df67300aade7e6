//! Systems: their packages, and the same as images of a slot.

use crate::step::Step;

pub(super) fn steps() -> Vec<Step> {
    ["demo", "debian"]
        .into_iter()
        .flat_map(|system| [packages(system), slot(system)])
        .collect()
}

/// A package directory for a donor.
fn packages(system: &str) -> Step {
    Step::new(
        &format!("system-{system}"),
        ["systems/build", system, "{out}", "--format", "{format}"],
    )
    .parameter("format", "zst")
    .asked_each_time()
}

/// smechvisor-system.img.
fn slot(system: &str) -> Step {
    Step::new(
        &format!("slot-{system}"),
        [
            "systems/slot",
            system,
            "{out}",
            "--version",
            "{version}",
            "--counter",
            "{counter}",
        ],
    )
    .parameter("version", "1")
    .parameter("counter", "1")
    .asked_each_time()
}
