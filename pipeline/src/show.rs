//! What a build would do, from the cache alone: nothing is run. A step that is asked each time
//! counts as it was last made.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use crate::build::Outputs;
use crate::cache::Made;
use crate::inputs::{InputError, Inputs};
use crate::make::Workshop;
use crate::step::Step;

/// What a build would do with a step.
#[derive(Debug)]
enum State {
    /// Its output is there.
    There(Made),
    /// It is asked each time; what it made last.
    Asked(Option<Made>),
    /// It would run.
    Runs(Inputs),
    /// It would run if what it waits for makes something else than before.
    Waits(String),
}

/// Each step, its state, how long it took the last time and how large its output is.
///
/// # Errors
/// An input cannot be had.
pub fn list(workshop: &Workshop, order: &[Step]) -> Result<String, InputError> {
    let mut text = String::new();
    let widest = order.iter().map(|step| step.name.len()).max().unwrap_or(0);
    for (step, state) in states(workshop, order)? {
        let newest = workshop.cache.newest(&step.name);
        let told = match &state {
            State::There(_) => "there".to_owned(),
            State::Asked(_) => "asked each time".to_owned(),
            State::Runs(_) => "to make".to_owned(),
            State::Waits(need) => format!("waits for {need}"),
        };
        let made = match (newest.as_ref(), &state) {
            (_, State::There(made)) | (Some(made), _) => {
                format!("{}, {}", duration(made.took), size(made.bytes))
            }
            (None, _) => "not made yet".to_owned(),
        };
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{:widest$}  {told:<24}  {made}", step.name);
    }
    Ok(text)
}

/// Why the last step of `order` would run, or would not.
///
/// # Errors
/// An input cannot be had.
pub fn why(workshop: &Workshop, order: &[Step]) -> Result<String, InputError> {
    let Some((step, state)) = states(workshop, order)?.pop() else {
        return Ok(String::new());
    };
    let name = &step.name;
    let mut text = match state {
        State::There(made) => format!(
            "{name} would not run: {} was made of the same {} inputs, {} ago\n",
            made.output.display(),
            made.inputs.lines.len(),
            duration(age(&made))
        ),
        State::Asked(made) => {
            let made = made.map_or_else(
                || "nothing so far".to_owned(),
                |made| format!("{}, as it was last made", made.output.display()),
            );
            format!(
                "{name} runs each time: its command knows itself what has changed.\n\
                 Steps behind it see what it makes: {made}\n"
            )
        }
        State::Waits(need) => {
            format!("{name} waits for {need}: its inputs are known once that is made\n")
        }
        State::Runs(inputs) => match workshop.cache.newest(name) {
            None => format!("{name} would run: nothing of it is in the cache\n"),
            Some(made) => {
                let changes = inputs.changes_since(&made.inputs);
                let ago = duration(age(&made));
                format!(
                    "{name} would run. Since {} was made, {ago} ago:\n  {}\n",
                    made.output.display(),
                    changes.join("\n  ")
                )
            }
        },
    };
    let _ = writeln!(text, "command: {}", step.command.join(" "));
    Ok(text)
}

fn states<'a>(
    workshop: &Workshop,
    order: &'a [Step],
) -> Result<Vec<(&'a Step, State)>, InputError> {
    let mut known = Outputs::new();
    let mut states = Vec::new();
    for step in order {
        let cache = &workshop.cache;
        let missing = step
            .needs()
            .into_iter()
            .find(|need| !known.contains_key(*need));
        let state = match missing {
            Some(need) => State::Waits(need.to_owned()),
            None if step.is_asked_each_time => State::Asked(cache.newest(&step.name)),
            None => {
                let inputs = workshop.inputs(step, &known)?;
                let found = cache.find(&step.name, &inputs.key());
                found.map_or_else(|| State::Runs(inputs), State::There)
            }
        };
        if let State::There(made) | State::Asked(Some(made)) = &state {
            known.insert(step.name.clone(), made.clone());
        }
        states.push((step, state));
    }
    Ok(states)
}

fn age(made: &Made) -> Duration {
    // A clock that was set back makes it new.
    SystemTime::now()
        .duration_since(made.at)
        .unwrap_or_default()
}

/// A time, as a person says it.
#[must_use]
pub fn duration(time: Duration) -> String {
    match (time.as_secs(), time.subsec_millis()) {
        (0..10, _) => format!("{:.1} s", time.as_secs_f64()),
        (seconds @ 10..120, _) => format!("{seconds} s"),
        (seconds @ 120..7200, _) => format!("{} min {:02} s", seconds / 60, seconds % 60),
        (seconds @ 7200..172_800, _) => format!("{} h", seconds / 3600),
        (seconds, _) => format!("{} days", seconds / 86400),
    }
}

/// A size, as a person says it.
#[must_use]
pub fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} B"),
        10_000..10_000_000 => format!("{} kB", bytes / 1000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}
