//! What files contain, and whose turn each of them is.

use std::ops::Range;
use std::sync::Arc;

use fastrand::Rng;

use crate::cli::Share;

/// Each client writes its own piece of the shared bytes, so that a server that mixes two uploads
/// up is found out. A prime, so that clients far apart differ, too.
const SHIFTS: u32 = 4_093;

/// Shared bytes, or a part of them. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Bytes {
    shared: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl Bytes {
    /// All of `bytes`.
    pub(crate) fn new(bytes: Vec<u8>) -> Bytes {
        let range = 0..bytes.len();
        Bytes { shared: Arc::new(bytes), range }
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self.shared.get(self.range.clone()).unwrap_or_default()
    }
}

/// A file of the load.
#[derive(Clone, Debug)]
pub(crate) struct File {
    /// Its name at the server; with `--put` the client's number follows.
    pub(crate) name: String,
    /// How often it is chosen, in proportion to the others.
    weight: u32,
    /// What it contains, or what clients write; `None` if the server would not let us read it
    /// before the load.
    content: Option<Bytes>,
    /// `--put`: each client has a part of `content`, this many bytes long.
    part: Option<usize>,
}

impl File {
    /// A file to read.
    pub(crate) fn known(share: Share, content: Option<Vec<u8>>) -> File {
        let content = content.map(Bytes::new);
        File { name: share.name, weight: share.weight, content, part: None }
    }

    /// A file to write, of `size` bytes that follow from `seed` and the name.
    pub(crate) fn made(share: Share, size: usize, seed: u64) -> File {
        let salt = share.name.bytes().fold(seed, |salt, byte| {
            salt.wrapping_mul(0x0100_0000_01b3).wrapping_add(u64::from(byte))
        });
        let mut bytes = vec![0; size + SHIFTS as usize];
        Rng::with_seed(salt).fill(&mut bytes);
        File { part: Some(size), ..File::known(share, Some(bytes)) }
    }

    /// What `client` reads from it, or writes to it.
    pub(crate) fn content_of(&self, client: u32) -> Option<Bytes> {
        let content = self.content.clone()?;
        let Some(part) = self.part else { return Some(content) };
        let start = (client % SHIFTS) as usize;
        Some(Bytes { range: start..start + part, ..content })
    }

    /// The name that `client` uses.
    pub(crate) fn name_of(&self, client: u32) -> String {
        match self.part {
            Some(_) => format!("{}-{client}", self.name),
            None => self.name.clone(),
        }
    }
}

/// Chooses one of `files` by their weights; an index.
pub(crate) fn choose(files: &[File], random: &mut Rng) -> usize {
    let total: u64 = files.iter().map(|file| u64::from(file.weight)).sum();
    if files.len() < 2 || total == 0 {
        return 0;
    }
    let mut left = random.u64(..total);
    let passed = |file: &File| match left.checked_sub(u64::from(file.weight)) {
        Some(rest) => {
            left = rest;
            false
        }
        None => true,
    };
    files.iter().position(passed).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(name: &str, weight: u32) -> Share {
        Share { name: name.to_owned(), weight }
    }

    #[test]
    fn a_mix_is_chosen_by_weight_and_from_the_seed() {
        let files: Vec<File> = [("a", 1), ("b", 8), ("c", 1)]
            .map(|(name, weight)| File::known(share(name, weight), None))
            .into();
        let run = |seed| {
            let mut random = Rng::with_seed(seed);
            let mut counts = [0; 3];
            (0..10_000).for_each(|_| counts[choose(&files, &mut random)] += 1);
            counts
        };
        let counts = run(7);
        assert_eq!(counts.iter().sum::<i32>(), 10_000);
        assert!(
            (800..1_200).contains(&counts[0]) && (800..1_200).contains(&counts[2]),
            "{counts:?}"
        );
        assert_eq!(counts, run(7));
        assert_ne!(counts, run(8));
    }

    #[test]
    fn what_is_written_follows_from_seed_name_and_client() {
        let made = |name, seed| File::made(share(name, 1), 100, seed);
        let bytes = |file: &File, client| file.content_of(client).unwrap().as_ref().to_vec();
        let file = made("a", 1);
        assert_eq!(bytes(&file, 3), bytes(&made("a", 1), 3));
        assert_eq!(bytes(&file, SHIFTS - 1).len(), 100);
        for other in [bytes(&file, 4), bytes(&made("b", 1), 3), bytes(&made("a", 2), 3)] {
            assert_ne!(bytes(&file, 3), other);
        }
        assert_eq!(
            (file.name_of(3), file.content_of(3).unwrap().as_ref().len()),
            ("a-3".into(), 100)
        );
    }

    #[test]
    fn readers_share_all_of_it() {
        let file = File::known(share("a", 1), Some(vec![1, 2, 3]));
        assert_eq!(file.content_of(9).unwrap().as_ref(), [1, 2, 3]);
        assert_eq!(file.name_of(9), "a");
        assert!(File::known(share("a", 1), None).content_of(9).is_none());
    }
}
