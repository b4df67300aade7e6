//! A daemon that a node's own init holds: its version changes while requests come in, one that
//! fails is taken back, and what the daemon has started goes on.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::actors::node::must_exit;
use crate::actors::releases::{bundle_disk, daemon};
use crate::error::{Doing, Result};
use crate::lab::Lab;
use crate::machine::DiskSpec;
use crate::machine::running::Running;

/// Of `/var/lib/smv/daemon`.
const NAME: &str = "web";
const SERVICE: &str = "smechvisor-service 1\nprogram bin/d\nuser root\n\
                       listen http tcp 0.0.0.0:8081\nready notify\n\
                       health http://127.0.0.1:8081/health\nselftest -\nmode queue\nend\n";
/// What each version does before it serves; the first one starts what a virtual machine would be.
const VERSIONS: [&str; 3] = [
    "sleep 100000 3<&- </dev/null >/dev/null 2>&1 &\necho $! >/run/web.child",
    "",
    "exit 3",
];
const CHILD_RUNS: &str = "kill -0 $(cat /run/web.child)";

/// How an init is asked for it.
pub(super) struct Init {
    /// Has the daemon held, now and at each boot.
    pub hold: &'static str,
    /// Ends the one that holds it, and starts another one.
    pub restart: &'static str,
    /// Prints what the daemon answers.
    pub ask: &'static str,
}

pub(super) const BUSYBOX: Init = Init {
    hold: "echo '::respawn:/usr/bin/spk-visor hold web' >>/etc/inittab && kill -HUP 1",
    restart: "kill $(pidof spk-visor)",
    ask: "wget -qO- http://127.0.0.1:8081/health",
};

/// Three versions, each on a disk of its own, as a bundle that begins with the disk.
///
/// # Errors
/// A tool is missing or failed.
pub(super) fn bundles(lab: &Lab) -> Result<Vec<DiskSpec>> {
    let program = daemon(lab)?;
    fs::write("SERVICE", SERVICE).doing("writing", "SERVICE")?;
    let versions = (1..).zip(VERSIONS);
    versions
        .map(|(counter, begins)| bundle(lab, &program, counter, begins))
        .collect()
}

fn bundle(lab: &Lab, program: &Path, counter: u32, begins: &str) -> Result<DiskSpec> {
    let name = format!("{NAME}-{counter}");
    let bin = Path::new(&name).join("bin");
    fs::create_dir_all(&bin).doing("making", bin.display())?;
    fs::copy(program, bin.join("daemon")).doing("copying", program.display())?;
    let script = format!("#!/bin/sh\n{begins}\nexec \"${{0%/*}}/daemon\" --release {counter}\n");
    let path = bin.join("d");
    fs::write(&path, script).doing("writing", path.display())?;
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(&path, mode).doing("making executable", path.display())?;
    let counter = counter.to_string();
    let what = ["--role", "daemon", "--name", NAME, "--counter", &counter];
    bundle_disk(lab, &name, &[&what[..], &["--service", "SERVICE"]].concat())
}

/// Waits until this version answers.
fn answers(target: &mut Running, init: &Init, counter: u32) -> Result<()> {
    let ask = init.ask;
    let wait = format!("until {ask} | grep -q '\"version\":\"{counter}\"'; do sleep 1; done");
    must_exit(target, &wait, 0).map(drop)
}

/// The first version is held, the second one takes its place, and the third one does not, while
/// somebody asks all the time.
pub(super) fn swapped(target: &mut Running, init: &Init, disks: [&str; 3]) -> Result<()> {
    let [first, second, third] = disks.map(|disk| format!("spk-visor bundle apply {disk}"));
    let ask = init.ask;
    must_exit(target, &first, 0)?;
    must_exit(target, init.hold, 0)?;
    answers(target, init, 1)?;
    let asking = format!(
        "{{ (until [ -e /run/enough ]; do {ask} | grep -q version || echo >>/run/refused; \
         echo >>/run/asked; done) >/dev/null 2>&1 & }}"
    );
    must_exit(target, &asking, 0)?;
    must_exit(target, &second, 0)?;
    answers(target, init, 2)?;
    must_exit(target, &third, 17)?;
    answers(target, init, 2)?;
    must_exit(target, "touch /run/enough; wait; [ ! -e /run/refused ]", 0)?;
    must_exit(target, "[ $(wc -l </run/asked) -gt 20 ]", 0)?;
    must_exit(target, CHILD_RUNS, 0)?;
    must_exit(target, init.restart, 0)?;
    answers(target, init, 2)?;
    must_exit(target, CHILD_RUNS, 0).map(drop)
}
