//! What a process and the system have used so far.

/// CPU and memory of a process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Usage {
    /// CPU seconds since it began, of its children, too.
    pub(crate) cpu: f64,
    /// Bytes of memory now.
    pub(crate) memory: u64,
    /// The most bytes of memory it ever had.
    pub(crate) peak: u64,
}

/// What a process used between two looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Used {
    /// CPU seconds.
    pub(crate) cpu: f64,
    /// At the second look.
    pub(crate) memory: u64,
    /// The most it ever had.
    pub(crate) peak: u64,
}

impl Usage {
    /// Of this process; `None` where the system does not tell.
    pub(crate) fn own() -> Option<Usage> {
        Usage::of(std::process::id())
    }

    /// From `before` to this.
    pub(crate) fn since(&self, before: &Usage) -> Used {
        Used { cpu: (self.cpu - before.cpu).max(0.0), memory: self.memory, peak: self.peak }
    }
}

#[cfg(target_os = "linux")]
mod system {
    use procfs::net::{snmp, snmp6};
    use procfs::process::{Process, all_processes};
    use procfs::{WithCurrentSystemInfo, ticks_per_second};

    use super::Usage;

    impl Usage {
        /// Of the process `pid`; `None` if there is none.
        pub(crate) fn of(pid: u32) -> Option<Usage> {
            let process = Process::new(i32::try_from(pid).ok()?).ok()?;
            let (stat, status) = (process.stat().ok()?, process.status().ok()?);
            let ended = u64::try_from(stat.cutime.saturating_add(stat.cstime)).unwrap_or(0);
            // A server may have a process for each transfer, and those that run have not ended.
            let children = all_processes().into_iter().flatten().filter_map(|other| {
                let child = other.ok()?.stat().ok()?;
                (child.ppid == stat.pid).then_some(child.utime + child.stime)
            });
            let ticks = stat.utime + stat.stime + ended + children.sum::<u64>();
            Some(Usage {
                cpu: ticks as f64 / ticks_per_second() as f64,
                memory: stat.rss_bytes().get(),
                peak: status.vmhwm? << 10,
            })
        }
    }

    /// Datagrams that sockets of this host had no room for, of all processes.
    pub(crate) fn overflows() -> Option<u64> {
        let v6 = snmp6().map_or(0, |v6| v6.udp_rcvbuf_errors);
        Some(snmp().ok()?.udp_rcvbuf_errors + v6)
    }

    /// Lets this process open as many sockets as it may.
    pub(crate) fn raise_descriptors() {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        // If it fails, opening the sockets says so.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::Usage;

    impl Usage {
        /// Not known here.
        pub(crate) fn of(_pid: u32) -> Option<Usage> {
            None
        }
    }

    /// Not known here.
    pub(crate) fn overflows() -> Option<u64> {
        None
    }

    /// The system's limit holds.
    pub(crate) fn raise_descriptors() {}
}

pub(crate) use system::{overflows, raise_descriptors};

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_something() {
        let before = Usage::own().unwrap();
        assert!(before.memory > 1 << 16 && before.peak >= before.memory / 2, "{before:?}");
        let used = Usage::own().unwrap().since(&before);
        assert!((0.0..60.0).contains(&used.cpu), "{used:?}");
        assert!(Usage::of(u32::MAX).is_none());
        assert!(overflows().is_some());
    }
}
