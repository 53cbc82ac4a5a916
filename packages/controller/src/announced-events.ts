/** Which node announces an address of a Service is told as an event of it, as hosts report it to Cable. */
import type { Client } from '@cable/api';
import { type Logger, startLoop } from '@cable/kit';
import type { ObjectEvents } from './object-events.ts';
import type { ServiceFacts } from './service-facts.ts';
import type { ServiceBook } from './services.ts';

export type AnnouncedEventsDeps = {
  readonly client: Pick<Client, 'list'>;
  readonly book: Pick<ServiceBook, 'get' | 'keys'>;
  readonly services: { get(key: string): ServiceFacts | undefined };
  readonly events: Pick<ObjectEvents, 'tell' | 'warn'>;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

/** How soon an event follows. */
const EVERY_MS = 5000;
/** Services of which one request asks. */
const AT_ONCE = 100;

type Announcement = { readonly address: string; readonly host_id: string };

/** Runs until the signal aborts. */
export function startAnnouncedEvents(deps: AnnouncedEventsDeps): { readonly done: Promise<void> } {
  const told = new Map<string, string>();
  const { log, signal } = deps;
  return startLoop({ name: 'announced addresses', log, signal, everyMs: EVERY_MS, run: () => tellAll(deps, told) });
}

async function tellAll(
  { client, book, services, events }: AnnouncedEventsDeps,
  told: Map<string, string>,
): Promise<void> {
  const keys = new Map(
    [...book.keys()].flatMap((key) => {
      const object = book.get(key);
      const addresses = (object?.['announced_ips'] ?? []) as readonly string[];
      return object === undefined || addresses.length === 0 ? [] : [[object.id, key] as const];
    }),
  );
  const announced = new Set(keys.values());
  for (const key of told.keys()) if (!announced.has(key)) told.delete(key);
  const ids = [...keys.keys()];
  for (let at = 0; at < ids.length; at += AT_ONCE) {
    const found = await client.list('service', { id: ids.slice(at, at + AT_ONCE), fields: ['id', 'announced_by'] });
    for (const one of found) {
      const key = keys.get(String(one['id'])) ?? '';
      const facts = services.get(key);
      const by = (one['announced_by'] ?? []) as readonly Announcement[];
      const text = JSON.stringify(by);
      if (facts === undefined || told.get(key) === text) continue;
      told.set(key, text);
      const { namespace, name, uid } = facts;
      const subject = { apiVersion: 'v1', kind: 'Service', namespace, name, uid };
      for (const [address, hosts] of hostsOf(by)) {
        if (hosts.length === 1) {
          await events.tell(subject, 'nodeAssigned', `announcing ${address} from node "${hosts[0]}"`);
        } else {
          const several = hosts.map((host) => `"${host}"`).join(', ');
          const message = `${address} is announced from nodes ${several}, which do not see each other: look at the link between them`;
          await events.warn(subject, 'AnnouncedTwice', message);
        }
      }
    }
  }
}

function hostsOf(by: readonly Announcement[]): ReadonlyMap<string, readonly string[]> {
  const hosts = new Map<string, readonly string[]>();
  for (const { address, host_id: host } of by) hosts.set(address, [...(hosts.get(address) ?? []), host]);
  return hosts;
}
