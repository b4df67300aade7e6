//! Each screen as lines of text. Each line has a key and is shown again only when its key is new,
//! so that a screen reader does not read a counter aloud every second.

use ::disk::layout::Role;
use ::disk::sizes::Sizes;
use wire::human::{clock, label, percent, size};
use wire::record::Slot;

use crate::model::{Deploy, Invitation, Model, Phase};
use crate::screens::{code, disk, done, failed, plan, receiving, welcome, wifi};
use crate::view::Screen;

/// Without a total, progress is shown every so many bytes.
const STEP_BYTES: u64 = 100 << 20;

/// A line that is shown once per key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) key: String,
    pub(super) text: String,
}

impl Line {
    fn new(key: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            text: text.into(),
        }
    }

    /// It is its own key.
    fn of(text: impl Into<String>) -> Self {
        let text = text.into();
        Self::new(text.clone(), text)
    }
}

/// The key of the line that a donor is gone.
pub(super) const LOST: &str = "lost";

/// The lines of a screen.
pub(super) fn lines(screen: Screen, model: &Model, sizes: Sizes) -> Vec<Line> {
    match screen {
        Screen::Welcome => welcomed(model),
        Screen::Disk => disks(model),
        Screen::Plan => planned(model, sizes),
        Screen::Network => cards(model),
        Screen::Wifi => wireless(model),
        Screen::Code => match (&model.invitation, model.phase) {
            (Some(invitation), Phase::Inviting) => invited(invitation, model),
            _ => vec![Line::of("One moment: the machine is getting ready.")],
        },
        Screen::Receiving => model
            .deploy
            .as_ref()
            .map_or_else(Vec::new, |deploy| received(deploy, model)),
        Screen::Done => complete(model),
        Screen::Failed => came_to_nothing(model),
    }
}

fn welcomed(model: &Model) -> Vec<Line> {
    let machine = &model.machine;
    let mut lines = vec![Line::of(format!(
        "spk-visor {}, firmware {}, {} of memory.",
        machine.version,
        machine.firmware,
        size(machine.memory_bytes)
    ))];
    lines.extend(cards(model));
    if !machine.decided.is_empty() {
        let words = machine.decided.join(" ");
        lines.push(Line::of(format!("From the kernel command line: {words}")));
    }
    lines.push(Line::of(match model.is_held {
        true => "The machine waits for your decision.",
        false => "The machine continues by itself. Answer only if you want to decide.",
    }));
    lines
}

fn cards(model: &Model) -> Vec<Line> {
    let mut lines = Vec::new();
    for nic in &model.nics {
        let (link, _) = welcome::link(nic, model);
        let driver = nic.driver.as_deref().unwrap_or("no driver");
        let mut text = format!("Network card {}: {link}, {driver}, {}", nic.name, nic.mac);
        for it in &nic.addresses {
            text.push_str(&format!(
                ", {}/{} by {}",
                it.address, it.prefix_len, it.source
            ));
            if let Some(gateway) = it.gateway {
                text.push_str(&format!(", gateway {gateway}"));
            }
            if let Some(lease) = it.lease {
                text.push_str(&format!(", for {}", clock(lease)));
            }
        }
        lines.push(Line::of(text));
    }
    if lines.is_empty() {
        lines.push(Line::of("No network card is known yet."));
    }
    lines
}

fn disks(model: &Model) -> Vec<Line> {
    let mut lines = Vec::new();
    match (&model.refused, &model.choice) {
        (Some(refused), _) => lines.push(Line::of(refused.as_str())),
        (None, Some(Err(error))) => lines.push(Line::of(disk::why(error))),
        _ => {}
    }
    for it in &model.disks {
        let verdict = disk::verdict(it, &model.disks);
        let reasons = disk::against(it, &verdict);
        for (reason, _) in reasons {
            let path = it.disk().path.display();
            lines.push(Line::of(format!("About {path}: {reason}")));
        }
    }
    lines
}

fn planned(model: &Model, sizes: Sizes) -> Vec<Line> {
    let disk = match model.disk() {
        Ok(disk) => disk,
        Err(error) => return vec![Line::of(error.to_string())],
    };
    let path = disk.disk().path.display().to_string();
    let mut lines = vec![Line::of(format!(
        "This will be on {path}, {}:",
        label(disk.disk().size_bytes)
    ))];
    match plan::layout(&disk, sizes) {
        Err(error) => lines.push(Line::of(error)),
        Ok(layout) => lines.extend(layout.partitions.iter().map(|partition| {
            let what = match partition.role {
                Role::BiosBoot => "boot loader for BIOS",
                Role::Esp => "EFI system",
                Role::Swap => "swap",
                Role::Root => "the system",
                Role::Slot(Slot::A) => "slot A, the system",
                Role::Slot(Slot::B) => "slot B, its update",
                Role::State => "state, what survives updates",
            };
            let len = size(layout.len_bytes(partition));
            Line::of(format!("Partition {}: {what}, {len}", partition.number))
        })),
    }
    if !disk.contents().is_free() {
        lines.push(Line::of(format!("Will be erased: {}", disk.contents())));
    }
    lines.push(Line::of("Nothing is written before a donor is accepted."));
    lines
}

