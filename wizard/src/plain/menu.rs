//! The possible answers to each screen, as a numbered list. An answer leads to the same acts as a
//! key.

use std::path::PathBuf;

use machine::gate::Candidate;
use wifi::{Security, Ssid};

use crate::command::Command;
use crate::model::{Model, Phase};
use crate::screens::disk::{Verdict, verdict};
use crate::screens::wifi::{network, security, strength};
use crate::view::{Act, Question, Screen};

/// Something that can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) text: String,
    pub(super) what: What,
}

/// The consequence of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A person decides about the deploy.
    Decide(Vec<Act>),
    /// An order that decides nothing of it.
    Do(Command),
    /// This disk, as far as it may be had.
    Disk(PathBuf),
    /// The table as it is.
    Plan,
    /// Something has to be typed.
    Type(Step),
    /// The end of the log.
    Log,
}

/// The meaning of the next line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Step {
    /// A number of the list.
    #[default]
    Number,
    /// The word for what is on this disk.
    Word(PathBuf),
    /// The layout.
    Layout,
    /// The size of the ESP.
    Esp,
    /// The size of swap.
    Swap,
    /// A value of `smv.ip=`.
    Address,
    /// The name of a network that does not announce it, for this card.
    Name(String),
    /// Its passphrase, and whether it hides.
    Passphrase(String, Ssid, bool),
    /// Yes, or anything else.
    Sure(Question),
}

fn choice(text: impl Into<String>, what: What) -> Choice {
    Choice {
        text: text.into(),
        what,
    }
}

fn go(text: &str, act: Act) -> Choice {
    choice(text, What::Decide(vec![act]))
}

/// Everything that can be answered here.
pub(super) fn choices(screen: Screen, model: &Model) -> Vec<Choice> {
    let mut choices = match screen {
        Screen::Welcome => welcome(model),
        Screen::Disk => model
            .disks
            .iter()
            .flat_map(|disk| of_disk(disk, model))
            .collect(),
        Screen::Plan => vec![
            choice("Go on with this table", What::Plan),
            choice(
                "Another size for the EFI system partition",
                What::Type(Step::Esp),
            ),
            choice("Another size for swap", What::Type(Step::Swap)),
            choice("Another layout", What::Type(Step::Layout)),
        ],
        Screen::Network => addresses(model),
        Screen::Wifi => model.wifi.iter().flat_map(of_card).collect(),
        Screen::Code => Vec::new(),
        Screen::Receiving if model.is_cancelling => Vec::new(),
        Screen::Receiving => {
            vec![choice(
                "Cancel this deploy",
                What::Type(Step::Sure(Question::Cancel)),
            )]
        }
        Screen::Done => done(model),
        Screen::Failed => failed(model),
    };
    if matches!(
        screen,
        Screen::Disk | Screen::Plan | Screen::Network | Screen::Wifi
    ) {
        choices.push(go("Back", Act::Back));
    }
    if screen == Screen::Code {
        choices.push(go("Stop inviting donors, and decide again", Act::Back));
    }
    choices.extend(everywhere(model));
    choices
}

fn everywhere(model: &Model) -> impl Iterator<Item = Choice> {
    let machine = &model.machine;
    let sure = |question| What::Type(Step::Sure(question));
    [
        (true, "The end of the log", What::Log),
        (machine.has_shell, "A shell", What::Do(Command::Shell)),
        (machine.owns_power, "Reboot", sure(Question::Reboot)),
        (machine.owns_power, "Power off", sure(Question::PowerOff)),
    ]
    .into_iter()
    .filter_map(|(is_there, text, what)| is_there.then(|| choice(text, what)))
}

fn welcome(model: &Model) -> Vec<Choice> {
    let mut choices = vec![go("Choose disk, sizes and network", Act::Go(Screen::Disk))];
    if model.is_held {
        choices.push(go("Let the machine decide", Act::Back));
    }
    choices
}

/// The choices for a disk.
fn of_disk(disk: &Candidate, model: &Model) -> Vec<Choice> {
    let take = What::Disk(disk.disk().path.clone());
    match verdict(disk, &model.disks) {
        Verdict::Never(_) => Vec::new(),
        Verdict::Free => vec![choice(format!("Take {disk}"), take)],
        Verdict::Word => vec![choice(format!("Replace what is on {disk}"), take)],
        Verdict::Installed(name) => {
            let replace = choice(format!("Replace installation {name} on {disk}"), take);
            let boot = What::Decide(vec![Act::Command(Command::Boot(name.clone()))]);
            let boot = choice(format!("Boot installation {name}"), boot);
            match model.machine.owns_power {
                true => vec![boot, replace],
                false => vec![replace],
            }
        }
    }
}

fn addresses(model: &Model) -> Vec<Choice> {
    let mut choices = vec![go("Go on: invite donors", Act::Invite)];
    if model.machine.owns_network {
        let dhcp = Act::Command(Command::Network("dhcp".to_owned()));
        choices.push(go("Addresses by DHCP", dhcp));
        choices.push(choice("Type an address", What::Type(Step::Address)));
    }
    if !model.wifi.is_empty() {
        choices.push(go("Wi-Fi", Act::Go(Screen::Wifi)));
    }
    choices
}

/// The networks that a card hears, and what else can be done with it.
fn of_card(report: &wifi::Report) -> Vec<Choice> {
    let card = &report.interface;
    let mut choices = Vec::new();
    for it in &report.networks {
        let what = match it.security {
            Security::Unsupported => continue,
            Security::Open => What::Do(Command::WifiJoin(wifi::Join {
                interface: card.clone(),
                ssid: it.ssid.clone(),
                passphrase: None,
                is_hidden: false,
            })),
            Security::Wpa2 | Security::Wpa3 | Security::Wpa2Wpa3 => {
                What::Type(Step::Passphrase(card.clone(), it.ssid.clone(), false))
            }
        };
        let signal = match strength(it.signal_dbm) {
            1 => "very weak",
            2 => "weak",
            3 => "good",
            _ => "strong",
        };
        let text = format!(
            "Join {}, {}, {signal}, with {card}",
            it.ssid,
            security(it.security)
        );
        choices.push(choice(text, what));
    }
    choices.push(choice(
        format!("A hidden network, with {card}"),
        What::Type(Step::Name(card.clone())),
    ));
    choices.push(choice(
        format!("Scan for networks with {card}"),
        What::Do(Command::WifiScan(card.clone())),
    ));
    if let Some(ssid) = network(report) {
        let text = format!("Leave and forget {ssid}");
        choices.push(choice(text, What::Do(Command::WifiLeave(card.clone()))));
    }
    choices
}

fn done(model: &Model) -> Vec<Choice> {
    let leave = match model.machine.owns_power {
        true => "Leave for the installed system now",
        false => "End",
    };
    let mut choices = vec![choice(leave, What::Do(Command::Leave))];
    if model.may_stay() {
        choices.push(choice("Stay", What::Do(Command::Stay)));
    }
    choices
}

fn failed(model: &Model) -> Vec<Choice> {
    let mut choices = Vec::new();
    match model.phase {
        Phase::Dead if model.machine.owns_power => {} // rebooting is everywhere
        Phase::Dead => choices.push(choice("End", What::Do(Command::Leave))),
        _ => choices.push(go("On to the code", Act::Go(Screen::Code))),
    }
    if model.leaving.is_some() {
        choices.push(choice("Stay", What::Do(Command::Stay)));
    }
    choices
}
