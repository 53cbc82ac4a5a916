/** The judge against made-up histories: it finds each kind of untrue answer, and believes what is true. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Deed, Entry, Row } from './history.ts';
import { judge } from './judge.ts';
import type { Objects } from './ledger.ts';

const A = 'aaaaaaaa-0000-4000-8000-000000000001';
const B = 'bbbbbbbb-0000-4000-8000-000000000002';

/** A request that took from `at` to one later. */
function entry(deed: Deed, status: number, at: number, body?: Row): Entry {
  const outcome = status >= 200 && status < 300 ? 'done' : status === 504 || status === 0 ? 'unknown' : 'refused';
  return { deed, status, body, outcome, isAdmin: true, via: 'server#1', startedAt: at, endedAt: at + 1 };
}

function created(name: string, id: string, at: number, key: string | null = null): Entry {
  return entry(create([name], key), 201, at, { network: { id, name, revision_number: 1 } });
}

function create(names: readonly string[], key: string | null = null): Deed {
  return { kind: 'create', type: 'network', names, given: names.map((name) => ({ name })), key };
}

function updated(id: string, token: string, revision: number, at: number, ifRevision: number | null = null): Entry {
  return entry(update(id, token, ifRevision), 200, at, { network: { id, revision_number: revision } });
}

function update(id: string, token: string, ifRevision: number | null = null): Deed {
  return { kind: 'update', type: 'network', id, token, sets: { shared: true }, ifRevision };
}

function remove(id: string, status: number, at: number, body?: Row): Entry {
  return entry({ kind: 'delete', type: 'network', id, ifRevision: null }, status, at, body);
}

function read(id: string, revision: number, at: number): Entry {
  return entry({ kind: 'read', type: 'network', id }, 200, at, { network: { id, revision_number: revision } });
}

function stored(...rows: readonly Row[]): Objects {
  return new Map([['network', new Map(rows.map((row) => [String(row['id']), { shared_with: ['*'], ...row }]))]]);
}

function tagged(tag: string, status: number): Entry {
  return entry({ kind: 'tag', type: 'network', id: A, tag }, status, 2);
}

const GRANT = { type: 'network', id: A, project: 'p' } as const;

function granted(): Entry {
  return entry({ ...GRANT, kind: 'grant' }, 201, 2, { rbac_policy: { id: B, target_tenant: 'p' } });
}

function withPolicy(policy: Row): Objects {
  return new Map([...stored({ id: A, name: 'n' }), ['rbac_policy', new Map([[String(policy['id']), policy]])]]);
}

const notFound = { NeutronError: { type: 'NetworkNotFound', message: `Network ${A} could not be found.` } };

const RULES = { kind: 'create', type: 'security_group_rule', names: ['n', 'm'], key: null } as const;

const TRUE: readonly (readonly [what: string, entries: readonly Entry[], objects: Objects])[] = [
  ['a create that is there', [created('n', A, 0)], stored({ id: A, name: 'n' })],
  ['a create that was deleted', [created('n', A, 0), remove(A, 204, 2)], stored()],
  ['a create that a delete without an answer may have deleted', [created('n', A, 0), remove(A, 504, 2)], stored()],
  ['a create without an answer that is there', [entry(create(['n']), 504, 0)], stored({ id: A, name: 'n' })],
  ['a create without an answer that is not', [entry(create(['n']), 0, 0)], stored()],
  ['a refused create that is not there', [entry(create(['n']), 503, 0)], stored()],
  [
    'a create that was made anew with its key',
    [created('n', A, 0, 'k'), remove(A, 204, 2), created('n', A, 4, 'k')],
    stored({ id: A, name: 'n' }),
  ],
  [
    'the last of two updates',
    [created('n', A, 0), updated(A, 's', 2, 2), updated(A, 't', 3, 4, 2)],
    stored({ id: A, name: 'n', description: 't', revision_number: 3 }),
  ],
  [
    'an update without an answer after one with',
    [created('n', A, 0), updated(A, 's', 2, 2), entry(update(A, 't'), 504, 4)],
    stored({ id: A, name: 'n', description: 't', revision_number: 3 }),
  ],
  [
    'a bulk without an answer, of which a part went with the group that it named',
    [
      entry({ ...RULES, given: [{ description: 'n' }, { description: 'm', remote_group_id: B }] }, 0, 0),
      entry({ kind: 'delete', type: 'security_group', id: B, ifRevision: null }, 204, 2),
    ],
    new Map([['security_group_rule', new Map([[A, { id: A, description: 'n' }]])]]),
  ],
  [
    'a floating IP that went with its network',
    [
      entry({ kind: 'create', type: 'floatingip', names: ['n'], given: [{}], key: null }, 201, 0, {
        floatingip: { id: A, description: 'n', floating_network_id: B },
      }),
      entry({ kind: 'delete', type: 'network', id: B, ifRevision: null }, 204, 2),
    ],
    stored(),
  ],
  ['a tag that is there', [created('n', A, 0), tagged('t', 201)], stored({ id: A, name: 'n', tags: ['t'] })],
  [
    'a tag that a request without an answer may have taken',
    [created('n', A, 0), tagged('t', 201), entry({ kind: 'untag', type: 'network', id: A, tag: 't' }, 504, 4)],
    stored({ id: A, name: 'n', tags: [] }),
  ],
  ['a policy that went with its object', [created('n', A, 0), granted(), remove(A, 204, 4)], stored()],
  [
    'a policy of the project that it was given later',
    [created('n', A, 0), granted(), entry({ ...GRANT, kind: 'regrant', policyId: B, project: 'q' }, 200, 4)],
    withPolicy({ id: B, target_tenant: 'q' }),
  ],
  ['404 beside a delete', [created('n', A, 0), remove(A, 204, 2), remove(A, 404, 2.5, notFound)], stored()],
];

