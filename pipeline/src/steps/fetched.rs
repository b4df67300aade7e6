//! What Debian has built, of later versions than this machine's.

use crate::step::Step;

pub(super) fn steps() -> Vec<Step> {
    vec![
        // vmlinuz, `root/lib/modules/RELEASE`, and `modules`, a link to that.
        fetched("debian-kernel", "mkinitramfs/debian-kernel").wants_mib(1500),
        // qemu-system-x86_64, with what it loads in `root/`.
        fetched("newer-qemu", "qemu/newer").wants_mib(500),
    ]
}

/// Fetched once for a release of Debian; `--from` fetches the newest.
fn fetched(name: &str, script: &str) -> Step {
    Step::new(name, [script, "{out}", "{work}"])
        .reads_code_of([script, "mkinitramfs/debian-fetch"])
        .asks([". /etc/os-release && echo $VERSION_CODENAME"])
}
