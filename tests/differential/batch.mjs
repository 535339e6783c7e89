// Runs FIFO batches through Powertools' processor, which continues after a failed group.
//
// Reads lines of JSON: {"records": [{"id", "group", "fails"}]}. Writes for each a line with the ids to be
// retried.
import { SqsFifoPartialProcessorAsync, processPartialResponse } from '@aws-lambda-powertools/batch';
import { createInterface } from 'node:readline';

const record = ({ id, group, fails }) => ({
  messageId: id,
  receiptHandle: id,
  body: JSON.stringify({ fails }),
  attributes: {
    ApproximateReceiveCount: '1',
    SentTimestamp: '0',
    SenderId: 'sender',
    ApproximateFirstReceiveTimestamp: '0',
    MessageGroupId: group,
  },
  messageAttributes: {},
  md5OfBody: '',
  eventSource: 'aws:sqs',
  eventSourceARN: 'arn:aws:sqs:us-east-1:000000000000:leads.fifo',
  awsRegion: 'us-east-1',
});

const handle = async ({ body }) => {
  if (JSON.parse(body).fails) throw new Error('deliberate failure');
};

for await (const line of createInterface({ input: process.stdin })) {
  const Records = JSON.parse(line).records.map(record);
  const processor = new SqsFifoPartialProcessorAsync();
  const answer = await processPartialResponse({ Records }, handle, processor, { skipGroupOnError: true, throwOnFullBatchFailure: false });
  console.log(JSON.stringify(answer.batchItemFailures.map(({ itemIdentifier }) => itemIdentifier)));
}
