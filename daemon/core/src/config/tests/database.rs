//! Where the database may be said to be.

use super::*;

fn database(lines: &str) -> Result<DatabaseConfig, String> {
    let parsed = parse(&format!("[database]\n{lines}\n{SMALLEST}"));
    parsed.map(|config| config.database).map_err(|problems| problems.to_string())
}

fn on_server(url: SecretSource, instance: Option<&str>) -> DatabaseConfig {
    let instance = instance.map(str::to_owned);
    DatabaseConfig::Postgresql(DatabaseServer { url, instance })
}

#[test]
fn it_is_a_file_unless_a_server_is_named() {
    assert_eq!(parse(SMALLEST).expect("valid").database, DatabaseConfig::Sqlite);
    assert_eq!(database("kind = \"sqlite\""), Ok(DatabaseConfig::Sqlite));
    let file = SecretSource::File("url".into());
    let lines = "kind = \"postgresql\"\nurl_file = \"url\"\ninstance = \"mail-1\"";
    assert_eq!(database(lines), Ok(on_server(file, Some("mail-1"))));
    let credential = SecretSource::Credential("db".to_owned());
    let lines = "kind = \"postgresql\"\nurl_credential = \"db\"";
    assert_eq!(database(lines), Ok(on_server(credential, None)));
}

#[test]
fn its_file_stands_beside_the_configuration() {
    let lines = "[database]\nkind = \"postgresql\"\nurl_file = \"url\"\n";
    let config = parse(&format!("{lines}{SMALLEST}")).expect("valid");
    let config = config.relative_to(Path::new("/etc/triaged"));
    let file = SecretSource::File("/etc/triaged/url".into());
    assert_eq!(config.database, on_server(file, None));
}

#[test]
fn half_a_server_is_none() {
    for (lines, expected) in [
        ("kind = \"postgresql\"", "says nowhere where its URL is"),
        ("kind = \"postgresql\"\ninstance = \"a\"", "says nowhere where its URL is"),
        ("url_file = \"a\"", "has url_file, which a file has not"),
        ("kind = \"sqlite\"\ninstance = \"a\"", "has instance, which a file has not"),
        ("kind = \"postgresql\"\nurl_file = \"a\"\nurl_credential = \"b\"", "has both"),
        ("kind = \"postgresql\"\nurl_credential = \"../b\"", "no name of a credential"),
    ] {
        let problems = database(lines).expect_err(lines);
        assert!(problems.contains(expected), "{lines}: {problems}");
    }
}
