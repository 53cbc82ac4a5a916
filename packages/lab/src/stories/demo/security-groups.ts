import { ALL_AGENTS, type Check, duration, expect } from '../../checks/check.ts';
import { allow } from '../../cloud.ts';
import { type GuestTarget, inGuest } from '../../traffic/in-guest.ts';
import { CLOSED_PORTS } from '../../traffic/protocol.ts';
import type { DemoLab, DemoWorld } from './world.ts';

const [PLAIN_PORT = 0, GROUP_PORT = 0] = CLOSED_PORTS;

/** How soon a new rule must be in force. */
const RULE_DEADLINE_MS = 1_000;

/** What no rule allows is dropped; an added rule is in force within a second; remote groups follow their members. */
export const SECURITY_GROUP_CHECKS: readonly Check<DemoWorld>[] = [
  {
    group: 'security-groups',
    name: 'what no rule allows is dropped',
    concerns: ALL_AGENTS,
    run: async (lab) => {
      const { pod1, machine, vm2 } = lab.guests;
      for (const from of [pod1, machine, vm2]) {
        const target = { ip: lab.guests.vm1.ip, port: PLAIN_PORT };
        const accepted = await inGuest<boolean>(from, 'accepts', target, { timeoutMs: 300 });
        expect(!accepted, `${from.name} reached vm1 on TCP ${PLAIN_PORT}, which no rule allows`);
      }
      return `TCP ${PLAIN_PORT} of vm1, from pod, machine and VM`;
    },
  },
  {
    group: 'security-groups',
    name: 'an added rule allows within a second',
    concerns: ['server', ...ALL_AGENTS],
    run: async (lab) => {
      const rule = { protocol: 'tcp', port_range_min: PLAIN_PORT, port_range_max: PLAIN_PORT };
      const target = { ip: lab.guests.vm1.ip, port: PLAIN_PORT };
      const took = await timeUntilAccepted(lab, target, () => allow(lab.tenants.blue, lab.groups.blue, rule));
      return `${duration(took)} from the request to the first connection`;
    },
  },
  {
    group: 'security-groups',
    name: 'a remote-group rule allows its members, within a second',
    concerns: ['server', ...ALL_AGENTS],
    run: remoteGroup,
  },
];

/** Pod joins the group `clients`, whose members a rule of vm1's group allows; vm2 is none. */
async function remoteGroup(lab: DemoLab): Promise<string> {
  const { blue, clients } = lab.groups;
  const { pod1, vm1, vm2 } = lab.guests;
  const target = { ip: vm1.ip, port: GROUP_PORT };
  const ports = { port_range_min: GROUP_PORT, port_range_max: GROUP_PORT };
  await allow(lab.tenants.blue, blue, { protocol: 'tcp', ...ports, remote_group_id: clients.id });
  const early = await inGuest<boolean>(pod1, 'accepts', target, { timeoutMs: 500 });
  expect(!early, 'pod1 was let in before it joined the group');
  const groups = { security_groups: [blue.id, clients.id] };
  const took = await timeUntilAccepted(lab, target, () => lab.tenants.blue.update('port', pod1.portId, groups));
  const stranger = await inGuest<boolean>(vm2, 'accepts', target, { timeoutMs: 300 });
  expect(!stranger, 'vm2 was let in, though it is not in the group');
  return `${duration(took)} after pod1 joined; vm2 stays out`;
}

/** Pod1 tries all the time; then `change` is made: how long until pod1 gets through, from before the request. */
async function timeUntilAccepted(lab: DemoLab, target: GuestTarget, change: () => Promise<unknown>): Promise<number> {
  const attempts = inGuest<number | null>(lab.guests.pod1, 'first-accepted', target, { timeoutMs: 5_000 });
  const running = new Promise((resolve) => setTimeout(resolve, 500));
  await Promise.race([attempts, running]);
  const startedAt = Date.now();
  await change();
  const acceptedAt = await attempts;
  expect(acceptedAt !== null, 'no connection was accepted within 5 s');
  const took = acceptedAt - startedAt;
  expect(took >= 0, 'a connection was accepted before the change was made');
  expect(took <= RULE_DEADLINE_MS, `it took ${duration(took)}, more than a second`);
  return took;
}
