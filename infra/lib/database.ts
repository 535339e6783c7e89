import { Duration, Names, RemovalPolicy } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import * as rds from 'aws-cdk-lib/aws-rds';
import type * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import * as cr from 'aws-cdk-lib/custom-resources';
import { Construct } from 'constructs';
import { readFileSync } from 'node:fs';

import type { RustFunction } from './functions.ts';
import { logGroup } from './logs.ts';
import { intended } from './nag.ts';
import type { Network } from './network.ts';
import type { Aurora, Stage } from './stages.ts';

const DATABASE_NAME = 'revenueflow';

/** The role of every function but `migrate`; `lib/roles.sql` creates it. */
const APP_ROLE = 'revenueflow_app';

/**
 * PostgreSQL on Aurora Serverless v2. The functions sign in with IAM tokens as a role that reads and writes
 * rows. The master user owns the tables; its password is in a rotating secret that only `migrate` may read.
 *
 * There is no RDS Proxy: connections are bounded because concurrency is, and a proxy would keep the database
 * from pausing.
 */
export class Database extends Construct {
  readonly cluster: rds.DatabaseCluster;
  private readonly master: secretsmanager.ISecret;

  constructor(scope: Construct, stage: Stage, size: Aurora, network: Network, key: kms.IKey) {
    super(scope, 'Database');
    const removalPolicy = stage.protected ? RemovalPolicy.SNAPSHOT : RemovalPolicy.DESTROY;
    this.cluster = new rds.DatabaseCluster(this, 'Cluster', {
      engine: rds.DatabaseClusterEngine.auroraPostgres({ version: rds.AuroraPostgresEngineVersion.VER_17_7 }),
      clusterIdentifier: `revenueflow-${stage.name}`,
      credentials: rds.Credentials.fromGeneratedSecret('master', {
        secretName: `revenueflow/${stage.name}/database-master`,
        encryptionKey: key,
      }),
      iamAuthentication: true,
      enableDataApi: true, // creates the role before any function exists
      defaultDatabaseName: DATABASE_NAME,
      serverlessV2MinCapacity: size.minAcu,
      serverlessV2MaxCapacity: size.maxAcu,
      serverlessV2AutoPauseDuration: size.minAcu === 0 ? Duration.minutes(5) : undefined,
      writer: rds.ClusterInstance.serverlessV2('Writer', { publiclyAccessible: false }),
      readers: Array.from({ length: size.readers }, (_, number) =>
        rds.ClusterInstance.serverlessV2(`Reader${number}`, { scaleWithWriter: true, publiclyAccessible: false }),
      ),
      vpc: network.vpc,
      vpcSubnets: { subnetType: ec2.SubnetType.PRIVATE_ISOLATED },
      securityGroups: [network.database],
      storageEncrypted: true,
      storageEncryptionKey: key,
      backup: { retention: Duration.days(size.backupDays) },
      copyTagsToSnapshot: true,
      deletionProtection: stage.protected,
      removalPolicy,
      parameters: {
        'rds.force_ssl': '1',
        // A refused row would be quoted in the log with personal data: statements and values are not logged.
        log_error_verbosity: 'terse',
        log_statement: 'none',
        log_min_error_statement: 'panic',
        log_min_duration_statement: '-1',
      },
      // A database that exports its log does not pause.
      cloudwatchLogsExports: size.minAcu === 0 ? undefined : ['postgresql'],
    });
    if (size.minAcu > 0) {
      // Created before the cluster, which would otherwise create it unencrypted and without expiry.
      this.cluster.node.addDependency(
        logGroup(this, 'Log', stage, key, `/aws/rds/cluster/revenueflow-${stage.name}/postgresql`),
      );
    }

    this.master = this.cluster.secret!;
    const rotation = this.cluster.addRotationSingleUser({
      automaticallyAfter: Duration.days(30),
      rotateImmediatelyOnUpdate: false, // not while the role is created with this password
      vpcSubnets: { subnetType: ec2.SubnetType.PRIVATE_WITH_EGRESS },
    });
    const rotationFunction = Names.uniqueId(rotation).slice(-64); // as CDK names it
    logGroup(this, 'RotationLog', stage, key, `/aws/lambda/${rotationFunction}`);

    const makeRole = {
      service: 'rds-data',
      action: 'ExecuteStatement',
      parameters: {
        resourceArn: this.cluster.clusterArn,
        secretArn: this.master.secretArn,
        database: DATABASE_NAME,
        sql: readFileSync(new URL('roles.sql', import.meta.url), 'utf8'),
      },
      physicalResourceId: cr.PhysicalResourceId.of(APP_ROLE),
    };
    const makerLog = logGroup(this, 'RoleMakerLog', stage, key);
    const maker = new iam.Role(this, 'RoleMaker', { assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com') });
    makerLog.grantWrite(maker);
    this.master.grantRead(maker);
    const role = new cr.AwsCustomResource(this, 'Role', {
      role: maker,
      logGroup: makerLog,
      onCreate: makeRole,
      onUpdate: makeRole,
      timeout: Duration.minutes(2),
      installLatestAwsSdk: false,
      policy: cr.AwsCustomResourcePolicy.fromStatements([
        new iam.PolicyStatement({ actions: ['rds-data:ExecuteStatement'], resources: [this.cluster.clusterArn] }),
      ]),
    });
    role.node.addDependency(this.cluster); // and so on its writer, which executes the statement

    intended(this.cluster, {
      RDS11: "The port is not a secret: only the functions' security group reaches it, by TLS and IAM token.",
      ...(stage.protected ? {} : { RDS10: 'Holds test leads; the stage can be removed in one step.' }),
    });
  }

  /** Lets a function read and write rows; returns the variables for the connection. */
  admitApp(grantee: iam.IGrantable): Record<string, string> {
    this.cluster.grantConnect(grantee, APP_ROLE);
    return {
      DATABASE_IAM_AUTH: 'true',
      DATABASE_HOST: this.cluster.clusterEndpoint.hostname,
      DATABASE_PORT: '5432',
      DATABASE_NAME,
      DATABASE_USER: APP_ROLE,
    };
  }

  /** Lets a function change tables; returns the variables for the connection. */
  admitMaster(function_: RustFunction): Record<string, string> {
    function_.mayRead(this.master);
    return { DATABASE_SECRET_ARN: this.master.secretArn };
  }
}
