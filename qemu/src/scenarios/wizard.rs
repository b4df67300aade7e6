//! A person at the machine: keys at its keyboard or characters on its serial line, and what its
//! screens show. The disk in the end, and the donor's word, say whether the machine did what the
//! person saw.

use std::path::Path;

use wire::stage::Stage;

use crate::actors::donor::{Donor, Order};
use crate::actors::exit::Exit;
use crate::actors::keys::Key;
use crate::actors::person::Person;
use crate::actors::policy::Shown;
use crate::actors::seat::Seat;
use crate::error::{HarnessError, Result};
use crate::eyes::rendering::UNKNOWN;
use crate::lab::{BOOT, DEPLOY, DISK_MIB, Lab, STEP};
use crate::machine::{Firmware, Machine};
use crate::media::image::Image;

use super::disks::somebodys;
use super::fillers::with_filler;
use super::{DEMO_LOGIN, LOGIN, another_machine, image};

/// The way through the screens, at the top of each.
const DISK: &str = "[Disk]";
const PLAN: &str = "[Plan]";
const NETWORK: &str = "[Network]";
const DONE: &str = "[Done]";
/// On the last of them, once nothing is left to do.
const COUNTDOWN: &str = "switches itself off in";
/// Where an address that was typed can be one.
const APPLY: &str = "Apply, and see what comes of it";
/// Of the network that machines are in; nobody hands it out.
const CHOSEN: &str = "10.9.0.177";

/// The machine could decide by itself; a person decides otherwise, at its own screen, cancels the
/// first deploy, and has a second one.
pub(super) fn at_the_monitor(lab: &mut Lab) -> Result<()> {
    let large = with_filler(&lab.artifacts.demo, Path::new("packages"))?;
    let disks = vec![
        somebodys(lab.disk("used", DISK_MIB)?)?,
        lab.disk("spare", DISK_MIB)?,
    ];
    let medium = lab.kernel("smv.after=poweroff");
    let machine = lab.machine(Firmware::Bios, disks, medium)?;
    let mut target = lab.start(&machine)?;
    let mut person = Person {
        seat: Seat::Monitor,
        target: &mut target,
    };
    let first = person.takes_down(None)?;
    walk_back_and_choose(&mut person)?;
    let second = person.takes_down(Some(&first))?;
    person.sees(CHOSEN)?;

    let donor = cancelled_by(&mut person, lab, &second, &large)?;
    must_have_been_told(donor)?;
    image(&machine).must_be_interrupted()?;

    let third = person.takes_down(Some(&second))?;
    person.presses(&[Key::AltF(1)])?;
    person.sees(&format!("smv waiting: code={}", third.code))?;
    person.presses(&[Key::AltF(2)])?;
    let order = Order::new(&third, &lab.artifacts.demo).and(&["--yes"]);
    let mut donor = lab.donor(&order)?;
    donor.must_succeed(DEPLOY)?;
    // Somebody is there, so it does not leave at once; a key makes it stay, another one leave.
    person.sees(DONE)?;
    person.sees(COUNTDOWN)?;
    person.presses(&[Key::Char(' ')])?;
    person.sees("until Enter is pressed")?;
    person.presses(&[Key::Enter])?;
    target.await_power_off(STEP)?;
    image(&machine).must_be_complete()?;
    must_have_swap(&machine, 1024)?;
    let spare = machine.disks.get(1).map(|disk| disk.image.clone());
    Image::new(spare.unwrap_or_default(), 512).must_be_untouched()
}

/// From the code back to the disks, there the one that is not blank, after a wrong word; a smaller
/// swap, an address.
fn walk_back_and_choose(person: &mut Person<'_>) -> Result<()> {
    for screen in [NETWORK, PLAN, DISK] {
        person.presses(&[Key::Escape])?;
        person.sees(screen)?;
    }
    person.selects(0)?;
    person.sees("Enter takes it, after its serial number.")?;
    person.presses(&[Key::Enter])?;
    person.sees("type the last 6 characters")?;
    person.types("W-used")?;
    person.presses(&[Key::Enter])?;
    person.sees("That is not it.")?;
    person.types("V-used")?;
    person.presses(&[Key::Enter])?;
    person.sees(PLAN)?;
    person.presses(&[Key::Up])?;
    person.presses(&[Key::Backspace; 5])?;
    person.types("1G")?;
    person.sees("1.0 GiB       swap")?;
    person.presses(&[Key::Down, Key::Enter])?;
    person.sees(NETWORK)?;
    person.presses(&[Key::Up, Key::Char(' '), Key::Down])?;
    person.types("10.9.0.777/24")?;
    let screen = person.sees("10.9.0.777/24")?;
    if screen.has(APPLY) {
        let found = screen.to_string();
        return Err(HarnessError::unexpected("10.9.0.777", "no address", found));
    }
    person.presses(&[Key::Ctrl('u')])?;
    person.types(&format!("{CHOSEN}/24"))?;
    person.presses(&[Key::Enter])?;
    person.types("10.9.0.1")?;
    person.sees(APPLY)?;
    person.presses(&[Key::Enter, Key::Enter])?;
    person.sees(&format!("{CHOSEN}/24, gateway 10.9.0.1, static"))?;
    person.presses(&[Key::Enter])
}

