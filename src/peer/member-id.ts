const HEX_ID = /^[0-9a-fA-F]{1,16}$/;

/** An identity as it stands in headers, paths and logs. */
export function formatId(id: bigint): string {
  return id.toString(16);
}

/** @returns undefined for text that is no identity */
export function parseId(text: string | undefined): bigint | undefined {
  return text !== undefined && HEX_ID.test(text) ? BigInt(`0x${text}`) : undefined;
}
