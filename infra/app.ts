import { App } from 'aws-cdk-lib';
import { fileURLToPath } from 'node:url';

import { revenueflow } from './lib/app.ts';
import { stage } from './lib/stages.ts';

const app = new App();
const binaries: unknown = app.node.tryGetContext('binaries');
revenueflow(
  stage(app.node.tryGetContext('stage'), app.node.tryGetContext('architecture')),
  typeof binaries === 'string' ? binaries : fileURLToPath(new URL('../target/lambda', import.meta.url)),
  app,
);
