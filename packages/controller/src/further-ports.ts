/**
 * Ports of a pod's further interfaces: one for each network of the annotation that Multus reads, of those whose plug-in is ours. They are of the project of the pod's first
 * port, and come and go with that.
 */
import { FIRST_INTERFACE, VPC_INTERFACE } from '@cable/model';
import { isRefusal, isStillPlugged } from './cable-access.ts';
import { Unmet } from './custom/work.ts';
import { type AttachmentFacts, type Selection, selectionsOf } from './further-interfaces.ts';
import { isFormer, takeKept } from './kept-port.ts';
import { type AddressDeps, withAddresses } from './pod-addresses.ts';
import type { PodFacts } from './pod-facts.ts';
import type { PodMirrors } from './pod-mirrors.ts';
import { groupsOf, networkOf, type Place, type PlaceDeps, Unfit, type Viewer } from './pod-place.ts';
import {
  createPodPort,
  deviceIdOf,
  interfaceOf,
  type OwnedPod,
  POD_OWNER,
  type PortDeps,
  updatePodPort,
} from './pod-ports.ts';
import type { PortFacts } from './port-book.ts';
import { type Extras, explaining, extrasBody, extrasChanges, extrasOf } from './port-extras.ts';
import { refusalText } from './refusal-text.ts';
import { WishError } from './wish-error.ts';
import { type PodWishes, wishesOf } from './wishes.ts';

export type FurtherDeps = PortDeps &
  PlaceDeps &
  AddressDeps & {
    readonly mirrors: PodMirrors;
    /** Of NetworkAttachmentDefinitions: undefined: there is none of that key. `isThere` false: nothing is known of them. */
    readonly attachments: { get(key: string): AttachmentFacts | undefined; readonly isThere: boolean };
  };

/** A further interface, and what is asked for it. */
export type Further = { readonly selection: Selection; readonly wishes: PodWishes };

/** What the pod asks for, of networks of all plug-ins. Throws `WishError`. */
export function furtherOf(pod: PodFacts): readonly Further[] {
  return selectionsOf(pod).map((selection) => {
    const wishes = wishesOf(pod, selection);
    const { ipAddresses, macAddress } = selection;
    const hasOwn = wishes.ipAddresses.length > 0 || wishes.pool !== undefined;
    return {
      selection,
      wishes: {
        ...(macAddress === undefined ? {} : { macAddress }),
        ...wishes,
        ...(hasOwn ? {} : { ipAddresses }),
      },
    };
  });
}

export type FurtherWanted = {
  readonly further: readonly Further[];
  /** Those of further interfaces that the pod has, or that its StatefulSet keeps for it. */
  readonly ports: readonly PortFacts[];
  /** Of its first port. */
  readonly projectId: string;
  readonly routes: ReadonlyMap<string, boolean | null>;
};

/**
 * Makes and changes them, each as far as that can be. Answers ports that the pod needs no more, and what was refused first, as an `Unfit` that names the interface.
 * Throws what is to be tried again.
 */
export async function ensureFurther(
  deps: FurtherDeps,
  pod: OwnedPod,
  { further, ports, projectId, routes }: FurtherWanted,
): Promise<{ readonly surplus: readonly PortFacts[]; readonly refused: Unfit | undefined }> {
  const named = new Set(further.map(({ selection }) => selection.interfaceName));
  const surplus = ports.filter((port) => !named.has(interfaceOf(port)));
  const faults: unknown[] = [];
  for (const { selection, wishes } of further) {
    const own = ports.filter((port) => interfaceOf(port) === selection.interfaceName);
    const there = own.find((port) => !isFormer(pod, port)) ?? own[0];
    const defaultRoute = routes.get(selection.interfaceName) ?? null;
    try {
      const port = await ensureOne(deps, pod, { selection, wishes, there, projectId, defaultRoute });
      surplus.push(...own.filter(({ id }) => id !== port?.id));
    } catch (err) {
      faults.push(isUnfit(err) ? withName(pod, selection, err) : err);
    }
  }
  const failure = faults.find((one) => !(one instanceof Unfit));
  if (failure !== undefined) throw failure;
  return { surplus, refused: faults[0] as Unfit | undefined };
}

function isUnfit(err: unknown): err is Error {
  if (isStillPlugged(err)) return false;
  return err instanceof WishError || err instanceof Unfit || err instanceof Unmet || isRefusal(err);
}

function withName(pod: PodFacts, selection: Selection, err: Error): Unfit {
  const reason = err instanceof Unfit ? err.reason : undefined;
  return new Unfit(`its interface ${selection.interfaceName}: ${refusalText(err, pod, selection)}`, { reason });
}

type One = {
  readonly selection: Selection;
  readonly wishes: PodWishes;
  readonly there: PortFacts | undefined;
  readonly projectId: string;
  readonly defaultRoute: boolean | null;
};

