//! Starting: what is preloaded, what is printed, and what is said when it cannot start.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use tempfile::TempDir;
use testkit::{Memtftp, Raw, bytes, shell, unprivileged};

use crate::{BINARY, one_line, refuses_to_start, serve};

/// A directory with these files.
fn directory(files: &[(&str, &[u8])]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    directory
}

fn preload(directory: &TempDir) -> [&str; 2] {
    ["--preload", directory.path().to_str().unwrap()]
}

#[test]
fn files_are_preloaded_under_their_relative_names() {
    let large = bytes(300_000);
    let (one, two) = (
        directory(&[("a", b"1"), ("sub/dir/b c", b"22"), ("sub/empty", b""), ("large", &large)]),
        directory(&[("other", b"333")]),
    );
    let server = serve(&[preload(&one), preload(&two)].concat());
    let banner = server.banner("memory");
    assert!(banner.contains("5 files preloaded"), "{banner}");
    let mut client = Raw::new(server.address());
    for (name, content) in [
        ("a", &b"1"[..]),
        ("sub/dir/b c", b"22"),
        ("sub\\dir\\b c", b"22"),
        ("sub/empty", b""),
        ("large", &large),
        ("other", b"333"),
    ] {
        assert!(client.get(name, &[]).unwrap() == content, "{name}");
    }
    assert_eq!(client.get("sub", &[]).unwrap_err().refusal().0, 1);
}

/// Uploads stay in memory.
#[test]
fn preloaded_files_are_replaced_in_memory_only() {
    let files = directory(&[("file", b"on disk")]);
    let server = serve(&[&preload(&files)[..], &["--uploads", "replace"]].concat());
    let mut client = Raw::new(server.address());
    client.put("file", b"in memory", &[]).unwrap();
    client.put("new", b"x", &[]).unwrap();
    assert_eq!(client.get("file", &[]).unwrap(), b"in memory");
    assert_eq!(fs::read(files.path().join("file")).unwrap(), b"on disk");
    assert!(!files.path().join("new").exists());
}

#[test]
fn preloaded_files_are_not_replaced_unless_that_is_said() {
    let files = directory(&[("file", b"on disk"), ("d/other", b"too")]);
    let server = serve(&preload(&files));
    assert!(server.banner("uploads").starts_with("on, but what was preloaded is not replaced"));
    let mut client = Raw::new(server.address());
    for name in ["file", "d/other"] {
        assert_eq!(client.put(name, b"x", &[]).unwrap_err().refusal().0, 6, "{name}");
    }
    for content in [b"first", b"again"] {
        client.put("new", content, &[]).unwrap();
        assert_eq!(client.get("new", &[]).unwrap(), content);
    }
    assert_eq!(client.get("file", &[]).unwrap(), b"on disk");
    // What is preloaded later is as safe, and what is gone is not any more.
    fs::write(files.path().join("new"), "from disk").unwrap();
    fs::remove_file(files.path().join("file")).unwrap();
    server.signal(testkit::Signal::HUP);
    server.wait_for_stderr("reloaded: ");
    assert_eq!(client.put("new", b"x", &[]).unwrap_err().refusal().0, 6);
    client.put("file", b"uploaded", &[]).unwrap();
    assert_eq!(client.get("new", &[]).unwrap(), b"from disk");
}

#[test]
fn a_directory_takes_no_uploads_unless_that_is_said() {
    let files = directory(&[("file", b"on disk")]);
    let path = files.path().to_str().unwrap();
    for (flags, refused) in [
        (&[][..], [Some(2), Some(2)]),
        (&["--preload", path], [Some(2), Some(2)]),
        (&["--uploads", "create"], [None, Some(6)]),
        (&["--uploads", "replace"], [None, None]),
    ] {
        let server = serve(&[&["--dir", path], flags].concat());
        let is_off = server.banner("uploads").starts_with("off");
        assert_eq!(is_off, refused[0].is_some(), "{flags:?}");
        let mut client = Raw::new(server.address());
        for (name, code) in ["new", "file"].iter().zip(refused) {
            let put = client.put(name, b"x", &[]).err().map(|error| error.refusal().0);
            assert_eq!(put, code, "{flags:?} {name}");
        }
        let _ = fs::remove_file(files.path().join("new"));
    }
}

#[test]
fn links_that_stay_inside_are_followed() {
    let files = directory(&[("sub/file", b"content")]);
    symlink("sub/file", files.path().join("link")).unwrap();
    symlink(files.path().join("sub"), files.path().join("also")).unwrap();
    let server = serve(&preload(&files));
    let mut client = Raw::new(server.address());
    for name in ["sub/file", "link", "also/file"] {
        assert_eq!(client.get(name, &[]).unwrap(), b"content", "{name}");
    }
}

