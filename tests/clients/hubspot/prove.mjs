// HubSpot's own client making ordinary calls. The fake must answer as HubSpot does.
//
//     node prove.mjs URL TOKEN CLIENT_ID CLIENT_SECRET REFRESH_TOKEN
//
// Exits with code 1 at the first unexpected answer.

import { AssociationTypes, Client } from '@hubspot/api-client';
import assert from 'node:assert/strict';

const [basePath, accessToken, clientId, clientSecret, refreshToken] = process.argv.slice(2);
const client = new Client({ basePath, accessToken });
const { contacts, companies, deals, properties, owners, pipelines, associations, objects } = client.crm;

/** The error that a call is refused with. */
async function refused(call) {
  try {
    await call();
  } catch (error) {
    return { code: error.code, ...error.body };
  }
  assert.fail('the call was not refused');
}

// Unique properties, and the refusal without them.
const unique = (name) => ({
  name, label: name, type: 'string', fieldType: 'text', groupName: 'information', hasUniqueValue: true,
});
const byDomain = { inputs: [{ idProperty: 'domain', id: 'example.com', properties: {} }] };
const notUnique = await refused(() => companies.batchApi.upsert(byDomain));
assert.equal(notUnique.code, 400);
assert.match(notUnique.message, /non-unique 0-2 property domain/);
const ours = [['contacts', 'our_id'], ['companies', 'our_domain'], ['tasks', 'our_id'], ['notes', 'our_id'], ['deals', 'our_id']];
for (const [type, name] of ours) {
  const made = await properties.coreApi.create(type, unique(name));
  assert.equal(made.hasUniqueValue, true);
  assert.equal((await properties.coreApi.getByName(type, name)).type, 'string');
}
assert.equal((await refused(() => properties.coreApi.create('contacts', unique('our_id')))).code, 409);
const known = (await properties.coreApi.getAll('contacts')).results;
assert.ok(known.find(({ name }) => name === 'lifecyclestage').options.some(({ value }) => value === 'customer'));

// Upserts report which rows are new.
const row = (id, values) => ({ idProperty: 'our_id', id, properties: values });
const ann = { email: 'Ann@Example.com', firstname: 'Ann', lifecyclestage: 'marketingqualifiedlead' };
const first = await contacts.batchApi.upsert({ inputs: [row('a1', ann), row('b1', { email: 'bob@example.com' })] });
assert.equal(first.status, 'COMPLETE');
assert.deepEqual(first.results.map((result) => result._new), [true, true]);
const again = await contacts.batchApi.upsert({ inputs: [row('a1', { ...ann, lifecyclestage: 'lead' })] });
assert.deepEqual(again.results.map((result) => result._new), [false]);
assert.equal(again.results[0].id, first.results[0].id);
const [annId, bobId] = first.results.map((result) => result.id);
const one = async (type, idProperty, id, wanted) => {
  const inputs = [{ id }];
  return (await type.batchApi.read({ idProperty, inputs, properties: wanted, propertiesWithHistory: [] })).results[0];
};
const byEmail = await one(contacts, 'email', 'ann@example.com', ['lifecyclestage', 'our_id']);
assert.equal(byEmail.properties.our_id, 'a1');
assert.equal(byEmail.properties.lifecyclestage, 'marketingqualifiedlead', 'a stage is never moved back');

// Batches of one row: conflicts, unknown properties, missing records.
const taken = await refused(() => contacts.batchApi.upsert({ inputs: [row('x1', { email: 'ann@example.com' })] }));
assert.deepEqual([taken.code, taken.category], [409, 'CONFLICT']);
assert.equal(taken.message, `Contact already exists. Existing ID: ${annId}`);
const update = (input) => contacts.batchApi.update({ inputs: [input] });
const unknown = await refused(() => update({ id: annId, properties: { shoe_size: '44' } }));
assert.deepEqual([unknown.code, unknown.errors[0].code], [400, 'PROPERTY_DOESNT_EXIST']);
assert.equal((await update({ id: '1', properties: {} })).errors[0].category, 'OBJECT_NOT_FOUND');
assert.equal((await update(row('a1', { firstname: '' }))).results[0].id, annId);
assert.equal((await one(contacts, undefined, annId, ['firstname'])).properties.firstname, null);

// Batches: an invalid row refuses the whole batch, a conflict refuses only its own row.
const invalid = await refused(() => contacts.batchApi.upsert({ inputs: [row('c1', { nope: '1' }), row('d1', {})] }));
assert.equal(invalid.code, 400);
const twice = await refused(() => contacts.batchApi.upsert({
  inputs: ['x@example.com', 'X@example.com'].map((id) => ({ idProperty: 'email', id, properties: {} })),
}));
assert.equal(twice.code, 409);
const partial = await contacts.batchApi.upsert({
  inputs: [row('c1', { email: 'cid@example.com' }), row('d1', { email: 'bob@example.com' })],
});
assert.equal(partial.numErrors, 1);
assert.deepEqual(partial.results.map((result) => result._new), [true]);
assert.deepEqual(partial.errors[0].context.ids, ['d1']);
const read = await contacts.batchApi.read({
  idProperty: 'our_id', inputs: [{ id: 'a1' }, { id: 'zz' }], properties: ['email'], propertiesWithHistory: [],
});
assert.deepEqual(read.results.map((result) => result.properties.email), ['ann@example.com']);
assert.deepEqual(read.errors[0].context.ids, ['zz']);
const moved = await contacts.batchApi.update({ inputs: [{ id: bobId, properties: { jobtitle: 'CTO' } }] });
assert.equal(moved.results[0].properties.jobtitle, 'CTO');

