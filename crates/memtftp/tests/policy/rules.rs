//! Each effect of a rule, seen by a client.

use testkit::{Packet, Raw, bytes, rrq, wrq};

use crate::{Place, assert_refused};

#[test]
fn rules_refuse_by_network_direction_and_name_with_their_own_text() {
    let place = Place::new();
    place.file("public", "for all").file("secret/key", "for one").configure(
        r#"
        preload = ["FILES"]
        [[rule]]
        clients = ["127.0.0.2"]
        action = "allow"
        [[rule]]
        name = "secrets"
        direction = "read"
        file = 'secret/.*'
        action = { refuse = "ask the administrator" }
        [[rule]]
        direction = "write"
        action = "refuse"
        "#,
    );
    let server = place.serve(&["--workers", "1"]);
    let mut stranger = Raw::new(server.address());
    assert_eq!(stranger.get("/public", &[]).unwrap(), b"for all");
    assert_refused(stranger.get("/secret//key", &[]), 2, "ask the administrator");
    assert_refused(stranger.put("new", b"x", &[]).map(|()| Vec::new()), 2, "not allowed here");
    let mut friend = Raw::from("127.0.0.2".parse().unwrap(), server.address());
    assert_eq!(friend.get("secret/key", &[]).unwrap(), b"for one");
    friend.put("new", b"x", &[]).unwrap();

    let reasons: Vec<String> =
        server.stop().iter().filter_map(|line| line.find("reason").map(str::to_owned)).collect();
    assert_eq!(
        reasons,
        ["ask the administrator (rule 2 \"secrets\")", "not allowed here (rule 3)"],
        "the log says which rule it was"
    );
}

#[test]
fn a_rewritten_name_is_a_file_of_each_client_for_uploads_too() {
    let place = Place::new();
    place.configure(
        r#"
        [[rule]]
        file = '(startup|running)-config'
        rewrite = "devices/{ip}/{1}"
        "#,
    );
    let server = place.serve(&["--workers", "1"]);
    let mut first = Raw::new(server.address());
    let mut second = Raw::from("127.0.0.2".parse().unwrap(), server.address());
    first.put("running-config", b"of the first", &[]).unwrap();
    second.put("running-config", b"of the second", &[]).unwrap();
    assert_eq!(first.get("running-config", &[]).unwrap(), b"of the first");
    assert_eq!(second.get("running-config", &[]).unwrap(), b"of the second");
    assert_eq!(first.get("devices/127.0.0.2/running", &[]).unwrap(), b"of the second");
    assert_refused(first.get("startup-config", &[]), 1, "file not found");
    let log = server.stop();
    let reason = "file not found: by the rules it is devices/127.0.0.1/startup";
    assert_eq!(log.last().unwrap().get("reason"), reason);
    assert_eq!(log.last().unwrap().get("file"), "startup-config");
}

#[test]
fn blksize_and_windowsize_are_capped_for_some_clients() {
    let place = Place::new();
    place.file("f", bytes(5_000)).configure(
        r#"
        preload = ["FILES"]
        [[rule]]
        clients = ["127.0.0.2"]
        max-blksize = 1000
        max-windowsize = 2
        "#,
    );
    let server = place.serve(&[]);
    let asked = [("blksize", "1200"), ("windowsize", "4")];
    let mut capped = Raw::from("127.0.0.2".parse().unwrap(), server.address());
    let granted = Packet::oack(&[("blksize", "1000"), ("windowsize", "2")]);
    assert_eq!(capped.ask(&rrq("f", &asked)), granted);
    let mut capped = Raw::from("127.0.0.2".parse().unwrap(), server.address());
    assert_eq!(capped.ask(&wrq("g", &asked)), granted);
    assert_eq!(Raw::new(server.address()).ask(&rrq("f", &asked)), Packet::oack(&asked));
    let mut capped = Raw::from("127.0.0.2".parse().unwrap(), server.address());
    assert!(capped.get("f", &asked).unwrap() == bytes(5_000));
}

#[test]
fn case_does_not_matter_where_a_rule_says_so() {
    let place = Place::new();
    place.file("Boot/BCD", "bcd").file("Other/File", "file").configure(
        r#"
        preload = ["FILES"]
        [[rule]]
        file = '(?i)boot/.*'
        ignore-case = true
        "#,
    );
    let server = place.serve(&["--uploads", "replace"]);
    let mut client = Raw::new(server.address());
    assert_eq!(client.get("\\boot\\bcd", &[]).unwrap(), b"bcd");
    assert_refused(client.get("other/file", &[]), 1, "file not found");
    // An upload under another spelling is a new version of the same file.
    client.put("BOOT/bcd", b"new", &[]).unwrap();
    assert_eq!(client.get("Boot/BCD", &[]).unwrap(), b"new");
}

