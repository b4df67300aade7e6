//! A daemon's `SERVICE`: what is started from its bundle, on which sockets, and when it counts as
//! ready and healthy (`bundles.md` 3).
//!
//! In: the bytes of the file, which the bundle's manifest has signed. Out: a [`Service`], or the
//! line that is wrong. There is one way to write it.

use crate::field::{FieldError, Fields};
use crate::files;
use core::fmt;
use core::net::SocketAddr;
use heapless::Vec;

/// The file, beside the content of a bundle.
pub const SERVICE: &str = "SERVICE";
/// Longest text, in bytes.
pub const LEN_MAX: usize = 8192;
/// Arguments behind the program.
pub const ARGUMENTS_MAX: usize = 32;
/// Sockets of one daemon.
pub const LISTEN_MAX: usize = 16;
/// Longest argument, URL and path of a socket, in bytes; sun_path of unix(7) has 108.
pub const VALUE_MAX: usize = 256;
/// Longest path of a socket, in bytes: unix(7), less its NUL.
pub const UNIX_MAX: usize = 107;
/// Longest name of a user, in bytes: useradd(8).
pub const USER_MAX: usize = 32;
const FIRST_LINE: &str = "smechvisor-service 1";
const WHAT: &str = "the service";
const SCHEME: &str = "http://";

/// How a daemon is started and judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service<'a> {
    /// What is run: a path in the bundle's tree.
    pub program: &'a str,
    arguments: Vec<&'a str, ARGUMENTS_MAX>,
    /// The user that it runs as.
    pub user: &'a str,
    listen: Vec<Listen<'a>, LISTEN_MAX>,
    /// When it counts as ready.
    pub ready: Ready,
    /// Asked for as long as it is on trial: `http://HOST[:PORT]/PATH`.
    pub health: Option<&'a str>,
    /// The one argument with which the program tests itself, and ends with 0.
    pub selftest: Option<&'a str>,
    /// In which order old and new are stopped and started.
    pub mode: Mode,
}

/// A socket that is bound for the daemon and handed to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen<'a> {
    /// Its name in `LISTEN_FDNAMES` (sd_listen_fds_with_names(3)).
    pub name: &'a str,
    /// Where it is bound.
    pub address: Address<'a>,
}

/// Where a socket is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address<'a> {
    /// A stream over IPv4 or IPv6. The port is never 0.
    Tcp(SocketAddr),
    /// A stream on this machine: an absolute path.
    Unix(&'a str),
}

/// When a daemon that was started counts as ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// When it says `READY=1` to `NOTIFY_SOCKET` (sd_notify(3)).
    Notify,
    /// When `health` is answered for the first time.
    Health,
    /// As soon as it runs.
    Started,
}

/// In which order the old one is stopped and the new one started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The old one ends, connections wait in the socket, the new one starts.
    Queue,
    /// The new one starts, then the old one ends.
    Overlap,
    /// The daemon binds its sockets itself, and the init system stops and starts it.
    Plain,
}

impl Ready {
    const ALL: [Self; 3] = [Self::Notify, Self::Health, Self::Started];

    /// As it stands in the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Notify => "notify",
            Self::Health => "health",
            Self::Started => "started",
        }
    }
}

impl Mode {
    const ALL: [Self; 3] = [Self::Queue, Self::Overlap, Self::Plain];

    /// As it stands in the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Overlap => "overlap",
            Self::Plain => "plain",
        }
    }
}

