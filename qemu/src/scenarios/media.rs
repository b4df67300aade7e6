//! The media of the shim beside CDs, from which most other scenarios start: sticks with their
//! menu, and one program for UEFI. All of them are customized: changed after they were made.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::Command;

use wire::stage::Stage;

use crate::error::{Doing, Result};
use crate::lab::{BOOT, DISK_MIB, Lab, PLAIN, STEP};
use crate::machine::running::Running;
use crate::machine::{Firmware, Machine, Medium, Prefers};
use crate::media::image::Image;
use crate::process::run;

use super::image;

/// How long the menu waits: a busy host has to press a key in that time, and a quiet one waits for
/// it once.
const MENU_SECONDS: u32 = 8;
/// Smaller ones are not sold any more.
const STICK_BYTES: u64 = 1 << 30;
/// The menu's last entry, the question for options, and an entry that is there only when something
/// is remembered (`boot-iso.md` 3).
const LAST_ENTRY: &str = "Switch off";
const QUESTION: &str = "Such as:";
const FORGET: &str = "Forget the options: ";
/// Once the kernel runs: its first words.
const KERNEL: &str = "Command line: ";

pub(super) fn stick_bios(lab: &mut Lab) -> Result<()> {
    stick(lab, Firmware::Bios)
}

pub(super) fn stick_uefi(lab: &mut Lab) -> Result<()> {
    stick(lab, Firmware::Uefi)
}

/// The command line has no console of its own: nothing would be heard without the one that the menu
/// adds, and the machine would restart without the option that is typed.
fn stick(lab: &mut Lab, firmware: Firmware) -> Result<()> {
    const OPTION: &str = "smv.after=poweroff";

    let disk = lab.disk("disk", DISK_MIB)?;
    // Made without a menu and with words that would end every deploy: both are changed afterwards.
    let made = lab.iso("smv.policy=pinned", Some(0))?;
    let seconds = MENU_SECONDS.to_string();
    let change = ["--cmdline", PLAIN, "--timeout", &seconds];
    let stick = customized(lab, &made, &change)?;
    // As after dd: the table's backup is nowhere near the end.
    let file = OpenOptions::new().write(true).open(&stick);
    let file = file.doing("opening", stick.display())?;
    file.set_len(STICK_BYTES).doing("sizing", stick.display())?;
    let machine = Machine {
        prefers: Prefers::Medium,
        ..lab.machine(firmware, vec![disk], Medium::UsbStick(stick))?
    };
    let mut target = lab.start(&machine)?;
    target.console.await_text(LAST_ENTRY, BOOT)?;
    target.console.press('t')?;
    target.console.await_text(QUESTION, STEP)?;
    target.console.send(OPTION)?;
    target.console.await_text(FORGET, STEP)?;
    target.console.await_text(LAST_ENTRY, STEP)?;
    target.console.press('d')?;
    must_have_words(&mut target, &[PLAIN, "console=ttyS0", OPTION])?;
    lab.deploy_demo(&mut target)?;
    target.await_power_off(STEP)?;
    image(&machine).must_be_complete()?;

    // The same stick in a second machine: nobody presses a key.
    let other = Machine {
        name: "other".to_owned(),
        disks: vec![lab.disk("other", DISK_MIB)?],
        ..machine
    };
    let mut target = lab.start(&other)?;
    target.console.await_text(FORGET, BOOT)?;
    must_have_words(&mut target, &[PLAIN, "console=ttyS0", OPTION])?;
    target.console.await_stage(Stage::Waiting, BOOT).map(drop)
}

/// The medium with other settings (`boot-iso.md` 6).
fn customized(lab: &Lab, made: &Path, change: &[&str]) -> Result<PathBuf> {
    let mut output = made.as_os_str().to_owned();
    output.push(".customized");
    let output = PathBuf::from(output);
    let (from, to) = (made.display().to_string(), output.display().to_string());
    lab.visor(&[&["media", "customize", &from, "-o", &to], change].concat())?;
    Ok(output)
}

/// They stand in this order on the kernel's command line.
fn must_have_words(target: &mut Running, expected: &[&str]) -> Result<()> {
    target.console.await_text(KERNEL, BOOT)?;
    for words in expected {
        target.console.await_text(words, STEP)?;
    }
    Ok(())
}

/// The program lies where firmware looks for one on a disk that no boot variable names.
pub(super) fn uki(lab: &mut Lab) -> Result<()> {
    let program = lab.uki("smv.after=kexec")?;
    let program = customized(lab, &program, &["--set", "smv.after=poweroff"])?;
    let stick = std::env::current_dir().unwrap_or_default().join("esp.img");
    esp_with(&stick, &program)?;
    let disk = lab.disk("disk", DISK_MIB)?;
    let machine = lab.machine(Firmware::Uefi, vec![disk], Medium::UsbStick(stick))?;
    super::deploy_and_power_off(lab, &machine)
}

/// A disk with one partition, an EFI system partition, which holds one program; made by other
/// people's tools.
pub(crate) fn esp_with(disk: &Path, program: &Path) -> Result<()> {
    const START_MIB: u64 = 1;

    Image::create(disk, 64)?;
    let start = format!("--new=1:{START_MIB}MiB:0");
    run(Command::new("sgdisk")
        .args([start.as_str(), "--typecode=1:EF00"])
        .arg(disk))?;
    let volume = format!("{}@@{START_MIB}M", disk.display());
    let steps: [&[&str]; 3] = [
        // The BIOS parameter block ends before the backup of the table.
        &["mformat", "-i", &volume, "-T", "126976", "::"],
        &["mmd", "-i", &volume, "::/EFI", "::/EFI/BOOT"],
        &[
            "mcopy",
            "-i",
            &volume,
            &program.display().to_string(),
            "::/EFI/BOOT/BOOTX64.EFI",
        ],
    ];
    for step in steps {
        let (tool, arguments) = step.split_first().unwrap_or((&"", &[]));
        run(Command::new(tool).args(arguments))?;
    }
    Ok(())
}
