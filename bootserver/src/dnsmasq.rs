//! The DHCP and TFTP server: dnsmasq, which every distribution has and many networks run already.
//!
//! In: an interface, a tree. Out: a process that is nobody from its first instruction on, with no
//! way to become anybody else, and that ends when we do, by whatever signal; and its log, as
//! events.

use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sys::signals::unblock_in;
use thiserror::Error;

use self::line::Reader;
use super::Teller;
use super::interface::Interface;
use super::tree::Tree;

pub mod line;

const OWN: &str = include_str!("dnsmasq.conf");
const PROXY: &str = include_str!("dnsmasq-proxy.conf");
/// What a DHCP server needs: ports below 1024, entries in the ARP table for machines without an
/// address, raw sockets to see whether an address is free.
const CAPABILITIES: &str = "-all,+net_bind_service,+net_admin,+net_raw";
/// `nobody` and its group, on every Linux.
const NOBODY: &str = "65534";
/// The last words of a server that ends are kept as far as that.
const LAST_WORDS: usize = 4;
/// A line of its log; longer ones are cut.
const LINE_MAX: u64 = 4096;
/// How long it may take to end.
const END_PATIENCE: Duration = Duration::from_secs(3);

/// Why there is no server.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum DnsmasqError {
    /// The configuration.
    #[error("writing {}", path.display())]
    Config {
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// It does not run.
    #[error("starting dnsmasq (Debian: dnsmasq-base) by setpriv (util-linux)")]
    Start(#[source] io::Error),
    /// It has ended by itself.
    #[error("dnsmasq ended ({status}): {said}")]
    Ended {
        status: ExitStatus,
        /// Its last words.
        said: String,
    },
}

/// Which addresses are given out; `None` leaves that to another server.
pub type Range = Option<(Ipv4Addr, Ipv4Addr)>;

/// The options about files. They go to a process of their own: with `bind-interfaces`, which lets a
/// DHCP server live beside others of this machine, dnsmasq answers TFTP on whatever interface a
/// packet for our address came in by.
const TFTP: [&str; 2] = ["enable-tftp=", "tftp-root="];

/// The configuration, filled in: for addresses and what to boot, and for files.
fn configs(interface: &Interface, range: Range, tree: &Tree) -> (String, String) {
    let subnet = interface.subnet;
    let (template, (first, last)) = match range {
        Some(range) => (OWN, range),
        None => (PROXY, (Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED)),
    };
    let (mut dhcp, mut tftp) = (String::new(), "port=0\ninterface=INTERFACE\n".to_owned());
    for line in template.lines().filter(|line| !line.starts_with('#')) {
        let is_tftp = TFTP.iter().any(|option| line.starts_with(option));
        let config = if is_tftp { &mut tftp } else { &mut dhcp };
        config.push_str(line);
        config.push('\n');
    }
    let filled = |text: String| {
        text.replace("ADDRESS", &subnet.address.to_string())
            .replace("FIRST", &first.to_string())
            .replace("LAST", &last.to_string())
            .replace("NETWORK", &subnet.network().to_string())
            .replace("NETMASK", &subnet.netmask().to_string())
            .replace("DIRECTORY", &tree.files().display().to_string())
            .replace("INTERFACE", &interface.name)
    };
    (filled(dhcp), filled(tftp))
}

/// dnsmasq, running; ended when dropped.
#[derive(Debug)]
pub struct Dnsmasq {
    child: Child,
}

/// A server and what it says.
pub type Server = (Dnsmasq, Log);

/// Starts the server of addresses and the one of files.
///
/// # Errors
/// See [`DnsmasqError`].
pub fn start(
    interface: &Interface,
    range: Range,
    tree: &Tree,
) -> Result<[Server; 2], DnsmasqError> {
    let (dhcp, tftp) = configs(interface, range, tree);
    let dhcp = Dnsmasq::start("dhcp.conf", &dhcp, tree)?;
    Ok([dhcp, Dnsmasq::start("tftp.conf", &tftp, tree)?])
}

impl Dnsmasq {
    fn start(name: &str, config: &str, tree: &Tree) -> Result<Server, DnsmasqError> {
        let path = tree.beside(name);
        let written = fs::write(&path, config);
        let readable =
            written.and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o644)));
        readable.map_err(|source| DnsmasqError::Config {
            path: path.clone(),
            source,
        })?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "--no-new-privs"]);
        command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]);
        command.args(["--inh-caps", CAPABILITIES, "--ambient-caps", CAPABILITIES]);
        // In the foreground, on standard error, with nothing kept on a disk.
        command.args(["--", "dnsmasq", "--no-daemon", "--log-dhcp"]);
        command.args(["--leasefile-ro", "--pid-file="]);
        command.arg(format!("--conf-file={}", path.display()));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(Stdio::piped());
        // A Ctrl-C is for us; we end it.
        command.process_group(0);
        unblock_in(&mut command);
        let mut child = command.spawn().map_err(DnsmasqError::Start)?;
        let output = child.stderr.take();
        let prefix = format!("{}/", tree.files().display());
        let log = Log {
            output,
            reader: Reader::new(prefix),
            last: Vec::new(),
        };
        Ok((Self { child }, log))
    }

    /// How it ended, once it has.
    ///
    /// # Errors
    /// Asks `waitpid(2)`, without waiting, whether dnsmasq has ended.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }
}

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        if let Ok(Some(_)) = self.child.try_wait() {
            return;
        }
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It is still our child, so the number is its own.
            let _ = kill_process(pid, Signal::TERM);
        }
        let steps = 60;
        for _ in 0..steps {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(END_PATIENCE / steps);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines that dnsmasq logs.
#[derive(Debug)]
pub struct Log {
    output: Option<ChildStderr>,
    reader: Reader,
    last: Vec<String>,
}

impl Log {
    /// Tells what it says until it has ended; its last words come back.
    #[must_use]
    pub fn follow(mut self, teller: &Teller, mut ready: impl FnMut()) -> String {
        let mut output = BufReader::new(match self.output.take() {
            Some(output) => output,
            None => return String::new(),
        });
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            let read = output.by_ref().take(LINE_MAX).read_until(b'\n', &mut bytes);
            if !matches!(read, Ok(1..)) {
                return self.last.join("; ");
            }
            let line = String::from_utf8_lossy(&bytes);
            let line = line.trim_end();
            if self.last.len() >= LAST_WORDS {
                self.last.remove(0);
            }
            self.last.push(line.escape_debug().to_string());
            match self.reader.read(line) {
                line::Said::Nothing => {}
                line::Said::Ready => ready(),
                line::Said::Event(event) => teller.tell(&event),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{OWN, PROXY};
    use crate::tree::FILES;

    /// The files that a configuration names as something to boot.
    fn named(config: &str) -> Vec<&str> {
        let boots = config
            .lines()
            .filter(|line| line.starts_with("dhcp-boot=") || line.starts_with("pxe-service="));
        boots
            .filter_map(|line| line.rsplit(['/', ',']).next())
            .collect()
    }

    #[test]
    fn every_file_to_boot_is_one_that_is_served() {
        for (config, count) in [(OWN, 4), (PROXY, 6)] {
            let named = named(config);
            assert_eq!(named.len(), count);
            for file in named {
                assert!(FILES.contains(&file), "{file}");
            }
        }
    }

    #[test]
    fn every_word_to_replace_is_explained_and_used() {
        for (config, words) in [
            (
                OWN,
                &[
                    "INTERFACE",
                    "ADDRESS",
                    "FIRST",
                    "LAST",
                    "NETMASK",
                    "DIRECTORY",
                ][..],
            ),
            (PROXY, &["INTERFACE", "NETWORK", "NETMASK", "DIRECTORY"]),
        ] {
            let (comments, rest): (Vec<_>, Vec<_>) =
                config.lines().partition(|line| line.starts_with('#'));
            for word in words {
                assert!(rest.iter().any(|line| line.contains(word)), "{word}");
                assert!(comments.iter().any(|line| line.contains(word)), "{word}");
            }
            // Nothing is left in capitals once they are replaced.
            let mut rest = rest.join("\n");
            for word in words {
                rest = rest.replace(word, "1");
            }
            for known in ["HTTPC", "PXE", "Deploy Shim"] {
                rest = rest.replace(known, "");
            }
            let odd = rest
                .split(|letter: char| !letter.is_ascii_uppercase())
                .find(|word| word.len() > 2);
            assert_eq!(odd, None);
        }
    }
}
