/**
 * The differences between deployments of RevenueFlow. No other code in this folder depends on a stage's name.
 */
import { RegionInfo } from 'aws-cdk-lib/region-info';

import type { Files, Settings } from './settings.ts';

export interface Stage {
  readonly name: string;
  /** The account is that of the deploying credentials. */
  readonly region: string;
  /** The target architecture of the functions; `-c architecture=x86_64` overrides it. */
  readonly architecture: 'arm64' | 'x86_64';
  /** An emulator: no VPC, no Aurora, no firewall, no alarms, no CodeDeploy. */
  readonly emulated: boolean;
  /** Deletion protection, termination protection, and data that outlives its stack. */
  readonly protected: boolean;

  /** `gemini` needs its key in the secret `ai`. */
  readonly ai:
    | { readonly provider: 'rules' }
    | { readonly provider: 'gemini' }
    | { readonly provider: 'bedrock'; readonly modelId: string; readonly fallback?: 'gemini' };
  readonly crm: 'mock' | 'salesforce' | 'hubspot';
  /** Called in this order until one knows the company. */
  readonly enrichment: readonly ('fixtures' | 'zoominfo' | 'apollo' | 'pdl' | 'hunter' | 'clearbit')[];

  /** Settings that differ from the functions' defaults. */
  readonly settings?: Settings;
  /** Files that replace the built-in ones, deployed with the code. */
  readonly files?: Files;

  /** Aurora, or the URL passed to the deployment as the parameter `DatabaseUrl`. */
  readonly database: Aurora | 'by-parameter';
  /**
   * Another region, which receives a copy of the database each night; `-c backupRegion=REGION` sets or overrides it.
   * Only for protected stages.
   */
  readonly backupRegion?: string;
  /** NAT gateways: one is cheaper, two survive the loss of an availability zone. */
  readonly natGateways: 1 | 2;
  readonly janitorEveryMinutes: number;
  readonly enrich: {
    /** The maximum number of concurrent batches, each with up to ten leads. Lambda allows 2 to 1000. */
    readonly maxConcurrency: number;
  };
  /**
   * Reserved concurrency, which keeps other functions of the account from using it. An account must keep 100
   * unreserved and a new one has 10 in all, so this needs a raised quota.
   */
  readonly reserved?: {
    readonly ingest: number;
    /**
     * At least `enrich.maxConcurrency`: the mapping's pollers ignore the reservation, so a lower value uses
     * up receives.
     */
    readonly enrich: number;
    readonly deadLetter: number;
    readonly janitor: number;
    readonly api: number;
  };
  readonly http: {
    /** `POST /leads` per second, sustained and burst, from all senders together. */
    readonly ingest: Rate;
    /** All other requests per second. */
    readonly operate: Rate;
    /**
     * The limit of requests per address in five minutes. It is high, since senders post from few addresses,
     * and two fifths of the throttle of `ingest`, so that one address leaves room for the others.
     */
    readonly perAddress: number;
    /**
     * IPv4 networks that may use the operator routes (all but `POST /leads`); by default any holder of the
     * token may.
     */
    readonly operators?: readonly string[];
    /** A custom domain, which outlives the API and can move to another region. */
    readonly domain?: Domain;
  };
  /**
   * Whether the synthetic lead is posted every five minutes and monitored. It keeps an auto-pausing database
   * awake. `-c synthetic=false` disables it, `-c synthetic=true` enables it; the emulator never has it.
   */
  readonly synthetic: boolean;
  readonly alerts: {
    /**
     * Receives every alarm; must confirm the subscription once. `-c alertsEmail=ADDRESS` sets or overrides
     * it. A protected stage requires one.
     */
    readonly email?: string;
    /** The number of hours without webhooks until an alarm, 1 to 24. */
    readonly quietHours?: number;
    /** Whether dead letters are also posted to a Slack-compatible URL, which is kept in a secret. */
    readonly webhook: boolean;
  };
  /** Limits for the bill of the whole account: a budget is not split by stage. */
  readonly costs?: {
    /** US dollars a month. Alerts at 80 and 100 % of it, and when the forecast exceeds it. */
    readonly monthlyUsd: number;
    /**
     * ARN of the account's Cost Anomaly monitor. An account has one service monitor, usually created by AWS
     * already, so the stage does not create another (docs/deploy.md shows how to find it).
     */
    readonly anomalyMonitor?: string;
  };
  /**
   * Invoke the new version before its first request, shift a tenth of the traffic to it, watch it for five
   * minutes, and roll back on an alarm.
   */
  readonly canary: boolean;
  /** This deployment shifts all traffic at once and ignores alarms: `-c canary=false`. */
  readonly atOnce?: boolean;
  readonly logDays: 7 | 30 | 90;
}

export interface Aurora {
  /** Aurora capacity units of about 2 GiB each; 0 pauses after five idle minutes and takes 15 s to resume. */
  readonly minAcu: number;
  readonly maxAcu: number;
  /** Readers to fail over to, each in another availability zone. */
  readonly readers: 0 | 1;
  readonly backupDays: number;
}

export interface Domain {
  /** Such as `leads.example.com`. */
  readonly name: string;
  /** The public Route 53 hosted zone of the domain, in this account. */
  readonly zone: { readonly id: string; readonly name: string };
}

export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

