use std::fmt;

use serde::{Deserialize, Serialize};

/// The reason that a field is not written.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum LeftOut {
    /// The field has the value already.
    Unchanged,
    /// The rule is `if_empty`, and the field has a value.
    NotEmpty,
    /// The rule is `never_overwrite`, or the action only creates, and the record exists.
    RecordExists,
    /// The CRM has no such field, or it is not visible to us.
    NotInSchema,
    /// We have no permission to write the field.
    NotWritable,
    /// The value does not fit the field's type.
    WrongType,
    /// The picklist has no such value.
    NotInPicklist,
    /// The rule has an `order`, and the present value is later in it or not part of it.
    MovesBack,
    /// The rule has `values`, and the value is not among them.
    NotMapped,
    /// The record was not created by us, and the rule's `adopted` leaves the field to people.
    Adopted,
    /// The record was not created by us, and its score is higher.
    LowersScore,
    /// The record was not created by us, the person is a customer, and the judgement would be lower.
    Customer,
    /// The value is longer than the field, and a part of it would be a different value: an address, a number,
    /// an id.
    TooLong,
    /// The CRM refused the value, and accepted the record without it.
    Refused,
    /// The owner is inactive, and the CRM assigns no records to inactive users.
    OwnerInactive,
    /// The owner cannot own this kind of record: a queue, or an id that the CRM does not know.
    OwnerUnsuitable,
    /// The field depends on another field that has no value in the CRM, as a state depends on its country.
    PartnerMissing,
    /// People have deleted the record, and we do not create it again.
    RecordDeleted,
}

impl LeftOut {
    /// The reason as text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::NotEmpty => "not empty, and the rule is if_empty",
            Self::RecordExists => "the record exists, and the field is written only on creation",
            Self::NotInSchema => "the CRM has no such field, or does not show it to us",
            Self::NotWritable => "the CRM does not let us write it",
            Self::WrongType => "the value does not fit the field's type",
            Self::NotInPicklist => "the picklist has no such value",
            Self::MovesBack => "the present value is later in the order, or not part of it",
            Self::NotMapped => "the mapping has no value for it",
            Self::Adopted => "the record was not created by us, and people maintain the field",
            Self::LowersScore => "the record was not created by us, and has a higher score",
            Self::Customer => "the person is a customer, and the judgement would be lower",
            Self::TooLong => "longer than the field, and must not be cut",
            Self::Refused => "the CRM refused the value",
            Self::OwnerInactive => "the owner is inactive in the CRM",
            Self::OwnerUnsuitable => "the owner cannot own such a record in the CRM",
            Self::PartnerMissing => "the field it depends on is not written",
            Self::RecordDeleted => "people have deleted the record in the CRM",
        }
    }

    /// The reason's code, in JSON and in metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::NotEmpty => "not_empty",
            Self::RecordExists => "record_exists",
            Self::NotInSchema => "not_in_schema",
            Self::NotWritable => "not_writable",
            Self::WrongType => "wrong_type",
            Self::NotInPicklist => "not_in_picklist",
            Self::MovesBack => "moves_back",
            Self::NotMapped => "not_mapped",
            Self::Adopted => "adopted",
            Self::LowersScore => "lowers_score",
            Self::Customer => "customer",
            Self::TooLong => "too_long",
            Self::Refused => "refused",
            Self::OwnerInactive => "owner_inactive",
            Self::OwnerUnsuitable => "owner_unsuitable",
            Self::PartnerMissing => "partner_missing",
            Self::RecordDeleted => "record_deleted",
        }
    }

    /// Whether the omission is reported to people, because this value of this lead did not reach the CRM.
    /// Omissions by a rule of the mapping are expected. Fields that are missing for all leads are reported by
    /// [`Executor::schema_problems`](crate::Executor::schema_problems).
    pub fn is_reported(self) -> bool {
        matches!(
            self,
            Self::WrongType
                | Self::NotInPicklist
                | Self::TooLong
                | Self::Refused
                | Self::OwnerInactive
                | Self::OwnerUnsuitable
                | Self::PartnerMissing
                | Self::RecordDeleted
        )
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
