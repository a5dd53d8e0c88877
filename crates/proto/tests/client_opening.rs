//! A client's request and the first answer to it, step by step in virtual time.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::client::{Peer, ask, host, refused, timed_out};
use common::*;
use memtftp_proto::{
    Agreed, Ask, ErrorCode, Failure, Mode, OptionError, Silence, TftpOption, Totals,
};

/// A get and a put that ask the same, each with its request and the first answer of a server that
/// has no options.
fn both(ask: &Ask, options: &[(&str, &str)]) -> [(Peer, Say, Say); 2] {
    let put: Vec<(&str, &str)> =
        options.iter().map(|(n, v)| (*n, if *n == "tsize" { "4" } else { *v })).collect();
    [
        (Peer::get(ask.clone()), Say::Request(rrq("f", options)), data(1, b"text")),
        (Peer::put(ask.clone(), b"text"), Say::Request(wrq("f", &put)), ack(0)),
    ]
}

const OPTIONS: [(&str, &str); 3] = [("tsize", "0"), ("blksize", "1428"), ("windowsize", "16")];

fn with_options() -> [(Peer, Say, Say); 2] {
    both(&ask(Some(1428), Some(16), true), &OPTIONS)
}

fn plain() -> [(Peer, Say, Say); 2] {
    both(&Ask::plain("f"), &[])
}

/// The same without options, for either.
fn without_options(request: &Say) -> Say {
    let Say::Request(bytes) = request else { panic!("{request:?}") };
    Say::Request(if bytes[1] == 1 { rrq("f", &[]) } else { wrq("f", &[]) })
}

#[test]
fn a_plain_request_comes_again_with_growing_gaps_until_the_server_is_given_up() {
    for (mut peer, request, _) in plain() {
        assert_eq!(peer.sends(), std::slice::from_ref(&request));
        let again = [1_000, 3_000, 7_000, 15_000].map(|at| (at, request.clone()));
        assert_eq!(peer.run_until(15_999), again);
        assert_eq!(peer.client.outcome(), None);
        peer.quiet_until(16_000);
        let totals = Totals { retransmissions: 4, ..Totals::default() };
        assert_eq!((peer.client.totals(), peer.client.first_answer()), (totals, None));
        assert_eq!((peer.client.peer(), peer.client.agreed()), (None, &Agreed::PLAIN));
        peer.ended(&timed_out(Silence::Unanswered { elsewhere: None }));
    }
}

#[test]
fn the_fourth_request_asks_without_options_and_the_patience_is_the_same() {
    for (mut peer, request, _) in with_options() {
        assert_eq!(peer.sends(), std::slice::from_ref(&request));
        let plain = without_options(&request);
        let again = [(1_000, &request), (3_000, &request), (7_000, &plain), (15_000, &plain)];
        assert_eq!(peer.run_until(60_000), again.map(|(at, say)| (at, say.clone())));
        peer.ended(&timed_out(Silence::Unanswered { elsewhere: None }));
    }
}

#[test]
fn an_oack_to_a_request_that_was_replaced_by_one_without_options_is_late() {
    for (mut peer, request, first) in with_options() {
        peer.sends();
        peer.run_until(7_000);
        assert_eq!(peer.hears(&oack(&OPTIONS)), [], "{request:?}");
        assert_eq!(peer.client.peer(), None);
        assert_eq!(peer.hears(&first).len(), usize::from(first == ack(0)));
        assert_eq!(peer.client.peer(), Some(peer.tid));
        assert_eq!(peer.client.agreed(), &Agreed::PLAIN);
        assert_eq!(peer.client.first_answer(), Some(Duration::from_secs(7)));
    }
}

#[test]
fn a_server_without_options_is_taken_as_it_is() {
    for (mut peer, request, first) in with_options() {
        assert_eq!(peer.sends(), [request]);
        peer.quiet_until(10);
        let answer = peer.hears(&first);
        // The whole file is there, or goes there.
        let expected = if first == ack(0) { vec![data(1, b"text")] } else { vec![] };
        assert_eq!(answer, expected);
        assert_eq!((peer.client.agreed(), peer.client.announced()), (&Agreed::PLAIN, None));
        assert_eq!(peer.client.first_answer(), Some(Duration::from_millis(10)));
    }
}

