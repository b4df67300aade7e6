//! The errors of a card's supplicant.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::card::Broken;

/// Wi-Fi goes without this card for a while, or without all.
#[derive(Debug, Error)]
#[allow(missing_docs)] // paths, programs and sources name themselves
pub enum WifiError {
    /// Nowhere to talk to supplicants.
    #[error("making the directory {}", path.display())]
    Directory { path: PathBuf, source: io::Error },
    /// The kernel does not tell when cards or sockets come.
    #[error("listening for Wi-Fi cards")]
    Listening(#[source] io::Error),
    /// No thread.
    #[error("starting a thread for Wi-Fi")]
    Thread(#[source] io::Error),
    /// The program.
    #[error("starting {}", program.display())]
    Start { program: PathBuf, source: io::Error },
    /// Its control interface.
    #[error("talking to the supplicant")]
    Talking(#[source] io::Error),
    /// It does not do what it should.
    #[error("the supplicant {}", match kind {
        Broken::Silent => "does not answer",
        Broken::NotAttached => "does not talk to us",
        Broken::Terminating => "ends",
    })]
    Broken {
        /// How.
        kind: Broken,
    },
    /// It is gone. Its last line may say why.
    #[error("the supplicant has ended, its last words: {words}")]
    Ended {
        /// Printable and short.
        words: String,
    },
    /// It is there, and nobody can talk to it.
    #[error("the supplicant has no control interface after {} s, its last words: {words}", after.as_secs())]
    Mute {
        /// How long it was waited for.
        after: Duration,
        /// Printable and short.
        words: String,
    },
}
