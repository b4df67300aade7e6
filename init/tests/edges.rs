//! Who may depend on whom: the table of `HACKING.md`, compared with what cargo itself resolves.
//!
//! Host tools must never enter the image, and a stage of the data flow must not learn about its neighbours' neighbours.

// Helpers of a test outside `mod tests`, which clippy takes for shipped code.
#![allow(clippy::expect_used)]

use std::collections::BTreeSet;
use std::process::Command;

/// Each crate of the workspace and the crates of the workspace it may use, in the order bytes take.
const MAY_USE: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("modules", &[]),
    ("sys", &[]),
    ("session", &["wire"]),
    ("netstack", &["wire", "sys"]),
    ("bundle", &["wire"]),
    ("disk", &["wire"]),
    ("install", &["wire", "bundle", "disk"]),
    (
        "receiver",
        &["wire", "sys", "session", "bundle", "disk", "install"],
    ),
    ("wifi", &[]),
    ("wizard", &["wire", "disk", "receiver", "wifi"]),
    (
        "init",
        &[
            "wire", "modules", "sys", "session", "netstack", "bundle", "disk", "install",
            "receiver", "wifi", "wizard",
        ],
    ),
    (
        "spk-visor",
        &[
            "wire", "sys", "session", "bundle", "disk", "install", "receiver", "wifi", "wizard",
        ],
    ),
    ("mkinitramfs", &["wire", "modules", "session", "wifi"]),
    ("qemu", &["wire"]),
    (
        "benchmarks",
        &["wire", "sys", "session", "netstack", "bundle", "init"],
    ),
    ("smechvisor-daemon", &[]),
];

/// What `cargo tree` prints for the given arguments, one line per package.
fn cargo_tree(arguments: &[&str]) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--locked",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ])
        .args(arguments)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("cargo tree starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout)
        .expect("cargo tree prints UTF-8")
        .lines()
        .map(str::to_owned)
        .collect()
}

/// The names of the packages that lie in this workspace: cargo prints their path behind them.
fn workspace_names(lines: &[String]) -> BTreeSet<String> {
    lines
        .iter()
        .filter(|line| line.contains(" (/"))
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .collect()
}

#[test]
fn every_crate_is_in_the_table() {
    let members = workspace_names(&cargo_tree(&["--workspace", "--depth", "0"]));
    let table = MAY_USE.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(members, table);
}

#[test]
fn no_crate_uses_more_of_the_workspace_than_the_table_allows() {
    for (name, allowed) in MAY_USE {
        let mut used = workspace_names(&cargo_tree(&[
            "-p",
            name,
            "--depth",
            "1",
            "--edges",
            "normal,build",
        ]));
        used.remove(*name);
        let excess: Vec<_> = used
            .iter()
            .filter(|used| !allowed.contains(&used.as_str()))
            .collect();
        assert!(excess.is_empty(), "{name} must not use {excess:?}");
    }
}