/// A deploy that a person gives up in the middle of its stream: the first time the question is
/// answered with no.
fn cancelled_by(
    person: &mut Person<'_>,
    lab: &mut Lab,
    shown: &Shown,
    packages: &Path,
) -> Result<Donor> {
    let mut donor = lab.donor(&Order::new(shown, packages).and(&["--yes"]))?;
    // The donor passes on what the machine says: a line with screens on it says nothing of that.
    let begins = format!("target {}: package=zz-filler", Stage::Receiving);
    donor.await_said(&begins, DEPLOY, |said| said.contains(&begins).then_some(()))?;
    // Its connection stays open; nothing more comes.
    donor.hold(true)?;
    person.sees("zz-filler")?;
    for answer in ['n', 'y'] {
        person.presses(&[Key::Escape])?;
        person.sees("Give up this deploy?")?;
        person.presses(&[Key::Char(answer)])?;
    }
    Ok(donor)
}

fn must_have_been_told(mut donor: Donor) -> Result<()> {
    donor.hold(false)?;
    donor.must_exit(Exit::Target, STEP)?;
    donor.must_fail_saying("cancelled at the machine", STEP)
}

/// Screens on a serial line at once, as large as its terminal; a deploy is cancelled there, and
/// another one goes through.
pub(super) fn cancelled_at_the_serial_line(lab: &mut Lab) -> Result<()> {
    const COLUMNS: u16 = 132;
    const LINES: u16 = 50;
    let large = with_filler(&lab.artifacts.demo, Path::new("packages"))?;
    let machine = another_machine(lab, "disk", DISK_MIB, "smv.ui=wizard smv.after=poweroff")?;
    let mut target = lab.start(&machine)?;
    target.console.switch_on(COLUMNS, LINES);
    let mut person = Person {
        seat: Seat::Serial,
        target: &mut target,
    };
    let first = person.takes_down(None)?;
    let what = format!("a picture of {COLUMNS} by {LINES}");
    Seat::Serial.await_screen(person.target, &what, STEP, |screen| {
        let (first, last) = (screen.lines().first()?, screen.lines().last()?);
        let is_wide = first.chars().count() > usize::from(COLUMNS) - 5;
        (is_wide && first.ends_with("Done") && last.contains("F1 help")).then_some(())
    })?;
    let donor = cancelled_by(&mut person, lab, &first, &large)?;
    must_have_been_told(donor)?;
    image(&machine).must_be_interrupted()?;

    let second = person.takes_down(Some(&first))?;
    let mut donor = lab.donor(&Order::new(&second, &lab.artifacts.demo))?;
    leaves_when_done(&mut person, &mut donor)?;
    // A line like any other again.
    person.sees("smv leaving: how=poweroff")?;
    let terminal = target.console.terminal_screen();
    if !terminal.is_some_and(|it| !it.alternate_screen() && !it.hide_cursor()) {
        let found = "screens without a cursor";
        return Err(HarnessError::unexpected("the terminal", "lines", found));
    }
    target.await_power_off(STEP)?;
    image(&machine).must_be_complete()
}

pub(super) fn must_have_swap(machine: &Machine, mib: u64) -> Result<()> {
    let partitions = image(machine).partitions()?;
    if partitions.contains(&(2, mib)) {
        return Ok(());
    }
    Err(HarnessError::unexpected(
        "the second partition",
        format!("{mib} MiB"),
        format!("{partitions:?}"),
    ))
}

/// Lines until somebody presses Enter; then a whole deploy at a terminal, in spite of what comes
/// over a bad line.
pub(super) fn at_the_serial_line(lab: &mut Lab) -> Result<()> {
    let disk = somebodys(lab.disk("disk", DISK_MIB)?)?;
    let medium = lab.kernel("smv.after=poweroff");
    let machine = lab.machine(Firmware::Bios, vec![disk], medium)?;
    let mut target = lab.start(&machine)?;
    target.console.await_text("Press Enter for screens", BOOT)?;
    target.console.switch_on(80, 24);
    let mut person = Person {
        seat: Seat::Serial,
        target: &mut target,
    };
    person.presses(&[Key::Enter])?;
    person.sees(DISK)?;
    disturb(&mut person)?;
    person.presses(&[Key::Enter])?;
    person.sees("type the last 6 characters")?;
    person.types("V-disk")?;
    person.presses(&[Key::Enter])?;
    person.sees(PLAN)?;
    person.presses(&[Key::Enter])?;
    person.sees(NETWORK)?;
    person.presses(&[Key::Enter])?;
    let shown = person.takes_down(None)?;
    let order = Order::new(&shown, &lab.artifacts.demo).and(&["--yes"]);
    let mut donor = lab.donor(&order)?;
    donor.must_succeed(DEPLOY)?;
    person.sees(DONE)?;
    person.presses(&[Key::Enter])?;
    target.await_power_off(STEP)?;
    image(&machine).must_be_complete()
}

