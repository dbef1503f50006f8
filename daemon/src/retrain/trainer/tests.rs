use std::sync::Mutex;

use super::*;

async fn heard(output: &[u8]) -> (Result<Said, TrainingError>, Vec<Told>) {
    let all = Mutex::new(Vec::new());
    let told = |told| all.lock().unwrap().push(told);
    let said = listen(output, &told).await;
    (said, all.into_inner().unwrap())
}

#[tokio::test]
async fn what_is_said_is_passed_on_until_the_end() {
    let (said, told) = heard(
        b"{\"type\":\"progress\",\"stage\":\"train\",\"done\":1,\"of\":2}\n\
          {\"type\":\"note\",\"text\":\"slow\"}\n{\"type\":\"done\",\"bundle\":\"/x\"}\n",
    )
    .await;
    assert!(matches!(said, Ok(Said::Done)));
    let progress = Told::Progress { stage: "train".to_owned(), done: 1, of: 2 };
    assert_eq!(told, [progress, Told::Note("slow".to_owned())]);
    assert!(matches!(heard(b"").await.0, Ok(Said::Nothing)));
    let failed = heard(b"{\"type\":\"failed\",\"why\":\"no room\"}").await.0;
    assert!(matches!(failed, Ok(Said::Failed(why)) if why == "no room"));
}

#[tokio::test]
async fn what_is_not_understood_ends_it() {
    let long = [vec![b'x'; LONGEST_LINE + 1], b"\n".to_vec()].concat();
    for output in [&b"hello\n"[..], b"{\"type\":\"exec\"}\n", b"\n", &long] {
        assert!(matches!(heard(output).await.0, Err(TrainingError::Gibberish)));
    }
}

#[tokio::test]
async fn of_complaints_only_places_and_kinds_are_passed_on() {
    let all = Mutex::new(Vec::new());
    let told = |told| all.lock().unwrap().push(told);
    let errors = b"  /opt/training/train.py:3 in train\nValueError: 'dear secret'\ndear secret\n";
    complain(&errors[..], &told).await;
    let said = ["/opt/training/train.py:3 in train", "ValueError"];
    assert_eq!(all.into_inner().unwrap(), said.map(|text| Told::Complaint(text.to_owned())));
}

#[tokio::test]
async fn settings_come_first_and_an_end_last() {
    let text = "From: a @ b\n\nx".into();
    let labels = [("category".to_owned(), "work".to_owned())].into();
    let mail = LabelledMail {
        file: "f".to_owned(),
        text,
        labels,
        ties: triaged_core::retrain::Ties::default(),
    };
    let names = LabelNames::new(&[], &[]);
    let lesson = Lesson {
        base: Path::new("/base"),
        candidate: Path::new("/candidate"),
        version: 2,
        names: &names,
        mails: vec![(7, &mail)],
        own_texts: &["abc".to_owned()],
    };
    let mut sent = Vec::new();
    send_all(&mut sent, &lesson).await.expect("sent");
    let sent = String::from_utf8(sent).expect("text");
    assert_eq!(
        sent.lines().collect::<Vec<_>>(),
        [
            r#"{"type":"settings","version":"2","labels":{},"own":{},"judged":["abc"],"seed":1}"#,
            concat!(
                r#"{"type":"mail","id":"user-0","file":"user","group":"user-7","fold":null,"#,
                r#""text":"From: a @ b\n\nx","labels":{"category":"work"},"weight":1.0,"#,
                r#""source":"user"}"#
            ),
            r#"{"type":"end"}"#,
        ]
    );
}
