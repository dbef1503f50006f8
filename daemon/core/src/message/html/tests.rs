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

#[test]
fn what_nobody_sees_is_left_out() {
    fn hidden(html: &str, expected: &str, letters: usize) {
        let seen = to_text(html);
        assert_eq!((seen.text.trim(), seen.hidden), (expected, letters), "{html}");
    }
    hidden("<div style='display:none'>pre <div>x</div> y</div>seen", "seen", 5);
    hidden("<span style='font-size:0'>abc</span>seen", "seen", 3);
    hidden("<style>.p{display:none}</style><p class=p>abc<p>seen", "seen", 3);
    hidden("<p hidden>abc<div>seen</div>", "seen", 3);
    hidden("<td style='display:none'>abc<td>seen", "seen", 3);
    hidden("<title>t</title><script>s</script>seen", "seen", 0);
    hidden("<img style='display:none' alt=x>seen", "x seen", 0);
    hidden("<div style='display:none'>all of it", "all of it", 7);
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
