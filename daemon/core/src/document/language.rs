//! The language that a mail is reliably written in, if there is one.
//!
//! A wrong "another language" costs an English mail its labels, a missed one is only what was the
//! case before: so this says nothing of a few words, of lists of names and codes, and of mail that
//! quotes a foreign paragraph. `whatlang` compares the trigrams and letters; it is the only user of
//! it. What was measured, and against what, stands in `daemon/ARCHITECTURE.md`.

use whatlang::{Detector, Info, Lang};

/// What whatlang says with less confidence is not said here.
const RELIABLE: f64 = 0.8;
/// A paragraph speaks against the language of the whole with this confidence...
const DISSENTING: f64 = 0.5;
/// ...and silences it where such paragraphs hold one of so many words.
const DISSENTERS: usize = 4;
/// Words of English that letters in no other language are full of...
const ENGLISH: &str = " the and you your for with this that have are would from they what been which \
    there their please could about when where because should ";
/// ...and of so many words one of them makes it English, without another look.
const MOST_BETWEEN: usize = 8;
/// Languages of lists (of plants, of prayers), not of mail.
const NO_MAIL: [Lang; 2] = [Lang::Lat, Lang::Epo];

/// The codes of ISO 639-3, which whatlang speaks, and of ISO 639-1, which people know.
const CODES: &str = "afr=af aka=ak amh=am ara=ar aze=az bel=be ben=bn bul=bg cat=ca ces=cs cmn=zh \
    cym=cy dan=da deu=de ell=el eng=en epo=eo est=et fin=fi fra=fr guj=gu heb=he hin=hi hrv=hr \
    hun=hu hye=hy ind=id ita=it jav=jv jpn=ja kan=kn kat=ka khm=km kor=ko lat=la lav=lv lit=lt \
    mal=ml mar=mr mkd=mk mya=my nep=ne nld=nl nob=nb ori=or pan=pa pes=fa pol=pl por=pt ron=ro \
    rus=ru sin=si slk=sk slv=sl sna=sn spa=es srp=sr swe=sv tam=ta tel=te tgl=tl tha=th tuk=tk \
    tur=tr ukr=uk urd=ur uzb=uz vie=vi yid=yi zul=zu";

/// The language of these paragraphs by its code of ISO 639-1; `None` where it is not beyond doubt.
pub(super) fn of(paragraphs: &[String]) -> Option<&'static str> {
    other_than(&[], paragraphs)
}

/// The same, where it is none of `known`, for which half the work is enough: paragraphs in other
/// languages could only raise doubts about it.
pub(super) fn other_than(known: &[String], paragraphs: &[String]) -> Option<&'static str> {
    if known.iter().any(|known| known == "en") && is_plainly_english(paragraphs) {
        return None;
    }
    let detector = Detector::with_denylist(NO_MAIL.to_vec());
    let whole = detector.detect(&paragraphs.join("\n"))?;
    let language = code(whole.lang())?;
    if whole.confidence() < RELIABLE || known.iter().any(|known| known == language) {
        return None;
    }
    let words = |paragraph: &&String| paragraph.split(' ').count();
    let dissents = |info: Info| info.lang() != whole.lang() && info.confidence() >= DISSENTING;
    let dissenting = |paragraph: &&String| detector.detect(paragraph).is_some_and(dissents);
    let against: usize = paragraphs.iter().filter(dissenting).map(|one| words(&one)).sum();
    let all: usize = paragraphs.iter().map(|one| words(&one)).sum();
    (against * DISSENTERS < all).then_some(language)
}

/// Whether it holds so many of the commonest words that nothing else has to be asked: true of four of
/// five mails of `training/data`, and of none of the 50 foreign ones that the tests have.
fn is_plainly_english(paragraphs: &[String]) -> bool {
    let (mut all, mut english) = (0_usize, 0_usize);
    for word in paragraphs.iter().flat_map(|paragraph| paragraph.split(' ')) {
        let word = word.trim_matches(|letter: char| letter.is_ascii_punctuation());
        all += 1;
        english += usize::from(is_english(word));
    }
    english * MOST_BETWEEN >= all && english > 0
}

fn is_english(word: &str) -> bool {
    ENGLISH.split_ascii_whitespace().any(|english| english.eq_ignore_ascii_case(word))
}

fn code(language: Lang) -> Option<&'static str> {
    let pairs = CODES.split(' ').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(long, _)| *long == language.code()).map(|(_, short)| short)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let paragraphs: Vec<String> = text.split("\n\n").map(str::to_owned).collect();
        assert_eq!(of(&paragraphs), expected, "{text}");
    }

    #[test]
    fn every_language_has_a_code() {
        for language in Lang::all() {
            assert_eq!(code(*language).map(str::len), Some(2), "{language}");
        }
    }

    #[test]
    fn a_few_sentences_tell_their_language() {
        check("Could you send me the invoice for October once more, please?", Some("en"));
        check("Können Sie mir bitte die Rechnung vom Oktober noch einmal schicken?", Some("de"));
        check(
            "Pourriez-vous me renvoyer la facture du mois d'octobre, s'il vous plaît ?",
            Some("fr"),
        );
        check("お世話になっております。請求書をもう一度お送りください。", Some("ja"));
    }

    #[test]
    fn a_few_words_do_not() {
        check("Server down, call me", None);
        check("", None);
    }

    #[test]
    fn a_foreign_paragraph_does_not_make_a_foreign_mail() {
        check(
            "Got this from the supplier this morning, can you translate?\n\n\
             Die Lieferung verzögert sich leider um zwei Wochen, da unser Vorlieferant in Verzug ist.",
            None,
        );
    }

    #[test]
    fn common_words_of_english_are_enough() {
        let check = |text: &str| is_plainly_english(&[text.to_owned()]);
        assert!(check("Could you (please) send the invoice?"));
        assert!(!check("Können Sie mir bitte die Rechnung für The Mill in York senden?"));
        assert!(!check("Server down"));
        assert!(!is_plainly_english(&[]));
    }

    #[test]
    fn a_known_language_is_no_other_one() {
        let paragraphs = ["Können Sie mir bitte die Rechnung noch einmal schicken?".to_owned()];
        assert_eq!(other_than(&["en".to_owned()], &paragraphs), Some("de"));
        assert_eq!(other_than(&["en".to_owned(), "de".to_owned()], &paragraphs), None);
    }
}
