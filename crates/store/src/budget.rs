//! How much memory may be held, and who holds it.

use std::iter;
use std::sync::Arc;
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(loom)]
use loom::sync::atomic::{AtomicU64, Ordering};

use thiserror::Error;

/// A limit on bytes, shared by everyone who holds a clone.
///
/// A budget can have children with limits of their own. A charge on a child is a charge on its
/// parent too and needs room in both, so the limits of all children may add up to more than the
/// parent's. At no moment does [`used`](Budget::used) exceed [`limit`](Budget::limit).
#[derive(Clone, Debug)]
pub struct Budget {
    node: Arc<Node>,
}

#[derive(Debug)]
struct Node {
    limit: u64,
    used: AtomicU64,
    parent: Option<Budget>,
}

/// Bytes taken from a budget and from all its ancestors; given back when dropped.
#[must_use = "the bytes are given back when the charge is dropped"]
#[derive(Debug)]
pub struct Charge {
    budget: Budget,
    bytes: u64,
}

/// A budget had no room for a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no room left in a budget of {limit} bytes")]
pub struct OverBudget {
    /// Whose limit was reached: 0 is the budget that was charged, 1 its parent, and so on.
    pub depth: usize,
    /// That limit, in bytes.
    pub limit: u64,
}

impl Budget {
    /// A budget of `limit` bytes that stands alone.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self { node: Arc::new(Node { limit, used: AtomicU64::new(0), parent: None }) }
    }

    /// A budget of `limit` bytes whose charges count against this one as well.
    ///
    /// `limit` is a ceiling and sets nothing aside; it may be above the limit of this budget.
    #[must_use]
    pub fn child(&self, limit: u64) -> Self {
        let parent = Some(self.clone());
        Self { node: Arc::new(Node { limit, used: AtomicU64::new(0), parent }) }
    }

    /// Takes `bytes` from this budget and its ancestors.
    ///
    /// # Errors
    ///
    /// [`OverBudget`] names the first budget without room, seen from this one upwards. Nothing is
    /// taken then. While another thread's charge is being refused by an ancestor, its bytes may
    /// still be counted here, so a charge that would just fit can be refused too.
    pub fn charge(&self, bytes: u64) -> Result<Charge, OverBudget> {
        self.take(bytes)?;
        Ok(Charge { budget: self.clone(), bytes })
    }

    /// Tells whether [`charge`](Self::charge) would succeed now, without taking anything.
    ///
    /// # Errors
    ///
    /// The same as those of a charge.
    pub fn check(&self, bytes: u64) -> Result<(), OverBudget> {
        match self.chain().enumerate().find(|(_, budget)| bytes > budget.own_room()) {
            None => Ok(()),
            Some((depth, budget)) => Err(OverBudget { depth, limit: budget.limit() }),
        }
    }

    /// The ceiling, in bytes.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.node.limit
    }

    /// Bytes held now through this budget and its descendants.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.node.used.load(Ordering::Acquire)
    }

    /// Bytes that could be charged now: the smallest room here and in all ancestors.
    #[must_use]
    pub fn free(&self) -> u64 {
        self.chain().map(Self::own_room).min().unwrap_or(0)
    }

    /// True if charges on this budget count against `other`.
    pub(crate) fn is_within(&self, other: &Self) -> bool {
        self.chain().any(|budget| Arc::ptr_eq(&budget.node, &other.node))
    }

    fn own_room(&self) -> u64 {
        self.limit().saturating_sub(self.used())
    }

    /// This budget, its parent, and so on.
    fn chain(&self) -> impl Iterator<Item = &Self> {
        iter::successors(Some(self), |budget| budget.node.parent.as_ref())
    }

    /// Goes from the bottom up, so that a client who is out of its own share never touches the
    /// counter that all clients compete for.
    fn take(&self, bytes: u64) -> Result<(), OverBudget> {
        for (depth, budget) in self.chain().enumerate() {
            if !budget.node.take(bytes) {
                self.chain().take(depth).for_each(|below| below.node.give_back(bytes));
                return Err(OverBudget { depth, limit: budget.limit() });
            }
        }
        Ok(())
    }

    fn give_back(&self, bytes: u64) {
        self.chain().for_each(|budget| budget.node.give_back(bytes));
    }
}

impl Node {
    /// Adds `bytes` if the sum stays within the limit.
    ///
    /// The sum is checked before it is stored and the store fails if the counter has moved, so no
    /// thread ever sees a value above the limit. `Acquire` pairs with the `Release` in `give_back`:
    /// memory whose bytes were given back is free before the same bytes are taken again.
    fn take(&self, bytes: u64) -> bool {
        let mut used = self.used.load(Ordering::Relaxed);
        loop {
            let Some(sum) = used.checked_add(bytes).filter(|sum| *sum <= self.limit) else {
                return false;
            };
            // `Relaxed` on failure: the value is only the next guess.
            match self.used.compare_exchange_weak(used, sum, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => used = now,
            }
        }
    }

