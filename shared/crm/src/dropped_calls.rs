use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lead::LeadId;

use crate::circuit_breaker::CrmPermit;

/// The most dropped calls to remember. Some are never taken, since a worker also drops calls when it loses a
/// lease.
const MAX_REMEMBERED: usize = 1_024;

/// CRM calls that were dropped before their answer arrived, because the time for the lead's work was over.
#[derive(Default)]
pub(crate) struct DroppedCalls(Mutex<HashMap<LeadId, CrmPermit>>);

impl DroppedCalls {
    /// Awaits a call made for a lead under a permit, and remembers it if it is dropped.
    pub(crate) async fn track<T>(
        &self,
        lead: &LeadId,
        permit: CrmPermit,
        call: impl Future<Output = T>,
    ) -> T {
        self.lock().remove(lead);
        let mut in_flight = InFlightCall { calls: self, lead, permit: Some(permit) };
        let answer = call.await;
        in_flight.permit = None;
        answer
    }

    /// Removes and returns the permit of the lead's last call, if that call was dropped.
    pub(crate) fn take(&self, lead: &LeadId) -> Option<CrmPermit> {
        self.lock().remove(lead)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<LeadId, CrmPermit>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct InFlightCall<'a> {
    calls: &'a DroppedCalls,
    lead: &'a LeadId,
    permit: Option<CrmPermit>,
}

impl Drop for InFlightCall<'_> {
    fn drop(&mut self) {
        if let Some(permit) = self.permit {
            let mut dropped = self.calls.lock();
            if dropped.len() >= MAX_REMEMBERED {
                dropped.clear();
            }
            dropped.insert(self.lead.clone(), permit);
        }
    }
}
