import { Validations } from 'aws-cdk-lib';
import type { IConstruct } from 'constructs';

/** Intended findings of cdk-nag, each with its reason. */
export function intended(construct: IConstruct, reasons: Record<string, string>): void {
  for (const [id, reason] of Object.entries(reasons)) {
    Validations.of(construct).acknowledge({ id: `AwsSolutions-${id}`, reason });
  }
}
