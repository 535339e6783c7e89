use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::ops::Range;

use http::{HeaderMap, HeaderName, StatusCode};
use intake::{Body, FactScope, Format, ParsedLead, Rejection, Template};
use lead::{CampaignId, FieldIssue, Sender, SenderName};
use serde_json::Value;
use toml::Spanned;

use crate::error::SourcesError;
use crate::file::{Block, From, Keep, PairsEntry, Signature, TokenPlace, Truth, own_or};
use crate::mapping::{Mapping, NAMESPACES, Origin, Pairs, Rule};
use crate::policy::Policy;
use crate::preset::{SIGNATURES, preset, presets, scheme};
use crate::selector::Selector;
use crate::signature::Scheme;

/// The path of sources that have none of their own.
const LEADS: &str = "/leads";

/// One configured sender: where it posts, how it proves itself, what its payload means and what it may use.
#[derive(Clone, Debug)]
pub struct Source {
    pub(crate) name: SenderName,
    pub(crate) path: String,
    pub(crate) url: String,
    pub(crate) secrets: String,
    pub(crate) proof: ProofKind,
    mapping: Mapping,
    scope: FactScope,
    form_facts: bool,
    template: Option<Template>,
    /// Paths whose value, if there is one, must be one of these texts.
    only: Vec<(Selector, Vec<String>)>,
    status: StatusCode,
    id: Option<Selector>,
    email_verified: Verified,
    pub(crate) policy: Policy,
    /// The line of its name in the file, for errors that are found later; 0 without a file.
    pub(crate) line: usize,
}

/// How a source proves itself.
#[derive(Clone, Debug)]
pub(crate) enum ProofKind {
    /// A static token in a header, or a Standard Webhooks signature; the kind of each secret decides.
    TokenOrStandard { header: HeaderName },
    /// A static token in a parameter of the URL.
    Query { parameter: String },
    /// A described signature.
    Signed(Box<Scheme>),
}

#[derive(Clone, Debug)]
enum Verified {
    Always(bool),
    At(Selector),
}

/// A lead as a source sent it.
#[derive(Debug)]
pub struct Received {
    /// The lead, with notes on malformed fields.
    pub parsed: ParsedLead,
    /// The source.
    pub sender: Sender,
    /// The sender's own id of the submission, equal in every retry.
    pub id: Option<String>,
}

/// Where the value of a rule of the mapping came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traced {
    /// Our field.
    pub target: String,
    /// The path in the payload, or that the value is fixed. None: nothing was found.
    pub origin: Option<String>,
    /// The paths that were looked at.
    pub tried: Vec<String>,
}

impl Source {
    /// The sender of a product without a sources file: `POST /leads` with `WEBHOOK_SECRETS`.
    pub(crate) fn unnamed() -> Self {
        Self {
            name: SenderName::unnamed(),
            path: LEADS.to_owned(),
            url: String::new(),
            secrets: "WEBHOOK_SECRETS".to_owned(),
            proof: ProofKind::TokenOrStandard { header: HeaderName::from_static(intake::TOKEN_HEADER) },
            mapping: Mapping { keeps_rest: true, ..Mapping::default() },
            scope: default_scope(),
            form_facts: false,
            template: None,
            only: Vec::new(),
            status: StatusCode::ACCEPTED,
            id: None,
            email_verified: Verified::Always(false),
            policy: Policy::default(),
            line: 0,
        }
    }

    /// Whether it is the sender of a product without a sources file.
    pub(crate) fn is_unnamed(&self) -> bool {
        self.line == 0
    }

    /// Its name.
    pub fn name(&self) -> &SenderName {
        &self.name
    }

    /// The path that it posts to, such as `/leads/demo-form`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The name of the variable that holds its secrets.
    pub fn secrets(&self) -> &str {
        &self.secrets
    }

