use std::io::Write as _;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, anyhow};
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use runtime::Variables;
use runtime::aws::{AwsConfig, Secrets};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tempfile::{Builder, NamedTempFile};

/// The root certificates of Amazon RDS, one for each region and key type, valid until at least 2061
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html>).
const RDS_ROOTS: &[u8] = include_bytes!("rds_roots.pem");

/// The lifetime of a token for new connections (Amazon RDS user guide, IAM database authentication).
const TOKEN_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// The content of a secret that RDS manages.
#[derive(Deserialize)]
struct RdsSecret {
    host: String,
    port: u16,
    username: String,
    password: String,
    dbname: Option<String>,
}

/// The location of the database and the credentials: `DATABASE_URL`; or the secret of `DATABASE_SECRET_ARN`,
/// in the format of RDS; or, if `DATABASE_IAM_AUTH` is `true`, `DATABASE_HOST`, `_PORT`, `_NAME` and `_USER`
/// with a token from our own credentials. With the last two, the server's certificate is verified.
pub(crate) enum DatabaseLocation {
    Url(SecretString),
    Secret { arn: String },
    Iam { host: String, port: u16, name: String, user: String },
}

impl DatabaseLocation {
    pub(crate) fn read(variables: &Variables<'_>) -> anyhow::Result<Self> {
        let needed = |name| variables.text(name).ok_or_else(|| anyhow!("{name}: must be set"));
        if let Some(url) = variables.secret("DATABASE_URL") {
            Ok(Self::Url(url))
        } else if let Some(arn) = variables.text("DATABASE_SECRET_ARN") {
            Ok(Self::Secret { arn })
        } else if variables.text("DATABASE_IAM_AUTH").as_deref() == Some("true") {
            Ok(Self::Iam {
                host: needed("DATABASE_HOST")?,
                port: variables.number("DATABASE_PORT", 5432, 1..=u16::MAX)?,
                name: needed("DATABASE_NAME")?,
                user: needed("DATABASE_USER")?,
            })
        } else {
            Err(anyhow!("DATABASE_URL: must be set, or DATABASE_SECRET_ARN, or DATABASE_IAM_AUTH=true"))
        }
    }

    /// The URL for new connections.
    pub(crate) async fn url(&self, aws: &AwsConfig, secrets: &Secrets) -> anyhow::Result<SecretString> {
        match self {
            Self::Url(url) => Ok(url.clone()),
            Self::Secret { arn } => {
                // Always read again, within the bounds of the client, because the secret may have been
                // rotated.
                let text = secrets.force_refresh(arn).await?;
                let secret: RdsSecret = serde_json::from_str(text.expose_secret())
                    .map_err(|_| anyhow!("DATABASE_SECRET_ARN: the secret is not in the format of RDS"))?;
                let name = secret.dbname.unwrap_or_else(|| "postgres".to_owned());
                url(&secret.username, &secret.password, &secret.host, secret.port, &name, roots_file()?)
            }
            Self::Iam { host, port, name, user } => {
                let token = token(aws, host, *port, user, SystemTime::now()).await?;
                url(user, &token, host, *port, name, roots_file()?)
            }
        }
    }
}

/// An encrypted connection to a server whose name is verified by one of the roots in a file.
fn url(
    user: &str,
    password: &str,
    host: &str,
    port: u16,
    name: &str,
    roots: &Path,
) -> anyhow::Result<SecretString> {
    let [user, password, name] =
        [user, password, name].map(|text| utf8_percent_encode(text, NON_ALPHANUMERIC));
    let roots = utf8_percent_encode(
        roots.to_str().context("the temporary folder's name is not valid UTF-8")?,
        NON_ALPHANUMERIC,
    );
    let url =
        format!("postgres://{user}:{password}@{host}:{port}/{name}?sslmode=verify-full&sslrootcert={roots}");
    Ok(url.into())
}

/// Writes the roots to a file, because a URL can only name a file: once a process, and for its lifetime. The
/// name is unpredictable, an existing file is never reused, and only this user may write it, because the
/// temporary folder may be shared.
fn roots_file() -> anyhow::Result<&'static Path> {
    static FILE: LazyLock<std::io::Result<NamedTempFile>> = LazyLock::new(|| {
        let mut file = Builder::new().prefix("revenueflow-rds-roots-").suffix(".pem").tempfile()?;
        file.write_all(RDS_ROOTS)?;
        Ok(file)
    });
    match &*FILE {
        Ok(file) => Ok(file.path()),
        Err(error) => Err(anyhow!("the roots of RDS cannot be written to the temporary folder: {error}")),
    }
}

