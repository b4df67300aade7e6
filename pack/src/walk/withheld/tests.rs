//! A node as they are found, with the secrets of people and services that lie around on it, and
//! what is packed of it.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use bundle::unpack::{Owners, UnpackLimits, unpack};
use session::keys::PinnedKeys;
use tempfile::TempDir;

use crate::Tree;
use crate::report::Report;
use crate::rules::secrets::Policy;
use crate::walk::pack;

/// The beginning of a private key: nobody's.
const BODY: &str = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj";

fn pem(label: &str) -> String {
    format!("-----BEGIN {label}-----\n{BODY}\n-----END {label}-----\n")
}

/// Left out in any case.
fn keys() -> Vec<(&'static str, String)> {
    let (donor, target) = PinnedKeys::draw().unwrap();
    let signing = minisign::KeyPair::generate_encrypted_keypair(Some("x".into())).unwrap();
    let signing = signing.sk.to_box(None).unwrap().to_string();
    vec![
        ("root/lab.donor", donor.to_text().to_string()),
        ("etc/spk-visor/lab.donor", donor.to_text().to_string()),
        ("srv/images/lab.shim", target.to_text().to_string()),
        ("root/.minisign/minisign.key", signing.clone()),
        ("usr/share/release/signing.key", signing),
    ]
}

/// Left out unless they are asked for.
fn secrets() -> Vec<(&'static str, String)> {
    let kubeconfig = "users:\n- user:\n    client-key-data: LS0tLS1CRUdJTiBFQyBQ\n";
    let plain = |path| (path, "s3cret\n".to_owned());
    let key = |path, label| (path, pem(label));
    vec![
        (
            "etc/NetworkManager/system-connections/home.nmconnection",
            "[wifi-security]\npsk=horse\n".into(),
        ),
        (
            "etc/wpa_supplicant/wpa_supplicant.conf",
            "network={\n\tpsk=\"horse\"\n}\n".into(),
        ),
        (
            "var/lib/iwd/home.psk",
            "[Security]\nPassphrase=horse\n".into(),
        ),
        ("etc/kubernetes/admin.conf", kubeconfig.into()),
        ("etc/kubernetes/super-admin.conf", kubeconfig.into()),
        ("srv/somewhere/kubeconfig", kubeconfig.into()),
        plain("var/lib/rancher/k3s/server/token"),
        key(
            "var/lib/rancher/k3s/server/tls/server-ca.key",
            "EC PRIVATE KEY",
        ),
        ("etc/rancher/k3s/k3s.yaml", kubeconfig.into()),
        (
            "etc/ceph/ceph.client.admin.keyring",
            "[client.admin]\n\tkey = AQD==\n".into(),
        ),
        ("etc/luks/data.key", "\u{1}\0binary".into()),
        ("srv/keys/backup", "\u{1}\0named by crypttab".into()),
        ("srv/keys/share", "username=me\npassword=x\n".into()),
        plain("root/.aws/credentials"),
        plain("home/me/.kube/config"),
        (
            "root/.docker/config.json",
            "{\"auths\": {\"r\": {\"auth\": \"eA==\"}}}".into(),
        ),
        ("root/.npmrc", "//r/:_authToken=x\n".into()),
        plain("root/.netrc"),
        plain("var/lib/app/.pgpass"),
        plain("root/.git-credentials"),
        plain("home/me/.gnupg/private-keys-v1.d/0A.key"),
        plain("root/.vault-token"),
        plain("home/me/.config/gcloud/credentials.db"),
        plain("root/.bash_history"),
        key("root/.ssh/id_ed25519", "OPENSSH PRIVATE KEY"),
        key("home/me/.ssh/work", "OPENSSH PRIVATE KEY"),
        (
            "etc/letsencrypt/accounts/acme/a/private_key.json",
            "{\"kty\": \"RSA\"}".into(),
        ),
        key(
            "etc/letsencrypt/archive/example.org/privkey1.pem",
            "PRIVATE KEY",
        ),
        key("etc/nginx/tls/site.key", "RSA PRIVATE KEY"),
        key("etc/haproxy/site.pem", "PRIVATE KEY"),
        ("etc/ssl/private/server.der", "0\u{2}\0".into()),
        (
            "etc/openvpn/client.conf",
            format!("client\n<key>\n{}</key>\n", pem("PRIVATE KEY")),
        ),
        (
            "etc/ppp/chap-secrets",
            "# client server secret\nme * x *\n".into(),
        ),
        ("etc/postfix/sasl_passwd", "[mail]:587 me:x\n".into()),
        (
            "etc/sssd/sssd.conf",
            "[domain/x]\nldap_default_authtok = x\n".into(),
        ),
        plain("var/lib/samba/private/passdb.tdb"),
        (
            "root/cloud.json",
            format!("{{\"private_key\": \"-----BEGIN PRIVATE KEY-----\\n{BODY}\"}}"),
        ),
        (
            "var/big.pem",
            format!("{}{}", pem("PRIVATE KEY"), "x".repeat(5 << 20)),
        ),
    ]
}

