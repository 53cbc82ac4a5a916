/** A Lease of a real API server, wanted by several. */
import { leaseSuite } from '@cable/kube/testing';
import { testedApiServer } from './namespaces.ts';

leaseSuite('real', testedApiServer().start, { durationMs: 9000, giveUpMs: 6000, retryMs: 200 });
