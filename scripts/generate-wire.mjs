/**
 * Generates src/wire/gen/*.ts from proto/.
 *
 * Each package becomes one file, and each message an interface and a codec of the same name. The code is straight-line,
 * so that V8 can optimize it: it computes the size, then writes into a buffer of this size; to read, it switches on whole
 * tags. services.ts has the gRPC methods with their JSON routes, descriptors.ts the fields for the JSON mapping. Run
 * `npm run generate` after a change of proto/; a test checks that the generated files are up to date.
 */
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import protobuf from 'protobufjs';

const root = resolve(import.meta.dirname, '..');

/** 64-bit fields that are ids: they are exact as bigint. All other 64-bit fields are counts and become numbers. */
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

/**
 * proto2 scalars are written even if they are zero, except these. etcd 3.7 does not write them if they are zero (the type
 * of a normal entry, the id of a bootstrap change). So log records have exactly the same bytes.
 */
const omittedWhenZero = new Set(['raftpb.Entry.Type', 'raftpb.ConfChange.id']);

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

/** Returns protobuf's JSON name: lowerCamelCase as derived by protoc. */
function jsonName(name) {
  return name.replace(/_+(.?)/g, (_match, next) => next.toUpperCase());
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
const localName = (type) => {
  const name = type.fullName.split('.').slice(2).join('');
  return name[0].toUpperCase() + name.slice(1);
};
const isProto2 = (type) => /syntax = "proto2"/.test(readFileSync(type.filename, 'utf8'));

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
  const proto2 = isProto2(field.parent);
  const type = tsType(field, kind, from);
  const optionalBytes = proto2 && kind === 'bytes';
  return {
    name: camel(field.name),
    protoName: field.name,
    jsonName: jsonName(field.name),
    target: kind === 'message' || kind === 'enum' ? field.resolvedType.fullName.slice(1) : undefined,
    id: field.id,
    kind,
    type,
    repeated: field.repeated,
    packed: field.repeated && !proto2 && wireType(kind) === 0,
    always: proto2 && !omittedWhenZero.has(`${field.parent.fullName.slice(1)}.${field.name}`),
    oneof: field.partOf && field.partOf.isProto3Optional !== true ? camel(field.partOf.name) : undefined,
    nullable: kind === 'message' || optionalBytes,
    fallback: kind === 'message' || optionalBytes ? 'undefined' : (defaults[kind] ?? '0'),
  };
}

const tagOf = (id, type) => id * 8 + type;

function tagSize(id) {
  let size = 1;
  for (let rest = id * 8; rest >= 0x80; rest = Math.floor(rest / 0x80)) size += 1;
  return size;
}

function writeTag(id, type) {
  const tag = tagOf(id, type);
  return tag < 0x80 ? `w.byte(${tag});` : `w.uint32(${tag});`;
}

function writeValue(f, value) {
  if (f.kind === 'message')
    return `${writeTag(f.id, 2)} w.uint32(${f.type}.size(${value})); ${f.type}.write(${value}, w);`;
  return `${writeTag(f.id, wireType(f.kind))} w.${readers[f.kind]}(${value});`;
}

function scalarSize(f, value) {
  if (f.kind === 'bool') return '1';
  return `${readers[f.kind]}Size(${value})`;
}

/** Size of one value including its tag. */
function occurrenceSize(f, value) {
  const size = f.kind === 'message' ? `nestedSize(${f.type}.size(${value}))` : scalarSize(f, value);
  return size === '1' ? String(tagSize(f.id) + 1) : `${tagSize(f.id)} + ${size}`;
}

function notDefault(f, value) {
  if (f.kind === 'bytes' || f.kind === 'string') return `${value}.length > 0`;
  if (f.kind === 'bool') return value;
  return `${value} !== ${f.fallback}`;
}

/** The condition under which a singular field is written; undefined for always. */
function presence(f, value) {
  if (f.nullable) return `${value} !== undefined`;
  return f.always ? undefined : notDefault(f, value);
}

const packedSize = (f) => `let n = 0; for (const v of m.${f.name}) n += ${scalarSize(f, 'v')};`;

function writeField(f) {
  const value = `m.${f.name}`;
  if (f.packed)
    return `if (${value}.length > 0) { ${packedSize(f)} ${writeTag(f.id, 2)} w.uint32(n); for (const v of ${value}) w.${readers[f.kind]}(v); }`;
  if (f.repeated) return `for (const v of ${value}) { ${writeValue(f, 'v')} }`;
  const condition = presence(f, value);
  return condition === undefined ? writeValue(f, value) : `if (${condition}) { ${writeValue(f, value)} }`;
}

function sizeField(f) {
  const value = `m.${f.name}`;
  if (f.packed)
    return `if (${value}.length > 0) { ${packedSize(f)} size += ${tagSize(f.id)} + nestedSize(n); }`;
  if (f.repeated) return `for (const v of ${value}) size += ${occurrenceSize(f, 'v')};`;
  const condition = presence(f, value);
  const add = `size += ${occurrenceSize(f, value)};`;
  return condition === undefined ? add : `if (${condition}) ${add}`;
}

/** `into` is the present value of the field: a nested message that occurs again is merged. */
function readValue(f, into) {
  if (f.kind === 'message') {
    return into === undefined ? `${f.type}.read(r, r.nested())` : `${f.type}.read(r, r.nested(), ${into})`;
  }
  return f.kind === 'enum' ? `r.int32() as ${f.type}` : `r.${readers[f.kind]}()`;
}