/// Left out as this machine's own, by a rule that looks into files.
fn identity() -> (&'static str, String) {
    let text = format!("[WireGuard]\nPrivateKey=abc\n{}", "#".repeat(5 << 20));
    ("etc/systemd/network/wg.netdev", text)
}

/// Packed without their passwords.
fn configurations() -> Vec<(&'static str, String)> {
    vec![
        (
            "etc/netplan/01-wifi.yaml",
            "network:\n  ethernets: {e: {dhcp4: true}}\n  password: \"horse\"\n".into(),
        ),
        (
            "etc/network/interfaces",
            "iface eth0 inet dhcp\niface w inet dhcp\n  wpa-psk horse\n".into(),
        ),
        (
            "etc/iscsi/iscsid.conf",
            "node.startup = manual\nnode.session.auth.password = horse\n".into(),
        ),
        (
            "etc/fstab",
            "//a/b /m cifs password=horse 0 0\n//a/c /n cifs credentials=/srv/keys/share 0 0\n"
                .into(),
        ),
    ]
}

/// Packed as they are.
fn others() -> Vec<(&'static str, String)> {
    let plain = |path| (path, "x\n".to_owned());
    let key = |path| (path, pem("PRIVATE KEY"));
    vec![
        (
            "etc/crypttab",
            "backup UUID=1 /srv/keys/backup luks\n".into(),
        ),
        ("etc/shadow", "root:$y$j9T$abc:19000:0:99999:7:::\n".into()),
        plain("etc/gshadow"),
        plain("etc/ssh/sshd_config"),
        ("root/.ssh/authorized_keys", format!("ssh-rsa {BODY} me\n")),
        plain("root/.ssh/known_hosts"),
        ("home/me/.npmrc", "fund=false\n".into()),
        ("etc/ssl/certs/ca.pem", pem("CERTIFICATE")),
        (
            "etc/letsencrypt/live/example.org/fullchain.pem",
            pem("CERTIFICATE"),
        ),
        ("etc/apt/trusted.gpg.d/a.asc", pem("PGP PUBLIC KEY BLOCK")),
        (
            "etc/minisign.pub",
            format!("untrusted comment: minisign public key\nRWQ{BODY}\n"),
        ),
        ("etc/ppp/pap-secrets", "# nothing in it\n".into()),
        (
            "etc/NetworkManager/system-connections/wired.nmconnection",
            "[ethernet]\n".into(),
        ),
        ("root/.netrc.example", "machine x password y\n".into()),
        (
            "home/me/notes.md",
            "A key begins with\n\n    -----BEGIN PRIVATE KEY-----\n    MIIE...\n".into(),
        ),
        key("usr/share/doc/openssl/examples/key.pem"),
        key("usr/lib/python3/test/keycert.pem"),
        key("opt/app/node_modules/tls/test/key.pem"),
        plain("usr/share/bash-completion/netrc"),
        ("var/large", "x".repeat(5 << 20)),
    ]
}

struct Node {
    dir: TempDir,
    packed: TempDir,
    short: String,
    whole: String,
}

