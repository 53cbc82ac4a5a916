import {
  CableError,
  formatIp,
  type HostBandwidth,
  type HostRegistration,
  type HostStatusReport,
  isClusterName,
  isUnderlayAddress,
  isUuid,
  isZoneName,
  type LeaseUse,
  MAX_ANNOUNCED_A_REPORT,
  MAX_BLOCKS_A_LEASE,
  MAX_GATEWAYS_A_REPORT,
  MAX_KBPS,
  MAX_LEASES_A_REPORT,
  MAX_MEMBERS_A_REPORT,
  MAX_VIFS_A_REPORT,
  type MemberHealth,
  type MemberReport,
  parseIp,
  type RefusedEntries,
  type ReportPart,
  type StoreHistory,
  type VifStatus,
} from '@cable/model';

const MAX_REASON = 256;
const MAX_VERSION = 64;
const MAX_HISTORY = 128;
const MAX_HOST_NAME = 255;
/** What a device may have (RFC 791 asks for the least of all hosts; IPv4 has no larger packet). */
const DEVICE_MTU = { least: 68, most: 65_535 } as const;
const MAX_MAPPINGS = 64;
const MAX_ZONE = 255;
const MAX_FEATURES = 64;
const MAX_FEATURE = 64;
const MAX_PHYSICAL_NETWORK = 64;
const MAX_DEVICE = 15;
const STATES: ReadonlySet<unknown> = new Set<VifStatus['state']>(['up', 'down', 'error']);
const MEMBER_STATES: ReadonlySet<unknown> = new Set<MemberHealth['state']>(['up', 'down', 'unknown', 'gone']);

type Fields = Readonly<Record<string, unknown>>;

/** A host's name: what a DNS name may be made of. Throws `InvalidInput`. */
export function parseHostName(text: string): string {
  if (text.length <= MAX_HOST_NAME && /^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$/.test(text)) return text;
  throw invalid('host', `1 to ${MAX_HOST_NAME} letters, digits, '.', '-' and '_', first and last a letter or digit`);
}

/** `since` of a watch: a revision; absent: 0. Throws `InvalidInput`. */
export function parseSince(text: string | undefined): number {
  if (text === undefined || text === '') return 0;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw invalid('since', 'the revision of a sync or bookmark line, or 0');
}

/** Throws `InvalidInput` naming the field. */
export function parseRegistration(body: unknown): HostRegistration {
  const fields = parseFields(body, 'body');
  const { agentId, session, protocol } = fields;
  if ((agentId === undefined) !== (session === undefined)) throw invalid('session', 'agentId and session, or neither');
  return {
    underlay: parseUnderlay(fields['underlay']),
    agentVersion: parseText(fields['agentVersion'], 'agentVersion', MAX_VERSION),
    ...(fields['underlayMtuBytes'] === undefined ? {} : { underlayMtuBytes: parseMtu(fields['underlayMtuBytes']) }),
    ...(fields['bridgeMappings'] === undefined ? {} : { bridgeMappings: parseMappings(fields['bridgeMappings']) }),
    ...(fields['bandwidth'] === undefined ? {} : { bandwidth: parseBandwidth(fields['bandwidth']) }),
    ...(fields['availabilityZone'] === undefined ? {} : { availabilityZone: parseZone(fields['availabilityZone']) }),
    ...(fields['cluster'] === undefined ? {} : { cluster: parseCluster(fields['cluster']) }),
    ...(fields['features'] === undefined ? {} : { features: parseFeatures(fields['features']) }),
    ...(agentId === undefined ? {} : { agentId: parseId(agentId, 'agentId'), session: parseId(session, 'session') }),
    protocol: protocol === undefined ? 1 : parseProtocol(protocol, agentId !== undefined),
    ...(fields['previousSession'] === undefined
      ? {}
      : { previousSession: parseNullable(fields, 'previousSession', parseId) }),
    ...(fields['since'] === undefined ? {} : { since: parseRevision(fields['since'], 'since') }),
    ...(fields['history'] === undefined ? {} : { history: parseNullable(fields, 'history', parseHistory) }),
  };
}

