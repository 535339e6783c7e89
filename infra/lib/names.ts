import type { Stage } from './stages.ts';

/** Fixed names, for what operators type and for what a resource has to name before it exists. */
export function name(stage: Stage, what: string): string {
  return `revenueflow-${stage.name}-${what}`;
}

export const FUNCTIONS = ['ingest', 'enrich', 'dead-letter', 'janitor', 'api', 'migrate'] as const;
export type FunctionName = (typeof FUNCTIONS)[number];

/** Seconds a function may run. */
export const TIMEOUT_SECONDS: Record<FunctionName, number> = {
  ingest: 10, // two to queue, then as much again for the overflow bucket, and a cold start
  enrich: 120,
  'dead-letter': 30,
  janitor: 55, // under a minute: rounds do not pile up
  api: 28, // API Gateway gives up after 29
  migrate: 900,
};

/** Seconds an AI has for an answer: `enrich` asks twice at most in half of its time, and `api` still answers itself. */
export const AI_TIMEOUT_SECONDS = 20;

/** Where the functions' own metrics go (embedded metric format in their log lines). */
export const METRICS_NAMESPACE = 'RevenueFlow';
