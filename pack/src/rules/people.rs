//! Where secrets of people and services lie that their contents do not give away: passwords,
//! tokens, key files without a form.
//!
//! Gathered from the programs' manuals. What a copy needs to boot and to let somebody in is not
//! here: `/etc/shadow` and `/etc/gshadow` are the system's own, `authorized_keys` are public, and
//! files that also configure the network or the disks lose only the lines that [`super::redact`]
//! knows.

/// Their meaning, and patterns as in the table of paths.
pub const PEOPLE: &[(&str, &str)] = &[
    (
        "a private key of SSH",
        "**/.ssh/id_rsa **/.ssh/id_dsa **/.ssh/id_ecdsa \
         **/.ssh/id_ed25519 **/.ssh/id_ecdsa_sk **/.ssh/id_ed25519_sk",
    ),
    (
        "private keys of OpenPGP",
        "**/.gnupg/private-keys-v1.d/* **/.gnupg/secring.gpg **/.gnupg/openpgp-revocs.d/*",
    ),
    (
        "a private key",
        "etc/ssl/private/** etc/pki/**/private/** etc/**/private/*.key etc/**/private/*.pem \
         etc/letsencrypt/archive/*/privkey*.pem etc/letsencrypt/live/*/privkey*.pem \
         etc/letsencrypt/accounts/**/private_key.json etc/letsencrypt/keys/** etc/acme/**/*.key \
         var/lib/acme/**/key.pem root/.acme.sh/**/*.key home/*/.acme.sh/**/*.key \
         **/.step/secrets/** etc/**/*.p12 etc/**/*.pfx etc/**/*.jks root/*.p12 root/*.pfx \
         home/*/**/*.p12 home/*/**/*.pfx etc/dkimkeys/*.private etc/opendkim/keys/**/*.private \
         etc/rspamd/dkim/*.key etc/bind/**/*.private etc/bind/rndc.key etc/rndc.key",
    ),
    (
        "a passphrase of Wi-Fi",
        "etc/wpa_supplicant/*.conf etc/wpa_supplicant.conf etc/wpa_supplicant/*.psk \
         var/lib/iwd/*.psk var/lib/iwd/*.8021x etc/hostapd/*.psk etc/hostapd/*.wpa_psk",
    ),
    (
        "opens an encrypted disk",
        "etc/cryptsetup-keys.d/** etc/luks/** etc/luks-keys/** etc/keys/**/*.key root/*.keyfile \
         crypto_keyfile.bin boot/crypto_keyfile.bin etc/zfs/keys/**",
    ),
    (
        "an administrator's access to a cluster",
        "etc/kubernetes/admin.conf etc/kubernetes/super-admin.conf \
         etc/kubernetes/controller-manager.conf etc/kubernetes/scheduler.conf **/.kube/config \
         **/.kube/cache/** etc/rancher/k3s/k3s.yaml etc/rancher/rke2/rke2.yaml \
         var/lib/rancher/*/server/token var/lib/rancher/*/server/*-token \
         var/lib/rancher/*/server/cred/** var/lib/rancher/*/server/tls/**/*.key \
         var/lib/rancher/*/server/tls/**/*.json var/lib/rancher/*/agent/*.kubeconfig \
         etc/rancher/*/config.yaml etc/ceph/*.keyring etc/ceph/*.secret root/.talos/config \
         home/*/.talos/config",
    ),
    (
        "access to a cloud or a registry",
        "**/.aws/credentials **/.aws/sso/cache/** **/.aws/cli/cache/** **/.azure/*.json \
         **/.azure/*.bin **/.config/gcloud/credentials.db **/.config/gcloud/access_tokens.db \
         **/.config/gcloud/application_default_credentials.json \
         **/.config/gcloud/legacy_credentials/** **/.terraform.d/credentials.tfrc.json \
         **/.vault-token **/.config/doctl/config.yaml **/.config/hcloud/cli.toml \
         **/.config/rclone/rclone.conf **/.config/op/config **/.s3cfg **/.oci/*.pem **/.boto",
    ),
    (
        "a password or token of a person",
        "**/.netrc **/.pgpass **/.my.cnf **/.git-credentials **/.config/git/credentials \
         **/.config/gh/hosts.yml **/.config/glab-cli/config.yml **/.cargo/credentials \
         **/.cargo/credentials.toml **/.gem/credentials **/.m2/settings-security.xml \
         **/.htpasswd-plain **/.msmtprc **/.fetchmailrc **/.mbsyncrc **/.smbcredentials \
         **/.cifscredentials **/.fetchmail-password **/.ansible_vault_pass **/.vault_pass \
         **/.vault_pass.txt **/.config/sops/age/keys.txt **/.password-store/**/*.gpg \
         **/.local/share/keyrings/*.keyring **/.local/share/kwalletd/*.kwl **/.config/hub \
         **/.mozilla/firefox/*/key4.db **/.mozilla/firefox/*/logins.json \
         **/.mozilla/firefox/*/cookies.sqlite **/.thunderbird/*/key4.db \
         **/.thunderbird/*/logins.json **/.config/*/*/Cookies **/.config/*/*/Login?Data",
    ),
    (
        "what somebody typed, passwords among it perhaps",
        "**/.bash_history **/.zsh_history **/.ash_history **/.sh_history **/.histfile \
         **/.python_history **/.mysql_history **/.mariadb_history **/.psql_history \
         **/.sqlite_history **/.rediscli_history **/.node_repl_history **/.dbshell **/.lesshst \
         **/.viminfo **/.local/share/fish/fish_history",
    ),
    (
        "a password of a service",
        "etc/ppp/*-secrets etc/openvpn/**/*.auth etc/openvpn/**/auth.txt etc/openvpn/**/*.pass \
         etc/openvpn/**/ta.key etc/cifs-credentials etc/cifs/** etc/samba/*cred* \
         etc/samba/smbpasswd var/lib/samba/private/passdb.tdb var/lib/samba/passdb.tdb \
         etc/postfix/sasl_passwd* etc/postfix/sasl/*passwd* etc/sasldb2 etc/exim4/passwd.client \
         etc/msmtprc etc/fetchmailrc etc/davfs2/secrets etc/rsyncd.secrets etc/apt/auth.conf \
         etc/apt/auth.conf.d/* etc/ddclient.conf etc/freeradius/**/clients.conf \
         etc/raddb/clients.conf etc/openldap/*.secret etc/ldap.secret etc/pam_ldap.secret \
         etc/grafana/*.secret etc/credstore/** etc/vault.d/*token* etc/borgmatic/*pass* \
         etc/restic/*pass* etc/duplicity/*pass* var/lib/tor/**/authorized_clients/* \
         etc/nut/upsd.users etc/nut/upsmon.conf var/lib/snmp/snmpd.conf \
         var/cache/debconf/passwords.dat",
    ),
];

