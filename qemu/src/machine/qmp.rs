//! A client for QMP, QEMU's control socket: one JSON object per line (QEMU's
//! docs/interop/qmp-spec).

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::error::{Doing, HarnessError, Result};

/// QEMU answers at once; only a stopped or dead one does not.
const PATIENCE: Duration = Duration::from_secs(20);

/// One connection, past its greeting.
#[derive(Debug)]
pub struct Qmp {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl Qmp {
    /// Reads the greeting and leaves the negotiation mode.
    ///
    /// # Errors
    /// The peer is no QMP server.
    pub fn greet(stream: UnixStream) -> Result<Self> {
        stream
            .set_read_timeout(Some(PATIENCE))
            .doing("limiting", "the qmp socket")?;
        let writer = stream.try_clone().doing("duplicating", "the qmp socket")?;
        let mut qmp = Self {
            reader: BufReader::new(stream),
            writer,
        };
        let greeting = qmp.line()?;
        if greeting.get("QMP").is_none() {
            return Err(HarnessError::Qmp {
                command: "greeting".into(),
                answer: greeting.to_string(),
            });
        }
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// Runs one command and returns what it returns. Events that come in between are passed over.
    ///
    /// # Errors
    /// QEMU refused it, or is gone.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let request = json!({ "execute": command, "arguments": arguments });
        self.writer
            .write_all(format!("{request}\n").as_bytes())
            .doing("sending qmp command", command)?;
        loop {
            let mut answer = self.line()?;
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
            if let Some(error) = answer.get("error") {
                return Err(HarnessError::Qmp {
                    command: command.to_owned(),
                    answer: error.to_string(),
                });
            }
        }
    }

    fn line(&mut self) -> Result<Value> {
        let mut line = String::new();
        let len = self
            .reader
            .read_line(&mut line)
            .doing("reading from", "the qmp socket")?;
        if len == 0 {
            return Err(HarnessError::Qmp {
                command: "read".into(),
                answer: "the socket was closed".into(),
            });
        }
        serde_json::from_str(&line).map_err(|error| HarnessError::Qmp {
            command: "read".into(),
            answer: format!("{error} in {line}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(script: &'static [(&'static str, &'static str)]) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        std::thread::spawn(move || {
            let mut writer = theirs.try_clone().unwrap();
            let mut reader = BufReader::new(theirs);
            writer
                .write_all(b"{\"QMP\": {\"version\": {}, \"capabilities\": []}}\n")
                .unwrap();
            for (expected, answer) in script {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                assert!(line.contains(expected), "{line}");
                writer.write_all(answer.as_bytes()).unwrap();
            }
        });
        ours
    }

    #[test]
    fn events_between_command_and_answer_are_passed_over() {
        let mut qmp = Qmp::greet(server(&[
            ("qmp_capabilities", "{\"return\": {}}\n"),
            (
                "query-status",
                "{\"event\": \"RESET\", \"data\": {}}\n{\"return\": {\"status\": \"running\"}}\n",
            ),
        ]))
        .unwrap();
        assert_eq!(
            qmp.execute("query-status", json!({})).unwrap(),
            json!({"status": "running"})
        );
    }

    #[test]
    fn a_refusal_carries_qemus_words() {
        let script = &[
            ("qmp_capabilities", "{\"return\": {}}\n"),
            ("nonsense", "{\"error\": {\"desc\": \"not found\"}}\n"),
        ];
        let error = Qmp::greet(server(script))
            .unwrap()
            .execute("nonsense", json!({}))
            .unwrap_err();
        assert!(error.to_string().contains("not found"), "{error}");
    }
}
