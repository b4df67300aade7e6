//! The pictures of the documentation: a person walks a machine through the wizard, and each screen
//! that is shown there is kept. Those of the machine's own screen are QEMU's, those of the serial
//! line are drawn from what a terminal shows.

use std::path::{Path, PathBuf};

use crate::actors::donor::Order;
use crate::actors::keys::Key;
use crate::actors::person::Person;
use crate::actors::seat::Seat;
use crate::artifacts::Artifacts;
use crate::error::{HarnessError, Result};
use crate::eyes::rendering::{Font, picture};
use crate::lab::{DEPLOY, DISK_MIB, Lab};
use crate::machine::accel::Accel;
use crate::machine::running::Running;
use crate::machine::{Bus, DiskSpec, Firmware};
use crate::network::Dhcp;
use crate::scenarios::{somebodys, with_filler};

/// Walks through, and leaves the pictures in the current directory.
///
/// # Errors
/// As scenarios: something did not come in time.
pub fn run(artifacts: Artifacts, accel: Accel) -> Result<()> {
    let mut lab = Lab::set_up(artifacts, accel, Dhcp::On)?;
    let packages = with_filler(&lab.artifacts.demo, Path::new("packages"))?;
    let disks = vec![
        DiskSpec {
            serial: "S64ANS0T418772K".to_owned(),
            ..somebodys(lab.disk("windows", 2 * DISK_MIB)?)?.on(Bus::Nvme)
        },
        DiskSpec {
            serial: "WD-WX21D84R9KFE".to_owned(),
            ..lab.disk("blank", DISK_MIB)?.on(Bus::Ahci)
        },
    ];
    let medium = lab.kernel("smv.after=poweroff");
    let machine = lab.machine(Firmware::Bios, disks, medium)?;
    let mut target = lab.start(&machine)?;
    target
        .console
        .await_text("Press Enter for screens", crate::lab::BOOT)?;
    target.console.switch_on(100, 30);
    let mut person = Person {
        seat: Seat::Monitor,
        target: &mut target,
    };
    person.takes_down(None)?;
    Seat::Serial.press(person.target, Key::Enter)?;
    for screen in ["Network", "partition", "The disk to write on"] {
        person.presses(&[Key::Escape])?;
        person.sees(screen)?;
    }
    let font = person.target.vga_font()?;
    person.selects(0)?;
    person.presses(&[Key::Enter])?;
    person.sees("type the last")?;
    person.types("18772")?;
    person.sees("[18772")?;
    keep(&mut person, "confirm")?;
    person.presses(&[Key::Escape])?;
    person.selects(1)?;
    person.presses(&[Key::Enter])?;
    person.sees("partition")?;
    keep(&mut person, "plan")?;
    person.presses(&[Key::Enter])?;
    person.sees("Network")?;
    person.presses(&[Key::Enter])?;
    let shown = person.takes_down(None)?;
    keep(&mut person, "code")?;
    let mut donor = lab.donor(&Order::new(&shown, &packages))?;
    await_share(person.target, 40)?;
    // In the middle, so that there is something to see.
    donor.hold(true)?;
    person.sees("zz-filler")?;
    keep(&mut person, "receiving")?;
    keep_serial(person.target, &font, "serial-receiving")?;
    donor.hold(false)?;
    donor.must_succeed(DEPLOY)?;
    // Until the donor has said goodbye, another line stands in its place.
    person.sees("switches itself off in")?;
    keep(&mut person, "done")
}

/// Waits until so many percent have arrived of everything together, whose bar is above that of the
/// package.
fn await_share(target: &mut Running, percent: u32) -> Result<()> {
    let what = format!("{percent} % of all packages");
    Seat::Serial.await_screen(target, &what, DEPLOY, |screen| {
        let shares = screen.lines().iter();
        let mut shares = shares.filter_map(|line| line.strip_suffix('%')?.rsplit(' ').next());
        let total: u32 = shares.next()?.parse().ok()?;
        (total >= percent).then_some(())
    })
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(format!("wizard-{name}.png"))
}

fn keep(person: &mut Person<'_>, name: &str) -> Result<()> {
    person.target.screendump(&file(name))
}

fn keep_serial(target: &Running, font: &Font, name: &str) -> Result<()> {
    let screen = target.console.terminal_screen().ok_or_else(|| {
        HarnessError::unexpected("the serial line", "a terminal in front of it", "none")
    })?;
    picture(&screen, font).write(&file(name))
}
