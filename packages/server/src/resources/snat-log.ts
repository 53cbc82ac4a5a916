/** Who had which port of a router's external address when: one record for each time that a port had a block. */
import { type AnyObject, CableError, formatIp, parseIp, SNAT_BLOCK_PORTS } from '@cable/model';
import type { Store } from '@cable/store';
import type { ActionHandler } from '../engine/context.ts';
import { type Contribution, contribute } from '../engine/module.ts';
import { isAdmin } from '../engine/permission.ts';
import { snatLogPrefix } from '../keys.ts';
import { refusal } from '../policy/authorize.ts';

/** A port had a block, from a time to another; `to` null: it has it still. Times in UTC, ISO 8601 with milliseconds. */
export type SnatRecord = {
  readonly external_address: string;
  readonly first_port: number;
  readonly last_port: number;
  readonly network_id: string;
  readonly router_id: string;
  readonly port_id: string;
  readonly project_id: string;
  readonly device_id: string;
  readonly mac_address: string;
  readonly fixed_ips: readonly string[];
  readonly host_id: string;
  readonly from: string;
  readonly to: string | null;
};

/** More records of one block than anybody reads. */
const MOST_RECORDS = 1000;

/** A record with its key. */
export type KeptRecord = { readonly key: string; readonly record: SnatRecord };

/** What is known of a block, the newest first. */
export async function recordsOf(
  store: Pick<Store, 'listPages'>,
  address: string,
  firstPort: number,
): Promise<readonly KeptRecord[]> {
  const records: KeptRecord[] = [];
  for await (const { kvs } of store.listPages(snatLogPrefix(address, firstPort))) {
    for (const { key, value } of kvs) records.push({ key, record: JSON.parse(value) as SnatRecord });
  }
  return records.sort((a, b) => (a.record.from < b.record.from ? 1 : -1));
}

/** First port of the block in which a port is. */
export function blockOf(port: number): number {
  return port - (port % SNAT_BLOCK_PORTS);
}

const findRecords: ActionHandler = async (deps, _id, body, asked) => {
  if (!isAdmin(deps, asked.credentials)) throw refusal(['find_snat_lease']);
  const {
    external_address: address,
    external_port: port,
    at,
  } = body as {
    readonly external_address?: string;
    readonly external_port?: number;
    readonly at?: string;
  };
  if (address === undefined || port === undefined) {
    throw new CableError('InvalidInput', 'external_address and external_port are required.');
  }
  const ip = parseIp(address);
  const found = await recordsOf(deps.store, ip === undefined ? address : formatIp(ip), blockOf(port));
  const time = at === undefined ? undefined : Date.parse(at);
  if (Number.isNaN(time))
    throw new CableError('InvalidInput', `at ${at} is no time: give one as 2026-11-27T12:00:00Z.`);
  const records = found.map(({ record }) => record);
  return { records: (time === undefined ? records : records.filter((one) => holds(one, time))).slice(0, MOST_RECORDS) };
};

function holds({ from, to }: SnatRecord, time: number): boolean {
  return Date.parse(from) <= time && (to === null || time < Date.parse(to));
}

/** Leases: who had what. */
export const snatLogModule: Contribution<AnyObject> = contribute<AnyObject>({ actions: { find: findRecords } });
