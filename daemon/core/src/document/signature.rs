//! Leaves out the signature at the end of a mail, and the line that a telephone adds.
//!
//! It deliberately does not guess at names and greetings: "Yours, Ada" belongs to the writer.

mod vocabulary;

use vocabulary::{CONTACT, DEVICE, EXCUSES, MINE, PRODUCTS};

/// A signature is short (four lines by custom, companies add a disclaimer); more text below a
/// line of two dashes is the mail itself.
const LONGEST_LINES: usize = 12;
const LONGEST_BYTES: usize = 900;
/// A longer first line than this, most of it words in lower case, is no name but a postscript
/// or a robot's notice to the reader.
const LONGEST_NAME: usize = 48;
/// What stands before a colon and is longer is no key.
const MOST_KEY_WORDS: usize = 3;
/// What list servers add below a rule of underscores.
const LONGEST_FOOTER_LINES: usize = 6;
const SHORTEST_RULE: usize = 40;
/// A telephone's line is short; anything longer is a sentence of the writer.
const LONGEST_DEVICE_LINE: usize = 80;

/// Words after a telephone's "sent from my"; more are a sentence of the writer.
const MOST_DEVICE_WORDS: usize = 4;
/// The same where the line names a product.
const MOST_PRODUCT_WORDS: usize = 6;

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
    if !notice && !is_record(below) && below.len() < LONGEST_LINES && bytes <= LONGEST_BYTES {
        lines.truncate(at);
    }
}

fn is_notice(line: &str) -> bool {
    let words = line.split_whitespace().count();
    let small = line.split_whitespace().filter(|word| word.starts_with(char::is_lowercase)).count();
    line.chars().count() > LONGEST_NAME && small * 2 >= words
}

/// Whether most lines are `Key: value` and say something else than how to reach the writer.
fn is_record(lines: &[&str]) -> bool {
    let filled = lines.iter().filter(|line| !line.trim().is_empty()).count();
    let facts = lines.iter().filter(|line| is_fact(line)).count();
    facts * 2 > filled
}

fn is_fact(line: &str) -> bool {
    line.split_once(':').is_some_and(|(key, value)| {
        let key = key.to_lowercase();
        let words = || key.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        value.starts_with(char::is_whitespace)
            && (1..=MOST_KEY_WORDS).contains(&words().count())
            && !words().any(|word| CONTACT.contains(&word))
    })
}

fn drop_device_line(lines: &mut Vec<&str>) {
    while lines.last().is_some_and(|line| line.trim().is_empty()) {
        lines.pop();
    }
    if lines.last().is_some_and(|line| is_device_line(line)) {
        lines.pop();
    }
}

/// Whether "sent from" is followed by a product, or by no more than "my" and a few words.
fn is_device_line(line: &str) -> bool {
    let line = line.trim();
    if line.len() > LONGEST_DEVICE_LINE {
        return false;
    }
    let lower = without_link(line).to_lowercase();
    let lower = without_excuse(&lower);
    if lower.contains(['!', '?', ':']) || lower.contains(", ") {
        return false;
    }
    // Written as "from my telephone sent".
    if let Some(rest) = lower.strip_prefix("von meinem ") {
        let named = rest.trim_end_matches('.').strip_suffix(" gesendet");
        return named.is_some_and(|name| name.split(' ').count() <= MOST_DEVICE_WORDS);
    }
    let Some(rest) = DEVICE.iter().find_map(|opening| lower.strip_prefix(opening)) else {
        return false;
    };
    let mut words = rest.split_whitespace();
    if lower.ends_with("phone") || PRODUCTS.iter().any(|product| lower.contains(product)) {
        return words.count() <= MOST_PRODUCT_WORDS;
    }
    let mine = words.next().is_some_and(|first| MINE.contains(&first));
    mine && !rest.ends_with('.') && (1..=MOST_DEVICE_WORDS).contains(&words.count())
}

/// The line without the address that some programs set behind it.
fn without_link(line: &str) -> &str {
    line.strip_suffix('>')
        .and_then(|open| open.rsplit_once('<'))
        .filter(|(_, link)| link.starts_with("http"))
        .map_or(line, |(said, _)| said.trim_end())
}

/// The line without the excuse for what a small keyboard does to spelling.
fn without_excuse(lower: &str) -> &str {
    let excuse = |(_, rest): &(&str, &str)| EXCUSES.iter().any(|word| rest.starts_with(word));
    lower.split_once(", ").filter(excuse).map_or(lower, |(said, _)| said)
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
    }

    #[test]
    fn a_sentence_that_opens_like_a_telephones_line_stays() {
        for line in [
            "Sent from my iPhone",
            "Sent from my Samsung Galaxy smartphone.",
            "Sent from Outlook for Android<https://get.example/a>",
            "Get Outlook for iOS",
            "Sent from my work phone",
            "sent from the shop phone",
            "Sent from my phone, excuse the thumbs",
            "Von meinem Samsung Galaxy Smartphone gesendet.",
            "Gesendet mit der mobilen Mail App",
            "Gesendet von Mail für Windows 10",
            "Gesendet von meinem Dienstgerät",
            "Envoyé de mon iPhone",
            "Enviado desde mi móvil",
            "Inviato da iPhone",
            "Verzonden vanaf mijn telefoon",
            "Lähetetty iPhonesta",
            "Отправлено с iPhone",
        ] {
            assert_eq!(without(&format!("Hello\n{line}")), "Hello");
        }
        for line in [
            "Von meinem Konto wurden 900 Euro abgebucht, bitte sofort sperren!",
            "Von meinem Konto wurden 900 Euro abgebucht",
            "Sent from Hamburg on Monday, I need it today!",
            "Sent from Hamburg on Monday",
            "Sent from the Samsung store in Hamburg on Monday",
            "Sent from my bank account: 900 EUR, stop it now!",
            "Sent from my house to yours on Monday morning",
            "Sent from my iPhone, please call me tonight",
            "Sent from the office on Monday, and it never came",
            "Gesendet mit DHL am Montag",
            "Enviado de Madrid el lunes",
        ] {
            let text = format!("Hello\n{line}");
            assert_eq!(without(&text), text);
        }
    }

    #[test]
    fn what_a_robot_lists_below_two_dashes_stays() {
        let record = "Job failed.\n--\nHost: db1\nDeadline: today 17:00\nAction: restart it";
        assert_eq!(without(record), record);
        for signature in [
            "Ada King\nTel.: 030 123\nE-Mail: ada@engine.example\nWeb: https://engine.example",
            "Tel: +44 20 1\nMobile phone: +44 20 2\nAddress: 1 Engine Row",
            "Ada King\nhttps://engine.example\nCEO: Charles Babbage",
            "Engine GmbH\nSitz: Berlin\nGeschäftsführerin: Ada King\nUSt-IdNr.: DE 1",
            "Ada\nTéléphone : 01\nPortable : 06\nCourriel : ada@engine.example",
        ] {
            assert_eq!(without(&format!("Hello\n--\n{signature}")), "Hello");
        }
    }
}
