use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use crate::Result;
use crate::sample::Sample;

/// How often the disk is asked to sync.
const SYNCS: usize = 50;

/// One line: what the figures depend on. The disk's sync is among it, for every commit waits for one.
pub(crate) fn describe(folder: &Path) -> Result<String> {
    let cpu = fs::read_to_string("/proc/cpuinfo")?;
    let model = field(&cpu, "model name").unwrap_or("unknown CPU");
    let cores = std::thread::available_parallelism()?;
    let memory = fs::read_to_string("/proc/meminfo")?;
    let kilobytes: f64 = field(&memory, "MemTotal").and_then(leading_number).ok_or("/proc/meminfo has no MemTotal")?;
    let load = fs::read_to_string("/proc/loadavg")?;
    let load = load.split(' ').next().unwrap_or_default();
    let sync = disk_sync(folder)?;
    Ok(format!(
        "Measured on {model}, {cores} cores, {:.1} GiB of memory; a sync of the disk takes {:.2} ms (median of {SYNCS}); \
         load average before the measurement {load}.",
        kilobytes / 1024.0 / 1024.0,
        sync.median(),
    ))
}

/// The value of a `name: value` line, as the files of /proc have them.
pub(crate) fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}

/// The number of a value such as `24682 kB`.
pub(crate) fn leading_number(value: &str) -> Option<f64> {
    value.split_whitespace().next()?.parse().ok()
}

/// How long it takes to append a page to a file and sync it, in milliseconds.
fn disk_sync(folder: &Path) -> Result<Sample> {
    let path = folder.join("sync");
    let mut file = File::create(&path)?;
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let begin = Instant::now();
        file.write_all(&[0; 4096])?;
        file.sync_data()?;
        times.push(begin.elapsed());
    }
    fs::remove_file(path)?;
    Ok(Sample::of_times(times).ok_or("no sync was measured")?)
}
