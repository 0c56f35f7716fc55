/**
 * Generates src/wire/gen/*.ts and src/wire/services.ts from proto/.
 *
 * One file a package; a message becomes an interface and a codec of the same name. The code is straight-line
 * so that the engine can optimize it. Run `npm run generate` after changing proto/; a test compares.
 */
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import protobuf from 'protobufjs';

const root = resolve(import.meta.dirname, '..');

/** 64-bit fields that name something: kept exact as bigint. All other 64-bit fields are counts, as numbers. */
const identityFields = new Set([
  'ID',
  'lease',
  'NodeID',
  'ClusterID',
  'cluster_id',
  'member_id',
  'member_ID',
  'memberID',
  'targetID',
  'watch_id',
  'leader',
  'to',
  'from',
  'vote',
  'voters',
  'learners',
  'voters_outgoing',
  'learners_next',
  'node_id',
  'id',
]);

export function camel(name) {
  return name
    .split('_')
    .map((part, index) => {
      const lowered = part
        .replace(/URLs/g, 'Urls')
        .replace(/[A-Z]+(?=[A-Z][a-z]|$|\d)/g, (run) => run[0] + run.slice(1).toLowerCase());
      return index === 0
        ? lowered[0].toLowerCase() + lowered.slice(1)
        : lowered[0].toUpperCase() + lowered.slice(1);
    })
    .join('');
}

export function loadProtos() {
  const files = [];
  for (const folder of readdirSync(join(root, 'proto'))) {
    for (const file of readdirSync(join(root, 'proto', folder)))
      files.push(join(root, 'proto', folder, file));
  }
  const protos = new protobuf.Root();
  protos.resolvePath = (_origin, target) => {
    if (target.startsWith('google/')) return join(root, 'node_modules/protobufjs', target);
    return target.startsWith('/') ? target : join(root, 'proto', target);
  };
  protos.loadSync(files.sort(), { keepCase: true, alternateCommentMode: true });
  protos.resolveAll();
  return protos;
}

const packageOf = (type) => type.fullName.split('.')[1];
const localName = (type) => type.fullName.split('.').slice(2).join('');
const isProto2 = (field) => /syntax = "proto2"/.test(readFileSync(field.parent.filename, 'utf8'));

function kindOf(field) {
  if (field.resolvedType instanceof protobuf.Enum) return 'enum';
  if (field.resolvedType instanceof protobuf.Type) return 'message';
  if ((field.type === 'int64' || field.type === 'uint64') && identityFields.has(field.name))
    return `${field.type}Big`;
  return field.type;
}

const wireTypes = { string: 2, bytes: 2, message: 2 };
const wireType = (kind) => wireTypes[kind] ?? 0;
const tsTypes = {
  string: 'string',
  bytes: 'Buffer',
  bool: 'boolean',
  int64Big: 'bigint',
  uint64Big: 'bigint',
};
const defaults = { string: "''", bytes: 'EMPTY', bool: 'false', int64Big: '0n', uint64Big: '0n' };
const readers = {
  string: 'string',
  bytes: 'bytes',
  bool: 'bool',
  enum: 'int32',
  int32: 'int32',
  uint32: 'uint32',
  int64: 'int64',
  uint64: 'uint64',
  int64Big: 'int64Big',
  uint64Big: 'uint64Big',
};

function tsType(field, kind, from) {
  if (kind === 'message' || kind === 'enum') {
    const target = packageOf(field.resolvedType);
    return target === from ? localName(field.resolvedType) : `${target}.${localName(field.resolvedType)}`;
  }
  return tsTypes[kind] ?? 'number';
}

function describe(field, from) {
  const kind = kindOf(field);
  const proto2 = isProto2(field);
  const type = tsType(field, kind, from);
  const optionalBytes = proto2 && kind === 'bytes';
  return {
    name: camel(field.name),
    id: field.id,
    kind,
    type,
    repeated: field.repeated,
    proto2,
    oneof: field.partOf && field.partOf.isProto3Optional !== true ? camel(field.partOf.name) : undefined,
    nullable: kind === 'message' || optionalBytes,
    fallback: kind === 'message' || optionalBytes ? 'undefined' : (defaults[kind] ?? '0'),
  };
}

const tagOf = (id, type) => id * 8 + type;

function writeTag(id, type) {
  return `w.tag(${tagOf(id, type)});`;
}