/// A secret in a file that is a connection's or a daemon's whole configuration: without it the rest
/// is of no use.
pub const PEOPLE_IF: &[(&str, &[&str], &str)] = &[
    (
        "a passphrase of Wi-Fi, or of another network",
        &[
            "psk=",
            "password=",
            "wep-key",
            "-password=",
            "secret=",
            "pin=",
        ],
        "etc/NetworkManager/system-connections/*",
    ),
    (
        "a passphrase of Wi-Fi, or of another network",
        &["Key=", "Password=", "PIN=", "psk=", "password=", "wep_key"],
        "etc/netctl/*",
    ),
    (
        "a passphrase of Wi-Fi, or of another network",
        &["Passphrase", "Password"],
        "var/lib/connman/*.config var/lib/connman/**/settings var/lib/connman-vpn/*.config \
         var/lib/connman-vpn/**/settings",
    ),
    (
        "a token of a registry",
        &[
            "_auth",
            "_password",
            "password",
            "\"auth\"",
            "identitytoken",
        ],
        "**/.npmrc **/.pypirc **/.docker/config.json **/.config/containers/auth.json",
    ),
    (
        "a passphrase of Wi-Fi",
        &[
            "wpa_passphrase=",
            "wpa_psk=",
            "auth_server_shared_secret=",
            "sae_password=",
        ],
        "etc/hostapd/*.conf",
    ),
    (
        "a password of a directory service",
        &["ldap_default_authtok"],
        "etc/sssd/sssd.conf etc/sssd/conf.d/*.conf",
    ),
];
