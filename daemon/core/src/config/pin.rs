//! A pinned key: which one key a server must have, whatever its certificate says.
//!
//! Nothing is hashed here and no certificate read; this is only the 32 bytes and their two
//! spellings.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// How curl and most guides spell a pin.
const PREFIX: &str = "sha256//";

/// The SHA-256 of a certificate's `SubjectPublicKeyInfo` in DER (the pin of RFC 7469 §2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyPin([u8; 32]);

impl KeyPin {
    /// The pin with this hash.
    pub const fn new(hash: [u8; 32]) -> Self {
        Self(hash)
    }
}

/// The text is no pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a pin is \"sha256//\" with 44 letters of base64, or 64 hexadecimal digits")]
pub struct NoPin;

impl FromStr for KeyPin {
    type Err = NoPin;

    /// Reads `sha256//BASE64`, and hexadecimal digits with or without colons, as `openssl dgst`
    /// prints them.
    fn from_str(text: &str) -> Result<Self, NoPin> {
        let bytes = match text.strip_prefix(PREFIX) {
            Some(base64) => STANDARD.decode(base64).map_err(|_| NoPin)?,
            None => hexadecimal(text).ok_or(NoPin)?,
        };
        bytes.try_into().map(Self).map_err(|_| NoPin)
    }
}

impl fmt::Display for KeyPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", STANDARD.encode(self.0))
    }
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> =
        text.chars().filter(|c| *c != ':').map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| u8::try_from(high * 16 + low));
    if rest.is_empty() { bytes.collect::<Result<_, _>>().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE64: &str = "sha256//AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    #[test]
    fn both_spellings_are_one_pin() {
        let pin: KeyPin = BASE64.parse().expect("a pin");
        let hex = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F";
        let colons = "00:01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e:0f:10:11:12:13:14:15:16:17:18:\
                      19:1a:1b:1c:1d:1e:1f";
        assert_eq!((hex.parse(), colons.parse()), (Ok(pin), Ok(pin)));
        assert_eq!(pin.to_string(), BASE64);
    }

    #[test]
    fn what_is_no_pin_is_refused() {
        let short = "sha256//AAEC";
        let sha1 = "0001020304050607080910111213141516171819";
        for text in ["", "sha256//", short, sha1, "sha1//AAEC", "zz", "000", "é"] {
            assert_eq!(text.parse::<KeyPin>(), Err(NoPin), "{text:?}");
        }
    }
}