impl Node {
    fn pack(tree: Tree) -> Self {
        let dir = TempDir::new().unwrap();
        let all = [
            keys(),
            secrets(),
            configurations(),
            others(),
            vec![identity()],
        ]
        .concat();
        for (path, text) in all {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        symlink(
            "../../archive/example.org/privkey1.pem",
            dir.path()
                .join("etc/letsencrypt/live/example.org/privkey.pem"),
        )
        .unwrap();
        let own = "etc/spk-visor/lab.donor";
        fs::hard_link(dir.path().join(own), dir.path().join("etc/another-name")).unwrap();
        let tree = Tree {
            root: dir.path().to_owned(),
            ..tree
        };
        let whole = Shared::default();
        let mut report = Report::new(Some(Box::new(whole.clone())), Box::new(|_| {}));
        let mut tar = Vec::new();
        let job = crate::job(&tree).unwrap();
        let total = pack(&job, &mut tar, &mut report, &mut |_| {}).unwrap();
        report.finish(&total).unwrap();
        let packed = TempDir::new().unwrap();
        let limits = UnpackLimits {
            entries: 10_000,
            owners: Owners::Caller,
            content: None,
        };
        let to = fs::File::open(packed.path()).unwrap();
        unpack(&tar[..], to.as_fd(), &limits, &AtomicU64::new(0)).unwrap();
        let whole = String::from_utf8(whole.0.lock().unwrap().clone()).unwrap();
        Node {
            dir,
            packed,
            short: report.to_string(),
            whole,
        }
    }

    fn has(&self, path: &str) -> bool {
        self.packed.path().join(path).exists()
    }

    fn is_as_it_was(&self, path: &str) -> bool {
        let read = |dir: &Path| fs::read(dir.join(path)).unwrap();
        self.has(path) && read(self.packed.path()) == read(self.dir.path())
    }

    fn files(&self) -> BTreeSet<String> {
        let (mut files, mut dirs) = (BTreeSet::new(), vec![self.packed.path().to_owned()]);
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() && !path.is_symlink() {
                    true => dirs.push(path),
                    false => {
                        let relative = path.strip_prefix(self.packed.path()).unwrap();
                        files.insert(relative.to_str().unwrap().to_owned());
                    }
                }
            }
        }
        files
    }
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_copy_of_a_node_has_none_of_its_secrets_and_all_the_rest() {
    let node = Node::pack(Tree::default());
    for (path, _) in keys() {
        assert!(!node.has(path), "{path}");
        assert!(
            node.whole.contains(&format!("key         /{path}  ")),
            "{path}: {}",
            node.whole
        );
    }
    for (path, _) in secrets() {
        assert!(!node.has(path), "{path}");
        assert!(
            node.whole.contains(&format!("secret      /{path}  ")),
            "{path}: {}",
            node.whole
        );
    }
    for (path, _) in configurations() {
        let text = fs::read_to_string(node.packed.path().join(path)).unwrap();
        assert!(
            text.contains("not-in-the-package") && !text.contains("horse"),
            "{path}: {text}"
        );
        assert!(
            node.whole.contains(&format!("rewritten   /{path}  ")),
            "{path}: {}",
            node.whole
        );
    }
    let (own, _) = identity();
    assert!(!node.has(own) && node.whole.contains(&format!("identity    /{own}  ")));
    for (path, _) in others().into_iter().skip(1) {
        assert!(node.is_as_it_was(path), "{path}: {}", node.whole);
    }
    assert!(
        node.packed
            .path()
            .join("etc/letsencrypt/live/example.org/privkey.pem")
            .is_symlink()
    );
    let expected = configurations().len() + others().len() + 1;
    assert_eq!(node.files().len(), expected, "{:?}", node.files());
    let (gone, redacted) = (secrets().len(), configurations().len());
    let line = format!(
        "secrets of people and services: {} files: {gone} left out, {redacted} packed \
         without their passwords; --secrets keep packs them\n",
        gone + redacted
    );
    assert!(
        node.short.contains(&line) && node.whole.contains(&line),
        "{}",
        node.short
    );
    let keys = format!("left out  key        {:>6}  ", keys().len() + 1);
    assert!(node.short.contains(&keys), "{}", node.short);
}

