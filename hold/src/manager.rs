//! The init system of this machine, as far as one service of it is stopped, started and asked for
//! (`daemons.md` 4.2): systemd, OpenRC, or a script of `/etc/init.d`, as busybox init has them.
//!
//! The service has the name of the daemon. A bundle names no other: a key that may sign one daemon
//! must not be able to stop another service by it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use machine::children::run_silently;

/// Init systems whose services are stopped and started by a program of their own: the directory
/// that is there while they run (sd_booted(3); OpenRC's own state), and the program.
const SYSTEMD: (&str, &str) = ("run/systemd/system", "systemctl");
const OPENRC: (&str, &str) = ("run/openrc", "rc-service");
const SCRIPTS: &str = "etc/init.d";
const PROGRAMS: [&str; 4] = ["usr/bin", "usr/sbin", "bin", "sbin"];

/// What is done with a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// It ends.
    Stop,
    /// It begins.
    Start,
    /// Does it run?
    Status,
}

/// A service, and what manages it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the fields name themselves
pub enum Manager {
    /// `systemctl VERB NAME.service`.
    Systemd { program: PathBuf, unit: String },
    /// `rc-service NAME VERB`.
    OpenRc { program: PathBuf, service: String },
    /// `/etc/init.d/NAME VERB`.
    Script { program: PathBuf },
}

impl Manager {
    /// Finds what manages the service `name` of the system below `root`.
    #[must_use]
    pub fn find(root: &Path, name: &str) -> Option<Self> {
        let program = |(state, program): (&str, &str)| {
            let mut paths = PROGRAMS.iter().map(|at| root.join(at).join(program));
            let is_there = root.join(state).is_dir();
            paths.find(|path| is_there && path.is_file())
        };
        let script = root.join(SCRIPTS).join(name);
        if let Some(program) = program(SYSTEMD) {
            let unit = format!("{name}.service");
            return Some(Self::Systemd { program, unit });
        }
        if let Some(program) = program(OPENRC) {
            let service = name.to_owned();
            return Some(Self::OpenRc { program, service });
        }
        script.is_file().then_some(Self::Script { program: script })
    }

    fn command(&self, verb: Verb) -> Command {
        let word = match verb {
            Verb::Stop => "stop",
            Verb::Start => "start",
            Verb::Status => "status",
        };
        match self {
            Self::Systemd { program, unit } => {
                let mut command = Command::new(program);
                match verb {
                    Verb::Status => command.args(["is-active", "--quiet"]),
                    _ => command.arg(word),
                };
                command.arg(unit);
                command
            }
            Self::OpenRc { program, service } => {
                let mut command = Command::new(program);
                command.arg(service).arg(word);
                command
            }
            Self::Script { program } => {
                let mut command = Command::new(program);
                command.arg(word);
                command
            }
        }
    }

    /// Does it, and says whether the command ended with 0 within `limit`.
    ///
    /// # Errors
    /// The command cannot be run.
    pub fn run(&self, verb: Verb, limit: Duration) -> io::Result<bool> {
        let ended = run_silently(self.command(verb).current_dir("/"), limit)?;
        Ok(ended.is_some_and(|status| status.success()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Manager, Verb};
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::time::Duration;

    const LIMIT: Duration = Duration::from_secs(60);

    /// Writes down how it is called, and ends with 3 when it is asked for the state.
    fn program(root: &Path, path: &str) {
        let (path, log) = (root.join(path), root.join("log"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let script = format!(
            "#!/bin/sh\necho \"${{0##*/}} $*\" >>{}\n\
             case $* in *status*|*active*) exit 3 ;; esac\n",
            log.display()
        );
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn each_init_is_found_and_called_in_its_own_way() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        assert_eq!(Manager::find(root, "d"), None);
        for path in ["etc/init.d/d", "sbin/rc-service", "usr/bin/systemctl"] {
            program(root, path);
        }
        let mut called = vec![];
        for state in ["run", "run/openrc", "run/systemd/system"] {
            fs::create_dir_all(root.join(state)).unwrap();
            let manager = Manager::find(root, "d").unwrap();
            assert!(manager.run(Verb::Stop, LIMIT).unwrap());
            assert!(manager.run(Verb::Start, LIMIT).unwrap());
            assert!(!manager.run(Verb::Status, LIMIT).unwrap());
            called.push(fs::read_to_string(root.join("log")).unwrap());
            fs::remove_file(root.join("log")).unwrap();
        }
        assert_eq!(
            called,
            [
                "d stop\nd start\nd status\n",
                "rc-service d stop\nrc-service d start\nrc-service d status\n",
                "systemctl stop d.service\nsystemctl start d.service\n\
                 systemctl is-active --quiet d.service\n",
            ]
        );
    }

    #[test]
    fn a_command_that_does_not_end_is_ended() {
        let dir = tempfile::tempdir().unwrap();
        program(dir.path(), "etc/init.d/d");
        fs::write(
            dir.path().join("etc/init.d/d"),
            "#!/bin/sh\nexec sleep 60\n",
        )
        .unwrap();
        let manager = Manager::find(dir.path(), "d").unwrap();
        let limit = Duration::from_millis(50);
        assert!(!manager.run(Verb::Stop, limit).unwrap());
    }
}
