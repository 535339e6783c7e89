use crate::{Connection, DatabaseError, Rows};

/// The rows that a table holds of each lead. The crate that owns the table declares them, and erasure
/// and retention delete them.
#[derive(Clone, Copy, Debug)]
pub struct LeadRows {
    /// The table.
    pub table: &'static str,
    /// The column that identifies the rows of a lead.
    pub column: &'static str,
    /// The ids in that column.
    pub holds: IdOfLead,
}

/// The ids by which a row may belong to a lead.
#[derive(Clone, Copy, Debug)]
pub enum IdOfLead {
    /// The id of the lead.
    Lead,
    /// The id of one of its deliveries.
    Delivery,
    /// The external id of one of its CRM records: the id of the lead or of one of its actions.
    Record,
}

impl LeadRows {
    /// The rows of a table with the lead's id in a column.
    pub const fn by_lead(table: &'static str, column: &'static str) -> Self {
        Self { table, column, holds: IdOfLead::Lead }
    }
}

impl LeadRows {
    /// The condition that a row belongs to lead `$1`.
    pub fn condition(&self) -> String {
        let column = self.column;
        match self.holds {
            IdOfLead::Lead => format!("{column} = $1"),
            IdOfLead::Delivery => {
                format!("{column} IN (SELECT delivery_id FROM delivery WHERE lead_id = $1)")
            }
            IdOfLead::Record => {
                format!("{column} = $1 OR {column} IN (SELECT action_id FROM crm_action WHERE lead_id = $1)")
            }
        }
    }

    /// Deletes the rows of several leads; `leads` has one column, `lead_id`. Rows that belong to a lead
    /// through its deliveries or actions are found by them, so these tables come first.
    pub async fn delete(&self, connection: &mut Connection, leads: &Rows<1>) -> Result<u64, DatabaseError> {
        let Self { table, column, holds } = self;
        let ids = match holds {
            IdOfLead::Lead => "SELECT lead_id FROM given",
            IdOfLead::Delivery => {
                "SELECT d.delivery_id FROM given JOIN delivery d ON d.lead_id = given.lead_id"
            }
            IdOfLead::Record => {
                "SELECT lead_id FROM given UNION ALL \
                 SELECT a.action_id FROM given JOIN crm_action a ON a.lead_id = given.lead_id"
            }
        };
        let statement = format!("DELETE FROM {table} WHERE {column} IN ({ids})"); // of constants
        leads.clone().execute_composed(connection, &statement).await
    }
}