/// A presigned request that is never sent: RDS accepts its text as a password.
async fn token(
    aws: &AwsConfig,
    host: &str,
    port: u16,
    user: &str,
    now: SystemTime,
) -> anyhow::Result<String> {
    let credentials = aws.credentials_provider().context("no credentials")?.provide_credentials().await?;
    let identity = credentials.into();
    let mut settings = SigningSettings::default();
    settings.expires_in = Some(TOKEN_LIFETIME);
    settings.signature_location = SignatureLocation::QueryParams;
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(aws.region().context("no region")?.as_ref())
        .name("rds-db")
        .time(now)
        .settings(settings)
        .build()?
        .into();
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let url = format!("https://{host}:{port}/?Action=connect&DBUser={}", encode(user));
    let request = SignableRequest::new("GET", &url, std::iter::empty(), SignableBody::Bytes(&[]))?;
    let (instructions, _) = sign(request, &parameters)?.into_parts();
    let (_, signed) = instructions.into_parts();
    let mut token = url.trim_start_matches("https://").to_owned();
    for (name, value) in &signed {
        token.extend(["&", name, "=", &encode(value)]);
    }
    Ok(token)
}

#[cfg(test)]
mod tls;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use percent_encoding::percent_decode_str;

    use super::*;

    const AWS: &[(&str, &str)] = &[
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "hush"),
        ("AWS_SESSION_TOKEN", "session/+="),
    ];

    async fn read(pairs: &'static [(&'static str, &'static str)]) -> anyhow::Result<String> {
        let aws = runtime::aws::aws_config(&Variables::from_pairs(AWS)).unwrap();
        let url =
            DatabaseLocation::read(&Variables::from_pairs(pairs))?.url(&aws, &Secrets::new(&aws)?).await?;
        Ok(url.expose_secret().to_owned())
    }

    #[tokio::test]
    async fn url_is_used_unchanged() {
        let url = read(&[("DATABASE_URL", "postgres://a@b/c")]).await.unwrap();
        assert_eq!(url, "postgres://a@b/c");
    }

    #[tokio::test]
    async fn iam_password_is_a_presigned_request_to_a_verified_server() {
        let url = read(&[
            ("DATABASE_IAM_AUTH", "true"),
            ("DATABASE_HOST", "db.example.com"),
            ("DATABASE_NAME", "leads"),
            ("DATABASE_USER", "app_user"),
        ])
        .await
        .unwrap();
        assert!(url.starts_with("postgres://app%5Fuser:db%2Eexample%2Ecom%3A5432%2F%3FAction%3Dconnect%26DBUser%3Dapp%255Fuser%26X%2DAmz%2D"), "{url}");
        assert!(url.contains("%26X%2DAmz%2DExpires%3D900"), "{url}");
        assert!(url.contains("%2Frds%252Ddb%2F") || url.contains("rds%252Ddb"), "{url}");
        assert!(url.contains("@db.example.com:5432/leads?sslmode=verify-full&sslrootcert="), "{url}");
        assert!(!url.contains("hush"));
    }

    #[tokio::test]
    async fn missing_variable_is_named() {
        let missing = |error: anyhow::Error| error.to_string();
        assert!(missing(read(&[]).await.unwrap_err()).starts_with("DATABASE_URL: must be set"));
        let error = read(&[("DATABASE_IAM_AUTH", "true")]).await.unwrap_err();
        assert_eq!(missing(error), "DATABASE_HOST: must be set");
    }

    /// The result of `generate_db_auth_token` in botocore 1.43 at 2026-01-01T00:00:00Z.
    const TOKEN: &str = "db.example.com:5432/?Action=connect&DBUser=app_user&X-Amz-Algorithm=AWS4-HMAC-SHA256\
        &X-Amz-Credential=AKIDEXAMPLE%2F20260101%2Feu-central-1%2Frds-db%2Faws4_request&X-Amz-Date=20260101T000000Z\
        &X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Security-Token=session%2F%2B%3D\
        &X-Amz-Signature=2a608de7577ca5676b90b0696d0ea84b2ed833aea6f2b77bb71fcafc8aa42e54";

    #[tokio::test]
    async fn token_equals_that_of_amazons_own_client() {
        let aws = runtime::aws::aws_config(&Variables::from_pairs(AWS)).unwrap();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
        let ours = token(&aws, "db.example.com", 5432, "app_user", now).await.unwrap();
        // The order of the parameters and the amount of escaping do not matter.
        let parts = |token: &str| {
            let (target, query) = token.split_once('?').unwrap();
            let decoded =
                query.split('&').map(|pair| percent_decode_str(pair).decode_utf8().unwrap().into_owned());
            let mut parts: Vec<_> = decoded.collect();
            parts.sort();
            (target.to_owned(), parts)
        };
        assert_eq!(parts(&ours), parts(TOKEN));
    }

    #[test]
    fn roots_file_is_private_and_unpredictable() {
        let file = roots_file().unwrap();
        assert_eq!(std::fs::read(file).unwrap(), RDS_ROOTS);
        assert_eq!(file, roots_file().unwrap(), "one for the process");
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        // Another process cannot find or predict the file by its name.
        let name = file.file_name().unwrap().to_str().unwrap();
        let middle = name.strip_prefix("revenueflow-rds-roots-").unwrap().strip_suffix(".pem").unwrap();
        assert!(middle.len() >= 6 && !middle.contains(&std::process::id().to_string()), "{name}");
        assert!(std::str::from_utf8(RDS_ROOTS).unwrap().matches("BEGIN CERTIFICATE").count() > 80);
    }
}
