//! The text of an event: what a console shows of it, line by line.

use std::fmt;
use wire::chain::chain;

use machine::gate::GateError;
use machine::gate::reinstall::name_of;
use wire::message::Next;
use wire::stage::Stage;

use super::ReceiverEvent;
use crate::operator::qr;
use crate::options::disk_facts;
use crate::policy::{self, Policy};

/// Text of one kind. Its [`fmt::Display`] is the line of a plain console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// `smv <stage>: <facts>`: tests await it.
    Stage(Stage, String),
    /// The session goes on with less.
    Warning(String),
    /// A hint for the operator, in one or several lines. It may hold the secret: it goes before
    /// eyes and into no log.
    Hint(String),
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Line::Stage(stage, facts) => write!(f, "smv {stage}: {facts}"),
            Line::Warning(text) => write!(f, "warning: {text}"),
            Line::Hint(text) => f.write_str(text),
        }
    }
}

impl Line {
    /// The text alone.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Line::Stage(_, text) | Line::Warning(text) | Line::Hint(text) => text,
        }
    }

    fn accepted(facts: String) -> Self {
        Line::Stage(Stage::Accepted, facts)
    }
}

impl ReceiverEvent {
    /// The console's lines for this event, in order: nothing where another event says it too.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        use ReceiverEvent as Event;
        let line = match self {
            Event::Inviting { is_renewed, .. } => return self.invitation(!is_renewed),
            Event::AwaitingDonor { .. } => return self.invitation(true),
            Event::Held { refused } => return held(refused.as_deref()),
            Event::NoDisk(error) => no_disk(error),
            Event::ReplaceByName { name } => replace_by_name(name),
            Event::Connected { peer } => Line::accepted(format!("peer={peer}")),
            Event::Accepted { facts, .. } if facts.is_empty() => return Vec::new(),
            Event::Accepted { facts, .. } => Line::accepted(facts.clone()),
            Event::DonorAsks { peer, disk } => {
                Line::accepted(format!("peer={peer} asks=person {disk}"))
            }
            Event::Resuming { peer, next } => {
                let Next { file, chunk } = next;
                Line::accepted(format!("peer={peer} resume file={file} chunk={chunk}"))
            }
            Event::Refused {
                peer,
                count,
                unreported,
                reason,
            } => {
                let unshown = match unreported {
                    0 => String::new(),
                    unreported => format!(" unshown={unreported}"),
                };
                Line::Warning(format!(
                    "refused peer={peer} count={count}{unshown}: {reason}"
                ))
            }
            Event::DonorLost { peer, reason } => {
                Line::Warning(format!("connection to {peer} lost: {reason}"))
            }
            Event::Warning(text) => Line::Warning(text.clone()),
            Event::Stage { stage, facts } => Line::Stage(*stage, facts.clone()),
            Event::Package { name, claimed_len } => {
                let facts = format!("package={name} bytes={claimed_len}");
                Line::Stage(Stage::Receiving, facts)
            }
            Event::Progress {
                received_bytes,
                unpacked_bytes,
                is_line_due: true,
            } => {
                let facts = format!("received={received_bytes} unpacked={unpacked_bytes}");
                Line::Stage(Stage::Receiving, facts)
            }
            Event::Failed { reason, .. } => Line::Stage(Stage::Failed, reason.clone()),
            Event::Disks { .. }
            | Event::AwaitingConsent { .. }
            | Event::Progress { .. }
            | Event::DonorBack { .. }
            | Event::Installed { .. } => return Vec::new(),
        };
        vec![line]
    }

    /// The donor's command line; before it, when the stage is entered, the donors that may come.
    fn invitation(&self, is_stage: bool) -> Vec<Line> {
        let (code, secret, policy, facts) = match self {
            ReceiverEvent::Inviting {
                code,
                secret,
                policy,
                disk,
                ..
            } => (code, secret, policy, disk_facts(disk)),
            ReceiverEvent::AwaitingDonor {
                code,
                secret,
                policy,
                disk,
                next: Next { file, chunk },
            } => {
                let facts = format!("disk={disk} resume file={file} chunk={chunk}");
                (code, secret, policy, facts)
            }
            _ => return Vec::new(),
        };
        let mark = policy::mark(policy);
        let waiting = format!("code={code} policy={policy}{mark} {facts}");
        let waiting = is_stage.then_some(Line::Stage(Stage::Waiting, waiting));
        let hint = donor_command(code, secret.as_deref(), policy);
        waiting.into_iter().chain([hint]).collect()
    }
}

fn held(refused: Option<&str>) -> Vec<Line> {
    let refused = refused.map(|reason| Line::Stage(Stage::Failed, reason.to_owned()));
    let held = Line::Stage(Stage::Holding, "by=person".to_owned());
    refused.into_iter().chain([held]).collect()
}

fn no_disk(error: &GateError) -> Line {
    let GateError::Installed { candidate, .. } = error else {
        return Line::Stage(Stage::Failed, chain(error).to_string());
    };
    let name = candidate.installation().map(name_of).unwrap_or_default();
    let facts = format!("installation={name} {}", disk_facts(candidate));
    Line::Stage(Stage::Holding, facts)
}

fn replace_by_name(name: &str) -> Line {
    Line::Hint(format!(
        "  This machine is installed, and nothing is changed.\n  \
         Type  boot      and Enter: start its system.\n  \
         Type  {name}  and Enter: install it again; \
         what is on the disk is lost when a donor comes."
    ))
}

