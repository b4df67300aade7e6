//! What a release holds besides media: the command as a Debian package and as a container image,
//! and what is said of its components. `./dist` puts them together.

use crate::step::Step;

pub(super) fn steps() -> Vec<Step> {
    vec![components(), deb(), oci()]
}

/// sbom.spdx.json, LICENCES.txt and SOURCES.txt. Cargo knows which crates are linked.
fn components() -> Step {
    dated(
        "components",
        [
            "release/components",
            "{version}",
            "{date}",
            "{out}",
            "{work}",
        ],
    )
    .asked_each_time()
}

/// spk-visor_VERSION_amd64.deb.
fn deb() -> Step {
    dated(
        "deb",
        [
            "release/deb",
            "{programs}/spk-visor",
            "{components}/LICENCES.txt",
            "{version}",
            "{date}",
            "{out}",
            "{work}",
        ],
    )
    .reads_code_of(["release/deb"])
    .reads(["release/debian"])
    .uses_packages("dpkg gzip")
}

/// `oci`, an image layout.
fn oci() -> Step {
    dated(
        "oci",
        [
            "release/oci",
            "{programs}/spk-visor",
            "{version}",
            "{date}",
            "{out}",
            "{work}",
        ],
    )
    .reads_code_of(["release/oci"])
    .uses_packages("tar")
}

/// A step whose output says which release it belongs to and of when that is.
fn dated<const N: usize>(name: &str, command: [&str; N]) -> Step {
    Step::new(name, command)
        .parameter("version", "0")
        .parameter("date", "0")
}
