//! Patterns over names of mailboxes (RFC 9051 §6.3.9), compared on text as people write it.

use super::canonical;

/// Whether a name matches a pattern with `*` and `%`, where `%` does not reach over `delimiter`.
///
/// Each wildcard keeps only the last place that it was tried at, so that no pattern takes longer
/// than the product of the two lengths.
pub(super) fn matches(pattern: &str, name: &str, delimiter: Option<char>) -> bool {
    let name = canonical(name);
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    // Which beginnings of the name the pattern matches so far.
    let mut reached = vec![false; name.len() + 1];
    if let Some(first) = reached.first_mut() {
        *first = true;
    }
    for &token in &pattern {
        reached = advance(&reached, token, &name, delimiter);
    }
    reached.last().copied().unwrap_or(false)
}

/// The beginnings of `name` that match after one more character of the pattern.
fn advance(reached: &[bool], token: char, name: &[char], delimiter: Option<char>) -> Vec<bool> {
    let mut next = Vec::with_capacity(reached.len());
    let mut before = false;
    for (at, &here) in reached.iter().enumerate() {
        let last = at.checked_sub(1).and_then(|at| name.get(at)).copied();
        let came = match token {
            '*' => here || before,
            '%' => here || (before && last != delimiter),
            literal => {
                let previous = at.checked_sub(1).and_then(|at| reached.get(at));
                previous == Some(&true) && last == Some(literal)
            }
        };
        next.push(came);
        before = came;
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_as_the_rfc_says() {
        let cases = [
            ("*", "a/b", true),
            ("%", "a/b", false),
            ("%", "a", true),
            ("Lists/%", "Lists/rust", true),
            ("Lists/%", "Lists/rust/users", false),
            ("Lists/*", "Lists/rust/users", true),
            ("Lists/*", "Lists", false),
            ("*s/%/u*", "Lists/rust/users", true),
            ("%/%", "a/b", true),
            ("inbox", "INBOX", false),
            ("INB*", "inbox", true),
            ("**%%", "", true),
            ("K*che", "Küche", true),
            ("a", "b", false),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(matches(pattern, name, Some('/')), expected, "{pattern} {name}");
        }
        assert!(matches("%", "a/b", Some('.')) && matches("%", "a/b", None));
        let (pattern, name) = ("*a".repeat(2_000), "a".repeat(500));
        assert!(!matches(&pattern, &name, None));
    }
}
