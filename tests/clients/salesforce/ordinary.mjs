// Everyday use of jsforce against our fake: node ordinary.mjs URL. Prints nothing on success.
import assert from 'node:assert/strict';
import jsforce from 'jsforce';

const [url] = process.argv.slice(2);
const oauth2 = { clientId: 'consumer-key', clientSecret: 'consumer-secret', loginUrl: url };
let refreshed = 0;
const refreshFn = async (conn, callback) => {
  try {
    refreshed += 1;
    const fresh = new jsforce.Connection({ oauth2, version: '67.0' });
    await fresh.authorize({ grant_type: 'client_credentials' });
    callback(null, fresh.accessToken);
  } catch (error) {
    callback(error);
  }
};

// Client credentials.
const login = new jsforce.Connection({ oauth2, version: '67.0' });
const user = await login.authorize({ grant_type: 'client_credentials' });
assert.match(user.organizationId, /^00D/);
await assert.rejects(
  new jsforce.Connection({ oauth2: { ...oauth2, clientSecret: 'wrong' } }).authorize({ grant_type: 'client_credentials' }),
  { name: 'invalid_client' },
);
const conn = new jsforce.Connection({ instanceUrl: login.instanceUrl, accessToken: login.accessToken, version: '67.0', refreshFn });

// Describe.
const described = await conn.sobject('Lead').describe();
const lastName = described.fields.find((field) => field.name === 'LastName');
assert.deepEqual([lastName.length, lastName.nillable, lastName.type], [80, false, 'string']);

// The life cycle of one record.
const upsert = (fields) => conn.sobject('Lead').upsert(fields, 'RevenueFlow_Id__c');
const created = await upsert({ RevenueFlow_Id__c: 'Key-0', LastName: "O'Brien", Company: 'Drop Table Ltd', Email: 'ann@example.com' });
assert.equal(created.success, true);
const read = await conn.sobject('Lead').retrieve(created.id);
assert.deepEqual([read.LastName, read.Status, read.IsConverted], ["O'Brien", 'Open - Not Contacted', false]);
const updated = await conn.sobject('Lead').update({ Id: created.id, Title: 'CTO' });
assert.equal(updated.success, true);

// Upserts by external id: the first creates, later ones update.
const byId = { RevenueFlow_Id__c: 'Key-1', LastName: 'Bo', Company: 'Example' };
const first = await upsert(byId);
const second = await upsert({ RevenueFlow_Id__c: 'KEY-1', Title: 'CEO' });
assert.deepEqual([first.created, second.created, second.id], [true, false, first.id]);

// Queries.
const found = await conn.query("SELECT Id, Title FROM Lead WHERE LastName = 'O\\'Brien' ORDER BY CreatedDate DESC LIMIT 5");
assert.deepEqual([found.totalSize, found.records[0].Title, found.done], [1, 'CTO', true]);
const listed = await conn.sobject('Lead').find({ LastName: { $in: ['Bo', 'Cy'] } }, ['Id', 'LastName']);
assert.deepEqual(listed.map((record) => record.LastName), ['Bo']);

// Errors.
await assert.rejects(upsert({ RevenueFlow_Id__c: 'Key-2', LastName: 'Cy' }), { errorCode: 'REQUIRED_FIELD_MISSING' });
await assert.rejects(conn.sobject('Lead').update({ Id: created.id, RevenueFlow_Id__c: 'key-1' }), { errorCode: 'DUPLICATE_VALUE' });
await assert.rejects(conn.sobject('Lead').create({ RevenueFlow_Id__c: 'KEY-1', LastName: 'Di', Company: 'Example' }), { errorCode: 'DUPLICATE_VALUE' });
assert.equal((await conn.sobject('Contact').create({ LastName: 'Di' })).success, true);
await assert.rejects(conn.sobject('Lead').update({ Id: created.id, Email: 'nobody' }), { errorCode: 'INVALID_EMAIL_ADDRESS' });
await assert.rejects(conn.sobject('Lead').update({ Id: created.id, FirstName: 'x'.repeat(41) }), { errorCode: 'STRING_TOO_LONG' });
await assert.rejects(conn.query('SELECT Nmae FROM Lead'), { errorCode: 'INVALID_FIELD' });
await assert.rejects(conn.sobject('Lead').retrieve('00Q000000000zzzAAA'), { errorCode: 'NOT_FOUND' });

// Several calls in one request; the second uses the result of the first.
const base = '/services/data/v67.0/sobjects';
const whole = await conn.requestPost('/services/data/v67.0/composite', {
  allOrNone: false,
  compositeRequest: [
    { method: 'PATCH', url: `${base}/Lead/RevenueFlow_Id__c/key-2`, referenceId: 'lead', body: { LastName: 'Di', Company: 'X' } },
    { method: 'PATCH', url: `${base}/Task/RevenueFlow_Id__c/task-1`, referenceId: 'task', body: { Subject: 'Call', WhoId: '@{lead.id}' } },
    { method: 'PATCH', url: `${base}/Lead/RevenueFlow_Id__c/key-3`, referenceId: 'bad', body: { LastName: 'Ed' } },
    { method: 'PATCH', url: `${base}/Task/RevenueFlow_Id__c/task-2`, referenceId: 'after', body: { Subject: 'Call', WhoId: '@{bad.id}' } },
  ],
});
assert.deepEqual(whole.compositeResponse.map((part) => part.httpStatusCode), [201, 201, 400, 400]);
assert.deepEqual(whole.compositeResponse.slice(2).map((part) => part.body[0].errorCode), ['REQUIRED_FIELD_MISSING', 'PROCESSING_HALTED']);

// Limits, and automatic renewal of an ended session.
assert.ok((await conn.request('/services/data/v67.0/limits')).DailyApiRequests.Remaining > 0);
assert.ok(conn.limitInfo.apiUsage.used > 0);
await fetch(`${url}/_org/sessions`, { method: 'DELETE' });
assert.equal((await conn.sobject('Lead').retrieve(created.id)).Title, 'CTO');
assert.equal(refreshed, 1);
