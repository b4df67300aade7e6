//! The default omissions of a package, with reasons: the table, and the verdict on each path.
//!
//! Three kinds of things do not belong into the copy of a machine: what another machine would only
//! throw away (caches, logs, temporary files), what is no file at all (pseudo file systems), and
//! what makes the machine this one and no other. The last is the dangerous kind: two machines with
//! one key, one lease or one membership disturb each other, or each opens to the owner of the
//! other one. A fourth kind does not make the machine: secrets of people and services, which
//! [`secrets`] knows by more than their paths.

pub mod contents;
pub mod people;
pub mod redact;
pub mod secrets;
mod table;

use super::glob::{PatternError, Patterns, States};
use table::TABLE;

/// Why something is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// A key of spk-visor or minisign: not packed, whatever was asked for.
    Key,
    /// A secret of a person or a service.
    Secret,
    /// It was asked for.
    Asked,
    /// It makes the machine this one.
    Identity,
    /// A copy would do again what this machine is doing already.
    Queue,
    /// It names disks or devices of this machine.
    Hardware,
    /// It can be made again.
    Cache,
    /// Events of this machine, which did not happen on the copy.
    Log,
    /// Gone at the next boot, or meant to be.
    Temporary,
    /// No files.
    Pseudo,
    /// Another file system.
    OtherFileSystem,
    /// Memory of this machine.
    Swap,
    /// A socket lives as long as its process.
    Socket,
    /// Packages, and what is being written.
    Own,
    /// No archive, or no target, can hold it.
    Impossible,
    /// It was there, and then it was not.
    Vanished,
}

impl Why {
    /// The word at the beginning of a line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Why::Key => "key",
            Why::Secret => "secret",
            Why::Asked => "excluded",
            Why::Identity => "identity",
            Why::Queue => "queue",
            Why::Hardware => "hardware",
            Why::Cache => "cache",
            Why::Log => "log",
            Why::Temporary => "temporary",
            Why::Pseudo => "pseudo",
            Why::OtherFileSystem => "mount",
            Why::Swap => "swap",
            Why::Socket => "socket",
            Why::Own => "own",
            Why::Impossible => "impossible",
            Why::Vanished => "vanished",
        }
    }
}

