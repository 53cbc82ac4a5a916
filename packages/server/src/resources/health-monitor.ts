/** Health monitors of pools, one each. */
import { type AnyObject, CableError, type HealthMonitor, type Pool } from '@cable/model';
import type { Planning } from '../engine/context.ts';
import { type Claim, type Contribution, contribute, type Given } from '../engine/module.ts';
import { brokenOwner, brokenUnlessTaken, invalid, wholeOf } from './lb-parts.ts';
import { unsupported } from './lb-unsupported.ts';

/** Kinds of probes there are. */
const TYPES: ReadonlySet<string> = new Set(['TCP', 'HTTP', 'UDP-CONNECT', 'PING']);

/** What a monitor of HTTP has, and no other: with what it is when none is given. */
const OF_HTTP = { http_method: 'GET', url_path: '/', expected_codes: '200', domain_name: null } as const;

/** Health monitors. */
export const healthMonitorModule: Contribution<AnyObject> = contribute<HealthMonitor>({
  derive: deriveMonitor,
  change: (_planning, _before, after) => httpValues(after),
  check: (view, monitor) => {
    checkMonitor(monitor, view.need('pool', monitor.pool_id));
  },
  claims: (monitor) => [monitorClaim(monitor)],
  broken: function* brokenMonitor(look, monitor) {
    yield* brokenOwner(look, 'pool', monitor.pool_id, monitor);
    yield* brokenUnlessTaken(() => checkMonitor(monitor, look.get('pool', monitor.pool_id)));
  },
  present: (_tables, monitor) => ({
    provisioning_status: 'ACTIVE',
    operating_status: monitor.admin_state_up ? 'ONLINE' : 'OFFLINE',
    pools: [{ id: monitor.pool_id }],
  }),
});

function deriveMonitor(planning: Planning, given: Given<HealthMonitor>): Partial<HealthMonitor> {
  const { project_id } = wholeOf(planning, 'pool', given.pool_id ?? '');
  return { project_id, ...httpValues(given) };
}

/** Of HTTP, the values that none were given; of another type null, which is what there is of it. */
function httpValues(monitor: Partial<HealthMonitor>): Partial<HealthMonitor> {
  const names = Object.keys(OF_HTTP) as (keyof typeof OF_HTTP)[];
  if (monitor.type === 'HTTP') {
    return Object.fromEntries(names.map((name) => [name, monitor[name] ?? OF_HTTP[name]]));
  }
  const given = names.find((name) => monitor[name] !== undefined && monitor[name] !== null);
  if (given !== undefined) throw invalid(`${given} is of monitors of type HTTP, and this one is of ${monitor.type}`);
  return {};
}

/** Throws what is wrong with it by itself, and beside its pool, of which nothing that is looked at changes. */
function checkMonitor(monitor: HealthMonitor, pool: Pick<Pool, 'protocol'> | undefined): void {
  const { type, timeout, delay } = monitor;
  checkType(monitor);
  if (type === 'UDP-CONNECT' && pool !== undefined && pool.protocol !== 'UDP') {
    throw invalid(`a monitor of type UDP-CONNECT is for pools of UDP, and the pool is of ${pool.protocol}`);
  }
  if (timeout > delay) throw invalid(`timeout ${timeout} is more than delay ${delay}`);
  if (type === 'HTTP') checkHttp(monitor);
}

function checkType({ type }: HealthMonitor): void {
  if (!TYPES.has(type)) throw unsupported(`health monitor type ${type}`, 'Give TCP, HTTP, UDP-CONNECT or PING.');
}

/** What goes into a request as it is must not end a line of it. */
function checkHttp({ url_path, expected_codes, domain_name }: HealthMonitor): void {
  if (!/^\/[\x21-\x7e]*$/.test(url_path ?? '/')) {
    throw invalid('url_path begins with a slash and has visible ASCII characters without spaces only');
  }
  if (!/^\d{3}(-\d{3})?(,\d{3}(-\d{3})?)*$/.test(expected_codes ?? '200')) {
    throw invalid('expected_codes are statuses and ranges of them, such as 200 or 200-204,301');
  }
  if (domain_name !== null && !/^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/.test(domain_name)) {
    throw invalid('domain_name is not a name of a host');
  }
}

function monitorClaim({ pool_id: id }: HealthMonitor): Claim {
  return {
    kind: 'monitor',
    value: 'monitor',
    under: { type: 'pool', id },
    holder: (look) => look.by('healthmonitor', 'pool_id', id)[0]?.id,
    taken: (holder) => new CableError('DuplicateHealthMonitor', `Pool ${id} has the health monitor ${holder} already.`),
  };
}
