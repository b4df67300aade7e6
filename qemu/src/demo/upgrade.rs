//! The demo of `entire-system-upgrade`: a node that is asked all the time changes its daemon, its
//! site and its system with one command, and the system is tried and kept.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::actors::node::{DEPLOY_WORDS, DISK_MIB, await_confirmed, log_in, must_exit};
use crate::actors::releases::{KEY, Maker, PUBLIC, Version};
use crate::actors::visitor::{Asked, Visitor};
use crate::artifacts::Artifacts;
use crate::error::{Doing, HarnessError, Result};
use crate::lab::{Lab, STEP};
use crate::machine::accel::Accel;
use crate::machine::running::Running;
use crate::machine::{DiskSpec, Firmware, Machine, Medium};
use crate::network::Dhcp;
use crate::process::run as run_program;

use super::update::{show_status, types};
use super::{Narrator, received, say_where};

/// Steps of [`run`].
const STEPS: u32 = 9;
/// What a server would serve, on a disk.
const PUBLISHED: &str = "published";
/// First versions of daemon and site.
const FIRST: &str = "first";
const PUBLISHED_MIB: u64 = 64;
const MOUNTED: &str = "/mnt";
const DAEMON_PORT: u16 = 8080;
const SITE_PORT: u16 = 8081;
const PAGE: &str = "/current/tree/index.html";
/// The longest that a client may wait while a daemon changes, in milliseconds.
const PAUSE_MAX_MS: u128 = 3000;

/// Runs it in the current directory and the current network namespace.
pub(super) fn run(firmware: Firmware, artifacts: Artifacts, accel: Accel) -> Result<()> {
    let mut narrator = Narrator::new(STEPS);
    narrator.step("a network of its own: bridge, DHCP server, nothing of it outside this demo");
    let mut lab = Lab::set_up(artifacts, accel, Dhcp::On)?;
    lab.live = true;

    narrator.step("a key, and what it signs: a system, a daemon and a site, in two versions each");
    let maker = Maker::new(&lab)?;
    let first = maker.release(&lab, &Version::healthy("v1", 1))?;
    narrator.note("1 of 3: the first system, which the donor sends");
    let published = published(&mut narrator, &lab, &maker)?;

    narrator.step(&format!(
        "a blank {firmware} machine starts from the CD ({}), which carries the public key; \
         smv.layout=ab asks for two slots",
        accel.name()
    ));
    lab.bake(&["--trust", PUBLIC])?;
    let medium = lab.cd(DEPLOY_WORDS)?;
    let node = lab.disk("node", DISK_MIB)?;
    let mut machine = lab.machine(firmware, vec![node], medium)?;
    machine.has_watchdog = true;
    let mut target = lab.start(&machine)?;
    let deployed = received(&mut narrator, &mut lab, &mut target, &first)?;
    target.await_power_off(STEP)?;

    narrator.step("it is switched on, with a disk that has what an update server would serve");
    machine.medium = Medium::None;
    machine.disks.push(published);
    let mut target = lab.start(&machine)?;
    log_in(&mut target, "a")?;
    serve(&mut narrator, &mut target)?;
    lab.health(&machine, STEP)?;

    let asked = upgraded(&mut narrator, &lab, &machine, &mut target)?;
    tried(&mut narrator, &lab, &machine, &mut target)?;
    target.quit()?;
    println!(
        "\nDone: one command changed the daemon, the site and the system of a {firmware} node."
    );
    println!("  daemon: {}", asked[0]);
    println!("  site: {}", asked[1]);
    println!(
        "  deploy: {:.1} s from the donor's start to a bootable disk; all: {:.1} s",
        deployed.as_secs_f64(),
        narrator.seconds()
    );
    say_where(&machine);
    Ok(())
}

/// A disk with the second versions as `publish` lays them out, and the first ones of daemon and
/// site beside them.
fn published(narrator: &mut Narrator, lab: &Lab, maker: &Maker) -> Result<DiskSpec> {
    let root = Path::new("unpacked");
    maker.unpack(root)?;
    let daemon = root.join("usr/sbin/smechvisor-daemon");
    make(FIRST)?;
    for version in [1, 2] {
        bundles(lab, &daemon, version)?;
    }
    narrator.note("2 of 3: daemon and site, as signed bundles");
    let second = maker.release(lab, &Version::healthy("v2", 2))?;
    let second = second.display().to_string();
    let bundles = ["daemon-2.smv", "site-2.smv"];
    lab.visor(&[
        "publish", PUBLISHED, &second, bundles[0], bundles[1], "--trust", PUBLIC,
    ])?;
    for name in ["daemon-1.smv", "site-1.smv"] {
        let to = Path::new(PUBLISHED).join(name);
        std::fs::rename(name, &to).doing("moving", to.display())?;
    }
    narrator.note("3 of 3: the second version of everything, published into one directory");
    let image = PathBuf::from("published.img");
    let file = std::fs::File::create(&image).doing("making", image.display())?;
    file.set_len(PUBLISHED_MIB << 20)
        .doing("making", image.display())?;
    let mut mke2fs = Command::new(&lab.artifacts.built()?.mke2fs);
    run_program(
        mke2fs
            .args(["-q", "-F", "-t", "ext4", "-d", PUBLISHED])
            .arg(&image),
    )?;
    Ok(DiskSpec::new(image, "SMV-published"))
}

