import { App } from 'aws-cdk-lib';
import { fileURLToPath } from 'node:url';

import { revenueflow } from './lib/app.ts';
import { stage } from './lib/stages.ts';

const app = new App();
const context = (name: string): unknown => app.node.tryGetContext(name);
const binaries = context('binaries');
revenueflow(
  stage(context('stage'), {
    architecture: context('architecture'),
    alertsEmail: context('alertsEmail'),
    backupRegion: context('backupRegion'),
    canary: context('canary'),
    synthetic: context('synthetic'),
  }),
  typeof binaries === 'string' ? binaries : fileURLToPath(new URL('../target/lambda', import.meta.url)),
  app,
);
