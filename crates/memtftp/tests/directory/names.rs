//! Names that the rules change, and other spellings.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::time::SystemTime;

use testkit::{Memtftp, Raw, rrq, wait_for};

use crate::{Disk, get, put, refused, wait_until_served};

fn serve_by(disk: &Disk, rules: &str) -> Memtftp {
    let config = disk.beside().join("config.toml");
    fs::write(&config, rules).unwrap();
    disk.serve(&["--workers", "1", "--config", config.to_str().unwrap()])
}

#[test]
fn any_spelling_is_found_on_disk_where_a_rule_says_so() {
    let disk = Disk::new();
    disk.file("Boot/Fonts/Wgl4.TTF", "font");
    let server = serve_by(&disk, "[[rule]]\nfile = '(?i)boot/.*'\nignore-case = true\n");
    assert_eq!(get(&server, "\\boot\\fonts\\wgl4.ttf").unwrap(), b"font");
    put(&server, "BOOT/fonts/WGL4.ttf", b"new").unwrap();
    assert_eq!(disk.read("Boot/Fonts/Wgl4.TTF"), b"new");
    // The very name goes before others.
    disk.file("Boot/README", "capitals").file("Boot/readme", "small");
    assert_eq!(get(&server, "Boot/README").unwrap(), b"capitals");
    assert_eq!(get(&server, "Boot/readme").unwrap(), b"small");
    put(&server, "Boot/readme", b"new").unwrap();
    assert_eq!(
        (disk.read("Boot/README"), disk.read("Boot/readme")),
        (b"capitals".to_vec(), b"new".to_vec())
    );
}

/// Windows' loader asks for `\\boot\\bcd` where `Boot` and `boot` both are.
#[test]
fn each_spelling_of_a_directory_is_looked_into_and_an_upload_makes_no_other() {
    let disk = Disk::new();
    disk.file("Boot/bcd", "upper").file("boot/sdi", "lower").file("boot/deep/file", "deep");
    let rules = "[[rule]]\nignore-case = true\n";
    let server = serve_by(&disk, rules);
    assert_eq!(get(&server, "BOOT/BCD").unwrap(), b"upper");
    assert_eq!(get(&server, "BOOT/SDI").unwrap(), b"lower");
    assert_eq!(get(&server, "Boot/sdi").unwrap(), b"lower");
    assert_eq!(refused(get(&server, "boot/none")), (1, "file not found".into()));
    put(&server, "BOOT/DEEP/new", b"new").unwrap();
    assert_eq!(disk.read("boot/deep/new"), b"new");
    put(&server, "Boot/Sdi", b"again").unwrap();
    assert_eq!(disk.read("boot/sdi"), b"again");
    assert!(!disk.path("BOOT").exists() && !disk.path("Boot/Sdi").exists());
}

#[test]
fn any_spelling_of_a_file_that_is_only_in_memory_is_found_too() {
    let disk = Disk::new();
    fs::create_dir(disk.beside().join("Seed")).unwrap();
    fs::write(disk.beside().join("Seed/File"), "seeded").unwrap();
    let rules = format!(
        "preload = ['{}']\n[[rule]]\nignore-case = true\n",
        disk.beside().to_str().unwrap()
    );
    let server = serve_by(&disk, &rules);
    assert_eq!(get(&server, "seed/FILE").unwrap(), b"seeded");
}

/// Both wait for one load, and it answers each as its rule has it.
#[test]
fn who_wants_the_very_name_gets_no_other_spelling_that_others_wait_for() {
    let disk = Disk::new();
    disk.file("boot/f", "small");
    let rules = "[[rule]]\nclients = ['127.0.0.2']\nignore-case = true\n";
    let server = serve_by(&disk, rules);
    let file = File::options().write(true).open(disk.path("boot/f")).unwrap();
    let touch = || file.set_modified(SystemTime::now()).unwrap();
    let mut lenient = Raw::from([127, 0, 0, 2].into(), server.address());
    touch();
    lenient.send(&rrq("BOOT/F", &[]));
    // As long as it is being written, the lenient client waits.
    for _ in 0..10 {
        touch();
        assert_eq!(refused(get(&server, "BOOT/F")), (1, "file not found".into()));
    }
    drop(file);
    let first = lenient.receive();
    assert_eq!(lenient.get_from(first).unwrap(), b"small");
}

