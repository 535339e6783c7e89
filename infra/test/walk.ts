/** From an alarm to a person: `npm run walk --prefix infra -- STAGE [ADDRESS]` prints each way, and D16 checks them. */
import assert from 'node:assert/strict';
import { pathToFileURL } from 'node:url';

import { SUBSCRIBER, Synthesized, said, type Resource } from './stacks.ts';

export interface Way {
  /** The name of an alarm, a rule or a budget. */
  readonly from: string;
  readonly steps: readonly string[];
  /** Who hears of it, as in `email:on-call@example.com`; none where another alarm or a release does. */
  readonly heardBy: readonly string[];
}

/** What is published to a topic, and by which service. */
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

/** The statement that lets a service do something on behalf of this account alone. */
function admission(statements: any[], service: string, actions: string[]): string {
  const found = statements.find(
    ({ Effect, Principal, Action, Condition }) =>
      Effect === 'Allow' &&
      Principal.Service === service &&
      actions.every((action) => [Action].flat().includes(action)) &&
      Condition?.StringEquals?.['aws:SourceAccount']?.Ref === 'AWS::AccountId',
  );
  assert.ok(found, `nothing lets ${service} do ${actions.join()}`);
  return found.Sid;
}

/** The steps from a topic to its subscribers, for what `service` publishes there. */
export function wayFrom(stage: Synthesized, topicId: string, service: string): Omit<Way, 'from'> {
  const { Type, Properties: topic } = stage.resources()[topicId]!;
  assert.equal(Type, 'AWS::SNS::Topic', topicId);
  const policies = stage
    .of('AWS::SNS::TopicPolicy')
    .filter(({ Properties }) => Properties.Topics.some((each: any) => each.Ref === topicId))
    .flatMap(({ Properties }) => Properties.PolicyDocument.Statement);
  const publishes = admission(policies, service, ['sns:Publish']);
  assert.match(said(topic.KmsMasterKeyId), /FnGetAttKey/);
  const [key] = Object.values<Resource>(stage.data.toJSON().Resources).filter(({ Type }) => Type === 'AWS::KMS::Key');
  const encrypts = admission(key!.Properties.KeyPolicy.Statement, service, ['kms:Decrypt', 'kms:GenerateDataKey*']);
  const heardBy = stage
    .of('AWS::SNS::Subscription')
    .filter(({ Properties }) => Properties.TopicArn.Ref === topicId)
    .map(({ Properties }) => `${Properties.Protocol}:${Properties.Endpoint}`);
  return {
    steps: [topic.TopicName, `topic policy ${publishes}`, `key policy ${encrypts}`, ...heardBy],
    heardBy,
  };
}

/** The ways of all that alerts. Throws where one ends before a topic. */
export function ways(stage: Synthesized): Way[] {
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
      return topics.map(({ Ref }) => ({ from, ...wayFrom(stage, Ref, `${publisher.service}.amazonaws.com`) }));
    }
    // A part rings with its whole, and an alarm of a release turns it back.
    const whole = composites.find(({ Properties }) => said(Properties.AlarmRule).includes(id));
    if (whole) return [{ from, steps: [`part of ${whole.Properties.AlarmName}`], heardBy: [] }];
    const group = groups.find(([, { Properties }]) =>
      Properties.AlarmConfiguration.Alarms.some(({ Name }: any) => said(Name).includes(id)),
    );
    assert.ok(group, `${from} goes nowhere`);
    return [{ from, steps: ['turns the release back'], heardBy: [] }];
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [stage = 'prod', alertsEmail = SUBSCRIBER] = process.argv.slice(2);
  for (const { from, steps } of ways(new Synthesized(stage, { alertsEmail })))
    console.log([from, ...steps].join(' -> '));
}
