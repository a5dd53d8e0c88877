//! Whole or not there.

use testkit::{Memtftp, Packet, Raw, ack, bytes, data, error, rrq, wait_for, wrq};

use crate::{only, serve, serve_in_order};

/// What a new client reads.
fn read(server: &Memtftp, name: &str) -> Result<Vec<u8>, Packet> {
    Raw::new(server.address()).get(name, &[])
}

fn write(server: &Memtftp, name: &str, file: &[u8]) {
    Raw::new(server.address()).put(name, file, &[]).unwrap();
}

/// A client in the middle of an upload of `name`, and the block that would end it.
fn half_an_upload(server: &Memtftp, name: &str, fill: u8) -> (Raw, Vec<u8>) {
    let mut client = Raw::new(server.address());
    assert_eq!(client.ask(&wrq(name, &[])), Packet::Ack(0));
    assert_eq!(client.say(&data(1, &[fill; 512])), Packet::Ack(1));
    (client, data(2, &[fill; 100]))
}

#[test]
fn a_new_file_is_not_there_until_it_is_complete() {
    let server = serve(&[]);
    let (mut writer, last) = half_an_upload(&server, "file", 1);
    assert_eq!(read(&server, "file").unwrap_err().refusal().0, 1);
    assert_eq!(writer.say(&last), Packet::Ack(2));
    assert_eq!(read(&server, "file").unwrap(), [1; 612]);
}

#[test]
fn readers_during_an_upload_get_the_old_version() {
    let server = serve(&[]);
    write(&server, "file", b"old");
    let (mut writer, last) = half_an_upload(&server, "file", 1);
    assert_eq!(read(&server, "file").unwrap(), b"old");
    assert_eq!(writer.say(&last), Packet::Ack(2));
    assert_eq!(read(&server, "file").unwrap(), [1; 612]);
}

/// The last ACK leaves after the commit, so whoever has seen it finds the file.
#[test]
fn the_file_is_there_as_soon_as_the_last_ack_is() {
    let server = serve(&[]);
    let (mut writer, mut reader) = (Raw::new(server.address()), Raw::new(server.address()));
    for round in 0..100 {
        let file = bytes(round * 20);
        writer.put("file", &file, &[]).unwrap();
        assert!(reader.get("file", &[]).unwrap() == file, "round {round}");
    }
}

#[test]
fn an_aborted_upload_leaves_the_old_version() {
    let server = serve_in_order(&[]);
    write(&server, "file", b"old");
    let (writer, last) = half_an_upload(&server, "file", 1);
    writer.reply(&error(0, "changed my mind"));
    writer.reply(&last);
    assert_eq!(read(&server, "file").unwrap(), b"old");
    only(&server.stop(), &[("kind", "write"), ("outcome", "aborted")]);
}

#[test]
fn an_upload_that_falls_silent_leaves_the_old_version() {
    let server = serve_in_order(&["--give-up", "1s"]);
    write(&server, "file", b"old");
    let (writer, last) = half_an_upload(&server, "file", 1);
    let log = server.wait_for_log(2);
    assert!(log[1].is(&[("kind", "write"), ("outcome", "timeout")]), "{log:?}");
    writer.reply(&last);
    assert_eq!(read(&server, "file").unwrap(), b"old");
}

#[test]
fn a_refused_upload_leaves_the_old_version() {
    let server = serve_in_order(&["--max-file", "600B"]);
    write(&server, "file", b"old");
    let (mut writer, last) = half_an_upload(&server, "file", 1);
    assert_eq!(writer.say(&last).refusal().0, 3);
    assert_eq!(read(&server, "file").unwrap(), b"old");

    let (mut writer, _) = half_an_upload(&server, "file", 2);
    let (code, text) = writer.say(&data(2, &[2; 513])).refusal();
    assert_eq!(code, 4, "{text}");
    assert_eq!(read(&server, "file").unwrap(), b"old");
}

#[test]
fn a_reader_that_began_before_gets_the_old_bytes_to_the_end() {
    let server = serve(&[]);
    let (old, new) = (bytes(5_000), bytes(7_000));
    write(&server, "file", &old);
    let mut reader = Raw::new(server.address());
    let begun = reader.ask(&rrq("file", &[("tsize", "0"), ("blksize", "600")]));
    assert_eq!(begun, Packet::oack(&[("tsize", "5000"), ("blksize", "600")]));
    write(&server, "file", &new);
    assert!(read(&server, "file").unwrap() == new, "new readers get the new bytes");
    assert!(reader.get_from(begun).unwrap() == old, "the old reader gets the old bytes");
}

