//! GRUB's configuration of a disk with two slots: written at the deploy, never changed (`slot.md`
//! 4.2).
//!
//! The partition numbers of the slots come in, the text of `grub.cfg` goes out. It reads the boot
//! record, counts a trial, and starts a slot by the slot's own `boot.cfg`. What it decides is
//! [`wire::record::Copies::boot`] in GRUB's language: a scenario compares the two.

use wire::record::Slot;

/// Functions that read the record below `$smv_esp`, count a trial and set `smv_pick`, `smv_from`,
/// `smv_good`, `smv_trial` and `smv_left`.
///
/// `load_env` takes only the names that it is given, and a copy that misses one must not show that
/// of the other: hence all are emptied first. What `save_env` could not save shows when it is read
/// back: a trial that was not counted does not start.
pub const CHOOSE: &str = r#"function smv_read {
    smv_v=
    smv_good=
    smv_trial=
    smv_left=
    smv_end=
    load_env --skip-sig --file "$smv_esp/smechvisor/$1/env" \
        smv_v smv_good smv_trial smv_left smv_end
    if [ "$smv_v.$smv_end.$smv_good" = 1.1.a -o "$smv_v.$smv_end.$smv_good" = 1.1.b ]; then
        smv_from="$1"
    fi
}
function smv_count {
    smv_left="$1"
    save_env --file "$smv_esp/smechvisor/e2/env" smv_left
    if [ "$smv_from" = e1 ]; then
        save_env --file "$smv_esp/smechvisor/e1/env" smv_left
    fi
    smv_left=
    load_env --skip-sig --file "$smv_esp/smechvisor/$smv_from/env" smv_left
    if [ "$smv_left" = "$1" ]; then
        smv_pick="$smv_trial"
    fi
}
function smv_choose {
    smv_from=
    smv_read e1
    if [ -z "$smv_from" ]; then
        smv_read e2
    fi
    if [ -z "$smv_from" ]; then
        smv_good=a
        smv_trial=
    fi
    smv_pick="$smv_good"
    if [ "$smv_trial" = a -o "$smv_trial" = b ]; then
        if [ "$smv_left" = 3 ]; then
            smv_count 2
        elif [ "$smv_left" = 2 ]; then
            smv_count 1
        elif [ "$smv_left" = 1 ]; then
            smv_count 0
        fi
    fi
}
"#;

/// A machine without a serial port keeps its screen.
const TERMINALS: &str = "if serial --unit=0 --speed=115200; then
    terminal_input console serial
    terminal_output console serial
fi
";

/// The slots, and what a person reads of them. A trial that does not start leads to the good slot
/// in the same boot; when that does not start either, the machine tries again, for what could not
/// be read may be readable the next time. The slot that is neither waits for a person.
const MENU: &str = r#"if [ "$smv_pick" = a ]; then
    smv_other=b
else
    smv_other=a
fi
if [ -z "$smv_from" ]; then
    smv_says="no valid boot record"
    smv_other_says="no valid boot record"
    fallback=2
elif [ "$smv_pick" != "$smv_good" ]; then
    smv_says="on trial, boots left after this one: $smv_left"
    smv_other_says="confirmed"
    fallback="1 2"
elif [ "$smv_trial" = "$smv_other" ]; then
    smv_says="confirmed"
    smv_other_says="tried and not confirmed"
    fallback=2
else
    smv_says="confirmed"
    smv_other_says="not chosen"
    fallback=2
fi
default=0
timeout=1
menuentry "Slot $smv_pick: $smv_says" "$smv_pick" {
    smv_start "$2"
}
menuentry "Slot $smv_other: $smv_other_says" "$smv_other" {
    smv_start "$2"
}
menuentry "Restart in 60 seconds" {
    echo "Restarting in 60 seconds. Esc leads back to the menu."
    if sleep --interruptible 60; then
        reboot
    fi
}
"#;

/// The text of `grub.cfg`. `number` is that of a slot's partition.
#[must_use]
pub fn grub_cfg(number: impl Fn(Slot) -> u32) -> String {
    let (a, b) = (number(Slot::A), number(Slot::B));
    format!(
        r#"# Made when this disk was deployed: starts one of its two slots.
{TERMINALS}regexp --set=1:smv_disk '^([^,]+),' "$root"
smv_esp="($root)"
{CHOOSE}function smv_start {{
    smv_slot="$1"
    if [ "$1" = a ]; then
        smv_at="($smv_disk,gpt{a})"
    else
        smv_at="($smv_disk,gpt{b})"
    fi
    if hashsum --hash sha256 --check "$smv_at/SHA256SUMS" --prefix "$smv_at"; then
        source "$smv_at/boot.cfg"
    else
        echo "The boot files of slot $1 are missing or damaged."
    fi
}}
smv_choose
{MENU}"#
    )
}

#[cfg(test)]
mod tests {
    use super::grub_cfg;
    use crate::layout::Role;
    use std::process::Command;
    use tempfile::TempDir;
    use wire::record::Place;

    fn text() -> String {
        grub_cfg(|slot| Role::Slot(slot).number())
    }

    #[test]
    fn the_numbers_of_the_slots_and_the_paths_of_the_record_are_in_it() {
        let text = text();
        assert!(text.contains("if [ \"$1\" = a ]; then\n        smv_at=\"($smv_disk,gpt3)\""));
        assert!(text.contains("smv_at=\"($smv_disk,gpt5)\""));
        for place in Place::ALL {
            let (above, copy) = place.path().split_at("smechvisor/".len());
            assert!(text.contains(&format!("$smv_esp/{above}$1/env")));
            assert!(text.contains(&format!("smv_read {}", copy.trim_end_matches("/env"))));
        }
    }

    #[test]
    fn grub_can_parse_it() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("grub.cfg");
        std::fs::write(&path, text()).unwrap();
        let check = Command::new("grub-script-check").arg(&path).output();
        let output = check.expect("grub-script-check (grub-common) is needed by this test");
        assert!(output.status.success(), "{output:?}");
    }
}
