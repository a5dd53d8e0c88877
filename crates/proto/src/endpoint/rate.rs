//! How often something may happen in a second.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use foldhash::quality::RandomState;

use crate::time::Time;

const SECOND: u64 = 1_000_000;

/// Client addresses whose requests are counted at once. When there are more, those are forgotten
/// that have their whole allowance again; if that does not make room for half as many, all are.
const MAX_CLIENTS: usize = 4_096;

/// So many in each second of the clock.
#[derive(Debug, Default)]
pub(super) struct PerSecond {
    second: u64,
    happened: u32,
}

impl PerSecond {
    pub(super) fn allow(&mut self, now: Time, per_second: u32) -> bool {
        let second = now.as_micros() / SECOND;
        if second != self.second {
            *self = PerSecond { second, happened: 0 };
        }
        self.happened = self.happened.saturating_add(1);
        self.happened <= per_second
    }
}

/// So many of each client address a second, in one burst or spread evenly.
#[derive(Debug, Default)]
pub(super) struct PerClient {
    /// When the client will have its whole allowance again. Each request moves it back by its share
    /// of a second, and there is room for one second.
    restored: HashMap<IpAddr, Time, RandomState>,
}

impl PerClient {
    pub(super) fn allow(&mut self, now: Time, client: IpAddr, per_second: u32) -> bool {
        let share = Duration::from_micros(SECOND / u64::from(per_second.max(1)));
        if let Some(restored) = self.restored.get_mut(&client) {
            let next = (*restored).max(now) + share;
            let allowed = next <= now + Duration::from_micros(SECOND);
            if allowed {
                *restored = next;
            }
            return allowed;
        }
        if self.restored.len() >= MAX_CLIENTS {
            self.restored.retain(|_, restored| *restored > now);
            if self.restored.len() > MAX_CLIENTS / 2 {
                self.restored.clear();
            }
        }
        self.restored.insert(client, now + share);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_micros(millis * 1_000)
    }

    fn client(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    fn allowed(rates: &mut PerClient, millis: u64, client: IpAddr, tries: usize) -> usize {
        (0..tries).filter(|_| rates.allow(at(millis), client, 10)).count()
    }

    #[test]
    fn a_burst_and_then_an_even_rate() {
        let (mut rates, one, other) = (PerClient::default(), client(1), client(2));
        assert_eq!(allowed(&mut rates, 0, one, 100), 10);
        assert_eq!(allowed(&mut rates, 0, other, 100), 10, "each has its own");
        assert_eq!(allowed(&mut rates, 99, one, 100), 0);
        assert_eq!(allowed(&mut rates, 250, one, 100), 2);
        assert_eq!(allowed(&mut rates, 10_000, one, 100), 10);
    }

    #[test]
    fn the_table_is_bounded_and_keeps_who_has_asked_much() {
        let mut rates = PerClient::default();
        assert_eq!(allowed(&mut rates, 0, client(0), 10), 10);
        for number in 1..MAX_CLIENTS as u32 {
            assert!(rates.allow(at(0), client(number), 10));
        }
        assert_eq!(allowed(&mut rates, 500, client(9_999), 1), 1);
        assert_eq!(rates.restored.len(), 2);
        assert_eq!(allowed(&mut rates, 500, client(0), 10), 5);
        // All of them just now: none can be told from the others.
        for number in 10_000..20_000 {
            assert_eq!(allowed(&mut rates, 500, client(number), 11), 10);
            assert!(rates.restored.len() <= MAX_CLIENTS);
        }
    }
}
