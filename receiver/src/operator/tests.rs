use super::{Attached, Control, Person, Phase, Stop, Turn};
use crate::gate::Wish;
use disk::sizes::Sizes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

mod steering;

fn counted(turn: &Turn) -> (Arc<AtomicU32>, Attached) {
    let calls = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&calls);
    let attached = turn.attach(Box::new(move || {
        counter.fetch_add(1, Ordering::SeqCst);
    }));
    (calls, attached)
}

fn wish(wipe: &str) -> Wish {
    Wish {
        wipe: Some(wipe.to_owned()),
        ..Wish::default()
    }
}

#[test]
fn a_word_is_heard_once_and_kept() {
    let person = Person::new().unwrap();
    assert!(!person.hush() && person.agreed().is_none());
    let other = person.clone();
    std::thread::spawn(move || other.agree("4f1c2a9e".to_owned()))
        .join()
        .unwrap();
    assert!(person.hush() && !person.hush());
    assert_eq!(person.agreed().as_deref(), Some("4f1c2a9e"));
}

#[test]
fn before_the_first_write_every_change_of_mind_stops_and_calls_once() {
    let person = Person::new().unwrap();
    let turn = Turn::of(Some(&person));
    let (calls, _attached) = counted(&turn);
    let take = || person.take(wish("abcdef"), Sizes::USUAL);
    let words: [(&dyn Fn(), Control); 3] = [
        (&|| person.hold(), Control::Held),
        (
            &take,
            Control::Taken {
                wish: wish("abcdef"),
                sizes: Sizes::USUAL,
            },
        ),
        (&|| person.go_on(), Control::Machine),
    ];
    for phase in [Phase::Inviting, Phase::Talking] {
        for (say, control) in &words {
            turn.begin();
            turn.enter(phase).unwrap();
            let before = calls.load(Ordering::SeqCst);
            say();
            say();
            assert_eq!(calls.load(Ordering::SeqCst), before + 1, "{control:?}");
            assert_eq!(turn.stop(), Some(Stop::TakenOver));
            assert_eq!(turn.enter(Phase::Writing), Err(Stop::TakenOver));
            assert!(!turn.end() && turn.stop().is_none());
            assert_eq!(turn.begin(), *control);
        }
    }
}

#[test]
fn a_hold_while_the_disk_is_written_is_for_afterwards() {
    let person = Person::new().unwrap();
    let turn = Turn::of(Some(&person));
    let (calls, _attached) = counted(&turn);
    turn.begin();
    turn.enter(Phase::Writing).unwrap();
    person.hold();
    assert_eq!(turn.stop(), None);
    turn.enter(Phase::Finishing).unwrap();
    assert!(!turn.end());
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    assert_eq!(turn.begin(), Control::Held);
}

#[test]
fn a_cancel_means_the_deploy_that_runs_and_no_other() {
    let person = Person::new().unwrap();
    let turn = Turn::of(Some(&person));
    let (calls, _attached) = counted(&turn);
    turn.begin();
    person.cancel();
    turn.enter(Phase::Inviting).unwrap();
    person.cancel();
    assert_eq!(turn.stop(), None);
    for phase in [Phase::Talking, Phase::Writing] {
        turn.enter(phase).unwrap();
        person.cancel();
        person.cancel();
        assert_eq!(turn.stop(), Some(Stop::Cancelled));
        assert!(turn.end() && !turn.end());
        turn.begin();
        turn.enter(Phase::Inviting).unwrap();
        assert_eq!(turn.stop(), None);
    }
    assert_eq!(calls.load(Ordering::SeqCst), 4);
    turn.enter(Phase::Finishing).unwrap();
    person.cancel();
    assert_eq!(turn.stop(), None);
    assert!(turn.end(), "too late, and somebody has to say so");
    assert_eq!(calls.load(Ordering::SeqCst), 4);
}

#[test]
fn what_cannot_be_done_is_handed_back_unless_the_person_was_quicker() {
    let person = Person::new().unwrap();
    let turn = Turn::of(Some(&person));
    person.take(wish("abcdef"), Sizes::USUAL);
    turn.begin();
    turn.hand_back();
    assert_eq!(turn.begin(), Control::Held);
    person.take(wish("abcdef"), Sizes::USUAL);
    turn.begin();
    person.go_on();
    turn.hand_back();
    assert_eq!(turn.begin(), Control::Machine);
}

#[test]
fn a_hook_is_called_while_it_is_attached() {
    let person = Person::new().unwrap();
    let turn = Turn::of(Some(&person));
    let (calls, attached) = counted(&turn);
    turn.begin();
    turn.enter(Phase::Inviting).unwrap();
    person.hold();
    drop(attached);
    person.go_on();
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[test]
fn without_a_person_nothing_stops() {
    let turn = Turn::of(None);
    assert_eq!(turn.begin(), Control::Machine);
    for phase in [Phase::Inviting, Phase::Writing, Phase::Finishing] {
        turn.enter(phase).unwrap();
    }
    turn.hand_back();
    drop(turn.attach(Box::new(|| panic!("called"))));
    assert!(turn.stop().is_none() && !turn.end());
}
