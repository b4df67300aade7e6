//! `receive-deploy`: the receiver of the Deploy Shim, run on a Linux that is up already.
//!
//! In: options. Out: stage lines on standard error; `Ok` when the disk is committed.

use std::ffi::OsString;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread;

use bundle::trust::{Trust, TrustError};
use disk::sizes::Sizes;
use install::options;
use machine::cage::Caged;
use machine::disks::Disks;
use machine::gate::{Reinstall, Selector, SelectorError, Wish};
use receiver::donor::Network;
use receiver::operator::event::ReceiverEvent;
use receiver::operator::reporter::Reporter;
use receiver::{Options, Patience, Policy, SessionError};
use session::PinnedKeys;
use session::keys::KeysError;
use thiserror::Error;
use wire::message::End;
use wire::stage::Stage;
use wire::{BEACON_PORT, STREAM_PORT};

use crate::cli::receive::{self as cli, Receive};
use crate::kernel_net::KernelNetwork;
use ui::Ui;

mod ui;

/// A running Linux may have any kernel.
static WORKERS: Caged = Caged::where_possible();

/// Why this machine could not be deployed onto.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum ReceiveError {
    /// A file of keys.
    #[error("reading {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// It has no pinned keys in it, or not this end's.
    #[error("reading the keys in {}", path.display())]
    Keys {
        path: PathBuf,
        #[source]
        source: KeysError,
    },
    /// A key whose signatures are to be trusted.
    #[error("reading --trust {}", text.display())]
    Trust {
        /// As typed.
        text: OsString,
        #[source]
        source: TrustError,
    },
    /// Nobody can tell which disk is meant.
    #[error("reading --disk")]
    Disk(#[from] SelectorError),
    /// Nowhere to show the screens.
    #[error("opening the terminal for --ui")]
    Terminal(#[source] io::Error),
    /// No sockets.
    #[error("opening the network")]
    Network(#[source] io::Error),
    /// The receiver gave up.
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// Waits for donors until one has deployed onto the disk, or until the first deploy has failed
/// where nobody would read the next code. What the donor wants to follow is left to the person:
/// this machine goes on.
///
/// # Errors
/// See [`ReceiveError`].
pub fn run(options: &Receive) -> Result<(), ReceiveError> {
    let policy = policy(&options.policy)?;
    let trust = trust(&options.trust, options.floor)?;
    let (disks, wish) = wish(&options.disk, options.wipe.as_deref())?;
    let mut network =
        KernelNetwork::open(BEACON_PORT, STREAM_PORT).map_err(ReceiveError::Network)?;
    let session = Options {
        disks,
        wish,
        deploy: deploy_options(options.sizes),
        policy,
        trust,
        patience: Patience::default(),
        dry_run: options.dry_run,
        is_once: options
            .is_once
            .unwrap_or_else(|| !io::stderr().is_terminal()),
    };
    if !options.ui {
        return receive(&session, &mut network, &Stderr);
    }
    let screen = Ui::begin().map_err(ReceiveError::Terminal)?;
    let received = receive(&session, &mut network, &screen);
    screen.end(received.is_ok());
    received
}

fn receive(
    session: &Options,
    network: &mut KernelNetwork,
    reporter: &dyn Reporter,
) -> Result<(), ReceiveError> {
    for address in network.addresses() {
        reporter.report(&ReceiverEvent::Stage {
            stage: Stage::Network,
            facts: format!("addr={address}"),
        });
    }
    receiver::run(session, network, reporter)?;
    Ok(())
}

/// A path, or what is said of one of this machine's disks. Without an equals sign it is a path: a
/// file whose name is misspelt shall not be waited for as a disk that may come.
fn wish(disk: &str, wipe: Option<&str>) -> Result<(Disks, Wish), ReceiveError> {
    let path = Path::new(disk);
    if disk.contains('=') && !path.exists() {
        let (disk, wipe) = (Some(disk.parse()?), wipe.map(str::to_owned));
        return Ok((Disks::Machine, by_hand(disk, wipe)));
    }
    // The gate knows the path as the kernel has it; a person types it twice.
    let wipe = wipe.map(|word| match fs::canonicalize(path) {
        Ok(path) if word == disk => path.display().to_string(),
        _ => word.to_owned(),
    });
    Ok((Disks::One(path.to_owned()), by_hand(None, wipe)))
}

/// Somebody types each of these commands: a system that we have installed is like any other
/// contents.
fn by_hand(disk: Option<Selector>, wipe: Option<String>) -> Wish {
    Wish {
        disk,
        wipe,
        reinstall: Reinstall::ByHand,
    }
}

fn policy(asked: &cli::Policy) -> Result<Policy, ReceiveError> {
    let path = match asked {
        cli::Policy::Secret => return Ok(Policy::Secret),
        cli::Policy::Legacy => return Ok(Policy::Legacy),
        cli::Policy::Pinned(path) => path.clone(),
    };
    let text = fs::read_to_string(&path).map_err(|source| ReceiveError::Read {
        path: path.clone(),
        source,
    })?;
    let keys = PinnedKeys::parse(&text).and_then(|keys| keys.for_end(End::Target));
    let keys = keys.map_err(|source| ReceiveError::Keys { path, source })?;
    Ok(Policy::Pinned(Box::new(keys)))
}

/// Each is a key by itself, or else a file of keys.
fn trust(asked: &[OsString], floor: Option<u64>) -> Result<Trust, ReceiveError> {
    let mut keys = String::new();
    let mut trust = Trust::default();
    for text in asked {
        let key = text.to_str().filter(|text| Trust::parse(text).is_ok());
        let more = match key {
            Some(key) => key.to_owned(),
            None => fs::read_to_string(text).map_err(|source| ReceiveError::Read {
                path: text.into(),
                source,
            })?,
        };
        keys.push_str(&more);
        keys.push('\n');
        // Each time, so that an error names the argument that brought it.
        trust = Trust::parse(&more)
            .and_then(|_| Trust::parse(&keys))
            .map_err(|source| ReceiveError::Trust {
                text: text.clone(),
                source,
            })?;
    }
    Ok(match floor {
        Some(floor) => trust.with_floor(floor),
        None => trust,
    })
}

/// A running Linux has other work to do: half a GiB lets four cores decode an archive made with
/// `xz -9`, whatever the machine has.
fn deploy_options(sizes: Sizes) -> options::Options {
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    options::Options {
        resources: bundle::unpack_pipeline::Resources {
            memory_bytes: 512 << 20,
            threads: u32::try_from(threads).unwrap_or(1),
            workers: &WORKERS,
        },
        unpacked_max_bytes: None,
        sizes,
        firmware: None,
        wifi_handover: None,
    }
}

/// The lines of each event on standard error.
struct Stderr;

impl Reporter for Stderr {
    fn report(&self, event: &ReceiverEvent) {
        for line in event.lines() {
            // A closed standard error must not stop a deploy half-way.
            let _ = writeln!(io::stderr(), "{line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ReceiveError, policy, trust, wish};
    use crate::cli::receive::Policy;
    use crate::exit::Exit;
    use machine::disks::Disks;
    use receiver::SessionError;
    use receiver::fakes::TestDir;
    use session::PinnedKeys;
    use std::fs;

    /// minisign's own example of a public key.
    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

    #[test]
    fn trusted_keys_are_given_as_text_or_in_files() {
        let dir = TestDir::new("receive-trust");
        let file = dir.path().join("a.pub");
        fs::write(&file, format!("untrusted comment: a\n{KEY}\n")).unwrap();
        for keys in [vec![KEY.into()], vec![file.clone().into()]] {
            let trust = trust(&keys, Some(7)).unwrap();
            assert_eq!(trust.keys().collect::<Vec<_>>(), [KEY]);
            assert_eq!(trust.floor(), Some(7));
        }
        assert!(!trust(&[], None).unwrap().demands_signature());
        let missing = trust(&["/nonexistent/a.pub".into()], None).unwrap_err();
        assert!(matches!(missing, ReceiveError::Read { .. }));
        fs::write(&file, "no key").unwrap();
        let damaged = trust(&[KEY.into(), file.into()], None).unwrap_err();
        assert!(damaged.to_string().contains("a.pub"), "{damaged}");
    }

    #[test]
    fn a_disk_is_a_path_or_a_description() {
        let dir = TestDir::new("receive-disk");
        let image = dir.image();
        let typed = image.to_str().unwrap();
        let (disks, confirmed) = wish(typed, Some(typed)).unwrap();
        assert_eq!(disks, Disks::One(image.clone()));
        let canonical = fs::canonicalize(&image).unwrap();
        assert_eq!(confirmed.wipe.as_deref(), canonical.to_str());
        let odd = dir.path().join("size=1G-");
        fs::write(&odd, "").unwrap();
        assert_eq!(
            wish(odd.to_str().unwrap(), None).unwrap().0,
            Disks::One(odd)
        );
        let (disks, described) = wish("transport=usb,size=1G-", Some("ABC123")).unwrap();
        assert_eq!(disks, Disks::Machine);
        assert_eq!(
            described.disk.unwrap().to_string(),
            "transport=usb,size=1G-"
        );
        assert_eq!(described.wipe.as_deref(), Some("ABC123"));
        let missing = wish("no-such.img", None).unwrap().0;
        assert_eq!(missing, Disks::One("no-such.img".into()));
        let error = wish("seriall=X", None).unwrap_err();
        assert_eq!(Exit::from(&error), Exit::Usage);
    }

    #[test]
    fn a_dry_run_that_was_shown_is_no_failure() {
        let plan = "dry-run disk=/dev/vdb".to_owned();
        let shown = ReceiveError::Session(SessionError::DryRun { plan });
        assert_eq!(Exit::from(&shown), Exit::Installed);
        let cancelled = ReceiveError::Session(SessionError::Cancelled { wrote: false });
        assert_eq!(Exit::from(&cancelled), Exit::Receiver);
    }

    #[test]
    fn pinned_keys_must_be_those_of_this_end() {
        let dir = TestDir::new("receive-pinned");
        let (donor, target) = PinnedKeys::draw().unwrap();
        let file = dir.path().join("a.shim");
        fs::write(&file, target.to_text().as_bytes()).unwrap();
        let read = policy(&Policy::Pinned(file.clone())).unwrap();
        let receiver::Policy::Pinned(keys) = read else {
            panic!("{read:?}");
        };
        assert_eq!(keys.own(), target.own());
        fs::write(&file, donor.to_text().as_bytes()).unwrap();
        let error = policy(&Policy::Pinned(file)).unwrap_err();
        assert!(matches!(error, ReceiveError::Keys { .. }), "{error}");
    }
}