#[test]
fn options_that_are_refused_are_left_out_at_once_and_the_waits_begin_anew() {
    for code in [8, 4] {
        for (mut peer, request, _) in with_options() {
            assert_eq!(peer.sends(), std::slice::from_ref(&request));
            peer.quiet_until(500);
            let plain = without_options(&request);
            assert_eq!(peer.hears(&error(code, "no options")), std::slice::from_ref(&plain));
            // The server that refused has forgotten us: its port means nothing.
            assert_eq!(peer.client.peer(), None);
            let again = [1_500, 3_500, 7_500, 15_500].map(|at| (at, plain.clone()));
            assert_eq!(peer.run_until(60_000), again);
            peer.ended(&timed_out(Silence::Unanswered { elsewhere: None }));
        }
    }
}

#[test]
fn a_second_refusal_of_options_is_late_but_another_counts() {
    for (mut peer, request, first) in with_options() {
        peer.sends();
        assert_eq!(peer.hears(&error(8, "")), [without_options(&request)]);
        // To the repeat of the request that had some.
        assert_eq!(peer.hears(&error(8, "")), []);
        assert_eq!(peer.client.outcome(), None);
        peer.hears(&first);
        assert_eq!(peer.client.peer(), Some(peer.tid));
    }
    for (mut peer, _, _) in with_options() {
        peer.sends();
        peer.hears(&error(8, ""));
        assert_eq!(peer.hears(&error(4, "no")), []);
        peer.ended(&refused(4, "no"));
    }
}

#[test]
fn a_refusal_of_the_file_is_the_end_and_is_not_answered() {
    for code in [0, 1, 2, 3, 5, 6, 7, 99] {
        for (mut peer, _, _) in with_options() {
            peer.sends();
            assert_eq!(peer.hears(&error(code, "no\u{1b}")), []);
            peer.ended(&refused(code, "no\u{1b}"));
        }
    }
    // There are no options to leave out.
    for code in [4, 8] {
        for (mut peer, _, _) in plain() {
            peer.sends();
            assert_eq!(peer.hears(&error(code, "no")), []);
            peer.ended(&refused(code, "no"));
        }
    }
}

#[test]
fn a_text_that_is_no_utf8_is_replaced_and_may_lack_its_end() {
    let mut peer = Peer::get(Ask::plain("f"));
    peer.sends();
    peer.takes(peer.tid, b"\0\x05\0\x01no\xff");
    peer.ended(&refused(1, "no\u{fffd}"));
}

#[test]
fn an_oack_that_goes_beyond_what_was_asked_is_refused_with_error_8() {
    let bad = OptionError::BadValue;
    let cases = [
        (&[("blksize", "1429")][..], bad(TftpOption::Blksize)),
        (&[("blksize", "7")], bad(TftpOption::Blksize)),
        (&[("blksize", "")], bad(TftpOption::Blksize)),
        (&[("blksize", "512"), ("windowsize", "17")], bad(TftpOption::Windowsize)),
        (&[("windowsize", "0")], bad(TftpOption::Windowsize)),
        (&[("tsize", "-1")], bad(TftpOption::Tsize)),
        (&[("timeout", "1")], OptionError::NotAsked),
        (&[("blksize", "512"), ("multicast", "")], OptionError::NotAsked),
    ];
    for (options, expected) in cases {
        for (mut peer, _, _) in with_options() {
            peer.sends();
            assert_eq!(peer.hears(&oack(options)), [error(8, &expected.to_string())]);
            assert_eq!(peer.stored, []);
            peer.ended(&Err(Failure::Options(expected)));
        }
    }
}

#[test]
fn a_first_answer_of_the_wrong_kind_is_none() {
    let wrong = [
        // For a get, and for a put.
        vec![data(2, b"x"), data(0, b""), ack(0), ack(1)],
        vec![data(1, b"x"), data(0, b""), ack(1), ack(65_535)],
    ];
    for ((mut peer, request, _), wrong) in with_options().into_iter().zip(wrong) {
        peer.sends();
        for say in wrong.iter().chain([&request]) {
            assert_eq!(peer.hears(say), [], "{say:?}");
        }
        for datagram in [&b""[..], b"\0", b"\0\x07", b"\0\x03\0", b"\x01\x03\0\x01x"] {
            peer.takes(peer.tid, datagram);
        }
        assert_eq!((peer.client.peer(), peer.client.outcome()), (None, None));
        // The clock goes on as if nothing had come.
        assert_eq!(peer.run_until(1_000), [(1_000, request)]);
    }
}

