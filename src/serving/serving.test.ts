import { grpcServerCases } from '../grpc/server.cases.ts';
import { ForwardedTestServer } from './testing/forwarded-test-server.ts';

grpcServerCases((options) => new ForwardedTestServer(options).start());
