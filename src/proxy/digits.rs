//! Numbers as text, without the machinery of `format!`: every request has some.

/// Adds a number in base 10 or 16, without leading zeros.
pub(crate) fn write<const BASE: u64>(out: &mut Vec<u8>, mut number: u64) {
    let mut text = [0; 20];
    let mut length = 0;
    for place in text.iter_mut().rev() {
        let digit = u8::try_from(number % BASE).unwrap_or_default();
        *place = if digit < 10 {
            b'0' + digit
        } else {
            b'a' + digit - 10
        };
        length += 1;
        number /= BASE;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(text.get(text.len() - length..).unwrap_or_default());
}

/// The two hexadecimal digits of a byte.
pub(crate) fn pair(byte: u8) -> [u8; 2] {
    PAIRS.get(usize::from(byte)).copied().unwrap_or_default()
}

/// The sixteen hexadecimal digits of a number.
pub(crate) fn sixteen(number: u64) -> [u8; 16] {
    let mut text = [0; 16];
    for (two, byte) in text.as_chunks_mut().0.iter_mut().zip(number.to_be_bytes()) {
        *two = pair(byte);
    }
    text
}

static PAIRS: [[u8; 2]; 256] = pairs();

#[expect(clippy::indexing_slicing, reason = "worked out by the compiler")]
const fn pairs() -> [[u8; 2]; 256] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < pairs.len() {
        pairs[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
        byte += 1;
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_written_as_format_writes_it() {
        for byte in 0..=u8::MAX {
            assert_eq!(pair(byte), *format!("{byte:02x}").as_bytes());
        }
        for number in [0, 1, 9, 10, 0x0123_4567_89ab_cdef, u64::MAX] {
            let (mut decimal, mut hexadecimal) = (Vec::new(), Vec::new());
            write::<10>(&mut decimal, number);
            write::<16>(&mut hexadecimal, number);
            assert_eq!(decimal, format!("{number}").as_bytes());
            assert_eq!(hexadecimal, format!("{number:x}").as_bytes());
            assert_eq!(sixteen(number), *format!("{number:016x}").as_bytes());
        }
    }
}
