//! Large pages for the weights of a model.
//!
//! Each mail goes through all weights, and in pages of 4 KiB the processor loses time with finding
//! them (5 % with the default model; see `daemon/ARCHITECTURE.md`). ONNX Runtime takes its memory
//! from the C library, piece by piece, so this asks the kernel to lay together what is there once
//! a model is loaded. It is advice: where the kernel does not follow, everything works as before.
//! It asks for nothing where the administrator has switched large pages off.

#[cfg(target_os = "linux")]
pub(super) use linux::gather;

/// Other systems decide by themselves.
#[cfg(not(target_os = "linux"))]
pub(super) fn gather() {}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::ops::Range;

    /// The size of a large page on x86-64, and on aarch64 with small pages of 4 KiB, in bytes.
    const LARGE: usize = 2 << 20;
    /// Whether the kernel may give large pages at all.
    const ALLOWED: &str = "/sys/kernel/mm/transparent_hugepage/enabled";

    /// Lays the large pieces of this process's memory together that are in use as a whole, which
    /// after the loading of a model are its weights. Takes some milliseconds.
    pub(in crate::model) fn gather() {
        let allowed = fs::read_to_string(ALLOWED).is_ok_and(|modes| !modes.contains("[never]"));
        if !allowed {
            return;
        }
        let Ok(mappings) = fs::read_to_string("/proc/self/smaps") else { return };
        let gathered: usize = full(&mappings).into_iter().map(gather_one).sum();
        tracing::debug!(bytes = gathered, "memory was laid together in large pages");
    }

    /// The anonymous mappings of which more than half is in memory (so no stack of a thread), cut to
    /// whole large pages.
    fn full(smaps: &str) -> Vec<Range<usize>> {
        let mut mapping = None;
        let mut found = Vec::new();
        for line in smaps.lines() {
            if let Some(resident) = line.strip_prefix("Rss:") {
                let kibibytes = resident.trim().trim_end_matches(" kB").parse::<usize>();
                let resident = kibibytes.unwrap_or(0) << 10;
                found.extend(mapping.take().filter(|one: &Range<usize>| resident >= one.len() / 2));
            } else if let Some(range) = anonymous(line) {
                mapping = Some(range);
            }
        }
        let whole = |one: Range<usize>| one.start.next_multiple_of(LARGE)..one.end / LARGE * LARGE;
        found.into_iter().map(whole).filter(|one| !one.is_empty()).collect()
    }

    /// The addresses of a private mapping that may be written and belongs to no file, from the
    /// line that begins its entry (`proc_pid_smaps(5)`).
    fn anonymous(line: &str) -> Option<Range<usize>> {
        let mut fields = line.split_ascii_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        let address = |text| usize::from_str_radix(text, 16).ok();
        let range = address(start)?..address(end)?;
        let plain = fields.next()? == "rw-p" && fields.nth(2)? == "0";
        (plain && fields.next().is_none_or(|name| name == "[heap]")).then_some(range)
    }

    /// The bytes that now lie in large pages.
    #[expect(unsafe_code, reason = "the kernel has no other way to be asked")]
    fn gather_one(range: Range<usize>) -> usize {
        // SAFETY: neither advice changes what stands in the memory, whoever uses it meanwhile, and
        // a range that is gone by now is an error that the kernel reports.
        let asks = |advice| unsafe { libc::madvise(range.start as *mut _, range.len(), advice) };
        // At once (Linux 6.1); older kernels do it by and by.
        let done = asks(libc::MADV_COLLAPSE) == 0 || asks(libc::MADV_HUGEPAGE) == 0;
        if done { range.len() } else { 0 }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn only_full_anonymous_mappings_are_gathered_in_whole_pages() {
            let smaps = "\
7f0000100000-7f0000900000 rw-p 00000000 00:00 0 \nSize: 8192 kB\nRss:    8192 kB\nPss: 0 kB
7f1000000000-7f1000800000 rw-p 00000000 00:00 0 \nSize: 8192 kB\nRss:     132 kB
7f2000000000-7f2000800000 rw-p 00000000 00:00 0   [heap]\nRss:    5192 kB
7f2100000000-7f2100800000 rw-p 00000000 00:00 0   [stack]\nRss:    8192 kB
7f3000000000-7f3000800000 r-xp 00000000 fe:00 77  /usr/lib/one.so\nRss:    8192 kB
7f4000001000-7f4000201000 rw-p 00000000 00:00 0 \nRss:    2048 kB
";
            let expected = [0x7f00_0020_0000..0x7f00_0080_0000, 0x7f20_0000_0000..0x7f20_0080_0000];
            assert_eq!(full(smaps), expected);
            assert!(full("nonsense\nRss: many kB\n-\n").is_empty());
        }
    }
}
