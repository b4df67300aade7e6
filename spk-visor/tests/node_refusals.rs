//! What a node does not take, or not now: each bad input has its words and its exit code, and the
//! system that runs and its way back stay as they were.

// The lint knows test functions only; this whole file is a test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod node;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use bundle::fakes::image::{CHUNK, Signer, noise};
use fetch::http::client::Access;
use fetch::source::Source;
use node::{IMAGE, MIB, Node, Release, SLOT_MIB, Told};
use rustix::fs::{major, minor};
use spk_visor::command::node::error::NodeError;
use spk_visor::command::node::event::{Event, Phase};
use spk_visor::command::node::take;
use spk_visor::command::node::trial::{self, Activate};
use spk_visor::exit::Exit;
use update::admit::Again;
use update::stage::ReadAll;
use wire::chain::chain;
use wire::record::{COPY_LEN, Copies, Slot};

/// It was refused with this code and these words; what is good boots.
fn refused(node: &Node, done: Result<(), NodeError>, exit: Exit, words: &str) {
    let error = done.unwrap_err();
    let text = chain(&error).to_string();
    assert_eq!(Exit::from(&error), exit, "{text}");
    assert!(text.contains(words), "{text}");
    assert_eq!(node.boot(), Slot::A);
}

#[test]
fn what_is_not_signed_for_this_node_is_not_taken() {
    let node = Node::deployed();
    let signer = Signer::new();
    let other = node.release_of("other", &Release::of(2), &signer);
    refused(&node, node.update(&other).1, Exit::Packages, "key");
    let mut release = Release::of(2);
    release.head.product = "smv-riscv64";
    let product = node.release_of("product", &release, &node.signer);
    let words = "is for smv-riscv64; smv-x86_64 is wanted";
    refused(&node, node.update(&product).1, Exit::Packages, words);
    let below = node.release(0);
    refused(&node, node.update(&below).1, Exit::Packages, "none below 1");
    let running = node.release(1);
    refused(
        &node,
        node.update(&running).1,
        Exit::Current,
        "runs already",
    );
    let unsigned = node.release(2);
    fs::remove_file(unsigned.join("MANIFEST.minisig")).unwrap();
    refused(&node, node.update(&unsigned).1, Exit::Packages, "sign");
}

#[test]
fn a_role_that_is_no_system_is_not_taken() {
    let node = Node::deployed();
    let release = node.release(2);
    let manifest = fs::read_to_string(release.join("MANIFEST")).unwrap();
    let manifest = manifest.replace("role os\n", "role site\n");
    node.write("srv/2/MANIFEST", manifest.as_bytes());
    let signature = node.signer.sign(manifest.as_bytes());
    node.write("srv/2/MANIFEST.minisig", &signature);
    refused(&node, node.update(&release).1, Exit::Packages, "role");
}

#[test]
fn an_image_that_is_not_the_signed_one_is_not_taken() {
    let node = Node::deployed();
    let release = node.release(2);
    let image = release.join(IMAGE);
    let good = fs::read(&image).unwrap();
    fs::write(&image, &good[..good.len() - 1]).unwrap();
    refused(
        &node,
        node.update(&release).1,
        Exit::Packages,
        "its manifest says",
    );
    let mut changed = good.clone();
    changed[5] ^= 1;
    fs::write(&image, &changed).unwrap();
    refused(&node, node.update(&release).1, Exit::Packages, "SHA-256");
    // Half of it was written: the slot is not tried, and the right image goes on from there.
    let error = node.activate(false).1.unwrap_err();
    assert_eq!(Exit::from(&error), Exit::NotNow, "{error}");
    fs::write(&image, &good).unwrap();
    node.update(&release).1.unwrap();
    let bundle = node.bundle(3);
    let bytes = fs::read(&bundle).unwrap();
    fs::write(&bundle, &bytes[..bytes.len() / 2]).unwrap();
    let error = node.update(&bundle).1.unwrap_err();
    assert_eq!(Exit::from(&error), Exit::Packages, "{}", chain(&error));
    let missing = node.path("srv/nothing");
    refused(&node, node.update(&missing).1, Exit::Packages, "opening ");
}

#[test]
fn an_image_larger_than_the_slot_is_refused_with_both_sizes() {
    let node = Node::deployed();
    let mut release = Release::of(2);
    let len = usize::try_from(SLOT_MIB * MIB).unwrap();
    release.data = noise(len, 2);
    let large = node.release_of("large", &release, &node.signer);
    let words = "(64 MiB); the slot has room for ";
    refused(&node, node.update(&large).1, Exit::Packages, words);
}

