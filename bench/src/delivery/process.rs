use std::fs;
use std::time::Duration;

use crate::Result;
use crate::machine::{field, leading_number};

/// Another process, read from /proc.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process(u32);

impl Process {
    pub(crate) fn of(pid: u32) -> Self {
        Self(pid)
    }

    /// The CPU that all its threads have had: to the nanosecond where the kernel counts so finely.
    pub(crate) fn cpu(self) -> Result<Duration> {
        let mut sum = Duration::ZERO;
        for task in fs::read_dir(format!("/proc/{}/task", self.0))? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
            sum += Duration::from_nanos(nanos.ok_or("schedstat has no number")?);
        }
        Ok(sum)
    }

    /// Its resident memory in KiB.
    pub(crate) fn resident(self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0))?;
        field(&status, "VmRSS").and_then(leading_number).ok_or_else(|| "its status has no VmRSS".into())
    }
}
