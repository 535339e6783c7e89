//! The Lua scripts that move jobs. Each is atomic and works on BullMQ's own data.

use bullmq::QueueKeys;
use redis::{Script, ScriptInvocation};

use super::{DEAD_LETTERS, QUEUE};

/// The key prefixes of BullMQ and of this crate.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    pub(super) queue: String,
    pub(super) dead_letters: String,
    ours: String,
    /// The connection name by which BullMQ recognizes a worker.
    pub(super) client_name: String,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        let queue = QueueKeys::new(QUEUE, Some(prefix));
        Self {
            ours: format!("{}-revenueflow:", queue.base()),
            client_name: queue.client_name(":w:revenueflow"),
            queue: queue.key_prefix(),
            dead_letters: QueueKeys::new(DEAD_LETTERS, Some(prefix)).key_prefix(),
        }
    }
}

macro_rules! scripts {
    ($($name:ident: $($part:literal)*;)*) => {
        /// All scripts, ready to be called by their hash.
        pub(super) struct Scripts {
            keys: Keys,
            $($name: Script,)*
        }

        impl Scripts {
            pub(super) fn new(keys: Keys) -> Self {
                $(let $name = Script::new(concat!(
                    include_str!("lua/parts/base.lua"),
                    $(include_str!(concat!("lua/parts/", $part, ".lua")),)*
                    include_str!(concat!("lua/", stringify!($name), ".lua")),
                ));)*
                Self { keys, $($name,)* }
            }

            $(
                /// The script of that name, with the arguments that all scripts take.
                pub(super) fn $name(&self) -> ScriptInvocation<'_> {
                    let mut invocation = self.$name.prepare_invoke();
                    invocation.arg(&self.keys.queue).arg(&self.keys.ours);
                    invocation
                }
            )*
        }
    };
}

scripts! {
    release: "states" "leases" "errors";
    dead_letter: "states" "order" "leases" "errors" "dead_letters" "alias";
    claim: "states" "order" "leases" "alias";
    depth: "states";
    complete: "states" "order" "leases" "retention" "alias";
    extend: ;
    after_handover: "states" "order" "retention" "dead_letters" "alias";
    forget: "states" "order" "dead_letters";
    prioritize: "states" "order";
    pause: "states";
    pauses: "states";
    receive: "states" "order";
    recover: "states";
    redrive: "states" "order" "dead_letters" "alias" "add";
    restore: "states" "order" "dead_letters" "alias" "add";
    remove_dead_letters: "dead_letters";
    resume: "states";
    retried: ;
    send: "states" "order" "dead_letters" "alias" "add";
}
