import { App, Tags, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';

import { CopiesStack } from './backup.ts';
import { DataStack } from './data.ts';
import { ServiceStack } from './service.ts';
import type { Stage } from './stages.ts';

export interface RevenueFlow {
  readonly app: App;
  readonly data: DataStack;
  readonly service: ServiceStack;
  readonly copies: CopiesStack | undefined;
}

/**
 * The two stacks of a stage, and a third one in another region if backups are copied there. `binaries`
 * contains one folder per function, each with its `bootstrap`.
 */
export function revenueflow(stage: Stage, binaries: string, app = new App()): RevenueFlow {
  const env = { region: stage.region }; // no account: synthesis needs no look-up of availability zones
  const data = new DataStack(app, stage, { env, description: `RevenueFlow ${stage.name}: leads and secrets` });
  const copies = stage.backupRegion
    ? new CopiesStack(app, stage, {
        env: { region: stage.backupRegion },
        description: `RevenueFlow ${stage.name}: copies of backups`,
      })
    : undefined;
  if (copies) data.addStackDependency(copies);
  const service = new ServiceStack(app, stage, data, binaries, {
    env,
    description: `RevenueFlow ${stage.name}: functions and API`,
  });
  Tags.of(app).add('project', 'revenueflow');
  Tags.of(app).add('stage', stage.name);
  if (!stage.emulated) Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  return { app, data, service, copies };
}
