//! Leaves out the signature at the end of a mail, and the line that a telephone adds.
//!
//! It deliberately does not guess at names and greetings: "Yours, Ada" belongs to the writer.

/// A signature is short (four lines by custom, companies add a disclaimer); more text below a
/// line of two dashes is the mail itself.
const LONGEST_LINES: usize = 12;
const LONGEST_BYTES: usize = 900;
/// A longer first line than this, most of it words in lower case, is no name but a postscript
/// or a robot's notice to the reader.
const LONGEST_NAME: usize = 48;
/// What list servers add below a rule of underscores.
const LONGEST_FOOTER_LINES: usize = 6;
const SHORTEST_RULE: usize = 40;
/// A telephone's line is short; anything longer is a sentence of the writer.
const LONGEST_DEVICE_LINE: usize = 80;

/// How telephones open the line that they add, in lower case.
const DEVICE: &[&str] = &[
    "sent from ",
    "sent via ",
    "get outlook for ",
    "gesendet von ",
    "gesendet mit ",
    "von meinem ",
    "envoyé de ",
    "envoyé depuis ",
    "envoyé à partir ",
    "enviado desde ",
    "enviado de ",
    "enviado do ",
    "enviado a partir ",
    "inviato da ",
    "inviato dal ",
    "verzonden vanaf ",
    "verstuurd vanaf ",
    "skickat från ",
    "sendt fra ",
    "lähetetty ",
    "wysłano z ",
    "wysłane z ",
    "odesláno z ",
    "отправлено с ",
    "отправлено из ",
];

/// The text without its signature.
pub(super) fn without(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    drop_list_footer(&mut lines);
    drop_device_line(&mut lines);
    drop_signature(&mut lines);
    drop_device_line(&mut lines);
    lines.join("\n").trim().to_owned()
}

fn drop_list_footer(lines: &mut Vec<&str>) {
    let rule = |line: &&str| line.len() >= SHORTEST_RULE && line.bytes().all(|byte| byte == b'_');
    if let Some(at) = lines.iter().rposition(rule)
        && lines.len() - at <= LONGEST_FOOTER_LINES
    {
        lines.truncate(at);
    }
}

fn drop_signature(lines: &mut Vec<&str>) {
    let Some(at) = lines.iter().rposition(|line| line.trim_end() == "--") else { return };
    let below = lines.get(at + 1..).unwrap_or_default();
    let bytes: usize = below.iter().map(|line| line.len()).sum();
    let notice =
        below.iter().find(|line| !line.trim().is_empty()).is_some_and(|line| is_notice(line));
    if !notice && below.len() < LONGEST_LINES && bytes <= LONGEST_BYTES {
        lines.truncate(at);
    }
}

fn is_notice(line: &str) -> bool {
    let words = line.split_whitespace().count();
    let small = line.split_whitespace().filter(|word| word.starts_with(char::is_lowercase)).count();
    line.chars().count() > LONGEST_NAME && small * 2 >= words
}

fn drop_device_line(lines: &mut Vec<&str>) {
    while lines.last().is_some_and(|line| line.trim().is_empty()) {
        lines.pop();
    }
    if lines.last().is_some_and(|line| is_device_line(line)) {
        lines.pop();
    }
}

fn is_device_line(line: &str) -> bool {
    let line = line.trim();
    line.len() <= LONGEST_DEVICE_LINE && {
        let lower = line.to_lowercase();
        DEVICE.iter().any(|opening| lower.starts_with(opening))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_left_out() {
        fn check(text: &str, expected: &str) {
            assert_eq!(without(text), expected, "{text:?}");
        }
        check("Hello\n-- \nAda\nEngine Ltd", "Hello");
        check("Hello\n--\nAda", "Hello");
        check("Hello\n\nSent from my iPhone", "Hello");
        check("Hello\n\nVon meinem iPhone gesendet\n", "Hello");
        check("Hello\n-- \nAda\nSent from my boat", "Hello");
        check("Hello\n---\nAda", "Hello\n---\nAda");
        let long = format!("Hello\n--\n{}", "a line\n".repeat(30));
        check(&long, long.trim());
        let postscript =
            "Hello\n--\nPS if this is the wrong address, please excuse me, it was a mistake";
        check(postscript, postscript);
        let named =
            "Hello\n--\nAda King <ada@engine.example> Analytical Engines Ltd http://engine.example";
        check(named, "Hello");
        check(
            &format!("Hello\n{}\nBees mailing list\nhttp://bees.example", "_".repeat(47)),
            "Hello",
        );
        check("Sent from the office on Monday, and it never came", "");
    }
}