/** Undefined: it is another plug-in's. */
async function ensureOne(deps: FurtherDeps, pod: OwnedPod, one: One): Promise<PortFacts | undefined> {
  const { selection, wishes, there, projectId } = one;
  const viewer = { projectId: there?.projectId ?? projectId, client: deps.cable.as(there?.projectId ?? projectId) };
  const { client } = viewer;
  // One that is there stays, whatever becomes of the definition.
  const attachment = there === undefined ? attachmentOf(deps, selection) : definitionOf(deps, selection);
  if (there === undefined && attachment === undefined) return undefined;
  if (selection.interfaceName === FIRST_INTERFACE || selection.interfaceName === VPC_INTERFACE)
    throw new Unfit('the name is that of an interface that pods have already: take another');
  const extras = await extrasOf(client, wishes, one.defaultRoute);
  const groups = (await groupsOf(viewer, wishes.securityGroups ?? [])).ids;
  const deviceId = deviceIdOf(pod, selection.interfaceName);
  const { kept, place } = await spotOf(deps, pod, viewer, { selection, wishes, there, attachment });
  const port = await explaining(extras, async () => {
    const made = kept ?? (await create(deps, pod, viewer, { wishes, place, extras, groups, deviceId }));
    const also = await extrasChanges(client, made, extras);
    const write = async (changes: Readonly<Record<string, unknown>>): Promise<PortFacts> => {
      const more = { ...also, ...changes };
      return await updatePodPort(deps, pod, made, { deviceId, groups, rates: wishes.rates, more });
    };
    if (kept === undefined || place === undefined) return await write({});
    return await takeKept(deps, pod, { client, port: kept, place, wishes }, write);
  });
  await deps.mirrors.ensure(client, pod.name, port, wishes.mirror);
  return port;
}

/** The port that is there and stays, and where it is to have its addresses, of one that another pod had before; or where another one is to be. */
type Spot =
  | { readonly kept: PortFacts; readonly place: Place | undefined }
  | { readonly kept: undefined; readonly place: Place };

type Asked = Pick<One, 'selection' | 'wishes' | 'there'> & { readonly attachment: AttachmentFacts | undefined };

async function spotOf(
  deps: FurtherDeps,
  pod: OwnedPod,
  viewer: Viewer,
  { selection, wishes, there, attachment }: Asked,
): Promise<Spot> {
  if (there !== undefined && !isFormer(pod, there)) return { kept: there, place: undefined };
  const where = whereOf(wishes, attachment);
  if (where === undefined) {
    if (there === undefined) throw nowhere(selection);
    return { kept: there, place: undefined };
  }
  // In the eyes of the pod's namespace, whoever has made the definition.
  const place = await networkOf(deps, pod.namespace, viewer, where);
  return there?.networkId === place.networkId ? { kept: there, place } : { kept: undefined, place };
}

type Where = Pick<PodWishes, 'network' | 'subnet'>;

/** Undefined: neither says it. */
function whereOf(wishes: PodWishes, attachment: AttachmentFacts | undefined): Where | undefined {
  return [wishes, attachment ?? {}].find(({ network, subnet }: Where) => network !== undefined || subnet !== undefined);
}

/** Undefined: it is another plug-in's, or nothing is known of such definitions here. Throws `Unfit`. */
function attachmentOf(deps: FurtherDeps, selection: Selection): AttachmentFacts | undefined {
  const { attachments } = deps;
  const { namespace, name } = selection;
  if (attachments.get(`${namespace}/${name}`) === undefined && attachments.isThere)
    throw new Unfit(`there is no NetworkAttachmentDefinition ${namespace}/${name}`);
  return definitionOf(deps, selection);
}

/** That of this cluster's plug-in. */
function definitionOf(
  { attachments, cluster }: FurtherDeps,
  { namespace, name }: Selection,
): AttachmentFacts | undefined {
  const found = attachments.get(`${namespace}/${name}`);
  return found?.cluster === cluster ? found : undefined;
}

type New = {
  readonly wishes: PodWishes;
  readonly place: Place;
  readonly extras: Extras;
  readonly groups: readonly string[];
  readonly deviceId: string;
};

async function create(
  deps: FurtherDeps,
  pod: OwnedPod,
  { client }: Viewer,
  { wishes, place, extras, groups, deviceId }: New,
): Promise<PortFacts> {
  return await withAddresses(deps, pod, { client, place, wishes }, async (ips) => {
    const body = {
      ...{ network_id: place.networkId, fixed_ips: ips, security_groups: groups },
      ...(wishes.macAddress === undefined ? {} : { mac_address: wishes.macAddress }),
      ...extrasBody(extras),
    };
    const role = { deviceOwner: POD_OWNER, deviceId };
    return await createPodPort(deps, pod, { client, role, body, rates: wishes.rates });
  });
}

function nowhere({ namespace, name }: Selection): Unfit {
  return new Unfit(
    `neither NetworkAttachmentDefinition ${namespace}/${name} nor an annotation ${name}.${namespace}.cable.io/subnet says its network`,
  );
}
