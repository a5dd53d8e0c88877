//! Random operations on a store, compared with a plain map after every step.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use memtftp_store::{AppendError, Budget, Existing, Name, OverBudget, Store, Upload, Version};
use proptest::collection::vec;
use proptest::prelude::*;

/// Small enough to be reached often.
const LIMIT: u64 = 40_000;
const SHARE: u64 = 15_000;
const MAX_LEN: u64 = 9_000;

/// Pins and uploads are picked by a number that is taken modulo how many there are.
#[derive(Clone, Debug)]
enum Op {
    Begin,
    BeginCharged,
    Append(usize, Vec<u8>),
    Announce(usize, u64),
    Commit(usize, u8, bool),
    Abandon(usize),
    Open(u8),
    Unpin(usize),
    Remove(u8),
    Put(u8, Vec<u8>),
}

fn op() -> impl Strategy<Value = Op> {
    let bytes = || (any::<u8>(), 0..4_000_usize).prop_map(|(byte, len)| vec![byte; len]);
    let file = || 0..4_u8;
    let pick = || 0..100_usize;
    prop_oneof![
        3 => Just(Op::Begin),
        3 => Just(Op::BeginCharged),
        10 => (pick(), bytes()).prop_map(|(at, bytes)| Op::Append(at, bytes)),
        3 => (pick(), prop_oneof![0..20_000_u64, Just(u64::MAX)]).prop_map(|(at, len)| Op::Announce(at, len)),
        5 => (pick(), file(), any::<bool>()).prop_map(|(at, file, replace)| Op::Commit(at, file, replace)),
        1 => pick().prop_map(Op::Abandon),
        4 => file().prop_map(Op::Open),
        3 => pick().prop_map(Op::Unpin),
        1 => file().prop_map(Op::Remove),
        2 => (file(), bytes()).prop_map(|(file, bytes)| Op::Put(file, bytes)),
    ]
}

/// What the model knows of a version: it lives as long as a name or a pin in the model has it.
struct Content {
    bytes: Vec<u8>,
    in_share: bool,
}

struct ModelUpload {
    real: Upload,
    bytes: Vec<u8>,
    max_len: u64,
    in_share: bool,
}

struct Model {
    store: Store,
    share: Budget,
    files: BTreeMap<u8, Arc<Content>>,
    uploads: Vec<ModelUpload>,
    pins: Vec<(Version, Arc<Content>)>,
    /// Every version there ever was.
    history: Vec<Weak<Content>>,
}

fn name(file: u8) -> Name {
    Name::parse(format!("dir/{file}").as_bytes()).unwrap()
}

