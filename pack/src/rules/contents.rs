//! The contents of a file in; out: whether they are a secret, and its owner.
//!
//! Two kinds. The holder of a key of spk-visor or minisign is the donor of a fleet, or signs its
//! releases: one that is found is not packed, whatever was asked for. Any other private key, token
//! or passphrase belongs to a person or a service.
//!
//! A pinned key of spk-visor is looked for in all bytes, and in images by [`crate::key_search`].
//! For anything else a file has to be text: its first 8 KiB hold no zero byte. Archives, databases
//! and disk images are not looked into. A mark alone is no secret: documents quote
//! `-----BEGIN PRIVATE KEY-----` too, so something like a key has to stand behind it.

use session::keys::holds_private_key;

/// A zero byte before this says that a file is no text.
const TEXT_PROBE_BYTES: usize = 8 << 10;
/// Behind the first line of a PEM block: its headers, and the beginning of the key.
const PEM_PROBE_BYTES: usize = 600;
/// So many characters of base 64 or hexadecimal in a row are a key and no example (`MIIE...`).
const RUN_MIN: usize = 32;
/// Fewer in a JSON Web Key: its alphabet has `-` and `_`, of which rulers in documents are made.
const JWK_RUN_MIN: usize = 16;
/// Base 64 of `Ed`, of `Sc` or two zeros (with a password or without), and of `B2` (minisign(1),
/// "Secret key format").
const MINISIGN: [&[u8]; 2] = [b"RWRTY0Iy", b"RWQAAEIy"];
/// The 158 bytes of such a key, in base 64.
const MINISIGN_LEN: usize = 211;
/// Base 64 of `-----BEGIN` and a blank, as a kubeconfig holds its PEM blocks.
const PEM_IN_BASE64: &[u8] = b"LS0tLS1CRUdJTi";
/// A WireGuard key is 32 bytes, in base 64.
const WIREGUARD_LEN: usize = 44;

/// The owner of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A key of spk-visor or minisign: not packed, whatever was asked for.
    Key(&'static str),
    /// A person's or a service's.
    Secret(&'static str),
}

/// The secret in the beginning of a file, or in all of it. `is_public` says that others have the
/// file already ([`is_published`]).
#[must_use]
pub fn judge(bytes: &[u8], is_public: bool) -> Option<Found> {
    if holds_private_key(bytes) {
        return Some(Found::Key("a pinned key of spk-visor"));
    }
    let probe = bytes.get(..TEXT_PROBE_BYTES).unwrap_or(bytes);
    if probe.contains(&0) {
        return None;
    }
    if bytes.split(|byte| *byte == b'\n').any(minisign) {
        return Some(Found::Key("a secret key of minisign"));
    }
    if is_public {
        return None;
    }
    if bytes.starts_with(b"PuTTY-User-Key-File-") {
        return Some(Found::Secret("a private key of PuTTY"));
    }
    let mut rest = bytes;
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n');
        let (line, behind) = match end {
            Some(end) => rest.split_at(end.saturating_add(1)),
            None => (rest, &[][..]),
        };
        if let Some(what) = line_secret(line.trim_ascii(), behind) {
            return Some(Found::Secret(what));
        }
        rest = behind;
    }
    None
}

/// Files of a distribution or a package manager that everybody may read: test keys and examples
/// are no secrets. `path` has no leading slash; it may be that of a root of its own in a directory.
#[must_use]
pub fn is_published(path: &[u8], mode: u32) -> bool {
    const OF_USR: [&[u8]; 9] = [
        b"share", b"lib", b"lib32", b"lib64", b"libexec", b"src", b"bin", b"sbin", b"include",
    ];
    const OF_PACKAGES: [&[u8]; 5] = [
        b"node_modules",
        b"site-packages",
        b"dist-packages",
        b"gems",
        b"registry",
    ];
    if mode & 0o004 == 0 {
        return false;
    }
    let mut before: &[u8] = b"";
    path.split(|byte| *byte == b'/').any(|name| {
        let is_of_usr = before == b"usr" && OF_USR.contains(&name);
        // An interpreter with its tests, wherever somebody has installed it.
        let is_of_python = before == b"lib" && name.starts_with(b"python");
        before = name;
        is_of_usr || is_of_python || OF_PACKAGES.contains(&name)
    })
}

/// Whether nothing stands in a file but blanks and comments: a template that came with its program.
#[must_use]
pub fn says_nothing(bytes: &[u8]) -> bool {
    bytes
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .all(|line| matches!(line.first(), None | Some(b'#' | b';')))
}

