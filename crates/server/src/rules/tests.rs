use super::*;

fn name(text: &str) -> Name {
    Name::parse(text.as_bytes()).unwrap()
}

fn request(client: &str, direction: Direction, file: &str) -> RuleRequest {
    let client = client.parse().unwrap();
    RuleRequest { client, hardware: Hardware::NotAsked, direction, name: name(file) }
}

fn rules(list: Vec<Rule>) -> Rules {
    Rules::new(list, &[]).unwrap()
}

fn rule(file: &str) -> Rule {
    Rule { file: Some(file.into()), ..Rule::default() }
}

fn served(decision: Decision) -> Granted {
    match decision {
        Decision::Serve(granted) => granted,
        other => panic!("{other:?}"),
    }
}

fn renamed(rules: &Rules, file: &str) -> String {
    served(rules.decide(&request("10.0.0.7", Direction::Read, file))).name.to_string()
}

#[test]
fn without_rules_all_is_as_asked() {
    let granted = served(Rules::default().decide(&request("::1", Direction::Write, "/a\\b")));
    let Granted { name: granted, ignore_case, caps, .. } = granted;
    assert_eq!((granted, ignore_case, caps), (name("a/b"), false, Caps::default()));
}

#[test]
fn the_first_verdict_ends_the_search() {
    let no = |text: &str| Some(Verdict::Refuse(text.into()));
    let rules = rules(vec![
        Rule {
            clients: vec!["10.0.0.0/8".parse().unwrap()],
            direction: Some(Direction::Write),
            verdict: Some(Verdict::Allow),
            ..rule("configs/.*")
        },
        Rule {
            name: Some("no uploads".into()),
            direction: Some(Direction::Write),
            verdict: no("read only"),
            ..Rule::default()
        },
        Rule { verdict: no("secret"), ..rule("(?i)secret/.*|.*\\.key") },
    ]);
    let decide = |client, direction, file| rules.decide(&request(client, direction, file));
    let refused =
        |rule: &str, text: &str| Decision::Refuse { rule: rule.into(), text: text.into() };
    let read_only = refused("rule 2 \"no uploads\"", "read only");
    assert!(matches!(decide("10.1.2.3", Direction::Write, "configs/sw1"), Decision::Serve(_)));
    assert_eq!(decide("192.0.2.1", Direction::Write, "configs/sw1"), read_only);
    assert_eq!(decide("10.1.2.3", Direction::Write, "x/configs/sw1"), read_only, "the whole name");
    assert_eq!(decide("::1", Direction::Read, "SECRET/a"), refused("rule 3", "secret"));
    assert_eq!(decide("::1", Direction::Read, "a.key"), refused("rule 3", "secret"));
    assert!(matches!(decide("::1", Direction::Read, "a.key.pub"), Decision::Serve(_)));
}

#[test]
fn a_rewritten_name_meets_the_rules_behind() {
    let to = |file: &str, rewrite: &str| Rule { rewrite: Some(rewrite.into()), ..rule(file) };
    let rules = rules(vec![
        to("(?<dir>.*)/(.*)\\.0", "{dir}/{2}.bin"),
        to(".*\\.bin", "{ip}/{{{0}}}/{ip-hex}"),
        to("(a)|(b)", "x{1}y{2}"),
    ]);
    assert_eq!(renamed(&rules, "boot/pxelinux.0"), "10.0.0.7/{boot/pxelinux.bin}/0A000007");
    assert_eq!(renamed(&rules, "pxelinux.0"), "pxelinux.0");
    assert_eq!(renamed(&rules, "b"), "xyb", "a group that took no part is empty");
}

#[test]
fn hardware_addresses_make_names() {
    let rewrite = Some("{mac}/{mac-plain}/{MAC-PLAIN}".into());
    let rules = rules(vec![Rule { rewrite, ..rule("cfg") }]);
    assert!(rules.need_hardware());
    let with = |hardware| {
        rules.decide(&RuleRequest { hardware, ..request("::1", Direction::Write, "cfg") })
    };
    let address = Hardware::Known("52:54:00:ab:cd:0f".parse().unwrap());
    let made = served(with(address)).name.to_string();
    assert_eq!(made, "52-54-00-ab-cd-0f/525400abcd0f/525400ABCD0F");
    assert_eq!(with(Hardware::NotAsked), Decision::HardwareNeeded);
    assert_eq!(with(Hardware::Unknown), Decision::HardwareUnknown { rule: "rule 1".into() });
    let other = served(rules.decide(&request("::1", Direction::Read, "other")));
    assert_eq!(other.name, name("other"), "not looked up for what does not need it");
}

