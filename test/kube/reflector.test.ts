/** A list that stays current, of a real API server that forgets and is killed. */
import { reflectorSuite } from '@cable/kube/testing';
import { testedApiServer } from './namespaces.ts';

reflectorSuite('real', testedApiServer().start);
