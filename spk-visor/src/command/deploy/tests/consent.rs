//! Who agrees to the loss of what is on a disk, and how often that is asked.

use super::{Donor, FILES, assert_whole, one, secret};
use crate::command::deploy::fake::Act;
use crate::exit::Exit;

#[test]
fn nobody_is_asked_and_nothing_sent_where_nobody_can_say_yes() {
    let mut donor = Donor::new("nobody", FILES, &[("e13gts2", 1)]);
    let (ended, taken) = one(&mut donor, secret(1), vec![Act::InstallOverOld]);
    assert_eq!(ended.exit, Exit::Declined, "{}", ended.out);
    let reason = "nobody is here to say yes, and --yes was not given: e13gts2 /dev/fake (1024 MiB, serial F-1, ext4) is not blank";
    assert!(ended.out.contains(reason), "{}", ended.out);
    assert!(ended.out.contains(r#""exit":11,"#), "{}", ended.out);
    assert_eq!(taken.gave_up.as_deref(), Some(reason));
    assert!(taken.files.is_empty() && !taken.is_agreed);
}

#[test]
fn yes_said_beforehand_erases_what_is_there() {
    let mut donor = Donor::new("sure", FILES, &[("e13gts2", 1)]);
    donor.options.is_sure = true;
    let (ended, taken) = one(&mut donor, secret(1), vec![Act::InstallOverOld]);
    assert_eq!(ended.exit, Exit::Installed, "{}", ended.out);
    assert_whole(&taken, FILES);
    let told = r#""contents":"ext4","blank":false,"resumed":false}"#;
    assert!(ended.out.contains(told), "{}", ended.out);
    assert!(ended.out.contains(r#""by":"--yes"}"#), "{}", ended.out);
}

#[test]
fn a_person_is_asked_once_however_often_the_connection_breaks() {
    let mut donor = Donor::new("person", FILES, &[("e13gts2", 1)]);
    donor.typed = Some("y");
    donor.is_json = false;
    let acts = vec![Act::CutWhileAsked(1), Act::InstallOverOld];
    let (ended, taken) = one(&mut donor, secret(1), acts);
    assert_eq!(ended.exit, Exit::Installed, "{}{}", ended.out, ended.errors);
    assert_whole(&taken, FILES);
    let question =
        "e13gts2 is about to erase /dev/fake (1024 MiB, serial F-1, ext4)\nmay it? [y/N] ";
    assert_eq!(
        ended.errors.matches(question).count(),
        1,
        "{}",
        ended.errors
    );
    assert!(
        ended.out.contains("agreed to erase it: person\n"),
        "{}",
        ended.out
    );
}

#[test]
fn a_person_who_says_no_is_obeyed_and_the_target_hears_it() {
    let mut donor = Donor::new("no", FILES, &[("e13gts2", 1)]);
    donor.typed = Some("n");
    let (ended, taken) = one(&mut donor, secret(1), vec![Act::InstallOverOld]);
    assert_eq!(ended.exit, Exit::Declined, "{}", ended.out);
    assert!(ended.out.contains(r#"{"event":"asking","#), "{}", ended.out);
    let gave_up = taken.gave_up.unwrap();
    assert!(
        gave_up.starts_with("the person here did not say yes: "),
        "{gave_up}"
    );
    assert!(taken.files.is_empty());
}

#[test]
fn a_deploy_that_goes_on_asks_nobody_again() {
    let mut donor = Donor::new("goes-on", FILES, &[("e13gts2", 1)]);
    donor.options.is_sure = true;
    let acts = vec![Act::CutWhileAsked(0), Act::InstallOverOld];
    let (ended, taken) = one(&mut donor, secret(1), acts);
    assert_eq!(ended.exit, Exit::Installed, "{}", ended.out);
    assert!(taken.is_agreed);
    assert_eq!(
        ended.out.matches(r#""event":"agreed""#).count(),
        1,
        "{}",
        ended.out
    );
}
