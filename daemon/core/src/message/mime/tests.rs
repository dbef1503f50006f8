use super::*;

/// The parts as `kind=body`, with `alternative` and `forward` marked, and the defects.
fn tree(raw: &str, cut: bool) -> (Vec<String>, Vec<Defect>) {
    let mut defects = Defects::default();
    let tree = walk(raw.as_bytes(), cut, &mut defects);
    let parts = tree.parts.iter().map(|part| {
        let mark =
            |name: &str, at: Option<usize>| at.map_or(String::new(), |at| format!(" {name}{at}"));
        let body = String::from_utf8_lossy(part.body).replace('\n', "/");
        let whole = if part.whole { "" } else { " cut" };
        let leftover = if part.leftover { " leftover" } else { "" };
        let alternative = mark("alt", part.place.alternative);
        let forward = mark("fwd", part.place.forward);
        format!("{}={body}{alternative}{forward}{whole}{leftover}", part.content.kind)
    });
    (parts.collect(), defects.into_vec())
}

fn check(raw: &str, parts: &[&str], defects: &[Defect]) {
    let (found, odd) = tree(raw, false);
    assert_eq!(found, parts, "{raw}");
    assert_eq!(odd, defects, "{raw}");
}

#[test]
fn a_single_part_is_the_whole_body() {
    check("From: a@b\n\none\ntwo", &["=one/two"], &[]);
    check("From: a@b\nContent-Type: text/html\n\n--x\n", &["text/html=--x/"], &[]);
}

#[test]
fn parts_are_told_by_their_boundaries() {
    let raw = "Content-Type: multipart/mixed; boundary=x\n\npreamble\n--x\n\
        Content-Type: multipart/alternative; boundary=y\n\n--y\nContent-Type: text/plain\n\nplain\n\
        --y\nContent-Type: text/html\n\nhtml\n--y--\nepilogue\n--x\nContent-Type: image/png\n\npng\n\
        --x--\nepilogue";
    check(raw, &["text/plain=plain alt1", "text/html=html alt1", "image/png=png"], &[]);
}

#[test]
fn a_mail_within_the_mail_is_marked() {
    let raw = "Content-Type: multipart/mixed; boundary=x\n\n--x\n\nsee\n--x\n\
        Content-Type: message/rfc822\n\nSubject: s\nContent-Type: multipart/mixed; boundary=y\n\n\
        --y\n\ninner\n--y--\n--x\n\nafter\n--x--\n";
    check(raw, &["=see", "=inner fwd0", "=after"], &[]);
}

#[test]
fn a_mail_within_a_mail_within_the_mail_is_found() {
    let within = "Content-Type: message/rfc822\n\n";
    check(&format!("{within}{within}Subject: s\n\ntext"), &["=text fwd1"], &[]);
}

#[test]
fn a_boundary_that_never_comes_is_guessed_or_the_rest_is_kept() {
    let guessed = "Content-Type: multipart/mixed; boundary=x\n\n--other\nContent-Type: text/plain\n\n\
        text\n--other--\n";
    check(guessed, &["text/plain=text"], &[Defect::BadStructure]);
    let none = "Content-Type: multipart/mixed\n\njust text\n";
    check(none, &["=just text/ leftover"], &[Defect::BadStructure]);
}

#[test]
fn a_multipart_that_is_not_closed_ends_with_the_one_around_it() {
    let raw = "Content-Type: multipart/mixed; boundary=x\n\n--x\n\
        Content-Type: multipart/related; boundary=y\n\n--y\n\none\n--x\n\ntwo\n--x--\n";
    check(raw, &["=one", "=two"], &[Defect::BadStructure]);
}

#[test]
fn only_the_part_at_the_cut_is_not_whole() {
    let raw = "Content-Type: multipart/mixed; boundary=x\n\n--x\n\none\n--x\n\ntw";
    assert_eq!(tree(raw, true), (vec!["=one".to_owned(), "=tw cut".to_owned()], vec![]));
}

#[test]
fn depth_and_number_are_bounded() {
    let level = |n| format!("Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n");
    let nested = (0..40).map(level).collect::<Vec<_>>().concat();
    let (_, defects) = tree(&format!("{nested}\ntext"), false);
    assert!(defects.contains(&Defect::TooManyParts), "{defects:?}");
    let many =
        format!("Content-Type: multipart/mixed; boundary=x\n\n{}", "--x\n\none\n".repeat(999));
    let (parts, defects) = tree(&many, false);
    assert_eq!(parts.len(), MOST_PARTS - 1);
    assert!(defects.contains(&Defect::TooManyParts), "{defects:?}");
}
