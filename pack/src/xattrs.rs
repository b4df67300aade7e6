//! Extended attributes of a file in, those that the target can hold out; the others with the
//! reason.

use super::node::Xattr;

/// ext4 keeps a file's attributes in one block of 4 KiB: its header, then for each attribute 16
/// bytes, its name and its value, both rounded up to four (ext4(5);
/// linux/Documentation/filesystems/ext4/attributes.rst).
const ROOM_BYTES: usize = 4096 - 32 - 4;
const ENTRY_BYTES: usize = 16;
/// Name spaces that ext4 has. `system` is the kernel's own; of it only ACLs are attributes of a
/// file.
const KEPT: [&[u8]; 3] = [b"user.", b"security.", b"trusted."];
const ACLS: [&[u8]; 2] = [b"system.posix_acl_access", b"system.posix_acl_default"];
/// Signed with a key of this machine (evm-hmac): wrong on every other one.
const EVM: &[u8] = b"security.evm";

/// An attribute's name, and why it is left out.
pub type Lost = (Vec<u8>, &'static str);

/// The attributes to pack. `found` is sorted by name, so that `security` and `system` come
/// before `trusted` and `user` when there is no room for all.
#[must_use]
pub fn choose(found: Vec<Xattr>) -> (Vec<Xattr>, Vec<Lost>) {
    let (mut kept, mut lost) = (Vec::new(), Vec::new());
    let mut used = 0_usize;
    for (name, value) in found {
        let is_known = KEPT.iter().any(|space| name.starts_with(space));
        if name == EVM {
            lost.push((name, "it is signed for this machine"));
            continue;
        }
        if !is_known && !ACLS.contains(&name.as_slice()) {
            lost.push((name, "the target's file system has none of that kind"));
            continue;
        }
        let rounded = |len: usize| len.next_multiple_of(4);
        let needed = ENTRY_BYTES
            .saturating_add(rounded(name.len()))
            .saturating_add(rounded(value.len()));
        let sum = used.saturating_add(needed);
        if sum > ROOM_BYTES {
            lost.push((
                name,
                "the target's file system has no room for it beside the others",
            ));
            continue;
        }
        used = sum;
        kept.push((name, value));
    }
    (kept, lost)
}

#[cfg(test)]
mod tests {
    use super::choose;

    #[test]
    fn the_target_is_asked_for_nothing_it_cannot_hold() {
        let found = vec![
            (b"btrfs.compression".to_vec(), b"zstd".to_vec()),
            (b"security.capability".to_vec(), vec![0; 20]),
            (b"security.evm".to_vec(), vec![0; 20]),
            (b"system.nfs4_acl".to_vec(), vec![0; 20]),
            (b"system.posix_acl_access".to_vec(), vec![0; 44]),
            (b"user.large".to_vec(), vec![0; 60_000]),
            (b"user.small".to_vec(), vec![0; 100]),
        ];
        let (kept, lost) = choose(found);
        let names: Vec<_> = kept
            .iter()
            .map(|(name, _)| name.escape_ascii().to_string())
            .collect();
        assert_eq!(
            names,
            [
                "security.capability",
                "system.posix_acl_access",
                "user.small"
            ]
        );
        assert_eq!(lost.len(), 4);
    }
}
