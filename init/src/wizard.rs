//! The wizard's thread in PID 1: the machine's facts in, what a person wants done to it out (`boot.md` 8).
//!
//! It is beside the deploy, which never waits for it. The terminals are as they were before when the machine leaves.

mod cards;
mod hands;
mod kmsg;

use std::io;
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use netstack::{NetworkFact, Station};
use receiver::operator::OperatorControl;
use rustix::process::setpriority_process;
use wire::stage::Stage;
use wizard::fact::{Fact, Machine};
use wizard::host::{Enter, Host, Inbox, Mode, Place};
use wizard::{Plain, Wizard};

use crate::cmdline::{self, Ui};
use crate::console::Console;
use crate::dispensable::SCREENS;
use crate::terminals::{self, Terminals};
use crate::wifi::Wifi;
use hands::Hands;

/// The shell, in images that have one.
pub const SHELL: &str = "/bin/sh";
/// The machine has other things to do first: to invite donors. It says soon that it does, or why not.
const PATIENCE: Duration = Duration::from_secs(2);

/// As in nice(1).
const NICE: i32 = 10;

/// What the boot hands over to it.
pub struct Setting {
    /// Where lines go.
    pub console: &'static Console,
    /// Where facts come from.
    pub inbox: Inbox,
    /// What the receiver listens to.
    pub person: OperatorControl,
    /// The network, to change its addresses.
    pub station: Station,
    /// What it tells of itself.
    pub network: Receiver<NetworkFact>,
    /// Its Wi-Fi cards, where the image can use them.
    pub wifi: Option<Wifi>,
    /// `smv.ui=`.
    pub ui: Ui,
    /// What this machine is.
    pub machine: Machine,
}

/// What the screens need to begin, and to begin again.
#[derive(Clone)]
struct Kit {
    console: &'static Console,
    inbox: Inbox,
    person: OperatorControl,
    station: Station,
    wifi: Option<Wifi>,
    ui: Ui,
    /// How often they may still begin.
    left: u8,
}

/// With what the screens begin when a bug has ended them. What they were told they are told again;
/// if that is what they stumble over, they stay away, and lines are shown.
static AGAIN: Mutex<Option<Kit>> = Mutex::new(None);
/// In all.
const BEGINNINGS: u8 = 3;

/// Starts it: [`start`], or what a program without a wizard has in its place.
pub type Start = fn(Setting) -> io::Result<()>;

/// The last stage that was entered.
static STAGE: Mutex<Option<Stage>> = Mutex::new(None);
static ENTERED: Condvar = Condvar::new();

/// Takes note of the stage that was entered.
pub fn entered(stage: Stage) {
    *STAGE.lock().unwrap_or_else(PoisonError::into_inner) = Some(stage);
    ENTERED.notify_all();
}

/// Whether a person is asked what to do with a system of ours.
fn is_holding() -> bool {
    *STAGE.lock().unwrap_or_else(PoisonError::into_inner) == Some(Stage::Holding)
}

/// Shows the wizard, and hears who is in front of it, from now on; in threads of its own.
///
/// # Errors
/// No thread.
pub fn start(setting: Setting) -> io::Result<()> {
    thread::Builder::new()
        .name(SCREENS.to_owned())
        .spawn(move || serve(setting))?;
    Ok(())
}

fn serve(setting: Setting) {
    if setting.ui == Ui::Plain {
        // What people are told to do is told by the questions, without a picture and its colours.
        terminals::occupy_all();
    }
    // Of this thread and those it starts: a deploy goes first. A tenth of a core, when there is no more, is enough for a person.
    let _ = setpriority_process(None, NICE);
    wait_for_the_boot();
    let Setting {
        console,
        inbox,
        person,
        station,
        network,
        wifi,
        ui,
        machine,
    } = setting;
    if ui != Ui::None {
        inbox.tell(Fact::Machine(machine));
        // Without them the screens are poorer, and the boot is what it was.
        let _ = kmsg::follow(inbox.clone());
        let _ = cards::follow(network, inbox.clone());
    }
    show(Kit {
        console,
        inbox,
        person,
        station,
        wifi,
        ui,
        left: BEGINNINGS,
    });
}

/// Begins the screens once more, from the panic hook of their thread: it stands still, with the
/// terminals as they were.
pub fn again() {
    let kit = AGAIN.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(kit) = kit.filter(|kit| kit.left > 0) else {
        return;
    };
    kit.inbox.tell_again();
    let thread = thread::Builder::new().name(SCREENS.to_owned());
    let _ = thread.spawn(move || show(kit)); // without a thread there are lines
}

/// The screens, for as long as there are any.
fn show(kit: Kit) {
    *AGAIN.lock().unwrap_or_else(PoisonError::into_inner) = Some(Kit {
        left: kit.left.saturating_sub(1),
        ..kit.clone()
    });
    let Kit {
        console,
        inbox,
        person,
        station,
        wifi,
        ui,
        left: _,
    } = kit;
    let terminals = Terminals::open(matches!(ui, Ui::Auto | Ui::Wizard));
    let mut paths = Vec::new();
    let mut places = Vec::new();
    for terminal in terminals.all {
        let (mode, enter) = match (ui, terminal.is_ours, terminal.is_virtual) {
            (Ui::None | Ui::Plain, ..) => (Mode::Lines, Enter::Nothing),
            (_, true, _) => (Mode::Screens, Enter::Nothing),
            (_, false, true) => (Mode::Lines, Enter::Elsewhere),
            (Ui::Auto, false, false) => (Mode::Lines, Enter::Screens),
            (Ui::Wizard, false, false) => (Mode::Screens, Enter::Screens),
        };
        paths.push(terminal.path);
        places.push(Place {
            terminal: terminal.file,
            mode,
            enter,
            is_virtual: terminal.is_virtual,
            has_kernel_lines: !terminal.is_ours,
        });
    }
    if places
        .iter()
        .any(|place| place.enter == Enter::Screens && place.mode == Mode::Lines)
    {
        terminals::show("  Press Enter for screens to decide things on.");
    }
    let check_ip = |value: &str| {
        let read = cmdline::addressing(value);
        read.map(drop)
            .map_err(|expected| format!("expected {expected}"))
    };
    let hands = Hands {
        console,
        inbox: inbox.clone(),
        person,
        station,
        wifi,
        paths,
    };
    match ui {
        Ui::Plain => Host::plain(Plain::new(check_ip), hands, inbox, places).run(),
        Ui::Auto | Ui::Wizard | Ui::None => {
            Host::new(Wizard::new(check_ip), hands, inbox, places).run()
        }
    };
}

/// Returns when the machine has come as far as it does without a person, or has taken its time.
fn wait_for_the_boot() {
    let stage = STAGE.lock().unwrap_or_else(PoisonError::into_inner);
    let is_under_way = |stage: &mut Option<Stage>| {
        !matches!(stage, Some(Stage::Waiting | Stage::Holding | Stage::Failed))
    };
    // Whether or not it has, there is something to show.
    let _ = ENTERED.wait_timeout_while(stage, PATIENCE, is_under_way);
}

/// Is there a shell in this image?
#[must_use]
pub fn has_shell() -> bool {
    Path::new(SHELL).exists()
}
