/** Which objects of a model are those of chains (RFC 7665), told by what they have and refer to. Pure. */
import type { AnyObject } from '@cable/model';
import type { DeclaredObject } from '@cable/proton';
import { attributeOf, objectWith } from './shape.ts';

/** An object, and the attributes by which it refers to others. */
export type Part<R extends string> = { readonly own: DeclaredObject; readonly type: string } & {
  readonly [attribute in R]: string;
};

/** The objects of chains. */
export type ChainShape = {
  readonly proton: string;
  readonly port: DeclaredObject;
  readonly interface: Part<'toPort'>;
  readonly fn: Part<never>;
  /** Where packets reach a function. */
  readonly locator: Part<'toFn' | 'toInterface'>;
  readonly chain: Part<never>;
  readonly path: Part<'toChain'>;
  readonly hop: Part<'toPath' | 'toFn'>;
  readonly classifier: Part<'toChain'>;
  /** Undefined: the model has none. */
  readonly forwarder: Part<never> | undefined;
  /** Attributes of hops, and types and attributes of objects besides, that refer to a forwarder; `toFn`: to a function, too. */
  readonly forwarded: readonly Forwarded[];
};

/** What refers to forwarders. `toFn`: absent: it is no matter of a function. */
export type Forwarded = { readonly type: string; readonly toForwarder: string; readonly toFn?: string };

/** The shape, or what the model lacks. */
export function chainShape(proton: string, declared: readonly DeclaredObject[]): ChainShape | readonly string[] {
  const port = objectWith(declared, 'port');
  const part = declared.find(({ object }) => object.kind === 'interface' && object.parent !== undefined);
  const fn = objectWith(declared, 'service', 'type');
  const chain = declared.find((one) => attributeOf(one, 'sf_types') !== undefined);
  const path = withRefs(declared, ['path_id'], { toChain: chain });
  const hop = withRefs(declared, ['hop_number'], { toPath: path?.own, toFn: fn });
  const classifier = withRefs(declared, ['acl'], { toChain: chain });
  const bindings = declared.filter(({ object }) => object.kind === 'binding');
  const locator = withRefs(bindings, [], { toFn: fn, toInterface: part });
  const missing = [
    port === undefined ? 'no object is a port' : '',
    part === undefined ? 'no object is an interface of a port' : '',
    fn === undefined ? 'no service has a type, as functions do' : '',
    locator === undefined ? 'no binding refers to a function and to an interface' : '',
    chain === undefined ? 'no object has sf_types, as chains do' : '',
    path === undefined ? 'no object has path_id and refers to a chain' : '',
    hop === undefined ? 'no object has hop_number and refers to a path and to a function' : '',
    classifier === undefined ? 'no object has acl and refers to a chain' : '',
  ].filter((one) => one !== '');
  const toPort = part?.object.parent?.key;
  if (port === undefined || part === undefined || fn === undefined || chain === undefined) return missing;
  if (locator === undefined || path === undefined || hop === undefined || classifier === undefined) return missing;
  const forwarder = objectWith(declared, 'service', 'service_node');
  return {
    ...{ proton, port, locator, path, hop, classifier, interface: { ...plain(part), toPort: toPort ?? '' } },
    ...{ fn: plain(fn), chain: plain(chain) },
    ...{ forwarder: forwarder === undefined ? undefined : plain(forwarder) },
    forwarded: forwarder === undefined ? [] : declared.flatMap((one) => forwardedBy(one, forwarder, fn)),
  };
}

function plain(own: DeclaredObject): Part<never> {
  return { own, type: own.type };
}

/** The first object that has the attributes, and refers to each of the targets. */
function withRefs<R extends string>(
  declared: readonly DeclaredObject[],
  attributes: readonly string[],
  targets: Readonly<Record<R, DeclaredObject | undefined>>,
): Part<R> | undefined {
  for (const own of declared) {
    if (attributes.some((name) => attributeOf(own, name) === undefined)) continue;
    const refs = Object.entries<DeclaredObject | undefined>(targets).map(([name, target]) => [
      name,
      refTo(own, target),
    ]);
    if (refs.every(([, attribute]) => attribute !== undefined))
      return { ...plain(own), ...Object.fromEntries(refs) } as Part<R>;
  }
  return undefined;
}

function refTo({ object }: DeclaredObject, target: DeclaredObject | undefined): string | undefined {
  return object.attributes.find(({ ref }) => target !== undefined && ref?.object === target.object.name)?.name;
}

function forwardedBy(own: DeclaredObject, forwarder: DeclaredObject, fn: DeclaredObject): readonly Forwarded[] {
  const [toForwarder, toFn] = [refTo(own, forwarder), refTo(own, fn)];
  if (toForwarder === undefined) return [];
  return [{ type: own.type, toForwarder, ...(toFn === undefined ? {} : { toFn }) }];
}

/** A function as packets pass it: by which port they come, and by which it gives them back. */
export type Step = {
  readonly fn: AnyObject;
  readonly in: string;
  readonly out: string;
  /** It takes frames as they are, and not by the MAC of its port. */
  readonly isTransparent: boolean;
};
