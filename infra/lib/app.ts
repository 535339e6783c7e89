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

/** The two stacks of one stage, and where its backups are copied to another region, a third one there. `binaries` holds one folder a function, each with its `bootstrap`. */
export function revenueflow(stage: Stage, binaries: string, app = new App()): RevenueFlow {
  const env = { region: stage.region }; // no account: then availability zones need not be looked up to synthesize
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
