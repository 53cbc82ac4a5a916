/** A plug-in is probed, and what comes of it is written. */

import type { AnyObject, Plugin } from '@cable/model';
import {
  capabilitiesText,
  createPluginClient,
  type PluginClient,
  PluginUnreachable,
  type ProbeReport,
  type ResourceName,
  runProbe,
} from '@cable/plugin';
import { transact } from '../engine/commit.ts';
import type { Asked, EngineDeps } from '../engine/context.ts';
import { credentialsOf } from '../policy/credentials.ts';
import { listedOf } from './wanted.ts';

/** A transaction's time. */
const STEP_MS = 10_000;

const CREDENTIALS = credentialsOf({ projectId: '', isAdmin: true });

/** What the server itself asks. */
export function serverAsked({ monotonicMs, resources }: EngineDeps, signal: AbortSignal): Asked {
  return {
    ...{ credentials: CREDENTIALS, signal, isGone: signal.aborted, deadlineMs: monotonicMs() + STEP_MS },
    ...{ idempotencyKey: null, isSet: () => false, loaded: resources.current },
  };
}

/** Changes the plug-in's row, when it is still asked at the same place with the same token. */
export async function writePlugin(
  deps: EngineDeps,
  signal: AbortSignal,
  asked: Plugin,
  change: (row: Plugin) => Partial<Plugin>,
): Promise<void> {
  await transact(deps, serverAsked(deps, signal), ({ plan }) => {
    const row = plan.rely('plugin', asked.name);
    if (row === undefined || !isSamePlace(row, asked)) return;
    const changes = Object.entries(change(row)).filter(([name, value]) => {
      return JSON.stringify(row[name as keyof Plugin]) !== JSON.stringify(value);
    });
    if (changes.length > 0) plan.replace('plugin', { ...row, ...Object.fromEntries(changes) } as unknown as AnyObject);
  });
}

function isSamePlace(row: Plugin, other: Plugin): boolean {
  return (['endpoint', 'authorities', 'secret'] as const).every((name) => row[name] === other[name]);
}

/** Probes the plug-in and writes what was found. */
export async function testPlugin(
  deps: EngineDeps,
  plugin: Plugin,
  { signal }: { readonly signal: AbortSignal },
): Promise<ProbeReport> {
  const report = await probed(deps, plugin, signal);
  await writePlugin(deps, signal, plugin, (row) => outcomeOf(row, report));
  return report;
}

async function probed({ tables }: EngineDeps, plugin: Plugin, signal: AbortSignal): Promise<ProbeReport> {
  const clients: PluginClient[] = [];
  try {
    const open = (secret: string | null): PluginClient => {
      const client = createPluginClient({ ...plugin, secret });
      clients.push(client);
      return client;
    };
    return await runProbe(open(plugin.secret), {
      stranger: plugin.secret === null ? undefined : open('cable-probe'),
      owned: (resource: ResourceName) => listedOf(tables, plugin.name, resource),
      signal,
    });
  } catch (err) {
    if (!(err instanceof PluginUnreachable)) throw err;
    const check = { name: 'endpoint', passed: false, detail: err.message, ms: 0 };
    return { passed: false, checks: [check], capabilities: undefined, isAway: true };
  } finally {
    for (const client of clients) client.close();
  }
}

/** Whether the plug-in failed the probe that it had last: then it gets nothing new until it passes, however well it says that it is. */
export function hasFailedProbe({ report }: Pick<Plugin, 'report'>): boolean {
  return report.some((one) => (one as { readonly passed?: unknown }).passed === false);
}

/** One that has objects keeps them, and is told, whatever a later probe finds. That it does not answer is for its heartbeat to say. */
function outcomeOf(row: Plugin, { passed, checks, capabilities, isAway }: ProbeReport): Partial<Plugin> {
  const report = checks.map((one) => ({ ...one, detail: one.detail.slice(0, 500) }));
  if (passed && capabilities !== undefined) {
    const { limits } = capabilities;
    return { report, state: 'Ready', problem: null, capabilities: capabilitiesText(capabilities), limits };
  }
  const failed = checks.find((one) => !one.passed);
  const problem = `${failed?.name}: ${failed?.detail}`.slice(0, 500);
  if (row.state === 'Ready' || row.state === 'Degraded')
    return { ...(isAway ? {} : { report }), state: 'Degraded', problem };
  if (isAway && row.problem === problem) return {};
  return { report, state: isAway ? 'Registering' : 'Refused', problem };
}
