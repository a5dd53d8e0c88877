//! Names, modes and options, good and odd.

use testkit::{Packet, Raw, bytes, error, request, rrq, wrq};

use crate::{serve, serve_in_order};

#[test]
fn spellings_of_one_name() {
    let server = serve(&[]);
    let mut client = Raw::new(server.address());
    client.put("\\dir//sub\\file", b"content", &[]).unwrap();
    for name in ["dir/sub/file", "/dir/sub/file", "///dir/sub/file", "dir\\sub\\\\file"] {
        assert_eq!(client.get(name, &[]).unwrap(), b"content", "{name}");
    }
    for name in ["./dir/sub/file", ".\\dir\\sub\\file", "/./dir/sub/file", "././/dir/sub/file"] {
        assert_eq!(client.get(name, &[]).unwrap(), b"content", "{name}");
        client.put(name, b"content", &[]).unwrap();
    }
    assert_eq!(client.get("DIR/sub/file", &[]).unwrap_err().refusal().0, 1);
    let longest = "n".repeat(255);
    client.put(&longest, b"long", &[]).unwrap();
    assert_eq!(client.get(&longest, &[]).unwrap(), b"long");
}

#[test]
fn bad_names_are_refused_with_a_reason() {
    let long = "x".repeat(300);
    let table: [(&[u8], &str); 18] = [
        (b"", "empty"),
        (b"/", "empty"),
        (b"\\\\", "empty"),
        (b"../file", ".."),
        (b"..\\file", ".."),
        (b"/../../etc/passwd", ".."),
        (b"a/../file", ".."),
        (b"a\\..\\file", ".."),
        (b"./../file", ".."),
        (b"a/./file", ".."),
        (b"./", ".."),
        (b"..", ".."),
        (b"dir/", "slash"),
        (b"dir\\", "slash"),
        (b"a\nb", "control"),
        (b"\x1b[2J", "control"),
        (b"a\x7f", "control"),
        (long.as_bytes(), "255"),
    ];
    let server = serve(&[]);
    let mut client = Raw::new(server.address());
    client.put("file", b"x", &[]).unwrap();
    for (name, reason) in table {
        for opcode in [1, 2] {
            let (code, text) = client.ask(&request(opcode, name, "octet", &[])).refusal();
            assert_eq!(code, 2, "{}: {text}", name.escape_ascii());
            assert!(text.contains(reason), "{}: {text}", name.escape_ascii());
        }
    }
    assert_eq!(server.stop().len(), 1 + 2 * table.len());
}

#[test]
fn modes() {
    let server = serve(&[]);
    let mut client = Raw::new(server.address());
    client.put("file", b"a\nb", &[]).unwrap();
    for (mode, content) in
        [("OcTeT", &b"a\nb"[..]), ("netascii", b"a\r\nb"), ("NETASCII", b"a\r\nb")]
    {
        let first = client.ask(&request(1, "file", mode, &[]));
        assert_eq!(client.get_from(first).unwrap(), content, "{mode}");
    }
    for mode in ["mail", "MAIL", "binary", "", "octet ", "octe"] {
        for opcode in [1, 2] {
            let (code, text) = client.ask(&request(opcode, "file", mode, &[])).refusal();
            assert_eq!(code, 4, "{mode}: {text}");
            assert!(text.contains("octet") && text.contains("netascii"), "{text}");
        }
    }
    assert_eq!(client.get("file", &[]).unwrap(), b"a\nb");
}

type Pairs = &'static [(&'static str, &'static str)];

/// What is left out of the OACK; without anything left there is none.
const LEFT_OUT: [Pairs; 28] = [
    &[("blksize", "7")],
    &[("blksize", "0")],
    &[("blksize", "65465")],
    &[("blksize", "65536")],
    &[("blksize", "99999999999999999999999999")],
    &[("blksize", "")],
    &[("blksize", "many")],
    &[("blksize", "-512")],
    &[("blksize", "512x")],
    &[("blksize", "0x200")],
    &[("blksize", "5 1 2")],
    &[("timeout", "0")],
    &[("timeout", "256")],
    &[("timeout", "1.5")],
    &[("windowsize", "0")],
    &[("windowsize", "65536")],
    &[("tsize", "")],
    &[("tsize", "x")],
    &[("tsize", "99999999999999999999999999")],
    &[("multicast", "")],
    &[("msftwindow", "31416")],
    &[("rollover", "1")],
    &[("xblksize", "600")],
    &[("blksize2", "600")],
    &[("foo", "bar"), ("foo", "bar"), ("bar", "")],
    &[("", "")],
    &[("", "blksize"), ("600", "")],
    &[("\u{1}\n", "\u{ff}")],
];

#[test]
fn odd_options_are_left_out_and_fail_nothing() {
    let server = serve(&[]);
    let mut client = Raw::new(server.address());
    let file = bytes(1_000);
    for options in LEFT_OUT {
        assert_eq!(client.ask(&wrq("file", options)), Packet::Ack(0), "{options:?}");
        client.put_from(Packet::Ack(0), &file).unwrap();
        let first = client.ask(&rrq("file", options));
        assert_eq!(first, Packet::Data(1, file[..512].to_vec()), "{options:?}");
        assert_eq!(client.get_from(first).unwrap(), file);
    }
    assert!(server.stop().iter().all(|line| line.find("granted").is_none()));
}

