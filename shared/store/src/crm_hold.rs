use std::collections::HashMap;

use database::Connection;
use jiff::Timestamp;
use lead::Actor;
use serde::Serialize;
use serde_json::json;
use sqlx::any::AnyRow;

use crate::acts::{self, ActKind};
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
    pub async fn hold_crm(&self, actor: &Actor, provider: &str, reason: &str) -> Result<()> {
        let (now, mut transaction) = (self.now_millis(), self.database.begin().await?);
        let query = sqlx::query(
            "INSERT INTO crm_hold (provider, reason, since) VALUES ($1, $2, $3) ON CONFLICT (provider) DO NOTHING",
        );
        let held = query.bind(provider).bind(reason).bind(now).execute(&mut *transaction).await?;
        if held.rows_affected() == 1 {
            let detail = json!({ "provider": provider, "reason": reason });
            acts::append(&mut transaction, actor, now, ActKind::CrmHeld, &detail).await?;
        }
        transaction.commit().await
    }

    /// Ends [`hold_crm`](Self::hold_crm). False if the CRM was not on hold.
    pub async fn unhold_crm(&self, actor: &Actor, provider: &str) -> Result<bool> {
        let query = sqlx::query("DELETE FROM crm_hold WHERE provider = $1");
        let mut transaction = self.database.begin().await?;
        let was_held = query.bind(provider).execute(&mut *transaction).await?.rows_affected() == 1;
        if was_held {
            let (now, detail) = (self.now_millis(), json!({ "provider": provider }));
            acts::append(&mut transaction, actor, now, ActKind::CrmResumed, &detail).await?;
        }
        transaction.commit().await?;
        Ok(was_held)
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
