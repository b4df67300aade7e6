//! SSH host keys of the installed system's own: which init system a tree holds, and what makes the
//! keys at its first boot.
//!
//! A server without host keys ends at once, and a machine without a screen is then out of reach. So
//! each init system gets a first-boot job of its kind, which runs `ssh-keygen -A` before the server
//! starts and does nothing where there is a key. Where the init system is not known, nothing is
//! made and the caller says so. The image of a slot brings the same jobs with it
//! (`systems/updater/services`): nobody looks into it at a deploy.
//!
//! - systemd: a unit, wanted by `multi-user.target`, before `sysinit.target`. So it runs before
//!   every socket and service, whatever their names: also before the socket of a server that is
//!   started by its first connection. A unit with default dependencies comes after
//!   `sockets.target` (systemd.service(5)): ordered before `ssh.socket` it would be a cycle, which
//!   systemd breaks by not starting the socket.
//! - OpenRC, whatever starts it: a service in the runlevel `default`, before `sshd`.
//! - sysvinit: a `bootwait` line in `/etc/inittab`, which runs after `rcS` and before any runlevel
//!   (inittab(5)). A link in `/etc/rcS.d` would not do: Debian's startpar(8) starts only what
//!   insserv(8) has written into its dependency files.
//! - busybox: a `sysinit` line in front of the first one, because that one may start everything
//!   else.

use std::fmt;

use crate::directory::{Directory, DirectoryError};

const NAME: &str = "smechvisor-ssh-host-keys";
const UNIT_TEXT: &str =
    include_str!("../../systems/updater/services/systemd/smechvisor-ssh-host-keys.service");
/// Its first line names the interpreter.
const SERVICE_TEXT: &str =
    include_str!("../../systems/updater/services/openrc/smechvisor-ssh-host-keys");
/// `ssh-keygen` opens /dev/null, which busybox init may find missing before its first job has
/// mounted /dev.
const SCRIPT_TEXT: &str = include_str!("../../systems/updater/services/busybox/ssh-host-keys");
const SCRIPT: &str = "usr/lib/smechvisor/ssh-host-keys";

const SYSTEMD: [&str; 2] = ["usr/lib/systemd/systemd", "lib/systemd/systemd"];
const OPENRC: [&str; 4] = [
    "sbin/openrc-run",
    "usr/sbin/openrc-run",
    "bin/openrc-run",
    "usr/bin/openrc-run",
];
const BUSYBOX: [&str; 2] = ["bin/busybox", "usr/bin/busybox"];
const SERVERS: [&str; 4] = [
    "usr/sbin/sshd",
    "usr/bin/sshd",
    "usr/local/sbin/sshd",
    "etc/ssh/sshd_config",
];
const KEYGEN: &str = "usr/bin/ssh-keygen";
const INIT: &str = "sbin/init";
const INITTAB: &str = "etc/inittab";
/// A longer inittab is an error.
const INITTAB_MAX: u64 = 64 * 1024;

/// An init system that can be given a first-boot job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    /// systemd.
    Systemd,
    /// OpenRC, started by sysvinit, busybox or its own init; where its services' interpreter is.
    OpenRc(&'static str),
    /// sysvinit with its scripts.
    Sysvinit,
    /// busybox with an `/etc/inittab`.
    Busybox,
}

/// How the system in a tree comes to SSH host keys of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostKeys {
    /// It has no OpenSSH server.
    NotNeeded,
    /// A job of this init system makes them at the first boot.
    FirstBoot(Init),
    /// Nothing does, for this reason.
    Nobody(&'static str),
}

impl fmt::Display for HostKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match self {
            HostKeys::NotNeeded => return f.write_str("there is no OpenSSH server"),
            HostKeys::Nobody(reason) => {
                return write!(
                    f,
                    "the installed system gets NO SSH host keys, so its SSH server does not start: {reason}; \
                     run ssh-keygen -A on it at its first boot"
                );
            }
            HostKeys::FirstBoot(Init::Systemd) => "a systemd unit",
            HostKeys::FirstBoot(Init::OpenRc(_)) => "an OpenRC service",
            HostKeys::FirstBoot(Init::Sysvinit) => "sysvinit (/etc/inittab)",
            HostKeys::FirstBoot(Init::Busybox) => "busybox init (/etc/inittab)",
        };
        write!(
            f,
            "the installed system's SSH host keys are made at its first boot by {by}"
        )
    }
}

/// Looks at what the tree holds.
///
/// # Errors
/// The file system failed.
pub fn look(root: Directory<'_>) -> Result<HostKeys, DirectoryError> {
    if first(root, &SERVERS).is_none() {
        return Ok(HostKeys::NotNeeded);
    }
    if root.identity(KEYGEN).is_none() {
        return Ok(HostKeys::Nobody("it has no /usr/bin/ssh-keygen"));
    }
    Ok(match init(root)? {
        Some(init) => HostKeys::FirstBoot(init),
        None => HostKeys::Nobody(
            "its init system is not one of those known here (systemd, OpenRC, sysvinit, busybox)",
        ),
    })
}

