import { defineKind, type Kind } from '../kind.ts';

/** Pseudowires that begin or end at a port of the host. */
export const pseudowiresKind: Kind = defineKind({ name: 'pseudowires', header: () => undefined });
