use super::{BiosBoot, CORE_MAX, GrubError};
use crate::fakes::grub_images::{boot_img, core_img};

#[test]
fn exactly_the_addresses_change() {
    let (boot, core) = (boot_img(), core_img(70_001));
    let ready = BiosBoot::new(&boot, &core, 34, 2014).unwrap();
    let mut mbr = vec![0; 512];
    mbr[0x1B8..0x1FE].fill(0x77);
    let lba0 = ready.lba0(&mbr);
    for at in 0..512 {
        let expected = match at {
            0x5C => 34,
            0x5D..0x64 => 0,
            0x66 | 0x67 => 0x90,
            0x1B8..0x1FE => 0x77,
            _ => boot[at],
        };
        assert_eq!(lba0[at], expected, "byte {at:#x}");
    }
    assert_eq!(ready.core().len(), 137 * 512);
    assert_eq!(ready.core()[0x1F4..0x1FC], 35_u64.to_le_bytes());
    assert_eq!(ready.core()[..0x1F4], core[..0x1F4]);
    assert_eq!(ready.core()[0x1FC..70_001], core[0x1FC..]);
    assert!(ready.core()[70_001..].iter().all(|&byte| byte == 0));
}

#[test]
fn images_that_are_not_grubs_are_refused() {
    let (boot, core) = (boot_img(), core_img(70_000));
    let error = |boot: &[u8], core: &[u8]| BiosBoot::new(boot, core, 34, 2014).unwrap_err();
    assert_eq!(error(&boot[..511], &core), GrubError::BootSize { len: 511 });
    for offset in [0x5A, 0x5B, 0x66, 0x1FE, 0x1FF] {
        let mut bad = boot.clone();
        bad[offset] ^= 1;
        assert!(
            matches!(error(&bad, &core), GrubError::BootMagic { .. }),
            "{offset:#x}"
        );
    }
    for offset in [0x1F0, 0x1FC, 0x1FD, 0x1FE, 0x1FF] {
        let mut bad = core.clone();
        bad[offset] ^= 1;
        assert!(
            matches!(error(&boot, &bad), GrubError::CoreMagic { .. }),
            "{offset:#x}"
        );
    }
    assert_eq!(error(&boot, &core[..512]), GrubError::CoreSize { len: 512 });
    assert_eq!(
        error(&boot, &vec![0; CORE_MAX + 1]),
        GrubError::CoreSize { len: CORE_MAX + 1 }
    );
    assert!(
        matches!(error(&boot, &core[..60_000]), GrubError::CoreMagic { .. }),
        "truncated"
    );
    let text = BiosBoot::new(&boot, &core, 34, 136)
        .unwrap_err()
        .to_string();
    assert_eq!(
        text,
        "core.img takes 137 sectors; the BIOS boot partition has 136"
    );
}
