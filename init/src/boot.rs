//! The order of the boot (`boot.md` 1): mounts, consoles, signals, drivers, settings, policy, network, deploy, leave.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use bundle::package::Resources;
use bundle::trust::Trust;
use disk::sizes::Sizes;
use install::options;
use netstack::{Config, Station};
use receiver::Policy;
use receiver::cage::Caged;
use receiver::disks::Disks;
use receiver::gate::Wish;
use receiver::operator::OperatorControl;
use receiver::operator::reporter::chain;
use wire::message;
use wire::stage::Stage;
use wizard::fact::Machine;
use wizard::host::Inbox;

use crate::cmdline::{self, After, Settings};
use crate::console::{self, Console};
use crate::memory::Memory;
use crate::network::Wire;
use crate::wizard::{Setting, Start};
use crate::{dispensable, drivers, leave, locks, mounts, signals, supervision, terminals, wifi};

/// The shim's own kernels have both walls, and any other must (`modules.md`).
static WORKERS: Caged = Caged::demanding();

/// Boots the machine: from the kernel's first call of PID 1 to the last system call. `wizard` is [`crate::wizard::start`]; nothing else
/// leads there.
pub fn run(wizard: Start) -> ! {
    let mounted = mounts::mount_all();
    let console = console::open();
    drivers::offer_help();
    mounts::mount_firmware();
    watch_for_panics();
    for error in mounted.err().unwrap_or_default() {
        console.warning(&chain(&error)); // what depends on it will say what it misses
    }
    if let Err(error) = signals::answer(console) {
        console.warning(&format!("answering signals: {}", chain(&error)));
    }
    let line = fs::read("/proc/cmdline").unwrap_or_default(); // an empty line asks for nothing: no disk is at risk
    let line = String::from_utf8_lossy(&line);
    let memory = Memory::read();
    let firmware = if Path::new(mounts::EFIVARS).exists() {
        "uefi"
    } else {
        "bios"
    };
    let version = env!("CARGO_PKG_VERSION");
    console.stage(
        Stage::Starting,
        &format!(
            "version={version} firmware={firmware} memory={}MiB",
            memory.total_bytes >> 20
        ),
    );
    drivers::start(&line, console);
    match cmdline::parse(&line) {
        Ok(settings) => {
            let machine = Machine {
                version: version.to_owned(),
                firmware,
                memory_bytes: memory.total_bytes,
                decided: cmdline::ours(&line).collect(),
                owns_network: true,
                has_shell: crate::wizard::has_shell(),
                owns_power: true,
            };
            install(settings, memory, machine, wizard, console)
        }
        Err(error) => {
            console.stage(Stage::Failed, &chain(&error));
            leave::give_up(cmdline::after_if_readable(&line), console);
        }
    }
}

/// With settings that can be followed.
fn install(
    settings: Settings,
    memory: Memory,
    machine: Machine,
    wizard: Start,
    console: &'static Console,
) -> ! {
    let (after, watchdog) = (settings.after, settings.watchdog.after_kexec());
    let (policy, trust) = match locks::read(Path::new(locks::DIRECTORY), &settings) {
        Ok(locks) => locks,
        Err(error) => {
            console.stage(Stage::Failed, &chain(&error));
            leave::give_up(after, console);
        }
    };
    let options = receiver_options(&settings, memory, policy, trust);
    let config = Config {
        // What the machine has, not what the network may take.
        memory_bytes: memory.total_bytes,
        addressing: settings.ip,
        vlan: settings.vlan,
        mtu: settings.mtu,
    };
    let (facts, network_facts) = mpsc::channel();
    let mut network = match Wire::open(config, console, facts) {
        Ok(network) => network,
        Err(error) => {
            console.stage(Stage::Failed, &chain(&error));
            leave::give_up(after, console);
        }
    };
    if let Some(seconds) = settings.stall.stall() {
        supervise(seconds, network.station(), console);
    }
    let attended = attend(console);
    let ear = attended.as_ref().map(|(_, inbox)| inbox.clone());
    let wifi = wifi::start(ear.ok(), console);
    let attended = attended.and_then(|(person, inbox)| {
        wizard(Setting {
            console,
            inbox: inbox.clone(),
            person,
            station: network.station(),
            network: network_facts,
            wifi,
            ui: settings.ui,
            machine,
        })?;
        Ok(inbox)
    });
    let inbox = match attended {
        Ok(inbox) => Some(inbox),
        Err(error) => {
            console.warning(&format!("without a person: {}", chain(&error)));
            None
        }
    };
    match receiver::run(&options, &mut network, console) {
        Ok(deployed) => {
            supervision::end();
            let after = ordered(deployed.order, after);
            if inbox.is_some_and(|inbox| inbox.is_touched()) {
                console.leaving(after, leave::PARTING_TIME);
                leave::linger(leave::PARTING_TIME);
            }
            leave::boot(deployed, after, watchdog, console);
        }
        Err(_shown) => {
            console.leaving(leave::after_failure(after), leave::READING_TIME);
            leave::give_up(after, console);
        }
    }
}