/// Bytes that no terminal sends, halves of sequences, and more than anybody can type. No key is
/// among them that decides anything.
fn disturb(person: &mut Person<'_>) -> Result<()> {
    let console = &mut person.target.console;
    console.send_bytes(&[0; 64])?;
    console.send_bytes(b"\x1b[99999999999999;;;;x\x1b[\x1b[1;1;1;1;1;1;1;1;1;1;1y")?;
    console.send_bytes(&[0xff, 0xfe, 0xc3, 0x28, 0x80, 0x9b])?;
    console.send_bytes(&[b'~'; 8192])?;
    console.send_bytes(b"\x1b[")?;
    person.presses(&[Key::Ctrl('l')])?;
    person.sees(DISK).map(drop)
}

/// Under UEFI the screen is a frame buffer, which Linux draws characters on.
pub(super) fn at_a_frame_buffer(lab: &mut Lab) -> Result<()> {
    let machine = Machine {
        firmware: Firmware::Uefi,
        memory_mib: 256,
        ..another_machine(lab, "disk", DISK_MIB, "smv.after=poweroff")?
    };
    let mut target = lab.start(&machine)?;
    target.console.await_stage(Stage::Waiting, BOOT)?;
    target.read_frame_buffer()?;
    let mut person = Person {
        seat: Seat::Monitor,
        target: &mut target,
    };
    let first = person.takes_down(None)?;
    // Letters, lines and blocks, the QR code's too.
    let what = "a whole picture of known characters";
    Seat::Monitor.await_screen(person.target, what, STEP, |screen| {
        let (first, last) = (screen.lines().first()?, screen.lines().last()?);
        let is_whole = first.ends_with("Done") && last.contains("F12 power off");
        (is_whole && screen.has("▀▄") && !screen.has(&UNKNOWN.to_string())).then_some(())
    })?;
    for screen in [NETWORK, PLAN, DISK] {
        person.presses(&[Key::Escape])?;
        person.sees(screen)?;
    }
    for screen in [PLAN, NETWORK] {
        person.presses(&[Key::Enter])?;
        person.sees(screen)?;
    }
    person.presses(&[Key::Enter])?;
    let second = person.takes_down(Some(&first))?;
    let mut donor = lab.donor(&Order::new(&second, &lab.artifacts.demo))?;
    leaves_when_done(&mut person, &mut donor)?;
    target.await_power_off(STEP)?;
    image(&machine).must_be_complete()
}

/// Once the disk is complete a key makes the machine stay, even before the donor has said goodbye,
/// and another one lets it leave.
fn leaves_when_done(person: &mut Person<'_>, donor: &mut Donor) -> Result<()> {
    person.seat.await_text(person.target, DONE, DEPLOY)?;
    person.presses(&[Key::Char(' ')])?;
    person.sees("until Enter is pressed")?;
    donor.must_succeed(STEP)?;
    person.presses(&[Key::Enter])
}

/// Nobody touches anything: the screen follows, the serial line carries lines only, and the machine
/// leaves as soon as it can. When it is started again it holds, and a person boots it.
pub(super) fn nobody(lab: &mut Lab) -> Result<()> {
    let large = with_filler(&lab.artifacts.demo, Path::new("packages"))?;
    let machine = another_machine(lab, "disk", DISK_MIB, "smv.after=poweroff")?;
    let mut target = lab.start(&machine)?;
    let mut person = Person {
        seat: Seat::Monitor,
        target: &mut target,
    };
    let shown = person.takes_down(None)?;
    let mut donor = lab.donor(&Order::new(&shown, &large))?;
    target.console.await_stage(Stage::Receiving, DEPLOY)?;
    donor.hold(true)?;
    Seat::Monitor.await_text(&mut target, "[Receiving]", STEP)?;
    donor.hold(false)?;
    target.console.await_stage(Stage::Installed, DEPLOY)?;
    donor.must_succeed(STEP)?;
    target.await_power_off(STEP)?;
    image(&machine).must_be_complete()?;
    for sequence in ["\x1b[H", "\x1b[2J", "\x1b[?", "\x1b[6n"] {
        if target.console.raw_text().contains(sequence) {
            return Err(HarnessError::unexpected(
                "the serial line of a machine that nobody has touched",
                "lines",
                format!("{sequence:?}"),
            ));
        }
    }
    boots_the_installed(lab, &machine)
}

/// A machine that we have installed holds; a person boots it.
fn boots_the_installed(lab: &Lab, machine: &Machine) -> Result<()> {
    let table = image(machine).table()?;
    let mut target = lab.start(machine)?;
    let mut person = Person {
        seat: Seat::Monitor,
        target: &mut target,
    };
    person.sees("Enter boots it, or replaces it.")?;
    person.presses(&[Key::Enter])?;
    person.sees("Boot the installed system")?;
    person.presses(&[Key::Enter])?;
    target.console.await_stage(Stage::Leaving, STEP)?;
    target.console.await_text(DEMO_LOGIN, LOGIN)?;
    match image(machine).table()? == table {
        true => Ok(()),
        false => Err(HarnessError::unexpected(
            "the disk",
            "the same installation",
            "a new one",
        )),
    }
}
