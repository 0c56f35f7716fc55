import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import protobuf from 'protobufjs';
import { describe, expect, it } from 'vitest';
import { loadProtos } from '../../scripts/generate-wire.mjs';
import type { ServiceDescriptor } from './codec.ts';
import { EtcdError, errors, GrpcCode } from './errors.ts';
import { allCodecs } from './testing/all-codecs.ts';
import * as services from './services.ts';

/** Extracted from etcd v3.7.1 and go.etcd.io/raft v3.7.0. */
interface WireFacts {
  files: {
    package: string;
    syntax: string;
    messages: { name: string; fields: FieldFact[] }[];
    enums: { name: string; values: { name: string; number: number }[] }[];
    services?: { name: string; methods: MethodFact[] }[];
  }[];
}
interface FieldFact {
  name: string;
  number: number;
  type: string;
  label?: string;
  oneof?: string;
}
interface MethodFact {
  name: string;
  path: string;
  request: string;
  response: string;
  clientStream?: boolean;
  serverStream?: boolean;
  http?: { method: string; path: string }[];
}

function facts(name: string): unknown {
  return JSON.parse(readFileSync(resolve(import.meta.dirname, 'testdata', name), 'utf8'));
}

const { files } = facts('messages.json') as WireFacts;
const protos = loadProtos();
const scalars = new Set(['string', 'bytes', 'bool', 'int32', 'uint32', 'int64', 'uint64']);

function describeField(field: protobuf.Field): FieldFact {
  return {
    name: field.name,
    number: field.id,
    type: scalars.has(field.type) ? field.type : field.resolvedType!.fullName.slice(1),
    ...(field.repeated ? { label: 'repeated' } : {}),
    ...(field.partOf ? { oneof: field.partOf.name } : {}),
  };
}

describe.each(files.map((file) => [file.package, file] as const))('package %s', (_name, file) => {
  it.each(file.messages.map((message) => [message.name, message] as const))('%s', (name, message) => {
    const expected = message.fields.map(({ name: field, number, type, label, oneof }) => ({
      name: field,
      number,
      type,
      ...(label === 'repeated' ? { label } : {}),
      ...(oneof === undefined ? {} : { oneof }),
    }));
    const reference = protos.lookupType(name);
    expect(reference.fieldsArray.map(describeField)).toEqual(expected);
    expect(readFileSync(reference.filename!, 'utf8')).toContain(`syntax = "${file.syntax}"`);
    expect(allCodecs.has(name)).toBe(true);
  });

  it('enums', () => {
    for (const { name, values } of file.enums) {
      const reference = protos.lookupEnum(name);
      expect(reference.values).toEqual(Object.fromEntries(values.map((value) => [value.name, value.number])));
    }
  });

  it.each((file.services ?? []).map((service) => [service.name, service] as const))('%s', (name, service) => {
    const own = (Object.values(services) as ServiceDescriptor[]).find((each) => each.name === name);
    const methods = Object.values(own!.methods).map((method) => ({
      name: method.name,
      path: method.path,
      request: method.request.typeName,
      response: method.response.typeName,
      clientStream: method.clientStreaming,
      serverStream: method.serverStreaming,
      routes: method.routes,
    }));
    const expected = service.methods.map((method) => ({
      name: method.name,
      path: method.path,
      request: method.request,
      response: method.response,
      clientStream: method.clientStream ?? false,
      serverStream: method.serverStream ?? false,
      routes: (method.http ?? []).map((route) => route.path),
    }));
    expect(methods).toEqual(expected);
    for (const { http } of service.methods) for (const { method } of http ?? []) expect(method).toBe('POST');
  });
});

it('proto/ has no other messages', () => {
  const known = files.flatMap((file) => file.messages.map((message) => message.name));
  expect([...allCodecs.keys()].sort()).toEqual(known.sort());
});

it('every error that clients match on has its code and text', () => {
  const known = facts('errors.json') as { name: string; code: string; message: string }[];
  const own = Object.entries(errors).map(([name, error]) => {
    expect(error).toBeInstanceOf(EtcdError);
    const code = Object.entries(GrpcCode).find(([, value]) => value === error.code)![0];
    return { name, code, message: error.message };
  });
  expect(own).toEqual(known);
});
