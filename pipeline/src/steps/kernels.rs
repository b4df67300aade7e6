//! The kernels that are built from Debian's source.

use crate::step::Step;

pub(super) fn steps() -> Vec<Step> {
    vec![
        kernel(
            "vm",
            &["base", "hardening", "vm", "disks", "slots", "network"],
        ),
        kernel(
            "metal",
            &[
                "base",
                "hardening",
                "vm",
                "disks",
                "slots",
                "network",
                "metal",
            ],
        ),
    ]
}

/// bzImage, `.config`, `modules.builtin` and `modules.builtin.modinfo`.
fn kernel(profile: &str, fragments: &[&str]) -> Step {
    let line =
        r#"cp "$(dirname "$(kernel-config/build PROFILE)")"/{.config,bzImage,modules.*} {out}"#;
    Step::shell(
        &format!("kernel-{profile}"),
        &line.replace("PROFILE", profile),
    )
    .reads_code_of(
        fragments
            .iter()
            .map(|name| format!("kernel-config/{name}.config")),
    )
    .reads_code_of(["kernel-config/build", "kernel-config/verify"])
    .reads(["kernel-config/sources.sha256"])
    .uses_packages("linux-source-6.12")
    .asks(["gcc --version | head -n 1"])
    .wants_mib(3000)
}