impl<'a> Service<'a> {
    /// Reads the file.
    ///
    /// # Errors
    /// The first line that is wrong.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FieldError> {
        let mut fields = Fields::new(bytes, LEN_MAX, WHAT)?;
        fields.exactly(FIRST_LINE)?;
        let program = files::path(fields.value("program")?);
        let program = program.ok_or_else(|| fields.not("a path in the bundle"))?;
        let mut arguments = Vec::new();
        while let Some(value) = fields.optional("argument")? {
            let wanted = "1 to 256 of printable ASCII, in at most 32 lines";
            let argument = printable(value).ok_or_else(|| fields.not(wanted))?;
            arguments.push(argument).map_err(|_| fields.not(wanted))?;
        }
        let user = user(fields.value("user")?).ok_or_else(|| fields.not("a user's name"))?;
        let mut listen: Vec<Listen<'a>, LISTEN_MAX> = Vec::new();
        while let Some(value) = fields.optional("listen")? {
            let wanted = "NAME tcp ADDRESS:PORT or NAME unix /PATH, in at most 16 lines";
            let socket = Listen::read(value).ok_or_else(|| fields.not(wanted))?;
            if listen.iter().any(|other| other.clashes(&socket)) {
                return Err(fields.not("another name and address than in the lines above"));
            }
            listen.push(socket).map_err(|_| fields.not(wanted))?;
        }
        let value = fields.value("ready")?;
        let ready = Ready::ALL
            .into_iter()
            .find(|way| way.name().as_bytes() == value);
        let ready = ready.ok_or_else(|| fields.not("notify, health or started"))?;
        let health = match fields.value("health")? {
            b"-" if ready == Ready::Health => return Err(fields.not("a URL: ready is health")),
            b"-" => None,
            value => Some(url(value).ok_or_else(|| fields.not("http://HOST[:PORT]/PATH or -"))?),
        };
        let selftest = match fields.value("selftest")? {
            b"-" => None,
            value => Some(printable(value).ok_or_else(|| fields.not("one argument or -"))?),
        };
        let value = fields.value("mode")?;
        let mode = Mode::ALL
            .into_iter()
            .find(|mode| mode.name().as_bytes() == value);
        let mode = mode.ok_or_else(|| fields.not("queue, overlap or plain"))?;
        match mode {
            Mode::Plain if !listen.is_empty() => {
                return Err(fields.not("queue or overlap, which have sockets to listen on"));
            }
            Mode::Queue | Mode::Overlap if listen.is_empty() => {
                return Err(fields.not("plain: there is no socket to listen on"));
            }
            Mode::Plain if ready == Ready::Notify => {
                return Err(fields.not("queue or overlap, which hear that it is ready"));
            }
            _ => {}
        }
        fields.end()?;
        Ok(Self {
            program,
            arguments,
            user,
            listen,
            ready,
            health,
            selftest,
            mode,
        })
    }

    /// What the program is given, without its own name.
    #[must_use]
    pub fn arguments(&self) -> &[&'a str] {
        &self.arguments
    }

    /// The sockets, in the order in which they are handed on: descriptor 3 first.
    #[must_use]
    pub fn listen(&self) -> &[Listen<'a>] {
        &self.listen
    }
}

impl<'a> Listen<'a> {
    fn read(value: &'a [u8]) -> Option<Self> {
        let mut words = core::str::from_utf8(value).ok()?.splitn(3, ' ');
        let (name, kind, at) = (words.next()?, words.next()?, words.next()?);
        let address = match kind {
            "tcp" => Address::Tcp(tcp(at)?),
            "unix" => Address::Unix(unix(at)?),
            _ => return None,
        };
        let name = crate::manifest::good_word(name.as_bytes())?;
        Some(Self { name, address })
    }

    fn clashes(&self, other: &Self) -> bool {
        self.name == other.name || self.address == other.address
    }
}

impl fmt::Display for Listen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Address::Tcp(address) => write!(f, "{} tcp {address}", self.name),
            Address::Unix(path) => write!(f, "{} unix {path}", self.name),
        }
    }
}

impl fmt::Display for Service<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}\nprogram {}", self.program)?;
        for argument in &self.arguments {
            writeln!(f, "argument {argument}")?;
        }
        writeln!(f, "user {}", self.user)?;
        for socket in &self.listen {
            writeln!(f, "listen {socket}")?;
        }
        let (ready, mode) = (self.ready.name(), self.mode.name());
        writeln!(f, "ready {ready}\nhealth {}", self.health.unwrap_or("-"))?;
        let selftest = self.selftest.unwrap_or("-");
        writeln!(f, "selftest {selftest}\nmode {mode}\nend")
    }
}

/// Printable ASCII, blanks too.
fn printable(value: &[u8]) -> Option<&str> {
    let is_good = |byte: &u8| (b' '..=b'~').contains(byte);
    if !(1..=VALUE_MAX).contains(&value.len()) || !value.iter().all(is_good) {
        return None;
    }
    core::str::from_utf8(value).ok()
}

fn word(value: &[u8]) -> Option<&str> {
    printable(value).filter(|value| !value.contains(' '))
}

fn url(value: &[u8]) -> Option<&str> {
    word(value).filter(|value| {
        value
            .strip_prefix(SCHEME)
            .is_some_and(|rest| !rest.is_empty())
    })
}

/// As its [`fmt::Display`] writes it.
fn tcp(value: &str) -> Option<SocketAddr> {
    struct Same<'a>(&'a str);
    impl fmt::Write for Same<'_> {
        fn write_str(&mut self, part: &str) -> fmt::Result {
            self.0 = self.0.strip_prefix(part).ok_or(fmt::Error)?;
            Ok(())
        }
    }
    let address: SocketAddr = value.parse().ok()?;
    let mut same = Same(value);
    let is_same = fmt::write(&mut same, format_args!("{address}")).is_ok() && same.0.is_empty();
    (is_same && address.port() != 0).then_some(address)
}

fn unix(value: &str) -> Option<&str> {
    let value = word(value.as_bytes()).filter(|value| value.len() <= UNIX_MAX)?;
    let path = files::path(value.strip_prefix('/')?.as_bytes());
    path.map(|_| value)
}

fn user(value: &[u8]) -> Option<&str> {
    let is_good =
        |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(byte);
    let begins_well = value
        .first()
        .is_some_and(|byte| byte.is_ascii_lowercase() || *byte == b'_');
    if !begins_well || value.len() > USER_MAX || !value.iter().all(is_good) {
        return None;
    }
    core::str::from_utf8(value).ok()
}

#[cfg(test)]
mod tests;
