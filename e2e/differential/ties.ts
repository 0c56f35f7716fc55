/*
 * etcd's sort is not stable. So keys with the same sort value have a random order, and a limit may cut anywhere between
 * them. Here such keys are sorted by name, and those that a limit may have cut are only counted.
 */

type Fields = Record<string, unknown>;

const SORT_FIELDS: Readonly<Record<number, string>> = {
  1: 'version',
  2: 'createRevision',
  3: 'modRevision',
  4: 'value',
};
const VALUE_TARGET = 4;

/** @param request a range or a transaction, plain @param response its response, plain */
export function withoutTies(request: unknown, response: unknown): unknown {
  if (!isFields(request) || !isFields(response)) return response;
  if (Array.isArray(response['responses'])) return txnWithoutTies(request, response, response['responses']);
  const { kvs } = response;
  if (!Array.isArray(kvs) || !('sortTarget' in request)) return response;
  return { ...response, kvs: settled(kvs.filter(isFields), request, response['more'] === true) };
}

function txnWithoutTies(request: Fields, response: Fields, responses: readonly unknown[]): Fields {
  const ops = request[response['succeeded'] === true ? 'success' : 'failure'];
  if (!Array.isArray(ops)) return response;
  return {
    ...response,
    responses: responses.map((each, at) => {
      const op: unknown = ops[at];
      const asked = isFields(op) && isFields(op['request']) ? op['request']['value'] : undefined;
      if (!isFields(each) || !isFields(each['response'])) return each;
      const inner = each['response'];
      return { ...each, response: { ...inner, value: withoutTies(asked, inner['value']) } };
    }),
  };
}

function settled(kvs: readonly Fields[], request: Fields, isCut: boolean): unknown[] {
  const field = SORT_FIELDS[Number(request['sortTarget'])];
  if (field === undefined) return [...kvs];
  // Without values, keys that were sorted by value cannot be distinguished.
  if (Number(request['sortTarget']) === VALUE_TARGET && request['keysOnly'] === true)
    return isCut ? [`${kvs.length} keys`] : byName(kvs);
  const groups: Fields[][] = [];
  for (const kv of kvs) {
    const last = groups.at(-1);
    if (last !== undefined && JSON.stringify(last[0]?.[field]) === JSON.stringify(kv[field])) last.push(kv);
    else groups.push([kv]);
  }
  return groups.flatMap((group, at): unknown[] => {
    if (isCut && at === groups.length - 1)
      return [`${group.length} keys of ${field} ${JSON.stringify(group[0]?.[field])}`];
    return byName(group);
  });
}

function byName(kvs: readonly Fields[]): Fields[] {
  return kvs.toSorted((a, b) => (JSON.stringify(a['key']) < JSON.stringify(b['key']) ? -1 : 1));
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
