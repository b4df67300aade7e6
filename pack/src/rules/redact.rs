//! Files that a copy needs to boot or to be reached, with a secret in single lines: only those lose
//! their value.
//!
//! In: a path and its contents. Out: the contents with [`GONE`] in place of each secret, or nothing
//! where there is none. Left out as a whole, `/etc/network/interfaces` would take the wired network
//! with the passphrase of the wireless one.

/// The replacement of a secret: long enough for WPA (8 to 63 characters), and opens nothing.
pub const GONE: &[u8] = b"not-in-the-package";

/// The separators between a key and its value.
const BETWEEN: &[u8] = b" \t:=";

/// A directory or a file, and the keys in it whose values are secrets.
struct Row {
    /// The whole path; or a directory, when it ends with a slash.
    path: &'static [u8],
    keys: &'static [&'static [u8]],
    /// The keys stand between commas, as in `user=me,password=x`.
    is_list: bool,
}

const WORDS: &[&[u8]] = &[
    b"wpa-psk",
    b"wpa-passphrase",
    b"wpa-password",
    b"wpa-private-key-passwd",
    b"wireless-key",
];

const ROWS: &[Row] = &[
    lines(b"etc/network/interfaces", WORDS),
    lines(b"etc/network/interfaces.d/", WORDS),
    lines(b"etc/netplan/", &[b"password", b"client-key-password"]),
    lines(
        b"etc/iscsi/iscsid.conf",
        &[
            b"node.session.auth.password",
            b"node.session.auth.password_in",
            b"discovery.sendtargets.auth.password",
            b"discovery.sendtargets.auth.password_in",
        ],
    ),
    // Debian's, for a root file system on iSCSI; it is read by a shell.
    lines(
        b"etc/iscsi/iscsi.initramfs",
        &[b"ISCSI_PASSWORD", b"ISCSI_IN_PASSWORD"],
    ),
    lines(b"etc/nslcd.conf", &[b"bindpw", b"rootpwmodpw"]),
    lines(b"etc/ldap.conf", &[b"bindpw"]),
    lines(b"etc/pam_ldap.conf", &[b"bindpw"]),
    Row {
        path: b"etc/fstab",
        keys: &[b"password", b"pass", b"passwd", b"secret"],
        is_list: true,
    },
];

