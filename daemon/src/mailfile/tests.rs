use std::fs;

use super::*;

/// The file names, relative to the folder, and the rendered first lines.
fn read(folder: &Path, names: &[&str]) -> Vec<String> {
    let paths: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).collect();
    let relative = |text: &str| text.replace(&format!("{}/", folder.display()), "");
    open(&paths)
        .map(|item| match item {
            Ok(item) => {
                format!("{}: {}", relative(&item.file), item.message().body.replace('\n', "/"))
            }
            Err(error) => format!("error: {}", relative(&error.to_string())),
        })
        .collect()
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

#[test]
fn a_file_is_told_by_name_or_by_its_first_bytes() {
    let mbox = "From a@b Mon Nov  2 10:07:00 2026\nSubject: x\n\none\n>From here\n\n\
        From a@b Mon Nov  2 10:08:00 2026\n\ntwo\n";
    let folder = folder(&[
        ("a.eml", "Subject: x\n\none"),
        ("odd", "Subject: x\n\nFrom here on\n"),
        ("box", mbox),
        ("lines.jsonl", "{\"body\": \"one\"}\n\n{\"body\": null}\n[1]\n{\"body\": \"two\"}"),
        ("lines", "{\"body\": \"one\"}"),
        ("empty.mbox", ""),
        ("empty.eml", ""),
    ]);
    let found = read(
        folder.path(),
        &["a.eml", "odd", "box", "lines.jsonl", "lines", "empty.mbox", "empty.eml", "none"],
    );
    assert_eq!(
        found,
        [
            "a.eml: one",
            "odd: From here on",
            "box#1: one/From here",
            "box#2: two",
            "lines.jsonl#1: one",
            "lines.jsonl#3: ",
            "error: lines.jsonl#4: no JSON object with from, subject and body (invalid type: \
             sequence, expected a map at line 1 column 0); mend or delete the line",
            "lines.jsonl#5: two",
            "lines#1: one",
            "empty.eml: ",
            "error: none: No such file or directory (os error 2); check the name and the permissions",
        ]
    );
}

#[test]
fn a_maildir_gives_what_was_delivered_in_all_its_folders() {
    let mail = "Subject: x\n\ntext";
    let folder = folder(&[
        ("cur/1:2,S", mail),
        ("new/2", mail),
        ("tmp/3", mail),
        (".Archive/cur/4:2,", mail),
        (".Archive/new/.hidden", mail),
        ("subscriptions", mail),
    ]);
    let found = read(folder.path(), &["."]);
    assert_eq!(found, ["./cur/1:2,S: text", "./new/2: text", "./.Archive/cur/4:2,: text"]);
}

#[test]
fn a_folder_gives_what_is_named_as_mail() {
    let mail = "Subject: x\n\ntext";
    let folder = folder(&[
        ("in/b.eml", mail),
        ("in/a.EML", mail),
        ("in/note.txt", mail),
        ("in/c/d.eml", mail),
    ]);
    assert_eq!(
        read(folder.path(), &["in"]),
        ["in/a.EML: text", "in/b.eml: text", "in/c/d.eml: text"]
    );
    fs::create_dir(folder.path().join("none")).unwrap();
    assert_eq!(
        read(folder.path(), &["none"]),
        [
            "error: none: no mail in this folder; name a Maildir, or a folder with .eml, .mbox or .jsonl files"
        ]
    );
}

#[test]
fn of_a_large_mail_only_the_beginning_is_kept() {
    let mut text = "Subject: x\n\n".to_owned();
    text.push_str(&"a".repeat(3 << 20));
    let mut mails = stream::Mails::new(Path::new("x"), text.as_bytes(), false);
    let item = mails.next().unwrap().unwrap();
    let Source::Raw { bytes, full_size } = item.source else { panic!("no mail") };
    assert_eq!((bytes.len(), full_size), (message::LONGEST_MAIL, 12 + (3 << 20)));
    assert!(mails.next().is_none());
}

#[test]
fn a_line_that_is_too_long_is_an_error_and_the_next_is_read() {
    let text =
        format!("{{\"body\": \"{}\"}}\n{{\"body\": \"one\"}}\n", "a".repeat(json::LONGEST_LINE));
    let lines: Vec<bool> =
        json::Lines::new(Path::new("x"), text.as_bytes()).map(|it| it.is_ok()).collect();
    assert_eq!(lines, [false, true]);
}

/// Each mail of `tests/fixtures/mail` beside the text file that says how it is read. To write
/// those anew: `BLESS=1 cargo test -p triaged fixture`.
#[test]
fn each_fixture_is_read_as_written_beside_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/mail");
    let mut read = 0;
    for item in open(&[folder]) {
        let item = item.unwrap();
        let message = item.message();
        let defects: Vec<&str> = message.defects.iter().map(|defect| defect.as_str()).collect();
        let found = format!(
            "defects: {}\nmessage-id: {}\n\n{}\n",
            defects.join(" "),
            message.message_id.as_deref().unwrap_or_default(),
            triaged_core::document::render(&message)
        );
        let beside = Path::new(&item.file).with_extension("txt");
        if std::env::var_os("BLESS").is_some() {
            fs::write(&beside, &found).unwrap();
        }
        assert_eq!(found, fs::read_to_string(&beside).unwrap_or_default(), "{}", item.file);
        read += 1;
    }
    assert!(read >= 25, "{read} fixtures");
}