fn receiver_options(
    settings: &Settings,
    memory: Memory,
    policy: Policy,
    trust: Trust,
) -> receiver::Options {
    receiver::Options {
        disks: Disks::Machine,
        wish: Wish {
            disk: settings.disk.clone(),
            wipe: settings.wipe.clone(),
            reinstall: settings.reinstall.clone(),
        },
        deploy: deploy_options(memory, settings.sizes),
        policy,
        trust,
        patience: receiver::Patience::default(),
        dry_run: settings.dry_run,
        is_once: false,
    }
}

/// A deploy that stands still for so long is reset. To be alive takes the network's lock as well.
fn supervise(seconds: u16, station: Station, console: &'static Console) {
    let probe = move || drop(station.addresses());
    if let Err(error) = supervision::start(Duration::from_secs(seconds.into()), probe, console) {
        console.warning(&format!("without a watchdog: {}", chain(&error)));
    }
}

/// A person may be there from now on.
fn attend(console: &Console) -> io::Result<(OperatorControl, Inbox)> {
    let (person, inbox) = (OperatorControl::new()?, Inbox::new()?);
    console.attend(person.clone(), inbox.clone());
    Ok((person, inbox))
}

/// The donor's order, or what the command line says when it gave none.
const fn ordered(order: message::After, own: After) -> After {
    match order {
        message::After::TargetsChoice => own,
        message::After::Kexec => After::Kexec,
        message::After::Reboot => After::Reboot,
        message::After::Poweroff => After::PowerOff,
    }
}

fn deploy_options(memory: Memory, sizes: Sizes) -> options::Options {
    let threads =
        thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(1));
    options::Options {
        resources: Resources {
            memory_bytes: memory.decoder_bytes(),
            threads,
            workers: &WORKERS,
        },
        unpacked_max_bytes: None,
        sizes,
        firmware: Some(firmware()),
        luggage: Some(&wifi::LUGGAGE),
    }
}

/// What has started this machine, and will start its disk.
fn firmware() -> options::Firmware {
    match Path::new("/sys/firmware/efi").exists() {
        true => options::Firmware::Uefi,
        false => options::Firmware::Bios,
    }
}

/// `panic = "abort"` would end PID 1 and with it the kernel, its message scrolled away. Instead:
/// last words, what is dirty written, time to read, reboot. The disk is unbootable or complete at
/// any time, so that nothing is made worse. Threads that can be spared end alone.
fn watch_for_panics() {
    std::panic::set_hook(Box::new(|info| {
        dispensable::stand_still(info, |name, text| {
            console::bug(text);
            if name == dispensable::SCREENS {
                terminals::give_back();
                crate::wizard::again();
            }
        });
        terminals::give_back();
        console::last_words(&format!("a bug in init: {info}"));
        leave::sync_for_a_while();
        thread::sleep(leave::READING_TIME); // for a person's eyes
        leave::reboot_now();
    }));
}
