/** What a stage can say of the functions' behaviour beyond what this folder needs to know: `.env.example` documents each. */

/** Of the judgement: for whoever judges, which `api` does for a replay. */
const AI = ['AI_BUDGET_USD_PER_DAY', 'GEMINI_MODEL'] as const;

/** Of what is asked and written: for `enrich`, and the janitor, which does some of the same. */
const WORK = [
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
  'ENRICHMENT_TIMEOUT_SECONDS',
  'ENRICHMENT_KNOWN_DAYS',
  'ENRICHMENT_UNKNOWN_HOURS',
  'ZOOMINFO_DAILY_CREDITS',
  'APOLLO_DAILY_CREDITS',
  'PDL_DAILY_CREDITS',
  'PDL_MIN_LIKELIHOOD',
  'HUNTER_DAILY_CREDITS',
] as const;

export const SETTINGS = { AI, WORK };

export type Settings = Readonly<Partial<Record<(typeof AI | typeof WORK)[number], string | number | boolean>>>;

/** Files in place of those that are built into the functions, and who reads them through which variable. */
export const FILES = {
  icp: { variable: 'ICP_FILE', judges: true },
  prompt: { variable: 'PROMPT_FILE', judges: true },
  models: { variable: 'MODELS_FILE', judges: true },
  routing: { variable: 'ROUTING_FILE', judges: true },
  mapping: { variable: 'CRM_MAPPING_FILE', judges: false },
} as const;

/** Paths from the folder of the repository. */
export type Files = Readonly<Partial<Record<keyof typeof FILES, string>>>;

/** The settings of a kind as a function's variables. */
export function variables(settings: Settings, kind: keyof typeof SETTINGS): Record<string, string> {
  const names: readonly string[] = SETTINGS[kind];
  const given = Object.entries(settings).filter(([name]) => names.includes(name));
  return Object.fromEntries(given.map(([name, value]) => [name, String(value)]));
}
