/**
 * What pods cost on a node of Kubernetes: ADD and DEL of `cable-cni` in both of its modes beside the reference plug-ins `bridge` and `host-local`, as a container runtime calls
 * them, what a Service costs beside the rules that the proxies of Kubernetes write, how soon a changed network policy is in force, and how soon
 * pods are Ready on a node of a real Kubernetes. A table each; ratios are taken within a round.
 */
import { writeFileSync } from 'node:fs';
import { leadCluster } from '@cable/controller/testing';
import { formatEnvironment, readEnvironment } from './control/environment.ts';
import { drawRatios } from './dataplane/picture.ts';
import { measureCalls } from './kube/cni-calls.ts';
import { HELP, type Options, type Part, readOptions } from './kube/options.ts';
import { measurePolicies, type PolicyTimes, policiesTable } from './kube/policies.ts';
import { lackingForReady, measureReady, type ReadyFigures, readyTable } from './kube/ready.ts';
import { type Row, rowsOf, tableOf } from './kube/report.ts';
import { measureServices, type ServiceFigures, servicesTables } from './kube/services.ts';
import { BENCH_CLUSTER, BENCH_PROJECT, buildCable } from './lib/cable.ts';
import { runInterruptibly } from './lib/interruption.ts';
import { say } from './lib/say.ts';

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  if (options === undefined) {
    process.stdout.write(`${HELP}\n`);
    return;
  }
  const environment = readEnvironment();
  const isAsked = (part: Part): boolean => options.only === undefined || options.only === part;
  const onBed =
    isAsked('cni') || isAsked('policies') || isAsked('services') ? await measureOnBed(options, isAsked) : {};
  const ready = isAsked('ready') ? await measureReadyIfPossible(options) : undefined;
  const { rows, policies, services } = onBed;
  if (options.svg !== undefined && services !== undefined) writeFileSync(options.svg, drawRatios(services.rows));
  const tables = [
    ...(rows === undefined ? [] : [tableOf(rows)]),
    ...(policies === undefined ? [] : [policiesTable(policies)]),
    ...(services === undefined ? [] : [servicesTables(services)]),
    ...(ready === undefined ? [] : [readyTable(ready)]),
  ];
  const json = (): string => JSON.stringify({ environment, options, rows, policies, services, ready }, null, 2);
  process.stdout.write(`${options.json ? json() : [formatEnvironment(environment), ...tables].join('\n')}\n`);
}

type OnBed = {
  readonly rows?: readonly Row[] | undefined;
  readonly policies?: PolicyTimes | undefined;
  readonly services?: ServiceFigures | undefined;
};

/** What is measured on two hosts with agents, without a Kubernetes. */
async function measureOnBed(options: Options, isAsked: (part: Part) => boolean): Promise<OnBed> {
  const bed = await buildCable({ store: options.store, say });
  try {
    const cluster = await leadCluster(`unix:${bed.names.serverSocket}`, BENCH_CLUSTER);
    const rows = isAsked('cni') ? rowsOf(await measureCalls(bed, cluster.as(BENCH_PROJECT), options, say)) : undefined;
    const policies = isAsked('policies') ? await measurePolicies(bed, cluster.own, options, say) : undefined;
    const services = isAsked('services') ? await measureServices(bed, options, say) : undefined;
    cluster.close();
    return { rows, policies, services };
  } finally {
    await bed.close();
  }
}

/** A Kubernetes is not everywhere: where it was not asked for by name, the rest is measured without it. */
async function measureReadyIfPossible(options: Options): Promise<ReadyFigures | undefined> {
  const { CABLE_KUBE_BIN: programs = '' } = process.env;
  const reason = lackingForReady(programs);
  if (reason === undefined) return await measureReady(programs, options, say);
  if (options.only === 'ready') throw new Error(`pods to Ready cannot be measured: ${reason}`);
  say(`pods to Ready are not measured: ${reason}`);
  return undefined;
}

await runInterruptibly(main);
