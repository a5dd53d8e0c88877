//! Looks at a disk that is made by hand: how many there are, and who is answered with what.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use memtftp_proto::SessionId;
use memtftp_store::{Budget, Existing, Name, Store};
use memtftp_udp::Poller;

use super::Inner;
use super::backing::{About, Backing, BackingError, Change, Writers};
use super::looks::LOOK_PATIENCE;
use super::validate::LookQueue;
use crate::arrivals::Arrivals;
use crate::grant::Grant;
use crate::jobs::Waiter;
use crate::later::{Answers, Resolution};
use crate::rules::{Direction, Hardware, Rules};

/// A second, for which a look holds.
const SECOND: Duration = Duration::from_secs(1);

/// Files by their names, each with the number of its content.
#[derive(Default)]
struct Shelf {
    files: Mutex<HashMap<Name, u32>>,
    looks: AtomicUsize,
    /// Nothing is known of any file.
    is_broken: Mutex<bool>,
}

impl Backing for Shelf {
    type Mark = u32;
    type Found = u32;
    type Stored = ();
    type Watch = ();

    fn title(&self) -> String {
        "the shelf".to_owned()
    }

    fn find(&self, name: &Name) -> Result<u32, BackingError> {
        if *self.is_broken.lock().unwrap() {
            return Err(BackingError::System(std::io::ErrorKind::TimedOut.into()));
        }
        self.files.lock().unwrap().get(name).copied().ok_or(BackingError::NotFound)
    }

    fn look(&self, name: &Name) -> Result<u32, BackingError> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        self.find(name)
    }

    fn about(&self, found: &u32) -> About<u32> {
        About {
            mark: *found,
            len: 4,
            age: None,
            unchanged_for: None,
            file: None,
            is_linked: false,
            looked: Some(Instant::now()),
        }
    }

    fn writers(&self, _: &u32) -> Writers {
        Writers::None
    }

    fn load(&self, found: u32) -> Result<Vec<u8>, BackingError> {
        Ok(found.to_be_bytes().to_vec())
    }

    fn spelling(&self, _: &Name) -> Option<Name> {
        None
    }

    fn spelling_for_upload(&self, _: &Name) -> Option<Name> {
        None
    }

    fn may_store(&self, _: &Name, _: Existing) -> Result<(), BackingError> {
        Err(BackingError::Full)
    }

    fn store(&self, _: &Name, _: &[u8]) -> Result<(), BackingError> {
        Err(BackingError::Full)
    }

    fn publish(&self, (): &mut (), _: &Name, _: Existing) -> Result<About<u32>, BackingError> {
        Err(BackingError::Full)
    }

    fn settle(&self, (): &(), _: &Name) -> Result<(), BackingError> {
        Ok(())
    }

    fn names(&self) -> impl Iterator<Item = Name> {
        std::iter::empty()
    }

    fn clear(&self) {}

    fn watch(&self, _: impl Fn(Change) + Send + Sync + 'static, _: Option<()>) {}
}

/// A directory without threads: its queues are emptied by hand.
struct Rig {
    inner: Arc<Inner<Shelf>>,
    queue: LookQueue,
    to_look_at: Receiver<Name>,
    _to_time: Receiver<()>,
    asked: Sender<()>,
    answers: Answers,
    given: Receiver<Resolution>,
}

impl Rig {
    fn new(max_looks: usize) -> Rig {
        let store = Store::new(Budget::new(1_000));
        let (wake, _) = bounded(1);
        let inner = Inner::new(Shelf::default(), 100, store, Arrivals::default(), wake);
        let (names, to_look_at) = bounded(max_looks);
        let (timer, _to_time) = bounded(1);
        let (asked, _) = bounded(1);
        let (answers, given) = Answers::new(Poller::new().unwrap().waker());
        let queue = LookQueue { names, timer };
        Rig { inner, queue, to_look_at, _to_time, asked, answers, given }
    }

    /// Has a file on disk and in memory.
    fn file(&self, name: &Name, content: u32) {
        self.set(name, content);
        self.inner.load(name);
        assert!(self.inner.store.contains(name));
    }

    fn set(&self, name: &Name, content: u32) {
        self.inner.backing.files.lock().unwrap().insert(name.clone(), content);
    }

    fn ask(&self, name: &Name) {
        let (rules, peer) = (Rules::default(), ([127, 0, 0, 1], 1_000).into());
        let (hardware, direction) = (Hardware::NotAsked, Direction::Read);
        let Ok(grant) = Grant::decide(&rules, peer, hardware, direction, name.clone()) else {
            panic!("there are no rules");
        };
        let (id, since, answers) = (SessionId::default(), Instant::now(), self.answers.clone());
        self.inner.join_look(name, Waiter { id, grant, since, answers }, &self.queue);
    }

    /// Does what the threads that look would do.
    fn look(&self) {
        let queue = self.to_look_at.try_iter().collect::<Vec<_>>();
        let (names, to_look_at) = bounded(queue.len());
        queue.into_iter().for_each(|name| names.send(name).unwrap());
        drop(names);
        self.inner.look_at_all(&to_look_at, &self.asked);
    }