#[test]
fn a_client_cannot_make_a_name_that_climbs() {
    let rules = rules(vec![Rule { rewrite: Some("{1}{2}".into()), ..rule("(\\.).*(\\./.*)") }]);
    let decision = rules.decide(&request("::1", Direction::Read, ".x./etc"));
    let error = NameError::Dots;
    assert_eq!(decision, Decision::BadName { rule: "rule 1".into(), error });
}

#[test]
fn the_least_of_all_caps_holds() {
    let cap = |blksize, windowsize| Rule {
        max_blksize: blksize,
        max_windowsize: windowsize,
        ..Rule::default()
    };
    let rules =
        rules(vec![cap(Some(1_024), None), cap(Some(512), Some(8)), cap(Some(800), Some(9))]);
    let caps = served(rules.decide(&request("::1", Direction::Read, "f"))).caps;
    assert_eq!(caps, Caps { blksize: 512, windowsize: 8 });
}

#[test]
fn an_alias_is_another_name_of_a_file() {
    let pairs =
        vec![("pxelinux.0".into(), "boot/pxelinux".into()), ("/x".into(), "boot/pxelinux".into())];
    let rules = Rules::new(vec![Rule { rewrite: Some("x".into()), ..rule("y") }], &pairs).unwrap();
    assert_eq!(renamed(&rules, "pxelinux.0"), "boot/pxelinux");
    assert_eq!(renamed(&rules, "y"), "boot/pxelinux", "after the rules");
    assert_eq!(renamed(&rules, "boot/pxelinux"), "boot/pxelinux");
}

#[test]
fn rules_that_make_no_sense_are_found() {
    let allow = || Some(Verdict::Allow);
    let fault = |rule: Rule| match Rules::new(vec![rule], &[]) {
        Err(RuleError::Rule { number: 0, fault, .. }) => fault,
        other => panic!("{other:?}"),
    };
    let rewrite = |text: &str| Rule { rewrite: Some(text.into()), ..rule("(a)(?<b>b)") };
    let place = |place: &str| RuleFault::Place { place: place.into() };
    assert_eq!(fault(rule("a")), RuleFault::Nothing);
    for text in ["", "\u{e4}", "line\n", &"x".repeat(128)] {
        let verdict = Some(Verdict::Refuse(text.into()));
        assert_eq!(fault(Rule { verdict, ..Rule::default() }), RuleFault::Text);
    }
    let verdict = Some(Verdict::Refuse("no".into()));
    let both = Rule { verdict, ignore_case: true, ..Rule::default() };
    assert_eq!(fault(both), RuleFault::RefusesAndMore);
    for wrong in ["(", "a)(b", ".{1000}{1000}", "["] {
        let fault = fault(Rule { verdict: allow(), ..rule(wrong) });
        assert!(matches!(fault, RuleFault::Expression { .. }), "{wrong}: {fault:?}");
    }
    assert_eq!(fault(rewrite("a{b")), RuleFault::Brace);
    assert_eq!(fault(rewrite("a}b")), RuleFault::Brace);
    assert_eq!(fault(rewrite("{3}")), place("3"));
    assert_eq!(fault(rewrite("{c}")), place("c"));
    assert_eq!(fault(rewrite("{}")), place(""));
    let groupless = Rule { rewrite: Some("{1}".into()), ..Rule::default() };
    assert_eq!(fault(groupless), place("1"));
    let range = RuleFault::Range { key: "max-blksize", min: 8, max: 65_464 };
    assert_eq!(fault(Rule { max_blksize: Some(7), ..Rule::default() }), range);
    let many = vec![Rule { verdict: allow(), ..Rule::default() }; 1_001];
    assert_eq!(Rules::new(many, &[]), Err(RuleError::TooMany { max: 1_000 }));
}

#[test]
fn aliases_that_make_no_sense_are_found() {
    let new = |pairs: &[(&str, &str)]| {
        let owned = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
        Rules::new(Vec::new(), &pairs.iter().map(owned).collect::<Vec<_>>()).unwrap_err()
    };
    assert!(matches!(new(&[("../x", "y")]), RuleError::AliasName { .. }));
    assert!(matches!(new(&[("a", "b"), ("b", "c")]), RuleError::AliasOfAlias { .. }));
    assert!(matches!(new(&[("a", "a")]), RuleError::AliasOfAlias { .. }));
    assert!(matches!(new(&[("a", "b"), ("/a", "c")]), RuleError::AliasTwice { .. }));
}

/// Decides as the server does when it finds each name in `files` under any spelling.
fn decide_with_files(rules: &Rules, request: &RuleRequest, files: &[&str]) -> Decision {
    let mut decision = rules.decide(request);
    while let Decision::Serve(granted) = &decision {
        let same = |file: &&&str| granted.name.as_bytes().eq_ignore_ascii_case(file.as_bytes());
        let found = files.iter().find(same).map(|file| name(file));
        let Some(found) = found.filter(|found| granted.ignore_case && *found != granted.name)
        else {
            break;
        };
        decision = rules.decide_spelled(request, granted, found, |_| {});
    }
    decision
}

