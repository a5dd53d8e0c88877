use super::*;

/// A read that ended so, after that many blocks.
fn read(ending: Ending, blocks: u64) -> Facts<'static> {
    Facts {
        kind: Kind::Read,
        ending,
        code: None,
        reason: "",
        blksize: 512,
        windowsize: 1,
        has_options: false,
        answered: blocks > 0,
        announced: None,
        bytes: blocks * 512,
        blocks,
        retransmissions: 0,
        repeats: 0,
    }
}

fn refused(kind: Kind, code: u16, reason: &str) -> Option<Hint> {
    Hint::of(&Facts { kind, code: Some(code), reason, ..read(Ending::Refused, 0) })
}

#[test]
fn the_disk_is_named() {
    for (kind, code, reason) in [
        (Kind::Read, 2, "f cannot be read: a link leads out of the directory"),
        (Kind::Write, 3, "f cannot be stored: the disk is full"),
        (Kind::Write, 2, "d/f cannot be stored: its directory does not exist, see --create-dirs"),
        (Kind::Read, 0, "the server's storage does not answer"),
    ] {
        assert_eq!(refused(kind, code, reason), Some(Hint::Disk), "{reason}");
    }
    assert_eq!(refused(Kind::Read, 0, "file is being written, try again later"), None);
}

#[test]
fn words_and_advice_differ() {
    for (at, one) in Hint::ALL.iter().enumerate() {
        let rest = Hint::ALL.get(at + 1..).unwrap_or_default();
        assert!(rest.iter().all(|other| other.word() != one.word()), "{one:?}");
        assert!(rest.iter().all(|other| other > one), "{one:?} is less serious than said");
        assert!(one.word().bytes().all(|byte| byte == b'-' || byte.is_ascii_lowercase()));
        assert!(!one.advice().contains('\n') && !one.advice().ends_with('.'), "{one:?}");
    }
}

#[test]
fn who_never_answers_does_not_hear_us_if_it_repeats_itself() {
    let silent = read(Ending::Timeout, 0);
    assert_eq!(Hint::of(&silent), Some(Hint::NoAnswer));
    assert_eq!(Hint::of(&Facts { repeats: 2, ..silent }), Some(Hint::ReplyLost));
    assert_eq!(Hint::of(&read(Ending::Timeout, 7)), Some(Hint::WentSilent));
    assert_eq!(Hint::of(&read(Ending::Aborted, 0)), None);
}

#[test]
fn who_acknowledged_the_options_has_answered() {
    let silent = Facts { has_options: true, answered: true, ..read(Ending::Timeout, 0) };
    assert_eq!(Hint::of(&silent), Some(Hint::NoBlock));
    assert_eq!(Hint::of(&Facts { repeats: 2, ..silent }), Some(Hint::NoBlock));
}

#[test]
fn an_upload_may_not_end_before_what_it_announced() {
    let upload = |bytes, announced| {
        Hint::of(&Facts { kind: Kind::Write, announced, bytes, ..read(Ending::Ok, 1) })
    };
    assert_eq!(upload(300, Some(30_000)), Some(Hint::ShortUpload));
    assert_eq!(upload(0, Some(1)), Some(Hint::ShortUpload));
    for announced in [None, Some(0), Some(299), Some(300)] {
        assert_eq!(upload(300, announced), None, "{announced:?}");
    }
}

#[test]
fn firmware_that_cannot_count_on_ends_at_the_limit() {
    for ending in [Ending::Timeout, Ending::Aborted] {
        for blocks in [32_766, 32_767, 32_768, 65_534, 65_535, 65_536] {
            assert_eq!(Hint::of(&read(ending, blocks)), Some(Hint::BlockLimit), "{blocks}");
        }
        for blocks in [32_765, 32_769, 65_533, 65_537] {
            assert_ne!(Hint::of(&read(ending, blocks)), Some(Hint::BlockLimit), "{blocks}");
        }
    }
    let window = Facts { windowsize: 64, ..read(Ending::Timeout, 65_472) };
    assert_eq!(Hint::of(&window), Some(Hint::BlockLimit));
    let huge = Facts { windowsize: 32_767, ..read(Ending::Timeout, 5_000) };
    assert_eq!(Hint::of(&huge), Some(Hint::WentSilent));
    assert_eq!(Hint::of(&read(Ending::Ok, 65_535)), Some(Hint::SmallBlocks));
    assert_eq!(Hint::of(&Facts { blksize: 1428, ..read(Ending::Ok, 65_535) }), None);
}

#[test]
fn options_that_the_client_does_not_want() {
    let aborted = Facts { code: Some(8), ..read(Ending::Aborted, 0) };
    assert_eq!(Hint::of(&aborted), None, "there was no OACK");
    let aborted = Facts { has_options: true, ..aborted };
    assert_eq!(Hint::of(&aborted), Some(Hint::OptionsRefused));
    assert_eq!(Hint::of(&Facts { ending: Ending::Probe, ..aborted }), None);
}

#[test]
fn loss_is_many_packets_of_many() {
    let lossy = |blocks, retransmissions| {
        Hint::of(&Facts { blksize: 1428, retransmissions, ..read(Ending::Ok, blocks) })
    };
    assert_eq!(lossy(100, 9), None);
    assert_eq!(lossy(100, 10), Some(Hint::Loss));
    assert_eq!(lossy(10_000, 500), None);
    assert_eq!(lossy(10_000, 501), Some(Hint::Loss));
}

#[test]
fn small_blocks_matter_in_large_files() {
    assert_eq!(Hint::of(&read(Ending::Ok, 2_047)), None);
    assert_eq!(Hint::of(&read(Ending::Ok, 2_048)), Some(Hint::SmallBlocks));
    assert_eq!(Hint::of(&Facts { blksize: 1024, ..read(Ending::Ok, 2_048) }), None);
}

#[test]
fn drops() {
    let dropped = |kind, reason| Hint::of(&Facts { kind, reason, ..read(Ending::Dropped, 0) });
    assert_eq!(dropped(Kind::Unrecognized, "not a request"), Some(Hint::NotARequest));
    let not_served = "client network is not served, and too many such requests came";
    assert_eq!(dropped(Kind::Unrecognized, not_served), Some(Hint::NotServed));
    let often = "too many requests of this client in a second";
    assert_eq!(dropped(Kind::Read, often), Some(Hint::TooOften));
    assert_eq!(dropped(Kind::Write, SERVICE_PORT), Some(Hint::ServicePort));
    assert_eq!(dropped(Kind::Read, "sent to a broadcast or multicast address"), None);
}

#[test]
fn a_flag_counts_only_as_a_whole_word() {
    let file = "file is too large, see --max-file: 5 bytes more";
    assert_eq!(refused(Kind::Write, 3, file), Some(Hint::FileTooLarge));
    let files = "too many files, see --max-files";
    assert_eq!(refused(Kind::Write, 3, files), Some(Hint::TooManyFiles));
    assert_eq!(refused(Kind::Write, 3, "the server is out of memory"), None);
    assert_eq!(refused(Kind::Read, 4, "mode is not supported"), None);
    assert_eq!(refused(Kind::Read, 0, "limit of 4h for one transfer reached"), Some(Hint::TooLong));
    assert_eq!(refused(Kind::Write, 0, "limit of 7 uploads in flight reached"), Some(Hint::Busy));
}