fn wireless(model: &Model) -> Vec<Line> {
    let states = model.wifi.iter().map(|report| {
        let (state, _) = wifi::state(report);
        Line::of(format!("Card {}: {state}", report.interface))
    });
    let lines: Vec<Line> = states.collect();
    match lines.is_empty() {
        true => vec![Line::of("There is no usable Wi-Fi card.")],
        false => lines,
    }
}

/// With blanks between: so it is read as letters.
fn spelled(text: &str) -> String {
    let letters: Vec<String> = text.chars().map(String::from).collect();
    letters.join(" ")
}

fn invited(invitation: &Invitation, model: &Model) -> Vec<Line> {
    let code = &invitation.code;
    let mut lines = vec![
        Line::of("Waiting for a donor."),
        Line::of(format!("Code: {code}, spelled {}", spelled(code))),
    ];
    if let Some(secret) = &invitation.secret {
        let text = format!("Secret: {secret}, spelled {}", spelled(secret));
        lines.push(Line::of(text));
    }
    lines.push(Line::of(format!(
        "Type on the donor: {}",
        code::command(invitation)
    )));
    let (policy, _) = code::policy(invitation);
    lines.push(Line::of(format!("May send: {policy}")));
    let addresses = code::addresses(invitation, model);
    lines.push(Line::of(match addresses.is_empty() {
        true => "This machine has no address yet.".to_owned(),
        false => format!("Address: {}", addresses.join(", ")),
    }));
    lines.push(Line::of(format!("Disk: {}", code::disk(invitation))));
    lines.extend(model.refusals.iter().map(|it| {
        let text = format!("Refused {}", code::refusal(it));
        Line::new(format!("refused {}", it.count), text)
    }));
    lines
}

fn received(deploy: &Deploy, model: &Model) -> Vec<Line> {
    let mut lines = vec![Line::of(receiving::origin(deploy))];
    lines.push(Line::of(format!(
        "Stage: {}",
        receiving::stage(deploy.stage)
    )));
    if let Some((name, len, _)) = &deploy.package {
        let of = match deploy.packages.len() {
            0 => String::new(),
            count => format!(" of {count}"),
        };
        let begun = deploy.packages_begun;
        lines.push(Line::of(format!(
            "Package {begun}{of}: {name}, {}",
            size(*len)
        )));
    }
    let done = deploy.received_bytes;
    let [here, total, rate, left] = receiving::pace(deploy).map(Option::unwrap_or_default);
    let pace = [format!("{here} {total}"), rate, left];
    let pace = pace.map(|it| it.trim().to_owned());
    let pace: Vec<&str> = pace
        .iter()
        .map(String::as_str)
        .filter(|it| !it.is_empty())
        .collect();
    let pace = pace.join(", ");
    let (step, text) = match deploy.total_bytes {
        Some(total) => {
            let share = percent(done, total);
            (u64::from(share / 10), format!("{share} percent: {pace}"))
        }
        None => (done / STEP_BYTES, pace),
    };
    if step > 0 {
        lines.push(Line::new(format!("progress {step}"), text));
    }
    if let Some((text, _)) = receiving::waits_for(model) {
        let key = if deploy.lost.is_some() { LOST } else { &text };
        lines.push(Line::new(key.to_owned(), text.clone()));
    }
    lines.extend(receiving::password(model).map(Line::of));
    lines.extend(
        deploy
            .warnings
            .iter()
            .map(|text| Line::of(format!("Warning: {text}"))),
    );
    lines
}

fn complete(model: &Model) -> Vec<Line> {
    let title = model.installed.as_ref().map_or("", |(_, title)| title);
    let mut lines = vec![
        Line::of("Done: the disk is complete and boots."),
        Line::of(format!("System: {}", done::origin(model))),
        Line::of(format!("Disk: {}", done::disk(model))),
        Line::of(format!("Boots as: {title}")),
    ];
    let (text, _) = done::next(model);
    lines.push(match model.leaving {
        Some(_) => Line::new("leaving", format!("{text} Any other line stops that.")),
        None if model.may_stay() => Line::of(format!("{text} Any other line stops that.")),
        None => Line::of("It stays as it is until you answer."),
    });
    lines.push(Line::of(
        "For an unattended install, on the kernel command line:",
    ));
    lines.extend(done::unattended(model).into_iter().map(Line::of));
    lines
}

fn came_to_nothing(model: &Model) -> Vec<Line> {
    let Some(failure) = &model.failure else {
        return Vec::new();
    };
    let mut lines = vec![
        Line::of(match failure.was_cancelled {
            true => "Cancelled.",
            false => "Failed: nothing was installed.",
        }),
        Line::of(format!("Reason: {}", failure.reason)),
        Line::of(failed::disk(failure)),
        match model.leaving {
            Some(_) => Line::new("leaving", failed::next(model)),
            None => Line::of(failed::next(model)),
        },
    ];
    let advice = failed::advice(failure, model);
    lines.extend(advice.into_iter().map(Line::of));
    lines.extend(model.missing.iter().map(Line::of));
    lines
}