    /// Subtracts bytes taken before. Cannot wrap: only a `Charge` calls it, with what it holds.
    fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Release);
    }
}

impl Charge {
    /// A charge on `budget` that holds nothing yet.
    pub(crate) fn none(budget: &Budget) -> Self {
        Self { budget: budget.clone(), bytes: 0 }
    }

    /// Takes `more` bytes in addition.
    ///
    /// # Errors
    ///
    /// As for [`Budget::charge`]; the charge stays as it was.
    pub fn try_grow(&mut self, more: u64) -> Result<(), OverBudget> {
        self.budget.take(more)?;
        self.bytes += more;
        Ok(())
    }

    /// Gives back all but `bytes`. Does nothing if no more than that is held.
    pub fn shrink_to(&mut self, bytes: u64) {
        let surplus = self.bytes.saturating_sub(bytes);
        self.bytes -= surplus;
        self.budget.give_back(surplus);
    }

    /// Gives the bytes back to all budgets but the uppermost, which goes on being charged.
    pub(crate) fn move_to_root(&mut self) {
        while let Some(parent) = self.budget.node.parent.clone() {
            self.budget.node.give_back(self.bytes);
            self.budget = parent;
        }
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The budget charged.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        &self.budget
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_charge_that_moves_to_the_root_leaves_room_in_its_share() {
        let root = Budget::new(100);
        let share = root.child(50).child(40);
        let mut charge = share.charge(30).unwrap();
        charge.move_to_root();
        assert_eq!((root.used(), share.used()), (30, 0));
        charge.shrink_to(20);
        assert_eq!((root.used(), share.used()), (20, 0));
        drop(charge);
        assert_eq!(root.used(), 0);
    }

    #[test]
    fn a_charge_fits_up_to_the_limit_and_comes_back_whole() {
        let budget = Budget::new(100);
        let mut first = budget.charge(60).unwrap();
        assert_eq!((budget.used(), budget.free()), (60, 40));
        assert_eq!(budget.charge(41).unwrap_err(), OverBudget { depth: 0, limit: 100 });
        let second = budget.charge(40).unwrap();
        assert_eq!(budget.free(), 0);
        assert!(first.try_grow(1).is_err());
        assert_eq!(first.bytes(), 60);

        first.shrink_to(70);
        assert_eq!(first.bytes(), 60);
        first.shrink_to(10);
        assert_eq!((first.bytes(), budget.used()), (10, 50));
        first.try_grow(5).unwrap();
        drop(second);
        assert_eq!(budget.used(), 15);
        drop(first);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_sum_that_overflows_is_refused() {
        let budget = Budget::new(u64::MAX);
        let _one = budget.charge(1).unwrap();
        assert!(budget.charge(u64::MAX).is_err());
        assert!(budget.charge(u64::MAX - 1).is_ok());
    }

    #[test]
    fn a_child_needs_room_above_it() {
        let top = Budget::new(100);
        let middle = top.child(80);
        let low = middle.child(500);
        assert_eq!(low.free(), 80);

        let held = low.charge(70).unwrap();
        assert_eq!((low.used(), middle.used(), top.used()), (70, 70, 70));
        assert_eq!(low.charge(11).unwrap_err(), OverBudget { depth: 1, limit: 80 });
        assert_eq!(low.check(11), Err(OverBudget { depth: 1, limit: 80 }));
        assert_eq!(low.check(10), Ok(()));

        let other = top.charge(25).unwrap();
        assert_eq!(low.charge(6).unwrap_err(), OverBudget { depth: 2, limit: 100 });
        assert_eq!(low.charge(501).unwrap_err(), OverBudget { depth: 0, limit: 500 });
        assert_eq!((low.used(), middle.used(), top.used()), (70, 70, 95));

        drop(held);
        drop(other);
        assert_eq!((low.used(), middle.used(), top.used()), (0, 0, 0));
        assert!(low.is_within(&top) && low.is_within(&low) && !top.is_within(&low));
    }

    #[test]
    fn many_threads_never_overshoot_and_leave_nothing() {
        const LIMIT: u64 = 1000;
        let top = Budget::new(LIMIT);
        thread::scope(|scope| {
            for seed in 1..=8_u64 {
                let child = top.child(LIMIT / 4);
                let top = top.clone();
                scope.spawn(move || {
                    let mut held = Vec::new();
                    for step in 0..5_000 {
                        match child.charge((seed * 37 + step * 13) % 97) {
                            Ok(mut charge) => {
                                let _ = charge.try_grow(step % 31);
                                charge.shrink_to(step % 53);
                                held.push(charge);
                            }
                            Err(_) => held.clear(),
                        }
                        assert!(top.used() <= LIMIT && child.used() <= LIMIT / 4);
                        let own: u64 = held.iter().map(Charge::bytes).sum();
                        assert_eq!(child.used(), own);
                    }
                    drop(held);
                    assert_eq!(child.used(), 0);
                });
            }
        });
        assert_eq!(top.used(), 0);
    }
}
