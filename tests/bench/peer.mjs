// The Node peer of the benchmark: an ordinary intake application on Fastify, BullMQ and PostgreSQL.
//
//     node peer.mjs migrate|api|worker
//
// `api` validates a lead, writes one row and adds one job, and answers after both. `worker` runs four
// statements for each lead. Both read DATABASE_URL and REDIS_URL, and log one line with the address when ready.

import { Queue, Worker } from 'bullmq';
import fastify from 'fastify';
import { createHash } from 'node:crypto';
import pg from 'pg';

const QUEUE = 'leads';
const { hostname: host, port } = new URL(process.env.REDIS_URL);
const connection = { host, port: Number(port), maxRetriesPerRequest: null };
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 16 });
// Named statements are prepared once for each connection.
const run = (name, text, values) => pool.query({ name, text, values });
const ready = (address) => console.error(JSON.stringify({ message: 'ready', address }));

const parts = {
  migrate: async () => {
    await pool.query(`
      CREATE TABLE lead (lead_id TEXT PRIMARY KEY, email TEXT NOT NULL, campaign_id TEXT NOT NULL, content JSONB NOT NULL,
          status TEXT NOT NULL, score INT, created_at TIMESTAMPTZ NOT NULL DEFAULT now());
      CREATE INDEX lead_by_status ON lead (status, created_at);
      CREATE TABLE analysis (lead_id TEXT PRIMARY KEY REFERENCES lead, score INT NOT NULL, reasons JSONB NOT NULL);
      CREATE TABLE crm_record (lead_id TEXT PRIMARY KEY REFERENCES lead, fields JSONB NOT NULL);`);
    await pool.end();
  },

  api: async () => {
    const queue = new Queue(QUEUE, { connection });
    await queue.waitUntilReady();
    const text = { type: 'string', minLength: 1, maxLength: 500 };
    const body = {
      type: 'object',
      required: ['email', 'campaign_id'],
      properties: { email: { ...text, pattern: '^[^@\\s]+@[^@\\s]+$' }, campaign_id: text, company: text, title: text },
    };
    const app = fastify();
    app.post('/leads', { schema: { body } }, async ({ body: lead }, reply) => {
      const lead_id = createHash('sha256').update(`${lead.email.toLowerCase()}:${lead.campaign_id}`).digest('hex');
      await run(
        'accept',
        `INSERT INTO lead (lead_id, email, campaign_id, content, status) VALUES ($1, $2, $3, $4, 'queued')
         ON CONFLICT (lead_id) DO NOTHING`,
        [lead_id, lead.email, lead.campaign_id, lead],
      );
      await queue.add('process-lead', { lead_id }, {
        jobId: lead_id,
        attempts: 5,
        backoff: { type: 'exponential', delay: 2000 },
        removeOnComplete: { count: 1000 },
      });
      return reply.code(202).send({ status: 'accepted', lead_id });
    });
    await app.listen({ host: '127.0.0.1', port: 0 });
    ready(`127.0.0.1:${app.server.address().port}`);
    return () => Promise.all([app.close(), queue.close()]);
  },

  worker: async () => {
    const work = async ({ data: { lead_id } }) => {
      const { rows } = await run(
        'begin',
        "UPDATE lead SET status = 'processing' WHERE lead_id = $1 RETURNING content",
        [lead_id],
      );
      const lead = rows[0].content;
      const score = Math.min(100, (lead.marketo?.engagement_score ?? 0) + (/VP|Head|Chief/.test(lead.title ?? '') ? 20 : 0));
      const reasons = { title: lead.title, engagement: lead.marketo?.engagement_score };
      await run(
        'judge',
        'INSERT INTO analysis (lead_id, score, reasons) VALUES ($1, $2, $3) ON CONFLICT (lead_id) DO NOTHING',
        [lead_id, score, reasons],
      );
      await run(
        'write',
        'INSERT INTO crm_record (lead_id, fields) VALUES ($1, $2) ON CONFLICT (lead_id) DO NOTHING',
        [lead_id, { email: lead.email, company: lead.company, score }],
      );
      await run('finish', "UPDATE lead SET status = 'synced', score = $2 WHERE lead_id = $1", [lead_id, score]);
    };
    const worker = new Worker(QUEUE, work, { connection, concurrency: 50 });
    await worker.waitUntilReady();
    ready('none');
    return () => worker.close();
  },
};

const stop = await parts[process.argv[2]]();
process.on('SIGTERM', async () => {
  await stop();
  await pool.end();
  process.exit(0);
});
