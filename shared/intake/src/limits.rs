//! Limits on webhook bodies.

/// The largest body accepted, in bytes.
pub const MAX_BODY_BYTES: usize = 256 * 1024;

/// Maximum depth of objects and lists that are kept. The body itself has depth 1. Deeper values are dropped.
pub const MAX_DEPTH: usize = 8;

/// Maximum depth of objects and lists in a body. A body with deeper nesting is rejected.
pub const MAX_BODY_DEPTH: usize = 64;

/// Maximum number of names (object members, form fields) in a body, over all levels but outside lists. A body
/// with more is rejected.
pub const MAX_FIELDS: usize = 512;

/// Maximum number of list items, and of members of objects inside lists, in a body. Further ones are dropped.
pub const MAX_ITEMS: usize = 512;

/// The longest field name kept, in characters. Longer ones are cut.
pub const MAX_KEY_CHARS: usize = 128;

/// The longest `name`, `first_name`, `last_name`, `company` or `title` kept, in characters. Longer ones are
/// cut.
pub const MAX_LINE_CHARS: usize = 255;

/// The longest `phone`, in characters. A longer one is dropped.
pub const MAX_PHONE_CHARS: usize = 64;

/// The longest text kept inside `marketo`, `product`, `salesforce` and unknown fields, in characters. Longer
/// ones are cut.
pub const MAX_TEXT_CHARS: usize = 8192;

/// Maximum number of field notes for a body. Further notes are dropped.
pub const MAX_NOTES: usize = lead::FieldNote::MAX_NOTES;
