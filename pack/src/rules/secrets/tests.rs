use super::{Policy, Ruling, Secrets};

fn rule(secrets: &mut Secrets, path: &str, text: &str) -> Ruling {
    secrets.rule(path.as_bytes(), 0o600, text.as_bytes(), false)
}

#[test]
fn the_tables_are_patterns_and_order_of_files_does_not_matter() {
    let mut secrets = Secrets::new(Policy::Leave).unwrap();
    for _ in 0..2 {
        for path in [
            "root/.netrc",
            "home/me/.aws/credentials",
            "var/lib/jenkins/.ssh/id_rsa",
            "etc/ssl/private/a/b",
            "etc/postfix/sasl_passwd.db",
            "home/me/.config/google-chrome/Default/Login Data",
        ] {
            let ruling = rule(&mut secrets, path, "x");
            assert!(matches!(ruling, Ruling::LeaveSecret(_)), "{path}");
        }
        for path in [
            "etc/shadow",
            "etc/gshadow",
            "etc/shadow-",
            "root/.ssh/authorized_keys",
            "root/.ssh/known_hosts",
            "etc/ssl/certs/a.pem",
            "etc/ssh/sshd_config",
            "etc/apt/trusted.gpg.d/a.asc",
            "netrc",
        ] {
            assert_eq!(rule(&mut secrets, path, "x"), Ruling::Pack, "{path}");
        }
    }
}

#[test]
fn the_way_from_one_directory_to_the_next_is_not_remembered_too_long() {
    let mut secrets = Secrets::new(Policy::Leave).unwrap();
    for (path, is_secret) in [
        ("home/me/.aws/credentials", true),
        ("home/me/.aws2/credentials", false),
        ("home/me/credentials", false),
        ("home/me/.aws/sso/cache/a", true),
        ("credentials", false),
        (".aws/credentials", true),
        ("home/me/.aws/sso/a", false),
        ("etc/luks/a/b", true),
        ("etc/luks2/a/b", false),
        ("etc/luks/a/c/d", true),
    ] {
        let ruling = rule(&mut secrets, path, "x");
        assert_eq!(
            matches!(ruling, Ruling::LeaveSecret(_)),
            is_secret,
            "{path}"
        );
    }
}

#[test]
fn an_empty_file_and_a_template_are_no_secrets() {
    let mut secrets = Secrets::new(Policy::Leave).unwrap();
    for text in [
        "",
        "# Secrets for authentication using CHAP\n# client\tserver\n",
    ] {
        assert_eq!(
            rule(&mut secrets, "etc/ppp/chap-secrets", text),
            Ruling::Pack
        );
    }
    let nm = "etc/NetworkManager/system-connections/a.nmconnection";
    assert_eq!(rule(&mut secrets, nm, "[ethernet]\n"), Ruling::Pack);
    let wired = "Connection=ethernet\nIP=dhcp\n";
    assert_eq!(rule(&mut secrets, "etc/netctl/wired", wired), Ruling::Pack);
    let wired = "[ethernet_1_cable]\nAutoConnect=true\n";
    let connman = "var/lib/connman/ethernet_1_cable/settings";
    assert_eq!(rule(&mut secrets, connman, wired), Ruling::Pack);
    for (path, text) in [
        (nm, "[wifi-security]\npsk=x\n"),
        (
            "etc/netctl/home",
            "Connection=wireless\nSecurity=wpa\nKey=horse\n",
        ),
        (
            "etc/netctl/work",
            "WPAConfigSection=(\n 'password=\"x\"'\n)\n",
        ),
        (
            "var/lib/connman/wifi_1_managed_psk/settings",
            "[wifi]\nPassphrase=horse\n",
        ),
        (
            "var/lib/connman/home.config",
            "[service_home]\nPassphrase = horse\n",
        ),
        (
            "var/lib/connman-vpn/work.config",
            "[provider_l2tp]\nL2TP.Password = x\n",
        ),
    ] {
        let ruling = rule(&mut secrets, path, text);
        assert!(matches!(ruling, Ruling::LeaveSecret(_)), "{path}");
    }
}

#[test]
fn tables_of_the_tree_name_files_too() {
    let mut secrets = Secrets::new(Policy::Leave).unwrap();
    secrets.learn(b"# a /dev/b /no luks\ndata UUID=1 /srv/keys/data luks\nswap /dev/c /dev/urandom swap\nx y none\n");
    secrets.learn(
        b"//s/x /mnt cifs ro,credentials=/srv/cred,uid=1 0 0\n/dev/sda1 / ext4 defaults 0 1\n",
    );
    for path in ["srv/keys/data", "srv/cred"] {
        assert!(
            matches!(rule(&mut secrets, path, "x"), Ruling::LeaveSecret(_)),
            "{path}"
        );
    }
    for path in ["no", "dev/urandom", "mnt", "srv/other"] {
        assert_eq!(rule(&mut secrets, path, "x"), Ruling::Pack, "{path}");
    }
}

#[test]
fn who_asks_gets_secrets_but_never_our_keys() {
    let (donor, _) = session::keys::PinnedKeys::draw().unwrap();
    let text = donor.to_text();
    let mut leaving = Secrets::new(Policy::Leave).unwrap();
    let mut keeping = Secrets::new(Policy::Keep).unwrap();
    for (secrets, is_asked_for) in [(&mut keeping, false), (&mut leaving, true)] {
        let ruling = secrets.rule(b"root/.netrc", 0o600, b"x", is_asked_for);
        assert!(matches!(ruling, Ruling::PackSecret(_)));
        let ruling = secrets.rule(b"root/x", 0o644, text.as_bytes(), is_asked_for);
        assert!(matches!(ruling, Ruling::LeaveKey(_)));
        let (path, line) = (b"etc/network/interfaces", b"wpa-psk x\n");
        assert_eq!(secrets.redacted(path, line, is_asked_for), None);
    }
    assert!(
        leaving
            .redacted(b"etc/network/interfaces", b"wpa-psk x\n", false)
            .is_some()
    );
}