#[test]
fn links_that_leave_are_refused() {
    let (files, outside) = (directory(&[("file", b"x")]), directory(&[("secret", b"x")]));
    for target in [outside.path().to_owned(), outside.path().join("secret"), "..".into()] {
        let link = files.path().join("link");
        symlink(&target, &link).unwrap();
        let line = refuses_to_start(&preload(&files));
        assert!(line.contains("link") && line.contains("leads out"), "{line}");
        fs::remove_file(link).unwrap();
    }
    serve(&preload(&files));
}

#[test]
fn a_link_that_leads_nowhere_is_refused() {
    let files = directory(&[("file", b"x")]);
    symlink("none", files.path().join("link")).unwrap();
    let line = refuses_to_start(&preload(&files));
    assert!(line.contains("link"), "{line}");
}

#[test]
fn a_file_larger_than_memory_is_refused() {
    let files = directory(&[("large", &bytes(2_000_000))]);
    let line = refuses_to_start(&[&preload(&files)[..], &["--memory", "1MiB"]].concat());
    assert!(line.contains("large") && line.contains("--memory"), "{line}");
    let files = directory(&[("a", &bytes(600_000)), ("b", &bytes(600_000))]);
    let line = refuses_to_start(&[&preload(&files)[..], &["--memory", "1MiB"]].concat());
    assert!(line.contains("/b ") && line.contains("--memory"), "{line}");
}

#[test]
fn a_directory_that_is_none_is_refused() {
    let files = directory(&[("file", b"x")]);
    for name in ["none", "file"] {
        let path = files.path().join(name);
        let line = refuses_to_start(&["--preload", path.to_str().unwrap()]);
        assert!(line.contains(path.to_str().unwrap()), "{line}");
        assert!(line.contains("check that it exists") || line.contains("--preload"), "{line}");
    }
}

#[test]
fn a_directory_or_file_that_may_not_be_read_is_refused() {
    let home = directory(&[]);
    let files = directory(&[("sub/file", b"x")]);
    let set = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let (top, sub) = (files.path(), files.path().join("sub"));
    for (path, closed, open) in
        [(top, 0o000, 0o755), (&sub, 0o000, 0o755), (&sub.join("file"), 0o000, 0o644)]
    {
        set(top, 0o755);
        set(path, closed);
        let command = unprivileged(BINARY, home.path());
        let line = one_line(Memtftp::fails_as(command, &preload(&files)));
        assert!(line.contains(path.to_str().unwrap()), "{line}");
        assert!(line.contains("may read"), "{line}");
        set(path, open);
    }
    let server = Memtftp::start(unprivileged(BINARY, home.path()), &preload(&files));
    assert_eq!(Raw::new(server.address()).get("sub/file", &[]).unwrap(), b"x");
}

#[test]
fn a_port_in_use() {
    for (flags, listen) in
        [(&["--workers", "1"][..], "127.0.0.1:0"), (&[], "127.0.0.1:0"), (&[], "[::]:0")]
    {
        let first = serve(&[flags, &["--listen", listen]].concat());
        let port = first.address().port();
        for second in [format!("127.0.0.1:{port}"), format!("0.0.0.0:{port}")] {
            let line = refuses_to_start(&[flags, &["--listen", &second]].concat());
            assert!(line.contains(&port.to_string()), "{line}");
            assert!(line.contains("in use") && line.contains("--port"), "{line}");
        }
        let line = refuses_to_start(&[flags, &["--port", &port.to_string()]].concat());
        assert!(line.contains("in use") && line.contains("--port"), "{line}");
        Raw::new(first.address()).put("file", b"x", &[]).unwrap();
    }
}

#[test]
fn flags_that_contradict() {
    for (flags, names) in [
        (&["--single-port", "--transfer-ports", "12000-12099"][..], "--transfer-ports"),
        (&["--port", "7000", "--listen", "127.0.0.1:7001"], "--listen"),
        (&["--allow", "any", "--allow", "10.0.0.0/8"], "--allow any"),
        (&["--transfer-ports", "12000-12001", "--workers", "4"], "--workers 2"),
        (&["--listen", "127.0.0.1:7000", "--listen", "127.0.0.1:7000"], "--listen"),
        (&["--max-blksize", "7"], "--max-blksize"),
        (&["--max-windowsize", "0"], "--max-windowsize"),
        (&["--max-sessions", "0"], "--max-sessions"),
        (&["--give-up", "0s"], "--give-up"),
        (&["--memory", "0"], "--memory"),
    ] {
        let line = refuses_to_start(flags);
        assert!(line.contains(names), "{flags:?}: {line}");
    }
}

