import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** So long nothing came: it is kept out. */
const SILENCE_MS = 400;
const DEADLINE_MS = 10_000;

/** Prints for each datagram the number of the address to which it came, and when. */
const RECEIVER = `const [port,...places]=process.argv.slice(1);let left=places.length;
places.forEach((place,n)=>{const s=require('node:dgram').createSocket('udp4');
s.on('message',()=>console.log(n+' '+process.hrtime.bigint()));s.bind(Number(port),place,()=>{left-=1;if(left===0)console.log('ready')})})`;

/** When datagrams come, by the clock that all processes have; to which of the addresses, by its number. */
export type Arrivals = {
  /** When the first came there that is later. Throws after ten seconds. */
  after(from: bigint, place?: number): Promise<bigint>;
  /** Resolves when nothing comes any more, with when the last came. Throws after ten seconds. */
  silence(): Promise<bigint>;
};

/** Runs a script of Node's in a network namespace; the caller ends it. */
export function runScript(netns: string, script: string, args: readonly string[]): ChildProcess {
  const words = [`--net=/run/netns/${netns}`, process.execPath, '-e', script, ...args];
  return spawn('nsenter', words, { stdio: ['ignore', 'pipe', 'inherit'] });
}

/** Listens there, on that port of each of these addresses. The process is the caller's to end. */
export async function listen(
  netns: string,
  port: number,
  places: readonly string[] = ['0.0.0.0'],
): Promise<Arrivals & { readonly child: ChildProcess }> {
  const child = runScript(netns, RECEIVER, [String(port), ...places]);
  if (child.stdout === null) throw new Error('the receiver says nothing');
  const lines = createInterface({ input: child.stdout });
  const last = places.map(() => 0n);
  let wake = (): void => {};
  await once(lines, 'line');
  lines.on('line', (line) => {
    const [place = '0', at = '0'] = line.split(' ');
    last[Number(place)] = BigInt(at);
    wake();
  });
  const next = (ms: number): Promise<boolean> =>
    new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), ms);
      wake = () => {
        clearTimeout(timer);
        resolve(true);
      };
    });
  const latest = (): bigint => last.reduce((one, other) => (one > other ? one : other), 0n);
  return {
    child,
    after: async (from, place = 0) => {
      const deadline = performance.now() + DEADLINE_MS;
      for (;;) {
        const at = last[place] ?? 0n;
        if (at > from) return at;
        if (performance.now() > deadline) throw new Error('nothing came there within ten seconds');
        await next(100);
      }
    },
    silence: async () => {
      const deadline = performance.now() + DEADLINE_MS;
      while (await next(SILENCE_MS)) {
        if (performance.now() > deadline) throw new Error('something came for ten seconds');
      }
      return latest();
    },
  };
}
