//! How transfers end: exit codes, what is said, and what is left on the disk.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use testkit::{DEADLINE, Memtftp, Packet, Signal, ack, bytes, data, error, shell, signal};

use crate::{BINARY, Done, KIB, memtftp, memtftp_with_input, names};

/// A socket that plays the server.
fn socket() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let url = format!("tftp://{}/file", socket.local_addr().unwrap());
    (socket, url)
}

fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 2_000];
    let (len, from) = socket.recv_from(&mut buffer).unwrap();
    (buffer[..len].to_vec(), from)
}

fn spawn(directory: &Path, arguments: &[&str]) -> Child {
    let mut command = Command::new(BINARY);
    command.args(arguments).current_dir(directory);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn end(child: Child) -> Done {
    child.wait_with_output().unwrap().into()
}

/// A directory with the file that a get is to replace.
fn old_file() -> tempfile::TempDir {
    let local = tempfile::tempdir().unwrap();
    fs::write(local.path().join("file"), "old").unwrap();
    local
}

fn is_untouched(local: &Path) {
    assert_eq!(names(local), ["file"]);
    assert_eq!(fs::read(local.join("file")).unwrap(), b"old");
}

/// Answers the request of `child` with the first of two blocks; gives its address.
fn first_block(socket: &UdpSocket) -> SocketAddr {
    let (_, to) = receive(socket);
    socket.send_to(&data(1, &bytes(512)), to).unwrap();
    assert_eq!(Packet::decode(&receive(socket).0), Packet::Ack(1));
    to
}

#[test]
fn a_signal_tells_the_server_and_leaves_no_part() {
    for (given, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let ((socket, url), local) = (socket(), old_file());
        let child = spawn(local.path(), &["get", &url, "file"]);
        first_block(&socket);
        assert_eq!(names(local.path()).len(), 2, "the part lies beside it");
        signal(&child, given);
        let (code_told, text) = Packet::decode(&receive(&socket).0).refusal();
        assert_eq!((code_told, text.as_str()), (0, "the client was interrupted"));
        let done = end(child);
        assert!(done.line(code).contains("interrupted"), "{done:?}");
        is_untouched(local.path());
    }
}

#[test]
fn a_signal_ends_a_put() {
    let ((socket, url), local) = (socket(), old_file());
    let child = spawn(local.path(), &["put", "file", &url]);
    let (_, to) = receive(&socket);
    socket.send_to(&ack(0), to).unwrap();
    let first = receive(&socket).0;
    assert_eq!(Packet::decode(&first), Packet::Data(1, b"old".to_vec()));
    signal(&child, Signal::INT);
    let mut next = receive(&socket).0;
    while next == first {
        next = receive(&socket).0;
    }
    assert_eq!(Packet::decode(&next).refusal().0, 0);
    end(child).line(130);
}

#[test]
fn a_server_that_dies_midway() {
    let ((socket, url), local) = (socket(), old_file());
    let child = spawn(local.path(), &["get", "--timeout", "500ms", &url, "file"]);
    first_block(&socket);
    let done = end(child);
    let line = done.line(5);
    assert!(line.contains("any more") && line.contains("--retries"), "{line}");
    is_untouched(local.path());
}

#[test]
fn nobody_there() {
    let ((_silent, url), local) = (socket(), old_file());
    for arguments in [["get", &url, "file"], ["put", "file", &url]] {
        let done = memtftp(local.path(), &[&arguments[..], &["--timeout", "300ms"]].concat());
        let line = done.line(5);
        assert!(line.contains("no answer") && line.contains("firewall"), "{line}");
        is_untouched(local.path());
    }
}

#[test]
fn refusals() {
    let server = Memtftp::serve(BINARY, &["--uploads", "off"]);
    let local = old_file();
    let url = format!("tftp://{}/file", server.address());
    let done = memtftp(local.path(), &["get", &url, "file"]);
    assert!(done.line(3).contains("no such file"), "{done:?}");
    let done = memtftp(local.path(), &["put", "file", &url]);
    assert!(done.line(4).contains("code 2"), "{done:?}");
    is_untouched(local.path());
}

#[test]
fn a_server_that_breaks_the_protocol() {
    for answer in [&b"\0\x06blksize\x0065000\0"[..], b"\0\x06multicast\0\0", &data(1, &bytes(900))]
    {
        let ((socket, url), local) = (socket(), old_file());
        let child = spawn(local.path(), &["get", "--blksize", "1400", &url, "file"]);
        let (_, to) = receive(&socket);
        socket.send_to(answer, to).unwrap();
        let code = Packet::decode(&receive(&socket).0).refusal().0;
        assert_eq!(code, if answer.starts_with(b"\0\x06") { 8 } else { 4 });
        let done = end(child);
        assert!(done.line(6).contains("breaks the protocol"), "{done:?}");
        is_untouched(local.path());
    }
}

/// What a server says does not move the cursor.
#[test]
fn text_of_the_server_is_made_printable() {
    let ((socket, url), local) = (socket(), old_file());
    let child = spawn(local.path(), &["get", &url, "file"]);
    let (_, to) = receive(&socket);
    socket.send_to(&error(99, b"\x1b[2Jgone\xff"), to).unwrap();
    let done = end(child);
    let line = done.line(4);
    assert!(line.contains("\\u{1b}[2Jgone") && !line.contains('\x1b'), "{line:?}");
}

fn server_with_a_file(size: usize) -> (Memtftp, String) {
    let server = Memtftp::serve(BINARY, &[]);
    let url = format!("tftp://{}/file", server.address());
    memtftp_with_input(server.directory(), &["put", "-", &url], &bytes(size)).quietly();
    (server, url)
}

#[test]
fn a_full_device() {
    let (server, url) = server_with_a_file(400 * KIB);
    let done = memtftp(server.directory(), &["get", "--blksize", "1428", &url, "/dev/full"]);
    let line = done.line(1);
    assert!(line.contains("cannot write /dev/full") && line.contains("make room"), "{line}");
    let log = server.stop();
    assert!(log[1].is(&[("outcome", "aborted"), ("code", "3")]), "{log:#?}");
}

/// A disk of 64 KiB, in a mount namespace of its own, which takes root.
#[test]
fn a_full_disk_keeps_what_was_there() {
    let (server, url) = server_with_a_file(400 * KIB);
    let disk = server.path("disk");
    fs::create_dir(&disk).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=64k none disk && cd disk && printf old >file && \
         {{ {BINARY} get --blksize 1428 {url} file; echo code $?; ls -A; cat file; }}"
    );
    let done = shell(&format!("exec unshare --mount sh -c '{script}'"), server.directory());
    assert!(done.output.contains("code 1\nfile\nold"), "{done:?}");
    assert!(done.output.contains("make room there"), "{done:?}");
    assert!(!done.output.contains(".part"), "the name of the part only confuses: {done:?}");
    let log = server.stop();
    assert!(log[1].is(&[("outcome", "aborted"), ("code", "3")]), "{log:#?}");
}

