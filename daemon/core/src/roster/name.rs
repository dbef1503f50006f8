//! The part of an account's name that stands for a user: `anna@example.org` is `anna~example.org`.
//!
//! It is no address, so that none is in a log; it needs no quoting in a shell, whatever a directory
//! calls its users; and two users never get the same.

use std::fmt::Write as _;

/// What stands for `@`.
const AT: char = '~';

/// The name of a user, in lower case, of letters, digits and `._+-~=`; the bytes of all other
/// characters as `=` and two hexadecimal digits.
#[must_use]
pub fn encoded(user: &str) -> String {
    let mut name = String::with_capacity(user.len());
    for byte in user.to_lowercase().bytes() {
        match char::from(byte) {
            '@' => name.push(AT),
            c if c.is_ascii_alphanumeric() || "._+-".contains(c) => name.push(c),
            _ => {
                // Writing to a string does not fail.
                let _ = write!(name, "={byte:02x}");
            }
        }
    }
    name
}

/// The user of such a name; `None` where it is none.
#[must_use]
pub fn decoded(name: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..)?;
        match c {
            AT => bytes.push(b'@'),
            '=' => {
                bytes.push(u8::from_str_radix(rest.get(..2)?, 16).ok()?);
                rest = rest.get(2..)?;
            }
            c => bytes.push(u8::try_from(c).ok()?),
        }
    }
    let user = String::from_utf8(bytes).ok()?;
    (!user.is_empty() && encoded(&user) == name.to_lowercase()).then_some(user)
}
