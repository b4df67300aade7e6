//! The exit code of every error and of every ending.

use bootserver::ServeError;
use bootserver::interface::InterfaceError;
use donor::deploy::DeployError;
use donor::ending::Ending;
use donor::keys::KeysCommandError;
use hold::client::ClientError;
use pack::PackageError;
use pack::bundle_file::BundleFileError;
use pack::bundle_file::content::ContentError;
use pack::manifest::ManifestCommandError;
use pack::publish::PublishError;
use receiver::SessionError;

use super::Exit;
use crate::command::deploy::DeployCommandError;
use crate::command::man::ManCommandError;
use crate::command::media::MediaCommandError;
use crate::receive::ReceiveError;

impl From<Ending> for Exit {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Installed => Exit::Installed,
            Ending::NotFound => Exit::NotFound,
            Ending::Unreachable => Exit::Connection,
            Ending::Broken => Exit::Transfer,
            Ending::Refused => Exit::Target,
            Ending::Unsendable => Exit::Packages,
            Ending::Unpaired => Exit::Pairing,
            Ending::Mixed => Exit::Partly,
            Ending::Declined => Exit::Declined,
            Ending::Interrupted => Exit::Interrupted,
        }
    }
}

impl From<&DeployCommandError> for Exit {
    fn from(error: &DeployCommandError) -> Self {
        match error {
            DeployCommandError::Log { .. } => Exit::Usage,
            DeployCommandError::Signals(_) => Exit::Connection,
            DeployCommandError::Deploy(error) => match error {
                DeployError::Keys(_) | DeployError::Secrets(_) => Exit::Usage,
                DeployError::NotSure { .. } => Exit::Declined,
                DeployError::Offer(_) => Exit::Packages,
                DeployError::Live(error) => error.into(),
                DeployError::Discovery(_) => Exit::NotFound,
            },
        }
    }
}

impl From<&ClientError> for Exit {
    fn from(error: &ClientError) -> Self {
        match error {
            ClientError::NotHeld { .. } => Exit::Unavailable,
            ClientError::Ask { .. } => Exit::Receiver,
        }
    }
}

impl From<&PackageError> for Exit {
    fn from(error: &PackageError) -> Self {
        match error {
            PackageError::Pattern { .. } => Exit::Usage,
            _ => Exit::Packages,
        }
    }
}

impl From<&KeysCommandError> for Exit {
    fn from(_: &KeysCommandError) -> Self {
        Exit::Usage
    }
}

impl From<&ManCommandError> for Exit {
    fn from(_: &ManCommandError) -> Self {
        Exit::Usage
    }
}

impl From<&ManifestCommandError> for Exit {
    fn from(error: &ManifestCommandError) -> Self {
        match error {
            ManifestCommandError::Sign { .. }
            | ManifestCommandError::Trust { .. }
            | ManifestCommandError::Release { .. } => Exit::Usage,
            _ => Exit::Packages,
        }
    }
}

impl From<&BundleFileError> for Exit {
    fn from(error: &BundleFileError) -> Self {
        match error {
            BundleFileError::Manifest(error) => Exit::from(&**error),
            BundleFileError::Content(ContentError::NoService | ContentError::Service { .. })
            | BundleFileError::Name { .. }
            | BundleFileError::HasManifest { .. }
            | BundleFileError::Several { .. }
            | BundleFileError::NotAFile { .. } => Exit::Usage,
            BundleFileError::Content(_)
            | BundleFileError::Fetch(_)
            | BundleFileError::Approve { .. }
            | BundleFileError::Chunk { .. }
            | BundleFileError::Verify { .. }
            | BundleFileError::Write { .. } => Exit::Packages,
        }
    }
}

impl From<&PublishError> for Exit {
    fn from(error: &PublishError) -> Self {
        match error {
            PublishError::Release(error) => Exit::from(&**error),
            PublishError::Foreign { .. } => Exit::Usage,
            PublishError::Busy { .. } => Exit::Busy,
            PublishError::Write { .. } => Exit::Receiver,
            PublishError::Unsigned { .. }
            | PublishError::Channel { .. }
            | PublishError::Lower { .. }
            | PublishError::Manifest { .. } => Exit::Packages,
        }
    }
}

impl From<&MediaCommandError> for Exit {
    fn from(error: &MediaCommandError) -> Self {
        let is_of_this_machine = match error {
            MediaCommandError::Make(error) => error.is_of_this_machine(),
            MediaCommandError::Show(_) => false,
            MediaCommandError::Customize(error) => error.is_of_this_machine(),
        };
        match is_of_this_machine {
            true => Exit::Receiver,
            false => Exit::Packages,
        }
    }
}

impl From<&ServeError> for Exit {
    fn from(error: &ServeError) -> Self {
        match error {
            ServeError::Range { .. }
            | ServeError::Interface(
                InterfaceError::HasAddress { .. } | InterfaceError::Unknown { .. },
            ) => Exit::Usage,
            ServeError::Tree(_) => Exit::Packages,
            _ => Exit::Receiver,
        }
    }
}

/// A dry run that was reported to a donor has done what was asked for.
impl From<&ReceiveError> for Exit {
    fn from(error: &ReceiveError) -> Self {
        match error {
            ReceiveError::Session(SessionError::DryRun { .. }) => Exit::Installed,
            ReceiveError::Read { .. }
            | ReceiveError::Keys { .. }
            | ReceiveError::Trust { .. }
            | ReceiveError::Disk(_) => Exit::Usage,
            ReceiveError::Terminal(_) | ReceiveError::Network(_) | ReceiveError::Session(_) => {
                Exit::Receiver
            }
        }
    }
}
