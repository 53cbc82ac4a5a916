/** An object with a list of tens of thousands is shown as a list is: in portions, few at once. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { type TestContext, test } from 'node:test';
import { type Edge, startEdge } from './edge.fixture.ts';

const JSON_BODY = { 'content-type': 'application/json' };
/** Eight million characters: more than sockets hold. */
const RULES = 20_000;

async function made(edge: Edge, path: string, body: object): Promise<Record<string, unknown>> {
  const answer = await edge.ask('POST', path, { body: JSON.stringify(body), headers: JSON_BODY });
  assert.equal(answer.status, 201, answer.text.slice(0, 500));
  return JSON.parse(answer.text) as Record<string, unknown>;
}

async function makeGroup(edge: Edge): Promise<string> {
  const { security_group } = await made(edge, '/v2.0/security-groups', { security_group: { name: 'large' } });
  const { id } = security_group as { id: string };
  for (let at = 0; at < RULES; at += 1000) {
    const rules = Array.from({ length: 1000 }, (_, place) => ({
      ...{ security_group_id: id, direction: 'ingress', protocol: 'tcp' },
      ...{ port_range_min: at + place + 1, port_range_max: at + place + 1 },
    }));
    await made(edge, '/v2.0/security-group-rules', { security_group_rules: rules });
  }
  return id;
}

/** Asks, and reads nothing of the answer but its head. */
async function askUnread(t: TestContext, url: URL, path: string): Promise<IncomingMessage> {
  const request = get(new URL(path, url), { agent: false });
  t.after(() => request.destroy());
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  response.pause();
  return response;
}

test('a group with very many rules is shown whole, alone, among others, and when it was changed', async (t) => {
  const edge = await startEdge(t);
  const id = await makeGroup(edge);
  const path = `/v2.0/security-groups/${id}`;
  const shown = await edge.ask('GET', path);
  assert.equal(shown.status, 200);
  assert.equal(shown.headers['content-length'], undefined);
  const group = (JSON.parse(shown.text) as { security_group: { id: string; security_group_rules: { id: string }[] } })
    .security_group;
  assert.equal(group.id, id);
  const ids = new Set(group.security_group_rules.map((rule) => rule.id));
  assert.equal(ids.size, RULES + 2);
  const listed = JSON.parse((await edge.ask('GET', `/v2.0/security-groups?id=${id}`)).text) as {
    security_groups: unknown[];
  };
  assert.deepEqual(listed.security_groups, [group]);
  const body = JSON.stringify({ security_group: { description: 'changed' } });
  const changed = await edge.ask('PUT', path, { body, headers: JSON_BODY });
  assert.equal(changed.status, 200);
  const after = JSON.parse(changed.text) as { security_group: { security_group_rules: unknown[] } };
  assert.equal(after.security_group.security_group_rules.length, RULES + 2);
});

test('shows of it that nobody reads are few, and keep neither memory nor others', async (t) => {
  const edge = await startEdge(t, { lists: 4 });
  const id = await makeGroup(edge);
  const before = process.memoryUsage();
  const path = `/v2.0/security-groups/${id}`;
  const answers = await Promise.all(Array.from({ length: 24 }, () => askUnread(t, edge.url, path)));
  const statuses = answers.map(({ statusCode }) => statusCode);
  assert.equal(statuses.filter((status) => status === 200).length, 4);
  const refused = answers.filter(({ statusCode }) => statusCode === 503);
  assert.equal(refused.length, 20);
  assert.ok(refused.every(({ headers }) => headers['retry-after'] !== undefined));
  assert.equal((await edge.ask('GET', '/v2.0/networks?limit=1')).status, 503, 'lists are full');
  assert.equal((await edge.ask('GET', '/v2.0/')).status, 200);
  assert.ok(
    answers.every(({ complete, statusCode }) => statusCode === 503 || !complete),
    'while those go on',
  );
  const { heapUsed, external } = process.memoryUsage();
  const grownMiB = (heapUsed + external - before.heapUsed - before.external) / 2 ** 20;
  assert.ok(grownMiB < 150, `${grownMiB.toFixed(0)} MiB`);
});
