//! The patterns of modules.alias (fnmatch(3) without flags), and names in which `-` and `_` are the
//! same letter.

/// Whether `text`, a device's modalias or what the kernel asks for, fits `pattern`.
///
/// As in kmod, a dash is an underscore on both sides, except between brackets. A bracket that is
/// never closed stands for itself.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.as_bytes(), text.as_bytes());
    // Where to go on when what follows the last star does not fit here: one byte later. Older stars
    // never need to move again.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        if let Some(rest) = pattern.strip_prefix(b"*") {
            retry = Some((rest, text));
            pattern = rest;
            continue;
        }
        let Some((&byte, text_rest)) = text.split_first() else {
            return pattern.is_empty();
        };
        match one(pattern, byte) {
            Some(pattern_rest) => (pattern, text) = (pattern_rest, text_rest),
            None => {
                let Some((behind_star, [_, later @ ..])) = retry else {
                    return false;
                };
                retry = Some((behind_star, later));
                (pattern, text) = (behind_star, later);
            }
        }
    }
}

/// The rest of the pattern when its first element takes `byte`.
fn one(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    match pattern {
        [b'?', rest @ ..] => Some(rest),
        [b'[', inside @ ..] => match class(inside) {
            Some((class, rest)) => is_in(class, byte).then_some(rest),
            None => literal(b'[', inside, byte),
        },
        [b'\\', escaped, rest @ ..] => literal(*escaped, rest, byte),
        [own, rest @ ..] => literal(*own, rest, byte),
        [] => None,
    }
}

fn literal(own: u8, rest: &[u8], byte: u8) -> Option<&[u8]> {
    (fold(own) == fold(byte)).then_some(rest)
}

/// Splits behind the closing bracket; one in the first place is an ordinary member.
fn class(inside: &[u8]) -> Option<(&[u8], &[u8])> {
    let first = usize::from(matches!(inside, [b'!' | b'^', ..])) + 1;
    let end = inside.iter().skip(first).position(|&byte| byte == b']')? + first;
    Some((inside.get(..end)?, inside.get(end + 1..)?))
}

fn is_in(class: &[u8], byte: u8) -> bool {
    let (mut members, is_negated) = match class {
        [b'!' | b'^', rest @ ..] => (rest, true),
        _ => (class, false),
    };
    let mut is_found = false;
    loop {
        members = match members {
            [first, b'-', last, rest @ ..] => {
                is_found |= (*first..=*last).contains(&byte);
                rest
            }
            [member, rest @ ..] => {
                is_found |= *member == byte;
                rest
            }
            [] => return is_found != is_negated,
        };
    }
}

pub(crate) const fn fold(byte: u8) -> u8 {
    if byte == b'-' { b'_' } else { byte }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn devices_find_their_drivers_patterns() {
        let e1000e = "pci:v00008086d000010D3sv*sd*bc*sc*i*";
        let nvme = "pci:v*d*sv*sd*bc01sc08i02*";
        let device = "pci:v00008086d000010D3sv00008086sd00000000bc02sc00i00";
        assert!(matches(e1000e, device));
        assert!(!matches(nvme, device));
        assert!(matches(
            nvme,
            "pci:v00001B36d00000010sv00001AF4sd00001100bc01sc08i02"
        ));
        assert!(matches("virtio:d00000001v*", "virtio:d00000001v00001AF4"));
        assert!(!matches("virtio:d00000001v*", "virtio:d00000010v00001AF4"));
        assert!(matches(
            "usb:v0421p0508d01[0-9]*dc*dsc*dp*ic*isc*ip*in*",
            "usb:v0421p0508d0142dcFFdscFFdpFFic08isc06ip50in00"
        ));
        assert!(matches("acpi*:PNP0A0B:*", "acpi:PNP0A0B:"));
        assert!(matches(
            "mdio:0000000000100010????????????????",
            "mdio:00000000001000100001010101010101"
        ));
        assert!(matches("scsi:t-0x00*", "scsi:t-0x00"));
    }

    #[test]
    fn a_dash_is_an_underscore() {
        assert!(matches("fs-ext4", "fs_ext4"));
        assert!(matches("net_pf_17", "net-pf-17"));
        assert!(!matches("fs-ext4", "fs-ext"));
        assert!(!matches("fs-ext", "fs-ext4"));
    }

    #[test]
    fn stars_go_back_as_far_as_they_must() {
        assert!(matches("*ab*ab", "xabyabzab"));
        assert!(!matches("*ab*abc", "xabyabzab"));
        assert!(matches("***", ""));
        assert!(!matches("*?", ""));
        assert!(matches("a*?c", "abcc"));
        assert!(!matches("", "a"));
    }

    #[test]
    fn brackets() {
        for (pattern, text, fits) in [
            ("[abc]", "b", true),
            ("[!abc]", "b", false),
            ("[^abc]", "d", true),
            ("[a-cx]", "x", true),
            ("[]]", "]", true),
            ("[!]]", "]", false),
            ("[a-]", "-", true),
            ("[a", "[a", true),
            ("[]", "[]", true),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("\\", "\\", true),
            ("[0-9][A-F]*", "5B", true),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_end_in_time() {
        let text = "a".repeat(2000);
        assert!(!matches(&("*a".repeat(500) + "b"), &text));
    }
}