function parseMtu(value: unknown): number {
  const { least, most } = DEVICE_MTU;
  if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) return value as number;
  throw invalid('underlayMtuBytes', `a number of bytes from ${least} to ${most}`);
}

/** Each name as `provider:physical_network` may be, each interface as the kernel may call one. Sorted, so that equal ones are equal as text. */
function parseMappings(value: unknown): Readonly<Record<string, string>> {
  const all = Object.entries(parseFields(value, 'bridgeMappings'));
  if (all.length > MAX_MAPPINGS) throw invalid('bridgeMappings', `at most ${MAX_MAPPINGS} physical networks`);
  for (const [name, device] of all) {
    if (name === '' || Buffer.byteLength(name) > MAX_PHYSICAL_NETWORK) {
      throw invalid('bridgeMappings', `names of physical networks of 1 to ${MAX_PHYSICAL_NETWORK} bytes`);
    }
    if (parseText(device, `bridgeMappings.${name}`, MAX_DEVICE) === '') {
      throw invalid(`bridgeMappings.${name}`, 'the name of an interface');
    }
  }
  return Object.fromEntries(all.sort(([a], [b]) => (a < b ? -1 : 1))) as Readonly<Record<string, string>>;
}

/** Of physical networks, or tunnels, that have some. Sorted, so that equal ones are equal as text. */
function parseBandwidth(value: unknown): HostBandwidth {
  const all = Object.entries(parseFields(value, 'bandwidth'));
  if (all.length > MAX_MAPPINGS + 2) throw invalid('bandwidth', `at most ${MAX_MAPPINGS} physical networks`);
  const parsed = all.map(([name, given]) => {
    if (name === '' || Buffer.byteLength(name) > MAX_PHYSICAL_NETWORK) {
      throw invalid('bandwidth', `names of physical networks of 1 to ${MAX_PHYSICAL_NETWORK} bytes`);
    }
    const { any, egress, ingress } = parseFields(given, `bandwidth.${name}`);
    return [
      name,
      {
        ...(any === undefined ? {} : { any: parseRate(any, name) }),
        ...(egress === undefined ? {} : { egress: parseRate(egress, name) }),
        ...(ingress === undefined ? {} : { ingress: parseRate(ingress, name) }),
      },
    ] as const;
  });
  return Object.fromEntries(parsed.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function parseRate(value: unknown, name: string): number {
  if (Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= MAX_KBPS) return value as number;
  throw invalid(`bandwidth.${name}`, `thousands of bits, or packets, a second, from 0 to ${MAX_KBPS}`);
}

function parseCluster(value: unknown): string {
  if (typeof value === 'string' && isClusterName(value)) return value;
  throw invalid('cluster', 'the name of a Kubernetes cluster: at most 63 of a to z, 0 to 9 and "-"');
}

function parseZone(value: unknown): string {
  const zone = parseText(value, 'availabilityZone', MAX_ZONE);
  if (isZoneName(zone)) return zone;
  throw invalid('availabilityZone', `a name of 1 to ${MAX_ZONE} characters, none of them a control character`);
}

/** Sorted, each once, so that equal ones are equal as text. */
function parseFeatures(value: unknown): readonly string[] {
  if (!Array.isArray(value) || value.length > MAX_FEATURES)
    throw invalid('features', `a list of at most ${MAX_FEATURES}`);
  return [...new Set(value.map((one) => parseText(one, 'features', MAX_FEATURE)))].sort();
}

function parseNullable<T>(fields: Fields, name: string, parse: (value: unknown, field: string) => T): T | null {
  const value = fields[name];
  return value === null ? null : parse(value, name);
}

function parseRevision(value: unknown, field: string): number {
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
  throw invalid(field, 'a revision, or 0');
}

function parseHistory(value: unknown, field: string): StoreHistory {
  const { cluster, mark } = parseFields(value, field);
  return {
    cluster: parseText(cluster, `${field}.cluster`, MAX_HISTORY),
    mark: parseText(mark, `${field}.mark`, MAX_HISTORY),
  };
}

/** An address that is one machine's alone: other hosts would send their packets into the void, or to themselves. */
function parseUnderlay(value: unknown): string {
  const ip = typeof value === 'string' ? parseIp(value) : undefined;
  if (ip === undefined) throw invalid('underlay', 'an IP address of the host that other hosts can reach');
  const text = formatIp(ip);
  if (!isUnderlayAddress(ip)) {
    throw invalid('underlay', `an address of the host that other hosts can reach; none can reach it at ${text}`);
  }
  return text;
}

function parseProtocol(value: unknown, isNamed: boolean): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1) throw invalid('protocol', 'a number from 1');
  if (value > 1 && !isNamed) throw invalid('agentId', 'it and a session, which protocol 2 needs');
  return value;
}

