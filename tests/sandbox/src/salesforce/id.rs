const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const CHECK: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";

/// A record id of 18 characters: a prefix of three for the object, twelve that count, and a checksum of three
/// for the case.
pub(super) fn record_id(prefix: &str, mut number: u64) -> String {
    let mut count = *b"000000000000";
    for digit in count.iter_mut().rev() {
        *digit = DIGITS[usize::try_from(number % 62).unwrap_or_default()];
        number /= 62;
    }
    let short: String = prefix.chars().chain(count.iter().copied().map(char::from)).collect();
    format!("{short}{}", suffix(&short))
}

/// The 18-character form of an id of 15 or 18 characters. None if the text is not an id.
pub(super) fn long_id(text: &str) -> Option<String> {
    let is_id = matches!(text.len(), 15 | 18) && text.bytes().all(|b| b.is_ascii_alphanumeric());
    is_id.then(|| format!("{}{}", &text[..15], suffix(&text[..15])))
}

fn suffix(short: &str) -> String {
    let bits = |part: &[u8]| {
        let upper = |(index, byte): (usize, &u8)| usize::from(byte.is_ascii_uppercase()) << index;
        part.iter().enumerate().map(upper).sum::<usize>()
    };
    short.as_bytes().chunks(5).map(|part| char::from(CHECK[bits(part)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_15_characters_is_extended_to_18() {
        // The example of Salesforce's checksum documentation.
        assert_eq!(long_id("001A0000006Vm9u").as_deref(), Some("001A0000006Vm9uIAC"));
        let id = record_id("00Q", 61 * 62 + 10);
        assert_eq!((&id[..15], long_id(&id[..15]).as_deref()), ("00Q0000000000zA", Some(id.as_str())));
        assert_eq!(long_id("RevenueFlow_Id__c"), None);
    }
}