/// The donor's command line; the code and the secret also as a picture for a camera.
fn donor_command(code: &str, secret: Option<&str>, policy: &str) -> Line {
    let command = format!("  on the donor: spk-visor deploy-system-img-copy {code}");
    Line::Hint(match secret {
        Some(secret) => {
            let picture = qr::draw(&format!("SMV2:{code}:{secret}")).unwrap_or_default();
            format!("{picture}  code   {code}\n  secret {secret}\n{command}")
        }
        None if policy == Policy::Legacy.name() => format!(
            "  UNAUTHENTICATED: anybody on this network may install this machine\n\
             {command} --legacy"
        ),
        None => format!("{command} --pinned NAME.donor"),
    })
}

#[cfg(test)]
mod tests {
    use super::Line;
    use crate::fakes;
    use crate::operator::event::ReceiverEvent;
    use machine::gate::GateError;
    use wire::message::Next;

    fn text(event: &ReceiverEvent) -> String {
        let lines = event.lines();
        let lines: Vec<String> = lines.iter().map(Line::to_string).collect();
        lines.join("\n")
    }

    fn inviting(secret: Option<&str>, policy: &str, is_renewed: bool) -> ReceiverEvent {
        ReceiverEvent::Inviting {
            code: "e13gts2".to_owned(),
            secret: secret.map(str::to_owned),
            policy: policy.to_owned(),
            disk: Box::new(fakes::candidate()),
            addresses: vec![],
            is_renewed,
        }
    }

    const TYPE: &str = "  on the donor: spk-visor deploy-system-img-copy e13gts2";

    #[test]
    fn an_invitation_names_code_policy_and_disk_and_what_to_type() {
        let path = fakes::candidate().disk().path.display().to_string();
        let contents = fakes::candidate().contents().to_string();
        let stage = |policy| {
            format!("smv waiting: code=e13gts2 policy={policy} disk={path} contents={contents:?}")
        };
        let pinned = stage("pinned");
        assert_eq!(
            text(&inviting(None, "pinned", false)),
            format!("{pinned}\n{TYPE} --pinned NAME.donor")
        );
        let legacy = stage("legacy UNAUTHENTICATED");
        assert_eq!(
            text(&inviting(None, "legacy", false)),
            format!(
                "{legacy}\n  UNAUTHENTICATED: anybody on this network may install this machine\n\
                 {TYPE} --legacy"
            )
        );
        let secret = text(&inviting(Some("9D4T-X2WM-7"), "secret", false));
        assert!(secret.starts_with(&stage("secret")), "{secret}");
        let end = format!("\n  code   e13gts2\n  secret 9D4T-X2WM-7\n{TYPE}");
        assert!(secret.ends_with(&end), "{secret}");
    }

    #[test]
    fn a_new_secret_is_a_hint_and_no_stage() {
        let lines = inviting(Some("9D4T-X2WM-7"), "secret", true).lines();
        assert!(matches!(&lines[..], [Line::Hint(_)]), "{lines:?}");
    }

    #[test]
    fn a_donor_that_is_lost_and_comes_back_has_these_lines() {
        let (peer, next) = (([10, 9, 0, 7], 40000).into(), Next { file: 1, chunk: 5 });
        let lost = ReceiverEvent::DonorLost {
            peer,
            reason: "reset".to_owned(),
        };
        assert_eq!(
            text(&lost),
            "warning: connection to 10.9.0.7:40000 lost: reset"
        );
        let awaiting = ReceiverEvent::AwaitingDonor {
            code: "e13gts2".to_owned(),
            secret: None,
            policy: "pinned".to_owned(),
            disk: "/dev/vda".to_owned(),
            next,
        };
        assert_eq!(
            text(&awaiting),
            format!(
                "smv waiting: code=e13gts2 policy=pinned disk=/dev/vda resume file=1 chunk=5\n\
                 {TYPE} --pinned NAME.donor"
            )
        );
        assert_eq!(
            text(&ReceiverEvent::Resuming { peer, next }),
            "smv accepted: peer=10.9.0.7:40000 resume file=1 chunk=5"
        );
        assert_eq!(text(&ReceiverEvent::DonorBack { peer }), "");
    }

    #[test]
    fn a_held_machine_says_why_before_it_says_so() {
        let refused = Some("too small".to_owned());
        assert_eq!(
            text(&ReceiverEvent::Held { refused }),
            "smv failed: too small\nsmv holding: by=person"
        );
        assert_eq!(
            text(&ReceiverEvent::Held { refused: None }),
            "smv holding: by=person"
        );
    }

    #[test]
    fn refusals_count_those_that_had_no_line() {
        let refused = |unreported| ReceiverEvent::Refused {
            peer: ([10, 9, 0, 7], 40000).into(),
            count: 9,
            unreported,
            reason: "it is silent".to_owned(),
        };
        assert_eq!(
            text(&refused(0)),
            "warning: refused peer=10.9.0.7:40000 count=9: it is silent"
        );
        assert_eq!(
            text(&refused(3)),
            "warning: refused peer=10.9.0.7:40000 count=9 unshown=3: it is silent"
        );
    }

    #[test]
    fn without_a_disk_the_stage_is_failed() {
        let line = text(&ReceiverEvent::NoDisk(GateError::NoDisk));
        assert!(line.starts_with("smv failed: "), "{line}");
    }
}
