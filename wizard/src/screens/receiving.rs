//! A donor sends a system: how far it is.
//!
//! A few cells change each second: two bars, their figures, and one column of the rates.

use std::time::Instant;

use wire::human::{clock, percent, size, time_left};
use wire::stage::Stage;

use crate::canvas::Canvas;
use crate::key::Key;
use crate::model::{Deploy, Model};
use crate::theme::Tone;
use crate::view::{Act, Hint, Question, ScreenView};

/// The way to an installed system, and what is said of it here.
const STAGES: [(Stage, &str); 7] = [
    (Stage::Accepted, "Donor accepted"),
    (Stage::Planned, "Disk planned"),
    (Stage::Formatting, "File systems"),
    (Stage::Receiving, "Packages"),
    (Stage::Finishing, "Boot loader"),
    (Stage::Committing, "Partition table"),
    (Stage::Installed, "Bootable"),
];
/// Where the bars begin, right of the stages.
const BARS: u16 = 20;
/// The widest a bar gets.
const BAR_MAX: u16 = 60;
/// Lines of the rates' picture.
const CHART_ROWS: u16 = 3;

/// There is nothing to type here.
#[derive(Debug, Default)]
pub struct Receiving {}

/// The words for a stage.
pub(crate) fn stage(stage: Stage) -> &'static str {
    let found = STAGES.into_iter().find(|(known, _)| *known == stage);
    found.map_or(stage.name(), |(_, name)| name)
}

/// The bytes of the package that is being received: those that are here, and all.
pub(crate) fn package_bytes(deploy: &Deploy) -> Option<(u64, u64)> {
    let (_, len, before) = deploy.package.as_ref()?;
    let here = deploy.received_bytes.saturating_sub(*before);
    Some((here.min(*len), *len))
}

/// Bytes, rate and time left, as far as they are known.
pub(crate) fn pace(deploy: &Deploy) -> [Option<String>; 4] {
    let (done, rate) = (deploy.received_bytes, deploy.rates.lately());
    let left = deploy
        .total_bytes
        .zip(rate)
        .and_then(|(total, rate)| time_left(done, total, rate));
    [
        Some(size(done).to_string()),
        deploy
            .total_bytes
            .map(|total| format!("of {}", size(total))),
        rate.map(|rate| format!("{}/s", size(rate))),
        left.map(|left| format!("{} left", clock(left))),
    ]
}

/// The event that the deploy waits for, if any, and its tone.
pub(crate) fn waits_for(model: &Model) -> Option<(String, Tone)> {
    let deploy = model.deploy.as_ref()?;
    if model.is_cancelling {
        return Some(("Cancelling this deploy.".to_owned(), Tone::Warning));
    }
    if let Some(reason) = &deploy.lost {
        let text =
            format!("The donor is gone; its data is kept, and the machine waits for it: {reason}");
        return Some((text, Tone::Bad));
    }
    let text = format!(
        "{} has been shown the disk. Someone there must agree.",
        deploy.peer.ip()
    );
    deploy.awaits_consent.then_some((text, Tone::Warning))
}

/// The arguments with which a restarted donor resumes where the lost one was.
pub(crate) fn password(model: &Model) -> Option<String> {
    let is_lost = model.deploy.as_ref().is_some_and(|it| it.lost.is_some());
    let invitation = model.invitation.as_ref().filter(|_| is_lost)?;
    let secret = invitation.secret.as_ref()?;
    Some(format!(
        "It goes on with code {} and secret {secret}.",
        invitation.code
    ))
}

/// The donor, and the image that it sends.
pub(crate) fn origin(deploy: &Deploy) -> String {
    let version = deploy.version.as_ref();
    let version = version.map_or_else(String::new, |version| format!(", version {version}"));
    format!("From {}{version}", deploy.peer)
}

impl ScreenView for Receiving {
    fn title(&self, _model: &Model) -> String {
        "Receiving".to_owned()
    }

    fn help(&self) -> &'static str {
        "A donor was accepted and is sending a system. The disk becomes bootable in the very \
         last step; if anything fails before that, it stays unbootable and counts as blank.\nIf \
         the connection breaks, the data that has arrived is kept, and the donor resumes where \
         it was.\nCancelling ends this deploy and informs the donor. Then donors are invited \
         again."
    }

    fn keys(&self, model: &Model) -> Vec<Hint> {
        match model.is_cancelling {
            true => Vec::new(),
            false => vec![("Esc", "cancel")],
        }
    }

    fn press(&mut self, key: Key, model: &mut Model, _now: Instant) -> Vec<Act> {
        match key {
            Key::Escape | Key::Ctrl('c') if !model.is_cancelling => {
                vec![Act::Ask(Question::Cancel)]
            }
            _ => Vec::new(),
        }
    }

    fn draw(&self, canvas: &mut Canvas<'_>, model: &Model) {
        let Some(deploy) = &model.deploy else {
            return;
        };
        canvas.put(0, 0, &origin(deploy), Tone::Plain);
        let height = canvas.height();
        stages(&mut canvas.part(0, 2, BARS.saturating_sub(2), 7), deploy);
        let width = canvas.width().saturating_sub(BARS);
        bars(&mut canvas.part(BARS, 2, width, 7), deploy);
        let width = canvas.width();
        chart(&mut canvas.part(0, 10, width, CHART_ROWS), deploy);
        let rest = height.saturating_sub(14);
        news(&mut canvas.part(0, 14, width, rest), deploy, model);
    }
}