const UNTRUE: readonly (readonly [problem: RegExp, entries: readonly Entry[], objects: Objects])[] = [
  [/^what was made is not there/, [created('n', A, 0)], stored()],
  [/^what was made is not there/, [created('n', A, 0), remove(A, 503, 2)], stored()],
  [/^what was refused is there/, [entry(create(['n']), 503, 0)], stored({ id: A, name: 'n' })],
  [/^what was refused is there/, [entry(create(['n']), 409, 0)], stored({ id: A, name: 'n' })],
  [/^what was deleted is there/, [created('n', A, 0), remove(A, 204, 2)], stored({ id: A, name: 'n' })],
  [/^deleted twice/, [created('n', A, 0), remove(A, 204, 2), remove(A, 204, 4)], stored()],
  [
    /^there are two of one request/,
    [created('n', A, 0, 'k'), created('n', B, 2, 'k')],
    stored({ id: A, name: 'n' }, { id: B, name: 'm' }),
  ],
  [/^there are two of one request/, [entry(create(['n']), 504, 0)], stored({ id: A, name: 'n' }, { id: B, name: 'n' })],
  [
    /^a key has two objects/,
    [created('n', A, 0, 'k'), created('m', B, 2, 'k')],
    stored({ id: A, name: 'n' }, { id: B, name: 'm' }),
  ],
  [/^half of a bulk is there: 1/, [entry(create(['n', 'm']), 504, 0)], stored({ id: A, name: 'n' })],
  [
    /^two updates with one revision/,
    [created('n', A, 0), updated(A, 's', 2, 2), updated(A, 't', 2, 4)],
    stored({ id: A, name: 'n', description: 't', revision_number: 2 }),
  ],
  [
    /^a later update has a lower revision/,
    [created('n', A, 0), updated(A, 's', 3, 2), updated(A, 't', 2, 4)],
    stored({ id: A, name: 'n', description: 's', revision_number: 3 }),
  ],
  [
    /^If-Match was not kept/,
    [created('n', A, 0), updated(A, 't', 3, 2, 1)],
    stored({ id: A, name: 'n', description: 't', revision_number: 3 }),
  ],
  [
    /^an update was lost/,
    [created('n', A, 0), updated(A, 's', 2, 2)],
    stored({ id: A, name: 'n', description: '', revision_number: 1 }),
  ],
  [
    /^an update was lost/,
    [created('n', A, 0), updated(A, 's', 2, 2), updated(A, 't', 3, 4)],
    stored({ id: A, name: 'n', description: 's', revision_number: 3 }),
  ],
  [
    /^what was refused is there/,
    [created('n', A, 0), entry(update(A, 't'), 503, 2)],
    stored({ id: A, name: 'n', description: 't', revision_number: 2 }),
  ],
  [
    /^half of an update is there/,
    [created('n', A, 0), updated(A, 't', 2, 2)],
    stored({ id: A, name: 'n', description: 't', revision_number: 2, shared_with: [] }),
  ],
  [/^a tag was lost/, [created('n', A, 0), tagged('t', 201)], stored({ id: A, name: 'n', tags: [] })],
  [/^what was refused is there/, [created('n', A, 0), tagged('t', 503)], stored({ id: A, name: 'n', tags: ['t'] })],
  [/^what was granted is not there/, [created('n', A, 0), granted()], stored({ id: A, name: 'n' })],
  [/^a policy is of a project/, [created('n', A, 0), granted()], withPolicy({ id: B, target_tenant: 'q' })],
  [/^what is there was not found/, [created('n', A, 0), remove(A, 404, 2, notFound)], stored({ id: A, name: 'n' })],
  [
    /^a read does not show/,
    [created('n', A, 0), updated(A, 't', 2, 2), read(A, 1, 4)],
    stored({ id: A, name: 'n', description: 't', revision_number: 2 }),
  ],
  [
    /^412 of a revision that was over/,
    [
      created('n', A, 0),
      updated(A, 't', 3, 2),
      entry(update(A, 'u', 3), 412, 4, {
        NeutronError: {
          type: 'RevisionNumberConstraintFailed',
          message: 'Constrained to 3, but current revision is 2',
        },
      }),
    ],
    stored({ id: A, name: 'n', description: 't', revision_number: 3 }),
  ],
];

for (const [what, entries, objects] of TRUE) {
  test(`the judge believes ${what}`, () => assert.deepEqual(judge(entries, objects), []));
}

for (const [n, [problem, entries, objects]] of UNTRUE.entries()) {
  test(`the judge finds ${problem.source.slice(1)} (${n + 1})`, () => {
    const found = judge(entries, objects);
    assert.ok(
      found.some((one) => problem.test(one)),
      found.join('\n'),
    );
  });
}
