use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use lead::{Failure, FailureClass};
use queue::{LeadHandler, Message, Settlement};

/// The suffix of failure codes for credentials that an outside system has refused.
const REFUSED: &str = "_credentials_refused";

/// Records whether an outside system has refused our credentials since they were last read. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct RefusedCredentials(Arc<AtomicBool>);

impl RefusedCredentials {
    /// Records a failure. Returns whether credentials were refused.
    pub fn observe(&self, failure: &Failure) -> bool {
        let refused = failure.code.ends_with(REFUSED);
        if refused {
            self.0.store(true, Ordering::Relaxed);
        }
        refused
    }

    /// Wraps a handler so that its failures are recorded.
    ///
    /// A lead is never dead-lettered because of refused credentials. A permanent failure becomes a deferral,
    /// and consumption pauses until the credentials are replaced, which the janitor's probe notices.
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
        let mut done = self.handler.handle(message).await;
        if let Err(failure) = &mut done
            && self.refused.observe(failure)
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
            receipt: Receipt { key: "key".into(), token: "token".into() },
        };
        refused.observing(Arc::new(FailingHandler(failure))).handle(&message).await.unwrap_err()
    }

    #[tokio::test]
    async fn refused_credentials_defer_the_lead() {
        let refused = RefusedCredentials::default();
        let failure = Failure::permanent("crm_credentials_refused", "401").on(Dependency::new("crm.test"));
        let observed = handled(&refused, failure.clone()).await;
        assert_eq!(observed, Failure { class: FailureClass::Deferral, ..failure });
        assert!(refused.is_noted());
    }

    #[tokio::test]
    async fn other_failures_are_unchanged() {
        let refused = RefusedCredentials::default();
        let failure = Failure::permanent("crm_validation", "no last name");
        assert_eq!(handled(&refused, failure.clone()).await, failure);
        assert!(!refused.is_noted());
        let failure = Failure::transient("ai_credentials_refused", "401");
        assert_eq!(handled(&refused, failure.clone()).await, failure, "attempts or a fallback remain");
        assert!(refused.is_noted());
    }
}
