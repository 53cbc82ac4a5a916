/** One kind of objects, as the API server serves it. */
export type KubeKind = {
  /** Empty: the core group. */
  readonly group: string;
  readonly version: string;
  /** In the path, e.g. `pods`. */
  readonly plural: string;
  readonly isNamespaced: boolean;
};

/** `ObjectMeta`, as far as Cable reads it. */
export type KubeMeta = {
  readonly name: string;
  /** Of one to be made whose `name` is empty: the API server makes a name that begins so. */
  readonly generateName?: string;
  /** Absent: the kind is of the whole cluster. */
  readonly namespace?: string;
  readonly uid?: string;
  /** Opaque: to be compared for equality, and given back. Absent: it was not written yet. */
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly finalizers?: readonly string[];
  readonly creationTimestamp?: string;
  /** RFC 3339. There: it goes as soon as no finalizer is left. */
  readonly deletionTimestamp?: string;
  readonly ownerReferences?: readonly KubeOwner[];
};

/** Who has to go for the object to go. */
export type KubeOwner = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
};

/** An object of any kind. */
export type KubeObject = { readonly metadata: KubeMeta };

/** `<namespace>/<name>`, or the name alone where there is no namespace. */
export function keyOf({ metadata }: KubeObject): string {
  return metadata.namespace === undefined ? metadata.name : `${metadata.namespace}/${metadata.name}`;
}

/** The place of what has that key. */
export function placeOf(key: string): { readonly namespace?: string; readonly name: string } {
  const at = key.indexOf('/');
  return at < 0 ? { name: key } : { namespace: key.slice(0, at), name: key.slice(at + 1) };
}

/** Path of the kind's collection, in a namespace or in all. */
export function collectionOf(kind: KubeKind, namespace?: string): string {
  const base = kind.group === '' ? `/api/${kind.version}` : `/apis/${kind.group}/${kind.version}`;
  const within = kind.isNamespaced && namespace !== undefined ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  return `${base}${within}/${kind.plural}`;
}