function readField(f) {
  const type = wireType(f.kind);
  const message = f.kind === 'message';
  const done = message ? ' r.leave();' : '';
  if (f.oneof !== undefined) {
    const held = message ? `m.${f.oneof}?.case === '${f.name}' ? m.${f.oneof}.value : undefined` : undefined;
    return [
      `case ${tagOf(f.id, type)}: m.${f.oneof} = { case: '${f.name}', value: ${readValue(f, held)} };${done} break;`,
    ];
  }
  if (!f.repeated) {
    const value = readValue(f, message ? `m.${f.name}` : undefined);
    return [`case ${tagOf(f.id, type)}: m.${f.name} = ${value};${done} break;`];
  }
  const lines = message
    ? [
        `case ${tagOf(f.id, type)}: { const v = ${readValue(f)}; if (m.${f.name}.length < r.mostItems) m.${f.name}.push(v);${done} break; }`,
      ]
    : [`case ${tagOf(f.id, type)}: m.${f.name}.push(${readValue(f)}); break;`];
  if (type === 0) {
    lines.push(
      `case ${tagOf(f.id, 2)}: { const until = r.packed(); while (r.position < until) m.${f.name}.push(${readValue(f)}); r.finish(until); break; }`,
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
  // Go writes fields in number order, and oneofs after all others.
  const fields = type.fieldsArray
    .map((field) => describe(field, from))
    .sort((a, b) => Number(a.oneof !== undefined) - Number(b.oneof !== undefined) || a.id - b.id);
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
  const sizes = [];
  const writtenOneofs = new Set();
  for (const f of fields) {
    if (f.oneof === undefined) {
      writes.push(writeField(f));
      sizes.push(sizeField(f));
    } else if (!writtenOneofs.has(f.oneof)) {
      writtenOneofs.add(f.oneof);
      const cases = (each) =>
        oneofs
          .get(f.oneof)
          .map((o) => `case '${o.name}': { const v = m.${o.oneof}.value; ${each(o)} break; }`)
          .join(' ');
      writes.push(
        `if (m.${f.oneof} !== undefined) switch (m.${f.oneof}.case) { ${cases((o) => writeValue(o, 'v'))} }`,
      );
      sizes.push(
        `if (m.${f.oneof} !== undefined) switch (m.${f.oneof}.case) { ${cases((o) => `size += ${occurrenceSize(o, 'v')};`)} }`,
      );
    }
  }
  const reads = fields.flatMap(readField);
  const empty = fields.length === 0;
  const shape = empty
    ? `export type ${name} = Record<string, never>;`
    : `export interface ${name} {\n${props.join('\n')}\n}`;
  const sizeAndWrite = empty
    ? `size(): number { return 0; },
  write(): void { /* no fields */ },`
    : `size(m: ${name}): number {
    let size = 0;
    ${sizes.join('\n    ')}
    return size;
  },
  write(m: ${name}, w: Writer): void {
    ${writes.join('\n    ')}
  },`;
  return `${shape}

export const ${name}: MessageCodec<${name}> = {
  typeName: '${type.fullName.slice(1)}',
  create(partial?: Partial<${name}>): ${name} {
    const m: ${name} = { ${initial.join(', ')} };
    return partial === undefined ? m : Object.assign(m, partial);
  },
  ${sizeAndWrite}
  read(r: Reader, end: number, into?: ${name}): ${name} {
    const m: ${name} = into ?? { ${initial.join(', ')} };
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

const sizeNames = ['nested', ...new Set(Object.values(readers))].map((kind) => `${kind}Size`);

function sizeImport(body) {
  const names = sizeNames.filter((name) => new RegExp(`\\b${name}\\(`).test(body)).sort();
  return names.length === 0 ? undefined : `import { ${names.join(', ')} } from '../sizes.ts';`;
}

/** Emits the data for the JSON mapping: names, kinds and order of fields, and the names of enum values. */
function emitDescriptors(types, enums) {
  const messages = types.map((type) => {
    const fields = type.fieldsArray.map((field) => {
      const f = describe(field, '');
      const rest = [
        f.repeated ? 'repeated: true' : '',
        f.oneof === undefined ? '' : `oneof: '${f.oneof}'`,
        f.target === undefined ? '' : `type: '${f.target}'`,
      ].filter((part) => part !== '');
      return `    { ${[`number: ${field.id}`, `name: '${f.name}'`, `protoName: '${f.protoName}'`, `jsonName: '${f.jsonName}'`, `kind: '${f.kind}'`, ...rest].join(', ')} },`;
    });
    const oneofs = type.oneofsArray.map((oneof) => `'${camel(oneof.name)}': '${oneof.name}'`);
    const names = oneofs.length === 0 ? '' : `\n  oneofs: { ${oneofs.join(', ')} },`;
    return `  '${type.fullName.slice(1)}': {${names}\n  fields: [\n${fields.join('\n')}\n  ] },`;
  });
  const values = enums.map((type) => `  '${type.fullName.slice(1)}': ${JSON.stringify(type.values)},`);
  return `// Generated by scripts/generate-wire.mjs from proto/. Do not edit.
import type { EnumDescriptor, MessageDescriptor } from '../json-descriptor.ts';

export const messages: Readonly<Record<string, MessageDescriptor>> = {
${messages.join('\n')}
};

export const enums: Readonly<Record<string, EnumDescriptor>> = {
${values.join('\n')}
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
      sizeImport(body),
      "import type { Writer } from '../writer.ts';",
      ...others.map((other) => `import * as ${other} from './${other}.ts';`),
    ].filter((line) => line !== undefined);
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
  const own = (type) => packageOf(type) !== 'google';
  files.set('src/wire/gen/descriptors.ts', emitDescriptors(types.filter(own), enums.filter(own)));
  return files;
}

if (process.argv[1] === import.meta.filename) {
  mkdirSync(join(root, 'src/wire/gen'), { recursive: true });
  for (const [path, text] of generate()) writeFileSync(join(root, path), text);
}