#[test]
fn places_that_cannot_be_written() {
    let (server, url) = server_with_a_file(1);
    let done = memtftp(server.directory(), &["get", &url, "none/file"]);
    let line = done.line(1);
    assert!(line.contains("none/file") && line.contains("directory first"), "{line}");
    let done = memtftp(server.directory(), &["put", "none", &url]);
    assert!(done.line(1).contains("cannot read none"), "{done:?}");
    assert_eq!(server.stop().len(), 1, "neither asked the server");
}

/// As with `| head`: the reader is gone.
#[test]
fn a_pipe_that_is_closed() {
    let (server, url) = server_with_a_file(4_000 * KIB);
    let script = format!("{{ {BINARY} get {url} -; echo code $? >&2; }} | head -c 1");
    let done = shell(&script, server.directory());
    assert!(done.output.contains("code 141") && !done.output.contains("memtftp:"), "{done:?}");
}

#[test]
fn hosts_without_an_address() {
    let local = old_file();
    let done = memtftp(local.path(), &["get", "tftp://none.invalid/file"]);
    assert!(done.line(1).contains("cannot find the host none.invalid"), "{done:?}");
}

#[test]
fn command_lines_that_mean_nothing() {
    let local = old_file();
    for (arguments, words) in [
        (&["get"][..], "memtftp get HOST/NAME"),
        (&["get", "http://h/a"], "tftp://"),
        (&["get", "tftp://h/a/"], "tftp://h/a/NAME"),
        (&["get", "tftp://h/a", "tftp://h/b", "none"], "mkdir -p none"),
        (&["put", "file"], "memtftp put file HOST"),
        (&["put", "file", "file", "tftp://h/a"], "tftp://h/a/"),
        (&["put", "-", "tftp://h/"], "tftp://h/NAME"),
        (&["get", "--blksize", "7", "tftp://h/a"], "--blksize"),
        (&["get", "--timeout", "0s", "tftp://h/a"], "--timeout"),
        (&["get", "--no-options", "--blksize", "512", "tftp://h/a"], "contradict each other"),
    ] {
        let done = memtftp(local.path(), arguments);
        assert!(done.line(1).contains(words), "{arguments:?}: {done:?}");
    }
    is_untouched(local.path());
}

