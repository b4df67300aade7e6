//! Names that two crates must agree on, and that no format of its own has: a medium's label, the
//! files by which an image is configured, the watchdogs that outlive a kernel.

/// The volume label of a medium that a Deploy Shim boots from. By it the shim knows the medium it
/// came from, and leaves it alone (`disk-gate.md` 4).
pub const SHIM_LABEL: &str = "SMECHVISOR_SHIM";

/// Where an image holds what `spk-visor media` was given about who may install what.
pub const CONFIG_DIRECTORY: &str = "/etc/smv";
/// There: the target's private key and the donor's public one (`protocol.md` 3.1).
pub const PINNED_FILE: &str = "pinned";
/// There: public keys of minisign in base64, one on a line (`protocol.md` 4.3).
pub const TRUST_FILE: &str = "trust";
/// There: the lowest counter that a manifest may have, in decimal (`protocol.md` 4.3).
pub const FLOOR_FILE: &str = "floor";

/// Timers in chipsets that count on without a kernel: what each calls itself in
/// `/sys/class/watchdog/*/identity`, and its driver's module. PID 1 starts one only for an
/// installed system that has the driver (`boot.md` 6).
pub const WATCHDOG_TIMERS: [(&str, &str); 4] = [
    ("i6300ESB timer", "i6300esb"),
    ("iTCO_wdt", "iTCO_wdt"),
    ("SP5100 TCO timer", "sp5100_tco"),
    ("wdat_wdt", "wdat_wdt"),
];
