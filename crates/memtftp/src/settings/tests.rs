use std::io::Write;

use clap::Parser;

use super::*;
use crate::cli::{Cli, Command};

fn flags(flags: &[&str]) -> Settings {
    let args = ["memtftp", "serve"].iter().chain(flags);
    match Cli::try_parse_from(args).unwrap().command {
        Some(Command::Serve(flags)) => flags.settings(),
        other => panic!("{other:?}"),
    }
}

fn planned(given: &[&str]) -> Result<Plan, SettingsError> {
    plan(&flags(given), None)
}

/// What a file means under these flags; the path in an error is `FILE`.
fn from_file(given: &[&str], text: &str) -> Result<Plan, String> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let path = file.path().display().to_string();
    plan(&flags(given), Some(file.path())).map_err(|error| error.to_string().replace(&path, "FILE"))
}

#[test]
fn addresses_and_ports() {
    let listen = |flags: &[&str]| {
        let addresses = planned(flags).unwrap().config.listen;
        addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(listen(&[]), "[::]:6969");
    assert_eq!(listen(&["--port", "69"]), "[::]:69");
    assert_eq!(listen(&["--listen", "127.0.0.1"]), "127.0.0.1:6969");
    assert_eq!(listen(&["--listen", "::1", "--port", "0"]), "[::1]:0");
    let two = ["--listen", "[::]:69", "--listen", "127.0.0.1:70"];
    assert_eq!(listen(&two), "[::]:69 127.0.0.1:70");
    let twice = planned(&["--listen", "127.0.0.1:70", "--port", "69"]);
    assert!(matches!(twice, Err(SettingsError::PortTwice(_))));
}

#[test]
fn allowed_networks() {
    let access = |flags: &[&str]| planned(flags).map(|plan| plan.config.access);
    assert_eq!(access(&[]).unwrap(), Access::private());
    assert_eq!(access(&["--allow", "any"]).unwrap(), Access::any());
    let one = access(&["--allow", "192.0.2.7"]).unwrap();
    assert_eq!(one, Access::networks(vec!["192.0.2.7/32".parse().unwrap()]));
    let both = access(&["--allow", "any", "--allow", "10.0.0.0/8"]);
    assert!(matches!(both, Err(SettingsError::AnyAndMore)));
}

#[test]
fn sizes_and_times() {
    let given = ["--memory", "4GiB", "--max-file", "1MB", "--drain", "500ms", "--give-up", "2m"];
    let plan = planned(&given).unwrap();
    assert_eq!((plan.config.memory, plan.config.max_file), (4 << 30, Some(1_000_000)));
    assert_eq!(plan.config.client_memory(), 2 << 30);
    assert_eq!((plan.drain.as_millis(), plan.config.give_up.as_secs()), (500, 120));
    assert!("9-5".parse::<PortRange>().is_err());
}

#[test]
fn a_flag_goes_before_the_file() {
    let text = "memory = \"1GiB\"\nmax-file = 5000\nsingle-port = true\nuploads = \"off\"\n";
    let plan = from_file(&["--max-file", "6000", "--single-port=false"], text).unwrap();
    assert_eq!((plan.config.memory, plan.config.max_file), (1 << 30, Some(6_000)));
    assert!(!plan.config.single_port);
    assert_eq!(plan.config.uploads, memtftp_server::Uploads::Off);
}

#[test]
fn what_is_wrong_in_a_file_is_said_with_its_line() {
    for (text, said) in [
        ("\nmemry = 5\n", "FILE:2:1: there is no key memry; did you mean memory?"),
        ("max_file = 5\n", "FILE:1:1: there is no key max_file; did you mean max-file"),
        ("tftp-root = \"/srv\"\n", "FILE:1:1: there is no key tftp-root; did you mean dir"),
        ("action = \"allow\"\n", "FILE:1:1: action belongs into a rule"),
        ("port = 70000\n", "FILE:1:8: port = \"70000\": give a port from 1 to 65535"),
        ("port = 0x1_0000\n", "FILE:1:8: port = \"65536\": give a port"),
        ("port = [69]\n", "FILE:1:8: port: give one value"),
        ("max-blksize = 7\n", "FILE:1:15: max-blksize = \"7\": give a number of bytes from 8"),
        ("max-files = -1\n", "FILE:1:13: max-files = \"-1\": give a whole number"),
        ("pin = 7\n", "FILE:1:7: pin = \"7\": give true or false"),
        ("port = 1\nport = 2\n", "FILE:2:1: duplicate key"),
        ("memory = \"lots\"\n", "FILE:1:10: memory = \"lots\": give a size like 500M"),
        ("listen = [\"nowhere\"]\n", "FILE:1:11: listen = \"nowhere\": give an address"),
        ("listen = [[\"::\"]]\n", "FILE:1:10: listen: give a list of values"),
        (
            "uploads = \"on\"\n",
            "FILE:1:11: uploads = \"on\": give off or create or keep-preloaded or replace",
        ),
        ("allow = [\"any\",\n \"10.0.0.0/8\"]\n", "FILE:1:1 (allow): --allow any"),
        ("allow = []\n", "FILE:1:9: allow = []: an empty list"),
        (
            "transfer-ports = \"5-9\"\n\nsingle-port = true\n",
            "FILE:3:1 (single-port), FILE:1:1 (transfer-ports): --single-port and",
        ),
        ("max-sessions = 0", "FILE:1:1 (max-sessions): --max-sessions must be at least 1"),
        ("[[rule]]\nfile = \"a\"\n", "FILE:1:1: rule 1: it does nothing"),
        (
            "[[rule]]\naction = \"allow\"\n[[rule]]\nname = \"x\"\nfile = \"(\"\naction = \"refuse\"\n",
            "FILE:3:1: rule 2 \"x\": file is no regular expression",
        ),
        ("[[rule]]\naction = \"deny\"\n", "FILE:2:10: action: give \"allow\", \"refuse\" or"),
        ("[[rule]]\nclients = []\naction = \"allow\"\n", "FILE:2:11: clients = []: an empty list"),
        (
            "[[rule]]\nactoin = \"allow\"\n",
            "FILE:2:1: a rule has no key actoin; did you mean action?",
        ),
        (
            "[[rule]]\naction = \"allow\"\nport = 69\n",
            "FILE:3:1: port belongs above the first [[rule]]",
        ),
        (
            "port = 69\n[aliases]\na = \"b\"\nb = \"c\"\n",
            "FILE:2:2 (aliases): aliases: \"b\" is an alias",
        ),
    ] {
        let error = from_file(&[], text).unwrap_err();
        assert!(error.starts_with(said), "{text:?}\n{error}\n{said}");
        assert!(!error.contains('\n'), "{error:?}");
    }
}

#[test]
fn all_that_is_wrong_in_a_file_is_said_at_once() {
    let text = "listen = [\"a\", \"b\"]\nprot = 69\nmemory = lots\n[[rule]]\nfile = \"(\"\n\
                action = \"refuse\"\n[[rule]]\nactoin = 1\n";
    let error = from_file(&[], text).unwrap_err();
    let places: Vec<&str> = error.lines().filter_map(|line| line.split(": ").next()).collect();
    let expected = ["FILE:1:11", "FILE:1:16", "FILE:2:1", "FILE:3:10", "FILE:4:1", "FILE:8:1"];
    assert_eq!(places, expected, "{error}");
    let many: String = (0..30).map(|number| format!("zzz{number} = 1\n")).collect();
    let error = from_file(&[], &many).unwrap_err();
    assert!(error.ends_with("and 10 more mistakes"), "{error}");
}

#[test]
fn one_value_is_a_list_of_one_and_numbers_are_seconds() {
    let text = "listen = \"127.0.0.1\"\nallow = \"any\"\npreload = \"/srv\"\ngive-up = 90\n\
                drain = 0.5\numask = 77\ndir = \"/a\"\nsingle-port = false\n\
                [[rule]]\nclients = \"10.0.0.0/8\"\naction = \"allow\"\n";
    let plan = from_file(&[], text).unwrap();
    assert_eq!(plan.config.listen, ["127.0.0.1:6969".parse().unwrap()]);
    assert_eq!(plan.preload, [PathBuf::from("/srv")]);
    assert_eq!((plan.config.give_up.as_secs(), plan.drain.as_millis()), (90, 500));
    assert_eq!(plan.config.directory.unwrap().umask, 0o77);
    assert_eq!(plan.config.rules.iter().count(), 1);
}

/// No word of the languages and libraries that this is made of.
#[test]
fn messages_have_no_words_that_only_programmers_know() {
    for text in [
        "port = \"a\"\n",
        "port = 1.5\n",
        "memory = []\n",
        "port = {}\n",
        "listen = 5\n",
        "workers = 0\n",
        "pin = \"a\"\n",
        "umask = \"999\"\n",
        "user = \"\"\n",
        "rule = 5\n",
        "aliases = 5\n",
        "[[rule]]\nclients = 5\n",
        "[[rule]]\nmax-blksize = -1\n",
        "io = 3\n",
        "[[rule]]\ndirection = \"up\"\n",
        "[aliases]\na = 5\n",
        "[rule]\nfile = \"a\"\n",
        "transfer-ports = 5\n",
        "drain = \"x\"\n",
        "max-files = 99999999999999999999\n",
    ] {
        let error = from_file(&[], text).unwrap_err();
        for word in [
            "u16",
            "usize",
            "u32",
            "i64",
            "invalid digit",
            "expected",
            "sequence",
            "struct",
            "variant",
            "..=",
            "os error",
            "None",
            "Some(",
            "serde",
            "clap",
            "untagged",
        ] {
            assert!(!error.contains(word), "{text:?}: {error}");
        }
        assert!(error.starts_with("FILE:"), "{text:?}: {error}");
    }
}

#[test]
fn what_is_printed_means_the_same() {
    let text = r#"
        listen = ["127.0.0.1:69", "[::1]:70"]
        transfer-ports = "5000-5099"
        allow = ["10.0.0.0/8", "2001:db8::1"]
        preload = ["/srv/tftp"]
        memory = 1500
        give-up = "90s"
        request-log = "-"
        workers = 2
        [[rule]]
        name = "phones"
        clients = ["10.1.0.0/16"]
        direction = "read"
        file = 'SEP(.*)'
        rewrite = "phones/{1}"
        ignore-case = true
        max-blksize = 512
        [[rule]]
        action = { refuse = "no" }
        [aliases]
        "a" = "b"
    "#;
    let first = from_file(&[], text).unwrap();
    let printed = toml::to_string(&first.effective()).unwrap();
    let second = from_file(&[], &printed).unwrap_or_else(|error| panic!("{error}\n{printed}"));
    assert_eq!(toml::to_string(&second.effective()).unwrap(), printed);
    let (first, second) = (first.config, second.config);
    assert_eq!((first.rules, first.access), (second.rules, second.access));
    assert_eq!((first.listen, first.memory), (second.listen, second.memory));
}

#[test]
fn the_sample_is_good_and_changes_nothing_but_what_it_says() {
    let sample = include_str!("../../../../config/memtftp.toml");
    let plan = from_file(&[], sample).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(plan.preload, [PathBuf::from("/srv/tftp")]);
    // What stands behind a `#` is an example, and good, too.
    let examples: String = sample
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
        .flat_map(|line| [line, "\n"])
        .collect();
    let plan = from_file(&[], &examples).unwrap_or_else(|error| panic!("{error}"));
    assert!(plan.config.rules.iter().count() >= 4);
}
