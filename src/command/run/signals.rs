//! Signals that `pipewatch run` forwards.

use std::ffi::c_int;
use std::io;

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::Cause;
use tokio::sync::mpsc;

const FORWARDED: [c_int; 6] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2];

/// Receives the signals that other processes send to this one. What the terminal sends reaches the command without help,
/// because it is in the same process group. Signals that this process ignores, as under nohup, stay ignored.
pub(super) fn listen() -> io::Result<mpsc::UnboundedReceiver<c_int>> {
    let ignored = ignored();
    let wanted = FORWARDED.into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0);
    let mut signals = SignalsInfo::<WithOrigin>::new(wanted)?;
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for origin in signals.forever() {
            if origin.cause != Cause::Kernel && sender.send(origin.signal).is_err() {
                return;
            }
        }
    })?;
    Ok(receiver)
}

/// The mask of ignored signals, where the system tells it.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

/// Sends a signal to the command, which has not been waited for.
pub(super) fn forward(signal: c_int, process: u32) {
    let process = i32::try_from(process).ok().and_then(Pid::from_raw);
    if let Some((process, signal)) = process.zip(Signal::from_named_raw(signal)) {
        // The process may have ended already.
        let _ = kill_process(process, signal);
    }
}

/// The name of a signal: `SIGTERM`.
pub(super) fn name(signal: c_int) -> String {
    signal_hook::low_level::signal_name(signal).map_or_else(|| format!("signal {signal}"), str::to_owned)
}
