//! The credentials of operators, from the secrets of the stage.

use std::sync::{Mutex, PoisonError};

use cloud::Cloud;
use operators::{Credentials, Operators, TokenHash};
use runtime::Variables;
use secrecy::{ExposeSecret as _, SecretString};

/// The texts of the secrets.
pub(crate) struct OperatorSecrets {
    admin: SecretString,
    operators: SecretString,
}

impl OperatorSecrets {
    /// Reads `ADMIN_TOKEN`, or the secret of `ADMIN_TOKEN_ARN`, and the secret of `OPERATORS_ARN`, which has
    /// the format of `OPERATORS_FILE`. Behind a gateway there is no loopback-only mode.
    pub(crate) async fn read(cloud: &Cloud, force_refresh: bool) -> anyhow::Result<Self> {
        let secret = async |arn: &str| {
            let secret = if force_refresh {
                cloud.secrets().force_refresh(arn).await?
            } else {
                cloud.secrets().get(arn).await?
            };
            anyhow::Ok(SecretString::from(secret.expose_secret().trim()))
        };
        let (admin, arn) = {
            let variables = Variables::of_process();
            (variables.secret("ADMIN_TOKEN"), variables.text("OPERATORS_ARN"))
        };
        let admin = match admin {
            Some(token) => token,
            None => secret(&cloud.variable("ADMIN_TOKEN_ARN")?).await?,
        };
        let operators = match arn {
            Some(arn) => secret(&arn).await?,
            None => SecretString::default(),
        };
        Ok(Self { admin, operators })
    }
}

impl PartialEq for OperatorSecrets {
    fn eq(&self, other: &Self) -> bool {
        let texts =
            |secrets: &Self| [&secrets.admin, &secrets.operators].map(|text| text.expose_secret().to_owned());
        texts(self) == texts(other)
    }
}

/// The operators of the last valid secret, and the hash of the last text, so that each text is parsed and
/// reported once.
#[derive(Default)]
pub(crate) struct OperatorsInForce(Mutex<(Option<TokenHash>, Operators)>);

impl OperatorsInForce {
    /// The credentials that the secrets describe. If the operators have a mistake, the former ones stay in
    /// force; a new process has none of them, and only the admin token is valid.
    pub(crate) fn credentials(&self, secrets: &OperatorSecrets) -> Credentials {
        let text = secrets.operators.expose_secret();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = state.0.replace(TokenHash::of(text));
        if seen != state.0 {
            match Operators::parse(text) {
                Ok(operators) => state.1 = operators,
                Err(mistake) => tracing::error!(
                    error = %mistake,
                    hint = mistake.hint,
                    "operators not read; the former operators stay in force"
                ),
            }
        }
        Credentials::new(Some(&secrets.admin), Some(state.1.clone()))
    }
}
