//! What `triaged status` says of the daemons that share the accounts.

use triaged::standing::{InstanceStanding, SharingStanding};

/// Each daemon in a line, and what is in the way.
pub(super) fn lines(sharing: &SharingStanding) -> Vec<String> {
    let mut lines: Vec<String> = sharing.instances.iter().map(line).collect();
    if let Some(problem) = &sharing.problem {
        lines.push(format!("  its lease can not be renewed: {problem}"));
    }
    lines
}

fn line(one: &InstanceStanding) -> String {
    let this = if one.this { " (this one)" } else { "" };
    let shards = if one.shards == 1 { "shard" } else { "shards" };
    let lease = match one.silent_seconds {
        // Leases are renewed every five seconds.
        0..=7 => "its lease is renewed".to_owned(),
        seconds => format!("silent for {seconds} s"),
    };
    format!("  daemon {}{this}: {} {shards} of accounts; {lease}", one.name, one.shards)
}

/// Whose an account is that is not watched here.
pub(super) fn whose(owner: Option<&str>) -> String {
    match owner {
        Some(owner) => format!("  {owner} watches it"),
        None => "  no daemon has it; one of them takes it within 20 seconds".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_daemon_and_what_is_in_the_way_have_a_line() {
        let one = |name: &str, this, shards, silent_seconds| InstanceStanding {
            name: name.to_owned(),
            this,
            shards,
            silent_seconds,
        };
        let sharing = SharingStanding {
            instance: "b".to_owned(),
            instances: vec![one("a", false, 12, 3), one("b", true, 1, 0), one("c", false, 0, 11)],
            problem: Some("no answer".to_owned()),
        };
        insta::assert_snapshot!(lines(&sharing).join("\n"), @r"
          daemon a: 12 shards of accounts; its lease is renewed
          daemon b (this one): 1 shard of accounts; its lease is renewed
          daemon c: 0 shards of accounts; silent for 11 s
          its lease can not be renewed: no answer
        ");
        assert_eq!(whose(Some("a")), "  a watches it");
        assert!(whose(None).contains("no daemon has it"));
    }
}
