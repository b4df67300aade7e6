//! The property we sell: after a cut at any moment of a deploy the disk is untouched, recognised as
//! interrupted, or complete.

mod fakes;
mod power_cuts;
mod real_tools;
mod refusals;
mod two_slots;
mod used_disk;
mod verified;

use super::{DeployError, Options, deploy};
use crate::commit::Installed;
use bundle::event::Event;
use bundle::package_stream::PackagesError;
use bundle::records::Records;
use fakes::{PlainVolumes, Recorder};
use tempfile::TempDir;

const OPTIONS: Options = Options {
    resources: bundle::unpack_pipeline::Resources {
        memory_bytes: 64 << 20,
        threads: 1,
        workers: &bundle::worker::threads::Threads,
    },
    unpacked_max_bytes: None,
    sizes: disk::sizes::Sizes::USUAL,
    firmware: None,
    wifi_handover: None,
};

/// One deploy of `stream` onto `disk`; nothing may stay mounted.
fn run(stream: &[u8], disk: &mut Recorder) -> Result<Installed, DeployError> {
    run_with(stream, disk, &OPTIONS)
}

fn run_with(
    stream: &[u8],
    disk: &mut Recorder,
    options: &Options,
) -> Result<Installed, DeployError> {
    let dir = TempDir::new().unwrap();
    let mut volumes = PlainVolumes::new(dir.path());
    let mut source = stream;
    let result = match Records::open(&mut source) {
        Ok(mut packages) => deploy(&mut packages, disk, &mut volumes, options, &|_: Event| {}),
        Err(error) => Err(DeployError {
            disk: "fake".to_owned(),
            wrote: false,
            step: Box::new(PackagesError::from(error).into()),
        }),
    };
    assert!(!volumes.is_mounted, "left mounted");
    result
}