    /// Takes the file that a thread would load next.
    fn next_load(&self) -> Option<Name> {
        self.inner.held().loads.next()
    }

    fn looks(&self) -> usize {
        self.inner.backing.looks.load(Ordering::Relaxed)
    }

    /// The contents that requests got, in order; none for those that were refused.
    fn given(&self) -> Vec<Option<Vec<u8>>> {
        let content = |resolution| match resolution {
            Resolution::Opened(_, opened) => opened.ok().map(|opened| opened.as_ref().to_vec()),
            other => panic!("{other:?}"),
        };
        self.given.try_iter().map(content).collect()
    }
}

fn name(text: &str) -> Name {
    Name::parse(text.as_bytes()).unwrap()
}

fn content(number: u32) -> Option<Vec<u8>> {
    Some(number.to_be_bytes().to_vec())
}

#[test]
fn one_look_serves_all_who_ask_and_holds_for_a_second() {
    let (rig, f) = (Rig::new(10), name("f"));
    let begun = Instant::now();
    rig.file(&f, 1);
    let loaded = rig.looks();
    assert!(rig.inner.is_servable(&f, begun));
    assert!(rig.inner.is_servable(&name("absent"), begun), "of which the store knows nothing");
    assert!(!rig.inner.is_servable(&f, Instant::now() + SECOND));
    for _ in 0..100 {
        rig.ask(&f);
    }
    assert!(rig.given().is_empty(), "they wait");
    rig.look();
    assert_eq!((rig.given(), rig.looks()), (vec![content(1); 100], loaded + 1));
    assert!(rig.inner.is_servable(&f, begun));
    assert!(rig.inner.held().looks.is_idle());
}

#[test]
fn a_file_that_is_another_now_is_loaded_for_all_who_wait_and_one_that_is_gone_is_not_found() {
    let (rig, f) = (Rig::new(10), name("f"));
    rig.file(&f, 1);
    rig.set(&f, 2);
    rig.ask(&f);
    rig.ask(&f);
    rig.look();
    assert!(rig.given().is_empty() && !rig.inner.store.contains(&f));
    assert_eq!([rig.next_load(), rig.next_load()], [Some(f.clone()), None], "once");
    rig.inner.load(&f);
    assert_eq!(rig.given(), [content(2), content(2)]);
    rig.inner.backing.files.lock().unwrap().clear();
    rig.ask(&f);
    rig.look();
    assert_eq!(rig.next_load(), Some(f.clone()));
    rig.inner.load(&f);
    assert_eq!(rig.given(), [None]);
}

#[test]
fn a_disk_that_hangs_is_waited_for_so_long_and_then_memory_is_served_until_it_answers() {
    let (rig, f) = (Rig::new(10), name("f"));
    rig.file(&f, 1);
    rig.ask(&f);
    // Nobody looks.
    rig.inner.answer_overdue(Instant::now());
    assert!(rig.given().is_empty());
    let late = Instant::now() + LOOK_PATIENCE;
    rig.inner.answer_overdue(late);
    assert_eq!(rig.given(), [content(1)]);
    assert!(rig.inner.is_servable(&f, late), "without another wait");
    rig.set(&f, 2);
    rig.look();
    assert!(!rig.inner.store.contains(&f), "what it tells at last still counts");
    assert!(rig.next_load().is_none() && rig.given().is_empty(), "nobody waits any more");
}

#[test]
fn a_disk_that_tells_nothing_empties_no_memory_and_is_asked_once_a_second() {
    let (rig, f) = (Rig::new(10), name("f"));
    rig.file(&f, 1);
    *rig.inner.backing.is_broken.lock().unwrap() = true;
    let begun = Instant::now();
    rig.ask(&f);
    rig.look();
    assert_eq!(rig.given(), [content(1)]);
    assert!(rig.inner.is_servable(&f, begun));
    assert!(!rig.inner.is_servable(&f, Instant::now() + SECOND));
}

#[test]
fn files_in_memory_are_served_when_more_looks_are_wanted_than_may_wait() {
    let (rig, files) = (Rig::new(2), ["a", "b", "c"].map(name));
    files.iter().for_each(|file| rig.file(file, 7));
    files.iter().for_each(|file| rig.ask(file));
    assert_eq!(rig.given(), [content(7)], "the third");
    rig.look();
    assert_eq!(rig.given(), [content(7), content(7)]);
    assert!(rig.inner.held().looks.is_idle());
}

#[test]
fn an_upload_that_is_getting_its_name_is_not_taken_for_a_change() {
    let (rig, f) = (Rig::new(10), name("f"));
    rig.file(&f, 1);
    let turn = rig.inner.turns.take(&f);
    rig.set(&f, 2);
    rig.ask(&f);
    rig.look();
    assert_eq!(rig.given(), [content(1)], "the one before, until the client of the upload is told");
    drop(turn);
    rig.ask(&f);
    rig.look();
    assert!(!rig.inner.store.contains(&f));
}
