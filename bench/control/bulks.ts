import { type Context, createNetwork, portsOf, sendAll, warmUp } from './context.ts';
import type { Request } from './http-connection.ts';
import { type Case, measureRounds } from './rounds.ts';
import type { Goal, Measured } from './rows.ts';

const SECTION = 'bulk';
const WARM_UP_PORTS = 100;
const GOAL: Goal = { figure: 'perSecond', is: 'at least', value: 5000 };

/** Many ports a request, all or none of them. */
export async function measureBulks(context: Context): Promise<Measured> {
  const { extent } = context;
  const { networkId } = await createNetwork(context, '10.0.0.0/8');
  const request = (ports: number): Request => ({
    method: 'POST',
    path: '/v2.0/ports',
    body: JSON.stringify({ ports: portsOf(networkId, ports, 0) }),
  });
  await warmUp(context, request(WARM_UP_PORTS), WARM_UP_PORTS);
  const cases = extent.bulks.flatMap(({ ports, levels }) =>
    levels.map((clients): Case => {
      const what = `ports, ${ports} a request`;
      return { what, clients, items: ports, goals: [GOAL], run: () => sendAll(context, [request(ports)], { clients }) };
    }),
  );
  return { rows: await measureRounds(context, SECTION, cases), facts: [] };
}