fn make(directory: &str) -> Result<()> {
    std::fs::create_dir_all(directory).doing("making", directory)
}

/// The bundles of daemon and site in one version.
fn bundles(lab: &Lab, daemon: &Path, version: u32) -> Result<()> {
    let (bin, page) = (
        format!("daemon-{version}.d/bin"),
        format!("site-{version}.d"),
    );
    make(&bin)?;
    make(&page)?;
    let program = Path::new(&bin).join("smechvisord");
    std::fs::copy(daemon, &program).doing("copying", program.display())?;
    let index = Path::new(&page).join("index.html");
    std::fs::write(&index, format!("page {version}\n")).doing("writing", index.display())?;
    let service = format!("daemon-{version}.service");
    let text = format!(
        "smechvisor-service 1\nprogram bin/smechvisord\nargument --release\nargument {version}\n\
         user daemon\nlisten http tcp 0.0.0.0:{DAEMON_PORT}\nready notify\n\
         health http://127.0.0.1:{DAEMON_PORT}/health\nselftest -\nmode queue\nend\n"
    );
    std::fs::write(&service, text).doing("writing", &service)?;
    let counter = version.to_string();
    let common = ["--key", KEY, "--counter", &counter, "--version", &counter];
    let (file, tree) = (
        format!("daemon-{version}.smv"),
        format!("daemon-{version}.d"),
    );
    let own = [
        "--role",
        "daemon",
        "--name",
        "smechvisord",
        "--service",
        &service,
    ];
    lab.visor(&[&["bundle", "create", &file, &tree], &own[..], &common].concat())?;
    let (file, tree) = (format!("site-{version}.smv"), format!("site-{version}.d"));
    let own = ["--role", "site", "--name", "www"];
    lab.visor(&[&["bundle", "create", &file, &tree], &own[..], &common].concat())
        .map(drop)
}

/// The node gets its first daemon and site, and from now on looks for newer ones.
fn serve(narrator: &mut Narrator, target: &mut Running) -> Result<()> {
    types(target, &format!("mount -o ro /dev/vdb {MOUNTED}"), 0)?;
    for name in ["daemon-1.smv", "site-1.smv"] {
        types(
            target,
            &format!("spk-visor bundle apply {MOUNTED}/{name}"),
            0,
        )?;
    }
    narrator.note("its init holds the daemon's sockets, and a web server serves the site");
    let quietly = [
        "sed -i 's,^::respawn:/etc/init.d/daemon$,::respawn:/usr/bin/spk-visor hold smechvisord,' \
         /etc/inittab"
            .to_owned(),
        format!(
            "echo '::respawn:/usr/bin/busybox httpd -f -p {SITE_PORT} -h /var/lib/smv/site/www' \
             >>/etc/inittab"
        ),
        // Init may have ended it already.
        "kill -HUP 1; killall smechvisor-daemon 2>/dev/null; true".to_owned(),
        format!(
            "for role in os daemon site; do echo $role {MOUNTED}; done >/etc/smechvisor/source"
        ),
    ];
    for command in quietly {
        must_exit(target, &command, 0)?;
    }
    Ok(())
}

/// The plan, and then all of it, while both are asked without a pause.
fn upgraded(
    narrator: &mut Narrator,
    lab: &Lab,
    machine: &Machine,
    target: &mut Running,
) -> Result<[Asked; 2]> {
    narrator.step("what is newer, and what would be done");
    types(target, "spk-visor entire-system-upgrade --dry-run", 0)?;

    narrator.step(
        "the upgrade, while daemon and site are asked without a pause: the daemon is changed \
         while it serves, the site by one rename, the system goes into the other slot",
    );
    let visit = |port, path| Visitor::start(lab.address(machine)?, port, path);
    let visitors = [visit(DAEMON_PORT, "/health")?, visit(SITE_PORT, PAGE)?];
    let upgrade = types(target, "spk-visor entire-system-upgrade", 0);
    let asked = visitors.map(Visitor::end);
    upgrade?;
    for (who, asked) in ["daemon", "site"].into_iter().zip(&asked) {
        narrator.note(&format!("{who}: {asked}"));
        if asked.failed > 0 || asked.longest.as_millis() > PAUSE_MAX_MS {
            let expected = "every request answered within 3 s";
            return Err(HarnessError::unexpected(who, expected, asked.to_string()));
        }
    }
    Ok(asked)
}

/// The new system, and that daemon and site are the new ones in it, too.
fn tried(
    narrator: &mut Narrator,
    lab: &Lab,
    machine: &Machine,
    target: &mut Running,
) -> Result<()> {
    narrator.step("reboot: the new system runs on trial, and its own service judges it");
    target.console.send("reboot")?;
    log_in(target, "b")?;
    await_confirmed(target)?;
    narrator.note("confirmed: the second version boots from now on");

    narrator.step("daemon and site are those of the upgrade in the new system, too");
    let health = lab.health(machine, STEP)?;
    println!("  daemon  | {}", health.lines().last().unwrap_or_default());
    show_status(target)?;
    must_exit(target, &format!("mount -o ro /dev/vdb {MOUNTED}"), 0)?;
    types(target, "spk-visor entire-system-upgrade --check", 15).map(drop)
}