#[test]
fn a_rewritten_name_that_is_not_found_is_named_in_the_log() {
    let disk = Disk::new();
    let rules = "[[rule]]\nfile = '(.*)-config'\nrewrite = 'devices/{1}'\n";
    let server = serve_by(&disk, rules);
    assert_eq!(refused(get(&server, "startup-config")), (1, "file not found".into()));
    put(&server, "other", b"x").unwrap();
    let log = server.stop();
    assert_eq!(log[0].get("reason"), "file not found: by the rules it is devices/startup");
    assert_eq!(log[0].get("file"), "startup-config");
}

#[test]
fn an_absolute_link_that_stays_inside_is_followed() {
    let disk = Disk::new();
    disk.file("real/file", "content");
    let (inside, outside) = (disk.served(), disk.beside());
    fs::write(outside.join("secret"), "outside").unwrap();
    symlink(inside.join("real/file"), disk.path("link")).unwrap();
    symlink(inside.join("real"), disk.path("directory")).unwrap();
    symlink(outside.join("secret"), disk.path("leaves")).unwrap();
    symlink(&inside, disk.path("tftpboot")).unwrap();
    let server = disk.serve(&[]);
    for name in ["link", "directory/file", "tftpboot/real/file", "tftpboot/tftpboot/link"] {
        assert_eq!(get(&server, name).unwrap(), b"content", "{name}");
    }
    assert_eq!(refused(get(&server, "leaves")).0, 2);
    put(&server, "directory/new", b"new").unwrap();
    assert_eq!(disk.read("real/new"), b"new");
    fs::write(disk.path("real/file"), "other").unwrap();
    wait_until_served(&server, "link", b"other");
}

#[test]
fn a_name_on_disk_writes_no_line_of_its_own() {
    let disk = Disk::new();
    let forged = "2026-01-01T00:00:00Z ERROR all is lost";
    disk.file(&format!("x\n{forged}\u{1b}[31m"), "x").file("there", "x");
    let server = disk.serve(&[]);
    get(&server, "there").unwrap();
    server.wait_for_stderr("no client can ask");
    let said = server.stderr();
    assert!(!said.iter().any(|line| line.starts_with(forged)), "{said:?}");
    let said = said.concat();
    assert!(said.contains("x\\n2026") && !said.contains('\u{1b}'), "{said}");
}

/// A client must neither read who asks for what nor put an end to the log.
#[test]
fn the_log_and_the_configuration_are_nobodys_whatever_name_leads_to_them() {
    let disk = Disk::new();
    let (log, config) = (disk.path("requests.log"), disk.path("memtftp.toml"));
    disk.file("memtftp.toml", "uploads = 'replace'\n")
        .file("requests.log.1", "rotated before")
        .file("boot", "x");
    fs::write(&log, "of the last run\n").unwrap();
    symlink("requests.log", disk.path("link")).unwrap();
    fs::hard_link(&log, disk.path("hard")).unwrap();
    fs::hard_link(&config, disk.path("settings")).unwrap();
    let (config, log_path) = (config.to_str().unwrap(), log.to_str().unwrap());
    let server = disk.serve(&["--config", config, "--request-log", log_path]);
    assert_eq!(get(&server, "boot").unwrap(), b"x");
    let mut own =
        vec!["requests.log", "requests.log.1", "link", "hard", "memtftp.toml", "settings"];
    let check = |own: &[&str]| {
        for name in own {
            assert_eq!(refused(get(&server, name)).0, 2, "{name}");
            assert_eq!(refused(put(&server, name, b"mine")).0, 2, "{name}");
        }
    };
    check(&own);
    assert_eq!(refused(put(&server, "requests.log.2.gz", b"mine")).0, 2);
    // Rotated under a name that tells nothing.
    fs::rename(&log, disk.path("moved")).unwrap();
    server.signal(testkit::Signal::HUP);
    wait_for("the new log", || log.exists().then_some(()));
    own.push("moved");
    check(&own);
    assert!(fs::read_to_string(disk.path("moved")).unwrap().contains("file=boot"));
}
