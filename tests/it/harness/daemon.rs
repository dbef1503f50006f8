//! A running `triaged run`.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use super::http;
use super::process::Process;
use super::wait::until;

/// The daemon's process; dropping it stops it.
pub(crate) struct Daemon {
    process: Process,
    http: u16,
}

impl Daemon {
    pub(super) fn start(mut command: Command, log: &Path, http: u16) -> Daemon {
        Daemon { process: Process::start(&mut command, log), http }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// What it has logged; daemons of one installation add to one log.
    pub(crate) fn log(&self) -> String {
        self.process.output()
    }

    /// Waits until /readyz says so.
    pub(crate) fn wait_ready(&mut self) {
        self.wait_until("the daemon is ready", Daemon::ready);
    }

    /// Waits until something is true of the daemon, which must not end meanwhile.
    pub(crate) fn wait_until(&mut self, what: &str, holds: impl Fn(&Daemon) -> bool) {
        until(what, || {
            if let Some(status) = self.process.ended() {
                panic!("the daemon ended ({status}) before {what}");
            }
            holds(self).then_some(())
        });
    }

    /// What /readyz says now.
    pub(crate) fn ready(&self) -> bool {
        self.get("/readyz").is_some_and(|(status, _)| status == 200)
    }

    /// Asks one of its pages.
    pub(crate) fn get(&self, path: &str) -> Option<(u16, String)> {
        http::get(self.http, path)
    }

    /// The sum of a metric's series that carry all these labels; 0 where there is none.
    pub(crate) fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let (_, text) = self.get("/metrics").expect("the daemon answers /metrics");
        text.lines()
            .filter(|line| {
                let rest = line.strip_prefix(name).unwrap_or_default();
                let wanted =
                    |(key, value): &(&str, &str)| rest.contains(&format!("{key}=\"{value}\""));
                rest.starts_with(['{', ' ']) && labels.iter().all(wanted)
            })
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum()
    }

    /// Waits until a counter says so: what is counted is counted only after it is committed, so
    /// whoever has seen it in the history may come before the counter.
    pub(crate) fn wait_counted(&mut self, name: &str, labels: &[(&str, &str)], count: u32) {
        let what = format!("{name} {labels:?} is {count}");
        let is_so = |daemon: &Daemon| {
            let value = daemon.metric(name, labels);
            assert!(value < f64::from(count) + 0.5, "{what}, and already {value}");
            value > f64::from(count) - 0.5
        };
        self.wait_until(&what, is_so);
    }

    /// Resident memory in bytes.
    pub(crate) fn memory(&self) -> u64 {
        self.status_bytes("VmRSS:")
    }

    /// The most resident memory since the start, or since [`Self::forget_peak`].
    pub(crate) fn peak_memory(&self) -> u64 {
        self.status_bytes("VmHWM:")
    }

    /// Lets the kernel measure the peak anew: see `clear_refs` in proc(5).
    pub(crate) fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.id()), "5").unwrap();
    }

    fn status_bytes(&self, key: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let value = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        value.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Asks it to stop; it must end well and in time. Returns its log, to the last line.
    pub(crate) fn stop(mut self) -> String {
        self.process.signal(Signal::TERM);
        let status = self.process.wait();
        assert!(status.success(), "after SIGTERM: {status}");
        self.log()
    }

    /// Tells it to look for another model, as `systemctl reload` does.
    pub(crate) fn hang_up(&mut self) {
        self.process.signal(Signal::HUP);
    }

    /// Stops it where it is, until [`Self::thaw`]: all of its threads, when this comes back.
    pub(crate) fn freeze(&mut self) {
        self.process.signal(Signal::STOP);
        let tasks = format!("/proc/{}/task", self.id());
        let stands = |task: fs::DirEntry| {
            let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            stat.rsplit(')').next().is_some_and(|state| state.starts_with(" T"))
        };
        until("all of its threads stand still", || {
            let mut tasks = fs::read_dir(&tasks).unwrap();
            tasks.all(|task| stands(task.unwrap())).then_some(())
        });
    }

    /// Lets it go on.
    pub(crate) fn thaw(&mut self) {
        self.process.signal(Signal::CONT);
    }

    /// Ends it without a warning, like a loss of power.
    pub(crate) fn kill(mut self) {
        self.process.signal(Signal::KILL);
        self.wait_killed();
    }

    /// Waits until it dies of SIGKILL and of nothing else.
    pub(crate) fn wait_killed(&mut self) {
        let status = self.process.wait();
        assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "it ended by itself: {status}");
    }

    /// True while it has not ended.
    pub(crate) fn is_running(&mut self) -> bool {
        self.process.ended().is_none()
    }
}
