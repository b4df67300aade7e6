use super::{Attached, CancelToken, Control, OperatorControl, Phase, Stop};
use disk::sizes::Sizes;
use machine::gate::Wish;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

mod steering;

fn counted(token: &CancelToken) -> (Arc<AtomicU32>, Attached) {
    let calls = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&calls);
    let attached = token.attach(Box::new(move || {
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
    let operator = OperatorControl::new().unwrap();
    assert!(!operator.clear() && operator.agreed().is_none());
    let other = operator.clone();
    std::thread::spawn(move || other.agree("4f1c2a9e".to_owned()))
        .join()
        .unwrap();
    assert!(operator.clear() && !operator.clear());
    assert_eq!(operator.agreed().as_deref(), Some("4f1c2a9e"));
}

#[test]
fn before_the_first_write_every_change_of_mind_stops_and_calls_once() {
    let operator = OperatorControl::new().unwrap();
    let token = CancelToken::of(Some(&operator));
    let (calls, _attached) = counted(&token);
    let take = || operator.take(wish("abcdef"), Sizes::USUAL);
    let words: [(&dyn Fn(), Control); 3] = [
        (&|| operator.hold(), Control::Held),
        (
            &take,
            Control::Taken {
                wish: wish("abcdef"),
                sizes: Sizes::USUAL,
            },
        ),
        (&|| operator.go_on(), Control::Machine),
    ];
    for phase in [Phase::Inviting, Phase::Talking] {
        for (say, control) in &words {
            token.begin();
            token.enter(phase).unwrap();
            let before = calls.load(Ordering::SeqCst);
            say();
            say();
            assert_eq!(calls.load(Ordering::SeqCst), before + 1, "{control:?}");
            assert_eq!(token.stop(), Some(Stop::TakenOver));
            assert_eq!(token.enter(Phase::Writing), Err(Stop::TakenOver));
            assert!(!token.end() && token.stop().is_none());
            assert_eq!(token.begin(), *control);
        }
    }
}

#[test]
fn a_hold_while_the_disk_is_written_is_for_afterwards() {
    let operator = OperatorControl::new().unwrap();
    let token = CancelToken::of(Some(&operator));
    let (calls, _attached) = counted(&token);
    token.begin();
    token.enter(Phase::Writing).unwrap();
    operator.hold();
    assert_eq!(token.stop(), None);
    token.enter(Phase::Finishing).unwrap();
    assert!(!token.end());
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    assert_eq!(token.begin(), Control::Held);
}

#[test]
fn a_cancel_means_the_deploy_that_runs_and_no_other() {
    let operator = OperatorControl::new().unwrap();
    let token = CancelToken::of(Some(&operator));
    let (calls, _attached) = counted(&token);
    token.begin();
    operator.cancel();
    token.enter(Phase::Inviting).unwrap();
    operator.cancel();
    assert_eq!(token.stop(), None);
    for phase in [Phase::Talking, Phase::Writing] {
        token.enter(phase).unwrap();
        operator.cancel();
        operator.cancel();
        assert_eq!(token.stop(), Some(Stop::Cancelled));
        assert!(token.end() && !token.end());
        token.begin();
        token.enter(Phase::Inviting).unwrap();
        assert_eq!(token.stop(), None);
    }
    assert_eq!(calls.load(Ordering::SeqCst), 4);
    token.enter(Phase::Finishing).unwrap();
    operator.cancel();
    assert_eq!(token.stop(), None);
    assert!(token.end(), "too late, and somebody has to say so");
    assert_eq!(calls.load(Ordering::SeqCst), 4);
}

#[test]
fn what_cannot_be_done_is_handed_back_unless_the_person_was_quicker() {
    let operator = OperatorControl::new().unwrap();
    let token = CancelToken::of(Some(&operator));
    operator.take(wish("abcdef"), Sizes::USUAL);
    token.begin();
    token.hand_back();
    assert_eq!(token.begin(), Control::Held);
    operator.take(wish("abcdef"), Sizes::USUAL);
    token.begin();
    operator.go_on();
    token.hand_back();
    assert_eq!(token.begin(), Control::Machine);
}

#[test]
fn a_hook_is_called_while_it_is_attached() {
    let operator = OperatorControl::new().unwrap();
    let token = CancelToken::of(Some(&operator));
    let (calls, attached) = counted(&token);
    token.begin();
    token.enter(Phase::Inviting).unwrap();
    operator.hold();
    drop(attached);
    operator.go_on();
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[test]
fn without_a_person_nothing_stops() {
    let token = CancelToken::of(None);
    assert_eq!(token.begin(), Control::Machine);
    for phase in [Phase::Inviting, Phase::Writing, Phase::Finishing] {
        token.enter(phase).unwrap();
    }
    token.hand_back();
    drop(token.attach(Box::new(|| panic!("called"))));
    assert!(token.stop().is_none() && !token.end());
}

#[test]
fn a_deploy_that_has_failed_stops_its_own_waiting_and_no_other() {
    for operator in [None, Some(OperatorControl::new().unwrap())] {
        let token = CancelToken::of(operator.as_ref());
        let (calls, _attached) = counted(&token);
        token.begin();
        token.enter(Phase::Writing).unwrap();
        let abandon = token.abandoner();
        assert_eq!(token.stop(), None);
        abandon();
        assert_eq!(token.stop(), Some(Stop::Cancelled));
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        assert!(!token.end(), "no operator has cancelled");
        token.begin();
        token.enter(Phase::Inviting).unwrap();
        assert_eq!(token.stop(), None);
    }
}
