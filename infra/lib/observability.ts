import { Stack } from 'aws-cdk-lib';
import type * as sns from 'aws-cdk-lib/aws-sns';
import { Construct } from 'constructs';

import { Alarms, dependencyAlarms, functionAlarms, intakeAlarms, leadAlarms } from './alarms.ts';
import { dashboard } from './dashboard.ts';
import type { DataStack } from './data.ts';
import type { RustFunction } from './functions.ts';
import type { HttpApi } from './http.ts';
import { Metrics } from './metrics.ts';
import { savedQueries } from './queries.ts';
import type { Stage } from './stages.ts';
import { syntheticAlarms } from './synthetic.ts';
import { unusualAlarm } from './unusual.ts';

export interface ObservabilityProps {
  readonly stage: Stage;
  readonly data: DataStack;
  readonly alerts: sns.ITopic;
  readonly http: HttpApi;
  readonly functions: Record<'ingest' | 'enrich' | 'deadLetter' | 'janitor' | 'api', RustFunction>;
}

/** Alarms, and the dashboard and saved queries for their investigation. */
export class Observability extends Construct {
  constructor(scope: Construct, id: string, props: ObservabilityProps) {
    super(scope, id);
    const { stage, http, functions } = props;
    const metrics = new Metrics(this, {
      stage,
      region: Stack.of(this).region,
      http,
      readers: { Enrich: functions.enrich, Janitor: functions.janitor, Api: functions.api },
    });
    const alarms = new Alarms(this, stage, props.alerts);
    intakeAlarms(alarms, props, metrics);
    leadAlarms(alarms, props, metrics);
    dependencyAlarms(alarms, props, metrics);
    functionAlarms(alarms, props);
    if (stage.synthetic) syntheticAlarms(alarms, metrics);
    if (stage.alerts.quietHours) unusualAlarm(this, alarms, metrics);
    dashboard(this, props, metrics);
    savedQueries(this, stage, {
      access: http.accessLog,
      ingest: functions.ingest.log,
      enrich: functions.enrich.log,
      'dead-letter': functions.deadLetter.log,
      janitor: functions.janitor.log,
      api: functions.api.log,
    });
  }
}
