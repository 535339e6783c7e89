import * as budgets from 'aws-cdk-lib/aws-budgets';
import * as ce from 'aws-cdk-lib/aws-ce';
import type * as sns from 'aws-cdk-lib/aws-sns';
import { Construct } from 'constructs';

import { name } from './names.ts';
import type { Stage } from './stages.ts';

/** The smallest anomaly worth an alert, in US dollars. */
const ANOMALY_USD = 20;

/** Alerts about the account's bill, published to the alarm topic. */
export class BillGuard extends Construct {
  constructor(scope: Construct, id: string, stage: Stage, costs: NonNullable<Stage['costs']>, alerts: sns.Topic) {
    super(scope, id);
    const subscribers = [{ subscriptionType: 'SNS', address: alerts.topicArn }];
    const at = (notificationType: 'ACTUAL' | 'FORECASTED', threshold: number) => ({
      notification: { notificationType, comparisonOperator: 'GREATER_THAN', threshold, thresholdType: 'PERCENTAGE' },
      subscribers,
    });
    const budget = new budgets.CfnBudget(this, 'Budget', {
      budget: {
        budgetName: name(stage, 'month'),
        budgetType: 'COST',
        timeUnit: 'MONTHLY',
        budgetLimit: { amount: costs.monthlyUsd, unit: 'USD' },
      },
      notificationsWithSubscribers: [at('ACTUAL', 80), at('ACTUAL', 100), at('FORECASTED', 100)],
    });
    // At creation, the service checks its permission to publish.
    const policy = alerts.node.tryFindChild('Policy');
    if (policy) budget.node.addDependency(policy);

    if (costs.anomalyMonitor) {
      const anomalies = new ce.CfnAnomalySubscription(this, 'Anomalies', {
        subscriptionName: name(stage, 'cost-anomalies'),
        monitorArnList: [costs.anomalyMonitor],
        frequency: 'IMMEDIATE', // the only frequency for a topic
        subscribers: [{ type: 'SNS', address: alerts.topicArn }],
        thresholdExpression: JSON.stringify({
          Dimensions: {
            Key: 'ANOMALY_TOTAL_IMPACT_ABSOLUTE',
            MatchOptions: ['GREATER_THAN_OR_EQUAL'],
            Values: [String(ANOMALY_USD)],
          },
        }),
      });
      if (policy) anomalies.node.addDependency(policy);
    }
  }
}
