use super::{Found, is_published, judge, says_nothing};

/// The beginning of a key: nobody's.
const BODY: &str = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7\nAAAA\n";

fn what(text: &str) -> Option<Found> {
    judge(text.as_bytes(), false)
}

#[test]
fn private_keys_of_every_kind_are_known() {
    for label in [
        "PRIVATE KEY",
        "ENCRYPTED PRIVATE KEY",
        "RSA PRIVATE KEY",
        "EC PRIVATE KEY",
        "DSA PRIVATE KEY",
        "OPENSSH PRIVATE KEY",
        "PGP PRIVATE KEY BLOCK",
        "TSS2 PRIVATE KEY",
        "OpenVPN Static key V1",
    ] {
        for before in [
            "",
            "<key>\r\n",
            "a: |\n    ",
            "-----BEGIN CERTIFICATE-----\nMII\n",
        ] {
            let text =
                format!("{before}-----BEGIN {label}-----\nX: y\n\n{BODY}-----END {label}-----");
            assert!(matches!(what(&text), Some(Found::Secret(_))), "{text}");
        }
    }
    for text in [
        format!("---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\n{BODY}"),
        format!("PuTTY-User-Key-File-3: ssh-ed25519\n{BODY}"),
        format!("{{\"type\": \"x\", \"private_key\": \"-----BEGIN PRIVATE KEY-----\\n{BODY}"),
        format!("{{\n  \"private_key\": \"-----BEGIN PRIVATE KEY-----\\n{BODY}\"}}"),
        "{\"kty\":\"EC\",\"d\":\"0g5vAEKzugrXaRbgKG0Tj2qJ5lMP4Bezds1_sTybkfk\"}".to_owned(),
        "users:\n- user:\n    client-key-data: LS0tLS1CRUdJTiBFQyBQUklW\n".to_owned(),
        "data:\n  tls.key: LS0tLS1CRUdJTiBQUklW\n".to_owned(),
        "AGE-SECRET-KEY-1QQPQZRYYVXXF4ZP5DV9FMJ4CC3S8AW6U4NJX7P0ZXSJ3S0L4T\n".to_owned(),
        "[Interface]\nPrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\n".to_owned(),
    ] {
        assert!(matches!(what(&text), Some(Found::Secret(_))), "{text}");
    }
}

#[test]
fn what_only_looks_like_a_secret_is_none() {
    for text in [
        "",
        "-----BEGIN CERTIFICATE-----\nMIIDdTCCAl2gAwIBAgILBAAAAAABFUtaw5QwDQYJKoZIhvcNAQEFBQAw\n",
        "-----BEGIN PUBLIC KEY-----\nMIIDdTCCAl2gAwIBAgILBAAAAAABFUtaw5QwDQYJKoZIhvcNAQEFBQAw\n",
        "-----BEGIN PRIVATE KEY-----\nMIIE...\n-----END PRIVATE KEY-----\n--------------------------------------\n",
        "grep -e '-----BEGIN PRIVATE KEY-----' MIIDdTCCAl2gAwIBAgILBAAAAAABFUtaw5QwDQYJKoZIhvcNAQEFBQAw\n",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKqIm3d5v0ZlqJHHyQFPl5v8qk1n me\n",
        "untrusted comment: minisign public key 1\nRWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3\n",
        "untrusted comment: minisign encrypted secret key\n",
        "smechvisor-keys 1 is the first line of a key file\n",
        "a page\n\n    smechvisor-keys 1\n    end donor\n",
        "PrivateKey = /etc/ssl/private/x.key\nPrivateKeyFile=/x\n",
        "client-key-data: REDACTED\nclient-key: /x\ntls.key: x\n",
        "{\"kty\":\"EC\",\"x\":\"0g5vAEKzugrXaRbgKG0Tj2qJ5lMP4Bezds1_sTybkfk\"}",
        "AGE-SECRET-KEY-1...\n",
    ] {
        assert_eq!(what(text), None, "{text}");
    }
    let binary = format!("\0-----BEGIN PRIVATE KEY-----\n{BODY}");
    assert_eq!(what(&binary), None);
}

#[test]
fn our_own_keys_are_known_wherever_they_lie() {
    let (donor, target) = session::keys::PinnedKeys::draw().unwrap();
    let pair = minisign::KeyPair::generate_encrypted_keypair(Some("x".into())).unwrap();
    let plain = minisign::KeyPair::generate_unencrypted_keypair().unwrap();
    let boxed = |pair: &minisign::KeyPair| pair.sk.to_box(None).unwrap().to_string();
    for text in [
        donor.to_text().to_string(),
        target.to_text().to_string(),
        format!("\n# {}\n{}", "x".repeat(5000), donor.to_text().as_str()),
        boxed(&pair),
        boxed(&plain),
        boxed(&pair).lines().nth(1).unwrap().to_owned(),
        format!(
            "#!/bin/sh\ncat >lab.shim <<end\n{}end\n",
            target.to_text().as_str()
        ),
        format!("a:\n    {}", target.to_text().replace('\n', "\n    ")),
        format!("\0\u{1}{}\0", donor.to_text().as_str()),
        format!("# a\n\n# b\n{}", boxed(&pair)),
        format!("key = \"{}\"\n", boxed(&plain).lines().nth(1).unwrap()),
    ] {
        assert!(matches!(what(&text), Some(Found::Key(_))), "{text}");
        assert!(matches!(judge(text.as_bytes(), true), Some(Found::Key(_))));
    }
    let public = pair.pk.to_box().unwrap().to_string();
    assert_eq!(what(&public), None);
}

#[test]
fn what_everybody_has_is_published() {
    for path in [
        "usr/share/doc/openssl/examples/key.pem",
        "usr/lib/python3/test/keycert.pem",
        "srv/chroot/usr/lib/x",
        "root/.pyenv/versions/3.12/lib/python3.12/test/certdata/keycert.pem",
        "home/me/app/node_modules/x/test/key.pem",
        "opt/venv/lib/python3.11/site-packages/x.pem",
    ] {
        assert!(is_published(path.as_bytes(), 0o644), "{path}");
        assert!(!is_published(path.as_bytes(), 0o640), "{path}");
    }
    for path in [
        "etc/x",
        "usr/local/etc/key.pem",
        "home/me/share/key.pem",
        "lib",
    ] {
        assert!(!is_published(path.as_bytes(), 0o644), "{path}");
    }
}

#[test]
fn comments_say_nothing() {
    for text in ["", "\n", "# a\n\n; b\n   # c"] {
        assert!(says_nothing(text.as_bytes()), "{text:?}");
    }
    for text in ["a", "# a\nb", "\0"] {
        assert!(!says_nothing(text.as_bytes()), "{text:?}");
    }
}