function writeValue(f, value) {
  if (f.kind === 'message')
    return `${writeTag(f.id, 2)} { const at = w.begin(); ${f.type}.write(${value}, w); w.end(at); }`;
  return `${writeTag(f.id, wireType(f.kind))} w.${readers[f.kind]}(${value});`;
}

function notDefault(f, value) {
  if (f.kind === 'bytes' || f.kind === 'string') return `${value}.length > 0`;
  if (f.kind === 'bool') return value;
  return `${value} !== ${f.fallback}`;
}

function writeField(f) {
  const value = `m.${f.name}`;
  if (f.repeated) {
    if (wireType(f.kind) === 0 && !f.proto2) {
      return `if (${value}.length > 0) { ${writeTag(f.id, 2)} const at = w.begin(); for (const v of ${value}) w.${readers[f.kind]}(v); w.end(at); }`;
    }
    return `for (const v of ${value}) { ${writeValue(f, 'v')} }`;
  }
  if (f.nullable) return `if (${value} !== undefined) { ${writeValue(f, value)} }`;
  if (f.proto2) return writeValue(f, value);
  return `if (${notDefault(f, value)}) { ${writeValue(f, value)} }`;
}

function readValue(f) {
  if (f.kind === 'message') return `${f.type}.read(r, r.nested())`;
  return f.kind === 'enum' ? `r.int32() as ${f.type}` : `r.${readers[f.kind]}()`;
}

function readField(f) {
  const type = wireType(f.kind);
  const message = f.kind === 'message';
  const done = message ? ' r.leave();' : '';
  if (f.oneof !== undefined) {
    return [
      `case ${tagOf(f.id, type)}: m.${f.oneof} = { case: '${f.name}', value: ${readValue(f)} };${done} break;`,
    ];
  }
  if (!f.repeated) return [`case ${tagOf(f.id, type)}: m.${f.name} = ${readValue(f)};${done} break;`];
  const lines = [`case ${tagOf(f.id, type)}: m.${f.name}.push(${readValue(f)});${done} break;`];
  if (type === 0) {
    lines.push(
      `case ${tagOf(f.id, 2)}: { const until = r.packed(); while (r.position < until) m.${f.name}.push(${readValue(f)}); break; }`,
    );
  }
  return lines;
}

function emitEnum(type) {
  const values = Object.entries(type.values).map(([key, value]) => `${key}: ${value}`);
  const name = localName(type);
  return `export const ${name} = { ${values.join(', ')} } as const;\nexport type ${name} = (typeof ${name})[keyof typeof ${name}];\n`;
}

function emitMessage(type, from) {
  const name = localName(type);
  const fields = type.fieldsArray.map((field) => describe(field, from)).sort((a, b) => a.id - b.id);
  const oneofs = new Map();
  for (const f of fields) if (f.oneof !== undefined) oneofs.set(f.oneof, [...(oneofs.get(f.oneof) ?? []), f]);
  const plain = fields.filter((f) => f.oneof === undefined);
  const props = plain.map(
    (f) => `  ${f.name}: ${f.repeated ? `${f.type}[]` : f.nullable ? `${f.type} | undefined` : f.type};`,
  );
  for (const [oneof, members] of oneofs) {
    const cases = members.map((f) => `{ case: '${f.name}'; value: ${f.type} }`);
    props.push(`  ${oneof}: ${cases.join(' | ')} | undefined;`);
  }
  const initial = plain.map((f) => `${f.name}: ${f.repeated ? '[]' : f.fallback}`);
  for (const oneof of oneofs.keys()) initial.push(`${oneof}: undefined`);
  const writes = [];
  const writtenOneofs = new Set();
  for (const f of fields) {
    if (f.oneof === undefined) writes.push(writeField(f));
    else if (!writtenOneofs.has(f.oneof)) {
      writtenOneofs.add(f.oneof);
      const cases = oneofs
        .get(f.oneof)
        .map((o) => `case '${o.name}': { const v = m.${o.oneof}.value; ${writeValue(o, 'v')} break; }`);
      writes.push(`if (m.${f.oneof} !== undefined) switch (m.${f.oneof}.case) { ${cases.join(' ')} }`);
    }
  }
  const reads = fields.flatMap(readField);
  const unused = fields.length === 0;
  return `export interface ${name} {
${props.join('\n')}
}

export const ${name}: MessageCodec<${name}> = {
  typeName: '${type.fullName.slice(1)}',
  create(partial?: Partial<${name}>): ${name} {
    const m: ${name} = { ${initial.join(', ')} };
    return partial === undefined ? m : Object.assign(m, partial);
  },
  write(${unused ? '_m' : 'm'}: ${name}, ${unused ? '_w' : 'w'}: Writer): void {
    ${writes.join('\n    ')}
  },
  read(r: Reader, end: number): ${name} {
    const m: ${name} = { ${initial.join(', ')} };
    while (r.position < end) {
      const tag = r.tag();
      switch (tag) {
        ${reads.join('\n        ')}
        default: r.skip(tag);
      }
    }
    r.finish(end);
    return m;
  },
  encode(m: ${name}): Buffer { return encodeWith(${name}, m); },
  decode(bytes: Uint8Array): ${name} { return decodeWith(${name}, bytes); },
};
`;
}