#[test]
fn secrets_are_kept_when_that_is_said_and_our_keys_are_not() {
    let all = Tree {
        secrets: Policy::Keep,
        keep: vec!["*.donor".into(), "*.key".into(), "*.shim".into()],
        ..Tree::default()
    };
    let node = Node::pack(all);
    for (path, _) in keys() {
        assert!(!node.has(path), "{path}");
    }
    for (path, _) in [secrets(), configurations()].concat() {
        assert!(node.has(path), "{path}");
    }
    let line = format!(
        "secrets of people and services: {} files: {0} packed\n",
        secrets().len()
    );
    assert!(node.short.contains(&line), "{}", node.short);
    let one = Tree {
        keep: vec!["/root/.netrc".into()],
        ..Tree::default()
    };
    let node = Node::pack(one);
    assert!(node.has("root/.netrc") && !node.has("root/.git-credentials"));
    assert!(
        node.whole.contains("secret      /root/.netrc  "),
        "{}",
        node.whole
    );
}

#[test]
fn what_a_program_brought_is_public_only_when_everybody_may_read_it() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("usr/share/app/key.pem");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, pem("PRIVATE KEY")).unwrap();
    for (mode, is_packed) in [(0o644, true), (0o640, false), (0o600, false)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let tree = Tree {
            root: dir.path().to_owned(),
            ..Tree::default()
        };
        let job = crate::job(&tree).unwrap();
        let mut report = Report::new(None, Box::new(|_| {}));
        pack(&job, Vec::new(), &mut report, &mut |_| {}).unwrap();
        assert_eq!(
            report.to_string().is_empty(),
            is_packed,
            "{mode:o}: {report}"
        );
    }
}

#[test]
fn images_with_our_key_in_them_are_left_out_and_others_are_packed() {
    let dir = TempDir::new().unwrap();
    let (_, target) = PinnedKeys::draw().unwrap();
    let cpio = |inside: &str| [&b"070701 etc/smv/pinned\0"[..], inside.as_bytes(), b"\0"].concat();
    let zst = |inside: &str| zstd::encode_all(&cpio(inside)[..], 1).unwrap();
    let near = |begin: &[u8], end: &[u8]| [begin, &[0; 10_000], end].concat();
    // Longer than what is looked at of other files, and than those that are read at once.
    let far = |begin: &[u8], end: &[u8]| [begin, &vec![0; 5 << 20], end].concat();
    let cd = [&vec![0; 0x8001][..], b"CD001"].concat();
    let (key, none) = (target.to_text(), "drivers");
    let mut expected = Vec::new();
    for (name, inside, is_packed) in [("with", key.as_str(), false), ("without", none, true)] {
        for (kind, bytes) in [
            ("shim.cpio.zst", zst(inside)),
            ("shim.cpio", far(b"070701", &cpio(inside))),
            ("large.cpio.zst", far(&zst(none), &zst(inside))),
            ("deploy-shim.efi", near(b"MZ", &zst(inside))),
            ("deploy-shim.iso", near(&cd, &zst(inside))),
        ] {
            for (place, mode, is_public) in [
                ("root", 0o644, false),
                ("usr/lib/shim", 0o600, false),
                ("usr/lib/modules/6.1", 0o644, true),
                ("lib/modules/6.1", 0o644, true),
            ] {
                let path = format!("{place}/{name}-{kind}");
                let file = dir.path().join(&path);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(&file, &bytes).unwrap();
                fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
                expected.push((path, is_packed || is_public));
            }
        }
    }
    let tree = Tree {
        root: dir.path().to_owned(),
        secrets: Policy::Keep,
        keep: vec!["/root/**".into()],
        ..Tree::default()
    };
    let job = crate::job(&tree).unwrap();
    let whole = Shared::default();
    let mut report = Report::new(Some(Box::new(whole.clone())), Box::new(|_| {}));
    let total = pack(&job, Vec::new(), &mut report, &mut |_| {}).unwrap();
    report.finish(&total).unwrap();
    let whole = String::from_utf8(whole.0.lock().unwrap().clone()).unwrap();
    for (path, is_packed) in expected {
        let is_left_out = whole.contains(&format!("key         /{path}  "));
        assert_eq!(is_left_out, !is_packed, "{path}: {whole}");
    }
}
