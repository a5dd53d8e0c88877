use super::*;

fn to() -> Destination {
    Destination { peer: "192.0.2.1:69".parse().unwrap(), local: None }
}

fn code(number: i32) -> io::Result<usize> {
    Err(io::Error::from_raw_os_error(number))
}

/// Runs `drive` over `script`: the index each attempt must start from, and its outcome.
fn scripted<const N: usize>(len: usize, script: [(usize, io::Result<usize>); N]) -> Sent {
    let mut script = script.into_iter();
    let sent = drive(len, |from| {
        let (expected, outcome) = script.next().expect("an attempt too many");
        assert_eq!(from, expected);
        outcome.map_err(Refused::one)
    });
    assert!(script.next().is_none(), "an attempt too few");
    sent
}

#[test]
fn short_counts_go_on_behind_what_was_taken() {
    let sent = scripted(5, [(0, Ok(2)), (2, Ok(1)), (3, Ok(2))]);
    assert_eq!(sent, Sent { accepted: 5, ..Sent::default() });
}

#[test]
fn an_empty_batch_makes_no_attempt() {
    assert_eq!(scripted(0, []), Sent::default());
}

#[test]
fn a_full_socket_keeps_what_it_took() {
    let sent = scripted(64, [(0, Ok(10)), (10, Err(io::ErrorKind::WouldBlock.into()))]);
    assert_eq!(sent, Sent { accepted: 10, blocked: true, ..Sent::default() });
}

#[test]
fn an_interrupted_attempt_is_repeated() {
    let sent = scripted(2, [(0, Err(io::ErrorKind::Interrupted.into())), (0, Ok(2))]);
    assert_eq!(sent, Sent { accepted: 2, ..Sent::default() });
}

#[cfg(unix)]
#[test]
fn a_refused_datagram_is_skipped_and_counted() {
    let sent = scripted(4, [(0, Ok(2)), (2, code(libc::EINVAL)), (3, Ok(1))]);
    let einval = Some(libc::EINVAL);
    assert_eq!(sent, Sent { accepted: 4, failed: 1, blocked: false, last_error: einval });
    // No room in the interface's queue is loss, not a reason to wait.
    let sent = scripted(2, [(0, code(libc::ENOBUFS)), (1, code(libc::EPERM))]);
    let eperm = Some(libc::EPERM);
    assert_eq!(sent, Sent { accepted: 2, failed: 2, blocked: false, last_error: eperm });
}

#[cfg(unix)]
#[test]
fn news_of_an_earlier_datagram_costs_one_retry() {
    let sent = scripted(2, [(0, code(libc::ECONNREFUSED)), (0, Ok(2))]);
    assert_eq!(sent, Sent { accepted: 2, ..Sent::default() });
    let refused = || code(libc::ECONNREFUSED);
    let sent = scripted(2, [(0, refused()), (0, refused()), (1, refused()), (1, Ok(1))]);
    assert_eq!((sent.accepted, sent.failed), (2, 1));
}

#[test]
fn a_call_that_takes_nothing_does_not_loop() {
    let sent = scripted(1, [(0, Ok(0))]);
    assert_eq!((sent.accepted, sent.failed), (1, 1));
}

#[test]
fn a_batch_has_room_for_64_and_never_grows_its_memory() {
    let mut buffer = SendBuffer::new();
    let room = buffer.heads.capacity();
    let mut batch = buffer.start();
    for count in 0..BATCH {
        assert_eq!((batch.len(), batch.is_full()), (count, false));
        assert!(batch.push_copied(to(), &[7; COPY_LIMIT]));
    }
    assert!(batch.is_full());
    assert!(!batch.push(to(), [0; 4], b"late"));
    assert!(!batch.push_copied(to(), b"late"));
    assert_eq!(batch.len(), BATCH);
    assert_eq!(buffer.heads.capacity(), room);
    assert!(buffer.start().is_empty());
}

#[test]
fn a_datagram_too_long_to_copy_is_not_taken() {
    let mut buffer = SendBuffer::new();
    let mut batch = buffer.start();
    assert!(!batch.push_copied(to(), &[0; COPY_LIMIT + 1]));
    assert!(batch.is_empty());
}

#[test]
fn what_was_dealt_with_leaves_the_batch() {
    let mut buffer = SendBuffer::new();
    let mut batch = buffer.start();
    for first in 0..3 {
        assert!(batch.push(to(), [first, 0, 0, 0], b"data"));
    }
    batch.advance(2);
    assert_eq!(batch.len(), 1);
    let left: Vec<_> = batch.rest(0).map(|datagram| datagram.head[0]).collect();
    assert_eq!(left, [2]);
    assert_eq!(batch.rest(1).count(), 0);
}

#[test]
fn a_refused_run_is_skipped_as_a_whole() {
    let mut attempts = 0;
    let sent = drive(10, |from| {
        attempts += 1;
        match from {
            0 => Err(Refused { error: io::ErrorKind::OutOfMemory.into(), count: 4 }),
            _ => Ok(6),
        }
    });
    assert_eq!((attempts, sent.accepted, sent.failed), (2, 10, 4));
}
