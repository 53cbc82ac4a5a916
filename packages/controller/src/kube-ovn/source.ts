/** What is read of Kube-OVN's manifests (`kubeovn.io/v1`), and what is said of what has no counterpart. */

/** Any object of Kubernetes, as it is written in a file. */
export type Document = {
  readonly apiVersion?: unknown;
  readonly kind?: unknown;
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly spec?: Readonly<Record<string, unknown>>;
};

/** Something that is not as it was. `field`: of the source; empty: all of it. `isRefusal`: there is nothing in its place. */
export type Note = {
  readonly subject: string;
  readonly field: string;
  readonly text: string;
  readonly isRefusal: boolean;
};

/** One object of Kube-OVN. Each field of its spec is asked for, or it is said that it has no counterpart. */
export class Source {
  readonly kind: string;
  readonly name: string;
  readonly labels: unknown;
  readonly notes: Note[] = [];
  readonly #spec: Readonly<Record<string, unknown>>;
  readonly #asked = new Set<string>();

  constructor({ kind, metadata = {}, spec = {} }: Document) {
    this.kind = String(kind);
    this.name = String(metadata['name'] ?? '');
    this.labels = metadata['labels'];
    this.#spec = spec;
  }

  /** A text; empty: it is absent, or no text. */
  text(field: string): string {
    const value = this.#value(field);
    return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
  }

  flag(field: string): boolean {
    return this.#value(field) === true;
  }

  list(field: string): readonly unknown[] {
    const value = this.#value(field);
    return Array.isArray(value) ? value : [];
  }

  texts(field: string): readonly string[] {
    return this.list(field).map(String);
  }

  objects(field: string): readonly Readonly<Record<string, unknown>>[] {
    return this.list(field).filter(isObject);
  }

  /** What means the same whether it is there or not. */
  skip(...fields: readonly string[]): void {
    for (const field of fields) this.#asked.add(field);
  }

  note(field: string, text: string): void {
    this.#say(field, text, false);
  }

  refuse(field: string, text: string): void {
    this.#say(field, text, true);
  }

  /** Says of each field that nobody asked for that it is lost. */
  noteRest(): void {
    for (const field of Object.keys(this.#spec).toSorted())
      if (!this.#asked.has(field) && !isNothing(this.#spec[field])) this.note(field, 'nothing here is like it');
  }

  #value(field: string): unknown {
    this.#asked.add(field);
    return this.#spec[field];
  }

  #say(field: string, text: string, isRefusal: boolean): void {
    const path = field === '' ? '' : `spec.${field}`;
    this.notes.push({ subject: `${this.kind}/${this.name}`, field: path, text, isRefusal });
  }
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What a field says that might as well be absent. */
function isNothing(value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === '' || value === 0) return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}
