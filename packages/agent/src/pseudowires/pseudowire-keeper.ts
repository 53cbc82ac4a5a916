/** Keeps what pseudowires need of the kernel (`pseudowire-plane.ts`) as it is to be, and says which ports nothing may pass by because it is not. */
import { type Logger, startLoop } from '@cable/kit';
import type { LinkChanges } from '../devices/link-rows.ts';
import type { UnderlayWatch } from '../devices/underlay.ts';
import { watchRoutes } from '../net/watch.ts';
import { type PseudowireRow, WIRE_DEVICE, WIRE_QUEUE, WIRE_QUEUE_END } from '../plan/pseudowire-rows.ts';
import { PseudowirePlane, type PseudowirePlaneOptions, type PseudowireView } from './pseudowire-plane.ts';

export type PseudowireKeeperOptions = PseudowirePlaneOptions & {
  /** Devices that have the underlay address. */
  readonly devices: Pick<UnderlayWatch, 'now'>;
  /** Told of devices of which `shutBy` says something else, but by `take`. */
  readonly onShut: (devices: readonly string[]) => void;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

export type PseudowireKeeper = {
  /** What is to be there, and is then; `isWhole`: this is all. Until it is, nothing is taken away. Names of devices of which `shutBy` says something else. */
  take(rows: readonly PseudowireRow[], isWhole: boolean): readonly string[];
  /** Why nothing may pass by a device: frames would go past the wires that begin there. Undefined: it may. */
  shutBy(device: string): string | undefined;
  /** Devices are not as they were. */
  takeDevices(changes: LinkChanges): void;
  /** For status; null: there is no pseudowire. */
  readonly view: PseudowireView | null;
  readonly done: Promise<void>;
};

/** Of programs that others took off, and of a path MTU that was found, nobody is told. */
const LOOK_MS = 60_000;
const OWN_DEVICES: readonly string[] = [WIRE_DEVICE, WIRE_QUEUE, WIRE_QUEUE_END];

export function startPseudowireKeeper(options: PseudowireKeeperOptions): PseudowireKeeper {
  const { log, signal, devices, onShut } = options;
  const plane = new PseudowirePlane(options);
  let wired: readonly string[] = [];
  let shut: ReadonlyMap<string, string> = new Map();
  let faults = '';
  /** Devices of which it says something else now. */
  const say = (reason: string | undefined): readonly string[] => {
    const before = shut;
    shut = new Map(reason === undefined ? [] : wired.map((name) => [name, reason]));
    return [...new Set([...before.keys(), ...shut.keys()])].filter((name) => before.get(name) !== shut.get(name));
  };
  const put = (): readonly string[] => {
    plane.put();
    sayFaults();
    return say(undefined);
  };
  const sayFaults = (): void => {
    const now = plane.view?.faults ?? [];
    const text = JSON.stringify(now);
    if (text !== faults && now.length > 0) log.warn({ faults: now }, 'pseudowires are not as they are wanted');
    faults = text;
  };
  const run = async (): Promise<void> => {
    try {
      onShutIf(put());
    } catch (err) {
      onShutIf(say(reasonOf(err)));
      throw err;
    }
    await plane.tidy();
  };
  const onShutIf = (changed: readonly string[]): void => {
    if (changed.length > 0) onShut(changed);
  };
  const loop = startLoop({ name: 'pseudowires', log, signal, run, everyMs: LOOK_MS });
  const check = (): void => {
    if (plane.isUsed) loop.trigger();
  };
  watchRoutes({ onMessage: () => undefined, onBurst: check, onLoss: check, signal });
  return {
    take: (rows, isWhole) => {
      wired = devicesOf(rows);
      if (!plane.take(rows, isWhole)) return [];
      loop.trigger();
      try {
        return put();
      } catch (err) {
        return say(reasonOf(err));
      }
    },
    shutBy: (device) => shut.get(device),
    takeDevices: ({ names }) => {
      const underlay = devices.now?.devices ?? [...names];
      if ([...OWN_DEVICES, ...underlay].some((name) => names.has(name))) check();
    },
    get view() {
      return plane.view;
    },
    done: loop.done.finally(() => plane.close()),
  };
}

/** Of ports at which wires begin or end. */
function devicesOf(rows: readonly PseudowireRow[]): readonly string[] {
  const places = rows.flatMap(({ from, to, back }) => [from, to, back]);
  return [...new Set(places.flatMap((place) => (typeof place === 'string' ? [] : place.name)))];
}

function reasonOf(err: unknown): string {
  return `what must be before the vrouter for pseudowires cannot be put in place: ${err instanceof Error ? err.message : String(err)}`;
}
