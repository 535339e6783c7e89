//! The scripts that move jobs, each atomic, over BullMQ's own data.

use bullmq::QueueKeys;
use redis::{Script, ScriptInvocation};

use super::{DEAD_LETTERS, QUEUE};

/// What BullMQ's keys and ours start with.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    pub(super) queue: String,
    pub(super) dead_letters: String,
    ours: String,
    /// By this name of its connections BullMQ knows a worker.
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
        /// All of them, ready to be sent by their hash.
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
                /// The script of that name, with the arguments that all of them take.
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
    again: "moves" "leases" "errors";
    bury: "moves" "order" "leases" "errors" "letters" "alias";
    claim: "moves" "order" "leases" "alias";
    depth: "moves";
    done: "moves" "order" "leases" "keep" "alias";
    extend: ;
    finished: "moves" "order" "keep" "letters" "alias";
    forget: "moves" "order" "letters";
    hasten: "moves" "order";
    pause: "moves";
    pauses: "moves";
    receive: "moves" "order";
    recover: "moves";
    redrive: "moves" "order" "letters" "alias" "add";
    restore: "moves" "order" "letters" "alias" "add";
    resume: "moves";
    retried: ;
    send: "moves" "order" "letters" "alias" "add";
}
