import type { Client } from '@cable/api';
import { mapEntries } from '../../agent-state.ts';
import { ALL_AGENTS, type Check, expect } from '../../checks/check.ts';
import { eventually } from '../../eventually.ts';
import type { LabHost } from '../../names.ts';
import { portLinks } from '../../topology.ts';
import type { DemoWorld } from './world.ts';

/** Nothing of any port is left on any host: of every story that has deleted all. */
export const NOTHING_LEFT_CHECKS: readonly Check[] = [
  {
    group: 'delete',
    name: 'every map on every host is empty',
    concerns: ALL_AGENTS,
    run: async (lab) => {
      let maps = 0;
      for (const host of Object.values(lab.hosts)) {
        const left = (): Promise<readonly string[]> => fullMaps(host);
        await eventually({ what: `maps on ${host.name} to be empty`, deadlineMs: 5_000, everyMs: 50 }, async () => {
          const full = await left();
          if (full.length > 0) throw new Error(full.join(', '));
          return true;
        });
        maps += (await mapEntries(host)).size;
      }
      return `${maps} maps on ${Object.keys(lab.hosts).length} hosts`;
    },
  },
  {
    group: 'delete',
    name: 'no port’s link is left',
    concerns: ALL_AGENTS,
    run: async (lab) => {
      for (const host of Object.values(lab.hosts)) {
        await eventually({ what: `links on ${host.name} to go`, deadlineMs: 5_000, everyMs: 50 }, async () => {
          const left = await portLinks(host);
          if (left.length > 0) throw new Error(left.join(', '));
          return true;
        });
      }
      return `on ${Object.keys(lab.hosts).length} hosts`;
    },
  },
];

/** Everything deleted over the API leaves nothing on any host. */
export const DELETE_CHECKS: readonly Check<DemoWorld>[] = [
  {
    group: 'delete',
    name: 'guests removed, every object deleted',
    concerns: ['server', ...ALL_AGENTS],
    run: async (lab) => {
      await Promise.all(Object.values(lab.guests).map((guest) => guest.remove()));
      await (await lab.realMachines.qemu1)?.remove();
      const count = await deleteObjects(lab.tenants.blue);
      return `${count} objects over the API`;
    },
  },
  ...NOTHING_LEFT_CHECKS,
];

/** Maps that are not empty: how many entries, and the first of them. */
async function fullMaps(host: LabHost): Promise<readonly string[]> {
  return [...(await mapEntries(host))]
    .filter(([, entries]) => entries.length > 0)
    .map(([name, entries]) => `${name}: ${entries.length}, e.g. ${JSON.stringify(entries[0])}`);
}

const DELETE_ORDER = ['router', 'port', 'subnet', 'network', 'security_group'] as const;

/** Deletes every object of every tenant, referents last. Returns how many. */
export async function deleteObjects(client: Client): Promise<number> {
  let count = 0;
  for (const router of await client.list('router')) {
    const interfaces = await client.list('port', { device_id: router.id, device_owner: 'network:router_interface' });
    for (const port of interfaces)
      await client.action('router', router.id, 'remove_router_interface', { port_id: port.id });
    count += interfaces.length;
  }
  for (const type of DELETE_ORDER) {
    for (const object of await client.list(type)) {
      await client.delete(type, object.id);
      count += 1;
    }
  }
  await expectNothingListed(client);
  return count;
}

/** But for each project's group `default`, which Neutron makes anew whenever groups are listed. */
async function expectNothingListed(client: Client): Promise<void> {
  for (const type of DELETE_ORDER) {
    const left = (await client.list(type)).filter((object) => type !== 'security_group' || object.name !== 'default');
    expect(
      left.length === 0,
      `still listed: ${left.map((object) => `${type} ${object.name || object.id}`).join(', ')}`,
    );
  }
}
