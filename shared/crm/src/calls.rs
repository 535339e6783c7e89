use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lead::LeadId;

use crate::gate::Pass;

/// How many dropped calls are remembered that are never asked about: a worker drops calls too, when a lease is lost.
const KEPT: usize = 1_024;

/// Calls to the CRM that were dropped before their answer came, because the time of their work was over.
#[derive(Default)]
pub(crate) struct Calls(Mutex<HashMap<LeadId, Pass>>);

impl Calls {
    /// Awaits a call made for a lead under a pass.
    pub(crate) async fn during<T>(&self, lead: &LeadId, pass: Pass, call: impl Future<Output = T>) -> T {
        self.dropped().remove(lead);
        let mut under_way = UnderWay { calls: self, lead, pass: Some(pass) };
        let answer = call.await;
        under_way.pass = None;
        answer
    }

    /// The pass of the lead's last call, where that was dropped; once.
    pub(crate) fn take_dropped(&self, lead: &LeadId) -> Option<Pass> {
        self.dropped().remove(lead)
    }

    fn dropped(&self) -> MutexGuard<'_, HashMap<LeadId, Pass>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct UnderWay<'a> {
    calls: &'a Calls,
    lead: &'a LeadId,
    pass: Option<Pass>,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some(pass) = self.pass {
            let mut dropped = self.calls.dropped();
            if dropped.len() >= KEPT {
                dropped.clear();
            }
            dropped.insert(self.lead.clone(), pass);
        }
    }
}
