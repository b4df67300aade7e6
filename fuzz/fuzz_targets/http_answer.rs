//! Any head of an answer to any question for a part of a file, and any address: no panic, what is
//! taken is what was asked for, and an address is read again as it is written.
//!
//! A line each: status, first byte, length and, if it is known, size of the file; the headers
//! content-length, content-range, content-encoding and etag; the ETag so far; an address; a
//! redirect of it. An empty line stands for none.
#![no_main]

use fetch::http::answer::{Asked, Head, part, whole};
use fetch::http::url::{LEN_MAX, Url};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let mut lines = text.split('\n');
    let mut numbers = lines.next().unwrap_or_default().split(' ').map(str::parse);
    let mut number = || numbers.next().and_then(Result::ok);
    let (status, begin, len): (u64, u64, u64) = (
        number().unwrap_or(206),
        number().unwrap_or(0),
        number().unwrap_or(1),
    );
    let size_bytes = number();
    let mut line = || lines.next().filter(|line| !line.is_empty());
    let head = Head {
        status: u16::try_from(status).unwrap_or(0),
        content_length: line(),
        content_range: line(),
        content_encoding: line(),
        etag: line(),
    };
    let asked = Asked {
        begin,
        end: begin.saturating_add(len.max(1)),
        size_bytes,
        etag: line(),
    };
    if let Ok(part) = part(&head, &asked) {
        assert_eq!(part.begin, begin);
        assert!(part.begin < part.end || part.size_bytes == 0);
        assert!(part.end <= asked.end || head.status == 200);
        assert!(part.end <= part.size_bytes);
        assert!(size_bytes.is_none_or(|size| size == part.size_bytes));
    }
    if let Ok(Some(len)) = whole(&head, 1 << 20) {
        assert!(head.status == 200 && len <= 1 << 20);
    }
    if let Ok(url) = Url::parse(line().unwrap_or_default()) {
        // A path may have become one `/` longer.
        let text = url.to_string();
        assert!(text.len() > LEN_MAX || Url::parse(&text).as_ref() == Ok(&url));
        if let Ok(next) = url.redirected(line().unwrap_or_default()) {
            assert!(next.directory().to_string().ends_with('/'));
        }
    }
});
