use std::sync::Arc;

use anyhow::{Context as _, ensure};
use crm::{
    AllowList, AutoAssign, CrmMode, Executor, Guard, GuardSettings, HubSpotCredentials, HubSpotCrm,
    HubSpotSettings, LimitSettings, Mapping, MockCrm, Salesforce, SalesforceCredentials, SalesforceSettings,
};
use database::Database;
use lead::Clock;
use store::{SharedLimits, Store};

use crate::config::{Config, CrmConfig, CrmProvider, HubSpotLogin, SalesforceConfig, SalesforceLogin};

/// The configured guard with its CRM executor.
pub(crate) fn guard(
    config: &Config,
    database: &Database,
    store: &Store,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Guard> {
    let mapping = Arc::new(mapping(&config.crm)?);
    let executor: Arc<dyn Executor> = match config.crm.provider {
        CrmProvider::Mock => {
            let crm = MockCrm::new(database.clone(), Arc::clone(clock));
            Arc::new(crm.with_mapping(Arc::clone(&mapping)))
        }
        CrmProvider::Salesforce => {
            let config = config.crm.salesforce.as_ref().context("SALESFORCE_URL: must be set")?;
            Arc::new(Salesforce::new(salesforce(config)?, Arc::clone(&mapping))?)
        }
        CrmProvider::HubSpot => Arc::new(hubspot(&config.crm, &mapping, clock)?),
    };
    let limits = LimitSettings {
        per_lead: config.crm.limits.per_lead,
        per_account: config.crm.limits.per_account,
        global: config.crm.limits.global,
        ..LimitSettings::default()
    };
    let settings = GuardSettings {
        allow: allow_list(&config.crm)?,
        keep_old_values: config.crm.keep_old_values,
        mode: match config.crm.mode {
            crate::CrmMode::Shadow => CrmMode::Shadow,
            crate::CrmMode::Live => CrmMode::Live,
        },
        mapping,
        ..GuardSettings::default()
    };
    Ok(Guard::new(
        executor,
        Arc::new(store.clone()),
        Arc::new(store.clone()),
        Arc::new(SharedLimits::new(store.clone(), limits)),
        Arc::clone(clock),
        settings,
    ))
}

/// The permitted actions and fields: from `CRM_ALLOW_FILE`, or the built-in list.
fn allow_list(config: &CrmConfig) -> anyhow::Result<AllowList> {
    let Some(file) = &config.allow_file else { return Ok(AllowList::default()) };
    let context = || format!("CRM_ALLOW_FILE: {}", file.display());
    let text = std::fs::read_to_string(file).with_context(context)?;
    AllowList::parse(&text).with_context(context)
}

/// The field mapping of the configured CRM: from `CRM_MAPPING_FILE`, or the built-in one.
///
/// # Errors
///
/// When the file cannot be read or is for another CRM. Names the file and the line.
pub fn mapping(config: &CrmConfig) -> anyhow::Result<Mapping> {
    let provider = match config.provider {
        CrmProvider::Mock => "mock",
        CrmProvider::Salesforce => "salesforce",
        CrmProvider::HubSpot => "hubspot",
    };
    let Some(file) = &config.mapping_file else {
        return Mapping::default_for(provider).with_context(|| format!("there is no mapping for {provider}"));
    };
    let context = || format!("CRM_MAPPING_FILE: {}", file.display());
    let text = std::fs::read_to_string(file).with_context(context)?;
    let mapping = Mapping::parse(&text).with_context(context)?;
    ensure!(
        mapping.crm() == provider,
        "{}: it is for `{}`, and CRM_PROVIDER is {provider}",
        context(),
        mapping.crm()
    );
    Ok(mapping)
}

/// The configured HubSpot client. Also used for HubSpot-specific operations, see `revenueflow crm setup`.
///
/// # Errors
///
/// When `CRM_PROVIDER` is not hubspot or `HUBSPOT_BASE_URL` is not a URL.
pub fn hubspot(
    config: &CrmConfig,
    mapping: &Arc<Mapping>,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<HubSpotCrm> {
    let config = config.hubspot.as_ref().context("CRM_PROVIDER: is not hubspot")?;
    let credentials = match &config.login {
        HubSpotLogin::Token(token) => HubSpotCredentials::PrivateApp(token.clone()),
        HubSpotLogin::OAuth { client_id, client_secret, refresh_token } => HubSpotCredentials::OAuth {
            client_id: client_id.clone(),
            client_secret: client_secret.clone(),
            refresh_token: refresh_token.clone(),
        },
    };
    let settings = HubSpotSettings {
        base_url: config.base_url.parse().context("HUBSPOT_BASE_URL: is not a valid URL")?,
        version: config.api_version.clone(),
        credentials,
    };
    Ok(HubSpotCrm::new(settings, Arc::clone(mapping), Arc::clone(clock))?)
}

fn salesforce(config: &SalesforceConfig) -> anyhow::Result<SalesforceSettings> {
    let client_id = config.client_id.clone();
    let credentials = match &config.login {
        SalesforceLogin::Secret(secret) => {
            SalesforceCredentials::ClientSecret { client_id, client_secret: secret.clone() }
        }
        SalesforceLogin::Jwt { username, private_key, audience } => SalesforceCredentials::Jwt {
            client_id,
            username: username.clone(),
            private_key: private_key.clone(),
            audience: audience.clone(),
        },
    };
    let url = config.url.parse().context("SALESFORCE_URL: is not a valid URL")?;
    Ok(SalesforceSettings {
        api_version: config.api_version.clone(),
        auto_assign: match config.auto_assign.to_ascii_lowercase().as_str() {
            "false" => AutoAssign::Never,
            "true" => AutoAssign::ActiveRule,
            _ => AutoAssign::Rule(config.auto_assign.clone()),
        },
        allow_duplicates: config.allow_duplicates,
        usage_percent: config.usage_percent,
        convert_path: config.convert_path.clone(),
        ..SalesforceSettings::new(url, credentials)
    })
}
