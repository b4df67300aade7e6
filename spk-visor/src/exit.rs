//! Exit codes: what a script may rely on. `--help` lists them from here.

mod causes;
mod content;
mod node;

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The target installed everything and said so.
    Installed,
    /// The arguments make no sense.
    Usage,
    /// No connection to the target.
    Connection,
    /// The connection broke, or the target went silent, while packages were sent.
    Transfer,
    /// The target refused the packages, or failed to install them.
    Target,
    /// The packages cannot be sent, or the medium cannot be made of what was given.
    Packages,
    /// Not in this version, or not on this node.
    Unavailable,
    /// `receive-deploy`, `serve-boot`, `media`: this machine failed.
    Receiver,
    /// The two ends do not know each other: wrong secret, wrong key, or somebody else answers.
    Pairing,
    /// Several targets, and they did not all end alike.
    Partly,
    /// Nobody here has said yes.
    Declined,
    /// Ctrl-C or SIGTERM.
    Interrupted,
    /// The code was not heard, or heard from several machines.
    NotFound,
    /// Another program changes this node at the moment.
    Busy,
    /// This node has nothing to take: what is offered is what it has.
    Current,
    /// Something stands against it that may be otherwise later, or that a person may overrule.
    NotNow,
    /// What was tried is not kept: a system, or a daemon.
    Unhealthy,
}

impl Exit {
    /// All of them, in the order of their codes.
    pub const ALL: [Exit; 17] = [
        Exit::Installed,
        Exit::Usage,
        Exit::Connection,
        Exit::Transfer,
        Exit::Target,
        Exit::Packages,
        Exit::Unavailable,
        Exit::Receiver,
        Exit::Pairing,
        Exit::Partly,
        Exit::Declined,
        Exit::Interrupted,
        Exit::NotFound,
        Exit::Busy,
        Exit::Current,
        Exit::NotNow,
        Exit::Unhealthy,
    ];

    /// The number a shell sees.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Exit::Installed => 0,
            Exit::Usage => 2,
            Exit::Connection => 3,
            Exit::Transfer => 4,
            Exit::Target => 5,
            Exit::Packages => 6,
            Exit::Unavailable => 7,
            Exit::Receiver => 8,
            Exit::Pairing => 9,
            Exit::Partly => 10,
            Exit::Declined => 11,
            Exit::Interrupted => 12,
            Exit::NotFound => 13,
            Exit::Busy => 14,
            Exit::Current => 15,
            Exit::NotNow => 16,
            Exit::Unhealthy => 17,
        }
    }

    /// For `--help`.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Exit::Installed => "installed (or, for other commands, done)",
            Exit::Usage => "wrong arguments",
            Exit::NotFound => "code not heard, or (--legacy) heard from several machines",
            Exit::Connection => "no connection to the target",
            Exit::Transfer => {
                "connection broken and not made again in time, or the target went silent"
            }
            Exit::Target => "the target refused the packages or failed to install them",
            Exit::Packages => "packages, or files for media, unusable",
            Exit::Unavailable => "not in this version, or not on this node",
            Exit::Receiver => {
                "receive-deploy, serve-boot, media, update and the like: this machine failed"
            }
            Exit::Pairing => "pairing failed: wrong secret or key, or somebody else answers",
            Exit::Partly => "of several targets some failed, or they failed in different ways",
            Exit::Declined => "nobody said yes to erasing a disk, or to deploying onto --all",
            Exit::Interrupted => "deploy-system-img-copy: ended by Ctrl-C or SIGTERM",
            Exit::Busy => "another program is changing this node",
            Exit::Current => "nothing newer: this node has that version already",
            Exit::NotNow => "not now: a trial, a failure before, no watchdog",
            Exit::Unhealthy => "the version that was tried is not kept: not ready, or not healthy",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}
