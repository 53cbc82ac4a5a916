/** Runs a case on the model and on the real programs. */
import { type Case, caseText, changed, type PacketStep, type ReplyStep, stepText } from './case.ts';
import type { Cloud } from './cloud.ts';
import { brokenInvariant } from './invariants.ts';
import { countersText, noCounters, type Outcome, outcomeText } from './outcome.ts';
import { frameOf } from './packets.ts';
import { replyStep } from './replies.ts';
import type { Rig } from './rig.ts';
import { ReferenceVrouter } from './vrouter.ts';

/** Where both differ. `step`: its index; the number of steps: the counters at the end. */
export type Difference = { readonly step: number; readonly promised: string; readonly done: string };

/** Is told what became of each packet. */
export type Witness = (outcome: Outcome) => void;

/** Undefined: they agree. Uncertain: they did, until the promise left open what comes next. */
export function compare({ cloud, steps }: Case, rig: Rig, witness?: Witness): Difference | 'uncertain' | undefined {
  const model = new ReferenceVrouter(cloud);
  let now = cloud;
  rig.begin(cloud);
  /** By label: what became of the packet. */
  const became = new Map<number, Outcome>();
  for (const [index, drawn] of steps.entries()) {
    const step = drawn.kind === 'reply' ? resolved(now, drawn, became) : drawn;
    if (step === undefined) continue;
    if (step.kind === 'wait') {
      model.wait(step.seconds);
      rig.wait(step.seconds);
    } else if (step.kind === 'change') {
      now = changed(now, step.change);
      model.change(now);
      rig.change(now);
    } else if (step.kind !== 'send' || rig.hasDevice(step.port)) {
      const frame = frameOf(step.packet);
      const done = run(rig, step, frame);
      model.seen = done;
      const promised = run(model, step, frame);
      if ('label' in drawn && drawn.label !== undefined) became.set(drawn.label, done);
      if (model.isUncertain) return 'uncertain';
      witness?.(done);
      const texts = { promised: outcomeText(promised), done: outcomeText(done) };
      if (texts.promised !== texts.done) return { step: index, ...texts };
      const broken = brokenInvariant(now, step, frame, done);
      if (broken !== undefined) return { step: index, promised: `never: ${broken}`, done: texts.done };
    }
  }
  const counted = rig.counters();
  const promised = new Map([...counted.keys()].map((name) => [name, model.counters.get(name) ?? noCounters()]));
  const texts = { promised: countersText(promised), done: countersText(counted) };
  return texts.promised === texts.done ? undefined : { step: steps.length, ...texts };
}

function resolved(
  cloud: Cloud,
  { to, reply }: ReplyStep,
  became: ReadonlyMap<number, Outcome>,
): PacketStep | undefined {
  const outcome = became.get(to);
  return outcome && replyStep(cloud, outcome, reply);
}

function run(vrouter: Pick<Rig, 'send' | 'receive' | 'serve' | 'arrive'>, step: PacketStep, frame: Buffer): Outcome {
  switch (step.kind) {
    case 'send':
      return vrouter.send(step.port, frame);
    case 'receive':
      return vrouter.receive(step.tunnel, frame);
    case 'serve':
      return vrouter.serve(step.port, frame);
    case 'arrive':
      return vrouter.arrive(step.network, frame);
  }
}

export function differenceText(of: Case, { step, promised, done }: Difference): string {
  const at = of.steps[step];
  return [
    caseText(of),
    '',
    at === undefined ? 'The counters afterwards differ.' : `Step ${step + 1} (${stepText(at)}) ends otherwise.`,
    `promised:\n  ${promised.replaceAll('\n', '\n  ')}`,
    `done:\n  ${done.replaceAll('\n', '\n  ')}`,
  ].join('\n');
}