/// Whether a line has a secret key of minisign in it, between quotes or behind a name for one.
fn minisign(line: &[u8]) -> bool {
    let is_key = |begin: &&[u8]| {
        find(line, begin)
            .and_then(|at| line.get(at..)?.get(..MINISIGN_LEN))
            .is_some_and(|key| run(key) == MINISIGN_LEN)
    };
    line.len() >= MINISIGN_LEN && MINISIGN.iter().any(is_key)
}

/// One line, and what stands behind it.
fn line_secret(line: &[u8], behind: &[u8]) -> Option<&'static str> {
    match line.first()? {
        b'-' => pem(line, behind),
        b'"' | b'{' => in_json(line),
        b'c' | b't' => ["client-key-data:", "tls.key:"]
            .iter()
            .filter_map(|key| line.strip_prefix(key.as_bytes()))
            .any(|value| trim_quotes(value).starts_with(PEM_IN_BASE64))
            .then_some("a private key in a configuration of Kubernetes"),
        b'P' | b'p' => wireguard(line).then_some("a private key of WireGuard"),
        b'A' => {
            let is_age = line.starts_with(b"AGE-SECRET-KEY-1") && run(line) >= RUN_MIN;
            is_age.then_some("a private key of age")
        }
        _ => None,
    }
}

fn trim_quotes(value: &[u8]) -> &[u8] {
    let value = value.trim_ascii();
    let value = value.strip_prefix(b"\"").unwrap_or(value);
    value.strip_suffix(b"\"").unwrap_or(value)
}

/// RFC 7468 and its relatives: the first line of a private key with something like a key behind it.
fn pem(line: &[u8], behind: &[u8]) -> Option<&'static str> {
    let label = match line.strip_prefix(b"-----BEGIN ") {
        Some(label) => label.strip_suffix(b"-----")?,
        None => line.strip_prefix(b"---- BEGIN ")?.strip_suffix(b" ----")?,
    };
    let what = match label {
        b"OPENSSH PRIVATE KEY" | b"SSH2 ENCRYPTED PRIVATE KEY" => "a private key of SSH",
        b"PGP PRIVATE KEY BLOCK" => "a private key of OpenPGP",
        b"OpenVPN Static key V1" | b"OpenVPN tls-crypt-v2 client key" => "a key of OpenVPN",
        label if label.ends_with(b"PRIVATE KEY") => "a private key",
        _ => return None,
    };
    let probe = behind.get(..PEM_PROBE_BYTES).unwrap_or(behind);
    (run(probe) >= RUN_MIN).then_some(what)
}

/// `"private_key": "-----BEGIN PRIVATE KEY-----\nMII…"`, and the `d` of a JSON Web Key (RFC 7517 4,
/// RFC 7518 6.3.2.1).
fn in_json(line: &[u8]) -> Option<&'static str> {
    const BEGIN: &[u8] = b"\"-----BEGIN ";
    if let Some(at) = find(line, BEGIN) {
        let behind = line.get(at..).unwrap_or_default();
        let behind = behind.get(..PEM_PROBE_BYTES).unwrap_or(behind);
        let is_private = find(behind, b"PRIVATE KEY-----").is_some();
        return (is_private && run(behind) >= RUN_MIN).then_some("a private key in JSON");
    }
    let is_key = find(line, b"\"kty\"").is_some() && find(line, b"\"d\"").is_some();
    (is_key && run(line) >= JWK_RUN_MIN).then_some("a private key in JSON")
}

/// `PrivateKey = …` and `PresharedKey = …` of wg(8), `private-key=…` of NetworkManager.
fn wireguard(line: &[u8]) -> bool {
    const KEYS: [&[u8]; 4] = [
        b"PrivateKey",
        b"PresharedKey",
        b"private-key",
        b"preshared-key",
    ];
    let Some(equals) = line.iter().position(|byte| *byte == b'=') else {
        return false;
    };
    let (key, value) = line.split_at(equals);
    let value = trim_quotes(value.get(1..).unwrap_or_default());
    KEYS.contains(&key.trim_ascii())
        && value.len() == WIREGUARD_LEN
        && value.ends_with(b"=")
        && run(value) == WIREGUARD_LEN
}

/// The longest run of characters that base 64 is made of.
fn run(bytes: &[u8]) -> usize {
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
    let runs = bytes.split(|byte| !is_base64(byte)).map(<[u8]>::len);
    runs.max().unwrap_or(0)
}

fn find(bytes: &[u8], word: &[u8]) -> Option<usize> {
    bytes
        .windows(word.len().max(1))
        .position(|window| window == word)
}

#[cfg(test)]
mod tests;
