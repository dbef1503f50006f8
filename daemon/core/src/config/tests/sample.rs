//! The commented sample is a valid file, also with its lines turned on.

use super::*;

#[test]
fn the_sample_is_a_valid_file_that_says_every_default() {
    let config = parse(SAMPLE).map_err(|problems| problems.to_string()).expect("valid");
    assert_eq!((config.accounts.len(), config.servers.len()), (1, 0));
    assert!(keyword_map(&config.keywords, &heads()).is_ok());
    let smallest = parse(SMALLEST).expect("valid");
    assert_eq!(
        (
            config.mode,
            config.history_text,
            config.state,
            config.database,
            config.model,
            config.retrain,
            config.http,
            config.log,
            config.connections
        ),
        (
            smallest.mode,
            smallest.history_text,
            smallest.state,
            smallest.database,
            smallest.model,
            smallest.retrain,
            smallest.http,
            smallest.log,
            smallest.connections
        )
    );
}

/// Where the part of the sample begins that is about whole servers.
const SERVER: &str = "#[[server]]\n";
/// How the part about rules begins, which is before that.
const RULE: &str = "# What follows from labels beside";

/// That part with every line on, but for those that begin so; every account's mode is shadow.
fn sample_server(left_off: &[&str]) -> ServerConfig {
    let (_, server) = SAMPLE.split_once(SERVER).expect("it has a server");
    let on = server.lines().filter_map(|line| line.strip_prefix('#'));
    let on = on.filter(|line| !line.starts_with(' '));
    let on = on.filter(|line| !left_off.iter().any(|key| line.starts_with(key)));
    let text: String = ["[[server]]"].into_iter().chain(on).flat_map(|line| [line, "\n"]).collect();
    let config = parse(&text).map_err(|problems| problems.to_string()).expect("valid");
    config.relative_to(Path::new("/etc")).servers.remove(0)
}

#[test]
fn the_sample_of_a_server_is_valid_with_each_source_of_users() {
    let sources = ["users_file", "users_command", "users ="];
    let all_but = |kept: &str| {
        let off: Vec<&str> = sources.into_iter().filter(|source| *source != kept).collect();
        sample_server(&off)
    };
    let by_file = all_but("users_file");
    assert_eq!(by_file.source, UserSource::File("/etc/triaged/users".into()));
    assert_eq!(by_file.every.name, "mail");
    assert_eq!((by_file.every.port, by_file.separator.as_deref()), (993, Some("*")));
    assert_eq!(by_file.renew, Duration::from_mins(10));
    assert_eq!(by_file.users["anna@example.org"].mode, Some(Mode::Shadow));
    assert_eq!((by_file.only.len(), by_file.except.len(), by_file.connections), (1, 2, Some(500)));
    assert!(matches!(all_but("users_command").source, UserSource::Command(_)));
    assert!(matches!(all_but("users =").source, UserSource::List(users) if users.len() == 2));
}

/// The sample with every line on that is off, but for those that begin so.
fn sample_without(left_off: &[&str]) -> Config {
    let is_off = |line: &&str| {
        let setting = line.strip_prefix('#').unwrap_or(line);
        !left_off.iter().any(|key| setting.starts_with(key))
    };
    let turned_on = |line: &'static str| match line.strip_prefix('#') {
        Some(setting) if setting.starts_with("[account.") => setting,
        Some(setting) if !setting.starts_with(' ') && setting.contains(" = ") => setting,
        _ => line,
    };
    let (sample, _) = SAMPLE.split_once(RULE).expect("it has a rule");
    let lines = sample.lines().filter(is_off).map(turned_on);
    let on: String = lines.flat_map(|line| [line, "\n"]).collect();
    parse(&on).map_err(|problems| problems.to_string()).expect("valid")
}

#[test]
fn what_the_sample_leaves_off_is_valid_too() {
    let oauth = ["[account.oauth]", "token_url", "client_", "refresh_", "scope"];
    let of_one = ["url_credential"];
    let all_but = |keys: &[&'static str]| sample_without(&[keys, &oauth, &of_one].concat());
    let pinned = all_but(&["password_file", "token_command", "ca_file"]);
    assert!(pinned.accounts[0].pinned_key.is_some());
    let command = all_but(&["password_", "pinned_key", "auth ="]);
    assert!(matches!(command.accounts[0].credential, Credential::TokenCommand(_)));
    let tokens =
        sample_without(&["password_", "pinned_key", "token_command", "auth =", "url_file"]);
    assert!(matches!(tokens.accounts[0].credential, Credential::OAuth(_)));
    let DatabaseConfig::Postgresql(server) = &tokens.database else { panic!("it has a server") };
    assert_eq!(server.url, SecretSource::Credential("database".to_owned()));
    let config = all_but(&["password_file", "token_command", "pinned_key"]);
    assert!(config.accounts[0].ca_file.is_some());
    let DatabaseConfig::Postgresql(server) = &config.database else { panic!("it has a server") };
    assert_eq!(server.url, SecretSource::File("/etc/triaged/database.url".into()));
    assert_eq!(server.instance.as_deref(), Some("mail1"));
    assert!(config.model.bundle.is_some() && config.model.library.is_some());
    assert!(config.retrain.python.is_some() && config.retrain.training.is_some());
    assert_eq!(config.retrain.own_labels, [("category".to_owned(), "legal-hold".to_owned())]);
    let map = keyword_map(&config.keywords, &heads()).expect("valid");
    let word = |head, label| map.keyword(head, label).map(Keyword::as_str);
    assert_eq!(word("urgency", "high"), Some("triaged-now"));
    assert_eq!(word("urgency", "low"), Some("triaged-low"));
    assert_eq!(word("category", "personal"), None);
}

#[test]
fn what_the_sample_says_of_rules_is_valid() {
    let (_, rest) = SAMPLE.split_once(RULE).expect("it has a rule");
    let (rule, _) = rest.split_once(SERVER).expect("and a server behind it");
    let on = rule.lines().filter_map(|line| line.strip_prefix('#'));
    let on: String =
        on.filter(|line| !line.starts_with(' ')).flat_map(|line| [line, "\n"]).collect();
    let config = parse(&format!("{SMALLEST}{on}")).map_err(|problems| problems.to_string());
    let config = config.expect("valid");
    let [RuleConfig { rule, .. }] = config.rules.as_slice() else { panic!("one rule") };
    assert!(rule.stop && rule.dry_run && rule.then.flag && rule.when.from.len() == 2);
    assert_eq!(rule.then.move_to, Some(Target::existing("Escalations").or_created()));
}
