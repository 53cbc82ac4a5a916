/** Why a port is not ACTIVE, and why two ports cannot talk. */
import { hostOf, isBound, isGatewayPort, isRouterInterface } from '@cable/compiler';
import { CableError, type Port } from '@cable/model';
import { refusedEntries } from '../hosts/acknowledgements.ts';
import type { Tables } from '../tables.ts';
import { answerValue } from './answer-values.ts';
import type { FaultDeps } from './counted.ts';
import type { Eyes, Named } from './eyes.ts';
import { Neighbours } from './neighbours.ts';
import { peeringCause } from './peering-causes.ts';
import { meaningFor } from './private-subnets.ts';
import { type Trace, type TraceQuery, trace } from './trace.ts';

/** One thing that is wrong, or worth knowing, with what to do about it. */
export type Finding = { readonly code: string; readonly text: string; readonly remedy: string };

export type WhyPort = {
  readonly port: Named;
  readonly status: string;
  /** The first is the cause; none: the port is ACTIVE and nothing is found. */
  readonly findings: readonly Finding[];
};

export type WhyPair = {
  /** Both ways as new connections; each with its answers. */
  readonly ways: readonly Trace[];
  readonly ports: readonly WhyPort[];
  /** `unknown`: a host on the way could not be asked. */
  readonly verdict: 'can-talk' | 'cannot-talk' | 'unknown';
  /** The first cause, or why nobody knows; null: they can talk. */
  readonly finding: Finding | null;
};

/** Drops that are named at the most. */
const MAX_DROPS = 3;

/** `GET .../why` */
export async function explainPort(deps: FaultDeps, port: Port, eyes: Eyes): Promise<WhyPort> {
  const causes = [...findCauses(deps.tables, port, eyes)];
  // Drops of a port that is there tell more than its state.
  const drops = causes.length > 0 ? [] : await findDrops(deps, port, eyes);
  return { port: { id: port.id, name: port.name }, status: port.status, findings: [...causes, ...drops] };
}

function* findCauses(tables: Tables, port: Port, eyes: Eyes): Generator<Finding> {
  if (!port.admin_state_up) {
    yield finding('port_admin_down', 'admin_state_up of the port is false: it passes nothing', 'Set it to true.');
  }
  if (tables.of('network').get(port.network_id)?.admin_state_up === false) {
    yield finding(
      'network_admin_down',
      'admin_state_up of its network is false: its ports pass nothing',
      'Set it to true.',
    );
  }
  if (isRouterInterface(port)) {
    if (port.status !== 'ACTIVE')
      yield finding(
        'not_programmed',
        'some host that the router is needed on has not programmed this interface yet',
        'Wait a moment; if it lasts, see `cable host list` for hosts that are behind.',
      );
    return;
  }
  if (isGatewayPort(port)) {
    yield* findGatewayCauses(tables, port, eyes);
    return;
  }
  if (!isBound(port)) {
    yield finding(
      'not_bound',
      'the port is not bound to a host (binding:host_id is empty)',
      'Attach it to a machine or pod, or set binding:host_id.',
    );
    return;
  }
  yield* findHostCauses(tables, port, eyes);
}

function* findGatewayCauses(tables: Tables, port: Port, eyes: Eyes): Generator<Finding> {
  const name = hostOf(port);
  const physical = tables.of('network').get(port.network_id)?.['provider:physical_network'] ?? null;
  if (name === '') {
    yield finding(
      'no_gateway_host',
      physical === null
        ? 'no host carries the gateway: its network is on no physical network'
        : `no host carries the gateway: none that may be one is on physical network ${physical}`,
      'Start an agent with --bridge-mappings for that physical network; see `gateway` in `cable host list`.',
    );
    return;
  }
  const host = eyes.host(name, port) === null ? 'its host' : `host ${name}`;
  if (tables.of('alive').get(name) === undefined) {
    yield finding(
      'host_down',
      `the agent of ${host}, which the gateway is on, does not report, and no other host could have it`,
      'See that the machine is up, its agent runs, and it reaches a server; or let another host be a gateway.',
    );
  } else if (port.admin_state_up && port.status !== 'ACTIVE') {
    yield finding(
      'behind',
      `${host}, which the gateway is on, has not programmed it yet`,
      'Wait a moment; if it lasts, see acknowledged_revision in `cable host list`.',
    );
  }
  yield* findRefused(tables, name, host);
}

function* findHostCauses(tables: Tables, port: Port, eyes: Eyes): Generator<Finding> {
  const name = hostOf(port);
  const host = eyes.host(name, port) === null ? 'its host' : `host ${name}`;
  if (tables.of('host').get(name) === undefined) {
    yield finding('host_unknown', `${host} is not registered`, `Start the agent there: cable agent --host ${name}`);
    return;
  }
  if (tables.of('alive').get(name) === undefined) {
    yield finding(
      'host_down',
      `the agent of ${host} does not report: what runs there goes on as it was, and nothing new is programmed`,
      'See that the machine is up, its agent runs, and it reaches a server.',
    );
  }
  const vif = tables.of('vif').get(`${name}/${port.id}`);
  if (vif === undefined || vif.state === 'down') {
    yield finding(
      'device_missing',
      `the port has no device on ${host}${vif?.reason ? `: ${vif.reason}` : ''}`,
      'See that the machine or pod runs there: its device is named after the first 11 characters of the port’s id.',
    );
  } else if (vif.state === 'error') {
    yield finding(
      'refused',
      `${host} cannot program the port: ${vif.reason ?? 'no reason was given'}`,
      'Do what the reason says; the agent tries again by itself.',
    );
  } else if (port.admin_state_up && port.status !== 'ACTIVE') {
    yield finding(
      'behind',
      'its device is up, but not every host that must know the port has programmed it yet',
      'Wait a moment; if it lasts, see acknowledged_revision in `cable host list`.',
    );
  }
  yield* findRefused(tables, name, host);
}

