//! Lines of a tree's `/etc/fstab`: which of them name a disk of the machine that the tree is from.
//!
//! In: a line. Out: its fields, and whether another machine would wait for what it names. Fields
//! are those of fstab(5).

/// In front of a line that means nothing on this machine.
pub const MARK: &[u8] = b"# not on this machine: ";

/// The fields of a line; none for a comment.
#[must_use]
pub fn fields(line: &[u8]) -> Vec<&[u8]> {
    let fields: Vec<&[u8]> = line
        .split(u8::is_ascii_whitespace)
        .filter(|field| !field.is_empty())
        .collect();
    match fields.first() {
        Some(first) if first.starts_with(b"#") => Vec::new(),
        _ => fields,
    }
}

/// Is it a line for a partition of another machine, which this one would wait for? Not one that
/// an installation replaces, and not one that may be absent (`nofail`, `noauto`).
#[must_use]
pub fn is_foreign(fields: &[&[u8]]) -> bool {
    let [device, point, kind, rest @ ..] = fields else {
        return false;
    };
    let options = rest.first().copied().unwrap_or_default();
    let is_optional = options
        .split(|byte| *byte == b',')
        .any(|option| matches!(option, b"nofail" | b"noauto"));
    let point = point.strip_suffix(b"/").unwrap_or(point);
    *kind != b"swap" && is_disk(device) && !is_optional && !matches!(point, b"" | b"/boot/efi")
}

/// Does the first field name a disk or a partition?
#[must_use]
pub fn is_disk(device: &[u8]) -> bool {
    const TAGS: [&[u8]; 5] = [b"UUID=", b"LABEL=", b"PARTUUID=", b"PARTLABEL=", b"ID="];
    device.starts_with(b"/dev/") || TAGS.iter().any(|tag| device.starts_with(tag))
}
