//! What the system says of this process.

/// Bytes of memory that are resident; none where the system does not say.
#[cfg(target_os = "linux")]
pub(crate) fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// Bytes of memory that are resident; none where the system does not say.
#[cfg(not(target_os = "linux"))]
pub(crate) const fn resident() -> Option<u64> {
    None
}
