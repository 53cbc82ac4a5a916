import { cpSync, existsSync, readFileSync, statSync } from 'node:fs';
import type { Answer } from '../asker.ts';
import { untilLogged, untilRefused, untilSynced } from '../checks/agent-status.ts';
import { type Check, duration, expect, expectPings } from '../checks/check.ts';
import { duringPings } from '../checks/during.ts';
import { expectChange } from '../checks/rule.ts';
import { auditLog } from '../control-plane.ts';
import { mustRun } from '../exec.ts';
import { addPodTo } from '../guests/later.ts';
import { giveJoinToken, joinFile, operate, removeJoinToken, serverAuthority } from '../joining.ts';
import type { Lab } from '../lab.ts';
import { agentPaths, type LabHost, type LabNames, labHost, REPOSITORY } from '../names.ts';
import { defineStory, type Story } from '../story.ts';
import { createHost } from '../topology.ts';
import { inGuest } from '../traffic/in-guest.ts';
import { OPEN_PORT } from '../traffic/protocol.ts';
import { TWO_VMS } from './two-vms.ts';

const WORLD = { stores: ['lmdb', 'etcd'], servers: 1, ...TWO_VMS } as const;

type JoiningLab = Lab<typeof WORLD>;

const CHECKS: readonly Check<typeof WORLD>[] = [
  {
    group: 'joined',
    name: 'each host has joined by its token, and speaks by a certificate of its own from its underlay address',
    concerns: ['server', 'agent'],
    run: async ({ names, tenants, hosts }) => {
      const known = await tenants.blue.list('host_certificate');
      const told = writesIn(names);
      for (const host of [hosts.h1, hosts.h2]) {
        const row = known.find((one) => one.id === host.name);
        expect(row !== undefined && row['revoked'] === false, `the server knows of no certificate of ${host.name}`);
        expect((statSync(certificateOf(host)).mode & 0o077) === 0, `others may read ${certificateOf(host)}`);
        const registered = told.some(
          ({ path, certificate, address }) =>
            path === `/cable/v1/hosts/${host.name}` &&
            certificate === `cable:host:${host.name}` &&
            address === host.underlay,
        );
        expect(registered, `${host.name} has not registered by its certificate from ${host.underlay}`);
      }
      return known.map((one) => `${one.id} until ${one['expires_at']}`).join(', ');
    },
  },
  {
    group: 'joined',
    name: 'an agent that is killed and started again needs no token',
    concerns: ['server', 'agent-h1'],
    run: async ({ names, hosts: { h1 }, guests: { vm1, vm2 } }) => {
      expect(!existsSync(joinFile(names, h1)), 'its token is there still');
      const { result, pings } = await duringPings(vm2, vm1, async () => {
        await h1.agent?.kill();
        await h1.agent?.start();
        return untilSynced(h1);
      });
      return `in sync ${duration(result)} after its start; ${pings} of ${pings} pings answered`;
    },
  },
  {
    group: 'stranger',
    name: 'a machine in the underlay without a certificate is told nothing, and nothing but HTTPS listens there',
    concerns: ['server'],
    run: async ({ names, ledger, hosts: { h1 } }) => {
      const stranger = labHost(names, 'stranger', 9);
      await createHost(names, stranger, ledger);
      const registration = { underlay: stranger.underlay, agentVersion: 'lab' };
      const wishes: readonly (readonly [string, string, object?])[] = [
        ['GET', '/v2.0/networks'],
        ['POST', '/v2.0/networks', { network: {} }],
        ['POST', '/cable/v1/join-tokens/issue', {}],
        ['PUT', `/cable/v1/hosts/${h1.name}`, registration],
        ['GET', `/cable/v1/hosts/${h1.name}/watch`],
      ];
      for (const [method, path, body] of wishes) {
        const answer = await ask(names, stranger, method, path, { body });
        expect(isRefused(answer), `${method} ${path}: ${JSON.stringify(answer)}`);
      }
      const plain = await askAt(names.serverUrl.replace('https:', 'http:'), stranger, 'GET', '/v2.0/networks');
      expect(/HTTPS is spoken here/.test(plain.message), `without TLS: ${JSON.stringify(plain)}`);
      const open = await listeners(names);
      const wanted = names.serverUrl.slice('https://'.length);
      expect(open.join() === wanted, `these listen: ${open.join(', ')}`);
      return `${wishes.length} of ${wishes.length} requests refused; ${wanted} alone listens`;
    },
  },
  {
    group: 'stranger',
    name: 'a host can do nothing in another’s name, nor in a user’s',
    concerns: ['server'],
    run: async ({ names, hosts: { h1, h2 } }) => {
      const certificate = certificateOf(h2);
      const registration = { underlay: h2.underlay, agentVersion: 'lab' };
      const asH1 = await ask(names, h2, 'PUT', `/cable/v1/hosts/${h1.name}`, { body: registration, certificate });
      expect(asH1.status === 403, `as h1: ${JSON.stringify(asH1)}`);
      const asUser = await ask(names, h2, 'GET', '/v2.0/ports', { certificate });
      expect(asUser.status === 403, `as a user: ${JSON.stringify(asUser)}`);
      return asH1.message;
    },
  },
  {
    group: 'pods',
    name: 'a pod’s port is made by the certificate of a user, over HTTPS from its host',
    concerns: ['server', 'agent-h2'],
    run: async (lab) => {
      const { h2 } = lab.hosts;
      const pod = await addPodTo(lab, 'pod1', { host: 'h2', network: 'blue', group: 'blue' });
      await expectPings(lab.guests.vm1, pod);
      const made = writesIn(lab.names).find(({ changed }) => changed.some(({ id }) => id === pod.portId));
      const by = `${made?.certificate} from ${made?.address}`;
      expect(by === `cable:user:cni from ${h2.underlay}`, `it was made by ${by}`);
      await pod.remove();
      const left = await lab.tenants.blue.list('port', { device_id: `${pod.containerId}:eth0` });
      expect(left.length === 0, 'its port is there still');
      return `${pod.ip} in ${duration(pod.tookMs)}, by ${by}; and removed`;
    },
  },
  {
    group: 'revoked',
    name: 'a host is revoked: its stream ends and its agent says why, also restarted; its guests go on',
    concerns: ['server', 'agent-h1'],
    run: async (lab) => {
      const { names, hosts, guests } = lab;
      const { h1 } = hosts;
      const { result, pings } = await duringPings(guests.vm2, guests.vm1, async () => {
        const startedAt = performance.now();
        await operate(names, lab.processes, ['host', 'revoke', h1.name]);
        const words = await untilRefused(h1, 'CertificateRefused');
        const took = performance.now() - startedAt;
        await untilLogged(names, 'agent-h1', ['CertificateRefused', 'cable join-token create']);
        await h1.agent?.kill();
        await h1.agent?.start();
        await untilRefused(h1, 'CertificateRefused');
        await expectMeeting(lab);
        return `after ${duration(took)}: ${words}`;
      });
      return `${pings} of ${pings} pings answered, new flows too; it says ${result}`;
    },
  },
  {
    group: 'revoked',
    name: 'a token that may replace lets it in again; the certificate of before stays refused',
    concerns: ['server', 'agent-h1'],
    run: async (lab) => {
      const { names, hosts, guests, tenants, groups } = lab;
      const { h1 } = hosts;
      const old = `${names.dir}/certificate-of-before.pem`;
      cpSync(certificateOf(h1), old);
      const { pings } = await duringPings(guests.vm2, guests.vm1, async () => {
        await giveJoinToken(names, lab.processes, h1, true);
        await h1.agent?.stop();
        await h1.agent?.start();
        await untilSynced(h1);
      });
      removeJoinToken(names, h1);
      const took = await expectChange(tenants.blue, groups.blue, guests.vm2, guests.vm1);
      const answer = await ask(names, h1, 'GET', `/cable/v1/hosts/${h1.name}/watch`, { certificate: old });
      expect(isRefused(answer), `by the certificate of before: ${JSON.stringify(answer)}`);
      return `${pings} of ${pings} pings answered; a rule allowed after ${duration(took)}; ${answer.message}`;
    },
  },
];

