//! The events of a boot server, as JSON for a script (`boot-network.md` 5).
//!
//! In: events of the boot server. Out: one object each, on one line.

use super::Object;
use bootserver::event::Event;

/// The object for a script.
#[must_use]
pub fn event(event: &Event, seconds: f64) -> String {
    let mut object = Object::new();
    object
        .text("event", name(event))
        .decimal("seconds", seconds);
    match event {
        Event::Serving {
            interface,
            address,
            range,
        } => {
            object
                .text("interface", interface)
                .text("address", &address.to_string());
            if let Some((first, last)) = range {
                object
                    .text("first", &first.to_string())
                    .text("last", &last.to_string());
            }
        }
        Event::Warning(text) => {
            object.text("text", text);
        }
        Event::Asked { mac, client } => {
            object.text("mac", mac).text("client", &client.to_string());
        }
        Event::Addressed { mac, address } => {
            object
                .text("mac", mac)
                .text("address", &address.to_string());
        }
        Event::Sent { address, file, way }
        | Event::Missing { address, file, way }
        | Event::Broken { address, file, way } => {
            object
                .text("address", &address.to_string())
                .text("file", file)
                .text("way", &way.to_string());
        }
        Event::End => {}
    }
    object.finish()
}

const fn name(event: &Event) -> &'static str {
    match event {
        Event::Serving { .. } => "serving",
        Event::Warning(_) => "warning",
        Event::Asked { .. } => "asked",
        Event::Addressed { .. } => "addressed",
        Event::Sent { .. } => "sent",
        Event::Missing { .. } => "missing",
        Event::Broken { .. } => "broken",
        Event::End => "end",
    }
}

#[cfg(test)]
mod tests {
    use super::event as json;
    use bootserver::event::{Event, Way};
    use std::net::Ipv4Addr;

    #[test]
    fn a_machine_cannot_end_an_object() {
        let event = Event::Missing {
            address: Ipv4Addr::new(10, 9, 0, 7),
            file: "a\n\x1b[2J\"b".into(),
            way: Way::Http,
        };
        assert_eq!(
            json(&event, 1.5),
            "{\"event\":\"missing\",\"seconds\":1.500,\"address\":\"10.9.0.7\",\"file\":\"a\\n\\u001b[2J\\\"b\",\"way\":\"HTTP\"}"
        );
    }

    #[test]
    fn addresses_are_reported_only_when_we_lease_them() {
        let serving = |range| Event::Serving {
            interface: "eth0".into(),
            address: Ipv4Addr::new(10, 9, 0, 1),
            range,
        };
        let own = serving(Some((
            Ipv4Addr::new(10, 9, 0, 10),
            Ipv4Addr::new(10, 9, 0, 20),
        )));
        assert!(json(&own, 0.0).contains("\"first\":\"10.9.0.10\",\"last\":\"10.9.0.20\""));
        assert!(!json(&serving(None), 0.0).contains("first"));
        assert!(serving(None).to_string().contains("beside another"));
    }
}
