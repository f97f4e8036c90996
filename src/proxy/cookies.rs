//! The cookies of a request, of which some are for the gate alone.

use http::header::{COOKIE, HeaderMap, HeaderValue};
use zeroize::Zeroizing;

/// Takes the cookies of this name out of a request; their values. The others stay, in one line.
pub(crate) fn cut(headers: &mut HeaderMap, name: &str) -> Vec<Zeroizing<Vec<u8>>> {
    let mut taken = Vec::new();
    let mut left = Vec::new();
    for line in headers.get_all(COOKIE) {
        for pair in line
            .as_bytes()
            .split(|byte| *byte == b';')
            .map(<[u8]>::trim_ascii)
        {
            match pair
                .strip_prefix(name.as_bytes())
                .and_then(|rest| rest.strip_prefix(b"="))
            {
                Some(value) => taken.push(Zeroizing::new(value.to_vec())),
                None if pair.is_empty() => {}
                None => left.push(pair),
            }
        }
    }
    if !taken.is_empty() {
        let rest = left.join(b"; ".as_slice());
        headers.remove(COOKIE);
        if let (false, Ok(rest)) = (rest.is_empty(), HeaderValue::from_bytes(&rest)) {
            headers.insert(COOKIE, rest);
        }
    }
    taken
}
