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
    assert_eq!(granted, Granted { name: name("a/b"), ignore_case: false, caps: Caps::default() });
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
