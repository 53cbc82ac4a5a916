import { seededRandom } from '@cable/kit';

/** What is fuzzed, and how it is judged. */
export type FuzzPlan = {
  /** Valid inputs: mutations begin with them. */
  readonly corpus: readonly Uint8Array[];
  /** Throws when a promise is broken. The text names the kind of outcome: an input with a new one joins the corpus. */
  readonly judge: (bytes: Uint8Array) => string;
  /** Inputs tried. The environment variable CABLE_FUZZ_SECONDS runs it for so long instead. */
  readonly rounds: number;
  /** Longest input made. */
  readonly maxBytes: number;
};

const SHRINK_TRIES = 20_000;
const CORPUS_MAX = 400;
const EDGES = [0, 1, 2, 3, 4, 12, 63, 64, 127, 128, 192, 255];

type Below = (bound: number) => number;

/**
 * Feeds mutations to `judge` and returns how often each kind of outcome came. When one fails, the input is shrunk and the error tells it in hex.
 * The same numbers in each run; CABLE_FUZZ_SEED gives others.
 */
export function fuzz(plan: FuzzPlan): ReadonlyMap<string, number> {
  const random = seededRandom(Number(process.env['CABLE_FUZZ_SEED'] ?? 1));
  const below: Below = (bound) => Math.floor(random() * bound);
  const seconds = Number(process.env['CABLE_FUZZ_SECONDS'] ?? 0);
  const end = performance.now() + seconds * 1000;
  const corpus = [...plan.corpus];
  const outcomes = new Map<string, number>();
  for (const input of plan.corpus) count(outcomes, judged(plan, input));
  for (let round = 0; seconds > 0 ? performance.now() < end : round < plan.rounds; round += 1) {
    const input = mutate(corpus, below).subarray(0, plan.maxBytes);
    const outcome = judged(plan, input);
    if (!outcomes.has(outcome) && corpus.length < CORPUS_MAX) corpus.push(input);
    count(outcomes, outcome);
  }
  return outcomes;
}

function count(outcomes: Map<string, number>, outcome: string): void {
  outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
}

function judged(plan: FuzzPlan, input: Uint8Array): string {
  try {
    return plan.judge(input);
  } catch (err) {
    const small = shrink(plan, input);
    throw new Error(`fuzz: fails for ${Buffer.from(small).toString('hex') || 'no bytes'}`, { cause: err });
  }
}

function fails(plan: FuzzPlan, input: Uint8Array): boolean {
  try {
    plan.judge(input);
    return false;
  } catch {
    return true;
  }
}

/** The smallest input found that fails too: without each part that it can do without, and with zeros where they do. */
function shrink(plan: FuzzPlan, input: Uint8Array): Uint8Array {
  let best = input;
  let tries = 0;
  const accept = (candidate: Uint8Array): boolean => {
    tries += 1;
    if (!fails(plan, candidate)) return false;
    best = candidate;
    return true;
  };
  for (let size = best.length >> 1; size >= 1 && tries < SHRINK_TRIES; size >>= 1) {
    for (let at = 0; at + size <= best.length && tries < SHRINK_TRIES; ) {
      if (!accept(Buffer.concat([best.subarray(0, at), best.subarray(at + size)]))) at += size;
    }
  }
  for (let at = 0; at < best.length && tries < SHRINK_TRIES; at += 1) {
    if (best[at] !== 0) accept(Uint8Array.from(best, (byte, index) => (index === at ? 0 : byte)));
  }
  return best;
}

function mutate(corpus: readonly Uint8Array[], below: Below): Uint8Array {
  const pick = (): Uint8Array => corpus[below(corpus.length)] ?? new Uint8Array(0);
  if (below(40) === 0) return Uint8Array.from({ length: below(300) }, () => below(256));
  let input = Uint8Array.from(pick());
  for (let times = 1 + below(4); times > 0; times -= 1) input = change(input, pick, below);
  return input;
}

function change(input: Uint8Array, pick: () => Uint8Array, below: Below): Uint8Array<ArrayBuffer> {
  const at = below(input.length + 1);
  const length = 1 + below(8);
  switch (below(7)) {
    case 0:
      return bytes(input.subarray(0, at));
    case 1:
      return bytes(input.subarray(0, at), input.subarray(at + length));
    case 2:
      return bytes(input.subarray(0, at), input.subarray(at, at + length), input.subarray(at));
    case 3:
      return bytes(
        input.subarray(0, at),
        Uint8Array.from({ length }, () => below(256)),
        input.subarray(at),
      );
    case 4: {
      const other = pick();
      return bytes(input.subarray(0, at), other.subarray(below(other.length + 1)));
    }
    case 5:
      return withByte(input, at, EDGES[below(EDGES.length)] ?? 0);
    default:
      return withByte(input, at, below(256));
  }
}

function bytes(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(Buffer.concat(parts));
}

function withByte(input: Uint8Array, at: number, byte: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(input, (old, index) => (index === at ? byte : old));
}