#[test]
fn no_spelling_and_no_byte_passes_a_rule() {
    let rules = r#"
        uploads = "replace"
        [[rule]]
        file = 'secret/.*'
        action = "refuse"
        [[rule]]
        clients = ["127.0.0.2"]
        file = '.*'
        direction = "write"
        rewrite = "clients/{ip}/{0}"
        action = "allow"
        [[rule]]
        ignore-case = true
    "#;
    for source in ["preload = [\"FILES\"]", "dir = \"FILES\"\ncreate-dirs = true"] {
        let place = Place::new();
        place.file("secret/key", "kept").configure(&[source, rules].concat());
        let server = place.serve(&[]);
        let mut client = Raw::new(server.address());
        for name in ["secret/key", "SECRET/key", "Secret/KEY"] {
            assert_refused(client.get(name, &[]), 2, "not allowed here");
            assert_refused(client.put(name, b"x", &[]).map(|()| Vec::new()), 2, "not allowed here");
        }
        let request = |opcode: u8, name: &[u8]| [&[0, opcode], name, b"\0octet\0"].concat();
        for opcode in [1, 2] {
            let mut client = Raw::new(server.address());
            client.send(&request(opcode, b"secret/\xff"));
            assert_eq!(client.receive().refusal(), (2, "not allowed here".into()));
        }
        let mut jailed = Raw::from("127.0.0.2".parse().unwrap(), server.address());
        jailed.send(&request(2, b"any\xff"));
        let opened = jailed.receive();
        jailed.put_from(opened, b"mine").unwrap();
        let mut reader = Raw::new(server.address());
        reader.send(&request(1, b"clients/127.0.0.2/any\xff"));
        let first = reader.receive();
        assert_eq!(reader.get_from(first).unwrap(), b"mine");
    }
}

#[test]
fn many_names_of_one_file_take_no_memory() {
    let place = Place::new();
    let megabyte = bytes(1_000_000);
    place
        .file("real", &megabyte)
        .configure("preload = [\"FILES\"]\nmemory = 1500000\n[aliases]\n\"by-alias\" = \"real\"\n");
    std::os::unix::fs::symlink("real", place.files().join("by-symlink")).unwrap();
    std::fs::hard_link(place.files().join("real"), place.files().join("by-hard-link")).unwrap();
    let server = place.serve(&["--uploads", "replace"]);
    assert!(
        server.banner("memory").contains("3 files preloaded (976.6 KiB)"),
        "{}",
        server.banner("memory")
    );
    let mut client = Raw::new(server.address());
    for name in ["real", "by-alias", "by-symlink", "by-hard-link"] {
        assert!(client.get(name, &[("blksize", "8192")]).unwrap() == megabyte, "{name}");
    }
    // What is uploaded to one of the links is that one's alone; an alias is the file itself.
    client.put("by-symlink", b"own", &[]).unwrap();
    client.put("by-alias", b"both", &[]).unwrap();
    assert_eq!(client.get("by-symlink", &[]).unwrap(), b"own");
    assert_eq!(client.get("real", &[]).unwrap(), b"both");
    assert!(client.get("by-hard-link", &[("blksize", "8192")]).unwrap() == megabyte);
}

#[test]
fn a_link_to_its_own_directory_is_followed_once() {
    let place = Place::new();
    place.file("boot/file", "content").configure("preload = [\"FILES\"]\nmax-files = 10\n");
    std::os::unix::fs::symlink(".", place.files().join("tftpboot")).unwrap();
    std::os::unix::fs::symlink("..", place.files().join("boot/up")).unwrap();
    let server = place.serve(&[]);
    let mut client = Raw::new(server.address());
    for name in ["boot/file", "tftpboot/boot/file", "boot/up/boot/file"] {
        assert_eq!(client.get(name, &[]).unwrap(), b"content", "{name}");
    }
    assert_refused(client.get("tftpboot/tftpboot/boot/file", &[]), 1, "file not found");
    place.file("boot/file", "again");
    crate::reload::reload(&server, 1);
    assert_eq!(client.get("tftpboot/boot/file", &[]).unwrap(), b"again");
}