function* findRefused(tables: Tables, name: string, host: string): Generator<Finding> {
  const refused = refusedEntries(tables, name);
  if (refused !== undefined) {
    yield finding(
      'no_room',
      `the kernel of ${host} has refused ${refused.entries} map entries: ${refused.reason}`,
      'Move ports to other hosts, or use fewer rules there.',
    );
  }
}

const LONG_AGO = Number.MAX_SAFE_INTEGER;

/** What its host drops most of its packets for. That the host cannot be asked says nothing about an ACTIVE port. */
async function findDrops({ ask, tables }: FaultDeps, port: Port, eyes: Eyes): Promise<readonly Finding[]> {
  const host = hostOf(port);
  if (!isBound(port) || isRouterInterface(port)) return [];
  try {
    const { drops } = answerValue('drops', host, await ask(host, { kind: 'drops', portId: port.id }));
    // Copies that mirrors lost are none of its packets.
    return drops
      .filter(({ reason: { name } }) => !name.startsWith('mirror_'))
      .sort((a, b) => (a.lastSecondsAgo ?? LONG_AGO) - (b.lastSecondsAgo ?? LONG_AGO) || b.packets - a.packets)
      .slice(0, MAX_DROPS)
      .map(({ reason, packets, lastSecondsAgo }) => {
        const ago = lastSecondsAgo === null ? '' : `, the last ${lastSecondsAgo} s ago`;
        const why = meaningFor(reason, tables, [port], eyes);
        return finding(`drops_${reason.name}`, `${packets} packets were dropped${ago}: ${why}`, reason.remedy);
      });
  } catch (err) {
    if (!(err instanceof CableError)) throw err;
    return [finding('host_unreachable', err.message.replace(/\.$/, ''), err.remedy)];
  }
}

/** `GET .../why?to=PORT`: what keeps them from talking. `query` without addresses: those are the ports' own. */
export async function explainPair(
  deps: FaultDeps,
  [a, b]: readonly [Port, Port],
  query: Omit<TraceQuery, 'to' | 'source'>,
  eyes: Eyes,
): Promise<WhyPair> {
  const ports = await Promise.all([a, b].map((port) => explainPort(deps, port, eyes)));
  const states = ports.flatMap(({ port, findings: [first] }) =>
    first === undefined || first.code.startsWith('drops_')
      ? []
      : [{ ...first, text: `port ${port.name || port.id}: ${first.text}` }],
  );
  const ways: Trace[] = [];
  let failed: Finding | null = null;
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    try {
      const address = addressFor(from, to);
      const holder = new Neighbours(deps).find(from.network_id, address);
      if (holder !== to.id) failed ??= peeringCause(deps.tables, from, to, eyes) ?? notConnected(from, to, address);
      else ways.push(await trace(deps, from, { ...query, source: null, to: address }, eyes));
    } catch (err) {
      if (!(err instanceof CableError)) throw err;
      const code = UNANSWERED.has(err.code) ? 'host_unreachable' : 'not_traced';
      failed ??= finding(code, err.message.replace(/\.$/, ''), err.remedy);
    }
  }
  const [there, back] = ways;
  const causes = [there, back].flatMap((way) => (way === undefined || way.cause === null ? [] : [way]));
  const found = causes.filter(({ verdict }) => verdict !== 'arrives').map(findingOf);
  if (failed !== null) found.push(failed);
  if (found.length > 0) found.unshift(...states);
  // What is known goes before what is not.
  const known = found.find(({ code }) => !UNSURE.has(code));
  const verdict = known !== undefined ? 'cannot-talk' : found.length > 0 ? 'unknown' : 'can-talk';
  return { ways, ports, verdict, finding: known ?? found[0] ?? null };
}

/** Errors of hosts that say nothing about packets. */
const UNANSWERED: ReadonlySet<string> = new Set(['HostUnreachable', 'HostRefusesAsk', 'ServiceUnavailable']);

/** Findings that say nothing about packets: what a host has goes on while nobody hears of it. */
const UNSURE: ReadonlySet<string> = new Set(['host_down', 'host_unreachable', 'behind', 'cut', 'not_understood']);

function notConnected(from: Port, to: Port, address: string): Finding {
  return finding(
    'not_connected',
    `what port ${from.name || from.id} sends to ${address} does not come to port ${to.name || to.id}: no router is in the networks of both`,
    'Attach subnets of both networks to one router, peer their routers, or put the ports into one network.',
  );
}

/** An address of `to` of a family that both have. Throws `InvalidInput`. */
function addressFor(from: Port, to: Port): string {
  const isV6 = (ip: string): boolean => ip.includes(':');
  const families = new Set(from.fixed_ips.map(({ ip_address: ip }) => isV6(ip)));
  const found = to.fixed_ips.find(({ ip_address: ip }) => families.has(isV6(ip)));
  if (found !== undefined) return found.ip_address;
  throw new CableError('InvalidInput', `Ports ${from.id} and ${to.id} have no address of one family.`);
}

function findingOf({ from, cause, verdict }: Trace): Finding {
  const way =
    cause?.way === 'back' ? `the answer to port ${from.name || from.id}` : `what port ${from.name || from.id} sends`;
  const what = verdict === 'unknown' ? 'is not known to pass' : 'does not pass';
  return finding(cause?.reason ?? '', `${way} ${what}: ${cause?.meaning ?? ''}`, cause?.remedy ?? '');
}

function finding(code: string, text: string, remedy: string): Finding {
  return { code, text, remedy };
}
