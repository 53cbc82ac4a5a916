/** How a controller is: what kubelet is told, and what can be measured of it (docs/guide/install-kubernetes.md). */
import { ExpectedError, type Logger, type ProbeAnswers, type ProbePlace, sleep, startProbeListener } from '@cable/kit';

type Sized = { readonly size: number };

/** By name: kinds that are followed, or queues. */
type Named = Readonly<Record<string, Sized>>;

/** One that only stands by, and one whose API server is away, are as well as one that writes. */
export class Health {
  #lists: Named = {};
  #queues: Named = {};
  #isListed = false;
  #leads: 'no' | 'begins' | 'writes' = 'no';
  #problem = '';

  /** It follows these from now on. `listed`: resolves when all of each is known. */
  follows(lists: Named, listed: Promise<unknown>): void {
    this.#lists = lists;
    void listed.then(() => {
      this.#isListed = true;
    });
  }

  /** It has the Lease, and does not write yet. `problem`: what keeps it from that. */
  begins(problem = ''): void {
    this.#leads = 'begins';
    this.#problem = problem;
  }

  /** It writes for the cluster. */
  writes(queues: Named): void {
    this.#leads = 'writes';
    this.#queues = queues;
  }

  /** It has the Lease no more. */
  standsBy(): void {
    this.#leads = 'no';
    this.#queues = {};
  }

  /** Why it cannot do what it is there for; null: nothing is known against it. */
  get unready(): string | null {
    if (!this.#isListed) return 'has not heard from the API server all that it follows';
    if (this.#leads !== 'begins') return null;
    return `has the Lease, and does not write for the cluster yet${this.#problem === '' ? '' : `: ${this.#problem}`}`;
  }

  /** In Prometheus' text format. */
  get metrics(): string {
    const { user, system } = process.cpuUsage();
    const sizes = (named: Named, label: string): readonly Sample[] =>
      Object.entries(named).map(([name, { size }]) => [`{${label}="${name}"}`, size]);
    return [
      ...metric('cable_controller_leads', 'gauge', '1: it writes for the cluster.', [
        ['', this.#leads === 'writes' ? 1 : 0],
      ]),
      ...metric('cable_controller_ready', 'gauge', '1: nothing is known against it.', [
        ['', this.unready === null ? 1 : 0],
      ]),
      ...metric(
        'cable_controller_objects',
        'gauge',
        'Objects of Kubernetes that it follows.',
        sizes(this.#lists, 'kind'),
      ),
      ...metric(
        'cable_controller_queue_keys',
        'gauge',
        'Keys that wait, are worked on, or are to be tried again.',
        sizes(this.#queues, 'queue'),
      ),
      ...metric('process_resident_memory_bytes', 'gauge', 'Memory of the process.', [['', process.memoryUsage.rss()]]),
      ...metric('process_cpu_seconds_total', 'counter', 'Processor time of the process.', [
        ['', (user + system) / 1e6],
      ]),
    ].join('\n');
  }
}

/** Labels, and the value. */
type Sample = readonly [labels: string, value: number];

function metric(name: string, type: 'gauge' | 'counter', help: string, samples: readonly Sample[]): readonly string[] {
  if (samples.length === 0) return [];
  return [
    `# HELP ${name} ${help}`,
    `# TYPE ${name} ${type}`,
    ...samples.map(([labels, value]) => `${name}${labels} ${value}`),
  ];
}

const LISTEN_AGAIN_MS = 2000;

/** Of two on one node the first answers, for both: the second as soon as that one is gone. Resolves when it answers, or the signal aborts. Throws where it could never. */
export async function answerProbes(
  place: ProbePlace,
  health: Health,
  { log, signal }: { readonly log: Logger; readonly signal: AbortSignal },
): Promise<void> {
  const answers: ProbeAnswers = { unready: () => health.unready, metrics: () => health.metrics };
  for (let isFirst = true; !signal.aborted; isFirst = false) {
    try {
      return await startProbeListener(place, answers, signal);
    } catch (err) {
      if (!isInUse(err)) throw err;
      if (isFirst)
        log.warn(
          { ...place },
          'somebody else answers probes there, as another controller of this node: will try again',
        );
      await sleep(LISTEN_AGAIN_MS, signal);
    }
  }
}

function isInUse(err: unknown): boolean {
  return err instanceof ExpectedError && (err.cause as NodeJS.ErrnoException | undefined)?.code === 'EADDRINUSE';
}
