//! A switch port that carries a VLAN with its tag, for hosts whose kernel makes none: between a
//! machine's card and the scenario's bridge each frame gets a tag on its way in and loses it on its
//! way out.
//!
//! In and out: Ethernet frames as datagrams, which is how QEMU's `dgram` speaks over Unix sockets.
//! Frames of the machine without the tag, or with another one, are counted and dropped.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::error::{Doing, Result};

/// The longest frame, merged by the host's kernel or not.
const FRAME_BYTES: usize = 1 << 17;
/// 802.1Q: behind the two addresses.
const TAG_AT: usize = 12;
const TAGGED: [u8; 2] = [0x81, 0x00];

/// The sockets between a card and the bridge, by the names of QEMU's ends; ours have names of their
/// own.
#[derive(Clone, Debug)]
pub struct Trunk {
    name: String,
    strays: Arc<AtomicU64>,
}

impl Trunk {
    /// Carries the frames of VLAN `id`, until the process ends.
    ///
    /// # Errors
    /// The sockets cannot be made in the current directory.
    pub fn start(name: &str, id: u16) -> Result<Self> {
        let trunk = Self {
            name: name.to_owned(),
            strays: Arc::default(),
        };
        let (bridge, card) = (bind(&trunk.ours("bridge"))?, bind(&trunk.ours("card"))?);
        let towards_bridge = bridge.try_clone().doing("sharing", "a socket")?;
        let towards_card = card.try_clone().doing("sharing", "a socket")?;
        let (to_card, to_bridge) = (trunk.theirs("card"), trunk.theirs("bridge"));
        thread::spawn(move || {
            carry(&bridge, &towards_card, &to_card, |frame| tagged(frame, id));
        });
        let strays = Arc::clone(&trunk.strays);
        thread::spawn(move || {
            carry(&card, &towards_bridge, &to_bridge, |frame| {
                let untagged = untagged(frame, id);
                if untagged.is_none() {
                    strays.fetch_add(1, Ordering::Relaxed);
                }
                untagged
            });
        });
        Ok(trunk)
    }

    /// Frames that the machine has sent outside of its VLAN.
    #[must_use]
    pub fn strays(&self) -> u64 {
        self.strays.load(Ordering::Relaxed)
    }

    /// The words of a `-netdev` for the end at the `card` or at the `bridge`.
    #[must_use]
    pub fn netdev(&self, end: &str, id: &str) -> String {
        let (local, remote) = (self.theirs(end), self.ours(end));
        format!(
            "dgram,id={id},local.type=unix,local.path={},remote.type=unix,remote.path={}",
            local.display(),
            remote.display()
        )
    }

    fn ours(&self, end: &str) -> PathBuf {
        PathBuf::from(format!("{}.{end}.trunk", self.name))
    }

    fn theirs(&self, end: &str) -> PathBuf {
        PathBuf::from(format!("{}.{end}.qemu", self.name))
    }
}

fn bind(path: &Path) -> Result<UnixDatagram> {
    UnixDatagram::bind(path).doing("listening on", path.display())
}

fn carry(
    from: &UnixDatagram,
    through: &UnixDatagram,
    to: &Path,
    change: impl Fn(&[u8]) -> Option<Vec<u8>>,
) {
    let mut frame = vec![0; FRAME_BYTES];
    while let Ok(len) = from.recv(&mut frame) {
        if let Some(frame) = change(frame.get(..len).unwrap_or_default()) {
            // A machine that is off takes none, as with any cable.
            let _ = through.send_to(&frame, to);
        }
    }
}

fn tagged(frame: &[u8], id: u16) -> Option<Vec<u8>> {
    let (addresses, rest) = frame.split_at_checked(TAG_AT)?;
    Some([addresses, &TAGGED, &id.to_be_bytes(), rest].concat())
}

fn untagged(frame: &[u8], id: u16) -> Option<Vec<u8>> {
    let (addresses, rest) = frame.split_at_checked(TAG_AT)?;
    let rest = rest
        .strip_prefix(&TAGGED)?
        .strip_prefix(&id.to_be_bytes())?;
    Some([addresses, rest].concat())
}

#[cfg(test)]
mod tests {
    use super::{tagged, untagged};

    #[test]
    fn a_tag_comes_off_again_and_another_one_is_not_ours() {
        let frame: Vec<u8> = (0..60).collect();
        let on_trunk = tagged(&frame, 0x0123).unwrap();
        assert_eq!(on_trunk[12..18], [0x81, 0, 0x01, 0x23, 12, 13]);
        assert_eq!(untagged(&on_trunk, 0x0123).unwrap(), frame);
        assert_eq!(untagged(&on_trunk, 0x0124), None);
        assert_eq!(untagged(&frame, 0x0123), None);
        for len in 0..16 {
            assert_eq!(untagged(&on_trunk[..len], 0x0123), None);
        }
    }
}
