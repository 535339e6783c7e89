import type { Stage } from './stages.ts';

/** A fixed name, for names that operators type and for resources that are named before they exist. */
export function name(stage: Stage, part: string): string {
  return `revenueflow-${stage.name}-${part}`;
}

export const FUNCTIONS = ['ingest', 'enrich', 'dead-letter', 'janitor', 'api', 'migrate'] as const;
export type FunctionName = (typeof FUNCTIONS)[number];

/** The time limit of each function, in seconds. */
export const TIMEOUT_SECONDS: Record<FunctionName, number> = {
  ingest: 10, // two to queue, two more for the overflow bucket, and a cold start
  enrich: 120,
  'dead-letter': 30,
  janitor: 55, // under a minute, so that runs do not overlap
  api: 28, // API Gateway times out after 29
  migrate: 900,
};

/**
 * The AI's time for an answer, in seconds: `enrich` calls it at most twice in half of its time, and `api` can
 * still answer.
 */
export const AI_TIMEOUT_SECONDS = 20;

/** The namespace of the functions' own metrics (embedded metric format in their log lines). */
export const METRICS_NAMESPACE = 'RevenueFlow';
