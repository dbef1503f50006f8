use super::*;

fn check(html: &str, expected: &str) {
    assert_eq!(to_text(html).text.trim(), expected, "{html}");
}

#[test]
fn blocks_become_lines_and_blanks_collapse() {
    check("<p>one\n  two</p><p>three</p>", "one two\n\nthree");
    check("one<br>two<br><br>three", "one\ntwo\n\nthree");
    check("<div>one</div>\n<div>two</div>", "one\ntwo");
    check("<ul><li>a<li>b</ul>", "- a\n- b");
    check("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc");
    check("<b>bold</b><i>er</i> <a href='x'>link</a>", "bolder link");
    check("<pre>a\n  b</pre>", "a\n  b");
    check("<img alt='Logo'>Hi", "Logo Hi");
}

#[test]
fn entities_are_decoded() {
    check("a &amp; b &lt;c&gt; &eacute; &#233; &#xe9; &#146; &euro;", "a & b <c> é é é ’ €");
    check("AT&T &nonsense; & x", "AT&T &nonsense; & x");
    check("&", "&");
}

/// Checks the text, and how many letters of it nobody sees.
fn hidden(html: &str, expected: &str, letters: usize) {
    let seen = to_text(html);
    assert_eq!((seen.text.trim(), seen.hidden), (expected, letters), "{html}");
}

#[test]
fn what_nobody_sees_is_left_out() {
    hidden("<div style='display:none'>pre <div>x</div> y</div>seen", "seen", 5);
    hidden("<span style='font-size:0'>abc</span>seen", "seen", 3);
    hidden("<style>.p{display:none}</style><p class=p>abc<p>seen", "seen", 3);
    hidden("<p hidden>abc<div>seen</div>", "seen", 3);
    hidden("<td style='display:none'>abc<td>seen", "seen", 3);
    hidden("<td style='display:none'><table><tr><td>abc</table>d</td>seen", "seen", 4);
    hidden("<title>t</title><script>s</script>seen", "seen", 0);
    hidden("<img style='display:none' alt=x>seen", "x seen", 0);
    hidden("<div style='display:none'>all of it", "all of it", 7);
}

#[test]
fn what_sets_its_own_size_or_visibility_is_seen_in_what_is_hidden() {
    hidden(
        "<p style='font-size:0'>abc<b style='font-size:9px'>seen</b>def</p>end",
        "seen\n\nend",
        6,
    );
    hidden("<div style='visibility:hidden'>abc<p style='visibility:visible'>seen", "seen", 3);
    hidden("<div style='display:none'>abc<p style='font-size:9px'>def</p></div>seen", "seen", 6);
    hidden("<i style='font-size:0'>abc<font size=2>seen</font></i>", "seen", 3);
    hidden("<style>td{font-size:0}.t{font-size:9px}</style><td>abc<p class=t>seen", "seen", 3);
    hidden("<ul style='font-size:0'><li>abc<li style='font-size:9px'>seen", "- seen", 3);
    hidden("<td style='font-size:0'><img alt=Logo>abc", "Logo", 3);
    // Cells that are never closed end with the next one, or with their table.
    hidden("<tr><td style='font-size:0'><i style='font-size:9px'>a<td>b", "a b", 0);
    hidden(
        "<table><td style='font-size:0'><table><td style='font-size:9px'>a<td>b</table>c</table>d",
        "a\n\nd",
        2,
    );
}

#[test]
fn a_layout_without_letters_of_its_own_shows_its_texts() {
    let cell = |text: &str| {
        format!(
            "<tr><td align='left' style='font-size:0px;padding:10px 25px;'>\
             <div style='font-family:Arial;font-size:13px;line-height:1;'>{text}</div></td></tr>"
        )
    };
    let mail = format!(
        "<!doctype html><html><body style='background-color:#f4f4f4;'>\
         <div style='display:none;font-size:1px;max-height:0px;overflow:hidden;'>See inside</div>\
         <div><!--[if mso]><table><tr><td><![endif]--><table role='presentation'><tbody><tr>\
         <td style='direction:ltr;font-size:0px;padding:20px 0;'>\
         <div class='column' style='font-size:0px;display:inline-block;width:100%;'>\
         <table role='presentation'><tbody>{}{}</tbody></table></div></td></tr></tbody></table>\
         <table><tbody><tr><td style='font-size:0px;'><p style='font-size:1px;'>z</p></td>\
         </tr></tbody></table></div></body></html>",
        cell("Your card was declined."),
        cell("Pay by <b>Friday</b>, or the site goes offline."),
    );
    hidden(&mail, "Your card was declined.\nPay by Friday, or the site goes offline.", 10);
}

#[test]
fn quoted_history_is_marked() {
    check(
        "yes<div>On Monday Ada wrote:</div><blockquote type=cite><p>old<br>older</p>\
         <blockquote class='gmail_quote'>oldest</blockquote></blockquote>end",
        "yes\nOn Monday Ada wrote:\n\n> old\n> older\n\n>> oldest\n\nend",
    );
    check("<blockquote>only indented</blockquote>", "only indented");
    check(
        "<blockquote type=cite>a<blockquote>b</blockquote>c</blockquote>d",
        "> a\n\n> b\n\n> c\n\nd",
    );
}

#[test]
fn broken_html_gives_its_text() {
    check("a < b > c", "a < b > c");
    check("<p>one<p>two</b></div></p>", "one\n\ntwo");
    check("text <!-- never closed", "text");
    check("<<p>>x", "<\n\n>x");
    check("", "");
}
