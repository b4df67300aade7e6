//! The list of disks, one per row, with what tells them apart.

use std::borrow::Cow;

use machine::gate::{Candidate, GateError};
use wire::human;

use super::{Verdict, against, verdict};
use crate::canvas::Canvas;
use crate::focus;
use crate::model::Model;
use crate::theme::Tone;

/// Draws the heading and as many rows as fit, the one at `at` among them. Says how many rows that
/// took.
pub(super) fn draw(canvas: &mut Canvas<'_>, model: &Model, at: usize) -> u16 {
    heading(canvas);
    let room = usize::from(canvas.height().saturating_sub(1));
    let first = focus::first_row(at, model.disks.len(), room);
    let rows = model.disks.iter().enumerate().skip(first).take(room);
    let mut y = 1;
    for (number, disk) in rows {
        row(canvas, y, disk, model, number == at);
        y = y.saturating_add(1);
    }
    y
}

/// Columns of the list: where each begins, and one behind the last.
const fn columns(width: u16) -> [u16; 7] {
    if width >= 110 {
        [2, 18, 26, 34, 60, 82, width]
    } else {
        [2, 16, 23, 30, 46, 61, width]
    }
}

fn cells(canvas: &mut Canvas<'_>, y: u16, texts: [&str; 6], tone: Tone) {
    let columns = columns(canvas.width());
    let behind = columns.iter().skip(1);
    for ((x, behind), text) in columns.iter().zip(behind).zip(texts) {
        let width = behind.saturating_sub(*x).saturating_sub(1);
        canvas.fit(*x, y, width, text, tone);
    }
}

fn heading(canvas: &mut Canvas<'_>) {
    let names = ["disk", "size", "bus", "model", "serial", "holds"];
    cells(canvas, 0, names, Tone::Dim);
}

fn row(canvas: &mut Canvas<'_>, y: u16, disk: &Candidate, model: &Model, is_selected: bool) {
    let found = disk.disk();
    let verdict = verdict(disk, &model.disks);
    let holds: Cow<'_, str> = match &verdict {
        _ if disk.is_shim_medium() => "(boot medium)".into(),
        Verdict::Installed(name) => format!("system {name}").into(),
        _ if disk.protected().is_some() => "(protected)".into(),
        Verdict::Never(GateError::ReadOnly { .. }) => "(read-only)".into(),
        Verdict::Never(GateError::Unreadable { .. }) => "(unreadable)".into(),
        Verdict::Never(_) => "(not to be had)".into(),
        Verdict::Free | Verdict::Word => disk.contents().to_string().into(),
    };
    let is_grey = !against(disk, &verdict).is_empty();
    let tone = match (is_grey, &verdict) {
        (true, _) => Tone::Dim,
        (false, Verdict::Free) => Tone::Good,
        (false, _) => Tone::Plain,
    };
    let path = found.path.display().to_string();
    let size = human::label(found.size_bytes).to_string();
    let model = match (&found.model, &found.vendor) {
        (Some(model), _) => model.as_str(),
        (None, Some(vendor)) => vendor.as_str(),
        (None, None) => "",
    };
    let serial = found.serial.as_deref().or(found.wwn.as_deref());
    let texts = [
        path.as_str(),
        &size,
        found.transport.name(),
        model,
        serial.unwrap_or("(none)"),
        &holds,
    ];
    cells(canvas, y, texts, tone);
    if is_selected {
        canvas.tint(y, Tone::Selected);
        let pointer = canvas.glyphs().pointer.to_string();
        canvas.put(0, y, &pointer, Tone::Selected);
    }
}
