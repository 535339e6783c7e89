use std::collections::HashMap;

use database::Connection;
use jiff::Timestamp;
use serde::Serialize;
use sqlx::any::AnyRow;

use crate::codec::Columns as _;
use crate::{Result, Store};

/// A hold on a CRM by an operator: plans are only shadowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CrmHold {
    /// The operator's reason.
    pub reason: String,
    /// When the hold began.
    pub since: Timestamp,
}

impl Store {
    /// Puts a CRM on hold: every process only shadows it from now on, whatever `CRM_MODE` says. Idempotent;
    /// an existing hold keeps its reason and time.
    pub async fn hold_crm(&self, provider: &str, reason: &str) -> Result<()> {
        let query = sqlx::query(
            "INSERT INTO crm_hold (provider, reason, since) VALUES ($1, $2, $3) ON CONFLICT (provider) DO NOTHING",
        );
        self.execute(query.bind(provider).bind(reason).bind(self.now_millis())).await?;
        Ok(())
    }

    /// Ends [`hold_crm`](Self::hold_crm). False if the CRM was not on hold.
    pub async fn unhold_crm(&self, provider: &str) -> Result<bool> {
        let query = sqlx::query("DELETE FROM crm_hold WHERE provider = $1");
        Ok(self.execute(query.bind(provider)).await? == 1)
    }

    /// The hold on a CRM; none if it is not on hold.
    pub async fn crm_hold(&self, provider: &str) -> Result<Option<CrmHold>> {
        let mut connection = self.database.pool().acquire().await?;
        Ok(crm_holds(&mut connection).await?.remove(provider))
    }
}

/// The holds, by CRM.
pub(crate) async fn crm_holds(connection: &mut Connection) -> Result<HashMap<String, CrmHold>> {
    let rows = sqlx::query("SELECT provider, reason, since FROM crm_hold").fetch_all(connection).await?;
    let hold = |row: &AnyRow| {
        let hold = CrmHold { reason: row.text("reason")?, since: row.time("since")? };
        Ok((row.text("provider")?, hold))
    };
    rows.iter().map(hold).collect()
}
