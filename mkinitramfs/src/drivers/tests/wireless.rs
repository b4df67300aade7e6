//! Modules of wireless cards, besides an image's own.

use super::{RELEASE, carried, kernel, text, words};
use crate::drivers::{Choice, Directory, Drivers, DriversError};
use crate::modinfo::tests::module;
use crate::test_dir::TestDir;
use crate::tree::Tree;

/// The kernel of the other tests, with two wireless cards, an imitation of one, and what they ask
/// for by name.
fn wireless_kernel(name: &str) -> TestDir {
    let dir = kernel(name);
    let append = |table: &str, more: &str| {
        let before = std::fs::read_to_string(dir.path().join(table)).unwrap();
        dir.write(table, format!("{before}{more}").as_bytes());
    };
    let vermagic = format!("vermagic={RELEASE} SMP preempt mod_unload modversions ");
    let mut dep = String::new();
    for (path, needs) in [
        ("net/wireless/cfg80211", ""),
        ("net/mac80211/mac80211", "kernel/net/wireless/cfg80211.ko"),
        ("crypto/ccm", ""),
        ("crypto/cmac", ""),
        ("crypto/gcm", ""),
        ("crypto/ghash-generic", ""),
        ("drivers/net/wireless/ath/ath", ""),
        (
            "drivers/net/wireless/ath/ath9k",
            "kernel/net/mac80211/mac80211.ko kernel/net/wireless/cfg80211.ko",
        ),
        (
            "drivers/net/wireless/intel/iwlwifi/iwlwifi",
            "kernel/net/wireless/cfg80211.ko",
        ),
        (
            "drivers/net/wireless/intel/iwlwifi/mvm/iwlmvm",
            "kernel/drivers/net/wireless/intel/iwlwifi/iwlwifi.ko \
             kernel/net/mac80211/mac80211.ko kernel/net/wireless/cfg80211.ko",
        ),
        (
            "drivers/net/wireless/virtual/mac80211_hwsim",
            "kernel/net/mac80211/mac80211.ko kernel/net/wireless/cfg80211.ko",
        ),
    ] {
        let firmware = format!("firmware={}.fw", path.rsplit('/').next().unwrap());
        dir.write(
            &format!("kernel/{path}.ko"),
            &module(&[&vermagic, &firmware]),
        );
        dep += &format!("kernel/{path}.ko: {needs}\n");
    }
    append("modules.dep", &dep);
    append(
        "modules.alias",
        "alias pci:v0000168Cd0000002Asv*sd*bc*sc*i* ath9k\n\
         alias pci:v00008086d000024FDsv*sd*bc*sc*i* iwlwifi\n\
         alias virtio:d0000001Dv* mac80211_hwsim\n\
         alias crypto-ccm ccm\n",
    );
    dir
}

fn put_wireless(dir: &TestDir, image: &Choice) -> Result<(Tree, Drivers), DriversError> {
    let choice = Choice {
        is_wireless: true,
        ..image.clone()
    };
    let mut tree = Tree::default();
    let directory = Directory::read(dir.path())?;
    let drivers = directory.put_beside(Some(image), &choice, RELEASE, &mut tree)?;
    Ok((tree, drivers))
}

fn hostonly(modaliases: &[&str]) -> Choice {
    Choice {
        modaliases: Some(modaliases.iter().map(|&text| text.to_owned()).collect()),
        ..Choice::default()
    }
}

#[test]
fn an_image_has_no_wifi_unless_asked() {
    let dir = wireless_kernel("wireless-usual");
    let (tree, _) = super::put(&dir, &Choice::default()).unwrap();
    assert!(!carried(&tree).contains(&"cfg80211"), "{tree:?}");
}

#[test]
fn beside_an_image_lies_what_it_lacks_and_tables_of_both() {
    let dir = wireless_kernel("wireless-beside");
    let image = Choice::default();
    let (tree, drivers) = put_wireless(&dir, &image).unwrap();
    let expected = [
        "ccm",
        "cmac",
        "gcm",
        "ghash-generic",
        "ath9k",
        "iwlwifi",
        "iwlmvm",
        "mac80211",
        "cfg80211",
    ];
    assert_eq!(carried(&tree), expected);
    assert_eq!(drivers.count, expected.len());
    // The kernel's own are the image's.
    assert!(!drivers.firmware.contains("acme/rocket.bin"));
    assert!(drivers.firmware.contains("iwlwifi.fw"));
    let (alone, _) = super::put(&dir, &image).unwrap();
    for table in ["modules.dep", "modules.alias", "modules.softdep"] {
        let (both, image) = (text(&tree, table), text(&alone, table));
        for line in image.lines() {
            assert!(both.lines().any(|other| other == line), "{table}: {line}");
        }
    }
    assert!(text(&tree, "modules.alias").contains("alias crypto-ccm ccm"));
    assert_eq!(put_wireless(&dir, &image).unwrap().0, tree);
}

#[test]
fn a_card_that_is_chosen_comes_alone() {
    let dir = wireless_kernel("wireless-chosen");
    let (tree, _) = put_wireless(&dir, &words(&["mac80211_hwsim", "tg3"])).unwrap();
    // The image has the chosen modules, and these are the files that they ask for.
    assert_eq!(carried(&tree), ["ccm", "cmac", "gcm", "ghash-generic"]);
    let (tree, _) = put_wireless(&dir, &words(&["tg3"])).unwrap();
    assert!(carried(&tree).contains(&"ath9k"), "{tree:?}");
    let of_host = hostonly(&["pci:v00008086d000024FDsv00008086sd00000010bc02sc80i00"]);
    let (tree, _) = put_wireless(&dir, &of_host).unwrap();
    let expected = ["ccm", "cmac", "gcm", "ghash-generic", "iwlmvm", "mac80211"];
    assert_eq!(carried(&tree), expected);
}

#[test]
fn what_cannot_work_is_refused() {
    let dir = wireless_kernel("wireless-refused");
    let error = put_wireless(&dir, &hostonly(&[])).unwrap_err();
    assert!(matches!(error, DriversError::NoCard(_)), "{error}");
    let without = kernel("wireless-lacking");
    let error = put_wireless(&without, &Choice::default()).unwrap_err();
    assert!(
        matches!(
            error,
            DriversError::Lacking {
                name: "cfg80211",
                ..
            }
        ),
        "{error}"
    );
    // Built in, it is there with its drivers.
    without.write(
        "modules.builtin",
        b"kernel/net/packet/af_packet.ko\nkernel/net/wireless/cfg80211.ko\n",
    );
    let (tree, _) = put_wireless(&without, &Choice::default()).unwrap();
    assert!(tree.is_empty(), "{tree:?}");
}
