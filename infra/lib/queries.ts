import type * as logs from 'aws-cdk-lib/aws-logs';
import { CfnQueryDefinition } from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';
import { readFileSync } from 'node:fs';

import type { FunctionName } from './names.ts';
import type { Stage } from './stages.ts';

/** A CloudWatch Logs Insights query. Its text is a list of commands, which Insights separates with `|`. */
export interface SavedQuery {
  readonly name: string;
  /** The functions whose logs are searched, or the API's access log. */
  readonly of: readonly (FunctionName | 'access')[];
  readonly query: readonly string[];
}

/** The fields are those of the functions' log lines and of the access log: D28. */
export const QUERIES: readonly SavedQuery[] = JSON.parse(
  readFileSync(new URL('queries.json', import.meta.url), 'utf8'),
);

/** Saves the queries in the console, in a folder of the stage. They cost nothing until one is run. */
export function savedQueries(scope: Construct, stage: Stage, groups: Record<string, logs.ILogGroup>): void {
  for (const { name, of, query } of QUERIES) {
    const id = `Query${name.replace(/(?:^| )([a-z])/g, (_, start: string) => start.toUpperCase())}`;
    new CfnQueryDefinition(scope, id, {
      name: `revenueflow-${stage.name}/${name}`,
      queryString: query.join('\n| '),
      logGroupNames: of.map((log) => groups[log]!.logGroupName),
    });
  }
}
