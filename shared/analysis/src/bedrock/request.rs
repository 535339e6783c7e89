//! Requests of the `Converse` API.

use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::error::BuildError;
use aws_sdk_bedrockruntime::operation::converse::builders::ConverseFluentBuilder;
use aws_sdk_bedrockruntime::types::{
    CachePointBlock, CachePointType, ContentBlock, ConversationRole, InferenceConfiguration,
    JsonSchemaDefinition, Message, OutputConfig, OutputFormat, OutputFormatStructure, OutputFormatType,
    SpecificToolChoice, SystemContentBlock, Tool, ToolChoice, ToolConfiguration, ToolInputSchema,
    ToolSpecification,
};
use lead::Failure;

use super::{DEPENDENCY, document};
use crate::dialect;
use crate::models::{Model, OutputMode};
use crate::prompt::Question;

/// The tool that a model must call in [`OutputMode::Tool`], and the name of the schema in
/// [`OutputMode::JsonSchema`].
const TOOL: &str = "judge_lead";

const PROBE_TOKENS: i32 = 16;

/// The request for a judgement. The part that is the same for every lead comes first, so that Bedrock can
/// cache it.
///
/// The request always limits the output tokens: Bedrock reserves that number from the quota at admission, and
/// the default is the model's own maximum.
pub(super) fn judgement(
    client: &Client,
    model: &Model,
    question: &Question,
) -> Result<ConverseFluentBuilder, Failure> {
    build(client, model, question).map_err(|_| unbuildable())
}

/// A request of a few tokens.
pub(super) fn probe(client: &Client, model: &Model) -> Result<ConverseFluentBuilder, Failure> {
    let message = message("Say OK.").map_err(|_| unbuildable())?;
    let inference = InferenceConfiguration::builder().max_tokens(PROBE_TOKENS).build();
    Ok(client.converse().model_id(&model.id).messages(message).inference_config(inference))
}

/// A probe that includes the schema of an answer.
pub(super) fn schema_probe(client: &Client, model: &Model) -> Result<ConverseFluentBuilder, Failure> {
    let request = probe(client, model)?;
    let shaped = match model.output {
        OutputMode::JsonSchema => structured().map(|output| request.output_config(output)),
        OutputMode::Tool => forced_tool().map(|tool| request.tool_config(tool)),
        OutputMode::Prompt => Ok(request),
    };
    shaped.map_err(|_| unbuildable())
}

fn build(client: &Client, model: &Model, question: &Question) -> Result<ConverseFluentBuilder, BuildError> {
    let mut instructions = question.instructions.clone();
    let mut request = client.converse().model_id(&model.id);
    match model.output {
        OutputMode::JsonSchema => request = request.output_config(structured()?),
        OutputMode::Tool => request = request.tool_config(forced_tool()?),
        OutputMode::Prompt => instructions.push_str(&dialect::in_words()),
    }
    request = request.system(SystemContentBlock::Text(instructions));
    if model.cache_point {
        let point = CachePointBlock::builder().r#type(CachePointType::Default).build()?;
        request = request.system(SystemContentBlock::CachePoint(point));
    }
    let most = i32::try_from(model.max_output_tokens).unwrap_or(i32::MAX);
    let inference = InferenceConfiguration::builder().max_tokens(most).build();
    Ok(request.messages(message(&question.facts)?).inference_config(inference))
}

fn message(text: &str) -> Result<Message, BuildError> {
    Message::builder().role(ConversationRole::User).content(ContentBlock::Text(text.to_owned())).build()
}

fn structured() -> Result<OutputConfig, BuildError> {
    let definition =
        JsonSchemaDefinition::builder().name(TOOL).schema(dialect::bedrock().to_string()).build()?;
    let format = OutputFormat::builder()
        .r#type(OutputFormatType::JsonSchema)
        .structure(OutputFormatStructure::JsonSchema(definition))
        .build()?;
    Ok(OutputConfig::builder().text_format(format).build())
}

fn forced_tool() -> Result<ToolConfiguration, BuildError> {
    let specification = ToolSpecification::builder()
        .name(TOOL)
        .description("Hands in the judgement of the lead.")
        .input_schema(ToolInputSchema::Json(document::from_json(dialect::bedrock())))
        .build()?;
    let choice = SpecificToolChoice::builder().name(TOOL).build()?;
    ToolConfiguration::builder()
        .tools(Tool::ToolSpec(specification))
        .tool_choice(ToolChoice::Tool(choice))
        .build()
}

/// Not reachable: every required part is set, which the SDK's types cannot express.
fn unbuildable() -> Failure {
    Failure::permanent("ai_request_refused", "the request to ai.bedrock cannot be built").on(DEPENDENCY)
}
