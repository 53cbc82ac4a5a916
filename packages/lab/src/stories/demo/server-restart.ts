import { ALL_AGENTS, type Check, duration, expect, expectAnswers, expectPings } from '../../checks/check.ts';
import { allow } from '../../cloud.ts';
import { eventually } from '../../eventually.ts';
import { renewLease } from '../../guests/vm.ts';
import { inGuest } from '../../traffic/in-guest.ts';
import { OPEN_PORT } from '../../traffic/protocol.ts';
import { expectDocument } from './metadata.ts';
import type { DemoLab, DemoWorld } from './world.ts';

const NEW_PORT = 8080;

/** Traffic, DHCP and metadata go on without the server; when it is back, so do changes. */
export const SERVER_RESTART_CHECKS: readonly Check<DemoWorld>[] = [
  {
    group: 'server-restart',
    name: 'server killed: traffic and DHCP renewals go on',
    concerns: ['server', ...ALL_AGENTS],
    run: withoutServer,
  },
  {
    group: 'server-restart',
    name: 'server back: nothing lost, changes work',
    concerns: ['server', ...ALL_AGENTS],
    run: serverBack,
  },
];

async function withoutServer(lab: DemoLab): Promise<string> {
  const { vm1, pod1, vm2, machine } = lab.guests;
  const ports = await lab.tenants.blue.list('port');
  await lab.control.servers[0].kill();
  try {
    await expectPings(vm1, pod1);
    await expectPings(machine, vm2);
    const met = await inGuest<string>(pod1, 'who', { ip: vm2.ip, port: OPEN_PORT });
    expect(met === 'vm2', `pod1 asked ${vm2.ip} and met ${met}`);
    const renewed = await renewLease(vm1);
    await restartedAgentServes(lab);
    return `new flows, a lease renewed in ${duration(renewed)}, also by an agent that was restarted meanwhile`;
  } finally {
    await lab.control.servers[0].start();
    await expectAllThere(
      lab,
      ports.map((port) => port.id),
    );
  }
}

/** An agent that starts while there is no server has its last state on disk: traffic, DHCP and metadata as before. */
async function restartedAgentServes(lab: DemoLab): Promise<void> {
  const { vm1, pod1 } = lab.guests;
  const agent = lab.hosts.h1.agent;
  expect(agent !== undefined, 'the host has no agent');
  const flood = expectAnswers(vm1, pod1, { count: 1_000, intervalMs: 2 });
  flood.catch(() => undefined);
  await agent.kill();
  await agent.start();
  await flood;
  await renewLease(vm1);
  await expectDocument(vm1, 'meta-data/instance-id', 'vm1-instance');
  await expectPings(vm1, pod1);
}

async function expectAllThere(lab: DemoLab, ids: readonly string[]): Promise<void> {
  const found = new Set((await retried(() => lab.tenants.blue.list('port'))).map((port) => port.id));
  const lost = ids.filter((id) => !found.has(id));
  expect(lost.length === 0, `ports lost with the server: ${lost.join(', ')}`);
}

/** A rule made and removed after the restart takes effect both times. */
async function serverBack(lab: DemoLab): Promise<string> {
  const { machine, vm2 } = lab.guests;
  const { blue } = lab.groups;
  const target = { ip: vm2.ip, port: NEW_PORT + 1 };
  const range = { port_range_min: target.port, port_range_max: target.port };
  const cidr = { remote_ip_prefix: `${machine.ip}/32` };
  const startedAt = performance.now();
  const rule = await retried(() => allow(lab.tenants.blue, blue, { protocol: 'tcp', ...range, ...cidr }));
  const accepts = (): Promise<boolean> => inGuest<boolean>(machine, 'accepts', target, { timeoutMs: 200 });
  await eventually({ what: 'the new rule to allow', deadlineMs: 10_000 }, async () =>
    (await accepts()) ? true : undefined,
  );
  const took = performance.now() - startedAt;
  await lab.tenants.blue.delete('security_group_rule', rule.id);
  await eventually({ what: 'the deleted rule to deny', deadlineMs: 10_000 }, async () =>
    (await accepts()) ? undefined : true,
  );
  return `a rule allowed after ${duration(took)}, and denied once deleted`;
}

/** The first request on a connection that the dead server had may fail. */
function retried<T>(ask: () => Promise<T>): Promise<T> {
  return eventually({ what: 'the restarted server to answer', deadlineMs: 5_000 }, ask);
}
