//! The kernel's log, with init's lines, as events (`Documentation/ABI/testing/dev-kmsg`):
//! `6,339,5140900,-;text`, a record for each read.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::thread;
use std::time::Duration;

use wizard::event::{LogLine, MachineEvent};
use wizard::host::Inbox;

const KMSG: &str = "/dev/kmsg";
/// `CONSOLE_EXT_LOG_MAX` of the kernel; a shorter buffer would lose the record.
const RECORD_MAX: usize = 8192;

/// Sends every line from the beginning, in a thread of its own.
///
/// # Errors
/// No log, or no thread.
pub fn follow(inbox: Inbox) -> io::Result<()> {
    let kmsg = File::open(KMSG)?;
    thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || serve(kmsg, &inbox))?;
    Ok(())
}

fn serve(mut kmsg: File, inbox: &Inbox) {
    let mut record = [0; RECORD_MAX];
    loop {
        match kmsg.read(&mut record) {
            Ok(0) => return,
            Ok(len) => {
                let record = record.get(..len).unwrap_or_default();
                inbox_line(&String::from_utf8_lossy(record), inbox);
            }
            // The oldest were overwritten before we came (EPIPE): it goes on with the next that is
            // there.
            Err(error)
                if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::Interrupted) => {}
            Err(_) => return,
        }
    }
}

fn inbox_line(record: &str, inbox: &Inbox) {
    if let Some(line) = line(record) {
        inbox.tell(MachineEvent::Log(line));
    }
}

/// The lines behind the first are properties (`SUBSYSTEM=…`), not text.
fn line(record: &str) -> Option<LogLine> {
    let (head, rest) = record.split_once(';')?;
    let text = rest.lines().next()?;
    let mut numbers = head.split(',').map(str::parse::<u64>);
    let facility_and_level = numbers.next()?.ok()?;
    let micros = numbers.nth(1)?.ok()?;
    Some(LogLine {
        level: u8::try_from(facility_and_level & 7).ok()?,
        at: Duration::from_micros(micros),
        text: text.replace(|char: char| char.is_control(), "?"),
    })
}

#[cfg(test)]
mod tests {
    use super::line;
    use std::time::Duration;

    #[test]
    fn a_record_is_a_line_with_its_level_and_time() {
        let read =
            line("13,339,5140900,-;smv network: if=eth0\n SUBSYSTEM=net\n DEVICE=n2\n").unwrap();
        assert_eq!((read.level, read.at), (5, Duration::from_micros(5_140_900)));
        assert_eq!(read.text, "smv network: if=eth0");
        assert_eq!(line("4,1,2,c,caller=T1;a;b\x1b\n").unwrap().text, "a;b?");
    }

    #[test]
    fn what_is_no_record_is_nothing() {
        for record in [
            "",
            ";",
            "6;x",
            "6,1;x",
            "x,1,2,-;x",
            "6,1,x,-;x",
            "6,1,2,-x",
            "6,1,2,-;",
        ] {
            assert_eq!(line(record), None, "{record}");
        }
    }
}
