//! Programs: ours, which cargo builds, and those of others, static with musl.

use crate::step::Step;

pub(super) fn steps() -> Vec<Step> {
    vec![programs(), mke2fs(), supplicant()]
}

/// init, slot-init, spk-visor and the demo system's daemon, static.
fn programs() -> Step {
    Step::shell(
        "programs",
        "target=x86_64-unknown-linux-musl; \
         cargo build --locked --release --target $target \
             -p init -p slot -p spk-visor -p smechvisor-daemon; \
         cd ${CARGO_TARGET_DIR:-target}/$target/release; \
         cp init slot-init spk-visor smechvisor-daemon {out}",
    )
    .asked_each_time()
}

/// mke2fs and e2fsck.
fn mke2fs() -> Step {
    Step::new("mke2fs", ["mkinitramfs/mke2fs-build", "{out}", "{work}"])
        .reads_code_of(["mkinitramfs/mke2fs-build", "mkinitramfs/mke2fs.conf"])
        .asks([
            "apt-cache show --no-all-versions e2fsprogs | sed -n 's/^Version: //p' | head -n 1",
            "gcc --version | head -n 1",
        ])
        .uses_packages("musl-dev")
        .wants_mib(200)
}

/// The Wi-Fi supplicant.
fn supplicant() -> Step {
    Step::new("supplicant", ["mkinitramfs/wpa-build", "{out}", "{work}"])
        .reads_code_of(["mkinitramfs/wpa-build", "mkinitramfs/wpa.config"])
        .reads(["mkinitramfs/wolfcrypt.h"])
        .asks([
            "apt-cache show --no-all-versions wpasupplicant libnl-3-dev libwolfssl-dev \
             | sed -n 's/^Version: //p'",
            "gcc --version | head -n 1",
        ])
        .uses_packages("musl-dev")
        .wants_mib(500)
}