/// The verdict on a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is packed.
    Keep,
    /// It is packed, as asked for: a secret too.
    KeepAsked,
    /// It is packed, and this is said about it.
    Mention(&'static str),
    /// It is left out.
    Leave(Why, &'static str),
    /// It is left out unless it is a directory: services miss their directories.
    LeaveFiles(Why, &'static str),
    /// It is left out when it is a file that contains one of these.
    LeaveIf(&'static [&'static str], Why, &'static str),
}

use Verdict::{Keep, KeepAsked, Leave, LeaveFiles};

/// One pattern's meaning.
#[derive(Clone, Debug)]
struct Rule {
    verdict: Verdict,
    pattern: String,
}

/// The rules for one package: what was asked for first, then the table.
#[derive(Clone, Debug)]
pub struct Rules {
    patterns: Patterns,
    rules: Vec<Rule>,
}

/// The text of a pattern is malformed.
#[derive(Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the fields name themselves
pub struct WrongPattern {
    /// As typed.
    pub pattern: String,
    pub source: PatternError,
}

/// A rule that matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matched<'r> {
    /// The verdict.
    pub verdict: Verdict,
    /// Its pattern.
    pub pattern: &'r str,
}

impl Rules {
    /// A path that `keep` matches is always packed; then a path that `exclude` matches is left
    /// out; then the table.
    ///
    /// # Errors
    /// The first malformed pattern.
    pub fn new(keep: &[String], exclude: &[String]) -> Result<Self, WrongPattern> {
        let mut rules = Rules {
            patterns: Patterns::default(),
            rules: Vec::new(),
        };
        for pattern in keep {
            rules.add(KeepAsked, pattern.clone())?;
        }
        for pattern in exclude {
            rules.add(Leave(Why::Asked, "as asked for"), pattern.clone())?;
        }
        for (verdict, patterns) in TABLE {
            for pattern in patterns.split_whitespace() {
                rules.add(*verdict, format!("/{pattern}"))?;
            }
        }
        Ok(rules)
    }

    fn add(&mut self, verdict: Verdict, pattern: String) -> Result<(), WrongPattern> {
        match self.patterns.push(pattern.as_bytes()) {
            Ok(()) => {
                self.rules.push(Rule { verdict, pattern });
                Ok(())
            }
            Err(source) => Err(WrongPattern { pattern, source }),
        }
    }

    /// At the root.
    #[must_use]
    pub fn start(&self) -> States {
        self.patterns.start()
    }

    /// From a directory to `name` in it.
    #[must_use]
    pub fn step(&self, states: &States, name: &[u8]) -> (States, Option<Matched<'_>>) {
        let (next, complete) = self.patterns.step(states, name);
        let first = complete.into_iter().min();
        (next, first.and_then(|first| self.matched(first)))
    }

    fn matched(&self, number: usize) -> Option<Matched<'_>> {
        self.rules.get(number).map(|rule| Matched {
            verdict: rule.verdict,
            pattern: &rule.pattern,
        })
    }

    /// The rule by which nothing in a directory is packed, so that it need not be walked.
    #[must_use]
    pub fn emptied(&self, states: &States) -> Option<Matched<'_>> {
        let first = self.patterns.swallowing(states).min()?;
        let matched = self.matched(first)?;
        let is_kept = |number| {
            self.matched(number)
                .is_some_and(|other| matches!(other.verdict, Keep | KeepAsked))
        };
        let whole =
            matches!(matched.verdict, Leave(..)) && !self.patterns.live(states).any(is_kept);
        whole.then_some(matched)
    }

    /// Whether files in a directory come and go by a rule, so that its time says nothing.
    #[must_use]
    pub fn is_thinned(&self, states: &States) -> bool {
        self.patterns.swallowing(states).any(|number| {
            self.matched(number)
                .is_some_and(|matched| matches!(matched.verdict, Leave(..) | LeaveFiles(..)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Rules, Verdict, Why};

    fn verdict(rules: &Rules, path: &str) -> Option<Verdict> {
        let (mut states, mut matched) = (rules.start(), None);
        for name in path.split('/') {
            (states, matched) = rules.step(&states, name.as_bytes());
        }
        matched.map(|matched| matched.verdict)
    }

    fn why(path: &str) -> Option<Why> {
        match verdict(&Rules::new(&[], &[]).unwrap(), path) {
            Some(
                Verdict::Leave(why, _) | Verdict::LeaveFiles(why, _) | Verdict::LeaveIf(_, why, _),
            ) => Some(why),
            _ => None,
        }
    }

    #[test]
    fn what_makes_a_machine_this_one_is_left_out() {
        for path in [
            "etc/machine-id",
            "var/lib/dbus/machine-id",
            "etc/ssh/ssh_host_ed25519_key",
            "etc/ssh/ssh_host_ed25519_key.pub",
            "var/lib/systemd/random-seed",
            "var/lib/systemd/credential.secret",
            "var/lib/dhcp/dhclient.eth0.leases",
            "var/lib/NetworkManager/internal-x-eth0.lease",
            "var/lib/tailscale/tailscaled.state",
            "var/lib/zerotier-one/identity.secret",
            "etc/wireguard/wg0.conf",
            "etc/systemd/network/wg0.netdev",
            "var/lib/cloud/instance",
            "etc/iscsi/initiatorname.iscsi",
            "etc/iscsi/nodes/iqn.2003-01.org.x/192.0.2.1,3260,1/default",
            "etc/iscsi/send_targets/192.0.2.1,3260/st_config",
            "etc/krb5.keytab",
        ] {
            assert_eq!(why(path), Some(Why::Identity), "{path}");
        }
        assert_eq!(
            why("etc/udev/rules.d/70-persistent-net.rules"),
            Some(Why::Hardware)
        );
    }

    #[test]
    fn what_a_system_needs_is_kept() {
        for path in [
            "etc",
            "etc/ssh/sshd_config",
            "etc/passwd",
            "var/log",
            "var/cache",
            "var/cache/debconf/config.dat",
            "tmp",
            "proc",
            "usr/share/doc/x",
            "var/lib/zerotier-one/zerotier-cli",
            "srv/etc/machine-id",
            "home/me/tmp/x",
            "etc/hostname",
            "var/lib/dpkg/status",
            "boot/efi",
        ] {
            assert_eq!(why(path), None, "{path}");
        }
    }

    #[test]
    fn a_directory_is_emptied_unless_something_in_it_was_asked_for() {
        let rules = Rules::new(&[], &[]).unwrap();
        let (tmp, _) = rules.step(&rules.start(), b"tmp");
        assert_eq!(rules.emptied(&tmp).unwrap().pattern, "/tmp/**");
        let (etc, _) = rules.step(&rules.start(), b"etc");
        assert!(rules.emptied(&etc).is_none() && !rules.is_thinned(&etc));
        let (var, _) = rules.step(&rules.start(), b"var");
        let (log, _) = rules.step(&var, b"log");
        assert!(rules.emptied(&log).is_none() && rules.is_thinned(&log));
        let keeping = Rules::new(&["/tmp/a".into()], &["/tmp/*".into()]).unwrap();
        let (tmp, _) = keeping.step(&keeping.start(), b"tmp");
        assert!(keeping.emptied(&tmp).is_none());
        assert_eq!(verdict(&keeping, "tmp/a"), Some(Verdict::KeepAsked));
        assert!(matches!(
            verdict(&keeping, "tmp/b"),
            Some(Verdict::Leave(Why::Asked, _))
        ));
    }

    #[test]
    fn a_wrong_pattern_is_named() {
        assert_eq!(Rules::new(&[], &["a[".into()]).unwrap_err().pattern, "a[");
    }
}
