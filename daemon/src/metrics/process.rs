//! What the kernel says of this process.
//!
//! Deliberately absent: the collector of the crate `prometheus`, which reads every thread and
//! file descriptor at each scrape.

/// The memory that this process holds in RAM, in bytes; `None` where there is no Linux /proc.
pub(super) fn resident_bytes() -> Option<u64> {
    resident(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// The line `VmRSS:    12345 kB` of proc(5)'s `status`; its kB are units of 1,024 bytes.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_from_the_kernels_words() {
        assert_eq!(resident("VmPeak:\t  9 kB\nVmRSS:\t   12 kB\n"), Some(12 * 1024));
        assert_eq!(resident("VmPeak:\t  9 kB\n"), None);
        assert_eq!(resident("VmRSS:\t 18446744073709551615 kB\n"), None);
    }
}