function parseId(value: unknown, field: string): string {
  if (typeof value === 'string' && isUuid(value)) return value;
  throw invalid(field, 'a UUID');
}

/** Throws `InvalidInput` naming the field. When a port is named twice the last word counts. */
export function parseStatusReport(body: unknown): HostStatusReport {
  const fields = parseFields(body, 'body');
  const { revision, full, vifs, part, refused, gateways, leases, announces } = fields;
  if (!Number.isSafeInteger(revision) || (revision as number) < 0) throw invalid('revision', 'a revision, or 0');
  if (typeof full !== 'boolean') throw invalid('full', 'true or false');
  if (!Array.isArray(vifs) || vifs.length > MAX_VIFS_A_REPORT) {
    throw invalid('vifs', `a list of at most ${MAX_VIFS_A_REPORT}`);
  }
  const byPort = new Map(vifs.map(parseVif).map((vif) => [vif.portId, vif]));
  return {
    revision: revision as number,
    full,
    vifs: [...byPort.values()],
    ...(part === undefined ? {} : { part: parsePart(part, full) }),
    ...(refused === undefined ? {} : { refused: parseRefused(refused) }),
    ...(gateways === undefined ? {} : { gateways: parseGateways(gateways) }),
    ...(leases === undefined ? {} : { leases: parseLeases(leases) }),
    ...(announces === undefined ? {} : { announces: parseAnnounced(announces) }),
  };
}

function parsePart(value: unknown, full: boolean): ReportPart {
  const { number, of } = parseFields(value, 'part');
  const isPart = Number.isSafeInteger(of) && Number.isSafeInteger(number);
  if (!isPart || (number as number) < 1 || (number as number) > (of as number) || full) {
    throw invalid('part', 'number, of 1 to of, in a report that is not full');
  }
  return { number: number as number, of: of as number };
}

function parseRefused(value: unknown): RefusedEntries {
  const { entries, reason, hostPolicies } = parseFields(value, 'refused');
  if (!Number.isSafeInteger(entries) || (entries as number) < 1) throw invalid('refused.entries', 'a number from 1');
  return {
    ...{ entries: entries as number, reason: parseText(reason, 'refused.reason', MAX_REASON) },
    ...(hostPolicies === undefined
      ? {}
      : { hostPolicies: parseText(hostPolicies, 'refused.hostPolicies', MAX_REASON) }),
  };
}

function parseGateways(value: unknown): readonly string[] {
  const isList = Array.isArray(value) && value.length <= MAX_GATEWAYS_A_REPORT;
  if (isList && value.every((id) => typeof id === 'string' && isUuid(id))) return value as readonly string[];
  throw invalid('gateways', `a list of at most ${MAX_GATEWAYS_A_REPORT} ids of ports`);
}

