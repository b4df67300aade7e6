//! The table of what is left out of every package, and why. Gathered from what distributions, cloud
//! images and the services' own manuals say must not be cloned; a line that is missing here is an
//! `--exclude` there, a line too many a `--keep`.

use super::Verdict::{self, Keep, Leave, LeaveFiles, LeaveIf, Mention};
use super::Why;

const VPN: &str = "a key of this machine in an overlay network";
const AGENT: &str = "this machine's registration with a management or monitoring service";
const CLUSTER: &str = "this machine's membership in a cluster";
const SEED: &str = "a random seed: the same one twice gives the same numbers twice";
const LEASE: &str = "addresses that were given to this machine";
const DIRECTORY_SERVICE: &str = "this machine's account in a directory service";
const WIREGUARD_WORDS: &[&str] = &["PrivateKey", "private-key", "wireguard"];

/// The first pattern that matches decides. Patterns stand between blanks and all begin at the root.
pub const TABLE: &[(Verdict, &str)] = &[
    // Answers that were given to packages, not a cache in spite of its place (debconf(7)).
    (Keep, "var/cache/debconf/*.dat"),
    (
        Leave(Why::Identity, "systemd makes the copy its own"),
        "etc/machine-id var/lib/dbus/machine-id",
    ),
    (
        Leave(
            Why::Identity,
            "each machine has its own; the report says at /etc/ssh what makes those of the copy",
        ),
        "etc/ssh/ssh_host_*",
    ),
    (
        Leave(
            Why::Identity,
            "each machine has its own; the copy's server must make new ones when it starts",
        ),
        "etc/dropbear/dropbear_*_host_key etc/dropbear/*/dropbear_*_host_key \
         etc/tinyssh/sshkeydir/** etc/dropbear-initramfs/dropbear_*_host_key \
         etc/initramfs-tools/etc/dropbear/dropbear_*_host_key",
    ),
    (
        Leave(Why::Identity, SEED),
        "var/lib/systemd/random-seed var/lib/random-seed var/lib/urandom/random-seed var/lib/misc/random-seed \
         var/lib/seedrng/** etc/random-seed boot/loader/random-seed boot/random-seed",
    ),
    (
        Leave(
            Why::Identity,
            "seals secrets to this machine; what it sealed must be sealed again",
        ),
        "var/lib/systemd/credential.secret var/lib/systemd/tpm2-srk-public-key.* var/lib/systemd/pcrlock.json \
         var/lib/systemd/pcrlock.d/** var/lib/tpm/** var/lib/tpm2-tss/system/**",
    ),
    (
        LeaveFiles(Why::Identity, LEASE),
        "var/lib/dhcp/** var/lib/dhclient/** var/lib/dhcp3/** var/lib/dhcpcd/** var/db/dhcpcd/** etc/dhcpcd.duid \
         etc/dhcpcd.secret var/lib/dhcpcd5/** var/lib/systemd/network/** var/lib/wicked/** var/lib/udhcpc/** \
         var/lib/NetworkManager/*.lease var/lib/NetworkManager/*.conf var/lib/NetworkManager/timestamps \
         var/lib/NetworkManager/secret_key var/lib/NetworkManager/seen-bssids var/lib/NetworkManager/dhcp*-*",
    ),
    (
        Leave(Why::Identity, VPN),
        "var/lib/tailscale/** var/lib/zerotier-one/identity.* var/lib/zerotier-one/authtoken.secret \
         var/lib/zerotier-one/peers.d/** etc/wireguard/** etc/nebula/**/*.key etc/nebula/**/*.crt var/lib/netbird/** \
         etc/netbird/** etc/tinc/**/*.priv etc/yggdrasil.conf etc/yggdrasil/** etc/cjdroute.conf etc/innernet/** \
         var/lib/innernet/** etc/openvpn/**/*.key etc/openvpn/**/*.p12 etc/ipsec.secrets etc/ipsec.d/private/** \
         etc/swanctl/private/** etc/swanctl/rsa/** etc/swanctl/ecdsa/** etc/swanctl/pkcs8/** etc/cloudflared/*.json \
         root/.cloudflared/*.json var/lib/nordvpn/** opt/cloudflare-warp/** var/lib/cloudflare-warp/** \
         etc/netmaker/** etc/netclient/** etc/fastd/**/secret.conf var/lib/headscale/*private.key var/lib/tor/keys/** \
         var/lib/tor/**/hs_ed25519_secret_key var/lib/i2pd/*.keys var/lib/i2pd/*.dat home/*/.config/syncthing/*.pem \
         home/*/.local/state/syncthing/*.pem var/lib/syncthing/**/key.pem var/lib/syncthing/**/cert.pem \
         root/.config/syncthing/*.pem root/.local/state/syncthing/*.pem var/lib/ipfs/config",
    ),
    (
        LeaveIf(
            &["macaddress", "hwaddress", "wireguard"],
            Why::Identity,
            "written by cloud-init for this machine's network card; written again on the copy",
        ),
        "etc/netplan/50-cloud-init.yaml etc/netplan/90-*.yaml etc/network/interfaces.d/50-cloud-init*",
    ),
    (
        LeaveIf(WIREGUARD_WORDS, Why::Identity, VPN),
        "etc/systemd/network/**/*.netdev etc/NetworkManager/system-connections/* etc/netplan/*.yaml \
         etc/network/interfaces.d/*",
    ),
    (
        Leave(
            Why::Identity,
            "this instance in the eyes of its cloud: the copy is another one",
        ),
        "var/lib/cloud/** var/lib/waagent/** var/lib/amazon/ssm/** etc/amazon/ssm/seelog.xml.registration \
         etc/instance_id etc/boto.cfg var/lib/google/** etc/udev/rules.d/*cloud-init*",
    ),
    (
        Leave(Why::Identity, DIRECTORY_SERVICE),
        "etc/krb5.keytab var/lib/samba/private/secrets.* var/lib/samba/private/*.keytab var/lib/sss/secrets/** \
         var/lib/sss/db/** var/lib/sss/mc/** var/lib/pbis/** etc/opt/quest/vas/*.keytab etc/ipa/nssdb/** \
         var/lib/ipa-client/** var/lib/certmonger/**",
    ),
    (
        Leave(Why::Identity, AGENT),
        "var/lib/puppet/ssl/** etc/puppetlabs/puppet/ssl/** etc/puppet/ssl/** etc/salt/minion_id \
         etc/salt/pki/minion/** etc/chef/client.pem etc/cinc/client.pem var/lib/landscape/client/** \
         var/lib/ubuntu-advantage/private/** etc/pki/consumer/** etc/pki/entitlement/** etc/sysconfig/rhn/systemid \
         etc/insights-client/machine-id etc/insights-client/.registered etc/zypp/credentials.d/** \
         etc/popularity-contest.conf var/lib/whoopsie/whoopsie-id var/lib/snapd/device/** var/ossec/etc/client.keys \
         opt/CrowdStrike/falconstore* etc/qualys/hostid var/lib/netdata/registry/** var/lib/netdata/cloud.d/** \
         var/osquery/** var/lib/osquery/** opt/Elastic/Agent/fleet.enc* var/lib/teleport/host_uuid \
         var/lib/teleport/proc/** var/opt/BESClient/__BESData/__Global/Keys/** etc/fleet/*.secret \
         opt/teamviewer/config/** etc/teamviewer/** etc/anydesk/** var/lib/rustdesk/** opt/gitlab-runner/config.toml \
         etc/gitlab-runner/config.toml var/lib/forgejo-runner/.runner etc/datadog-agent/auth_token \
         etc/datadog-agent/install.json",
    ),
    (
        Leave(Why::Identity, CLUSTER),
        "var/lib/kubelet/** etc/kubernetes/kubelet.conf etc/kubernetes/bootstrap-kubelet.conf etc/kubernetes/pki/** \
         var/lib/etcd/** var/lib/rancher/k3s/agent/*.key var/lib/rancher/k3s/agent/*.crt etc/rancher/node/** \
         var/lib/rancher/k3s/server/db/** var/lib/consul/** opt/consul/data/** var/lib/nomad/client/client-id \
         var/lib/nomad/client/secret-id var/lib/nomad/client/state.db opt/nomad/data/client/*-id \
         var/lib/docker/swarm/** etc/docker/key.json var/lib/corosync/** etc/corosync/authkey var/lib/pacemaker/** \
         var/lib/glusterd/glusterd.info var/lib/ceph/**/keyring var/lib/mysql/auto.cnf var/lib/mysql/grastate.dat \
         var/lib/zookeeper/myid var/lib/rabbitmq/.erlang.cookie var/lib/rabbitmq/mnesia/** var/lib/pve-cluster/** \
         var/lib/cassandra/data/system/local-*/** var/lib/kafka/**/meta.properties",
    ),
    (
        Leave(
            Why::Identity,
            "the name under which storage knows this machine: two of that name write over each other",
        ),
        "etc/iscsi/initiatorname.iscsi var/lib/iscsi/** etc/iscsi/nodes/** etc/iscsi/send_targets/** \
         etc/iscsi/static/** etc/iscsi/isns/** etc/nvme/hostnqn etc/nvme/hostid etc/hostid",
    ),
    (
        Leave(
            Why::Hardware,
            "names network cards, disks or adapters of this machine",
        ),
        "etc/udev/rules.d/*-persistent-*.rules etc/udev/rules.d/*-net-setup-link.rules \
         etc/systemd/network/*-persistent-*.link etc/lvm/devices/** etc/lvm/backup/** etc/lvm/archive/** \
         etc/lvm/cache/** etc/multipath/wwids etc/multipath/bindings var/lib/bluetooth/** \
         var/lib/systemd/backlight/** var/lib/systemd/rfkill/** etc/blkid.tab* var/lib/alsa/asound.state \
         etc/zfs/zpool.cache",
    ),
    (
        LeaveFiles(
            Why::Queue,
            "waiting to be sent or done: two machines would do it twice",
        ),
        "var/spool/postfix/active/** var/spool/postfix/bounce/** var/spool/postfix/corrupt/** \
         var/spool/postfix/defer/** var/spool/postfix/deferred/** var/spool/postfix/flush/** \
         var/spool/postfix/hold/** var/spool/postfix/incoming/** var/spool/postfix/maildrop/** \
         var/spool/postfix/saved/** var/spool/postfix/trace/** var/spool/exim4/** var/spool/mqueue/** \
         var/spool/clientmqueue/** var/spool/nullmailer/queue/** var/spool/dma/** var/spool/cups/** \
         var/spool/rsyslog/** var/spool/bacula/**",
    ),
    (
        Leave(Why::Log, "the journal of another machine-id"),
        "var/log/journal/* var/log/journal/**",
    ),
    (
        LeaveFiles(Why::Log, "what happened on this machine"),
        "var/log/** var/account/** var/lib/logrotate/status var/lib/logrotate.status",
    ),
    (
        LeaveFiles(Why::Log, "crash dumps hold this machine's memory"),
        "var/crash/** var/lib/systemd/coredump/** var/lib/systemd/pstore/** var/lib/kdump/** \
         var/lib/apport/coredump/** var/spool/abrt/**",
    ),
    (
        LeaveFiles(Why::Cache, "made again when it is needed"),
        "var/cache/**",
    ),
    (
        Leave(Why::Cache, "made again when it is needed"),
        "home/*/.cache/** root/.cache/**",
    ),
    (
        Leave(Why::Temporary, "temporary"),
        "tmp/** var/tmp/** run/** var/run/** var/lock/** dev/shm/** dev/mqueue/** dev/pts/**",
    ),
    (
        Leave(Why::Temporary, "of this boot"),
        "forcefsck fastboot .autorelabel",
    ),
    (Leave(Why::Pseudo, "made by the kernel"), "proc/** sys/**"),
    (
        Leave(
            Why::Pseudo,
            "the target makes an EFI system partition of its own",
        ),
        "boot/efi/**",
    ),
    (
        Leave(Why::Own, "packages are made on each node"),
        "var/lib/spk-visor/**",
    ),
    (
        Mention("the copy has the same host name until you change it"),
        "etc/hostname",
    ),
];