/// Port 69 as nobody: on most machines a right is needed, and in most containers none.
#[test]
fn no_right_to_port_69() {
    let home = directory(&[]);
    let first_free = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    let flags = ["--listen", "127.0.0.1:69"];
    let command = unprivileged(BINARY, home.path());
    if first_free.trim().parse::<u16>().unwrap() <= 69 {
        let server = Memtftp::start(command, &flags);
        assert_eq!(server.address().to_string(), "127.0.0.1:69");
        return;
    }
    let line = one_line(Memtftp::fails_as(command, &flags));
    assert!(line.contains("no right") && line.contains("69"), "{line}");
    assert!(line.contains("setcap") && line.contains("--port"), "{line}");
}

#[test]
fn the_banner_says_what_runs() {
    let server = serve(&["--memory", "8MiB", "--allow", "any", "--workers", "2"]);
    assert!(server.banner("memory").starts_with("8.0 MiB"), "{}", server.banner("memory"));
    assert_eq!(server.banner("request log"), server.path("requests.log").to_str().unwrap());
    assert!(server.banner("clients").contains("everyone"), "{}", server.banner("clients"));
    assert!(server.banner("uploads").starts_with("on"), "{}", server.banner("uploads"));
    assert_eq!(server.stdout(), Vec::<String>::new());
    let mut client = Raw::new(server.address());
    client.put("file", &bytes(100), &[]).unwrap();
    client.get("file", &[]).unwrap();
    let transfers = server.banner("transfers").split(' ').filter_map(|port| port.parse().ok());
    let ports: Vec<u16> = transfers.collect();
    assert!(ports.contains(&client.tid().port()), "{ports:?}");
}

/// The line of the banner, typed into a shell beside a file called FILE.
fn try_it(flags: &[&str]) -> (Memtftp, TempDir) {
    let server = serve(flags);
    let here = directory(&[("FILE", b"to upload")]);
    let line = server.banner("try it").to_owned();
    let done = shell(&line, here.path());
    assert!(done.status.success(), "{line}: {done:?}");
    (server, here)
}

#[test]
fn the_line_to_try_uploads() {
    for flags in [&[][..], &["--listen", "[::1]:0"], &["--port", "0"], &["--single-port"]] {
        let (server, _here) = try_it(flags);
        let mut client = Raw::new(server.address());
        assert_eq!(client.get("FILE", &[]).unwrap(), b"to upload", "{flags:?}");
    }
}

#[test]
fn the_line_to_try_reads_what_is_preloaded() {
    let files = directory(&[("dir/file.bin", b"content")]);
    let (_server, here) = try_it(&preload(&files));
    assert_eq!(fs::read(here.path().join("FILE")).unwrap(), b"content");
}

/// What a shell or curl would misread.
const ODD_NAMES: [&str; 9] = [
    "two words",
    "50%25 #1?",
    "[1-3]{a,b}",
    "it's",
    "a;mode=x",
    "$(touch broken)",
    "&touch broken&",
    "`touch broken`",
    "grün",
];

#[test]
fn the_line_to_try_works_whatever_is_preloaded() {
    for name in ODD_NAMES {
        let files = directory(&[(name, b"odd")]);
        let (server, here) = try_it(&preload(&files));
        let stored = Raw::new(server.address()).get("FILE", &[]);
        let read = fs::read(here.path().join("FILE")).unwrap();
        assert!(stored.is_ok_and(|file| file == b"to upload") || read == b"odd", "{name}");
        assert!(!here.path().join("broken").exists(), "{name}");

        fs::write(files.path().join("zz-plain.bin"), b"plain").unwrap();
        let (_server, here) = try_it(&preload(&files));
        let read = fs::read(here.path().join("FILE")).unwrap();
        assert!(read == b"plain" || read == b"odd", "{name}");
        assert!(!here.path().join("broken").exists(), "{name}");
    }
}

#[test]
fn a_group_of_hosts_is_no_address_to_listen_on() {
    for group in ["239.1.2.3", "255.255.255.255", "[ff02::1]:0"] {
        let line = refuses_to_start(&["--listen", group]);
        assert!(line.contains("--listen") && line.contains("address of an interface"), "{line}");
    }
}

#[test]
fn broadcasts_that_cannot_be_answered() {
    let flags = ["--port", "0", "--answer-broadcast", "--single-port", "--workers", "2"];
    let line = refuses_to_start(&flags);
    assert!(line.contains("--workers 1"), "{line}");
    let line = refuses_to_start(&["--listen", "127.0.0.1:0", "--answer-broadcast"]);
    assert!(line.contains("leave --listen out"), "{line}");
}
