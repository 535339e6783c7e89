use ::operators::{Credentials, FileError, OperatorName, Operators, OperatorsFile};
use secrecy::ExposeSecret as _;

use crate::Config;

/// The operators cannot be used. Displays as one line.
#[derive(Debug, thiserror::Error)]
pub enum OperatorsError {
    /// The file cannot be read or has a mistake.
    #[error(transparent)]
    File(#[from] FileError),
    /// An operator has a token that is configured for another purpose.
    #[error("OPERATORS_FILE: a token of {name} is {variable} too")]
    Shared {
        /// The operator.
        name: OperatorName,
        /// The variable with the same token.
        variable: &'static str,
    },
}

impl OperatorsError {
    /// The remedy.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::File(error) => error.hint(),
            Self::Shared { .. } => "`revenueflow operators rotate NAME` draws another token",
        }
    }
}

/// The credentials of operators, from `ADMIN_TOKEN` and `OPERATORS_FILE`, and the file to look at for
/// changes.
///
/// # Errors
///
/// When the file has a mistake, or an operator has the token of a sender of leads.
pub fn credentials(config: &Config) -> Result<(Credentials, Option<OperatorsFile>), OperatorsError> {
    let (file, operators) = match &config.operators_file {
        None => (None, None),
        Some(file) => {
            let (file, operators) = OperatorsFile::open(file.path())?;
            check_distinct(config, &operators)?;
            (Some(file), Some(operators))
        }
    };
    Ok((Credentials::new(config.admin_token.as_ref(), operators), file))
}

fn check_distinct(config: &Config, operators: &Operators) -> Result<(), OperatorsError> {
    let webhook =
        config.webhook_secrets().map(|secret| (secret, "a webhook secret (WEBHOOK_SECRETS, SOURCES_FILE)"));
    let admin = config.admin_token.iter().map(|token| (token.expose_secret(), "ADMIN_TOKEN"));
    let others = webhook.chain(admin);
    for (secret, variable) in others {
        if let Some(name) = operators.holder_of(secret) {
            return Err(OperatorsError::Shared { name: name.clone(), variable });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ::operators::TokenHash;
    use runtime::Variables;

    use super::*;

    #[test]
    fn token_of_an_operator_has_no_second_purpose() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("operators.toml");
        let secret = "0123456789abcdef0123456789abcdef";
        let hash = TokenHash::of(secret);
        let text =
            format!("[[operator]]\nname = \"ann\"\nscopes = [\"read\"]\ntoken_sha256 = [\"{hash}\"]\n");
        std::fs::write(&path, text).unwrap();
        let path = path.to_str().unwrap();
        for (variable, refused) in
            [("WEBHOOK_SECRETS", true), ("ADMIN_TOKEN", true), ("HUNTER_API_KEY", false)]
        {
            let pairs = [("OPERATORS_FILE", path), (variable, secret)];
            let config = Config::read(&Variables::from_pairs(&pairs)).unwrap();
            let error = credentials(&config).err().map(|error| error.to_string());
            assert_eq!(error.as_ref().is_some_and(|error| error.contains(variable)), refused, "{error:?}");
            assert!(!error.unwrap_or_default().contains(secret));
        }
    }
}
