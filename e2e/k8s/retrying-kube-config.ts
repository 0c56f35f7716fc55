import { setTimeout as sleep } from 'node:timers/promises';
import {
  type ApiConstructor,
  type ApiType,
  createConfiguration,
  type HttpLibrary,
  KubeConfig,
  type RequestContext,
  type ResponseContext,
  ServerConfiguration,
  wrapHttpLibrary,
} from '@kubernetes/client-node';

const TOO_MANY_REQUESTS = 429;
/** client-go's limit as well. */
const MOST_RETRIES = 10;

/**
 * Clients that wait and repeat a request for which kube-apiserver answers 429, as client-go does. The apiserver answers
 * so while it reads a resource from its store, for instance just after its start.
 */
export class RetryingKubeConfig extends KubeConfig {
  override makeApiClient<T extends ApiType>(apiClientType: ApiConstructor<T>): T {
    const cluster = this.getCurrentCluster();
    if (cluster === null) throw new Error('the kubeconfig has no current cluster');
    const settings = {
      baseServer: new ServerConfiguration(cluster.server, {}),
      authMethods: { default: this },
    };
    const { httpApi } = createConfiguration(settings);
    const patient = wrapHttpLibrary({ send: (request) => sendPatiently(httpApi, request) });
    return new apiClientType(createConfiguration({ ...settings, httpApi: patient }));
  }
}

async function sendPatiently(http: HttpLibrary, request: RequestContext): Promise<ResponseContext> {
  for (let retries = 0; ; retries += 1) {
    const response = await http.send(request).toPromise();
    const seconds = Number(response.headers['retry-after']);
    if (response.httpStatusCode !== TOO_MANY_REQUESTS || !(seconds >= 0) || retries === MOST_RETRIES)
      return response;
    await response.body.text();
    await sleep(seconds * 1_000);
  }
}
