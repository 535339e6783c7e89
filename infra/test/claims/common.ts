/** Shared by the checks of both pages: every stage, synthesized once, and helpers to inspect templates. */
import assert from 'node:assert/strict';

import { Synthesized, type Resource } from '../stacks.ts';

export const prod = new Synthesized('prod');
export const staging = new Synthesized('staging');
export const dev = new Synthesized('dev');
export const local = new Synthesized('local');
export const inAws = [prod, staging, dev];
export const everywhere = [...inAws, local];

/** Checks by the number of their statement. */
export type Checks = Record<string, () => void>;

export const variables = (resource: Resource): Record<string, unknown> => resource.Properties.Environment.Variables;
export const only = <T>(found: T[]): T => {
  assert.equal(found.length, 1);
  return found[0]!;
};
/** Every object in a value that has this key. */
export function* having(value: any, key: string): Generator<any> {
  if (typeof value !== 'object' || value === null) return;
  if (key in value) yield value;
  for (const inner of Object.values(value)) yield* having(inner, key);
}
export const statementsOf = (policy: Resource): any[] => policy.Properties.PolicyDocument.Statement;
export const alarm = (stage: Synthesized, name: string): Resource =>
  only(
    stage
      .of('AWS::CloudWatch::Alarm')
      .filter(({ Properties }) => Properties.AlarmName === `revenueflow-${stage.stage.name}-${name}`),
  );
