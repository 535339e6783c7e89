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

/**
 * Headers in which senders of webhooks and operators prove who they are: our own, and those of makers whose
 * signatures a sender may have.
 */
const CREDENTIAL_HEADERS = [
  'x-revenueflow-token',
  'webhook-signature',
  'svix-signature',
  'authorization',
  'x-signature',
  'x-hub-signature-256',
  'x-hubspot-signature-v3',
  'typeform-signature',
  'calendly-webhook-signature',
  'x-webflow-signature',
];

/** Headers that must not be logged. */
const SECRET_HEADERS = [...CREDENTIAL_HEADERS, 'cookie'];

/**
 * The limit of requests without any of these headers, per address in five minutes. The functions refuse such
 * requests, but only after the API's throttle has counted them. Health checks from one address need 60.
 */
const UNPROVEN_PER_ADDRESS = 100;

const WINDOW_SECONDS = 300;

/** `/leads` and the paths of named sources, whose names have 1 to 32 of these characters. A lead's id has 64. */
const WEBHOOK_URI = '/leads(/[a-z][a-z0-9-]{0,31})?$';

/** The name of the firewall in CloudWatch's metrics: an account may have one per stage. */
export function firewallMetricName(stage: Stage): string {
  return name(stage, 'api');
}

function perAddress(
  limit: number,
  scopeDownStatement?: wafv2.CfnWebACL.StatementProperty,
): wafv2.CfnWebACL.StatementProperty {
  const counted = { aggregateKeyType: 'IP', limit, evaluationWindowSec: WINDOW_SECONDS };
  return { rateBasedStatement: { ...counted, ...(scopeDownStatement ? { scopeDownStatement } : {}) } };
}

/** Matches a request that has none of the headers with credentials, or empty ones. */
function withoutCredentials(): wafv2.CfnWebACL.StatementProperty {
  const statements = CREDENTIAL_HEADERS.map((header) => ({
    sizeConstraintStatement: {
      fieldToMatch: { singleHeader: { Name: header } },
      comparisonOperator: 'GT',
      size: 0,
      textTransformations: [{ priority: 0, type: 'NONE' }],
    },
  }));
  return { notStatement: { statement: { orStatement: { statements } } } };
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
          statement: perAddress(stage.http.perAddress),
          visibilityConfig: watched('per-address'),
        },
        {
          name: 'without-credentials',
          priority: 1,
          action: { block: {} },
          statement: perAddress(UNPROVEN_PER_ADDRESS, withoutCredentials()),
          visibilityConfig: watched('without-credentials'),
        },
        ...groups.map(([group, rules], index) => ({
          name: group,
          priority: index + 2,
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
                priority: groups.length + 2,
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
  /** Matches any request but a webhook, from an address outside these networks. */
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
    const statements = [
      { byteMatchStatement: { ...isPost, textTransformations } },
      {
        regexMatchStatement: { fieldToMatch: { uriPath: {} }, regexString: WEBHOOK_URI, textTransformations },
      },
    ];
    const isWebhook = { andStatement: { statements } };
    const isOperator = { ipSetReferenceStatement: { arn: known.attrArn } };
    return {
      andStatement: {
        statements: [isWebhook, isOperator].map((statement) => ({ notStatement: { statement } })),
      },
    };
  }
}
