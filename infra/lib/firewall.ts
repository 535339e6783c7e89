import type * as apigateway from 'aws-cdk-lib/aws-apigateway';
import type * as kms from 'aws-cdk-lib/aws-kms';
import * as wafv2 from 'aws-cdk-lib/aws-wafv2';
import { Construct } from 'constructs';

import { logGroup } from './logs.ts';
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
  // First: what it refuses has not been looked at by rules about bodies, whose matches would be quoted in the log.
  AWSManagedRulesAmazonIpReputationList: [],
  AWSManagedRulesCommonRuleSet: [
    'NoUserAgent_HEADER',
    'SizeRestrictions_BODY',
    'CrossSiteScripting_BODY',
    'EC2MetaDataSSRF_BODY',
    'GenericLFI_BODY',
    'GenericRFI_BODY',
  ],
  AWSManagedRulesKnownBadInputsRuleSet: ['JavaDeserializationRCE_BODY', 'Log4JRCE_BODY', 'ReactJSRCE_BODY'],
};

/** Headers that prove who sends: they do not belong in a log. */
const SECRET_HEADERS = ['x-revenueflow-token', 'webhook-signature', 'authorization', 'cookie'];

/** The name of the firewall in CloudWatch's metrics: an account may have one for each stage. */
export function firewallMetricName(stage: Stage): string {
  return name(stage, 'api');
}

export class Firewall extends Construct {
  constructor(scope: Construct, id: string, { stage, key, api }: FirewallProps) {
    super(scope, id);
    const watched = (metricName: string) => ({
      metricName,
      cloudWatchMetricsEnabled: true,
      sampledRequestsEnabled: false, // samples would show headers to whoever reads the console
    });

    const { operators } = stage.http;
    const groups = Object.entries(ONLY_COUNT);
    const acl = new wafv2.CfnWebACL(this, 'Acl', {
      name: name(stage, 'api'),
      scope: 'REGIONAL',
      defaultAction: { allow: {} },
      visibilityConfig: watched(firewallMetricName(stage)),
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
        ...groups.map(([group, rules], index) => ({
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
        ...(operators
          ? [
              {
                name: 'operators',
                priority: groups.length + 1,
                action: { block: {} },
                statement: this.fromElsewhere(stage, operators),
                visibilityConfig: watched('operators'),
              },
            ]
          : []),
      ],
    });
    new wafv2.CfnWebACLAssociation(this, 'Association', { resourceArn: api.stageArn, webAclArn: acl.attrArn });

    const log = logGroup(this, 'Log', stage, key, `aws-waf-logs-${name(stage, 'api')}`); // the prefix is WAF's condition
    new wafv2.CfnLoggingConfiguration(this, 'Logging', {
      resourceArn: acl.attrArn,
      logDestinationConfigs: [log.logGroupRef.logGroupArn],
      redactedFields: [
        ...SECRET_HEADERS.map((header) => ({ singleHeader: { Name: header } })),
        { queryString: {} }, // may hold an address to look for
      ],
      // Only what was stopped: the rest is in the access log. An entry of what was only counted would quote the body.
      loggingFilter: {
        DefaultBehavior: 'DROP',
        Filters: [
          {
            Behavior: 'KEEP',
            Requirement: 'MEETS_ANY',
            Conditions: [{ ActionCondition: { Action: 'BLOCK' } }],
          },
        ],
      },
    });
  }
  /** A request of an address outside these networks to anything but `POST /leads`. */
  private fromElsewhere(stage: Stage, operators: readonly string[]): wafv2.CfnWebACL.StatementProperty {
    const known = new wafv2.CfnIPSet(this, 'Operators', {
      name: name(stage, 'operators'),
      scope: 'REGIONAL',
      ipAddressVersion: 'IPV4', // all that a regional API is reached by
      addresses: [...operators],
    });
    const textTransformations = [{ priority: 0, type: 'NONE' }];
    const isPost = { fieldToMatch: { method: {} }, positionalConstraint: 'EXACTLY', searchString: 'POST' };
    // The path begins with the stage's name, or not where the API has a name of its own.
    const isLeads = { fieldToMatch: { uriPath: {} }, positionalConstraint: 'ENDS_WITH', searchString: '/leads' };
    const isWebhook = {
      andStatement: {
        statements: [isPost, isLeads].map((match) => ({ byteMatchStatement: { ...match, textTransformations } })),
      },
    };
    const isOperator = { ipSetReferenceStatement: { arn: known.attrArn } };
    return {
      andStatement: {
        statements: [isWebhook, isOperator].map((statement) => ({ notStatement: { statement } })),
      },
    };
  }
}
