// The Node side of the throughput benchmark: adds and works no-op jobs, and pushes to a plain list.
//
//     node throughput.mjs REDIS_URL CONCURRENCY
//
// Each line on standard input is ["lpush" | "add" | "work", COUNT, PREFIX]; the answer to each is its
// duration in milliseconds.

import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { createInterface } from 'node:readline';

const [url, width] = process.argv.slice(2);
const concurrency = Number(width);
const { hostname: host, port } = new URL(url);
const connection = { host, port: Number(port), maxRetriesPerRequest: null };
const name = 'lead-processing';
const opts = { attempts: 5, backoff: { type: 'exponential', delay: 2000 }, removeOnComplete: { age: 86400, count: 1000 } };
const data = JSON.stringify({ email: 'lead@example.com', campaign_id: 'bench', filler: 'x'.repeat(400) });

/** Calls `one` `count` times, `concurrency` calls at once. */
async function many(count, one) {
  let next = 0;
  const lane = async () => {
    while (next < count) await one(next++);
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
}

const operations = {
  lpush: async (count, prefix) => {
    const redis = new Redis(connection);
    await redis.ping();
    const start = performance.now();
    await many(count, () => redis.lpush(`${prefix}-list`, data));
    const took = performance.now() - start;
    await redis.quit();
    return took;
  },
  add: async (count, prefix) => {
    const queue = new Queue(name, { connection, prefix });
    await queue.waitUntilReady();
    const lead = JSON.parse(data);
    const start = performance.now();
    await many(count, (n) => queue.add('process-lead', lead, { ...opts, jobId: `job-${n}` }));
    const took = performance.now() - start;
    await queue.close();
    return took;
  },
  work: async (count, prefix) => {
    let start;
    let left = count;
    let finish;
    const finished = new Promise((resolve) => (finish = resolve));
    const worker = new Worker(name, async () => null, { connection, prefix, concurrency, autorun: false });
    worker.on('completed', () => --left || finish());
    await worker.waitUntilReady();
    start = performance.now();
    worker.run();
    await finished;
    const took = performance.now() - start;
    await worker.close();
    return took;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const [operation, count, prefix] = JSON.parse(line);
  process.stdout.write(`${JSON.stringify(await operations[operation](count, prefix))}\n`);
}
process.exit(0);
