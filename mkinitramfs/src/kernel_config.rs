//! The configuration of a distribution's kernel (`/boot/config-RELEASE`) in; what it lacks for a
//! slot out.

/// What the kernel of a slot needs, and what it does with it. All but the first two may be modules.
const OPTIONS: [(&str, bool); 9] = [
    // Unpacks the initramfs, which is packed with zstd.
    ("BLK_DEV_INITRD", false),
    ("RD_ZSTD", false),
    // Cuts root and hash tree out of the slot, and checks every block.
    ("BLK_DEV_DM", true),
    ("DM_VERITY", true),
    ("CRYPTO_SHA256", true),
    // The root.
    ("SQUASHFS", true),
    ("SQUASHFS_ZSTD", false),
    // /etc, and the state partition.
    ("OVERLAY_FS", true),
    ("EXT4_FS", true),
];

/// Options that the configuration lacks, as it would name them. An option that is a module does
/// where there are modules.
#[must_use]
pub fn lacking(config: &str, has_modules: bool) -> Vec<String> {
    let value = |option: &str| {
        config.lines().find_map(|line| {
            let rest = line.strip_prefix("CONFIG_")?.strip_prefix(option)?;
            rest.strip_prefix('=')
        })
    };
    let is_there = |(option, may_be_module): &(&str, bool)| match value(option) {
        Some("y") => true,
        Some("m") => *may_be_module && has_modules,
        _ => false,
    };
    let lacking = OPTIONS.iter().filter(|option| !is_there(option));
    lacking
        .map(|(option, _)| format!("CONFIG_{option}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::lacking;

    /// The lines of Debian 12 for these options.
    const DEBIAN: &str = "CONFIG_BLK_DEV_INITRD=y\nCONFIG_RD_ZSTD=y\nCONFIG_BLK_DEV_DM=m\n\
        CONFIG_DM_VERITY=m\nCONFIG_DM_VERITY_FEC=y\nCONFIG_CRYPTO_SHA256=m\nCONFIG_SQUASHFS=m\n\
        CONFIG_SQUASHFS_ZSTD=y\nCONFIG_OVERLAY_FS=m\nCONFIG_EXT4_FS=m\n";

    #[test]
    fn modules_do_where_there_are_modules() {
        assert_eq!(lacking(DEBIAN, true), Vec::<String>::new());
        let lacking = lacking(DEBIAN, false);
        assert_eq!(lacking.len(), 6, "{lacking:?}");
        assert!(lacking.contains(&"CONFIG_DM_VERITY".to_owned()));
    }

    #[test]
    fn each_option_is_missed() {
        for line in DEBIAN.lines().filter(|line| !line.contains("FEC")) {
            let (option, _) = line.split_once('=').unwrap();
            let without = DEBIAN.replace(&format!("{line}\n"), "");
            assert_eq!(lacking(&without, true), [option]);
            let off = DEBIAN.replace(line, &format!("# {option} is not set"));
            assert_eq!(lacking(&off, true), [option]);
        }
        let module = DEBIAN.replace("RD_ZSTD=y", "RD_ZSTD=m");
        assert_eq!(lacking(&module, true), ["CONFIG_RD_ZSTD"]);
        assert_eq!(lacking("", true).len(), 9);
    }
}
