use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::{FieldPath, Namespace};

/// The origin of a fact. The namespace does not determine it: a sender may also write below `salesforce`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The sender of the lead, with its name if known.
    Sent(Option<String>),
    /// The CRM, read by the pipeline.
    Crm,
    /// An enrichment provider, with its name if known.
    Provider(Option<String>),
    /// The ideal customer profile.
    Computed,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sent(None) => f.write_str("sent"),
            Self::Sent(Some(name)) => write!(f, "sent by {name}"),
            Self::Crm => f.write_str("crm"),
            Self::Provider(None) => f.write_str("enrichment"),
            Self::Provider(Some(name)) => f.write_str(name),
            Self::Computed => f.write_str("computed"),
        }
    }
}

/// The origins of the facts of one sheet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    /// The fields below `salesforce` that were read from the CRM. All others there come from the sender.
    pub crm: BTreeSet<String>,
    /// The sender's name.
    pub sender: Option<String>,
    /// The provider of each field below `enrichment`.
    pub providers: BTreeMap<String, String>,
}

impl Origins {
    /// The origin of the fact at a path.
    pub fn of(&self, path: &FieldPath) -> Origin {
        let field = path.within_namespace().split('.').next().unwrap_or_default();
        match path.namespace() {
            Namespace::Salesforce if self.crm.contains(field) => Origin::Crm,
            Namespace::Salesforce | Namespace::Marketo | Namespace::Product => {
                Origin::Sent(self.sender.clone())
            }
            Namespace::Enrichment => Origin::Provider(self.providers.get(field).cloned()),
            Namespace::Computed => Origin::Computed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn salesforce_facts_come_from_the_sender_unless_read() {
        let path = FieldPath::parse("salesforce.deal_stage").unwrap();
        assert_eq!(Origins::default().of(&path).to_string(), "sent");
        let named = Origins { sender: Some("forms".into()), ..Origins::default() };
        assert_eq!(named.of(&path).to_string(), "sent by forms");
        let read = Origins { crm: BTreeSet::from(["deal_stage".to_owned()]), ..named };
        assert_eq!(read.of(&path).to_string(), "crm");
        for other in ["salesforce.Deal_Stage", "salesforce.deal stage", "salesforce.deal_stages"] {
            assert_eq!(read.of(&FieldPath::parse(other).unwrap()).to_string(), "sent by forms", "{other}");
        }
    }

    #[test]
    fn company_fact_names_its_provider() {
        let providers = BTreeMap::from([("employee_range".to_owned(), "apollo".to_owned())]);
        let origins = Origins { providers, ..Origins::default() };
        let of = |path: &str| origins.of(&FieldPath::parse(path).unwrap()).to_string();
        assert_eq!(of("enrichment.employee_range.min"), "apollo");
        assert_eq!(of("enrichment.industry"), "enrichment");
        assert_eq!(of("computed.baseline_score"), "computed");
        assert_eq!(of("product.plan"), "sent");
    }
}
