use super::*;

#[test]
fn a_document_leaves_out_what_is_unknown() {
    fn check(from: &str, subject: &str, body: &str, expected: &str) {
        assert_eq!(render(&Message::from_fields(from, subject, body)), expected);
    }
    check(
        "Ada <ada@e.example>",
        "Hi",
        "One\ntwo",
        "From: Ada @ e.example\nSubject: Hi\n\nOne\ntwo",
    );
    check("", "Hi", "One", "Subject: Hi\n\nOne");
    check("", "", "One", "One");
    check("Ada", "Hi", "", "From: Ada\nSubject: Hi");
    check("", "", "", "");
}