#[test]
fn a_label_that_lies_is_found_out_before_it_is_tried() {
    let node = Node::deployed();
    node.update(&node.release(2)).1.unwrap();
    let at = node.slot_at(Slot::B) + CHUNK as u64;
    node.spoil(at, &[0xEE; 512]);
    let (_, exit) = node.status(true, false);
    assert_eq!(exit, Exit::Packages);
    let words = "does not hold what its label says";
    refused(&node, node.activate(false).1, Exit::Packages, words);
    // Staging again finds it, too, and writes it again.
    node.update(&node.release(2)).1.unwrap();
    node.activate(false).1.unwrap();
    assert_eq!(node.boot(), Slot::B);
}

#[test]
fn a_record_of_which_both_copies_are_bad_is_written_again() {
    let node = Node::deployed();
    node.put_copies(&Copies {
        e1: [0; COPY_LEN],
        e2: [b'#'; COPY_LEN],
    });
    let (text, _) = node.status(false, false);
    assert!(text.contains("no boot record can be read"), "{text}");
    assert_eq!(node.boot(), Slot::A, "GRUB takes slot a");
    let (told, done) = node.recover();
    done.unwrap();
    let lost =
        |event: &Event| matches!(event, Event::Recovered { what, .. } if *what == "record-lost");
    assert!(told.events.iter().any(lost), "{:?}", told.events);
    assert_eq!(node.record().good, Slot::A);
    node.update(&node.release(2)).1.unwrap();
}

#[test]
fn two_at_once_are_one_and_a_word_about_the_other() {
    let node = Node::deployed();
    let locks = node.place().lock("update /srv/other").unwrap();
    let release = node.release(2);
    for done in [
        node.update(&release).1,
        node.activate(false).1,
        node.rollback().1,
        node.recover().1,
    ] {
        let error = done.unwrap_err();
        assert_eq!(Exit::from(&error), Exit::Busy);
        assert!(
            error.to_string().contains("spk-visor update /srv/other"),
            "{error}"
        );
    }
    drop(locks);
    node.update(&release).1.unwrap();
}

#[test]
fn a_disk_that_is_pulled_in_the_middle_is_an_error_and_no_more() {
    let node = Node::deployed();
    let (image, at) = (node.path("dev/vda"), node.slot_at(Slot::B));
    let len = fs::metadata(&image).unwrap().len();
    let pulled = image.clone();
    let told = Told {
        at_step: Some(Box::new(move |phase, _| {
            if phase == Phase::Write {
                let file = fs::File::options().write(true).open(&pulled).unwrap();
                file.set_len(at).unwrap();
            }
        })),
        ..Told::default()
    };
    let release = node.release(2);
    let (_, done) = node.update_as(told, &release, false);
    let error = done.unwrap_err();
    assert_eq!(Exit::from(&error), Exit::Receiver, "{}", chain(&error));
    let file = fs::File::options().write(true).open(&image).unwrap();
    file.set_len(len).unwrap();
    assert_eq!(node.boot(), Slot::A);
    let (told, done) = node.update(&release);
    done.unwrap();
    assert!(matches!(told.events.last(), Some(Event::Staged { .. })));
}

#[test]
fn a_medium_that_goes_in_the_middle_may_come_back() {
    let node = Node::deployed();
    let release = node.release(2);
    let image = release.join(IMAGE);
    let good = fs::read(&image).unwrap();
    let gone = image.clone();
    let told = Told {
        at_step: Some(Box::new(move |_, _| drop(fs::File::create(&gone)))),
        ..Told::default()
    };
    let error = node.update_as(told, &release, false).1.unwrap_err();
    assert_eq!(Exit::from(&error), Exit::Transfer, "{}", chain(&error));
    assert_eq!(node.boot(), Slot::A);
    fs::write(&image, &good).unwrap();
    node.update(&release).1.unwrap();
    node.activate(false).1.unwrap();
    assert_eq!(node.boot(), Slot::B);
}

#[test]
fn a_machine_without_a_watchdog_tries_nothing_unless_told() {
    let node = Node::deployed();
    node.update(&node.release(2)).1.unwrap();
    let activate = |may_hang| {
        let mut told = Told::default();
        let how = Activate {
            may_hang,
            again: Again(false),
            all: ReadAll(false),
        };
        trial::activate(&node.place(), how, &mut told)
    };
    refused(&node, activate(false), Exit::NotNow, "no hardware watchdog");
    node.write("etc/smechvisor/update", b"watchdogs=optional\n");
    refused(
        &node,
        activate(false),
        Exit::Receiver,
        "no setting \"watchdogs\"",
    );
    node.write("etc/smechvisor/update", b"watchdog=optional\n");
    activate(false).unwrap();
    assert_eq!(node.boot(), Slot::B);
}

