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
for (const [type, name] of [['contacts', 'our_id'], ['companies', 'our_domain'], ['tasks', 'our_id'], ['notes', 'our_id']]) {
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
const byEmail = await contacts.basicApi.getById('ann@example.com', ['lifecyclestage', 'our_id'], [], [], false, 'email');
assert.equal(byEmail.properties.our_id, 'a1');
assert.equal(byEmail.properties.lifecyclestage, 'marketingqualifiedlead', 'a stage is never moved back');

// Single records: conflicts, unknown properties, missing records.
const taken = await refused(() => contacts.basicApi.create({ properties: { email: 'ann@example.com' }, associations: [] }));
assert.deepEqual([taken.code, taken.category], [409, 'CONFLICT']);
assert.equal(taken.message, `Contact already exists. Existing ID: ${annId}`);
const unknown = await refused(() => contacts.basicApi.update(annId, { properties: { shoe_size: '44' } }));
assert.deepEqual([unknown.code, unknown.errors[0].code], [400, 'PROPERTY_DOESNT_EXIST']);
assert.equal((await refused(() => contacts.basicApi.getById('1'))).code, 404);
const cleared = await contacts.basicApi.update('a1', { properties: { firstname: '' } }, 'our_id');
assert.equal(cleared.id, annId);
assert.equal((await contacts.basicApi.getById(annId, ['firstname'])).properties.firstname, null);

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
await associations.v4.basicApi.createDefault('contacts', annId, 'companies', companyId);
const listed = await associations.v4.basicApi.getPage('contacts', annId, 'companies');
assert.equal(listed.results[0].toObjectId, companyId);
const typeIds = listed.results[0].associationTypes.map(({ typeId }) => typeId).sort((a, b) => a - b);
assert.deepEqual(typeIds, [AssociationTypes.primaryContactToCompany, AssociationTypes.contactToCompany]);
const people = await associations.v4.batchApi.getPage('companies', 'contacts', { inputs: [{ id: companyId }] });
assert.equal(people.results[0].to[0].toObjectId, annId);

// Tasks and notes require a time; an association can be created together with them.
const task = { hs_task_subject: 'Call', hs_timestamp: '2026-11-25T12:00:00Z', hs_task_status: 'NOT_STARTED', our_id: 't1' };
const noTime = await refused(() => objects.tasks.basicApi.create({ properties: { hs_task_subject: 'Call' }, associations: [] }));
assert.match(noTime.message, /required properties/);
const types = [{ associationCategory: 'HUBSPOT_DEFINED', associationTypeId: AssociationTypes.taskToContact }];
const made = await objects.tasks.basicApi.create({ properties: task, associations: [{ to: { id: annId }, types }] });
const whole = await objects.tasks.basicApi.getById('t1', ['hs_task_subject'], [], ['contacts'], false, 'our_id');
assert.equal(whole.id, made.id);
assert.equal(whole.associations.contacts.results[0].id, annId);
const sameTask = await objects.tasks.batchApi.upsert({ inputs: [{ idProperty: 'our_id', id: 't1', properties: { hs_task_body: 'soon' } }] });
assert.deepEqual([sameTask.results[0].id, sameTask.results[0]._new], [made.id, false]);
const note = await objects.notes.batchApi.upsert({
  inputs: [{ idProperty: 'our_id', id: 'n1', properties: { hs_note_body: 'Judged', hs_timestamp: '1764072000000' } }],
});
const noteTypes = [{ associationCategory: 'HUBSPOT_DEFINED', associationTypeId: AssociationTypes.noteToContact }];
await associations.v4.basicApi.create('notes', note.results[0].id, 'contacts', annId, noteTypes);

// Deals, their stages, owners.
const deal = await deals.basicApi.create({
  properties: { dealname: 'Example, 850 seats', dealstage: 'qualifiedtobuy', pipeline: 'default', amount: '100000' },
  associations: [{ to: { id: companyId }, types: [{ associationCategory: 'HUBSPOT_DEFINED', associationTypeId: AssociationTypes.dealToCompany }] }],
});
assert.equal((await deals.basicApi.getById(deal.id, ['hs_is_closed'])).properties.hs_is_closed, 'false');
const stages = (await pipelines.pipelinesApi.getAll('deals')).results[0].stages;
assert.equal(stages.find(({ id }) => id === 'closedwon').metadata.isClosed, 'true');
const [owner] = (await owners.ownersApi.getPage()).results;
assert.equal((await owners.ownersApi.getById(Number(owner.id))).email, owner.email);

// Search finds only records older than the index lag.
const filters = [{ propertyName: 'email', operator: 'EQ', value: 'ann@example.com' }];
const search = () => contacts.searchApi.doSearch({ filterGroups: [{ filters }], properties: ['email'], limit: 10, sorts: [] });
assert.equal((await search()).total, 0, 'the index lags');
const found = await contacts.searchApi.doSearch({
  filterGroups: [{ filters: [{ propertyName: 'email', operator: 'EQ', value: 'old@example.com' }] }],
  properties: ['email'], limit: 10, sorts: [],
});
assert.equal(found.results[0].properties.email, 'old@example.com');

// OAuth.
const tokens = client.oauth.tokensApi;
const token = await tokens.create('refresh_token', undefined, undefined, clientId, clientSecret, refreshToken);
assert.equal(token.expiresIn, 1800);
const byOAuth = new Client({ basePath, accessToken: token.accessToken });
assert.equal((await byOAuth.crm.contacts.basicApi.getById(annId)).id, annId);
const wrong = await refused(() => tokens.create('refresh_token', undefined, undefined, clientId, clientSecret, 'wrong'));
assert.deepEqual([wrong.code, wrong.status], [400, 'BAD_REFRESH_TOKEN']);
const unauthenticated = new Client({ basePath, accessToken: 'wrong' });
const denied = await refused(() => unauthenticated.crm.contacts.basicApi.getById(annId));
assert.deepEqual([denied.code, denied.category], [401, 'INVALID_AUTHENTICATION']);

// An archived record is no longer found.
await contacts.basicApi.archive(bobId);
assert.equal((await refused(() => contacts.basicApi.getById(bobId))).code, 404);