#[test]
fn a_file_that_ends_before_its_size_has_an_exit_code_of_its_own() {
    let ((socket, url), local) = (socket(), old_file());
    let child = spawn(local.path(), &["get", &url, "file"]);
    let (_, to) = receive(&socket);
    socket.send_to(b"\0\x06tsize\x0030000\0", to).unwrap();
    assert_eq!(Packet::decode(&receive(&socket).0), Packet::Ack(0));
    socket.send_to(&data(1, b"stump"), to).unwrap();
    assert_eq!(Packet::decode(&receive(&socket).0).refusal().0, 0);
    assert!(end(child).line(7).contains("announced 30000 bytes"), "the size is named");
    is_untouched(local.path());
}

#[test]
fn two_files_of_one_name_do_not_replace_each_other() {
    let server = Memtftp::serve(BINARY, &[]);
    let local = tempfile::tempdir().unwrap();
    for directory in ["a", "b"] {
        fs::create_dir(local.path().join(directory)).unwrap();
        fs::write(local.path().join(directory).join("f"), directory).unwrap();
    }
    let url = format!("tftp://{}/", server.address());
    let done = memtftp(local.path(), &["put", "a/f", "b/f", &url]);
    assert!(done.line(1).contains("b/f has the name of a file just put"), "{done:?}");
    for directory in ["a", "b"] {
        let to = format!("{url}{directory}/f");
        let done = memtftp(local.path(), &["put", "--quiet", &format!("{directory}/f"), &to]);
        assert_eq!(done.code, Some(0), "{done:?}");
    }
    let done = memtftp(local.path(), &["get", &format!("{url}a/f"), &format!("{url}b/f"), "."]);
    assert!(done.line(1).contains("f was just got"), "{done:?}");
    assert_eq!(fs::read(local.path().join("f")).unwrap(), b"a");
}

#[test]
fn what_is_said_fits_what_was_asked_and_how_far_it_came() {
    let ((socket, url), local) = (socket(), tempfile::tempdir().unwrap());
    let patience = ["--timeout", "1s"];
    let child = spawn(local.path(), &[&["get"], &patience[..], &[&url, "file"]].concat());
    let (_, to) = receive(&socket);
    socket.send_to(b"\0\x06blksize\x001024\0", to).unwrap();
    assert!(end(child).line(5).contains("--blksize 1024"));
    // An ERROR about options that were not asked for.
    let child = spawn(local.path(), &["get", "--no-options", &url, "file"]);
    let request = |(packet, to): (Vec<u8>, SocketAddr)| (packet[1] == 1).then_some(to);
    let to = std::iter::repeat_with(|| request(receive(&socket))).flatten().next().unwrap();
    socket.send_to(&error(8, "no"), to).unwrap();
    assert!(!end(child).line(4).contains("--no-options"));
}
