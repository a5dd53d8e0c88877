//! The largest, the smallest and the oddest that a request can hold.

use testkit::{Host, Memtftp, Packet, Raw, ack, bytes, data, request, rrq, wrq};

use crate::{client, serve};

/// Reads in windows: acknowledges the last block of each, and once what came before a gap.
fn get_windowed(client: &mut Raw, name: &str, blksize: usize, windowsize: u16) -> Vec<u8> {
    let (asked_blksize, asked_windowsize) = (blksize.to_string(), windowsize.to_string());
    let options = [("blksize", asked_blksize.as_str()), ("windowsize", &asked_windowsize)];
    let Packet::Oack(granted) = client.ask(&rrq(name, &options)) else { panic!("no OACK") };
    assert_eq!(granted[0].1, asked_blksize);
    let windowsize: u16 = granted[1].1.parse().unwrap();
    let (mut file, mut last, mut in_window, mut in_order) = (Vec::new(), 0_u16, 0, true);
    client.reply(&ack(0));
    loop {
        let Packet::Data(block, bytes) = client.receive_any() else { panic!("no DATA") };
        if block != last.wrapping_add(1) {
            if std::mem::take(&mut in_order) {
                client.reply(&ack(last));
                in_window = 0;
            }
            continue;
        }
        (last, in_order, in_window) = (block, true, in_window + 1);
        file.extend_from_slice(&bytes);
        let ended = bytes.len() < blksize;
        if ended || in_window == windowsize {
            client.reply(&ack(last));
            in_window = 0;
        }
        if ended {
            return file;
        }
    }
}

fn put(host: &Host, server: &Memtftp, name: &str, file: &[u8]) {
    client(host, server).put(name, file, &[("blksize", "65464")]).unwrap();
}

#[test]
fn windows_and_blocks_of_all_sizes() {
    let host = Host::new();
    let server = serve(&host, &["--max-windowsize", "32767"]);
    for blksize in [8, 512, 65_464] {
        for size in [0, 1, blksize - 1, blksize, blksize + 1, 70 * blksize] {
            let file = bytes(size);
            put(&host, &server, "file", &file);
            for windowsize in [1, 2, 63, 64, 65, 32_767, 65_535] {
                let mut client = client(&host, &server);
                let got = get_windowed(&mut client, "file", blksize, windowsize);
                assert!(got == file, "{size} bytes, blocks of {blksize}, windows of {windowsize}");
            }
        }
    }
    assert!(server.stop().iter().all(|line| line.get("outcome") == "ok"));
}

/// Each size that does not fit in 64 bits, or nearly so.
#[test]
fn sizes_that_nobody_has() {
    let host = Host::new();
    let server = serve(&host, &[]);
    let mut client = client(&host, &server);
    for size in ["9223372036854775807", "9223372036854775808", "18446744073709551615"] {
        let (code, text) = client.ask(&wrq("file", &[("tsize", size)])).refusal();
        assert_eq!(code, 3, "{size}: {text}");
        // To read, it means nothing.
        let refused = client.get("file", &[("tsize", size)]).unwrap_err().refusal();
        assert_eq!(refused.0, 1);
    }
    // What is no number of 64 bits is no size.
    for size in ["18446744073709551616", "-9223372036854775808", "1e9"] {
        assert_eq!(client.ask(&wrq("file", &[("tsize", size)])), Packet::Ack(0), "{size}");
        client.put_from(Packet::Ack(0), b"x").unwrap();
    }
}

/// Any bytes but control characters can be a name; the log has each of them.
#[test]
fn names_of_any_bytes() {
    let host = Host::new();
    let server = serve(&host, &["--workers", "1"]);
    let mut client = client(&host, &server);
    let high: Vec<u8> = (0x80..=0xff).collect();
    let names: [&[u8]; 7] = [
        b"\xff\xfe",
        &high,
        b"\xc0\xae\xc0\xae\xc0\xafetc",
        b"\xed\xa0\x80",
        b"%2e%2e%2fetc%2fpasswd",
        b"C:..\xff",
        "\u{202e}gpj.exe".as_bytes(),
    ];
    for name in names {
        let shown = name.escape_ascii();
        let begun = client.ask(&wrq(name, &[]));
        assert_eq!(begun, Packet::Ack(0), "{shown}");
        client.put_from(begun, name).unwrap();
        let begun = client.ask(&rrq(name, &[]));
        assert_eq!(client.get_from(begun).unwrap(), name, "{shown}");
    }
    let log = server.stop();
    assert_eq!(log.len(), 2 * names.len());
    for (pair, name) in log.chunks(2).zip(names) {
        assert!(pair.iter().all(|line| line.bytes("file") == name), "{pair:?}");
    }
}

#[test]
fn names_that_are_refused() {
    let host = Host::new();
    let server = serve(&host, &[]);
    let mut client = client(&host, &server);
    let long = |len| vec![b'n'; len];
    let names: [(Vec<u8>, u16); 10] = [
        (long(256), 2),
        (long(500), 2),
        (long(505), 2),
        // Together with the mode more than 516 bytes.
        (long(508), 4),
        (long(65_000), 4),
        (b"../".repeat(60), 2),
        (b"a/..\\..".to_vec(), 2),
        (b"\xff/../x".to_vec(), 2),
        // What follows a NUL is the mode.
        (b"file\0.txt".to_vec(), 4),
        ((1..=31).collect(), 2),
    ];
    for (name, code) in names {
        for opcode in [1, 2] {
            let answer = client.ask(&request(opcode, &name, "octet", &[]));
            let shown = name[..name.len().min(40)].escape_ascii();
            assert_eq!(answer.refusal().0, code, "{} bytes: {shown}", name.len());
        }
    }
}

/// Datagrams of every length into the middle of a transfer.
#[test]
fn cut_packets_in_a_transfer() {
    let host = Host::new();
    let server = serve(&host, &["--workers", "1"]);
    let file = bytes(3_000);
    let mut writer = client(&host, &server);
    let begun = writer.ask(&wrq("file", &[]));
    let cut = |client: &Raw| {
        for opcode in [0, 3, 4, 6, 7, 255] {
            (0..4).for_each(|len| client.reply(&[0, opcode, 0][..len.min(3)]));
        }
        client.reply(&[1; 65_507]);
        // The requests of another, where none belongs.
        client.reply(&rrq("file", &[]));
        client.reply(&wrq("file", &[]));
    };
    cut(&writer);
    writer.put_from(begun, &file).unwrap();
    let mut reader = client(&host, &server);
    let begun = reader.ask(&rrq("file", &[]));
    cut(&reader);
    assert!(reader.get_from(begun).unwrap() == file);
    let mut writer = client(&host, &server);
    writer.ask(&wrq("file", &[]));
    assert_eq!(writer.say(&data(1, &[0; 65_000])).refusal().0, 4, "longer than a block");
    assert!(server.stop()[..2].iter().all(|line| line.get("outcome") == "ok"));
}