/** Certificate and key of a host that has joined. */
function certificateOf({ name, root }: LabHost): string {
  return `${agentPaths(name, root).state}/joined/host.pem`;
}

function ask(
  names: LabNames,
  from: LabHost,
  method: string,
  path: string,
  { body, certificate }: { readonly body?: object | undefined; readonly certificate?: string } = {},
): Promise<Answer> {
  const shown = certificate === undefined ? [] : [certificate];
  return askAt(names.serverUrl, from, method, path, body, [serverAuthority(names), ...shown]);
}

/** From a machine's namespace. */
async function askAt(
  url: string,
  { netns }: LabHost,
  method: string,
  path: string,
  body?: object,
  more: readonly string[] = [],
): Promise<Answer> {
  const text = body === undefined ? '' : JSON.stringify(body);
  const command = [
    process.execPath,
    `${REPOSITORY}/packages/lab/dist/asker.js`,
    `${url}${path}`,
    method,
    text,
    ...more,
  ];
  return JSON.parse(await mustRun(command, { netns })) as Answer;
}

function isRefused({ status, type }: Answer): boolean {
  return status === 401 && type === 'CertificateRefused';
}

/** Where TCP is listened on in the namespace of the control plane, but on its loopback. */
async function listeners({ controlNamespace: netns }: LabNames): Promise<readonly string[]> {
  const lines = (await mustRun(['ss', '-Hltn'], { netns })).split('\n').filter((line) => line !== '');
  const places = lines.map((line) => line.split(/\s+/)[3] ?? '');
  return places.filter((place) => !/^(127\.|\[::1\])/.test(place));
}

type Write = {
  readonly path?: string;
  readonly certificate?: string | null;
  readonly address?: string | null;
  readonly changed: readonly { readonly type: string; readonly id: string }[];
};

/** All that the server has done so far, as its audit log tells it. */
function writesIn(names: LabNames): readonly Write[] {
  const lines = readFileSync(auditLog(names, 'server'), 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line) as Write);
}

async function expectMeeting({ guests: { vm1, vm2 } }: JoiningLab): Promise<void> {
  for (const [from, to] of [
    [vm1, vm2],
    [vm2, vm1],
  ] as const) {
    const met = await inGuest<string>(from, 'who', { ip: to.ip, port: OPEN_PORT });
    expect(met === to.name, `${from.name} met ${met}`);
  }
}

export const JOINING: Story = defineStory({
  name: 'joining',
  sentence:
    'Hosts speak to their server by certificates, a stranger is told nothing, and one that is revoked carries on.',
  world: WORLD,
  checks: CHECKS,
});
