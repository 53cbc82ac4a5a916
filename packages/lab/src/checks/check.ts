import { portDrops } from '../agent-state.ts';
import type { Guest } from '../guests/guest.ts';
import type { Lab } from '../lab.ts';
import { type PingOptions, type PingResult, ping } from '../traffic/ping.ts';
import type { World } from '../world.ts';

/** One line of the lab's table. */
export type Check<W extends World = World> = {
  /** What `--only` names. */
  readonly group: string;
  readonly name: string;
  /** Log files to look into when it fails: of that name, or beginning with it and a dash. */
  readonly concerns: readonly string[];
  /** Resolves to what was measured, in a few words; throws when it does not hold, with the reason. */
  run(lab: Lab<W>): Promise<string>;
};

/** Throws the reason when the condition does not hold. */
export function expect(holds: boolean, reason: string): asserts holds {
  if (!holds) throw new Error(reason);
}

/** `1.23 ms`, `45 ms`, `1.2 s`. */
export function duration(ms: number): string {
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)} s`;
  return ms >= 10 ? `${ms.toFixed(0)} ms` : `${ms.toFixed(2)} ms`;
}

/** Pings from a guest with a namespace. */
export function pingFrom(guest: Guest, address: string, options: PingOptions): Promise<PingResult> {
  if (guest.netns === null) throw new Error(`${guest.name} has no namespace to ping from`);
  return ping(guest.netns, address, options);
}

/** Pings one way and expects every answer, once. Returns the mean round trip. */
export async function expectPings(from: Guest, to: Guest, count = 5): Promise<number> {
  return expectAnswers(from, to, { count });
}

/** As `expectPings`, with any options. A failure also says what the hosts have dropped so far. */
export async function expectAnswers(from: Guest, to: Guest, options: PingOptions): Promise<number> {
  const result = await pingFrom(from, to.ip, options);
  if (result.sent === options.count && result.lost.length === 0 && result.duplicates === 0)
    return result.averageMs ?? 0;
  const drops = `drops so far: ${await describeDrops(from)}; ${await describeDrops(to)}`;
  const which = result.lost.length === 0 ? '' : ` (not the ${result.lost.slice(0, 5).join(', ')}.)`;
  const late =
    result.sent === options.count ? '' : `, of ${options.count}: this machine was too busy to send more in time`;
  const counts = `${result.answered} of ${result.sent} pings answered${which}, ${result.duplicates} twice${late}`;
  throw new Error(`${from.name} → ${to.name} (${to.ip}): ${counts}; ${drops}`);
}

async function describeDrops(guest: Guest): Promise<string> {
  try {
    const drops = [...(await portDrops(guest.host, guest.portId))].map(([reason, count]) => `${reason} ${count}`);
    const tunnel = [...(await portDrops(guest.host, 'overlay'))].map(([reason, count]) => `${reason} ${count}`);
    return `${guest.name}: ${drops.join(', ') || 'none'}, from the tunnel: ${tunnel.join(', ') || 'none'}`;
  } catch {
    return `${guest.name}: its agent does not say`;
  }
}

/** Every agent's log. */
export const ALL_AGENTS: readonly string[] = ['agent'];