#[test]
fn a_system_that_runs_from_no_slot_has_no_such_commands() {
    let node = Node::deployed();
    fs::remove_file(node.path("run/smv/boot")).unwrap();
    let error = node.recover().1.unwrap_err();
    assert_eq!(Exit::from(&error), Exit::Unavailable);
    assert!(
        error.to_string().contains("not started from a slot"),
        "{error}"
    );
    assert!(matches!(error, NodeError::NoNode { .. }), "{error}");
    node.write("run/smv/boot", b"slot a\n");
    let error = node.recover().1.unwrap_err();
    assert_eq!(Exit::from(&error), Exit::Receiver);
}

/// The kernel says which partition holds the root directory.
#[test]
fn a_disk_with_one_root_has_to_be_deployed_again() {
    let node = Node::deployed();
    fs::remove_file(node.path("run/smv/boot")).unwrap();
    let device = fs::metadata(node.place().root()).unwrap().dev();
    let (major, minor) = (major(device), minor(device));
    let uevent = format!("sys/dev/block/{major}:{minor}/uevent");
    for (name, is_ours) in [
        ("smechvisor-root", true),
        ("smechvisor-state", false),
        ("", false),
    ] {
        let text =
            format!("MAJOR={major}\nMINOR={minor}\nDEVNAME=nvme0n1p3\nPARTN=3\nPARTNAME={name}\n");
        node.write(&uevent, text.as_bytes());
        let error = node.recover().1.unwrap_err();
        assert_eq!(Exit::from(&error), Exit::Unavailable);
        let expected = "this system was not started from a slot: /dev/nvme0n1p3 is the only root \
                        of its disk, and no update replaces it; deploy again with smv.layout=ab";
        assert_eq!(error.to_string() == expected, is_ours, "{name}: {error}");
    }
}

#[test]
fn checking_writes_nothing() {
    let node = Node::deployed();
    let before = (node.copies(), node.status(false, true));
    let _locks = node.place().lock("update elsewhere").unwrap();
    for (counter, expected) in [(2, None), (1, Some(Exit::Current))] {
        let options = spk_visor::cli::Update {
            source: Some(Source::Path(node.release(counter))),
            access: Access::default(),
            is_check: true,
            again: false,
            is_json: false,
        };
        let done = take::update(&node.place(), &options, &mut Told::default());
        assert_eq!(done.err().as_ref().map(Exit::from), expected);
    }
    assert!((node.copies(), node.status(false, true)) == before);
}

/// A mount that is gone when this is.
struct Mounted(std::path::PathBuf);

impl Mounted {
    fn new(args: &[&str], at: std::path::PathBuf) -> Self {
        let status = Command::new("mount").args(args).arg(&at).status().unwrap();
        assert!(status.success());
        Self(at)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
#[ignore = "needs root"]
fn a_state_partition_that_is_full_arms_nothing() {
    let node = Node::deployed();
    let state = node.path("var/lib/smv/os");
    fs::create_dir_all(&state).unwrap();
    let _mounted = Mounted::new(&["-t", "tmpfs", "-o", "size=64k", "smv"], state.clone());
    node.update(&node.release(2)).1.unwrap();
    assert!(fs::write(state.join("large"), [0; 65536]).is_err());
    refused(
        &node,
        node.activate(false).1,
        Exit::Receiver,
        "No space left",
    );
    assert_eq!(node.record().trial, None);
}

#[test]
#[ignore = "needs root"]
fn an_esp_that_takes_no_writes_arms_nothing() {
    let node = Node::deployed();
    node.update(&node.release(2)).1.unwrap();
    let dev = node.path("dev");
    let source = dev.display().to_string();
    let mounted = Mounted::new(&["--bind", &source], dev.clone());
    let read_only = ["-o", "remount,bind,ro"];
    let status = Command::new("mount").args(read_only).arg(&dev).status();
    assert!(status.unwrap().success());
    let error = node.activate(false).1.unwrap_err();
    let text = chain(&error).to_string();
    assert!(
        Exit::from(&error) == Exit::Receiver && text.contains("Read-only"),
        "{text}"
    );
    drop(mounted);
    assert_eq!(node.boot(), Slot::A);
    node.activate(false).1.unwrap();
}
