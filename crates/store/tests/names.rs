//! Names as clients spell them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use memtftp_store::{Name, NameError};
use proptest::collection::vec;
use proptest::prelude::*;

/// Mostly what names are made of that mean something.
fn raw() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        3 => Just(b'.'),
        2 => Just(b'/'),
        2 => Just(b'\\'),
        3 => b'a'..=b'c',
        1 => any::<u8>(),
    ];
    prop_oneof![9 => vec(byte, 0..12), 1 => vec(Just(b'n'), 250..260)]
}

/// `./`, in every way to write it, any number of times.
fn here() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![Just("./"), Just(".\\"), Just("/./"), Just(".//")];
    vec(part, 1..4).prop_map(|parts| parts.concat().into_bytes())
}

proptest! {
    #[test]
    fn a_dot_in_front_changes_nothing(here in here(), raw in raw()) {
        let (plain, dotted) = (Name::parse(&raw), Name::parse(&[here, raw].concat()));
        match plain {
            // Nothing follows the dot.
            Err(NameError::Empty) => prop_assert_eq!(dotted, Err(NameError::Dots)),
            plain => prop_assert_eq!(dotted, plain),
        }
    }

    #[test]
    fn no_name_has_a_part_that_leads_elsewhere(raw in raw()) {
        let Ok(name) = Name::parse(&raw) else { return Ok(()) };
        for part in name.as_bytes().split(|byte| matches!(byte, b'/' | b'\\')) {
            prop_assert!(!matches!(part, b"" | b"." | b".."), "{name}");
        }
        prop_assert_eq!(Name::parse(name.as_bytes()), Ok(name));
    }
}
