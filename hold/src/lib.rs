//! Holds a daemon: keeps its listening sockets while its versions come and go, and puts a version
//! in place of another without refusing a connection (`daemons.md` 2).
//!
//! A [`place`] has the versions of a daemon, and the ledger that says which one is tried. Of each
//! the [`plan`] says what is started, as which [`user`], and on which [`sockets`]. A [`run`] is a
//! program that was started; it says by [`notify`] that it is ready and answers about its
//! [`health`]. The [`keeper`] is the loop over all of them: it starts what ends, and in a trial it
//! decides within its [`times`] who stays. What it does are [`event`]s; whoever wants another
//! version asks by the [`control`] socket, for which [`client`] is the other end.
//!
//! A daemon that nobody holds and that binds its sockets itself is swapped by [`plain`], for which
//! a [`manager`] stops and starts it: this machine's init.
//!
//! Nothing here waits but the loop, in one `poll(2)`. There is no subreaper
//! (`PR_SET_CHILD_SUBREAPER`): what a daemon has started belongs to init when the daemon ends, as
//! it would without us, and goes on when we end, too.

pub mod client;
pub mod control;
pub mod event;
mod fit;
pub mod health;
pub mod keeper;
pub mod manager;
pub mod notify;
pub mod place;
pub mod plain;
pub mod plan;
pub mod run;
pub mod sockets;
pub mod times;
pub mod user;
