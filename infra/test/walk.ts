/**
 * The path from an alarm to a person: `npm run walk --prefix infra -- STAGE [ADDRESS]` prints each one, and
 * D16 checks them.
 */
import assert from 'node:assert/strict';
import { pathToFileURL } from 'node:url';

import { SUBSCRIBER, Synthesized, render, type Resource } from './stacks.ts';

export interface AlertPath {
  /** The name of an alarm, a rule or a budget. */
  readonly from: string;
  readonly steps: readonly string[];
  /** Such as `email:on-call@example.com`; empty if the path ends in another alarm or a release. */
  readonly subscribers: readonly string[];
}

/** The topics that a resource publishes to, and the publishing service. */
const PUBLISHERS: Record<string, { service: string; topics: (properties: any) => any[] }> = {
  'AWS::CloudWatch::Alarm': { service: 'cloudwatch', topics: ({ AlarmActions }) => AlarmActions ?? [] },
  'AWS::CloudWatch::CompositeAlarm': { service: 'cloudwatch', topics: ({ AlarmActions }) => AlarmActions ?? [] },
  'AWS::Events::Rule': {
    service: 'events',
    topics: ({ Targets }) => Targets.map(({ Arn }: any) => Arn).filter(({ Ref }: any) => /^Alerts/.test(Ref)),
  },
  'AWS::Budgets::Budget': {
    service: 'budgets',
    topics: ({ NotificationsWithSubscribers: [first] }) => first.Subscribers.map(({ Address }: any) => Address),
  },
  'AWS::CE::AnomalySubscription': {
    service: 'costalerts',
    topics: ({ Subscribers }) => Subscribers.map(({ Address }: any) => Address),
  },
};

/** The statement that allows a service the actions on behalf of this account only. */
function allowingStatement(statements: any[], service: string, actions: string[]): string {
  const found = statements.find(
    ({ Effect, Principal, Action, Condition }) =>
      Effect === 'Allow' &&
      Principal.Service === service &&
      actions.every((action) => [Action].flat().includes(action)) &&
      Condition?.StringEquals?.['aws:SourceAccount']?.Ref === 'AWS::AccountId',
  );
  assert.ok(found, `no statement allows ${service} ${actions.join()}`);
  return found.Sid;
}

/** The steps from a topic to its subscribers, for messages that `service` publishes. */
export function alertPathFrom(stage: Synthesized, topicId: string, service: string): Omit<AlertPath, 'from'> {
  const { Type, Properties: topic } = stage.resources()[topicId]!;
  assert.equal(Type, 'AWS::SNS::Topic', topicId);
  const policies = stage
    .of('AWS::SNS::TopicPolicy')
    .filter(({ Properties }) => Properties.Topics.some((each: any) => each.Ref === topicId))
    .flatMap(({ Properties }) => Properties.PolicyDocument.Statement);
  const publishes = allowingStatement(policies, service, ['sns:Publish']);
  assert.match(render(topic.KmsMasterKeyId), /FnGetAttKey/);
  const [key] = Object.values<Resource>(stage.data.toJSON().Resources).filter(({ Type }) => Type === 'AWS::KMS::Key');
  const encrypts = allowingStatement(key!.Properties.KeyPolicy.Statement, service, [
    'kms:Decrypt',
    'kms:GenerateDataKey*',
  ]);
  const subscribers = stage
    .of('AWS::SNS::Subscription')
    .filter(({ Properties }) => Properties.TopicArn.Ref === topicId)
    .map(({ Properties }) => `${Properties.Protocol}:${Properties.Endpoint}`);
  return {
    steps: [topic.TopicName, `topic policy ${publishes}`, `key policy ${encrypts}`, ...subscribers],
    subscribers,
  };
}

/** The paths of all alert sources. Throws if one ends before a topic. */
export function alertPaths(stage: Synthesized): AlertPath[] {
  const composites = stage.of('AWS::CloudWatch::CompositeAlarm');
  const groups = Object.entries(stage.resources()).filter(
    ([, { Type }]) => Type === 'AWS::CodeDeploy::DeploymentGroup',
  );
  return Object.entries(stage.resources()).flatMap(([id, { Type, Properties }]) => {
    const publisher = PUBLISHERS[Type];
    if (!publisher) return [];
    const from: string =
      Properties.AlarmName ?? Properties.Name ?? Properties.SubscriptionName ?? Properties.Budget.BudgetName;
    const topics = publisher.topics(Properties);
    if (topics.length === 0 && Type === 'AWS::Events::Rule') return [];
    assert.notEqual(Properties.ActionsEnabled, false, from);
    if (topics.length > 0) {
      return topics.map(({ Ref }) => ({ from, ...alertPathFrom(stage, Ref, `${publisher.service}.amazonaws.com`) }));
    }
    // A part goes off with its composite, and a release alarm rolls the release back.
    const whole = composites.find(({ Properties }) => render(Properties.AlarmRule).includes(id));
    if (whole) return [{ from, steps: [`part of ${whole.Properties.AlarmName}`], subscribers: [] }];
    const group = groups.find(([, { Properties }]) =>
      Properties.AlarmConfiguration.Alarms.some(({ Name }: any) => render(Name).includes(id)),
    );
    assert.ok(group, `${from} notifies nothing`);
    return [{ from, steps: ['rolls the release back'], subscribers: [] }];
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [stage = 'prod', alertsEmail = SUBSCRIBER] = process.argv.slice(2);
  for (const { from, steps } of alertPaths(new Synthesized(stage, { alertsEmail })))
    console.log([from, ...steps].join(' -> '));
}