/// Options asked of a read of 1000 bytes, and the OACK.
const AGREED: [(Pairs, Pairs); 13] = [
    (&[("blksize", "8")], &[("blksize", "8")]),
    (&[("blksize", "65464")], &[("blksize", "65464")]),
    (&[("BlkSize", "600")], &[("blksize", "600")]),
    (&[("tsize", "0")], &[("tsize", "1000")]),
    (&[("TSIZE", "7")], &[("tsize", "1000")]),
    (&[("timeout", "255")], &[("timeout", "255")]),
    (&[("windowsize", "64")], &[("windowsize", "64")]),
    (&[("windowsize", "65535")], &[("windowsize", "64")]),
    (&[("blksize", "600"), ("blksize", "700")], &[("blksize", "600")]),
    (&[("blksize", "7"), ("blksize", "700")], &[("blksize", "700")]),
    (
        &[("timeout", "3"), ("x", ""), ("tsize", "0"), ("windowsize", "4"), ("blksize", "600")],
        &[("timeout", "3"), ("tsize", "1000"), ("windowsize", "4"), ("blksize", "600")],
    ),
    (&[("blksize", "600"), ("", ""), ("tsize", "0")], &[("blksize", "600")]),
    (&[("tsize", "0"), ("blksize", "0"), ("timeout", "0")], &[("tsize", "1000")]),
];

#[test]
fn what_is_agreed_is_answered_in_the_order_asked() {
    let server = serve_in_order(&[]);
    let mut client = Raw::new(server.address());
    client.put("file", &bytes(1_000), &[]).unwrap();
    for (asked, agreed) in AGREED {
        let answer = client.ask(&rrq("file", asked));
        assert_eq!(answer, Packet::oack(agreed), "{asked:?}");
        client.send(&error(8, ""));
    }
    for line in &server.stop()[1..] {
        assert!(line.find("granted").is_some(), "{line:?}");
    }
}

#[test]
fn an_upload_gets_its_size_back() {
    let server = serve(&[]);
    let mut client = Raw::new(server.address());
    let options = [("tsize", "1000"), ("blksize", "1400"), ("timeout", "2")];
    let answer = client.ask(&wrq("file", &options));
    assert_eq!(answer, Packet::oack(&options));
    client.put_from(answer, &bytes(1_000)).unwrap();
    assert!(client.get("file", &[]).unwrap() == bytes(1_000));
    // The size is a hint: another one may come.
    client.put("file", &bytes(3_000), &[("tsize", "1000")]).unwrap();
    assert!(client.get("file", &[]).unwrap() == bytes(3_000));
    client.put("file", b"", &[("tsize", "1000")]).unwrap();
    assert_eq!(client.get("file", &[]).unwrap(), b"");
}

/// curl takes a size of zero for an error.
#[test]
fn an_empty_file_has_no_size() {
    let server = serve(&[]);
    let mut client = Raw::new(server.address());
    client.put("empty", b"", &[]).unwrap();
    let first = client.ask(&rrq("empty", &[("tsize", "0")]));
    assert_eq!(first, Packet::Data(1, vec![]));
    let first = client.ask(&rrq("empty", &[("tsize", "0"), ("blksize", "600")]));
    assert_eq!(first, Packet::oack(&[("blksize", "600")]));
    assert_eq!(client.get_from(first).unwrap(), b"");
}

/// Firmware pads its requests, or leaves garbage behind them.
#[test]
fn what_follows_the_options_does_no_harm() {
    let server = serve(&[]);
    let mut client = Raw::new(server.address());
    let file = bytes(1_000);
    client.put("file", &file, &[]).unwrap();
    for tail in [&b"blksize"[..], b"blksize\x00600", b"\0", b"\0\0\0\xff\xff", b"x", &[0; 400]] {
        let answer = client.ask(&[&rrq("file", &[("tsize", "0")]), tail].concat());
        assert_eq!(answer, Packet::oack(&[("tsize", "1000")]), "{}", tail.escape_ascii());
        assert_eq!(client.get_from(answer).unwrap(), file);
    }
}

#[test]
fn blocks_of_all_sizes() {
    let server = serve(&[]);
    let mut client = Raw::new(server.address());
    for (blksize, sizes) in [
        ("8", [0, 1, 7, 8, 9, 16, 800]),
        ("512", [0, 1, 511, 512, 513, 1_024, 51_200]),
        ("1468", [0, 1, 1_467, 1_468, 1_469, 2_936, 100_000]),
        ("65464", [0, 1, 65_463, 65_464, 65_465, 130_928, 1_000_000]),
    ] {
        for size in sizes {
            let file = bytes(size);
            client.put("file", &file, &[("blksize", blksize)]).unwrap();
            let got = client.get("file", &[("blksize", blksize)]).unwrap();
            assert!(got == file, "{size} bytes in blocks of {blksize}");
        }
    }
}

#[test]
fn small_blocks_past_the_last_block_number() {
    let server = serve(&[]);
    let mut client = Raw::new(server.address());
    let file = bytes(8 * 65_536);
    client.put("file", &file, &[("blksize", "8")]).unwrap();
    assert!(client.get("file", &[("blksize", "8")]).unwrap() == file);
    for line in server.stop() {
        assert_eq!(line.number("blocks"), 65_537, "{line:?}");
    }
}
