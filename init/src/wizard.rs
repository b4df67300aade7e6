//! The wizard's thread in PID 1: the machine's events in, commands to it out (`boot.md` 8).
//!
//! It runs next to the deploy, which never waits for it. The terminals are restored before the
//! machine leaves.

mod actions;
mod cards;
mod kmsg;

use std::io;
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use netstack::{NetworkFact, Stack};
use receiver::operator::OperatorControl;
use rustix::process::setpriority_process;
use shim_settings::cmdline::{self, Ui};
use wire::stage::Stage;
use wizard::event::{Machine, MachineEvent};
use wizard::host::{Enter, Host, Inbox, Mode, TtyConfig};
use wizard::{Plain, Wizard};

use crate::console::Console;
use crate::departure::Departure;
use crate::dispensable::SCREENS;
use crate::terminals::{self, Terminals};
use crate::wifi::Wifi;
use actions::MachineActions;

/// The shell, in images that have one.
pub const SHELL: &str = "/bin/sh";
/// The machine has other things to do first: to invite donors. It says soon that it does, or why
/// not.
const PATIENCE: Duration = Duration::from_secs(2);
/// The machine comes no further than this without a person or a donor.
const FAR_ENOUGH: [Stage; 3] = [Stage::Waiting, Stage::Holding, Stage::Failed];

/// As in nice(1).
const NICE: i32 = 10;

/// The values that the boot hands over to the wizard.
pub struct Setting {
    /// Where lines go.
    pub console: &'static Console,
    /// Where facts come from.
    pub inbox: Inbox,
    /// The operator's instructions, which the receiver reads.
    pub person: OperatorControl,
    /// The network, to change its addresses.
    pub stack: Stack,
    /// The reports of the network stack.
    pub network: Receiver<NetworkFact>,
    /// Its Wi-Fi cards, where the image can use them.
    pub wifi: Option<Wifi>,
    /// `smv.ui=`.
    pub ui: Ui,
    /// Where a person's word about leaving goes.
    pub departure: &'static Departure,
    /// The description of this machine.
    pub machine: Machine,
}

/// The state that the screens begin with, and begin again with.
#[derive(Clone)]
struct Kit {
    console: &'static Console,
    inbox: Inbox,
    person: OperatorControl,
    stack: Stack,
    wifi: Option<Wifi>,
    ui: Ui,
    departure: &'static Departure,
    /// How often they may still begin.
    left: u8,
}

/// The state that the screens need to start again after a bug has ended them. All events are
/// delivered again; if one of them triggers the bug, the screens stay away and lines are shown.
static AGAIN: Mutex<Option<Kit>> = Mutex::new(None);
/// In all.
const BEGINNINGS: u8 = 3;

/// Starts it: [`start`], or what a program without a wizard has in its place.
pub type Start = fn(Setting) -> io::Result<()>;

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
        // The questions say what to do, without a picture and its colours.
        terminals::occupy_all();
    }
    // Of this thread and those it starts: a deploy goes first. A tenth of a core, when there is no
    // more, is enough for a person.
    let _ = setpriority_process(None, NICE);
    let Setting {
        console,
        inbox,
        person,
        stack,
        network,
        wifi,
        ui,
        departure,
        machine,
    } = setting;
    // Past its patience there is something to show all the same.
    console.stages().wait_for_any(&FAR_ENOUGH, PATIENCE);
    if ui != Ui::None {
        inbox.tell(MachineEvent::Machine(machine));
        // Without them the screens are poorer, and the boot is what it was.
        let _ = kmsg::follow(inbox.clone());
        let _ = cards::follow(network, inbox.clone());
    }
    show(Kit {
        console,
        inbox,
        person,
        stack,
        wifi,
        ui,
        departure,
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
        stack,
        wifi,
        ui,
        departure,
        left: _,
    } = kit;
    let terminals = Terminals::open(matches!(ui, Ui::Auto | Ui::Wizard));
    let mut paths = Vec::new();
    let mut configs = Vec::new();
    for terminal in terminals.all {
        let (mode, enter) = match (ui, terminal.is_ours, terminal.is_virtual) {
            (Ui::None | Ui::Plain, ..) => (Mode::Lines, Enter::Nothing),
            (_, true, _) => (Mode::Screens, Enter::Nothing),
            (_, false, true) => (Mode::Lines, Enter::Elsewhere),
            (Ui::Auto, false, false) => (Mode::Lines, Enter::Screens),
            (Ui::Wizard, false, false) => (Mode::Screens, Enter::Screens),
        };
        paths.push(terminal.path);
        configs.push(TtyConfig {
            terminal: terminal.file,
            mode,
            enter,
            is_virtual: terminal.is_virtual,
            has_kernel_lines: !terminal.is_ours,
        });
    }
    if configs
        .iter()
        .any(|config| config.enter == Enter::Screens && config.mode == Mode::Lines)
    {
        terminals::show("  Press Enter for screens to decide things on.");
    }
    let check_ip = |value: &str| {
        let read = cmdline::addressing(value);
        read.map(drop)
            .map_err(|expected| format!("expected {expected}"))
    };
    let actions = MachineActions {
        console,
        inbox: inbox.clone(),
        person,
        stack,
        wifi,
        departure,
        paths,
    };
    match ui {
        Ui::Plain => Host::plain(Plain::new(check_ip), actions, inbox, configs).run(),
        Ui::Auto | Ui::Wizard | Ui::None => {
            Host::new(Wizard::new(check_ip), actions, inbox, configs).run()
        }
    };
}

/// Is there a shell in this image?
#[must_use]
pub fn has_shell() -> bool {
    Path::new(SHELL).exists()
}
