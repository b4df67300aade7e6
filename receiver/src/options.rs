//! The caller's options for a session: disks, policy, trust and timeouts. And the
//! words of a disk and an image on a stage line.

use std::time::Duration;

use bundle::trust::{Approved, Trust};
use install::options;
use machine::disks::Disks;
use machine::gate::{Candidate, Wish};
use wire::code::{CODE_LEN, Code};
use wire::stream::RESUME_SECONDS;

use crate::error::SessionError;
use crate::policy::Policy;

/// The options of the operator.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to look for disks.
    pub disks: Disks,
    /// The choice of the disk, and whether it may be wiped.
    pub wish: Wish,
    /// Memory and threads.
    pub deploy: options::Options,
    /// The donors that may send a system.
    pub policy: Policy,
    /// The keys that must have signed it, and the lowest release.
    pub trust: Trust,
    /// How long people are waited for.
    pub patience: Patience,
    /// Only say what would be done: no disk is written, no donor's image taken.
    pub dry_run: bool,
    /// The first deploy that fails is the last: nobody is there who would read another code.
    pub is_once: bool,
}

/// How long a target that has begun with one donor waits before it begins again with any other
/// (`protocol.md` 3.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For the donor's yes to the disk.
    pub consent: Duration,
    /// For a donor whose connection broke.
    pub resume: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            consent: Duration::from_secs(600),
            resume: Duration::from_secs(RESUME_SECONDS),
        }
    }
}

/// A code nobody has heard of yet.
pub(crate) fn draw_code() -> Result<Code, SessionError> {
    let mut random = [0; CODE_LEN];
    getrandom::fill(&mut random).map_err(|error| SessionError::Code(error.into()))?;
    Ok(Code::draw(random))
}

/// The disk, in a line about waiting.
pub(crate) fn disk_facts(chosen: &Candidate) -> String {
    let contents = chosen.contents().to_string();
    format!(
        "disk={} contents={contents:?}",
        chosen.disk().path.display()
    )
}

/// The image, in a stage line.
pub(crate) fn image_facts(image: &Approved) -> String {
    let bytes = image.size_bytes();
    let bytes = bytes.map_or_else(|| "unknown".to_owned(), |bytes| bytes.to_string());
    format!(
        "version={} counter={} files={} bytes={bytes} manifest=\"{}\"",
        image.version(),
        image.counter(),
        image.files().len(),
        image.voucher()
    )
}
