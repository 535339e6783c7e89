use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use lead::{Failure, FailureClass};
use queue::{LeadHandler, Message, Settlement};

/// How the code of a failure ends when an outside system has refused our credentials.
const REFUSED: &str = "_credentials_refused";

/// Whether an outside system has refused our credentials since they were last read. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Refused(Arc<AtomicBool>);

impl Refused {
    /// Takes note of a failure. Says whether credentials were refused.
    pub fn heed(&self, failure: &Failure) -> bool {
        let refused = failure.code.ends_with(REFUSED);
        if refused {
            self.0.store(true, Ordering::Relaxed);
        }
        refused
    }

    /// The same handler, whose failures are taken note of.
    ///
    /// A lead is not given up because of credentials: where that would be the end of it, it waits, and consumption
    /// with it, until they have been replaced. The janitor asks.
    pub fn heeding(&self, handler: Arc<dyn LeadHandler>) -> Arc<dyn LeadHandler> {
        Arc::new(Heeding { handler, refused: self.clone() })
    }

    pub(crate) fn is_noted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn forget(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

struct Heeding {
    handler: Arc<dyn LeadHandler>,
    refused: Refused,
}

#[async_trait]
impl LeadHandler for Heeding {
    async fn handle(&self, message: &Message) -> Result<(), Failure> {
        let mut done = self.handler.handle(message).await;
        if let Err(failure) = &mut done
            && self.refused.heed(failure)
            && failure.class == FailureClass::Permanent
        {
            failure.class = FailureClass::Deferral;
        }
        done
    }

    async fn attempt(&self, message: &Message, failure: &Failure) -> Result<u32, Failure> {
        self.handler.attempt(message, failure).await
    }

    async fn interrupted(&self, message: &Message) -> Failure {
        self.handler.interrupted(message).await
    }

    async fn record(&self, message: &Message, settlement: &Settlement) -> Result<(), Failure> {
        self.handler.record(message, settlement).await
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use lead::Dependency;
    use queue::Receipt;

    use super::*;

    struct Fails(Failure);

    #[async_trait]
    impl LeadHandler for Fails {
        async fn handle(&self, _: &Message) -> Result<(), Failure> {
            Err(self.0.clone())
        }

        async fn record(&self, _: &Message, _: &Settlement) -> Result<(), Failure> {
            Ok(())
        }
    }

    async fn handled(refused: &Refused, failure: Failure) -> Failure {
        let message = Message {
            id: "id".into(),
            group: "group".into(),
            body: "{}".into(),
            attempt: 1,
            losses: 0,
            sent_at: Timestamp::UNIX_EPOCH,
            redriven: false,
            receipt: Receipt { key: "key".into(), token: "token".into() },
        };
        refused.heeding(Arc::new(Fails(failure))).handle(&message).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_lead_waits_for_new_credentials_instead_of_being_given_up() {
        let refused = Refused::default();
        let failure = Failure::permanent("crm_credentials_refused", "401").on(Dependency::new("crm.test"));
        let heeded = handled(&refused, failure.clone()).await;
        assert_eq!(heeded, Failure { class: FailureClass::Deferral, ..failure });
        assert!(refused.is_noted());
    }

    #[tokio::test]
    async fn other_failures_stay_what_they_are() {
        let refused = Refused::default();
        let failure = Failure::permanent("crm_validation", "no last name");
        assert_eq!(handled(&refused, failure.clone()).await, failure);
        assert!(!refused.is_noted());
        let failure = Failure::transient("ai_credentials_refused", "401");
        assert_eq!(handled(&refused, failure.clone()).await, failure, "it has attempts left, or a fallback");
        assert!(refused.is_noted());
    }
}