fn stages(canvas: &mut Canvas<'_>, deploy: &Deploy) {
    let glyphs = canvas.glyphs();
    for (y, (stage, name)) in (0..).zip(STAGES) {
        let (mark, tone) = match stage.cmp(&deploy.stage) {
            std::cmp::Ordering::Less => (glyphs.tick, Tone::Good),
            std::cmp::Ordering::Equal => (glyphs.pointer, Tone::Strong),
            std::cmp::Ordering::Greater => (' ', Tone::Dim),
        };
        let x = canvas.repeat(0, y, mark, 1, tone);
        canvas.put(x.saturating_add(1), y, name, tone);
    }
}

fn bars(canvas: &mut Canvas<'_>, deploy: &Deploy) {
    let width = canvas.width().saturating_sub(5).min(BAR_MAX);
    let mut bar = |y, done, total| {
        canvas.bar(0, y, width, done, total);
        let share = format!(" {:>3}%", percent(done, total));
        canvas.put(width, y, &share, Tone::Plain);
    };
    if let Some(total) = deploy.total_bytes {
        bar(1, deploy.received_bytes, total);
    }
    if let Some((here, len)) = package_bytes(deploy) {
        bar(5, here, len);
    }
    canvas.put(0, 0, "Total", Tone::Strong);
    // Each figure ends where it always ends: what did not change is not redrawn.
    let [done, total, rate, left] = pace(deploy).map(Option::unwrap_or_default);
    canvas.put(
        6,
        0,
        &format!("{done:>10} {total:<13}{rate:>13}  {left}"),
        Tone::Plain,
    );
    if deploy.unpacked_bytes > 0 {
        let text = format!("{} unpacked", size(deploy.unpacked_bytes));
        canvas.put(0, 2, &text, Tone::Dim);
    }
    if let Some((name, len, _)) = &deploy.package {
        let mut text = format!("Package {}", deploy.packages_begun);
        if !deploy.packages.is_empty() {
            text.push_str(&format!(" of {}", deploy.packages.len()));
        }
        let x = canvas.put(0, 4, &text, Tone::Strong);
        canvas.put(x, 4, &format!("  {}, {name}", size(*len)), Tone::Plain);
    }
}

fn chart(canvas: &mut Canvas<'_>, deploy: &Deploy) {
    let history = deploy.rates.history();
    let peak = history.peak();
    if peak == 0 {
        return;
    }
    let lines = history.lines(canvas.height(), canvas.theme().charset);
    for (y, line) in (0..).zip(&lines) {
        canvas.put(0, y, line, Tone::Good);
    }
    let text = format!("most {}/s", size(peak));
    let len = u16::try_from(text.len()).unwrap_or(0);
    let x = canvas.width().saturating_sub(len);
    canvas.put(x, 0, &text, Tone::Dim);
}

/// The deploy's waits and warnings, then the log's end.
fn news(canvas: &mut Canvas<'_>, deploy: &Deploy, model: &Model) {
    let mut y = 0;
    if let Some((text, tone)) = waits_for(model) {
        y = canvas.wrap(0, y, &text, tone);
    }
    if let Some(text) = password(model) {
        canvas.put(0, y, &text, Tone::Strong);
        y = y.saturating_add(1);
    }
    let room = canvas.height().saturating_sub(y);
    let width = canvas.width();
    let warnings = u16::try_from(deploy.warnings.len()).unwrap_or(u16::MAX);
    // A long one is cut: all of it is in the log.
    let first = usize::from(warnings.saturating_sub(room));
    for text in deploy.warnings.iter().skip(first) {
        let x = canvas.put(0, y, "warning: ", Tone::Warning);
        canvas.put(x, y, text, Tone::Plain);
        y = y.saturating_add(1);
    }
    let rows = canvas.height().saturating_sub(y.saturating_add(1));
    if rows > 0 {
        let y = canvas.height().saturating_sub(rows);
        super::logs::tail(&mut canvas.part(0, y, width, rows), model);
    }
}
