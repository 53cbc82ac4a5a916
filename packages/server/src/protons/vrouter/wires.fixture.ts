/** What tests of lines and chains share: hosts that know of pseudowires, ports of a proton, and what hosts are told of wires. */
import assert from 'node:assert/strict';
import { KINDS, Reader } from '@cable/compiler';
import type { Pseudowire } from '@cable/model';
import { compilerTables } from '../../slices/compiled-view.ts';
import type { Answer, Harness, Json } from '../../testing/harness.ts';
import { ADMIN, AS, install, model } from '../protons.fixture.ts';

export const SERVICE = { 'x-roles': 'service', 'x-project-id': 'services' };
export const MEMBER: Record<string, string> = AS;

let macs = 0;

/** A host registers. `more`: of what it says of itself. */
export async function host({ send }: Harness, name: string, more: object = {}): Promise<void> {
  const underlay = `192.0.2.${name.slice(1)}`;
  const body = { underlay, agentVersion: 'test', features: ['pseudowires'], ...more };
  const { status } = await send('PUT', `/cable/v1/hosts/${name}`, body);
  assert.ok(status < 300, String(status));
}

/** Installs a model that is shipped. */
export async function installed(harness: Harness, name: string, more: object = {}): Promise<void> {
  const done = await install(harness, model(name), more);
  assert.equal(done.status, 200, JSON.stringify(done.body));
}

/** Makes an object; answers its key, which is `id` or the attribute that is named. */
export async function make(
  { send }: Harness,
  path: string,
  given: object,
  as: Record<string, string> = MEMBER,
): Promise<Json> {
  const { status, body } = await send('POST', `/proton/${path}`, given, as);
  assert.equal(status, 201, `${path} ${JSON.stringify(body)}`);
  return body;
}

/** What each new port has of its own. */
export function mac(): string {
  macs += 1;
  return `fa:16:3e:00:${(macs >> 8).toString(16).padStart(2, '0')}:${(macs & 255).toString(16).padStart(2, '0')}`;
}

/** Binds a port as Nova does; answers its vif_type. */
export async function bind({ send }: Harness, id: string, to: string): Promise<string> {
  const { status, body } = await send('PUT', `/v2.0/ports/${id}`, { port: { 'binding:host_id': to } }, SERVICE);
  assert.equal(status, 200, JSON.stringify(body));
  return String(body['port']?.['binding:vif_type']);
}

/** Why the binding of a port has failed. */
export async function reasonOf({ send }: Harness, id: string): Promise<string> {
  const { body } = await send('GET', `/cable/v1/port-owners/${id}`, undefined, ADMIN);
  return String(body['port_owner']?.['reason']);
}

/** What a host is told, in the order of keys. */
export function wiresAt({ server }: Harness, name: string): readonly Pseudowire[] {
  const tables = compilerTables(server.deps.tables);
  const reader = new Reader(tables);
  const { items } = KINDS.pseudowires;
  const rows = tables.port.by('binding:host_id', name);
  const found = rows.flatMap((row) => [...(items?.compute(reader, row, name) ?? [])]);
  return found.sort((a, b) => (a.key < b.key ? -1 : 1)).map(({ value }) => value as Pseudowire);
}

/** Rows of wires. */
export async function rows({ send }: Harness): Promise<readonly Json[]> {
  return (await send('GET', '/cable/v1/pseudowires', undefined, ADMIN)).body['pseudowires'] ?? [];
}

/** Status and text of a refusal. */
export async function refusal(answer: Promise<Answer>): Promise<string> {
  const { status, body } = await answer;
  return `${status} ${String(body?.['detail'] ?? body?.['NeutronError']?.['message'])}`;
}
