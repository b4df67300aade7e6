use super::{HostKeys, Init, inittab, look, reset};
use crate::directory::Directory;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// A tree: `path=content`, `path->target` or `path/` each.
fn tree(entries: &[&str]) -> TempDir {
    let dir = TempDir::new().unwrap();
    let server = ["usr/bin/ssh-keygen=x", "etc/ssh/sshd_config="];
    for entry in entries.iter().chain(&server) {
        let (path, is_link, rest) = match (entry.split_once("->"), entry.split_once('=')) {
            (Some((path, target)), _) => (path, true, target),
            (None, Some((path, content))) => (path, false, content),
            (None, None) => {
                fs::create_dir_all(dir.path().join(entry)).unwrap();
                continue;
            }
        };
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if is_link {
            symlink(rest, path).unwrap();
        } else {
            fs::write(path, rest).unwrap();
        }
    }
    dir
}

fn with<T>(dir: &TempDir, use_it: impl FnOnce(Directory<'_>) -> T) -> T {
    let handle = fs::File::open(dir.path()).unwrap();
    use_it(Directory::new(handle.as_fd(), "in the test"))
}

const DEBIAN: &str = "id:2:initdefault:\nsi::sysinit:/etc/init.d/rcS\nl2:2:wait:/etc/init.d/rc 2\n";
const BUILDROOT: &str =
    "# /etc/inittab\n::sysinit:/bin/mount -t proc proc /proc\n::sysinit:/etc/init.d/rcS\n";

/// Each kind of system, as its distribution lays it out.
fn systems() -> Vec<(&'static str, TempDir, HostKeys)> {
    let sysvinit = [&format!("etc/inittab={DEBIAN}"), "sbin/init=elf"];
    let known = |init| HostKeys::FirstBoot(init);
    let openrc = Init::OpenRc("sbin/openrc-run");
    let unknown = HostKeys::Nobody(
        "its init system is not one of those known here (systemd, OpenRC, sysvinit, busybox)",
    );
    vec![
        (
            "Debian",
            tree(&[
                "lib->usr/lib",
                "sbin->usr/sbin",
                "usr/lib/systemd/systemd=x",
                "usr/sbin/init->/lib/systemd/systemd",
            ]),
            known(Init::Systemd),
        ),
        (
            "Debian with sysvinit, and systemd's package for its tools",
            tree(&[sysvinit[0], sysvinit[1], "lib/systemd/systemd=x"]),
            known(Init::Sysvinit),
        ),
        (
            "Devuan with OpenRC under sysvinit",
            tree(&[
                sysvinit[0],
                sysvinit[1],
                "sbin/openrc-run=x",
                "etc/runlevels/default/",
            ]),
            known(openrc),
        ),
        (
            "Alpine",
            tree(&[
                "bin/busybox=x",
                "sbin/init->/bin/busybox",
                "sbin/openrc-run=x",
                "etc/runlevels/default/",
                "etc/inittab=::sysinit:/sbin/openrc sysinit\n",
            ]),
            known(openrc),
        ),
        (
            "Buildroot",
            tree(&[
                "bin/busybox=x",
                "sbin/init->../bin/busybox",
                &format!("etc/inittab={BUILDROOT}"),
            ]),
            known(Init::Busybox),
        ),
        (
            "runit, with an inittab left over",
            tree(&[
                sysvinit[0],
                "lib/runit/runit-init=x",
                "sbin/init->/lib/runit/runit-init",
            ]),
            unknown,
        ),
        (
            "busybox with its built-in table",
            tree(&["bin/busybox=x", "sbin/init->/bin/busybox"]),
            unknown,
        ),
    ]
}

#[test]
fn every_init_system_is_known_by_what_the_tree_holds() {
    for (name, dir, expected) in systems() {
        assert_eq!(with(&dir, look).unwrap(), expected, "{name}");
    }
    let client = tree(&[]);
    fs::remove_file(client.path().join("etc/ssh/sshd_config")).unwrap();
    assert_eq!(with(&client, look).unwrap(), HostKeys::NotNeeded);
    let bare = tree(&["usr/sbin/sshd=x"]);
    fs::remove_file(bare.path().join("usr/bin/ssh-keygen")).unwrap();
    assert!(matches!(
        with(&bare, look).unwrap(),
        HostKeys::Nobody(reason) if reason.contains("ssh-keygen")
    ));
}

#[test]
fn every_known_system_gets_a_job_and_loses_the_packages_keys() {
    for (name, dir, expected) in systems() {
        let ssh = dir.path().join("etc/ssh");
        for key in [
            "ssh_host_rsa_key",
            "ssh_host_rsa_key.pub",
            "ssh_host_key_notes",
        ] {
            fs::write(ssh.join(key), "secret").unwrap();
        }
        let keys = with(&dir, |root| {
            reset(root).unwrap();
            reset(root).unwrap()
        });
        assert_eq!(keys, expected, "{name}");
        assert!(
            !ssh.join("ssh_host_rsa_key").exists() && !ssh.join("ssh_host_rsa_key.pub").exists()
        );
        assert!(ssh.join("ssh_host_key_notes").exists());
        let inittab = || fs::read_to_string(dir.path().join("etc/inittab")).unwrap_or_default();
        let job = match keys {
            HostKeys::FirstBoot(Init::Systemd) => {
                let wants = "etc/systemd/system/multi-user.target.wants";
                format!("{wants}/smechvisor-ssh-host-keys.service")
            }
            HostKeys::FirstBoot(Init::OpenRc(_)) => {
                let service = dir.path().join("etc/init.d/smechvisor-ssh-host-keys");
                assert_eq!(
                    fs::read_link(
                        dir.path()
                            .join("etc/runlevels/default/smechvisor-ssh-host-keys")
                    )
                    .unwrap(),
                    Path::new("/etc/init.d/smechvisor-ssh-host-keys")
                );
                assert_runnable(&service, "#!/sbin/openrc-run\n");
                "etc/init.d/smechvisor-ssh-host-keys".to_owned()
            }
            HostKeys::FirstBoot(Init::Sysvinit | Init::Busybox) => {
                assert_eq!(inittab().matches("ssh-host-keys").count(), 1, "{name}");
                assert_runnable(&dir.path().join(super::SCRIPT), "#!/bin/sh\n");
                super::SCRIPT.to_owned()
            }
            HostKeys::Nobody(_) | HostKeys::NotNeeded => {
                assert!(!inittab().contains("smechvisor"), "{name}");
                continue;
            }
        };
        let text = fs::read_to_string(dir.path().join(job)).unwrap();
        assert!(text.contains("/usr/bin/ssh-keygen -A\n"), "{name}: {text}");
    }
}

/// Sockets come after `sysinit.target`, and what has default dependencies after the sockets.
#[test]
fn systemd_makes_the_keys_before_any_socket_and_without_a_cycle() {
    let values = |key| {
        let mut lines = super::UNIT_TEXT.lines();
        let value = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        value.unwrap_or_default().split(' ').collect::<Vec<_>>()
    };
    assert_eq!(values("DefaultDependencies"), ["no"]);
    assert_eq!(values("Before"), ["sysinit.target", "shutdown.target"]);
    assert_eq!(values("Conflicts"), ["shutdown.target"]);
    assert!(
        values("After").contains(&"local-fs.target"),
        "/etc is writable"
    );
}

/// Executable, and the shell understands it.
fn assert_runnable(script: &Path, first_line: &str) {
    let mode = fs::metadata(script).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o755);
    assert!(fs::read_to_string(script).unwrap().starts_with(first_line));
    let checked = Command::new("sh").arg("-n").arg(script).status().unwrap();
    assert!(checked.success());
}

#[test]
fn the_line_stands_where_it_runs_before_the_server() {
    let sysvinit =
        String::from_utf8(inittab(DEBIAN.trim_end().as_bytes(), Init::Sysvinit)).unwrap();
    let line = "smvk::bootwait:/usr/lib/smechvisor/ssh-host-keys\n";
    assert_eq!(sysvinit, format!("{DEBIAN}{line}"));
    let busybox = String::from_utf8(inittab(BUILDROOT.as_bytes(), Init::Busybox)).unwrap();
    let line = "::sysinit:/usr/lib/smechvisor/ssh-host-keys\n";
    assert_eq!(
        busybox,
        BUILDROOT.replacen("::sysinit", &format!("{line}::sysinit"), 1)
    );
    for (table, init) in [(sysvinit, Init::Sysvinit), (busybox, Init::Busybox)] {
        assert_eq!(inittab(table.as_bytes(), init), table.as_bytes(), "twice");
    }
}
