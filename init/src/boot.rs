//! The order of the boot (`boot.md` 1): mounts, consoles, signals, drivers, settings, policy,
//! network, deploy, handoff.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use bundle::trust::Trust;
use bundle::unpack_pipeline::Resources;
use disk::sizes::Sizes;
use install::options;
use machine::cage::Caged;
use machine::disks::Disks;
use machine::efivars;
use machine::gate::Wish;
use machine::mounts;
use netstack::{Config, Stack};
use receiver::Policy;
use receiver::operator::OperatorControl;
use shim_settings::baked_config::Files;
use shim_settings::cmdline::{self, Settings};
use wire::chain::chain;
use wire::names::CONFIG_DIRECTORY;
use wire::stage::Stage;
use wizard::event::Machine;
use wizard::host::Inbox;

use crate::console::{self, Console};
use crate::departure::Departure;
use crate::memory::Memory;
use crate::network::Wire;
use crate::wizard::{Setting, Start};
use crate::{dispensable, drivers, handoff, signals, supervision, terminals, wifi};

/// The shim's own kernels have both walls, and any other must (`modules.md`).
static WORKERS: Caged = Caged::demanding();

/// Lent to what asks the operator before the machine leaves, and to the wizard, which answers.
static DEPARTURE: Departure = Departure::new();

/// Boots the machine: from the kernel's first call of PID 1 to the last system call. `wizard` is
/// [`crate::wizard::start`]; nothing else leads there.
pub fn run(wizard: Start) -> ! {
    let mounted = mounts::mount_all();
    let console = console::open();
    machine::drivers::offer_help();
    mounts::mount_firmware();
    watch_for_panics();
    for error in mounted.err().unwrap_or_default() {
        console.warning(&chain(&error).to_string()); // what depends on it will say what it misses
    }
    if let Err(error) = signals::answer(console) {
        console.warning(&format!("answering signals: {}", chain(&error)));
    }
    // An empty line asks for nothing: no disk is at risk.
    let line = fs::read("/proc/cmdline").unwrap_or_default();
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
            console.stage(Stage::Failed, &chain(&error).to_string());
            handoff::give_up(cmdline::after_if_readable(&line), &DEPARTURE, console);
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
    let files = Files::read(Path::new(CONFIG_DIRECTORY));
    let (policy, trust) = match files.and_then(|files| files.decide(&settings)) {
        Ok(config) => config,
        Err(error) => {
            console.stage(Stage::Failed, &chain(&error).to_string());
            handoff::give_up(after, &DEPARTURE, console);
        }
    };
    let options = receiver_options(&settings, memory, policy, trust);
    let config = Config {
        // All memory of the machine, not only the network's share.
        memory_bytes: memory.total_bytes,
        addressing: settings.ip,
        vlan: settings.vlan,
        mtu: settings.mtu,
    };
    let (facts, network_facts) = mpsc::channel();
    let mut network = match Wire::open(config, console, facts) {
        Ok(network) => network,
        Err(error) => {
            console.stage(Stage::Failed, &chain(&error).to_string());
            handoff::give_up(after, &DEPARTURE, console);
        }
    };
    if let Some(seconds) = settings.stall.stall() {
        supervise(seconds, network.stack(), console);
    }
    let attended = attend(console);
    let ear = attended.as_ref().map(|(_, inbox)| inbox.clone());
    let wifi = wifi::start(ear.ok(), console);
    let attended = attended.and_then(|(person, inbox)| {
        wizard(Setting {
            console,
            inbox: inbox.clone(),
            person,
            stack: network.stack(),
            network: network_facts,
            wifi,
            ui: settings.ui,
            departure: &DEPARTURE,
            machine,
        })?;
        Ok(inbox)
    });
    let inbox = match attended {
        Ok(inbox) => Some(inbox),
        Err(error) => {
            console.warning(&format!(
                "continuing without an operator: {}",
                chain(&error)
            ));
            None
        }
    };
    match receiver::run(&options, &mut network, console) {
        Ok(deployed) => {
            supervision::end();
            let after = deployed.order.unwrap_or(after);
            if inbox.is_some_and(|inbox| inbox.is_touched()) {
                console.leaving(after, handoff::PARTING_TIME);
                DEPARTURE.linger(handoff::PARTING_TIME);
            }
            handoff::boot(deployed, after, watchdog, console);
        }
        Err(_shown) => {
            console.leaving(handoff::after_failure(after), handoff::READING_TIME);
            handoff::give_up(after, &DEPARTURE, console);
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

/// Resets the machine if a deploy stalls for so long. The probe needs the network's lock, so a
/// deadlock there counts as a stall.
fn supervise(seconds: u16, stack: Stack, console: &'static Console) {
    let probe = move || drop(stack.addresses());
    let warn = |text: &str| console.warning(text);
    if let Err(error) = supervision::start(Duration::from_secs(seconds.into()), probe, warn) {
        console.warning(&format!("continuing without a watchdog: {}", chain(&error)));
    }
}

/// An operator may be present from now on.
fn attend(console: &Console) -> io::Result<(OperatorControl, Inbox)> {
    let (person, inbox) = (OperatorControl::new()?, Inbox::new()?);
    console.attend(person.clone(), inbox.clone());
    Ok((person, inbox))
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
        wifi_handover: Some(&wifi::WIFI_HANDOVER),
    }
}

/// The firmware that has started this machine, and will start its disk.
fn firmware() -> options::Firmware {
    match Path::new("/sys/firmware/efi").exists() {
        true if efivars::is_secure() => options::Firmware::SecureUefi,
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
        handoff::sync_for_a_while();
        thread::sleep(handoff::READING_TIME); // for a person's eyes
        handoff::reboot_now();
    }));
}