/** As the server writes addresses, each once. */
function parseAnnounced(value: unknown): readonly string[] {
  const wrong = invalid('announces', `a list of at most ${MAX_ANNOUNCED_A_REPORT} addresses`);
  if (!Array.isArray(value) || value.length > MAX_ANNOUNCED_A_REPORT) throw wrong;
  const addresses = value.map((one) => (typeof one === 'string' ? parseIp(one) : undefined));
  return [
    ...new Set(
      addresses.map((one) => {
        if (one === undefined) throw wrong;
        return formatIp(one);
      }),
    ),
  ];
}

function parseLeases(value: unknown): readonly LeaseUse[] {
  if (!Array.isArray(value) || value.length > MAX_LEASES_A_REPORT) {
    throw invalid('leases', `a list of at most ${MAX_LEASES_A_REPORT}`);
  }
  return value.map((one, index) => {
    const field = `leases[${index}]`;
    const { leaseId, blocks, wanted, idle } = parseFields(one, field);
    if (typeof leaseId !== 'string' || !isUuid(leaseId)) throw invalid(`${field}.leaseId`, 'the id of a lease');
    if (!Number.isSafeInteger(blocks) || (blocks as number) < 0) throw invalid(`${field}.blocks`, 'a number');
    if (typeof wanted !== 'boolean') throw invalid(`${field}.wanted`, 'true or false');
    const isList = Array.isArray(idle) && idle.length <= MAX_BLOCKS_A_LEASE;
    if (!isList || !idle.every((port) => Number.isSafeInteger(port) && port >= 0 && port <= 0xffff)) {
      throw invalid(`${field}.idle`, `a list of at most ${MAX_BLOCKS_A_LEASE} ports`);
    }
    return { leaseId, blocks: blocks as number, wanted, idle: idle as readonly number[] };
  });
}

function parseVif(value: unknown, index: number): VifStatus {
  const field = `vifs[${index}]`;
  const { portId, state, reason, flows } = parseFields(value, field);
  if (typeof portId !== 'string' || !isUuid(portId)) throw invalid(`${field}.portId`, 'the id of a port');
  if (!STATES.has(state)) throw invalid(`${field}.state`, 'up, down or error');
  return {
    portId,
    state: state as VifStatus['state'],
    reason: reason === null || reason === undefined ? null : parseText(reason, `${field}.reason`, MAX_REASON),
    ...(flows === true ? { flows } : {}),
  };
}

/** Throws `InvalidInput` naming the field. When a member is named twice the last word counts. */
export function parseMemberReport({ full, members }: Fields): MemberReport {
  if (typeof full !== 'boolean') throw invalid('full', 'true or false');
  if (!Array.isArray(members) || members.length > MAX_MEMBERS_A_REPORT) {
    throw invalid('members', `a list of at most ${MAX_MEMBERS_A_REPORT}`);
  }
  const byId = new Map(members.map(parseMember).map((member) => [member.memberId, member]));
  return { full, members: [...byId.values()] };
}

function parseMember(value: unknown, index: number): MemberHealth {
  const field = `members[${index}]`;
  const { memberId, state, reason } = parseFields(value, field);
  if (typeof memberId !== 'string' || !isUuid(memberId)) throw invalid(`${field}.memberId`, 'the id of a member');
  if (!MEMBER_STATES.has(state)) throw invalid(`${field}.state`, 'up, down, unknown or gone');
  return {
    memberId,
    state: state as MemberHealth['state'],
    reason: reason === null || reason === undefined ? null : parseText(reason, `${field}.reason`, MAX_REASON),
  };
}

function parseFields(value: unknown, field: string): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  throw invalid(field, 'a JSON object');
}

function parseText(value: unknown, field: string, maxLength: number): string {
  if (typeof value === 'string' && value.length <= maxLength) return value;
  throw invalid(field, `text of at most ${maxLength} characters`);
}

function invalid(field: string, wanted: string): CableError {
  return new CableError('InvalidInput', `Invalid input for ${field}: give ${wanted}.`, { fields: { field } });
}
