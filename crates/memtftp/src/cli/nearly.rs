//! What was probably meant by a word that is none here.

/// How much alike two words are at least, from 0 to 1, before one is offered for the other.
const ALIKE: f64 = 0.8;

/// Words that are offered at most.
const MOST: usize = 3;

/// Options and settings that other programs know, and what does the same here: tftpd-hpa, atftpd,
/// dnsmasq, curl, and the plainest words.
const ELSEWHERE: [(&str, &[&str]); 37] = [
    ("address", &["listen"]),
    ("allowed", &["allow"]),
    ("bind", &["listen"]),
    ("bind-address", &["listen"]),
    ("block-size", &["blksize", "max-blksize"]),
    ("blocksize", &["blksize", "max-blksize"]),
    ("conf", &["config"]),
    ("config-file", &["config"]),
    ("connect-timeout", &["timeout"]),
    ("create", &["uploads", "create-dirs"]),
    ("directory", &["dir"]),
    ("folder", &["dir"]),
    ("host", &["listen"]),
    ("interface", &["listen"]),
    ("listen-address", &["listen"]),
    ("listen-port", &["port"]),
    ("log", &["request-log"]),
    ("log-file", &["request-log"]),
    ("logfile", &["request-log"]),
    ("max-time", &["timeout"]),
    ("mem", &["memory"]),
    ("outfile", &["output"]),
    ("path", &["dir"]),
    ("port-range", &["transfer-ports"]),
    ("retransmit", &["give-up"]),
    ("retry", &["retries"]),
    ("root", &["dir"]),
    ("secure", &["dir"]),
    ("tftp-blksize", &["blksize"]),
    ("tftp-max", &["max-sessions"]),
    ("tftp-no-options", &["no-options"]),
    ("tftp-port-range", &["transfer-ports"]),
    ("tftp-root", &["dir"]),
    ("tftp-single-port", &["single-port"]),
    ("threads", &["workers"]),
    ("upload", &["uploads"]),
    ("window-size", &["windowsize", "max-windowsize"]),
];

/// Returns those of `known` that `typed` was probably meant to be, the most likely first, three at
/// most.
pub(crate) fn nearest<'a>(typed: &str, known: &[&'a str]) -> Vec<&'a str> {
    let typed = typed.trim_start_matches('-').to_lowercase().replace('_', "-");
    let elsewhere = ELSEWHERE.iter().find(|(word, _)| *word == typed);
    let meant = elsewhere.map_or(&[][..], |(_, meant)| meant);
    let same = |meant: &&str| known.iter().copied().find(|word| word == meant);
    let mut found: Vec<&str> = meant.iter().filter_map(same).collect();
    let likeness = |word: &&'a str| {
        let bare = word.trim_start_matches('-');
        // A word that only begins alike needs more than its beginning.
        let score = strsim::jaro_winkler(&typed, bare).min(strsim::jaro(&typed, bare) + 0.08);
        // One slip of the fingers, which is much of a short word.
        let slip = typed.len() > 2 && strsim::damerau_levenshtein(&typed, bare) == 1;
        let score = if slip { score.max(ALIKE) } else { score };
        (score >= ALIKE).then_some((score, *word))
    };
    let mut alike: Vec<(f64, &str)> = known.iter().filter_map(likeness).collect();
    alike.sort_by(|one, other| other.0.total_cmp(&one.0));
    for (_, word) in alike {
        if !found.contains(&word) {
            found.push(word);
        }
    }
    found.truncate(MOST);
    found
}

/// Returns the question that follows a wrong word, with `mark` before each word that it offers; empty
/// if nothing is near.
pub(crate) fn did_you_mean(typed: &str, known: &[&str], mark: &str) -> String {
    let words: Vec<_> = nearest(typed, known).iter().map(|word| format!("{mark}{word}")).collect();
    match words.split_last() {
        None => String::new(),
        Some((only, [])) => format!("; did you mean {only}?"),
        Some((last, others)) => format!("; did you mean {} or {last}?", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 9] = [
        "listen",
        "dir",
        "create-dirs",
        "uploads",
        "memory",
        "max-file",
        "max-files",
        "request-log",
        "request-log-format",
    ];

    #[test]
    fn the_nearest_comes_first_and_there_are_three_at_most() {
        assert_eq!(nearest("memry", &KNOWN), ["memory"]);
        assert_eq!(nearest("--Max_File", &KNOWN)[..2], ["max-file", "max-files"]);
        assert_eq!(nearest("uplaods", &KNOWN), ["uploads"]);
        assert_eq!(nearest("requestlog", &KNOWN)[0], "request-log");
        assert!(nearest("max-filess", &KNOWN).len() <= MOST);
        assert_eq!(nearest("zzz", &KNOWN), [""; 0]);
    }

    #[test]
    fn what_others_call_it() {
        assert_eq!(nearest("--tftp-root", &KNOWN)[0], "dir");
        assert_eq!(nearest("address", &KNOWN)[0], "listen");
        assert_eq!(nearest("blocksize", &KNOWN), [""; 0], "nothing here does that");
        let sorted = ELSEWHERE.is_sorted_by(|one, other| one.0 < other.0);
        assert!(sorted, "a word stands there twice, or where nobody looks for it");
    }

    #[test]
    fn the_question() {
        assert_eq!(did_you_mean("memry", &KNOWN, "--"), "; did you mean --memory?");
        assert_eq!(did_you_mean("zzz", &KNOWN, "--"), "");
        let two = did_you_mean("max-fil", &KNOWN, "");
        assert_eq!(two, "; did you mean max-file or max-files?");
    }
}
