//! The machine's memory by the kernel (proc_meminfo(5)).

use std::fs;

/// The text of `/proc/meminfo`; empty when it cannot be read.
#[must_use]
pub fn read() -> String {
    fs::read_to_string("/proc/meminfo").unwrap_or_default()
}

/// The value of `key` there, `MemTotal` say, in bytes.
#[must_use]
pub fn bytes(meminfo: &str, key: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn a_value_is_found_by_its_whole_key() {
        let text = "MemTotal:        8031240 kB\nMemFree: 1 kB\n";
        assert_eq!(bytes(text, "MemTotal"), Some(8_031_240 * 1024));
        assert_eq!(bytes("MemFree: 1 kB\n", "MemTotal"), None);
        assert_eq!(bytes(text, "Mem"), None);
    }
}
