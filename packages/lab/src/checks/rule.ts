import type { Client } from '@cable/api';
import type { SecurityGroupView } from '@cable/model';
import { allow } from '../cloud.ts';
import { eventually } from '../eventually.ts';
import type { Guest } from '../guests/guest.ts';
import { inGuest } from '../traffic/in-guest.ts';
import { CLOSED_PORTS } from '../traffic/protocol.ts';

const [PORT = 0] = CLOSED_PORTS;
/** An agent that lost its server may wait a second before it tries again. */
const DEADLINE_MS = 10_000;

/** The whole way of a change: a rule lets `from` reach `to`, and deleted it does not any more. Returns how long the rule took (ms). */
export async function expectChange(client: Client, group: SecurityGroupView, from: Guest, to: Guest): Promise<number> {
  const range = { port_range_min: PORT, port_range_max: PORT, remote_ip_prefix: `${from.ip}/32` };
  const target = { ip: to.ip, port: PORT };
  const accepts = (): Promise<boolean> => inGuest<boolean>(from, 'accepts', target, { timeoutMs: 200 });
  if (await accepts()) throw new Error(`TCP ${PORT} of ${to.name} is open before a rule allows it`);
  const startedAt = performance.now();
  const rule = await retried(() => allow(client, group, { protocol: 'tcp', ...range }));
  await eventually({ what: `a new rule for ${to.name} to allow`, deadlineMs: DEADLINE_MS }, async () =>
    (await accepts()) ? true : undefined,
  );
  const took = performance.now() - startedAt;
  await client.delete('security_group_rule', rule.id);
  await eventually({ what: `the deleted rule for ${to.name} to deny`, deadlineMs: DEADLINE_MS }, async () =>
    (await accepts()) ? undefined : true,
  );
  return took;
}

/** The first request on a connection that a dead server had may fail. */
export function retried<T>(ask: () => Promise<T>): Promise<T> {
  return eventually({ what: 'a server to answer', deadlineMs: 5_000 }, ask);
}
