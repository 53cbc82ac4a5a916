/** The verbs of the contract of back ends, version 1: what is asked, and what is answered. Pure but for what they change in the intake. */
import { isUuid } from '@cable/model';
import type { Reports } from '../reconcile/reports.ts';
import { RESOURCES, type ResourceName } from '../translate/neutron.ts';
import type { ChassisBook } from './chassis.ts';
import type { Intake, Listed } from './intake.ts';
import { NETWORK_TYPES, refusalOf } from './verify.ts';

/** What is asked is not as it is to be: 400. */
export class BadRequest extends Error {}

/** How it is; `reason`: why it is not well. */
export type HealthAnswer = { readonly ok: boolean; readonly reason?: string } & Readonly<Record<string, unknown>>;

export type VerbDeps = {
  readonly intake: Intake;
  readonly chassis: ChassisBook;
  readonly reports: Reports;
  readonly version: string;
  /** Another one each time the process starts: what was told before is not known. */
  readonly instance: string;
  readonly health: () => HealthAnswer;
  readonly signal: AbortSignal;
};

type Body = Readonly<Record<string, unknown>>;

/** Answers what is asked; undefined: there is no such verb. Throws `BadRequest`. */
export function answerVerb(verb: string, body: Body, deps: VerbDeps): unknown {
  const answer = Object.hasOwn(VERBS, verb) ? VERBS[verb] : undefined;
  return answer?.(body, deps);
}

/** OVN gives each network, and each port in it, a number that a tunnel carries. */
const LIMITS = { networks: 16_777_215, ports_per_network: 32_767 };

/** What one answer of `reports` has at most: below 1 MiB, also where each has an error. */
const REPORTS_MAX = 500;
const WAIT_SECONDS_MAX = 60;

const VERBS: Readonly<Record<string, (body: Body, deps: VerbDeps) => unknown>> = {
  capabilities: (_, { version, instance }) => ({
    name: 'ovn',
    version,
    contract: 1,
    instance,
    resources: Object.fromEntries(RESOURCES.map((name) => [name, ['create', 'update', 'delete']])),
    network_types: NETWORK_TYPES,
    vif_types: ['ovs'],
    extensions: EXTENSIONS,
    features: {
      encapsulation: 'geneve',
      /** What a tunnel takes of a packet, over IPv4 and IPv6: a network's `mtu` is to be smaller than the way between hosts by it. */
      overhead_bytes: { 4: 58, 6: 78 },
      distributed_floating_ips: true,
      stateless_security_groups: true,
      ipv6: true,
      metadata: false,
      qos: false,
    },
    limits: LIMITS,
  }),
  verify: (body) => {
    const reason = body['verb'] === 'delete' ? undefined : refusalOf(resourceOf(body), body['object']);
    return reason === undefined ? { ok: true } : { ok: false, reason };
  },
  create: put,
  update: put,
  delete: (body, { intake }) => {
    const { object } = body;
    const id = body['id'] ?? (Object(object) as Body)['id'];
    intake.delete(resourceOf(body), uuidOf(id), body['revision'] === undefined ? undefined : revisionOf(body));
    return {};
  },
  sync: (body, { intake }) => {
    const { objects } = body;
    if (!Array.isArray(objects)) throw new BadRequest('objects: a list of {id, revision} is wanted');
    return intake.compare(resourceOf(body), objects.map(listedOf));
  },
  health: (_, { health, instance }) => ({ ...health(), instance }),
  usage: (_, { intake, chassis }) => ({ used: { ...intake.used, hosts: chassis.size } }),
  limits: () => ({ limits: LIMITS }),
  bind,
  /** The port's own `binding:host_id` says where it is; there is nothing else to undo. */
  unbind: () => ({}),
  reports: async (body, { reports, instance, signal }) => {
    const since = numberOf(body, 'since', 0);
    const waitSeconds = Math.min(numberOf(body, 'wait_seconds', 0), WAIT_SECONDS_MAX);
    if (waitSeconds > 0) await reports.wait(since, waitSeconds * 1000, signal);
    const { next, reports: said } = reports.since(since, REPORTS_MAX);
    return { instance, next, reports: said.map(reportText) };
  },
};

/** Aliases of Neutron's extensions of which rows are made. */
const EXTENSIONS: readonly string[] = [
  'address-group',
  'allowed-address-pairs',
  'binding',
  'external-net',
  'ext-gw-mode',
  'extra_dhcp_opt',
  'extraroute',
  'net-mtu',
  'port-security',
  'provider',
  'router',
  'security-group',
  'stateful-security-group',
];

function put(body: Body, { intake }: VerbDeps): unknown {
  const reason = intake.put(resourceOf(body), body['object'], revisionOf(body));
  if (reason !== undefined) throw new BadRequest(`object: ${reason}`);
  return {};
}

/** The port, or its id, and a host: what it is plugged with there. */
function bind(body: Body, { intake, chassis }: VerbDeps): unknown {
  const { host } = body;
  if (typeof host !== 'string' || host === '') throw new BadRequest('host: a name is wanted');
  const given = body['port'];
  const id = uuidOf(typeof given === 'string' ? given : (Object(given) as Body)['id']);
  const plug = chassis.find(host);
  if (plug === undefined)
    return { refused: `OVN knows no chassis ${host.slice(0, 255)}: does ovn-controller run there?` };
  const networkId = (Object(given) as Body)['network_id'] ?? intake.get('port', id)?.networkId;
  const network = typeof networkId === 'string' ? intake.get('network', networkId) : undefined;
  const physical = network?.physicalNetwork ?? null;
  if (physical !== null && !plug.physicalNetworks.includes(physical))
    return {
      refused: `${host.slice(0, 255)} does not reach the physical network ${physical}: set ovn-bridge-mappings there`,
    };
  const { bridge, datapathType } = plug;
  const details = { port_filter: true, connectivity: 'l2', bridge_name: bridge, datapath_type: datapathType };
  return { vif_type: 'ovs', vif_details: details };
}

function reportText(report: ReturnType<Reports['since']>['reports'][number]): unknown {
  const { realisedRevision, ...rest } = report;
  return { ...rest, ...(realisedRevision === undefined ? {} : { realised_revision: realisedRevision }) };
}

function resourceOf(body: Body): ResourceName {
  const found = RESOURCES.find((one) => one === body['resource']);
  if (found === undefined) throw new BadRequest(`resource: one of ${RESOURCES.join(', ')} is wanted`);
  return found;
}

/** Absent: that of the object. */
function revisionOf(body: Body): number {
  return numberOf({ revision: body['revision'] ?? (Object(body['object']) as Body)['revision_number'] }, 'revision', 0);
}

function numberOf(body: Body, name: string, absent: number): number {
  const given = body[name] ?? absent;
  if (typeof given === 'number' && Number.isSafeInteger(given) && given >= 0) return given;
  throw new BadRequest(`${name}: a whole number from 0 on is wanted`);
}

function uuidOf(given: unknown): string {
  if (typeof given === 'string' && isUuid(given)) return given;
  throw new BadRequest('id: a UUID is wanted');
}

function listedOf(given: unknown): Listed {
  const { id, revision } = Object(given) as Body;
  return { id: uuidOf(id), revision: numberOf({ revision }, 'revision', 0) };
}