function collect(namespace, types, enums, services) {
  for (const nested of namespace.nestedArray) {
    if (nested instanceof protobuf.Type) types.push(nested);
    if (nested instanceof protobuf.Enum) enums.push(nested);
    if (nested instanceof protobuf.Service) services.push(nested);
    if (nested.nestedArray !== undefined) collect(nested, types, enums, services);
  }
}

export function generate() {
  const protos = loadProtos();
  const types = [];
  const enums = [];
  const services = [];
  collect(protos, types, enums, services);
  const packages = [...new Set([...types, ...enums].map(packageOf))]
    .filter((name) => name !== 'google')
    .sort();
  const files = new Map();
  for (const name of packages) {
    const body = [
      ...enums.filter((type) => packageOf(type) === name).map(emitEnum),
      ...types.filter((type) => packageOf(type) === name).map((type) => emitMessage(type, name)),
    ].join('\n');
    const others = packages.filter(
      (other) => other !== name && new RegExp(`\\b${other}\\.`).test(body.replace(/typeName: .*/g, '')),
    );
    const imports = [
      "import { encodeWith, decodeWith, type MessageCodec } from '../codec.ts';",
      /\bEMPTY\b/.test(body)
        ? "import { EMPTY, type Reader } from '../reader.ts';"
        : "import type { Reader } from '../reader.ts';",
      "import type { Writer } from '../writer.ts';",
      ...others.map((other) => `import * as ${other} from './${other}.ts';`),
    ];
    files.set(
      `src/wire/gen/${name}.ts`,
      `// Generated by scripts/generate-wire.mjs from proto/${name}. Do not edit.\n${imports.join('\n')}\n\n${body}`,
    );
  }
  const used = [
    ...new Set(
      services.flatMap((s) =>
        s.methodsArray.flatMap((m) => [packageOf(m.resolvedRequestType), packageOf(m.resolvedResponseType)]),
      ),
    ),
  ].sort();
  const emitted = services.map((service) => {
    const methods = service.methodsArray.map((method) => {
      const route = method.options?.['(keystead.http)'];
      const routes = route === undefined ? [] : String(route).split(' ');
      const full = (type) => `${packageOf(type)}.${localName(type)}`;
      return `    ${camel(method.name)}: { name: '${method.name}', path: '/${service.fullName.slice(1)}/${method.name}', request: ${full(method.resolvedRequestType)}, response: ${full(method.resolvedResponseType)}, clientStreaming: ${method.requestStream === true}, serverStreaming: ${method.responseStream === true}, routes: ${JSON.stringify(routes)} },`;
    });
    return `export const ${service.name} = {\n  name: '${service.fullName.slice(1)}',\n  methods: {\n${methods.join('\n')}\n  },\n} as const satisfies ServiceDescriptor;\n`;
  });
  files.set(
    'src/wire/gen/services.ts',
    `// Generated by scripts/generate-wire.mjs from proto/. Do not edit.\nimport type { ServiceDescriptor } from '../codec.ts';\n${used.map((name) => `import * as ${name} from './${name}.ts';`).join('\n')}\n\n${emitted.join('\n')}`,
  );
  return files;
}

if (process.argv[1] === import.meta.filename) {
  mkdirSync(join(root, 'src/wire/gen'), { recursive: true });
  for (const [path, text] of generate()) writeFileSync(join(root, path), text);
}
