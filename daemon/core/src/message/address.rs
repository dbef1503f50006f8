//! The sender as the model reads it: a name and a domain.
//!
//! It deliberately does not validate addresses: whatever stands in the field is shown.

/// Who a mail says it is from. Either part may be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sender {
    /// The display name; where there is none, the local part of the address.
    pub name: String,
    /// The domain of the address, in lower case.
    pub domain: String,
    /// The whole address, in lower case; empty where there is none.
    pub address: String,
}

impl Sender {
    /// Reads `Name <local@domain>`, `local@domain` or a bare name, decoded and on one line.
    pub(crate) fn parse(field: &str) -> Self {
        let field = field.trim();
        match field.rsplit_once('<') {
            Some((name, address)) => {
                Self::new(name, address.split_once('>').map_or(address, |(inside, _)| inside))
            }
            None if field.contains('@') && !field.contains(' ') => Self::new("", field),
            None => Self::new(field, ""),
        }
    }

    /// A sender from a display name and an address, either of which may be empty.
    pub(crate) fn new(name: &str, address: &str) -> Self {
        let (local, domain) = address.trim().rsplit_once('@').unwrap_or((address.trim(), ""));
        let name = unquoted(name.trim());
        let name = if name.is_empty() { local } else { name };
        let domain = domain.trim().trim_end_matches('.').to_lowercase();
        let address = match domain.as_str() {
            "" => String::new(),
            domain => format!("{}@{domain}", local.trim().to_lowercase()),
        };
        Self { name: name.split_whitespace().collect::<Vec<_>>().join(" "), domain, address }
    }
}

fn unquoted(name: &str) -> &str {
    name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(name).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_is_a_name_and_a_domain() {
        fn check(field: &str, name: &str, domain: &str) {
            let sender = Sender::parse(field);
            assert_eq!((sender.name.as_str(), sender.domain.as_str()), (name, domain), "{field}");
        }
        check("Ada <ada@Engine.example>", "Ada", "engine.example");
        check("\"Lovelace, Ada\" <ada@engine.example>", "Lovelace, Ada", "engine.example");
        check("ada@engine.example", "ada", "engine.example");
        check("<ada@engine.example>", "ada", "engine.example");
        check("Ada", "Ada", "");
        check("Ada @ the office", "Ada @ the office", "");
        check("", "", "");
        check("Ada <ada>", "Ada", "");
        check("Ada <ada@engine.example", "Ada", "engine.example");
    }
}
