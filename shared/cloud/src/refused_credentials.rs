use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use lead::{Cause, Failure};
use queue::{LeadHandler, Message, Settlement};

/// Records whether an outside system has refused our credentials since they were last read. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct RefusedCredentials(Arc<AtomicBool>);

impl RefusedCredentials {
    /// Records a failure.
    pub fn observe(&self, failure: &Failure) {
        if failure.cause == Cause::CredentialsRefused {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// Wraps a handler so that its failures are recorded.
    pub fn observing(&self, handler: Arc<dyn LeadHandler>) -> Arc<dyn LeadHandler> {
        Arc::new(ObservingHandler { handler, refused: self.clone() })
    }

    pub(crate) fn is_noted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn forget(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

struct ObservingHandler {
    handler: Arc<dyn LeadHandler>,
    refused: RefusedCredentials,
}

#[async_trait]
impl LeadHandler for ObservingHandler {
    async fn handle(&self, message: &Message) -> Result<(), Failure> {
        self.handler.handle(message).await.inspect_err(|failure| self.refused.observe(failure))
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

    struct FailingHandler(Failure);

    #[async_trait]
    impl LeadHandler for FailingHandler {
        async fn handle(&self, _: &Message) -> Result<(), Failure> {
            Err(self.0.clone())
        }

        async fn record(&self, _: &Message, _: &Settlement) -> Result<(), Failure> {
            Ok(())
        }
    }

    async fn handled(refused: &RefusedCredentials, failure: Failure) -> Failure {
        let message = Message {
            id: "id".into(),
            group: "group".into(),
            body: "{}".into(),
            attempt: 1,
            losses: 0,
            sent_at: Timestamp::UNIX_EPOCH,
            redriven: false,
            removed: queue::Removed::default(),
            receipt: Receipt { key: "key".into(), token: "token".into() },
        };
        refused.observing(Arc::new(FailingHandler(failure))).handle(&message).await.unwrap_err()
    }

    #[tokio::test]
    async fn only_refused_credentials_are_noted() {
        let refused = RefusedCredentials::default();
        let invalid = Failure::permanent("crm_validation", "no last name");
        assert_eq!(handled(&refused, invalid.clone()).await, invalid);
        assert!(!refused.is_noted());
        let failure = Failure::deferral(Dependency::new("crm.test"), "crm_credentials_refused", "401", None)
            .because(Cause::CredentialsRefused);
        assert_eq!(handled(&refused, failure.clone()).await, failure);
        assert!(refused.is_noted());
    }
}
