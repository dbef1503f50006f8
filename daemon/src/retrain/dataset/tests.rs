use std::fs;

use triaged_core::label::{Head, Label};

use super::*;

fn names() -> LabelNames {
    let head = |name: &str, labels: &[&str]| Head {
        name: name.to_owned(),
        labels: labels
            .iter()
            .map(|name| Label { name: (*name).to_owned(), keyword: Some((*name).to_owned()) })
            .collect(),
    };
    let heads = [head("category", &["billing", "work"]), head("urgency", &["high", "low"])];
    LabelNames::new(&heads, &[])
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn file(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, text).expect("written");
    }

    /// So many mails in a folder, each of its own sender.
    fn mails(&self, folder: &str, count: usize) {
        for at in 0..count {
            let mail = format!("From: p{at}@x.example\nSubject: s\n\n{folder} {at}\n");
            self.file(&format!("{folder}/{at:03}.eml"), &mail);
        }
    }

    fn read(&self) -> Result<Dataset, String> {
        let said = |error: DatasetError| {
            error.to_string().replace(&format!("{}/", self.0.path().display()), "")
        };
        read(self.0.path(), names()).map_err(said)
    }
}

fn counted(dataset: &Dataset) -> String {
    let counts = Collection::counts(&dataset.mails);
    let heads = counts.into_iter().map(|(head, labels)| format!("{head} {labels:?}"));
    heads.collect::<Vec<_>>().join(", ")
}

#[test]
fn folders_give_labels_nested_or_listed_and_new_ones_too() {
    let folder = Folder::new();
    folder.mails("category=billing", 20);
    folder.mails("category=work/urgency=high", 10);
    folder.mails("sorted/category=work,urgency=low", 10);
    folder.mails("category=legal-hold/cur", 8);
    folder.mails("neither", 4);
    folder.file(
        "category=billing/box.mbox",
        "From a@b Mon Nov  2 10:07:00 2026\nFrom: a@x.example\n\none\n\n\
         From a@b Mon Nov  2 10:08:00 2026\nFrom: b@x.example\n\ntwo\n",
    );
    let dataset = folder.read().expect("valid");
    assert_eq!(
        counted(&dataset),
        r#"category {"billing": 22, "legal-hold": 8, "work": 20}, urgency {"high": 10, "low": 10}"#
    );
    assert_eq!((dataset.unlabelled, dataset.merged), (4, 0));
    assert_eq!(dataset.names.own()["category"].len(), 1);
    let first = &dataset.mails[0];
    assert_eq!(&*first.text, "From: p0 @ x.example\nSubject: s\n\ncategory=billing 0");
    assert_eq!(first.ties.sender, "p0@x.example");
}

#[test]
fn lines_of_json_give_labels_by_head() {
    let folder = Folder::new();
    let lines = (0..60).map(|at| {
        let urgency = if at % 2 == 0 { "\"high\"" } else { "null" };
        format!(
            "{{\"from\": \"P <p{at}@x.example>\", \"subject\": \"s\", \"body\": \"b{at}\", \
             \"category\": \"work\", \"urgency\": {urgency}, \"thread\": \"t{}\", \"id\": {at}}}\n",
            at / 2
        )
    });
    folder.file("a.jsonl", &lines.collect::<String>());
    let dataset = folder.read().expect("valid");
    assert_eq!(counted(&dataset), r#"category {"work": 60}, urgency {"high": 30}"#);
    assert_eq!(dataset.mails[3].ties.ids, ["t1"]);
    assert_eq!(dataset.mails[3].ties.sender, "p3@x.example");
}

#[test]
fn every_mistake_is_named_once_with_its_place_and_no_line_of_a_mail() {
    let folder = Folder::new();
    folder.mails("category=work", 60);
    folder.mails("category=biling", 3);
    folder.mails("kategorie=work", 2);
    folder.mails("category=billing/category=work", 2);
    folder.file("category=work/x.eml", "Subject: s\n\nsecret\n");
    folder.file("category=billing/y.eml", "Subject: s\n\nsecret\n");
    folder.file(
        "z.jsonl",
        "\"secret\"\n{\"body\": \"secret\", \"category\": 7}\n\
         {\"body\": \"secret two\", \"category\": \"my secrets\"}\n",
    );
    assert_eq!(
        folder.read().expect_err("wrong"),
        "the mails can not be used as they are:\n\
         z.jsonl#1: no JSON object with from, subject and body; mend or delete the line\n\
         z.jsonl#2: category is no text and not null\n\
         z.jsonl#3: category=\"my secrets\" can not be a label: use a letter and then up to 19 \
         letters, digits, '.', '_' and '-', for example category=my-secrets\n\
         category=biling: category=biling looks like a slip of category=billing; rename it, or \
         say that it is a label of your own: --own-label category=biling\n\
         category=work: category=billing and category=work at once; a mail has one label of a head\n\
         kategorie=work: there is no head \"kategorie\"; the model has category, urgency\n\
         category=billing/y.eml and category=work/x.eml are the same mail, labelled \
         category=billing and category=work; keep one"
    );
}

#[test]
fn too_few_mails_and_no_mails_are_said() {
    let folder = Folder::new();
    folder.mails("category=work", 49);
    assert!(folder.read().expect_err("few").contains("49 labelled mails are too few"));
    folder.mails("category=legal-hold", 7);
    assert!(folder.read().expect_err("few").contains("category=legal-hold is a label of your own"));
    let empty = Folder::new();
    assert!(empty.read().expect_err("none").contains("no mail in this folder"));
    let unlabelled = Folder::new();
    unlabelled.mails("inbox", 60);
    assert!(unlabelled.read().expect_err("no label").contains("none of the 60 mails"));
}
