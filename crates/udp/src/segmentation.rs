//! Whether the system cuts runs of equal datagrams apart (`UDP_SEGMENT`), and when it does no more.
//!
//! One call then carries a whole run through most of the network stack, which is where nearly all
//! the time of a datagram goes. But some devices and kernels cannot do it, and say so only when
//! it is tried, or not at all.

use std::sync::atomic::{AtomicUsize, Ordering};

/// When to let the system cut runs of equal datagrams apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Gso {
    /// Where the kernel can and is not known to damage them, until a device refuses.
    #[default]
    Auto,
    /// Wherever the kernel can. What a device refuses is sent one by one, and tried again.
    On,
    /// Never.
    Off,
}

/// The state of one socket.
#[derive(Debug)]
pub(crate) struct Segmentation {
    /// Runs of datagrams longer than this are sent one by one; 0 for all of them.
    longest: AtomicUsize,
    /// A refusal changes nothing.
    forced: bool,
}

impl Segmentation {
    /// `able` tells whether the kernel knows how.
    pub(crate) fn new(policy: Gso, able: bool) -> Segmentation {
        let on = able
            && match policy {
                Gso::Auto => !kernel_damages(),
                Gso::On => true,
                Gso::Off => false,
            };
        let longest = AtomicUsize::new(if on { usize::MAX } else { 0 });
        Segmentation { longest, forced: policy == Gso::On }
    }

    /// The longest datagram of which runs are sent whole; 0 for none.
    pub(crate) fn longest(&self) -> usize {
        self.longest.load(Ordering::Relaxed)
    }

    pub(crate) fn is_on(&self) -> bool {
        self.longest() > 0
    }

    pub(crate) fn turn_off(&self) {
        if !self.forced {
            self.longest.store(0, Ordering::Relaxed);
        }
    }

    /// A run of datagrams of `length` bytes was refused.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn refused(&self, code: Option<i32>, length: usize) {
        // Longer than the way allows without fragments: shorter ones still pass. Old kernels say
        // EINVAL for it, but that of a short one is a device's fault.
        let too_long = code == Some(libc::EMSGSIZE)
            || code == Some(libc::EINVAL) && length > SHORTEST_FRAGMENTED;
        if self.forced {
        } else if too_long {
            self.longest.fetch_min(length - 1, Ordering::Relaxed);
        } else {
            self.turn_off();
        }
    }
}

/// Datagrams up to this fit the smallest Ethernet MTU in use over IPv6.
#[cfg(any(target_os = "linux", target_os = "android"))]
const SHORTEST_FRAGMENTED: usize = 1_280 - 48;

/// Whether this kernel is one that sends runs of equal datagrams with broken headers on many
/// devices: from 7.0 to 7.1.4.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn kernel_damages() -> bool {
    // Nothing is known where it cannot be read, and the fault is rare.
    std::fs::read_to_string("/proc/sys/kernel/osrelease").is_ok_and(|text| is_damaging(&text))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn kernel_damages() -> bool {
    false
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn is_damaging(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    let mut number = || numbers.next().and_then(Result::ok).unwrap_or(0);
    let version = (number(), number(), number());
    ((7, 0, 0)..(7, 1, 5)).contains(&version)
}

#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
mod tests {
    use super::*;

    #[test]
    fn kernels_that_damage_runs() {
        for release in ["7.0.0-rc1", "7.0.12-generic\n", "7.1.4"] {
            assert!(is_damaging(release), "{release}");
        }
        for release in ["6.19.1", "7.1.5", "7.2.0", "8.0.1", "5.15.0-91-generic", "odd", ""] {
            assert!(!is_damaging(release), "{release}");
        }
    }

    #[test]
    fn what_a_refusal_changes() {
        let auto = || Segmentation { longest: AtomicUsize::new(usize::MAX), forced: false };
        let after = |code, length| {
            let segmentation = auto();
            segmentation.refused(Some(code), length);
            segmentation.longest()
        };
        assert_eq!(after(libc::EMSGSIZE, 8_196), 8_195, "shorter ones pass");
        assert_eq!(after(libc::EINVAL, 1_469), 1_468, "as old kernels say it");
        assert_eq!(after(libc::EINVAL, 516), 0);
        assert_eq!(after(libc::EIO, 516), 0, "a device without checksums");
        let forced = Segmentation { forced: true, ..auto() };
        forced.refused(Some(libc::EIO), 516);
        forced.turn_off();
        assert!(forced.is_on());
        assert!(!Segmentation::new(Gso::On, false).is_on());
        assert!(!Segmentation::new(Gso::Off, true).is_on());
    }
}
