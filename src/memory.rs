//! Memory use of the running process.

/// The peak resident memory of this process so far, in bytes.
///
/// Read from `VmHWM` in `/proc/self/status` (proc(5)), which Linux counts in units of 1024 bytes.
/// `None` on other systems, or when the line is missing.
pub fn peak_resident_bytes() -> Option<u64> {
    parse_peak(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// The `VmHWM` line of a process status text, in bytes.
fn parse_peak(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_lines_are_parsed() {
        assert_eq!(
            parse_peak("VmPeak:\t 9 kB\nVmHWM:\t    2048 kB\n"),
            Some(2048 * 1024)
        );
        assert_eq!(parse_peak("VmHWM:\t 18446744073709551615 kB"), None);
        assert_eq!(parse_peak("VmHWM:\t many kB"), None);
        assert_eq!(parse_peak("VmRSS:\t 1 kB"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_peak_is_reported_on_linux() {
        assert!(peak_resident_bytes().is_some_and(|bytes| bytes > 1 << 16));
    }
}
