//! A person in front of the machine, while it holds (`boot.md` 7): a line typed on any console in, the installed system or a
//! new deploy out. Lines typed at any other time mean nothing.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use install::state::State;
use receiver::disks::Disks;
use receiver::gate::reinstall::name_of;
use receiver::gate::{Candidate, Contents};
use receiver::person::Person;
use receiver::screen::Screen;
use rustix::event::{PollFd, PollFlags, poll};
use wire::stage::Stage;

use crate::console::Console;
use crate::{leave, terminals};

/// Longer lines are not for us.
const LINE_MAX: usize = 64;

static IS_HOLDING: AtomicBool = AtomicBool::new(false);

/// Takes note of the stage that was entered.
pub fn entered(stage: Stage) {
    IS_HOLDING.store(stage == Stage::Holding, Ordering::SeqCst);
}

/// Listens on every console from now on, in a thread of its own.
///
/// # Errors
/// No thread.
pub fn listen(person: Person, console: &'static Console) -> io::Result<()> {
    let keyboards = terminals::keyboards();
    if keyboards.is_empty() {
        return Ok(());
    }
    thread::Builder::new()
        .name("person".to_owned())
        .spawn(move || serve(keyboards, &person, console))?;
    Ok(())
}

fn serve(mut keyboards: Vec<File>, person: &Person, console: &Console) {
    while !keyboards.is_empty() {
        let mut ready: Vec<_> = keyboards
            .iter()
            .map(|file| PollFd::new(file, PollFlags::IN))
            .collect();
        if let Err(errno) = poll(&mut ready, None)
            && errno != rustix::io::Errno::INTR
        {
            return;
        }
        let ready: Vec<bool> = ready.iter().map(|fd| !fd.revents().is_empty()).collect();
        let mut ready = ready.into_iter();
        keyboards.retain_mut(|keyboard| {
            if !ready.next().unwrap_or(false) {
                return true;
            }
            // A terminal gives one line at a time; one that is gone gives nothing, or an error.
            let mut line = [0; LINE_MAX];
            match keyboard.read(&mut line) {
                Ok(0) => false,
                Ok(len) => {
                    let line = line.get(..len).unwrap_or_default();
                    answer(&String::from_utf8_lossy(line), person, console);
                    true
                }
                Err(error) => {
                    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
                }
            }
        });
    }
}

fn answer(line: &str, person: &Person, console: &Console) {
    let line = line.trim().to_ascii_lowercase();
    if line.is_empty() || !IS_HOLDING.load(Ordering::SeqCst) {
        return;
    }
    let disks = Disks::Machine.look().unwrap_or_default(); // then there is nothing to answer with
    let installed = disks
        .iter()
        .filter_map(|disk| Some((disk, installed(disk)?)));
    let installed: Vec<_> = installed.collect();
    let names: Vec<String> = installed
        .iter()
        .map(|(_, (_, root))| name_of(root.guid))
        .collect();
    match meaning(&line, &names) {
        Meaning::Boot(number) => {
            if let Some((disk, (esp, _))) = installed.get(number) {
                leave::back(&disk.disk.path, esp, console);
            }
        }
        Meaning::Replace => person.agree(line),
        Meaning::Which => {
            let text = format!(
                "  Several disks hold a system; boot and one of: {}",
                names.join(", ")
            );
            console.hint(&text);
        }
        Meaning::None => {
            // Without what a terminal would act upon.
            let line = line.escape_default();
            console.hint(&format!(
                "  {line}: neither boot nor the name of an installation."
            ));
        }
    }
}

/// What a line says, to a machine with these installations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// Start the one with this number.
    Boot(usize),
    /// The one that it names may go.
    Replace,
    /// Start one, but there are several.
    Which,
    /// Nothing.
    None,
}

fn meaning(line: &str, names: &[String]) -> Meaning {
    let number = |name: &str| names.iter().position(|known| known == name);
    let boot = line
        .strip_prefix("boot")
        .filter(|rest| rest.is_empty() || rest.starts_with(' '));
    match (boot.map(str::trim), names.len()) {
        (Some(""), 1) => Meaning::Boot(0),
        (Some(""), 2..) => Meaning::Which,
        (Some(name), _) => number(name).map_or(Meaning::None, Meaning::Boot),
        (None, _) if number(line).is_some() => Meaning::Replace,
        (None, _) => Meaning::None,
    }
}

/// ESP and root of a disk that we have installed.
const fn installed(disk: &Candidate) -> Option<(install::state::Slot, install::state::Slot)> {
    match &disk.contents {
        Contents::Holds(State::Installed { esp, root }) => Some((*esp, *root)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Meaning, meaning};

    #[test]
    fn a_line_means_one_thing_or_nothing() {
        let one = ["4f1c2a9e".to_owned()];
        let two = ["4f1c2a9e".to_owned(), "00000001".to_owned()];
        for (line, for_one, for_two) in [
            ("boot", Meaning::Boot(0), Meaning::Which),
            ("boot 4f1c2a9e", Meaning::Boot(0), Meaning::Boot(0)),
            ("boot  00000001", Meaning::None, Meaning::Boot(1)),
            ("4f1c2a9e", Meaning::Replace, Meaning::Replace),
            ("00000001", Meaning::None, Meaning::Replace),
            ("boot4f1c2a9e", Meaning::None, Meaning::None),
            ("4f1c2a9", Meaning::None, Meaning::None),
            ("yes", Meaning::None, Meaning::None),
        ] {
            assert_eq!(meaning(line, &one), for_one, "{line}");
            assert_eq!(meaning(line, &two), for_two, "{line}");
            let is_for_nobody = meaning(line, &[]) == Meaning::None;
            assert!(is_for_nobody, "{line}");
        }
    }
}
