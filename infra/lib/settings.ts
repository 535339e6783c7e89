/** Settings of a stage that are passed to the functions unchanged; `.env.example` documents each of them. */

/** Judgement: for functions that judge, including `api` for a replay. */
const AI = ['AI_BUDGET_USD_PER_DAY', 'GEMINI_MODEL'] as const;

/** CRM writes: for functions that write to the CRM or preview a write. */
const CRM = [
  'REJECTED_LEADS',
  'CRM_MODE',
  'CRM_KEEP_OLD_VALUES',
  'CRM_LIMIT_PER_LEAD',
  'CRM_LIMIT_PER_ACCOUNT',
  'CRM_LIMIT_GLOBAL',
  'SALESFORCE_AUTO_ASSIGN',
  'SALESFORCE_DUPLICATES',
  'SALESFORCE_API_USAGE_PERCENT',
  'SALESFORCE_CONVERT_PATH',
] as const;

/** Enrichment: for `enrich`, and for the janitor, which does some of the same work. */
const ENRICHMENT = [
  'ENRICHMENT_TIMEOUT_SECONDS',
  'ENRICHMENT_KNOWN_DAYS',
  'ENRICHMENT_UNKNOWN_HOURS',
  'ZOOMINFO_DAILY_CREDITS',
  'APOLLO_DAILY_CREDITS',
  'PDL_DAILY_CREDITS',
  'PDL_MIN_LIKELIHOOD',
  'HUNTER_DAILY_CREDITS',
] as const;

export const SETTINGS = { AI, CRM, ENRICHMENT };

export type Settings = Readonly<
  Partial<Record<(typeof AI | typeof CRM | typeof ENRICHMENT)[number], string | number | boolean>>
>;

/** Files that replace the built-in ones, and the variables that name them. */
export const FILES = {
  sources: 'SOURCES_FILE',
  icp: 'ICP_FILE',
  prompt: 'PROMPT_FILE',
  models: 'MODELS_FILE',
  routing: 'ROUTING_FILE',
  mapping: 'CRM_MAPPING_FILE',
} as const;

/** Paths relative to the repository. */
export type Files = Readonly<Partial<Record<keyof typeof FILES, string>>>;

/** The settings of a kind as environment variables of a function. */
export function variables(settings: Settings, kind: keyof typeof SETTINGS): Record<string, string> {
  const names: readonly string[] = SETTINGS[kind];
  const given = Object.entries(settings).filter(([name]) => names.includes(name));
  return Object.fromEntries(given.map(([name, value]) => [name, String(value)]));
}
