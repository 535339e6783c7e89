import * as ec2 from 'aws-cdk-lib/aws-ec2';
import type * as kms from 'aws-cdk-lib/aws-kms';
import { Construct } from 'constructs';

import { logGroup } from './logs.ts';
import type { Stage } from './stages.ts';

/**
 * The network of the database and of the functions that use it. These functions also call the AI and the CRM.
 * Salesforce, HubSpot and the enrichment providers are on the Internet, which VPC endpoints do not reach, so
 * there are NAT gateways. Endpoints for AWS's own services would then be redundant (docs/deploy.md has the
 * costs). The S3 endpoint is free.
 */
export class Network extends Construct {
  readonly vpc: ec2.Vpc;
  /** For functions that use the database. */
  readonly functions: ec2.SecurityGroup;
  /** For the database itself. */
  readonly database: ec2.SecurityGroup;

  constructor(scope: Construct, stage: Stage, key: kms.IKey) {
    super(scope, 'Network');
    this.vpc = new ec2.Vpc(this, 'Vpc', {
      maxAzs: 2,
      natGateways: stage.natGateways,
      subnetConfiguration: [
        { name: 'nat', subnetType: ec2.SubnetType.PUBLIC, mapPublicIpOnLaunch: false, cidrMask: 26 },
        { name: 'functions', subnetType: ec2.SubnetType.PRIVATE_WITH_EGRESS, cidrMask: 20 },
        { name: 'database', subnetType: ec2.SubnetType.PRIVATE_ISOLATED, cidrMask: 26 },
      ],
      gatewayEndpoints: { s3: { service: ec2.GatewayVpcEndpointAwsService.S3 } },
      restrictDefaultSecurityGroup: false, // unused; emptying it takes a function with wide permissions
    });
    this.vpc.addFlowLog('Refused', {
      trafficType: ec2.FlowLogTrafficType.REJECT,
      destination: ec2.FlowLogDestination.toCloudWatchLogs(logGroup(this, 'FlowLogs', stage, key)),
    });

    this.functions = new ec2.SecurityGroup(this, 'Functions', {
      vpc: this.vpc,
      description: 'RevenueFlow functions that use the database',
      allowAllOutbound: false,
    });
    this.database = new ec2.SecurityGroup(this, 'Database', {
      vpc: this.vpc,
      description: 'RevenueFlow database',
      allowAllOutbound: false,
    });
    this.functions.addEgressRule(ec2.Peer.anyIpv4(), ec2.Port.HTTPS, 'AWS, AI, CRM and enrichment');
    this.functions.addEgressRule(this.database, ec2.Port.POSTGRES, 'Database');
    this.database.addIngressRule(this.functions, ec2.Port.POSTGRES, 'Functions');
  }
}