#[test]
fn of_two_uploads_at_once_the_last_to_complete_stands() {
    let server = serve(&[]);
    for first_wins in [true, false] {
        let (mut first, end_of_first) = half_an_upload(&server, "file", 1);
        let (mut second, end_of_second) = half_an_upload(&server, "file", 2);
        if first_wins {
            assert_eq!(second.say(&end_of_second), Packet::Ack(2));
            assert_eq!(read(&server, "file").unwrap(), [2; 612]);
            assert_eq!(first.say(&end_of_first), Packet::Ack(2));
        } else {
            assert_eq!(first.say(&end_of_first), Packet::Ack(2));
            assert_eq!(read(&server, "file").unwrap(), [1; 612]);
            assert_eq!(second.say(&end_of_second), Packet::Ack(2));
        }
        let winner = if first_wins { 1 } else { 2 };
        assert_eq!(read(&server, "file").unwrap(), [winner; 612]);
    }
}

#[test]
fn the_last_ack_is_repeated_and_nothing_is_committed_twice() {
    let server = serve_in_order(&[]);
    let (mut writer, last) = half_an_upload(&server, "file", 1);
    assert_eq!(writer.say(&last), Packet::Ack(2));
    write(&server, "file", b"newer");
    for _ in 0..3 {
        // A second repeat has to wait, so the block comes until it is answered.
        wait_for("the last ACK again", || {
            writer.reply(&last);
            writer.has_packet().then_some(())
        });
        assert_eq!(writer.receive_any(), Packet::Ack(2));
    }
    assert_eq!(read(&server, "file").unwrap(), b"newer");
    let log = server.stop();
    assert_eq!(log.len(), 3, "{log:#?}");
    only(&log, &[("kind", "write"), ("outcome", "ok"), ("bytes", "612")]);
}

#[test]
fn a_client_that_starts_again_starts_from_nothing() {
    let server = serve_in_order(&[]);
    let (mut writer, _) = half_an_upload(&server, "file", 1);
    // The very same request would be taken for a late repeat for a second.
    let again = writer.ask(&wrq("file", &[("blksize", "512")]));
    assert!(matches!(again, Packet::Oack(_)), "{again:?}");
    writer.put_from(again, &[2; 700]).unwrap();
    assert_eq!(read(&server, "file").unwrap(), [2; 700]);
    let log = server.stop();
    only(&log, &[("kind", "write"), ("outcome", "aborted")]);
    only(&log, &[("kind", "write"), ("outcome", "ok")]);
    assert_eq!(log.len(), 3, "{log:#?}");
}

#[test]
fn of_two_uploads_at_once_only_one_creates() {
    let server = serve(&["--uploads", "create"]);
    let (mut first, end_of_first) = half_an_upload(&server, "file", 1);
    let (mut second, end_of_second) = half_an_upload(&server, "file", 2);
    assert_eq!(second.say(&end_of_second), Packet::Ack(2));
    assert_eq!(first.say(&end_of_first).refusal().0, 6);
    assert_eq!(read(&server, "file").unwrap(), [2; 612]);
}

#[test]
fn repeated_blocks_are_stored_once() {
    let server = serve(&[]);
    let mut writer = Raw::new(server.address());
    writer.ask(&wrq("file", &[]));
    for block in 1..=3 {
        let packet = data(block, &[block as u8; 512]);
        assert_eq!(writer.say(&packet), Packet::Ack(block));
        writer.reply(&packet);
        assert_eq!(writer.receive_any(), Packet::Ack(block));
    }
    assert_eq!(writer.say(&data(4, b"")), Packet::Ack(4));
    assert_eq!(read(&server, "file").unwrap(), [[1; 512], [2; 512], [3; 512]].concat());
}

#[test]
fn a_lost_block_is_sent_again() {
    let server = serve(&[]);
    let file = bytes(2_000);
    write(&server, "file", &file);
    let mut reader = Raw::new(server.address());
    let first = reader.ask(&rrq("file", &[]));
    // As if it had not come.
    assert_eq!(reader.receive_any(), first);
    reader.reply(&ack(1));
    while reader.receive_any() == first {}
    let second = Packet::Data(2, file[512..1024].to_vec());
    while reader.receive_any() == second {
        reader.reply(&ack(2));
    }
    reader.reply(&ack(3));
    while !matches!(reader.receive_any(), Packet::Data(4, _)) {}
    reader.reply(&ack(4));
    let line = &server.stop()[1];
    assert!(line.is(&[("outcome", "ok"), ("bytes", "2000")]), "{line:?}");
    assert!(line.number("retransmissions") > 0, "{line:?}");
}
