/** Neutron's logs of security groups, from the API to the files of two hosts, with a real server, real agents and real packets. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { answers, run } from '../outside/outside-bed.ts';
import type { BedHost } from '../versions/bed-host.ts';
import { addressOf, Cloud } from '../versions/cloud.ts';
import { CURRENT } from '../versions/previous-version.ts';
import { eventually } from '../versions/program.ts';
import { VersionBed } from '../versions/version-bed.ts';

const CLOSED_PORT = 81;

type Line = Readonly<Record<string, unknown>>;

function linesOf({ state }: BedHost): readonly Line[] {
  const path = join(state, 'security-groups.log');
  if (!existsSync(path)) return [];
  const whole = readFileSync(path, 'utf8').split('\n').slice(0, -1);
  return whole.map((line) => JSON.parse(line) as Line);
}

function tryTcp({ name }: BedHost, address: string): void {
  run(name, 'bash', '-c', `timeout 0.3 bash -c '>/dev/tcp/${address}/${CLOSED_PORT}' 2>/dev/null; true`);
}

test('hosts write down what security groups let through and drop of the ports that a log is about', {
  timeout: 300_000,
}, async (t) => {
  const bed = new VersionBed('log');
  t.after(() => bed.remove());
  await bed.start(CURRENT, CURRENT, CURRENT);
  const { api, h1, h2 } = bed;
  const cloud = await Cloud.create(api);
  await cloud.allowPing();
  const network = await cloud.createNetwork();
  const [from, to] = [await cloud.createPort(h1, network), await cloud.createPort(h2, network)];
  await cloud.active(from, to);
  const [source, destination] = [addressOf(from), addressOf(to)];
  await eventually('they reach each other', () => answers(h1.name, destination) === 5);
  assert.deepEqual([linesOf(h1), linesOf(h2)], [[], []], 'nobody asked');

  const all = await api.create('log', { resource_type: 'security_group', target_id: to.id });
  const about = { project_id: to.project_id, vm_port: to.id, log_resource_ids: [all.id] };
  const accepted = await eventually('a connection is written down', () => {
    answers(h1.name, destination, 1);
    return linesOf(h2).find(({ action, protocol }) => action === 'ACCEPT' && protocol === 1);
  });
  const { time, rule, ...line } = accepted;
  assert.ok(Math.abs(Date.parse(String(time)) - Date.now()) < 60_000, String(time));
  const [allowed] = await api.list('security_group_rule', { id: String(rule) });
  assert.equal(allowed?.protocol, 'icmp', 'the rule that let it through');
  const ping = { protocol: 1, source, destination, icmp_type: 8 };
  assert.deepEqual(line, { action: 'ACCEPT', direction: 'ingress', ...about, ...ping });
  tryTcp(h1, destination);
  const dropped = await eventually('what no rule allows is written down', () =>
    linesOf(h2).find(({ action }) => action === 'DROP'),
  );
  assert.deepEqual(
    [dropped['direction'], dropped['protocol'], dropped['source'], dropped['destination_port']],
    ['ingress', 6, source, CLOSED_PORT],
  );
  assert.deepEqual(linesOf(h1), [], 'it is about the other port');
  assert.equal(
    linesOf(h2).find(({ action, protocol }) => action === 'ACCEPT' && protocol === 6),
    undefined,
    'what is dropped is not let through',
  );

  // Another log of the whole group, of drops alone, and the first no more: so a later drop says that accepted ones are not written.
  await api.update('log', all.id, { enabled: false });
  const [group] = to.security_groups;
  const drops = await api.create('log', { resource_type: 'security_group', resource_id: group, event: 'DROP' });
  const countOf = (): number => linesOf(h2).length;
  await eventually('the other log alone is in force', () => {
    tryTcp(h1, destination);
    const ids = linesOf(h2).at(-1)?.['log_resource_ids'];
    return Array.isArray(ids) && ids.length === 1 && ids[0] === drops.id;
  });
  const before = countOf();
  assert.equal(answers(h1.name, destination), 5);
  tryTcp(h1, destination);
  const later = await eventually('the drop after it', () => linesOf(h2).slice(before).length > 0 && linesOf(h2));
  assert.deepEqual(
    later.slice(before).filter(({ action }) => action !== 'DROP'),
    [],
  );

  // An agent that starts anew goes on, and what came meanwhile is not lost: the vrouter tells it.
  await h2.end('SIGKILL');
  const old = countOf();
  tryTcp(h1, destination);
  await h2.start(CURRENT);
  await eventually('the drop while no agent ran is written down', () => countOf() > old);

  await api.delete('log', drops.id);
  await api.update('log', all.id, { enabled: true });
  await eventually('the first again', () => {
    answers(h1.name, destination, 1);
    return linesOf(h2).at(-1)?.['action'] === 'ACCEPT';
  });
});
