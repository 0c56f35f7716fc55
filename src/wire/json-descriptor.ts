export type FieldKind =
  | 'string'
  | 'bytes'
  | 'bool'
  | 'int32'
  | 'uint32'
  | 'int64'
  | 'uint64'
  /** 64-bit ids, held as bigint. */
  | 'int64Big'
  | 'uint64Big'
  | 'enum'
  | 'message';

export interface FieldDescriptor {
  readonly number: number;
  /** The property with the value, or the case of its oneof. */
  readonly name: string;
  /** The name in proto/, which etcd's gateway writes. */
  readonly protoName: string;
  /** The name in lowerCamelCase, which is also accepted. */
  readonly jsonName: string;
  readonly kind: FieldKind;
  readonly repeated?: true;
  /** The property with the whole oneof. */
  readonly oneof?: string;
  /** Full name of a message or enum. */
  readonly type?: string;
}

export interface MessageDescriptor {
  /** In the order of declaration. */
  readonly fields: readonly FieldDescriptor[];
  /** Oneofs by property, with their names in proto/. */
  readonly oneofs?: Readonly<Record<string, string>>;
}

export type EnumDescriptor = Readonly<Record<string, number>>;
