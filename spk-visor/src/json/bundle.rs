//! The events of `bundle verify` and `bundle inspect` (`update.md` 4), and of `publish`
//! (`own-update-server.md` 3), as JSON for a script.
//!
//! In: what was found. Out: one object each, on one line.

use std::error::Error;
use std::path::Path;

use wire::chain::chain;
use wire::manifest::{Content, File};

use super::Object;
use pack::bundle_file::{Claim, Facts, SoFar};
use pack::hash::hex;
use pack::publish::Published;

/// How far long work is.
#[must_use]
pub fn progress(so_far: SoFar, rate: f64) -> String {
    let mut object = Object::new();
    object
        .text("event", "progress")
        .text("doing", so_far.doing)
        .number("done", so_far.done_bytes)
        .number("total", so_far.total_bytes)
        .decimal("rate", rate);
    object.finish()
}

/// Everything was as signed.
#[must_use]
pub fn verified(source: &Path, facts: &Facts) -> String {
    let mut object = Object::new();
    object.text("event", "verified");
    object.text("source", &source.to_string_lossy());
    describe(&mut object, facts);
    object.text("voucher", &facts.voucher);
    object.finish()
}

/// A release is served.
#[must_use]
pub fn published(published: &Published) -> String {
    let mut object = Object::new();
    object.text("event", "published");
    object.text("name", &published.name);
    describe(&mut object, &published.facts);
    object.text("voucher", &published.facts.voucher);
    object.flag("current", published.is_current);
    object.finish()
}

/// What it says of itself, and a line for each of its files.
#[must_use]
pub fn inspected(source: &Path, claim: &Claim) -> Vec<String> {
    let mut object = Object::new();
    object.text("event", "inspected").flag("verified", false);
    object.text("source", &source.to_string_lossy());
    describe(&mut object, &claim.facts);
    object
        .number("keyset", u64::from(claim.keyset))
        .text("created", &claim.created)
        .flag("signed", claim.key.is_some());
    if let Some(key) = &claim.key {
        object.text("claimed_key", key);
    }
    let mut lines = vec![object.finish()];
    lines.extend(claim.files.iter().map(file));
    lines
}

/// Why not.
#[must_use]
pub fn failed(exit: u8, error: &dyn Error) -> String {
    let mut object = Object::new();
    object
        .text("event", "failed")
        .number("exit", u64::from(exit))
        .text("reason", &chain(error).to_string());
    object.finish()
}

fn describe(object: &mut Object, facts: &Facts) {
    object
        .text("role", &facts.role)
        .text("product", &facts.product)
        .text("version", &facts.version)
        .number("counter", facts.counter)
        .text("sha256", &facts.digest)
        .number("files", facts.files as u64)
        .number("bytes", facts.size_bytes);
}

fn file(file: &File) -> String {
    let mut object = Object::new();
    object
        .text("event", "file")
        .text("name", file.name.as_str());
    if let Content::Hashed {
        sha256,
        size_bytes,
        unpacked,
        ..
    } = &file.content
    {
        object
            .number("bytes", *size_bytes)
            .number("chunks", u64::from(file.chunks().unwrap_or(0)))
            .text("sha256", &hex(sha256));
        if let Some(unpacked) = unpacked {
            object
                .number("unpacked", unpacked.size_bytes)
                .number("entries", u64::from(unpacked.entries));
        }
    }
    object.finish()
}

#[cfg(test)]
mod tests {
    use super::{failed, published};
    use pack::bundle_file::Facts;
    use pack::publish::Published;
    use std::io;

    #[test]
    fn what_is_published_is_one_line() {
        let one = Published {
            name: "site-www-418-5f1c0a9be4d27733".to_owned(),
            facts: Facts {
                role: "site".to_owned(),
                product: "www".to_owned(),
                version: "2026.11.20".to_owned(),
                counter: 418,
                digest: "5f1c".to_owned(),
                voucher: "unsigned".to_owned(),
                files: 2,
                size_bytes: 4096,
            },
            is_current: true,
        };
        let expected = r#"{"event":"published","name":"site-www-418-5f1c0a9be4d27733","role":"site","product":"www","version":"2026.11.20","counter":418,"sha256":"5f1c","files":2,"bytes":4096,"voucher":"unsigned","current":true}"#;
        assert_eq!(published(&one), expected);
        let error = io::Error::other("no room");
        let expected = r#"{"event":"failed","exit":8,"reason":"no room"}"#;
        assert_eq!(failed(8, &error), expected);
    }
}
