//! `receive-deploy`: its options and help text.

use lexopt::Parser;

use super::{Argument, Command, UsageError, next, text, unexpected};
use crate::help::with_exit_codes;

/// As it is typed.
pub const COMMAND: &str = "receive-deploy";

const HELP: &str = "\
Usage: spk-visor receive-deploy --disk DEV|FILE --legacy [OPTIONS]

Shows a code, waits for a donor and installs what it sends onto the disk. Ends after the commit; the machine goes on.

  --disk DEV|FILE      the disk to take, or a file that is treated as one. What is on it is lost
  --legacy             accept the original stream: NEITHER AUTHENTICATED NOR ENCRYPTED. Whoever is on the network
                       may send. Needed: the authenticated session is not in this version.
  --wipe SUFFIX        needed when the disk is not blank: the last six characters of its serial number, or its path
  --help               this text

";

/// What `receive-deploy` was told.
#[derive(Clone, Debug, PartialEq)]
pub struct Receive {
    /// A block device, a serial number, or a file.
    pub disk: String,
    /// The person knows that nothing is authenticated.
    pub is_legacy: bool,
    /// Confirms that what is on the disk may go.
    pub wipe: Option<String>,
}

pub(super) fn parse(parser: &mut Parser) -> Result<Command, UsageError> {
    let (mut disk, mut is_legacy, mut wipe) = (None, false, None);
    while let Some(argument) = next(parser, COMMAND)? {
        match argument {
            Argument::Help => return Ok(Command::Print(with_exit_codes(HELP))),
            Argument::Option(name) => match name.as_str() {
                "disk" => disk = Some(text(parser, COMMAND)?),
                "legacy" => is_legacy = true,
                "wipe" => wipe = Some(text(parser, COMMAND)?),
                _ => return Err(unexpected(COMMAND, Argument::Option(name))),
            },
            other @ Argument::Value(_) => return Err(unexpected(COMMAND, other)),
        }
    }
    let disk = disk.ok_or(UsageError::Missing {
        command: COMMAND,
        what: "--disk DEV|FILE",
    })?;
    Ok(Command::Receive(Receive {
        disk,
        is_legacy,
        wipe,
    }))
}

#[cfg(test)]
mod tests {
    use super::Receive;
    use crate::cli::Command;

    #[test]
    fn receive_deploy_is_read() {
        let expected = Receive {
            disk: "/dev/vdb".into(),
            is_legacy: true,
            wipe: Some("ABC123".into()),
        };
        let line = "receive-deploy --disk /dev/vdb --legacy --wipe ABC123";
        let read = crate::cli::parse(line.split_whitespace().map(Into::into));
        assert_eq!(read.unwrap(), Command::Receive(expected));
    }
}
