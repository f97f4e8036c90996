//! One parameter of a request's query, taken out so that it goes no further.

use zeroize::Zeroizing;

/// Takes a parameter out of a query, wherever it stands: its values, as sent.
///
/// It is known by its name as an upstream reads it, escapes and all: a twin in another spelling would take the
/// secret on.
pub(crate) fn cut(query: &mut Option<String>, name: &str) -> Vec<Zeroizing<Vec<u8>>> {
    let mut values = Vec::new();
    let Some(sent) = query.take().map(Zeroizing::new) else {
        return values;
    };
    let mut left = Vec::new();
    for pair in sent.split('&') {
        match pair.split_once('=') {
            Some((sent, value)) if is_named(sent, name) => {
                values.push(Zeroizing::new(value.as_bytes().to_vec()));
            }
            _ => left.push(pair),
        }
    }
    *query = Some(left.join("&")).filter(|query| !query.is_empty());
    values
}

/// Whether a name is `name`, as it stands or once its escapes are read (RFC 3986 §2.1); what is no escape stands
/// for itself.
fn is_named(sent: &str, name: &str) -> bool {
    if sent == name {
        return true;
    }
    let mut rest = sent.as_bytes();
    for wanted in name.bytes() {
        let (byte, after) = match rest {
            [b'%', high, low, after @ ..] if let Some(byte) = hex_pair(*high, *low) => {
                (byte, after)
            }
            [byte, after @ ..] => (*byte, after),
            [] => return false,
        };
        if byte != wanted {
            return false;
        }
        rest = after;
    }
    rest.is_empty()
}

fn hex_pair(high: u8, low: u8) -> Option<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values, and what is left.
    fn cut_from(query: &str, name: &str) -> (Vec<String>, Option<String>) {
        let mut query = Some(query.to_owned());
        let values = cut(&mut query, name).into_iter();
        let values = values.map(|value| String::from_utf8(value.to_vec()).unwrap());
        (values.collect(), query)
    }

    #[test]
    fn a_parameter_in_another_spelling_is_the_same_and_takes_no_secret_on() {
        for name in ["k_1", "%6b_1", "%6B_1", "k%5F1", "k_%31", "%6b%5f%31"] {
            let (values, left) = cut_from(&format!("a=1&{name}=v&b"), "k_1");
            assert_eq!((values, left.as_deref()), (vec!["v".into()], Some("a=1&b")));
            let (values, left) = cut_from(&format!("k_1=v&{name}=w"), "k_1");
            assert_eq!((values.len(), left), (2, None), "{name}");
        }
    }

    #[test]
    fn what_only_looks_like_the_parameter_is_left() {
        for other in [
            "K_1", "%4b_1", "k_1%", "k_1%3", "%k_1", "k_", "k_11", "%256b_1", "",
        ] {
            let (values, left) = cut_from(&format!("k_1=v&{other}=w"), "k_1");
            assert_eq!(values, ["v"], "{other}");
            assert_eq!(left, Some(format!("{other}=w")));
        }
        assert_eq!(cut_from("k_1&x", "k_1"), (vec![], Some("k_1&x".into())));
    }
}