    /// What it may use, and what its leads need before a person is involved.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The status of the answer to an accepted lead: 200 for a sender that takes any other as an error.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Reads a body as this source sends it. None for an event that is not a lead, such as a cancelled
    /// meeting.
    ///
    /// # Errors
    /// The errors of [`intake::Body`], and a payload without an address or a campaign at the places of the
    /// mapping.
    pub fn read(&self, body: &[u8], headers: Option<&HeaderMap>) -> Result<Option<Received>, Rejection> {
        let read = Body::read(body, headers)?;
        let fits_template = self
            .template
            .as_ref()
            .is_none_or(|template| str::from_utf8(body).is_ok_and(|text| template.matches(text)));
        let scope = self.scope_for(&read, fits_template);
        let payload = LazyCell::new(|| read.fields().iter().cloned().collect::<Value>());
        if !self.only.is_empty() && self.is_other_event(&payload) {
            return Ok(None);
        }
        let id = self.id.as_ref().and_then(|path| path.first(&payload)).and_then(|id| scalar(&id));
        let email_verified = match &self.email_verified {
            Verified::Always(verified) => *verified,
            // As little a person's word as a fact is.
            Verified::At(path) => {
                fits_template
                    && !self.is_open_form(&read)
                    && path.first(&payload).is_some_and(|value| is_true(&value))
            }
        };
        let read = if self.mapping.is_identity() {
            read
        } else {
            let mapped = self.mapping.apply(read.fields(), read.format());
            read.with_fields(mapped.fields).with_facts(mapped.facts)
        };
        let sender = Sender { name: self.name.clone(), email_verified };
        Ok(Some(Received { parsed: read.into_lead(&scope)?, sender, id }))
    }

    fn is_other_event(&self, payload: &Value) -> bool {
        self.only.iter().any(|(path, taken)| {
            let value = path.first(payload).and_then(|value| scalar(&value));
            value.is_some_and(|value| !taken.contains(&value))
        })
    }

    /// Where each rule of the mapping finds its value in a body.
    ///
    /// # Errors
    /// When the body cannot be read as a whole.
    pub fn trace(&self, body: &[u8]) -> Result<Vec<Traced>, Rejection> {
        let read = Body::read(body, None)?;
        let mapped = self.mapping.apply(read.fields(), read.format());
        let traced = self.mapping.rules.iter().zip(mapped.origins).map(|(rule, origin)| Traced {
            target: rule.target.clone(),
            origin,
            tried: rule.from.iter().filter_map(Origin::path).collect(),
        });
        Ok(traced.collect())
    }

    /// The facts that the sender may set with this body.
    fn scope_for(&self, read: &Body, fits_template: bool) -> FactScope {
        if !fits_template {
            FactScope::none(FieldIssue::NotInTemplate)
        } else if self.is_open_form(read) || (self.template.is_none() && !self.mapping.keeps_rest) {
            // Lifted names are those of the form, not of the source.
            FactScope::none(FieldIssue::NotAllowed)
        } else {
            self.scope.clone()
        }
    }

    /// Whether a body is a form to which a text that a person typed can add fields, with nothing to tell them
    /// from the others.
    fn is_open_form(&self, read: &Body) -> bool {
        read.format() == Format::Form && self.template.is_none() && !self.form_facts
    }

    /// Validates a block of the file.
    pub(crate) fn build(block: Block, text: &str) -> Result<Self, SourcesError> {
        let Some(name) = block.name.as_ref() else {
            let span = block.preset.as_ref().map(Spanned::span);
            return Err(SourcesError::at(text, span, "every [[source]] needs a `name`"));
        };
        let span = name.span();
        let named = name.get_ref().clone();
        Checker { text, block: span }.build(block).map_err(|error| error.of(&named))
    }
}

struct Checker<'t> {
    text: &'t str,
    /// The place of the source's name.
    block: Range<usize>,
}

