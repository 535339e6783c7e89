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
 * Rules of AWS's managed groups that judge the content or the size of a body. They only count: a lead is
 * data, however odd it looks, and the functions bound its size. A missing User-Agent is counted only as well,
 * since webhooks often have none.
 */
const ONLY_COUNT: Record<string, readonly string[]> = {
  // First, so that requests that it blocks never reach rules about bodies, whose matches would be quoted in
  // the log.
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

/** Headers with credentials, which must not be logged. */
const SECRET_HEADERS = ['x-revenueflow-token', 'webhook-signature', 'authorization', 'cookie'];

/** The name of the firewall in CloudWatch's metrics: an account may have one per stage. */
export function firewallMetricName(stage: Stage): string {
  return name(stage, 'api');
}

export class Firewall extends Construct {
  constructor(scope: Construct, id: string, { stage, key, api }: FirewallProps) {
    super(scope, id);
    const watched = (metricName: string) => ({
      metricName,
      cloudWatchMetricsEnabled: true,
      sampledRequestsEnabled: false, // samples would show headers in the console
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
                statement: this.outsideOperatorNetworks(stage, operators),
                visibilityConfig: watched('operators'),
              },
            ]
          : []),
      ],
    });
    new wafv2.CfnWebACLAssociation(this, 'Association', { resourceArn: api.stageArn, webAclArn: acl.attrArn });

    const log = logGroup(this, 'Log', stage, key, `aws-waf-logs-${name(stage, 'api')}`); // WAF requires the prefix
    new wafv2.CfnLoggingConfiguration(this, 'Logging', {
      resourceArn: acl.attrArn,
      logDestinationConfigs: [log.logGroupRef.logGroupArn],
      redactedFields: [
        ...SECRET_HEADERS.map((header) => ({ singleHeader: { Name: header } })),
        { queryString: {} }, // may contain an e-mail address
      ],
      // Only blocked requests: all others are in the access log. An entry about a counted request would quote
      // its body.
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
  /** Matches any request but `POST /leads` from an address outside these networks. */
  private outsideOperatorNetworks(stage: Stage, operators: readonly string[]): wafv2.CfnWebACL.StatementProperty {
    const known = new wafv2.CfnIPSet(this, 'Operators', {
      name: name(stage, 'operators'),
      scope: 'REGIONAL',
      ipAddressVersion: 'IPV4', // a regional API has only IPv4 addresses
      addresses: [...operators],
    });
    const textTransformations = [{ priority: 0, type: 'NONE' }];
    const isPost = { fieldToMatch: { method: {} }, positionalConstraint: 'EXACTLY', searchString: 'POST' };
    // The path starts with the stage's name, unless the API has a custom domain.
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
