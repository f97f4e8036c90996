//! When a certificate ends, read off its DER, so that someone is told before clients are.
//!
//! Only as much of X.509 as leads to `notAfter` (RFC 5280 §4.1) is read. Nothing is decided by it: what is no
//! certificate has no end here, and is refused by rustls.

use std::path::Path;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::domain::time::Timestamp;

/// When the first certificate of a PEM file ends; `None` if that cannot be read off it.
pub(crate) fn certificate_end(file: &Path) -> Option<Timestamp> {
    let certificate = CertificateDer::from_pem_file(file).ok()?;
    end(&certificate)
}

fn end(certificate: &[u8]) -> Option<Timestamp> {
    let (whole, _) = content(certificate, SEQUENCE)?;
    let (mut fields, _) = content(whole, SEQUENCE)?;
    // The version is left out by certificates of the first.
    if fields.first() == Some(&VERSION) {
        fields = content(fields, VERSION)?.1;
    }
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        fields = content(fields, tag)?.1;
    }
    let (validity, _) = content(fields, SEQUENCE)?;
    let begin = *validity.first()?;
    let (_, ends) = content(validity, begin)?;
    time(*ends.first()?, content(ends, *ends.first()?)?.0)
}

/// What the element at the front holds, if it is of this kind, and what comes after it.
fn content(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first()?;
    if *found != tag {
        return None;
    }
    // Long lengths have as many bytes as the first says (X.690 §8.1.3.5); no certificate needs more than four.
    let (length, rest) = match length {
        ..=0x7f => (usize::from(*length), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            let length = digits
                .iter()
                .fold(0, |sum, digit| sum << 8 | usize::from(*digit));
            (length, rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// `YYMMDDHHMMSSZ` until 2049, `YYYYMMDDHHMMSSZ` from then on (RFC 5280 §4.1.2.5).
fn time(tag: u8, text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?;
    let text = match tag {
        UTC_TIME if text.get(..2)? < "50" => format!("20{text}"),
        UTC_TIME => format!("19{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let at = DateTime::strptime("%Y%m%d%H%M%SZ", text).ok()?;
    let at = at.to_zoned(TimeZone::UTC).ok()?.timestamp();
    Some(Timestamp::from_millis(at.as_millisecond().try_into().ok()?))
}

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

#[cfg(test)]
mod tests {
    use super::*;

    fn made(year: i32, month: u8, day: u8) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, month, day);
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn the_end_of_a_certificate_is_read_in_both_of_its_forms() {
        for ((year, month, day), meant) in [
            ((2027, 3, 1), "2027-03-01T00:00:00.000Z"),
            ((2049, 12, 31), "2049-12-31T00:00:00.000Z"),
            ((2050, 1, 1), "2050-01-01T00:00:00.000Z"),
        ] {
            let end = end(&made(year, month, day)).unwrap();
            assert_eq!(end.to_string(), meant);
        }
    }

    #[test]
    fn what_is_cut_off_or_no_certificate_has_no_end() {
        let whole = made(2027, 3, 1);
        let until = whole
            .windows(2)
            .rposition(|it| it == [UTC_TIME, 13])
            .unwrap();
        for length in 0..until + 2 {
            assert_eq!(end(&whole[..length]), None, "{length} bytes");
        }
        for text in [
            &b""[..],
            b"\x30",
            b"\x30\x84\xff\xff\xff\xff",
            b"\x30\x80",
            b"hello",
        ] {
            assert_eq!(end(text), None);
        }
    }
}