impl Checker<'_> {
    fn error(&self, span: &Range<usize>, problem: impl Into<String>) -> SourcesError {
        SourcesError::at(self.text, Some(span.clone()), problem)
    }

    fn build(&self, block: Block) -> Result<Source, SourcesError> {
        let here = &self.block;
        let name = block.name.map(Spanned::into_inner).unwrap_or_default();
        let name = SenderName::parse(&name).map_err(|error| self.error(here, format!("`name` {error}")))?;
        let base = self.preset(block.preset)?;
        let path = block.path.map(|path| (path.get_ref().clone(), path.span()));
        let path = match path {
            Some((path, span)) if !is_path(&path) => {
                let problem = "`path` must be /leads, or /leads/ and characters of a-z, 0-9 and -";
                return Err(self.error(&span, problem));
            }
            Some((path, _)) => path,
            None => format!("{LEADS}/{name}"),
        };
        let secrets = block.secrets.ok_or_else(|| {
            self.error(here, "`secrets` is missing: the name of the variable that holds the secrets")
        })?;
        if !is_variable(secrets.get_ref()) {
            let problem =
                "`secrets` must be the name of a variable, such as DEMO_FORM_SECRETS, and not a secret";
            return Err(self.error(&secrets.span(), problem));
        }
        let url = own_or(block.url, base.url, here).map(|(url, _)| url);
        // A proof of the block replaces the preset's, also of the other kind.
        let (token, signature) = if block.token.is_some() || block.signature.is_some() {
            (block.token, block.signature)
        } else {
            (base.token, base.signature)
        };
        let (token, signature) = (own_or(token, None, here), own_or(signature, None, here));
        let proof = self.proof(token, signature, url.is_some())?;
        let facts = own_or(block.facts, base.facts, here);
        let scope = match &facts {
            None => default_scope(),
            Some((paths, span)) => FactScope::of(paths.iter().map(String::as_str))
                .map_err(|error| self.error(span, format!("`facts` {error}")))?,
        };
        let template = own_or(block.template, base.template, here)
            .map(|(template, span)| {
                Template::parse(&template).map_err(|error| self.error(&span, format!("`template` {error}")))
            })
            .transpose()?;
        let campaign = own_or(block.campaign, base.campaign, here)
            .map(|(campaign, span)| {
                let parsed = CampaignId::parse(&campaign);
                parsed.map_err(|error| self.error(&span, format!("`campaign` {error}"))).map(|_| campaign)
            })
            .transpose()?;
        let keep = own_or(block.keep, base.keep, here).map_or(Keep::All, |(keep, _)| keep);
        let mapping = Mapping {
            rules: self.rules(block.map, base.map, &scope)?,
            lift: self.paths(own_or(block.lift, base.lift, here))?,
            pairs: self.pairs(own_or(block.pairs, base.pairs, here))?,
            keeps_rest: keep == Keep::All,
            campaign,
        };
        let only = own_or(block.only, base.only, here).unwrap_or_default();
        let only = only.0.iter().map(|(path, texts)| Ok((self.path(path, &only.1)?, texts.texts().to_vec())));
        let only = only.collect::<Result<_, SourcesError>>()?;
        let status = match own_or(block.status, base.status, here) {
            None | Some((202, _)) => StatusCode::ACCEPTED,
            Some((200, _)) => StatusCode::OK,
            Some((_, span)) => return Err(self.error(&span, "`status` must be 200 or 202")),
        };
        let id = own_or(block.id, base.id, here).map(|(id, span)| self.path(&id, &span)).transpose()?;
        let email_verified = match own_or(block.email_verified, base.email_verified, here) {
            None => Verified::Always(false),
            Some((Truth::Always(truth), _)) => Verified::Always(truth),
            Some((Truth::At(path), span)) => Verified::At(self.path(&path, &span)?),
        };
        let (limits, span) = own_or(block.limits, base.limits, here).unwrap_or((<_>::default(), 0..0));
        if let Some(problem) = limits.problem() {
            return Err(self.error(&span, problem));
        }
        let call_needs =
            own_or(block.call_needs, base.call_needs, here).map(|(needs, _)| needs).unwrap_or_default();
        Ok(Source {
            name,
            path,
            url: url.unwrap_or_default(),
            secrets: secrets.into_inner(),
            proof,
            mapping,
            scope,
            form_facts: own_or(block.form_facts, base.form_facts, here)
                .is_some_and(|(form_facts, _)| form_facts),
            template,
            only,
            status,
            id,
            email_verified,
            policy: Policy { limits, call_needs },
            line: SourcesError::at(self.text, Some(here.clone()), "").line,
        })
    }

    fn preset(&self, name: Option<Spanned<String>>) -> Result<Block, SourcesError> {
        let Some(name) = name else { return Ok(Block::default()) };
        preset(name.get_ref()).ok_or_else(|| {
            let known: Vec<_> = presets().map(|(name, _)| name).collect();
            self.error(&name.span(), format!("`preset` must be one of {}", known.join(", ")))
        })
    }

    fn proof(
        &self,
        token: Option<(TokenPlace, Range<usize>)>,
        signature: Option<(Signature, Range<usize>)>,
        has_url: bool,
    ) -> Result<ProofKind, SourcesError> {
        let (signature, span) = match (token, signature) {
            (Some((_, span)), Some(_)) => {
                return Err(self.error(&span, "a source has either a `token` or a `signature`"));
            }
            (Some((TokenPlace::Query(parameter), span)), None) => {
                let is_sound = !parameter.is_empty() && parameter.bytes().all(|b| b.is_ascii_alphanumeric());
                let problem = "the `token` parameter must have letters and digits only";
                return is_sound
                    .then_some(ProofKind::Query { parameter })
                    .ok_or_else(|| self.error(&span, problem));
            }
            (Some((TokenPlace::Header(header), span)), None) => {
                let problem = "the `token` header is not the name of a header";
                return HeaderName::try_from(header)
                    .map(|header| ProofKind::TokenOrStandard { header })
                    .map_err(|_| self.error(&span, problem));
            }
            (None, None) => {
                return Ok(ProofKind::TokenOrStandard {
                    header: HeaderName::from_static(intake::TOKEN_HEADER),
                });
            }
            (None, Some(signature)) => signature,
        };
        let scheme = match signature {
            Signature::Named(name) if matches!(name.as_str(), "standard-webhooks" | "svix") => {
                return Ok(ProofKind::TokenOrStandard {
                    header: HeaderName::from_static(intake::TOKEN_HEADER),
                });
            }
            Signature::Named(name) => scheme(&name).ok_or_else(|| {
                self.error(&span, format!("`signature` must be {SIGNATURES}, or described"))
            })?,
            Signature::Described(scheme) => scheme,
        };
        match scheme.problem(has_url) {
            Some(problem) => Err(self.error(&span, format!("`signature`: {problem}"))),
            None => Ok(ProofKind::Signed(Box::new(scheme))),
        }
    }

    fn rules(
        &self,
        own: BTreeMap<String, Spanned<From>>,
        preset: BTreeMap<String, Spanned<From>>,
        scope: &FactScope,
    ) -> Result<Vec<Rule>, SourcesError> {
        let mut entries: BTreeMap<String, (From, Range<usize>)> = preset
            .into_iter()
            .map(|(target, from)| (target, (from.into_inner(), self.block.clone())))
            .collect();
        entries.extend(own.into_iter().map(|(target, from)| {
            let span = from.span();
            (target, (from.into_inner(), span))
        }));
        let rule = |(target, (from, span)): (String, (From, Range<usize>))| {
            self.target(&target, &span, scope)?;
            let from = match from {
                From::One(path) => vec![Origin::At(self.path(&path, &span)?)],
                From::More(paths) => paths
                    .iter()
                    .map(|path| self.path(path, &span).map(Origin::At))
                    .collect::<Result<_, _>>()?,
                From::Fixed(fixed) => vec![Origin::Constant(fixed.value)],
            };
            Ok(Rule { target, from })
        };
        entries.into_iter().map(rule).collect()
    }

    /// Checks that a rule sets one of our fields, and only facts that the source may set.
    fn target(&self, target: &str, span: &Range<usize>, scope: &FactScope) -> Result<(), SourcesError> {
        let namespace = target.split('.').next().unwrap_or(target);
        if NAMESPACES.contains(&namespace) {
            let is_whole = target.split('.').count() > 1 && target.split('.').all(|step| !step.is_empty());
            return if !is_whole {
                Err(self.error(span, format!("`{target}` must name a fact, such as {namespace}.activity")))
            } else if scope.permits(target) {
                Ok(())
            } else {
                Err(self.error(span, format!("`{target}` is not among the `facts` that the source may set")))
            };
        }
        if intake::field_named(target) == Some(target) || is_attribute(target) {
            Ok(())
        } else {
            let problem = "is not a field; use email, campaign_id, name, first_name, last_name, company, title, \
                           phone, a fact such as marketo.activity, or a name of a-z, 0-9 and _ for an attribute";
            Err(self.error(span, format!("`{target}` {problem}")))
        }
    }

    fn path(&self, text: &str, span: &Range<usize>) -> Result<Selector, SourcesError> {
        Selector::parse(text).map_err(|error| self.error(span, format!("the path `{text}`: {error}")))
    }

    fn paths(&self, texts: Option<(Vec<String>, Range<usize>)>) -> Result<Vec<Selector>, SourcesError> {
        let (texts, span) = texts.unwrap_or_default();
        texts.iter().map(|text| self.path(text, &span)).collect()
    }

    fn pairs(&self, entries: Option<(Vec<PairsEntry>, Range<usize>)>) -> Result<Vec<Pairs>, SourcesError> {
        let (entries, span) = entries.unwrap_or_default();
        let all =
            |texts: &[String]| texts.iter().map(|text| self.path(text, &span)).collect::<Result<Vec<_>, _>>();
        entries
            .iter()
            .map(|entry| {
                Ok(Pairs {
                    list: self.path(&entry.list, &span)?,
                    name: all(entry.name.texts())?,
                    value: all(entry.value.texts())?,
                })
            })
            .collect()
    }
}

/// The facts of a source that lists none.
fn default_scope() -> FactScope {
    FactScope::of(["marketo"]).expect("a namespace")
}

fn is_path(path: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    path == LEADS || path.strip_prefix(LEADS).and_then(|rest| rest.strip_prefix('/')).is_some_and(is_word)
}

fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

fn is_attribute(name: &str) -> bool {
    intake::field_named(name).is_none()
        && !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Bool(truth) => Some(truth.to_string()),
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Whether a value says yes. Forms have no booleans.
fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(truth) => *truth,
        Value::String(text) => text == "true",
        _ => false,
    }
}
