/** What Cable relies on in Kubernetes' API, asked of a real API server. */
import { kubeApiSuite } from '@cable/kube/testing';
import { testedApiServer } from './namespaces.ts';

kubeApiSuite('real', testedApiServer().start);
