use memtftp_proto::SocketId;

use super::*;

fn record(bytes: u64) -> RequestRecord {
    let request = b"\0\x01boot\\a\0octet\0blksize\x00900\0";
    let record = Record {
        kind: Kind::Read,
        outcome: Outcome::Complete,
        peer: "192.0.2.7:2000".parse().unwrap(),
        local: Some("192.0.2.1".parse().unwrap()),
        socket: SocketId(1),
        request: request[..].into(),
        request_len: request.len(),
        agreed: None,
        bytes,
        blocks: 1,
        duration: Duration::from_millis(12),
        retransmissions: 2,
        repeats: 1,
        answered: true,
    };
    RequestRecord::new(Arc::new(record), Some("[::]:5000".parse().unwrap()))
}

fn sizes(records: &[RequestRecord]) -> Vec<u64> {
    records.iter().map(RequestRecord::bytes).collect()
}

#[test]
fn the_newest_are_kept() {
    let records = Records::new(3);
    (0..5).for_each(|bytes| records.add(record(bytes)));
    assert_eq!(sizes(&records.all()), [2, 3, 4]);
    assert_eq!(sizes(&records.take()), [2, 3, 4]);
    assert!(records.all().is_empty());
    records.add(record(5));
    assert_eq!(sizes(&records.all()), [5]);
}

#[test]
fn a_wait_shows_each_record_once() {
    let records = Records::new(3);
    (0..5).for_each(|bytes| records.add(record(bytes)));
    let mut shown = Vec::new();
    let found = std::thread::scope(|scope| {
        let wait = scope.spawn(|| {
            records.wait(Duration::MAX, |record| {
                shown.push(record.bytes());
                if record.bytes() == 4 {
                    // Takes its time, and nobody waits for it.
                    drop(records.take());
                    records.add(super::tests::record(5));
                }
                record.bytes() == 6
            })
        });
        let _ = records.wait(Duration::MAX, |record| record.bytes() == 5);
        records.add(record(6));
        wait.join().unwrap()
    });
    assert_eq!(found.unwrap().bytes(), 6);
    assert_eq!(shown, [2, 3, 4, 5, 6]);
    records.end();
    assert_eq!(records.wait(Duration::MAX, |_| false).err(), Some(Unmet::Ended));
    assert_eq!(records.wait(Duration::ZERO, |_| true).unwrap().bytes(), 5, "kept ones count");
}

#[test]
fn a_record_is_a_value_and_a_line() {
    let record = record(900);
    assert_eq!((record.file(), record.mode()), ("boot\\a".into(), Some(Mode::Octet)));
    assert_eq!(record.name(), Name::parse(b"boot/a").ok());
    assert_eq!(record.asked(), [("blksize".to_owned(), "900".to_owned())]);
    assert!(record.granted().is_empty());
    assert_eq!(record.local(), Some("192.0.2.1:5000".parse().unwrap()));
    let line = record.to_string();
    let end = "kind=read outcome=ok client=192.0.2.7:2000 local=192.0.2.1:5000 file=boot\\\\a \
               mode=octet asked=blksize:900 bytes=900 blocks=1 duration_ms=12.000 \
               retransmissions=2 repeats=1";
    assert!(line.starts_with("time=20") && line.ends_with(end), "{line}");
}
