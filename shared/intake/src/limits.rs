/// The largest body accepted, in bytes.
pub const MAX_BODY_BYTES: usize = 256 * 1024;

/// How deep objects and lists are kept; the body itself is the first level. Deeper ones are dropped.
pub const MAX_DEPTH: usize = 8;

/// How deep objects and lists may be nested at all. A deeper body is refused.
pub const MAX_BODY_DEPTH: usize = 64;

/// How many names (object members, form fields) a body may hold, over all levels but not inside lists.
pub const MAX_FIELDS: usize = 512;

/// How many list items, and members of objects inside lists, are kept of a body. Further ones are dropped.
pub const MAX_ITEMS: usize = 512;

/// The longest field name kept, in characters. Longer ones are cut.
pub const MAX_KEY_CHARS: usize = 128;

/// The longest `name`, `first_name`, `last_name`, `company` or `title` kept, in characters. Longer ones are cut.
pub const MAX_LINE_CHARS: usize = 255;

/// The longest `phone`, in characters. A longer one is dropped.
pub const MAX_PHONE_CHARS: usize = 64;

/// The longest text kept inside `marketo`, `product`, `salesforce` and unknown fields, in characters. Longer ones are cut.
pub const MAX_TEXT_CHARS: usize = 8192;

/// How many notes on fields are kept of a body.
pub const MAX_NOTES: usize = lead::FieldNote::MAX_NOTES;