const dev: Stage = {
  name: 'dev',
  region: 'us-east-1',
  architecture: 'arm64',
  emulated: false,
  protected: false,
  ai: { provider: 'rules' },
  crm: 'mock',
  enrichment: ['fixtures'],
  database: { minAcu: 0, maxAcu: 2, readers: 0, backupDays: 1 },
  natGateways: 1,
  janitorEveryMinutes: 30, // each run wakes the database for at least five minutes
  enrich: { maxConcurrency: 2 },
  http: { ingest: { perSecond: 20, burst: 40 }, operate: { perSecond: 10, burst: 20 }, perAddress: 2_400 },
  synthetic: false, // each post would wake the database
  alerts: { webhook: false },
  canary: false,
  logDays: 7,
};

const staging: Stage = {
  ...dev,
  name: 'staging',
  ai: { provider: 'bedrock', modelId: 'global.anthropic.claude-haiku-5-5' },
  crm: 'salesforce',
  enrichment: ['apollo', 'pdl'],
  settings: { AI_BUDGET_USD_PER_DAY: 5 },
  database: { minAcu: 0.5, maxAcu: 4, readers: 0, backupDays: 7 },
  janitorEveryMinutes: 1,
  enrich: { maxConcurrency: 5 },
  reserved: { ingest: 20, enrich: 5, deadLetter: 2, janitor: 2, api: 5 },
  http: { ingest: { perSecond: 100, burst: 200 }, operate: { perSecond: 20, burst: 40 }, perAddress: 12_000 },
  synthetic: true,
  alerts: { webhook: true },
  logDays: 30,
};

/** For a CRM in use by salespeople, start with `CRM_MODE: 'shadow'` in `settings`: docs/migration.md. */
const prod: Stage = {
  ...staging,
  name: 'prod',
  protected: true,
  enrichment: ['zoominfo', 'apollo', 'pdl'],
  settings: { AI_BUDGET_USD_PER_DAY: 50 }, // some 90,000 leads
  database: { minAcu: 0.5, maxAcu: 16, readers: 1, backupDays: 35 },
  natGateways: 2,
  enrich: { maxConcurrency: 20 },
  reserved: { ingest: 100, enrich: 20, deadLetter: 2, janitor: 2, api: 10 },
  http: { ingest: { perSecond: 500, burst: 1_000 }, operate: { perSecond: 50, burst: 100 }, perAddress: 60_000 },
  alerts: { webhook: true, quietHours: 12 },
  costs: { monthlyUsd: 1_000 },
  canary: true,
  logDays: 90,
};

/** For the emulator at `AWS_ENDPOINT_URL`. */
const local: Stage = {
  ...dev,
  name: 'local',
  architecture: process.arch === 'arm64' ? 'arm64' : 'x86_64',
  emulated: true,
  database: 'by-parameter',
  janitorEveryMinutes: 1,
};

const STAGES: readonly Stage[] = [dev, staging, prod, local];

export const STAGE_NAMES = STAGES.map(({ name }) => name);

/** The options of a deployment, from `-c NAME=VALUE`. */
export interface Given {
  readonly architecture?: unknown;
  readonly alertsEmail?: unknown;
  readonly backupRegion?: unknown;
  readonly canary?: unknown;
  readonly synthetic?: unknown;
}

/** The stage with this name; options override its values. */
export function stage(name: unknown, given: Given = {}): Stage {
  const found = STAGES.find((stage) => stage.name === name);
  if (!found) throw new Error(`-c stage=NAME must be one of ${STAGE_NAMES.join(', ')}, not ${String(name)}`);
  const {
    architecture = found.architecture,
    alertsEmail = found.alerts.email,
    canary = 'true',
    synthetic = found.synthetic,
  } = given;
  if (architecture !== 'arm64' && architecture !== 'x86_64') {
    throw new Error(`-c architecture=NAME must be arm64 or x86_64, not ${String(architecture)}`);
  }
  if (alertsEmail !== undefined && !/^[^@\s]+@[^@\s]+$/.test(String(alertsEmail))) {
    throw new Error(`-c alertsEmail=ADDRESS must be an e-mail address, not ${String(alertsEmail)}`);
  }
  if (String(canary) !== 'true' && String(canary) !== 'false') {
    throw new Error(`-c canary=VALUE must be true or false, not ${String(canary)}`);
  }
  if (String(synthetic) !== 'true' && String(synthetic) !== 'false') {
    throw new Error(`-c synthetic=VALUE must be true or false, not ${String(synthetic)}`);
  }
  const { backupRegion = found.backupRegion } = given;
  return {
    ...found,
    architecture,
    synthetic: String(synthetic) === 'true' && !found.emulated,
    ...(backupRegion === undefined ? {} : { backupRegion: regionForCopies(String(backupRegion), found) }),
    alerts: { ...found.alerts, ...(alertsEmail === undefined ? {} : { email: String(alertsEmail) }) },
    atOnce: String(canary) === 'false',
  };
}

/** A valid region for copies of the stage's backups; throws for any other. */
function regionForCopies(region: string, { name, region: own, protected: isProtected }: Stage): string {
  const refuse = (why: string) => new Error(`-c backupRegion=${region}: ${why}`);
  if (!isProtected) throw refuse(`the stage ${name} is not protected, and its data is not copied`);
  if (region === own) throw refuse(`the stage ${name} is in that region itself`);
  const known = RegionInfo.regions.find((each) => each.name === region);
  if (!known) throw refuse('is no region of AWS');
  if (known.partition !== RegionInfo.get(own).partition) throw refuse(`cannot be reached from ${own}`);
  return region;
}
