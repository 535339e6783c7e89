import { Annotations, Stack } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import * as sns from 'aws-cdk-lib/aws-sns';
import * as subscriptions from 'aws-cdk-lib/aws-sns-subscriptions';
import type { Construct } from 'constructs';

import { name } from './names.ts';
import type { Stage } from './stages.ts';

/**
 * The services that publish alerts, by the name of their policy statement. They need access to the topic and
 * its key.
 */
export function alertPublishers(stage: Stage): Record<string, string> {
  return {
    Alarms: 'cloudwatch.amazonaws.com',
    ...(stage.backupRegion ? { Backups: 'events.amazonaws.com' } : {}),
    ...(stage.costs ? { Budgets: 'budgets.amazonaws.com' } : {}),
    ...(stage.costs?.anomalyMonitor ? { CostAnomalies: 'costalerts.amazonaws.com' } : {}),
  };
}

/**
 * The topic of all alarms. Its own policy replaces the default one, which lets CloudWatch publish, so the
 * services are listed here.
 *
 * Throws if a protected stage has no subscriber, and warns for any other stage: without one, alarms reach
 * nobody.
 */
export function alertTopic(scope: Construct, stage: Stage, key: kms.IKey): sns.Topic {
  const topic = new sns.Topic(scope, 'Alerts', {
    topicName: name(stage, 'alerts'),
    displayName: `RevenueFlow ${stage.name}`,
    masterKey: key,
    enforceSSL: true,
  });
  for (const [sid, service] of Object.entries(alertPublishers(stage))) {
    topic.addToResourcePolicy(
      new iam.PolicyStatement({
        sid,
        principals: [new iam.ServicePrincipal(service)],
        actions: ['sns:Publish'],
        resources: [topic.topicArn],
        conditions: { StringEquals: { 'aws:SourceAccount': Stack.of(scope).account } },
      }),
    );
  }
  const { email } = stage.alerts;
  if (email) {
    topic.addSubscription(new subscriptions.EmailSubscription(email));
  } else if (stage.protected) {
    throw new Error(noSubscriber(stage));
  } else if (!stage.emulated) {
    Annotations.of(topic).addWarningV2('revenueflow:unheard', noSubscriber(stage));
  }
  return topic;
}

function noSubscriber(stage: Stage): string {
  return `the alarms of the stage ${stage.name} have no subscriber: set alerts.email in infra/lib/stages.ts, or give -c alertsEmail=ADDRESS`;
}