const fn lines(path: &'static [u8], keys: &'static [&'static [u8]]) -> Row {
    Row {
        path,
        keys,
        is_list: false,
    }
}

/// The file without its secrets, when it is one that has some.
#[must_use]
pub fn redact(path: &[u8], old: &[u8]) -> Option<Vec<u8>> {
    let row = ROWS.iter().find(|row| match row.path.ends_with(b"/") {
        true => path.starts_with(row.path),
        false => path == row.path,
    })?;
    let mut new = Vec::with_capacity(old.len());
    for line in old.split_inclusive(|byte| *byte == b'\n') {
        match row.is_list {
            true => options(line, row.keys, &mut new),
            false if line.contains(&b'{') => flow(line, row.keys, &mut new),
            false => whole(line, row.keys, &mut new),
        }
    }
    (new != old).then_some(new)
}

/// `{…, key: value, …}`, YAML's other way.
fn flow(line: &[u8], keys: &[&[u8]], new: &mut Vec<u8>) {
    let mut rest = line;
    while !rest.is_empty() {
        let after = |key: &&[u8]| rest.strip_prefix(*key)?.strip_prefix(b":");
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
        let is_at_word = !new.last().is_some_and(is_word);
        let Some(behind) = keys.iter().find_map(after).filter(|_| is_at_word) else {
            let (first, others) = rest.split_at(1);
            new.extend_from_slice(first);
            rest = others;
            continue;
        };
        let key_len = rest.len().saturating_sub(behind.len());
        new.extend_from_slice(rest.get(..key_len).unwrap_or_default());
        new.push(b' ');
        new.extend_from_slice(GONE);
        rest = behind_value(behind);
    }
}

/// The rest of a line behind a value of YAML: from the comma, the brace, or the end of the line.
fn behind_value(text: &[u8]) -> &[u8] {
    let text = text.trim_ascii_start();
    let quote = text.first().filter(|byte| matches!(byte, b'"' | b'\''));
    let end = match quote {
        Some(quote) => {
            let close = text.iter().skip(1).position(|byte| byte == quote);
            close.map(|close| close.saturating_add(2))
        }
        None => text.iter().position(|byte| b",}\n".contains(byte)),
    };
    end.and_then(|end| text.get(end..)).unwrap_or_default()
}

/// `key value`, `key = value`, `key: value`.
fn whole(line: &[u8], keys: &[&[u8]], new: &mut Vec<u8>) {
    let indented = line.trim_ascii_start();
    // `- password: x` is an item of a list in YAML.
    let text = indented.strip_prefix(b"- ").unwrap_or(indented);
    let value_of = |key: &&[u8]| {
        let rest = text.strip_prefix(*key)?;
        let value = rest.iter().position(|byte| !BETWEEN.contains(byte))?;
        (value > 0).then(|| rest.len().saturating_sub(value))
    };
    let value_len = keys.iter().find_map(value_of);
    let Some(value_len) = value_len.filter(|_| !text.trim_ascii().is_empty()) else {
        new.extend_from_slice(line);
        return;
    };
    let (before, value) = line.split_at(line.len().saturating_sub(value_len));
    if value.trim_ascii().is_empty() {
        new.extend_from_slice(line);
        return;
    }
    new.extend_from_slice(before);
    new.extend_from_slice(GONE);
    if line.ends_with(b"\n") {
        new.push(b'\n');
    }
}

/// `…,key=value,…` anywhere in the line, comments included: a line that was commented out still
/// says it.
fn options(line: &[u8], keys: &[&[u8]], new: &mut Vec<u8>) {
    let is_end = |byte: &u8| *byte == b',' || byte.is_ascii_whitespace();
    for option in line.split_inclusive(is_end) {
        let (text, end) = match option.last().filter(|byte| is_end(byte)) {
            Some(_) => option.split_at(option.len().saturating_sub(1)),
            None => (option, &[][..]),
        };
        let equals = text.iter().position(|byte| *byte == b'=');
        match equals.map(|at| text.split_at(at)) {
            Some((key, value)) if keys.contains(&key) && value.len() > 1 => {
                new.extend_from_slice(key);
                new.push(b'=');
                new.extend_from_slice(GONE);
            }
            _ => new.extend_from_slice(text),
        }
        new.extend_from_slice(end);
    }
}

#[cfg(test)]
mod tests {
    use super::redact;

    #[track_caller]
    fn becomes(path: &str, old: &str, new: &str) {
        let got = redact(path.as_bytes(), old.as_bytes());
        let got = got.map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(got.as_deref(), Some(new), "{path}");
    }

    #[test]
    fn the_secret_goes_and_everything_else_stays() {
        becomes(
            "etc/network/interfaces",
            "auto eth0\niface eth0 inet dhcp\niface wlan0 inet dhcp\n  wpa-ssid home\n  wpa-psk \"horse battery\"\n",
            "auto eth0\niface eth0 inet dhcp\niface wlan0 inet dhcp\n  wpa-ssid home\n  wpa-psk not-in-the-package\n",
        );
        becomes(
            "etc/netplan/01.yaml",
            "network:\n  ethernets:\n    eth0: {dhcp4: true}\n  wifis:\n    w:\n      access-points:\n        home:\n          password: \"x y\"",
            "network:\n  ethernets:\n    eth0: {dhcp4: true}\n  wifis:\n    w:\n      access-points:\n        home:\n          password: not-in-the-package",
        );
        becomes(
            "etc/netplan/flow.yaml",
            "  w: {access-points: {home: {password: 'a, b', hidden: true}, x: {password: y}}}\n",
            "  w: {access-points: {home: {password: not-in-the-package, hidden: true}, x: {password: not-in-the-package}}}\n",
        );
        becomes(
            "etc/iscsi/iscsid.conf",
            "node.startup = manual\nnode.session.auth.password = s3cret\n",
            "node.startup = manual\nnode.session.auth.password = not-in-the-package\n",
        );
        becomes(
            "etc/iscsi/iscsi.initramfs",
            "ISCSI_USERNAME=\"me\"\nISCSI_PASSWORD=\"s3cret\"\n",
            "ISCSI_USERNAME=\"me\"\nISCSI_PASSWORD=not-in-the-package\n",
        );
        becomes(
            "etc/fstab",
            "/dev/sda1 / ext4 defaults 0 1\n#//s/x /mnt cifs user=me,password=a=b 0 0\n//s/y /m cifs pass=q\n",
            "/dev/sda1 / ext4 defaults 0 1\n#//s/x /mnt cifs user=me,password=not-in-the-package 0 0\n//s/y /m cifs pass=not-in-the-package\n",
        );
    }

    #[test]
    fn a_file_without_a_secret_stays_as_it_is() {
        for (path, text) in [
            (
                "etc/network/interfaces",
                "iface eth0 inet dhcp\n# wpa-psk x\nwpa-psk\nwpa-psk-x y\n",
            ),
            (
                "etc/netplan/01.yaml",
                "network: {version: 2}\n  password:\n",
            ),
            (
                "etc/fstab",
                "//s/x /mnt cifs credentials=/etc/cifs,password= 0 0\n",
            ),
            (
                "etc/iscsi/iscsid.conf",
                "#node.session.auth.password = password\n\n",
            ),
            ("etc/other", "password: x\n"),
        ] {
            assert_eq!(redact(path.as_bytes(), text.as_bytes()), None, "{path}");
        }
    }
}