// Companies and their associations.
const company = await companies.batchApi.upsert({
  inputs: [{ idProperty: 'our_domain', id: 'example.com', properties: { name: 'Example', domain: 'example.com' } }],
});
const companyId = company.results[0].id;
const associate = (from, id, to, toId) =>
  associations.v4.batchApi.createDefault(from, to, { inputs: [{ _from: { id }, to: { id: toId } }] });
await associate('contacts', annId, 'companies', companyId);
const listed = await associations.v4.batchApi.getPage('contacts', 'companies', { inputs: [{ id: annId }] });
assert.equal(listed.results[0].to[0].toObjectId, companyId);
const typeIds = listed.results[0].to[0].associationTypes.map(({ typeId }) => typeId).sort((a, b) => a - b);
assert.deepEqual(typeIds, [AssociationTypes.primaryContactToCompany, AssociationTypes.contactToCompany]);
const people = await associations.v4.batchApi.getPage('companies', 'contacts', { inputs: [{ id: companyId }] });
assert.equal(people.results[0].to[0].toObjectId, annId);

// Tasks and notes require a time.
const { tasks, notes } = objects;
const task = { hs_task_subject: 'Call', hs_timestamp: '2026-11-25T12:00:00Z', hs_task_status: 'NOT_STARTED' };
const noTime = await refused(() => tasks.batchApi.upsert({ inputs: [row('t1', { hs_task_subject: 'Call' })] }));
assert.match(noTime.message, /required properties/);
const [made] = (await tasks.batchApi.upsert({ inputs: [row('t1', task)] })).results;
const [sameTask] = (await tasks.batchApi.upsert({ inputs: [row('t1', { hs_task_body: 'soon' })] })).results;
assert.deepEqual([sameTask.id, sameTask._new], [made.id, false]);
await associate('tasks', made.id, 'contacts', annId);
const note = { hs_note_body: 'Judged', hs_timestamp: '1764072000000' };
assert.equal((await notes.batchApi.upsert({ inputs: [row('n1', note)] })).results[0]._new, true);

// Creations with associations; a value that is taken refuses only its own row.
const toAnn = [{ to: { id: annId }, types: [{ associationCategory: 'HUBSPOT_DEFINED', associationTypeId: AssociationTypes.taskToContact }] }];
const created = await tasks.batchApi.create({
  inputs: [
    { objectWriteTraceId: '0', properties: { ...task, our_id: 't2' }, associations: toAnn },
    { objectWriteTraceId: '1', properties: { ...task, our_id: 't1' }, associations: toAnn },
  ],
});
assert.deepEqual(created.results.map((result) => result.objectWriteTraceId), ['0']);
assert.deepEqual(created.errors[0].context.objectWriteTraceId, ['1']);
const ofTask = await associations.v4.batchApi.getPage('tasks', 'contacts', { inputs: [{ id: created.results[0].id }] });
assert.equal(ofTask.results[0].to[0].toObjectId, annId);
assert.deepEqual((await companies.basicApi.getPage(100, undefined, ['domain'], undefined, undefined, true)).results, []);
assert.equal((await companies.basicApi.getPage(100, undefined, ['domain'])).results[0].properties.domain, 'example.com');

// Deals, their stages, owners.
const deal = { dealname: 'Example, 850 seats', dealstage: 'qualifiedtobuy', pipeline: 'default', amount: '100000' };
await deals.batchApi.upsert({ inputs: [row('d1', deal)] });
assert.equal((await one(deals, 'our_id', 'd1', ['hs_is_closed'])).properties.hs_is_closed, 'false');
const stages = (await pipelines.pipelinesApi.getAll('deals')).results[0].stages;
assert.equal(stages.find(({ id }) => id === 'closedwon').metadata.isClosed, 'true');
assert.equal((await owners.ownersApi.getById(71)).email, 'owner@example.com');

// Search finds only records older than the index lag.
const filters = [{ propertyName: 'email', operator: 'EQ', value: 'ann@example.com' }];
const search = () => contacts.searchApi.doSearch({ filterGroups: [{ filters }], properties: ['email'], limit: 10, sorts: [] });
assert.equal((await search()).total, 0, 'the index lags');
const found = await contacts.searchApi.doSearch({
  filterGroups: [{ filters: [{ propertyName: 'email', operator: 'EQ', value: 'old@example.com' }] }],
  properties: ['email'], limit: 10, sorts: [],
});
assert.equal(found.results[0].properties.email, 'old@example.com');
const oneOf = [{ propertyName: 'email', operator: 'IN', values: ['nobody@example.com', 'old@example.com'] }];
const listedBySearch = await contacts.searchApi.doSearch({ filterGroups: [{ filters: oneOf }], properties: ['email'], limit: 10, sorts: [] });
assert.equal(listedBySearch.total, 1);

// OAuth.
const tokens = client.oauth.tokensApi;
const token = await tokens.create('refresh_token', undefined, undefined, clientId, clientSecret, refreshToken);
assert.equal(token.expiresIn, 1800);
const byOAuth = new Client({ basePath, accessToken: token.accessToken });
assert.equal((await one(byOAuth.crm.contacts, undefined, annId, [])).id, annId);
const wrong = await refused(() => tokens.create('refresh_token', undefined, undefined, clientId, clientSecret, 'wrong'));
assert.deepEqual([wrong.code, wrong.status], [400, 'BAD_REFRESH_TOKEN']);
const unauthenticated = new Client({ basePath, accessToken: 'wrong' });
const denied = await refused(() => one(unauthenticated.crm.contacts, undefined, annId, []));
assert.deepEqual([denied.code, denied.category], [401, 'INVALID_AUTHENTICATION']);
