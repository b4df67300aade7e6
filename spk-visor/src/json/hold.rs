//! What happens to a daemon that is held, as JSON for a script (`daemons.md` 3).

use std::time::Duration;

use hold::event::Event;

use super::Object;

/// One line for a script.
#[must_use]
pub fn event(event: &Event, since_start: Duration) -> String {
    // The first word of the control socket's line.
    let line = event.to_string();
    let name = line.split(' ').next().unwrap_or_default();
    let mut object = Object::event(name, since_start);
    match event {
        Event::Trial { counter } | Event::Recovered { counter } => {
            object.number("counter", *counter);
        }
        Event::Started { counter, pid } | Event::Running { counter, pid } => {
            object.number("counter", *counter);
            object.number("process", u64::from(*pid));
        }
        Event::Ended { counter, how } => {
            object.number("counter", *counter);
            object.text("why", &how.to_string());
        }
        Event::Waiting { ms } => {
            object.number("ms", *ms);
        }
        Event::Ready { counter, ms }
        | Event::Swapped {
            counter,
            pause_ms: ms,
        } => {
            object.number("counter", *counter).number("ms", *ms);
        }
        Event::TakenBack {
            counter,
            why,
            pause_ms,
        } => {
            object.number("counter", *counter);
            object.text("why", &why.to_string()).number("ms", *pause_ms);
        }
        Event::Refused { why } => {
            object.text("why", &why.to_string());
        }
        Event::Mended { sockets } => {
            object.number("sockets", *sockets);
        }
    }
    object.finish()
}

#[cfg(test)]
mod tests {
    use super::event as json;
    use hold::event::{Event, Why};
    use std::time::Duration;

    #[test]
    fn each_event_is_an_object() {
        let counter = 418;
        for (event, expected) in [
            (
                Event::Started { counter, pid: 7 },
                r#"{"event":"started","seconds":1.500,"counter":418,"process":7}"#,
            ),
            (
                Event::TakenBack {
                    counter,
                    why: Why::Signal(11),
                    pause_ms: 31,
                },
                concat!(
                    r#"{"event":"taken-back","seconds":1.500,"counter":418,"#,
                    r#""why":"signal-11","ms":31}"#
                ),
            ),
            (
                Event::Refused { why: Why::Busy },
                r#"{"event":"refused","seconds":1.500,"why":"busy"}"#,
            ),
        ] {
            assert_eq!(json(&event, Duration::from_millis(1500)), expected);
        }
    }
}