impl Model {
    fn new() -> Self {
        let store = Store::new(Budget::new(LIMIT));
        let share = store.budget().child(SHARE);
        let (files, uploads, pins, history) = Default::default();
        Self { store, share, files, uploads, pins, history }
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Begin => self.begin(false),
            Op::BeginCharged => self.begin(true),
            Op::Append(at, bytes) => self.append(at, &bytes),
            Op::Announce(at, len) => self.announce(at, len),
            Op::Commit(at, file, replace) => self.commit(at, file, replace),
            Op::Abandon(at) => drop(take(&mut self.uploads, at)),
            Op::Open(file) => self.open(file),
            Op::Unpin(at) => drop(take(&mut self.pins, at)),
            Op::Remove(file) => {
                let (real, model) = (self.store.remove(&name(file)), self.files.remove(&file));
                assert_eq!(
                    real.as_ref().map(AsRef::as_ref),
                    model.as_ref().map(|m| m.bytes.as_slice())
                );
            }
            Op::Put(file, bytes) => self.put(file, bytes),
        }
    }

    fn begin(&mut self, in_share: bool) {
        let (real, max_len) = if in_share {
            (self.store.begin_charged_to(&self.share, MAX_LEN), MAX_LEN)
        } else {
            (self.store.begin(), u64::MAX)
        };
        self.uploads.push(ModelUpload { real, bytes: vec![], max_len, in_share });
    }

    fn append(&mut self, at: usize, bytes: &[u8]) {
        let Some(at) = at.checked_rem(self.uploads.len()) else { return };
        let free = self.uploads[at].real.budget().free();
        let upload = &mut self.uploads[at];
        let (before, need) = (upload.real.charged(), (upload.bytes.len() + bytes.len()) as u64);
        match upload.real.append(bytes) {
            Ok(()) => {
                assert!(need <= upload.max_len);
                upload.bytes.extend(bytes);
            }
            Err(AppendError::TooLong { max }) => assert!(max == upload.max_len && need > max),
            Err(AppendError::OverBudget(over)) => {
                check_over(over, upload.in_share);
                assert!(need - before > free, "refused {need} with {before} held and {free} free");
            }
            Err(AppendError::OutOfMemory) => panic!("out of memory"),
        }
    }

    fn announce(&mut self, at: usize, len: u64) {
        let Some(at) = at.checked_rem(self.uploads.len()) else { return };
        let upload = &mut self.uploads[at];
        let missing = len.saturating_sub(upload.real.charged());
        let fits = missing <= upload.real.budget().free();
        let before = upload.real.charged();
        match upload.real.announce(len) {
            Ok(()) => assert!(len <= upload.max_len && fits),
            Err(AppendError::TooLong { .. }) => assert!(len > upload.max_len),
            Err(AppendError::OverBudget(over)) => {
                check_over(over, upload.in_share);
                assert!(!fits);
            }
            Err(AppendError::OutOfMemory) => panic!("out of memory"),
        }
        assert_eq!(upload.real.charged(), before);
    }

    fn commit(&mut self, at: usize, file: u8, replace: bool) {
        let Some(upload) = take(&mut self.uploads, at) else { return };
        let existing = if replace { Existing::Replace } else { Existing::Refuse };
        let taken = self.files.contains_key(&file);
        match self.store.commit(name(file), upload.real, existing) {
            Ok(receipt) => {
                assert!(replace || !taken);
                assert_eq!(receipt.replaced(), taken);
                assert_eq!(receipt.len(), upload.bytes.len() as u64);
                self.publish(file, Content { bytes: upload.bytes, in_share: upload.in_share });
            }
            Err(_) => assert!(taken && !replace),
        }
    }

    fn put(&mut self, file: u8, bytes: Vec<u8>) {
        let free = self.store.budget().free();
        match self.store.put(name(file), bytes.clone()) {
            Ok(receipt) => {
                assert_eq!(receipt.replaced(), self.files.contains_key(&file));
                self.publish(file, Content { bytes, in_share: false });
            }
            Err(error) => {
                assert_eq!(error, OverBudget { depth: 0, limit: LIMIT }.into());
                assert!(bytes.len() as u64 > free);
            }
        }
    }

    fn open(&mut self, file: u8) {
        let (real, model) = (self.store.open(&name(file)), self.files.get(&file));
        assert_eq!(real.is_some(), model.is_some());
        self.pins.extend(real.zip(model.cloned()));
    }

    fn publish(&mut self, file: u8, content: Content) {
        let content = Arc::new(content);
        self.history.push(Arc::downgrade(&content));
        self.files.insert(file, content);
    }

    fn check(&self) {
        for (version, content) in &self.pins {
            assert_eq!(version.as_ref(), content.bytes);
        }
        let listed: Vec<_> = self.store.entries().collect();
        let known: Vec<_> =
            self.files.iter().map(|(file, c)| (name(*file), c.bytes.len() as u64)).collect();
        assert_eq!(listed, known);
        for (file, content) in &self.files {
            assert_eq!(self.store.open(&name(*file)).unwrap().as_ref(), content.bytes);
        }
        for upload in &self.uploads {
            let (len, charged) = (upload.real.len(), upload.real.charged());
            assert_eq!(len, upload.bytes.len() as u64);
            assert!(len <= charged && charged <= (2 * len + 4096).min(upload.max_len));
            assert!(len > 0 || charged == 0);
        }
        assert_eq!(self.store.budget().used(), self.held(|_| true));
        assert_eq!(self.share.used(), self.held(|in_share| in_share));
    }

    /// Bytes that must be charged: versions with a name or a pin, and the room of the uploads.
    fn held(&self, counts: impl Fn(bool) -> bool) -> u64 {
        let versions = self.history.iter().filter_map(Weak::upgrade);
        let versions = versions.filter(|c| counts(c.in_share)).map(|c| c.bytes.len() as u64);
        let uploads = self.uploads.iter().filter(|upload| counts(upload.in_share));
        versions.sum::<u64>() + uploads.map(|upload| upload.real.charged()).sum::<u64>()
    }
}

fn check_over(over: OverBudget, in_share: bool) {
    let expected: &[(usize, u64)] =
        if in_share { &[(0, SHARE), (1, LIMIT)] } else { &[(0, LIMIT)] };
    assert!(expected.contains(&(over.depth, over.limit)), "{over:?}");
}

fn take<T>(from: &mut Vec<T>, at: usize) -> Option<T> {
    at.checked_rem(from.len()).map(|at| from.swap_remove(at))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_store_is_a_map_with_pins(ops in vec(op(), 1..120)) {
        let mut model = Model::new();
        for op in ops {
            model.apply(op);
            model.check();
        }
        let (budget, share) = (model.store.budget().clone(), model.share.clone());
        drop(model);
        prop_assert_eq!((budget.used(), share.used()), (0, 0));
    }
}