/// Which init system the tree starts; `None` when it is not known.
///
/// # Errors
/// The file system failed.
pub fn init(root: Directory<'_>) -> Result<Option<Init>, DirectoryError> {
    let program = root.identity(INIT);
    let is_program = |paths: &[&str]| {
        paths
            .iter()
            .any(|path| program.is_some() && root.identity(path) == program)
    };
    // Debian with sysvinit has parts of systemd nevertheless.
    if is_program(&SYSTEMD) || program.is_none() && first(root, &SYSTEMD).is_some() {
        return Ok(Some(Init::Systemd));
    }
    if let Some(interpreter) = first(root, &OPENRC)
        && root.has_directory("etc/runlevels/default")
    {
        return Ok(Some(Init::OpenRc(interpreter)));
    }
    let inittab = root.read(INITTAB, INITTAB_MAX)?.unwrap_or_default();
    let has = |wanted: &str| actions(&inittab).any(|action| action == wanted.as_bytes());
    let is_sysvinit = root.is_plain_file(INIT) || is_program(&["sbin/init.sysvinit"]);
    Ok(if is_program(&BUSYBOX) {
        has("sysinit").then_some(Init::Busybox)
    } else {
        (is_sysvinit && has("sysinit") && has("initdefault")).then_some(Init::Sysvinit)
    })
}

/// Removes the package's keys, and sees to it that the system makes its own.
///
/// # Errors
/// The file system failed, or a directory stands where a file should be.
pub fn reset(root: Directory<'_>) -> Result<HostKeys, DirectoryError> {
    for name in root.names("etc/ssh")? {
        if is_host_key(name.as_bytes()) {
            root.remove(&format!("etc/ssh/{name}"))?;
        }
    }
    let keys = look(root)?;
    if let HostKeys::FirstBoot(init) = keys {
        match init {
            Init::Systemd => add_unit(root)?,
            Init::OpenRc(interpreter) => add_service(root, interpreter)?,
            Init::Sysvinit | Init::Busybox => add_script(root, init)?,
        }
    }
    Ok(keys)
}

/// Whether a file in `etc/ssh` is a host key, or the public half of one.
#[must_use]
pub fn is_host_key(name: &[u8]) -> bool {
    let key = name.strip_suffix(b".pub").unwrap_or(name);
    key.starts_with(b"ssh_host_") && key.ends_with(b"_key")
}

fn add_unit(root: Directory<'_>) -> Result<(), DirectoryError> {
    let wants = "etc/systemd/system/multi-user.target.wants";
    root.make_directories(wants)?;
    let unit = format!("{NAME}.service");
    let path = format!("etc/systemd/system/{unit}");
    root.write(&path, 0o644, &mut UNIT_TEXT.as_bytes())?;
    root.link(&format!("{wants}/{unit}"), &format!("../{unit}"))
}

fn add_service(root: Directory<'_>, interpreter: &str) -> Result<(), DirectoryError> {
    let path = format!("etc/init.d/{NAME}");
    let (_, body) = SERVICE_TEXT.split_once('\n').unwrap_or_default();
    let text = format!("#!/{interpreter}\n{body}");
    root.make_directories("etc/init.d")?;
    root.write(&path, 0o755, &mut text.as_bytes())?;
    root.link(
        &format!("etc/runlevels/default/{NAME}"),
        &format!("/{path}"),
    )
}

fn add_script(root: Directory<'_>, init: Init) -> Result<(), DirectoryError> {
    root.make_directories("usr/lib/smechvisor")?;
    root.write(SCRIPT, 0o755, &mut SCRIPT_TEXT.as_bytes())?;
    let old = root.read(INITTAB, INITTAB_MAX)?.unwrap_or_default();
    let new = inittab(&old, init);
    root.write(INITTAB, 0o644, &mut new.as_slice())
}

/// The table with a line for the script, which it may have already.
fn inittab(old: &[u8], init: Init) -> Vec<u8> {
    if old.windows(SCRIPT.len()).any(|at| at == SCRIPT.as_bytes()) {
        return old.to_vec();
    }
    let line = match init {
        Init::Busybox => format!("::sysinit:/{SCRIPT}\n"),
        _ => format!("smvk::bootwait:/{SCRIPT}\n"),
    };
    let mut new = Vec::new();
    let mut added = false;
    for old in old.split_inclusive(|byte| *byte == b'\n') {
        let is_first = init == Init::Busybox && action(old) == Some(b"sysinit");
        if is_first && !added {
            new.extend_from_slice(line.as_bytes());
            added = true;
        }
        new.extend_from_slice(old);
    }
    if !added {
        if new.last().is_some_and(|last| *last != b'\n') {
            new.push(b'\n');
        }
        new.extend_from_slice(line.as_bytes());
    }
    new
}

fn actions(inittab: &[u8]) -> impl Iterator<Item = &[u8]> {
    inittab.split(|byte| *byte == b'\n').filter_map(action)
}

/// The third field of a line that is no comment (inittab(5)).
fn action(line: &[u8]) -> Option<&[u8]> {
    let line = line.trim_ascii();
    let is_comment = line.is_empty() || line.starts_with(b"#");
    let third = line.split(|byte| *byte == b':').nth(2);
    third.filter(|_| !is_comment)
}

fn first(root: Directory<'_>, paths: &[&'static str]) -> Option<&'static str> {
    let mut paths = paths.iter().copied();
    paths.find(|path| root.identity(path).is_some())
}

#[cfg(test)]
mod tests;