#[test]
fn the_rules_decide_on_the_spelling_that_is_found() {
    let refuse = Some(Verdict::Refuse("no".into()));
    let lenient = Rule { ignore_case: true, ..Rule::default() };
    let rules = Rules::new(
        vec![
            Rule { verdict: refuse.clone(), ..rule("secret/.*") },
            Rule { rewrite: Some("public/{1}".into()), ..rule("www/(.*)") },
            Rule { verdict: refuse, ..rule("public/hidden") },
            Rule { max_blksize: Some(512), ..rule("slow/.*") },
            lenient,
            Rule { rewrite: Some("late/{1}".into()), ..rule("moved/(.*)") },
        ],
        &[("menu".into(), "boot/menu".into())],
    )
    .unwrap();
    let files = [
        "secret/key",
        "public/hidden",
        "public/page",
        "www/x",
        "slow/f",
        "menu",
        "moved/a",
        "Late/A",
    ];
    let ask = |direction, file| decide_with_files(&rules, &request("::1", direction, file), &files);
    let is_refused = |file| {
        let refused = |direction| matches!(ask(direction, file), Decision::Refuse { .. });
        assert_eq!(refused(Direction::Read), refused(Direction::Write), "{file}");
        refused(Direction::Read)
    };
    for file in ["secret/key", "SECRET/key", "Secret/KEY", "PUBLIC/Hidden", "www/HIDDEN"] {
        assert!(is_refused(file), "{file}");
    }
    let granted = |file| served(ask(Direction::Read, file));
    assert_eq!(granted("Public/PAGE").name, name("public/page"));
    // Found as `www/x`, it is that which the rule rewrites.
    assert_eq!(granted("WWW/X").name, name("public/x"));
    assert_eq!(granted("SLOW/f").caps.blksize, 512);
    assert_eq!(granted("MENU").name, name("boot/menu"));
    assert_eq!(granted("MOVED/A").name, name("Late/A"));
}

/// Every byte that can be in a name, where it can be.
fn names_with_any_byte() -> impl Iterator<Item = Name> {
    let texts = |byte: u8| {
        let around = |before: &[u8], after: &[u8]| [before, &[byte], after].concat();
        [around(b"", b"x"), around(b"x", b"y"), around(b"x", b""), around(b"", b"")]
    };
    let names = (0..=u8::MAX).flat_map(texts).map(|text| [b"conf/", &text[..]].concat());
    names.filter_map(|name| Name::parse(&name).ok())
}

#[test]
fn expressions_see_every_byte_of_a_name() {
    let no = Some(Verdict::Refuse("no".into()));
    let caps = |rule| Rule { max_blksize: Some(512), ..rule };
    let rewriting = |text: &str, rule| Rule { rewrite: Some(text.into()), ..rule };
    let mut tried = 0;
    for name in names_with_any_byte() {
        tried += 1;
        let request =
            RuleRequest { name: name.clone(), ..request("10.0.0.7", Direction::Write, "x") };
        let decide = |rule: Rule| rules(vec![rule]).decide(&request);
        for file in
            ["conf/.*", "(?s)conf/.+", "conf/[^/]+|conf/.*", "[^a]onf.*", "(?i)CONF/.*", ".{6,}"]
        {
            let refused = decide(Rule { verdict: no.clone(), ..rule(file) });
            assert!(matches!(refused, Decision::Refuse { .. }), "{file} {name}");
            // What is allowed by the first is not refused by the second.
            let allowing = Rule { verdict: Some(Verdict::Allow), ..rule(file) };
            let both = rules(vec![allowing, Rule { verdict: no.clone(), ..Rule::default() }]);
            assert!(matches!(both.decide(&request), Decision::Serve(_)), "{file} {name}");
            assert!(served(decide(Rule { ignore_case: true, ..rule(file) })).ignore_case);
            assert_eq!(served(decide(caps(rule(file)))).caps.blksize, 512, "{file} {name}");
        }
        let renamed = served(decide(rewriting("clients/{ip}/{0}", rule(".*")))).name;
        assert_eq!(renamed.as_bytes(), [b"clients/10.0.0.7/", name.as_bytes()].concat());
        let renamed = served(decide(rewriting("jail/{rest}", rule("conf/(?<rest>.*)")))).name;
        assert_eq!(renamed.as_bytes(), [b"jail/", &name.as_bytes()[5..]].concat());
    }
    assert!(tried > 4 * 200, "{tried}");
}
