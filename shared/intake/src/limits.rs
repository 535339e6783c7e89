/// The largest body accepted, in bytes.
pub const MAX_BODY_BYTES: usize = 256 * 1024;

/// How deep objects and lists may be nested; the body itself is the first level.
pub const MAX_DEPTH: usize = 8;

/// How many object members and list items a body may hold, over all levels.
pub const MAX_FIELDS: usize = 512;

/// The longest field name, in characters.
pub const MAX_KEY_CHARS: usize = 128;

/// The longest `name`, `first_name`, `last_name`, `company` or `title`, in characters.
pub const MAX_LINE_CHARS: usize = 255;

/// The longest `phone`, in characters.
pub const MAX_PHONE_CHARS: usize = 64;

/// The longest text inside `marketo`, `product`, `salesforce` and unknown fields, in characters.
pub const MAX_TEXT_CHARS: usize = 8192;
