import { App, type Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { Queue } from 'aws-cdk-lib/aws-sqs';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { revenueflow } from '../lib/app.ts';
import { stage, type Given, type Stage } from '../lib/stages.ts';
import { standIns, temporaryFolder } from './binaries.ts';

const root = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const { context } = JSON.parse(readFileSync(root('cdk.json'), 'utf8')) as { context: Record<string, unknown> };
const binaries = standIns();

/** Receives the alarms of every stage synthesized by name. */
export const SUBSCRIBER = 'on-call@example.com';

export interface Resource {
  readonly Type: string;
  readonly Properties: any;
  readonly DependsOn?: string[];
  readonly DeletionPolicy?: string;
  readonly UpdateReplacePolicy?: string;
}

/**
 * A stage, synthesized as by `cdk`, into `cdk.out/NAME`, which cfn-lint reads; with copies of its backups
 * into `cdk.out/NAME.backupRegion`.
 */
export class Synthesized {
  readonly stage: Stage;
  readonly outdir: string;
  readonly data: Template;
  readonly service: Template;
  /** The stack in the region of the copied backups. */
  readonly copies: Template | undefined;
  /** The findings of cdk-nag. */
  readonly findings: string[];

  /** A `careless` one has a queue that accepts writes without TLS. */
  constructor(stageOrName: string | Stage, given: Given = {}, careless?: 'careless') {
    this.stage =
      typeof stageOrName === 'string' ? stage(stageOrName, { alertsEmail: SUBSCRIBER, ...given }) : stageOrName;
    const isShipped =
      typeof stageOrName === 'string' && Object.keys(given).every((key) => key === 'backupRegion') && !careless;
    const folder = [this.stage.name, ...Object.keys(given)].join('.');
    this.outdir = isShipped ? root(`cdk.out/${folder}`) : temporaryFolder();
    const { app, data, service, copies } = revenueflow(this.stage, binaries, new App({ context, outdir: this.outdir }));
    if (careless) new Queue(data, 'Careless');
    this.findings = validated(app, this.outdir);
    const written = (stack: Stack) =>
      Template.fromJSON(JSON.parse(readFileSync(join(this.outdir, stack.templateFile), 'utf8')));
    this.data = written(data);
    this.service = written(service);
    this.copies = copies && written(copies);
  }

  /** The acknowledged rules, each with its reason. */
  acknowledged(): [rule: string, reason: string][] {
    return [this.data, this.service].flatMap((_, index) => {
      const stack = `revenueflow-${this.stage.name}-${index === 0 ? 'data' : 'service'}`;
      const metadata = JSON.parse(readFileSync(join(this.outdir, `${stack}.metadata.json`), 'utf8'));
      return Object.values<any[]>(metadata)
        .flat()
        .filter(
          ({ type, data }) => type === 'aws:cdk:acknowledged-rules' && JSON.stringify(data).includes('AwsSolutions'),
        )
        .flatMap(({ data }) => Object.entries<string>(data));
    });
  }

  /** All resources of both stacks. */
  resources(): Record<string, Resource> {
    return { ...this.data.toJSON().Resources, ...this.service.toJSON().Resources };
  }

  of(type: string): Resource[] {
    return Object.values(this.resources()).filter((resource) => resource.Type === type);
  }

  /** The function with this name in `lib/names.ts`. */
  function(name: string): Resource {
    const found = this.of('AWS::Lambda::Function').find(
      ({ Properties }) => Properties.FunctionName === `revenueflow-${this.stage.name}-${name}`,
    );
    if (!found) throw new Error(`no function ${name} in ${this.stage.name}`);
    return found;
  }

  /** The names of the deployed files of a function's code. */
  code(name: string): string[] {
    const { S3Key } = this.function(name).Properties.Code;
    return readdirSync(join(this.outdir, `asset.${S3Key.replace('.zip', '')}`)).sort();
  }

  /**
   * The permissions of a function's role, one string per action and resource, such as `s3:PutObject <arn>`.
   */
  permissions(name: string): string[] {
    const role: string = this.function(name).Properties.Role['Fn::GetAtt'][0];
    return this.of('AWS::IAM::Policy')
      .filter(({ Properties }) => Properties.Roles.some((attached: any) => attached.Ref === role))
      .flatMap(({ Properties }) => Properties.PolicyDocument.Statement)
      .filter(({ Effect }) => Effect === 'Allow')
      .flatMap(({ Action, Resource }) =>
        [Action].flat().flatMap((action) => [Resource].flat().map((resource) => `${action} ${render(resource)}`)),
      );
  }
}

/** Synthesizes, and returns the findings of cdk-nag instead of printing them. */
function validated(app: App, outdir: string): string[] {
  const { write } = process.stderr;
  process.stderr.write = () => true;
  try {
    app.synth();
    return [];
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith('Validation failed'))) throw error;
    const report = JSON.parse(readFileSync(join(outdir, 'validation-report.json'), 'utf8'));
    return report.pluginReports.flatMap(({ violations }: any) => violations.map((found: any) => JSON.stringify(found)));
  } finally {
    process.stderr.write = write;
  }
}

/** A template value as text: the resources that it refers to, without the intrinsic functions. */
export function render(value: any): string {
  if (typeof value !== 'object' || value === null) return String(value);
  if (Array.isArray(value)) return value.map(render).join('');
  if ('Fn::Join' in value) return value['Fn::Join'][1].map(render).join(value['Fn::Join'][0]);
  if ('Fn::GetAtt' in value) return value['Fn::GetAtt'].join('.');
  if ('Fn::ImportValue' in value) return render(value['Fn::ImportValue']).replace(/^.*(ExportsOutput|:)/, '');
  if ('Ref' in value) return `{${value.Ref}}`;
  return JSON.stringify(value);
}
