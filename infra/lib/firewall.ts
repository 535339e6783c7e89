import { RemovalPolicy } from 'aws-cdk-lib';
import type * as apigateway from 'aws-cdk-lib/aws-apigateway';
import type * as kms from 'aws-cdk-lib/aws-kms';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as wafv2 from 'aws-cdk-lib/aws-wafv2';
import { Construct } from 'constructs';

import { name } from './names.ts';
import type { Stage } from './stages.ts';

export interface FirewallProps {
  readonly stage: Stage;
  readonly key: kms.IKey;
  readonly api: apigateway.Stage;
}

/**
 * Rules of AWS's groups that judge what a body says or how large it is. They only count: what a lead says is data, however
 * odd, and the functions bound its size. A sender without a User-Agent is let in too, since webhooks often have none.
 */
const ONLY_COUNT: Record<string, readonly string[]> = {
  AWSManagedRulesCommonRuleSet: [
    'NoUserAgent_HEADER',
    'SizeRestrictions_BODY',
    'CrossSiteScripting_BODY',
    'EC2MetaDataSSRF_BODY',
    'GenericLFI_BODY',
    'GenericRFI_BODY',
  ],
  AWSManagedRulesKnownBadInputsRuleSet: ['JavaDeserializationRCE_BODY', 'Log4JRCE_BODY', 'ReactJSRCE_BODY'],
  AWSManagedRulesAmazonIpReputationList: [],
};

/** Headers that prove who sends: they do not belong in a log. */
const SECRET_HEADERS = ['x-revenueflow-token', 'webhook-signature', 'authorization', 'cookie'];

export class Firewall extends Construct {
  constructor(scope: Construct, id: string, { stage, key, api }: FirewallProps) {
    super(scope, id);
    const watched = (metricName: string) => ({
      metricName,
      cloudWatchMetricsEnabled: true,
      sampledRequestsEnabled: false, // samples would show headers to whoever reads the console
    });

    const acl = new wafv2.CfnWebACL(this, 'Acl', {
      name: name(stage, 'api'),
      scope: 'REGIONAL',
      defaultAction: { allow: {} },
      visibilityConfig: watched('all'),
      rules: [
        {
          name: 'per-address',
          priority: 0,
          action: { block: {} },
          statement: {
            rateBasedStatement: { aggregateKeyType: 'IP', limit: stage.http.perAddress, evaluationWindowSec: 300 },
          },
          visibilityConfig: watched('per-address'),
        },
        ...Object.entries(ONLY_COUNT).map(([group, rules], index) => ({
          name: group,
          priority: index + 1,
          overrideAction: { none: {} },
          statement: {
            managedRuleGroupStatement: {
              vendorName: 'AWS',
              name: group,
              ruleActionOverrides: rules.map((rule) => ({ name: rule, actionToUse: { count: {} } })),
            },
          },
          visibilityConfig: watched(group),
        })),
      ],
    });
    new wafv2.CfnWebACLAssociation(this, 'Association', { resourceArn: api.stageArn, webAclArn: acl.attrArn });

    const log = new logs.LogGroup(this, 'Log', {
      logGroupName: `aws-waf-logs-${name(stage, 'api')}`, // the prefix is WAF's condition
      encryptionKey: key,
      retention: stage.logDays,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    new wafv2.CfnLoggingConfiguration(this, 'Logging', {
      resourceArn: acl.attrArn,
      logDestinationConfigs: [log.logGroupRef.logGroupArn],
      redactedFields: [
        ...SECRET_HEADERS.map((header) => ({ singleHeader: { Name: header } })),
        { queryString: {} }, // may hold an address to look for
      ],
      // Only what was stopped or counted: the rest is in the access log.
      loggingFilter: {
        DefaultBehavior: 'DROP',
        Filters: [
          {
            Behavior: 'KEEP',
            Requirement: 'MEETS_ANY',
            Conditions: [{ ActionCondition: { Action: 'BLOCK' } }, { ActionCondition: { Action: 'COUNT' } }],
          },
        ],
      },
    });
  }
}
