/// The rows that a table holds of each lead. The crate that owns the table declares them, and an erasure
/// deletes them.
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