#[test]
fn the_answer_may_come_from_any_port_of_the_server_but_from_no_other_host() {
    for port in [69, 1, 65_535] {
        for (mut peer, _, first) in plain() {
            peer.sends();
            // Not even an ERROR of somebody else ends it.
            for say in [&first, &error(1, "not here")] {
                assert_eq!(peer.hears_from(SocketAddr::new(host(9), port), say), []);
            }
            assert_eq!((peer.client.peer(), peer.client.outcome()), (None, None));
            peer.tid.set_port(port);
            let answer = peer.hears(&first);
            assert_eq!(peer.client.peer(), Some(peer.tid));
            assert!(answer.is_empty() && peer.client.is_received() || answer == [data(1, b"text")]);
        }
    }
}

#[test]
fn nothing_that_comes_before_the_request_was_sent_is_an_answer() {
    for (mut peer, request, first) in with_options() {
        for say in [&first, &error(1, "no"), &error(8, "")] {
            peer.takes(peer.tid, &encode(say));
        }
        assert_eq!((peer.client.peer(), peer.client.outcome()), (None, None));
        assert_eq!(peer.sends(), [request]);
    }
}

#[test]
fn an_answer_to_a_repeated_request_measures_no_round_trip() {
    // The first block goes out at 1.5 s. The answer may be one to the first request, so the wait for
    // its ACK is the first one of all, not three half seconds.
    let mut peer = Peer::put(Ask::plain("f"), b"text");
    peer.sends();
    peer.run_until(1_500);
    let block = data(1, b"text");
    assert_eq!(peer.hears(&ack(0)), std::slice::from_ref(&block));
    assert_eq!(peer.run_until(3_000), [(2_500, block)]);
}

#[test]
fn the_time_out_that_was_agreed_is_the_first_wait() {
    let plain = Ask { timeout: Some(3), ..Ask::plain("f") };
    let mut peer = Peer::put(plain, b"text");
    assert_eq!(peer.sends(), [Say::Request(wrq("f", &[("timeout", "3")]))]);
    peer.run_until(1_500);
    let block = data(1, b"text");
    assert_eq!(peer.hears(&oack(&[("timeout", "3")])), std::slice::from_ref(&block));
    assert_eq!(peer.client.agreed().timeout, Some(3));
    assert_eq!(peer.run_until(5_000), [(4_500, block)]);
}

#[test]
fn a_put_in_netascii_announces_the_size_on_the_wire() {
    let ask = Ask { mode: Mode::Netascii, tsize: true, ..Ask::plain("f") };
    let mut peer = Peer::put(ask, b"a\nb\r");
    let options = [("tsize", "6")];
    assert_eq!(peer.sends(), [Say::Request(request(2, "f", "netascii", &options))]);
    assert_eq!(peer.hears(&oack(&options)), [data(1, b"a\r\nb\r\0")]);
    assert_eq!(peer.client.announced(), Some(6));
    assert_eq!(peer.hears(&ack(1)), []);
    assert_eq!(peer.client.totals(), Totals { blocks: 1, bytes: 6, retransmissions: 0 });
    peer.ended(&Ok(()));
}

#[test]
fn abort_before_the_first_answer_has_nobody_to_tell() {
    for (mut peer, request, _) in with_options() {
        assert_eq!(peer.sends(), [request]);
        peer.client.abort(ErrorCode::UNDEFINED, "stop");
        assert_eq!(peer.sends(), []);
        peer.ended(&Err(Failure::Aborted));
    }
    // Not even the request leaves.
    for (mut peer, _, _) in with_options() {
        peer.client.abort(ErrorCode::UNDEFINED, "stop");
        assert_eq!(peer.sends(), []);
        peer.ended(&Err(Failure::Aborted));
    }
}
