//! Our yes to the target's disk (`protocol.md` 3.3), or its refusal.
//!
//! The target's description of its disk goes in; what comes out is Consent, said when the disk is
//! blank, when `--yes` was given, or when a person agrees. Asked once: a connection that breaks
//! over the question does not repeat it.

use std::time::{Duration, Instant};

use wire::message::{Answer, Message, Next};

use super::link::{Heard, Place};
use super::retry_state::RetryState;
use super::{Cut, Delivery, DeliveryError};
use crate::event::TargetEvent;
use crate::options::ERASE;
use crate::target_disk::TargetDisk;

/// How often the target hears that a person is still being asked; it takes a donor that says
/// nothing for 30 s for gone.
const ASKING: Duration = Duration::from_secs(5);
/// How often the answer is looked for.
const LOOK: Duration = Duration::from_millis(100);

impl Delivery<'_> {
    /// Agrees to this disk, or finds nobody who does.
    pub(super) fn agree(
        &self,
        disk: TargetDisk,
        retry: &mut RetryState,
        heard: &Heard,
        place: &Place<'_>,
        send: &mut impl FnMut(&Message<'_>) -> Result<(), Cut>,
    ) -> Result<(), Cut> {
        if !disk.is_blank && retry.agreed.as_ref() != Some(&disk) {
            self.settle(disk, retry, heard, place, send)?;
        }
        retry.has_begun = true;
        send(&Message::Consent {
            answer: Answer::Yes,
        })
    }

    /// A target that does not ask goes on with a deploy that was agreed to. Where that was not by
    /// us and nothing has come of it yet, a person is asked all the same. Such a target waits for
    /// chunks and would not understand Consent, so it hears nothing meanwhile; it takes that for a
    /// broken connection, and the next one finds the answer.
    pub(super) fn join(
        &self,
        disk: TargetDisk,
        next: Next,
        retry: &mut RetryState,
        heard: &Heard,
        place: &Place<'_>,
    ) -> Result<(), Cut> {
        let is_known = retry.has_begun || retry.agreed.as_ref() == Some(&disk);
        if !disk.is_blank && !is_known && next == Next::default() {
            self.settle(disk, retry, heard, place, &mut |_| Ok(()))?;
        }
        retry.has_begun = true;
        Ok(())
    }

    /// Somebody agrees to a disk that is not blank.
    fn settle(
        &self,
        disk: TargetDisk,
        retry: &mut RetryState,
        heard: &Heard,
        place: &Place<'_>,
        send: &mut impl FnMut(&Message<'_>) -> Result<(), Cut>,
    ) -> Result<(), Cut> {
        let by = if self.is_sure {
            self.sure_word
        } else {
            self.ask(&disk, retry, heard, place, send)?;
            "person"
        };
        (self.tell)(TargetEvent::Agreed { by });
        retry.agree_to(disk);
        Ok(())
    }

    /// Waits for a person as long as the target does.
    fn ask(
        &self,
        disk: &TargetDisk,
        retry: &mut RetryState,
        heard: &Heard,
        place: &Place<'_>,
        send: &mut impl FnMut(&Message<'_>) -> Result<(), Cut>,
    ) -> Result<(), Cut> {
        let declined = |why| {
            Cut::Over(DeliveryError::Declined {
                why,
                code: self.code,
                disk: Box::new(disk.clone()),
            })
        };
        if !self.questions.has_person() {
            return Err(declined(match self.sure_word {
                ERASE => "nobody is here to say yes, and --erase was not given",
                _ => "nobody is here to say yes, and --yes was not given",
            }));
        }
        if retry.asked_about.as_ref() != Some(disk) {
            (self.tell)(TargetEvent::Asking { disk: disk.clone() });
            retry.asked_about = Some(disk.clone());
        }
        let mut said: Option<Instant> = None;
        loop {
            match self.questions.ask(self.code, disk) {
                Some(true) => return Ok(()),
                Some(false) => return Err(declined("the person here did not say yes")),
                None => {}
            }
            if said.is_none_or(|at| at.elapsed() >= ASKING) {
                said = Some(Instant::now());
                send(&Message::Consent {
                    answer: Answer::Asking,
                })?;
            }
            heard.pause(LOOK, place)?;
        }
    }
}
