// The Node side of the Redis queue tests: a BullMQ process that executes requests from standard input.
//
//     node peer.mjs MODULE REDIS_URL PREFIX
//
// MODULE is `bullmq` or `bullmq5`. Each line on standard input is a request {"op": "...", ...}; each line on
// standard output is the answer to one request, in order: {"ok": ...} or {"error": "..."}.

import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { createInterface } from 'node:readline';

const [moduleName, url, prefix] = process.argv.slice(2);
const { FlowProducer, Queue, QueueEvents, UnrecoverableError, Worker } = await import(moduleName);
const { hostname: host, port } = new URL(url);
// While Redis is unavailable, commands wait for it; BullMQ's messages about the outage are dropped.
const connection = { host, port: Number(port), maxRetriesPerRequest: null };
const quiet = (emitter) => emitter.on('error', () => {});
const queues = new Map();
const queue = (name = 'lead-processing') => {
  if (!queues.has(name)) queues.set(name, quiet(new Queue(name, { connection, prefix })));
  return queues.get(name);
};

let worker;
/** Each job handed to the worker, as [id, earlier attempts, data]. */
const seen = [];
let release;
const released = new Promise((resolve) => (release = resolve));

const behaviours = {
  work: async () => null,
  hang: async () => released,
  giveUp: async () => {
    throw new UnrecoverableError('node gave up');
  },
  fail: async (job) => {
    throw new Error(`node failed attempt ${job.attemptsMade + 1}`);
  },
};

function describe(job, state) {
  const { id, name, data, opts, attemptsMade, stalledCounter, failedReason, stacktrace, returnvalue, timestamp } = job;
  return { id, name, data, opts, attemptsMade, stalledCounter, failedReason, stacktrace, returnvalue, timestamp, state };
}

const operations = {
  add: async ({ jobs, name = 'process-lead' }) => {
    const added = await queue().addBulk(jobs.map(({ data, opts }) => ({ name, data, opts })));
    return added.map((job) => job.id);
  },
  addFlow: async ({ parent, data }) => {
    const child = { name: 'process-lead', queueName: 'lead-processing', data };
    const flow = await quiet(new FlowProducer({ connection, prefix })).add({
      name: 'parent',
      queueName: parent,
      children: [child],
    });
    return [flow.job.id, flow.children[0].job.id];
  },
  job: async ({ id, of }) => {
    const job = await queue(of).getJob(id);
    return job ? describe(job, await job.getState()) : null;
  },
  counts: ({ of }) => queue(of).getJobCounts(),
  workers: async () => (await queue().getWorkers()).map((worker) => worker.rawname),
  call: async ({ method, args = [], of }) => (await queue(of)[method](...args)) ?? null,
  work: async ({ behaviour = 'work', options = {} }) => {
    const processor = async (job) => {
      seen.push([job.id, job.attemptsMade, job.data]);
      return behaviours[behaviour](job);
    };
    worker = quiet(new Worker('lead-processing', processor, { connection, prefix, drainDelay: 1, ...options }));
    await worker.waitUntilReady();
    return null;
  },
  stop: async () => {
    await worker.close();
    return null;
  },
  release: async () => {
    release();
    return null;
  },
  seen: async () => seen,
  result: async ({ id, seconds }) => {
    // Events are read from the first on: a job that ended before the subscription would be missed otherwise.
    const events = quiet(new QueueEvents('lead-processing', { connection, prefix, lastEventId: '0' }));
    const job = await queue().getJob(id);
    return job.waitUntilFinished(events, seconds * 1000);
  },
  board: async ({ method = 'get', route, params = {}, query = {} }) => {
    let routes;
    let boards;
    const adapter = new Proxy({}, {
      get: (_, setter) => (value) => {
        if (setter === 'setApiRoutes') routes = value;
        if (setter === 'setQueues') boards = value;
        return adapter;
      },
    });
    const shown = ['lead-processing', 'lead-processing-dlq'].map((name) => new BullMQAdapter(queue(name)));
    createBullBoard({ queues: shown, serverAdapter: adapter });
    const found = routes.find((one) => one.method === method && [one.route].flat().includes(route));
    const { status = 200, body } = await found.handler({ queues: boards, params, query, body: {}, headers: {} });
    if (status >= 400) throw new Error(`the board answers ${status}: ${JSON.stringify(body)}`);
    return body;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { op, ...request } = JSON.parse(line);
  let answer;
  try {
    answer = { ok: await operations[op](request) };
  } catch (error) {
    answer = { error: String(error?.stack ?? error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit();
