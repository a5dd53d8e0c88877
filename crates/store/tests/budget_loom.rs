//! The budget in every order in which threads can meet: `RUSTFLAGS="--cfg loom" cargo test --release
//! -p memtftp-store --test budget_loom`.
#![cfg(loom)]
#![allow(clippy::unwrap_used, reason = "not reached by any peer")]

use loom::thread;
use memtftp_store::Budget;

#[test]
fn of_two_charges_that_do_not_fit_together_at_most_one_is_taken() {
    loom::model(|| {
        let budget = Budget::new(3);
        let other = budget.clone();
        let thread = thread::spawn(move || other.charge(2).ok());
        let ours = budget.charge(2).ok();
        let theirs = thread.join().unwrap();
        assert!(ours.is_some() != theirs.is_some(), "alone, each fits");
        assert_eq!(budget.used(), 2);
        drop((ours, theirs));
        assert_eq!(budget.used(), 0);
    });
}

#[test]
fn nobody_ever_sees_more_used_than_the_limit() {
    loom::model(|| {
        let total = Budget::new(3);
        let clients = [total.child(2), total.child(2)];
        let threads = clients.clone().map(|client| {
            thread::spawn(move || {
                let charge = client.charge(2);
                assert!(client.used() <= 2);
                charge.is_ok()
            })
        });
        assert!(total.used() <= 3);
        let taken = threads.map(|thread| thread.join().unwrap());
        assert!(taken.contains(&true), "one of them has room whatever the order");
        assert_eq!((total.used(), clients.map(|client| client.used())), (0, [0, 0]));
    });
}

#[test]
fn growing_and_shrinking_give_back_what_they_took() {
    loom::model(|| {
        let total = Budget::new(4);
        let client = total.child(4);
        let thread = thread::spawn({
            let client = client.clone();
            move || {
                let mut charge = client.charge(1).unwrap();
                let grown = charge.try_grow(2).is_ok();
                charge.shrink_to(1);
                assert_eq!(charge.bytes(), 1);
                grown
            }
        });
        let mut charge = client.charge(2).ok();
        if let Some(charge) = &mut charge {
            charge.shrink_to(1);
        }
        drop(charge);
        thread.join().unwrap();
        assert_eq!((total.used(), client.used()), (0, 0));
        assert!(total.charge(4).is_ok());
    });
}
