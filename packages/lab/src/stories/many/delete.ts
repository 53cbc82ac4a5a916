import { type Check, expect } from '../../checks/check.ts';
import { duringPings } from '../../checks/during.ts';
import { eventually } from '../../eventually.ts';
import { operate } from '../../joining.ts';
import { deleteObjects, NOTHING_LEFT_CHECKS } from '../demo/delete-all.ts';
import { chainPart, removeClassifier } from './chain.ts';
import { ovnPart } from './ovn.ts';
import { unbind } from './proton-port.ts';
import { tracesOn, vpnPart } from './vpn.ts';
import { type ManyLab, type ManyWorld, tenant } from './world.ts';

const WAIT_MS = 120_000;
/** Of OVN's Northbound database: what `cable ovn` writes. */
const OVN_TABLES = ['Logical_Switch', 'Logical_Switch_Port', 'DHCP_Options', 'Address_Set'];

/** One after the other, while the VM is administered on. */
export const DELETE_CHECKS: readonly Check<ManyWorld>[] = [
  {
    group: 'delete',
    name: 'the chain is removed: TCP in the VPN is direct again; then chain and functions go',
    concerns: ['server', 'agent'],
    run: async (lab) => {
      const pings = await removeClassifier(lab);
      const { functions } = chainPart.of(lab);
      for (const { card, process } of functions) {
        await process.stop();
        await unbind(lab, card.portId);
      }
      await removeProton(lab, 'ietf-sfc');
      return `${pings} pings answered meanwhile`;
    },
  },
  {
    group: 'delete',
    name: 'the VPNs are removed while the VM is administered on: no program, map or device of labels is left',
    concerns: ['server', 'agent'],
    run: async (lab) => {
      const { vm, site, others, cards, before } = vpnPart.of(lab);
      const { pings } = await duringPings(lab.guests.desk, lab.guests.vm, async () => {
        await Promise.all(cards.map((card) => card.stop()));
        for (const { portId } of [vm, site, ...others]) await unbind(lab, portId);
        await removeProton(lab, 'net-l3vpn');
        for (const host of Object.values(lab.hosts))
          await eventually(
            { what: `the VPNs to go from ${host.short}`, deadlineMs: WAIT_MS, everyMs: 100 },
            async () => {
              const left = (await tracesOn(host)).filter((one) => !before.has(`${host.short} ${one}`));
              expect(left.length === 0, `there is still ${left.join(', ')}`);
              return true;
            },
          );
      });
      return `${pings} pings answered meanwhile`;
    },
  },
  {
    group: 'delete',
    name: 'OVN’s network is removed, its database is empty, and its plug-in is known no more',
    concerns: ['server', 'ovn'],
    run: async (lab) => {
      const { ovn, networkId, vm, far, cards } = ovnPart.of(lab);
      const client = tenant(lab);
      for (const { host, portId } of [vm, far]) {
        await ovn.unplug(host, portId);
        await client.delete('port', portId);
      }
      await Promise.all(cards.map((card) => card.stop()));
      await client.delete('network', networkId);
      await eventually({ what: 'OVN’s database to be empty', deadlineMs: WAIT_MS, everyMs: 200 }, async () => {
        for (const table of OVN_TABLES) {
          const left = await ovn.nbctl('--bare', '--columns=_uuid', 'list', table);
          expect(left.trim() === '', `${table} has ${left.trim()}`);
        }
        return true;
      });
      await removePlugin(lab);
      await ovn.backEnd.stop();
      return `${OVN_TABLES.length} tables`;
    },
  },
  {
    group: 'delete',
    name: 'guests removed, every object deleted',
    concerns: ['server', 'agent'],
    run: async (lab) => {
      await Promise.all(Object.values(lab.guests).map((guest) => guest.remove()));
      return `${await deleteObjects(tenant(lab))} objects over the API`;
    },
  },
  ...NOTHING_LEFT_CHECKS,
];

async function removeProton({ names, processes }: ManyLab, name: string): Promise<void> {
  await operate(names, processes, ['proton', 'remove', name, '--objects']);
}

async function removePlugin(lab: ManyLab): Promise<void> {
  const { names, processes } = lab;
  for (const { id } of await tenant(lab).list('dispatch_rule'))
    await operate(names, processes, ['dispatch', 'rule', 'delete', id]);
  await operate(names, processes, ['plugin', 'delete', 'ovn']);
}
