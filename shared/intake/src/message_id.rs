/// The signed id of a message, equal in every retry of a delivery. It has 1 to [`Self::MAX_CHARS`] printable
/// ASCII characters without a dot. The signed content is `id.timestamp.body`: an id with a dot would allow an
/// attacker to pass off parts of a signed body as the id and the timestamp of another message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MessageId(String);

impl MessageId {
    /// The longest id accepted, in characters.
    pub const MAX_CHARS: usize = 128;

    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let is_sound = (1..=Self::MAX_CHARS).contains(&bytes.len())
            && bytes.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'.');
        if is_sound { std::str::from_utf8(bytes).ok().map(|id| Self(id.to_owned())) } else { None }
    }

    /// The id as signed.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
