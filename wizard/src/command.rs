//! The wizard's commands to the machine.

use disk::sizes::Sizes;
use machine::gate::Wish;

/// One command. Its result comes back as events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A person takes over: invite no donor until [`Command::Take`] or [`Command::GoOn`].
    Hold,
    /// Go on by yourself, as decided without a person.
    GoOn,
    /// Take this disk, confirmed like this, with these sizes; invite donors.
    Take {
        /// The disk, and whether its contents may go.
        wish: Wish,
        /// Of its partitions.
        sizes: Sizes,
    },
    /// Addresses as this value of `smv.ip=` says (`boot.md` 2.1). It was checked by the function
    /// given to the wizard.
    Network(String),
    /// Look around.
    WifiScan(String),
    /// Join a network, and carry it into the installed system.
    WifiJoin(wifi::Join),
    /// Leave the network that this card belongs to, and forget it.
    WifiLeave(String),
    /// Give up the deploy that runs. The disk stays unbootable, and donors are invited again.
    Cancel,
    /// Boot the system that we have installed and that goes by this name.
    Boot(String),
    /// Do not leave by yourself; [`Command::Leave`] comes when a person wants to.
    Stay,
    /// Leave for the installed system now.
    Leave,
    /// A shell on the console that the key came from.
    Shell,
    /// Restart through the firmware.
    Reboot,
    /// Switch off.
    PowerOff,
}
