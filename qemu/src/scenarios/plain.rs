//! A machine that asks: lines typed on its serial line in, lines back, as a screen reader has them.
//! Nothing is looked at that stands only on a screen.

use crate::actors::donor::Order;
use crate::actors::policy::{Shown, is_secret};
use crate::error::{HarnessError, Result};
use crate::eyes::screen::ScreenText;
use crate::lab::{BOOT, DEPLOY, DISK_MIB, Lab, STEP};
use crate::machine::Firmware;
use crate::machine::running::Running;

use super::disks::somebodys;
use super::wizard::must_have_swap;
use super::{image, must_boot_from_disk};

/// Behind a list of answers.
const PROMPT: &str = "Type a number and Enter;";
/// Of the network that machines are in; nobody hands it out.
const CHOSEN: &str = "10.9.0.178";

/// A whole deploy in numbers and lines, with a mistake at every step.
pub(super) fn deploy(lab: &mut Lab) -> Result<()> {
    let disk = somebodys(lab.disk("disk", DISK_MIB)?)?;
    let medium = lab.kernel("smv.ui=plain smv.after=poweroff");
    let machine = lab.machine(Firmware::Bios, vec![disk], medium)?;
    let mut target = lab.start(&machine)?;
    target.console.await_text("-- Welcome", BOOT)?;
    let mut person = Listener {
        target: &mut target,
    };
    person.hears("-- Disk")?;
    person.is_corrected("frobnicate", "frobnicate is no answer.")?;
    person.is_corrected("99", "99 is no answer.")?;
    person.is_corrected("\x1b[A\x1b[B\x07", "is no answer.")?;
    // Its end would be an answer.
    person.is_corrected(&format!("{}1", " ".repeat(300)), "That line is too long.")?;
    person.hears(PROMPT)?;
    person.answers("Replace what is on /dev/vda")?;
    person.hears("type the last 6 characters")?;
    person.is_corrected("W-disk", "That is not it. Nothing was changed.")?;
    person.answers("Replace what is on /dev/vda")?;
    person.hears("type the last 6 characters")?;
    person.types("V-disk")?;
    person.hears("-- Plan")?;
    person.answers("Another size for swap")?;
    person.hears("Type usual, none, or a size")?;
    person.is_corrected("much", "Nothing was changed.")?;
    person.answers("Another size for swap")?;
    person.types("1G")?;
    person.hears("swap, 1.0 GiB")?;
    person.answers("Go on with this table")?;
    person.hears("-- Network")?;
    person.answers("Type an address")?;
    person.is_corrected("10.9.0.777/24", "expected dhcp, or ADDR/PREFIX")?;
    person.types(&format!("{CHOSEN}/24,gw=10.9.0.1"))?;
    person.hears(&format!("Addresses from now on: {CHOSEN}/24"))?;
    person.answers("Go on: invite donors")?;
    let shown = person.takes_down()?;
    person.hears(&format!("Address: {CHOSEN}"))?;
    person.is_corrected("0", "0 is no answer.")?;
    let order = Order::new(&shown, &lab.artifacts.demo).and(&["--yes"]);
    let mut donor = lab.donor(&order)?;
    person.hears("-- Receiving")?;
    donor.must_succeed(DEPLOY)?;
    person.hears("-- Done")?;
    person.hears("Any other line stops that.")?;
    person.types("")?;
    person.hears("It stays as it is until you answer.")?;
    person.answers("Leave for the installed system now")?;
    target.await_power_off(STEP)?;
    must_be_without_escapes(&target)?;
    image(&machine).must_be_complete()?;
    must_have_swap(&machine, 1024)?;
    must_boot_from_disk(lab, &machine).map(drop)
}

/// Somebody who hears lines and types lines.
struct Listener<'a> {
    target: &'a mut Running,
}

impl Listener<'_> {
    /// Waits until this was said, and what is said from then on is new.
    fn hears(&mut self, text: &str) -> Result<()> {
        self.target.console.await_text(text, STEP).map(drop)
    }

    fn types(&mut self, line: &str) -> Result<()> {
        self.target.console.send(line)
    }

    /// What is typed is no answer, and the machine says so.
    fn is_corrected(&mut self, line: &str, with: &str) -> Result<()> {
        self.types(line)?;
        self.hears(with)
    }

    /// Types the number of an answer, off the last list that has it.
    fn answers(&mut self, answer: &str) -> Result<()> {
        let what = format!("the answer {answer:?}");
        let console = &mut self.target.console;
        let number = console.await_since(0, &what, STEP, |text| number_of(text, answer))?;
        self.types(&number)
    }

    fn takes_down(&mut self) -> Result<Shown> {
        self.hears("-- Code")?;
        let console = &mut self.target.console;
        let from = console.position();
        console.await_since(from, "code and secret", STEP, |text| {
            let said = ScreenText::new(text.lines().map(str::to_owned));
            let word = |label| said.word_behind(label)?.strip_suffix(',');
            let secret = word("Secret: ").filter(|word| is_secret(word))?;
            Some(Shown {
                code: word("Code: ")?.to_owned(),
                secret: Some(secret.to_owned()),
            })
        })
    }
}

/// The number in front of the answer, in the last list that was said to its end.
fn number_of(text: &str, answer: &str) -> Option<String> {
    let (said, _) = text.rsplit_once(PROMPT)?;
    said.lines().rev().find_map(|line| {
        let (number, rest) = line.split_once("  ")?;
        let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
        (is_number && rest.starts_with(answer)).then(|| number.to_owned())
    })
}

/// From the kernel's first word to the last one: firmware may draw.
fn must_be_without_escapes(target: &Running) -> Result<()> {
    let heard = target.console.raw_text();
    let (_, ours) = heard.split_once("Linux version").unwrap_or_default();
    match ours.split_once('\x1b') {
        None if ours.is_empty() => Err(HarnessError::unexpected("the line", "a kernel", heard)),
        None => Ok(()),
        Some((_, rest)) => {
            let found: String = rest.chars().take(20).collect();
            let found = format!("an escape sequence: {found:?}");
            Err(HarnessError::unexpected("the line", "lines", found))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PROMPT, number_of};

    #[test]
    fn an_answers_number_is_that_of_the_last_list() {
        let text = format!(
            "1  Go on\n2  Back\n{PROMPT}\n1  Take /dev/vda\n   1  GiB\n2  Go on\n{PROMPT}\n"
        );
        assert_eq!(number_of(&text, "Go on").as_deref(), Some("2"));
        assert_eq!(number_of(&text, "Take").as_deref(), Some("1"));
        assert_eq!(number_of(&text, "GiB"), None);
        assert_eq!(number_of("1  Go on", "Go on"), None);
    }
}
